// SPDX-License-Identifier: GPL-2.0
/*
 * Arguments: copied in, checked, copied out. User memory is touched with no
 * lock held, because the entries may lie in a window of this very object.
 */
#include <linux/compat.h>
#include <linux/fs.h>
#include <linux/mmu_notifier.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "account.h"
#include "batch.h"
#include "insert.h"
#include "ioctl.h"
#include "pager.h"
#include "params.h"
#include "space.h"
#include "stats.h"

static bool is_owner(struct gsk_space *space)
{
	return space->mm == current->mm;
}

static long do_features(struct greenstk_features __user *arg)
{
	struct greenstk_features f;

	if (copy_from_user(&f, arg, offsetof(struct greenstk_features, features)))
		return -EFAULT;
	if (f.size < sizeof(f) || f.flags)
		return -EINVAL;
	f = (struct greenstk_features) {
		.size = sizeof(f),
		.features = GREENSTK_FEATURE_SWITCH | GREENSTK_FEATURE_RECLAIM |
			    GREENSTK_FEATURE_LAZY | GREENSTK_FEATURE_POPULATE,
		.max_window_bytes = (u64)GSK_MAX_WINDOW_PAGES << PAGE_SHIFT,
		.max_park_bytes = gsk_max_park_bytes(),
		.max_windows = READ_ONCE(gsk_max_windows),
		.max_entries = GSK_MAX_ENTRIES,
		.page_size = PAGE_SIZE,
		.abi_version = GREENSTK_ABI_VERSION,
		.max_object_pages = READ_ONCE(gsk_max_object_pages),
		.max_user_pages = READ_ONCE(gsk_max_user_pages),
	};
	if (READ_ONCE(gsk_move_path) != GSK_PATH_INSERT && !mm_has_notifiers(current->mm))
		f.features |= GREENSTK_FEATURE_PARK;
	if (READ_ONCE(gsk_pager))
		f.features |= GREENSTK_FEATURE_PAGER | GREENSTK_FEATURE_COLD_MOVES;
	return copy_to_user(arg, &f, sizeof(f)) ? -EFAULT : 0;
}

static long do_setup(struct gsk_space *space, struct greenstk_setup __user *arg)
{
	struct greenstk_setup s;
	long err;

	if (copy_from_user(&s, arg, sizeof(s)))
		return -EFAULT;
	if (s.size != sizeof(s) || s.flags || s.pad || s.grave_offset || s.grave_bytes)
		return -EINVAL;
	err = gsk_space_setup(space, &s);
	if (err)
		return err;
	return copy_to_user(arg, &s, sizeof(s)) ? -EFAULT : 0;
}

static long do_stat(struct gsk_space *space, struct greenstk_stat __user *arg)
{
	struct greenstk_stat st = {};
	u32 head[2], size;

	if (copy_from_user(head, arg, sizeof(head)))
		return -EFAULT;
	if (head[0] < sizeof(head) || head[1])
		return -EINVAL;
	gsk_stats_fill(space, &st);
	size = min_t(u32, head[0], sizeof(st));
	st.size = size;
	return copy_to_user(arg, &st, size) ? -EFAULT : 0;
}

static long do_pager(struct gsk_space *space, struct greenstk_pager __user *arg)
{
	struct greenstk_pager p;

	if (copy_from_user(&p, arg, sizeof(p)))
		return -EFAULT;
	if (p.size != sizeof(p) || p.flags)
		return -EINVAL;
	return gsk_pager_set(space, p.addr, p.bytes);
}

/* What differs between the batch commands. */
struct batch_op {
	u32 entry_size;
	u32 flags;			/* that are known */
	int (*bracket)(struct gsk_buf *buf, u32 n);
	bool needs_pager;
};

static const struct batch_op op_switch = {
	.entry_size = sizeof(struct greenstk_switch), .bracket = gsk_switch_bracket,
};

static const struct batch_op op_reclaim = {
	.entry_size = sizeof(struct greenstk_reclaim), .flags = GREENSTK_RECLAIM_LAZY,
	.bracket = gsk_reclaim_bracket,
};

static const struct batch_op op_drop = {
	.entry_size = sizeof(struct greenstk_drop), .bracket = gsk_drop_bracket,
};

static const struct batch_op op_cold = {
	.entry_size = sizeof(struct greenstk_cold), .bracket = gsk_cold_bracket,
	.needs_pager = true,
};

static const struct batch_op op_populate = {
	.entry_size = sizeof(struct greenstk_populate), .bracket = gsk_populate_bracket,
};

