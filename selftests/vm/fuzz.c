// SPDX-License-Identifier: MIT
/*
 * usage: fuzz [SECONDS [SEED [THREADS]]]
 *
 * Seeded fuzzer of /dev/greenstk: threads draw operations that are mostly valid
 * (so that they reach deep) and sometimes hostile, on objects that they share,
 * while others unmap, fork, zap, scan and register userfaultfd over the same
 * memory. Every second round runs as nobody. It judges nothing but survival: the kernel's log, KASAN, lockdep and
 * the leak scan at the end do that. With KCOV it says how much of the module
 * was reached, and prints the offsets (from .text) for the host to name.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/kcov.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "object.h"

#define NR_OBJECTS 3
#define MAX_THREADS 16
#define NOBODY 65534
#define MAX_HANDLES 256
#define COVER_WORDS (64 << 10)
#define COVER_SPAN (1 << 20) /* bytes of module text that are told apart */

struct target {
	struct object o;
	atomic_int alive;
	_Atomic uint64_t handles[MAX_HANDLES];
};

static struct target targets[NR_OBJECTS];
static atomic_uchar *reached;	/* one per byte of text; shared with forked children */
static unsigned long text_base;
static time_t end;
static atomic_ulong *ops;

static __thread uint64_t state;
static __thread sigjmp_buf out;
static __thread volatile sig_atomic_t guarded;
static __thread unsigned long *cover;

static uint64_t rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 0x2545f4914f6cdd1dULL;
}

static uint32_t below(uint32_t n) { return n ? (rnd() >> 32) % n : 0; }
static bool one_in(uint32_t n) { return !below(n); }

static void on_fault(int sig)
{
	if (guarded)
		siglongjmp(out, 1);
	_exit(99);
}

/* A read or write that may kill. */
static __attribute__((noinline)) void touch(volatile char *p, bool write)
{
	if (!sigsetjmp(out, 1)) {
		guarded = 1;
		if (write)
			*p = 1;
		else
			(void)*p;
	}
	guarded = 0;
}

/* A number near the ones that matter. */
static uint64_t odd_number(void)
{
	static const uint64_t edges[] = {
		0, 1, 2, 4095, 4096, 4097, 65536, 1 << 20, 0x7fffffff, 0x80000000, 0xffffffff,
		0x100000000, 0x7fffffffffff, 0x800000000000, ~0ULL, ~0ULL - 4095, 1ULL << 63,
	};

	switch (below(4)) {
	case 0: return edges[below(sizeof(edges) / sizeof(*edges))];
	case 1: return edges[below(sizeof(edges) / sizeof(*edges))] + below(3) - 1;
	case 2: return rnd() & ((1ULL << below(64)) - 1);
	default: return (uint64_t)below(1 << 14) * PAGE;
	}
}

static uint64_t maybe_odd(uint64_t good) { return one_in(24) ? odd_number() : good; }

static struct target *pick(void) { return &targets[below(NR_OBJECTS)]; }

static uint64_t some_handle(struct target *t)
{
	uint64_t h = atomic_load(&t->handles[below(MAX_HANDLES)]);

	return one_in(32) ? h ^ (1ULL << below(64)) : h;
}

static void keep_handle(struct target *t, uint64_t h)
{
	if (h)
		atomic_store(&t->handles[below(MAX_HANDLES)], h);
}

static uint32_t some_window(struct target *t) { return maybe_odd(below(t->o.s.nr_windows)); }

static size_t some_pages(struct target *t)
{
	size_t most = (t->o.s.window_bytes - t->o.s.guard_bytes) / PAGE;

	return one_in(3) ? below(most + 1) : below(most < 6 ? most + 1 : 6);
}

/* An address in the object, or a hostile one. */
static char *some_place(struct target *t)
{
	switch (below(16)) {
	case 0: return (char *)(uintptr_t)odd_number();
	case 1: return t->o.park + below(t->o.s.park_bytes / PAGE) * PAGE;
	case 2: return t->o.map + below(t->o.s.map_bytes / PAGE) * PAGE;
	default: return t->o.map + (below(t->o.s.nr_windows) + 1UL) * t->o.s.window_bytes - (1 + below(6)) * PAGE;
	}
}

