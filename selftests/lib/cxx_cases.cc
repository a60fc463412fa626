// SPDX-License-Identifier: MIT
/* greenstk.hpp: objects clean up, errors and exceptions arrive. */
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

#include <sys/mman.h>
#include <unistd.h>

#include <greenstk.hpp>

#include "cxx_cases.h"

#define CHECK(cond) do { if (!(cond)) { \
	fprintf(stderr, "# %s:%d: not true: %s\n", __FILE__, __LINE__, #cond); abort(); } } while (0)
#define MS 1000000ull

namespace {

template <typename E, typename F> bool throws(F &&f, const char *text)
{
	try {
		f();
	} catch (const E &e) {
		return std::string(e.what()).find(text) != std::string::npos;
	}
	return false;
}

void sleep_for_ever()
{
	greenstk::check(gstk_sleep(3600 * 1000 * MS), "sleep");
}

} // namespace

void cxx_case_tasks_give_their_exception_to_who_joins_them(void)
{
	auto count = std::make_unique<int>(0);
	greenstk::task good([&n = *count] { n++; }, "good");
	greenstk::task bad([] {
		gstk_yield();
		throw std::runtime_error("bad task");
	});

	good.join();
	CHECK(*count == 1);
	CHECK(throws<std::runtime_error>([&] { bad.join(); }, "bad task"));
}

void cxx_case_a_task_that_goes_out_of_scope_is_cancelled_and_joined(void)
{
	auto over = std::make_unique<bool>(false);

	{
		greenstk::task t([&o = *over] {
			try {
				sleep_for_ever();
			} catch (const std::system_error &e) {
				CHECK(e.code().value() == ECANCELED);
				greenstk::shield s;
				CHECK(!gstk_sleep(2 * MS));
				o = true;
				return;
			}
			CHECK(false);
		});
		gstk_sleep(2 * MS);
	}
	CHECK(*over);
}

void cxx_case_a_task_is_joined_before_it_goes_however_often_that_is_cancelled(void)
{
	auto over = std::make_unique<std::atomic<bool>>(false), late = std::make_unique<std::atomic<bool>>(false);
	auto asked = std::make_unique<std::atomic<bool>>(false);
	greenstk::task owner([&o = *over, &l = *late, &a = *asked] {
		{
			greenstk::task stubborn([&o, &a] {
				greenstk::shield s;

				while (!a)
					s.again(gstk_sleep(MS));
				o = true;
			});
			gstk_yield();
		}
		l = !o;
		CHECK(gstk_canceled());
	});

	for (int i = 0; i < 10; i++) {
		gstk_sleep(MS);
		owner.cancel();
	}
	*asked = true;
	owner.join();
	CHECK(*over && !*late);
}

void cxx_case_what_was_joined_or_ended_says_so(void)
{
	greenstk::task t([] {}), moved(std::move(t));
	auto no_task = [&] { t.join(); };
	greenstk::scope s;

	CHECK(throws<std::system_error>(no_task, "greenstk::task::join: there is no task"));
	moved.join();
	CHECK(throws<std::system_error>([&] { moved.join(); }, "greenstk::task::join: there is no task"));
	moved.cancel();
	CHECK(throws<std::system_error>([] { greenstk::task loose([] {}, nullptr, GSTK_DETACHED); }, "GSTK_DETACHED"));
	s.end();
	s.cancel();
	CHECK(throws<std::system_error>([&] { s.spawn([] {}); }, "greenstk::scope::spawn: the scope has ended"));
	CHECK(throws<std::system_error>([&] { s.end(); }, "greenstk::scope::end: the scope has ended"));
}

void cxx_case_outside_of_tasks_there_is_nothing_to_shield(void)
{
	int was = dup(2), text = memfd_create("stderr", 0);

	CHECK(was >= 0 && dup2(text, 2) == 2);
	std::atomic<bool> over(false);
	std::thread outside([&over] {
		{
			greenstk::task t(sleep_for_ever);
		}
		over = true;
	});
	while (!over)
		gstk_sleep(MS);
	outside.join();
	CHECK(dup2(was, 2) == 2);
	CHECK(lseek(text, 0, SEEK_END) == 0); /* nothing was reported */
	close(text);
	close(was);
}

void cxx_case_channels_and_locks(void)
{
	auto in = std::make_unique<greenstk::channel<long>>(4);
	auto lock = std::make_unique<greenstk::mutex>();
	auto sum = std::make_unique<long>(0);
	greenstk::scope s;

	for (int i = 0; i < 4; i++)
		s.spawn([&in = *in, &lock = *lock, &sum = *sum] {
			while (auto v = in.recv()) {
				std::lock_guard<greenstk::mutex> hold(lock);
				long was = sum;

				gstk_yield();
				sum = was + *v;
			}
		});
	for (long v = 1; v <= 100; v++)
		CHECK(in->send(v));
	in->close();
	s.end();
	CHECK(*sum == 5050);
	CHECK(!in->send(1));
	CHECK(lock->try_lock());
	CHECK(throws<std::system_error>([&] { lock->lock(); }, "gstk_mutex_lock"));
	lock->unlock();
}

void cxx_case_the_first_exception_ends_a_scope(void)
{
	greenstk::scope s;

	for (int i = 0; i < 20; i++)
		s.spawn(sleep_for_ever);
	s.spawn([] {
		gstk_sleep(2 * MS);
		throw std::logic_error("first");
	});
	CHECK(throws<std::logic_error>([&] { s.end(); }, "first"));
	{
		greenstk::scope late(gstk_now() + 5 * MS);

		late.spawn(sleep_for_ever);
		CHECK(throws<std::system_error>([&] { late.end(); }, "sleep"));
	}
	greenstk::scope left; /* and its destructor */

	left.spawn(sleep_for_ever);
}

void cxx_case_scopes_end_in_turn_or_stay_as_they_are(void)
{
	auto outer = std::make_unique<greenstk::scope>(), inner = std::make_unique<greenstk::scope>();
	auto ended = std::make_unique<bool>(false);

	outer->spawn([&ended = *ended] {
		gstk_sleep(2 * MS);
		ended = true;
	});
	CHECK(throws<std::system_error>([&] { outer->end(); }, "gstk_scope_end"));
	inner->end();
	outer->end();
	CHECK(*ended);
}

void cxx_case_a_scope_that_goes_before_a_later_one_terminates(void)
{
	auto outer = std::make_unique<greenstk::scope>(), inner = std::make_unique<greenstk::scope>();

	std::set_terminate([] { std::_Exit(0); });
	outer->spawn(sleep_for_ever);
	outer.reset();
	CHECK(!"it went while its tasks ran");
}

void cxx_case_a_once_that_throws_did_not_run(void)
{
	static gstk_once once;
	static int runs;
	static std::atomic<bool> begun;
	auto run = [] {
		gstk_once_run(&once, [](void *) {
			begun = true;
			gstk_sleep(2 * MS);
			if (!runs++)
				throw std::runtime_error("not yet");
		}, nullptr);
	};

	once = GSTK_ONCE_INIT;
	runs = 0;
	begun = false;
	greenstk::task second([run] {
		while (!begun)
			gstk_yield();
		run();
	});
	CHECK(throws<std::runtime_error>(run, "not yet"));
	CHECK(gstk_cleanup_pop(false) == -ENOENT);
	second.join();
	run();
	CHECK(runs == 2);
}
