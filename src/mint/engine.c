/* SPDX-License-Identifier: Apache-2.0 */
#include "engine.h"

#include "http_client.h"
#include "log.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

enum {
	ANSWER_MAX = 64 * 1024,
	FAILURES_MOST = 5, /* one after the other: then nobody is asked */
	REST_MS = 5000,    /* for so long, and after that one, to see */
};

struct question {
	TAILQ_ENTRY(question) link;
	engine_done *done;
	void *context;
	char *body;
	uint64_t until_ms; /* on the loop's clock */
};
TAILQ_HEAD(question_list, question);

/* One who asks: a connection of its own, one question at a time. */
struct asker {
	uv_work_t work;
	struct engine *engine;
	struct http_client *client;
	struct question *question; /* NULL: idle */
	hm_result result;
	struct http_answer answer;
	struct hm_problem why;
};

struct engine {
	uv_loop_t *loop;
	const struct config_policy *config;
	struct question_list waiting;
	unsigned waits, failures;
	uint64_t rests_until_ms;
	bool closing;
	struct asker askers[HM_ENGINE_ASKS];
};

/* ---- what is asked ---- */

static json_t *texts(const char *const *list, unsigned count)
{
	json_t *array = json_array();
	for (unsigned i = 0; i < count; i++)
		json_array_append_new(array, json_string(list[i]));
	return array;
}

/* One that this request opens has no id yet. */
static json_t *task_properties(const struct decision *decision)
{
	if (!decision->purpose)
		return json_null();
	return json_pack("{s:s*, s:s, s:s, s:I}", "id", decision->task ? decision->task->id : NULL, "purpose",
		decision->purpose, "on_behalf_of", decision->on_behalf_of, "expires", (json_int_t)decision->task_ends);
}

static json_t *subject_properties(const struct decision *decision)
{
	const struct agent *accountable = decision->accountable;
	return json_pack("{s:s, s:s, s:s*}", "owner", accountable->owner, "purpose", accountable->purpose, "class",
		accountable->is_class ? accountable->spiffe_id : NULL);
}

/* The four members of an AuthZEN evaluation; the same are OPA's input. */
static json_t *describe(const struct decision *decision, const struct mint_request *request)
{
	json_t *resource = json_pack("{s:s, s:o, s:s*}", "kind", credential_kind_name(decision->profile->kind),
		"audience", texts(request->audiences, request->audience_count), "scope", request->scope);
	json_t *subject = json_pack(
		"{s:s, s:s, s:o}", "type", "agent", "id", request->subject, "properties", subject_properties(decision));
	json_t *context = json_pack("{s:s, s:s, s:I, s:o, s:O*, s:O*, s:s*, s:s*, s:o*}", "caller",
		decision->caller->name, "issuer", decision->issuer->url, "lifetime", (json_int_t)decision->lifetime,
		"task", task_properties(decision), "claims", request->claims, "request", request->context, "grant",
		request->grant, "on_behalf_of", request->delegation ? request->delegation->sub : NULL, "actors",
		delegation_actors(request->delegation, request->subject));
	return json_pack("{s:o, s:{s:s}, s:{s:s, s:s, s:o}, s:o}", "subject", subject, "action", "name", "mint",
		"resource", "type", "credential", "id", decision->profile->name, "properties", resource, "context",
		context);
}

static char *write_question(
	const struct config_policy *config, const struct decision *decision, const struct mint_request *request)
{
	json_t *described = describe(decision, request);
	json_t *whole = config->engine == ENGINE_OPA ? json_pack("{s:o}", "input", described) : described;
	char *text = whole ? json_dumps(whole, JSON_COMPACT) : NULL;
	json_decref(whole);
	return text;
}

/* ---- what is answered ---- */

static void copy_id(const json_t *value, char id[HM_DECISION_ID_MAX + 1])
{
	const char *text = json_string_value(value);
	if (text && strlen(text) <= HM_DECISION_ID_MAX)
		memcpy(id, text, strlen(text) + 1);
}

/* OPA: a policy that is undefined for the input gives no result. */
static bool opa_says_yes(const json_t *answer, char id[HM_DECISION_ID_MAX + 1])
{
	const json_t *result = json_object_get(answer, "result");
	copy_id(json_object_get(answer, "decision_id"), id);
	return json_is_true(json_is_object(result) ? json_object_get(result, "allow") : result);
}

static bool authzen_says_yes(const json_t *answer, char id[HM_DECISION_ID_MAX + 1])
{
	copy_id(json_object_get(json_object_get(answer, "context"), "id"), id);
	return json_is_true(json_object_get(answer, "decision"));
}

static hm_result read_answer(const struct asker *asker, char id[HM_DECISION_ID_MAX + 1], struct hm_problem *why)
{
	json_error_t error;
	const struct http_answer *answer = &asker->answer;
	if (answer->status != 200)
		return hm_unavailable(
			why, "policy_unavailable", "the decision point answered with status %d", answer->status);
	json_t *json = json_loadb(answer->body, answer->length, JSON_REJECT_DUPLICATES, &error);
	if (!json_is_object(json)) {
		json_decref(json);
		return hm_unavailable(why, "policy_unavailable", "the decision point's answer is no JSON object");
	}
	bool is_yes = asker->engine->config->engine == ENGINE_OPA ? opa_says_yes(json, id) : authzen_says_yes(json, id);
	json_decref(json);
	return is_yes ? HM_OK : hm_refuse(why, "policy_denied", NULL, "what the site's own policy allows");
}

/* ---- asking ---- */

static void start(struct engine *engine);

static void finish(struct question *question, hm_result result, const char *id, const struct hm_problem *why)
{
	question->done(question->context, result, id, why);
	free(question->body);
	free(question);
}

