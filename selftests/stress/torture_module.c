// SPDX-License-Identifier: MIT
/* The module as an administrator sees it: what it has, and whether it can be unloaded. */
#include "torture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PATIENCE_MS 5000

/* Lines, or -1: not to be seen. */
static int lines(const char *path)
{
	FILE *f = fopen(path, "re");
	int n = 0, c;

	if (!f)
		return -1;
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

int module_objects_left(void)
{
	int n = lines("/sys/kernel/debug/greenstk/objects");

	for (int ms = 0; n > 0 && ms < PATIENCE_MS; ms++) {
		usleep(1000);
		n = lines("/sys/kernel/debug/greenstk/objects");
	}
	return n < 0 ? 0 : n;
}

bool module_pager(void)
{
	int fd = open("/sys/module/greenstk/parameters/pager", O_RDONLY | O_CLOEXEC);
	char c = 'N';

	if (fd >= 0 && read(fd, &c, 1) != 1)
		c = 'N';
	if (fd >= 0)
		close(fd);
	return c == 'Y';
}

int module_unload(void)
{
	return syscall(SYS_delete_module, "greenstk", O_NONBLOCK) ? -errno : 0;
}

int module_again(void)
{
	const char *file = getenv("GREENSTK_KO");
	bool pager = module_pager();
	int fd, err;

	if (!file)
		return 0;
	err = module_unload();
	for (int ms = 0; err == -EAGAIN && ms < PATIENCE_MS; ms++) { /* its last file is closed a moment later */
		usleep(1000);
		err = module_unload();
	}
	if (err)
		return err;
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = syscall(SYS_finit_module, fd, pager ? "pager=1" : "", 0) ? -errno : 0;
	close(fd);
	return err;
}
