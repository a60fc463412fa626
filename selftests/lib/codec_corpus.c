// SPDX-License-Identifier: MIT
/*
 * Each chain is a function that ends in park(): three frames down, a read of a
 * pipe that stays empty until the stack has been copied. Where the library itself
 * blocks (TLS handshake, DNS, HTTP, gzip) it blocks in its own system call. The
 * stack pointer of a blocked thread comes from /proc/self/task/TID/syscall.
 * Libraries are found with dlopen, so that none is needed to build.
 */
#include "codec_corpus.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <link.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <resolv.h>
#include <search.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WINDOW		(512ul << 10)
#define MAX_COPIES	64

struct chain_run {
	const struct chain *chain;
	char *window;
	uintptr_t base;
	pid_t tid;
	int wait_fd;		/* read end: park() reads it */
	int peer_fd;		/* a silent socket or pipe for chains that block by themselves */
	int copy, done, arrived;
	pthread_t thread;
};

struct chain {
	const char *name;
	void (*fn)(struct chain_run *r);
};

static __thread struct chain_run *self;

/* ---- parking: what the runtime puts below the caller ---- */

struct wait_node {
	void *task, *obj;
	uint64_t deadline;
};

static __attribute__((noinline)) long block(struct wait_node *w)
{
	char c;
	long n;

	__atomic_store_n(&self->arrived, 1, __ATOMIC_RELEASE);
	n = read(self->wait_fd, &c, 1);
	asm volatile("" : : "r"(w) : "memory");
	return n;
}

static __attribute__((noinline)) long wait_on(void *obj, uint64_t deadline)
{
	struct wait_node w = { self, obj, deadline };

	return block(&w) + (w.obj == obj);
}

static __attribute__((noinline)) long park(void *obj)
{
	long n = wait_on(obj, 0);

	asm volatile("" : "+r"(n));
	return n;
}

/* ---- libc ---- */

static int cmp_park(const void *a, const void *b)
{
	static __thread int nr;

	if (self && ++nr == 5)
		park((void *)a);
	return *(const int *)a - *(const int *)b;
}

static void qsort_small(struct chain_run *r)
{
	int v[24];

	for (int i = 0; i < 24; i++)
		v[i] = i * 7919 % 101 + r->copy;
	qsort(v, 24, sizeof(*v), cmp_park);
}

static void qsort_large(struct chain_run *r)
{
	int *v = malloc(4000 * sizeof(*v));

	for (int i = 0; i < 4000; i++)
		v[i] = i * 7919 % 3001 + r->copy;
	qsort(v, 4000, sizeof(*v), cmp_park);
	free(v);
}

static ssize_t cookie_write(void *c, const char *buf, size_t n)
{
	park(c);
	return n;
}

static ssize_t cookie_read(void *c, char *buf, size_t n)
{
	park(c);
	memcpy(buf, "12 34.5 word\n", 13);
	return 13;
}

static void printf_chain(struct chain_run *r)
{
	FILE *f = fopencookie(r, "w", (cookie_io_functions_t){ .write = cookie_write });

	setvbuf(f, NULL, _IONBF, 0);
	fprintf(f, "task %d: %s of %zu bytes at %p\n", r->copy, "window", WINDOW, (void *)r->base);
	fclose(f);
}

static void printf_float(struct chain_run *r)
{
	FILE *f = fopencookie(r, "w", (cookie_io_functions_t){ .write = cookie_write });
	static __thread char buf[16];

	setvbuf(f, buf, _IOFBF, sizeof(buf));
	fprintf(f, "%.17g %20.3f %Lg", 3.14159 * r->copy, 1e9 / 7, 2.5L);
	fclose(f);
}

static void scanf_chain(struct chain_run *r)
{
	FILE *f = fopencookie(r, "r", (cookie_io_functions_t){ .read = cookie_read });
	double d;
	char w[40];
	int i;

	if (fscanf(f, "%d %lf %39s", &i, &d, w) != 3)
		abort();
	fclose(f);
}

static void getline_chain(struct chain_run *r)
{
	FILE *f = fopencookie(r, "r", (cookie_io_functions_t){ .read = cookie_read });
	char *line = NULL;
	size_t n = 0;

	if (getline(&line, &n, f) < 0)
		abort();
	free(line);
	fclose(f);
}

static int nftw_cb(const char *path, const struct stat *st, int flag, struct FTW *f)
{
	park((void *)path);
	return 1;
}

static void nftw_chain(struct chain_run *r)
{
	nftw("/usr/include", nftw_cb, 8, FTW_PHYS);
}

