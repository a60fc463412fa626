// SPDX-License-Identifier: MIT
/*
 * A packed stack comes back from its slot page by page: the module asks for a cold page at the page of the
 * pager's range that stands for the slot's, the pager gives it from the record of whoever came from that slot,
 * and the stack leaves again, with what is still cold, for that slot or another one (park/cold.c, kmod/fault.c,
 * kmod/switch.c). The slot that is free then is a mate's, which has other bytes. Two pages. Somebody with a
 * stale pointer reads the window at any time.
 */
#include "transitions.h"
#include "prop.h"
hidden byte what_was_written_comes_back, the_mate_has_its_own, nobody_waits_for_ever;

#define MISSING 0
#define ZEROES 1
#define MATE 2		/* the mate's page k is MATE + k */
#define FIRST 4		/* contents: versions from here on */
#define ROUNDS 2

#define NONE 0		/* what the window says of its record */
#define OPEN 1
#define CLOSED 2
#define NO_SLOT 2

/* The kernel's. Slot s, page k: [2 * s + k]. */
byte win[2];
byte slot[4];
bit cold[4];
byte given[4];		/* the pager's range */
byte attached = NO_SLOT;
/* The runtime's. */
byte image[4];		/* what the record of who is in slot s says */
byte lazy = NONE, from = NO_SLOT;	/* the record is of who came from there */
bit lock, epoch;
byte fault[4];
byte now[2];		/* what the stack's owner wrote last */
byte version = FIRST;
bit stray_out, worker_out;

/* ->fault: a page that is there, or cold and given, or zeroes. Who asks and is woken tries again. */
inline touch(k) {
	do
	:: atomic { win[k] != MISSING -> break }
	:: atomic { win[k] == MISSING && attached != NO_SLOT && slot[2 * attached + k] != MISSING ->
		win[k] = slot[2 * attached + k]; slot[2 * attached + k] = MISSING; break }
	:: atomic { win[k] == MISSING && (attached == NO_SLOT || (!cold[2 * attached + k] && slot[2 * attached + k] == MISSING)) ->
		win[k] = ZEROES; break }
	:: atomic { win[k] == MISSING && attached != NO_SLOT && cold[2 * attached + k] && given[2 * attached + k] == MISSING ->
		at = 2 * attached + k; if :: fault[at] < 2 -> fault[at]++ :: else fi; seen = epoch }
		atomic { (given[at] != MISSING || epoch != seen || win[k] != MISSING || attached != at / 2) -> skip }
	:: atomic { win[k] == MISSING && attached != NO_SLOT && cold[2 * attached + k] && given[2 * attached + k] != MISSING ->
		win[k] = given[2 * attached + k]; given[2 * attached + k] = MISSING; cold[2 * attached + k] = 0; break }
	od
}

/* ---- the pager ---- */
inline answer(i) {
	atomic { fault[i] > 0 -> fault[i]-- }
#ifndef PLANT_NO_LOCK
	atomic { !lock -> lock = 1 }
#endif
	if
#ifdef PLANT_ANSWERS_CLOSED
	:: lazy != NONE && from == i / 2 ->
#else
	:: lazy == OPEN && from == i / 2 ->
#endif
		what = image[i];
		atomic { if :: given[i] == MISSING -> given[i] = what :: else fi };
		atomic { what = image[i ^ 1]; if :: given[i ^ 1] == MISSING -> given[i ^ 1] = what :: else fi }
	:: else ->
#ifdef PLANT_ZEROES
		atomic { if :: given[i] == MISSING -> given[i] = ZEROES :: else fi }
#else
		epoch = 1 - epoch
#endif
	fi;
	atomic { lock = 0; what = 0 }
}

proctype pager() {
	byte what;
end:	do
	:: answer(0)
	:: answer(1)
	:: answer(2)
	:: answer(3)
	od
}

/* ---- a worker ---- */
inline set_lazy(to, s) {
	atomic { !lock -> lock = 1 }
	atomic { lazy = to; from = s; lock = 0 }
}

