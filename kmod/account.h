/* SPDX-License-Identifier: GPL-2.0 */
#ifndef GSK_ACCOUNT_H
#define GSK_ACCOUNT_H

#include <linux/atomic.h>
#include <linux/types.h>

struct gsk_space;
struct gsk_user;

/* Module parameters, see Documentation/uapi.rst. */
extern ulong gsk_max_object_pages;
extern ulong gsk_max_user_pages;

struct gsk_user *gsk_user_get(void);
void gsk_user_ref(struct gsk_user *user);
void gsk_user_put(struct gsk_user *user);

int gsk_charge_pages(struct gsk_space *space, unsigned long nr);
void gsk_charge_end(struct gsk_space *space, unsigned long nr, unsigned long mapped);
void gsk_uncharge_pages(struct gsk_space *space, unsigned long nr);
int gsk_charge_tables(struct gsk_space *space, unsigned long nr);
void gsk_uncharge_tables(struct gsk_space *space, unsigned long nr);
void gsk_uncharge_all(struct gsk_space *space);

#endif
