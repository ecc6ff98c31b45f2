/* SPDX-License-Identifier: Apache-2.0 */
/* What the bench's programs share: reading numbers from the command line, and the clock. */
#ifndef HSMINT_BENCH_OPTIONS_H
#define HSMINT_BENCH_OPTIONS_H

#include <stdint.h>

enum { BENCH_FAILED = 1, BENCH_USAGE = 2, BENCH_SECONDS_MAX = 24 * 60 * 60 };

/* A whole number from `least` to `most`; else say so on standard error and end with BENCH_USAGE. */
long bench_number(const char *flag, const char *text, long least, long most);

/* Seconds, with a fraction if wanted, at most BENCH_SECONDS_MAX; in microseconds. Else end with BENCH_USAGE. */
int64_t bench_seconds(const char *flag, const char *text);

/* Say on standard error what is wrong with the command line, and end with BENCH_USAGE. */
void bench_usage(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Say on standard error what failed, and end with BENCH_FAILED. */
void bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

int64_t bench_now_us(void); /* of the monotonic clock */
int64_t bench_cpu_us(void); /* user and system time of this process, all its threads */

#endif
