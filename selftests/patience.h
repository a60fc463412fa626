/* SPDX-License-Identifier: MIT */
/*
 * Included before every suite. The kernel's harness gives a case 30 seconds of wall
 * clock; a busy machine, an emulator or an instrumented kernel is slower than that by a
 * factor that the runner tells (scripts/run-tests.sh; of guests, selftests/vm).
 */
#ifndef GREENSTK_PATIENCE_H
#define GREENSTK_PATIENCE_H

#include <stdlib.h>
#include <unistd.h>

static inline unsigned int patient_alarm(unsigned int seconds)
{
	const char *factor = getenv("GREENSTK_PATIENCE");

	return alarm(seconds * (factor ? (unsigned int)atoi(factor) : 1));
}
#define alarm(seconds) patient_alarm(seconds)

#endif
