// SPDX-License-Identifier: MIT
/* libcurl's easy interface, as Debian has it: one blocking transfer a task. */
#include <curl/curl.h>
#include "../../userspace/bench/peers/http_server.h"
#include "preload_test.h"

static struct http_server server;

static size_t count(char *p, size_t size, size_t nr, void *arg)
{
	*(size_t *)arg += size * nr;
	return size * nr;
}

static CURLcode fetch(const char *path, long timeout_ms, size_t *bytes)
{
	CURL *c = curl_easy_init();
	char url[100];
	CURLcode code;

	CHECK(c);
	*bytes = 0;
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/%s", server.port, path);
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, count);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, bytes);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, timeout_ms);
	code = curl_easy_perform(c);
	curl_easy_cleanup(c);
	return code;
}

static void *fetch_slow(void *arg)
{
	size_t bytes;

	CHECK_EQ(fetch("300", 60000, &bytes), CURLE_OK);
	CHECK_EQ(bytes, HTTP_BODY);
	return NULL;
}

static void *fetch_in_vain(void *arg)
{
	size_t bytes;

	CHECK_EQ(fetch("20000", 50, &bytes), CURLE_OPERATION_TIMEDOUT);
	return NULL;
}

static void body(void)
{
	uint64_t from = gstk_now();

	/* One after another 60 s, on two workers 30. */
	all_of(200, fetch_slow);
	fprintf(stderr, "# 200 transfers of 300 ms: %llu ms\n", (unsigned long long)((gstk_now() - from) / MS));
	CHECK(gstk_now() - from >= 300 * MS && gstk_now() - from < 20000 * MS);
	all_of(20, fetch_in_vain);
}

TEST(hundreds_of_blocking_transfers_take_the_time_of_the_slowest)
{
	ASSERT_EQ(0, http_server_start(&server));
	ASSERT_EQ(CURLE_OK, curl_global_init(CURL_GLOBAL_DEFAULT));
	with_workers(2, body);
	http_server_stop(&server);
	curl_global_cleanup();
}

TEST_HARNESS_MAIN
