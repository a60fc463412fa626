// SPDX-License-Identifier: MIT
/* usage: codec-corpus COPIES: real parked stacks on stdout, for the benchmark of the codec.
 * Each: chain (32 bytes), end of the window, size (8 bytes each), the bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec_corpus.h"

int main(int argc, char **argv)
{
	struct corpus_image *im = corpus_collect(argc > 1 ? atoi(argv[1]) : 8);
	int nr = 0;

	for (; im; im = im->next, nr++) {
		uint64_t head[6] = { 0, 0, 0, 0, im->base, im->bytes };

		strncpy((char *)head, im->chain, 31);
		if (fwrite(head, sizeof(head), 1, stdout) != 1 ||
		    fwrite(im->data, im->bytes, 1, stdout) != 1)
			return 1;
	}
	return !nr;
}
