// SPDX-License-Identifier: GPL-2.0
/*
 * greenstk.ko: /dev/greenstk. Read in this order: space.h (what there is),
 * slot.h, window.h, move.h (the machine), switch.c, reclaim.c, fault.c, fork.c.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "account.h"
#include "fault.h"
#include "insert.h"
#include "ioctl.h"
#include "lazy.h"
#include "params.h"
#include "space.h"
#include "stats.h"
#include "vma.h"

uint gsk_max_windows = 1U << 20;
module_param_named(max_windows, gsk_max_windows, uint, 0644);
MODULE_PARM_DESC(max_windows, "most windows of one object (default 1048576)");

ulong gsk_max_park_mib = 64UL << 10;
module_param_named(max_park_mib, gsk_max_park_mib, ulong, 0644);
MODULE_PARM_DESC(max_park_mib, "largest parking range in MiB of address space (default 65536, at most 8388608)");

module_param_named(max_object_pages, gsk_max_object_pages, ulong, 0644);
MODULE_PARM_DESC(max_object_pages, "most pages of one object, tables included (default half of memory)");

module_param_named(max_user_pages, gsk_max_user_pages, ulong, 0644);
MODULE_PARM_DESC(max_user_pages, "most pages of all objects of a user (default half of memory)");

module_param_named(fault_around, gsk_fault_around, uint, 0644);
MODULE_PARM_DESC(fault_around, "parked pages that one touch brings back, 1..16 (default 8)");

module_param_named(move_path, gsk_move_path, uint, 0644);
MODULE_PARM_DESC(move_path, "0 what is cheapest, 1 exchange, 2 take-flush-put, 3 insert and zap");

bool gsk_pager;
module_param_named(pager, gsk_pager, bool, 0644);
MODULE_PARM_DESC(pager, "allow COLD and PAGER (default off)");

static int gsk_open_file(struct inode *inode, struct file *file)
{
	struct gsk_space *space = gsk_space_create();

	if (IS_ERR(space))
		return PTR_ERR(space);
	file->private_data = space;
	file->f_mapping = space->inode->i_mapping;
	return 0;
}

static int gsk_release_file(struct inode *inode, struct file *file)
{
	gsk_space_put(file->private_data);
	return 0;
}

static const struct file_operations gsk_fops = {
	.owner = THIS_MODULE,
	.open = gsk_open_file,
	.release = gsk_release_file,
	.mmap = gsk_mmap,
	.unlocked_ioctl = gsk_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice gsk_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "greenstk",
	.mode = 0660,
	.fops = &gsk_fops,
};

static int __init gsk_init(void)
{
	int err;

	if (gsk_max_object_pages == ULONG_MAX)
		gsk_max_object_pages = totalram_pages() / 2;
	if (gsk_max_user_pages == ULONG_MAX)
		gsk_max_user_pages = totalram_pages() / 2;
	err = gsk_space_init();
	if (err)
		return err;
	err = gsk_lazy_init();
	if (err)
		goto exit_space;
	gsk_stats_init();
	err = misc_register(&gsk_device);
	if (err)
		goto exit_stats;
	return 0;

exit_stats:
	gsk_stats_exit();
	gsk_lazy_exit();
exit_space:
	gsk_space_exit();
	return err;
}

static void __exit gsk_exit(void)
{
	misc_deregister(&gsk_device);
	gsk_stats_exit();
	gsk_space_exit();	/* before the shrinker's list goes */
	gsk_lazy_exit();
}

module_init(gsk_init);
module_exit(gsk_exit);

MODULE_DESCRIPTION("Batched page-table remapping and reclamation of green-task stacks");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
