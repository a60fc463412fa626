// SPDX-License-Identifier: MIT
/* What happens to a sample of the tasks: the policy's own code decides, around it is a machine of costs. */
#include "sim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUND_MS    50u	 /* the sweep makes a round at most so often */
#define SWEEP_BATCH 128u /* windows that go back with one call, as in park/sweep_batch.c */
#define MOVE_BATCH  64u

struct task {
	double mean_idle;
	uint64_t parked, wakes;	/* ms */
	uint32_t used, window;
	enum where where;
	bool trimmed, empty;	/* empty: the pages of its window went back as it left */
	uint64_t moved;		/* by the sweep, when it was idle for so long; 0: not since it ran */
	uint64_t moved_idle;
	struct gstk__history history;
	const struct waits *waits; /* recorded */
	uint32_t at;		/* of these */
};

static struct task *task;
static uint32_t *resident;	/* of each window; UINT32_MAX: nobody */
static uint64_t nr_windows;
double weight;
struct seen n;
static double nr_resident, resident_bytes; /* of the sample */

static double uniform(void)
{
	o.seed ^= o.seed << 13; /* G. Marsaglia, "Xorshift RNGs", 2003 */
	o.seed ^= o.seed >> 7;
	o.seed ^= o.seed << 17;
	return (double)(o.seed >> 11) / 9007199254740992.0;
}

/* Waits are exponential: how long one has lasted says nothing of how long it will. */
static uint64_t next_wake(struct task *t, uint64_t now)
{
	if (t->waits) {
		const struct wait *w = &t->waits->wait[t->at++ % t->waits->nr];

		t->used = w->used;
		return now + (w->ms ? w->ms : 1);
	}
	return now + 1 + (uint64_t)(-log(1 - uniform()) * t->mean_idle);
}

static uint32_t pages(uint32_t used)
{
	return (used + PAGE - 1) / PAGE;
}

static uint32_t copy_ns(uint32_t used)
{
	return (uint32_t)((uint64_t)used * o.copy_ns_per_kib / 1024);
}

/* ---- a heap of events: the next wake of each task ---- */

static uint32_t *heap;

static bool earlier(uint32_t a, uint32_t b)
{
	return task[a].wakes < task[b].wakes;
}

static void sift(uint64_t i)
{
	for (;;) {
		uint64_t l = 2 * i + 1, m = i;
		uint32_t x;

		if (l < o.sample && earlier(heap[l], heap[m]))
			m = l;
		if (l + 1 < o.sample && earlier(heap[l + 1], heap[m]))
			m = l + 1;
		if (m == i)
			return;
		x = heap[i];
		heap[i] = heap[m];
		heap[m] = x;
		i = m;
	}
}

/* ---- moves ---- */

static void left(struct task *t, enum where to, bool empty)
{
	resident[t->window] = UINT32_MAX;
	t->where = to;
	t->empty = empty;
	nr_resident--;
	resident_bytes -= pages(t->used) * PAGE;
}

static double evict_by_claim(struct task *t)
{
	n.claims += weight;
	n.evictions += weight;
	left(t, COPIED, false);
	return copy_ns(t->used);
}

static void wake(struct task *t, uint64_t now)
{
	uint32_t self = (uint32_t)(t - task);
	uint32_t used = t->used;
	double ns = 0;
	unsigned int b = 0;

	n.wakes += weight;
	/* Soon: sooner than it had been idle before. */
	n.bounces += t->where != RESIDENT && t->moved && now - t->moved <= t->moved_idle ? weight : 0;
	t->moved = 0;
	n.restores[t->where] += weight;
	if (t->where == RESIDENT) {
		ns = t->trimmed ? o.fault_ns : 0;
	} else {
		if (resident[t->window] != UINT32_MAX) {
			ns += evict_by_claim(&task[resident[t->window]]);
			t->empty = false;
		}
		if (t->where == REMAPPED) {
			ns += o.remap_ns + (double)o.remap_page_ns * pages(t->used);
		} else {
			ns += t->where == PACKED ? (double)t->used * o.unpack_ns_per_kib / 1024 : copy_ns(t->used);
			ns += t->empty ? (double)o.fault_ns * pages(t->used) : 0;
		}
		n.unpacks += t->where == PACKED ? weight : 0;
		t->where = RESIDENT;
		resident[t->window] = self;
		nr_resident++;
		resident_bytes += pages(t->used) * PAGE;
	}
	n.stall_ns += ns * weight;
	while (b < STALL_BUCKETS - 1 && ns >= ldexp(1, (int)b))
		b++;
	n.stalls[b] += weight;
	t->parked = now;
	t->trimmed = false;
	t->wakes = next_wake(t, now);
	resident_bytes += ((double)pages(t->used) - pages(used)) * PAGE;
}

static void moved(struct task *t, const struct gstk__stack_facts *f, uint64_t now, bool packed)
{
	t->history = gstk__policy_moved(f->history, (uint32_t)now, packed);
	t->moved = now;
	t->moved_idle = f->idle_ms;
}

