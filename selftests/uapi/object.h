/* SPDX-License-Identifier: MIT */
/*
 * An object of /dev/greenstk for the suites: set up, mapped, with short calls
 * for batches of one. Errors come back as negative errno, of the call or else
 * of the entry.
 */
#ifndef OBJECT_H
#define OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../include/uapi/linux/greenstk.h"

#define PAGE	4096UL
#define EAGER	GREENSTK_EAGER_ALL

struct object {
	int fd;
	struct greenstk_setup s;
	char *map;
	char *park;
	char *grave;
	volatile uint32_t *words;
};

struct object_opts {
	uint32_t nr_windows;
	uint64_t window_bytes;
	uint64_t guard_bytes;
	uint64_t park_bytes;
};

/* Zero fields: 64 windows of 256 KiB, guard 64 KiB, 64 MiB parking. 0 or -errno. */
int object_open(struct object *o, struct object_opts opts);
int object_shape(struct object *o, struct object_opts opts);
int object_map(struct object *o);
void object_close(struct object *o);

char *window_base(const struct object *o, unsigned int window);
char *window_limit(const struct object *o, unsigned int window);

int batch(const struct object *o, unsigned long cmd, void *entries, uint32_t nr,
	  uint32_t entry_size, uint32_t flags, uint32_t *done);
int do_switch(const struct object *o, struct greenstk_switch *e);
int park(const struct object *o, unsigned int window, size_t bytes, uint64_t *handle);
int resume(const struct object *o, unsigned int window, uint64_t handle, uint32_t eager);
int drop(const struct object *o, uint64_t handle);
int reclaim(const struct object *o, unsigned int window, size_t keep, uint64_t *freed);
int populate(const struct object *o, uint64_t *handle, size_t offset, size_t bytes, char **at);
struct greenstk_stat stat_of(const struct object *o);

/* A pattern of task @id in the lowest and highest words of each page of [from, base). */
void paint(char *base, size_t bytes, uint64_t id);
/* Bytes of the first page, from the base down, that differs; 0: none does. */
size_t painted(const char *base, size_t bytes, uint64_t id);
bool all_zero(const char *p, size_t bytes);

/* Of a child: its exit status, or 128 + signal. */
int wait_for(pid_t pid);
/* Runs fn in a forked child; what wait_for() says of it. */
int in_child(int (*fn)(void *arg), void *arg);
/* Runs fn on the stack of a window, its frames below the page at the base. */
void run_in_window(const struct object *o, unsigned int window, void (*fn)(void *), void *arg);
/* The signal that touching p raises (in a child made by vfork-like clone), 0 if none. */
int touch_signal(volatile char *p, bool write);
/* si_code of that signal. */
extern volatile int touch_code;

long shootdowns(void);			/* interrupts of all CPUs for TLB flushes so far */
uint64_t rss_pages(void);		/* file + shmem pages of this process */
bool write_param(const char *name, const char *value);
bool read_param(const char *name, char *value, size_t size);

#endif
