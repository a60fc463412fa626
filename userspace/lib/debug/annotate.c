// SPDX-License-Identifier: MIT
#include "debug/annotate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "host/host.h"
#include "sched/annex.h"
#include "window/window.h"

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif

void gstk__annotate_stack(char *limit, char *base)
{
#ifdef VALGRIND_STACK_REGISTER
	(void)VALGRIND_STACK_REGISTER(limit, base);
#else
	(void)limit;
	(void)base;
#endif
}

#if defined(GSTK__ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

static void **shadows; /* by task: poison of an evicted stack */
static __thread const void *loop_bottom;
static __thread size_t loop_size;
static __thread bool in_loop = true;

int gstk__annotate_init(size_t max_tasks)
{
	shadows = gstk__mem_reserve((max_tasks + 1) * sizeof(*shadows), 4096);
	return shadows ? 0 : -ENOMEM;
}

void gstk__annotate_fini(size_t max_tasks)
{
	gstk__mem_release(shadows, (max_tasks + 1) * sizeof(*shadows));
	shadows = NULL;
}

void gstk__annotate_thread(void)
{
	in_loop = true;
}

static char *shadow_of(const void *p)
{
#if defined(__x86_64__)
	return (char *)(((uintptr_t)p >> 3) + 0x7fff8000);
#else
	return (char *)(((uintptr_t)p >> 3) + ((uintptr_t)1 << 36));
#endif
}

void gstk__annotate_before_switch(void **token, struct gstk_task *to)
{
	if (to) {
		uint32_t window = gstk__stands_on(to);
		char *limit = gstk__win_limit(window);

		__sanitizer_start_switch_fiber(token, limit, (size_t)(gstk__win_base(window) - limit));
	} else {
		__sanitizer_start_switch_fiber(token, loop_bottom, loop_size);
	}
}

__attribute__((noinline)) void gstk__annotate_after_switch(void *token)
{
	const void *bottom;
	size_t size;

	__sanitizer_finish_switch_fiber(token, &bottom, &size);
	if (in_loop) { /* the first time we left the thread's own stack */
		loop_bottom = bottom;
		loop_size = size;
		in_loop = false;
	}
}

void gstk__annotate_task_begin(struct gstk_task *t)
{
	gstk__annotate_clean(t);
}

/* Whoever had the window before may have left poison. */
void gstk__annotate_clean(struct gstk_task *t)
{
	char *limit = gstk__win_limit(t->window);

	__asan_unpoison_memory_region(limit, (size_t)(gstk__win_base(t->window) - limit));
}

void gstk__annotate_unmapped(char *from, size_t bytes)
{
	__asan_unpoison_memory_region(from, bytes);
}

/* As above. */
void gstk__annotate_annex(struct gstk_task *t)
{
	uint32_t window = gstk__stands_on(t);
	char *limit = gstk__win_limit(window);

	__asan_unpoison_memory_region(limit, (size_t)(gstk__win_base(window) - limit));
}

void gstk__annotate_task_end(struct gstk_task *t)
{
	free(shadows[gstk__task_index(t)]);
	shadows[gstk__task_index(t)] = NULL;
}

__attribute__((no_sanitize("address"))) void gstk__annotate_evicted(struct gstk_task *t, char *sp, size_t bytes)
{
	void **s = &shadows[gstk__task_index(t)];

	free(*s);
	*s = malloc(bytes / 8 + 1);
	if (!*s)
		abort();
	for (size_t i = 0; i < bytes / 8; i++)
		((volatile char *)*s)[i] = ((volatile char *)shadow_of(sp))[i];
	__asan_unpoison_memory_region(sp, bytes);
}

__attribute__((no_sanitize("address"))) void gstk__annotate_restored(struct gstk_task *t, char *sp, size_t bytes)
{
	void **s = &shadows[gstk__task_index(t)];

	for (size_t i = 0; i < bytes / 8; i++)
		((volatile char *)shadow_of(sp))[i] = ((volatile char *)*s)[i];
}

#elif defined(GSTK__TSAN)
#include <sanitizer/tsan_interface.h>

static void **fibers; /* by task */
static __thread void *loop_fiber;

int gstk__annotate_init(size_t max_tasks)
{
	fibers = gstk__mem_reserve((max_tasks + 1) * sizeof(*fibers), 4096);
	return fibers ? 0 : -ENOMEM;
}

void gstk__annotate_fini(size_t max_tasks)
{
	gstk__mem_release(fibers, (max_tasks + 1) * sizeof(*fibers));
	fibers = NULL;
}

void gstk__annotate_thread(void)
{
	loop_fiber = __tsan_get_current_fiber();
}

static __attribute__((noinline)) void *this_loop(void)
{
	return loop_fiber;
}

void gstk__annotate_before_switch(void **token, struct gstk_task *to)
{
	void *fiber = to ? fibers[gstk__task_index(to)] : this_loop();

	if (fiber != __tsan_get_current_fiber()) /* another stack of the same task is none */
		__tsan_switch_to_fiber(fiber, 0);
}

void gstk__annotate_after_switch(void *token)
{
}

void gstk__annotate_task_begin(struct gstk_task *t)
{
	fibers[gstk__task_index(t)] = __tsan_create_fiber(0);
}

void gstk__annotate_task_end(struct gstk_task *t)
{
	__tsan_destroy_fiber(fibers[gstk__task_index(t)]);
	fibers[gstk__task_index(t)] = NULL;
}

void gstk__annotate_annex(struct gstk_task *t)
{
}

void gstk__annotate_clean(struct gstk_task *t)
{
}

void gstk__annotate_unmapped(char *from, size_t bytes)
{
}

void gstk__annotate_evicted(struct gstk_task *t, char *sp, size_t bytes)
{
}

void gstk__annotate_restored(struct gstk_task *t, char *sp, size_t bytes)
{
}
#endif
