// SPDX-License-Identifier: MIT
#include "window/present.h"

__attribute__((no_sanitize("address", "thread"))) void gstk__present_slow(const void *p, size_t bytes)
{
	uint32_t i = gstk__win_at(p);
	uintptr_t at = (uintptr_t)p, end = at + bytes;

	/* Elsewhere a touch would only make pages that nobody asked for. */
	if (!i || !bytes || !(gstk__win(i)->flags & (GSTK__WIN_LAZY | GSTK__WIN_SEALED)))
		return;
	if (end < at || end > (uintptr_t)gstk__win_base(i))
		end = (uintptr_t)gstk__win_base(i);
	for (; at < end; at = (at | 4095) + 1)
		(void)*(const volatile char *)at;
}

void gstk__present_iov_slow(const struct iovec *iov, int nr)
{
	for (int i = 0; iov && i < nr; i++)
		gstk__present_slow(iov[i].iov_base, iov[i].iov_len);
}

void gstk__present_msg_slow(const struct msghdr *msg)
{
	if (!msg)
		return;
	gstk__present_slow(msg, sizeof(*msg));
	gstk__present_slow(msg->msg_name, msg->msg_namelen);
	gstk__present_slow(msg->msg_control, msg->msg_controllen);
	gstk__present_slow(msg->msg_iov, msg->msg_iovlen * sizeof(*msg->msg_iov));
	gstk__present_iov_slow(msg->msg_iov, (int)msg->msg_iovlen);
}
