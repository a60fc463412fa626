// SPDX-License-Identifier: MIT
#include "park/policy.h"

#define TRIM_IDLE_MS 100u /* shorter waits fault their pages in again before the gain shows */
#define WORTH	     1000u /* a move may cost this part of the time that the stack had been idle */
#define LONG_AWAY    4u
#define PRESSED	     10u  /* percent of stall time from which on memory is short, */
#define NEAR	     80u  /* and of the control group's limit */

#define UNIT_MS 8u /* of gstk__history.at */
#define AT_MASK ((1u << 25) - 1)

/* How short memory is, 0 .. 3. Stalls tell what has happened; a limit that is near, what will. */
static unsigned int shortage(const struct gstk__climate *c)
{
	unsigned int stalls = c->pressure >= 40 ? 3 : c->pressure >= 20 ? 2 : c->pressure >= PRESSED;
	unsigned int near = c->filled >= 95 ? 3 : c->filled >= 90 ? 2 : c->filled >= NEAR;

	return stalls > near ? stalls : near;
}

/* Thresholds shrink with it: at 10 % stall time, or 80 % of the limit, they are halved, at 40 % or 95 % an eighth. */
static uint64_t scaled(const struct gstk__climate *c, uint64_t ms)
{
	return ms >> shortage(c);
}

/* A stack that was idle for @ms is about to be idle for as long again: a move must not cost more
 * than a thousandth of that, whatever the pressure. */
static uint64_t worth(uint64_t ms, uint32_t cost_ns)
{
	uint64_t least = (uint64_t)cost_ns * WORTH / 1000000;

	return ms > least ? ms : least;
}


static bool full(const struct gstk__climate *c)
{
	return c->resident_bytes > c->resident_budget || shortage(c);
}

static uint64_t evict_after(const struct gstk__climate *c, uint32_t bounces)
{
	uint64_t ms = scaled(c, full(c) ? c->evict_idle_ms : c->cold_idle_ms);

	/* What bounced is moved later, while there is memory for that. */
	if (!shortage(c) && c->resident_bytes / 2 <= c->resident_budget)
		ms <<= bounces;
	return worth(ms, c->evict_ns);
}

static uint64_t pack_after(const struct gstk__climate *c, uint32_t bounces)
{
	return scaled(c, c->pack_idle_ms) << (shortage(c) ? 0 : bounces);
}

static uint64_t trim_after(const struct gstk__climate *c)
{
	return worth(TRIM_IDLE_MS, c->trim_ns);
}

static struct gstk__decision is(enum gstk__action action, enum gstk__reason why)
{
	return (struct gstk__decision){ action, why };
}

/* It would have gone in any case, or only since there is no room. */
static enum gstk__reason moved_because(const struct gstk__climate *c, const struct gstk__stack_facts *s)
{
	if (s->idle_ms >= worth(c->cold_idle_ms << s->history.out, c->evict_ns))
		return GSTK__MOVED_COLD;
	return shortage(c) ? GSTK__MOVED_PRESSURE : GSTK__MOVED_BUDGET;
}

static struct gstk__decision of_image(const struct gstk__climate *c, const struct gstk__stack_facts *s)
{
	if (s->idle_ms >= pack_after(c, s->history.pack))
		return is(GSTK__PACK, s->idle_ms >= c->pack_idle_ms << s->history.pack ? GSTK__PACKED_IDLE
										       : GSTK__PACKED_PRESSURE);
	return is(GSTK__KEEP, s->idle_ms >= pack_after(c, 0) ? GSTK__KEPT_BOUNCING : GSTK__KEPT_YOUNG);
}

struct gstk__decision gstk__policy(const struct gstk__climate *c, const struct gstk__stack_facts *s)
{
	bool dead = s->resident && !s->trimmed && s->idle_ms >= trim_after(c), due;

	if (!s->may_move)
		return dead ? is(GSTK__TRIM, GSTK__TRIMMED_IDLE) : is(GSTK__KEEP, GSTK__KEPT_PRIVATE);
	if (!s->resident)
		return of_image(c, s);
	due = s->idle_ms >= evict_after(c, s->history.out);
	if (due && c->residents >= c->min_residents)
		return is(c->remap_bytes && s->used >= c->remap_bytes ? GSTK__REMAP : GSTK__EVICT, moved_because(c, s));
	if (dead)
		return is(GSTK__TRIM, GSTK__TRIMMED_IDLE);
	return is(GSTK__KEEP, due ? GSTK__KEPT_FEW : s->idle_ms >= evict_after(c, 0) ? GSTK__KEPT_BOUNCING : GSTK__KEPT_YOUNG);
}

uint64_t gstk__policy_next(const struct gstk__climate *c, const struct gstk__stack_facts *s)
{
	uint64_t at = UINT64_MAX;

	if (s->may_move && !s->resident)
		at = pack_after(c, s->history.pack);
	else if (s->resident && !s->trimmed)
		at = trim_after(c);
	if (s->may_move && s->resident && c->residents >= c->min_residents && evict_after(c, s->history.out) < at)
		at = evict_after(c, s->history.out);
	if (at == UINT64_MAX)
		return at;
	return at > s->idle_ms ? at - s->idle_ms : 0;
}

/* One more when it was away for no longer than @after_ms, one less when for much longer. */
static uint32_t bounced(uint32_t bounces, uint32_t most, uint64_t away_ms, uint64_t after_ms, uint32_t much)
{
	if (away_ms <= after_ms)
		return bounces < most ? bounces + 1 : bounces;
	return bounces && away_ms > after_ms * much ? bounces - 1 : bounces;
}

struct gstk__history gstk__policy_history(const struct gstk__climate *c, struct gstk__history h, uint32_t parked_ms)
{
	uint32_t units = (parked_ms / UNIT_MS - h.at) & AT_MASK;
	uint64_t away_ms = (uint64_t)units * UNIT_MS;

	if (!h.at || units > AT_MASK / 2) /* never moved; or it parked before that and has not run since */
		return h;
	if (h.packed)
		h.pack = bounced(h.pack, GSTK__PACK_BOUNCES_MOST, away_ms, pack_after(c, h.pack), 1) & 7;
	else
		h.out = bounced(h.out, GSTK__BOUNCES_MOST, away_ms, evict_after(c, h.out), LONG_AWAY) & 7;
	h.at = 0;
	return h;
}

struct gstk__history gstk__policy_moved(struct gstk__history h, uint32_t now_ms, bool packed)
{
	/* The unit after this one: what parked in this one did so before. */
	h.at = (now_ms / UNIT_MS + 1) & AT_MASK;
	h.at = h.at ? h.at : 1;
	h.packed = packed;
	return h;
}
