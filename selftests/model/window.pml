// SPDX-License-Identifier: MIT
/*
 * One window, two tasks. Task 1 has it alone; task 2 is new and binds to it, which makes it shared:
 * by owning task 1 while it waits (sched/bind.c: own_window) or by asking it to share when it parks or
 * yields (sched/shared.c: gstk__window_share). Workers pop tasks and windows, claim, evict, restore
 * (sched/loop.c), wakers wake, the sweep owns, evicts and gives back (park/sweep_windows.c). When one of the two
 * has ended, the other gets the window for itself when it runs again; when both have, it is free.
 */
#include "transitions.h"
#include "prop.h"
hidden byte one_owner_of_the_stack, in_one_queue, every_decided_wait_runs, the_right_bytes_are_there,
	a_queued_window_is_popped_once, one_winner_of_a_wait;

#ifndef WAITS
#define WAITS 1
#endif
#define WINDOW 3	/* as an item of the run queue */
#define FREE_ 0
#define SOLO 1
#define IDLE 2
#define QUEUED 3
#define OWNED_ 4
#define NONE 0
#define RESIDENT 1
#define COPIED 2

byte w[3], tier[3], nq[3], waits[3], next[3], winners[3];
bit poke[3], done[3], moved;
byte wst = SOLO, inbox;			/* the window's word */
byte resident = 1, fifo[2], nfifo;	/* its owner's fields */
byte nbound = 1;			/* tasks that the owner knows to be bound to it */
bit ready;
byte bytes = 1;				/* whose stack really is in the window */
byte owner;				/* who touches it now */
chan rq = [4] of { byte };

#define TOUCH atomic { PROP(one_owner_of_the_stack, owner == 0); owner = _pid + 1 }
#define LEAVE owner = 0
#define ONE_MORE(t) nq[t]++; PROP(in_one_queue, nq[t] == 1 && STATE(w[t]) == RUNNABLE)
#define PUSH(item) atomic { PROP(in_one_queue, nfull(rq)); rq ! item }

inline fifo_push(t) { d_step { fifo[nfifo] = t; nfifo++; ONE_MORE(t) } }

/* gstk__enqueue(): whoever pops it looks at SHARED. */
inline enqueue(t) { atomic { ONE_MORE(t); PUSH(t) } }
inline disown(t) {
	atomic { step_disown(w[t], o) }
	if :: o == ENQUEUE -> enqueue(t) :: else fi
}
inline release() {
	atomic {
#ifdef PLANT_RELEASE_IGNORES_INBOX
		if :: nfifo || ready -> wst = QUEUED :: else -> wst = IDLE fi;
#else
		if :: nfifo || ready || inbox -> wst = QUEUED :: else -> wst = IDLE fi;
#endif
		was = wst
	}
	if :: was == QUEUED -> PUSH(WINDOW) :: else fi
}
/* A stack leaves, and comes; its owner says so. */
inline evict(t) {
	TOUCH; PROP(the_right_bytes_are_there, bytes == t); bytes = 0; tier[t] = COPIED; LEAVE
}
inline restore(t) {
	TOUCH; PROP(the_right_bytes_are_there, bytes == 0); bytes = t; tier[t] = RESIDENT; LEAVE
}

/* sched/bind.c */
inline own_window() {
	d_step { seen = wst; vacant = (inbox == 0) }
	got = 0;
	if
	:: seen == IDLE && vacant -> atomic { if :: wst == IDLE && inbox == 0 -> wst = OWNED_; got = 1 :: else fi }
	:: seen == SOLO && resident == 1 ->
		atomic { step_own(w[1], o) }
		if
		:: o && !done[1] ->
#ifdef PLANT_SHARE_WITHOUT_OWNING
			LEAVE;
#endif
			wst = OWNED_;
			atomic { step_share(w[1], o) }
			disown(1);
			got = 1
		:: else -> poke[1] = 1
		fi
	:: else
	fi;
	if :: got -> nbound++ :: else fi
}

