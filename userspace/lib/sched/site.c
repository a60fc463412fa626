// SPDX-License-Identifier: MIT
#include "sched/site.h"

#include <string.h>

#define HOG_AT	 16u /* quanta that its tasks used up while mates waited */
#define TALKS_AT 16u /* of one in 16 that were looked at */

struct gstk__sites gstk__sites;

void gstk__site_hogged(const struct gstk_task *t)
{
	if (atomic_fetch_add_explicit(&gstk__sites.site[gstk__site(t)].hogged, 1, memory_order_relaxed) + 1 == HOG_AT)
		atomic_fetch_or_explicit(&gstk__sites.hogs, gstk__site_bit(t), memory_order_relaxed);
}

static void talked(const struct gstk_task *t)
{
	if (atomic_fetch_add_explicit(&gstk__sites.site[gstk__site(t)].talked, 1, memory_order_relaxed) + 1 == TALKS_AT)
		atomic_fetch_or_explicit(&gstk__sites.talkers, gstk__site_bit(t), memory_order_relaxed);
}

void gstk__site_talked(const struct gstk_task *a, const struct gstk_task *b)
{
	talked(a);
	if (gstk__site(a) != gstk__site(b))
		talked(b);
}

bool gstk__site_earns(const struct gstk_task *t)
{
	if (!(atomic_load_explicit(&gstk__sites.hogs, memory_order_relaxed) & gstk__site_bit(t)))
		return false;
	if (atomic_fetch_add_explicit(&gstk__sites.earned, 1, memory_order_relaxed) < GSTK__EARNED_MOST)
		return true;
	gstk__site_gave_back();
	return false;
}

void gstk__site_gave_back(void)
{
	atomic_fetch_sub_explicit(&gstk__sites.earned, 1, memory_order_relaxed);
}

void gstk__sites_reset(void)
{
	memset(&gstk__sites, 0, sizeof(gstk__sites));
}
