# SPDX-License-Identifier: MIT
# What a program needs to link with the library; the rules are in userspace/lib/part.mk.
#   $(O)/bin/foo: foo.o $(LIB_A)
#   	$(CC) $(CFLAGS_COMMON) -o $@ $^ $(LIB_LIBS)
# (an object that needs generated or installed headers takes them by -MMD, as elsewhere)
LIB_A   := $(O)/lib/libgreenstk.a
LIB_SO  := $(O)/lib/libgreenstk.so.0
# The interposed libc over it; the rules are in userspace/preload/part.mk.
PRELOAD_SO := $(O)/lib/libgreenstk-preload.so
PRELOAD_A  := $(O)/lib/libgreenstk-preload.a

# A library that no source includes is not linked.
lib-includes := $(shell cat $(wildcard userspace/lib/*/*.[ch] userspace/lib/*/*/*.[ch]) /dev/null | \
	sed -n 's/^[ \t]*\#[ \t]*include[ \t]*<\(lz4\|zstd\|libunwind\)[^>]*>.*/\1/p' | sort -u)
LIB_LIBS := $(if $(filter lz4,$(lib-includes)),-llz4) $(if $(filter zstd,$(lib-includes)),-lzstd) \
	$(if $(filter libunwind,$(lib-includes)),-lunwind-generic -lunwind) -pthread
