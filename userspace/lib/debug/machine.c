// SPDX-License-Identifier: MIT
#include "debug/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>
#include "host/host.h"
#include "host/pressure.h"
#include "host/uffd.h"
#include "window/window.h"

#ifndef PIDFD_SELF_THREAD_GROUP
#define PIDFD_SELF_THREAD_GROUP (-10001)
#endif
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

/* Many ranges with one call, on oneself: asked for with a range of our own. */
static void process_madvise_line(int fd)
{
	char *p = gstk__mem_reserve(4096, 4096);
	struct iovec range = { p, 4096 };
	long r;

	if (!p)
		return;
	r = syscall(SYS_process_madvise, PIDFD_SELF_THREAD_GROUP, &range, (size_t)1, 4 /* MADV_DONTNEED */, 0u);
	if (r == 4096)
		dprintf(fd, "kernel.process_madvise yes\n");
	else
		dprintf(fd, "kernel.process_madvise no (%s): one madvise a range; Linux 6.13 has it\n", strerror(errno));
	gstk__mem_release(p, 4096);
}

static void userfaultfd_line(int fd)
{
	struct uffdio_api api = { .api = UFFD_API };
	int u = gstk__uffd_probe();

	if (u < 0) {
		dprintf(fd, "kernel.userfaultfd no (%s): stacks are restored whole%s\n", strerror(-u),
			u == -EPERM ? "; sysctl vm.unprivileged_userfaultfd=1 or CAP_SYS_PTRACE allows it" : "");
		return;
	}
	if (ioctl(u, UFFDIO_API, &api))
		dprintf(fd, "kernel.userfaultfd no (%s)\n", strerror(errno));
	else
		dprintf(fd, "kernel.userfaultfd yes, features %#llx\n", (unsigned long long)api.features);
	close(u);
}

static void device_line(int fd)
{
	int d = open("/dev/greenstk", O_RDWR | O_CLOEXEC);

	if (d >= 0) {
		dprintf(fd, "kernel.greenstk present\n");
		close(d);
		return;
	}
	dprintf(fd, "kernel.greenstk no (%s): %s\n", strerror(errno),
		errno == ENOENT ? "the module is not loaded; everything works by copying"
		: errno == EACCES ? "the device is not open to this user: see the udev rule" : "the module refuses");
}

static void file_line(int fd, const char *name, const char *path, const char *advice)
{
	char text[128];
	int f = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = f < 0 ? -1 : read(f, text, sizeof(text) - 1);

	if (n < 0) {
		dprintf(fd, "%s no (%s)%s%s\n", name, strerror(errno), *advice ? ": " : "", advice);
	} else {
		text[n] = 0;
		text[strcspn(text, "\n")] = 0;
		dprintf(fd, "%s %s%s%s\n", name, text, *advice ? ": " : "", advice);
	}
	if (f >= 0)
		close(f);
}

static void limit_line(int fd, const char *name, int which, const char *advice)
{
	struct rlimit rl;

	if (getrlimit(which, &rl))
		return;
	if (rl.rlim_cur == RLIM_INFINITY)
		dprintf(fd, "%s unlimited\n", name);
	else
		dprintf(fd, "%s %llu (hard %lld): %s\n", name, (unsigned long long)rl.rlim_cur,
			rl.rlim_max == RLIM_INFINITY ? -1ll : (long long)rl.rlim_max, advice);
}

/* Of the group that is nearest to its own. */
static void memory_line(int fd)
{
	struct gstk__memory_limit l;

	gstk__memory_limit(&l);
	if (l.bytes == UINT64_MAX)
		dprintf(fd, "limit.memory unlimited\n");
	else
		dprintf(fd, "limit.memory %llu (%u %% in use): memory.max or memory.high of %s; stacks are moved and packed sooner "
			"from %u %% on\n", (unsigned long long)l.bytes, l.filled, l.group, GSTK__MEMORY_NEAR);
}

void gstk__machine_print(int fd)
{
	struct utsname u;
	char of[GSTK__PRESSURE_PATH + 3], file[GSTK__PRESSURE_PATH];

	if (!uname(&u))
		dprintf(fd, "kernel.release %s\n", u.release);
	dprintf(fd, "kernel.guard_install %s\n", gstk__windows.guard_install
		? "yes" : "no: each guard splits a mapping; Linux 6.13 has MADV_GUARD_INSTALL");
	process_madvise_line(fd);
	dprintf(fd, "kernel.membarrier %s\n", gstk__membarrier_missing ? "no: a fence at every park" : "yes");
	snprintf(of, sizeof(of), "of %s", gstk__pressure_file(file));
	file_line(fd, "kernel.psi", of + 3, of);
	userfaultfd_line(fd);
	device_line(fd);
	limit_line(fd, "limit.nofile", RLIMIT_NOFILE,
		   "a connection takes one; when accept fails with EMFILE: ulimit -n, LimitNOFILE=");
	file_line(fd, "limit.max_map_count", "/proc/sys/vm/max_map_count",
		  gstk__windows.guard_install ? "only windows of their own size take mappings; sysctl vm.max_map_count when spawns fail"
					      : "bounds the number of windows; sysctl vm.max_map_count");
	limit_line(fd, "limit.as", RLIMIT_AS, "windows and images reserve address space; ulimit -v unlimited");
	memory_line(fd);
	limit_line(fd, "limit.nproc", RLIMIT_NPROC, "one thread a worker; ulimit -u when workers cannot be created");
	file_line(fd, "limit.overcommit", "/proc/sys/vm/overcommit_memory", "2 counts reserved windows as used: fewer windows then");
}
