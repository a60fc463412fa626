// SPDX-License-Identifier: MIT
/*
 * Stacks that move many at a time (sched/together.c, park/sweep_windows.c with park/tier.h). Task 1 has window A
 * alone; tasks 2 and 3 share window B. A worker that pops a task whose pages are in a slot takes more of
 * them, owning each, moves all in one step, and queues all but the first again. The sweep owns what is
 * idle in both windows, moves it out in one step, and gives it back.
 */
#include "transitions.h"
#include "prop.h"
hidden byte one_owner_of_the_stack, in_one_queue, every_decided_wait_runs, the_right_bytes_are_there,
	a_queued_window_is_popped_once, one_winner_of_a_wait, it_runs_before_it_is_evicted_again;

#define WAITS 1
#define WINDOW 4	/* window B, as an item of the run queue */
#define IDLE 2
#define QUEUED 3
#define OWNED_ 4
#define RESIDENT 1
#define SLOT 2
#define WIN(t) (t == 1 -> 0 : 1)

byte w[4], tier[4], nq[4], waits[4], next[4], winners[4];
bit done[4], came[4];
byte wst = IDLE, inbox;			/* window B's word */
byte resident, fifo[2], nfifo;		/* its owner's fields */
bit ready;
bit not_yet;				/* the resident's quantum has not begun */
byte bytes[2];				/* whose stack really is in the window */
byte owner[4];				/* who touches it now */
chan rq = [4] of { byte };

#define TOUCH(t) atomic { PROP(one_owner_of_the_stack, owner[t] == 0); owner[t] = _pid + 1 }
#define LEAVE(t) owner[t] = 0
#define ONE_MORE(t) nq[t]++; PROP(in_one_queue, nq[t] == 1 && STATE(w[t]) == RUNNABLE)
#define PUSH(item) atomic { PROP(in_one_queue, nfull(rq)); rq ! item }

inline fifo_push(t) { d_step { fifo[nfifo] = t; nfifo++; ONE_MORE(t) } }
inline enqueue(t) { atomic { ONE_MORE(t); PUSH(t) } }
inline disown(t) {
	atomic { step_disown(w[t], o) }
	if :: o == ENQUEUE -> enqueue(t) :: else fi
}
inline release() {
	atomic {
		if :: nfifo || ready || inbox -> wst = QUEUED :: else -> wst = IDLE fi;
		was = wst
	}
	if :: was == QUEUED -> PUSH(WINDOW) :: else fi
}
/* gstk__own_or_leave() */
inline own_or_leave(t) {
	atomic {
		if
		:: wst == IDLE && inbox == 0 -> wst = OWNED_; got = 1
		:: else -> ONE_MORE(t); next[t] = inbox; inbox = t; got = 0
		fi
	}
}
/* One call moves all of them. */
inline out(t) {
	PROP(the_right_bytes_are_there, bytes[WIN(t)] == t);
	PROP(it_runs_before_it_is_evicted_again, !came[t]);
	bytes[WIN(t)] = 0; tier[t] = SLOT
}
inline in(t) {
	PROP(the_right_bytes_are_there, bytes[WIN(t)] == 0 && tier[t] == SLOT);
	bytes[WIN(t)] = t; tier[t] = RESIDENT
}
/* prepare() and the move of one; whoever is in the window leaves it. */
inline exchange(t) {
	if
	:: t != 1 && resident && resident != t && tier[resident] == RESIDENT ->
		TOUCH(resident); out(resident); LEAVE(resident)
	:: else
	fi;
	TOUCH(t); in(t); LEAVE(t)
}
inline put_back(t) {
	if :: resident == t -> ready = 1 :: else -> fifo_push(t) fi;
	release()
}

inline after() {
	shared = (w[t] & SHARED) != 0;
	if
	:: waits[t] == WAITS ->	/* exit */
		bytes[WIN(t)] = 0;
		if :: shared -> resident = 0 :: else fi;
		tmp = w[t]; step_done(tmp, o); d_step { w[t] = tmp; done[t] = 1; tier[t] = 0 }
		if :: shared -> release() :: else fi
	:: else ->
		waits[t]++;
		if
		:: !shared -> tmp = w[t]; step_park(tmp, o); d_step { winners[t] = 0; w[t] = tmp }
		:: else ->
			tmp = w[t]; step_park(tmp, o); d_step { winners[t] = 0; w[t] = tmp }
			release()
		fi
	fi
}
inline take_next() {
	atomic { was = inbox; inbox = 0; wst = OWNED_ }
	d_step {
		o = 0;
		if :: was -> o = next[was]; next[was] = 0 :: else fi
	}
	if :: o -> atomic { nq[o]--; if :: o == resident -> ready = 1 :: else -> fifo_push(o) fi } :: else fi;
	if :: was -> atomic { nq[was]--; if :: was == resident -> ready = 1 :: else -> fifo_push(was) fi } :: else fi;
	t = 0;
	atomic {	/* window_next(): the quantum may be over, but not before it began */
		if
		:: ready && (!nfifo || not_yet) -> ready = 0; t = resident
		:: ready && nfifo && !not_yet -> ready = 0; t = resident
#ifdef PLANT_QUANTUM_BEFORE_IT_RAN
		:: ready && nfifo ->
#else
		:: ready && nfifo && !not_yet ->
#endif
			t = fifo[0]; fifo[0] = fifo[1]; fifo[1] = 0; nfifo--; nq[t]--;
			ready = 0; fifo_push(resident)
		:: !ready && nfifo -> t = fifo[0]; fifo[0] = fifo[1]; fifo[1] = 0; nfifo--; nq[t]--
		:: !ready && !nfifo
		fi
	}
}

