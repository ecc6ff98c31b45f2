/* SPDX-License-Identifier: Apache-2.0 */
#include "mint.h"

#include "base64url.h"
#include "json_write.h"
#include "jwt.h"
#include "log.h"
#include "problem.h"
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { RETRY_AFTER_SECONDS = 1, REPLY_MAX = HM_JWT_MAX + 1024, ID_BYTES = 16, IDS_AT_ONCE = 16 };

/* ---- answers ---- */

void mint_refuse(struct service *service, uint64_t generation, uint64_t id, const struct hm_problem *why)
{
	char body[HM_PROBLEM_MAX];
	const struct problem_kind *kind = problem_kind(why->code);
	struct gate_reply reply = {.status = (uint16_t)kind->status,
		.retry_after = strcmp(kind->retry, "after") == 0 ? RETRY_AFTER_SECONDS : 0,
		.content_type = HM_PROBLEM_TYPE,
		.body = {(uint8_t *)body, problem_write(why, body, sizeof body)}};
	service->counters.refused_by_code[kind - problem_kinds]++;
	if (kind->status < 500)
		service->counters.refused_total++;
	else
		service->counters.failed_total++;
	if (kind->status == 500)
		hm_log(HM_ERROR, "internal", "detail=\"%s\"", why->detail);
	gate_answer(service->gate, generation, id, &reply);
}

static void refuse_pending(struct service *service, const struct pending *pending, const char *code, const char *detail)
{
	struct hm_problem why = {.code = code};
	snprintf(why.detail, sizeof why.detail, "%s", detail);
	mint_refuse(service, pending->gate_generation, pending->gate_request, &why);
}

static void answer(struct service *service, const struct pending *pending)
{
	char body[REPLY_MAX];
	struct hm_json json = hm_json(body, sizeof body);
	hm_json_begin(&json, '{');
	hm_json_member_string(&json, "credential", pending->jwt);
	hm_json_member_string(&json, "kind", credential_kind_name(pending->kind));
	hm_json_member_string(&json, "profile", pending->profile);
	hm_json_member_string(&json, "kid", pending->kid);
	hm_json_member_string(&json, "id", pending->id_text);
	hm_json_member_number(&json, "issued_at", pending->issued);
	hm_json_member_number(&json, "expires_at", pending->expires);
	hm_json_end(&json, '}');
	if (json.out.failed) {
		refuse_pending(service, pending, "internal", "no room for the reply");
		return;
	}
	struct gate_reply reply = {
		.status = 200, .content_type = "application/json", .body = {(uint8_t *)body, json.out.used}};
	gate_answer(service->gate, pending->gate_generation, pending->gate_request, &reply);
}

/* ---- the way in ---- */

/* The kernel is asked for the random bytes of several ids at once; none is used twice. */
static hm_result random_id(char text[HM_ID_MAX + 1], struct hm_problem *why)
{
	static uint8_t bytes[ID_BYTES * IDS_AT_ONCE];
	static size_t used = sizeof bytes;
	if (used == sizeof bytes) {
		if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
			return hm_broken(why, "getrandom gave too little");
		used = 0;
	}
	text[base64url_encode(bytes + used, ID_BYTES, text)] = 0;
	used += ID_BYTES;
	return HM_OK;
}

static hm_result fill(struct pending *pending, const struct decision *decision, const struct mint_request *request,
	const struct issuing_key *key, struct hm_problem *why)
{
	HM_TRY(random_id(pending->id_text, why));
	struct jwt_times times = {.issued = time(NULL)};
	times.expires = times.issued + decision->lifetime;
	HM_TRY(jwt_build(
		decision, request, key->header, pending->id_text, &times, pending->jwt, &pending->tbs_length, why));
	pending->kind = decision->profile->kind;
	pending->issued = times.issued;
	pending->expires = times.expires;
	snprintf(pending->profile, sizeof pending->profile, "%s", decision->profile->name);
	memcpy(pending->kid, key->kid, sizeof pending->kid);
	return HM_OK;
}

