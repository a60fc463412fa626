# SPDX-License-Identifier: MIT
# The kernel's harness is not C++, so its exceptions are an object of their own.
$(O)/test/lib/task_exceptions.o: selftests/lib/task_exceptions.cc
	@mkdir -p $(@D)
	$(Q)$(CXX) $(unit-flags) $(OPT) -Wall -Wextra $(SANFLAGS) -std=gnu++17 -c -o $@ $<
-include $(O)/test/lib/task_exceptions.o.d
$(O)/test/lib/task_exceptions_test: $(O)/test/lib/task_exceptions.o
$(O)/test/lib/task_exceptions_test: private LIB_LIBS := $(O)/test/lib/task_exceptions.o $(LIB_A) $(LIB_LIBS) -lstdc++
