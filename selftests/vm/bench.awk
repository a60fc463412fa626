# SPDX-License-Identifier: MIT
# "vm.K.name value unit" lines -> KTAP of what was aimed at.
function aim(what, value, limit) {
	printf "%s %d %s: %g, at most %g\n", value != "" && value <= limit ? "ok" : "not ok", ++n, what, value, limit
	bad += !(value != "" && value <= limit)
}
/^vm\./ { name = $1; sub("^vm\\." k "\\.", "", name); v[name] = $2 }
END {
	split("1 4 16 64", size, " ")
	print "KTAP version 1"
	print "1..6"
	user = v["mremap.k16.n64.instr"]
	if ("uffd_move.k16.n64.instr" in v && v["uffd_move.k16.n64.instr"] < user) user = v["uffd_move.k16.n64.instr"]
	aim("16 pages in batches of 64, of the best remap without the module", user ? v["park.k16.n64.instr"] / user : "", 1 / 3)
	for (i = 1; i <= 4; i++)
		aim("rounds of interrupts of a batch of 64, " size[i] " pages", v["park.k" size[i] ".n64.ipi"], 1)
	# A bracket holds a bounded number of pages, so this is no aim.
	printf "# 256 pages in batches of 64: %s rounds, %s where most comes on touch\n", v["park.k256.n64.ipi"], v["park.k256.n64.deep.ipi"]
	copy = v["memcpy.k256.n64.deep.instr"]
	aim("1 MiB used, 8 KiB touched, of copying it whole", copy ? v["park.k256.n64.deep.instr"] / copy : "", 1 / 10)
	exit bad > 0
}
