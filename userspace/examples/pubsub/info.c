// SPDX-License-Identifier: MIT
/* INFO and CONFIG. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <greenstk/stats.h>
#include "command.h"
#include "glob.h"
#include "server.h"
#include "upstream.h"

static uint64_t load(_Atomic uint64_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

/* A field of /proc/self/status in bytes (the file says kB); 0 when it is not there. */
static unsigned long long status_bytes(const char *field)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long long kb = 0;
	char line[256];
	size_t n = strlen(field);

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, field, n) && line[n] == ':') {
			kb = strtoull(line + n + 1, NULL, 10);
			break;
		}
	fclose(f);
	return kb * 1024;
}

static void section_server(FILE *f)
{
	fprintf(f, "redis_version:%s\r\nredis_mode:standalone\r\nserver_name:greenstk-pubsub\r\n"
		   "greenstk_version:%s\r\nprocess_id:%d\r\ntcp_port:%d\r\nuptime_in_seconds:%u\r\n",
		PUBSUB_REDIS_VERSION, gstk_version(), (int)getpid(), server.port,
		client_clock() - server.started);
}

static void section_clients(FILE *f)
{
	fprintf(f, "connected_clients:%zu\r\nmaxclients:%u\r\npubsub_clients_killed:%llu\r\n", client_nr(),
		client_limits.max_clients, (unsigned long long)load(&client_counters.slow_killed));
}

static void section_memory(FILE *f)
{
	unsigned long long rss = status_bytes("VmRSS"), pte = status_bytes("VmPTE");

	fprintf(f, "used_memory:%llu\r\nused_memory_rss:%llu\r\nused_memory_page_tables:%llu\r\n"
		   "used_memory_clients:%zu\r\nused_memory_topics:%zu\r\n",
		rss + pte, rss, pte, client_bytes(), topics_bytes());
}

static void section_stats(FILE *f)
{
	struct client_counters *c = &client_counters;

	fprintf(f, "total_connections_received:%llu\r\nrejected_connections:%llu\r\n"
		   "total_commands_processed:%llu\r\nprotocol_errors:%llu\r\npubsub_channels:%zu\r\n"
		   "pubsub_patterns:%zu\r\npublishes:%llu\r\ndeliveries:%llu\r\nsends:%llu\r\n"
		   "coalesced:%llu\r\nreplies_queued:%llu\r\ndrains:%llu\r\n",
		(unsigned long long)load(&c->connections), (unsigned long long)load(&c->rejected),
		(unsigned long long)load(&c->commands), (unsigned long long)load(&c->protocol_errors),
		topics_nr(false), topics_nr(true), (unsigned long long)load(&c->publishes),
		(unsigned long long)load(&c->deliveries), (unsigned long long)load(&c->sends),
		(unsigned long long)load(&c->coalesced), (unsigned long long)load(&c->queued),
		(unsigned long long)load(&c->drains));
}

/* What clients look for before they trust a server: it is alone, and has nothing to load. */
static void section_replication(FILE *f)
{
	fprintf(f, "role:master\r\nconnected_slaves:0\r\n");
}

static void section_persistence(FILE *f)
{
	fprintf(f, "loading:0\r\naof_enabled:0\r\n");
}

