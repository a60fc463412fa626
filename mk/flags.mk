# SPDX-License-Identifier: MIT
# Flags and paths shared by all of user space.
comma   := ,
ifeq ($(origin CC),default)
CC      := gcc
endif
ifeq ($(origin CXX),default)
CXX     := g++
endif

# The first build directory: results and downloads stay there whatever the sanitizer.
TOP_O   := $(O)
# Downloads and kernel builds; may be shared between checkouts.
CACHE   ?= $(or $(GREENSTK_CACHE),$(TOP_O)/cache)
# Timed runs take this lock exclusively, everything else that would disturb them shares it.
TIMING_LOCK ?= $(or $(GREENSTK_TIMING_LOCK),/tmp/greenstk-timing.lock)

WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter
OPT     ?= -O2 -g
CSTD    := -std=gnu11
CPPFLAGS_COMMON := -D_GNU_SOURCE -Iinclude
# SAN=address,undefined or SAN=thread builds the same tree with a sanitizer.
SAN     ?=
ifneq ($(SAN),)
override O := $(TOP_O)/san-$(subst $(comma),-,$(SAN))
override OPT := -O1 -g -fno-omit-frame-pointer
SANFLAGS := -fsanitize=$(SAN) $(if $(findstring undefined,$(SAN)),-fno-sanitize-recover=undefined)
ifeq ($(SAN),thread)
# Fences are not modelled there; what they order is atomic.
SANFLAGS += $(if $(findstring clang,$(CC)),,-Wno-tsan)
endif
endif
# LTO=1 builds it with link-time optimisation, the library's archive too (CC=clang: with lld).
LTO     ?=
ifneq ($(LTO),)
override O := $(TOP_O)/lto-$(notdir $(CC))
ifneq ($(findstring clang,$(CC)),)
LTOFLAGS := -flto -fuse-ld=lld -Wno-unused-command-line-argument -Wno-include-next-absolute-path
AR      := llvm-ar
else
LTOFLAGS := -flto=auto
AR      := gcc-ar
endif
endif
CFLAGS_COMMON = $(CSTD) $(OPT) $(WARN) $(SANFLAGS) $(LTOFLAGS) $(CFLAGS)

# make V=1 shows commands; otherwise a rule says one line: $(call say,CC,$@) and $(Q) before it.
Q        = $(if $(filter-out 0,$(V)),,@)
say      = @$(if $(filter-out 0,$(V)),:,printf '  %-7s %s\n' $(1) $(2))
