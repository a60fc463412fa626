# SPDX-License-Identifier: MIT
# Kernels in QEMU: see Documentation/testing-kernels.rst.

VM       := selftests/vm
VMO       = $(O)/vm
KERNELS  := $(shell awk '!/^\#/ && NF { print $$1 }' $(VM)/kernels.list)
K        ?= 6.12
VM_ENV    = RESULTS=$(abspath $(RESULTS)) CACHE=$(abspath $(CACHE)) VM_INIT=$(abspath $(VMO)/init)
QUIETLY   = flock -s $(TIMING_LOCK)

# The ABI's suites. Other parts may add statically linked tests: VM_SUITES += FILE.
UAPI_SRC := $(wildcard selftests/uapi/*_test.c)
VM_SUITES += $(UAPI_SRC:%.c=$(O)/%)

.PHONY: kmod check-kernels vm vm-selftest vm-cost FORCE

$(VMO)/init: $(VM)/init.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CSTD) -O2 $(WARN) -D_GNU_SOURCE -static -o $@ $<

UAPI_COMMON := $(filter-out $(UAPI_SRC),$(wildcard selftests/uapi/*.c))
$(O)/selftests/uapi/%_test: selftests/uapi/%_test.c $(UAPI_COMMON) $(wildcard selftests/uapi/*.h) \
		$(wildcard include/uapi/linux/*.h) | $(KSELFTEST)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CSTD) -O2 -g $(WARN) -Wno-unused-result -Wno-missing-prototypes -D_GNU_SOURCE -Iinclude/uapi $(KSELFTEST_CPPFLAGS) -Iselftests/uapi \
		-static -pthread -o $@ $< $(UAPI_COMMON) -MMD -MF $@.d
-include $(UAPI_SRC:%.c=$(O)/%.d)

# The module for kernel %, built in that kernel's own root and copy.
$(O)/kmod-%/greenstk.ko: FORCE
	@$(VM_ENV) $(VM)/build.sh $* $(@D) $(KMOD_ARGS)

vm-kernel-%: FORCE
	@$(VM_ENV) $(VM)/fetch.sh kernel $*
	@$(VM_ENV) $(VM)/fetch.sh root bookworm
	@$(VM_ENV) $(VM)/fetch.sh root trixie

kmod: $(KERNELS:%=$(O)/kmod-%/greenstk.ko) ## greenstk.ko for every kernel of the list

check-kernel-%: vm-kernel-% $(O)/kmod-%/greenstk.ko $(VMO)/init $(VM_SUITES)
	@KO=$(O)/kmod-$*/greenstk.ko $(VM_ENV) $(QUIETLY) $(VM)/run.sh suites $* $(VMO)/$* \
		$(filter $(if $(SUITE),%/$(SUITE),%),$(VM_SUITES))

# A module of its own kind decides whether there is anything to check yet.
ifneq ($(and $(wildcard kmod/Kbuild),$(UAPI_SRC)),)
check-kernels: ## all module suites on the stock kernels 6.1, 6.12 and 7.2 in QEMU (SUITE=name: one)
	+@$(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j2 -Otarget) \
		$(KERNELS:%=check-kernel-%)
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
