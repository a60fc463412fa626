# SPDX-License-Identifier: MIT
# Flags shared by all of user space.
WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter
OPT     ?= -O2 -g
CSTD    := -std=gnu11
CPPFLAGS_COMMON := -D_GNU_SOURCE -Iinclude
# SAN=address,undefined or SAN=thread builds the same tree with a sanitizer.
SAN     ?=
ifneq ($(SAN),)
O       := build/san-$(subst $(eval ) ,-,$(subst $(comma),-,$(SAN)))
OPT     := -O1 -g -fno-omit-frame-pointer
SANFLAGS := -fsanitize=$(SAN)
endif
comma   := ,
CFLAGS_COMMON := $(CSTD) $(OPT) $(WARN) $(SANFLAGS) $(CFLAGS)