/* Entries live where a hostile count may have its results written. */
static __thread char arena[512 << 10];

static void *entries(void)
{
	memset(arena, 0, 4096);
	return arena;
}

/* --- the ABI ------------------------------------------------------------ */

static void batch_of(struct target *t, unsigned long cmd, void *e, uint32_t nr, uint32_t size, uint32_t flags)
{
	struct greenstk_batch b = {
		.entries = maybe_odd(one_in(40) ? (uintptr_t)some_place(t) : (uintptr_t)e),
		.nr = maybe_odd(nr),
		.entry_size = maybe_odd(size),
		.flags = maybe_odd(flags),
	};

	ioctl(t->o.fd, cmd, one_in(200) ? (void *)some_place(t) : &b);
}

static void op_switch(struct target *t)
{
	struct greenstk_switch *e = entries();
	uint32_t nr = one_in(2) ? 1 + below(32) : 1 + below(3), i;

	for (i = 0; i < nr; i++) {
		e[i].window = some_window(t);
		e[i].out_bytes = maybe_odd(one_in(4) ? below(5 * PAGE) : some_pages(t) * PAGE);
		e[i].eager_pages = one_in(2) ? GREENSTK_EAGER_ALL : below(8);
		e[i].handle_in = one_in(3) ? 0 : some_handle(t);
		e[i].flags = maybe_odd(0);
	}
	batch_of(t, GREENSTK_SWITCH, e, nr, sizeof(e[0]), 0);
	for (i = 0; i < nr; i++)
		keep_handle(t, e[i].handle_out);
}

static void op_reclaim(struct target *t)
{
	struct greenstk_reclaim *e = entries();
	uint32_t nr = 1 + below(32), i;

	for (i = 0; i < nr; i++) {
		e[i].window = some_window(t);
		e[i].keep_bytes = maybe_odd(some_pages(t) * PAGE);
	}
	batch_of(t, GREENSTK_RECLAIM, e, nr, sizeof(e[0]), below(2));
}

static void op_drop(struct target *t)
{
	struct greenstk_drop *e = entries();
	uint32_t nr = 1 + below(4), i;

	for (i = 0; i < nr; i++)
		e[i].handle = some_handle(t);
	batch_of(t, GREENSTK_DROP, e, nr, sizeof(e[0]), 0);
}

static void op_cold(struct target *t)
{
	struct greenstk_cold *e = entries();

	e->handle = some_handle(t);
	e->offset = maybe_odd(below(3) * PAGE);
	e->bytes = maybe_odd((1 + below(3)) * PAGE);
	batch_of(t, GREENSTK_COLD, e, 1, sizeof(*e), 0);
}

static void op_populate(struct target *t)
{
	struct greenstk_populate *e = entries();

	e->handle = one_in(2) ? 0 : some_handle(t);
	e->offset = maybe_odd(one_in(2) ? 0 : below(3) * PAGE);
	e->bytes = maybe_odd((1 + below(5)) * PAGE);
	batch_of(t, GREENSTK_POPULATE, e, 1, sizeof(*e), 0);
	keep_handle(t, e->handle);
}

static void op_pager(struct target *t)
{
	struct greenstk_pager p = { .size = sizeof(p), .addr = (uintptr_t)some_place(t), .bytes = t->o.s.park_bytes };

	if (one_in(3))
		p.addr = p.bytes = 0;
	p.bytes = maybe_odd(p.bytes);
	ioctl(t->o.fd, GREENSTK_PAGER, &p);
}

