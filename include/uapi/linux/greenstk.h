/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * /dev/greenstk: batched page-table remapping and reclamation of stacks.
 *
 * One open file is one *object* that belongs to the mm which called SETUP. It
 * is mapped once, whole, MAP_SHARED, readable and writable:
 *
 *   offset 0                    windows_offset + nr_windows * window_bytes
 *   | guard | window 0 | guard | window 1 | ...   | words | parking range |
 *             ^limit    ^base
 *
 * A *window* is [w * window_bytes, (w + 1) * window_bytes); its lowest
 * guard_bytes never become present (SIGSEGV). A *slot* is a run of pages of
 * the parking range that holds one parked stack, named by a handle. Pages that
 * are parked can be read and written at slot_offset; a hole there is SIGBUS.
 *
 * Rules for every command: sizes and flags that are not known are EINVAL,
 * unknown commands ENOTTY; the layout is the same for 32 and 64 bit callers;
 * only the mm that called SETUP may use the object (EPERM).
 *
 * Batches: entries are done in order and each gets a result (0 or -errno).
 * `done` says how many entries have one. The call returns 0 if done is not 0,
 * even when it is less than nr (a signal, no memory): call again from there.
 */
#ifndef _UAPI_LINUX_GREENSTK_H
#define _UAPI_LINUX_GREENSTK_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define GREENSTK_DEVICE		"/dev/greenstk"
#define GREENSTK_ABI_VERSION	1

/* Bits of greenstk_features.features. Ask for them; never compare versions. */
#define GREENSTK_FEATURE_SWITCH		(1ULL << 0)
#define GREENSTK_FEATURE_RECLAIM	(1ULL << 1)	/* NOW */
#define GREENSTK_FEATURE_LAZY		(1ULL << 2)	/* RECLAIM LAZY */
#define GREENSTK_FEATURE_POPULATE	(1ULL << 3)
#define GREENSTK_FEATURE_PAGER		(1ULL << 4)	/* COLD and PAGER; off by default */
#define GREENSTK_FEATURE_PARK		(1ULL << 5)	/* SWITCH by moving PTEs is possible */
#define GREENSTK_FEATURE_COLD_MOVES	(1ULL << 6)	/* a stack leaves with its cold pages */

/**
 * struct greenstk_features - what this module can do
 * @size:	in: sizeof(struct); out: bytes filled in
 * @flags:	must be 0
 * @features:	out: GREENSTK_FEATURE_*
 * @max_window_bytes: out: largest window
 * @max_park_bytes: out: largest parking range
 * @max_windows: out: most windows of one object
 * @max_entries: out: most entries of one batch call
 * @page_size:	out: unit of every size and offset
 * @abi_version: out: GREENSTK_ABI_VERSION, for messages only
 * @max_object_pages: out: cap on pages of one object (mapped, parked, tables)
 * @max_user_pages: out: cap on pages of one user
 */
struct greenstk_features {
	__u32 size;
	__u32 flags;
	__aligned_u64 features;
	__aligned_u64 max_window_bytes;
	__aligned_u64 max_park_bytes;
	__u32 max_windows;
	__u32 max_entries;
	__u32 page_size;
	__u32 abi_version;
	__aligned_u64 max_object_pages;
	__aligned_u64 max_user_pages;
};

/**
 * struct greenstk_setup - give an object its shape, once
 * @size:	in: sizeof(struct)
 * @flags:	must be 0
 * @window_bytes: in: distance of two windows, power of two, with its guard
 * @guard_bytes: in: lowest bytes of each window that never become present
 * @park_bytes:	in: size of the parking range (address space, not memory)
 * @nr_windows:	in: 1..max_windows
 * @pad:	must be 0
 * @windows_offset: out: object offset of window 0
 * @words_offset: out: object offset of the words, one __u32 per window
 * @park_offset: out: object offset of the parking range
 * @map_bytes:	out: the length to mmap, at offset 0
 * @grave_offset: in: 0; out: offset for a second mmap, optional
 * @grave_bytes: in: 0; out: its length
 *
 * The second mapping (MAP_SHARED, PROT_NONE, after the first one) is where
 * pages are put to be freed; nobody looks at it. With it a batch that frees
 * pages takes one TLB flush, without it two.
 */
