// SPDX-License-Identifier: MIT
/*
 * A task ends; another joins it (or detaches it), may be cancelled meanwhile, and then waits for
 * something else, which the end of the first must not decide. sched/start.c, step by step.
 */
#include "transitions.h"
#include "prop.h"
hidden byte the_joiner_is_woken_once, the_task_is_freed_once, an_end_wakes_no_other_wait,
	the_result_is_there, nobody_waits_for_ever;

#define INDEX 1		/* the joiner's */
#define LOCKED 2
#define DONE_ 4
#define DETACHED 8

byte peer;		/* of the ending task */
byte w = RUNNING;	/* the joiner's word */
byte seq, code, poke, winners, queued;
bit obj;		/* the joiner's ->obj names the ending task */
bit running = 1;	/* a worker runs the joiner, or it came back from its wait */
bit result, ended, joiner_out, other_wait, other_event;
byte freed;
#define OK 0
#define CANCELED 1

#define REAP atomic { freed++; PROP(the_task_is_freed_once, freed == 1) }
#define QUEUE atomic { queued++; PROP(the_joiner_is_woken_once, queued == 1 && STATE(w) == RUNNABLE) }

/* gstk__task_exit(), gstk__task_ended() */
proctype ending() {
	byte o, p, state;
	bit lock;
	result = 1;
	p = peer;
	if
	:: !(p & DETACHED) ->
		atomic { p = peer; peer = peer | LOCKED; lock = 1 }
		if
		:: p & INDEX ->
			do	/* wake_joiner() */
#ifdef PLANT_LOOK_AFTER_TRY
			:: atomic { step_wake(w, o); if :: o != LOST -> code = OK; winners++; PROP(an_end_wakes_no_other_wait, !other_wait) :: else fi }
				state = STATE(w);
#else
			:: state = STATE(w);
				atomic { step_wake(w, o); if :: o != LOST -> code = OK; winners++; PROP(an_end_wakes_no_other_wait, !other_wait) :: else fi }
#endif
				if
				:: o != LOST || state != RUNNING || !obj -> break
				:: else -> (STATE(w) != RUNNING || !obj)	/* spin */
				fi
			od
		:: else -> o = LOST
		fi
	:: else -> o = LOST
	fi;
	p = peer;
	if
#ifdef PLANT_DETACH_LEAKS
	:: p & LOCKED -> peer = DONE_
#else
	:: (p & LOCKED) && !(p & DETACHED) -> peer = DONE_
#endif
	:: else -> REAP
	fi;
	ended = 1;
	if :: o == ENQUEUE -> QUEUE :: else fi
}

inline park_and_wait() {	/* the short way, no lock; then run again */
	tmp = w; step_park(tmp, o);
	atomic { w = tmp; seq++; my = seq; winners = 0 }
	if
	:: poke -> atomic { o = LOST; if :: seq == my -> step_wake_cancel(w, o); if :: o != LOST -> code = CANCELED; winners++ :: else fi :: else fi }
		if :: o == ENQUEUE -> QUEUE :: else fi
	:: else
	fi;
	atomic { queued -> queued-- }
	tmp = w; step_run(tmp, o); w = tmp;
	PROP(the_joiner_is_woken_once, winners == 1)
}

proctype joiner() {
	byte tmp, o, my, old;
	if
	:: goto join
	:: goto detach
	fi;
join:	if
	:: peer & DONE_ -> goto reap
	:: else
	fi;
register:
	atomic {
		if
		:: peer & DONE_ -> goto reap
		:: (peer & LOCKED) && !(peer & DONE_) -> goto relax
		:: else -> obj = 1; peer = peer | INDEX; goto park
		fi
	}
relax:	!(peer & LOCKED) || (peer & DONE_) -> goto register;
park:
	park_and_wait();
	if
	:: code == OK -> (peer & DONE_) -> goto reap
	:: else -> poke = 0
	fi;
	obj = 0;
withdraw:
	atomic {
		if
		:: peer & DONE_ -> goto reap
		:: peer & LOCKED -> goto yield
		:: else -> peer = peer & ~INDEX; goto other
		fi
	}
yield:	!(peer & LOCKED) || (peer & DONE_) -> goto withdraw;
other:	/* it gives up joining, and waits for something else; the task is detached */
	other_wait = 1;
	other_event = 1;
	park_and_wait();
	other_wait = 0;
	goto detach;
reap:	PROP(the_result_is_there, result);
	REAP;
	goto out;
detach:
	atomic {
		old = peer;
		if
		:: old & DONE_ -> goto reap
		:: (old & LOCKED) && !(old & DONE_) -> goto again
		:: else -> peer = peer | DETACHED; goto out
		fi
	}
again:	(peer & DONE_) -> goto detach;
out:	joiner_out = 1
}

proctype canceller() {
	byte o, my;
	if :: skip :: goto out fi;
	poke = 1;
	my = seq;
	o = LOST;
	if
	:: poke -> atomic { if :: seq == my -> step_wake_cancel(w, o); if :: o != LOST -> code = CANCELED; winners++ :: else fi :: else fi }
	:: else
	fi;
	if :: o == ENQUEUE -> QUEUE :: else fi;
out:	skip
}

/* What the joiner waits for next happens, sooner or later. */
proctype event() {
	byte o;
end:	do
	:: atomic { other_event && STATE(w) == PARKED && other_wait -> step_wake(w, o); code = OK; winners++; other_event = 0 }
		if :: o == ENQUEUE -> QUEUE :: else fi
	od
}

active proctype monitor() {
	atomic { run ending(); run joiner(); run canceller(); run event() }
	timeout;
	PROP(nobody_waits_for_ever, joiner_out && ended);
	PROP(the_task_is_freed_once, freed == 1)
}
