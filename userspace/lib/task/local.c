// SPDX-License-Identifier: MIT
/*
 * A key is a place in the table of keys with a generation, odd while the place is taken. A task's values
 * are an array in its extension, as long as its highest key needs, each with the generation it was set
 * under: so values of a key that was deleted are nobody's, and need not be looked for.
 */
#include "task/local.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "host/lock.h"
#include "host/refuse.h"
#include "task/task.h"

#define MAX_KEYS 1024u
#define ROUNDS	 4

struct gstk__local {
	void *value;
	uint32_t generation;
};

static struct {
	_Atomic uint32_t lock;
	struct key {
		_Atomic uint32_t generation;
		pthread_key_t thread_key; /* for threads that run no task */
		void (*destructor)(void *);
	} key[MAX_KEYS];
} keys;

static struct key *key_of(gstk_local key)
{
	struct key *k = &keys.key[key.index % MAX_KEYS];

	return key.index < MAX_KEYS && key.generation & 1 &&
		       atomic_load_explicit(&k->generation, memory_order_acquire) == key.generation ? k : NULL;
}

static __attribute__((cold, noinline)) int none(gstk_local key, const char *call)
{
	return gstk__refuse("%s: { %u, %u } is no key; give one of gstk_local_create(), not deleted yet", call, key.index,
			    key.generation);
}

int gstk_local_create(gstk_local *key, void (*destructor)(void *value))
{
	pthread_key_t thread_key;
	int err;

	if (!key)
		return gstk__refuse("gstk_local_create: nowhere to put the key; give the address of a gstk_local");
	err = pthread_key_create(&thread_key, destructor);
	if (err)
		return err == EAGAIN ? gstk__refuse_with(-EAGAIN, "gstk_local_create: the process has no pthread key left (each key of "
							 "either kind takes one); delete some, or keep several values under one")
				     : -err;
	gstk__lock(&keys.lock);
	for (uint32_t i = 0; i < MAX_KEYS; i++) {
		struct key *k = &keys.key[i];
		uint32_t generation = atomic_load_explicit(&k->generation, memory_order_relaxed);

		if (generation & 1)
			continue;
		k->thread_key = thread_key;
		k->destructor = destructor;
		atomic_store_explicit(&k->generation, generation + 1, memory_order_release);
		gstk__unlock(&keys.lock);
		*key = (gstk_local){ i, generation + 1 };
		return 0;
	}
	gstk__unlock(&keys.lock);
	pthread_key_delete(thread_key);
	return gstk__refuse_with(-EAGAIN, "gstk_local_create: there are %u keys, and no more can be; delete some, or keep several "
				 "values under one", MAX_KEYS);
}

int gstk_local_delete(gstk_local key)
{
	struct key *k;

	gstk__lock(&keys.lock);
	k = key_of(key);
	if (k) {
		pthread_key_delete(k->thread_key);
		atomic_store_explicit(&k->generation, key.generation + 1, memory_order_release);
	}
	gstk__unlock(&keys.lock);
	return k ? 0 : none(key, "gstk_local_delete");
}

void *gstk__local_of(const struct gstk__ext *x, gstk_local key)
{
	struct key *k = key_of(key);

	if (!k)
		return NULL;
	if (!x)
		return pthread_getspecific(k->thread_key);
	if (key.index >= x->nr_locals || x->locals[key.index].generation != key.generation)
		return NULL;
	return x->locals[key.index].value;
}

static int grow(struct gstk__ext *x, uint32_t index)
{
	uint32_t nr = x->nr_locals ? x->nr_locals : 4;
	struct gstk__local *more;

	while (nr <= index)
		nr *= 2;
	more = realloc(x->locals, nr * sizeof(*more));
	if (!more)
		return -ENOMEM;
	memset(more + x->nr_locals, 0, (nr - x->nr_locals) * sizeof(*more));
	x->locals = more;
	x->nr_locals = nr;
	return 0;
}

int gstk__local_set_of(struct gstk__ext *x, gstk_local key, void *value)
{
	struct key *k = key_of(key);

	if (!k)
		return none(key, "gstk_local_set");
	if (!x)
		return -pthread_setspecific(k->thread_key, value);
	if (key.index >= x->nr_locals && grow(x, key.index))
		return -ENOMEM;
	x->locals[key.index] = (struct gstk__local){ value, key.generation };
	return 0;
}

/* One round; false: there was nothing to destroy. */
static bool destroy(struct gstk__ext *x)
{
	bool any = false;

	for (uint32_t i = 0; i < x->nr_locals; i++) {
		struct gstk__local l = x->locals[i];
		struct key *k = key_of((gstk_local){ i, l.generation });
		void (*destructor)(void *) = k ? k->destructor : NULL;

		x->locals[i].value = NULL;
		if (!l.value || !destructor)
			continue;
		any = true;
		destructor(l.value); /* may set others, and so move the array */
	}
	return any;
}

void gstk__locals_end(struct gstk__ext *x)
{
	for (int round = 0; round < ROUNDS && destroy(x); round++)
		;
	free(x->locals);
	x->locals = NULL;
	x->nr_locals = 0;
}