static void op_info(struct target *t)
{
	char *buf = entries();
	uint32_t *size = (uint32_t *)buf;

	switch (below(4)) {
	case 0:
		*size = maybe_odd(sizeof(struct greenstk_stat));
		ioctl(t->o.fd, GREENSTK_STAT, buf);
		break;
	case 1:
		*size = maybe_odd(sizeof(struct greenstk_features));
		ioctl(t->o.fd, GREENSTK_FEATURES, buf);
		break;
	case 2: ioctl(t->o.fd, _IOC(below(4), one_in(8) ? below(256) : GREENSTK_IOC_MAGIC, below(16), below(512)), buf); break;
	default:
		memset(buf, rnd(), 512);
		ioctl(t->o.fd, GREENSTK_SETUP, buf);
		break;
	}
}

static void op_setup(struct target *t)
{
	struct greenstk_setup s = {
		.size = maybe_odd(sizeof(s)), .window_bytes = maybe_odd(PAGE << below(12)), .guard_bytes = maybe_odd(below(5) * PAGE),
		.park_bytes = maybe_odd((uint64_t)below(1 << 12) * PAGE), .nr_windows = maybe_odd(1 + below(300)),
		.flags = maybe_odd(0), .pad = maybe_odd(0),
	};
	int fd = open(GREENSTK_DEVICE, O_RDWR | O_CLOEXEC);
	void *p;

	if (fd < 0)
		return;
	if (!ioctl(fd, GREENSTK_SETUP, &s)) {
		p = mmap(NULL, maybe_odd(s.map_bytes), one_in(8) ? below(8) : PROT_READ | PROT_WRITE,
			 one_in(8) ? MAP_PRIVATE : MAP_SHARED, fd, one_in(8) ? odd_number() : 0);
		if (p != MAP_FAILED) {
			touch((char *)p + s.window_bytes - 1, one_in(2));
			munmap(p, s.map_bytes);
		}
	}
	close(fd);
}

/* --- what others do to the memory ----------------------------------------- */

static void op_touch(struct target *t)
{
	int i;

	for (i = 0; i < 8; i++)
		touch(some_place(t), !one_in(3));
}

static void op_io(struct target *t)
{
	int p[2];
	struct iovec me = { some_place(t), 1 + below(3 * PAGE) }, it = { some_place(t), 1 + below(3 * PAGE) };
	char buf[64];

	if (one_in(3)) {
		if (one_in(2))
			process_vm_readv(getpid(), &me, 1, &it, 1, 0);
		else
			process_vm_writev(getpid(), &me, 1, &it, 1, 0);
		return;
	}
	if (pipe2(p, O_CLOEXEC | O_NONBLOCK))
		return;
	if (one_in(3))
		vmsplice(p[1], &it, 1, SPLICE_F_NONBLOCK);
	else if (write(p[1], it.iov_base, it.iov_len) < 0 && errno == EFAULT)
		it.iov_len = 0;
	if (read(p[0], one_in(2) ? (void *)me.iov_base : (void *)buf, sizeof(buf)) < 0)
		it.iov_len = 0;
	close(p[0]);
	close(p[1]);
}

static void op_advise(struct target *t)
{
	static const int advice[] = {
		MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED, MADV_FREE, MADV_REMOVE,
		MADV_DONTFORK, MADV_DOFORK, MADV_MERGEABLE, MADV_UNMERGEABLE, MADV_HUGEPAGE, MADV_NOHUGEPAGE,
		MADV_DONTDUMP, MADV_DODUMP, MADV_WIPEONFORK, MADV_KEEPONFORK, MADV_COLD, MADV_PAGEOUT,
		MADV_POPULATE_READ, MADV_POPULATE_WRITE, 24 /* DONTNEED_LOCKED */, 25 /* COLLAPSE */, 102, 103, /* GUARD */
	};
	bool whole = one_in(10);

	madvise(whole ? t->o.map : some_place(t), whole ? t->o.s.map_bytes : (1 + below(8)) * PAGE,
		advice[below(sizeof(advice) / sizeof(*advice))]);
}

