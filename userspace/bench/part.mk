# SPDX-License-Identifier: MIT
# gstk-bench: every userspace/bench/*.c, linked with the static library; and the peers, each a
# program of its own in $(O)/bin/peers, built only where its packages are.
bench-dir := userspace/bench
bench-src := $(wildcard $(bench-dir)/*.c)
bench-obj := $(patsubst $(bench-dir)/%.c,$(O)/obj/bench/%.o,$(bench-src))

$(O)/obj/bench/%.o: $(bench-dir)/%.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_COMMON) -I$(bench-dir) $(CFLAGS_COMMON) -MMD -MP -c -o $@ $<

# Until the library is whole: what is missing fails when it is called.
bench-ld := -static -Wl,--unresolved-symbols=ignore-all
$(O)/bin/gstk-bench: $(bench-obj) $(LIB_A)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_COMMON) -o $@ $(bench-obj) $(LIB_A) $(LIB_LIBS) -lm $(bench-ld)

-include $(bench-obj:.o=.d)

# make bench BENCH="chan.* ring.*" PEERS=1 JSON=out.json ROUNDS=9
BENCH   ?= default
ROUNDS  ?= 5
JSON    ?= $(TOP_O)/bench.json
bench-peers := $(if $(filter-out 0,$(PEERS)),$(O)/bin/peers)
.PHONY: bench bench-build bench-peers bench-table
bench: bench-build $(if $(bench-peers),bench-peers)  ## name value unit a line (BENCH=patterns, PEERS=1, ROUNDS=, JSON=)
	@mkdir -p $(dir $(JSON))
	TIMING_LOCK='$(TIMING_LOCK)' $(O)/bin/gstk-bench --rounds $(ROUNDS) --json $(JSON) \
		$(addprefix --peers ,$(bench-peers)) $(foreach b,$(BENCH),'$(b)')
# Documentation/results.rst, between its marks, from the last run (or JSON=file of another).
bench-table:  ## rewrite the table of Documentation/results.rst from JSON=
	perl $(bench-dir)/table.pl $(JSON) $(bench-dir)/targets.txt Documentation/results.rst
bench-build: $(O)/bin/gstk-bench
bench-peers:
all: bench-build
