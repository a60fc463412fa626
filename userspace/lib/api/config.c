// SPDX-License-Identifier: MIT
/* Configuration: what the caller says, what the environment says, defaults, sanity. */
#include "api/config.h"
#include "api/misspelt.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "debug/mode.h"
#include "host/host.h"
#include "park/arena.h"

#define MAX_WORKERS 256u
#define MAX_BLOCKING_THREADS 32768u
#define KNOWN_FLAGS (GSTK_EMBEDDED | GSTK_NO_SEGV_HANDLER | GSTK_FORCE_EVICT | GSTK_FORCE_PACK | \
			    GSTK_NO_SWEEP | GSTK_DEADLOCK_CONTINUE | GSTK_FORCE_REMAP | GSTK_PRIVATE_TASKS)

#define SEALED_WINDOWS (1u << 20) /* with GREENSTK_DEBUG=stacks: what is shared hides pointers */

struct gstk_config gstk__config;

/* A number with an optional K, M, G. -EINVAL for anything else. */
static int parse_size(const char *s, unsigned long long *out)
{
	char *end;
	unsigned long long v;

	unsigned int shift = 0;

	errno = 0;
	v = strtoull(s, &end, 0);
	if (errno || end == s || strchr(s, '-'))
		return -EINVAL;
	switch (*end) {
	case 'G': case 'g':
		shift += 10;
		/* fall through */
	case 'M': case 'm':
		shift += 10;
		/* fall through */
	case 'K': case 'k':
		shift += 10;
		end++;
		break;
	}
	if (*end || v << shift >> shift != v)
		return -EINVAL;
	*out = v << shift;
	return 0;
}

static int from_env(const char *name, unsigned long long *value, bool *set)
{
	const char *s = getenv(name);

	*set = s && *s;
	if (!*set)
		return 0;
	if (parse_size(s, value)) {
		fprintf(stderr, "greenstk: %s=%s is not a number (suffixes K, M, G are allowed)\n", name, s);
		return -EINVAL;
	}
	return 0;
}

static int absurd(const char *what, unsigned long long value, const char *limits)
{
	fprintf(stderr, "greenstk: %s = %llu makes no sense: %s\n", what, value, limits);
	return -EINVAL;
}

static int env_flag(struct gstk_config *c, const char *name, uint32_t flag)
{
	unsigned long long v;
	bool set;

	if (from_env(name, &v, &set))
		return -EINVAL;
	if (set && v > 1)
		return absurd(name, v, "0 or 1");
	if (set)
		c->flags = v ? c->flags | flag : c->flags & ~flag;
	return 0;
}

/* "USR1" or "SIGUSR1"; 0: no such name. */
static int signal_of(const char *name)
{
	if (!strncmp(name, "SIG", 3))
		name += 3;
	for (int sig = 1; sig < 32; sig++) {
		const char *known = sigabbrev_np(sig);

		if (known && !strcmp(known, name))
			return sig;
	}
	return 0;
}

/* The only field that may be negative: -1 is no signal at all. */
static int signal_from_env(int *sig)
{
	const char *s = getenv("GREENSTK_DUMP_SIGNAL");
	unsigned long long v;

	if (!s || !*s)
		return 0;
	if (!strcmp(s, "-1"))
		*sig = -1;
	else if (signal_of(s))
		*sig = signal_of(s);
	else if (!parse_size(s, &v))
		*sig = v > INT_MAX ? INT_MAX : (int)v;
	else {
		fprintf(stderr, "greenstk: GREENSTK_DUMP_SIGNAL=%s is no signal; give a number, a name as USR1, or -1 for none\n", s);
		return -EINVAL;
	}
	return 0;
}

/* Signals that can be caught, and that the library does not need itself. */
static bool may_dump_on(int sig)
{
	bool libcs = sig > 31 && sig < SIGRTMIN;

	return sig > 0 && sig <= SIGRTMAX && !libcs && sig != SIGKILL && sig != SIGSTOP && sig != SIGSEGV && sig != SIGBUS;
}

/* One of @nr names, whose place is the number. */
static int env_name(const char *variable, uint32_t *value, const char *const *names, uint32_t nr)
{
	const char *s = getenv(variable);

	for (uint32_t i = 0; s && *s && i < nr; i++) {
		if (!strcmp(s, names[i])) {
			*value = i;
			return 0;
		}
	}
	if (!s || !*s)
		return 0;
	fprintf(stderr, "greenstk: %s=%s is none of", variable, s);
	for (uint32_t i = 0; i < nr; i++)
		fprintf(stderr, "%s %s", i ? "," : "", names[i]);
	fputc('\n', stderr);
	return -EINVAL;
}

static int env_backend(struct gstk_config *c)
{
	static const char *const names[] = { "auto", "module", "copy", "uffd" };

	return env_name("GREENSTK_BACKEND", &c->backend, names, sizeof(names) / sizeof(*names));
}

static int env_files(struct gstk_config *c)
{
	static const char *const names[] = { "auto", "uring", "pool" };

	return env_name("GREENSTK_FILES", &c->files, names, sizeof(names) / sizeof(*names));
}

