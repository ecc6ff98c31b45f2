/* SPDX-License-Identifier: Apache-2.0 */
/* What the service tells about itself: `hsmint status`, /readyz and /metrics. */
#ifndef HSMINT_REPORT_H
#define HSMINT_REPORT_H

#include "service.h"

enum { REPORT_MAX = 256 * 1024 };

/* Each writes into `text` of `size` (REPORT_MAX suffices) and returns the length. */
size_t report_status(const struct service *service, char *text, size_t size);
size_t report_ready(const struct service *service, char *text, size_t size);

/* Prometheus text. Of the issuers, only those where `caller` has the role audit. */
size_t report_metrics(const struct service *service, const struct gate_caller *caller, char *text, size_t size);

#endif
