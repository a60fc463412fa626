# SPDX-License-Identifier: MIT
# Kernels in QEMU: see Documentation/testing-kernels.rst.

VM       := selftests/vm
VMO       = $(O)/vm
KERNELS  := $(shell awk '!/^\#/ && NF { print $$1 }' $(VM)/kernels.list)
K        ?= 6.12
VM_ENV    = RESULTS=$(abspath $(RESULTS)) CACHE=$(abspath $(CACHE)) VM_INIT=$(abspath $(VMO)/init)
QUIETLY   = flock -s $(TIMING_LOCK)
# Debug kernels are built for these (K-debug names one).
DEBUG_KERNELS := 6.12 7.2
# How long, and from which seed, the debug kernels are fuzzed.
FUZZ_SECONDS ?= 180
FUZZ_SEED    ?= 1

# The ABI's suites. Other parts may add statically linked tests: VM_SUITES += FILE.
UAPI_SRC := $(wildcard selftests/uapi/*_test.c)
UAPI_COMMON := $(filter-out $(UAPI_SRC),$(wildcard selftests/uapi/*.c))
VM_SUITES += $(UAPI_SRC:%.c=$(O)/%) $(addprefix $(O)/$(VM)/,memcg_test stale_test)
CLAIMS += scripts/check-events.sh
VM_DEBUG_SUITES = $(VM_SUITES) $(O)/$(VM)/nomem_test

.PHONY: kmod kmod-arm64 check-kmod-arm64 check-mm check-kselftest check-kernels vm vm-selftest vm-cost check-debug-kernel check-mutations fuzz FORCE

$(VMO)/init: $(VM)/init.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CSTD) -O2 $(WARN) -D_GNU_SOURCE -static -o $@ $<

UAPI_HEADERS := $(wildcard selftests/uapi/*.h include/uapi/linux/*.h) selftests/patience.h $(VM)/inject.h selftests/skip_setup.h
VM_CC = $(CC) $(CSTD) -O2 -g $(WARN) -Wno-unused-result -Wno-missing-prototypes -D_GNU_SOURCE \
	-Iinclude/uapi $(KSELFTEST_CPPFLAGS) -Iselftests/uapi -static -pthread
$(O)/selftests/uapi/%_test: selftests/uapi/%_test.c $(UAPI_COMMON) $(UAPI_HEADERS) | $(KSELFTEST)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(VM_CC) -o $@ $< $(UAPI_COMMON)
$(O)/$(VM)/%: $(VM)/%.c $(UAPI_COMMON) $(UAPI_HEADERS) | $(KSELFTEST)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(VM_CC) -o $@ $< $(UAPI_COMMON)

# The module for kernel %, built in that kernel's own root and copy.
$(DEBUG_KERNELS:%=$(O)/kmod-%-debug/greenstk.ko): $(O)/kmod-%-debug/greenstk.ko: vm-debug-kernel-% FORCE
	@$(VM_ENV) $(VM)/build.sh $*-debug $(@D) KCOV_INSTRUMENT=y $(KMOD_ARGS)
$(KERNELS:%=$(O)/kmod-%/greenstk.ko): $(O)/kmod-%/greenstk.ko: FORCE
	@$(VM_ENV) $(VM)/build.sh $* $(@D) $(KMOD_ARGS)

$(DEBUG_KERNELS:%=vm-debug-kernel-%): vm-debug-kernel-%: FORCE
	@$(VM_ENV) $(QUIETLY) $(VM)/debug-kernel.sh $*
$(DEBUG_KERNELS:%=vm-kernel-%-debug): vm-kernel-%-debug: vm-debug-kernel-%
	@$(VM_ENV) $(VM)/fetch.sh root bookworm
	@$(VM_ENV) $(VM)/fetch.sh root trixie
$(KERNELS:%=vm-kernel-%): vm-kernel-%: FORCE
	@$(VM_ENV) $(VM)/fetch.sh kernel $*
	@$(VM_ENV) $(VM)/fetch.sh root bookworm
	@$(VM_ENV) $(VM)/fetch.sh root trixie

kmod: $(KERNELS:%=$(O)/kmod-%/greenstk.ko) ## greenstk.ko for every kernel of the list

$(KERNELS:%=$(O)/kmod-%-arm64/greenstk.ko): $(O)/kmod-%-arm64/greenstk.ko: FORCE
	@$(VM_ENV) $(VM)/build.sh $*-arm64 $(@D) $(KMOD_ARGS)
kmod-arm64: $(KERNELS:%=$(O)/kmod-%-arm64/greenstk.ko) ## the same cross-compiled for arm64 (built, not run)
check-kmod-arm64: ## the module builds for arm64, without warnings and with exported symbols only
	@$(VM_ENV) $(RUN_TESTS) -s kmod-arm64 -t 900 $(foreach k,$(KERNELS),"$(VM)/build.sh $(k)-arm64 $(O)/kmod-$(k)-arm64")

$(DEBUG_KERNELS:%=check-kernel-%-debug): check-kernel-%-debug: vm-kernel-%-debug $(O)/kmod-%-debug/greenstk.ko $(VMO)/init $(VM_DEBUG_SUITES)
	@KO=$(O)/kmod-$*-debug/greenstk.ko MEM=3G LIMIT=2400 TIMEOUT_FACTOR=4 $(VM_ENV) $(QUIETLY) \
		$(VM)/run.sh suites $*-debug $(VMO)/$*-debug $(filter $(if $(SUITE),%/$(SUITE),%),$(VM_DEBUG_SUITES))
$(KERNELS:%=check-kernel-%): check-kernel-%: vm-kernel-% $(O)/kmod-%/greenstk.ko $(VMO)/init $(VM_SUITES)
	@KO=$(O)/kmod-$*/greenstk.ko $(VM_ENV) $(QUIETLY) $(VM)/run.sh suites $* $(VMO)/$* \
		$(filter $(if $(SUITE),%/$(SUITE),%),$(VM_SUITES))
CHECK_FUZZ := $(KERNELS:%=check-fuzz-%) $(DEBUG_KERNELS:%=check-fuzz-%-debug)
$(CHECK_FUZZ): check-fuzz-%: vm-kernel-% $(O)/kmod-%/greenstk.ko $(VMO)/init $(O)/$(VM)/fuzz
	@KO=$(O)/kmod-$*/greenstk.ko $(VM_ENV) $(QUIETLY) $(VM)/fuzz.sh $* $(VMO)/fuzz-$* $(O)/$(VM)/fuzz \
		$(FUZZ_SECONDS) $(FUZZ_SEED)

check-debug-kernel: ## all suites, no-memory runs and a fuzzer on debug kernels (built once: K=6.12, K=7.2 or both)
	+@$(MAKE) --no-print-directory $(foreach k,$(if $(filter command line,$(origin K)),$(K),$(DEBUG_KERNELS)),check-kernel-$(k)-debug check-fuzz-$(k)-debug)
fuzz: check-fuzz-$(K)-debug ## the ioctl fuzzer alone, on debug kernel K, with coverage (FUZZ_SECONDS, FUZZ_SEED)

check-mm: vm-kernel-$(K) $(O)/kmod-$(K)/greenstk.ko $(VMO)/init ## the kernel's own mm selftests with the module loaded, against without
	@KO=$(O)/kmod-$(K)/greenstk.ko $(VM_ENV) $(QUIETLY) $(VM)/mm.sh $(K) $(VMO)/mm-$(K)

check-kselftest: vm-kernel-$(K) $(O)/kmod-$(K)/greenstk.ko $(VMO)/init ## the suites installed, and run by the kernel's own runner
	@KO=$(O)/kmod-$(K)/greenstk.ko $(VM_ENV) $(QUIETLY) $(VM)/kselftest.sh $(K) $(VMO)/kselftest-$(K)

check-mutations: vm-kernel-$(K) $(VMO)/init $(VM_DEBUG_SUITES) ## modules with one planted bug each: a named suite must fail on it
	@$(VM_ENV) $(QUIETLY) $(VM)/mutations.sh $(VMO)/mutations $(O) "$(ONLY)" $(VM_DEBUG_SUITES)

# A module of its own kind decides whether there is anything to check yet.
ifneq ($(and $(wildcard kmod/Kbuild),$(UAPI_SRC)),)
check-kernels: ## all module suites on the stock kernels 6.1, 6.12 and 7.2 in QEMU (SUITE=name: one)
	+@$(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j2 -Otarget) \
		$(KERNELS:%=check-kernel-%) check-kmod-arm64
ifeq ($(FAST),)
check: check-kernels
endif
VM_KO = $(O)/kmod-$(K)/greenstk.ko
else
check-kernels:
	@echo "no module in this tree yet"
VM_KO =
endif

vm: vm-kernel-$(K) $(VM_KO) $(VMO)/init $(VM_SUITES) ## a shell in QEMU on kernel K=6.1|6.12|7.2|6.12-debug, the module loaded (RUN='command')
	@KO=$(VM_KO) $(VM_ENV) $(VM)/run.sh $(if $(RUN),cmd,shell) $(K) $(VMO)/$(K)-shell \
		$(if $(RUN),'$(subst ','\'',$(RUN))') $(VM_SUITES)

vm-selftest: vm-kernel-$(K) $(VMO)/init ## plants every kind of failure in a guest: the harness must see each
	@$(VM_ENV) $(QUIETLY) $(VM)/selftest.sh $(K) $(VMO)/selftest-$(K)

COST_SRC := $(addprefix $(VM)/,cost.c cost_ways.c cost_module.c)
$(VMO)/cost: $(COST_SRC) $(VM)/cost.h include/uapi/linux/greenstk.h
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CSTD) -O2 $(WARN) -D_GNU_SOURCE -Iinclude/uapi -static -pthread -o $@ $(COST_SRC)

vm-cost: vm-kernel-$(K) $(VM_KO) $(VMO)/init $(VMO)/cost ## what moving a stack costs on kernel K, by every way (WAY=park PAGES=16: some)
	@KO=$(VM_KO) $(VM_ENV) $(QUIETLY) $(VM)/cost.sh $(K) $(VMO)/cost-$(K) $(VMO)/cost $(WAY) $(PAGES)

.PHONY: vm-bench
vm-bench: vm-kernel-$(K) $(VM_KO) $(VMO)/init $(VMO)/cost ## instructions and interrupts of every way up to 1 MiB on kernel K, and what was aimed at
	@KO=$(VM_KO) $(VM_ENV) $(QUIETLY) $(VM)/bench.sh $(K) $(VMO)/bench-$(K) $(VMO)/cost
