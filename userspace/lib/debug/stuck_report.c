// SPDX-License-Identifier: MIT
/* A worker is stuck: who, for how long, in what, and what waits for it. The process goes on. */
#include "debug/stuck_report.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "debug/annotate.h"
#include "debug/out.h"
#include "sched/stuck.h"
#include "sched/worker.h"

/* What the kernel says of the thread: "NR args... sp pc" in a system call, "running" else. */
static void print_where(struct gstk__out *o, int tid)
{
	char path[64], text[256];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	if (n <= 0)
		return;
	text[n] = 0;
	if (text[0] >= '0' && text[0] <= '9') {
		text[strcspn(text, " \n")] = 0;
		gstk__outf(o, ", in system call %s", text);
	} else if (text[0] == 'r') {
		gstk__outf(o, ", computing");
	}
}

static GSTK__RACY struct gstk_task *running(struct gstk__worker *v)
{
	return *(struct gstk_task *volatile *)&v->current;
}

static void report(uint32_t index, uint64_t stuck_ns)
{
	struct gstk__worker *v = gstk__sched.worker[index];
	struct gstk_task *t = running(v);
	struct gstk__out o = { .fd = 2 };
	struct gstk__ext *x = t ? gstk__ext(t) : NULL;

	if (!t)
		return; /* just now it came back */
	gstk__outf(&o, "greenstk: worker %u does not get back from task %u \"%s\" for %u ms", (uint64_t)index,
		   (uint64_t)gstk__task_index(t), x ? x->name : "", stuck_ns / 1000000);
	print_where(&o, v->tid);
	gstk__outf(&o, "; others take over its queues and timers%s\n",
		   atomic_load(&v->inbox) ? ", but not the tasks pinned to it, some of which can run" : "");
	gstk__out_flush(&o);
}

void gstk__stuck_report_init(uint64_t report_ns)
{
	gstk__stuck_reset();
	gstk__stuck_report_ns = report_ns;
	gstk__stuck_hook = report;
}

void gstk__stuck_report_fini(void)
{
	gstk__stuck_hook = NULL;
}
