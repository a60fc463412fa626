// SPDX-License-Identifier: MIT
#include "host/module.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE   4096u
#define CHUNK  ((uint64_t)2 << 20)
#define TRIES  10000 /* for memory, as the pager does */
#define NEEDED (GREENSTK_FEATURE_SWITCH | GREENSTK_FEATURE_RECLAIM | GREENSTK_FEATURE_POPULATE)

struct gstk__module gstk__module = { .fd = -1 };

static bool locked_down(void)
{
	char text[128];
	int fd = open("/sys/kernel/security/lockdown", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return false;
	text[n] = 0;
	return strstr(text, "[integrity]") || strstr(text, "[confidentiality]");
}

/* In words, with what to do about it. */
static int refused(const char *step, int err)
{
	const char *advice;

	if (!strcmp(step, "open") && (err == -ENOENT || err == -ENXIO || err == -ENODEV))
		advice = locked_down() ? "the module is not loaded, and this kernel (Secure Boot) loads signed modules "
					 "only: enrol the key it was signed with (mokutil --import), then modprobe greenstk"
				       : "the module is not loaded: modprobe greenstk";
	else if (!strcmp(step, "open") && (err == -EACCES || err == -EPERM))
		advice = "this user may not open it: join the group greenstk (the udev rule gives it the device)";
	else if (!strcmp(step, "features"))
		advice = "the loaded module speaks another ABI: load the one that came with this library";
	else if (!strcmp(step, "holes"))
		advice = "madvise(MADV_POPULATE_READ) must be permitted here (seccomp), which tells what a slot holds";
	else if (err == -ENOMEM && !strcmp(step, "mmap"))
		advice = "address space is limited: ulimit -v unlimited, or fewer windows";
	else if (err == -ENOMEM || err == -EDQUOT)
		advice = "memory or the caps of /sys/module/greenstk/parameters do not allow it";
	else if (err == -EINVAL)
		advice = "it does not take this window size or number: see max_windows in "
			 "/sys/module/greenstk/parameters";
	else
		advice = "see the kernel's log";
	snprintf(gstk__module.why, sizeof(gstk__module.why), "/dev/greenstk: %s: %s; %s", step, strerror(-err), advice);
	gstk__module_close();
	return err;
}

/*
 * Whether pages of the object are there: 0, or what the kernel says. EFAULT means a hole and nothing else, for the
 * module's fault handler refuses it; want of memory is another answer. A copy by the kernel (process_vm_readv()) does
 * not tell these apart, nor that it is forbidden.
 */
static int ask(const char *from, size_t bytes)
{
	uintptr_t low = (uintptr_t)from & -(uintptr_t)PAGE, high = ((uintptr_t)from + bytes + PAGE - 1) & -(uintptr_t)PAGE;
	int err = 0;

	for (int tries = 0; tries < TRIES; tries++) {
		err = madvise((void *)low, high - low, MADV_POPULATE_READ) ? errno : 0;
		if (err != ENOMEM && err != EAGAIN && err != EINTR)
			break;
		sched_yield();
	}
	return err;
}

int gstk__module_open(const struct gstk__module_shape *shape)
{
	struct gstk__module *m = &gstk__module;
	struct greenstk_features f = { .size = sizeof(f) };
	struct greenstk_setup s = { .size = sizeof(s), .window_bytes = shape->window_bytes,
				    .guard_bytes = shape->guard_bytes, .nr_windows = shape->nr_windows };
	uint64_t park;

	m->fd = open(GREENSTK_DEVICE, O_RDWR | O_CLOEXEC);
	if (m->fd < 0)
		return refused("open", -errno);
	if (ioctl(m->fd, GREENSTK_FEATURES, &f))
		return refused("features", -errno);
	if ((f.features & NEEDED) != NEEDED || f.page_size != PAGE)
		return refused("features", -EPROTO);
	/* More than its cap an object cannot hold; twice that leaves room for holes and gaps. */
	park = f.max_object_pages < (f.max_park_bytes / PAGE) / 2 ? f.max_object_pages * PAGE * 2 : f.max_park_bytes;
	park = (park + CHUNK - 1) & ~(CHUNK - 1);
	s.park_bytes = park > f.max_park_bytes ? f.max_park_bytes : park;
	if (s.nr_windows > f.max_windows)
		s.nr_windows = f.max_windows;
	if (ioctl(m->fd, GREENSTK_SETUP, &s))
		return refused("setup", -errno);
	m->map_bytes = s.map_bytes;
	m->map = mmap(NULL, s.map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
	if (m->map == MAP_FAILED)
		return refused("mmap", -errno);
	m->grave_bytes = s.grave_bytes;
	m->grave = mmap(NULL, s.grave_bytes, PROT_NONE, MAP_SHARED, m->fd, (off_t)s.grave_offset);
	if (m->grave == MAP_FAILED)
		return refused("mmap", -errno);
	m->windows = m->map + s.windows_offset;
	m->window_bytes = s.window_bytes;
	m->nr_windows = s.nr_windows;
	m->features = f.features;
	m->park_offset = s.park_offset;
	m->park_bytes = s.park_bytes;
	m->max_pages = f.max_object_pages < f.max_user_pages ? f.max_object_pages : f.max_user_pages;
	/* It is empty yet. */
	if (ask(m->map + s.park_offset, PAGE) != EFAULT)
		return refused("holes", -EOPNOTSUPP);
	m->open = true;
	snprintf(m->why, sizeof(m->why), "/dev/greenstk is there, ABI %u%s", f.abi_version,
		 f.features & GREENSTK_FEATURE_PARK ? "" : "; it moves page by page here (MMU notifiers, or move_path=3)");
	return 0;
}

void gstk__module_unused(const char *why)
{
	snprintf(gstk__module.why, sizeof(gstk__module.why), "%s", why);
}

void gstk__module_close(void)
{
	struct gstk__module *m = &gstk__module;

	if (m->grave && m->grave != MAP_FAILED)
		munmap(m->grave, m->grave_bytes);
	if (m->map && m->map != MAP_FAILED)
		munmap(m->map, m->map_bytes);
	if (m->fd >= 0)
		close(m->fd);
	m->open = false;
	m->fd = -1;
	m->map = m->windows = NULL;
	m->grave = NULL;
}

/* The kernel stops where a signal or want of memory stops it; a loop completes any batch. */
static int batch(unsigned long cmd, char *e, uint32_t nr, uint32_t size, size_t result)
{
	uint32_t at = 0;
	int calls = 0;

	while (at < nr) {
		struct greenstk_batch b = { .entries = (uintptr_t)(e + (size_t)at * size), .nr = nr - at,
					    .entry_size = size };
		int err = ioctl(gstk__module.fd, cmd, &b) ? -errno : 0;

		calls++;
		if (err == -EINTR || err == -EAGAIN)
			continue;
		if (err) {
			for (; at < nr; at++)
				memcpy(e + (size_t)at * size + result, &err, sizeof(err));
			break;
		}
		at += b.done;
	}
	return calls;
}

#define BATCH(cmd, e, nr) \
	batch(cmd, (char *)(e), nr, sizeof(*(e)), (size_t)((char *)&(e)->result - (char *)(e)))

int gstk__module_switch(struct greenstk_switch *e, uint32_t nr)
{
	return BATCH(GREENSTK_SWITCH, e, nr);
}

int gstk__module_reclaim(struct greenstk_reclaim *e, uint32_t nr)
{
	return BATCH(GREENSTK_RECLAIM, e, nr);
}

int gstk__module_drop(struct greenstk_drop *e, uint32_t nr)
{
	return BATCH(GREENSTK_DROP, e, nr);
}

int gstk__module_populate(struct greenstk_populate *e, uint32_t nr)
{
	return BATCH(GREENSTK_POPULATE, e, nr);
}

int gstk__module_cold(struct greenstk_cold *e, uint32_t nr)
{
	return BATCH(GREENSTK_COLD, e, nr);
}

int gstk__module_pager(void *addr, size_t bytes)
{
	struct greenstk_pager set = { .size = sizeof(set), .addr = (uintptr_t)addr, .bytes = bytes };

	return ioctl(gstk__module.fd, GREENSTK_PAGER, &set) ? -errno : 0;
}

void gstk__module_stat(struct greenstk_stat *st)
{
	memset(st, 0, sizeof(*st));
	st->size = sizeof(*st);
	if (!gstk__module.open || ioctl(gstk__module.fd, GREENSTK_STAT, st))
		memset(st, 0, sizeof(*st));
}

static bool is_there(const char *from, size_t bytes)
{
	int err = ask(from, bytes);

	if (err && err != EFAULT) {
		fprintf(stderr, "greenstk: whether pages of a slot are there cannot be found out: %s\n", strerror(err));
		abort();
	}
	return !err;
}

bool gstk__module_page(void *dst, const void *src, size_t bytes)
{
	if (!is_there(src, bytes))
		return false;
	memcpy(dst, src, bytes);
	return true;
}

void gstk__module_read(void *dst, const void *src, size_t bytes)
{
	char *d = dst;
	const char *s = src;

	if (is_there(s, bytes)) {
		memcpy(d, s, bytes);
		return;
	}
	for (size_t n; bytes; d += n, s += n, bytes -= n) {
		n = PAGE - ((uintptr_t)s & (PAGE - 1));
		n = n < bytes ? n : bytes;
		if (!gstk__module_page(d, s, n))
			memset(d, 0, n);
	}
}
