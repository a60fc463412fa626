// SPDX-License-Identifier: MIT
/*
 * A deep stack comes back lazily: its window is made missing, registered, and the pager answers what is
 * touched from the image, with a neighbour, while a worker evicts (park/lazy.c, park/pager.c). Two pages;
 * the window is used by one deep stack, by a shallow mate, and by the deep stack again; with HANDS_OVER by
 * the deep one again at once, and stays registered. Somebody with a
 * stale pointer reads there at any time, so the pager may be in the midst of an answer whenever the
 * worker is. The first page may be dead for a while, and then is trimmed.
 *
 * With PACKS the sweep packs, while the stack is away, what is only in its image; what is packed stays so when the
 * stack comes, is unpacked by the pager when it is touched, and is packed no second time when it was not.
 */
#include "transitions.h"
#include "prop.h"
hidden byte what_was_written_comes_back, the_mate_is_not_disturbed, the_untouched_is_not_copied_back,
	nobody_waits_for_ever;

#define MISSING 0
#define ZEROES 1
#define MATE 2
#define FIRST 3		/* contents: versions from here on */
#define ROUNDS 2
#ifdef PACKS		/* fewer, for more is in it */
#define WRITES 1
#else
#define WRITES 2
#endif

#define NONE 0		/* what the window says of its record */
#define OPEN 1
#define CLOSED 2

byte page[2];		/* of the window, as the kernel has them */
byte image[2];
bit here[2];		/* the record: came since */
bit cold[2];		/* the record: is in ... */
byte packed[2];		/* ... and not in the image */
bit owned;		/* somebody owns the bytes; the sweep takes them only while the stack is away */
byte now[2];		/* what the stack's owner wrote last; 0: dead, anything will do */
byte lazy = NONE;
bit lock, registered;
bit epoch;		/* of registrations: unregistering wakes who waits */
byte fault[2];		/* messages of the pager's descriptor */
byte version = FIRST;
bit stray_out, worker_out;

#ifdef PLANT_READS_THE_IMAGE
#define SOURCE(k) image[k]
#else
#define SOURCE(k) (cold[k] -> packed[k] : image[k])
#endif

/* A touch: a page that is missing is zeroes, or a fault where that is registered. */
inline touch(k) {
	do
	:: atomic { page[k] != MISSING -> break }
	:: atomic { page[k] == MISSING && !registered -> page[k] = ZEROES; break }
	:: atomic { page[k] == MISSING && registered -> if :: fault[k] < 3 -> fault[k]++ :: else fi; seen = epoch }
		atomic { (page[k] != MISSING || epoch != seen) -> skip }
	od
}

/* ---- the pager ---- */
inline answer(k) {
	atomic { fault[k] > 0 -> fault[k]-- }
#ifndef PLANT_NO_LOCK
	atomic { !lock -> lock = 1 }
#endif
	if
	:: lazy == OPEN && !here[k] ->
#ifndef PLANT_MARK_AFTER
		here[k] = 1;
#endif
		atomic { from = SOURCE(k) }
		atomic { if :: registered && page[k] == MISSING -> page[k] = from :: else fi }
		if	/* a neighbour, OPTIONAL */
		:: !here[1 - k] ->
#ifndef PLANT_MARK_AFTER
			here[1 - k] = 1;
#endif
			atomic { from = SOURCE(1 - k) }
			atomic { if :: registered && page[1 - k] == MISSING -> page[1 - k] = from :: else fi }
#ifdef PLANT_MARK_AFTER
			lock = 0;
			here[1 - k] = 1
#endif
		:: skip
		fi
#ifdef PLANT_MARK_AFTER
		lock = 0;
		here[k] = 1
#endif
	:: lazy == NONE ->	/* not yet, or no more: who waits tries again */
		atomic { if :: registered && page[k] == MISSING -> fault[k]++ :: else fi }
	:: else ->	/* it came and was trimmed; or the record is closed */
		atomic { if :: registered && page[k] == MISSING -> page[k] = ZEROES :: else fi }
	fi;
	atomic { lock = 0; from = 0 }
}

proctype pager() {
	byte from;
end:	do
	:: answer(0)
	:: answer(1)
	od
}

/* ---- a worker: restores, runs, evicts ---- */
inline read_own(k) {
	touch(k);
	atomic { PROP(what_was_written_comes_back, !now[k] || page[k] == now[k]) }
}

