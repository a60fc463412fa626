// SPDX-License-Identifier: MIT
/*
 * A suspended context is unwound by CFI from a copy of its bytes, as the dump of evicted tasks does:
 * the stack itself is overwritten, memory is read through accessors.
 */
#include <libunwind.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <greenstk/ctx.h>

#include "know_stack.h"
#include "kselftest_harness.h"
#include "arch/arch.h"
#include "ctx_arch.h"

static char stack_a[1 << 16] __attribute__((aligned(64)));
static struct gstk_ctx main_ctx, a;

/* A saved image: len bytes that belong at sp, and the registers of the frame. */
struct image {
	char *bytes;
	uintptr_t sp, len;
	struct gstk__regs regs;
};

static int find_proc_info(unw_addr_space_t as, unw_word_t ip, unw_proc_info_t *pi, int need, void *arg)
{
	return unw_get_accessors(unw_local_addr_space)->find_proc_info(unw_local_addr_space, ip, pi,
								       need, NULL);
}

static void put_unwind_info(unw_addr_space_t as, unw_proc_info_t *pi, void *arg)
{
	unw_get_accessors(unw_local_addr_space)->put_unwind_info(unw_local_addr_space, pi, NULL);
}

static int no_list(unw_addr_space_t as, unw_word_t *addr, void *arg)
{
	return -UNW_ENOINFO;
}

static int access_mem(unw_addr_space_t as, unw_word_t addr, unw_word_t *val, int write, void *arg)
{
	const struct image *image = arg;

	if (write)
		return -UNW_EINVAL;
	if (addr >= image->sp && addr + sizeof(*val) <= image->sp + image->len) {
		memcpy(val, image->bytes + (addr - image->sp), sizeof(*val));
		return 0;
	}
	/* The stack is gone; all else is this program's text and tables. */
	if (addr >= (uintptr_t)stack_a && addr < (uintptr_t)(stack_a + sizeof(stack_a)))
		return -UNW_EINVAL;
	memcpy(val, (void *)addr, sizeof(*val));
	return 0;
}

#ifdef __x86_64__
enum { PC = UNW_X86_64_RIP, SP = UNW_X86_64_RSP, FP = UNW_X86_64_RBP, BX = UNW_X86_64_RBX };
#else
enum { PC = UNW_AARCH64_PC, SP = UNW_AARCH64_SP, FP = UNW_AARCH64_X29, BX = UNW_AARCH64_X19 };
#endif

static int access_reg(unw_addr_space_t as, unw_regnum_t reg, unw_word_t *val, int write, void *arg)
{
	const struct image *image = arg;

	if (write)
		return -UNW_EREADONLYREG;
	switch (reg) {
	case PC: *val = image->regs.pc; return 0;
	case SP: *val = image->regs.sp; return 0;
	case FP: *val = image->regs.fp; return 0;
	case BX: *val = image->regs.bx; return 0;
	/* Not known here; whoever needs them has them spilled. */
	default: *val = 0xbadbadbadbadull; return 0;
	}
}

static int access_fpreg(unw_addr_space_t as, unw_regnum_t reg, unw_fpreg_t *val, int write, void *arg)
{
	return -UNW_EBADREG;
}

static int resume(unw_addr_space_t as, unw_cursor_t *cursor, void *arg)
{
	return -UNW_EINVAL;
}

static int no_name(unw_addr_space_t as, unw_word_t ip, char *buf, size_t len, unw_word_t *off, void *arg)
{
	return -UNW_ENOINFO;
}

static unw_accessors_t accessors = {
	.find_proc_info = find_proc_info,
	.put_unwind_info = put_unwind_info,
	.get_dyn_info_list_addr = no_list,
	.access_mem = access_mem,
	.access_reg = access_reg,
	.access_fpreg = access_fpreg,
	.resume = resume,
	.get_proc_name = no_name,
};

/* Entry, middle, inner: the last one is where the context is suspended. */
static int form;
static uintptr_t (*volatile inner_fn)(uintptr_t);
static uintptr_t (*volatile middle_fn)(uintptr_t);
static void (*volatile deliver)(uintptr_t);

static __attribute__((noinline)) uintptr_t inner(uintptr_t word)
{
	volatile uintptr_t local[20];

	for (int i = 0; i < 20; i++)
		local[i] = word * i;
	switch (form) {
	case 0: word = gstk_ctx_switch_inline(&a, &main_ctx, word); break;
	case 1: word = gstk_ctx_switch(&a, &main_ctx, word); break;
	case 2: word = gstk__switch(&a.sp, main_ctx.sp, word); break;
	}
	return word + local[7];
}

