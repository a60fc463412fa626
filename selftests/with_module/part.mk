# SPDX-License-Identifier: MIT
# The runtime with the module: the library's own suites and its stress, static, in QEMU, in the environments
# of variants.list. See Documentation/testing-kernels.rst.
REMAP       := selftests/with_module
REMAP_O      = $(O)/with_module
remap-lib   := task_test chan_test select_test mutex_test rwlock_test sync_test timer_test overflow_test deadlock_test remap_test lazy_test cold_test
# With the table that reports unwind by, which a static program has only when asked.
REMAP_STATIC := -static -Wl,--eh-frame-hdr
REMAP_PROGS := $(remap-lib:%=$(REMAP_O)/%) $(REMAP_O)/moves

$(REMAP_O)/%_test: selftests/lib/%_test.c $(LIB_A) $(VM)/patience.h | $(KSELFTEST)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(unit-flags) $(CFLAGS_COMMON) -Wno-missing-prototypes -include $(VM)/patience.h $(REMAP_STATIC) \
		-o $@ $(filter %.c,$^) $(LIB_A) $(LIB_LIBS) -lm
# With the injection points, as make stress has them.
$(REMAP_O)/moves: selftests/stress/moves.c $(stress-lib)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CPPFLAGS_COMMON) $(CFLAGS_COMMON) $(REMAP_STATIC) -o $@ $< $(stress-lib) $(LIB_LIBS)
-include $(wildcard $(REMAP_O)/*.d)

.PHONY: check-lib-kernels
check-lib-kernels: $(REMAP_PROGS) ## the runtime with the module: its suites and stress on 6.1, 6.12 and 7.2 in QEMU
	+@$(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j2 -Otarget) \
		$(KERNELS:%=check-lib-kernel-%)
$(KERNELS:%=check-lib-kernel-%): check-lib-kernel-%: vm-kernel-% $(O)/kmod-%/greenstk.ko $(VMO)/init $(REMAP_PROGS)
	@KO=$(O)/kmod-$*/greenstk.ko SET=lib $(VM_ENV) $(QUIETLY) $(REMAP)/run.sh $* $(REMAP_O)/$* \
		$(filter $(if $(SUITE),%/$(SUITE),%),$(REMAP_PROGS))
