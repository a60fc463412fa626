// SPDX-License-Identifier: MIT
/* What gdb shows of contexts: the program debugs itself in another process, as a batch. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <greenstk/ctx.h>

#include "kselftest_harness.h"

static char stack_a[1 << 16] __attribute__((aligned(64)));
static struct gstk_ctx main_ctx, a;

__attribute__((noinline)) void ctx_gdb_marker(int where)
{
	__asm__ volatile ("" : : "r" (where) : "memory");
}

static __attribute__((noinline)) uintptr_t ctx_gdb_inner(uintptr_t word)
{
	ctx_gdb_marker(1);
	word += gstk_ctx_switch(&a, &main_ctx, word);
	word += gstk_ctx_switch_inline(&a, &main_ctx, word);
	return word + 1;
}

static __attribute__((noinline)) uintptr_t ctx_gdb_outer(uintptr_t word)
{
	return ctx_gdb_inner(word) + 1;
}

static void ctx_gdb_entry(uintptr_t word)
{
	for (;;)
		word = ctx_gdb_outer(word);
}

static uintptr_t ctx_gdb_ontop(uintptr_t word)
{
	ctx_gdb_marker(2);
	return word + 1;
}

static __attribute__((noinline)) uintptr_t ctx_gdb_main_site(uintptr_t word)
{
	gstk_ctx_switch(&main_ctx, &a, word);
	ctx_gdb_marker(3);              /* a is suspended in the called form */
	gstk_ctx_switch_ontop(&main_ctx, &a, ctx_gdb_ontop, word);
	ctx_gdb_marker(4);              /* and here in the inlined one */
	return word + 1;
}

/* The debugged process. */
__attribute__((constructor)) static void debuggee(void)
{
	if (!getenv("CTX_GDB_CHILD"))
		return;
	if (gstk_ctx_create(&a, stack_a, sizeof(stack_a), ctx_gdb_entry))
		_exit(2);
	ctx_gdb_main_site(1);
	_exit(0);
}

/* How to look at a suspended context by hand: the frame's three words, then bt. */
#define SHOW_SUSPENDED							\
	" -ex 'echo == suspended\\n'"					\
	" -ex 'set $f = (long *)a.sp' -ex 'set $old_pc = $pc' -ex 'set $old_sp = $sp' -ex 'set $old_fp = $rbp'" \
	" -ex 'set $rbp = $f[1]' -ex 'set $rsp = (long)($f + 3)' -ex 'set $rip = $f[0]' -ex bt" \
	" -ex 'set $rsp = $old_sp' -ex 'set $rbp = $old_fp' -ex 'set $rip = $old_pc'"

static char out[1 << 16];

/* The frames of section n of the output, and whether they end where they should. */
static char *section(int n)
{
	char *at = out;

	while (at && n--) {
		at = strstr(at, "\n== ");
		at = at ? at + 1 : NULL;
	}
	return at;
}

static void check(struct __test_metadata *_metadata, int n, const char *const *frames, const char *last)
{
	char *text = section(n), *end, *at;

	ASSERT_NE(NULL, text);
	end = strstr(text + 1, "\n== ");
	at = text;
	for (; *frames; frames++) {
		at = strstr(at, *frames);
		ASSERT_TRUE(at && (!end || at < end)) TH_LOG("section %d lacks %s", n, *frames);
	}
	if (last) {
		char *lines = strdup(text), *line, *save, last_frame[256] = "";

		if (end)
			lines[end - text] = 0;
		for (line = strtok_r(lines, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
			if (line[0] == '#')
				snprintf(last_frame, sizeof(last_frame), "%s", line);
		ASSERT_NE(NULL, strstr(last_frame, last)) TH_LOG("section %d ends in %s", n, last_frame);
		free(lines);
	}
}

TEST(gdb_walks_contexts_and_stops_at_their_start)
{
	static const char *const running[] = { "ctx_gdb_marker", "ctx_gdb_inner", "ctx_gdb_outer",
					       "ctx_gdb_entry", "gstk__ctx_start", NULL };
	static const char *const suspended[] = { "ctx_gdb_inner", "ctx_gdb_outer", "ctx_gdb_entry",
						 "gstk__ctx_start", NULL };
	static const char *const ontop[] = { "ctx_gdb_marker", "ctx_gdb_ontop", "ctx_gdb_inner",
					     "ctx_gdb_outer", "ctx_gdb_entry", "gstk__ctx_start", NULL };
	const char *variant = getenv("GREENSTK_TEST_VARIANT");
	char self[256] = "", command[4096];
	size_t len;
	FILE *gdb;

	if (variant && (strstr(variant, "san") || strstr(variant, "valgrind")))
		SKIP(return, "no debugger in this variant");
	if (system("command -v gdb >/dev/null"))
		SKIP(return, "no gdb here");
	ASSERT_LT(0, readlink("/proc/self/exe", self, sizeof(self) - 1));
	snprintf(command, sizeof(command),
		 "gdb -nx -batch -iex 'set debuginfod enabled off' -ex 'set confirm off'"
		 " -ex 'set environment CTX_GDB_CHILD 1' -ex 'break ctx_gdb_marker' -ex run"
		 " -ex 'echo == running\\n' -ex bt -ex continue" SHOW_SUSPENDED
		 " -ex continue -ex 'echo == ontop\\n' -ex bt -ex continue" SHOW_SUSPENDED
		 " -ex 'delete' -ex continue %s 2>&1", self);
	gdb = popen(command, "r");
	ASSERT_NE(NULL, gdb);
	len = fread(out, 1, sizeof(out) - 1, gdb);
	out[len] = 0;
	ASSERT_EQ(0, pclose(gdb)) TH_LOG("%s", out);
	if (strstr(out, "ptrace: Operation not permitted"))
		SKIP(return, "ptrace is not allowed here");

	check(_metadata, 1, running, "gstk__ctx_start");
	check(_metadata, 2, suspended, "gstk__ctx_start");
	check(_metadata, 3, ontop, "gstk__ctx_start");
	check(_metadata, 4, suspended, "gstk__ctx_start");
	ASSERT_EQ(NULL, section(5));
	/* gdb's words for an unwinder that lost its way. */
	ASSERT_EQ(NULL, strstr(out, "Backtrace stopped")) TH_LOG("%s", out);
	ASSERT_EQ(NULL, strstr(out, "corrupt")) TH_LOG("%s", out);
	ASSERT_EQ(NULL, strstr(out, " ?? ")) TH_LOG("%s", out);
	ASSERT_NE(NULL, strstr(out, "exited normally")) TH_LOG("%s", out);
}

TEST_HARNESS_MAIN