/* Entries may be longer than we know, if what we do not know is zero. */
static int copy_entries_in(struct gsk_buf *buf, const struct batch_op *op, u64 from, u32 stride,
			   u32 n)
{
	char *to = (char *)buf->sw;
	u32 i;
	int err;

	if (stride == op->entry_size)
		return copy_from_user(to, u64_to_user_ptr(from), (size_t)n * stride) ? -EFAULT : 0;
	for (i = 0; i < n; i++) {
		err = copy_struct_from_user(to + (size_t)i * op->entry_size, op->entry_size,
					    u64_to_user_ptr(from + (u64)i * stride), stride);
		if (err)
			return err;
	}
	return 0;
}

static int copy_entries_out(struct gsk_buf *buf, const struct batch_op *op, u64 to, u32 stride,
			    u32 n)
{
	char *from = (char *)buf->sw;
	u32 i;

	if (stride == op->entry_size)
		return copy_to_user(u64_to_user_ptr(to), from, (size_t)n * stride) ? -EFAULT : 0;
	for (i = 0; i < n; i++)
		if (copy_to_user(u64_to_user_ptr(to + (u64)i * stride),
				 from + (size_t)i * op->entry_size, op->entry_size))
			return -EFAULT;
	return 0;
}

static long run_batch(struct gsk_space *space, const struct batch_op *op,
		      const struct greenstk_batch *b, u32 *done)
{
	struct gsk_buf *buf = gsk_buf_get(space);
	long ret = 0;
	u64 at;
	u32 n;

	if (IS_ERR(buf))
		return PTR_ERR(buf);
	buf->flags = b->flags;
	for (*done = 0; *done < b->nr; *done += ret) {
		if (*done) {
			cond_resched();
			if (signal_pending(current))
				break;
		}
		n = min(b->nr - *done, GSK_BRACKET_ENTRIES);
		at = b->entries + (u64)*done * b->entry_size;
		ret = copy_entries_in(buf, op, at, b->entry_size, n);
		if (ret)
			break;
		do {
			ret = fatal_signal_pending(current) ? -EINTR : op->bracket(buf, n);
		} while (ret == -EAGAIN);
		if (ret < 0)
			break;
		if (copy_entries_out(buf, op, at, b->entry_size, ret)) {
			ret = -EFAULT;
			break;
		}
	}
	gsk_buf_put(buf);
	return ret < 0 && !*done ? ret : 0;
}

static long do_batch(struct gsk_space *space, const struct batch_op *op,
		     struct greenstk_batch __user *arg)
{
	struct greenstk_batch b;
	u32 done = 0;
	long ret;

	if (copy_from_user(&b, arg, sizeof(b)))
		return -EFAULT;
	if (b.flags & ~op->flags || !b.nr || b.nr > GSK_MAX_ENTRIES ||
	    b.entry_size < op->entry_size || b.entry_size > PAGE_SIZE)
		return -EINVAL;
	if (op->needs_pager && !READ_ONCE(gsk_pager))
		return -EOPNOTSUPP;
	ret = run_batch(space, op, &b, &done);
	if (put_user(done, &arg->done))
		return -EFAULT;
	return ret;
}

long gsk_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct gsk_space *space = file->private_data;
	void __user *p = (void __user *)arg;

	switch (cmd) {
	case GREENSTK_FEATURES:
		return do_features(p);
	case GREENSTK_SETUP:
		return do_setup(space, p);
	case GREENSTK_SWITCH:
	case GREENSTK_RECLAIM:
	case GREENSTK_DROP:
	case GREENSTK_COLD:
	case GREENSTK_POPULATE:
	case GREENSTK_PAGER:
	case GREENSTK_STAT:
		break;
	default:
		return -ENOTTY;
	}
	/* Pairs with the release in gsk_space_setup(). */
	if (smp_load_acquire(&space->state) == GSK_NEW)
		return -ENXIO;
	if (!is_owner(space))
		return -EPERM;
	switch (cmd) {
	case GREENSTK_SWITCH:
		return do_batch(space, &op_switch, p);
	case GREENSTK_RECLAIM:
		return do_batch(space, &op_reclaim, p);
	case GREENSTK_DROP:
		return do_batch(space, &op_drop, p);
	case GREENSTK_COLD:
		return do_batch(space, &op_cold, p);
	case GREENSTK_POPULATE:
		return do_batch(space, &op_populate, p);
	case GREENSTK_PAGER:
		return do_pager(space, p);
	default:
		return do_stat(space, p);
	}
}
