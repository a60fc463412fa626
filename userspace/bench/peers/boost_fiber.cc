// SPDX-License-Identifier: MIT
// Boost.Fiber: one thread with its default scheduler; two threads with a channel across, and its
// work-stealing scheduler, for the cases with two workers.
#include <atomic>
#include <thread>
#include <vector>

#include <boost/fiber/all.hpp>

#include "peer.h"

namespace fibers = boost::fibers;
using stack = fibers::fixedsize_stack;
using chan = fibers::unbuffered_channel<uint64_t>;
using buffered = fibers::buffered_channel<uint64_t>;

static fibers::fiber go(void (*fn)(uint64_t), uint64_t arg)
{
	return fibers::fiber(fibers::launch::post, std::allocator_arg, stack(64 * 1024), fn, arg);
}

static void yielder(uint64_t n)
{
	while (n--)
		boost::this_fiber::yield();
}

static double yields(uint64_t tasks, uint64_t n)
{
	std::vector<fibers::fiber> f;
	for (uint64_t i = 0; i < tasks; i++)
		f.push_back(go(yielder, n));
	boost::this_fiber::yield(); // everybody has begun
	uint64_t t0 = peer_now();
	for (auto &x : f)
		x.join();
	return double(peer_now() - t0) / double(tasks * n);
}

static void run_yield(const char *name, long tasks)
{
	uint64_t n = peer_n(4e6) / uint64_t(tasks) + 1;
	yields(uint64_t(tasks), n / 10 + 1);
	peer_emit(name, "", yields(uint64_t(tasks), n), "ns");
}

static void nothing(uint64_t)
{
}

static void run_spawn(const char *name, long batch)
{
	uint64_t n = peer_n(500000) / uint64_t(batch) + 1, t0 = 0;
	std::vector<fibers::fiber> f(static_cast<size_t>(batch));
	for (uint64_t i = 0, warm = n / 10 + 1; i < warm + n; i++) {
		if (i == warm)
			t0 = peer_now();
		for (auto &x : f)
			x = go(nothing, 0);
		for (auto &x : f)
			x.join();
	}
	peer_emit(name, "", double(peer_now() - t0) / double(n * uint64_t(batch)), "ns");
}

// A round trip, same work as ours; C is either kind of channel.
template <class C> static void serve(C &there, C &back)
{
	uint64_t v;
	while (there.pop(v) == fibers::channel_op_status::success)
		back.push(v + 1);
}

template <class C> static double client(C &there, C &back, uint64_t n)
{
	uint64_t v = 0, t0 = 0;
	for (uint64_t i = 0, warm = n / 10 + 1; i < warm + n; i++) {
		if (i == warm)
			t0 = peer_now();
		there.push(v);
		uint64_t was = v;
		back.pop(v);
		peer_check(v == was + 1);
	}
	there.close();
	return double(peer_now() - t0) / double(n);
}

template <class C> static double pair(C &there, C &back, uint64_t n)
{
	double ns = 0;
	fibers::fiber s([&] { serve(there, back); });
	fibers::fiber c([&] { ns = client(there, back, n); });
	c.join();
	s.join();
	return ns;
}

static void run_chan(const char *name, long capacity)
{
	uint64_t n = peer_n(1e6);
	if (capacity) {
		// The capacity must be a power of two, and one slot stays empty.
		buffered there(2), back(2);
		peer_emit(name, "", pair(there, back, n), "ns");
	} else {
		chan there, back;
		peer_emit(name, "", pair(there, back, n), "ns");
	}
}

// One fiber in each of two threads.
static void run_pinned(const char *name, long)
{
	chan there, back;
	double ns = 0;
	std::thread t([&] { serve(there, back); });
	ns = client(there, back, peer_n(20000));
	t.join();
	peer_emit(name, "", ns, "ns");
}

