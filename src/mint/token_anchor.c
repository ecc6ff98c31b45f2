/* SPDX-License-Identifier: Apache-2.0 */
#include "token_inside.h"

#include "log.h"
#include <inttypes.h>

static bool ask(struct token *token, enum hm_frame_type type, const void *payload, size_t length)
{
	if (!token_may_send(token) || token->anchoring)
		return false;
	if (child_queue(token->child, type, 0, payload, length, NULL, 0) != HM_OK)
		return false;
	token->anchoring = true;
	token->anchoring_ms = uv_now(token->loop);
	return true;
}

bool token_anchor_put(struct token *token, const void *note, size_t length)
{
	uint8_t payload[HM_ANCHOR_MAX + 16];
	struct hm_writer w = hm_writer(payload, sizeof payload);
	hm_put_bytes(&w, note, length);
	return !w.failed && ask(token, HM_TOKEN_ANCHOR_PUT, payload, w.used);
}

bool token_anchor_get(struct token *token)
{
	return ask(token, HM_TOKEN_ANCHOR_GET, NULL, 0);
}

static void tell(struct token *token, const struct token_failure *failure, struct hm_bytes note)
{
	token->anchoring = false;
	token->events.anchored(token->events.context, token, failure, note.data, note.length);
}

hm_result token_take_anchor(struct token *token, struct hm_reader *reader)
{
	struct hm_bytes note;
	if (!token->anchoring || !token_note_get(reader, &note))
		return HM_REFUSED;
	tell(token, NULL, note);
	return HM_OK;
}

hm_result token_take_not_anchored(struct token *token, struct hm_reader *reader)
{
	struct token_failure failure;
	if (!token->anchoring || !token_failure_get(reader, &failure))
		return HM_REFUSED;
	hm_log(HM_WARNING, "token_not_anchored", "token=%s class=%s ckr=0x%" PRIx64 " detail=\"%s\"",
		token->config.name, token_class_name(failure.class), failure.ckr, failure.detail);
	tell(token, &failure, (struct hm_bytes){NULL, 0});
	return HM_OK;
}

void token_give_up_anchor(struct token *token)
{
	static const struct token_failure ended = {
		.class = TOKEN_DEVICE, .detail = "the token's process ended before it said what is kept there"};
	if (token->anchoring)
		tell(token, &ended, (struct hm_bytes){NULL, 0});
}
