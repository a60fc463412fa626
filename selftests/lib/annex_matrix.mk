# SPDX-License-Identifier: MIT
# The kernel's harness is not C++, so its exceptions are an object of their own.
$(O)/test/lib/annex_exceptions.o: selftests/lib/annex_exceptions.cc
	@mkdir -p $(@D)
	$(Q)$(CXX) $(unit-flags) $(OPT) -Wall -Wextra $(SANFLAGS) -std=gnu++17 -c -o $@ $<
-include $(O)/test/lib/annex_exceptions.o.d
$(O)/test/lib/annex_test: $(O)/test/lib/annex_exceptions.o
$(O)/test/lib/annex_test: private LIB_LIBS := $(O)/test/lib/annex_exceptions.o $(LIB_A) $(LIB_LIBS) -lstdc++