proctype worker() {
	byte item, t, t2, tmp, o, was; bit shared, got;
end:
again:	rq ? item;
	if
	:: item == WINDOW ->
		PROP(a_queued_window_is_popped_once, wst == QUEUED);
		take_next();
		if :: t == 0 -> release(); goto again :: else fi
	:: else ->
		t = item;
		atomic { nq[t]-- }
		if
		:: w[t] & SHARED -> own_or_leave(t); if :: !got -> goto again :: else fi
		:: else
		fi
	fi;
	if :: tier[t] == RESIDENT -> goto go :: else fi;
	/* gstk__restore_together(): one more of the queue, if it looks like one */
	t2 = 0;
	if
	:: rq ?? [1] && tier[1] == SLOT -> t2 = 1
	:: rq ?? [2] && tier[2] == SLOT -> t2 = 2
	:: rq ?? [3] && tier[3] == SLOT -> t2 = 3
	:: true
	fi;
	if
	:: t2 -> /* a thief may have it by now */
		atomic {
			if
			:: rq ?? [eval(t2)] -> rq ?? eval(t2); nq[t2]--
			:: else -> t2 = 0
			fi
		}
	:: else
	fi;
	if
	:: t2 && (w[t2] & SHARED) ->
#ifdef PLANT_MATE_WITHOUT_ITS_WINDOW
		skip
#else
		own_or_leave(t2);
		if
		:: !got -> t2 = 0
		:: got && tier[t2] != SLOT -> put_back(t2); t2 = 0
		:: else
		fi
#endif
#ifndef PLANT_NO_SECOND_LOOK
	:: t2 && !(w[t2] & SHARED) && tier[t2] != SLOT -> enqueue(t2); t2 = 0
#endif
	:: else
	fi;
	exchange(t);
	if :: w[t] & SHARED -> resident = t :: else fi;
	if
	:: t2 ->
		exchange(t2);
		came[t2] = 1;
		if
		:: w[t2] & SHARED -> resident = t2; not_yet = 1; put_back(t2)
#ifdef PLANT_NOT_QUEUED_AGAIN
		:: else
#else
		:: else -> enqueue(t2)
#endif
		fi
	:: else
	fi;
go:	if :: w[t] & SHARED -> resident = t; not_yet = 0 :: else fi;
	tmp = w[t]; step_run(tmp, o); w[t] = tmp;
	came[t] = 0;
	TOUCH(t);
	PROP(the_right_bytes_are_there, bytes[WIN(t)] == t && tier[t] == RESIDENT);
	LEAVE(t);
	after();
	goto again
}

proctype waker(byte t) {
	byte o;
end:	do
	:: (STATE(w[t]) == PARKED || (STATE(w[t]) == OWNED && !(w[t] & NOTIFIED))) ->
		atomic {
			step_wake(w[t], o);
			if :: o != LOST -> winners[t]++; PROP(one_winner_of_a_wait, winners[t] == 1) :: else fi
		}
		if :: o == ENQUEUE -> enqueue(t) :: else fi
	od
}

/* One visit to both windows; what it owns leaves in one step, and is let go after that. */
proctype sweep() {
	byte o, was, r; bit own1, own2;
end:	if
	:: true -> atomic { step_own(w[1], o); own1 = o }
	:: true
	fi;
	atomic { if :: wst == IDLE && inbox == 0 -> wst = OWNED_; own2 = 1 :: else fi }
#ifdef PLANT_LETS_GO_TOO_EARLY
	if :: own1 -> disown(1) :: else fi;
#endif
	r = resident;
	if :: own1 && tier[1] == RESIDENT -> TOUCH(1); out(1); LEAVE(1) :: else fi;
	if :: own2 && r && tier[r] == RESIDENT -> TOUCH(r); out(r); LEAVE(r); resident = 0 :: else fi;
#ifndef PLANT_LETS_GO_TOO_EARLY
	if :: own1 -> disown(1) :: else fi;
#endif
	if :: own2 -> release() :: else fi
}

active proctype monitor() {
	byte o;
	atomic {
		w[1] = RUNNABLE; w[2] = RUNNABLE; w[3] = RUNNABLE;
		step_share(w[2], o); step_share(w[3], o);
		tier[1] = SLOT; tier[2] = SLOT; tier[3] = SLOT;
		nq[1] = 1; nq[2] = 1; nq[3] = 1; rq ! 2; rq ! 1; rq ! 3;
		waits[3] = WAITS;	/* it only runs and ends */
		run worker(); run waker(1); run waker(2);
#ifndef ONE_WORKER
		run worker();
#endif
#ifndef NO_SWEEP
		run sweep();
#endif
		skip
	}
	timeout;
	PROP(every_decided_wait_runs, done[1] && done[2] && done[3])
}
