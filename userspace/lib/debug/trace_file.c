// SPDX-License-Identifier: MIT
/*
 * The trace's thread: empties the rings into a file of Chrome's trace event format (JSON), which Perfetto
 * opens. A row a worker; a slice for each run of a task, complete when the task has left; so what lacks one
 * of its two ends (dropped) is left out, and the slices of a row never overlap.
 */
#include "debug/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "debug/look.h"
#include "debug/symbol.h"
#include "host/host.h"
#include "sched/worker.h"

#define PERIOD_NS 5000000u
#define MAX_BYTES ((uint64_t)1 << 30)
#define EVENT	  512u /* more than the longest line */

/* What runs on a worker, as far as it has been read. */
struct row {
	bool open;
	struct gstk__trace_record run;
};

static struct {
	char path[4096];
	pthread_t thread;
	_Atomic uint32_t stop;
	int fd, err;
	int pid;
	uint32_t nr;
	uint64_t begin_ns, bytes, dropped;
	int64_t stacks[6];
	struct row *row;
	struct gstk__symbols *symbols;
	size_t used;
	char buf[64u << 10];
} file;

static void give_up(const char *why)
{
	fprintf(stderr, "greenstk: GREENSTK_TRACE=%s: %s; what follows is not traced\n", file.path, why);
	file.err = -1;
}

static void flush(void)
{
	for (size_t at = 0; at < file.used && !file.err;) {
		ssize_t n = write(file.fd, file.buf + at, file.used - at);

		if (n < 0 && errno != EINTR)
			give_up(strerror(errno));
		else if (n > 0)
			at += (size_t)n;
	}
	file.bytes += file.used;
	file.used = 0;
	if (file.bytes > MAX_BYTES && !file.err)
		give_up("it has reached 1 GiB");
}

static __attribute__((format(printf, 1, 2))) void line(const char *format, ...)
{
	va_list ap;

	if (sizeof(file.buf) - file.used < EVENT)
		flush();
	va_start(ap, format);
	file.used += (size_t)vsnprintf(file.buf + file.used, EVENT, format, ap);
	va_end(ap);
}

/* Microseconds: what the format counts in. */
#define US(ns) (unsigned long long)((ns) / 1000), (unsigned int)((ns) % 1000)

/* What JSON takes as it is. */
static void quoted(char *to, size_t bytes, const char *s)
{
	size_t i = 0;

	for (; s[i] && i < bytes - 1; i++)
		to[i] = s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\' ? '?' : s[i];
	to[i] = 0;
}

/* The task's own name, or its function's. */
static void name_of(const struct gstk__trace_record *run, char *to, size_t bytes)
{
	const char *name = run->name;

	if (!*name && run->fn)
		name = gstk__symbol_find(file.symbols, (uintptr_t)run->fn)->name;
	quoted(to, bytes, name && *name ? name : "task");
}

static void common(uint32_t worker, uint64_t ns, const char *phase)
{
	ns = ns > file.begin_ns ? ns - file.begin_ns : 0;
	line(",\n{\"pid\":%d,\"tid\":%u,\"ts\":%llu.%03u,\"ph\":\"%s\"", file.pid, worker + 1, US(ns), phase);
}

static void write_run(uint32_t worker, const struct gstk__trace_record *run, const struct gstk__trace_record *left)
{
	const char *until = left->how == GSTK__TRACE_ENDED ? "end" : left->how == GSTK__TRACE_YIELDED ? "yield"
			  : gstk__why_name(left->how);
	/* Perfetto cuts a start off that is one digit in the last place short of its nanosecond: that must not lie
	 * in the run before. */
	uint64_t ns = left->ns > run->ns ? left->ns - run->ns - 1 : 0;
	char name[80];

	name_of(run, name, sizeof(name));
	common(worker, run->ns, "X");
	line(",\"cat\":\"run\",\"name\":\"%s\",\"dur\":%llu.%03u,\"args\":{\"task\":%u,\"until\":\"%s\",\"stack\":%llu}}", name,
	     US(ns), run->task, until, (unsigned long long)left->value);
	if (!run->value)
		return;
	common(worker, run->ns, "f");
	line(",\"bp\":\"e\",\"cat\":\"flow\",\"name\":\"wake\",\"id\":%llu}", (unsigned long long)run->value);
}

