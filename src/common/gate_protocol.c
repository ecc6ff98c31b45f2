/* SPDX-License-Identifier: Apache-2.0 */
#include "gate_protocol.h"

#include <string.h>

void gate_config_put(struct hm_writer *w, const struct gate_config *config)
{
	hm_put_u8(w, config->sandbox);
	hm_put_u8(w, config->has_unix);
	hm_put_u8(w, config->has_tcp);
	hm_put_u8(w, config->has_tls);
}

bool gate_config_get(struct hm_reader *r, struct gate_config *config)
{
	config->sandbox = hm_get_u8(r);
	config->has_unix = hm_get_u8(r);
	config->has_tcp = hm_get_u8(r);
	config->has_tls = hm_get_u8(r);
	return hm_reader_done(r) && config->sandbox <= SANDBOX_BEST && config->has_unix <= 1 && config->has_tcp <= 1 &&
	       config->has_tls <= 1;
}

void gate_publish_put(struct hm_writer *w, const struct gate_publish *publish)
{
	hm_put_string(w, publish->path);
	hm_put_u16(w, publish->status);
	hm_put_string(w, publish->content_type);
	hm_put_string(w, publish->cache_control);
	hm_put_string(w, publish->etag);
	hm_put_bytes(w, publish->body.data, publish->body.length);
}

bool gate_publish_get(struct hm_reader *r, struct gate_publish *publish)
{
	hm_get_string(r, publish->path, sizeof publish->path);
	publish->status = hm_get_u16(r);
	hm_get_string(r, publish->content_type, sizeof publish->content_type);
	hm_get_string(r, publish->cache_control, sizeof publish->cache_control);
	hm_get_string(r, publish->etag, sizeof publish->etag);
	publish->body = hm_get_bytes(r, HM_FRAME_MAX_MEMFD);
	return hm_reader_done(r) && publish->path[0] == '/' && publish->status < 600;
}

static void put_key(struct hm_writer *w, const struct gate_key *key)
{
	hm_put_string(w, key->text);
	if (!key->text[0])
		return;
	hm_put_raw(w, key->digest, sizeof key->digest);
	hm_put_u16(w, key->item);
	hm_put_u16(w, key->items);
}

static bool get_key(struct hm_reader *r, struct gate_key *key)
{
	*key = (struct gate_key){.items = 1};
	hm_get_printable(r, key->text, sizeof key->text);
	if (!key->text[0])
		return true;
	hm_get_raw(r, key->digest, sizeof key->digest);
	key->item = hm_get_u16(r);
	key->items = hm_get_u16(r);
	return key->items <= HM_BATCH_MAX && key->item < key->items;
}

static bool has_path(const struct gate_request *request)
{
	return request->operation >= OPERATION_LEDGER_PUBLIC && request->operation <= OPERATION_LEDGER_PROOF;
}

bool gate_request_has_call(const struct gate_request *request)
{
	return request->operation == OPERATION_API || request->operation == OPERATION_TOKEN;
}

static void put_call(struct hm_writer *w, const struct gate_call *call)
{
	hm_put_string(w, call->method);
	hm_put_string(w, call->target);
	hm_put_u8(w, call->is_form);
	hm_put_string(w, call->content_digest);
	hm_put_string(w, call->signature_input);
	hm_put_string(w, call->signature);
	hm_put_string(w, call->dpop);
	hm_put_bytes(w, call->certificates.data, call->certificates.length);
}

static bool get_call(struct hm_reader *r, struct gate_request *request)
{
	struct gate_call *call = &request->call;
	hm_get_printable(r, call->method, sizeof call->method);
	hm_get_printable(r, call->target, sizeof call->target);
	call->is_form = hm_get_u8(r);
	hm_get_printable(r, call->content_digest, sizeof call->content_digest);
	hm_get_printable(r, call->signature_input, sizeof call->signature_input);
	hm_get_printable(r, call->signature, sizeof call->signature);
	hm_get_printable(r, call->dpop, sizeof call->dpop);
	call->certificates = hm_get_bytes(r, HM_CERTIFICATES_MAX);
	bool is_method = strcmp(call->method, "GET") == 0 || strcmp(call->method, "POST") == 0;
	bool may_show = request->operation == OPERATION_TOKEN || call->signature_input[0] || call->signature[0] ||
			!call->certificates.length;
	return is_method && may_show && call->target[0] == '/' && call->is_form <= 1;
}

