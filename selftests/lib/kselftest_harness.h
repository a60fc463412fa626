/* SPDX-License-Identifier: MIT */
/*
 * The kernel's harness, with more time a case: 30 s are not enough under valgrind, or where a case
 * of four seconds shares two cores with ten others. Hangs are still found, later.
 *
 * EMULATED(): under QEMU's user mode, where /proc and limits are the emulator's own.
 */
#include_next <kselftest_harness.h>
#include "../skip_setup.h"
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 150
#define EMULATED() (getenv("GREENSTK_TEST_VARIANT") && !strcmp(getenv("GREENSTK_TEST_VARIANT"), "aarch64"))
