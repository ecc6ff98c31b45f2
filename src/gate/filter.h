/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls that a gate at work may make. */
#ifndef HSMINT_FILTER_H
#define HSMINT_FILTER_H

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HSMINT_SANITIZED 1
#else
#define HSMINT_SANITIZED 0
#endif

/*
 * Load the filter: what is not listed answers EPERM, so that a library which probes goes on without. Sanitizers make
 * calls of their own, open files for their reports and start a process to look for leaks: there all is allowed but
 * what reaches out. Returns 0 or a negative errno.
 */
int filter_enter(void);

#endif
