/* SPDX-License-Identifier: MIT */
/*
 * /dev/greenstk: the only caller of its commands. One object a runtime, shaped and mapped here. See
 * Documentation/uapi.rst for what the commands do.
 */
#ifndef GSTK__HOST_MODULE_H
#define GSTK__HOST_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../../include/uapi/linux/greenstk.h"

#define GSTK__MODULE_ENTRIES 64u /* of one call here: what its arrays are made for */

struct gstk__module {
	bool open;		/* everything below is valid */
	int fd;
	char *map;		/* the object */
	char *windows;		/* window 0 */
	void *grave;
	size_t map_bytes, grave_bytes;
	size_t window_bytes;
	uint32_t nr_windows;
	uint64_t features, max_pages;
	uint64_t park_offset, park_bytes;
	char why[256];		/* why it is open, or is not and what to do; never empty after a try */
};
extern struct gstk__module gstk__module;

/* What a runtime would like. */
struct gstk__module_shape {
	size_t window_bytes, guard_bytes;
	uint32_t nr_windows;
};

/* Open, shape and map. 0 or -errno, and gstk__module.why says it in words. */
int gstk__module_open(const struct gstk__module_shape *shape);
void gstk__module_close(void);
/* Note that nobody tried. */
void gstk__module_unused(const char *why);

/*
 * Batches: every entry has a result afterwards (what the kernel refused as a whole is put into each).
 * Return the number of ioctls made.
 */
int gstk__module_switch(struct greenstk_switch *e, uint32_t nr);
int gstk__module_reclaim(struct greenstk_reclaim *e, uint32_t nr);
int gstk__module_drop(struct greenstk_drop *e, uint32_t nr);
int gstk__module_populate(struct greenstk_populate *e, uint32_t nr);
int gstk__module_cold(struct greenstk_cold *e, uint32_t nr);

/* Where cold pages come from: ->park_bytes of anonymous memory that userfaultfd watches. 0 or -errno. */
int gstk__module_pager(void *addr, size_t bytes);

/* Zeroes when the module is not open. */
void gstk__module_stat(struct greenstk_stat *st);

/* Where a slot's pages can be read and written: holes there are bus errors. */
static inline char *gstk__module_slot(uint64_t slot_offset)
{
	return gstk__module.map + slot_offset;
}

/* Copy from within one page of a slot that the caller owns; false: it is a hole, for sure. */
bool gstk__module_page(void *dst, const void *src, size_t bytes);
/* Copy from such a slot; its holes come as zeroes. */
void gstk__module_read(void *dst, const void *src, size_t bytes);

#endif
