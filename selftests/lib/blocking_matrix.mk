# SPDX-License-Identifier: MIT
# Threads that cannot be had go through the test.
$(O)/test/lib/blocking_test: private LIB_LIBS := $(LIB_LIBS) -Wl,--wrap=pthread_create
