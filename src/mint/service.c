/* SPDX-License-Identifier: Apache-2.0 */
#include "service.h"

#include "control.h"
#include "credentials.h"
#include "documents.h"
#include "listen.h"
#include "log.h"
#include "mint.h"
#include "policy.h"
#include "process.h"
#include "report.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TICK_MS = 1000, GATHER_US = 200 };

/* ---- what the world sees ---- */

static void publish(void *context, const struct gate_publish *publication)
{
	struct service *service = context;
	if (service->gate)
		gate_publish_one(service->gate, publication);
}

bool service_is_ready(const struct service *service, char *reason, size_t size)
{
	snprintf(reason, size, "%s", service->stopping ? "stopping" : "");
	if (!reason[0] && !gate_facts(service->gate).ready)
		snprintf(reason, size, "the gate is starting");
	for (unsigned i = 0; i < service->token_count && !reason[0]; i++) {
		struct token_facts facts = token_facts(service->tokens[i]);
		if (facts.state != TOKEN_READY)
			snprintf(reason, size, "token %s is %s", token_configuration(service->tokens[i])->name,
				token_state_name(facts.state));
	}
	return !reason[0];
}

static void update_readiness(struct service *service)
{
	static char body[REPORT_MAX];
	char reason[HM_NAME_MAX + 128];
	if (!service->gate)
		return;
	bool ready = service_is_ready(service, reason, sizeof reason);
	size_t length = report_ready(service, body, sizeof body);
	if (publications_set(
		    service->publications, "/readyz", ready ? 200 : 503, "application/json", false, body, length))
		publish(service, publications_find(service->publications, "/readyz"));
	/* Who hears that we are ready may ask at once: the documents must be with gate before. */
	if (!ready || service->reported_ready || !gate_flush(service->gate))
		return;
	service->reported_ready = true;
	hm_log(HM_INFO, "ready", "version=%s ms=%lu", HSMINT_VERSION,
		(unsigned long)(uv_now(&service->loop) - service->started_ms));
	if (service->on_ready)
		service->on_ready(service->on_ready_context, service);
}

static bool knows_every_key(const struct service *service)
{
	for (unsigned i = 0; i < service->config->keys_count; i++)
		if (!service->keys[i].known)
			return false;
	return true;
}

static hm_result publish_documents(struct service *service, struct hm_problem *why)
{
	bool whole = knows_every_key(service);
	if (whole)
		publications_begin(service->publications);
	HM_TRY(documents_publish(service->config, service->keys, service->publications, publish, service, why));
	update_readiness(service);
	if (whole) {
		const struct gate_publish *ready = publications_find(service->publications, "/readyz");
		if (ready) /* set again, so that it counts as current */
			publications_set(service->publications, "/readyz", ready->status, ready->content_type, false,
				ready->body.data, ready->body.length);
		publications_end(service->publications, publish, service);
	}
	return HM_OK;
}

/* ---- tokens ---- */

static void fail_start(struct service *service, const char *detail)
{
	hm_log(HM_ERROR, "start_failed", "detail=\"%s\"", detail);
	fprintf(stderr, "hsmint: %s\n", detail);
	service->exit_status = 1;
	service_stop(service);
}

/* One issuer and one use a key, also when two tokens of the configuration turn out to be the same device. */
static hm_result check_distinct(struct service *service, unsigned index, struct hm_problem *why)
{
	const struct config_key *keys = service->config->keys;
	struct issuing_key *learned = &service->keys[index];
	for (unsigned i = 0; i < service->config->keys_count; i++) {
		if (i == index || !service->keys[i].known || strcmp(service->keys[i].kid, learned->kid) != 0 ||
			(keys[i].issuer_index == keys[index].issuer_index && keys[i].use == keys[index].use))
			continue;
		learned->known = false;
		return hm_refuse(why, "token", NULL, "keys %s and %s are the same key in the token: give each its own",
			keys[i].name, keys[index].name);
	}
	return HM_OK;
}