// Two threads that steal from each other, free to share one.
static void run_free(const char *name, long)
{
	chan there, back;
	double ns = 0;
	std::atomic<bool> done{ false };
	fibers::mutex m;
	fibers::condition_variable_any end;
	std::thread t([&] {
		fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(2u, true);
		std::unique_lock<fibers::mutex> l(m);
		end.wait(l, [&] { return done.load(); });
	});
	fibers::use_scheduling_algorithm<fibers::algo::work_stealing>(2u, true);
	ns = pair(there, back, peer_n(20000));
	{
		std::unique_lock<fibers::mutex> l(m);
		done = true;
	}
	end.notify_all();
	t.join();
	peer_emit(name, "", ns, "ns");
}

static void run_ring(const char *name, long nr)
{
	uint64_t laps = peer_n(2e6) / uint64_t(nr) + 1, warm = laps / 10 + 1;
	std::vector<chan> link(static_cast<size_t>(nr));
	std::vector<fibers::fiber> f;
	for (size_t i = 1; i < size_t(nr); i++)
		f.push_back(fibers::fiber(std::allocator_arg, stack(64 * 1024), [&, i] {
			chan &in = link[i], &out = link[(i + 1) % size_t(nr)];
			uint64_t v;
			while (in.pop(v) == fibers::channel_op_status::success)
				out.push(v + 1);
			out.close();
		}));
	fibers::fiber leader([&] {
		uint64_t v = 0, t0 = 0;
		for (uint64_t lap = 0; lap < warm + laps; lap++) {
			if (lap == warm)
				t0 = peer_now();
			link[1].push(v + 1);
			link[0].pop(v);
			peer_check(v == (lap + 1) * uint64_t(nr));
		}
		peer_emit(name, "", double(peer_now() - t0) / double(laps * uint64_t(nr)), "ns");
		link[1].close();
	});
	leader.join();
	for (auto &x : f)
		x.join();
}

static std::atomic<uint64_t> arrived, verified;
static chan *gate;

template <size_t N> static void holder(uint64_t id)
{
	unsigned char buf[N];
	uint64_t v;
	peer_fill(buf, N, id);
	arrived++;
	gate->pop(v);
	peer_check(peer_same(buf, N, id));
	verified++;
}

static void run_memory(const char *name, long live)
{
	uint64_t nr = peer_n(100000), m0;
	auto fn = live == 128 ? holder<128> : live == 900 ? holder<900> : live == 4000 ? holder<4000> : holder<16200>;
	chan g;
	gate = &g;
	m0 = peer_memory(nullptr);
	for (uint64_t i = 0; i < nr; i++)
		go(fn, i).detach();
	while (arrived < nr)
		boost::this_fiber::yield();
	peer_emit(name, "", double(peer_memory(nullptr) - m0) / double(nr), "bytes");
	g.close();
	while (verified < nr)
		boost::this_fiber::yield();
}

static const struct peer_case cases[] = {
	{ "yield.2", run_yield, 2 },
	{ "yield.10000", run_yield, 10000 },
	{ "spawn.join", run_spawn, 1 },
	{ "spawn.batch", run_spawn, 1000 },
	{ "chan.unbuffered.1worker", run_chan, 0 },
	{ "chan.buffered.1worker", run_chan, 1 },
	{ "call.cross_task", run_chan, 0 },
	{ "chan.unbuffered.2workers", run_free, 0 },
	{ "chan.pinned.2workers", run_pinned, 0 },
	{ "ring.503", run_ring, 503 },
	{ "ring.1000", run_ring, 1000 },
	{ "memory.128.copied", run_memory, 128 },
	{ "memory.900.copied", run_memory, 900 },
	{ "memory.4000.copied", run_memory, 4000 },
	{ "memory.16200.copied", run_memory, 16200 },
	{ nullptr, nullptr, 0 },
};

int main(int argc, char **argv)
{
	return peer_main(argc, argv, cases, nullptr);
}