static void op_vma(struct target *t)
{
	char *p = some_place(t), *q;
	size_t n = (1 + below(4)) * PAGE;

	switch (below(6)) {
	case 0: mprotect(p, n, below(8)); break;
	case 1:
		/* Not over what is not the object's: that would only kill the fuzzer. */
		if (p >= t->o.map && p + n <= t->o.map + t->o.s.map_bytes && one_in(50))
			munmap(p, n);
		break;
	case 2:
		q = mremap(p, one_in(4) ? 0 : n, (1 + below(8)) * PAGE, MREMAP_MAYMOVE | (one_in(4) ? 4 : 0));
		if (q != MAP_FAILED && (q < t->o.map || q >= t->o.map + t->o.s.map_bytes))
			munmap(q, PAGE);
		break;
	case 3: mlock2(p, n, one_in(2)); munlock(p, n); break;
	case 4: msync(p, n, MS_SYNC); break;
	default: {
		unsigned char vec[16];

		mincore(p, n, vec);
		break;
	}
	}
}

static void op_scan(struct target *t)
{
	static const char *const files[] = { "/proc/self/pagemap", "/proc/self/smaps", "/proc/self/smaps_rollup", "/proc/self/clear_refs" };
	const char *name = files[below(4)];
	int fd = open(name, strstr(name, "clear") ? O_WRONLY | O_CLOEXEC : O_RDONLY | O_CLOEXEC);
	char buf[4096];

	if (fd < 0)
		return;
	if (strstr(name, "clear")) {
		if (write(fd, one_in(2) ? "4" : "1", 1) < 0)
			buf[0] = 0;
	} else if (strstr(name, "pagemap")) {
		/* PAGEMAP_SCAN (6.7): with WP_MATCHING it write-protects through userfaultfd. */
		struct { uint64_t size, flags, start, end, walk_end, vec, vec_len, max, inv, mask, any, ret; } arg = {
			.size = sizeof(arg), .flags = below(4), .start = (uintptr_t)t->o.map,
			.end = (uintptr_t)t->o.map + t->o.s.map_bytes, .vec = (uintptr_t)buf, .vec_len = sizeof(buf) / 24,
			.mask = 1 << below(8), .ret = 0xff,
		};

		ioctl(fd, _IOWR('f', 16, arg), &arg);
		if (pread(fd, buf, sizeof(buf), (uintptr_t)some_place(t) / PAGE * 8) < 0)
			buf[0] = 0;
	} else {
		while (read(fd, buf, sizeof(buf)) > 0)
			;
	}
	close(fd);
}

static void op_uffd(struct target *t)
{
	struct uffdio_api api = { .api = UFFD_API, .features = one_in(2) ? 0 : rnd() & ((1 << 17) - 1) };
	struct uffdio_register reg = { .range = { (uintptr_t)some_place(t), (1 + below(16)) * PAGE }, .mode = 1 + below(7) };
	struct uffdio_writeprotect wp = { .mode = below(4) };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | 1);

	if (fd < 0)
		return;
	if (one_in(4)) {
		reg.range.start = (uintptr_t)t->o.map;
		reg.range.len = t->o.s.map_bytes;
	}
	api.features |= 1 << 15; /* WP_ASYNC */
	if (!ioctl(fd, UFFDIO_API, &api) && !ioctl(fd, UFFDIO_REGISTER, &reg)) {
		wp.range = reg.range;
		ioctl(fd, UFFDIO_WRITEPROTECT, &wp);
		/* A touch may now wait for an answer that never comes: only SWITCH and close. */
		op_switch(t);
	}
	close(fd);
}

static void op_fork(struct target *t)
{
	pid_t pid = fork(), grandchild;
	int i, st;

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		state ^= getpid();
		cover = NULL;
		if (one_in(8)) {
			grandchild = fork();
			if (!grandchild)
				sleep(1), _exit(0);
		}
		for (i = 0; i < 20; i++) {
			struct target *u = pick();

			switch (below(5)) {
			case 0: op_switch(u); break;
			case 1: op_advise(u); break;
			case 2: op_io(u); break;
			case 3: op_info(u); break;
			default: op_touch(u); break;
			}
		}
		if (one_in(4))
			kill(getpid(), SIGKILL);
		_exit(0);
	}
	if (pid < 0)
		return;
	usleep(below(20000));
	if (one_in(4))
		kill(pid, SIGKILL);
	while (waitpid(pid, &st, 0) < 0 && errno == EINTR)
		;
}

