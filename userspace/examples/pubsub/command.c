// SPDX-License-Identifier: MIT
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "command.h"

/* What a RESP2 connection that subscribes may still do. */
#define WHEN_SUBSCRIBED 1u

static void command_ping(struct session *se)
{
	uint32_t nr = se->request->nr_args;

	if (nr > 2) {
		wrong_args(se, "ping");
		return;
	}
	if (se->w.proto == 2 && subscriptions(se)) {
		resp_array(&se->w, 2);
		resp_str(&se->w, "pong");
		if (nr == 2)
			resp_bulk(&se->w, session_arg(se, 1).s, session_arg(se, 1).len);
		else
			resp_bulk(&se->w, "", 0);
	} else if (nr == 2) {
		resp_bulk(&se->w, session_arg(se, 1).s, session_arg(se, 1).len);
	} else {
		resp_simple(&se->w, "PONG");
	}
}

static void command_echo(struct session *se)
{
	resp_bulk(&se->w, session_arg(se, 1).s, session_arg(se, 1).len);
}

static void command_quit(struct session *se)
{
	resp_simple(&se->w, "OK");
	se->quit = true;
}

static void command_select(struct session *se)
{
	int64_t db;

	if (!word_int(session_arg(se, 1), &db))
		resp_error(&se->w, "ERR value is not an integer or out of range");
	else if (db)
		resp_error(&se->w, "ERR DB index is out of range");
	else
		resp_simple(&se->w, "OK");
}

static void command_auth(struct session *se)
{
	resp_error(&se->w, "ERR AUTH <password> called without any password configured for the default "
			   "user. Are you sure your configuration is correct?");
}

static void hello_reply(struct session *se)
{
	resp_map(&se->w, 7);
	resp_str(&se->w, "server");
	resp_str(&se->w, "greenstk-pubsub");
	resp_str(&se->w, "version");
	resp_str(&se->w, PUBSUB_REDIS_VERSION);
	resp_str(&se->w, "proto");
	resp_int(&se->w, se->w.proto);
	resp_str(&se->w, "id");
	resp_int(&se->w, (int64_t)se->client->id);
	resp_str(&se->w, "mode");
	resp_str(&se->w, "standalone");
	resp_str(&se->w, "role");
	resp_str(&se->w, "master");
	resp_str(&se->w, "modules");
	resp_array(&se->w, 0);
}

static void command_hello(struct session *se)
{
	uint32_t nr = se->request->nr_args, i = 2;
	int64_t proto = se->w.proto;
	struct word name = { NULL, 0 };

	if (nr > 1 && !word_int(session_arg(se, 1), &proto)) {
		resp_error(&se->w, "ERR Protocol version is not an integer or out of range");
		return;
	}
	if (proto < 2 || proto > 3) {
		resp_error(&se->w, "NOPROTO unsupported protocol version");
		return;
	}
	while (i < nr) {
		struct word option = session_arg(se, i);

		if (word_is(option, "auth") && nr - i > 2) {
			command_auth(se);
			return;
		}
		if (!word_is(option, "setname") || nr - i < 2) {
			resp_error(&se->w, "ERR Syntax error in HELLO option '%.*s'", (int)option.len, option.s);
			return;
		}
		name = session_arg(se, i + 1);
		i += 2;
	}
	if (name.s && !client_set_name(se, name))
		return;
	se->client->proto = se->w.proto = (uint8_t)proto;
	hello_reply(se);
}

static void command_reset(struct session *se)
{
	unsubscribe_silently(se);
	client_forget_names(se->client);
	se->client->proto = se->w.proto = 2;
	resp_simple(&se->w, "RESET");
}

static void command_command(struct session *se);

static const struct command {
	const char *name;
	int arity; /* with the name; negative: at least */
	unsigned int flags;
	void (*fn)(struct session *se);
	const char *words; /* for COMMAND */
} commands[] = {
	{ "ping", -1, WHEN_SUBSCRIBED, command_ping, "fast" },
	{ "publish", 3, 0, command_publish, "pubsub loading stale fast" },
	{ "subscribe", -2, WHEN_SUBSCRIBED, command_subscribe, "pubsub noscript loading stale" },
	{ "unsubscribe", -1, WHEN_SUBSCRIBED, command_unsubscribe, "pubsub noscript loading stale" },
	{ "psubscribe", -2, WHEN_SUBSCRIBED, command_psubscribe, "pubsub noscript loading stale" },
	{ "punsubscribe", -1, WHEN_SUBSCRIBED, command_punsubscribe, "pubsub noscript loading stale" },
	{ "pubsub", -2, 0, command_pubsub, "pubsub loading stale" },
	{ "hello", -1, 0, command_hello, "noscript loading stale fast" },
	{ "auth", -2, 0, command_auth, "noscript loading stale fast" },
	{ "client", -2, 0, command_client, "noscript loading stale" },
	{ "echo", 2, 0, command_echo, "fast" },
	{ "select", 2, 0, command_select, "loading stale fast" },
	{ "info", -1, 0, command_info, "loading stale" },
	{ "config", -2, 0, command_config, "admin noscript loading stale" },
	{ "command", -1, 0, command_command, "loading stale" },
	{ "reset", 1, WHEN_SUBSCRIBED, command_reset, "noscript loading stale fast" },
	{ "quit", -1, WHEN_SUBSCRIBED, command_quit, "noscript loading stale fast" },
};
#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void describe(struct session *se, const struct command *c)
{
	const char *w = c->words;
	size_t nr = 1;

	for (const char *s = w; *s; s++)
		nr += *s == ' ';
	resp_array(&se->w, 6);
	resp_str(&se->w, c->name);
	resp_int(&se->w, c->arity);
	resp_array(&se->w, nr);
	while (*w) {
		size_t len = strcspn(w, " ");

		resp_raw(&se->w, "+", 1);
		resp_raw(&se->w, w, len);
		resp_raw(&se->w, "\r\n", 2);
		w += len + (w[len] == ' ');
	}
	for (int i = 0; i < 3; i++) /* keys: none */
		resp_int(&se->w, 0);
}

