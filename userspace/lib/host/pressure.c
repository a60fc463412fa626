// SPDX-License-Identifier: MIT
#include "host/pressure.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SYSTEM "/proc/pressure/memory"
#define PATH   512

const char *gstk__cgroup_mount[2] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };

/* The group's path in that hierarchy: "0::/a/b". */
static bool group_of_us(char *line, int size)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	bool found = false;

	while (f && !found && fgets(line, size, f))
		found = !strncmp(line, "0::/", 4);
	if (f)
		fclose(f);
	line[found ? strcspn(line, "\n") : 0] = 0;
	return found;
}

/* Its directory, below one of the mounts. */
static void directory(char path[PATH], const char *mount, const char *group)
{
	snprintf(path, PATH, "%s%s", mount, strcmp(group, "/") ? group : "");
}

const char *gstk__pressure_file(char file[GSTK__PRESSURE_PATH])
{
	char line[384], path[PATH];

	for (int i = 0; i < 2 && group_of_us(line, sizeof(line)); i++) {
		directory(path, gstk__cgroup_mount[i], line + 3);
		snprintf(file, GSTK__PRESSURE_PATH, "%s/memory.pressure", path);
		if (!access(file, R_OK))
			return file;
	}
	return SYSTEM;
}

/* ---- the limit ---- */

enum { MAX, HIGH, CURRENT, STAT };

static bool open_level(struct gstk__memory_level *l, const char *path)
{
	static const char *const names[] = { "memory.max", "memory.high", "memory.current", "memory.stat" };
	char file[PATH + 20];

	for (int i = 0; i < 4; i++) {
		snprintf(file, sizeof(file), "%s/%s", path, names[i]);
		l->fd[i] = open(file, O_RDONLY | O_CLOEXEC);
	}
	return l->fd[CURRENT] >= 0 && (l->fd[MAX] >= 0 || l->fd[HIGH] >= 0);
}

static void close_level(struct gstk__memory_level *l)
{
	for (int i = 0; i < 4; i++)
		if (l->fd[i] >= 0)
			close(l->fd[i]);
}

static void text_of(int fd, char *text, size_t size)
{
	ssize_t n = fd < 0 ? -1 : pread(fd, text, size - 1, 0);

	text[n > 0 ? n : 0] = 0;
}

/* "max", and a file that is not there, are without limit. */
static uint64_t number_of(int fd)
{
	char text[32];

	text_of(fd, text, sizeof(text));
	return *text >= '0' && *text <= '9' ? strtoull(text, NULL, 10) : UINT64_MAX;
}

static uint64_t line_of(const char *stat, const char *name)
{
	const char *at = strstr(stat, name);

	return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* What goes by itself when there is no room. The lines are in the first kilobyte. */
static uint64_t droppable(int fd)
{
	char stat[2048];

	text_of(fd, stat, sizeof(stat));
	return line_of(stat, "\ninactive_file ") + line_of(stat, "\nactive_file ") + line_of(stat, "\nslab_reclaimable ");
}

static uint32_t percent(uint64_t used, uint64_t limit)
{
	uint64_t p = limit / 100 ? used / (limit / 100) : 100;

	return p < 100 ? (uint32_t)p : 100;
}

/* True: it is nearer than what @out has. */
static bool look_at(const struct gstk__memory_level *l, struct gstk__memory_limit *out)
{
	uint64_t max = number_of(l->fd[MAX]), high = number_of(l->fd[HIGH]), used = number_of(l->fd[CURRENT]), drop;
	uint64_t limit = high < max ? high : max;
	uint32_t filled;

	if (limit == UINT64_MAX || used == UINT64_MAX)
		return false;
	filled = percent(used, limit);
	if (filled >= GSTK__MEMORY_NEAR) { /* not before, for that makes the kernel sum up over all processors */
		drop = droppable(l->fd[STAT]);
		filled = percent(used - (drop < used ? drop : used), limit);
	}
	if (out->bytes != UINT64_MAX && filled <= out->filled)
		return false;
	out->bytes = limit;
	out->filled = filled;
	return true;
}

/* The group, then those that it is in: @fn of each path. */
static void upwards(const char *mount, const char *group, void (*fn)(const char *path, void *arg), void *arg)
{
	char path[PATH], *top = path + strlen(mount), *end;

	directory(path, mount, group);
	for (end = path + strlen(path);; *end = 0) {
		fn(path, arg);
		if (end == top)
			return;
		while (end > top && *--end != '/')
			;
	}
}

static void of_all(void (*fn)(const char *path, void *arg), void *arg)
{
	char line[384];

	if (!group_of_us(line, sizeof(line)))
		return;
	for (int i = 0; i < 2; i++)
		upwards(gstk__cgroup_mount[i], line + 3, fn, arg);
}

static void look_once(const char *path, void *arg)
{
	struct gstk__memory_limit *out = arg;
	struct gstk__memory_level l;

	if (open_level(&l, path) && look_at(&l, out))
		snprintf(out->group, sizeof(out->group), "%s", path);
	close_level(&l);
}

void gstk__memory_limit_of(const char *mount, const char *group, struct gstk__memory_limit *out)
{
	upwards(mount, group, look_once, out);
}

void gstk__memory_limit(struct gstk__memory_limit *out)
{
	*out = (struct gstk__memory_limit){ .bytes = UINT64_MAX };
	of_all(look_once, out);
}

static void watch(const char *path, void *arg)
{
	struct gstk__memory_watch *w = arg;

	if (w->nr == GSTK__MEMORY_LEVELS)
		return;
	if (open_level(&w->level[w->nr], path))
		w->nr++;
	else
		close_level(&w->level[w->nr]);
}

void gstk__memory_watch(struct gstk__memory_watch *w)
{
	w->nr = 0;
	of_all(watch, w);
}

void gstk__memory_unwatch(struct gstk__memory_watch *w)
{
	for (; w->nr; w->nr--)
		close_level(&w->level[w->nr - 1]);
}

uint32_t gstk__memory_filled(const struct gstk__memory_watch *w)
{
	struct gstk__memory_limit l = { .bytes = UINT64_MAX };

	for (uint32_t i = 0; i < w->nr; i++)
		look_at(&w->level[i], &l);
	return l.filled;
}
