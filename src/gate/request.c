/* SPDX-License-Identifier: Apache-2.0 */
#include "request.h"

#include "answer.h"
#include "json_form.h"
#include "server.h"
#include <stdlib.h>
#include <string.h>

/* A body that is too large but not absurd is read to its end, so that the client gets to read why it was refused. */
enum { SWALLOW_MAX = 1024 * 1024 };

static struct connection *connection_of(struct request *request)
{
	return (struct connection *)((char *)request - offsetof(struct connection, request));
}

static void count(struct request *request, enum gate_counter counter)
{
	connection_of(request)->gate->stats.counter[counter]++;
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
	struct MHD_Response *response = answer_problem(why, &status);
	if (response && status == MHD_HTTP_METHOD_NOT_ALLOWED)
		(void)answer_add(
			response, MHD_HTTP_HEADER_ALLOW, request->route ? request->route->method : "GET, HEAD");
	return finish(request, status, response);
}

/* Refuse before the body was read: the library then closes the connection after the answer. */
static enum MHD_Result refuse_at_once(struct request *request)
{
	return finish_refused(request, &request->why);
}

void request_answer(struct request *request, const struct gate_reply *reply, const struct hm_problem *why)
{
	struct connection *connection = connection_of(request);
	if (reply) {
		connection->body_follows = reply->body.length > 0;
		struct MHD_Response *response = answer_make(reply->content_type, NULL, reply->body);
		if (response && reply->retry_after)
			(void)answer_add_number(response, MHD_HTTP_HEADER_RETRY_AFTER, reply->retry_after);
		(void)finish(request, reply->status, response);
	} else {
		(void)finish_refused(request, why);
	}
	/* Without an answer (no memory) the handler is called once more, and closes the connection. */
	MHD_resume_connection(connection->mhd);
	server_must_run(connection->listener);
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
	request->has_query = target && strchr(target, '?');
	request->refused = false;
	request->route = NULL;
	request->if_none_match = (struct guard_text){0};
	request->body_length = request->body_used = 0;
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
	if (caller)
		*caller = connection->verdict->caller;
	return HM_OK;
}

static hm_result check_operation(
	struct request *request, const struct guard *guard, const char *method, struct hm_problem *why)
{
	bool with_body = strcmp(request->route->method, "POST") == 0;
	if (strcmp(method, request->route->method) != 0)
		return hm_refuse(why, "method_not_allowed", NULL, "%s", request->route->method);
	hm_result known = identify(connection_of(request), NULL, why);
	if (known == HM_REFUSED)
		count(request, GATE_TLS_REFUSED_TOTAL);
	HM_TRY(known);
	if (!with_body)
		return HM_OK;
	if (!guard_is_json(guard->content_type))
		return hm_refuse(why, "unsupported_media_type", NULL, "Content-Type: application/json");
	request->body = malloc(guard->content_length + 1);
	if (!request->body)
		return hm_unavailable(why, "overload", "no memory");
	request->body_length = guard->content_length;
	return HM_OK;
}

static enum MHD_Result judge_headers(struct request *request, const char *path, const char *method, const char *version)
{
	struct guard guard = {0};
	struct hm_problem *why = &request->why;
	MHD_get_connection_values_n(connection_of(request)->mhd, MHD_HEADER_KIND, see_header, &guard);
	if (guard_check(&guard, method, version, request->has_query ? "?" : path, why) != HM_OK) {
		count(request, GATE_GUARD_REFUSED_TOTAL);
		return refuse_at_once(request);
	}
	if (guard.content_length > HM_HTTP_MAX_BODY) {
		request->refused = true;
		(void)!hm_refuse(why, "body_too_large", NULL, "at most %d bytes", HM_HTTP_MAX_BODY);
		if (guard.expects || guard.content_length > SWALLOW_MAX)
			return refuse_at_once(request);
	}
	request->route = route_find(path);
	request->if_none_match = guard.if_none_match;
	if (request->route && !request->refused)
		request->refused = check_operation(request, &guard, method, why) != HM_OK;
	request->step = REQUEST_RECEIVING;
	return MHD_YES;
}

/* ---- the last call: the whole request is there ---- */

static enum MHD_Result ask_mint(struct request *request)
{
	struct connection *connection = connection_of(request);
	struct gate *gate = connection->gate;
	struct hm_problem *why = &request->why;
	struct gate_request ask;

	if (request->body && json_form_check((const char *)request->body, request->body_used, why) != HM_OK)
		return finish_refused(request, why);
	if (identify(connection, &ask.caller, why) != HM_OK)
		return finish_refused(request, why);
	ask.operation = (uint8_t)request->route->operation;
	ask.body = (struct hm_bytes){request->body, request->body_used};
	if (gate->given_up) {
		(void)!hm_unavailable(why, "shutting_down", "the drain is over");
		return finish_refused(request, why);
	}
	if (upstream_ask(gate->upstream, &ask, request, gate->now_ms, why) != HM_OK) {
		count(request, GATE_OVERLOAD_TOTAL);
		return finish_refused(request, why);
	}
	request->step = REQUEST_WITH_MINT;
	connection_enter(connection, CONNECTION_WITH_MINT);
	MHD_suspend_connection(connection->mhd);
	return MHD_YES;
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
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
		(void)!hm_refuse(why, "method_not_allowed", NULL, "GET or HEAD");
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
		return ask_mint(request);
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
	free(request->body);
	request->body = NULL;
	if (connection_of(request)->phase != CONNECTION_ENDING)
		connection_enter(connection_of(request), CONNECTION_WAITING);
}
