// SPDX-License-Identifier: MIT
/* C++ exceptions of tasks that park while they handle or unwind one, and go on on another worker. */
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>

#include <greenstk.h>

#include "task_exceptions.h"

#define CHECK(cond) do { if (!(cond)) { \
	fprintf(stderr, "# %s:%d: not true: %s\n", __FILE__, __LINE__, #cond); abort(); } } while (0)
#define NR 50
#define MS 1000000u

namespace {

bool parked_at(int round)
{
	return round & 1 ? (gstk_yield(), true) : gstk_sleep(100000) == 0;
}

void run_all(gstk_fn fn)
{
	gstk_task *t[NR];

	for (long i = 0; i < NR; i++)
		CHECK(!gstk_spawn(&t[i], fn, (void *)i, nullptr));
	for (auto task : t)
		CHECK(!gstk_join(task, nullptr));
}

/* One exception inside the handler of another, parks at each step, and rethrown at last. */
void *nests(void *arg)
{
	std::string mine = std::to_string((long)arg);

	for (int round = 0; round < 6; round++) {
		try {
			try {
				throw std::runtime_error(mine);
			} catch (const std::runtime_error &outer) {
				CHECK(parked_at(round));
				try {
					throw std::logic_error(mine + "!");
				} catch (const std::logic_error &inner) {
					CHECK(parked_at(round + 1));
					CHECK(inner.what() == mine + "!");
				}
				CHECK(parked_at(round));
				CHECK(outer.what() == mine);
				CHECK(parked_at(round + 1));
				throw;
			}
		} catch (const std::exception &e) {
			CHECK(e.what() == mine);
		}
	}
	CHECK(!std::current_exception());
	return nullptr;
}

/* Every second task is always inside a handler, the others never. */
void *looks(void *arg)
{
	long mine = (long)arg;

	for (int round = 0; round < 6; round++) {
		if (mine & 1) {
			try {
				throw mine;
			} catch (long) {
				std::exception_ptr p = std::current_exception();

				CHECK(parked_at(round));
				CHECK(std::current_exception() == p);
			}
		} else {
			CHECK(!std::current_exception() && !std::uncaught_exceptions());
			CHECK(parked_at(round));
			CHECK(!std::current_exception() && !std::uncaught_exceptions());
		}
	}
	return nullptr;
}

struct parks_when_destroyed {
	int round;
	~parks_when_destroyed()
	{
		CHECK(std::uncaught_exceptions() == 1);
		CHECK(parked_at(round));
		CHECK(std::uncaught_exceptions() == 1);
	}
};

__attribute__((noinline)) void unwinds(long mine, int round)
{
	parks_when_destroyed d{ round };

	throw mine;
}

void *waits_in_destructor(void *arg)
{
	for (int round = 0; round < 6; round++) {
		try {
			unwinds((long)arg, round);
		} catch (long got) {
			CHECK(got == (long)arg);
			CHECK(!std::uncaught_exceptions());
		}
	}
	return nullptr;
}

void *exits(void *)
{
	try {
		throw 1;
	} catch (int) {
		gstk_yield();
		gstk_exit(nullptr);
	}
	return nullptr;
}

} // namespace

void task_case_a_handler_that_parks_keeps_its_exception(void)
{
	run_all(nests);
}

void task_case_nobody_sees_the_exceptions_of_another(void)
{
	run_all(looks);
}

void task_case_unwinding_waits_in_a_destructor(void)
{
	run_all(waits_in_destructor);
}

void task_case_a_task_that_exits_in_a_handler_leaves_nothing(void)
{
	for (int i = 0; i < 10; i++) {
		gstk_task *t;

		CHECK(!gstk_spawn(&t, exits, nullptr, nullptr));
		CHECK(!gstk_join(t, nullptr));
		CHECK(!std::current_exception());
	}
}