/* A round of the sweep: what the policy says of every stack, in batches. */
static void sweep(uint64_t now)
{
	double gone = 0, remapped = 0;

	o.climate.residents = (uint32_t)fmin(nr_resident * weight, UINT32_MAX);
	o.climate.resident_bytes = (uint64_t)(resident_bytes * weight);
	for (uint64_t i = 0; i < o.sample; i++) {
		struct task *t = &task[i];
		struct gstk__stack_facts f = {
			.resident = t->where == RESIDENT, .may_move = true, .trimmed = t->trimmed, .used = t->used,
			.idle_ms = now - t->parked,
		};
		struct gstk__decision d;

		if (!o.forgets)
			f.history = t->history = gstk__policy_history(&o.climate, t->history, (uint32_t)t->parked);

		if (t->where == PACKED)
			continue;
		d = gstk__policy(&o.climate, &f);
		n.decided[d.why] += weight;
		switch (d.action) {
		case GSTK__KEEP:
			break;
		case GSTK__TRIM:
			t->trimmed = true;
			n.trims += weight;
			gone += weight;
			break;
		case GSTK__EVICT:
			left(t, COPIED, true);
			moved(t, &f, now, false);
			n.evictions += weight;
			n.cpu_ns += copy_ns(t->used) * weight;
			gone += weight;
			break;
		case GSTK__REMAP:
			left(t, REMAPPED, true);
			moved(t, &f, now, false);
			n.evictions += weight;
			n.remaps += weight;
			n.cpu_ns += (o.remap_ns + (double)o.remap_page_ns * pages(t->used)) * weight;
			remapped += weight;
			break;
		case GSTK__PACK:
			t->where = PACKED;
			moved(t, &f, now, true);
			n.packs += weight;
			n.cpu_ns += (double)t->used * o.unpack_ns_per_kib / 1024 * 3 * weight;
			break;
		}
	}
	n.flushes += ceil(gone / SWEEP_BATCH) + ceil(remapped / MOVE_BATCH);
	n.cpu_ns += gone * o.discard_ns;
}

static void measure(double ms)
{
	double bytes[NR_WHERE] = { 0 };

	for (uint64_t i = 0; i < o.sample; i++) {
		const struct task *t = &task[i];

		bytes[t->where] += t->where == COPIED ? t->used :
				   t->where == PACKED ? t->used * (double)o.pack_percent / 100 : pages(t->used) * PAGE;
	}
	for (int w = 0; w < NR_WHERE; w++)
		n.bytes[w] += bytes[w] * weight * ms;
	n.time_ms += ms;
}

/* On stderr, every few seconds of those that the reader waits. */
static void tell_progress(uint64_t now, uint64_t end)
{
	static time_t told;

	if (!told)
		told = time(NULL);
	if (time(NULL) - told < 3)
		return;
	told = time(NULL);
	fprintf(stderr, "gstk-sim: %.1f of %.0f s simulated\n", (double)now / 1000, (double)end / 1000);
}

void run(void)
{
	uint64_t end = (uint64_t)(o.seconds * 1000), swept = 0, now = 0;

	while (now < end) {
		struct task *t = &task[heap[0]];

		now = swept + ROUND_MS;
		if (t->wakes < now) {
			wake(t, t->wakes);
			sift(0);
			now = swept;
			continue;
		}
		sweep(now);
		measure(ROUND_MS);
		swept = now;
		tell_progress(now, end);
	}
}

/* ---- what there is ---- */

void *zeroed(size_t nr, size_t size)
{
	void *p = calloc(nr, size);

	if (!p) {
		fprintf(stderr, "gstk-sim: out of memory: a smaller --sample needs less\n");
		exit(1);
	}
	return p;
}

/* Alone while there are windows, then anywhere. */
static void place(struct task *t, uint64_t i)
{
	t->window = (uint32_t)(i < nr_windows ? i : (uint64_t)(uniform() * (double)nr_windows));
	t->where = COPIED;
	heap[i] = (uint32_t)i;
}

static uint64_t from_classes(void)
{
	double sum = 0, seen = 0;
	uint64_t i = 0;

	for (unsigned int c = 0; c < o.nr_classes; c++)
		sum += o.class[c].share;
	for (unsigned int c = 0; c < o.nr_classes; c++) {
		seen += o.class[c].share;
		for (; (double)i < seen / sum * (double)o.sample - 0.5; i++) {
			task[i].mean_idle = o.class[c].idle_ms;
			task[i].used = o.class[c].used;
			task[i].wakes = next_wake(&task[i], 0);
			place(&task[i], i);
		}
	}
	return i;
}

static uint64_t from_trace(void)
{
	for (uint64_t i = 0; i < o.sample; i++) {
		const struct waits *w = &o.trace->task[i];

		task[i].waits = w;
		task[i].used = w->wait[w->nr - 1].used;
		task[i].wakes = w->first_ms;
		place(&task[i], i);
	}
	return o.sample;
}

/* Every task was somewhere in a wait when we began to look, in its window if it is the last that ran there. */
void populate(void)
{
	if (o.trace)
		o.sample = o.trace->nr;
	if (o.sample > o.tasks)
		o.sample = (uint64_t)o.tasks;
	weight = o.tasks / (double)o.sample;
	nr_windows = (uint64_t)fmax(1, (double)o.windows / weight);
	task = zeroed(o.sample, sizeof(*task));
	heap = zeroed(o.sample, sizeof(*heap));
	resident = zeroed(nr_windows, sizeof(*resident));
	memset(resident, 0xff, nr_windows * sizeof(*resident));
	o.sample = o.trace ? from_trace() : from_classes();
	for (uint64_t k = o.sample; k-- > 0;) { /* shuffled: the first that comes to a window has it */
		uint64_t other = (uint64_t)(uniform() * (double)(k + 1));
		uint32_t pick = heap[other];
		struct task *t = &task[pick];

		heap[other] = heap[k];
		heap[k] = pick;
		if (resident[t->window] != UINT32_MAX)
			continue;
		resident[t->window] = pick;
		t->where = RESIDENT;
		nr_resident++;
		resident_bytes += pages(t->used) * PAGE;
	}
	for (uint64_t k = o.sample; k-- > 0;)
		sift(k);
}
