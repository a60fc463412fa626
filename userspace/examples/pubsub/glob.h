// SPDX-License-Identifier: MIT
#ifndef PUBSUB_GLOB_H
#define PUBSUB_GLOB_H

#include <stdbool.h>
#include <stddef.h>

/**
 * Does @text match @pattern as Redis matches: "*", "?", "[abc]", "[a-z]", "[^a]", "\" before a
 * character that is meant as such; a class that is not closed ends with the pattern.
 * Time is at most the product of both lengths, whatever the pattern.
 */
bool glob_match(const char *pattern, size_t pattern_len, const char *text, size_t text_len);

#endif
