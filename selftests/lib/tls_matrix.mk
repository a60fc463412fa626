# SPDX-License-Identifier: MIT
# What belongs to the thread, where the compiler sees most: at several levels, and with LTO together with the
# whole library. The suites beside it say that a library built so works at all. NAME:COMPILER:FLAGS.
tls-matrix := $(foreach cc,gcc clang,$(foreach l,0 2 3,$(cc)-O$l:$(cc):-O$l) $(cc)-pic:$(cc):-O2,-fPIC)
tls-have   := $(foreach v,$(tls-matrix),$(if $(shell command -v $(call ctx-cc,$v)),$v))
tls-prog   := $(foreach v,$(tls-have),$(O)/test/lib/tls-$(call ctx-name,$v))
lto-tests  := tls_test task_test chan_test wait_table_test annex_test foreign_test
lto-cc     := $(foreach cc,gcc clang,$(if $(shell command -v $(cc)),$(cc)))

define tls-rule
$(O)/test/lib/tls-$(call ctx-name,$(1)): selftests/lib/tls_test.c $(LIB_A) | $(KSELFTEST)
	@mkdir -p $$(@D)
	$(call say,TEST,$$@)
	$(Q)$(call ctx-cc,$(1)) $(call ctx-opts,$(1)) -std=gnu11 -g -Wall -Wno-missing-prototypes -Wno-include-next-absolute-path $$(unit-flags) -o $$@ $$< $(LIB_A) $(LIB_LIBS)
-include $(O)/test/lib/tls-$(call ctx-name,$(1)).d
endef
$(foreach v,$(tls-have),$(eval $(call tls-rule,$v)))

.PHONY: tls-matrix check-lto lto-tests
tls-matrix: $(if $(SAN),,$(tls-prog))  ## thread-locals in tasks that move, compiler by compiler
	@$(RUN_TESTS) -s tls -t 60 $(tls-prog)
check-lto:  ## the library built with link-time optimisation, by gcc and clang
	+@for cc in $(lto-cc); do $(MAKE) --no-print-directory $(parallel) LTO=1 CC=$$cc lto-tests || exit 1; done
lto-tests: $(lto-tests:%=$(O)/test/lib/%)
	@$(RUN_TESTS) -s lto -v $(notdir $(CC)) -t 120 $(lto-tests:%=$(O)/test/lib/%)
check: $(if $(SAN),,tls-matrix check-lto)
