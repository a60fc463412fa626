# SPDX-License-Identifier: MIT
# The runtime with the module: the library's own suites and its stress, static, in QEMU, in the environments
# of variants.list. See Documentation/testing-kernels.rst.
REMAP       := selftests/with_module
REMAP_O      = $(O)/with_module
remap-lib   := task_test chan_test select_test mutex_test rwlock_test sync_test timer_test overflow_test deadlock_test remap_test lazy_test cold_test
# With the table that reports unwind by, which a static program has only when asked.
REMAP_STATIC := -static -Wl,--eh-frame-hdr
REMAP_PROGS := $(remap-lib:%=$(REMAP_O)/%) $(REMAP_O)/moves $(REMAP_O)/torture

$(REMAP_O)/%_test: selftests/lib/%_test.c $(LIB_A) selftests/patience.h | $(KSELFTEST)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(unit-flags) $(CFLAGS_COMMON) -Wno-missing-prototypes $(REMAP_STATIC) \
		-o $@ $(filter %.c,$^) $(LIB_A) $(LIB_LIBS) -lm
# With the injection points, as make stress has them.
$(REMAP_O)/moves: selftests/stress/moves.c $(stress-lib)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CPPFLAGS_COMMON) $(CFLAGS_COMMON) $(REMAP_STATIC) -o $@ $< $(stress-lib) $(LIB_LIBS)
$(REMAP_O)/torture: $(TORTURE_SRC) selftests/stress/torture.h selftests/patience.h $(stress-lib) | $(KSELFTEST)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CPPFLAGS_COMMON) -Iuserspace/lib $(KSELFTEST_CPPFLAGS) -DGSTK__INJECTION -DTORTURE_MODULE_ONLY $(CFLAGS_COMMON) \
		-Wno-missing-prototypes $(REMAP_STATIC) -o $@ $(TORTURE_SRC) $(TORTURE_WRAP) $(stress-lib) $(LIB_LIBS)
-include $(wildcard $(REMAP_O)/*.d)

.PHONY: check-lib-kernels
check-lib-kernels: $(REMAP_PROGS) ## the runtime with the module: its suites and stress on 6.1, 6.12 and 7.2 in QEMU
	+@$(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j2 -Otarget) \
		$(KERNELS:%=check-lib-kernel-%)
$(KERNELS:%=check-lib-kernel-%): check-lib-kernel-%: vm-kernel-% $(O)/kmod-%/greenstk.ko $(VMO)/init $(REMAP_PROGS)
	@KO=$(O)/kmod-$*/greenstk.ko SET=lib $(VM_ENV) $(QUIETLY) $(REMAP)/run.sh $* $(REMAP_O)/$* \
		$(filter $(if $(SUITE),%/$(SUITE),%),$(REMAP_PROGS))

# The torture alone, and on the debug kernels, whose fault injection takes the module's memory.
TORTURE_KERNELS := $(KERNELS) $(DEBUG_KERNELS:%=%-debug)
.PHONY: vm-torture $(TORTURE_KERNELS:%=check-torture-%)
$(DEBUG_KERNELS:%=check-torture-%-debug): export TIMEOUT_FACTOR := 4
$(DEBUG_KERNELS:%=check-torture-%-debug): export MEM := 3G
$(TORTURE_KERNELS:%=check-torture-%): check-torture-%: vm-kernel-% $(O)/kmod-%/greenstk.ko $(VMO)/init $(REMAP_O)/torture
	@KO=$(O)/kmod-$*/greenstk.ko SET=torture $(VM_ENV) $(QUIETLY) $(REMAP)/run.sh $* $(REMAP_O)/torture-$* $(REMAP_O)/torture
vm-torture: check-torture-$(K) ## stacks through all tiers of the module at random, with failures, on kernel K (TORTURE_MS=, SEED=)
check-debug-kernel: $(foreach k,$(if $(filter command line,$(origin K)),$(K),$(DEBUG_KERNELS)),check-torture-$(k)-debug)

# The example server on a stock kernel and with the module, in one boot; VM_DEMO_CONNS, VM_DEMO_STACK. The guest's
# clock counts instructions, so that times repeat on a busy host, and jumps while it is idle.
VM_DEMO_CONNS ?= 2000
VM_DEMO_STACK ?= 16k
vm-demo-progs := $(REMAP_O)/pubsub $(REMAP_O)/pubsub-load
demo-obj = $(patsubst userspace/%.c,$(O)/obj/%.o,$(wildcard userspace/examples/pubsub/$(1).c))
$(REMAP_O)/pubsub: $(call demo-obj,server) $(O)/lib/pubsub.a $(LIB_A)
$(REMAP_O)/pubsub-load: $(call demo-obj,load*)
# --upstream resolves a name, of which a static program is warned; the demo has none.
$(vm-demo-progs):
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS_COMMON) -static -Wl,--no-warnings -o $@ $^ $(LIB_LIBS) -lm
.PHONY: vm-demo
vm-demo: vm-kernel-$(K) $(O)/kmod-$(K)/greenstk.ko $(VMO)/init $(vm-demo-progs) ## the publish/subscribe server on kernel K without and with the module: what the module adds
	@KO= MEM=3G ACCEL=tcg,thread=single QEMU_ARGS="-icount shift=0,sleep=off" $(VM_ENV) $(QUIETLY) $(VM)/run.sh cmd $(K) $(VMO)/demo-$(K) \
		"/bin/sh /vm/demo.sh $(VM_DEMO_CONNS) $(VM_DEMO_STACK)" $(REMAP)/demo.sh $(O)/kmod-$(K)/greenstk.ko $(vm-demo-progs)