struct greenstk_setup {
	__u32 size;
	__u32 flags;
	__aligned_u64 window_bytes;
	__aligned_u64 guard_bytes;
	__aligned_u64 park_bytes;
	__u32 nr_windows;
	__u32 pad;
	__aligned_u64 windows_offset;
	__aligned_u64 words_offset;
	__aligned_u64 park_offset;
	__aligned_u64 map_bytes;
	__aligned_u64 grave_offset;
	__aligned_u64 grave_bytes;
};

/**
 * struct greenstk_batch - header of SWITCH, RECLAIM, DROP, COLD, POPULATE
 * @entries:	in: address of the entries
 * @nr:		in: number of entries, 1..max_entries
 * @entry_size:	in: sizeof one entry; larger is allowed when the rest is 0
 * @flags:	in: of the command
 * @done:	out: entries that have a result
 */
struct greenstk_batch {
	__aligned_u64 entries;
	__u32 nr;
	__u32 entry_size;
	__u32 flags;
	__u32 done;
};

#define GREENSTK_EAGER_ALL	0xffffffffU

/**
 * struct greenstk_switch - exchange the stack in a window
 * @window:	in: window number
 * @flags:	must be 0
 * @out_bytes:	in: used bytes of the stack that leaves, [base - out_bytes,
 *		base), rounded up to pages; 0: it is dead or there is none
 * @eager_pages: in: pages of the incoming stack, lowest addresses (nearest its
 *		stack pointer) first, that are made present now; the rest comes
 *		on touch
 * @handle_in:	in: stack that enters (consumed), or 0
 * @handle_out:	out: names the stack that left, or 0 if out_bytes was 0
 * @slot_offset: out: object offset of the lowest page of its slot
 * @result:	out: 0 or -errno; on error the entry changed nothing
 * @in_pages:	out: size of the stack that entered
 *
 * Afterwards [base - in_pages, base) holds exactly the incoming stack; what it
 * never touched reads as zero. Pages below are scratch: any old bytes of this
 * object. EDEADLK: the window holds the caller's own stack pointer.
 */
struct greenstk_switch {
	__u32 window;
	__u32 flags;
	__u32 out_bytes;
	__u32 eager_pages;
	__aligned_u64 handle_in;
	__aligned_u64 handle_out;
	__aligned_u64 slot_offset;
	__s32 result;
	__u32 in_pages;
};

#define GREENSTK_RECLAIM_NOW	0U
#define GREENSTK_RECLAIM_LAZY	1U	/* batch flag: when memory is short */

/*
 * The word of a window, for LAZY. RECLAIM LAZY sets IDLE. User space swaps IDLE
 * to BUSY before it runs on the window again; the shrinker swaps IDLE to
 * RECLAIMING, takes the pages, and stores BUSY. Who meets RECLAIMING waits.
 */
#define GREENSTK_WORD_BUSY		0U
#define GREENSTK_WORD_IDLE		1U
#define GREENSTK_WORD_RECLAIMING	2U

/**
 * struct greenstk_reclaim - give back what lies below a stack
 * @window:	in: window number
 * @result:	out: 0 or -errno
 * @keep_bytes:	in: [base - keep_bytes, base) stays
 * @freed_pages: out: pages given back (NOW)
 */
struct greenstk_reclaim {
	__u32 window;
	__s32 result;
	__aligned_u64 keep_bytes;
	__aligned_u64 freed_pages;
};

/**
 * struct greenstk_drop - its task died parked
 * @handle:	in: consumed
 * @result:	out: 0 or -errno
 * @pad:	must be 0
 */
struct greenstk_drop {
	__aligned_u64 handle;
	__s32 result;
	__u32 pad;
};

/**
 * struct greenstk_cold - bytes of a parked stack live elsewhere now
 * @handle:	in: parked stack
 * @offset:	in: first byte, from slot_offset, a multiple of the page size
 * @bytes:	in: multiple of the page size
 * @result:	out: 0 or -errno
 * @pad:	must be 0
 *
 * The pages are freed. A later touch in the window asks the pager for the
 * bytes at pager address + (slot_offset - park_offset) + offset. A stack that
 * leaves its window again takes what is still cold along: from then on the
 * pager is asked at the offset of the slot that it got.
 */
