/* SPDX-License-Identifier: Apache-2.0 */
/* The batch of one HTTP request: its requests, which of them were asked for, and their answers. */
#ifndef HSMINT_BATCH_H
#define HSMINT_BATCH_H

#include "gate_protocol.h"

struct batch; /* opaque; made by batch_open, released by batch_close */

/* `text` is the body, which must outlive the batch. HM_REFUSED as batch_form_read; HM_UNAVAILABLE: no memory. */
hm_result batch_open(const char *text, size_t length, struct batch **out, struct hm_problem *why) HM_MUST_USE;
void batch_close(struct batch *batch); /* NULL is fine */

unsigned batch_count(const struct batch *batch);

/* The next request to ask for; false: none is left, or HM_BATCH_WINDOW are asked for and not answered. */
bool batch_next(const struct batch *batch, unsigned *item, struct hm_bytes *body) HM_MUST_USE;
void batch_asked(struct batch *batch);                 /* the next one was */
unsigned batch_outstanding(const struct batch *batch); /* asked for and not answered */

/* The answer to one that was asked for, or to the next (`was_asked` false); copied. What there is no memory for is
 * missed in batch_text. */
void batch_take(struct batch *batch, unsigned item, bool was_asked, unsigned status, struct hm_bytes body);
bool batch_is_done(const struct batch *batch);

/* The whole answer, once batch_is_done: its text (malloced, the caller's) and its status, 200 or that of the problem
 * which the text then is. NULL: no memory. */
char *batch_text(const struct batch *batch, unsigned *status, size_t *length) HM_MUST_USE;

#endif