static const struct command *lookup(struct word name)
{
	for (size_t i = 0; i < NR_COMMANDS; i++)
		if (word_is(name, commands[i].name))
			return &commands[i];
	return NULL;
}

static void command_command(struct session *se)
{
	uint32_t nr = se->request->nr_args;
	struct word sub = { "", 0 };

	if (nr > 1)
		sub = session_arg(se, 1);
	if (nr == 1) {
		resp_array(&se->w, NR_COMMANDS);
		for (size_t i = 0; i < NR_COMMANDS; i++)
			describe(se, &commands[i]);
	} else if (word_is(sub, "count") && nr == 2) {
		resp_int(&se->w, NR_COMMANDS);
	} else if (word_is(sub, "docs")) {
		resp_map(&se->w, 0);
	} else if (word_is(sub, "list") && nr == 2) {
		resp_array(&se->w, NR_COMMANDS);
		for (size_t i = 0; i < NR_COMMANDS; i++)
			resp_str(&se->w, commands[i].name);
	} else if (word_is(sub, "info")) {
		resp_array(&se->w, nr - 2);
		for (uint32_t i = 2; i < nr; i++) {
			const struct command *c = lookup(session_arg(se, i));

			if (c)
				describe(se, c);
			else if (se->w.proto == 2)
				resp_raw(&se->w, "*-1\r\n", 5);
			else
				resp_null(&se->w);
		}
	} else {
		unknown_subcommand(se, "COMMAND");
	}
}

static void unknown(struct session *se)
{
	struct word name = session_arg(se, 0);
	char args[128];
	size_t at = 0;

	args[0] = 0;
	for (uint32_t i = 1; i < se->request->nr_args && at < sizeof(args) - 40; i++) {
		struct word a = session_arg(se, i);
		int len = a.len < 30 ? (int)a.len : 30;

		at += (size_t)snprintf(args + at, sizeof(args) - at, "'%.*s' ", len, a.s);
	}
	resp_error(&se->w, "ERR unknown command '%.*s', with args beginning with: %s",
		   name.len < 64 ? (int)name.len : 64, name.s, args);
}

void command_run(struct session *se)
{
	const struct command *c = lookup(session_arg(se, 0));
	int nr = (int)se->request->nr_args;

	count(&client_counters.commands, 1);
	if (!c) {
		unknown(se);
	} else if (c->arity > 0 ? nr != c->arity : nr < -c->arity) {
		wrong_args(se, c->name);
	} else if (se->w.proto == 2 && !(c->flags & WHEN_SUBSCRIBED) && subscriptions(se)) {
		resp_error(&se->w, "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / "
				   "QUIT / RESET are allowed in this context", c->name);
	} else {
		atomic_store_explicit(&se->client->command, (uint8_t)(c - commands + 1), memory_order_relaxed);
		c->fn(se);
	}
}

const char *command_name(uint8_t command)
{
	return command ? commands[command - 1].name : "NULL";
}

void wrong_args(struct session *se, const char *name)
{
	resp_error(&se->w, "ERR wrong number of arguments for '%s' command", name);
}

/* One line a subcommand, as clients show them. */
static bool help(struct session *se, const char *name)
{
	static const char *const lines[][2] = {
		{ "CLIENT", "CLIENT ID | INFO | LIST | GETNAME" },
		{ "CLIENT", "CLIENT SETNAME <name>" },
		{ "CLIENT", "CLIENT SETINFO lib-name|lib-ver <value>" },
		{ "CLIENT", "CLIENT KILL <ip:port> | ID <id>" },
		{ "PUBSUB", "PUBSUB CHANNELS [<pattern>]" },
		{ "PUBSUB", "PUBSUB NUMSUB [<channel> ...]" },
		{ "PUBSUB", "PUBSUB NUMPAT" },
		{ "COMMAND", "COMMAND [COUNT | INFO [<name> ...] | DOCS [<name> ...]]" },
		{ "CONFIG", "CONFIG GET <pattern> [<pattern> ...]" },
	};
	const size_t nr = sizeof(lines) / sizeof(lines[0]);
	size_t hits = 0;

	for (size_t i = 0; i < nr; i++)
		hits += !strcmp(lines[i][0], name);
	if (!hits)
		return false;
	resp_array(&se->w, hits);
	for (size_t i = 0; i < nr; i++)
		if (!strcmp(lines[i][0], name))
			resp_simple(&se->w, lines[i][1]);
	return true;
}

void unknown_subcommand(struct session *se, const char *name)
{
	struct word sub = session_arg(se, 1);

	if (word_is(sub, "help") && se->request->nr_args == 2 && help(se, name))
		return;
	resp_error(&se->w, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try %s HELP.",
		   sub.len < 64 ? (int)sub.len : 64, sub.s, name);
}

uint32_t subscriptions(struct session *se)
{
	return topics_count(se->index, false) + topics_count(se->index, true);
}

bool word_is(struct word w, const char *text)
{
	return strlen(text) == w.len && !strncasecmp(w.s, text, w.len);
}

bool word_int(struct word w, int64_t *n)
{
	char digits[21], *end;

	if (!w.len || w.len >= sizeof(digits) || memchr(w.s, ' ', w.len) || *w.s == '+')
		return false;
	memcpy(digits, w.s, w.len);
	digits[w.len] = 0;
	*n = strtoll(digits, &end, 10);
	return end == digits + w.len;
}