static hm_result learn_key(struct service *service, unsigned index, const struct token *token, struct hm_problem *why)
{
	HM_TRY(issuing_key_learn(&service->keys[index], &service->config->keys[index], token_holdings(token), why));
	return check_distinct(service, index, why);
}

static hm_result learn_keys(struct service *service, const struct token *token, struct hm_problem *why)
{
	for (unsigned i = 0; i < service->config->keys_count; i++)
		if (service->keys[i].token == token)
			HM_TRY(learn_key(service, i, token, why));
	return publish_documents(service, why);
}

static void on_token_ready(void *context, struct token *token)
{
	struct service *service = context;
	struct hm_problem why;
	if (learn_keys(service, token, &why) == HM_OK)
		return;
	if (service->reported_ready) /* what could not be learned is not signed with; all else goes on */
		hm_log(HM_ERROR, "token_not_used", "token=%s detail=\"%s\"", token_configuration(token)->name,
			why.detail);
	else
		fail_start(service, why.detail);
}

static void on_token_stopped(void *context, struct token *token)
{
	struct service *service = context;
	struct token_facts facts = token_facts(token);
	char text[512];
	update_readiness(service);
	/* A key that fails its custody check, before anything was ever minted: better no service than half of one. */
	if (!service->reported_ready && facts.class != TOKEN_LATCH && !service->stopping) {
		snprintf(text, sizeof text, "token %s: %s", token_configuration(token)->name, facts.last_error);
		fail_start(service, text);
	}
}

static void on_signed(void *context, struct pending *pending, const uint8_t *signature, size_t length)
{
	mint_signed(context, pending, signature, length);
}

static void on_failed(void *context, struct pending *pending, const char *code)
{
	mint_failed(context, pending, code);
}

static void close_all(struct service *service);

static void on_token_ended(void *context, struct token *token)
{
	struct service *service = context;
	(void)token;
	service->ending_tokens--;
	if (service->stopping && !service->gate && !service->ending_tokens)
		close_all(service);
}

static void end_token(struct service *service, struct token *token)
{
	service->ending_tokens++;
	token_end(token);
}

static struct token *start_token(struct service *service, const struct token_config *config)
{
	struct token_events events = {on_token_ready, on_token_stopped, on_signed, on_failed, on_token_ended, service};
	return token_start(&service->loop, config, service->pool, &events);
}

static bool same_configuration(const struct token_config *a, const struct token_config *b)
{
	static uint8_t first[256 * 1024], second[sizeof first];
	struct hm_writer one = hm_writer(first, sizeof first), other = hm_writer(second, sizeof second);
	token_config_put(&one, a);
	token_config_put(&other, b);
	return !one.failed && one.used == other.used && memcmp(first, second, one.used) == 0;
}

/* The running token that is configured just so, taken out of `old`; or NULL. */
static struct token *take_same(struct token *old[HM_TOKENS_MAX], const struct token_config *config)
{
	for (unsigned i = 0; i < HM_TOKENS_MAX; i++) {
		struct token *token = old[i];
		if (!token)
			continue;
		struct token_config running = *token_configuration(token);
		running.unlatch = 0;
		if (same_configuration(&running, config)) {
			old[i] = NULL;
			return token;
		}
	}
	return NULL;
}

/* A key that is refused does not keep the others from signing. */
static hm_result adopt_keys(struct service *service, struct hm_problem *why)
{
	hm_result result = HM_OK;
	struct hm_problem another;
	memset(service->keys, 0, sizeof service->keys);
	for (unsigned i = 0; i < service->config->keys_count; i++) {
		const struct config_key *key = &service->config->keys[i];
		struct token *token = service->tokens[key->token_index];
		service->keys[i].token = token;
		if (!token_holdings(token))
			continue;
		hm_result learned = learn_key(service, i, token, result == HM_OK ? why : &another);
		if (learned != HM_OK)
			result = learned;
	}
	return result;
}

