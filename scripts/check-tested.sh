#!/bin/bash
# SPDX-License-Identifier: MIT
# Every public function is called by a test of the library, and every call with a deadline stands in
# the table of all waits.
map=userspace/lib/greenstk.map
bad=0
names=$(sed -n 's/^\t\(gstk_[a-z0-9_]*\);$/\1/p' $map)
[ -n "$names" ] || { echo "$map: no names: teach this check how it looks now"; exit 1; }
for f in $names; do
	grep -qrw --include='*.[ch]' --include='*.cc' --include='*.py' "$f" selftests/lib ||
		{ echo "$f: called in no test under selftests/lib"; bad=1; }
	[[ $f != *_until ]] || grep -qw "$f" selftests/lib/wait_table_test.c ||
		{ echo "$f: not in the table of selftests/lib/wait_table_test.c"; bad=1; }
done
exit $bad
