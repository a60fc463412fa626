// SPDX-License-Identifier: MIT
#ifndef CRAWLER_MEMORY_H
#define CRAWLER_MEMORY_H

#include <stdint.h>

/** Bytes of this process that are resident, page tables included. 0: not known. */
uint64_t memory_resident(void);

#endif
