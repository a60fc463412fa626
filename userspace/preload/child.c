// SPDX-License-Identifier: MIT
/* Waiting for child processes: one by its pidfd; any one, or one that stops, by looking now and then. */
#include "preload.h"

#include <sys/resource.h>
#include <sys/syscall.h>

static int open_pidfd(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* 0, or an error number. */
static int wait_a_while(int pidfd, uint32_t round)
{
	int err = pidfd >= 0 ? gstk_poll_foreign(pidfd, POLLIN, GSTK_NEVER)
			     : gstk_sleep((round < 5 ? round + 1 : 5) * NS_PER_MS);

	return -err;
}

EXPORT pid_t wait4(pid_t pid, int *status, int options, struct rusage *usage)
{
	int pidfd = -1, err = 0;
	pid_t r;

	if ((options & WNOHANG) || !IS_GREEN())
		return real(wait4)(pid, status, options, usage);
	for (uint32_t round = 0;; round++) {
		r = real(wait4)(pid, status, options | WNOHANG, usage);
		if (r)
			break;
		if (!round && pid > 0 && !(options & (WUNTRACED | WCONTINUED)))
			pidfd = open_pidfd(pid);
		err = wait_a_while(pidfd, round);
		if (err)
			break;
	}
	if (err || r < 0)
		err = err ? err : preload_errno();
	if (pidfd >= 0)
		close(pidfd);
	return err ? preload_fail(err) : r;
}

EXPORT pid_t waitpid(pid_t pid, int *status, int options)
{
	return IS_GREEN() ? wait4(pid, status, options, NULL) : real(waitpid)(pid, status, options);
}

EXPORT pid_t wait(int *status)
{
	return IS_GREEN() ? wait4(-1, status, 0, NULL) : real(wait)(status);
}

EXPORT pid_t wait3(int *status, int options, struct rusage *usage)
{
	return IS_GREEN() ? wait4(-1, status, options, usage) : real(wait3)(status, options, usage);
}

EXPORT int waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
	siginfo_t here = { 0 };
	int err;

	if ((options & WNOHANG) || !IS_GREEN())
		return real(waitid)(type, id, info, options);
	for (uint32_t round = 0;; round++) {
		here.si_pid = 0;
		if (real(waitid)(type, id, &here, options | WNOHANG))
			return -1;
		if (here.si_pid)
			break;
		err = wait_a_while(-1, round);
		if (err)
			return preload_fail(err);
	}
	if (info)
		*info = here;
	return 0;
}
