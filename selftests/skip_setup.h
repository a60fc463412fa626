/* SPDX-License-Identifier: MIT */
/*
 * SKIP_SETUP(): SKIP() in a FIXTURE_SETUP. After a SKIP(return) there the kernel's harness runs the case all the
 * same, and its teardown, on what was not set up. What the set-up has done before is its own to undo.
 */
#ifndef GREENSTK_SKIP_SETUP_H
#define GREENSTK_SKIP_SETUP_H

#define SKIP_SETUP(...) SKIP(longjmp(_metadata->env, 1), __VA_ARGS__)

#endif