/* The runtime's own report: `name value` lines, of which those with one value are fields. */
static void section_greenstk(FILE *f)
{
	struct gstk_stats st = { .size = sizeof(st) };

	if (gstk_stats(&st))
		return;
#define FIELD(name) fprintf(f, #name ":%llu\r\n", (unsigned long long)st.name)
	FIELD(workers);
	FIELD(tasks);
	FIELD(tasks_resident);
	FIELD(tasks_copied);
	FIELD(tasks_packed);
	FIELD(tasks_remapped);
	FIELD(spawns);
	FIELD(switches);
	FIELD(handoffs);
	FIELD(wakes);
	FIELD(steals);
	FIELD(worker_sleeps);
	FIELD(windows);
	FIELD(windows_bound);
	FIELD(windows_shared);
	FIELD(claims);
	FIELD(conflicts);
	FIELD(evictions);
	FIELD(restores);
	FIELD(bytes_evicted);
	FIELD(bytes_copied);
	FIELD(bytes_packed);
	FIELD(bytes_unpacked);
	FIELD(bytes_remapped);
	FIELD(remaps);
	FIELD(remap_returns);
	FIELD(remap_calls);
	FIELD(remap_pack_calls);
	FIELD(image_arena_bytes);
	FIELD(task_bytes);
	FIELD(fd_bytes);
	FIELD(window_bytes);
	FIELD(packs);
	FIELD(unpacks);
	FIELD(trims);
	FIELD(trim_bytes);
	FIELD(sweeps);
	FIELD(polls);
	FIELD(events);
	FIELD(window_wait_max_ns);
#undef FIELD
}

static const struct {
	const char *name, *title;
	void (*print)(FILE *f);
} sections[] = {
	{ "server", "Server", section_server },	      { "clients", "Clients", section_clients },
	{ "memory", "Memory", section_memory },	      { "stats", "Stats", section_stats },
	{ "replication", "Replication", section_replication },
	{ "persistence", "Persistence", section_persistence },
	{ "upstream", "Upstream", upstream_info },
	{ "greenstk", "Greenstk", section_greenstk },
};

static bool wanted(struct session *se, const char *name)
{
	uint32_t nr = se->request->nr_args;

	for (uint32_t i = 1; i < nr; i++) {
		struct word w = session_arg(se, i);

		if (word_is(w, name) || word_is(w, "all") || word_is(w, "default") || word_is(w, "everything"))
			return true;
	}
	return nr == 1;
}

void command_info(struct session *se)
{
	size_t len = 0;
	char *text = NULL;
	FILE *f = open_memstream(&text, &len);
	bool first = true;

	if (!f) {
		resp_error(&se->w, "OOM out of memory");
		return;
	}
	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		if (!wanted(se, sections[i].name))
			continue;
		fprintf(f, "%s# %s\r\n", first ? "" : "\r\n", sections[i].title);
		sections[i].print(f);
		first = false;
	}
	if (fclose(f))
		resp_error(&se->w, "OOM out of memory");
	else
		resp_verbatim(&se->w, text, len);
	free(text);
}

/* What is true of this server among the settings that clients ask for. */
void command_config(struct session *se)
{
	char max[16], bulk[16], port[16];
	const char *fields[][2] = {
		{ "save", "" },		    { "appendonly", "no" },
		{ "databases", "1" },	    { "timeout", "0" },
		{ "maxclients", max },	    { "proto-max-bulk-len", bulk },
		{ "port", port },
	};
	const size_t nr = sizeof(fields) / sizeof(fields[0]);
	size_t hits = 0;

	if (!word_is(session_arg(se, 1), "get") || se->request->nr_args < 3) {
		unknown_subcommand(se, "CONFIG");
		return;
	}
	snprintf(max, sizeof(max), "%u", client_limits.max_clients);
	snprintf(bulk, sizeof(bulk), "%u", client_limits.max_request);
	snprintf(port, sizeof(port), "%d", server.port);
	for (int pass = 0; pass < 2; pass++) {
		if (pass)
			resp_map(&se->w, hits);
		for (size_t i = 0; i < nr; i++) {
			bool hit = false;

			for (uint32_t k = 2; k < se->request->nr_args && !hit; k++) {
				struct word w = session_arg(se, k);

				hit = glob_match(w.s, w.len, fields[i][0], strlen(fields[i][0]));
			}
			hits += hit && !pass;
			if (hit && pass) {
				resp_str(&se->w, fields[i][0]);
				resp_str(&se->w, fields[i][1]);
			}
		}
	}
}