static int scandir_cb(const struct dirent *d)
{
	static __thread int once;

	if (!once++)
		park((void *)d);
	return 0;
}

static void scandir_chain(struct chain_run *r)
{
	struct dirent **list = NULL;

	scandir("/etc", &list, scandir_cb, alphasort);
	free(list);
}

static int phdr_cb(struct dl_phdr_info *info, size_t size, void *arg)
{
	park(arg);
	return 1;
}

static void phdr_chain(struct chain_run *r)
{
	dl_iterate_phdr(phdr_cb, r);
}

static int name_cmp(const void *a, const void *b)
{
	static __thread int once;

	if (!once++)
		park((void *)a);
	return strcmp(a, b);
}

static void tsearch_chain(struct chain_run *r)
{
	void *root = NULL;

	tsearch("alpha", &root, name_cmp);
	tsearch("beta", &root, name_cmp);
}

static void getaddrinfo_chain(struct chain_run *r)
{
	struct addrinfo *ai = NULL, hints = { .ai_socktype = SOCK_STREAM, .ai_family = AF_INET };
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);

	/* A name server that never answers. */
	getsockname(r->peer_fd, (struct sockaddr *)&sin, &len);
	res_init();
	_res.nscount = 1;
	_res.nsaddr_list[0] = sin;
	_res.retrans = 30;
	_res.retry = 1;
	__atomic_store_n(&self->arrived, 2, __ATOMIC_RELEASE);
	if (!getaddrinfo("subscriber.example.org", "6379", &hints, &ai))
		freeaddrinfo(ai);
}

/* ---- hand-written server code ---- */

static __attribute__((noinline)) long read_some(int fd, char *buf, size_t n)
{
	long got = snprintf(buf, n, "GET /topic/%d HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\n", fd);

	park(buf);
	return got;
}

static __attribute__((noinline)) long read_line(int fd, char *line, size_t n)
{
	char buf[512];
	long got = read_some(fd, buf, sizeof(buf));

	memcpy(line, buf, (size_t)got < n ? (size_t)got : n);
	return got;
}

static void line_server(struct chain_run *r)
{
	char line[128];

	read_line(r->copy, line, sizeof(line));
	asm volatile("" : : "r"(line) : "memory");
}

static void http_server(struct chain_run *r)
{
	char request[4096];
	struct { const char *name, *value; } header[32];

	memset(header, 0, sizeof(header));
	header[0].name = request;
	header[0].value = request + 6;
	read_some(r->copy, request, sizeof(request));
	asm volatile("" : : "r"(request), "r"(header) : "memory");
}

static void http_server_16k(struct chain_run *r)
{
	char request[16384];

	read_some(r->copy, request, sizeof(request));
	asm volatile("" : : "r"(request) : "memory");
}

static void subscriber(struct chain_run *r)
{
	struct { uint64_t id; void *chan; char topic[32]; } sub = { r->copy, r, "news/europe/weather" };

	for (int i = 0; i < 2; i++)
		if (park(&sub) > 100)
			break;
	asm volatile("" : : "r"(&sub) : "memory");
}

static __attribute__((noinline)) long descend(struct chain_run *r, int depth, long *parent)
{
	long here[3] = { depth, (long)parent[0] * 31, (long)r };

	if (!depth)
		return park(here);
	return descend(r, depth - 1, here) + here[1];
}

static void recursion_10(struct chain_run *r)
{
	descend(r, 10, (long[]){ 1, 2, 3 });
}

static void recursion_60(struct chain_run *r)
{
	descend(r, 60, (long[]){ 1, 2, 3 });
}

/* ---- libraries ---- */

static void *sym(const char *lib, const char *name)
{
	void *h = dlopen(lib, RTLD_NOW | RTLD_GLOBAL);

	return h ? dlsym(h, name) : NULL;
}

static int sqlite_row(void *arg, int n, char **v, char **names)
{
	park(arg);
	return 1;
}

static void sqlite_func(void *ctx, int n, void **v)
{
	static __thread int once;

	if (!once++)
		park(ctx);
}

static int sqlite_collate(void *arg, int la, const void *a, int lb, const void *b)
{
	static __thread int once;

	if (!once++)
		park(arg);
	return la - lb;
}