inline window_share() {
	resident = t;
	wst = OWNED_;
	atomic { step_share(w[t], o) }
	poke[t] = 0
}

/* What the next stack does for the task that was left: park (how), or yield. */
inline after() {
	if :: poke[t] && !(w[t] & SHARED) -> window_share() :: else fi;
	shared = (w[t] & SHARED) != 0;
	if
	:: waits[t] == WAITS ->	/* exit */
		resident = 0; bytes = 0; nbound--;
		if :: !shared -> wst = FREE_ :: else fi;
		tmp = w[t]; step_done(tmp, o); d_step { w[t] = tmp; done[t] = 1; tier[t] = NONE }
		if
		:: shared ->
			got = 0;
#ifdef PLANT_FREE_IGNORES_INBOX
			if :: nbound == 0 -> atomic { wst = FREE_; got = 1 } :: else fi;
#else
			if :: nbound == 0 -> atomic { if :: inbox == 0 -> wst = FREE_; got = 1 :: else fi } :: else fi;
#endif
			if :: !got -> release() :: else fi
		:: else
		fi
	:: else ->
		waits[t]++;
		if
		:: !shared -> /* short */
			tmp = w[t]; step_park(tmp, o); d_step { winners[t] = 0; w[t] = tmp }
		:: shared -> /* the same: the window keeps it from running until it is released */
			tmp = w[t]; step_park(tmp, o); d_step { winners[t] = 0; w[t] = tmp }
			release()
		:: else ->
			tmp = w[t]; step_park_owned(tmp, o); d_step { winners[t] = 0; w[t] = tmp }
			disown(t);
			if :: shared -> release() :: else fi
		fi
	:: !moved -> /* yield */
		moved = 1;
		tmp = w[t]; step_yield(tmp, o);
		if
		:: shared -> w[t] = tmp; ready = 1; release()
		:: else -> w[t] = tmp; enqueue(t)
		fi
	fi
}
inline run_task() {
	tmp = w[t]; step_run(tmp, o); w[t] = tmp;
	TOUCH;
	PROP(the_right_bytes_are_there, bytes == t && tier[t] == RESIDENT);
	LEAVE;
	after()
}
inline arrive(x) {
	if :: tier[x] == NONE -> nbound++ :: else fi;
	if :: x == resident -> ready = 1 :: else -> fifo_push(x) fi
}
inline take_next() {
	/* take_inbox(): newest first; here it has two at most */
	atomic { was = inbox; inbox = 0; wst = OWNED_ }
	d_step {
		o = 0;
		if :: was -> if :: next[was] -> o = next[was]; next[was] = 0 :: else fi :: else fi
	}
	if :: o -> atomic { nq[o]--; arrive(o) } :: else fi;
	if :: was -> atomic { nq[was]--; arrive(was) } :: else fi;
	t = 0;
	atomic {	/* window_next() */
		if
		:: ready -> ready = 0; t = resident
		:: nfifo ->
			t = fifo[0]; fifo[0] = fifo[1]; fifo[1] = 0; nfifo--; nq[t]--;
			if :: ready -> ready = 0; fifo_push(resident) :: else fi
		:: !ready && !nfifo
		fi
	}
}
inline claim() {	/* gstk__claim() */
	if
	:: resident && resident != t ->
#ifndef PLANT_CLAIM_WITHOUT_EVICTING
		if :: tier[resident] == RESIDENT -> evict(resident) :: else fi
#else
		skip
#endif
	:: else
	fi;
	resident = t;
	/* loop.c: earn_back(): t is the only one left, and we own it */
#ifdef PLANT_SOLO_WITH_MATES
	if
#else
	if
	:: nbound > 1
#endif
	:: else ->
		atomic {
#ifdef PLANT_SOLO_IGNORES_INBOX
			if :: 1 -> wst = SOLO; step_unshare(w[t], o) fi
#else
			if :: inbox == 0 -> wst = SOLO; step_unshare(w[t], o) :: else fi
#endif
		}
	fi
}

