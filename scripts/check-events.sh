#!/bin/bash
# SPDX-License-Identifier: MIT
# The tables "Events" of uapi.rst, "Hazards" of testing-kernels.rst and "Hazards of the runtime" of
# testing.rst, and "Purposes" of purposes.rst, name a test for each row ("suite: test"): each must exist, in
# selftests/uapi, vm, lib or preload, and no row may go without.
# A row of "Events" holds on every kernel, so its test may be no skip of skips.list. The table
# "Planted bugs" is mutations.list: the same names, kernels and suites.
set -u
perl - <<'PERL'
use strict; use warnings;
my ($bad, %tests) = (0);
sub complain { print "@_\n"; $bad = 1 }
sub slurp { my ($f) = @_; open my $h, '<', $f or return ''; local $/; return <$h> }

for my $f (glob('selftests/{uapi,vm,lib,preload}/*_test.c')) {
	my ($suite) = $f =~ m{(\w+)_test\.c$};
	my $t = slurp($f);
	$tests{$suite}{$1} = $f while $t =~ /^(?:WAIT_|NOMEM_|FILE_)?TEST(?:_F|_F_TIMEOUT|_F_SIGNAL)?\((?:\w+,\s*)?(\w+)/mg;
}
my %skipped = map { (split)[1] => 1 } grep { /^[^#\s]/ } split /\n/, slurp('selftests/vm/skips.list');

# The cells of the table below a heading, rows that go on in the next line joined.
sub table {
	my ($file, $heading) = @_;
	my ($part) = slurp($file) =~ /^\Q$heading\E\n[-=~]+\n(.*?)(?=^\S[^\n]*\n[-=~]{3,}$|\z)/ms;
	complain("$file: no section $heading"), return unless defined $part;
	my (@rows, @at, $rules);
	for (split /\n/, $part) {
		if (/^=+ [ =]+$/) {
			$rules++;
			@at = ();
			push @at, $-[0] while /=+/g;
			next;
		}
		next unless ($rules // 0) == 2 && length;
		my $line = $_;
		my @cell = map { my $to = $_ < $#at ? $at[$_ + 1] : length $line;
			my $c = $at[$_] < length $line ? substr($line, $at[$_], $to - $at[$_]) : '';
			$c =~ s/^\s+|\s+$//g; $c } 0 .. $#at;
		if ($cell[0] eq '' && @rows) { $rows[-1][$_] .= " $cell[$_]" x ($cell[$_] ne '') for 0 .. $#at }
		else { push @rows, \@cell }
	}
	complain("$file: no table below $heading") unless @rows;
	return @rows;
}

for (['Documentation/uapi.rst', 'Events', 30], ['Documentation/testing-kernels.rst', 'Hazards', 15],
     ['Documentation/testing.rst', 'Hazards of the runtime', 20],
     ['Documentation/purposes.rst', 'Purposes', 20]) {
	my ($file, $heading, $least) = @$_;
	my @rows = table($file, $heading);
	complain("$file: $heading has only " . @rows . " rows") if @rows < $least;
	for my $row (@rows) {
		my $named = 0;
		complain("$file: '$row->[0]' has no errno, signal or result") if grep { $_ eq '' } @$row;
		(my $cell = $row->[-1]) =~ s/\(.*?\)//g;
		my $suite;
		for (split /,\s*/, $cell) {
			next unless /^(?:(\w+): )?(\w+)\s*$/;
			$suite = $1 if defined $1;
			next unless defined $suite;
			my $test = $2;
			$named++;
			my $f = $tests{$suite}{$test};
			complain("$file: '$row->[0]': no test $test in ${suite}_test.c"), next unless $f;
			my ($code) = slurp($f) =~ /^TEST\w*\((?:\w+,\s*)?$test\b(.*?)^\}/ms;
			complain("$file: '$row->[0]': $test is skipped somewhere")
				if $heading eq 'Events' && grep { $code =~ /\Q$_\E/ } keys %skipped;
		}
		complain("$file: '$row->[0]' names no test") unless $named || $row->[-1] eq 'the same';
	}
}

my %list = map { my @f = split; $f[0] => "$f[1] $f[2]" } grep { /^[^#\s]/ }
	split /\n/, slurp('selftests/vm/mutations.list');
my %doc = map { (my $n = $_->[0]) =~ s/`//g; $n => "$_->[1] $_->[2]" }
	table('Documentation/testing-kernels.rst', 'Planted bugs');
for (sort keys %{{ %list, %doc }}) {
	complain("mutations.list and Planted bugs differ on $_")
		unless defined $list{$_} && defined $doc{$_} && $list{$_} eq $doc{$_};
}
exit $bad;
PERL
