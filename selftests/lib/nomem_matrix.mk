# SPDX-License-Identifier: MIT
# The library's allocations go through the test.
$(O)/test/lib/nomem_test: private LIB_LIBS := $(LIB_LIBS) $(foreach f,malloc calloc realloc aligned_alloc mmap gstk__mem_limit,-Wl,--wrap=$f)
