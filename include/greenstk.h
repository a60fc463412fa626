// SPDX-License-Identifier: MIT
/*
 * greenstk: green tasks in plain blocking style on ordinary C stacks.
 *
 * Every function that can fail returns 0 (or a count) or a negative errno value; errno itself is
 * never the channel of an error. Functions that may park the calling task say so; on a thread that
 * is not a worker they block that thread instead; while no runtime runs they return -ESRCH.
 *
 * Objects that are NULL are a fault of the caller (SIGSEGV) unless a function is said to refuse them.
 */
#ifndef GREENSTK_H
#define GREENSTK_H

#include <greenstk/base.h>
#include <greenstk/runtime.h>
#include <greenstk/local.h>
#include <greenstk/scope.h>
#include <greenstk/task.h>
#include <greenstk/future.h>
#include <greenstk/chan.h>
#include <greenstk/sync.h>
#include <greenstk/time.h>
#include <greenstk/net.h>
#include <greenstk/file.h>
#include <greenstk/event.h>
#include <greenstk/call.h>
#include <greenstk/stats.h>
#include <greenstk/ctx.h>

#endif
