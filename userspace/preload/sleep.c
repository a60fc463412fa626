// SPDX-License-Identifier: MIT
/* Sleeping. Signals do not end it early; only a cancel or the task's deadline does. */
#include "preload.h"

static bool valid(const struct timespec *ts)
{
	return ts->tv_sec >= 0 && ts->tv_nsec >= 0 && (uint64_t)ts->tv_nsec < NS_PER_S;
}

static void remaining(uint64_t deadline_ns, struct timespec *rem)
{
	uint64_t now = gstk_now(), left = deadline_ns > now ? deadline_ns - now : 0;

	if (rem)
		*rem = (struct timespec){ (time_t)(left / NS_PER_S), (long)(left % NS_PER_S) };
}

/* 0 or an error number. */
static int sleep_for(const struct timespec *req, struct timespec *rem)
{
	uint64_t deadline_ns;
	int err;

	if (!valid(req))
		return EINVAL;
	deadline_ns = preload_deadline_ts(req);
	err = gstk_sleep_until(deadline_ns);
	if (err)
		remaining(deadline_ns, rem);
	return -err;
}

EXPORT int nanosleep(const struct timespec *req, struct timespec *rem)
{
	int err;

	if (!IS_GREEN())
		return real(nanosleep)(req, rem);
	err = sleep_for(req, rem);
	return err ? preload_fail(err) : 0;
}

/* Until @clock says @until; it may be set meanwhile, so it is looked at once a second. */
static int sleep_until(clockid_t clock, const struct timespec *until)
{
	struct timespec now;
	int64_t left;
	int err;

	for (;;) {
		if (clock_gettime(clock, &now))
			return preload_errno();
		left = (int64_t)until->tv_sec - now.tv_sec;
		if (left > 1)
			left = 1;
		left = left * (int64_t)NS_PER_S + until->tv_nsec - now.tv_nsec;
		if (left <= 0)
			return 0;
		err = gstk_sleep((uint64_t)left < NS_PER_S ? (uint64_t)left : NS_PER_S);
		if (err)
			return -err;
	}
}

EXPORT int clock_nanosleep(clockid_t clock, int flags, const struct timespec *req, struct timespec *rem)
{
	if (!IS_GREEN() || (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME))
		return real(clock_nanosleep)(clock, flags, req, rem);
	if (!valid(req))
		return EINVAL;
	return flags & TIMER_ABSTIME ? sleep_until(clock, req) : sleep_for(req, rem);
}

EXPORT int usleep(useconds_t us)
{
	int err;

	if (!IS_GREEN())
		return real(usleep)(us);
	err = gstk_sleep((uint64_t)us * 1000);
	return err ? preload_fail(-err) : 0;
}

EXPORT unsigned int sleep(unsigned int seconds)
{
	uint64_t deadline_ns, now;
	int err;

	if (!IS_GREEN())
		return real(sleep)(seconds);
	deadline_ns = gstk_now() + seconds * NS_PER_S;
	err = gstk_sleep_until(deadline_ns);
	if (!err)
		return 0;
	now = gstk_now();
	preload_fail(-err);
	return now < deadline_ns ? (unsigned int)((deadline_ns - now + NS_PER_S - 1) / NS_PER_S) : 0;
}
