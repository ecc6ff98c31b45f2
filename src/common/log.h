/* SPDX-License-Identifier: Apache-2.0 */
/* One line per event on standard error: `time=… level=… process=… event=… key=value …`. Never a secret. */
#ifndef HSMINT_LOG_H
#define HSMINT_LOG_H

#include "result.h"

enum hm_level { HM_INFO, HM_WARNING, HM_ERROR };

/* Name this process in every later line ("mint", "gate", "token/soft"), at most 63 characters. */
void hm_log_open(const char *process);

/* Write one line. `event` is a constant word; `format` gives the rest as key=value pairs, values with spaces in
 * double quotes. Control characters are written as '?', so that no value can forge a line. */
void hm_log(enum hm_level level, const char *event, const char *format, ...) HM_PRINTF(3, 4);

#endif
