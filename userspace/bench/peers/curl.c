// SPDX-License-Identifier: MIT
/*
 * usage: curl [REQUESTS] [ROUNDS] [DELAY-MS]
 * libcurl two ways, in alternating rounds, each in a process of its own: one multi handle with all transfers,
 * and a task each with a blocking curl_easy_perform() over the interposed libc. Of two batches in a process the
 * second counts, when heap and stacks are warm. Prints name value unit: the medians, their ratio, and the client's CPU time a request, which a busy machine disturbs less.
 */
#include <curl/curl.h>
#include <greenstk.h>
#include "http_server.h"

#define MAX_ROUNDS 99

static struct http_server server;
static int nr, delay_ms;
static char url[100];

static void fail(const char *what)
{
	fprintf(stderr, "curl: %s\n", what);
	exit(1);
}

struct took {
	double ms, cpu_ms;
};

static struct took now(void)
{
	struct timespec cpu;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	return (struct took){ (double)gstk_now() / 1e6, (double)cpu.tv_sec * 1e3 + (double)cpu.tv_nsec / 1e6 };
}

static struct took since(struct took from)
{
	struct took t = now();

	return (struct took){ t.ms - from.ms, t.cpu_ms - from.cpu_ms };
}

static size_t take(char *p, size_t size, size_t n, void *arg)
{
	*(size_t *)arg += size * n;
	return size * n;
}

static CURL *handle(size_t *bytes)
{
	CURL *c = curl_easy_init();

	if (!c)
		fail("no handle");
	*bytes = 0;
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, bytes);
	return c;
}

static struct took multi_batch(void)
{
	CURL **c = calloc((size_t)nr, sizeof(*c));
	size_t *bytes = calloc((size_t)nr, sizeof(*bytes));
	CURLM *m = curl_multi_init();
	struct took from = now();
	int running = nr;

	for (int i = 0; i < nr; i++) {
		c[i] = handle(&bytes[i]);
		curl_multi_add_handle(m, c[i]);
	}
	while (running) {
		if (curl_multi_perform(m, &running) || (running && curl_multi_poll(m, NULL, 0, 1000, NULL)))
			fail("multi");
	}
	for (int i = 0; i < nr; i++) {
		if (bytes[i] != HTTP_BODY)
			fail("a transfer is not whole");
		curl_multi_remove_handle(m, c[i]);
		curl_easy_cleanup(c[i]);
	}
	curl_multi_cleanup(m);
	return since(from);
}

static struct took by_multi(void)
{
	multi_batch();
	return multi_batch();
}

static void *one(void *arg)
{
	size_t bytes;
	CURL *c = handle(&bytes);

	if (curl_easy_perform(c) || bytes != HTTP_BODY)
		fail("a transfer is not whole");
	curl_easy_cleanup(c);
	return NULL;
}

static struct took task_batch(gstk_task **t)
{
	struct took from = now();

	for (int i = 0; i < nr; i++)
		if (gstk_spawn(&t[i], one, NULL, NULL))
			fail("spawn");
	for (int i = 0; i < nr; i++)
		gstk_join(t[i], NULL);
	return since(from);
}

static void *all(void *arg)
{
	gstk_task **t = calloc((size_t)nr, sizeof(*t));

	task_batch(t);
	*(struct took *)arg = task_batch(t);
	free(t);
	return NULL;
}

static struct took by_tasks(void)
{
	struct took t;

	if (gstk_main(all, &t, NULL, NULL))
		fail("no runtime");
	return t;
}

static struct took in_child(struct took (*run)(void))
{
	struct took t;
	int p[2];

	if (pipe(p))
		fail("pipe");
	if (!fork()) {
		curl_global_init(CURL_GLOBAL_DEFAULT);
		t = run();
		exit(write(p[1], &t, sizeof(t)) != sizeof(t));
	}
	close(p[1]);
	if (read(p[0], &t, sizeof(t)) != sizeof(t))
		fail("a round broke off");
	close(p[0]);
	wait(NULL);
	return t;
}

static int cmp(const void *a, const void *b)
{
	return *(const double *)a < *(const double *)b ? -1 : 1;
}

static double median(const struct took *t, int rounds, bool cpu)
{
	double v[MAX_ROUNDS];

	for (int i = 0; i < rounds; i++)
		v[i] = cpu ? t[i].cpu_ms : t[i].ms;
	qsort(v, (size_t)rounds, sizeof(*v), cmp);
	return v[rounds / 2];
}

int main(int argc, char **argv)
{
	struct took multi[MAX_ROUNDS], tasks[MAX_ROUNDS];
	int rounds = argc > 2 ? atoi(argv[2]) : 5;

	nr = argc > 1 ? atoi(argv[1]) : 500;
	delay_ms = argc > 3 ? atoi(argv[3]) : 0;
	if (nr < 1 || rounds < 1 || rounds > MAX_ROUNDS)
		fail("usage: curl [REQUESTS] [ROUNDS] [DELAY-MS]");
	if (http_server_start(&server))
		fail("no server");
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/%d", server.port, delay_ms);
	for (int i = 0; i < rounds; i++) {
		multi[i] = in_child(by_multi);
		tasks[i] = in_child(by_tasks);
	}
	http_server_stop(&server);
	printf("curl.multi.%d %.1f ms\n", nr, median(multi, rounds, false));
	printf("curl.tasks.%d %.1f ms\n", nr, median(tasks, rounds, false));
	printf("curl.tasks.%d.ratio %.2f of_multi\n", nr, median(tasks, rounds, false) / median(multi, rounds, false));
	printf("curl.multi.%d.cpu_per_req %.1f us\n", nr, median(multi, rounds, true) * 1e3 / nr);
	printf("curl.tasks.%d.cpu_per_req %.1f us\n", nr, median(tasks, rounds, true) * 1e3 / nr);
	return 0;
}
