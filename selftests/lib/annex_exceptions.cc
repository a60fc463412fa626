// SPDX-License-Identifier: MIT
#include <greenstk.h>
#include "annex_exceptions.h"

namespace {

struct Error {
	int levels;
};

struct Frame {
	int *left;
	~Frame()
	{
		gstk_sleep(10000); /* a destructor may wait, too */
		++*left;
	}
};

struct Way {
	int levels, left;
};

void *go(void *arg)
{
	Way *w = static_cast<Way *>(arg);
	Frame frame = { &w->left };

	gstk_yield();
	if (!--w->levels)
		throw Error{ 7 };
	gstk_call_on_stack(65536, go, w, nullptr);
	return nullptr;
}

}

int annex_throw_through(int levels)
{
	Way w = { levels, 0 };

	try {
		Frame frame = { &w.left };

		gstk_call_on_stack(65536, go, &w, nullptr);
		return -1;
	} catch (const Error &e) {
		if (e.levels != 7)
			return -2;
	}
	return w.left;
}
