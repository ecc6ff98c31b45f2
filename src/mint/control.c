/* SPDX-License-Identifier: Apache-2.0 */
#include "control.h"

#include "api.h"
#include "clock.h"
#include "clock_watch.h"
#include "evidence.h"
#include "fault.h"
#include "frame.h"
#include "key_command.h"
#include "log.h"
#include "policy.h"
#include "problem.h"
#include "record.h"
#include "report.h"
#include "unlock.h"
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IDLE_MS = HM_CONTROL_IDLE_SECONDS * 1000, LOOK_MS = IDLE_MS / 6 };

struct client {
	uv_poll_t poll;
	struct control *control;
	struct channel *channel; /* NULL: this place is free */
	struct ucred peer;
	unsigned connection; /* counts those that had this place */
	unsigned unanswered; /* commands that are answered later */
	uint64_t heard_ms;   /* when it last said something, or was answered */
	bool closing;
};

struct control {
	struct service *service;
	uv_poll_t poll;
	uv_timer_t idle;
	int listener;
	unsigned open_handles;
	bool closing;
	struct client clients[HM_CONTROL_CLIENTS];
	struct control_asker asker; /* of the command that runs, */
	uint32_t uid;               /* who gave it, */
	int part;                   /* and the one descriptor that came with it, unless it is taken over; else -1 */
	char reply[EVIDENCE_MAX];
};

/* ---- commands ---- */

struct command {
	const char *name;
	unsigned roles; /* any of them */
	bool changes;   /* it is recorded */
	const char *role_names;
	/* Write the reply's JSON into control->reply and return its length; 0: control->asker is answered later. */
	hm_result (*run)(struct control *control, const json_t *request, size_t *length, struct hm_problem *why);
};

static hm_result run_status(struct control *control, const json_t *request, size_t *length, struct hm_problem *why)
{
	(void)request;
	*length = report_status(control->service, control->reply, sizeof control->reply);
	return *length ? HM_OK : hm_broken(why, "no room for the status");
}

static hm_result run_keys(struct control *control, const json_t *request, size_t *length, struct hm_problem *why)
{
	(void)request;
	*length = evidence_write(control->service, NULL, control->reply, sizeof control->reply);
	return *length ? HM_OK : hm_broken(why, "no room for the evidence");
}

static hm_result done(struct control *control, size_t *length)
{
	static const char text[] = "{\"ok\":true}";
	memcpy(control->reply, text, sizeof text - 1);
	*length = sizeof text - 1;
	return HM_OK;
}

static hm_result run_reload(struct control *control, const json_t *request, size_t *length, struct hm_problem *why)
{
	(void)request;
	HM_TRY(service_reload(control->service, why));
	return done(control, length);
}

static hm_result run_clock_accept(
	struct control *control, const json_t *request, size_t *length, struct hm_problem *why)
{
	(void)request;
	HM_TRY(clock_watch_accept(control->service, why));
	return done(control, length);
}

static hm_result find_token(
	const struct service *service, const json_t *request, struct token **token, struct hm_problem *why)
{
	const char *name = json_string_value(json_object_get(request, "token"));
	if (!name)
		return hm_refuse(why, "missing_member", "token", "the token's name");
	for (unsigned i = 0; i < service->token_count; i++) {
		*token = service->tokens[i];
		if (strcmp(token_configuration(*token)->name, name) == 0)
			return HM_OK;
	}
	return hm_refuse(why, "unknown_token", "token", "a token of the configuration");
}

static hm_result run_token_unlatch(
	struct control *control, const json_t *request, size_t *length, struct hm_problem *why)
{
	struct token *token = NULL;
	HM_TRY(find_token(control->service, request, &token, why));
	if (token_facts(token).attended)
		return hm_refuse(why, "unlock_refused", "token",
			"hsmint token unlock: people log this token in, and nothing is tried without them");
	token_retry(token, true);
	return done(control, length);
}

static hm_result run_token_unlock(
	struct control *control, const json_t *request, size_t *length, struct hm_problem *why)
{
	struct token *token = NULL;
	HM_TRY(find_token(control->service, request, &token, why));
	return unlock_give(control->service, token, control->uid, &control->part, &control->asker, control->reply,
		sizeof control->reply, length, why);
}

static hm_result run_key_adopt(struct control *control, const json_t *request, size_t *length, struct hm_problem *why)
{
	*length = 0;
	return key_command_adopt(control->service, request, &control->asker, why);
}

