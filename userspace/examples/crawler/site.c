// SPDX-License-Identifier: MIT
/*
 * A web site to crawl, for tests and the demo: pages of several virtual hosts, redirects, a loop of them and a chain
 * without end, broken links, pages that robots.txt forbids, and hosts that answer slowly; a configuration for nginx; and
 * in DIR/expected the requests that a crawler has to make, one a line, as they stand in nginx's log.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHAIN 11 /* requests into the chain: ten redirects in a row are followed */

static const char usage[] =
	"usage: crawler-site DIR PORT PAGES HOSTS SLOW-HOSTS\n"
	"Writes a site for nginx -c DIR/nginx.conf, which is to be crawled from http://h0.crawl.test:PORT/p/0.html\n"
	"(or slow.html there: a page of each slow host, which takes it some ten seconds).\n";

static const char *dir;
static unsigned int port, pages, hosts, slow;
static FILE *expected;

static FILE *create(const char *format, ...)
{
	char name[4096];
	va_list ap;
	FILE *f;
	int n = snprintf(name, sizeof(name), "%s/", dir);

	va_start(ap, format);
	vsnprintf(name + n, sizeof(name) - (size_t)n, format, ap);
	va_end(ap);
	f = fopen(name, "we");
	if (!f) {
		fprintf(stderr, "crawler-site: %s: %s\n", name, strerror(errno));
		exit(1);
	}
	return f;
}

static void finish(FILE *f)
{
	if (ferror(f) | fclose(f)) {
		fprintf(stderr, "crawler-site: %s: %s\n", dir, strerror(errno));
		exit(1);
	}
}

static void make_dir(const char *format, ...)
{
	char name[4096];
	va_list ap;
	int n = snprintf(name, sizeof(name), "%s/", dir);

	va_start(ap, format);
	vsnprintf(name + n, sizeof(name) - (size_t)n, format, ap);
	va_end(ap);
	if (mkdir(name, 0755) && errno != EEXIST) {
		fprintf(stderr, "crawler-site: %s: %s\n", name, strerror(errno));
		exit(1);
	}
}

static void expect(unsigned int host, const char *path, unsigned int status)
{
	fprintf(expected, "h%u.crawl.test %s %u\n", host, path, status);
}

/* Some pages are only found through a redirect. */
static int redirected(unsigned int k)
{
	return k % 50 == 7;
}

/* The same page has many names; which one depends on @form. */
static void link_to(FILE *f, unsigned int from, unsigned int k, unsigned int form)
{
	unsigned int host = k % hosts;

	fputs("<li><a class=x ", f);
	if (redirected(k))
		fprintf(f, "href=\"http://h%u.crawl.test:%u/r/%u\"", host, port, k);
	else if (host != from % hosts || form % 5 == 0)
		fprintf(f, "href='HTTP://H%u.Crawl.Test:%u/p/%u.html'", host, port, k);
	else if (form % 5 == 1)
		fprintf(f, "HREF=%u.html", k);
	else if (form % 5 == 2)
		fprintf(f, "href=\"../x/../%%70/./%u.html#part\"", k);
	else if (form % 5 == 3)
		fprintf(f, "href = \" &#x2f;p&#47;%u.html \"", k);
	else
		fprintf(f, "title='a > b' href='//h%u.crawl.test:%u/p/%u.htm%%6c'", host, port, k);
	fprintf(f, ">page %u</a>\n", k);
}

static void write_page(unsigned int k)
{
	FILE *f = create("www/h%u/p/%u.html", k % hosts, k);
	unsigned int x = k * 2654435761u;
	char path[64];

	fprintf(f, "<!DOCTYPE html>\n<html><head><title>Page %u <a href=/bad/title></title>\n", k);
	fputs("<script>document.write(\"<a href='/bad/script'>\")</script>\n<!-- <a href=/bad/comment> -->\n</head><body><ul>\n", f);
	for (unsigned int i = 1; i <= 3; i++)
		if (3 * k + i < pages)
			link_to(f, k, 3 * k + i, x >> i);
	for (unsigned int i = 0; i < 6; i++, x = x * 1664525 + 1013904223)
		link_to(f, k, (x >> 8) % pages, x >> 4);
	fprintf(f, "<li><a href=/private/%u.html>hidden</a>\n<li><a href=\"/do.cgi?a=1&amp;k=%u\">program</a>\n", k, k);
	fputs("<li><a href=mailto:nobody@crawl.test>mail</a>\n<li><a rel='external nofollow' href=/bad/nofollow>no</a>\n", f);
	if (k % 100 == 0) {
		fprintf(f, "<li><a href=/missing/%u.html>broken</a>\n", k);
		snprintf(path, sizeof(path), "/missing/%u.html", k);
		expect(k % hosts, path, 404);
	}
	if (k == 0)
		fprintf(f, "<li><a href=/loop/a>loop</a><a href=/chain/>chain</a><a href=/private/open.html>open</a>\n"
			"<li><a href=http://patient.crawl.test:%u/0.html>patient</a>\n", port);
	fputs("</ul>\n", f);
	for (unsigned int i = 0; i < 8; i++)
		fputs("<p>Whoever waits for a page costs no more than the bytes of the stack that are in use then, and waits "
		      "in the place where the next line of the program goes on.\n", f);
	fputs("</body></html>\n", f);
	finish(f);
	snprintf(path, sizeof(path), "/p/%u.html", k);
	expect(k % hosts, path, 200);
	if (redirected(k)) {
		snprintf(path, sizeof(path), "/r/%u", k);
		expect(k % hosts, path, 301);
	}
}

