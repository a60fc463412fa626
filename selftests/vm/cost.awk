# SPDX-License-Identifier: MIT
# "vm.K.name value unit" lines -> Documentation/vm-cost-K.rst.
function cell(name) { return name in v ? v[name] : "-" }
function rule(n,   i, s) { s = "=================="; for (i = 0; i < n; i++) s = s " ========"; print s }
function head(first, list,   n, a, i) {
	n = split(list, a, " ")
	rule(n)
	printf "%-18s", first
	for (i = 1; i <= n; i++) printf " %8s", a[i]
	print ""
	rule(n)
}
function table(title, text, ways, suffix,   n, a, i, j, row, any) {
	n = split(ways, a, " ")
	for (i = 1; i <= n; i++)
		for (j = 1; j <= 6; j++)
			if ((a[i] ".k" size[j] suffix) in v) any = 1
	if (!any) return # not measured in this run
	print title; gsub(/./, "-", title); print title; print ""
	if (text) print text "\n"
	head("pages", "1 2 4 8 16 64")
	for (i = 1; i <= n; i++) {
		any = 0
		row = sprintf("%-18s", a[i])
		for (j = 1; j <= 6; j++) {
			if ((a[i] ".k" size[j] suffix) in v) any = 1
			row = row sprintf(" %8s", cell(a[i] ".k" size[j] suffix))
		}
		if (any) print row
	}
	rule(6); print ""
}
BEGIN { split("1 2 4 8 16 64", size, " "); moves = "park memcpy mremap uffd_move"; frees = "reclaim madvise process_madvise" }
/^vm\./ { name = $1; sub("^vm\\." k "\\.", "", name); v[name] = $2; next }
/not on this kernel/ { sub(/^# /, ""); sub(/:.*/, ""); if (!seen[$0]++) absent = absent (absent ? ", " : "") $0 }
END {
	t = "Cost of moving stacks, Linux " k
	print ".. SPDX-License-Identifier: MIT"; print ".. Made by `make vm-cost K=" k "`; do not edit."; print ""
	print t; gsub(/./, "=", t); print t; print ""
	print "Kernel " kver ". One stack parked and another restored in each of 64 windows, 2 MiB"
	print "apart, in shuffled order, all pages dirty, each page written again afterwards, a"
	print "scratch page in the way in a quarter of the entries. Instructions are counted by the"
	print "emulator (cache misses and interrupt latency do not show there: see the interrupts)."
	if (absent) print "Not on this kernel: " absent "."
	print ""
	table("Instructions per stack, batches of 64", "Median of eight rounds.", moves, ".n64.instr")
	table("The same, batches of 8", "", moves, ".n8.instr")
	table("The same, one at a time", "", moves, ".n1.instr")
	table("Best case, batches of 64", "Adjacent windows, in order, no clash.", moves, ".n64.best.instr")
	table("TLB interrupts per batch of 64", "A second thread of the process spins on another CPU.", moves, ".n64.ipi")
	table("TLB interrupts, one stack at a time", "", moves, ".n1.ipi")
	table("TLB interrupts per batch of 64, idle workers", "Four CPUs: one thread spins, two went to sleep just before. Still one round a batch, but the module's\nflush, like every one that may have freed page tables, also interrupts CPUs that only keep the mm\nin lazy mode; mremap's leaves those alone.", moves, ".n64.ipi_idle")
	table("Instructions to free the pages below a stack, per window, batches of 64", "", frees, ".n64.instr")
	table("TLB interrupts per batch of 64 windows freed", "", frees, ".n64.ipi")
	print "First write to a page: window " cell("window.first_touch.instr") ", anonymous memory " cell("anon.first_touch.instr") " instructions."
}
