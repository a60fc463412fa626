# SPDX-License-Identifier: MIT
# The inlined switch is asm in other people's functions: its cases are compiled by each compiler at
# each level, in C and C++, and linked with one harness. NAME:COMPILER:FLAGS.
ctx-matrix := $(foreach cc,gcc clang g++ clang++,$(foreach l,0 1 2 3 s,$(cc)-O$l:$(cc):-O$l)) \
	$(foreach cc,gcc clang,$(cc)-pic-fp:$(cc):-O2,-fPIC,-fno-omit-frame-pointer \
		$(cc)-O1-omit-fp:$(cc):-O1,-fomit-frame-pointer $(cc)-cet:$(cc):-O2,-fcf-protection=full \
		$(cc)-nocet:$(cc):-O2,-fcf-protection=none $(cc)-native:$(cc):-O3,-march=native \
		$(cc)-noredzone:$(cc):-O2,-mno-red-zone $(cc)-protector:$(cc):-O2,-fstack-protector-all) \
	gcc-lto:gcc:-O2,-flto,-ffat-lto-objects gcc-clash:gcc:-O2,-fstack-clash-protection
ctx-name = $(word 1,$(subst :, ,$(1)))
ctx-cc   = $(word 2,$(subst :, ,$(1)))
ctx-opts = $(subst $(comma), ,$(word 3,$(subst :, ,$(1))))
# Compilers that are not there are left out, with a word.
ctx-have := $(foreach v,$(ctx-matrix),$(if $(shell command -v $(call ctx-cc,$v)),$v))
ctx-prog := $(foreach v,$(ctx-have),$(O)/test/lib/ctx_inline-$(call ctx-name,$v))

$(O)/test/lib/ctx_inline.o: selftests/lib/ctx_inline_test.c | $(KSELFTEST)
	@mkdir -p $(@D)
	$(Q)$(CC) $(unit-flags) $(CFLAGS_COMMON) -Wno-missing-prototypes -DCTX_CASES_ELSEWHERE -c -o $@ $<
-include $(O)/test/lib/ctx_inline.o.d

define ctx-rule
$(O)/test/lib/ctx_inline-$(call ctx-name,$(1)): selftests/lib/ctx_cases.c $(O)/test/lib/ctx_inline.o $(LIB_A)
	$(call say,TEST,$$@)
	$(Q)$(call ctx-cc,$(1)) $(if $(filter %++,$(call ctx-cc,$(1))),-x c++,-x c -std=gnu11) $(call ctx-opts,$(1)) \
		-g -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -Wno-pass-failed $(CPPFLAGS_COMMON) -Iuserspace/lib \
		-MMD -MP -MF $$@.d -MT $$@ -c -o $$@.o $$<
	$(Q)$(CC) $(call ctx-opts,$(1)) -o $$@ $$@.o $(O)/test/lib/ctx_inline.o $(LIB_A) $(LIB_LIBS) -lm
-include $(O)/test/lib/ctx_inline-$(call ctx-name,$(1)).d
endef
$(foreach v,$(ctx-have),$(eval $(call ctx-rule,$v)))

.PHONY: ctx-matrix
ctx-matrix: $(if $(SAN),,$(ctx-prog))  ## the inlined switch, compiler by compiler
	@$(RUN_TESTS) -s ctx -t 60 $(ctx-prog)
check: $(if $(SAN),,ctx-matrix)

# The kernel's harness is not C++, so these cases are an object of their own.
$(O)/test/lib/ctx_exceptions.o: selftests/lib/ctx_exceptions.cc
	@mkdir -p $(@D)
	$(Q)$(CXX) $(unit-flags) $(OPT) -Wall -Wextra $(SANFLAGS) -std=gnu++17 -c -o $@ $<
-include $(O)/test/lib/ctx_exceptions.o.d
$(O)/test/lib/ctx_exceptions_test: $(O)/test/lib/ctx_exceptions.o
$(O)/test/lib/ctx_exceptions_test: private LIB_LIBS := $(O)/test/lib/ctx_exceptions.o $(LIB_A) $(LIB_LIBS) -lstdc++
# The generic unwinder, with accessors.
$(O)/test/lib/ctx_unwind_test: private LIB_LIBS := $(LIB_LIBS) -lunwind-generic -lunwind
