// SPDX-License-Identifier: MIT
/* CLIENT and what it tells about connections. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <netinet/in.h>
#include <greenstk/task.h>
#include "command.h"

static bool printable(struct word w)
{
	for (uint32_t i = 0; i < w.len; i++)
		if (w.s[i] < '!' || w.s[i] > '~')
			return false;
	return true;
}

/* Replace one of the client's names. CLIENT LIST reads them under the lock. */
static bool replace(struct session *se, size_t which, struct word w)
{
	struct details *x = client_details(se->client);
	char *copy = w.len ? strndup(w.s, w.len) : NULL, **at, *old;

	if (!x || (w.len && !copy)) {
		free(copy);
		resp_error(&se->w, "OOM out of memory");
		return false;
	}
	at = (char **)((char *)x + which);
	spin_lock(&se->client->lock);
	old = *at;
	*at = copy;
	spin_unlock(&se->client->lock);
	free(old);
	return true;
}

bool client_set_name(struct session *se, struct word name)
{
	if (!printable(name)) {
		resp_error(&se->w, "ERR Client names cannot contain spaces, newlines or special characters.");
		return false;
	}
	return replace(se, offsetof(struct details, name), name);
}

void client_forget_names(struct client *c)
{
	struct details *x = client_peek(c);
	char *name = NULL;

	if (!x)
		return;
	spin_lock(&c->lock);
	name = x->name;
	x->name = NULL;
	spin_unlock(&c->lock);
	free(name);
}

static void set_info(struct session *se)
{
	struct word key = session_arg(se, 2), value = session_arg(se, 3);
	size_t which;

	if (word_is(key, "lib-name")) {
		which = offsetof(struct details, lib_name);
	} else if (word_is(key, "lib-ver")) {
		which = offsetof(struct details, lib_ver);
	} else {
		resp_error(&se->w, "ERR Unrecognized option '%.*s'", key.len < 64 ? (int)key.len : 64, key.s);
		return;
	}
	if (!printable(value))
		resp_error(&se->w, "ERR %.*s cannot contain spaces, newlines or special characters.",
			   (int)key.len, key.s);
	else if (replace(se, which, value))
		resp_simple(&se->w, "OK");
}

static void address(int fd, int (*get)(int, struct sockaddr *, socklen_t *), char *out, size_t size)
{
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	} a;
	socklen_t len = sizeof(a);
	char host[INET6_ADDRSTRLEN] = "?";

	memset(&a, 0, sizeof(a));
	if (get(fd, &a.sa, &len)) {
		snprintf(out, size, "?:0");
	} else if (a.sa.sa_family == AF_INET) {
		inet_ntop(AF_INET, &a.in.sin_addr, host, sizeof(host));
		snprintf(out, size, "%s:%u", host, ntohs(a.in.sin_port));
	} else if (a.sa.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &a.in6.sin6_addr, host, sizeof(host));
		snprintf(out, size, "[%s]:%u", host, ntohs(a.in6.sin6_port));
	} else {
		snprintf(out, size, "%.*s:0", (int)sizeof(a.un.sun_path), a.un.sun_path);
	}
}

static int peer(int fd, struct sockaddr *sa, socklen_t *len)
{
	return getpeername(fd, sa, len);
}

static int local(int fd, struct sockaddr *sa, socklen_t *len)
{
	return getsockname(fd, sa, len);
}