/* A process that dies while its threads are inside. */
static void *die_in_ioctl(void *arg)
{
	int i;

	state = (uintptr_t)arg;
	for (i = 0; i < 1000; i++)
		op_switch(pick()), op_touch(pick());
	return NULL;
}

static void op_kill(struct target *t)
{
	pid_t pid = fork();
	int i;

	if (!pid) {
		cover = NULL;
		for (i = 0; i < NR_OBJECTS; i++) {
			close(targets[i].o.fd);
			if (object_open(&targets[i].o, (struct object_opts){ .nr_windows = 16, .window_bytes = 64 << 10, .guard_bytes = PAGE, .park_bytes = 4 << 20 }))
				_exit(0);
		}
		for (i = 0; i < 2; i++) {
			pthread_t th;

			pthread_create(&th, NULL, die_in_ioctl, (void *)(uintptr_t)(rnd() | 1));
		}
		usleep(below(30000));
		kill(getpid(), SIGKILL);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

/* Each way of moving, changed under way. */
static void op_path(void)
{
	static const char *const paths[] = { "0", "1", "2", "3" };

	write_param("move_path", paths[below(4)]);
}

static void one_op(void)
{
	struct target *t = pick();

	switch (below(100)) {
	case 0: op_path(); break;
	case 1 ... 29: op_switch(t); break;
	case 30 ... 49: op_touch(t); break;
	case 50 ... 57: op_reclaim(t); break;
	case 58 ... 63: op_drop(t); break;
	case 64 ... 69: op_populate(t); break;
	case 70 ... 72: op_cold(t); break;
	case 73 ... 74: op_pager(t); break;
	case 75 ... 77: op_info(t); break;
	case 78 ... 80: op_setup(t); break;
	case 81 ... 86: op_io(t); break;
	case 87 ... 90: op_advise(t); break;
	case 91 ... 93: op_vma(t); break;
	case 94 ... 95: op_scan(t); break;
	case 96: op_uffd(t); break;
	case 97 ... 98: op_fork(t); break;
	default: op_kill(t); break;
	}
}

/* --- coverage ------------------------------------------------------------- */

static struct {
	int fd;
	unsigned long *words;
} covers[MAX_THREADS];

/* Buffers for so many threads, while we may open the file. */
static void cover_open(int threads)
{
	int i;

	for (i = 0; i < threads; i++) {
		covers[i].fd = reached ? open("/sys/kernel/debug/kcov", O_RDWR | O_CLOEXEC) : -1;
		if (covers[i].fd < 0 || ioctl(covers[i].fd, KCOV_INIT_TRACE, COVER_WORDS))
			continue;
		covers[i].words = mmap(NULL, COVER_WORDS * sizeof(*cover), PROT_READ | PROT_WRITE,
				       MAP_SHARED, covers[i].fd, 0);
	}
}

static void cover_start(int i)
{
	cover = covers[i].words;
	if (cover && (cover == MAP_FAILED || ioctl(covers[i].fd, KCOV_ENABLE, KCOV_TRACE_PC)))
		cover = NULL;
}

static void cover_harvest(void)
{
	unsigned long n, i;

	if (!cover)
		return;
	n = __atomic_load_n(&cover[0], __ATOMIC_RELAXED);
	for (i = 0; i < n && i + 1 < COVER_WORDS; i++) {
		unsigned long at = cover[i + 1] - text_base;

		if (at < COVER_SPAN)
			atomic_store_explicit(&reached[at], 1, memory_order_relaxed);
	}
	__atomic_store_n(&cover[0], 0, __ATOMIC_RELAXED);
}

static uint64_t seeds[MAX_THREADS];

static void *worker(void *arg)
{
	int i = (int)(uintptr_t)arg;

	state = seeds[i];
	cover_start(i);
	while (time(NULL) < end) {
		one_op();
		atomic_fetch_add(ops, 1);
		cover_harvest();
	}
	return NULL;
}

/* Threads of one process; when hostile operations have broken its objects, the next comes. */
static int process(uint64_t seed, int threads, int seconds, bool as_nobody)
{
	struct sigaction sa = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };
	pthread_t th[MAX_THREADS];
	int i;

	cover_open(threads);
	if (as_nobody && (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY))) {
		perror("fuzz: setuid");
		return 1;
	}

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_DUMPABLE, 1);	/* its files in /proc are its own */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	state = seed;
	end = time(NULL) + seconds;
	for (i = 0; i < NR_OBJECTS; i++) {
		struct object_opts opts = {
			.nr_windows = 1 + below(64), .window_bytes = (16 << 10) << below(6), .guard_bytes = PAGE,
			.park_bytes = (1 + below(16)) << 20,
		};
		int err = object_open(&targets[i].o, opts);

		if (err) {
			fprintf(stderr, "fuzz: open: %s\n", strerror(-err));
			return 1;
		}
		memset(targets[i].handles, 0, sizeof(targets[i].handles));
	}
	for (i = 0; i < threads; i++) {
		seeds[i] = rnd() | 1;
		pthread_create(&th[i], NULL, worker, (void *)(uintptr_t)i);
	}
	for (i = 0; i < threads; i++)
		pthread_join(th[i], NULL);
	return 0;
}

