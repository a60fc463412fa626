# SPDX-License-Identifier: MIT
# aarch64: the library and its unit tests, cross-built and run by QEMU's user mode emulation.
ARM64_PREFIX := aarch64-linux-gnu-
ARM64_ROOT   := $(CACHE)/sysroot-arm64
arm64-libs    = $(ARM64_ROOT)/usr/lib/aarch64-linux-gnu
arm64-flags   = -isystem $(ARM64_ROOT)/usr/include -isystem $(ARM64_ROOT)/usr/include/aarch64-linux-gnu \
	-L$(arm64-libs) -Wl,-rpath-link,$(arm64-libs):$(ARM64_ROOT)/lib/aarch64-linux-gnu
arm64-run     = qemu-aarch64-static -L /usr/aarch64-linux-gnu \
	-E LD_LIBRARY_PATH=$(abspath $(arm64-libs)):$(abspath $(ARM64_ROOT)/lib/aarch64-linux-gnu)
arm64-make    = +@$(MAKE) --no-print-directory O=$(TOP_O)/aarch64 TOP_O=$(TOP_O) CC=$(ARM64_PREFIX)gcc \
	CXX=$(ARM64_PREFIX)g++ AR=$(ARM64_PREFIX)ar CFLAGS="$(arm64-flags)"

.PHONY: aarch64 check-aarch64 run-aarch64
aarch64:         ## the library for aarch64, cross-built
	@CACHE=$(CACHE) selftests/aarch64/sysroot.sh >/dev/null
	$(arm64-make) $(parallel) lib
check-aarch64: aarch64  ## unit tests for aarch64 under qemu-user
	$(arm64-make) $(parallel) unit-build
	$(arm64-make) run-aarch64
# The emulator keeps a record of each page of what is reserved, and copies it at each fork.
run-aarch64: unit-build
	@$(call unit-run,aarch64,600,GREENSTK_IMAGE_BYTES=256m,$(arm64-run),-j $$((2 * $$(nproc))))
check: check-aarch64
# The emulator is in the way of what starts or reads programs: gdb, servers of the same build, system
# calls as /proc shows them; and its own thread might wake tasks, so that no deadlock is sure.
unit-skip-aarch64 := ctx_gdb_test gdb_tasks_test trace_test echo_test pubsub_crowd_test pubsub_server_test pubsub_upstream_test pubsub_deep_test crawler_test codec_test \
	codec_tier_test deadlock_test stackprof_test