static void instant(uint32_t worker, const struct gstk__trace_record *e, const char *name)
{
	common(worker, e->ns, "i");
	line(",\"s\":\"t\",\"cat\":\"%s\",\"name\":\"%s\",\"args\":{\"task\":%u", name, name, e->task);
}

static void write_move(uint32_t worker, const struct gstk__trace_record *e, const char *name)
{
	static const char *const tiers[GSTK__NR_TIERS] = {
		[GSTK__TIER_NONE] = "none", [GSTK__TIER_RESIDENT] = "window", [GSTK__TIER_COPIED] = "copied",
		[GSTK__TIER_PACKED] = "packed", [GSTK__TIER_REMAPPED] = "remapped", [GSTK__TIER_COLD] = "cold",
		[GSTK__TIER_DEEP] = "deep", [GSTK__TIER_DEEP_PACKED] = "deep packed", [GSTK__TIER_STACKLESS] = "stackless",
	};

	instant(worker, e, name);
	line(",\"bytes\":%llu,\"tier\":\"%s\"}}", (unsigned long long)e->value,
	     e->how < GSTK__NR_TIERS ? tiers[e->how] : "?");
}

static void write_record(uint32_t worker, const struct gstk__trace_record *e)
{
	struct row *row = &file.row[worker];

	switch ((enum gstk__trace_kind)e->kind) {
	case GSTK__TRACE_RUN:
		row->run = *e;
		row->open = true;
		break;
	case GSTK__TRACE_LEFT:
		if (row->open && row->run.task == e->task)
			write_run(worker, &row->run, e);
		row->open = false;
		break;
	case GSTK__TRACE_WAKE:
		instant(worker, e, "wake");
		line("}}");
		if (!e->value)
			break;
		common(worker, e->ns, "s");
		line(",\"cat\":\"flow\",\"name\":\"wake\",\"id\":%llu}", (unsigned long long)e->value);
		break;
	case GSTK__TRACE_EVICT:
		write_move(worker, e, "evict");
		break;
	case GSTK__TRACE_RESTORE:
		write_move(worker, e, "restore");
		break;
	case GSTK__TRACE_PACK:
		instant(worker, e, "pack");
		line(",\"bytes\":%llu,\"packed\":%llu}}", (unsigned long long)(uint32_t)e->value,
		     (unsigned long long)(e->value >> 32));
		break;
	case GSTK__TRACE_STEAL:
		instant(worker, e, "steal");
		line(",\"from\":%llu,\"window\":%u}}", (unsigned long long)e->value, e->task >> 31);
		break;
	}
}

/* Gauges are differences: their sum may be off for a moment. */
static int64_t sum(size_t offset)
{
	int64_t n = 0;

	for (uint32_t i = 0; i < file.nr; i++)
		n += __atomic_load_n((int64_t *)((char *)&gstk__sched.worker[i]->park.n + offset), __ATOMIC_RELAXED);
	return n > 0 ? n : 0;
}

static void write_counters(void)
{
#define GAUGE(name) sum(offsetof(struct gstk__counters, name))
	int64_t now[6] = { GAUGE(resident), GAUGE(copied), GAUGE(packed), GAUGE(remapped),
			   GAUGE(bytes_copied), GAUGE(bytes_packed) };
#undef GAUGE
	uint64_t ns = gstk__now_ns();

	if (!memcmp(now, file.stacks, sizeof(now)))
		return;
	memcpy(file.stacks, now, sizeof(now));
	common(0, ns, "C");
	line(",\"name\":\"stacks\",\"args\":{\"resident\":%lld,\"copied\":%lld,\"packed\":%lld,\"remapped\":%lld}}",
	     (long long)now[0], (long long)now[1], (long long)now[2], (long long)now[3]);
	common(0, ns, "C");
	line(",\"name\":\"image bytes\",\"args\":{\"copied\":%lld,\"packed\":%lld}}", (long long)now[4], (long long)now[5]);
}

