/* SPDX-License-Identifier: Apache-2.0 */
#include "request.h"

#include "answer.h"
#include "body.h"
#include "problem.h"
#include "server.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A body that is too large but not absurd is read to its end, so that the client gets to read why it was refused. */
enum { SWALLOW_MAX = 2 * HM_HTTP_MAX_BATCH_BODY };

static struct connection *connection_of(struct request *request)
{
	return (struct connection *)((char *)request - offsetof(struct connection, request));
}

static void count(struct request *request, enum gate_counter counter)
{
	connection_of(request)->gate->stats.counter[counter]++;
}

static void count_refusal(struct request *request, const struct hm_problem *why)
{
	if (strcmp(why->code, "overload") == 0)
		count(request, GATE_OVERLOAD_TOTAL);
}

static bool is_public_read(const struct request *request)
{
	return request->route && request->route->operation == OPERATION_LEDGER_PUBLIC;
}

static bool is_token_request(const struct request *request)
{
	return request->route && request->route->operation == OPERATION_TOKEN;
}

static bool speaks_oauth(const struct request *request)
{
	return request->route && (request->route->flags & ROUTE_OAUTH);
}

/* ---- answers ---- */

/* Queue an answer and release it. A NULL one (no memory) closes the connection. */
static enum MHD_Result finish(struct request *request, unsigned status, struct MHD_Response *response)
{
	struct connection *connection = connection_of(request);
	if (!response)
		return MHD_NO;
	if (connection->gate->closing)
		(void)answer_add(response, MHD_HTTP_HEADER_CONNECTION, "close");
	request->step = REQUEST_ANSWERED;
	connection_enter(connection, CONNECTION_ANSWERING);
	enum MHD_Result result = MHD_queue_response(connection->mhd, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result finish_refused(struct request *request, const struct hm_problem *why)
{
	unsigned status;
	struct MHD_Response *response =
		speaks_oauth(request) ? answer_oauth_error(why, &status) : answer_problem(why, &status);
	count_refusal(request, why);
	if (response && status == MHD_HTTP_METHOD_NOT_ALLOWED)
		(void)answer_add(response, MHD_HTTP_HEADER_ALLOW, why->detail);
	return finish(request, status, response);
}

static void take_problem(struct request *request, unsigned item, bool was_asked, const struct hm_problem *why)
{
	char body[HM_PROBLEM_MAX];
	struct hm_bytes bytes = {(const uint8_t *)body, problem_write(why, body, sizeof body)};
	count_refusal(request, why);
	batch_take(request->batch, item, was_asked, (unsigned)problem_kind(why->code)->status, bytes);
}

/* Refuse before the body was read: the library then closes the connection after the answer. */
static enum MHD_Result refuse_at_once(struct request *request)
{
	return finish_refused(request, &request->why);
}

/* The answer is queued: go on with the connection. Without one (no memory) the handler is called once more, and closes
 * it. */
static void resume(struct connection *connection)
{
	MHD_resume_connection(connection->mhd);
	server_must_run(connection->listener);
}

static struct MHD_Response *make_response(const struct gate_reply *reply)
{
	const char *cache_control = reply->cache_control[0] ? reply->cache_control : NULL;
	struct MHD_Response *response = answer_make(reply->content_type, cache_control, reply->body);
	if (response && reply->retry_after)
		(void)answer_add_number(response, MHD_HTTP_HEADER_RETRY_AFTER, reply->retry_after);
	if (response && reply->etag[0])
		(void)answer_add(response, MHD_HTTP_HEADER_ETAG, reply->etag);
	if (response && reply->dpop_nonce[0])
		(void)answer_add(response, "DPoP-Nonce", reply->dpop_nonce);
	return response;
}

static bool is_known_to_client(const struct request *request, const struct gate_reply *reply)
{
	const struct guard_text *known = &request->if_none_match;
	return known->text && reply->status == MHD_HTTP_OK && answer_matches(reply->etag, known->text, known->length);
}

/* With status 304 a response goes without its body. */
static void answer_alone(struct request *request, const struct gate_reply *reply, const struct hm_problem *why)
{
	if (!reply) {
		(void)finish_refused(request, why);
		return;
	}
	bool is_known = is_known_to_client(request, reply);
	connection_of(request)->body_follows = reply->body.length > 0 && !request->is_head && !is_known;
	(void)finish(request, is_known ? MHD_HTTP_NOT_MODIFIED : reply->status, make_response(reply));
}

static void answer_batch(struct request *request)
{
	unsigned status = 0;
	size_t length = 0;
	char *text = batch_text(request->batch, &status, &length);
	connection_of(request)->body_follows = text != NULL;
	struct MHD_Response *response =
		text ? answer_take(status == MHD_HTTP_OK ? "application/json" : HM_PROBLEM_TYPE, text, length) : NULL;
	(void)finish(request, status, response);
}

/* Of a batch: go on with those that were not asked for. */
static void ask_more(struct request *request);

void request_answer(
	struct request *request, unsigned item, const struct gate_reply *reply, const struct hm_problem *why)
{
	struct connection *connection = connection_of(request);
	if (!request->batch) {
		connection->gate->public_reads -= is_public_read(request);
		connection->gate->unproven -= request->is_unproven;
		answer_alone(request, reply, why);
		resume(connection);
		return;
	}
	if (reply)
		batch_take(request->batch, item, true, reply->status, reply->body);
	else
		take_problem(request, item, true, why);
	ask_more(request);
	if (!batch_is_done(request->batch))
		return;
	answer_batch(request);
	resume(connection);
}

/* ---- the first call: what can be judged by the headers ---- */

void *request_begin(void *context, const char *target, struct MHD_Connection *mhd)
{
	(void)context;
	struct connection *connection = server_connection(mhd);
	if (!connection)
		return NULL;
	connection_enter(connection, CONNECTION_RECEIVING);
	struct request *request = &connection->request;
	request->step = REQUEST_BEGUN;
	call_begin(&request->call, target);
	request->is_head = request->refused = false;
	request->route = NULL;
	request->if_none_match = (struct guard_text){0};
	request->body_length = request->body_used = 0;
	request->body_is_large = request->is_unproven = false;
	request->terms = (struct terms){0};
	request->batch = NULL;
	count(request, GATE_REQUESTS_TOTAL);
	return request;
}

static enum MHD_Result see_header(void *context, enum MHD_ValueKind kind, const char *name, size_t name_length,
	const char *value, size_t value_length)
{
	(void)kind;
	guard_see_header(context, name, name_length, value, value_length);
	return MHD_YES;
}

/* Who calls, into `caller`; NULL to learn only whether it is somebody. */
static hm_result identify(struct connection *connection, struct gate_caller *caller, struct hm_problem *why)
{
	if (!connection->session) {
		if (!connection->peer_known)
			return hm_refuse(why, "unknown_caller", NULL, "a peer whose credentials the kernel tells");
		if (caller) {
			caller->kind = CALLER_UNIX;
			caller->uid = connection->uid;
			caller->gid = connection->gid;
			caller->pid = connection->pid;
		}
		return HM_OK;
	}
	if (!connection->verdict && !(connection->verdict = calloc(1, sizeof *connection->verdict)))
		return hm_unavailable(why, "overload", "no memory");
	HM_TRY(tls_identify(connection->session, connection->gate->tls, connection->verdict, why));
	connection->is_verified = true;
	if (caller)
		*caller = connection->verdict->caller;
	return HM_OK;
}

/* The same of a token endpoint's client, which may also prove itself by what it says (RFC 7523, section 2.2). */
static hm_result identify_client(struct connection *connection, struct gate_caller *caller, struct hm_problem *why)
{
	hm_result result = identify(connection, caller, why);
	if (result != HM_REFUSED || strcmp(why->code, "certificate_required") != 0)
		return result;
	if (caller)
		caller->kind = CALLER_NONE;
	return HM_OK;
}

static hm_result identify_for(struct request *request, struct gate_caller *caller, struct hm_problem *why)
{
	struct connection *connection = connection_of(request);
	return is_token_request(request) ? identify_client(connection, caller, why) : identify(connection, caller, why);
}

bool request_is_verified(struct connection *connection)
{
	struct hm_problem why;
	bool unjudged = !connection->is_verified && !connection->verdict;
	if (unjudged && connection->session && tls_session_is_open(connection->session))
		(void)!identify(connection, NULL, &why);
	return connection->is_verified;
}

static bool is_same_client(const struct connection *a, const struct connection *b)
{
	if (!a->session || !b->session)
		return !a->session && !b->session && a->uid == b->uid;
	return a->verdict && b->verdict && strcmp(a->verdict->caller.uri, b->verdict->caller.uri) == 0 &&
	       memcmp(a->verdict->caller.spki_sha256, b->verdict->caller.spki_sha256,
		       sizeof a->verdict->caller.spki_sha256) == 0;
}

static unsigned count_large_bodies_of(const struct connection *connection)
{
	unsigned count = 0;
	const struct connection *at = connection;
	while (at->previous)
		at = at->previous;
	for (; at; at = at->next)
		count += at->request.body_is_large && is_same_client(at, connection);
	return count;
}

/* Of the large bodies one client holds no more than it leaves to the others: whether mint knows it is not known yet. */
static hm_result make_body(struct request *request, size_t length, struct hm_problem *why)
{
	struct gate *gate = connection_of(request)->gate;
	if (length > HM_HTTP_MAX_BODY &&
		gate->large_bodies + count_large_bodies_of(connection_of(request)) >= HM_HTTP_MAX_LARGE_BODIES)
		return hm_unavailable(why, "overload", "%u large bodies are held", gate->large_bodies);
	request->body = malloc(length + 1);
	if (!request->body)
		return hm_unavailable(why, "overload", "no memory");
	request->body_length = length;
	request->body_is_large = length > HM_HTTP_MAX_BODY;
	gate->large_bodies += request->body_is_large;
	return HM_OK;
}

static bool is_call(const struct request *request)
{
	return is_token_request(request) || (request->route && request->route->operation == OPERATION_API);
}

static hm_result check_operation(
	struct request *request, const struct guard *guard, const char *method, struct hm_problem *why)
{
	bool with_body = strcmp(method, "POST") == 0;
	if (!route_takes(request->route, method))
		return hm_refuse(why, "method_not_allowed", NULL, "%s", request->route->methods);
	request->is_head = strcmp(method, "HEAD") == 0;
	if (is_public_read(request))
		return HM_OK;
	hm_result known = identify_for(request, NULL, why);
	if (known == HM_REFUSED)
		count(request, GATE_TLS_REFUSED_TOTAL);
	HM_TRY(known);
	if (is_call(request))
		HM_TRY(call_read(&request->call, guard, why));
	if (!with_body)
		return HM_OK;
	HM_TRY(body_check_type(request->route, guard, why));
	HM_TRY(terms_read(guard, connection_of(request)->gate->now_ms, &request->terms, why));
	if (is_call(request)) /* acts that are repeated know it by what they are about; OAuth has no such word */
		request->terms.key[0] = 0;
	return make_body(request, guard->content_length, why);
}

static size_t most_of(const struct route *route)
{
	return route && (route->flags & ROUTE_LARGE) ? HM_HTTP_MAX_BATCH_BODY : HM_HTTP_MAX_BODY;
}

static bool may_have_query(const struct request *request, const char *path, const char *method)
{
	if (route_is_authorization(path))
		return true;
	return request->route && (request->route->flags & ROUTE_QUERY) && strcmp(method, "GET") == 0;
}

static enum MHD_Result judge_headers(struct request *request, const char *path, const char *method, const char *version)
{
	struct guard guard = {0};
	struct hm_problem *why = &request->why;
	MHD_get_connection_values_n(connection_of(request)->mhd, MHD_HEADER_KIND, see_header, &guard);
	request->route = route_find(path);
	bool has_wrong_query = request->call.has_query && !may_have_query(request, path, method);
	if (guard_check(&guard, method, version, has_wrong_query ? "?" : path, why) != HM_OK) {
		count(request, GATE_GUARD_REFUSED_TOTAL);
		return refuse_at_once(request);
	}
	if (guard.content_length > most_of(request->route)) {
		request->refused = true;
		(void)!hm_refuse(why, "body_too_large", NULL, "at most %zu bytes", most_of(request->route));
		if (guard.expects || guard.content_length > SWALLOW_MAX)
			return refuse_at_once(request);
	}
	request->if_none_match = guard.if_none_match;
	if (request->route && !request->refused)
		request->refused = check_operation(request, &guard, method, why) != HM_OK;
	request->step = REQUEST_RECEIVING;
	return MHD_YES;
}

/* ---- the last call: the whole request is there ---- */

/* What may keep mint from being asked now, though it would be. */
static hm_result check_time(const struct request *request, const struct gate *gate, struct hm_problem *why)
{
	if (gate->given_up)
		return hm_unavailable(why, "shutting_down", "the drain is over");
	if (request->terms.deadline_ms && request->terms.deadline_ms <= gate->now_ms)
		return hm_unavailable(why, "deadline", "it passed here");
	return HM_OK;
}

static void fill_ask(const struct request *request, unsigned item, struct hm_bytes body, struct gate_request *ask)
{
	const struct terms *terms = &request->terms;
	ask->operation = (uint8_t)request->route->operation;
	ask->deadline_ms = terms->deadline_ms;
	ask->body = body;
	memcpy(ask->key.text, terms->key, sizeof ask->key.text);
	memcpy(ask->key.digest, request->digest, sizeof ask->key.digest);
	ask->key.item = (uint16_t)item;
	ask->key.items = (uint16_t)(request->batch ? batch_count(request->batch) : 1);
}

/* One that cannot be asked for while others are with mint is asked for when they are answered. */
static void ask_more(struct request *request)
{
	struct connection *connection = connection_of(request);
	struct gate *gate = connection->gate;
	struct batch *batch = request->batch;
	struct gate_request ask;
	struct hm_problem why;
	struct hm_bytes body;
	unsigned item;
	hm_result known = identify(connection, &ask.caller, &why);
	while (batch_next(batch, &item, &body)) {
		hm_result result = known;
		if (result == HM_OK)
			result = check_time(request, gate, &why);
		if (result == HM_OK) {
			fill_ask(request, item, body, &ask);
			result = upstream_ask(
				gate->upstream, &ask, request, item, batch_outstanding(batch) > 0, gate->now_ms, &why);
			if (result != HM_OK && batch_outstanding(batch))
				return;
		}
		if (result == HM_OK)
			batch_asked(batch);
		else
			take_problem(request, item, false, &why);
	}
}

static enum MHD_Result suspend(struct request *request)
{
	struct connection *connection = connection_of(request);
	request->step = REQUEST_WITH_MINT;
	connection_enter(connection, CONNECTION_WITH_MINT);
	MHD_suspend_connection(connection->mhd);
	return MHD_YES;
}

/* A batch has an end, too: what is not done by then is answered as it stands. */
static enum MHD_Result ask_batch(struct request *request)
{
	uint64_t limit = connection_of(request)->gate->now_ms + HM_REQUEST_MS;
	if (!request->terms.deadline_ms || request->terms.deadline_ms > limit)
		request->terms.deadline_ms = limit;
	ask_more(request);
	if (!batch_is_done(request->batch))
		return suspend(request);
	answer_batch(request);
	return request->step == REQUEST_ANSWERED ? MHD_YES : MHD_NO;
}

static hm_result ask_alone(struct request *request, const char *path, const char *method, struct hm_problem *why)
{
	static uint8_t chain[HM_CERTIFICATES_MAX]; /* copied at once */
	struct connection *connection = connection_of(request);
	struct gate *gate = connection->gate;
	struct gate_request ask;
	if (is_public_read(request))
		ask.caller.kind = CALLER_NONE;
	else
		HM_TRY(identify_for(request, &ask.caller, why));
	bool is_unproven = is_token_request(request) && ask.caller.kind == CALLER_NONE;
	HM_TRY(check_time(request, gate, why));
	if (is_unproven && gate->unproven == HM_UNPROVEN_MAX)
		return hm_overload(why, 1, "as many clients without a certificate wait as may");
	if (is_public_read(request) && gate->public_reads == HM_LEDGER_READS_MAX)
		return hm_overload(why, 1, "as many read the ledger as may");
	fill_ask(request, 0, (struct hm_bytes){request->body, request->body_used}, &ask);
	snprintf(ask.path, sizeof ask.path, "%s", path);
	request->call.shows_client = is_token_request(request);
	if (is_call(request))
		HM_TRY(call_fill(&request->call, method, request->route->flags & ROUTE_FORM, connection->session, chain,
			&ask.call, why));
	HM_TRY(upstream_ask(gate->upstream, &ask, request, 0, false, gate->now_ms, why));
	gate->public_reads += is_public_read(request);
	request->is_unproven = is_unproven;
	gate->unproven += is_unproven;
	return HM_OK;
}

static enum MHD_Result ask_mint(struct request *request, const char *path, const char *method)
{
	struct hm_problem *why = &request->why;
	struct hm_bytes body = {request->body, request->body_used};
	if (body_check(request->route, body, &request->batch, why) != HM_OK ||
		(request->terms.key[0] && body_digest(request->route, body, request->digest, why) != HM_OK))
		return finish_refused(request, why);
	if (request->batch)
		return ask_batch(request);
	if (ask_alone(request, path, method, why) == HM_OK)
		return suspend(request);
	return finish_refused(request, why);
}

static enum MHD_Result answer_published(struct request *request, const char *path, const char *method)
{
	struct connection *connection = connection_of(request);
	const struct published_blob *blob = published_find(connection->gate->published, path);
	struct hm_problem *why = &request->why;
	const struct guard_text *known = &request->if_none_match;
	if (!blob) {
		(void)!hm_refuse(why, "not_found", NULL, "a path of the API");
		return finish_refused(request, why);
	}
	bool is_posted = strcmp(method, "POST") == 0 && route_is_authorization(path);
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0 && !is_posted) {
		(void)!hm_refuse(
			why, "method_not_allowed", NULL, "GET, HEAD%s", route_is_authorization(path) ? ", POST" : "");
		return finish_refused(request, why);
	}
	request->step = REQUEST_ANSWERED;
	connection_enter(connection, CONNECTION_ANSWERING);
	if (known->text && published_matches(blob, known->text, known->length))
		return MHD_queue_response(connection->mhd, MHD_HTTP_NOT_MODIFIED, blob->response);
	return MHD_queue_response(connection->mhd, blob->status, blob->response);
}

static enum MHD_Result answer_whole(struct request *request, const char *path, const char *method)
{
	if (request->refused)
		return finish_refused(request, &request->why);
	if (request->route)
		return ask_mint(request, path, method);
	return answer_published(request, path, method);
}

static enum MHD_Result take_body(struct request *request, const char *upload, size_t *size)
{
	if (request->body) {
		if (*size > request->body_length - request->body_used)
			return MHD_NO; /* the library promised no more than the Content-Length */
		memcpy(request->body + request->body_used, upload, *size);
		request->body_used += *size;
	}
	*size = 0;
	return MHD_YES;
}

enum MHD_Result request_handle(void *context, struct MHD_Connection *mhd, const char *path, const char *method,
	const char *version, const char *upload, size_t *upload_size, void **request_context)
{
	(void)context, (void)mhd;
	struct request *request = *request_context;
	if (!request)
		return MHD_NO;
	if (request->step == REQUEST_BEGUN)
		return judge_headers(request, path, method, version);
	if (*upload_size)
		return take_body(request, upload, upload_size);
	if (request->step == REQUEST_RECEIVING)
		return answer_whole(request, path, method);
	return MHD_NO;
}

void request_end(
	void *context, struct MHD_Connection *mhd, void **request_context, enum MHD_RequestTerminationCode termination)
{
	(void)context, (void)mhd, (void)termination;
	struct request *request = *request_context;
	if (!request)
		return;
	batch_close(request->batch);
	request->batch = NULL;
	free(request->body);
	request->body = NULL;
	connection_of(request)->gate->large_bodies -= request->body_is_large;
	request->body_is_large = false;
	if (connection_of(request)->phase != CONNECTION_ENDING)
		connection_enter(connection_of(request), CONNECTION_WAITING);
}
