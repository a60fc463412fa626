// SPDX-License-Identifier: MIT
/*
 * Called by the last worker that goes to sleep when no timer is armed and no descriptor is waited
 * for. It aborts a program, so it looks itself before it believes that: no task can run, and no
 * thread of the application is left that could wake one.
 */
#include "debug/deadlock_report.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "debug/dump_signal.h"
#include "debug/locks.h"
#include "debug/look.h"
#include "debug/trace.h"
#include "debug/watchdog.h"
#include "sched/worker.h"
#include "wait/blocking.h"

#define IO_WORKER	0x10u /* PF_IO_WORKER: such threads are seen from Linux 5.12 on */
#define ALL_SHOWN	100u /* up to so many tasks are shown one by one */
#define OF_GROUP	20u
#define WITH_FRAMES	3u   /* of a group */
#define FRAMES		12u
#define GROUPS		64u

static bool continue_after;
static uint64_t reported_at; /* spawns, switches and wakes at the last report: do not repeat it */

struct group {
	char name[32];
	uint8_t why;
	uint64_t nr;
};

/* Who cannot see the threads cannot say that there is none to wake a task: said once. */
static void say_blind(int err)
{
	static bool said;

	if (said)
		return;
	said = true;
	fprintf(stderr, "greenstk: all tasks wait, perhaps for ever; whether a thread is left to wake one cannot be seen: "
		"/proc/self/task: %s%s\n", strerror(err),
		err == ENOENT ? "; mount /proc to have deadlocks reported" : "");
}

/*
 * Of the kernel: what does operations on files. It runs none of the program's code. A name anybody may have, so the
 * flags of the task are looked at, the seventh field behind its name (proc_pid_stat(5)).
 */
static bool is_kernels(const char *tid)
{
	char path[64], line[512], *name_end;
	unsigned int flags = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%.20s/stat", tid);
	f = fopen(path, "re");
	if (!f)
		return false;
	name_end = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
	fclose(f);
	return name_end && sscanf(name_end, ") %*c %*d %*d %*d %*d %*d %u", &flags) == 1 && flags & IO_WORKER;
}

/* Threads of the process that are neither ours (a pager serves lazy windows) nor waiting in the runtime. */
static bool others_may_wake(void)
{
	unsigned int nr = 0, ours = gstk__sched.nr + gstk__dump_signal_threads() + gstk__tracing + gstk__blocking_threads() +
				    gstk__windows.lazy + gstk__watchdog_threads() + gstk__locks_threads() +
				    atomic_load(&gstk__sched.foreign_blocked);
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;

	if (!d) {
		say_blind(errno);
		return true;
	}
	while ((e = readdir(d)))
		nr += e->d_name[0] != '.' && !is_kernels(e->d_name);
	closedir(d);
	return nr > ours;
}

/* Waiting tasks; 0 when one of all could run. @sum: of their words, which change with every wait. */
static uint64_t all_wait(uint64_t *sum)
{
	uint32_t high = atomic_load_explicit(&gstk__tasks_high, memory_order_acquire);
	uint64_t nr = 0;

	for (uint32_t i = 1; i < high; i++) {
		uint32_t word = gstk__word(gstk__task(i));
		enum gstk__state state = gstk__state_of(word);

		if (state == GSTK__PARKED || (state == GSTK__OWNED && !(word & GSTK__NOTIFIED)))
			nr++;
		else if (state == GSTK__RUNNABLE || state == GSTK__RUNNING || state == GSTK__OWNED)
			return 0; /* a thread's stand-in, too: it is outside, or woken and has not noticed */
		*sum = *sum * 31 + word;
	}
	return nr;
}

static struct group *group_of(struct group *groups, unsigned int *nr, const struct gstk__look *k)
{
	for (unsigned int i = 0; i < *nr; i++)
		if (groups[i].why == k->why && !strcmp(groups[i].name, k->name))
			return &groups[i];
	if (*nr == GROUPS)
		return &groups[GROUPS - 1]; /* the rest */
	groups[*nr].why = k->why;
	memcpy(groups[*nr].name, k->name, sizeof(k->name));
	groups[*nr].nr = 0;
	return &groups[(*nr)++];
}

static void print_tasks(struct gstk__out *o, struct gstk__looker *l, bool grouped)
{
	static struct group groups[GROUPS];
	uint32_t high = atomic_load_explicit(&gstk__tasks_high, memory_order_acquire);
	struct gstk__look k;
	unsigned int nr = 0;

	for (uint32_t i = 1; i < high; i++) {
		struct group *g;

		if (!gstk__look(l, i, false, &k) || k.state == GSTK__DONE)
			continue;
		g = group_of(groups, &nr, &k);
		if (grouped && g->nr++ >= OF_GROUP)
			continue;
		gstk__look(l, i, true, &k);
		gstk__look_print(o, l, &k, !grouped ? FRAMES : g->nr <= WITH_FRAMES ? FRAMES : 0);
	}
	for (unsigned int i = 0; grouped && i < nr; i++)
		gstk__outf(o, "greenstk: %u tasks \"%s\" wait for %s%s\n", groups[i].nr, groups[i].name,
			   gstk__why_name(groups[i].why), i == GROUPS - 1 ? ", or for other things" : "");
}

static uint64_t activity(void)
{
	uint64_t sum = 1 + atomic_load(&gstk__sched.foreign_spawns);

	for (uint32_t i = 0; i < gstk__sched.nr; i++)
		sum += __atomic_load_n(&gstk__sched.worker[i]->park.n.switches, __ATOMIC_RELAXED) +
		       __atomic_load_n(&gstk__sched.worker[i]->park.n.wakes, __ATOMIC_RELAXED);
	return sum;
}

static void report(uint32_t wakings)
{
	struct gstk__out o = { .fd = 2 };
	struct gstk__looker *l;
	uint64_t now = activity(), nr, sum = 0, again = 0;

	/* A call that ends has woken its task before it is no longer seen here. */
	if (now == reported_at || gstk__blocking_busy() || others_may_wake())
		return;
	/* Twice the same: a thread that woke somebody already looked at, and then waits, changes the sum. */
	nr = all_wait(&sum);
	if (!nr || all_wait(&again) != nr || sum != again || others_may_wake() || !gstk__all_slept_since(wakings))
		return;
	reported_at = now;
	gstk__outf(&o, "greenstk: deadlock: all %u tasks wait, and there is no timer, no descriptor and no thread that could wake one\n",
		   nr);
	l = gstk__look_begin();
	if (l) {
		print_tasks(&o, l, nr > ALL_SHOWN);
		gstk__look_end(l);
	}
	if (continue_after)
		gstk__outf(&o, "greenstk: going on (GSTK_DEADLOCK_CONTINUE)\n");
	gstk__out_flush(&o);
	if (!continue_after)
		abort();
}

void gstk__deadlock_report_init(bool go_on)
{
	continue_after = go_on;
	reported_at = 0;
	gstk__deadlock_hook = report;
}

void gstk__deadlock_report_fini(void)
{
	gstk__deadlock_hook = NULL;
}
