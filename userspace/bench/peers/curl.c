// SPDX-License-Identifier: MIT
/*
 * usage: curl [REQUESTS] [ROUNDS] [DELAY-MS]
 * libcurl two ways, in alternating rounds, each in a process of its own: one multi handle with all transfers,
 * and a task each with a blocking curl_easy_perform() over the interposed libc. Prints name value unit: the
 * medians, and their ratio.
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

static double now_ms(void)
{
	return (double)gstk_now() / 1e6;
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

static double by_multi(void)
{
	CURL **c = calloc((size_t)nr, sizeof(*c));
	size_t *bytes = calloc((size_t)nr, sizeof(*bytes));
	CURLM *m = curl_multi_init();
	double from = now_ms();
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
	return now_ms() - from;
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

static void *all(void *arg)
{
	gstk_task **t = calloc((size_t)nr, sizeof(*t));
	double from = now_ms();

	for (int i = 0; i < nr; i++)
		if (gstk_spawn(&t[i], one, NULL, NULL))
			fail("spawn");
	for (int i = 0; i < nr; i++)
		gstk_join(t[i], NULL);
	*(double *)arg = now_ms() - from;
	return NULL;
}

static double by_tasks(void)
{
	double ms = 0;

	if (gstk_main(all, &ms, NULL, NULL))
		fail("no runtime");
	return ms;
}

static double in_child(double (*run)(void))
{
	double ms = -1;
	int p[2];

	if (pipe(p))
		fail("pipe");
	if (!fork()) {
		curl_global_init(CURL_GLOBAL_DEFAULT);
		ms = run();
		exit(write(p[1], &ms, sizeof(ms)) != sizeof(ms));
	}
	close(p[1]);
	if (read(p[0], &ms, sizeof(ms)) != sizeof(ms))
		fail("a round broke off");
	close(p[0]);
	wait(NULL);
	return ms;
}

static int cmp(const void *a, const void *b)
{
	return *(const double *)a < *(const double *)b ? -1 : 1;
}

int main(int argc, char **argv)
{
	double multi[MAX_ROUNDS], tasks[MAX_ROUNDS];
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
	qsort(multi, (size_t)rounds, sizeof(*multi), cmp);
	qsort(tasks, (size_t)rounds, sizeof(*tasks), cmp);
	printf("curl.multi.%d %.1f ms\n", nr, multi[rounds / 2]);
	printf("curl.tasks.%d %.1f ms\n", nr, tasks[rounds / 2]);
	printf("curl.tasks.%d.ratio %.2f of_multi\n", nr, tasks[rounds / 2] / multi[rounds / 2]);
	return 0;
}
