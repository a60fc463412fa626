// SPDX-License-Identifier: MIT
/*
 * Storage of a task by key, as pthread_getspecific() is for a thread. A thread that runs no task has its
 * own values under the same keys, so code that is called from both needs no second way. What to use
 * instead of __thread, whose addresses compilers may keep while a task changes workers.
 */
#ifndef GREENSTK_LOCAL_H
#define GREENSTK_LOCAL_H

#include <greenstk/base.h>

GSTK_BEGIN_DECLS

/** A key: good until it is deleted. */
typedef struct gstk_local {
	uint32_t index;
	uint32_t generation; /**< 0: none */
} gstk_local;

/**
 * Make a key. @destructor, when not NULL, is called with the value of a task that ends, if that is not
 * NULL, after its cleanups; the value is NULL by then. It may wait, and set values again: these are
 * destroyed in at most four rounds, then left. Any thread; never parks. At most 1024 keys, and no more than
 * the process has pthread keys left: -EAGAIN. -ENOMEM.
 */
GSTK_API int gstk_local_create(gstk_local *key, void (*destructor)(void *value));

/** The caller's value: NULL when it has set none, or the key is none. Any thread; never parks. */
GSTK_API void *gstk_local_get(gstk_local key);

/** Set the caller's value. -ENOMEM (then the old one stays), -EINVAL for a key that is none. */
GSTK_API int gstk_local_set(gstk_local key, void *value);

/** Forget the key and the values under it; no destructor is called. -EINVAL for a key that is none. */
GSTK_API int gstk_local_delete(gstk_local key);

GSTK_END_DECLS
#endif
