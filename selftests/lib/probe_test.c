// SPDX-License-Identifier: MIT
/* USDT probes: this program, linked with the static library, has each with its arguments. */
#include "wait_test.h"

/* Name, and how many arguments, as in Documentation/debugging.rst. */
static const struct {
	const char *name;
	int args;
} probes[] = { { "spawn", 2 }, { "exit", 2 }, { "block", 2 }, { "wake", 1 }, { "run", 2 },
	       { "evict", 3 }, { "restore", 3 }, { "pack", 3 }, { "steal", 3 } };
#define NR_PROBES (sizeof(probes) / sizeof(*probes))

/* Keeps the library's objects in the program. */
static void *body(void *arg)
{
	return arg;
}

static void runs(void)
{
	CHECK_EQ(finish(start(body, (void *)7l)), 7);
}

static int words(const char *s)
{
	int n = 0;

	for (s += strspn(s, " \t\n"); *s; s += strspn(s, " \t\n"), n++)
		s += strcspn(s, " \t\n");
	return n;
}

TEST(probes_are_in_the_library_with_their_arguments)
{
	char line[1024], name[64] = "", provider[64] = "";
	int seen[NR_PROBES] = { 0 }, unknown = 0;
	FILE *f;

#if !__has_include(<sys/sdt.h>)
	SKIP(return, "no <sys/sdt.h> here (systemtap-sdt-dev): there are no probes");
#endif
	if (system("command -v readelf >/dev/null"))
		SKIP(return, "no readelf here");
	snprintf(line, sizeof(line), "readelf -nW /proc/%d/exe", (int)getpid());
	f = popen(line, "r");
	ASSERT_NE(NULL, f);
	while (fgets(line, sizeof(line), f)) {
		char *args = strstr(line, "Arguments:"), *who = strstr(line, "Provider:");

		if (who)
			sscanf(who, "Provider: %63s", provider);
		sscanf(line, " Name: %63s", name);
		if (!args || strcmp(provider, "greenstk"))
			continue;
		unknown++;
		for (size_t i = 0; i < NR_PROBES; i++) {
			if (strcmp(probes[i].name, name))
				continue;
			EXPECT_EQ(probes[i].args, words(args + strlen("Arguments:"))) TH_LOG("%s: %s", name, line);
			seen[i]++;
			unknown--;
		}
	}
	EXPECT_EQ(0, pclose(f));
	EXPECT_EQ(0, unknown);
	for (size_t i = 0; i < NR_PROBES; i++) {
		EXPECT_NE(0, seen[i]) TH_LOG("no probe %s", probes[i].name);
	}
	with_workers(1, runs);
}

static char out[1 << 16];

/* Stopped at the probe, its arguments are what the table says. */
TEST(gdb_stops_at_a_probe_and_sees_its_arguments)
{
	const char *variant = getenv("GREENSTK_TEST_VARIANT");
	char self[256] = "", command[1024];
	size_t len;
	FILE *f;

#if !__has_include(<sys/sdt.h>)
	SKIP(return, "no <sys/sdt.h> here (systemtap-sdt-dev): there are no probes");
#endif
	if (EMULATED() || (variant && (strstr(variant, "san") || strstr(variant, "valgrind"))) ||
	    system("command -v gdb >/dev/null"))
		SKIP(return, "no debugger here, or not in this variant");
	ASSERT_LT(0, readlink("/proc/self/exe", self, sizeof(self) - 1));
	snprintf(command, sizeof(command), "timeout 100 gdb -nx -batch -iex 'set debuginfod enabled off'"
		 " -ex 'set confirm off' -ex 'set environment PROBE_CHILD 1' -ex 'break -probe-stap greenstk:exit'"
		 " -ex run -ex 'printf \"result %%d task %%d\\n\", $_probe_arg1, $_probe_arg0 == gstk__tls_worker->current'"
		 " -ex delete -ex continue %s 2>&1", self);
	f = popen(command, "r");
	ASSERT_NE(NULL, f);
	len = fread(out, 1, sizeof(out) - 1, f);
	out[len] = 0;
	pclose(f);
	if (strstr(out, "ptrace: Operation not permitted"))
		SKIP(return, "ptrace is not allowed here");
	EXPECT_NE(NULL, strstr(out, "result 7 task 1")) TH_LOG("%s", out);
}

__attribute__((constructor)) static void debuggee(void)
{
	if (!getenv("PROBE_CHILD"))
		return;
	with_workers(1, runs);
	_exit(0);
}

TEST_HARNESS_MAIN