struct greenstk_cold {
	__aligned_u64 handle;
	__aligned_u64 offset;
	__aligned_u64 bytes;
	__s32 result;
	__u32 pad;
};

/**
 * struct greenstk_populate - make zeroed pages present in a slot
 * @handle:	in: parked stack, or 0 for a new slot of @bytes; out: its handle
 * @offset:	in: first byte, from slot_offset (0 for a new slot)
 * @bytes:	in: multiple of the page size
 * @slot_offset: out: object offset of the slot
 * @result:	out: 0 or -errno
 * @pad:	must be 0
 *
 * Pages that are present stay; cold ones become present and warm.
 *
 * When an entry fails, what is cold in its range stays cold.
 */
struct greenstk_populate {
	__aligned_u64 handle;
	__aligned_u64 offset;
	__aligned_u64 bytes;
	__aligned_u64 slot_offset;
	__s32 result;
	__u32 pad;
};

/**
 * struct greenstk_pager - where cold pages come from
 * @size:	in: sizeof(struct)
 * @flags:	must be 0
 * @addr:	in: anonymous memory registered with userfaultfd MISSING, or 0
 * @bytes:	in: park_bytes, or 0
 */
struct greenstk_pager {
	__u32 size;
	__u32 flags;
	__aligned_u64 addr;
	__aligned_u64 bytes;
};

/**
 * struct greenstk_stat - counters of this object since SETUP
 * @size:	in: bytes there is room for; out: bytes filled in
 * @flags:	must be 0
 */
struct greenstk_stat {
	__u32 size;
	__u32 flags;
	__aligned_u64 pages;		/* held now: windows, slots (upper bound) */
	__aligned_u64 table_pages;	/* the module's own tables, in pages */
	__aligned_u64 handles;		/* parked now */
	__aligned_u64 park_free_pages;	/* address space left in the parking range */
	__aligned_u64 switches;		/* entries that succeeded */
	__aligned_u64 batches;		/* brackets, one flush each */
	__aligned_u64 pages_parked;
	__aligned_u64 pages_resumed;
	__aligned_u64 flushes;
	__aligned_u64 fallback_batches;	/* by zap and insert */
	__aligned_u64 faults_zero;	/* first touch */
	__aligned_u64 faults_lazy;	/* pages restored on touch */
	__aligned_u64 faults_guard;
	__aligned_u64 faults_pager;
	__aligned_u64 faults_bus;
	__aligned_u64 reclaimed_now;	/* pages */
	__aligned_u64 reclaimed_lazy;	/* pages */
	__aligned_u64 lock_waits;	/* window was busy */
	__aligned_u64 vma_locks;	/* brackets that did not lock the whole mm */
	__aligned_u64 range_flushes;	/* of flushes: of one window only */
};

#define GREENSTK_IOC_MAGIC	0xBD
#define GREENSTK_FEATURES	_IOWR(GREENSTK_IOC_MAGIC, 0x00, struct greenstk_features)
#define GREENSTK_SETUP		_IOWR(GREENSTK_IOC_MAGIC, 0x01, struct greenstk_setup)
#define GREENSTK_SWITCH		_IOWR(GREENSTK_IOC_MAGIC, 0x02, struct greenstk_batch)
#define GREENSTK_RECLAIM	_IOWR(GREENSTK_IOC_MAGIC, 0x03, struct greenstk_batch)
#define GREENSTK_DROP		_IOWR(GREENSTK_IOC_MAGIC, 0x04, struct greenstk_batch)
#define GREENSTK_COLD		_IOWR(GREENSTK_IOC_MAGIC, 0x05, struct greenstk_batch)
#define GREENSTK_POPULATE	_IOWR(GREENSTK_IOC_MAGIC, 0x06, struct greenstk_batch)
#define GREENSTK_PAGER		_IOW(GREENSTK_IOC_MAGIC, 0x07, struct greenstk_pager)
#define GREENSTK_STAT		_IOWR(GREENSTK_IOC_MAGIC, 0x08, struct greenstk_stat)

#endif /* _UAPI_LINUX_GREENSTK_H */
