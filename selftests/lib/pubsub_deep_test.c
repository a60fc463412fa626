// SPDX-License-Identifier: MIT
/* The example server with more on the stack of each connection, on fewer windows than connections. */
#include "pubsub_wire.h"
#include "kselftest_harness.h"

#define NR 200

/* The server looks at each stack when its connection ends, and aborts when a word of it has changed. */
TEST(connections_with_deep_stacks_are_served_and_keep_every_word)
{
	char *const more[] = { "--stack-use=20k", "--windows=16", NULL };
	struct wire_server s;
	int fd[NR];

	ASSERT_EQ(0, wire_start(&s, 0, more));
	for (int i = 0; i < NR; i++) {
		fd[i] = wire_connect(&s);
		ASSERT_LE(0, fd[i]);
	}
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < NR; i++) {
			ASSERT_TRUE(wire_send(fd[i], "PING\r\n"));
			ASSERT_TRUE(wire_expect(fd[i], "+PONG\r\n")) TH_LOG("connection %d: %s", i, wire_got);
		}
	for (int i = 0; i < NR / 2; i++)
		close(fd[i]);
	ASSERT_TRUE(wire_send(fd[NR - 1], "PING\r\n"));
	EXPECT_TRUE(wire_expect(fd[NR - 1], "+PONG\r\n"));
	EXPECT_EQ(0, wire_stop(&s)); /* which ends the others */
	for (int i = NR / 2; i < NR; i++)
		close(fd[i]);
}

TEST_HARNESS_MAIN
