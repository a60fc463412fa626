// SPDX-License-Identifier: MIT
/*
 * The transitions of task/state.h, as they are: every function is driven over every word and
 * compared with the table in transitions.list, from which nothing may differ. With --emit the same
 * functions write transitions.h for the models: so these run on the library's own transitions, and
 * neither can change without the other.
 *
 *	transitions_test TABLE		compare; KTAP
 *	transitions_test --table	print the table
 *	transitions_test --emit		print Promela
 *
 * The models know the low six bits of a word: state:3 | NOTIFIED | SHARED | NOCANCEL.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "task/state.h"

#define NR_WORDS 64u
#define FLAGS	 (GSTK__STATE_MASK | GSTK__NOTIFIED | GSTK__SHARED | GSTK__NOCANCEL)
_Static_assert(FLAGS < NR_WORDS && GSTK__CODE_SHIFT >= 6, "the models' words have six bits");

enum op { SPAWN, RUN, YIELD, PARK, PARK_OWNED, PARK_OWNED_NOCANCEL, WAKE, WAKE_CANCEL, OWN, SHARE, UNSHARE,
	  DISOWN, DONE, FREE, NR_OPS };
static const char *const op_name[NR_OPS] = { "spawn", "run", "yield", "park", "park_owned",
	"park_owned_nocancel", "wake", "wake_cancel", "own", "share", "unshare", "disown", "done", "free" };
static const char *const state_name[8] = { "FREE", "RUNNABLE", "RUNNING", "PARKED", "OWNED", "DONE", "6", "7" };
static const char *const order_name[] = { "lost", "enqueue", "left" };

struct result {
	uint32_t word;
	int order; /* of wake, disown; of own: 1 is won, 0 is not */
};

static struct result drive(enum op op, uint32_t word, enum gstk__code code, uint32_t seq_word)
{
	static struct gstk_task t;
	int order = 0;

	atomic_store(&t.word, word);
	switch (op) {
	case SPAWN: gstk__state_spawn(&t); break;
	case RUN: gstk__state_run(&t); break;
	case YIELD: gstk__state_yield(&t); break;
	case PARK: gstk__state_park(&t, GSTK__PARKED, 0); break;
	case PARK_OWNED: gstk__state_park(&t, GSTK__OWNED, 0); break;
	case PARK_OWNED_NOCANCEL: gstk__state_park(&t, GSTK__OWNED, GSTK__NOCANCEL); break;
	case WAKE: case WAKE_CANCEL: order = (int)gstk__state_wake(&t, code, seq_word); break;
	case OWN: order = gstk__state_own(&t); break;
	case SHARE: gstk__state_share(&t, true); break;
	case UNSHARE: gstk__state_share(&t, false); break;
	case DISOWN: order = (int)gstk__state_disown(&t); break;
	case DONE: gstk__state_end(&t, GSTK__DONE); break;
	case FREE: gstk__state_end(&t, GSTK__FREE); break;
	case NR_OPS: break;
	}
	return (struct result){ atomic_load(&t.word), order };
}

static enum gstk__code code_for(enum op op)
{
	return op == WAKE_CANCEL ? GSTK__CODE_CANCELED : GSTK__CODE_OK;
}

static const char *word_text(uint32_t w, char *buf)
{
	sprintf(buf, "%s%s%s%s", state_name[w & GSTK__STATE_MASK], w & GSTK__NOTIFIED ? "+NOTIFIED" : "",
		w & GSTK__SHARED ? "+SHARED" : "", w & GSTK__NOCANCEL ? "+NOCANCEL" : "");
	return buf;
}

static void print_row(FILE *f, enum op op, uint32_t w)
{
	struct result r = drive(op, w, code_for(op), 0);
	char a[64], b[64];

	fprintf(f, "%s %s -> %s %s\n", op_name[op], word_text(w, a), word_text(r.word & FLAGS, b),
		op == OWN ? (r.order ? "won" : "lost") :
		op == WAKE || op == WAKE_CANCEL || op == DISOWN ? order_name[r.order] : "-");
}

/* Words with a state that exists. */
static bool exists(uint32_t w)
{
	return (w & GSTK__STATE_MASK) <= GSTK__DONE;
}

static void table(FILE *f)
{
	for (int op = 0; op < NR_OPS; op++)
		for (uint32_t w = 0; w < NR_WORDS; w++)
			if (exists(w))
				print_row(f, (enum op)op, w);
}

/* Words that the models meet: no NOCANCEL, and NOTIFIED only where somebody waits. */
static bool is_in_models(uint32_t w)
{
	uint32_t state = w & GSTK__STATE_MASK;

	return exists(w) && !(w & GSTK__NOCANCEL) &&
	       (!(w & GSTK__NOTIFIED) || state == GSTK__PARKED || state == GSTK__OWNED);
}