static void write_host(unsigned int h)
{
	FILE *f;

	make_dir("www/h%u", h);
	make_dir("www/h%u/p", h);
	make_dir("www/h%u/private", h);
	f = create("www/h%u/robots.txt", h);
	if (h & 1) /* what is for everybody is not for us */
		fputs("User-agent: *\nDisallow: /\n\nUser-agent: greenstk-crawler # that is we\n", f);
	else
		fputs("User-agent: *\n", f);
	fputs("Disallow: /private/\nAllow: /private/open\nDisallow: /*.cgi?\nDisallow: /*/title$\n", f);
	finish(f);
	f = create("www/h%u/private/open.html", h);
	fputs("<html>open</html>\n", f);
	finish(f);
	expect(h, "/robots.txt", 200);
}

/* A host that asks for pauses: six pages in a row. */
static void write_patient(void)
{
	FILE *f;

	make_dir("www/patient");
	f = create("www/patient/robots.txt");
	fputs("User-agent: greenstk-crawler\nCrawl-delay: 0.3\n", f);
	finish(f);
	for (unsigned int i = 0; i < 6; i++) {
		f = create("www/patient/%u.html", i);
		fprintf(f, "<html><a href='%u.html'>next</a></html>\n", (i + 1) % 6);
		finish(f);
		fprintf(expected, "patient.crawl.test /%u.html 200\n", i);
	}
	fputs("patient.crawl.test /robots.txt 200\n", expected);
}

/* Not reached from the others, and not expected: for measurements. */
static void write_slow(void)
{
	FILE *f;

	make_dir("www/slow");
	f = create("www/slow/slow.html");
	for (int i = 0; i < 400; i += 40)
		fputs("every second some sixty of these letters", f);
	finish(f);
	f = create("www/h0/slow.html");
	for (unsigned int i = 0; i < slow; i++)
		fprintf(f, "<a href=http://s%u.crawl.test:%u/slow.html>\n", i, port);
	finish(f);
}

static void write_config(void)
{
	FILE *f = create("nginx.conf");

	if (!geteuid())
		fputs("user root;\n", f);
	fprintf(f, "daemon off;\nworker_processes 1;\npid %s/nginx.pid;\nerror_log %s/error.log;\n", dir, dir);
	fprintf(f, "worker_rlimit_nofile 16384;\nevents { worker_connections 8000; }\n");
	fprintf(f, "http {\n\tlog_format plain '$host $request_uri $status $msec';\n\taccess_log %s/access.log plain;\n", dir);
	for (const char *const *t = (const char *const[]){ "client_body", "proxy", "fastcgi", "uwsgi", "scgi", NULL }; *t; t++)
		fprintf(f, "\t%s_temp_path %s/tmp;\n", *t, dir);
	fprintf(f, "\ttypes { text/html html; text/plain txt; }\n\tkeepalive_requests 1000;\n\tkeepalive_timeout 60;\n");
	fprintf(f, "\tserver {\n\t\tlisten 127.0.0.1:%u backlog=4096;\n", port);
	fprintf(f, "\t\tserver_name ~^(?<vh>h[0-9]+|patient)\\.crawl\\.test$;\n\t\troot %s/www/$vh;\n", dir);
	fprintf(f, "\t\tlocation ~ ^/r/([0-9]+)$ { return 301 /p/$1.html; }\n");
	fprintf(f, "\t\tlocation = /loop/a { return 302 b; }\n\t\tlocation = /loop/b { return 302 /loop/a; }\n");
	fprintf(f, "\t\tlocation ~ ^/chain/(x*)$ { return 307 /chain/x$1; }\n\t}\n");
	fprintf(f, "\tserver {\n\t\tlisten 127.0.0.1:%u;\n\t\tserver_name ~^s[0-9]+\\.crawl\\.test$;\n", port);
	fprintf(f, "\t\troot %s/www/slow;\n\t\tlocation = /slow.html { limit_rate 60; }\n\t}\n}\n", dir);
	finish(f);
}

int main(int argc, char **argv)
{
	char path[64] = "/chain/";

	if (argc != 6 || (port = (unsigned int)atoi(argv[2])) == 0 || (pages = (unsigned int)atoi(argv[3])) == 0 ||
	    (hosts = (unsigned int)atoi(argv[4])) == 0) {
		fputs(usage, stderr);
		return 2;
	}
	dir = argv[1];
	slow = (unsigned int)atoi(argv[5]);
	expected = create("expected");
	make_dir("www");
	make_dir("tmp");
	for (unsigned int h = 0; h < hosts; h++)
		write_host(h);
	for (unsigned int k = 0; k < pages; k++)
		write_page(k);
	expect(0, "/private/open.html", 200);
	expect(0, "/loop/a", 302);
	expect(0, "/loop/b", 302);
	for (int i = 0; i < CHAIN; i++) {
		expect(0, path, 307);
		strcat(path, "x");
	}
	write_patient();
	write_slow();
	write_config();
	finish(expected);
	return 0;
}