static hm_result submit(struct service *service, struct pending *pending, const struct mint_request *request,
	const struct decision *decision, struct hm_problem *why)
{
	const struct issuing_key *key = &service->keys[decision->profile->key_index];
	if (!key->known)
		return hm_unavailable(why, "token_unavailable", "key %s is not known yet", decision->key->name);
	HM_TRY(fill(pending, decision, request, key, why));
	pending->deadline_ms = uv_now(&service->loop) + HM_REQUEST_MS;
	if (token_submit(key->token, (uint16_t)decision->key->place, pending) != HM_OK)
		return hm_unavailable(why, "token_unavailable", "token %s is stopped", decision->key->token);
	return HM_OK;
}

static hm_result decide_and_submit(
	struct service *service, uint64_t id, const struct gate_request *request, struct hm_problem *why)
{
	MINT_REQUEST_AUTO asked = {0};
	struct decision decision;
	if (service->stopping)
		return hm_unavailable(why, "shutting_down", "stopping");
	HM_TRY(mint_request_parse(request->body, &asked, why));
	HM_TRY(policy_decide(service->config, &request->caller, &asked, &decision, why));

	struct pending *pending = pending_take(service->pool);
	if (!pending)
		return hm_unavailable(why, "overload", "%d requests wait", HM_PENDING_MAX);
	pending->gate_request = id;
	pending->gate_generation = gate_generation(service->gate);
	hm_result result = submit(service, pending, &asked, &decision, why);
	if (result != HM_OK)
		pending_release(service->pool, pending);
	else if (!uv_is_active((uv_handle_t *)&service->deadline))
		mint_expire(service);
	return result;
}

void mint_request(struct service *service, uint64_t id, const struct gate_request *request)
{
	struct hm_problem why;
	if (decide_and_submit(service, id, request, &why) != HM_OK)
		mint_refuse(service, gate_generation(service->gate), id, &why);
}

/* ---- the way out ---- */

static void count_minted(struct service *service, const struct pending *pending)
{
	service->counters.minted_total++;
	for (unsigned i = 0; i < service->config->profiles_count; i++)
		if (strcmp(service->config->profiles[i].name, pending->profile) == 0)
			service->counters.minted[i]++;
}

void mint_signed(struct service *service, struct pending *pending, const uint8_t *signature, size_t length)
{
	if (!pending->answered) {
		size_t end = pending->tbs_length;
		if (end + 1 + base64url_length(length) + 1 > sizeof pending->jwt) {
			refuse_pending(service, pending, "internal", "no room for the signature");
		} else {
			pending->jwt[end++] = '.';
			end += base64url_encode(signature, length, pending->jwt + end);
			pending->jwt[end] = 0;
			count_minted(service, pending);
			answer(service, pending);
		}
	}
	pending_release(service->pool, pending);
}

void mint_failed(struct service *service, struct pending *pending, const char *code, const char *detail)
{
	if (!pending->answered)
		refuse_pending(service, pending, code, detail);
	pending_release(service->pool, pending);
}

/* ---- time ---- */

static void on_deadline(uv_timer_t *timer)
{
	mint_expire(timer->data);
}

static void expire_one(struct service *service, struct pending *pending)
{
	/* One that waits for the token's process is not late by the caller's doing: the token is away. */
	refuse_pending(service, pending, pending->at_work ? "deadline" : "token_unavailable", "");
	pending_mark_answered(service->pool, pending);
	if (!pending->token || token_forget(pending->token, pending))
		pending_release(service->pool, pending);
}

void mint_expire(struct service *service)
{
	struct pending *oldest;
	uint64_t now = uv_now(&service->loop);
	while ((oldest = pending_oldest(service->pool)) && oldest->deadline_ms <= now)
		expire_one(service, oldest);
	if (oldest)
		uv_timer_start(&service->deadline, on_deadline, oldest->deadline_ms - now, 0);
}