static int compare(const void *x, const void *y)
{
	static int once;

	if (!once++)
		inner_fn(5);
	return *(const int *)x - *(const int *)y;
}

/* Through a frame of libc, and one with a dynamic size. */
static __attribute__((noinline)) uintptr_t middle(uintptr_t word)
{
	int array[4] = { 3, 1, 2, 4 };
	volatile char *dynamic = __builtin_alloca(word * 10 + 100);

	dynamic[word] = 1;
	qsort(array, 4, sizeof(array[0]), compare);
	return array[0] + dynamic[word];
}

static void entry(uintptr_t word)
{
	word += middle_fn(word);
	deliver(word);
	gstk_ctx_leave(&main_ctx, word);
}

static struct gstk__begin begin(uintptr_t word, bool ended)
{
	return (struct gstk__begin){ ended ? (uintptr_t)abort : (uintptr_t)entry, (void *)word };
}

static void nothing(uintptr_t word)
{
}

/* Other frames' red zones are in there, so no sanitizer may look. */
__attribute__((no_sanitize("address", "thread"), noinline))
static void evict(char *to, volatile char *from, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		((volatile char *)to)[i] = from[i];
		from[i] = (char)0xee;
	}
}

static int in_fn(unw_word_t start, const void *fn)
{
	return start == (uintptr_t)fn;
}

static int check_image(struct __test_metadata *_metadata, const void *start_fn, int started)
{
	struct image image = { .sp = (uintptr_t)a.sp };
	unw_addr_space_t as = unw_create_addr_space(&accessors, 0);
	int step, frames = 0, saw[5] = { 0 }, order = 0;
	unw_cursor_t cursor;

	image.len = (uintptr_t)(stack_a + sizeof(stack_a)) - image.sp;
	image.bytes = malloc(image.len);
	OPEN_STACK(stack_a, sizeof(stack_a));
	evict(image.bytes, a.sp, image.len);
	gstk__frame_regs(image.bytes, image.sp, &image.regs);

	ASSERT_EQ(0, unw_init_remote(&cursor, as, &image));
	do {
		unw_proc_info_t info;
		unw_word_t ip;

		ASSERT_EQ(0, unw_get_reg(&cursor, UNW_REG_IP, &ip));
		ASSERT_EQ(0, unw_get_proc_info(&cursor, &info)) TH_LOG("no CFI at %lx, frame %d", ip, frames);
		if (in_fn(info.start_ip, inner) && order == 0)
			saw[0] = ++order;
		if (in_fn(info.start_ip, compare) && order == 1)
			saw[1] = ++order;
		if (in_fn(info.start_ip, middle) && order == 2)
			saw[2] = ++order;
		if (in_fn(info.start_ip, entry) && order == 3)
			saw[3] = ++order;
		if (in_fn(info.start_ip, (const char *)start_fn - CTX_NOP))
			saw[4] = frames + 1;
		frames++;
		step = unw_step(&cursor);
	} while (step > 0 && frames < 40);
	/* 0: the outermost frame; less: the unwinder lost its way. */
	ASSERT_EQ(0, step);
	ASSERT_EQ(frames, saw[4]);
	if (started)
		ASSERT_EQ(4, order);
	free(image.bytes);
	unw_destroy_addr_space(as);
	return frames;
}

FIXTURE(unwind) {
	const void *start;
};

FIXTURE_VARIANT(unwind) {
	int form;
};

FIXTURE_VARIANT_ADD(unwind, inlined) { .form = 0 };
FIXTURE_VARIANT_ADD(unwind, called) { .form = 1 };
FIXTURE_VARIANT_ADD(unwind, internal) { .form = 2 };

FIXTURE_SETUP(unwind)
{
	form = variant->form;
	inner_fn = inner;
	middle_fn = middle;
	deliver = nothing;
	memset(stack_a, 0, sizeof(stack_a));
	KNOW_STACK(stack_a, sizeof(stack_a));
	if (form == 2) {
		a.sp = gstk__stack_prepare(stack_a + sizeof(stack_a), begin);
		self->start = gstk__task_start;
	} else {
		ASSERT_EQ(0, gstk_ctx_create(&a, stack_a, sizeof(stack_a), entry));
		self->start = gstk__ctx_start;
	}
}

FIXTURE_TEARDOWN(unwind)
{
}

TEST_F(unwind, of_a_saved_image_shows_every_frame_and_ends)
{
	gstk_ctx_switch(&main_ctx, &a, 2);
	ASSERT_LT(4, check_image(_metadata, self->start, 1));
}

TEST_F(unwind, of_an_image_that_never_ran_is_its_start)
{
	ASSERT_EQ(1, check_image(_metadata, self->start, 0));
}

TEST_HARNESS_MAIN
