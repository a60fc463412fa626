// SPDX-License-Identifier: MIT
/* The server's parser of the Redis protocol: arguments lie in the buffer, and a stream means the same however it is cut. */
#include "fuzz.h"
#include "resp.h"

#define MAX_BULK 300u

struct digest {
	uint64_t hash;
	size_t requests;
	bool error;
};

static void add(struct digest *d, const void *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		d->hash = (d->hash ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3u;
}

/* The bytes come in pieces of @piece; each time all that is unparsed is in a new buffer of just that size. */
static struct digest parse(const uint8_t *data, size_t size, size_t piece)
{
	struct digest d = { .hash = 0xcbf29ce484222325u };
	size_t have = 0, came = 0;
	struct resp_parser p;
	char *buf = NULL;

	resp_init(&p, MAX_BULK);
	while (came < size && !d.error) {
		size_t n = size - came < piece ? size - came : piece;
		char *grown = malloc(have + n);
		enum resp_status s;

		if (!grown)
			abort();
		if (have)
			memcpy(grown, buf, have);
		memcpy(grown + have, data + came, n);
		free(buf);
		buf = grown;
		have += n;
		came += n;
		while (have && (s = resp_parse(&p, buf, have)) != RESP_MORE) {
			if (s == RESP_ERROR) {
				HOLDS(memchr(p.error, 0, sizeof(p.error)) && p.error[0]);
				d.error = true;
				break;
			}
			HOLDS(p.pos > 0 && p.pos <= have);
			if (s == RESP_REQUEST) {
				HOLDS(p.nr_args >= 1 && p.nr_args <= RESP_MAX_ARGS);
				for (uint32_t i = 0; i < p.nr_args; i++) {
					const struct resp_arg a = resp_args(&p)[i];

					HOLDS(a.off <= have && a.len <= have - a.off);
					add(&d, &a.len, sizeof(a.len));
					add(&d, buf + a.off, a.len);
				}
				d.requests++;
			}
			have -= p.pos;
			grown = exactly(buf + p.pos, have);
			free(buf);
			buf = grown;
			resp_reset(&p);
		}
	}
	free(buf);
	resp_reset(&p);
	return d;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t piece = 1 + choice(&data, &size, 32);
	struct digest whole = parse(data, size, size ? size : 1), cut = parse(data, size, piece);

	HOLDS(whole.requests == cut.requests && whole.error == cut.error && whole.hash == cut.hash);
	return 0;
}
