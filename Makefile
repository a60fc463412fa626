# SPDX-License-Identifier: MIT
# greenstk: one entry point. Each part brings its own fragment (part.mk); this file only names
# the commands that must stay true (README) and the variables they share.

SHELL      := /bin/bash
O          ?= build
CC         ?= gcc
CXX        ?= g++
VERSION    := 0.1.0
PREFIX     ?= /usr/local
DESTDIR    ?=

.DEFAULT_GOAL := all
.PHONY: all quick check check-user check-kernels demo bench vm clean help install deps
.DELETE_ON_ERROR:

all:            ## build the library, tools, examples and benchmarks
	@:
quick: jobs-test-quick ## under a minute: build, most unit tests, claim checks
check: quick jobs-build-check ## every test (FAST=1: user space only)
install: all    ## install into DESTDIR/PREFIX

include mk/flags.mk mk/deps.mk mk/lib.mk mk/test.mk
include $(sort $(wildcard */part.mk */*/part.mk))
include mk/install.mk

# Tests run one suite after another, but what they need is built with all cores, unless make was
# started with -j and does so anyway; those of "quick" mostly wait, and run beside each other.
JOBS ?= $(shell nproc)
parallel = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(JOBS))
.PHONY: build-quick build-check test-quick jobs-build-quick jobs-build-check jobs-test-quick
build-quick build-check: all
jobs-build-quick jobs-build-check: jobs-%:
	+@$(if $(parallel),$(MAKE) --no-print-directory $(parallel) $*,:)
jobs-test-quick: jobs-build-quick
	+@$(MAKE) --no-print-directory $(parallel) test-quick

help:           ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | sort | expand -t 24

clean:          ## remove what was built (keeps the cache)
	rm -rf $(filter-out $(CACHE),$(wildcard $(O)/* $(O)/.deps))
