// SPDX-License-Identifier: MIT
/* What the crawler blocks with: green tasks, or one thread each in crawler-threads. */
#ifndef CRAWLER_GREEN_H
#define CRAWLER_GREEN_H

#ifdef CRAWLER_THREADS
#include "threads.h"
#else
#include <greenstk.h>
#define CRAWLER_NAME "crawler"
#endif

#endif
