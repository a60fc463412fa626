// SPDX-License-Identifier: MIT
#include "glob.h"

/* Match one character against the class whose "[" is at p[-1]; *p is moved behind the class. */
static bool class_match(const char **p, const char *end, char c)
{
	const char *s = *p;
	bool negate = s < end && *s == '^', hit = false;

	s += negate;
	while (s < end && *s != ']') {
		if (*s == '\\' && end - s >= 2) {
			hit |= s[1] == c;
			s += 2;
		} else if (end - s >= 3 && s[1] == '-') {
			unsigned char lo = (unsigned char)s[0], hi = (unsigned char)s[2], u = (unsigned char)c;

			if (lo > hi) {
				lo ^= hi;
				hi ^= lo;
				lo ^= hi;
			}
			hit |= u >= lo && u <= hi;
			s += 3;
		} else {
			hit |= *s++ == c;
		}
	}
	*p = s < end ? s + 1 : end;
	return hit != negate;
}

/* Everything but "*" stands for exactly one character, so only the last "*" needs another try. */
bool glob_match(const char *p, size_t pattern_len, const char *t, size_t text_len)
{
	const char *pend = p + pattern_len, *tend = t + text_len;
	const char *star = NULL, *retry = NULL;

	for (;;) {
		bool ok;

		if (p < pend && *p == '*') {
			while (p < pend && *p == '*')
				p++;
			if (p == pend)
				return true;
			star = p;
			retry = t;
		}
		if (p == pend || t == tend) {
			if (p == pend && t == tend)
				return true;
			if (t == tend) /* more pattern, which wants a character */
				return false;
			ok = false;
		} else if (*p == '?') {
			p++;
			ok = true;
		} else if (*p == '[') {
			p++;
			ok = class_match(&p, pend, *t);
		} else {
			if (*p == '\\' && pend - p >= 2)
				p++;
			ok = *p++ == *t;
		}
		if (ok) {
			t++;
			continue;
		}
		if (!star || retry == tend)
			return false;
		p = star;
		t = ++retry;
	}
}