/* Bring the tokens in line with the configuration: keep what stays the same, start what is new, end what is gone. */
static hm_result adopt_tokens(struct service *service, struct hm_problem *why)
{
	struct config *config = service->config;
	struct token *old[HM_TOKENS_MAX] = {0};
	static struct token_config wanted;

	memcpy(old, service->tokens, sizeof(struct token *) * service->token_count);
	memset(service->tokens, 0, sizeof service->tokens);
	service->token_count = config->tokens_count;
	for (unsigned i = 0; i < config->tokens_count; i++) {
		config_token_frame(config, i, &wanted);
		service->tokens[i] = take_same(old, &wanted);
		if (service->tokens[i])
			token_retry(service->tokens[i], false); /* one that stopped may find another PIN now */
		else
			service->tokens[i] = start_token(service, &wanted);
		if (!service->tokens[i])
			return hm_broken(why, "no memory for a token");
	}
	for (unsigned i = 0; i < HM_TOKENS_MAX; i++)
		if (old[i])
			end_token(service, old[i]);

	return adopt_keys(service, why);
}

/* ---- gate ---- */

static void answer_metrics(struct service *service, uint64_t id, const struct gate_caller *caller)
{
	static char body[REPORT_MAX];
	struct hm_problem why;
	struct gate_reply reply = {.status = 200, .content_type = "text/plain; version=0.0.4; charset=utf-8"};
	if (policy_check_role(service->config, caller, ROLE_AUDIT, "audit", &why) != HM_OK) {
		mint_refuse(service, gate_generation(service->gate), id, &why);
		return;
	}
	reply.body = (struct hm_bytes){(uint8_t *)body, report_metrics(service, caller, body, sizeof body)};
	gate_answer(service->gate, gate_generation(service->gate), id, &reply);
}

static void on_request(void *context, uint64_t id, const struct gate_request *request)
{
	struct service *service = context;
	if (request->operation == OPERATION_METRICS)
		answer_metrics(service, id, &request->caller);
	else
		mint_request(service, id, request);
}

static void on_gate_ready(void *context, const struct gate_ready *ready)
{
	struct service *service = context;
	if (ready->accepted) {
		update_readiness(service);
		return;
	}
	hm_log(HM_ERROR, "gate_refused", "detail=\"%s\"", ready->detail);
	if (!gate_facts(service->gate).ready && !service->reported_ready)
		fail_start(service, ready->detail);
}

static void on_gate_ended(void *context)
{
	struct service *service = context;
	service->gate = NULL;
	control_close(service->control);
	service->control = NULL;
	for (unsigned i = 0; i < service->token_count; i++)
		end_token(service, service->tokens[i]);
	service->token_count = 0;
	if (!service->ending_tokens)
		close_all(service);
}

/* ---- the loop ---- */

/* While a token is behind, nobody gains by our looking at once: frames that come one by one wake us, and by us others,
 * for each of them. Let some gather; the token's threads have enough at hand meanwhile. */
static void gather(const struct service *service)
{
	const struct timespec time = {.tv_nsec = GATHER_US * 1000L};
	for (unsigned i = 0; i < service->token_count; i++)
		if (token_is_behind(service->tokens[i])) {
			nanosleep(&time, NULL);
			return;
		}
}

static void on_prepare(uv_prepare_t *prepare)
{
	struct service *service = prepare->data;
	for (unsigned i = 0; i < service->token_count; i++)
		token_flush(service->tokens[i]);
	if (service->gate)
		gate_flush(service->gate);
	gather(service);
}

static void on_tick(uv_timer_t *tick)
{
	struct service *service = tick->data;
	for (unsigned i = 0; i < service->token_count; i++)
		token_tick(service->tokens[i]);
	update_readiness(service);
}

static void on_stop_signal(uv_signal_t *handle, int signal)
{
	(void)signal;
	service_stop(handle->data);
}

static void on_hang_up(uv_signal_t *handle, int signal)
{
	struct hm_problem why;
	(void)signal;
	if (service_reload(handle->data, &why) != HM_OK)
		hm_log(HM_ERROR, "reload_refused", "detail=\"%s\"", why.detail);
}

