# SPDX-License-Identifier: MIT
# Seeded stress: the library with its injection points on, tasks >> windows, stacks that are checked.
stress-lib  := $(O)/inject/lib/libgreenstk.a
stress-prog := $(O)/stress/moves
STRESS_SECONDS ?= 15
SEED ?= $(shell date +%s)

$(stress-lib): $(wildcard userspace/lib/*/*.[ch] userspace/lib/arch/*/*.[chS])
	+$(Q)$(MAKE) --no-print-directory O=$(O)/inject CACHE=$(abspath $(CACHE)) CFLAGS="$(CFLAGS) -DGSTK__INJECTION" \
		$(O)/inject/lib/libgreenstk.a
$(stress-prog): selftests/stress/moves.c $(stress-lib)
	@mkdir -p $(@D)
	$(call say,TEST,$@)
	$(Q)$(CC) $(CPPFLAGS_COMMON) $(CFLAGS_COMMON) -o $@ $< $(stress-lib) $(LIB_LIBS)

# workers, windows, tasks: at least 100 tasks a window.
stress-run = GREENSTK_SEED=$(SEED) GREENSTK_WORKERS=$(2) GREENSTK_WINDOWS=$(3) $(RUN_TESTS) -s stress -v workers-$(2) \
	-t $$(($(1) * 2 + 120)) "$(stress-prog) $(SEED) $(1) $(4)"
# Deep stacks that come back lazily, where userfaultfd is permitted (else by copying): workers, windows, more.
lazy-run = GREENSTK_BACKEND=uffd GREENSTK_FORCE_REMAP=1 $(4) GREENSTK_SEED=$(SEED) GREENSTK_WORKERS=$(2) GREENSTK_WINDOWS=$(3) \
	$(RUN_TESTS) -s stress -v lazy-$(3) -t $$(($(1) * 2 + 120)) "$(stress-prog) $(SEED) $(1) 200 0 40"
# Evictions at every yield, until there were so many.
SOAK_EVICTIONS ?= 34000000
soak-run = GREENSTK_FORCE_EVICT=1 GREENSTK_SEED=$(SEED) GREENSTK_WORKERS=$(1) GREENSTK_WINDOWS=$(2) $(RUN_TESTS) \
	-s soak -v workers-$(1) -t 3600 "$(stress-prog) $(SEED) 0 $(3) $(SOAK_EVICTIONS)"
.PHONY: stress soak
stress: $(stress-prog)  ## seeded stress: SEED=, STRESS_SECONDS= for each of 1, 2, 8 workers, and lazily
	@rc=0; $(call stress-run,$(STRESS_SECONDS),1,2,400) || rc=1; $(call stress-run,$(STRESS_SECONDS),2,4,800) || rc=1; \
		$(call stress-run,$(STRESS_SECONDS),8,16,2000) || rc=1; \
		$(call lazy-run,$(STRESS_SECONDS),2,4) || rc=1; \
		$(call lazy-run,$(STRESS_SECONDS),2,64,GREENSTK_FORCE_PACK=1) || rc=1; exit $$rc
soak: $(stress-prog)  ## the same for ten minutes, then 10^8 evictions (SOAK_EVICTIONS= for each of 1, 2, 8 workers)
	+@$(MAKE) --no-print-directory stress STRESS_SECONDS=200
	@rc=0; $(call soak-run,1,2,400) || rc=1; $(call soak-run,2,4,800) || rc=1; $(call soak-run,8,16,2000) || rc=1; \
		grep -h evictions $(TOP_O)/logs/stress.*/*.log $(TOP_O)/logs/soak.*/*.log | grep children; exit $$rc

check: stress

# Stacks through all tiers at random, with failures: a case for each backend and 1, 2, 8 workers. Other
# programs that are linked so: TORTURE_SRC, TORTURE_WRAP.
TORTURE_SRC  := $(addprefix selftests/stress/,torture.c torture_life.c torture_stack.c torture_walk.c torture_fault.c torture_module.c)
TORTURE_WRAP := $(foreach f,ioctl madvise gstk__uffd_read,-Wl,--wrap=$f)
TORTURE_MS   ?= 1500
$(O)/stress/torture: $(TORTURE_SRC) selftests/stress/torture.h $(stress-lib) | $(KSELFTEST)
	@mkdir -p $(@D)
	$(call say,TEST,$@)
	$(Q)$(CC) $(CPPFLAGS_COMMON) -Iuserspace/lib $(KSELFTEST_CPPFLAGS) -DGSTK__INJECTION $(CFLAGS_COMMON) -Wno-missing-prototypes \
		-o $@ $(TORTURE_SRC) $(TORTURE_WRAP) $(stress-lib) $(LIB_LIBS)
.PHONY: torture
# PATIENCE: more of it is taken for a guest, where less is asked.
torture: $(O)/stress/torture  ## stacks through all tiers at random, with failures: SEED=, TORTURE_MS= for each case
	@GREENSTK_PATIENCE=1 GREENSTK_SEED=$(SEED) GREENSTK_TORTURE_MS=$(TORTURE_MS) $(RUN_TESTS) -s torture -t $$(($(TORTURE_MS) / 10 + 300)) $<
check: torture
soak: TORTURE_MS := 60000
soak: torture

# Races with threads of the application, each made wide by a pause at its point.
$(O)/stress/threads: selftests/stress/threads.c selftests/lib/wait_test.h $(stress-lib) | $(KSELFTEST)
	@mkdir -p $(@D)
	$(call say,TEST,$@)
	$(Q)$(CC) $(CPPFLAGS_COMMON) -Iuserspace/lib $(KSELFTEST_CPPFLAGS) -DGSTK__INJECTION $(CFLAGS_COMMON) -Wno-missing-prototypes \
		-o $@ $< $(stress-lib) $(LIB_LIBS)
.PHONY: stress-threads
stress-threads: $(O)/stress/threads  ## threads of the application beside the workers, with pauses where they race
	@GREENSTK_PATIENCE=1 $(RUN_TESTS) -s threads -t 300 $<
check: stress-threads