proctype worker() {
	byte item, t, tmp, o, was, seen; bit shared, got, vacant;
end:
again:	rq ? item;
	if
	:: item == WINDOW -> PROP(a_queued_window_is_popped_once, wst == QUEUED); goto window
	:: else
	fi;
	t = item;
	atomic { nq[t]-- }
	if
	:: w[t] & SHARED -> /* run_shared() */
		atomic {
			PROP(one_owner_of_the_stack, wst != SOLO && wst != FREE_);
#ifdef PLANT_OWN_ALWAYS
			got = 1; wst = OWNED_
#else
			got = 0;
			if
			:: wst == IDLE -> PROP(in_one_queue, inbox == 0 && nfifo == 0 && !ready); wst = OWNED_; got = 1
			:: else -> ONE_MORE(t); next[t] = inbox; inbox = t
			fi
#endif
		}
		if :: got -> goto mine :: else goto again fi
	:: else
	fi;
	if
	:: tier[t] == COPIED -> goto come
	:: tier[t] == RESIDENT -> goto go
	:: tier[t] == NONE && wst == FREE_ -> /* the other one has ended: alone */
		d_step { wst = SOLO; resident = t; bytes = t; tier[t] = RESIDENT; nbound = 1 }
		goto go
	:: else
	fi;
	own_window();
	atomic { step_share(w[t], o) }
	if
	:: got -> fifo_push(t); goto window
	:: else -> /* in the line of one that is shared already, or later */
		atomic {
			if
			:: wst == QUEUED || wst == OWNED_ -> ONE_MORE(t); next[t] = inbox; inbox = t; goto again
			:: else -> step_unshare(w[t], o); ONE_MORE(t); rq ! t; goto again
			fi
		}
	fi;
window:
	take_next();
	if :: t == 0 -> release(); goto again :: else fi;
mine:	claim();
	if :: tier[t] == RESIDENT -> goto go :: else fi;
come:	restore(t);
go:	run_task();
	goto again
}

proctype waker(byte t) {
	byte o, was;
end:	do
	:: (STATE(w[t]) == PARKED || (STATE(w[t]) == OWNED && !(w[t] & NOTIFIED))) ->
		atomic {
			step_wake(w[t], o);
			if :: o != LOST -> winners[t]++; PROP(one_winner_of_a_wait, winners[t] == 1) :: else fi
		}
		if :: o == ENQUEUE -> enqueue(t) :: else fi
	od
}

/* One visit; it may come at any time. */
proctype sweep() {
	byte o, was, seen, r; bit got;
end:	if
	:: wst == IDLE ->
		atomic { got = 0; if :: wst == IDLE && inbox == 0 -> wst = OWNED_; got = 1 :: else fi }
		if
		:: got ->
			r = resident;
			if
			:: r -> if :: tier[r] == RESIDENT -> evict(r); resident = 0 :: else fi
			:: else
			fi;
			release()
		:: else
		fi
	:: wst == SOLO ->
		r = resident;
		if
		:: r ->
			atomic { step_own(w[r], o); got = o }
			if
			:: got ->
				if
				:: resident == r && tier[r] == RESIDENT -> evict(r)
				:: else
				fi;
#ifdef PLANT_SWEEP_DROPS
				atomic { step_disown(w[r], o) }
#else
				disown(r)
#endif
			:: else
			fi
		:: else
		fi
	fi
}

active proctype monitor() {
	atomic {
		w[1] = RUNNABLE; w[2] = RUNNABLE; tier[1] = RESIDENT;
		nq[1] = 1; nq[2] = 1; rq ! 1; rq ! 2;
		run worker(); run worker(); run waker(1); run waker(2);
#ifndef NO_SWEEP
		run sweep();
#endif
#ifdef NO_YIELD
		moved = 1;
#endif
		skip
	}
	timeout;
	PROP(every_decided_wait_runs, done[1] && done[2])
}