/* One line about @c; nothing when it has ended. */
static int describe(struct client *c, char *out, size_t size)
{
	char addr[128] = "", laddr[128] = "";
	uint32_t now = client_clock();
	struct details *x;
	int n = 0;

	spin_lock(&c->lock);
	if (!(c->flags & CLIENT_DEAD)) {
		uint32_t sub = topics_count(client_index(c), false), psub = topics_count(client_index(c), true);

		x = c->details;
		address(c->fd, peer, addr, sizeof(addr));
		address(c->fd, local, laddr, sizeof(laddr));
		n = snprintf(out, size,
			     "id=%llu addr=%s laddr=%s fd=%d name=%.200s age=%u idle=%u flags=%s db=0 sub=%u "
			     "psub=%u ssub=0 multi=-1 qbuf=%u omem=%zu cmd=%s user=default lib-name=%.60s "
			     "lib-ver=%.60s resp=%u",
			     (unsigned long long)c->id, addr, laddr, c->fd, x && x->name ? x->name : "",
			     now - c->created, now - c->last, sub + psub ? "P" : "N", sub, psub,
			     x ? (uint32_t)x->in_len : 0, outq_bytes(c->out), command_name(c->command),
			     x && x->lib_name ? x->lib_name : "", x && x->lib_ver ? x->lib_ver : "", c->proto);
	}
	spin_unlock(&c->lock);
	return n < 0 ? 0 : n < (int)size ? n : (int)size - 1;
}

static void list(struct session *se)
{
	uint32_t high = client_high();
	size_t len = 0, cap = 0;
	char line[1024], *text = NULL;

	for (uint32_t i = 0; i < high; i++) {
		struct client *c = client_try_get(i);
		int n;

		if (!c)
			continue;
		n = describe(c, line, sizeof(line) - 1);
		client_put(c);
		if (!n)
			continue;
		line[n++] = '\n';
		if (cap - len < (size_t)n) {
			char *more = realloc(text, cap = 2 * cap + 4096);

			if (!more)
				break;
			text = more;
		}
		memcpy(text + len, line, (size_t)n);
		len += (size_t)n;
		if (i % 256 == 255)
			gstk_yield();
	}
	resp_verbatim(&se->w, text ? text : "", len);
	free(text);
}

static void kill_by(struct session *se)
{
	uint32_t high = client_high(), nr = se->request->nr_args;
	bool old_style = nr == 3;
	struct word want = session_arg(se, nr - 1);
	int64_t id = 0, killed = 0;

	if (!old_style && (nr != 4 || !word_is(session_arg(se, 2), "id") || !word_int(want, &id))) {
		resp_error(&se->w, "ERR syntax error");
		return;
	}
	for (uint32_t i = 0; i < high; i++) {
		struct client *c = client_try_get(i);
		char addr[128] = "";
		bool hit;

		if (!c)
			continue;
		spin_lock(&c->lock);
		if (old_style && !(c->flags & CLIENT_DEAD))
			address(c->fd, peer, addr, sizeof(addr));
		hit = !(c->flags & (CLIENT_DEAD | CLIENT_KILLED)) &&
		      (old_style ? word_is(want, addr) : (int64_t)c->id == id);
		spin_unlock(&c->lock);
		if (hit && c == se->client)
			se->quit = true;
		else if (hit)
			client_kill(c);
		killed += hit;
		client_put(c);
	}
	if (!old_style)
		resp_int(&se->w, killed);
	else if (killed)
		resp_simple(&se->w, "OK");
	else
		resp_error(&se->w, "ERR No such client");
}

void command_client(struct session *se)
{
	struct word sub = session_arg(se, 1);
	uint32_t nr = se->request->nr_args;
	struct details *x = client_peek(se->client);
	char line[1024];

	if (word_is(sub, "id") && nr == 2) {
		resp_int(&se->w, (int64_t)se->client->id);
	} else if (word_is(sub, "getname") && nr == 2) {
		if (x && x->name)
			resp_str(&se->w, x->name);
		else
			resp_null(&se->w);
	} else if (word_is(sub, "setname") && nr == 3) {
		if (client_set_name(se, session_arg(se, 2)))
			resp_simple(&se->w, "OK");
	} else if (word_is(sub, "setinfo") && nr == 4) {
		set_info(se);
	} else if (word_is(sub, "info") && nr == 2) {
		int n = describe(se->client, line, sizeof(line) - 1);

		line[n++] = '\n';
		resp_verbatim(&se->w, line, (size_t)n);
	} else if (word_is(sub, "list") && nr == 2) {
		list(se);
	} else if (word_is(sub, "kill") && nr >= 3) {
		kill_by(se);
	} else {
		unknown_subcommand(se, "CLIENT");
	}
}
