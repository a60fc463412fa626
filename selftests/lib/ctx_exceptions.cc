// SPDX-License-Identifier: MIT
/* C++ exceptions on contexts: thrown, caught, uncaught, and several in flight. */
#include <csignal>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>

#include <greenstk/ctx.h>

#include <sys/wait.h>
#include <unistd.h>

#include "ctx_exceptions.h"

#define CHECK(cond) do { if (!(cond)) return __LINE__; } while (0)

namespace {

alignas(64) char stack_a[1 << 17];
gstk_ctx main_ctx, co_ctx;
int destroyed;

struct guard {
	~guard() { destroyed++; }
};

__attribute__((noinline)) void thrower(uintptr_t depth)
{
	guard g;

	if (!depth)
		throw std::runtime_error("from below");
	thrower(depth - 1);
}

/* Throws and catches at the asked depth, then switches back; by both forms of the switch. */
void catching(uintptr_t word)
{
	for (;;) {
		uintptr_t got = 0;

		try {
			thrower(word);
		} catch (const std::runtime_error &e) {
			got = std::string(e.what()) == "from below" ? word + 1 : 0;
		}
		word = word & 1 ? gstk_ctx_switch(&co_ctx, &main_ctx, got) :
			gstk_ctx_switch_inline(&co_ctx, &main_ctx, got);
	}
}

/* An exception that leaves a frame in which a switch has happened. */
void switching_in_between(uintptr_t)
{
	for (;;) {
		try {
			guard g;

			gstk_ctx_switch_inline(&co_ctx, &main_ctx, 1);
			guard h;
			gstk_ctx_switch(&co_ctx, &main_ctx, 2);
			thrower(3);
		} catch (const std::exception &) {
			gstk_ctx_switch(&co_ctx, &main_ctx, 3);
		}
	}
}

void uncaught(uintptr_t word)
{
	thrower(word);
}

[[noreturn]] void on_terminate()
{
	_exit(std::current_exception() ? 42 : 43);
}

} // namespace

int ctx_case_thrown_and_caught_inside_a_context()
{
	CHECK(!gstk_ctx_create(&co_ctx, stack_a, sizeof(stack_a), catching));
	for (uintptr_t i = 0; i < 20; i++)
		CHECK(gstk_ctx_switch(&main_ctx, &co_ctx, i) == i + 1);
	for (uintptr_t i = 0; i < 20; i++)
		CHECK(gstk_ctx_switch_inline(&main_ctx, &co_ctx, i) == i + 1);
	CHECK(destroyed == 2 * (20 * 21 / 2));
	return 0;
}

int ctx_case_an_exception_leaves_frames_that_were_switched_away_from()
{
	CHECK(!gstk_ctx_create(&co_ctx, stack_a, sizeof(stack_a), switching_in_between));
	for (uintptr_t i = 0; i < 30; i++)
		CHECK(gstk_ctx_switch(&main_ctx, &co_ctx, 0) == i % 3 + 1);
	CHECK(destroyed == 10 * (4 + 2));
	return 0;
}

int ctx_case_an_exception_of_the_caller_passes_while_contexts_are_suspended()
{
	CHECK(!gstk_ctx_create(&co_ctx, stack_a, sizeof(stack_a), switching_in_between));
	for (uintptr_t i = 0; i < 30; i++) {
		bool caught = false;

		try {
			gstk_ctx_switch_inline(&main_ctx, &co_ctx, 0);
			thrower(5);
		} catch (const std::runtime_error &) {
			caught = true;
		}
		CHECK(caught);
	}
	return 0;
}

int ctx_case_an_uncaught_exception_terminates_cleanly()
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		std::set_terminate(on_terminate);
		gstk_ctx_create(&co_ctx, stack_a, sizeof(stack_a), uncaught);
		gstk_ctx_switch(&main_ctx, &co_ctx, 3);
		_exit(1);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status));
	CHECK(WEXITSTATUS(status) == 42);
	return 0;
}
