/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GSK_STATS_H
#define GSK_STATS_H

struct greenstk_stat;
struct gsk_space;

void gsk_stats_fill(struct gsk_space *space, struct greenstk_stat *stat);
void gsk_stats_add(struct gsk_space *space);
void gsk_stats_del(struct gsk_space *space);
void gsk_stats_init(void);
void gsk_stats_exit(void);

#endif
