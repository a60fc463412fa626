#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: scripts/man-pages.sh OUTDIR VERSION HEADER...
# Section 3 man pages from the public headers: one page a header (greenstk-chan.3), whose NAME line
# lists every function in it. The headers' own comments are the text, so page and code cannot part.
# A function that no comment describes is an error.
set -eu
mkdir -p "$1"
perl - "$@" <<'PERL'
use strict; use warnings;
my ($out, $version, @headers) = @ARGV;
my $bad = 0;
sub esc { my ($s) = @_; $s =~ s/\\/\\e/g; $s =~ s/-/\\-/g; $s =~ s/^([.'])/\\&$1/mg; return $s }
sub prose { # comment text -> roff
	my ($s) = @_;
	my @par = split /\n[ \t]*\n/, $s;
	for (@par) {
		if (/^[ \t]{4,}\S/) { $_ = ".nf\n.RS 4\n" . esc($_) . "\n.RE\n.fi"; next }
		my $list = 0;
		s/^[ \t]+//mg;
		$_ = esc($_);
		s/\@([a-z_]\w*)/\\fI$1\\fP/g;
		s/(\\-E[A-Z0-9]+)\b/\\fB$1\\fP/g;
		s/\b(NULL|GSTK_[A-Z0-9_]+|GREENSTK_[A-Z0-9_]+)\b/\\fB$1\\fP/g;
		s/\b(gstk_\w+)(\(\))/\\fB$1\\fP$2/g;
		s/`([^`]*)`/\\fB$1\\fP/g;
	}
	return join "\n.PP\n", @par;
}
sub comment_text {
	my ($c) = @_;
	$c =~ s{^\s*/\*\*?<?}{}; $c =~ s{\*/\s*$}{};
	$c =~ s/^[ \t]*\* ?//mg;
	$c =~ s/^\s+|\s+$//g;
	return $c;
}
sub tidy { # a declaration as the reader wants to see it
	my ($d) = @_;
	$d =~ s{/\*.*?\*/}{}gs;
	$d =~ s/\bGSTK_API\s+|\s*\bGSTK_MUST_CHECK\b|\bstatic\s+inline\s+|\s*__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)//g;
	$d =~ s/\s*\{.*//s; $d =~ s/\s*;?\s*$/;/;
	$d =~ s/\s*\n\s*/ /g;
	return $d;
}
for my $h (@headers) {
	open my $fh, '<', $h or die "$h: $!";
	my $src = do { local $/; <$fh> };
	my @t = gmtime($ENV{SOURCE_DATE_EPOCH} // (stat $h)[9]);
	my $date = sprintf "%d-%02d-%02d", $t[5] + 1900, $t[4] + 1, $t[3];
	(my $group = $h) =~ s{.*/([\w-]+)\.h$}{$1};
	my @lines = split /\n/, $src;
	my ($intro, @blocks, @names, @types) = ('');
	my ($doc, $cur) = (undef, undef);
	for (my $i = 0; $i < @lines; $i++) {
		my $l = $lines[$i];
		if ($l =~ m{^\s*/\*}) { # a comment
			my $c = $l;
			$c .= "\n" . $lines[++$i] while $c !~ m{\*/} && $i < $#lines;
			if ($c =~ m{^\s*/\*\*[^<]}) { $doc = comment_text($c); $cur = undef }
			elsif ($intro eq '') { $intro = comment_text($c) }
			next;
		}
		if ($l =~ /^\s*$/) { $doc = undef; $cur = undef; next }
		next if $l =~ m{^\s*(#\s*(if|pragma|endif|else|elif|include|undef)|//|GSTK_(BEGIN|END)_DECLS)};
		if ($l =~ /^#\s*define\s+(\w+)(\([^)]*\))?/) { # function-like and constant macros
			my ($name, $args) = ($1, $2 // '');
			my $value = !$args && $l =~ /^#\s*define\s+\w+\s+([^\\]+?)\s*(?:\/[\/*].*)?$/ ? " $1" : '';
			while ($l =~ /\\$/ && $i < $#lines) { $l = $lines[++$i] }
			next if !defined $doc || $name =~ /^GSTK__|_H$/;
			push @names, $name if $args ne '';
			push @blocks, $cur = { doc => $doc, decl => ["#define $name$args$value"] };
			next;
		}
		if ($l =~ /^(?:typedef\s+)?(?:struct|enum|union)\b[^;()]*\{/) { # a type, to its closing line
			my $t = $l;
			$t .= "\n" . $lines[++$i] while $t !~ /^\}[^\n]*;|\{[^\n]*\}[^\n;]*;/m && $i < $#lines;
			push @types, [$doc // '', $t] unless $t =~ /\b(?:struct|enum|union) gstk__/;
			$doc = undef;
			next;
		}
		# a declaration or an inline function
		my $d = $l;
		$d .= "\n" . $lines[++$i] while $d !~ /[;{]/ && $i < $#lines;
		my $inline = $d =~ /\binline\b/;
		next if !$inline && $d !~ /\bGSTK_API\b/;
		my $trail = $d =~ m{/\*\*<\s*(.*?)\s*\*/} ? $1 : undef;
		if ($d =~ /\{/ || $inline) { # skip a body
			$d .= "\n" . $lines[++$i] while $d !~ /\{/ && $i < $#lines;
			my $body = $d;
			$body .= "\n" . $lines[++$i] while ($body =~ tr/{//) > ($body =~ tr/}//) && $i < $#lines;
		}
		my ($name) = tidy($d) =~ /\b(\w+)\s*\(/;
		next if !defined $name || $name =~ /^gstk__/;
		push @names, $name;
		if (defined $doc) {
			push @blocks, $cur = { doc => $doc, decl => [] };
			$doc = undef;
		} elsif (!$cur) {
			$bad = 1;
			print "$h: nothing describes $name\n";
			push @blocks, $cur = { doc => '', decl => [] };
		}
		push @{$cur->{decl}}, tidy($d) . (defined $trail ? "\x00$trail" : '');
	}
	next unless @names;
	my $include = `cat include/greenstk.h` =~ m{<greenstk/\Q$group\E\.h>} ? "greenstk.h" : "greenstk/$group.h";
	my ($what) = $intro =~ /^(.*?)\.(?:\s|$)/s; $what = $intro unless defined $what; $what =~ s/\s+/ /g;
	my $page = ".\\\" SPDX-License-Identifier: MIT\n.\\\" Written by scripts/man-pages.sh from $h\n";
	$page .= ".TH GREENSTK\\-" . uc($group) . " 3 \"$date\" \"greenstk $version\" \"greenstk\"\n";
	$page .= ".SH NAME\n" . join(", ", map { esc($_) } @names) . " \\- " . esc(lcfirst $what) . "\n";
	$page .= ".SH SYNOPSIS\n.nf\n.B #include <$include>\n.PP\n";
	for my $b (@blocks) { for (@{$b->{decl}}) { my ($d) = split /\x00/; $page .= ".B " . esc($d) . "\n" } }
	$page .= ".PP\nLink with \\fI\\-lgreenstk\\fP.\n" =~ s/^/.fi\n/r;
	$page .= ".SH DESCRIPTION\n" . prose($intro) . "\n";
	for my $b (@blocks) {
		next if $b->{doc} eq '' && !grep { /\x00/ } @{$b->{decl}};
		$page .= ".SS \"" . join(", ", map { /(\w+)\s*\(/ ? "$1()" : s/^#define (\w+).*/$1/r } map { (split /\x00/)[0] } @{$b->{decl}}) . "\"\n";
		$page .= ".nf\n" . join("", map { ".B " . esc((split /\x00/)[0]) . "\n" } @{$b->{decl}}) . ".fi\n.PP\n";
		$page .= prose($b->{doc}) . "\n" if $b->{doc} ne '';
		for (@{$b->{decl}}) {
			my ($d, $t) = split /\x00/;
			next unless defined $t;
			my ($n) = $d =~ /(\w+)\s*\(/;
			$page .= ".PP\n\\fB$n\\fP(): " . prose($t) . "\n";
		}
	}
	if (@types) {
		$page .= ".SH TYPES\n";
		for (@types) {
			my ($d, $t) = @$_;
			$page .= prose($d) . "\n" if $d ne '';
			$t =~ s/\t/    /g;
			$page .= ".PP\n.nf\n.RS 4\n" . esc($t) . "\n.RE\n.fi\n.PP\n";
		}
	}
	$page =~ s/(\.SH [^\n]*\n)\.PP\n/$1/g;
	$page =~ s/\.PP\n(?=\.(?:PP|S[HS])\b)//g;
	$page =~ s/\.PP\n$//;
	$page .= ".SH SEE ALSO\n.BR greenstk (7)\n";
	open my $o, '>', "$out/greenstk-$group.3" or die "$out: $!";
	print $o $page;
	close $o;
}
exit $bad;
PERL
