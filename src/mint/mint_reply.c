/* SPDX-License-Identifier: Apache-2.0 */
#include "mint_reply.h"

#include "clock.h"
#include "dpop.h"
#include "json_write.h"
#include "jwt.h"
#include "log.h"
#include "oauth_error.h"
#include "problem.h"
#include <stdio.h>
#include <string.h>

static void count_refusal(struct service *service, const struct problem_kind *kind)
{
	service->counters.refused_by_code[kind - problem_kinds]++;
	if (kind->status < 500)
		service->counters.refused_total++;
	else
		service->counters.failed_total++;
}

/* The next proof is to have it. Without it the client is told to, and asks again. */
static void put_dpop_nonce(struct service *service, struct gate_reply *reply)
{
	struct hm_problem why;
	if (dpop_nonce(service->dpop, hm_time(), reply->dpop_nonce, &why) != HM_OK)
		reply->dpop_nonce[0] = 0;
}

static bool is_of_dpop(const char *code)
{
	return strcmp(code, "use_dpop_nonce") == 0 || strcmp(code, "invalid_dpop_proof") == 0;
}

void mint_refuse(struct service *service, uint64_t generation, uint64_t id, enum gate_operation operation,
	const struct hm_problem *why)
{
	char body[HM_PROBLEM_MAX];
	const struct problem_kind *kind = problem_kind(why->code);
	bool is_oauth = operation == OPERATION_TOKEN;
	size_t length = is_oauth ? oauth_error_write(why, body, sizeof body) : problem_write(why, body, sizeof body);
	struct gate_reply reply = {.status = (uint16_t)(is_oauth ? oauth_error_of(why->code).status : kind->status),
		.retry_after = problem_retry_after(why),
		.body = {(uint8_t *)body, length}};
	snprintf(reply.content_type, sizeof reply.content_type, "%s", is_oauth ? "application/json" : HM_PROBLEM_TYPE);
	if (is_of_dpop(kind->code))
		put_dpop_nonce(service, &reply);
	count_refusal(service, kind);
	if (kind->status == 500)
		hm_log(HM_ERROR, "internal", "detail=\"%s\"", why->detail);
	gate_answer(service->gate, generation, id, &reply);
}

/* ---- a credential ---- */

static void put_receipt(const struct service *service, const struct receipt *receipt, struct hm_json *json)
{
	char origin[HM_ORIGIN_MAX + 1];
	ledger_origin(service->ledger, receipt->shard, origin);
	hm_json_key(json, "ledger");
	hm_json_begin(json, '{');
	hm_json_member_string(json, "origin", origin);
	hm_json_member_number(json, "index", (int64_t)receipt->index);
	hm_json_end(json, '}');
}

static void put_status(const struct service *service, const struct pending *pending, struct hm_json *json)
{
	char uri[HM_URL_MAX + 32] = "";
	for (unsigned i = 0; i < service->config->issuers_count; i++)
		if (strcmp(service->config->issuers[i].name, pending->issuer) == 0)
			status_place_uri(service->config->issuers[i].url, &pending->place, uri, sizeof uri);
	hm_json_key(json, "status");
	hm_json_begin(json, '{');
	hm_json_member_string(json, "uri", uri);
	hm_json_member_number(json, "index", pending->place.index);
	hm_json_end(json, '}');
}

static void put_credential(const struct pending *pending, struct hm_json *json)
{
	hm_json_member_string(json, "credential", pending->jwt);
	hm_json_member_string(json, "kind", credential_kind_name(pending->kind));
	hm_json_member_string(json, "profile", pending->profile);
	hm_json_member_string(json, "kid", pending->kid);
	hm_json_member_string(json, "id", pending->id_text);
	hm_json_member_number(json, "issued_at", pending->issued);
	hm_json_member_number(json, "expires_at", pending->expires);
}

/* RFC 6749, section 5.1. The scope is what was asked for, which need not be said. */
static void put_access_token(const struct pending *pending, struct hm_json *json)
{
	hm_json_member_string(json, "access_token", pending->jwt);
	if (pending->is_exchange) /* RFC 8693, section 2.2.1 */
		hm_json_member_string(json, "issued_token_type", "urn:ietf:params:oauth:token-type:access_token");
	hm_json_member_string(json, "token_type", pending->is_dpop ? "DPoP" : "Bearer"); /* RFC 9449, section 5 */
	hm_json_member_number(json, "expires_in", pending->expires - pending->issued);
}

size_t mint_reply_write(const struct service *service, const struct pending *pending, char *body, size_t size)
{
	struct hm_json json = hm_json(body, size);
	hm_json_begin(&json, '{');
	if (pending->operation == OPERATION_TOKEN)
		put_access_token(pending, &json);
	else
		put_credential(pending, &json);
	if (pending->task[0])
		hm_json_member_string(&json, "task", pending->task);
	if (pending->has_place && pending->operation != OPERATION_TOKEN)
		put_status(service, pending, &json);
	put_receipt(service, &pending->receipt, &json);
	hm_json_end(&json, '}');
	return json.out.failed ? 0 : json.out.used;
}

/* At a token endpoint nobody has heard of 202: as RFC 8628, section 3.5. */
void mint_reply_asked(struct service *service, uint64_t generation, uint64_t id, enum gate_operation operation,
	const struct approval *approval)
{
	char body[HM_PROBLEM_MAX];
	struct hm_json json = hm_json(body, sizeof body);
	bool is_oauth = operation == OPERATION_TOKEN;
	hm_json_begin(&json, '{');
	if (is_oauth)
		hm_json_member_string(&json, "error", "authorization_pending");
	hm_json_key(&json, "approval");
	hm_json_begin(&json, '{');
	hm_json_member_string(&json, "id", approval->id);
	hm_json_member_string(&json, "hash", approval->hash);
	hm_json_member_number(&json, "expires_at", approval->expires);
	hm_json_end(&json, '}');
	hm_json_end(&json, '}');
	const struct gate_reply reply = {.status = is_oauth ? 400 : 202,
		.content_type = "application/json",
		.body = {(uint8_t *)body, json.out.used}};
	gate_answer(service->gate, generation, id, &reply);
}

static struct gate_reply reply_of(const char *body, size_t length)
{
	return (struct gate_reply){
		.status = 200, .content_type = "application/json", .body = {(uint8_t *)body, length}};
}

bool mint_reply_give(struct service *service, const struct pending *pending, const char *body, size_t length)
{
	struct gate_reply reply = reply_of(body, length);
	if (pending->is_dpop) /* RFC 9449, section 8.2 */
		put_dpop_nonce(service, &reply);
	return gate_answer(service->gate, pending->gate_generation, pending->gate_request, &reply);
}

bool mint_reply_give_again(struct service *service, uint64_t generation, uint64_t id, const char *text, size_t length)
{
	static const char again[] = ",\"replayed\":true}";
	char body[MINT_REPLY_MAX + sizeof again];
	memcpy(body, text, length - 1);
	memcpy(body + length - 1, again, sizeof again - 1);
	service->counters.replayed_total++;
	const struct gate_reply reply = reply_of(body, length - 1 + sizeof again - 1);
	return gate_answer(service->gate, generation, id, &reply);
}
