// SPDX-License-Identifier: MIT
/* As samples.c: what C++ adds. */
#include <greenstk.h>

#define KEEP(p) __asm__ volatile("" : "+r"(p))
#define SAMPLE	__attribute__((noinline, used))

int use(int);

namespace space {
thread_local int counter;

SAMPLE int bad_in_a_namespace(int)
{
	int *p = &counter;

	KEEP(p);
	gstk_yield();
	return *p;
}

SAMPLE int bad_in_a_handler(int x)
{
	int *p = &counter;

	KEEP(p);
	try {
		gstk_yield();
		use(x);
	} catch (int e) {
		return *p + e;
	}
	return x;
}

struct guard {
	int *p;

	__attribute__((always_inline)) ~guard() { use(*p); }
};

SAMPLE int bad_in_a_destructor(int x)
{
	guard g = { &counter };

	KEEP(g.p);
	gstk_yield();
	return use(x);
}

SAMPLE int good_in_a_handler(int x)
{
	int *p = &counter;

	KEEP(p);
	x += *p;
	try {
		gstk_yield();
		use(x);
	} catch (int e) {
		return e;
	}
	return x;
}
} // namespace space
