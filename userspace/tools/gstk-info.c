// SPDX-License-Identifier: MIT
/* gstk-info: what a runtime would be on this machine. See gstk-info(1). */
#include <greenstk.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int err;

	if (argc == 2 && !strcmp(argv[1], "--version")) {
		printf("gstk-info %s\n", gstk_version());
		return 0;
	}
	if (argc > 1) {
		fprintf(argc == 2 && !strcmp(argv[1], "--help") ? stdout : stderr,
			"usage: gstk-info [--version]\n"
			"prints configuration, calibration, kernel features and limits as `name value` lines;\n"
			"GREENSTK_WORKERS and the other variables apply as they do to any program\n");
		return argc == 2 && !strcmp(argv[1], "--help") ? 0 : 2;
	}
	err = gstk_init(NULL);
	if (err) {
		fprintf(stderr, "gstk-info: no runtime: %s\n", strerror(-err));
		return 1;
	}
	printf("version %s\n", gstk_version());
	fflush(stdout);
	err = gstk_info(1);
	gstk_shutdown(GSTK_SHUTDOWN_JOIN, GSTK_NEVER);
	return err ? 1 : 0;
}
