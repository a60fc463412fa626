# SPDX-License-Identifier: MIT
# greenstk: one entry point. Each part brings its own fragment; this file only
# names the commands that must stay true (README) and the variables they share.

SHELL      := /bin/bash
O          ?= build
CC         ?= gcc
CXX        ?= g++
VERSION    := 0.1.0
PREFIX     ?= /usr/local
DESTDIR    ?=
# Downloads and kernel builds; may be shared between checkouts.
CACHE      ?= $(or $(GREENSTK_CACHE),$(O)/cache)
# Timed runs take this lock exclusively, everything else that would disturb them shares it.
TIMING_LOCK ?= $(or $(GREENSTK_TIMING_LOCK),/tmp/greenstk-timing.lock)

.DEFAULT_GOAL := all
.PHONY: all quick check demo bench clean help install deps

all:            ## build the library, tools, examples and benchmarks
quick:          ## under a minute: build, unit tests, claim checks
check:          ## every test (FAST=1: user space only)
install:        ## install into DESTDIR/PREFIX

include mk/flags.mk
include $(sort $(wildcard */part.mk */*/part.mk))

help:           ## this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | sort | expand -t 24

clean:          ## remove what was built (keeps the cache)
	rm -rf $(filter-out $(CACHE),$(wildcard $(O)/*))
