// SPDX-License-Identifier: MIT
/* The unwinder, frame by frame beside libunwind: through libc, odd frames, signal frames. */
#define UNW_LOCAL_ONLY
#include <libunwind.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kselftest_harness.h"
#include "debug/backtrace.h"

static int frames, differ, steps_failed;
static uintptr_t stack_end;

/* Before the first compare(): it reads a file, which a signal handler must not. */
static void find_stack_end(void)
{
	pthread_attr_t attr;
	void *low;
	size_t size;

	pthread_getattr_np(pthread_self(), &attr);
	pthread_attr_getstack(&attr, &low, &size);
	pthread_attr_destroy(&attr);
	stack_end = (uintptr_t)low + size;
}

/* libunwind's numbers of ours, and which of them a call keeps. */
#ifdef __x86_64__
static const int unw[] = { UNW_X86_64_RAX, UNW_X86_64_RDX, UNW_X86_64_RCX, UNW_X86_64_RBX, UNW_X86_64_RSI,
	UNW_X86_64_RDI, UNW_X86_64_RBP, UNW_X86_64_RSP, UNW_X86_64_R8, UNW_X86_64_R9, UNW_X86_64_R10,
	UNW_X86_64_R11, UNW_X86_64_R12, UNW_X86_64_R13, UNW_X86_64_R14, UNW_X86_64_R15, UNW_X86_64_RIP };
static const int kept[] = { 3, 6, 7, 12, 13, 14, 15, 16 };
#else
static const int unw[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22,
	23, 24, 25, 26, 27, 28, 29, 30, UNW_AARCH64_SP, UNW_REG_IP };
static const int kept[] = { 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 31, 32 };
#endif

__attribute__((no_sanitize("address"), noinline)) static void compare(void)
{
	struct gstk__cfi_stack stack;
	struct gstk__cfi f = { .known = (1ull << GSTK__CFI_REGS) - 1, .exact = true };
	unw_context_t context;
	unw_cursor_t cursor;

	unw_getcontext(&context);
	unw_init_local(&cursor, &context);
	for (int i = 0; i < GSTK__CFI_REGS; i++) {
		unw_word_t v = 0;

		unw_get_reg(&cursor, unw[i], &v);
		f.reg[i] = v;
	}
	stack.from = f.reg[GSTK__CFI_SP];
	stack.to = stack_end;
	stack.bytes = (const char *)stack.from;
	frames = differ = steps_failed = 0;
	for (;;) {
		int theirs = unw_step(&cursor), ours = gstk__cfi_step(&f, &stack);

		if ((theirs > 0) != (ours > 0))
			steps_failed++;
		if (theirs <= 0 || ours <= 0)
			break;
		frames++;
		for (unsigned int i = 0; i < sizeof(kept) / sizeof(*kept); i++) {
			unw_word_t v;

			unw_get_reg(&cursor, unw[kept[i]], &v);
			if (!(f.known >> kept[i] & 1) || f.reg[kept[i]] != v) {
				fprintf(stderr, "# frame %d: register %d is %lx, libunwind says %lx\n", frames, kept[i],
					(unsigned long)f.reg[kept[i]], (unsigned long)v);
				differ++;
			}
		}
	}
}

static int by_value(const void *a, const void *b)
{
	static int once;

	if (!once++)
		compare();
	return *(const int *)a - *(const int *)b;
}

static __attribute__((noinline)) int through_libc(int n)
{
	volatile char dynamic[n * 7 + 1];
	int array[5] = { 3, 1, 2, 5, 4 };

	dynamic[n] = 1;
	if (n > 3)
		return through_libc(n - 1) + dynamic[n];
	qsort(array, 5, sizeof(*array), by_value);
	return array[0] + dynamic[n];
}

static void on_signal(int sig)
{
	compare();
}

TEST(every_frame_and_kept_register_is_as_libunwind_has_it)
{
	find_stack_end();
	ASSERT_LT(0, through_libc(20));
	EXPECT_LT(20, frames);
	EXPECT_EQ(0, differ);
	EXPECT_EQ(0, steps_failed);
}

TEST(a_signal_frame_is_crossed)
{
	find_stack_end();
	signal(SIGUSR1, on_signal);
	raise(SIGUSR1);
	EXPECT_LT(4, frames);
	EXPECT_EQ(0, differ);
	EXPECT_EQ(0, steps_failed);
}

static __attribute__((noinline)) void static_function(void)
{
	__asm__ volatile("");
}

TEST(symbols_name_static_functions_and_libraries)
{
	static struct gstk__symbols symbols;
	const struct gstk__symbol *s = gstk__symbol_find(&symbols, (uintptr_t)static_function);

	ASSERT_NE(NULL, s->name);
	EXPECT_STREQ("static_function", s->name);
	EXPECT_EQ(0, s->offset);
	s = gstk__symbol_find(&symbols, (uintptr_t)qsort + 2);
	ASSERT_NE(NULL, s->name);
	ASSERT_NE(NULL, s->object);
	s = gstk__symbol_find(&symbols, 16);
	EXPECT_EQ(NULL, s->name);
	EXPECT_EQ(NULL, s->object);
	gstk__symbols_free(&symbols);
}

TEST_HARNESS_MAIN
