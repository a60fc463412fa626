// SPDX-License-Identifier: MIT
/* Call chains as programs have them, ending in a wait: what a parked stack really looks like. */
#ifndef BENCH_CHAINS_H
#define BENCH_CHAINS_H

#include <stddef.h>
#include <stdint.h>

enum { CHAIN_RECORD = 64 };

/** Once, before any chain runs. */
void chains_setup(void);

/**
 * Block in wait() at the end of the call chain number @id modulo their count: under a comparator of
 * qsort(3) or bsearch(3), a conversion of snprintf(3), a visitor of twalk(3), a recursive parser.
 * Returns 0 when the chain's own results were right after waking.
 */
int chain_run(uint64_t id, void (*wait)(void));

/** Program state rather than noise: @len bytes of records, unique to @id; and check them later. */
void chain_fill(void *buf, size_t len, uint64_t id);
int chain_verify(const void *buf, size_t len, uint64_t id);

#endif
