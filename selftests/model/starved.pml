// SPDX-License-Identifier: MIT
/*
 * What has no memory to run waits in a list (sched/starved.c). Workers take items from a queue, and try to get a
 * private window each; who gets none puts its item into the list, and arms the list's timer in its own wheel when
 * that is not armed. The timer's function runs under that wheel's lock, only tries the list's, and queues some
 * again; so does whoever makes a window free. Memory may also come without a word. An item has one link, for the
 * list and for the queue.
 */
#include "prop.h"
hidden byte an_item_is_in_one_place, no_link_is_followed_into_another_queue, the_list_is_counted,
	the_timer_is_armed_once, nobody_waits_for_ever;

#define ITEMS 2
#define AT_ONCE 1	/* of the timer's function: there is a rest */
#define ELSEWHERE 9	/* a link that is the queue's */

byte queued[ITEMS + 1], holders[ITEMS + 1], next[ITEMS + 1];
byte head, tail, starved, inside, windows, done;
bit list_lock, armed, wheel_lock[2], set[2];

inline lock_list() { atomic { !list_lock -> list_lock = 1 } }
inline enqueue(i) { atomic { next[i] = ELSEWHERE; PROP(an_item_is_in_one_place, holders[i] == 1 && !queued[i]); holders[i] = 0; queued[i] = 1 } }

/* List locked. */
inline pop(i) {
	i = head;
	if
	:: i ->
		PROP(no_link_is_followed_into_another_queue, next[i] != ELSEWHERE);
		head = next[i];
		atomic { holders[i]++; inside--; starved-- }
	:: else
	fi
}

inline starve(me, i) {
	next[i] = 0;
	lock_list();
	if :: head -> next[tail] = i :: else -> head = i fi;
	tail = i;
	atomic { holders[i]--; inside++; starved++ }
	if
#ifdef PLANT_IS_FED_ONLY
	:: true -> skip
#else
	:: !armed -> armed = 1;
		atomic { !wheel_lock[me] -> PROP(the_timer_is_armed_once, !set[0] && !set[1]); set[me] = 1 }
	:: else
#endif
	fi;
	list_lock = 0
}

inline feed(i) {
	if
	:: starved ->
#ifdef PLANT_FEEDS_UNLOCKED
		pop(i);
#else
		lock_list(); pop(i); list_lock = 0;
#endif
		if :: i -> enqueue(i) :: else fi
	:: else
	fi
}

proctype worker(byte me) {
	byte i; bit got;
	do
	:: atomic {
		queued[1] || queued[2] ->
		if :: queued[1] -> i = 1 :: queued[2] -> i = 2 fi;
		queued[i] = 0; holders[i]++;
		PROP(an_item_is_in_one_place, holders[i] == 1)
	}
		atomic { got = windows > 0; if :: got -> windows-- :: else fi }
		if
		:: got -> atomic { holders[i]--; done++ }	/* it runs */
			if
			:: true -> windows++; feed(i)		/* and ends */
			:: true
			fi
		:: else -> starve(me, i)
		fi
	:: done == ITEMS -> break
	od
}

/* Whoever advances wheel @me, once its timer is due. */
proctype wheel(byte me) {
	byte i, nr, item[AT_ONCE]; bit got;
end:	do
	:: atomic { set[me] && !wheel_lock[me] -> wheel_lock[me] = 1; set[me] = 0 }
		nr = 0;
		atomic { got = !list_lock; list_lock = 1 }
		if
		:: !got ->
#ifndef PLANT_GIVES_UP
			set[me] = 1
#endif
			skip
		:: else ->
			do
			:: nr < AT_ONCE && head ->
#ifdef PLANT_QUEUES_BEFORE_IT_UNLINKS
				i = head; atomic { next[i] = ELSEWHERE }
#endif
				pop(i); item[nr] = i; nr++
			:: else -> break
			od;
#ifdef PLANT_STAYS_ARMED
			armed = 1;
			if :: head -> set[me] = 1 :: else fi;
#else
#ifdef PLANT_FORGETS_THE_REST
			armed = 0;
#else
			armed = (head != 0);
			if :: armed -> PROP(the_timer_is_armed_once, !set[0] && !set[1]); set[me] = 1 :: else fi;
#endif
#endif
			list_lock = 0;
			do
			:: nr > 0 -> nr--; i = item[nr]; enqueue(i)
			:: else -> break
			od
		fi;
		wheel_lock[me] = 0
	od
}

/* Somebody gives memory back, and says nothing. */
proctype memory() { windows = windows + ITEMS }

active proctype monitor() {
	atomic {
		queued[1] = 1; queued[2] = 1;
		run worker(0); run worker(1); run wheel(0); run wheel(1); run memory()
	}
	timeout;
	PROP(nobody_waits_for_ever, done == ITEMS);
	PROP(the_list_is_counted, starved == 0 && inside == 0 && head == 0)
}
