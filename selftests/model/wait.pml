// SPDX-License-Identifier: MIT
/*
 * One task, alone in its window, waits WAITS times for an object under a lock. Against it: a sender
 * (message under the lock), a timer, a canceller, the sweep; two workers, so the task may run on one
 * while the other is still finishing its park. Short way and long way (sched/after.h: gstk__after()).
 * The word's transitions are the code's own: transitions.h.
 */
#include "transitions.h"
#include "prop.h"
hidden byte one_owner_of_the_stack, one_winner_of_a_wait, every_decided_wait_runs, a_message_arrives_once,
	in_one_queue, a_cancel_ends_one_wait;

#ifndef WAITS
#define WAITS 2
#endif
#define OK 0
#define CANCELED 1
#define TIMEDOUT 2

byte w = RUNNABLE, seq, code;
byte owner, queued = 1, nwait, winners, msg, sent, got, asked, canceled;
bit lock, linked, poke, armed, firing, done;

#define TOUCH atomic { PROP(one_owner_of_the_stack, owner == 0); owner = _pid + 1 }
#define LEAVE owner = 0
#define LOCK atomic { lock == 0 -> lock = 1 }
#define UNLOCK lock = 0
#define WON(c) code = c; winners++; PROP(one_winner_of_a_wait, winners == 1)
#define QUEUE atomic { PROP(in_one_queue, queued == 0 && STATE(w) == RUNNABLE); queued++ }

inline enqueue_if(order) { if :: order == ENQUEUE -> QUEUE :: else fi }
inline wake_cancel(order) {
	step_wake_cancel(w, order);
	if :: order != LOST -> WON(CANCELED) :: else fi
}
inline after_short() {
	tmp = w; step_park(tmp, o);
#ifdef PLANT_UNLOCK_FIRST
	UNLOCK;
#endif
	atomic { w = tmp; seq++; my = seq; winners = 0 }
	p = poke;
	UNLOCK;
	o = LOST;
	if
	:: p -> atomic { if :: seq == my -> wake_cancel(o) :: else fi }
	:: else
	fi;
	enqueue_if(o)
}
inline after_long() {
	tmp = w; step_park_owned(tmp, o);
	atomic { w = tmp; seq++; winners = 0 }
	if :: armed = 1 :: skip fi;
	UNLOCK;		/* the commit */
	if :: poke -> atomic { wake_cancel(o); PROP(one_owner_of_the_stack, o != ENQUEUE) } :: else fi;
	if :: TOUCH; LEAVE /* forced eviction */ :: skip fi;
	step_disown_atomic(o);
	enqueue_if(o)
}
inline step_disown_atomic(order) { atomic { step_disown(w, order) } }

inline came_back() {
	PROP(one_winner_of_a_wait, winners == 1);
	atomic { !firing -> armed = 0 }	/* disarm waits for a callback */
	if
	:: code == OK -> atomic { got++; PROP(a_message_arrives_once, got == sent && msg == got) }
	:: else ->
		LOCK; linked = 0; UNLOCK;
		if
		:: code == CANCELED -> atomic { canceled++; poke = 0;
				PROP(a_cancel_ends_one_wait, canceled <= asked) }
		:: else
		fi
	fi
}

proctype worker() {
	byte tmp, o, my; bit p;
end:	do
	:: atomic { queued -> queued--; tmp = w }
		step_run(tmp, o); w = tmp;
		TOUCH;
		if :: nwait > 0 -> came_back() :: else fi;
		if
		:: nwait == WAITS -> tmp = w; step_done(tmp, o); atomic { LEAVE; w = tmp; done = 1 }
		:: else ->
			nwait++;
			LOCK; linked = 1;
			LEAVE;		/* the switch */
			if
			:: !poke -> after_short()
			:: after_long()
			fi
		fi
	od
}

proctype sender() {
	byte o;
end:	do
	:: atomic { lock == 0 && linked -> lock = 1 }
		linked = 0;
		msg = sent + 1;
		atomic { step_wake(w, o); if :: o != LOST -> WON(OK); sent++ :: else fi }
		UNLOCK;
		enqueue_if(o)
	od
}

proctype timer() {
	byte o;
end:	do
	:: atomic { armed -> armed = 0; firing = 1 }
		atomic { step_wake(w, o); if :: o != LOST -> WON(TIMEDOUT) :: else fi }
		enqueue_if(o);
		firing = 0
	od
}

proctype canceller() {
	byte o, my;
	atomic { asked++; poke = 1 }
	my = seq;	/* the word, after the barrier */
	o = LOST;
	if
#ifdef PLANT_CANCEL_ANY_WAIT
	:: poke -> atomic { wake_cancel(o) }
#else
	:: poke -> atomic { if :: seq == my -> wake_cancel(o) :: else fi }
#endif
	:: else
	fi;
	enqueue_if(o)
}

proctype sweep() {
	byte o;
end:	do
	:: STATE(w) == PARKED ->
		atomic {
			step_own(w, o);
			if :: o -> PROP(one_owner_of_the_stack, owner == 0); owner = _pid + 1 :: else fi
		}
		if
		:: o -> LEAVE; step_disown_atomic(o);
#ifndef PLANT_RELEASE_WITHOUT_ENQUEUE
			enqueue_if(o)
#endif
		:: else
		fi
	od
}

active proctype monitor() {
	atomic { run worker(); run worker(); run sender(); run timer(); run canceller(); run sweep() }
	timeout;
	PROP(every_decided_wait_runs, done);
	PROP(a_message_arrives_once, got == sent)
}
