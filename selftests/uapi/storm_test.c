// SPDX-License-Identifier: MIT
/*
 * Every byte of every stack stays what it was, while four threads move stacks
 * and everything else that Linux does to memory goes on at the same time: forks,
 * reads by GUP, scans of the page tables, dropped caches, lazy and immediate
 * reclaim. Threads own windows; stacks are known by a pattern in each page.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "object.h"

#define THREADS 4
#define WINDOWS 8	/* of one thread */
#define STACKS 32
#define MOST 24		/* pages of a stack */

struct worker {
	struct object *o;
	unsigned int first, seed, rounds;
	int bad;		/* the line that saw it */
};

#define MUST(cond) do { if (!(cond)) { w->bad = __LINE__; return NULL; } } while (0)

/* Idle: what lies below may go. The word says when the window is ours again. */
static void idle_for_a_while(struct object *o, unsigned int window, size_t keep)
{
	struct greenstk_reclaim e = { .window = window, .keep_bytes = keep };
	uint32_t idle = GREENSTK_WORD_IDLE;

	if (batch(o, GREENSTK_RECLAIM, &e, 1, sizeof(e), GREENSTK_RECLAIM_LAZY, NULL))
		return;
	sched_yield();
	if (__atomic_compare_exchange_n(&o->words[window], &idle, GREENSTK_WORD_BUSY, false,
					__ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE))
		return;
	while (__atomic_load_n(&o->words[window], __ATOMIC_ACQUIRE) == GREENSTK_WORD_RECLAIMING)
		sched_yield();
}

static void *work(void *arg)
{
	struct worker *w = arg;
	uint64_t handle[STACKS], id[STACKS];
	size_t pages[STACKS];
	unsigned int i, k, round;

	for (i = 0; i < STACKS; i++) {
		pages[i] = rand_r(&w->seed) % MOST + 1;
		id[i] = w->first * 1000 + i;
		paint(window_base(w->o, w->first + i % WINDOWS), pages[i] * PAGE, id[i]);
		MUST(!park(w->o, w->first + i % WINDOWS, pages[i] * PAGE, &handle[i]));
	}
	for (round = 0; round < w->rounds; round++) {
		struct greenstk_switch e[WINDOWS] = { 0 };
		unsigned int pick[WINDOWS];
		uint32_t done;

		for (k = 0; k < WINDOWS; k++) {
			pick[k] = k * (STACKS / WINDOWS) + rand_r(&w->seed) % (STACKS / WINDOWS);
			e[k].window = w->first + k;
			e[k].handle_in = handle[pick[k]];
			e[k].eager_pages = rand_r(&w->seed) % 3 ? EAGER : rand_r(&w->seed) % 8U;
		}
		MUST(!batch(w->o, GREENSTK_SWITCH, e, WINDOWS, sizeof(*e), 0, &done) && done == WINDOWS);
		for (k = 0; k < WINDOWS; k++) {
			char *base = window_base(w->o, w->first + k);
			size_t bytes = pages[pick[k]] * PAGE;

			MUST(!e[k].result);
			switch (rand_r(&w->seed) % 4) {
			case 0:
				idle_for_a_while(w->o, w->first + k, bytes);
				break;
			case 1:
				MUST(!reclaim(w->o, w->first + k, bytes, NULL));
				break;
			}
			if (rand_r(&w->seed) % 2)
				MUST(!painted(base, bytes, id[pick[k]]));
			/* It changes, and scratch grows below it. */
			id[pick[k]] += 1000000;
			paint(base, bytes, id[pick[k]]);
			*(volatile char *)(base - bytes - (1 + rand_r(&w->seed) % 8) * PAGE) = 1;
			e[k] = (struct greenstk_switch){ .window = w->first + k, .out_bytes = bytes };
		}
		MUST(!batch(w->o, GREENSTK_SWITCH, e, WINDOWS, sizeof(*e), 0, &done) && done == WINDOWS);
		for (k = 0; k < WINDOWS; k++) {
			MUST(!e[k].result);
			handle[pick[k]] = e[k].handle_out;
		}
	}
	for (i = 0; i < STACKS; i++) {
		MUST(!resume(w->o, w->first, handle[i], i % 2 ? EAGER : 0));
		MUST(!painted(window_base(w->o, w->first), pages[i] * PAGE, id[i]));
	}
	return NULL;
}

FIXTURE(storm)
{
	struct object o;
	atomic_bool stop;
	atomic_ulong turns;
};

