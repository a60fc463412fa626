// SPDX-License-Identifier: MIT
/* The functions behind ours, found when first needed: real(read)(fd, buf, len). */
#ifndef GREENSTK_PRELOAD_ORIGINALS_H
#define GREENSTK_PRELOAD_ORIGINALS_H

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Declared in no header: what -D_FORTIFY_SOURCE calls. */
ssize_t __read_chk(int fd, void *buf, size_t len, size_t room);
ssize_t __recv_chk(int fd, void *buf, size_t len, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *buf, size_t len, size_t room, int flags, __SOCKADDR_ARG addr, socklen_t *alen);
ssize_t __pread_chk(int fd, void *buf, size_t len, off_t at, size_t room);
ssize_t __pread64_chk(int fd, void *buf, size_t len, off64_t at, size_t room);
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags);
int __poll_chk(struct pollfd *fds, nfds_t nr, int timeout, size_t room);
int __ppoll_chk(struct pollfd *fds, nfds_t nr, const struct timespec *timeout, const sigset_t *mask, size_t room);

#define PRELOAD_ORIGINALS(X) \
	X(read) X(write) X(readv) X(writev) \
	X(recv) X(recvfrom) X(recvmsg) X(recvmmsg) X(send) X(sendto) X(sendmsg) X(sendmmsg) \
	X(connect) X(accept) X(accept4) X(close) X(sigaltstack) X(poll) X(ppoll) X(select) X(pselect) \
	X(epoll_wait) X(epoll_pwait) X(epoll_pwait2) \
	X(pthread_mutex_lock) X(pthread_mutex_trylock) X(pthread_mutex_timedlock) X(pthread_mutex_clocklock) \
	X(pthread_mutex_unlock) \
	X(pthread_cond_wait) X(pthread_cond_timedwait) X(pthread_cond_clockwait) X(pthread_cond_signal) \
	X(pthread_cond_broadcast) \
	X(pthread_rwlock_rdlock) X(pthread_rwlock_tryrdlock) X(pthread_rwlock_timedrdlock) X(pthread_rwlock_clockrdlock) \
	X(pthread_rwlock_wrlock) X(pthread_rwlock_trywrlock) X(pthread_rwlock_timedwrlock) X(pthread_rwlock_clockwrlock) \
	X(pthread_rwlock_unlock) \
	X(sem_wait) X(sem_trywait) X(sem_timedwait) X(sem_clockwait) X(sem_post) X(pthread_join) X(pthread_timedjoin_np) X(pthread_clockjoin_np) \
	X(pthread_barrier_wait) \
	X(open) X(openat) X(creat) X(pread) X(pwrite) X(preadv) X(pwritev) X(fsync) X(fdatasync) \
	X(flock) X(fcntl) X(lockf) X(vfork) X(wait) X(wait3) X(wait4) X(waitpid) X(waitid) \
	X(getaddrinfo) X(getnameinfo) X(gethostbyname) X(gethostbyname2) X(gethostbyname_r) X(gethostbyname2_r) \
	X(sleep) X(usleep) X(nanosleep) X(clock_nanosleep) \
	X(__read_chk) X(__recv_chk) X(__recvfrom_chk) X(__pread_chk) X(__pread64_chk) X(__open_2) X(__open64_2) X(__openat_2) X(__openat64_2) X(__poll_chk) X(__ppoll_chk)

struct preload_originals {
#define X(name) __typeof__(name) *name;
	PRELOAD_ORIGINALS(X)
#undef X
};

extern struct preload_originals preload_originals;
/* Fills the table; also before our constructor ran, when another library's calls us. */
void preload_find_originals(void);

#define real(name) (*({ \
	if (__builtin_expect(!preload_originals.name, 0)) \
		preload_find_originals(); \
	preload_originals.name; }))

#endif
