# SPDX-License-Identifier: MIT
# The kernel's harness is not C++, so its cases are an object of their own.
$(O)/test/lib/cxx_cases.o: selftests/lib/cxx_cases.cc
	@mkdir -p $(@D)
	$(Q)$(CXX) $(unit-flags) $(OPT) -Wall -Wextra $(SANFLAGS) -std=gnu++17 -c -o $@ $<
-include $(O)/test/lib/cxx_cases.o.d
$(O)/test/lib/cxx_test: $(O)/test/lib/cxx_cases.o
$(O)/test/lib/cxx_test: private LIB_LIBS := $(O)/test/lib/cxx_cases.o $(LIB_A) $(LIB_LIBS) -lstdc++
