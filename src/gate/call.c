/* SPDX-License-Identifier: Apache-2.0 */
#include "call.h"

#include "form.h"
#include <stdio.h>
#include <string.h>

void call_begin(struct call *call, const char *target)
{
	size_t length = target ? strlen(target) : 0;
	*call = (struct call){.has_query = target && strchr(target, '?'), .is_long = length > HM_HTTP_MAX_PATH};
	if (length && !call->is_long)
		memcpy(call->target, target, length + 1);
}

static hm_result read_header(const struct guard_header *header, const char *name, size_t most, struct guard_text *out,
	struct hm_problem *why)
{
	size_t length = header->value.length;
	bool sound = header->count == 1 && length >= 1 && length <= most;
	if (!header->count)
		return HM_OK;
	for (size_t i = 0; sound && i < length; i++)
		sound = header->value.text[i] >= ' ' && header->value.text[i] < 0x7f;
	if (!sound)
		return hm_refuse(why, "invalid_header", name, "once, 1 to %zu printable ASCII characters", most);
	*out = header->value;
	return HM_OK;
}

hm_result call_read(struct call *call, const struct guard *guard, struct hm_problem *why)
{
	const struct gate_call *room = NULL;
	const char *query = strchr(call->target, '?');
	if (call->is_long)
		return hm_refuse(why, "bad_request", NULL, "a path and query of at most %d bytes", HM_HTTP_MAX_PATH);
	if (query && !form_is_sound(query + 1, strlen(query + 1)))
		return hm_refuse(why, "bad_request", NULL, "a query of NAME=VALUE pairs, percent-encoded");
	HM_TRY(read_header(
		&guard->content_digest, "Content-Digest", sizeof room->content_digest - 1, &call->content_digest, why));
	HM_TRY(read_header(&guard->signature_input, "Signature-Input", sizeof room->signature_input - 1,
		&call->signature_input, why));
	HM_TRY(read_header(&guard->dpop, "DPoP", sizeof room->dpop - 1, &call->dpop, why));
	return read_header(&guard->signature, "Signature", sizeof room->signature - 1, &call->signature, why);
}

static void copy(struct guard_text from, char *to)
{
	if (from.length)
		memcpy(to, from.text, from.length);
	to[from.length] = 0;
}

/* The client's chain as it was sent, one certificate behind the other. */
static hm_result fill_chain(gnutls_session_t session, uint8_t *chain, struct hm_bytes *out, struct hm_problem *why)
{
	unsigned count = 0;
	size_t used = 0;
	const gnutls_datum_t *sent = gnutls_certificate_get_peers(session, &count);
	for (unsigned i = 0; sent && i < count; i++) {
		if (sent[i].size > HM_CERTIFICATES_MAX - used)
			return hm_refuse(why, "certificate_refused", NULL,
				"here, certificates of at most %d bytes together", HM_CERTIFICATES_MAX);
		memcpy(chain + used, sent[i].data, sent[i].size);
		used += sent[i].size;
	}
	*out = (struct hm_bytes){chain, used};
	return HM_OK;
}

hm_result call_fill(const struct call *call, const char *method, bool is_form, gnutls_session_t session, uint8_t *chain,
	struct gate_call *out, struct hm_problem *why)
{
	snprintf(out->method, sizeof out->method, "%s", method);
	snprintf(out->target, sizeof out->target, "%s", call->target);
	out->is_form = is_form;
	copy(call->content_digest, out->content_digest);
	copy(call->signature_input, out->signature_input);
	copy(call->signature, out->signature);
	copy(call->dpop, out->dpop);
	out->certificates = (struct hm_bytes){chain, 0};
	bool is_wanted = call->shows_client || call->signature_input.length || call->signature.length;
	return is_wanted && session ? fill_chain(session, chain, &out->certificates, why) : HM_OK;
}
