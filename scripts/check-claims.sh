#!/bin/bash
# SPDX-License-Identifier: MIT
# The claim checks must see what they are for: each gets a tree with one offence planted.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT
n=0 bad=0
tree() { # a small tree that every check accepts
	rm -rf "$dir/t"; mkdir -p "$dir/t"; cd "$dir/t" || exit 2
	cp -r "$root/scripts" .
	mkdir -p userspace/lib/{api,wait,sched,park,task,window,host} userspace/{bench,examples} kmod include/greenstk Documentation/rejected.d
	local f
	for f in api/a wait/w sched/s park/p park/policy window/b host/h; do
		printf '// SPDX-License-Identifier: MIT\n' | tee userspace/lib/$f.c >userspace/lib/$f.h
	done
	printf '// SPDX-License-Identifier: MIT\n#include "sched/s.h"\n' >userspace/lib/wait/w.c
	printf '// SPDX-License-Identifier: MIT\n#include <stdatomic.h>\n#include <stdint.h>\nstruct gstk_task {\n\t_Atomic uint32_t word;\n};\n' >userspace/lib/task/task.h
	printf '// SPDX-License-Identifier: MIT\n#include "task/task.h"\nstatic inline void set(struct gstk_task *t) { t->word = 1; }\n' >userspace/lib/task/state.h
	printf '// SPDX-License-Identifier: MIT\n#include "task/state.h"\nvoid see(struct gstk_task *t) { if (t->word) set(t); }\n' >userspace/lib/task/task.c
	printf '// SPDX-License-Identifier: GPL-2.0\n' >kmod/plan.c
	printf '// SPDX-License-Identifier: MIT\nint gstk_go(int x);\n' | tee include/greenstk.h >include/greenstk/a.h
	printf '# x\n## Results\n`make demo`\n\n| `switch.call` | 3 ns |\n' >README.md
	printf '# SPDX-License-Identifier: MIT\ndemo:\n' >Makefile
	printf '.. SPDX-License-Identifier: MIT\n\n``userspace/lib/task/state.h:set`` gstk_go\n' >Documentation/tour.rst
}
sums() { find . -type f ! -name out | LC_ALL=C sort | xargs md5sum; }
plant() { # command: an offence that a rename has emptied is no proof
	local before
	before=$(sums)
	eval "$1"
	[ "$before" != "$(sums)" ] || echo "# nothing is planted by: $1"
}
caught() { # check what command-that-plants
	tree
	n=$((n + 1))
	if ! scripts/check-"$1".sh >out 2>&1; then
		echo "# the clean tree is refused:"; sed 's/^/#   /' out; echo "not ok $n $1: $2"; bad=1; return
	fi
	rm -f out
	plant "$3"
	if scripts/check-"$1".sh >out 2>&1; then echo "not ok $n $1 overlooks $2"; bad=1
	else echo "ok $n $1 catches $2"; fi
}
echo "TAP version 13"; echo "1..29"
L=userspace/lib
caught layers "a call upwards"             'echo "#include \"wait/w.h\"" >>$L/sched/s.c'
caught layers "wait including park"        'echo "#include \"park/p.h\"" >>$L/wait/w.c'
caught layers "wait seeing park through another header" 'echo "#include \"park/p.h\"" >>$L/sched/s.h'
caught layers "a .c that includes a .c"    'echo "#include \"h.c\"" >>$L/host/h.c'
caught layers "an example that includes internals" 'echo "#include \"../lib/task/state.h\"" >userspace/examples/e.c; echo "#include <task/state.h>" >>userspace/examples/e.c'
caught layers "an interposed call that includes internals" 'mkdir userspace/preload; echo "#include \"sched/s.h\"" >userspace/preload/e.c'
caught layers "a benchmark that does not say why" 'echo "#include \"task/state.h\"" >userspace/bench/e.c'
caught layers "a module that includes user space" 'echo "#include \"../userspace/lib/park/policy.h\"" >>kmod/plan.c'
caught layers "a system header in a pure file" 'echo "#include <stdio.h>" >>$L/park/policy.c'
caught layers "a symbol taken from above"  'mkdir -p o/task o/sched; echo "void gstk__up(void); void gstk__t(void) { gstk__up(); }" >$L/task/t.c; echo "void gstk__up(void) {}" >$L/sched/u.c; for f in task/t sched/u; do ${CC:-gcc} -c -o o/$f.c.o $L/$f.c; done; mkdir -p build/obj; mv o build/obj/lib'
caught state  "an assignment elsewhere"    'echo "#include \"task/state.h\"" >>$L/sched/s.c; echo "void f(struct gstk_task *t) { t->word = 2; }" >>$L/sched/s.c'
caught state  "an atomic store elsewhere"  'echo "#include \"task/state.h\"" >>$L/sched/s.c; echo "void f(struct gstk_task *t) { atomic_store_explicit(&t->word, 2, memory_order_relaxed); }" >>$L/sched/s.c'
caught tree   "a missing licence line"     'echo "int x;" >$L/api/b.c'
caught tree   "a foreign licence in the module" 'echo "// SPDX-License-Identifier: Apache-2.0" >kmod/x.c'
caught tree   "a path of one machine"      'printf "%s%s\n" "// /ro" "ot/thing" >>$L/api/a.c'
caught tree   "spaces for tabs"            'echo "        int x;" >>$L/api/a.c'
caught_symbols() {
	tree
	n=$((n + 1))
	mkdir -p o
	printf '#define GSTK_API __attribute__((visibility("default")))\nGSTK_API int gstk_a(int x);\nGSTK_API void gstk_b(void (*fn)(void *));\n' >include/greenstk/a.h
	echo '#include <greenstk/a.h>' >include/greenstk.h
	printf '#include <greenstk.h>\nint gstk_a(int x) { return x; }\nvoid gstk_b(void (*fn)(void *)) { fn(0); }\n' >$L/api/a.c
	build() {
		${CC:-gcc} -w -fPIC -fvisibility=hidden -Iinclude -c -o o/a.o $L/api/a.c &&
		${CC:-gcc} -shared -Wl,--version-script=$L/greenstk.map -o o/libg.so.0 o/a.o && ar rcs o/libg.a o/a.o
	}
	scripts/check-symbols.sh -u && build && scripts/check-symbols.sh o/libg.so.0 >out 2>&1 ||
		{ sed 's/^/#   /' out; echo "not ok $n symbols: $1: the clean tree is refused"; bad=1; return; }
	plant "$2"
	build
	if scripts/check-symbols.sh o/libg.so.0 >out 2>&1; then echo "not ok $n symbols overlooks $1"; bad=1
	else echo "ok $n symbols catches $1"; fi
}
caught_symbols "a function that is not in the map" 'echo "GSTK_API int gstk_c(void);" >>include/greenstk/a.h; echo "int gstk_c(void) { return 0; }" >>$L/api/a.c'
caught_symbols "a function that is not defined" 'sed -i /gstk_b/d $L/api/a.c'
caught_symbols "a map entry without a declaration" 'sed -i "s/gstk_a;/&\n\tgstk_z;/" $L/greenstk.map'
caught_symbols "a global name without the prefix" 'echo "int helper(void) { return 0; }" >>$L/api/a.c'
caught_cet() { # the real assembly, with an offence
	local cpu f
	cpu=$(${CC:-gcc} -dumpmachine | cut -d- -f1)
	tree
	n=$((n + 1))
	cp -r "$root/include" "$root/userspace" .
	mkdir -p build/obj/lib/arch/"$cpu"
	build() {
		for f in $L/arch/"$cpu"/*.S; do ${CC:-gcc} -Iinclude -I$L -c -o build/obj/lib/arch/"$cpu"/"${f##*/}".o "$f" || return; done
	}
	build && scripts/check-cet.sh >out 2>&1 || { sed 's/^/#   /' out; echo "not ok $n cet: $1: the clean tree is refused"; bad=1; return; }
	plant "$2"
	build
	if scripts/check-cet.sh >out 2>&1; then echo "not ok $n cet overlooks $1"; bad=1
	else echo "ok $n cet catches $1"; fi
}
caught_cet "assembly that promises shadow stacks" 'sed -i "s/\(0xc000000[02], 4, \)1/\13/" $L/arch/*/note.inc'
caught_cet "assembly without a note" 'sed -i "/note.inc/d" $L/arch/*/start.S'
caught_cet "an entry that is no landing pad" 'sed -i "/^gstk_ctx_switch:/,/endbr64\|bti\|hint/{/endbr64\|bti\|hint/d}" $L/arch/*/ctx.S'
caught_cet "a resume address that is no landing pad" 'sed -i "/define GSTK__LANDING \"/s/endbr64/nop/; s/hint #36/nop/" include/greenstk/ctx-*.h'
caught docs   "a file of the tour that is gone" 'rm $L/task/state.h'
caught docs   "a function of the tour that is gone" 'sed -i s/set/unset/ $L/task/state.h'
caught docs   "a public name that is not declared" 'echo "gstk_nowhere" >>Documentation/tour.rst'
caught docs   "a make target that is not there" 'echo "\`make dema\`" >>README.md'
caught docs   "a number without its command" 'printf "# x\n## Results\n\n| switch | 3 ns |\n" >README.md'
exit $bad
