// SPDX-License-Identifier: MIT
/* What the samples call, so that they can be linked. */
#include <greenstk.h>
#include <stdlib.h>

__thread int elsewhere;
int use(int x);
void leave_note(void *p);
void give_up(int x) __attribute__((noreturn));

static void *last;

__attribute__((noinline)) int use(int x)
{
	__asm__ volatile("" : "+r"(x));
	return x;
}

__attribute__((noinline)) void leave_note(void *p)
{
	last = p;
}

__attribute__((noinline)) void give_up(int x)
{
	exit(x + !last);
}

int main(void)
{
	return elsewhere;
}