static void on_parent(uv_poll_t *poll, int status, int events)
{
	(void)status, (void)events;
	uv_poll_stop(poll);
	service_stop(poll->data);
}

static void close_handle(uv_handle_t *handle, void *context)
{
	(void)context;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

static void close_all(struct service *service)
{
	uv_handle_t *const handles[] = {(uv_handle_t *)&service->prepare, (uv_handle_t *)&service->tick,
		(uv_handle_t *)&service->deadline, (uv_handle_t *)&service->terminate,
		(uv_handle_t *)&service->interrupt, (uv_handle_t *)&service->hang_up, (uv_handle_t *)&service->parent};
	for (size_t i = 0; i < sizeof handles / sizeof *handles; i++)
		if (handles[i]->data)
			close_handle(handles[i], NULL);
}

void service_stop(struct service *service)
{
	if (service->stopping)
		return;
	service->stopping = true;
	hm_log(HM_INFO, "stopping", "pending=%u", pending_count(service->pool));
	update_readiness(service);
	gate_drain(service->gate);
}

static void open_loop(struct service *service, int parent)
{
	uv_loop_init(&service->loop);
	uv_prepare_init(&service->loop, &service->prepare);
	uv_timer_init(&service->loop, &service->tick);
	uv_timer_init(&service->loop, &service->deadline);
	uv_signal_init(&service->loop, &service->terminate);
	uv_signal_init(&service->loop, &service->interrupt);
	uv_signal_init(&service->loop, &service->hang_up);
	service->prepare.data = service->tick.data = service->deadline.data = service->terminate.data =
		service->interrupt.data = service->hang_up.data = service;
	uv_prepare_start(&service->prepare, on_prepare);
	uv_timer_start(&service->tick, on_tick, TICK_MS, TICK_MS);
	uv_signal_start(&service->terminate, on_stop_signal, SIGTERM);
	uv_signal_start(&service->interrupt, on_stop_signal, SIGINT);
	uv_signal_start(&service->hang_up, on_hang_up, SIGHUP);
	if (parent >= 0) {
		uv_poll_init(&service->loop, &service->parent, parent);
		service->parent.data = service;
		uv_poll_start(&service->parent, UV_READABLE, on_parent);
	}
	service->started_ms = uv_now(&service->loop);
}

/* ---- start and reload ---- */

static hm_result lock_state(struct service *service, struct hm_problem *why)
{
	char path[HM_PATH_MAX];
	const char *state = service->config->state;
	if (mkdir(state, 0700) < 0 && errno != EEXIST)
		return hm_refuse(why, "config", NULL, "%s: %s", state, strerror(errno));
	if (snprintf(path, sizeof path, "%s/lock", state) >= (int)sizeof path)
		return hm_refuse(why, "config", NULL, "%s: path too long", state);
	service->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (service->lock < 0)
		return hm_refuse(why, "config", NULL, "%s: %s", path, strerror(errno));
	if (flock(service->lock, LOCK_EX | LOCK_NB) < 0)
		return hm_refuse(why, "config", NULL, "%s: another hsmint serves this state directory", path);
	return HM_OK;
}

static hm_result open_sockets(struct service *service, int tcp_listener, int *control, struct hm_problem *why)
{
	struct config_listen *listen = &service->config->listen;
	HM_TRY(listen_unix(listen->control, SOCK_SEQPACKET, control, why));
	HM_TRY(listen_unix(listen->socket, SOCK_STREAM, &service->sockets.unix_socket, why));
	service->sockets.sandbox = listen->sandbox;
	if (!listen->tls)
		return HM_OK;
	service->port = listen->tls->port;
	HM_TRY(credentials_load(listen->tls, &service->sockets, why));
	service->sockets.tcp_socket = tcp_listener;
	if (tcp_listener < 0)
		HM_TRY(listen_tcp(listen->tls->address, &service->port, &service->sockets.tcp_socket, why));
	return HM_OK;
}

static hm_result open_service(struct service *service, const struct service_options *options, struct hm_problem *why)
{
	int control = -1;
	struct gate_events events = {on_request, on_gate_ready, on_gate_ended, service};

	service->config_path = options->config_path;
	service->on_ready = options->on_ready;
	service->on_ready_context = options->on_ready_context;
	service->sockets = (struct gate_sockets){-1, -1, -1, -1, -1, SANDBOX_REQUIRE};
	HM_TRY(config_load(options->config_path, &service->config, why));
	HM_TRY(lock_state(service, why));
	HM_TRY(open_sockets(service, options->tcp_listener, &control, why));
	service->pool = pending_open();
	service->publications = publications_open();
	if (!service->pool || !service->publications)
		return hm_unavailable(why, "system", "no memory");

	open_loop(service, options->parent);
	HM_TRY(adopt_tokens(service, why));
	service->gate = gate_start(&service->loop, &service->sockets, service->publications, &events);
	service->control = control_open(service, control);
	if (!service->gate || !service->control)
		return hm_unavailable(why, "system", "no memory");
	update_readiness(service);
	return HM_OK;
}

static bool same_text(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static hm_result check_unchanged(const struct config *old, const struct config *new, struct hm_problem *why)
{
	const struct config_listen *a = &old->listen, *b = &new->listen;
	if (!same_text(a->socket, b->socket) || !same_text(a->control, b->control) || !a->tls != !b->tls ||
		(a->tls && (!same_text(a->tls->address, b->tls->address) || a->tls->port != b->tls->port)) ||
		a->sandbox != b->sandbox || !same_text(old->state, new->state))
		return hm_refuse(
			why, "reload_refused", NULL, "listen and state as they are: a change of these needs a restart");
	return HM_OK;
}

hm_result service_reload(struct service *service, struct hm_problem *why)
{
	struct config *new = NULL;
	hm_result result = config_load(service->config_path, &new, why);
	if (result == HM_OK)
		result = check_unchanged(service->config, new, why);
	if (result == HM_OK && new->listen.tls)
		result = credentials_load(new->listen.tls, &service->sockets, why);
	if (result != HM_OK) {
		config_free(new);
		why->code = "reload_refused";
		return result;
	}
	documents_withdraw(service->config, new, service->publications, publish, service);
	config_free(service->config);
	service->config = new;
	memset(service->counters.minted, 0, sizeof service->counters.minted);
	gate_reconfigure(service->gate, &service->sockets); /* first: the descriptors it had are closed */
	result = adopt_tokens(service, why);
	if (result == HM_OK)
		result = publish_documents(service, why);
	if (result != HM_OK) {
		hm_log(HM_ERROR, "reload_incomplete", "detail=\"%s\"", why->detail);
		return result;
	}
	hm_log(HM_INFO, "reloaded", "profiles=%u callers=%u", new->profiles_count, new->callers_count);
	return HM_OK;
}

static void close_service(struct service *service)
{
	(void)unlink(service->config->listen.socket);
	(void)unlink(service->config->listen.control);
	uv_loop_close(&service->loop);
	pending_close(service->pool);
	publications_close(service->publications);
	config_free(service->config);
	const int fds[] = {service->sockets.unix_socket, service->sockets.tcp_socket, service->sockets.certificate,
		service->sockets.key, service->sockets.trust, service->lock};
	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

int service_run(const struct service_options *options)
{
	static struct service service;
	struct hm_problem why;

	hm_log_open("mint", 0);
	process_harden();
	if (open_service(&service, options, &why) != HM_OK) {
		fprintf(stderr, "hsmint: %s\n", why.detail);
		return 1; /* children, if any, end at the end of their sockets */
	}
	uv_run(&service.loop, UV_RUN_DEFAULT);
	close_service(&service);
	hm_log(HM_INFO, "stopped", "status=%d", service.exit_status);
	return service.exit_status;
}
