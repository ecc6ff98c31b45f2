/* SPDX-License-Identifier: Apache-2.0 */
/* Status lists signed in the token, recorded, and given to gate: when they changed, and before they grow old. */
#ifndef HSMINT_STATUS_PUBLISH_H
#define HSMINT_STATUS_PUBLISH_H

#include "service.h"

struct status_publisher; /* opaque; in service->status_publisher */

hm_result status_publisher_open(struct service *service, struct hm_problem *why) HM_MUST_USE;
/* Its timer ends; the memory goes with status_publisher_close, when the loop has. */
void status_publisher_end(struct service *service);
void status_publisher_close(struct status_publisher *publisher); /* NULL is fine */

/* A list may have changed: looked at soon, with all that changes meanwhile. */
void status_publisher_changed(struct service *service);
void status_publisher_tick(struct service *service); /* each second: what grows old, and what failed */

/* Of a pending for a status list: it is signed and recorded; or it will not be. Both release it. */
void status_publisher_ready(struct service *service, struct pending *pending);
void status_publisher_failed(struct service *service, struct pending *pending, const char *detail);
/* Its time is over while a token has it, or it waits. */
void status_publisher_expired(struct service *service, struct pending *pending);

#endif