static void emit(void)
{
	printf("/* Written by transitions_test from task/state.h. */\n#define LOST 0\n#define ENQUEUE 1\n#define LEFT 2\n");
	for (int s = 0; s <= GSTK__DONE; s++)
		printf("#define %s %d\n", state_name[s], s);
	printf("#define STATE(w) ((w) & %u)\n#define NOTIFIED %u\n#define SHARED %u\n#define NOCANCEL %u\n",
	       GSTK__STATE_MASK, GSTK__NOTIFIED, GSTK__SHARED, GSTK__NOCANCEL);
	for (int op = 0; op < NR_OPS; op++) {
		printf("inline step_%s(w, order) {\n\tif\n", op_name[op]);
		for (uint32_t w = 0; w < NR_WORDS; w++) {
			struct result r = drive((enum op)op, w, code_for((enum op)op), 0);

			if (is_in_models(w) && ((r.word & FLAGS) != w || r.order))
				printf("\t:: w == %u -> w = %u; order = %d\n", w, r.word & FLAGS, r.order);
		}
		printf("\t:: else -> order = 0\n\tfi\n}\n");
	}
}

static int cases, failures;

static void report(const char *what, unsigned long wrong)
{
	cases++;
	failures += wrong != 0;
	printf("%s %d %s", wrong ? "not ok" : "ok", cases, what);
	printf(wrong ? " (%lu wrong)\n" : "\n", wrong);
}

static void compare(enum op op, FILE *f)
{
	char got[256], want[256], what[64];
	unsigned long wrong = 0, rows = 0;

	for (uint32_t w = 0; w < NR_WORDS; w++) {
		FILE *m = fmemopen(got, sizeof(got), "w");

		if (!exists(w)) {
			fclose(m);
			continue;
		}
		print_row(m, op, w);
		fclose(m);
		rows++;
		if (!fgets(want, sizeof(want), f) || strcmp(got, want)) {
			printf("# table: %s# code:  %s", want, got);
			wrong++;
		}
	}
	snprintf(what, sizeof(what), "%s does what the table says for %lu words", op_name[op], rows);
	report(what, wrong);
}

/* What the six bits leave out: codes and wait numbers. */
static void codes_and_numbers(void)
{
	static const enum gstk__code codes[] = { GSTK__CODE_OK, GSTK__CODE_CANCELED, GSTK__CODE_TIMEDOUT,
		GSTK__CODE_CLOSED, GSTK__CODE_FIRST, GSTK__CODE_FIRST + 200 };
	unsigned long code = 0, kept = 0, number = 0, next = 0, stale = 0, low = 0;

	for (uint32_t seq = 0; seq < 0x10000; seq += seq < 4 || seq > 0xfffb ? 1 : 251) {
		uint32_t at = seq << GSTK__SEQ_SHIFT;

		for (uint32_t w = 0; w < NR_WORDS; w++) {
			if (!exists(w))
				continue;
			for (unsigned int c = 0; c < sizeof(codes) / sizeof(codes[0]); c++) {
				enum op op = codes[c] == GSTK__CODE_CANCELED ? WAKE_CANCEL : WAKE;
				uint32_t full = w | at | 7u << GSTK__CODE_SHIFT;
				struct result r = drive(op, full, codes[c], 0), n = drive(op, full, codes[c], full);
				struct result s = drive(op, full, codes[c], (full + GSTK__SEQ_ONE) | 1);
				struct result small = drive(op, w, codes[c], 0);

				low += (r.word & FLAGS) != (small.word & FLAGS) || r.order != small.order;
				code += r.order ? gstk__code_of(r.word) != codes[c] : r.word != full;
				number += n.word != r.word || n.order != r.order;
				stale += s.word != full || s.order != GSTK__LOST;
				kept += (r.word & GSTK__SEQ_MASK) != at;
			}
			for (int op = 0; op < NR_OPS; op++) {
				bool park = op == PARK || op == PARK_OWNED || op == PARK_OWNED_NOCANCEL;
				struct result r = drive((enum op)op, w | at | 7u << GSTK__CODE_SHIFT, code_for((enum op)op), 0);

				next += (r.word & GSTK__SEQ_MASK) != (uint32_t)(at + (park ? GSTK__SEQ_ONE : 0));
				if (op == RUN || op == OWN || op == DISOWN || op == SHARE)
					code += gstk__code_of(r.word) != 7;
			}
		}
	}
	report("the winner's code is in the word, and stays until the next wait", code);
	report("a loser changes nothing, whatever the code", low);
	report("a wake for the present wait number is a wake", number);
	report("a wake for another wait number is lost", stale);
	report("a wake keeps the wait number", kept);
	report("each park is a new wait number, and nothing else is", next);
}

int main(int argc, char **argv)
{
	FILE *f;

	if (argc == 2 && !strcmp(argv[1], "--emit"))
		return emit(), 0;
	if (argc == 2 && !strcmp(argv[1], "--table"))
		return table(stdout), 0;
	f = argc == 2 ? fopen(argv[1], "r") : NULL;
	if (!f) {
		fprintf(stderr, "usage: %s TABLE | --table | --emit\n", argv[0]);
		return 2;
	}
	printf("TAP version 13\n1..%d\n", NR_OPS + 6);
	for (int op = 0; op < NR_OPS; op++)
		compare((enum op)op, f);
	codes_and_numbers();
	return failures ? 1 : 0;
}
