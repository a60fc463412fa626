// SPDX-License-Identifier: MIT
/* Replies of an upstream server: never outside of the buffer, and the same for a value that came in two parts. */
#include "fuzz.h"
#include "resp_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct resp_reply whole = {}, part;
	char *buf = exactly(data, size);
	int64_t n = resp_reply_parse(buf, size, &whole);

	HOLDS(n >= -1 && n <= (int64_t)size);
	if (!n)
		HOLDS(whole.need > size);
	if (n > 0) {
		for (uint32_t i = 0; i < whole.nr && i < RESP_REPLY_TEXTS; i++)
			HOLDS(whole.text[i].off <= n && whole.text[i].len <= n - whole.text[i].off);
		/* What is behind the value does not matter, and each shorter part is incomplete. */
		for (int64_t i = n; i >= 0 && i > n - 64; i--) {
			char *less = exactly(data, (size_t)i);

			part = (struct resp_reply){};
			HOLDS(resp_reply_parse(less, (size_t)i, &part) == (i == n ? n : 0));
			if (i < n)
				HOLDS(part.need > (size_t)i && part.need <= (size_t)n);
			free(less);
		}
	}
	free(buf);
	return 0;
}