static void sqlite_with(struct chain_run *r, int what)
{
	const char *lib = "libsqlite3.so.0";
	int (*open)(const char *, void **) = sym(lib, "sqlite3_open");
	int (*exec)(void *, const char *, int (*)(void *, int, char **, char **), void *, char **) =
		sym(lib, "sqlite3_exec");
	int (*func)(void *, const char *, int, int, void *, void *, void *, void *) =
		sym(lib, "sqlite3_create_function");
	int (*collate)(void *, const char *, int, void *, void *) = sym(lib, "sqlite3_create_collation");
	int (*close)(void *) = sym(lib, "sqlite3_close");
	void *db;

	if (!open || open(":memory:", &db))
		return;
	exec(db, "create table t(a integer primary key, b text);"
		 "insert into t values(1,'one'),(2,'two'),(3,'three'),(4,'four');", NULL, NULL, NULL);
	if (what == 0)
		exec(db, "select * from t where b like 't%'", sqlite_row, r, NULL);
	func(db, "waits", 1, 1, NULL, sqlite_func, NULL, NULL);
	if (what == 1)
		exec(db, "select sum(a) from t where waits(b) is null group by b", NULL, NULL, NULL);
	if (what == 3)
		exec(db, "create trigger tr after insert on t begin select waits(new.b); end;"
			 "insert into t select a + 10, b from t", NULL, NULL, NULL);
	collate(db, "slow", 1, NULL, sqlite_collate);
	if (what == 2)
		exec(db, "select b from t order by b collate slow", NULL, NULL, NULL);
	close(db);
}

static void sqlite_callback(struct chain_run *r) { sqlite_with(r, 0); }
static void sqlite_function(struct chain_run *r) { sqlite_with(r, 1); }
static void sqlite_sort(struct chain_run *r) { sqlite_with(r, 2); }
static void sqlite_trigger(struct chain_run *r) { sqlite_with(r, 3); }

static void tls_with(struct chain_run *r, int server)
{
	const char *lib = "libssl.so.3";
	void *(*method)(void) = sym(lib, server ? "TLS_server_method" : "TLS_client_method");
	void *(*ctx_new)(void *) = sym(lib, "SSL_CTX_new"), *(*ssl_new)(void *) = sym(lib, "SSL_new");
	int (*set_fd)(void *, int) = sym(lib, "SSL_set_fd");
	int (*go)(void *) = sym(lib, server ? "SSL_accept" : "SSL_connect");
	void *ssl;

	if (!method)
		return;
	ssl = ssl_new(ctx_new(method()));
	set_fd(ssl, r->peer_fd);
	__atomic_store_n(&self->arrived, 2, __ATOMIC_RELEASE);
	go(ssl);
}

static void tls_connect(struct chain_run *r) { tls_with(r, 0); }
static void tls_accept(struct chain_run *r) { tls_with(r, 1); }

static void gunzip(struct chain_run *r)
{
	void *(*gzdopen)(int, const char *) = sym("libz.so.1", "gzdopen");
	int (*gzread)(void *, void *, unsigned int) = sym("libz.so.1", "gzread");
	char buf[256];

	if (!gzdopen)
		return;
	__atomic_store_n(&self->arrived, 2, __ATOMIC_RELEASE);
	gzread(gzdopen(dup(r->peer_fd), "rb"), buf, sizeof(buf));
}

static unsigned int inflate_in(void *arg, unsigned char **buf)
{
	park(arg);
	return 0;
}

static int inflate_out(void *arg, unsigned char *buf, unsigned int n)
{
	return 0;
}

static void inflate_back(struct chain_run *r)
{
	int (*init)(void *, int, unsigned char *, const char *, int) =
		sym("libz.so.1", "inflateBackInit_");
	int (*run)(void *, void *, void *, void *, void *) = sym("libz.so.1", "inflateBack");
	uint64_t strm[14] = { 0 };	/* z_stream: 112 bytes */
	unsigned char *win = malloc(32768);

	if (!init || init(strm, 15, win, "1.2.11", sizeof(strm)))
		return;
	strm[0] = 0;
	run(strm, inflate_in, r, inflate_out, r);
	free(win);
}

static size_t jansson_in(void *buf, size_t n, void *arg)
{
	static __thread int nr;

	if (nr++) {
		park(arg);
		return 0;
	}
	memcpy(buf, "{\"a\": [1, 2, {\"b\": [\"deep\", ", 28);
	return 28;
}

static void json_parse(struct chain_run *r)
{
	void *(*load)(void *, void *, size_t, void *) = sym("libjansson.so.4", "json_load_callback");
	char err[512];

	if (load)
		load(jansson_in, r, 0, err);
}

static void expat_start(void *arg, const char *name, const char **attr)
{
	static __thread int nr;

	if (++nr == 3)
		park(arg);
}