int main(int argc, char **argv)
{
	long seconds = argc > 1 ? atol(argv[1]) : 30, i;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL);
	int threads = argc > 3 ? atoi(argv[3]) : 4, round = 0, bad = 0, slice = 10, nr = 0;
	time_t until = time(NULL) + seconds;
	char buf[64] = "";
	FILE *f;

	ops = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	f = fopen("/sys/module/greenstk/sections/.text", "r");
	if (f && fgets(buf, sizeof(buf), f))
		text_base = strtoul(buf, NULL, 16);
	if (f)
		fclose(f);
	if (text_base && !access("/sys/kernel/debug/kcov", R_OK))
		reached = mmap(NULL, COVER_SPAN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (threads > MAX_THREADS)
		threads = MAX_THREADS;
	/* Every second round is an unprivileged user's. */
	if (chmod(GREENSTK_DEVICE, 0666))
		perror(GREENSTK_DEVICE);
	printf("# fuzz: seed %llu, %ld s, %d threads\n", (unsigned long long)seed, seconds, threads);
	while (!bad && time(NULL) < until) {
		int st = 0, left = until - time(NULL), mine = left < slice ? left : slice, k;
		pid_t pid;

		fflush(NULL);
		pid = fork();
		if (!pid)
			_exit(process((seed + round) * 0x9e3779b97f4a7c15ULL | 1, threads, mine, round & 1));
		/* It may wait for ever on a userfaultfd of its own making: SIGKILL must do. */
		for (k = 0; k < (mine + 20) * 10 && waitpid(pid, &st, WNOHANG) == 0; k++)
			usleep(100000);
		if (k == (mine + 20) * 10) {
			kill(pid, SIGKILL);
			waitpid(pid, &st, 0);
			nr++;
		}
		if (WIFEXITED(st) && WEXITSTATUS(st) == 1)
			bad = 1;
		round++;
	}
	chmod(GREENSTK_DEVICE, 0660);
	printf("# fuzz: %lu operations in %d rounds, %d of them as nobody, %d had to be killed\n",
	       atomic_load(ops), round, round / 2, nr);
	if (reached) {
		for (i = 0, nr = 0; i < COVER_SPAN; i++)
			if (reached[i])
				printf("%s%lx", nr++ % 16 ? " " : "\n# pc ", (unsigned long)i);
		printf("\n# fuzz: %d places of the module reached\n", nr);
	}
	return bad;
}
