// SPDX-License-Identifier: MIT
// Boost.Context: the bare jump that Boost.Fiber and others stand on, no scheduler.
#include <xmmintrin.h>

#include <boost/context/detail/fcontext.hpp>
#include <boost/context/fixedsize_stack.hpp>

#include "peer.h"

namespace ctx = boost::context::detail;

static void bounce(ctx::transfer_t t)
{
	for (;;)
		t = ctx::jump_fcontext(t.fctx, t.data);
}

static volatile double third = 3;

static double jumps(uint64_t n, bool fp)
{
	boost::context::fixedsize_stack alloc(64 * 1024);
	auto stack = alloc.allocate();
	// It begins with the sticky flags of its maker, clear; ours become set once it is in, so each
	// jump loads different ones.
	_mm_setcsr(_mm_getcsr() & ~_MM_EXCEPT_MASK);
	ctx::transfer_t t = { ctx::make_fcontext(stack.sp, stack.size, bounce), nullptr };

	t = ctx::jump_fcontext(t.fctx, nullptr);
	if (fp) {
		volatile double x = 1 / third;
		(void)x;
	}
	uint64_t t0 = peer_now();
	for (uint64_t i = 0; i < n; i++)
		t = ctx::jump_fcontext(t.fctx, reinterpret_cast<void *>(i));
	return double(peer_now() - t0) / double(2 * n);
}

static void run_switch(const char *name, long fp)
{
	jumps(peer_n(1e6), fp);
	peer_emit(name, "", jumps(peer_n(2e7), fp), "ns");
}

static const struct peer_case cases[] = {
	{ "switch.call", run_switch, 0 },
	{ "switch.call.fpdiff", run_switch, 1 },
	{ nullptr, nullptr, 0 },
};

int main(int argc, char **argv)
{
	return peer_main(argc, argv, cases, nullptr);
}
