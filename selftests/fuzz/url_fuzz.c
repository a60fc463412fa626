// SPDX-License-Identifier: MIT
/* References against a base: the result is in its normal form, which resolves to itself. */
#include <errno.h>
#include "fuzz.h"
#include "url.h"

static void sound(const struct url *u)
{
	HOLDS(u->len > 0 && u->len <= URL_MAX && u->port);
	HOLDS(u->host_len > 0 && u->host + u->host_len <= u->path);
	HOLDS(u->path < u->len && u->text[u->path] == '/' && u->path + u->path_len <= u->len);
	HOLDS(!memcmp(u->text, u->secure ? "https://" : "http://", u->secure ? 8 : 7));
	for (size_t i = 0; i < u->len; i++)
		HOLDS(u->text[i] > ' ' && u->text[i] < 127 && !strchr("#\"<>\\^`{|}", u->text[i]));
}

static int resolve(const struct url *base, const uint8_t *ref, size_t len, struct url *out)
{
	char *copy = exactly(ref, len);
	int rc = url_resolve(base, copy, len, out);

	free(copy);
	HOLDS(rc == 0 || rc == -EINVAL || rc == -EPROTONOSUPPORT || rc == -ENAMETOOLONG);
	return rc;
}

/* The last leaves few bytes to URL_MAX. */
static void begin(uint8_t which, struct url *base)
{
	static const char *const bases[] = { "http://a/b/c/d;p?q", "https://[::1]:8080/x/../y?z", "http://h", "http://h/" };
	char text[URL_MAX];
	size_t n = strlen(bases[which]);

	memcpy(text, bases[which], n);
	if (which == 3)
		for (; n < URL_MAX - 20; n++)
			text[n] = '/';
	HOLDS(!url_resolve(NULL, text, n, base));
	sound(base);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t which = choice(&data, &size, 5);
	static struct url base, out, again;

	if (which < 4)
		begin(which, &base);
	if (resolve(which < 4 ? &base : NULL, data, size, &out))
		return 0;
	sound(&out);
	HOLDS(!url_resolve(NULL, out.text, out.len, &again));
	HOLDS(again.len == out.len && !memcmp(again.text, out.text, out.len));
	HOLDS(again.port == out.port && again.path == out.path && again.path_len == out.path_len &&
	      again.host == out.host && again.host_len == out.host_len);
	return 0;
}