static hm_result run_key_activate(
	struct control *control, const json_t *request, size_t *length, struct hm_problem *why)
{
	struct hm_json json = hm_json(control->reply, sizeof control->reply);
	HM_TRY(key_command_activate(control->service, request, &json, why));
	*length = json.out.used;
	return HM_OK;
}

static hm_result run_key_retire(struct control *control, const json_t *request, size_t *length, struct hm_problem *why)
{
	struct hm_json json = hm_json(control->reply, sizeof control->reply);
	HM_TRY(key_command_retire(control->service, request, &json, why));
	*length = json.out.used;
	return HM_OK;
}

static hm_result run_key_forget(struct control *control, const json_t *request, size_t *length, struct hm_problem *why)
{
	HM_TRY(key_command_forget(control->service, request, why));
	return done(control, length);
}

static hm_result run_ledger_forget(
	struct control *control, const json_t *request, size_t *length, struct hm_problem *why)
{
	char commitment[COMMITMENT_MAX + 1];
	const char *name = json_string_value(json_object_get(request, "human"));
	if (!name)
		return hm_refuse(why, "missing_member", "human", "a name as it stood in a request");
	HM_TRY(humans_forget(control->service->config->state, name, commitment, why));
	record_forgotten(control->service, commitment);
	return done(control, length);
}

/* Agents, tasks, approvals, revocation: api.c has roles and records of its own. */
static hm_result run_api(struct control *control, const json_t *request, size_t *length, struct hm_problem *why)
{
	*length = 0;
	return api_control_request(control->service->api, control->uid, request, &control->asker, why);
}

static hm_result run_fault(struct control *control, const json_t *request, size_t *length, struct hm_problem *why)
{
	HM_TRY(fault_command(control->service, request, why));
	return done(control, length);
}

#ifdef HSMINT_TEST_CLOCK
#define NOW_MAX INT64_C(253402300799) /* the end of 9999, the last year that RFC 3339 can write */

static hm_result set_clock(const json_t *now, bool is_step, struct hm_problem *why)
{
	if (!json_is_integer(now) || json_integer_value(now) < 0 || json_integer_value(now) > NOW_MAX)
		return hm_refuse(why, "wrong_type", "now", "seconds since 1970, up to the year 9999");
	if (is_step)
		hm_clock_step(json_integer_value(now));
	else
		hm_clock_set(json_integer_value(now));
	return HM_OK;
}

static hm_result run_clock(struct control *control, const json_t *request, size_t *length, struct hm_problem *why)
{
	const json_t *now = json_object_get(request, "now");
	const json_t *synchronised = json_object_get(request, "synchronised");
	if (!now && !json_is_boolean(synchronised))
		return hm_refuse(why, "missing_member", "now", "seconds since 1970");
	if (now)
		HM_TRY(set_clock(now, json_is_true(json_object_get(request, "step")), why));
	if (json_is_boolean(synchronised))
		hm_clock_set_synchronised(json_is_true(synchronised));
	return done(control, length);
}
#endif

static const struct command commands[] = {
#ifdef HSMINT_TEST_CLOCK
	{"clock", ROLE_OPERATE, true, "operate", run_clock},
#endif
	{"api", ROLE_ANY, false, "any", run_api},
	{"status", ROLE_OPERATE | ROLE_AUDIT, false, "operate or audit", run_status},
	{"keys", ROLE_OPERATE | ROLE_AUDIT, false, "operate or audit", run_keys},
	{"reload", ROLE_OPERATE, true, "operate", run_reload},
	{"clock-accept", ROLE_OPERATE, true, "operate", run_clock_accept},
	{"token-unlatch", ROLE_OPERATE, true, "operate", run_token_unlatch},
	{"token-unlock", ROLE_OPERATE, true, "operate", run_token_unlock},
	{"key-adopt", ROLE_OPERATE, true, "operate", run_key_adopt},
	{"key-activate", ROLE_OPERATE, true, "operate", run_key_activate},
	{"key-retire", ROLE_OPERATE, true, "operate", run_key_retire},
	{"key-forget", ROLE_OPERATE, true, "operate", run_key_forget},
	{"ledger-forget", ROLE_OPERATE, true, "operate", run_ledger_forget},
	{"fault", ROLE_OPERATE, true, "operate", run_fault}};