static void expat_parse(struct chain_run *r)
{
	void *(*create)(const char *) = sym("libexpat.so.1", "XML_ParserCreate");
	void (*handler)(void *, void *, void *) = sym("libexpat.so.1", "XML_SetElementHandler");
	int (*parse)(void *, const char *, int, int) = sym("libexpat.so.1", "XML_Parse");
	static const char doc[] = "<?xml version='1.0'?><a x='1'><b><c y='2' z='three'/></b></a>";
	void *p;

	if (!create)
		return;
	p = create(NULL);
	handler(p, expat_start, NULL);
	parse(p, doc, sizeof(doc) - 1, 1);
}

static int xml2_read(void *arg, char *buf, int n)
{
	static __thread int nr;

	if (nr++) {
		park(arg);
		return 0;
	}
	memcpy(buf, "<a><b c='1'>text", 16);
	return 16;
}

static void xml2_parse(struct chain_run *r)
{
	void *(*read_io)(void *, void *, void *, const char *, const char *, int) =
		sym("libxml2.so.2", "xmlReadIO");

	if (read_io)
		read_io(xml2_read, NULL, r, "x", NULL, 1 << 5 | 1 << 6);
}

static void http_get(struct chain_run *r)
{
	void *(*init)(void) = sym("libcurl.so.4", "curl_easy_init");
	int (*setopt)(void *, int, ...) = sym("libcurl.so.4", "curl_easy_setopt");
	int (*perform)(void *) = sym("libcurl.so.4", "curl_easy_perform");
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);
	char url[64];
	void *h;

	if (!init)
		return;
	getsockname(r->peer_fd, (struct sockaddr *)&sin, &len);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/x", ntohs(sin.sin_port));
	h = init();
	setopt(h, 10002, url);	/* CURLOPT_URL */
	setopt(h, 99, 1L);	/* CURLOPT_NOSIGNAL */
	setopt(h, 155, 20000L);	/* CURLOPT_TIMEOUT_MS */
	__atomic_store_n(&self->arrived, 2, __ATOMIC_RELEASE);
	perform(h);
}

static const struct chain chains[] = {
	{ "qsort-small", qsort_small }, { "qsort-large", qsort_large },
	{ "printf", printf_chain }, { "printf-float", printf_float },
	{ "scanf", scanf_chain }, { "getline", getline_chain }, { "nftw", nftw_chain },
	{ "scandir", scandir_chain }, { "dl_iterate_phdr", phdr_chain },
	{ "tsearch", tsearch_chain }, { "getaddrinfo", getaddrinfo_chain },
	{ "line-server", line_server }, { "http-server", http_server },
	{ "http-server-16k", http_server_16k }, { "subscriber", subscriber },
	{ "recursion-10", recursion_10 }, { "recursion-60", recursion_60 },
	{ "sqlite-callback", sqlite_callback }, { "sqlite-function", sqlite_function },
	{ "sqlite-sort", sqlite_sort }, { "sqlite-trigger", sqlite_trigger },
	{ "tls-connect", tls_connect }, { "tls-accept", tls_accept },
	{ "gunzip", gunzip }, { "inflate-back", inflate_back }, { "json", json_parse },
	{ "expat", expat_parse }, { "libxml2", xml2_parse }, { "http-get", http_get },
};
#define NR_CHAINS ((int)(sizeof(chains) / sizeof(*chains)))

/* ---- running and capturing ---- */

static __attribute__((noinline)) void run_chain(struct chain_run *r)
{
	r->chain->fn(r);
}

