// SPDX-License-Identifier: MIT
/*
 * Operations on files by the ring (wait/files.c, host/uring.h), function by function. Task 1 has two, the first of
 * which may end only when it is stopped, and is cancelled once; task 2 has one. Submitting, cancelling, and taking
 * what has completed are under one lock; the kernel takes submissions when anybody enters it, and completes them at
 * any time. The ring's descriptor is edge-triggered in the poller, who may be away meanwhile. FEW: the ring has
 * places for two completions.
 */
#include "transitions.h"
#include "prop.h"
hidden byte the_kernel_is_done_when_a_task_leaves, a_result_is_its_operations, each_completion_has_a_place,
	what_is_in_flight_is_counted, who_waits_for_the_kernel_is_no_deadlock, an_entry_is_taken_before_it_is_reused,
	nobody_waits_for_ever;

#ifdef FEW
#define PLACES 2
#else
#define PLACES 6
#endif
#ifdef PLANT_FILLS_THE_RING
#define MOST PLACES
#else
#define MOST (PLACES / 2)
#endif
#define BATCH 1
#define IN_FLIGHT 1
#define DONE_ 2

bit lock, event, canceled, cancelable, unstopped;
byte w[3] = RUNNING, obj[3], msg[3], code[3], in_flight, out;
byte head, tail, entry, stops;	/* of the submissions, of which the ring has one: a task, and whether it is to be stopped */
byte kernel[3], round[3];		/* the operation that it has of a task, and those that the task has behind it */
chan cq = [PLACES] of { byte, byte };

inline lock_ring() { atomic { !lock -> lock = 1 } }
inline unlock_ring() { lock = 0 }
#define OK 0
#define CANCELED 1
#define PUSH(t, n) PROP(each_completion_has_a_place, len(cq) < PLACES); cq!t, n; event = 1

/* gstk__uring_enter(): the kernel has a lock for it. */
inline enter() {
	atomic {
		if
		:: tail != head ->
			if
			:: stops -> unstopped = 0; PUSH(0, 0)
			:: else -> PROP(the_kernel_is_done_when_a_task_leaves, !kernel[entry]); kernel[entry] = round[entry] + 1
			fi;
			head++
		:: else
		fi
	}
}

/* Lock held. */
inline reap(most) {
	n = most;
	do
	:: n > 0 && len(cq) > 0 ->
		n--;
		atomic { cq?who, res }
		if
		:: !who
		:: else ->
#ifdef PLANT_WAKES_FIRST
			atomic { step_wake(w[who], o); if :: o != LOST -> code[who] = OK :: else fi }
			atomic { msg[who] = res; obj[who] = DONE_ }
#else
			atomic { msg[who] = res; obj[who] = DONE_ }
			atomic { step_wake(w[who], o); if :: o != LOST -> code[who] = OK :: else fi }
#endif
			atomic { PROP(what_is_in_flight_is_counted, in_flight > 0); in_flight-- }
		fi
	:: else -> break
	od
}

inline submit_unlock(what, stop) {
	do
	:: tail != head -> unlock_ring(); enter(); lock_ring()
	:: else -> break
	od;
	at = tail;
	atomic { PROP(an_entry_is_taken_before_it_is_reused, tail == head); entry = what; stops = stop }
	tail = at + 1;
	unlock_ring();
#ifndef PLANT_LEAVES_IT_TO_OTHERS
	do
	:: head == at -> enter()
	:: else -> break
	od
#endif
}

/* Lock held; it is let go of when the task has left its stack. Then it runs again. */
inline block_unlock(may) {
#ifdef PLANT_UNLOCKS_FIRST
	unlock_ring();
	atomic { step_park(w[t], o); if :: t == 1 -> cancelable = may :: else fi }
#else
	atomic { step_park(w[t], o); if :: t == 1 -> cancelable = may :: else fi }
	PROP(who_waits_for_the_kernel_is_no_deadlock, in_flight > 0);
	unlock_ring();
#endif
	atomic { STATE(w[t]) == RUNNABLE -> step_run(w[t], o); if :: t == 1 -> cancelable = 0 :: else fi }
}

proctype task(byte t; byte rounds) {
	byte o, n, who, res, at;
	do
	:: round[t] < rounds ->
		lock_ring();
		if
		:: in_flight >= MOST -> unlock_ring(); round[t]++	/* a thread does it */
		:: else ->
#ifndef PLANT_COUNTS_LATE
			in_flight++;
#endif
			obj[t] = IN_FLIGHT;
			submit_unlock(t, 0);
#ifdef PLANT_COUNTS_LATE
			in_flight++;
#endif
			lock_ring();
			reap(BATCH);
			code[t] = OK;
			if
#ifndef PLANT_DOES_NOT_LOOK_AGAIN
			:: obj[t] == DONE_ -> unlock_ring()
#endif
			:: else -> block_unlock(1)
			fi;
			if
#ifdef PLANT_LEAVES_WHEN_CANCELED
			:: false
#else
			:: code[t] == CANCELED ->	/* stop() */
				lock_ring();
				if
				:: obj[t] != DONE_ ->
#ifndef PLANT_ASKS_NOBODY_TO_STOP
					submit_unlock(t, 1);
					lock_ring();
#endif
					reap(BATCH)
				:: else
				fi;
				if
#ifdef PLANT_WAITS_FOR_WHAT_IS_DONE
				:: true -> block_unlock(0)
#else
				:: obj[t] != DONE_ -> block_unlock(0)
				:: else -> unlock_ring()
#endif
				fi
#endif
			:: else
			fi;
			PROP(the_kernel_is_done_when_a_task_leaves, !kernel[t]);
			atomic { round[t]++; PROP(a_result_is_its_operations, msg[t] == round[t]) }
		fi
	:: else -> break
	od;
	out++
}

/* The kernel's own time. What ends only when it is stopped is the first operation of task 1. */
proctype works() {
end:	do
	:: atomic { kernel[1] && !(unstopped && kernel[1] == 1) -> PUSH(1, kernel[1]); kernel[1] = 0 }
	:: atomic { kernel[2] -> PUSH(2, kernel[2]); kernel[2] = 0 }
	od
}

proctype canceller() {
	byte o;
end:	atomic { cancelable && STATE(w[1]) == PARKED -> step_wake_cancel(w[1], o); code[1] = CANCELED; cancelable = 0 }
}

/* poll_events(): a look before the wait, too, since others take completions whose event is still there. */
proctype poller() {
	byte o, n, who, res;
end:	do
	:: event -> event = 0;
#ifdef PLANT_POLLS_ONE_BATCH
		if
		:: len(cq) > 0 -> lock_ring(); reap(BATCH); unlock_ring()
		:: else
		fi
#else
		do
		:: len(cq) > 0 -> lock_ring(); reap(BATCH); unlock_ring()
		:: else -> break
		od
#endif
	od
}

active proctype monitor() {
	if :: unstopped = 1 :: skip fi;
	atomic { run task(1, 2); run task(2, 1); run works(); run canceller(); run poller() }
	timeout;
	PROP(nobody_waits_for_ever, out == 2);
	PROP(what_is_in_flight_is_counted, in_flight == 0 && !kernel[1] && !kernel[2])	/* the ring may be closed */
}