static void free_when_idle(struct engine *engine)
{
	for (unsigned i = 0; i < HM_ENGINE_ASKS; i++)
		if (engine->askers[i].question)
			return;
	for (unsigned i = 0; i < HM_ENGINE_ASKS; i++)
		http_client_close(engine->askers[i].client);
	free(engine);
}

static void count(struct engine *engine, bool has_answered)
{
	engine->failures = has_answered ? 0 : engine->failures + 1;
	if (engine->failures < FAILURES_MOST)
		return;
	if (engine->failures == FAILURES_MOST)
		hm_log(HM_ERROR, "policy_unavailable", "rest_ms=%d", REST_MS);
	engine->rests_until_ms = uv_now(engine->loop) + REST_MS;
}

static void ask_in_worker(uv_work_t *work)
{
	struct asker *asker = work->data;
	const struct config_policy *config = asker->engine->config;
	asker->result = http_post(asker->client, config->path, asker->question->body, strlen(asker->question->body),
		ANSWER_MAX, &asker->answer, &asker->why);
}

static void on_asked(uv_work_t *work, int status)
{
	struct asker *asker = work->data;
	struct engine *engine = asker->engine;
	struct question *question = asker->question;
	char id[HM_DECISION_ID_MAX + 1] = "";
	(void)status;
	asker->question = NULL;
	if (asker->result == HM_OK)
		asker->result = read_answer(asker, id, &asker->why);
	else
		asker->why.code = "policy_unavailable";
	if (asker->result == HM_UNAVAILABLE)
		hm_log(HM_WARNING, "policy_failed", "detail=\"%s\"", asker->why.detail);
	http_answer_free(&asker->answer);
	count(engine, asker->result != HM_UNAVAILABLE);
	if (engine->closing) {
		asker->result = hm_unavailable(&asker->why, "shutting_down", "stopping");
		finish(question, asker->result, "", &asker->why);
		free_when_idle(engine);
		return;
	}
	finish(question, asker->result, id, &asker->why);
	start(engine);
}

static struct asker *idle_asker(struct engine *engine)
{
	/* While it rests, one at a time finds out whether it is back. */
	unsigned most = engine->failures >= FAILURES_MOST ? 1 : HM_ENGINE_ASKS;
	for (unsigned i = 0; i < most; i++)
		if (!engine->askers[i].question)
			return &engine->askers[i];
	return NULL;
}

static struct question *take_first(struct engine *engine)
{
	struct question *question = TAILQ_FIRST(&engine->waiting);
	TAILQ_REMOVE(&engine->waiting, question, link);
	engine->waits--;
	return question;
}

static bool is_resting(const struct engine *engine)
{
	return engine->failures >= FAILURES_MOST && uv_now(engine->loop) < engine->rests_until_ms;
}

static void refuse_first(struct engine *engine, const char *code, const char *detail)
{
	struct hm_problem why;
	hm_result result = hm_unavailable(&why, code, "%s", detail);
	finish(take_first(engine), result, "", &why);
}

static void start(struct engine *engine)
{
	struct asker *asker;
	while (engine->waits) {
		if (is_resting(engine) || TAILQ_FIRST(&engine->waiting)->until_ms <= uv_now(engine->loop)) {
			refuse_first(engine, "policy_unavailable", "the decision point has not answered in time");
			continue;
		}
		if (!(asker = idle_asker(engine)))
			return;
		asker->question = take_first(engine);
		asker->work.data = asker;
		(void)uv_queue_work(
			engine->loop, &asker->work, ask_in_worker, on_asked); /* fails without a function alone */
	}
}

hm_result engine_ask(struct engine *engine, const struct decision *decision, const struct mint_request *request,
	engine_done *done, void *context, struct hm_problem *why)
{
	if (engine->waits >= HM_ENGINE_WAITING_MAX || is_resting(engine))
		return hm_unavailable(
			why, "policy_unavailable", "the decision point did not answer lately, or is too slow");
	struct question *question = calloc(1, sizeof *question);
	char *body = question ? write_question(engine->config, decision, request) : NULL;
	if (!body) {
		free(question);
		return hm_broken(why, "no memory for a question");
	}
	*question = (struct question){.done = done,
		.context = context,
		.body = body,
		.until_ms = uv_now(engine->loop) + engine->config->deadline_ms};
	TAILQ_INSERT_TAIL(&engine->waiting, question, link);
	engine->waits++;
	start(engine);
	return HM_OK;
}

/* ---- from begin to end ---- */

static hm_result open_askers(struct engine *engine, struct hm_problem *why)
{
	const struct config_policy *config = engine->config;
	const struct http_identity identity = {config->ca, config->certificate, config->key};
	const struct http_way way = {
		.socket = config->socket, .whole_ms = config->deadline_ms, .content_type = "application/json"};
	for (unsigned i = 0; i < HM_ENGINE_ASKS; i++) {
		engine->askers[i].engine = engine;
		HM_TRY(http_client_open_by(config->url, &identity, &way, &engine->askers[i].client, why));
	}
	return HM_OK;
}

hm_result engine_open(uv_loop_t *loop, const struct config_policy *config, struct engine **out, struct hm_problem *why)
{
	struct engine *engine = calloc(1, sizeof *engine);
	if (!engine)
		return hm_unavailable(why, "system", "no memory");
	engine->loop = loop;
	engine->config = config;
	TAILQ_INIT(&engine->waiting);
	hm_result result = open_askers(engine, why);
	if (result != HM_OK) {
		free_when_idle(engine);
		return result;
	}
	*out = engine;
	return HM_OK;
}

void engine_close(struct engine *engine)
{
	if (!engine)
		return;
	engine->closing = true;
	while (engine->waits)
		refuse_first(engine, "shutting_down", "stopping");
	free_when_idle(engine);
}