int gstk__config_resolve(struct gstk_config *c, const struct gstk_config *in)
{
	unsigned long long v;
	bool set;

	memset(c, 0, sizeof(*c));
	if (in) {
		if (in->size < offsetof(struct gstk_config, workers) || in->size > 4096)
			return absurd("gstk_config.size", in->size, "set it to sizeof(struct gstk_config)");
		memcpy(c, in, in->size < sizeof(*c) ? in->size : sizeof(*c));
	}
	c->size = sizeof(*c);
	gstk__misspelt_tell(environ);
	if (c->flags & ~(uint32_t)KNOWN_FLAGS)
		return absurd("flags", c->flags, "bits that this version does not know");
#define ENV(name, field) \
	do { \
		if (from_env(name, &v, &set)) \
			return -EINVAL; \
		if (set && (__typeof__(c->field))v != v) \
			return absurd(name, v, "more than 32 bits"); \
		if (set) \
			c->field = (__typeof__(c->field))v; \
	} while (0)
	ENV("GREENSTK_WORKERS", workers);
	ENV("GREENSTK_WINDOWS", windows);
	ENV("GREENSTK_WINDOW_SIZE", window_size);
	ENV("GREENSTK_MAX_TASKS", max_tasks);
	ENV("GREENSTK_IMAGE_BYTES", image_bytes);
	ENV("GREENSTK_RESIDENT_BUDGET", resident_budget);
	ENV("GREENSTK_EVICT_IDLE_NS", evict_idle_ns);
	ENV("GREENSTK_PACK_IDLE_NS", pack_idle_ns);
	ENV("GREENSTK_MAIN_STACK", main_stack);
	ENV("GREENSTK_STUCK_REPORT_NS", stuck_report_ns);
	ENV("GREENSTK_BLOCKING_THREADS", blocking_threads);
#undef ENV
	if (signal_from_env(&c->dump_signal))
		return -EINVAL;
	if (env_flag(c, "GREENSTK_FORCE_EVICT", GSTK_FORCE_EVICT) ||
	    env_flag(c, "GREENSTK_FORCE_PACK", GSTK_FORCE_PACK) ||
	    env_flag(c, "GREENSTK_FORCE_REMAP", GSTK_FORCE_REMAP) ||
	    env_flag(c, "GREENSTK_PRIVATE_TASKS", GSTK_PRIVATE_TASKS) ||
	    env_flag(c, "GREENSTK_NO_SWEEP", GSTK_NO_SWEEP) || env_backend(c) || env_files(c) ||
	    gstk__debug_mode(&gstk__debugging))
		return -EINVAL;
	if (gstk__debugging & GSTK__DEBUG_STACKS)
		c->flags |= GSTK_FORCE_EVICT;
	if (c->flags & GSTK_EMBEDDED)
		c->workers = 1;
	if (!c->workers)
		c->workers = gstk__cpu_count();
	if (!c->windows)
		c->windows = gstk__debugging & GSTK__DEBUG_STACKS ? SEALED_WINDOWS : 65536;
	if (!c->window_size)
		c->window_size = 256u << 10;
	if (!c->max_tasks)
		c->max_tasks = 1u << 26;
	if (!c->image_bytes)
		c->image_bytes = (size_t)64 << 30;
	if (!c->resident_budget)
		c->resident_budget = 64u << 20;
	if (!c->evict_idle_ns)
		c->evict_idle_ns = 1000000000u;
	if (!c->pack_idle_ns)
		c->pack_idle_ns = 30000000000u;
	if (!c->dump_signal)
		c->dump_signal = SIGQUIT;
	if (!c->main_stack)
		c->main_stack = 1u << 20;
	if (!c->blocking_threads)
		c->blocking_threads = 512;
	if (c->backend > GSTK_BACKEND_UFFD)
		return absurd("backend", c->backend, "one of enum gstk_backend");
	if (c->files > GSTK_FILES_POOL)
		return absurd("files", c->files, "one of enum gstk_files");
	if (c->workers > MAX_WORKERS)
		return absurd("workers", c->workers, "1 .. 256");
	if (c->blocking_threads > MAX_BLOCKING_THREADS)
		return absurd("blocking_threads", c->blocking_threads, "1 .. 32768");
	if (c->windows > 1u << 22)
		return absurd("windows", c->windows, "1 .. 4194304");
	if (c->window_size & (c->window_size - 1) || c->window_size < 256u << 10 || c->window_size > 1u << 30)
		return absurd("window_size", c->window_size, "a power of two, 256 KiB .. 1 GiB (64 KiB of it are guard)");
	if (c->max_tasks > 1u << 26)
		return absurd("max_tasks", c->max_tasks, "1 .. 67108864");
	if (c->dump_signal != -1 && !may_dump_on(c->dump_signal)) {
		fprintf(stderr, "greenstk: dump_signal = %d makes no sense: a signal that can be caught, not SIGSEGV or "
			"SIGBUS; -1 for none\n", c->dump_signal);
		return -EINVAL;
	}
	if (c->image_bytes > GSTK__ARENA_MAX_BYTES)
		return absurd("image_bytes", c->image_bytes, "at most 64 GiB");
	if (c->main_stack > (size_t)1 << 34)
		return absurd("main_stack", c->main_stack, "at most 16 GiB");
	return 0;
}
