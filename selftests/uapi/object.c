// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "object.h"

int object_shape(struct object *o, struct object_opts opts)
{
	memset(&o->s, 0, sizeof(o->s));
	o->s.size = sizeof(o->s);
	o->s.nr_windows = opts.nr_windows ? opts.nr_windows : 64;
	o->s.window_bytes = opts.window_bytes ? opts.window_bytes : 256 << 10;
	o->s.guard_bytes = opts.guard_bytes ? opts.guard_bytes : 64 << 10;
	o->s.park_bytes = opts.park_bytes ? opts.park_bytes : 64 << 20;
	return ioctl(o->fd, GREENSTK_SETUP, &o->s) ? -errno : 0;
}

int object_map(struct object *o)
{
	o->map = mmap(NULL, o->s.map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, o->fd, 0);
	if (o->map == MAP_FAILED)
		return -errno;
	o->grave = mmap(NULL, o->s.grave_bytes, PROT_NONE, MAP_SHARED, o->fd, o->s.grave_offset);
	if (o->grave == MAP_FAILED)
		return -errno;
	o->park = o->map + o->s.park_offset;
	o->words = (void *)(o->map + o->s.words_offset);
	return 0;
}

int object_open(struct object *o, struct object_opts opts)
{
	int err;

	memset(o, 0, sizeof(*o));
	o->map = o->grave = MAP_FAILED;
	o->fd = open(GREENSTK_DEVICE, O_RDWR | O_CLOEXEC);
	if (o->fd < 0)
		return -errno;
	err = object_shape(o, opts);
	return err ? err : object_map(o);
}

void object_close(struct object *o)
{
	if (o->map != MAP_FAILED)
		munmap(o->map, o->s.map_bytes);
	if (o->grave != MAP_FAILED)
		munmap(o->grave, o->s.grave_bytes);
	o->grave = MAP_FAILED;
	if (o->fd >= 0)
		close(o->fd);
	o->map = MAP_FAILED;
	o->fd = -1;
}

char *window_base(const struct object *o, unsigned int window)
{
	return o->map + (window + 1UL) * o->s.window_bytes;
}

char *window_limit(const struct object *o, unsigned int window)
{
	return o->map + window * o->s.window_bytes + o->s.guard_bytes;
}

int batch(const struct object *o, unsigned long cmd, void *entries, uint32_t nr,
	  uint32_t entry_size, uint32_t flags, uint32_t *done)
{
	struct greenstk_batch b = {
		.entries = (uintptr_t)entries, .nr = nr, .entry_size = entry_size, .flags = flags,
	};
	int err = ioctl(o->fd, cmd, &b) ? -errno : 0;

	if (done)
		*done = b.done;
	return err;
}

int do_switch(const struct object *o, struct greenstk_switch *e)
{
	int err = batch(o, GREENSTK_SWITCH, e, 1, sizeof(*e), 0, NULL);

	return err ? err : e->result;
}

int park(const struct object *o, unsigned int window, size_t bytes, uint64_t *handle)
{
	struct greenstk_switch e = { .window = window, .out_bytes = bytes };
	int err = do_switch(o, &e);

	*handle = err ? 0 : e.handle_out;
	return err;
}

int resume(const struct object *o, unsigned int window, uint64_t handle, uint32_t eager)
{
	struct greenstk_switch e = {
		.window = window, .handle_in = handle, .eager_pages = eager,
	};

	return do_switch(o, &e);
}

int drop(const struct object *o, uint64_t handle)
{
	struct greenstk_drop e = { .handle = handle };
	int err = batch(o, GREENSTK_DROP, &e, 1, sizeof(e), 0, NULL);

	return err ? err : e.result;
}

int reclaim(const struct object *o, unsigned int window, size_t keep, uint64_t *freed)
{
	struct greenstk_reclaim e = { .window = window, .keep_bytes = keep };
	int err = batch(o, GREENSTK_RECLAIM, &e, 1, sizeof(e), GREENSTK_RECLAIM_NOW, NULL);

	if (freed)
		*freed = e.freed_pages;
	return err ? err : e.result;
}

int populate(const struct object *o, uint64_t *handle, size_t offset, size_t bytes, char **at)
{
	struct greenstk_populate e = { .handle = *handle, .offset = offset, .bytes = bytes };
	int err = batch(o, GREENSTK_POPULATE, &e, 1, sizeof(e), 0, NULL);

	if (err || e.result)
		return err ? err : e.result;
	*handle = e.handle;
	if (at)
		*at = o->map + e.slot_offset;
	return 0;
}

