// SPDX-License-Identifier: MIT
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
/*
 * init of the guest. Reads /vm/plan, does it, writes KTAP to the second serial
 * line and powers off. The first line is the kernel's; the host reads both.
 *
 * The plan, one order a line:
 *   nonce WORD              the word that must end a good run
 *   insmod FILE [PARAMS]    must succeed
 *   rmmod NAME              must succeed: a module in use after the suites is a leak
 *   suite SECONDS NAME CMD  a test; exit 0 passes, 4 skips, all else fails
 *   run CMD                 output goes out raw; its exit status ends the plan
 *   shell                   an interactive shell on the first line
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define EXIT_SKIP 4
#define REAP_MS 20000
/* Kernel taints that a sound run cannot have: bad page, die, warn, soft lockup. */
#define BAD_TAINTS ((1 << 5) | (1 << 7) | (1 << 9) | (1 << 14))

static int line_fd = 1, kmsg_fd = -1;
static int nr_suites, nr_done, nr_failed;
static char nonce[64];

__attribute__((format(printf, 1, 2))) static void say(const char *fmt, ...)
{
	char buf[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	if (n > (int)sizeof(buf) - 1)
		n = sizeof(buf) - 1;
	if (write(line_fd, buf, n) < 0)
		return;
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		say("# vm: cannot write %s: %s\n", path, strerror(errno));
	close(fd);
}

static long get_number(const char *path)
{
	char buf[64] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, buf, sizeof(buf) - 1) < 0)
		buf[0] = 0;
	if (fd >= 0)
		close(fd);
	return strtol(buf, NULL, 0);
}

static void note(const char *what, const char *name)
{
	if (kmsg_fd >= 0)
		dprintf(kmsg_fd, "<5>greenstk-vm: %s %s\n", what, name);
}

static long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static void mount_all(void)
{
	static const struct { const char *type, *on, *opts; } m[] = {
		{ "devtmpfs", "/dev", "" },	  { "proc", "/proc", "" },
		{ "sysfs", "/sys", "" },	  { "tmpfs", "/tmp", "mode=1777" },
		{ "tmpfs", "/run", "" },	  { "tmpfs", "/dev/shm", "mode=1777" },
		{ "devpts", "/dev/pts", "" },	  { "debugfs", "/sys/kernel/debug", "" },
		{ "tracefs", "/sys/kernel/tracing", "" },
		{ "cgroup2", "/sys/fs/cgroup", "" },
	};
	size_t i;

	for (i = 0; i < sizeof(m) / sizeof(m[0]); i++) {
		mkdir(m[i].on, 0755);
		if (mount(m[i].type, m[i].on, m[i].type, 0, m[i].opts) && errno != EBUSY && errno != ENODEV)
			say("# vm: mount %s: %s\n", m[i].on, strerror(errno));
	}
	put("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	put("/proc/sys/kernel/core_pattern", "/tmp/core.%p");
	put("/proc/sys/kernel/printk_ratelimit", "0");
	put("/proc/sys/kernel/panic_on_oops", "1");
	put("/proc/sys/vm/unprivileged_userfaultfd", "0");
	symlink("/proc/self/fd", "/dev/fd");
}

static void loopback_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (s < 0)
		return;
	ioctl(s, SIOCSIFFLAGS, &ifr);
	close(s);
}

