#!/bin/bash
# SPDX-License-Identifier: MIT
# Every tracked file: a licence line of the right kind, no path of somebody's machine, tabs where
# the house uses tabs, scripts executable. Warns (no failure) of files past 600 lines.
set -u
perl - <<'PERL'
use strict; use warnings;
my $bad = 0;
sub complain { print "@_\n"; $bad = 1 }
my @files = split /\n/, `git ls-files -co --exclude-standard 2>/dev/null`;
@files = split /\n/, `find . -type f -not -path './build/*' -printf '%P\n'` unless @files;
for my $f (@files) {
	next unless -f $f;
	open my $h, '<', $f or next;
	my $text = do { local $/; <$h> } // '';
	next if $text =~ /\0/;
	my @line = split /\n/, $text;
	my $want = $f =~ m{^LICENSES/|\.(?:md|txt|json|csv|tsv|config|patch|snap|bin|resp|allow|deny|list)$|(?:^|/)(?:\.git\w+|settings|config)$} ? ''
		: $f =~ m{^include/uapi/} ? 'GPL-2\.0\S* WITH Linux-syscall-note'
		: $f =~ m{^kmod/|^Kbuild$} ? '(?:GPL-2\.0|.*MIT)' : 'MIT';
	complain("$f: no SPDX line with $want")
		if $want ne '' && $text ne '' && !grep { /SPDX-License-Identifier: \(?$want/ } @line[0 .. ($#line < 4 ? $#line : 4)];
	complain("$f: not executable") if $f =~ /\.sh$|^\.ci\/run$/ && $text =~ /^#!/ && !-x $f;
	my $code = $f =~ /\.(?:[chS]|cc)$/;
	my %said;
	for my $i (0 .. $#line) {
		$_ = $line[$i];
		my $at = "$f:" . ($i + 1);
		complain("$at: a path of one machine: $_")
			if $f ne 'scripts/check-tree.sh' && m{(?:^|[^A-Za-z0-9._\$~-])/(?:root|home|work|Users)/[A-Za-z0-9_.]};
		complain("$at: white space at the end of the line")
			if ($code || $f =~ /\.sh$/) && /[ \t]+$/ && !$said{space}++;
		complain("$at: spaces where the house has tabs (make format FILES=$f)")
			if $code && /^ {8}(?! ?\*)(?! *\\$)/ && !$said{tabs}++;
	}
	print "# warning: $f has " . @line . " lines: which two nouns are in there?\n"
		if ($code || $f =~ /\.sh$/) && @line > 600;
}
exit $bad;
PERL