/* Nothing is governed without a record of it. */
static hm_result check_recordable(const struct service *service, struct hm_problem *why)
{
	const char *fault = ledger_fault(service->ledger);
	return fault ? hm_unavailable(why, "ledger_unavailable", "%s", fault) : HM_OK;
}

static hm_result run(struct control *control, const struct client *client, const struct hm_frame *frame, size_t *length,
	struct hm_problem *why)
{
	json_error_t error;
	struct gate_caller caller = {.kind = CALLER_UNIX, .uid = client->peer.uid};
	json_t *request = json_loadb((const char *)frame->payload, frame->length, JSON_REJECT_DUPLICATES, &error);
	if (!request)
		return hm_refuse(why, "malformed_json", NULL, "a JSON object such as {\"command\":\"status\"}");
	const char *name = json_string_value(json_object_get(request, "command"));
	hm_result result = hm_refuse(why, "unknown_command", "command",
		"api, status, keys, reload, clock-accept, token-unlatch, token-unlock, key-adopt, key-activate, "
		"key-retire, "
		"key-forget, "
		"ledger-forget, fault");
	for (size_t i = 0; name && i < sizeof commands / sizeof *commands; i++) {
		if (strcmp(commands[i].name, name) != 0)
			continue;
		result = policy_check_role(
			control->service->config, &caller, commands[i].roles, commands[i].role_names, why);
		if (result == HM_OK && commands[i].changes)
			result = check_recordable(control->service, why);
		if (result == HM_OK)
			result = commands[i].run(control, request, length, why);
		if (commands[i].changes)
			record_command(
				control->service, client->peer.uid, name, request, result == HM_OK ? "ok" : why->code);
		hm_log(result == HM_OK ? HM_INFO : HM_WARNING, "command", "name=%s uid=%u pid=%d result=%s",
			commands[i].name, client->peer.uid, client->peer.pid, result == HM_OK ? "done" : why->code);
	}
	json_decref(request);
	return result;
}

static hm_result reply(struct client *client, uint64_t id, const char *json, size_t length)
{
	HM_TRY(channel_queue(client->channel, HM_CONTROL_REPLY, id, json, length, NULL, 0));
	return channel_flush(client->channel);
}

static hm_result take_frame(void *context, struct hm_frame *frame)
{
	struct client *client = context;
	struct control *control = client->control;
	struct hm_problem why;
	size_t length = 0;

	client->heard_ms = uv_now(&control->service->loop);
	if (frame->type != HM_CONTROL_REQUEST || frame->length > HM_CONTROL_REQUEST_MAX)
		return HM_REFUSED;
	control->asker = (struct control_asker){(unsigned)(client - control->clients), client->connection, frame->id};
	control->uid = client->peer.uid;
	control->part = frame->fd_count == 1 ? frame->fds[0] : -1;
	if (run(control, client, frame, &length, &why) != HM_OK)
		length = problem_write(&why, control->reply, sizeof control->reply);
	if (frame->fd_count == 1)
		frame->fds[0] = control->part;
	if (!length) {
		client->unanswered++;
		return HM_OK;
	}
	return reply(client, frame->id, control->reply, length);
}

/* ---- connections ---- */

static void on_closed(uv_handle_t *handle)
{
	struct control *control = handle->data;
	if (--control->open_handles == 0 && control->closing)
		free(control);
}

static void on_client_closed(uv_handle_t *handle)
{
	struct client *client = handle->data;
	client->closing = false;
	handle->data = client->control;
	on_closed(handle);
}

static void close_client(struct client *client)
{
	client->closing = true;
	uv_close((uv_handle_t *)&client->poll, on_client_closed);
	channel_close(client->channel);
	client->channel = NULL;
}

static void on_client(uv_poll_t *poll, int status, int events)
{
	struct client *client = poll->data;
	bool more;
	(void)events;
	if (status < 0 || channel_receive(client->channel, take_frame, client, &more) != HM_OK ||
		channel_waiting(client->channel)) /* an operator that does not read its answer */
		close_client(client);
}

void control_answer(struct control *control, const struct control_asker *asker, const char *json, size_t length)
{
	struct client *client = control ? &control->clients[asker->client] : NULL;
	if (!client || !client->channel || client->connection != asker->connection)
		return;
	client->unanswered--;
	client->heard_ms = uv_now(&control->service->loop);
	if (reply(client, asker->id, json, length) != HM_OK || channel_waiting(client->channel))
		shutdown(channel_fd(client->channel),
			SHUT_RDWR); /* closed by on_client: a command of it may be at work */
}

