// SPDX-License-Identifier: MIT
/* libuv: echo with the buffer lent at readiness, so that an idle connection holds none. */
#include <uv.h>

#include "peer.h"

static char buf[65536];

static void lend(uv_handle_t *h, size_t size, uv_buf_t *b)
{
	b->base = buf;
	b->len = sizeof(buf);
}

static void closed(uv_handle_t *h)
{
	free(h);
}

static void readable(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
	uv_buf_t out = uv_buf_init(buf, (unsigned int)(n > 0 ? n : 0));

	if (n == 0)
		return;
	if (n < 0 || uv_try_write(s, &out, 1) != n)
		uv_close((uv_handle_t *)s, closed);
}

static void incoming(uv_stream_t *server, int status)
{
	uv_tcp_t *c = malloc(sizeof(*c));

	peer_check(c && !status && !uv_tcp_init(server->loop, c));
	peer_check(!uv_accept(server, (uv_stream_t *)c));
	uv_tcp_nodelay(c, 1);
	peer_check(!uv_read_start((uv_stream_t *)c, lend, readable));
}

static void serve_echo(void)
{
	uv_loop_t *loop = uv_default_loop();
	uv_tcp_t server;

	peer_check(!uv_tcp_init(loop, &server) && !uv_tcp_open(&server, peer_listen()));
	peer_check(!uv_listen((uv_stream_t *)&server, SOMAXCONN, incoming));
	uv_run(loop, UV_RUN_DEFAULT);
}

int main(int argc, char **argv)
{
	return peer_main(argc, argv, NULL, serve_echo);
}
