// SPDX-License-Identifier: MIT
/*
 * file.*: operations on files, each task with a file of its own on the disk of /var/tmp: as by default, with
 * io_uring only (.uring), on threads of the pool (.pool), and as plain calls of one thread (.plain). Time of the wall an operation; .cpu is that of the
 * process, kernel threads of io_uring included.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <greenstk.h>

#include "bench.h"

enum op { READ_CACHED, READ_DISK, READ_DIRECT, WRITE_DIRECT, WRITE, WRITE_SYNC, OPEN };
enum { BYTES = 4096, MAX_TASKS = 64 };

static struct {
	const struct bench *b;
	enum op op;
	long tasks;
	uint64_t each;
	int fd[MAX_TASKS];
	char name[MAX_TASKS][64];
	char *buf[MAX_TASKS];
	double wall_ns, cpu_ns;
} run;

static void files_make(void)
{
	for (long i = 0; i < run.tasks; i++) {
		strcpy(run.name[i], "/var/tmp/gstk-bench-XXXXXX");
		run.fd[i] = mkostemp(run.name[i], O_CLOEXEC | (run.op == READ_DIRECT || run.op == WRITE_DIRECT ? O_DIRECT : 0));
		run.buf[i] = aligned_alloc(BYTES, BYTES);
		bench_check(run.fd[i] >= 0 && run.buf[i]);
		memset(run.buf[i], 'x', BYTES);
		bench_check(pwrite(run.fd[i], run.buf[i], BYTES, 0) == BYTES);
		bench_check(!fsync(run.fd[i]));
	}
}

static void files_remove(void)
{
	for (long i = 0; i < run.tasks; i++) {
		close(run.fd[i]);
		unlink(run.name[i]);
		free(run.buf[i]);
	}
}

static void once(long i)
{
	int fd = run.fd[i], opened;

	switch (run.op) {
	case READ_DISK:
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		/* fall through */
	case READ_CACHED:
	case READ_DIRECT:
		bench_check(gstk_file_read(fd, run.buf[i], BYTES, 0) == BYTES);
		break;
	case WRITE:
	case WRITE_DIRECT:
	case WRITE_SYNC:
		bench_check(gstk_file_write(fd, run.buf[i], BYTES, 0) == BYTES);
		if (run.op == WRITE_SYNC)
			bench_check(!gstk_file_sync(fd, true));
		break;
	case OPEN:
		opened = gstk_file_open(AT_FDCWD, run.name[i], O_RDONLY | O_CLOEXEC, 0);
		bench_check(opened >= 0);
		close(opened);
		break;
	}
}

static void *task(void *arg)
{
	for (uint64_t n = 0; n < run.each; n++)
		once((long)arg);
	return NULL;
}

static void *measure(void *plain)
{
	static gstk_task *t[MAX_TASKS];
	uint64_t start, cpu;

	run.each = run.each / 10 + 1;
	for (int warm = 1; warm >= 0; warm--, run.each *= 10) {
		start = bench_now();
		cpu = bench_cpu_ns();
		for (long i = 0; i < run.tasks; i++)
			if (plain)
				task((void *)i);
			else
				bench_check(!gstk_spawn(&t[i], task, (void *)i, NULL));
		for (long i = 0; !plain && i < run.tasks; i++)
			gstk_join(t[i], NULL);
		run.wall_ns = (double)(bench_now() - start) / (double)(run.each * (uint64_t)run.tasks);
		run.cpu_ns = (double)(bench_cpu_ns() - cpu) / (double)(run.each * (uint64_t)run.tasks);
	}
	run.each /= 10;
	return NULL;
}

static void emit(const char *suffix)
{
	char name[64];

	snprintf(name, sizeof(name), "%s%s", run.b->name, suffix);
	bench_emit(name, run.wall_ns, "ns");
	snprintf(name, sizeof(name), "%s%s.cpu", run.b->name, suffix);
	bench_emit(name, run.cpu_ns, "ns");
}

static void file_run(const struct bench *b)
{
	static const uint64_t each[] = { 200000, 3000, 5000, 5000, 20000, 300, 20000 };
	struct gstk_config config = { .size = sizeof(config), .workers = 2 };

	run.b = b;
	run.op = (enum op)b->arg;
	run.tasks = b->arg2;
	run.each = bench_n(each[run.op]) / (uint64_t)run.tasks + 1;
	files_make();
	bench_main(measure, NULL, &config);
	emit("");
	config.files = GSTK_FILES_URING;
	bench_main(measure, NULL, &config);
	emit(".uring");
	config.files = GSTK_FILES_POOL;
	bench_main(measure, NULL, &config);
	emit(".pool");
	measure((void *)1);
	emit(".plain");
	files_remove();
}

#define FILE_BENCH(ident, title, op_, tasks, text) \
	BENCH(ident, .name = title, .unit = "ns", .what = text, .arg = op_, .arg2 = tasks, .run = file_run, \
	      .also = title ".cpu " title ".uring " title ".uring.cpu " title ".pool " title ".pool.cpu " title ".plain " title ".plain.cpu")
FILE_BENCH(read_1, "file.read.4k.1", READ_CACHED, 1, "a read of 4 KiB that the page cache has, one task")
FILE_BENCH(read_64, "file.read.4k.64", READ_CACHED, 64, "the same, 64 tasks at a time")
FILE_BENCH(disk_1, "file.disk.4k.1", READ_DISK, 1, "a read of 4 KiB from the disk, one task")
FILE_BENCH(disk_64, "file.disk.4k.64", READ_DISK, 64, "the same, 64 tasks at a time")
FILE_BENCH(direct_1, "file.direct.4k.1", READ_DIRECT, 1, "a read of 4 KiB past the page cache (O_DIRECT), one task")
FILE_BENCH(direct_64, "file.direct.4k.64", READ_DIRECT, 64, "the same, 64 tasks at a time")
FILE_BENCH(directw_1, "file.direct.write.4k.1", WRITE_DIRECT, 1, "a write of 4 KiB past the page cache, one task")
FILE_BENCH(directw_64, "file.direct.write.4k.64", WRITE_DIRECT, 64, "the same, 64 tasks at a time")
FILE_BENCH(write_1, "file.write.4k.1", WRITE, 1, "a write of 4 KiB into the page cache, one task")
FILE_BENCH(write_64, "file.write.4k.64", WRITE, 64, "the same, 64 tasks at a time")
FILE_BENCH(sync_1, "file.sync.4k.1", WRITE_SYNC, 1, "a write of 4 KiB and fdatasync, one task")
FILE_BENCH(sync_64, "file.sync.4k.64", WRITE_SYNC, 64, "the same, 64 tasks at a time")
FILE_BENCH(open_1, "file.open.1", OPEN, 1, "open and close, one task")
FILE_BENCH(open_64, "file.open.64", OPEN, 64, "the same, 64 tasks at a time")
