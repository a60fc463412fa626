// SPDX-License-Identifier: MIT
/* The links of an HTML page, found in one pass without building a tree. */
#ifndef CRAWLER_HTML_H
#define CRAWLER_HTML_H

#include <stdbool.h>
#include <stddef.h>

#define HTML_MAX_LINK 2048 /* longer ones are left out, and counted */

/** @base: the page's own address for all others that follow, rather than a link. */
typedef void (*html_link_fn)(void *arg, const char *ref, size_t len, bool base);

/**
 * Call @fn for every reference to another page in @html: href of a, area and of link where it leads to a page; src of
 * frame and iframe; the target of a meta refresh. Character references in it are decoded. Left out: what
 * stands in comments, script, style, and what says nofollow, the whole page (meta name=robots) included.
 * Any bytes are fine. Returns the number of references that were too long.
 */
size_t html_links(const char *html, size_t len, html_link_fn fn, void *arg);

#endif
