// SPDX-License-Identifier: MIT
/* The timing lock: one timed run at a time on a machine, other work shares it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "driver.h"

/*
 * Held on to from round to round, since every new take waits for all readers; but not for longer
 * than this, so that others' work waits seconds, not minutes.
 */
enum { HOLD_S = 30 };

static int fd = -1;
static bool held_shared;
static uint64_t held_since;
static bool clean = true, gave_up;

bool lock_clean(void)
{
	return clean;
}

void lock_take(bool shared)
{
	int op = (shared ? LOCK_SH : LOCK_EX) | LOCK_NB;
	uint64_t start = bench_now(), told = start;

	if (!*opt.lock)
		return;
	if (fd >= 0) {
		if (held_shared == shared && start - held_since < HOLD_S * 1000000000ull)
			return;
		lock_drop();
		usleep(20000);
	}
	fd = open(opt.lock, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0) {
		if (clean)
			bench_note("no timing lock %s (%s): timings may be disturbed", opt.lock, strerror(errno));
		clean = false;
		return;
	}
	while (flock(fd, op)) {
		uint64_t now = bench_now();

		/* Having waited in full once, later rounds only look: the run stays bounded. */
		if (gave_up || now - start > opt.lock_wait_s * 1000000000ull) {
			if (!gave_up)
				bench_note("%s was not free for %u s: going on, timings may be disturbed",
					   opt.lock, opt.lock_wait_s);
			gave_up = true;
			clean = clean && shared;
			break;
		}
		if (now - told > 10000000000ull) {
			told = now;
			bench_note("waiting for %s since %llu s", opt.lock,
				   (unsigned long long)((now - start) / 1000000000u));
		}
		usleep(2000);
	}
	held_shared = shared;
	held_since = bench_now();
}

void lock_drop(void)
{
	if (fd >= 0)
		close(fd);
	fd = -1;
}