void gate_request_put(struct hm_writer *w, const struct gate_request *request)
{
	const struct gate_caller *caller = &request->caller;
	hm_put_u8(w, request->operation);
	hm_put_u8(w, caller->kind);
	if (caller->kind == CALLER_UNIX) {
		hm_put_u32(w, caller->uid);
		hm_put_u32(w, caller->gid);
		hm_put_u32(w, caller->pid);
	} else if (caller->kind == CALLER_CERTIFICATE) {
		hm_put_string(w, caller->uri);
		hm_put_raw(w, caller->spki_sha256, sizeof caller->spki_sha256);
	}
	hm_put_u64(w, request->deadline_ms);
	put_key(w, &request->key);
	if (has_path(request))
		hm_put_string(w, request->path);
	if (gate_request_has_call(request))
		put_call(w, &request->call);
	hm_put_bytes(w, request->body.data, request->body.length);
}

/* Who reads what is public is not told; at a token endpoint nobody may be. */
static bool has_its_caller(const struct gate_request *request)
{
	uint8_t kind = request->caller.kind;
	bool is_somebody = kind == CALLER_UNIX || kind == CALLER_CERTIFICATE;
	if (request->operation == OPERATION_LEDGER_PUBLIC)
		return kind == CALLER_NONE;
	return is_somebody || (kind == CALLER_NONE && request->operation == OPERATION_TOKEN);
}

bool gate_request_get(struct hm_reader *r, struct gate_request *request)
{
	struct gate_caller *caller = &request->caller;
	request->operation = hm_get_u8(r);
	caller->kind = hm_get_u8(r);
	caller->uid = caller->gid = caller->pid = UINT32_MAX;
	caller->uri[0] = 0;
	memset(caller->spki_sha256, 0, sizeof caller->spki_sha256);
	if (caller->kind == CALLER_UNIX) {
		caller->uid = hm_get_u32(r);
		caller->gid = hm_get_u32(r);
		caller->pid = hm_get_u32(r);
	} else if (caller->kind == CALLER_CERTIFICATE) {
		hm_get_string(r, caller->uri, sizeof caller->uri);
		hm_get_raw(r, caller->spki_sha256, sizeof caller->spki_sha256);
	}
	request->deadline_ms = hm_get_u64(r);
	bool sound = get_key(r, &request->key);
	request->path[0] = 0;
	if (has_path(request))
		hm_get_printable(r, request->path, sizeof request->path);
	request->call = (struct gate_call){.is_form = 0};
	if (gate_request_has_call(request))
		sound &= get_call(r, request);
	request->body =
		hm_get_bytes(r, request->operation == OPERATION_API ? HM_HTTP_MAX_BATCH_BODY : HM_HTTP_MAX_BODY);
	return hm_reader_done(r) && sound && request->operation < OPERATIONS && has_its_caller(request);
}

void gate_reply_put(struct hm_writer *w, const struct gate_reply *reply)
{
	hm_put_u16(w, reply->status);
	hm_put_u32(w, reply->retry_after);
	hm_put_string(w, reply->content_type);
	hm_put_string(w, reply->cache_control);
	hm_put_string(w, reply->etag);
	hm_put_string(w, reply->dpop_nonce);
	hm_put_bytes(w, reply->body.data, reply->body.length);
}

bool gate_reply_get(struct hm_reader *r, struct gate_reply *reply)
{
	reply->status = hm_get_u16(r);
	reply->retry_after = hm_get_u32(r);
	hm_get_string(r, reply->content_type, sizeof reply->content_type);
	hm_get_string(r, reply->cache_control, sizeof reply->cache_control);
	hm_get_string(r, reply->etag, sizeof reply->etag);
	hm_get_printable(r, reply->dpop_nonce, sizeof reply->dpop_nonce);
	reply->body = hm_get_bytes(r, HM_FRAME_MAX_MEMFD);
	return hm_reader_done(r) && reply->status >= 200 && reply->status < 600;
}

void gate_ready_put(struct hm_writer *w, const struct gate_ready *ready)
{
	hm_put_u8(w, ready->accepted);
	hm_put_string(w, ready->sandbox);
	hm_put_string(w, ready->detail);
}

bool gate_ready_get(struct hm_reader *r, struct gate_ready *ready)
{
	ready->accepted = hm_get_u8(r);
	hm_get_printable(r, ready->sandbox, sizeof ready->sandbox);
	hm_get_printable(r, ready->detail, sizeof ready->detail);
	return hm_reader_done(r) && ready->accepted <= 1;
}

void gate_stats_put(struct hm_writer *w, const struct gate_stats *stats)
{
	for (int i = 0; i < GATE_COUNTERS; i++)
		hm_put_u64(w, stats->counter[i]);
}

bool gate_stats_get(struct hm_reader *r, struct gate_stats *stats)
{
	for (int i = 0; i < GATE_COUNTERS; i++)
		stats->counter[i] = hm_get_u64(r);
	return hm_reader_done(r);
}