static void *thread_main(void *arg)
{
	struct chain_run *r = arg;

	self = r;
	r->tid = syscall(SYS_gettid);
	/* A task's stack begins here; what the thread library keeps above is not ours. */
	r->base = ((uintptr_t)__builtin_frame_address(0) + 15) & ~15ul;
	run_chain(r);
	__atomic_store_n(&r->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

#ifndef SYS_poll /* newer processors have only the calls that came last */
#define SYS_poll       SYS_ppoll
#define SYS_select     SYS_pselect6
#define SYS_epoll_wait SYS_epoll_pwait
#endif

/* Stack pointer of a thread that blocks in a system call, 0 while it runs. */
static uintptr_t blocked_sp(pid_t tid)
{
	char path[64], line[256];
	unsigned long sp = 0, pc;
	long nr;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return 0;
	n = read(fd, line, sizeof(line) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	line[n] = 0;
	if (sscanf(line, "%ld %*x %*x %*x %*x %*x %*x %lx %lx", &nr, &sp, &pc) != 3)
		return 0;
	if (nr != SYS_read && nr != SYS_poll && nr != SYS_ppoll && nr != SYS_recvfrom &&
	    nr != SYS_recvmsg && nr != SYS_select && nr != SYS_pselect6 && nr != SYS_epoll_wait)
		return 0;
	return sp;
}

/* Blocked twice in a row at the same place, 2 ms apart. */
static uintptr_t wait_blocked(struct chain_run *r)
{
	uintptr_t sp, last = 0;

	for (int i = 0; i < 1500 && !__atomic_load_n(&r->done, __ATOMIC_ACQUIRE); i++) {
		sp = __atomic_load_n(&r->arrived, __ATOMIC_ACQUIRE) ? blocked_sp(r->tid) : 0;
		if (sp && sp == last)
			return sp;
		last = sp;
		nanosleep(&(struct timespec){ 0, 2000000 }, NULL);
	}
	return 0;
}

static struct corpus_image *capture(struct chain_run *r)
{
	uintptr_t sp = wait_blocked(r) & ~7ul;
	struct corpus_image *im;

	if (!sp || sp >= r->base || r->base - sp > WINDOW)
		return NULL;
	im = calloc(1, sizeof(*im));
	im->chain = r->chain->name;
	im->copy = r->copy;
	im->base = r->base;
	im->bytes = r->base - sp;
	im->data = malloc(im->bytes);
	memcpy(im->data, (void *)sp, im->bytes);
	return im;
}

/* A UDP socket for DNS, a listening one for HTTP, else one end of a socket pair. */
static int silent_peer(const char *name, int *other)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int udp = !strcmp(name, "getaddrinfo"), tcp = !strcmp(name, "http-get"), fd, pair[2];

	*other = -1;
	if (udp || tcp) {
		fd = socket(AF_INET, udp ? SOCK_DGRAM : SOCK_STREAM, 0);
		if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) || (tcp && listen(fd, 5)))
			perror(name);
		return fd;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return -1;
	*other = pair[1];
	return pair[0];
}

static struct corpus_image **run_copies(const struct chain *c, char *windows, int nr,
					struct corpus_image **tail)
{
	static struct chain_run run[MAX_COPIES];
	int pipes[MAX_COPIES][2], other[MAX_COPIES];
	pthread_attr_t attr;

	/* The loader's lock is held across its callback: one at a time. */
	if (c->fn == phdr_chain)
		nr = 1;
	for (int i = 0; i < nr; i++) {
		struct chain_run *r = &run[i];

		memset(r, 0, sizeof(*r));
		r->chain = c;
		/* Another window each time, so that the garbage is another chain's. */
		r->window = windows + (size_t)((i * 7 + (c - chains) * 3) % nr) * WINDOW;
		r->copy = i;
		if (pipe(pipes[i]))
			abort();
		r->wait_fd = pipes[i][0];
		r->peer_fd = silent_peer(c->name, &other[i]);
		pthread_attr_init(&attr);
		pthread_attr_setstack(&attr, r->window, WINDOW - 64 * (i % 13));
		if (pthread_create(&r->thread, &attr, thread_main, r))
			abort();
		pthread_attr_destroy(&attr);
	}
	for (int i = 0; i < nr; i++) {
		*tail = capture(&run[i]);
		if (*tail)
			tail = &(*tail)->next;
	}
	for (int i = 0; i < nr; i++) {
		close(pipes[i][1]);
		/* Ends of file for those who wait by themselves; the others time out. */
		if (other[i] >= 0)
			close(other[i]);
		shutdown(run[i].peer_fd, SHUT_RDWR);
		close(run[i].peer_fd);
	}
	for (int i = 0; i < nr; i++) {
		if (!__atomic_load_n(&run[i].done, __ATOMIC_ACQUIRE) && run[i].arrived == 2)
			pthread_cancel(run[i].thread);
		pthread_join(run[i].thread, NULL);
		close(pipes[i][0]);
	}
	return tail;
}

struct corpus_image *corpus_collect(int nr)
{
	struct corpus_image *list = NULL, **tail = &list;
	char *windows;

	if (nr > MAX_COPIES)
		nr = MAX_COPIES;
	signal(SIGPIPE, SIG_IGN);
	windows = mmap(NULL, (size_t)(nr + 1) * WINDOW, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (windows == MAP_FAILED)
		return NULL;
	for (int i = 0; i < NR_CHAINS; i++)
		tail = run_copies(&chains[i], windows, nr, tail);
	munmap(windows, (size_t)(nr + 1) * WINDOW);
	return list;
}

void corpus_free(struct corpus_image *list)
{
	while (list) {
		struct corpus_image *next = list->next;

		free(list->data);
		free(list);
		list = next;
	}
}