void control_refuse(struct control *control, const struct control_asker *asker, const struct hm_problem *why)
{
	char text[HM_PROBLEM_MAX];
	control_answer(control, asker, text, problem_write(why, text, sizeof text));
}

static struct client *free_place(struct control *control)
{
	for (unsigned i = 0; i < HM_CONTROL_CLIENTS; i++)
		if (!control->clients[i].channel && !control->clients[i].closing)
			return &control->clients[i];
	return NULL;
}

/* So that operators who say nothing cannot keep the others out. */
static void on_idle_timer(uv_timer_t *timer)
{
	struct control *control = timer->data;
	uint64_t now = uv_now(&control->service->loop);
	for (unsigned i = 0; i < HM_CONTROL_CLIENTS; i++)
		if (control->clients[i].channel && !control->clients[i].unanswered &&
			now - control->clients[i].heard_ms >= IDLE_MS)
			close_client(&control->clients[i]);
}

static void attend(struct control *control, struct client *client, const struct ucred *peer)
{
	uv_loop_t *loop = &control->service->loop;
	client->control = control;
	client->peer = *peer;
	client->connection++;
	client->unanswered = 0;
	client->heard_ms = uv_now(loop);
	uv_poll_init(loop, &client->poll, channel_fd(client->channel));
	client->poll.data = client;
	control->open_handles++;
	uv_poll_start(&client->poll, UV_READABLE, on_client);
}

static hm_result admit(struct control *control, int fd, struct ucred *peer, struct hm_problem *why)
{
	socklen_t length = sizeof *peer;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, peer, &length) < 0)
		return hm_unavailable(why, "system", "SO_PEERCRED: %s", strerror(errno));
	struct gate_caller caller = {.kind = CALLER_UNIX, .uid = peer->uid};
	HM_TRY(policy_check_role(control->service->config, &caller, ROLE_ANY, "any", why));
	struct client *client = free_place(control);
	if (!client)
		return hm_unavailable(why, "overload", "%d operators are connected already", HM_CONTROL_CLIENTS);
	if (!(client->channel = channel_open(fd)))
		return hm_unavailable(why, "system", "no memory for an operator");
	attend(control, client, peer);
	return HM_OK;
}

/* Say why and close. What came unread would make the kernel report a reset in place of the answer: so it is read, after
 * the end of reading has kept more from coming. */
static void turn_away(struct control *control, int fd, const struct hm_problem *why)
{
	char unread;
	size_t length = problem_write(why, control->reply, sizeof control->reply);
	if (frame_send(fd, HM_CONTROL_REPLY, 0, control->reply, length, NULL, 0) == HM_OK) {
		shutdown(fd, SHUT_RD);
		while (recv(fd, &unread, sizeof unread, MSG_DONTWAIT) > 0)
			;
	}
	close(fd);
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
	struct control *control = poll->data;
	struct hm_problem why;
	struct ucred peer = {0};
	(void)events;
	int fd = status < 0 ? -1 : accept4(control->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0 || admit(control, fd, &peer, &why) == HM_OK)
		return;
	hm_log(HM_WARNING, "control_refused", "uid=%u pid=%d result=%s", peer.uid, peer.pid, why.code);
	turn_away(control, fd, &why);
}

struct control *control_open(struct service *service, int listener)
{
	struct control *control = calloc(1, sizeof *control);
	if (!control)
		return NULL;
	control->service = service;
	control->listener = listener;
	uv_poll_init(&service->loop, &control->poll, listener);
	control->poll.data = control;
	uv_timer_init(&service->loop, &control->idle);
	control->idle.data = control;
	control->open_handles = 2;
	uv_poll_start(&control->poll, UV_READABLE, on_connection);
	uv_timer_start(&control->idle, on_idle_timer, LOOK_MS, LOOK_MS);
	return control;
}

void control_close(struct control *control)
{
	if (!control || control->closing)
		return;
	control->closing = true;
	for (unsigned i = 0; i < HM_CONTROL_CLIENTS; i++)
		if (control->clients[i].channel)
			close_client(&control->clients[i]);
	uv_close((uv_handle_t *)&control->idle, on_closed);
	uv_close((uv_handle_t *)&control->poll, on_closed);
	close(control->listener);
}