/* SWITCH in, and then the record: who faults before that is told to try again. */
inline come(s) {
	atomic { attached = s; win[0] = MISSING; win[1] = MISSING }
	set_lazy(OPEN, s)
}

inline close(s) {
	set_lazy(CLOSED, s);
#ifndef PLANT_NO_DISCARD
	atomic { given[2 * s] = MISSING; given[2 * s + 1] = MISSING }
#endif
}

/* To slot s: what is cold stays so. */
inline leave(s, k) {
	if
	:: win[k] != MISSING -> slot[2 * s + k] = win[k]; cold[2 * s + k] = 0
	:: else -> slot[2 * s + k] = slot[2 * attached + k]; cold[2 * s + k] = cold[2 * attached + k]
	fi;
	image[2 * s + k] = image[2 * attached + k];
	slot[2 * attached + k] = MISSING;
	cold[2 * attached + k] = 0
}

/* To the slot that it came from: what did not come stays where it is. */
inline back(s, k) {
#ifndef PLANT_FORGETS_WHAT_CAME
	if :: win[k] != MISSING -> slot[2 * s + k] = win[k] :: else fi
#else
	skip
#endif
}

inline read_own(k) {
	touch(k);
	atomic { PROP(what_was_written_comes_back, win[k] == now[k]) }
}

inline write_own(k) {
	touch(k);
	atomic { version++; win[k] = version; now[k] = version }
}

proctype worker() {
	byte i, seen, at, me, mine, other;
	do
	:: i == ROUNDS -> break
	:: else -> i++;
		me = mine;	/* the slot that it is in, cold in part */
		come(me);
		do
		:: read_own(0)
		:: read_own(1)
		:: version < FIRST + 3 -> write_own(1)
		:: break
		od;
		close(me);
		other = 1 - me;	/* what is given to an inline is text */
#ifdef KEEPS
		if	/* the first time it goes back to its slot */
		:: i == 1 ->
			atomic { back(me, 0); back(me, 1); attached = NO_SLOT; win[0] = MISSING; win[1] = MISSING };
			set_lazy(NONE, NO_SLOT);
			me = other
		:: else ->
			atomic { leave(other, 0); leave(other, 1); attached = NO_SLOT; win[0] = MISSING; win[1] = MISSING };
			set_lazy(NONE, NO_SLOT);
			mine = other
		fi;
#else
		atomic { leave(other, 0); leave(other, 1); attached = NO_SLOT; win[0] = MISSING; win[1] = MISSING };
		set_lazy(NONE, NO_SLOT);
		mine = other;
#endif
		/* A mate, packed in the slot that is free now; it ends, perhaps with pages that never came. */
		atomic { image[2 * me] = MATE; image[2 * me + 1] = MATE + 1; cold[2 * me] = 1; cold[2 * me + 1] = 1 };
		come(me);
		if
		:: touch(0); atomic { PROP(the_mate_has_its_own, win[0] == MATE) }
		:: touch(1); atomic { PROP(the_mate_has_its_own, win[1] == MATE + 1) }
		:: skip
		fi;
		close(me);
#ifndef PLANT_NO_DETACH
		atomic { attached = NO_SLOT; cold[2 * me] = 0; cold[2 * me + 1] = 0 };
#endif
		set_lazy(NONE, NO_SLOT);
		/* Somebody without a slot. */
		win[0] = MISSING;
		touch(0)
	od
	worker_out = 1
}

/* A pointer that should not be: reads, any time. */
proctype stray() {
	byte seen, at;
	if :: touch(0) :: touch(1) fi;
	stray_out = 1
}

active proctype monitor() {
	atomic {
		image[0] = FIRST; image[1] = FIRST; now[0] = FIRST; now[1] = FIRST;
		cold[0] = 1; cold[1] = 1;
		run pager(); run worker(); run stray()
	}
	timeout;
	PROP(nobody_waits_for_ever, worker_out && stray_out)
}
