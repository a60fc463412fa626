// SPDX-License-Identifier: MIT
#include "park/policy.h"

#define TRIM_IDLE_MS 100u /* shorter waits fault their pages in again before the gain shows */
#define WORTH	     1000u /* a move may cost this part of the time that the stack had been idle */

/* Thresholds shrink with pressure: at 10 % stall time they are halved, at 40 % an eighth. */
static uint64_t scaled(const struct gstk__climate *c, uint64_t ms)
{
	return c->pressure >= 40 ? ms / 8 : c->pressure >= 20 ? ms / 4 : c->pressure >= 10 ? ms / 2 : ms;
}

/* A stack that was idle for @ms is about to be idle for as long again: a move must not cost more
 * than a thousandth of that, whatever the pressure. */
static uint64_t worth(uint64_t ms, uint32_t cost_ns)
{
	uint64_t least = (uint64_t)cost_ns * WORTH / 1000000;

	return ms > least ? ms : least;
}

static uint64_t evict_after(const struct gstk__climate *c)
{
	bool full = c->resident_bytes > c->resident_budget || c->pressure >= 10;

	return worth(scaled(c, full ? c->evict_idle_ms : c->cold_idle_ms), c->evict_ns);
}

static uint64_t trim_after(const struct gstk__climate *c)
{
	return worth(TRIM_IDLE_MS, c->trim_ns);
}

enum gstk__action gstk__policy(const struct gstk__climate *c, const struct gstk__stack_facts *s)
{
	if (!s->may_move)
		return s->resident && !s->trimmed && s->idle_ms >= trim_after(c) ? GSTK__TRIM : GSTK__KEEP;
	if (!s->resident)
		return s->idle_ms >= scaled(c, c->pack_idle_ms) ? GSTK__PACK : GSTK__KEEP;
	if (c->residents >= c->min_residents && s->idle_ms >= evict_after(c))
		return c->remap_bytes && s->used >= c->remap_bytes ? GSTK__REMAP : GSTK__EVICT;
	if (!s->trimmed && s->idle_ms >= trim_after(c))
		return GSTK__TRIM;
	return GSTK__KEEP;
}

uint64_t gstk__policy_next(const struct gstk__climate *c, const struct gstk__stack_facts *s)
{
	uint64_t at = UINT64_MAX;

	if (s->may_move && !s->resident)
		at = scaled(c, c->pack_idle_ms);
	else if (s->resident && !s->trimmed)
		at = trim_after(c);
	if (s->may_move && s->resident && c->residents >= c->min_residents && evict_after(c) < at)
		at = evict_after(c);
	if (at == UINT64_MAX)
		return at;
	return at > s->idle_ms ? at - s->idle_ms : 0;
}
