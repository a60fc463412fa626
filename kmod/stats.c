// SPDX-License-Identifier: GPL-2.0
#include <linux/debugfs.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>

#include "space.h"
#include "stats.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

static DEFINE_MUTEX(spaces_lock);
static LIST_HEAD(spaces);
static struct dentry *dir;

void gsk_stats_fill(struct gsk_space *space, struct greenstk_stat *stat)
{
	stat->pages = atomic_long_read(&space->nr_pages);
	stat->table_pages = atomic_long_read(&space->nr_table_pages);
	spin_lock(&space->slot_lock);
	stat->handles = space->nr_handles;
	stat->park_free_pages = space->park_free;
	spin_unlock(&space->slot_lock);
#define X(name) stat->name = atomic_long_read(&space->counters[GSK_N_##name]);
	GSK_COUNTERS(X)
#undef X
}

void gsk_stats_add(struct gsk_space *space)
{
	mutex_lock(&spaces_lock);
	list_add_tail(&space->node, &spaces);
	mutex_unlock(&spaces_lock);
}

void gsk_stats_del(struct gsk_space *space)
{
	mutex_lock(&spaces_lock);
	list_del(&space->node);
	mutex_unlock(&spaces_lock);
}

/* One line an object: pid of its creator, state, then name=value. */
static int spaces_show(struct seq_file *m, void *unused)
{
	static const char * const names[] = {
		[GSK_NEW] = "new", [GSK_SHAPED] = "shaped",
		[GSK_MAPPED] = "mapped", [GSK_DEAD] = "dead",
	};
	struct gsk_space *space;

	mutex_lock(&spaces_lock);
	list_for_each_entry(space, &spaces, node) {
		seq_printf(m, "pid=%d state=%s windows=%u pages=%ld tables=%ld handles=%u",
			   space->owner, names[space->state], space->nr_windows,
			   atomic_long_read(&space->nr_pages),
			   atomic_long_read(&space->nr_table_pages), space->nr_handles);
#define X(name) seq_printf(m, " " #name "=%ld", atomic_long_read(&space->counters[GSK_N_##name]));
		GSK_COUNTERS(X)
#undef X
		seq_putc(m, '\n');
	}
	mutex_unlock(&spaces_lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(spaces);

/* debugfs is for looking: that it is missing is no error. */
void gsk_stats_init(void)
{
	dir = debugfs_create_dir("greenstk", NULL);
	debugfs_create_file("objects", 0400, dir, NULL, &spaces_fops);
}

void gsk_stats_exit(void)
{
	debugfs_remove(dir);
}
