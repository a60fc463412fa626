// SPDX-License-Identifier: MIT
/*
 * The codec of packed stacks: what was packed comes back, alone and against a reference; what was not packed is refused or
 * gives garbage, within its own bytes.
 */
#include "fuzz.h"
#include "park/codec.h"

#define BASE 0x7f1234560000u
#define MOST 4096

static void round_trip(const uint64_t *src, size_t n, const struct gstk__codec_ref *r)
{
	uint8_t room[MOST + 64];
	uint64_t *back = malloc(n ? n : 1);
	size_t packed = r ? gstk__codec_pack_ref(room, sizeof(room), src, n, BASE, r) : gstk__codec_pack(room, sizeof(room), src, n, BASE);
	uint8_t *exact;

	HOLDS(packed <= sizeof(room));
	if (packed) {
		exact = exactly(room, packed);
		HOLDS(!(r ? gstk__codec_unpack_ref(back, n, exact, packed, BASE, r) : gstk__codec_unpack(back, n, exact, packed, BASE)));
		HOLDS(!memcmp(back, src, n));
		/* Less room than that is refused, and nothing is written behind it. */
		HOLDS(!(r ? gstk__codec_pack_ref(exact, packed - 1, src, n, BASE, r) : gstk__codec_pack(exact, packed - 1, src, n, BASE)));
		free(exact);
	}
	free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t what = choice(&data, &size, 2);
	uint64_t out[MOST / 8];
	uint8_t moves[MOST / 64 + 1];
	size_t n = size / 16 * 8;
	uint64_t *src, *word;
	struct gstk__codec_ref ref = { .moves = moves, .base = BASE - 0x10000 };

	if (size > MOST)
		return 0;
	if (what) {
		uint8_t *junk = exactly(data, size);

		gstk__codec_unpack(out, sizeof(out) / 2, junk, size, BASE);
		free(junk);
		return 0;
	}
	/* Half of the input is a stack, half its reference: the fuzzer finds how to make them alike. */
	src = exactly(data, n);
	word = exactly(data + n, n);
	ref.word = word;
	ref.n = n;
	if (n) {
		gstk__codec_ref_moves(moves, word, n, ref.base);
		round_trip(src, n, NULL);
		round_trip(src, n, &ref);
		gstk__codec_unpack_ref(out, n, (uint8_t *)src, n, BASE, &ref);
	}
	free(src);
	free(word);
	return 0;
}
