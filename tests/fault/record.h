/* SPDX-License-Identifier: Apache-2.0 */
/* The record of calls: a line each in the file HSMINT_TEST_CALLS, by all threads and processes. */
#ifndef HSMINT_TEST_RECORD_H
#define HSMINT_TEST_RECORD_H

__attribute__((format(printf, 1, 2))) void record(const char *format, ...);

/* How many threads the process has. */
unsigned count_threads(void);

#endif