static void empty_rings(void)
{
	uint64_t dropped = 0;

	for (uint32_t i = 0; i < file.nr; i++) {
		struct gstk__trace_ring *r = gstk__trace_ring(i);
		uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
		uint32_t head = atomic_load_explicit(&r->head, memory_order_acquire);

		for (; tail != head; tail++) {
			if (!file.err)
				write_record(i, &r->record[tail % GSTK__TRACE_RECORDS]);
			atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
		}
		dropped += atomic_load_explicit(&r->dropped, memory_order_relaxed);
	}
	if (dropped != file.dropped && !file.err) {
		common(0, gstk__now_ns(), "C");
		line(",\"name\":\"dropped records\",\"args\":{\"records\":%llu}}", (unsigned long long)dropped);
	}
	file.dropped = dropped;
}

static void *writer(void *arg)
{
	uint32_t stop;

	do {
		stop = atomic_load(&file.stop);
		empty_rings();
		if (!file.err)
			write_counters();
		flush();
		if (!stop)
			gstk__futex_wait(&file.stop, 0, PERIOD_NS);
	} while (!stop);
	return NULL;
}

/* %p in the name is the process, so that several do not share a file. */
static void resolve(const char *name)
{
	const char *p = strstr(name, "%p");

	if (p)
		snprintf(file.path, sizeof(file.path), "%.*s%d%s", (int)(p - name), name, file.pid, p + 2);
	else
		snprintf(file.path, sizeof(file.path), "%s", name);
}

static int open_file(void)
{
	file.fd = open(file.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	return file.fd < 0 ? -errno : 0;
}

static int begin(uint32_t nr, size_t max_tasks)
{
	sigset_t all, old;
	int err;

	file.row = calloc(nr, sizeof(*file.row));
	file.symbols = calloc(1, sizeof(*file.symbols));
	err = gstk__trace_rings_init(nr, max_tasks);
	if (err || !file.row || !file.symbols)
		return -ENOMEM;
	err = open_file();
	if (err)
		return err;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old); /* it takes no signals of the application */
	err = -pthread_create(&file.thread, NULL, writer, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return err;
}

static void release(void)
{
	if (file.fd >= 0)
		close(file.fd);
	gstk__trace_rings_fini();
	if (file.symbols)
		gstk__symbols_free(file.symbols);
	free(file.symbols);
	free(file.row);
	file.symbols = NULL;
	file.row = NULL;
}

void gstk__trace_begin(size_t max_tasks)
{
	const char *name = secure_getenv("GREENSTK_TRACE");
	uint32_t nr = gstk__sched.nr;
	char program[64];
	int err;

	if (!name || !*name)
		return;
	file.pid = getpid();
	file.fd = -1;
	file.err = 0;
	file.nr = nr;
	file.begin_ns = gstk__now_ns();
	file.bytes = file.dropped = file.used = 0;
	memset(file.stacks, 0xff, sizeof(file.stacks)); /* the first ones are written whatever they are */
	atomic_store(&file.stop, 0);
	resolve(name);
	quoted(program, sizeof(program), program_invocation_short_name);
	line("[\n{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":%d,\"args\":{\"name\":\"%s\"}}", file.pid, program);
	for (uint32_t i = 0; i < nr; i++)
		line(",\n{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":%d,\"tid\":%u,\"args\":{\"name\":\"worker %u\"}}",
		     file.pid, i + 1, i);
	err = begin(nr, max_tasks);
	if (err) {
		fprintf(stderr, "greenstk: GREENSTK_TRACE=%s: %s; nothing is traced\n", file.path, strerror(-err));
		release();
		return;
	}
	gstk__tracing = gstk__leave_long = true;
	for (uint32_t i = 0; i < nr; i++)
		gstk__sched.worker[i]->batch |= GSTK__BATCH_TRACED;
}

void gstk__trace_end(void)
{
	if (!gstk__tracing)
		return;
	gstk__tracing = false;
	atomic_store(&file.stop, 1);
	gstk__futex_wake(&file.stop, 1);
	pthread_join(file.thread, NULL);
	if (!file.err) {
		line("\n]\n");
		flush();
	}
	if (file.dropped)
		fprintf(stderr, "greenstk: GREENSTK_TRACE=%s: %llu records were dropped: more than could be written\n",
			file.path, (unsigned long long)file.dropped);
	release();
}
