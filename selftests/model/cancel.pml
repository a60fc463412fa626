// SPDX-License-Identifier: MIT
/*
 * The one place where the order of memory matters that the other models leave out: the parking side
 * stores PARKED, with no barrier, and reads ->poke; the store may sit in a store buffer (TSO). The
 * cancelling side stores ->poke, runs a barrier in every thread (membarrier), and reads the word.
 * Either the one or the other must see it.
 */
#include "transitions.h"
#include "prop.h"
hidden byte a_cancel_is_seen, one_winner_of_a_wait;

byte w = RUNNING, poke, winners, queued;
byte buffered;		/* the parker's store of the word, not yet seen by others */
bit has_buffered, parked;

inline drain() { atomic { if :: has_buffered -> w = buffered; has_buffered = 0 :: else fi } }

proctype parker() {
	byte tmp, o; bit p;
	tmp = w; step_park(tmp, o);
	atomic { buffered = tmp; has_buffered = 1 }
	p = poke;
	drain();	/* unlock is a release store: by then the word is out */
	parked = 1;
	if
	:: p -> atomic { step_wake_cancel(w, o); if :: o != LOST -> winners++ :: else fi }
		if :: o == ENQUEUE -> queued++ :: else fi
	:: else
	fi
}

proctype store_buffer() {
end:	has_buffered -> drain()
}

proctype canceller() {
	byte o;
	poke = 1;
#ifndef PLANT_NO_BARRIER
	drain();
#endif
	atomic { step_wake_cancel(w, o); if :: o != LOST -> winners++ :: else fi }
	if :: o == ENQUEUE -> queued++ :: else fi
}

active proctype monitor() {
	atomic { run parker(); run store_buffer(); run canceller() }
	timeout;
	PROP(one_winner_of_a_wait, winners <= 1);
	PROP(a_cancel_is_seen, winners == 1 && queued == 1 && STATE(w) == RUNNABLE)
}