static void open_line(void)
{
	struct termios t;
	int fd = open("/dev/ttyS1", O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (!tcgetattr(fd, &t)) {
		cfmakeraw(&t);
		tcsetattr(fd, TCSANOW, &t);
	}
	line_fd = fd;
}

static void finish(int status)
{
	if (line_fd >= 0)
		tcdrain(line_fd);
	if (status >= 0)
		say("vm: exit %d %s\n", status, nonce);
	tcdrain(line_fd);
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

static int load(const char *file, const char *params)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = syscall(SYS_finit_module, fd, params, 0) ? -errno : 0;
	close(fd);
	return ret;
}

/* Copies what the test writes, each line behind "# ", as kselftest's runner does. */
static bool copy_lines(int fd, bool *at_start)
{
	char in[4096], out[3 * sizeof(in)];
	ssize_t n = read(fd, in, sizeof(in)), i, o = 0;

	if (n <= 0)
		return false;
	for (i = 0; i < n; i++) {
		if (*at_start) {
			out[o++] = '#';
			out[o++] = ' ';
		}
		out[o++] = in[i];
		*at_start = in[i] == '\n';
	}
	return write(line_fd, out, o) == o;
}

static pid_t start(const char *cmd, int out)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	setsid();
	dup2(open("/dev/null", O_RDONLY), 0);
	dup2(out, 1);
	dup2(out, 2);
	execl("/bin/sh", "sh", "-c", cmd, NULL);
	_exit(127);
}

/* The exit status of CMD, or -1 when it did not end in time. Reaps orphans. */
static int run_bounded(const char *cmd, long long limit_ms, bool raw)
{
	long long end = now_ms() + limit_ms;
	bool at_start = true, exited = false;
	int p[2], status = -1, st;
	pid_t pid, got;

	if (raw) {
		p[0] = -1;
		pid = start(cmd, line_fd);
	} else {
		if (pipe2(p, O_CLOEXEC))
			return -1;
		pid = start(cmd, p[1]);
		close(p[1]);
	}
	while (now_ms() < end) {
		struct pollfd f = { .fd = p[0], .events = POLLIN };

		/* Read on after the exit: but children that hold the pipe end nothing. */
		if (poll(&f, 1, exited ? 20 : 50) > 0 && (f.revents & (POLLIN | POLLHUP))) {
			if (copy_lines(p[0], &at_start))
				continue;
			close(p[0]);
			p[0] = -1;
		} else if (exited) {
			break;
		}
		while (!exited && (got = waitpid(-1, &st, WNOHANG)) > 0) {
			if (got != pid)
				continue;
			exited = true;
			status = WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
		}
		if (exited && p[0] < 0)
			break;
	}
	if (!exited)
		put("/proc/sysrq-trigger", "w"); /* where the blocked ones hang */
	kill(-1, SIGKILL); /* all but init: no test outlives its turn */
	end = now_ms() + REAP_MS;
	while ((got = waitpid(-1, &st, WNOHANG)) >= 0 && now_ms() < end)
		if (!got)
			usleep(2000);
	if (got >= 0) {
		say("\n# vm: a process survives SIGKILL\n");
		put("/proc/sysrq-trigger", "w");
		nr_failed++;
	}
	if (p[0] >= 0)
		close(p[0]);
	if (!at_start)
		say("\n");
	return status;
}

static void do_suite(char *arg)
{
	char *name, *cmd;
	long secs = strtol(arg, &name, 10);
	long long t0 = now_ms();
	int st;

	name += strspn(name, " ");
	cmd = strchr(name, ' ');
	*cmd++ = 0;
	nr_done++;
	say("# selftests: %s\n", name);
	note("suite", name);
	st = run_bounded(cmd, secs * 1000, false);
	t0 = now_ms() - t0;
	if (st && st != EXIT_SKIP)
		nr_failed++;
	if (!st)
		say("ok %d selftests: %s # time=%lldms\n", nr_done, name, t0);
	else if (st == EXIT_SKIP)
		say("ok %d selftests: %s # SKIP\n", nr_done, name);
	else if (st < 0)
		say("not ok %d selftests: %s # TIMEOUT %ld seconds\n", nr_done, name, secs);
	else
		say("not ok %d selftests: %s # exit=%d\n", nr_done, name, st);
}

