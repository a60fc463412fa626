#!/usr/bin/perl
# SPDX-License-Identifier: MIT
# usage: table.pl RESULTS.json TARGETS FILE...
# Rewrites the part of each FILE between the lines "bench-table begin" and "bench-table end"
# (comments of reStructuredText or Markdown) from a file that gstk-bench --json wrote.
use strict;
use warnings;

my ($json, $targets, @files) = @ARGV;
die "usage: $0 RESULTS.json TARGETS FILE...\n" unless @files;

# The file has one result a line, so it needs no JSON library.
my (%value, %line, @names, %machine, $command);
open my $j, '<', $json or die "$json: $!\n";
while (<$j>) {
	$command = $1 if /^"command": "(.*)",$/;
	%machine = (cpu => $1, cpus => $2, kernel => $3, date => $4, clean => $5)
		if /"cpu": "([^"]*)", "cpus": (\d+), "kernel": "([^"]*)", "date": "([^"]*)", "undisturbed": (\w+)/;
	next unless /^\{"name": "([^"]+)", "by": "([^"]+)", "value": ([-\d.]+), "unit": "([^"]+)", "min": ([-\d.]+), "max": ([-\d.]+)/;
	my ($name, $by) = ($1, $2);
	push @names, $name unless grep { $_ eq $name } @names;
	$line{$name}{$by} = { value => $3, unit => $4, min => $5, max => $6 };
	$value{$by eq 'greenstk' ? $name : "$by:$name"} = $3;
}
close $j;
die "$json: no results\n" unless @names;
# Where the program was built says nothing; the command is what to repeat.
$command =~ s{\S*/(gstk-bench)}{$1};
$command =~ s{--(?:json|peers) \S+ ?}{}g;

my %target;
open my $t, '<', $targets or die "$targets: $!\n";
while (<$t>) {
	next if /^#/ || !/^(\S+)\s+(\S+)/;
	my ($name, $v) = ($1, $2);
	if ($v =~ /^[\d.]+$/) {
		$target{$name} = $v;
	} elsif ($v =~ /^(?:([\d.]+)\*)?([a-z][^+]*)(?:\+(\S+))?$/) {
		my ($times, $of, $plus) = ($1 // 1, $2, $3 // 0);
		$plus = $value{$plus} unless $plus =~ /^[\d.]+$/;
		$target{$name} = $times * $value{$of} + $plus if defined $value{$of} && defined $plus;
	} else {
		die "$targets:$.: cannot read $v\n";
	}
}
close $t;

sub number {
	my ($v) = @_;
	my $a = abs $v;
	return sprintf $a >= 100 ? '%.0f' : $a >= 10 ? '%.1f' : $a >= 0.1 ? '%.2f' : $a > 0 ? '%.4f' : '%.0f', $v;
}

my @rows;
for my $name (@names) {
	my $us = $line{$name}{greenstk} or next;
	my @peers = sort { $line{$name}{$a}{value} <=> $line{$name}{$b}{value} } grep { $_ ne 'greenstk' } keys %{ $line{$name} };
	my $aim = '';
	if (defined $target{$name}) {
		$aim = number($target{$name});
		$aim .= $us->{value} <= $target{$name} ? ': met' : sprintf ': %.2fx', $us->{value} / ($target{$name} || 1);
	}
	push @rows, [ $name, number($us->{value}) . " $us->{unit}", number($us->{min}) . '-' . number($us->{max}),
		$aim, join(', ', map { "$_ " . number($line{$name}{$_}{value}) } @peers) ];
}
my @head = ('name', 'median', 'min-max', 'target', 'peers, best first');
my $lead = "$machine{cpus} CPUs $machine{cpu}, Linux " . ($machine{kernel} =~ s/-.*//r) . ", $machine{date}"
	. ($machine{clean} eq 'true' ? '' : '; other work ran meanwhile');

sub rst {
	my $out = "Printed by ``$command`` ($lead).\n\n.. list-table::\n   :header-rows: 1\n\n";
	for my $r (\@head, @rows) {
		my $first = 1;
		for my $cell (@$r) {
			my $c = $first && $r != \@head ? "``$cell``" : $cell;
			$out .= ($first ? '   * -' : '     -') . (length $c ? " $c" : '') . "\n";
			$first = 0;
		}
	}
	return "$out\n";
}

sub markdown {
	my $out = "Printed by `$command` ($lead):\n\n| " . join(' | ', @head) . " |\n|" . '---|' x @head . "\n";
	$out .= '| ' . join(' | ', "`$_->[0]`", @$_[1 .. 4]) . " |\n" for @rows;
	return $out;
}

for my $file (@files) {
	open my $f, '<', $file or die "$file: $!\n";
	my @text = <$f>;
	close $f;
	my ($begin) = grep { $text[$_] =~ /bench-table begin/ } 0 .. $#text;
	my ($end) = grep { $text[$_] =~ /bench-table end/ } 0 .. $#text;
	die "$file: no bench-table begin and end\n" unless defined $begin && defined $end && $begin < $end;
	my $body = $file =~ /\.md$/ ? markdown() : rst();
	splice @text, $begin + 1, $end - $begin - 1, "\n", $body;
	open $f, '>', "$file.new" or die "$file.new: $!\n";
	print $f @text;
	close $f or die "$file.new: $!\n";
	rename "$file.new", $file or die "$file: $!\n";
	print "$file: ", scalar @rows, " results\n";
}
