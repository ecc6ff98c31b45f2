/* SPDX-License-Identifier: Apache-2.0 */
#include "batch.h"

#include "batch_form.h"
#include <stdlib.h>
#include <string.h>

/* It speaks of the Idempotency-Key, and so of the whole batch. */
enum { STATUS_OF_THE_WHOLE = 422 };

struct reply {
	char *text;
	size_t length;
};

struct batch {
	unsigned count, asked, answered, outstanding;
	size_t bytes; /* of all answers */
	bool missed;  /* there was no memory for one */
	const struct reply *whole;
	struct hm_bytes items[HM_BATCH_MAX];
	struct reply replies[HM_BATCH_MAX];
};

hm_result batch_open(const char *text, size_t length, struct batch **out, struct hm_problem *why)
{
	struct batch *batch = calloc(1, sizeof *batch);
	if (!batch)
		return hm_unavailable(why, "overload", "no memory");
	hm_result result = batch_form_read(text, length, batch->items, &batch->count, why);
	if (result != HM_OK) {
		free(batch);
		return result;
	}
	*out = batch;
	return HM_OK;
}

void batch_close(struct batch *batch)
{
	for (unsigned i = 0; batch && i < batch->count; i++)
		free(batch->replies[i].text);
	free(batch);
}

unsigned batch_count(const struct batch *batch)
{
	return batch->count;
}

bool batch_next(const struct batch *batch, unsigned *item, struct hm_bytes *body)
{
	if (batch->asked == batch->count || batch->outstanding == HM_BATCH_WINDOW || batch->whole)
		return false;
	*item = batch->asked;
	*body = batch->items[batch->asked];
	return true;
}

void batch_asked(struct batch *batch)
{
	batch->asked++;
	batch->outstanding++;
}

unsigned batch_outstanding(const struct batch *batch)
{
	return batch->outstanding;
}

void batch_take(struct batch *batch, unsigned item, bool was_asked, unsigned status, struct hm_bytes body)
{
	struct reply *reply = &batch->replies[item];
	if (was_asked)
		batch->outstanding--;
	else
		batch->asked++;
	batch->answered++;
	reply->text = malloc(body.length + 1);
	if (!reply->text) {
		batch->missed = true;
		return;
	}
	memcpy(reply->text, body.data, body.length);
	reply->length = body.length;
	batch->bytes += body.length;
	if (status == STATUS_OF_THE_WHOLE)
		batch->whole = reply;
}

bool batch_is_done(const struct batch *batch)
{
	return batch->answered == batch->count || (batch->whole && !batch->outstanding);
}

static char *text_of_the_whole(const struct batch *batch, unsigned *status, size_t *length)
{
	char *text = malloc(batch->whole->length + 1);
	if (text)
		memcpy(text, batch->whole->text, batch->whole->length);
	*length = batch->whole->length;
	*status = STATUS_OF_THE_WHOLE;
	return text;
}

char *batch_text(const struct batch *batch, unsigned *status, size_t *length)
{
	static const char begin[] = "{\"replies\":[", end[] = "]}";
	if (batch->missed)
		return NULL;
	if (batch->whole)
		return text_of_the_whole(batch, status, length);
	char *text = malloc(sizeof begin + batch->bytes + batch->count + sizeof end);
	if (!text)
		return NULL;
	char *to = mempcpy(text, begin, sizeof begin - 1);
	for (unsigned i = 0; i < batch->count; i++) {
		if (i)
			*to++ = ',';
		to = mempcpy(to, batch->replies[i].text, batch->replies[i].length);
	}
	to = mempcpy(to, end, sizeof end - 1);
	*length = (size_t)(to - text);
	*status = 200;
	return text;
}
