#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: scripts/check-docs.sh [BUILD-DIR]
# What the documents name must exist: file:function of the tour, gstk_ names, make targets,
# benchmark names; and a number in a README table must stand beside the command that prints it.
set -u
perl - "${1:-build}" <<'PERL'
use strict; use warnings;
my $O = $ARGV[0];
my $bad = 0;
sub complain { print "@_\n"; $bad = 1 }
sub slurp { my ($f) = @_; open my $h, '<', $f or return ''; local $/; return <$h> }
my @rst = glob('Documentation/*.rst Documentation/rejected.d/*.rst');
my @docs = ('README.md', @rst);

# ``path/file.c:function``: the file is there and defines the function (or macro, or struct).
for my $d (@docs) {
	my $t = slurp($d);
	while ($t =~ /`+([\w.\/-]+\.(?:c|h|S|sh|mk)):(\w+)`+/g) {
		my ($f, $fn) = ($1, $2);
		my $src = slurp($f);
		if ($src eq '') { complain("$d: $f is not there"); next }
		complain("$d: $f does not define $fn") unless
			$src =~ /^(?:[A-Za-z_][^\n;={}]*[\s*])?\Q$fn\E\([^;]*?\)[^;{}]*\{/ms ||
			$src =~ /^\s*#\s*define\s+\Q$fn\E\b/m || $src =~ /^(?:typedef )?(?:struct|enum|union)\s+\Q$fn\E\b/m ||
			($f =~ /\.h$/ && $src =~ /\b\Q$fn\E\s*\(/) ||
			($f =~ /\.S$/ && $src =~ /\b\Q$fn\E\b/) || $src =~ /^\Q$fn\E(?:\(\)|:)/m;
	}
	while ($t =~ /`+((?:userspace|selftests|kmod|scripts|include|mk)\/[\w.\/-]+\.\w+)`+/g) {
		complain("$d: $1 is not there") unless -e $1 || $1 =~ /NAME/;
	}
}
# gstk_ names in documents are declared in a public header.
my $public = join '', map { slurp($_) } ('include/greenstk.h', glob('include/greenstk/*.h'));
my $internal = `cat \$(find userspace/lib selftests kmod include -name '*.[chS]' 2>/dev/null) /dev/null`;
for my $d (@docs, glob('Documentation/man/*.[1-9]')) {
	my %seen;
	my $t = slurp($d);
	$t =~ s/^\.TH .*$//mg;
	while ($t =~ /\b(gstk_(?!_)[a-z0-9_]*[a-z0-9]|GSTK_(?!_)[A-Z0-9_]*[A-Z0-9])\b(?![\w*])/g) {
		my $name = $1;
		next if $seen{$name}++;
		complain("$d: $name is not in a public header")
			unless $public =~ /\b$name\b/ || ($name =~ /^GSTK_/ && $internal =~ /\b$name\b/);
	}
	while ($t =~ /\b(gstk__\w*\w|greenstk_\w+|GREENSTK_[A-Z0-9_]+)\b(?!\*)/g) {
		my $name = $1;
		next if $seen{$name}++;
		complain("$d: $name is nowhere in the sources") unless $internal =~ /\b$name\b/ ||
			$name =~ /^GREENSTK_(CACHE|TIMING_LOCK|TEST_VARIANT|WORKERS|WINDOWS|WINDOW_SIZE|FORCE_EVICT|FORCE_PACK)$/;
	}
}
# make targets and scripts that documents tell people to run.
my %target;
for (split /\n/, `cat Makefile mk/*.mk */part.mk */*/part.mk selftests/lib/*_matrix.mk 2>/dev/null`) {
	# .PHONY names the commands of the house; their rules come with the parts.
	$target{$_} = 1 for /^\.PHONY:(.*)/ ? split(' ', $1) : ();
	$target{$1} = 1 if /^\S.*:\s*([\w.-]*%[\w.-]*):/; # static pattern rules
	$target{$_} = 1 for /^([\w.%-]+(?: [\w.%-]+)*):(?!=)/ ? split(/ /, $1) : ();
}
for my $d (@docs) {
	my $t = slurp($d);
	while ($t =~ /`+(?:[A-Z_]+=\S+ )*make((?: [\w.=,\/<>-]+)*)`+/g) {
		for (split ' ', $1) {
			last if /^-C/; # somebody else's makefile
			next if /=/ || /^-/;
			my $goal = $_;
			complain("$d: no make target $goal") unless $target{$goal} ||
				grep { /^(.*)%(.*)$/ && $goal =~ /^\Q$1\E.+\Q$2\E$/ } keys %target;
		}
	}
}
# Benchmark names in the README exist, and table rows with a measured number name what printed it.
my $bench = "$O/bin/gstk-bench";
my %bench = -x $bench ? map { (split)[0] => 1 } grep { /\S/ } `$bench --list` : ();
my ($section, $lead, $n) = ('', '', 0);
for (split /\n/, slurp('README.md')) {
	$n++;
	if (/^#/) { $section = $_; $lead = '' }
	elsif (!/^\|/) { $lead = /^\s*$/ ? $lead : $_ }
	while (/`((?:switch|yield|spawn|chan|call|ring|skynet|memory|wake|active|window|park|echo|idle)\.[a-z0-9._]+)`/g) {
		complain("README.md:$n: gstk-bench has no $1") if %bench && !$bench{$1};
	}
	next unless /^\|.*\d\s*(?:ns|us|µs|ms|bytes|B|KiB|MiB|GiB|x|\/s|%)?\s*\|/ && /\d/;
	next unless $section =~ /result|measure|figure|number|fast|cost/i;
	complain("README.md:$n: a number without the command that prints it")
		unless /`[^`]*(?:make |gstk-|\w\.\w)[^`]*`/ || $lead =~ /`[^`]*(?:make |gstk-bench)[^`]*`/;
}
exit $bad;
PERL
