#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: scripts/check-layers.sh [OBJECT-DIR]
# Calls go down: api -> wait -> sched -> park -> task -> window -> {arch, host}. Checked twice: by
# what files include, and by what symbols the objects of a layer take from the objects of another.
# debug/ serves every layer and may look at every layer. userspace/preload is above them all: public headers only.
set -u
perl - "${1:-build/obj/lib}" <<'PERL'
use strict; use warnings;
my $objdir = $ARGV[0];
my $lib = 'userspace/lib';
my %rank = (api => 7, wait => 6, sched => 5, park => 4, task => 3, window => 2, arch => 1, host => 1);
my $bad = 0;
sub complain { print "@_\n"; $bad = 1 }
sub layer_of { my ($f) = @_; return $f =~ m{^\Q$lib\E/(\w+)/} ? $1 : '' }
sub may { # may a file of layer $a know layer $b?
	my ($a, $b) = @_;
	return 1 if $a eq $b || $a eq 'debug' || $b eq 'debug' || $b eq '';
	return 0 if !exists $rank{$a} || !exists $rank{$b};
	return $rank{$a} > $rank{$b};
}
sub includes { # quoted and angle includes of a file, as paths
	my ($f) = @_;
	open my $fh, '<', $f or return ();
	my @r;
	while (<$fh>) {
		push @r, [$., $1, $2, $_] if /^\s*#\s*include\s*([<"])([^>"]+)[>"]/;
	}
	return @r;
}
sub resolve { # where an include leads inside the library, or undef
	my ($from, $name) = @_;
	(my $dir = $from) =~ s{/[^/]*$}{};
	for my $p ("$dir/$name", "$lib/$name") {
		my $q = $p; 1 while $q =~ s{[^/]+/\.\./}{}; $q =~ s{/\./}{/}g;
		return $q if $q =~ m{^\Q$lib\E/} && -e $q;
	}
	return undef;
}
my @files = split /\n/, `find $lib -name '*.[chS]' | sort`;
my %deps;
for my $f (@files) {
	my $l = layer_of($f);
	complain("$f: no such layer \"$l\"") if $l && $l ne 'debug' && !exists $rank{$l};
	for (includes($f)) {
		my ($line, $q, $name) = @$_;
		complain("$f:$line: .c including .c") if $name =~ /\.c$/;
		my $t = resolve($f, $name) // next;
		$deps{$f}{$t} = 1;
		complain("$f:$line: ".layer_of($f)."/ includes $name") unless may($l, layer_of($t));
	}
}
# wait/ must not see park/ even through another header.
sub reaches {
	my ($f, $seen) = @_;
	for my $t (keys %{$deps{$f} // {}}) {
		next if $seen->{$t}++;
		return ($t) if layer_of($t) eq 'park';
		next if layer_of($t) eq 'debug';
		my @way = reaches($t, $seen);
		return ($t, @way) if @way;
	}
	return ();
}
for my $f (grep { layer_of($_) eq 'wait' } @files) {
	my @way = reaches($f, {});
	complain("$f: sees park/ through @way") if @way;
}
# Symbols: who defines, who uses.
if (-d $objdir) {
	my (%home, @uses);
	for (split /\n/, `find $objdir -name '*.o' ! -name '*.pic.o' -exec nm -A {} +`) {
		my ($src, $rest) = m{^\Q$objdir\E/(.*)\.o:(.*)$} or next;
		$src = "$lib/$src";
		next unless -e $src;
		if ($rest =~ /^[0-9a-f]+ [TDBRVWC] (\w+)$/) { $home{$1} = $src }
		elsif ($rest =~ /^\s+[Uw] (\w+)$/) { push @uses, [$src, $1] }
	}
	for (@uses) {
		my ($src, $sym) = @$_;
		my $to = $home{$sym} // next;
		complain("$src: ".layer_of($src)."/ uses $sym of $to") unless may(layer_of($src), layer_of($to));
	}
}
# Outside the library: public headers only. A line of bench/ may say why not: /* internal: ... */
for my $f (split /\n/, `find userspace/preload userspace/tools userspace/examples userspace/bench -name '*.[ch]' -o -name '*.cc' 2>/dev/null`) {
	for (includes($f)) {
		my ($line, $q, $name, $text) = @$_;
		(my $dir = $f) =~ s{/[^/]*$}{};
		next if $q eq '"' && -e "$dir/$name";
		complain("$f:$line: includes $name, which is internal")
			if (-e "$lib/$name" || $name =~ m{userspace/lib}) && !($f =~ m{/bench/} && $text =~ m{/\* internal: });
	}
}
if (-d (my $above = $objdir =~ s{lib$}{preload}r)) {
	for my $o (split /\n/, `find $above -name '*.o'`) {
		for (split /\n/, `nm -u $o`) { complain("$o: takes $1, which is internal") if /\b(gstk__\w+)/ }
	}
}
# The module knows nothing of user space.
for my $f (split /\n/, `find kmod -name '*.[ch]' 2>/dev/null`) {
	for (includes($f)) {
		my ($line, $q, $name) = @$_;
		complain("$f:$line: the module includes $name") if $name =~ m{userspace|^greenstk(\.h|/)};
	}
}
# Pure decisions: only what a freestanding compiler has. (kmod: kernel types behind __KERNEL__.)
for my $f (glob("$lib/park/policy.[ch] kmod/plan.[ch]")) {
	for (includes($f)) {
		my ($line, $q, $name) = @$_;
		next if $q eq '"' || $name =~ m{^(stdint|stddef|stdbool|limits|stdalign)\.h$};
		next if $f =~ m{^kmod/} && $name =~ m{^(linux/types|uapi/linux/greenstk|linux/greenstk|linux/stddef|linux/limits|linux/errno|errno)\.h$};
		complain("$f:$line: a pure file includes <$name>");
	}
}
exit $bad;
PERL
