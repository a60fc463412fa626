// SPDX-License-Identifier: MIT
/* An HTTP answer of any bytes: slices lie in the head, and a body is the same however it is cut. */
#include <errno.h>
#include "fuzz.h"
#include "response.h"

struct outcome {
	int rc;
	bool done;
	size_t used;
	struct bytes body;
};

static struct outcome feed(const struct response *r, const char *data, size_t size, size_t piece)
{
	struct outcome o = { .body.limit = 4096 };
	struct body b;

	body_begin(&b, r);
	while (o.used < size && !b.done && !o.rc) {
		size_t n = size - o.used < piece ? size - o.used : piece, used = 0;
		char *part = exactly(data + o.used, n);

		o.rc = body_feed(&b, part, n, &used, &o.body);
		free(part);
		HOLDS(o.rc == 0 || o.rc == -EBADMSG || o.rc == -EFBIG || o.rc == -ENOMEM);
		HOLDS(used <= n && o.body.len <= o.body.limit);
		if (!o.rc)
			HOLDS(used == n || b.done);
		o.used += used;
	}
	o.done = b.done;
	return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t piece = 1 + choice(&data, &size, 32);
	char *buf = exactly(data, size);
	struct response r = {};
	long head = response_parse(&r, buf, size);

	HOLDS(head == -EBADMSG || head == -EMSGSIZE || (head >= 0 && head <= (long)size && head <= RESPONSE_MAX_HEAD));
	if (head > 0) {
		struct outcome whole = feed(&r, buf + head, size - (size_t)head, size), cut = feed(&r, buf + head, size - (size_t)head, piece);

		HOLDS(r.status >= 100 && r.status <= 999);
		HOLDS(r.location.at <= head && r.location.len <= head - r.location.at);
		HOLDS(r.type.at <= head && r.type.len <= head - r.type.at);
		HOLDS(whole.rc == cut.rc && whole.done == cut.done);
		if (!whole.rc)
			HOLDS(whole.used == cut.used && whole.body.len == cut.body.len &&
			      !memcmp(whole.body.data ?: "", cut.body.data ?: "", whole.body.len));
		bytes_free(&whole.body);
		bytes_free(&cut.body);
	}
	free(buf);
	return 0;
}
