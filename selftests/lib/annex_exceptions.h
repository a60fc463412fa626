/* SPDX-License-Identifier: MIT */
#ifndef ANNEX_EXCEPTIONS_H
#define ANNEX_EXCEPTIONS_H

#ifdef __cplusplus
extern "C" {
#endif

/* In a task: exceptions leave @levels calls on other stacks at once. The frames that were left then. */
int annex_throw_through(int levels);

#ifdef __cplusplus
}
#endif

#endif