inline write_own(k) {
	touch(k);
	atomic { version++; page[k] = version; now[k] = version }
}

inline run_deep() {
	do
	:: read_own(0)
	:: read_own(1)
	:: version < FIRST + WRITES -> write_own(0)
	:: version < FIRST + WRITES -> write_own(1)
	:: now[0] -> atomic { now[0] = 0; page[0] = MISSING }	/* it returned from there; the sweep trims */
	:: break
	od
}

inline merge(k) {
	if
	:: here[k] ->
		touch(k);
		atomic { image[k] = page[k]; PROP(the_untouched_is_not_copied_back, image[k] != MISSING) }
#ifndef PLANT_STAYS_COLD
		cold[k] = 0
#endif
	:: else
#ifdef PLANT_COPIES_ALL
		-> atomic { if :: page[k] == MISSING -> image[k] = ZEROES :: else -> image[k] = page[k] fi }
#endif
	fi
}

/* ---- the sweep ---- */
inline pack(k) {
#ifdef PLANT_PACKS_AGAIN
	packed[k] = image[k];
	cold[k] = 1;
	image[k] = ZEROES
#else
	if
	:: !cold[k] -> packed[k] = image[k]; cold[k] = 1; image[k] = ZEROES
	:: else
	fi
#endif
}

proctype sweep() {
	byte nr;
	do
	:: nr < 2 -> nr++;
#ifndef PLANT_PACKS_WHAT_IS_THERE
		atomic { !owned -> owned = 1 }
#endif
		pack(0);
		pack(1);
#ifndef PLANT_PACKS_WHAT_IS_THERE
		owned = 0
#endif
	:: break
	od
}

proctype worker() {
	byte i, seen;
	do
	:: i == ROUNDS -> break
	:: else -> i++;
		atomic { !owned -> owned = 1 }
		/* lazy_restore() */
#ifdef HANDS_OVER
		if
		:: !registered -> registered = 1; atomic { page[0] = MISSING; page[1] = MISSING }
		:: else
		fi;
		atomic { here[0] = 0; here[1] = 0 }
#elif defined(PLANT_REGISTERS_LATE)
		atomic { page[0] = MISSING; page[1] = MISSING; here[0] = 0; here[1] = 0 }
		registered = 1;
#else
		registered = 1;
		atomic { page[0] = MISSING; page[1] = MISSING; here[0] = 0; here[1] = 0 }
#endif
		lazy = OPEN;
		run_deep();
		/* lazy_evict() */
#ifndef PLANT_NO_LOCK
		atomic { !lock -> lock = 1 }
#endif
		lazy = CLOSED;
#ifndef PLANT_MERGES_LOCKED
		lock = 0;
#endif
		merge(0);
		merge(1);
#ifdef PLANT_MERGES_LOCKED
		lock = 0;
#endif
#ifdef HANDS_OVER	/* a deep stack comes at once, and stays registered: lazy_give_way() */
		if
		:: i < ROUNDS ->
#ifndef PLANT_HANDS_OVER_CLOSED
			atomic { !lock -> lock = 1 }
			lazy = NONE;
			lock = 0;
#endif
			atomic { page[0] = MISSING; page[1] = MISSING };
			owned = 0;
			goto next
		:: else
		fi;
#endif
		atomic { registered = 0; epoch = 1 - epoch }
#ifndef PLANT_FORGETS_UNLOCKED
		atomic { !lock -> lock = 1 }
		lazy = NONE;
		lock = 0;
#else
		lazy = NONE;
#endif
		owned = 0;
		/* the mate: its bytes are copied in, and must stay */
		page[0] = MATE;
		page[1] = MATE;
		atomic { PROP(the_mate_is_not_disturbed, page[0] == MATE && page[1] == MATE) }
		skip;
		atomic { PROP(the_mate_is_not_disturbed, page[0] == MATE && page[1] == MATE) }
next:		skip
	od
	worker_out = 1
}

/* A pointer that should not be: reads, any time. */
proctype stray() {
	byte seen;
	if :: touch(0) :: touch(1) fi;
	stray_out = 1
}

active proctype monitor() {
	atomic {
		image[0] = FIRST; image[1] = FIRST; now[0] = FIRST; now[1] = FIRST;
		run pager(); run worker();
#ifdef PACKS
		run sweep();
		stray_out = 1
#else
		run stray()
#endif
	}
	timeout;
	PROP(nobody_waits_for_ever, worker_out && stray_out)
}
