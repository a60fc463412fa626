// SPDX-License-Identifier: MIT
#include "host/needed.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static pthread_key_t key;
static bool have_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void ended(void *by)
{
	fprintf(stderr, "greenstk: a thread of the library ended: pthread_exit() or pthread_cancel() in %s\n", (const char *)by);
	abort();
}

static void make_key(void)
{
	have_key = !pthread_key_create(&key, ended);
}

void gstk__thread_needed(const char *by)
{
	pthread_once(&once, make_key);
	if (have_key)
		pthread_setspecific(key, by);
}
