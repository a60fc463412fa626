# SPDX-License-Identifier: MIT
# Every selftests/lib/*_test.c (and .cc) is a program of its own, written with the kernel's harness
# and linked with the static library; internal headers are reached by -Iuserspace/lib.
unit-src  := $(wildcard selftests/lib/*_test.c selftests/lib/*_test.cc)
unit-prog := $(patsubst selftests/lib/%,$(O)/test/lib/%,$(basename $(unit-src)))
unit-flags = $(CPPFLAGS_COMMON) -Iuserspace/lib $(KSELFTEST_CPPFLAGS) -MMD -MP -MF $@.d -MT $@
# Programs that are too slow or make no sense in a variant: name them with the reason beside them.
# valgrind is fifty times slower: left out are suites that take minutes there, wait for set times, or start other
# programs; and those that give each other's memory limits, or descriptors that it has taken itself.
unit-valgrind := $(addsuffix _test,arena arena_copy chan codec config ctx ctx_exceptions cxx end foreign local \
	mutex native rwlock scope sync task task_exceptions timer tls wait_table)
unit-skip-valgrind := $(filter-out $(unit-valgrind),$(basename $(notdir $(unit-src))))
# Few windows and forced eviction change nothing for suites that run no tasks, nor for those that take such words out of
# the environment, as each case says its own.
unit-no-tasks := $(filter arena% deque% codec% ctx% policy% resp% timer_wheel% pubsub_topics% pubsub_proto% crawler_%_test sim%,$(basename $(notdir $(unit-src))))
unit-own-words := lazy_test lazy_stays_test decisions_test sweep_test
$(foreach v,windows-2 windows-1 force-evict force-pack windows-1-force-evict debug asan-force-evict,$(eval unit-skip-$v := $(unit-no-tasks) $(unit-own-words)))
# GREENSTK_DEBUG=locks ends a program when it has no memory for its records.
unit-skip-debug += nomem_test

$(O)/test/lib/%_test: selftests/lib/%_test.c $(LIB_A) | $(KSELFTEST)
	@mkdir -p $(@D)
	$(call say,TEST,$@)
	$(Q)$(CC) $(unit-flags) $(CFLAGS_COMMON) -Wno-missing-prototypes -o $@ $(filter %.c,$^) $(LIB_A) $(LIB_LIBS) -lm
$(O)/test/lib/%_test: selftests/lib/%_test.cc $(LIB_A) | $(KSELFTEST)
	@mkdir -p $(@D)
	$(call say,TEST,$@)
	$(Q)$(CXX) $(unit-flags) $(OPT) -Wall -Wextra $(SANFLAGS) -std=gnu++17 -o $@ $< $(LIB_A) $(LIB_LIBS) -lm
# A test with further sources: they are compiled with it.
$(O)/test/lib/codec_test $(O)/test/lib/codec_tier_test: selftests/lib/codec_corpus.c
# What a trace is checked with.
$(O)/test/lib/trace_test: CPPFLAGS_COMMON += -DGSTK_TRACE_CHECK='"$(abspath selftests/lib/trace_check.py)"'
# A third of the time to compile; the library keeps its -O2. Optimized are those that inline the library's code,
# compute for long, or look at their own frames. (The sanitizers' builds have -O1 throughout.)
$(unit-prog): private OPT := -O0 -g
$(filter $(addprefix $(O)/test/lib/,ctx% codec% arena% copy% deque% policy% stackprof% sim% stuck%),$(unit-prog)): private OPT := -O1 -g
-include $(addsuffix .d,$(unit-prog))
# Fragments of single suites.
include $(wildcard selftests/lib/*_matrix.mk)

.PHONY: unit unit-build unit-quick unit-quick-build check-runner check-variants check-asan check-tsan check-valgrind
unit-build: $(unit-prog)

# A variant is a name, a time limit, an environment, a wrapper and options of run-tests.sh: three programs a CPU at a
# time, as most of them wait (one a CPU uses a third of it). Tests that repeat something may look at
# GREENSTK_TEST_VARIANT to do it less often where everything is slower.
VARIANT ?= plain
unit-jobs := $(shell echo $$((3 * $$(nproc))))
unit-run = $(if $(unit-prog),GREENSTK_TEST_VARIANT=$(1) $(3) $(RUN_TESTS) -s lib -v $(1) -t $(2) $(5) $(if $(4),-w "$(4)") \
	$(filter-out $(addprefix $(O)/test/lib/,$(unit-skip-$(1))),$(unit-prog)),echo "no unit tests")

unit: unit-build  ## unit tests of the library
	@$(call unit-run,plain,400,,,-j $(unit-jobs))

# What make quick runs: all but the programs that wait or compute for seconds, and of what repeats something
# a tenth. make check runs the whole as well.
unit-skip-quick := crawler_test pubsub_upstream_test pubsub_crowd_test stuck_test end_test gdb_tasks_test lazy_test arena_test \
	locks_test decisions_test crowd_end_test
unit-quick-build: $(filter-out $(addprefix $(O)/test/lib/,$(unit-skip-quick)),$(unit-prog))
unit-quick: unit-quick-build check-runner  ## most of them, in seconds
	@$(call unit-run,quick,60,,,-j 8)

check-runner: | $(KSELFTEST)
	@KSELFTEST_DIR=$(dir $(KSELFTEST)) $(RUN_TESTS) -s runner scripts/check-runner.sh

# Every suite again: two windows, one window (all tasks mates), eviction at each park, packing, and windows that
# are sealed.
variant-windows-2             := GREENSTK_WINDOWS=2
variant-windows-1             := GREENSTK_WINDOWS=1
variant-force-evict           := GREENSTK_FORCE_EVICT=1
variant-force-pack            := GREENSTK_FORCE_EVICT=1 GREENSTK_FORCE_PACK=1
variant-windows-1-force-evict := GREENSTK_WINDOWS=1 GREENSTK_FORCE_EVICT=1
variant-debug                 := GREENSTK_DEBUG=stacks,locks,warn GREENSTK_FORCE_EVICT=1
unit-variants := windows-2 windows-1 force-evict force-pack windows-1-force-evict debug
.PHONY: $(addprefix check-,$(unit-variants))
$(addprefix check-,$(unit-variants)): check-%: unit-build
	@$(call unit-run,$*,400,$(variant-$*),,-j $(unit-jobs))
# Deep stacks that come back lazily, where that is permitted; what suites say of backends holds without.
unit-skip-uffd := $(unit-no-tasks) $(unit-own-words) remap_test
check-uffd: unit-build $(O)/bin/gstk-info
	@if GREENSTK_BACKEND=uffd $(O)/bin/gstk-info 2>/dev/null | grep -qx 'backend uffd'; then \
		$(call unit-run,uffd,400,GREENSTK_BACKEND=uffd GREENSTK_FORCE_REMAP=1 GREENSTK_FORCE_EVICT=1 GREENSTK_WINDOWS=2,,-j $(unit-jobs)); \
	else echo "SKIP check-uffd: userfaultfd is forbidden here"; fi
.PHONY: check-uffd
check: check-uffd
check-variants: $(addprefix check-,$(unit-variants))  ## unit tests with few windows and forced eviction

# setarch -R: the sanitizers of gcc 12 do not cope with the address randomisation of new kernels.
# Sizes that nobody has are refused by malloc, as without a sanitizer.
asan-env := ASAN_OPTIONS=$(ASAN_OPTIONS):strict_string_checks=1:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1
tsan-env := TSAN_OPTIONS=$(TSAN_OPTIONS):halt_on_error=1:allocator_may_return_null=1
check-asan:  ## unit tests with address and undefined behaviour sanitizers
	+@$(MAKE) --no-print-directory $(parallel) SAN=address,undefined unit-build
	+@$(MAKE) --no-print-directory -k SAN=address,undefined san-asan san-asan-force-evict
check-tsan:  ## unit tests with the thread sanitizer
	+@$(MAKE) --no-print-directory $(parallel) SAN=thread unit-build
	+@$(MAKE) --no-print-directory -k SAN=thread san-tsan
.PHONY: san-asan san-asan-force-evict san-tsan
san-asan: unit-build
	@$(call unit-run,asan,600,$(asan-env),setarch -R,-j $(unit-jobs))
san-asan-force-evict: unit-build
	@$(call unit-run,asan-force-evict,600,GREENSTK_FORCE_EVICT=1 $(asan-env),setarch -R,-j $(unit-jobs))
san-tsan: unit-build
	@$(call unit-run,tsan,600,$(tsan-env),setarch -R,-j $(unit-jobs))
# No leak check there: it would read the whole reserved range. LeakSanitizer has that part.
check-valgrind: unit-build  ## unit tests under valgrind
	@$(call unit-run,valgrind,900,,valgrind -q --leak-check=no --error-exitcode=99 --num-callers=20)

build-quick: unit-quick-build
build-check: unit-build
test-quick: unit-quick
check: unit check-variants check-asan check-tsan check-valgrind
