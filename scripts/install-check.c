// SPDX-License-Identifier: MIT
/* What an application does first: compiled as C and as C++ against the installed files. */
#include <greenstk.h>
#include <stdio.h>

static void *body(void *arg)
{
	gstk_yield();
	return arg;
}

int main(void)
{
	int word = 0;
	void *result = NULL;
	int err = gstk_main(body, &word, &result, NULL);

	printf("%s %d\n", gstk_version(), err);
	return err || result != &word;
}
