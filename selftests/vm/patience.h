/* SPDX-License-Identifier: MIT */
/*
 * Included before every suite that runs in a guest. The kernel's harness gives a
 * case 30 seconds of wall clock; an emulated, instrumented kernel on a busy
 * machine is slower than that by a factor that the guest is told.
 */
#ifndef GREENSTK_VM_PATIENCE_H
#define GREENSTK_VM_PATIENCE_H

#include <stdlib.h>
#include <unistd.h>

static inline unsigned int patient_alarm(unsigned int seconds)
{
	const char *factor = getenv("GREENSTK_PATIENCE");

	return alarm(seconds * (factor ? (unsigned int)atoi(factor) : 1));
}
#define alarm(seconds) patient_alarm(seconds)

#endif