struct greenstk_stat stat_of(const struct object *o)
{
	struct greenstk_stat st = { .size = sizeof(st) };

	if (ioctl(o->fd, GREENSTK_STAT, &st))
		memset(&st, 0xff, sizeof(st));
	return st;
}

static uint64_t mark(uint64_t id, size_t page)
{
	return (id * 0x9e3779b97f4a7c15ULL) ^ (page * 0xc2b2ae3d27d4eb4fULL) ^ 0x5bd1e995;
}

void paint(char *base, size_t bytes, uint64_t id)
{
	size_t page;

	for (page = 1; page * PAGE <= bytes; page++) {
		*(volatile uint64_t *)(base - page * PAGE) = mark(id, page);
		*(volatile uint64_t *)(base - page * PAGE + PAGE - 8) = ~mark(id, page);
	}
}

size_t painted(const char *base, size_t bytes, uint64_t id)
{
	size_t page;

	for (page = 1; page * PAGE <= bytes; page++)
		if (*(volatile uint64_t *)(base - page * PAGE) != mark(id, page) ||
		    *(volatile uint64_t *)(base - page * PAGE + PAGE - 8) != ~mark(id, page))
			return page * PAGE;
	return 0;
}

bool all_zero(const char *p, size_t bytes)
{
	size_t i;

	for (i = 0; i < bytes; i++)
		if (p[i])
			return false;
	return true;
}

int wait_for(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int in_child(int (*fn)(void *arg), void *arg)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(fn(arg));
	return pid < 0 ? -1 : wait_for(pid);
}

static void (*stack_fn)(void *arg);
static void *stack_arg;
static ucontext_t stack_back, stack_to;

static void on_stack(void)
{
	stack_fn(stack_arg);
}

void run_in_window(const struct object *o, unsigned int window, void (*fn)(void *), void *arg)
{
	stack_fn = fn;
	stack_arg = arg;
	getcontext(&stack_to);
	stack_to.uc_stack.ss_sp = window_limit(o, window);
	stack_to.uc_stack.ss_size = window_base(o, window) - window_limit(o, window) - PAGE;
	stack_to.uc_link = &stack_back;
	makecontext(&stack_to, on_stack, 0);
	swapcontext(&stack_back, &stack_to);
}

static __thread sigjmp_buf touch_out;
volatile int touch_code;

static void touch_handler(int sig, siginfo_t *info, void *context)
{
	touch_code = info->si_code;
	siglongjmp(touch_out, sig);
}

int touch_signal(volatile char *p, bool write)
{
	struct sigaction sa = { .sa_sigaction = touch_handler, .sa_flags = SA_SIGINFO }, segv, bus;
	int sig;

	sigaction(SIGSEGV, &sa, &segv);
	sigaction(SIGBUS, &sa, &bus);
	sig = sigsetjmp(touch_out, 1);
	if (!sig) {
		char c = *p;

		if (write)
			*p = c;
	}
	sigaction(SIGSEGV, &segv, NULL);
	sigaction(SIGBUS, &bus, NULL);
	return sig;
}

static uint64_t status_kib(const char *key)
{
	char line[256];
	uint64_t v = 0;
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			v = strtoull(line + strlen(key), NULL, 10);
	if (f)
		fclose(f);
	return v;
}

uint64_t rss_pages(void)
{
	return (status_kib("RssFile:") + status_kib("RssShmem:")) / 4;
}

long shootdowns(void)
{
	char line[4096], *p, *end;
	long sum = 0, v;
	FILE *f = fopen("/proc/interrupts", "r");

	while (f && fgets(line, sizeof(line), f)) {
		p = strstr(line, "TLB:");
		for (p = p ? p + 4 : NULL; p; p = end) {
			v = strtol(p, &end, 10);
			if (end == p)
				break;
			sum += v;
		}
	}
	if (f)
		fclose(f);
	return sum;
}

#define PARAMS "/sys/module/greenstk/parameters/"

bool write_param(const char *name, const char *value)
{
	char path[128];
	bool ok;
	FILE *f;

	snprintf(path, sizeof(path), PARAMS "%s", name);
	f = fopen(path, "w");
	if (!f)
		return false;
	ok = fputs(value, f) >= 0;
	return !fclose(f) && ok;
}

bool read_param(const char *name, char *value, size_t size)
{
	char path[128];
	bool ok;
	FILE *f;

	snprintf(path, sizeof(path), PARAMS "%s", name);
	f = fopen(path, "r");
	if (!f)
		return false;
	ok = fgets(value, size, f);
	fclose(f);
	if (ok)
		value[strcspn(value, "\n")] = 0;
	return ok;
}
