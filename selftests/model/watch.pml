// SPDX-License-Identifier: MIT
/*
 * A pinned task parks and its worker, with nothing else to do, watches it (sched/watch.c): it spins on
 * ->next, gives up after a while, and sleeps. Whoever wins the wait gives the task to the worker that
 * watches, or puts it into the worker's inbox and wakes the worker when that sleeps. The worker may have
 * taken another, injected item just then: the one of the two that it does not run has to be in a line.
 * And a thread that is no worker (sched/foreign.c): it spins on its word, then says that it sleeps, looks
 * again, sleeps.
 */
#include "transitions.h"
#include "prop.h"
hidden byte a_won_task_runs_once, the_worker_does_not_sleep_on_work, the_thread_does_not_sleep_on_its_wake;

#define NOTHING 0
#define WATCHED 1
#define GIVEN 2
#define WAITS 3		/* rounds of park and wake */

byte w = RUNNING;	/* the task's word */
byte next;
bit inbox, futex, may_wake;
byte rounds, runs;
bit injected, pinned, pending, item, done;	/* the other item, the worker's own lines, and its end */

inline run_task() { atomic { runs++; PROP(a_won_task_runs_once, runs == rounds && STATE(w) == RUNNABLE); w = RUNNING } }

/* Whatever runs leaves by gstk__next_stack(), which sets the slot of the next item anew. */
inline run_other() { item = 0; done = 1; pending = 0 }

proctype worker() {
	byte o; bit got;
	do
	:: rounds == WAITS && done -> break
	:: else ->
		got = 0;
		if
		:: rounds < WAITS ->
			next = WATCHED;
			atomic { step_park(w, o); rounds++; may_wake = 1 }
			if :: injected -> injected = 0; item = 1 :: true fi;	/* poll_all(), or it was not its time */
			do	/* gstk__watch() */
			:: next == GIVEN -> got = 1; break
			:: next == WATCHED -> atomic { if :: next == WATCHED -> next = NOTHING :: else -> skip fi }
#ifdef PLANT_GIVES_UP_WITHOUT_LOOKING
				break
#else
				if :: next == NOTHING -> break :: else fi
#endif
			od
		:: else
		fi;
		if
#ifdef PLANT_GIVEN_WAITS_IN_THE_SLOT
		:: got && item -> pending = 1; run_other();
			if :: pending -> pending = 0; run_task() :: else -> got = 0 fi
#else
		:: got && item -> pinned = 1; got = 0; run_other()
#endif
		:: got && !item -> run_task()
		:: !got && item -> run_other()
		:: else
		fi;
		if
		:: runs == rounds && (done || rounds < WAITS)
		:: else ->
			do	/* gstk__find_work(), gstk__idle() */
			:: pinned -> pinned = 0; run_task(); break
			:: inbox -> inbox = 0; run_task(); break
			:: injected -> injected = 0; run_other(); if :: runs == rounds -> break :: else fi
			:: else -> futex = 1;
				if :: inbox || injected -> futex = 0 :: else -> futex == 0 fi
			od
		fi
	od
}

proctype injector() {
	bit o;
	injected = 1; o = futex;
	if :: o -> atomic { if :: futex -> futex = 0 :: else fi } :: else fi
}

proctype waker() {
	byte o; bit given;
	do
	:: may_wake ->
		may_wake = 0;
		atomic { step_wake(w, o); assert(o == ENQUEUE) }
		given = 0;	/* enqueue_pinned() */
#ifdef PLANT_GIVES_BLINDLY
		if :: next == WATCHED -> next = GIVEN; given = 1 :: else fi;
#else
		atomic { if :: next == WATCHED -> next = GIVEN; given = 1 :: else fi }
#endif
		if
		:: given
		:: else ->
#ifdef PLANT_LOOKS_BEFORE_IT_PUSHES
			o = futex; inbox = 1;
#else
			inbox = 1; o = futex;
#endif
			if :: o -> atomic { if :: futex -> futex = 0 :: else fi } :: else fi
		fi
	:: runs == WAITS -> break
	od
}

byte fw = PARKED;	/* the thread's stand-in */
bit asleep, woken;

proctype thread() {
	if
	:: STATE(fw) == RUNNABLE	/* it came while we spun */
	:: asleep = 1;
		if
		:: STATE(fw) == RUNNABLE
		:: else -> woken
		fi
	fi
}

proctype thread_waker() {
	byte o;
	atomic { step_wake(fw, o) }
	if :: asleep -> woken = 1 :: else fi
}

active proctype monitor() {
	atomic { run worker(); run waker(); run injector(); run thread(); run thread_waker() }
	timeout;
	PROP(the_worker_does_not_sleep_on_work, runs == WAITS && done);
	PROP(the_thread_does_not_sleep_on_its_wake, _nr_pr == 1)
}