static void do_module(const char *order, char *arg)
{
	char *params = strchr(arg, ' ');
	int ret, i;

	if (params)
		*params++ = 0;
	note(order, arg);
	if (!strcmp(order, "insmod")) {
		ret = load(arg, params ? params : "");
		if (ret == -EEXIST)
			ret = 0;
	} else {
		/* The last file of a killed process may be released a moment later. */
		for (i = 0; i < 100; i++) {
			ret = syscall(SYS_delete_module, arg, O_NONBLOCK) ? -errno : 0;
			if (ret != -EAGAIN && ret != -EBUSY)
				break;
			usleep(20000);
		}
	}
	if (ret) {
		say("# vm: %s %s: %s\n", order, arg, strerror(-ret));
		nr_failed++;
	}
}

static void leak_scan(void)
{
	char buf[4096];
	ssize_t n;
	int fd, i;

	if (access("/sys/kernel/debug/kmemleak", W_OK))
		return;
	for (i = 0; i < 2; i++) { /* the first pass only greys what is young */
		sleep(i ? 6 : 0);
		put("/sys/kernel/debug/kmemleak", "scan");
	}
	fd = open("/sys/kernel/debug/kmemleak", O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && (n = read(fd, buf, sizeof(buf))) > 0) {
		nr_failed++;
		say("# kmemleak: %.*s\n", (int)n, buf);
	}
	close(fd);
}

static void do_shell(void)
{
	pid_t pid = fork();

	if (!pid) {
		setsid();
		close(0);
		open("/dev/console", O_RDWR);
		ioctl(0, TIOCSCTTY, 1);
		dup2(0, 1);
		dup2(0, 2);
		execl("/bin/sh", "-sh", NULL);
		_exit(127);
	}
	while (waitpid(-1, NULL, 0) != pid)
		;
}

static void do_plan(FILE *f)
{
	char line[4096];
	long taints;

	while (fgets(line, sizeof(line), f)) {
		char *arg;

		line[strcspn(line, "\n")] = 0;
		arg = strchr(line, ' ');
		if (arg)
			*arg++ = 0;
		if (!strcmp(line, "nonce"))
			snprintf(nonce, sizeof(nonce), "%s", arg);
		else if (!strcmp(line, "suite"))
			do_suite(arg);
		else if (!strcmp(line, "insmod") || !strcmp(line, "rmmod"))
			do_module(line, arg);
		else if (!strcmp(line, "run"))
			finish(run_bounded(arg, 1LL << 40, true));
		else if (!strcmp(line, "shell"))
			do_shell();
		else if (line[0])
			say("# vm: what is '%s'?\n", line), nr_failed++;
	}
	leak_scan();
	taints = get_number("/proc/sys/kernel/tainted");
	if (taints & BAD_TAINTS) {
		say("# vm: the kernel is tainted: %#lx\n", taints);
		nr_failed++;
	}
}

static int count_suites(FILE *f)
{
	char line[4096];
	int n = 0;

	while (fgets(line, sizeof(line), f))
		n += !strncmp(line, "suite ", 6);
	rewind(f);
	return n;
}

int main(void)
{
	struct rlimit core = { 0, RLIM_INFINITY }; /* who tests core dumps raises it */
	FILE *plan = fopen("/vm/plan", "re");

	mkdir("/dev/shm", 0755);
	mount_all();
	mkdir("/dev/shm", 0755);
	mount("tmpfs", "/dev/shm", "tmpfs", 0, "mode=1777");
	open_line();
	kmsg_fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	setenv("PATH", "/bin:/sbin:/usr/bin:/vm", 1);
	setenv("HOME", "/", 1);
	setenv("TERM", "linux", 1);
	setrlimit(RLIMIT_CORE, &core);
	sethostname("greenstk", 8);
	loopback_up();
	if (!plan)
		finish(125);
	nr_suites = count_suites(plan);
	if (nr_suites)
		say("KTAP version 1\n1..%d\n", nr_suites);
	do_plan(plan);
	finish(nr_failed || nr_done != nr_suites);
	return 0;
}