FIXTURE_SETUP(storm)
{
	ASSERT_EQ(0, object_open(&self->o, (struct object_opts){ .nr_windows = THREADS * WINDOWS }));
}

FIXTURE_TEARDOWN(storm)
{
	object_close(&self->o);
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		perror(path);
	close(fd);
}

static atomic_int bad_children;

/* Children that look around and die; the parent's page tables are copied or wiped meanwhile. */
static void fork_one(struct object *o, unsigned int turn)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(touch_signal(window_base(o, turn % o->s.nr_windows) - 1, true) != SIGBUS);
	if (pid > 0 && turn % 3 == 0)
		kill(pid, SIGKILL);
	if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status))
		atomic_fetch_add(&bad_children, 1);
}

/* Reads whole windows and slots as a debugger would; holes and guards end a read early. */
static void gup_scan(struct object *o, unsigned int turn)
{
	static __thread char buf[64 * PAGE];
	struct iovec to = { buf, sizeof(buf) };
	unsigned int i;

	for (i = 0; i < o->s.nr_windows; i++) {
		struct iovec stack = { window_base(o, i) - MOST * PAGE, MOST * PAGE };
		struct iovec slot = { o->park + (turn * 64 + i * 8) % 4096 * PAGE, 8 * PAGE };

		process_vm_readv(getpid(), &to, 1, &stack, 1, 0);
		process_vm_readv(getpid(), &to, 1, &slot, 1, 0);
	}
}

/* PAGEMAP_SCAN is there from 6.7 on; before, the reads of pagemap are what there is. */
static void table_scan(struct object *o, unsigned int turn)
{
	struct {
		uint64_t size, flags, start, end, walk_end, vec, vec_len, max, inverted, mask, anyof, ret;
	} scan = { 0 };
	uint64_t room[3 * 512];
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	scan.size = sizeof(scan);
	scan.start = (uintptr_t)o->map;
	scan.end = scan.start + o->s.map_bytes;
	scan.vec = (uintptr_t)room;
	scan.vec_len = sizeof(room) / 24;
	scan.mask = 1 << turn % 6;
	scan.ret = 0x3f;
	ioctl(fd, _IOWR('f', 16, scan), &scan);
	pread(fd, room, sizeof(room), ((uintptr_t)o->map / PAGE + turn % 64 * 64) * 8);
	close(fd);
	put("/proc/self/clear_refs", turn & 1 ? "1" : "4");
}

static void caches(struct object *o, unsigned int turn)
{
	put("/proc/sys/vm/drop_caches", "3");
	put("/proc/sys/vm/compact_memory", "1");
}

struct weather {
	void (*turn)(struct object *o, unsigned int turn);
	FIXTURE_DATA(storm) *self;
};

static void *blow(void *arg)
{
	struct weather *w = arg;
	unsigned int turn;

	for (turn = 0; !atomic_load(&w->self->stop); turn++) {
		w->turn(&w->self->o, turn);
		atomic_fetch_add(&w->self->turns, 1);
		usleep(2000);
	}
	return NULL;
}

TEST_F_TIMEOUT(storm, four_threads_keep_their_bytes_in_any_weather, 240)
{
	struct weather weather[] = {
		{ fork_one, self }, { gup_scan, self }, { table_scan, self }, { caches, self },
	};
	enum { KINDS = sizeof(weather) / sizeof(*weather) };
	pthread_t thread[THREADS], wind[KINDS];
	struct worker w[THREADS];
	int i;

	for (i = 0; i < KINDS; i++)
		ASSERT_EQ(0, pthread_create(&wind[i], NULL, blow, &weather[i]));
	for (i = 0; i < THREADS; i++) {
		w[i] = (struct worker){ .o = &self->o, .first = i * WINDOWS, .seed = i + 1, .rounds = 60 };
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, work, &w[i]));
	}
	for (i = 0; i < THREADS; i++) {
		pthread_join(thread[i], NULL);
		EXPECT_EQ(0, w[i].bad) TH_LOG("thread %d, line %d", i, w[i].bad);
	}
	atomic_store(&self->stop, true);
	for (i = 0; i < KINDS; i++)
		pthread_join(wind[i], NULL);
	EXPECT_EQ(0, stat_of(&self->o).handles);
	EXPECT_EQ(0, atomic_load(&bad_children));
	EXPECT_GE(atomic_load(&self->turns), KINDS);
}

TEST_HARNESS_MAIN
