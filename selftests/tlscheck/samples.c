// SPDX-License-Identifier: MIT
/*
 * What gstk-tlscheck must find (bad_*) and must not (good_*), whatever the compiler makes of it: KEEP() hides
 * where a pointer comes from, so it has to be kept. bad_pointer_* only with -W.
 */
#include <greenstk.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define KEEP(p) __asm__ volatile("" : "+r"(p))
#define SAMPLE	__attribute__((noinline, used))

__thread int global;
static __thread long array[8];
extern __thread int elsewhere;
GSTK_THREAD_ADDRESS(global_here, global)

int use(int);
void leave_note(void *);
__attribute__((noreturn)) void give_up(int);

static SAMPLE int parks_inside(int x)
{
	gstk_yield();
	return use(x) + 1;
}

static SAMPLE int parks_deeper(int x)
{
	return parks_inside(x * 2) - x;
}

static SAMPLE int *reveals(int *p)
{
	int *mine = &global;

	KEEP(mine);
	return p ? p : mine;
}

SAMPLE int bad_kept(void)
{
	int *p = &global;

	KEEP(p);
	gstk_yield();
	return *p;
}

SAMPLE int bad_kept_of_another_file(uint64_t ns)
{
	int *p = &elsewhere;

	KEEP(p);
	gstk_sleep(ns);
	return (*p)++;
}

SAMPLE long bad_field(int i)
{
	long *p = array;

	KEEP(p);
	gstk_yield();
	return p[i & 7] + p[3];
}

SAMPLE long bad_spilled(long a, long b, long c, long d, long e, long f)
{
	long *p = &array[2], g = a * b, h = c * d, i = e * f, j = a ^ f;

	KEEP(p); KEEP(g); KEEP(h); KEEP(i); KEEP(j);
	gstk_yield();
	KEEP(a); KEEP(b); KEEP(c); KEEP(d); KEEP(e); KEEP(f); KEEP(g); KEEP(h); KEEP(i); KEEP(j);
	return a + b * c + d * e + f * g + h * i + j + *p;
}

SAMPLE int bad_through_others(int x)
{
	int *p = &global;

	KEEP(p);
	x = parks_deeper(x);
	return x + *p;
}

SAMPLE int bad_on_one_path(int x)
{
	int *p = &global;

	KEEP(p);
	if (use(x))
		gstk_yield();
	return *p;
}

SAMPLE int bad_in_the_next_round(int n)
{
	int *p = &global, sum = 0;

	KEEP(p);
	for (int i = 0; i < n; i++) {
		sum += *p;
		gstk_yield();
	}
	return sum;
}

SAMPLE int bad_in_a_switch(int x)
{
	int *p = &global;

	KEEP(p);
	gstk_yield();
	switch (x) {
	case 0: return use(1);
	case 1: return use(7);
	case 2: return use(2) + use(x);
	case 3: return *p;
	case 4: return use(5) - use(x);
	case 5: return use(15) - use(x);
	case 6: return use(25) - use(x);
	default: return 0;
	}
}

SAMPLE int bad_on_a_cold_path(int x)
{
	int *p = &global;

	KEEP(p);
	gstk_yield();
	if (__builtin_expect(use(x) == 17, 0)) {
		use(*p);
		give_up(x);
	}
	return x;
}

SAMPLE int bad_from_a_function(void)
{
	int *p = reveals(NULL);

	KEEP(p);
	gstk_yield();
	return *p;
}

SAMPLE int bad_from_an_accessor(void)
{
	int *p = global_here();

	gstk_yield();
	return *p;
}

SAMPLE int bad_errno_address(int fd)
{
	int *e = __errno_location();

	KEEP(e);
	gstk_poll(fd, 1, GSTK_NEVER);
	return *e;
}

SAMPLE int bad_thread_itself(void)
{
	pthread_t me = pthread_self();

	KEEP(me);
	gstk_yield();
	return pthread_equal(me, pthread_self());
}

static SAMPLE int goes_on_with(int x, int *p)
{
	x = parks_deeper(x);
	return x + *p;
}

static SAMPLE int is_done_with(int x, int *p)
{
	x += *p;
	return parks_deeper(x);
}

SAMPLE int bad_given_to_a_function(int x)
{
	return goes_on_with(x, &global);
}

SAMPLE int good_given_to_a_function(int x)
{
	return is_done_with(x, &global);
}

SAMPLE int bad_given_to_a_wait(gstk_chan *c)
{
	int *p = &global;

	KEEP(p);
	return gstk_chan_recv(c, p);
}

SAMPLE void bad_stored(void **where)
{
	int *p = &global;

	KEEP(p);
	gstk_yield();
	*where = p;
}

SAMPLE void bad_passed_on(void)
{
	int *p = &global;

	KEEP(p);
	gstk_yield();
	leave_note(p);
}

SAMPLE int *bad_returned(void)
{
	int *p = &global;

	KEEP(p);
	gstk_yield();
	return p;
}

SAMPLE int bad_over_a_switch_of_stacks(struct gstk_ctx *from, struct gstk_ctx *to)
{
	int *p = &global;

	KEEP(p);
	gstk_ctx_switch(from, to, 0);
	return *p;
}

SAMPLE int bad_over_an_inlined_switch(struct gstk_ctx *from, struct gstk_ctx *to)
{
	int *p = &global;

	KEEP(p);
	gstk_ctx_switch_inline(from, to, 0);
	return *p;
}

SAMPLE int bad_pointer_called(void (*fn)(void))
{
	int *p = &global;

	KEEP(p);
	fn();
	return *p;
}

SAMPLE int good_value(void)
{
	int value = global;

	KEEP(value);
	gstk_yield();
	return value;
}

SAMPLE int good_used_before(void)
{
	int *p = &global, value;

	KEEP(p);
	value = *p + use(*p);
	gstk_yield();
	return value;
}

SAMPLE int good_taken_again(void)
{
	int *p = &global;

	KEEP(p);
	*p += 1;
	gstk_yield();
	p = reveals(NULL);
	KEEP(p);
	return *p;
}

SAMPLE int good_each_round(int n)
{
	int sum = 0;

	for (int i = 0; i < n; i++) {
		sum += *global_here();
		gstk_yield();
	}
	return sum;
}

SAMPLE int good_accessor(void)
{
	*global_here() = 1;
	gstk_yield();
	return *global_here();
}

SAMPLE int good_on_the_other_path(int x)
{
	int *p = &global;

	KEEP(p);
	if (use(x)) {
		gstk_yield();
		return x;
	}
	return *p;
}

SAMPLE int good_after_the_end(int x)
{
	int *p = &global;

	KEEP(p);
	if (use(x)) {
		gstk_yield();
		exit(x);
	}
	return *p;
}

SAMPLE int good_over_calls_that_do_not_park(int x)
{
	int *p = &global;

	KEEP(p);
	x += use(x);
	leave_note(p);
	gstk_worker();
	gstk_cancel(NULL);
	return x + *p;
}

SAMPLE int good_errno(int fd, char *buf)
{
	int n = (int)read(fd, buf, 1);

	if (n < 0 && errno == EAGAIN) {
		gstk_yield();
		n = (int)read(fd, buf, 1);
		if (n < 0)
			return -errno;
	}
	return n;
}

SAMPLE long good_compared_before(long *p)
{
	long same = p == &array[1];

	KEEP(same);
	gstk_yield();
	return same;
}

SAMPLE int good_ordinary_address(int *p)
{
	static int of_all;

	p = p ? p : &of_all;
	KEEP(p);
	gstk_yield();
	return *p;
}
