/* SPDX-License-Identifier: Apache-2.0 */
#include "service.h"

#include "anchors.h"
#include "clock.h"
#include "clock_watch.h"
#include "control.h"
#include "credentials.h"
#include "documents.h"
#include "api.h"
#include "evidence.h"
#include "governance.h"
#include "governed.h"
#include "ledger_heads.h"
#include "ledger_serve.h"
#include "listen.h"
#include "key_life.h"
#include "log.h"
#include "mint.h"
#include "mint_reply.h"
#include "parked.h"
#include "policy.h"
#include "process.h"
#include "rate.h"
#include "record.h"
#include "replay.h"
#include "report.h"
#include "signing.h"
#include "trust.h"
#include "unlock.h"
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

enum { TICK_MS = 1000 };

/* ---- what the world sees ---- */

static void publish(void *context, const struct gate_publish *publication)
{
	struct service *service = context;
	if (service->gate)
		gate_publish_one(service->gate, publication);
}

/* Whether no profile needs this token: each that has a key on it has another one that signs, and there is one. */
static bool can_do_without(const struct service *service, unsigned token)
{
	const struct config *config = service->config;
	bool is_used = false;
	for (unsigned i = 0; i < config->profiles_count; i++) {
		const struct config_profile *profile = &config->profiles[i];
		bool has_key_there = false, has_another = false;
		for (unsigned k = 0; k < profile->key_count; k++) {
			const struct issuing_key *key = service->keys.active[profile->key_indexes[k]];
			has_key_there |= key->config->token_index == token;
			has_another |= issuing_key_can_sign(key);
		}
		if (has_key_there && !has_another)
			return false;
		is_used |= has_key_there;
	}
	return is_used;
}

bool service_is_ready(const struct service *service, char *reason, size_t size)
{
	snprintf(reason, size, "%s", service->stopping ? "stopping" : "");
	if (!reason[0] && !gate_facts(service->gate).ready)
		snprintf(reason, size, "the gate is starting");
	struct hm_problem why;
	if (!reason[0] && ledger_fault(service->ledger))
		snprintf(reason, size, "the ledger cannot be written"); /* status says why: that has paths in it */
	for (unsigned i = 0; i < service->token_count && !reason[0]; i++) {
		struct token_facts facts = token_facts(service->tokens[i]);
		if (service->reported_ready && can_do_without(service, i))
			continue;
		if (facts.state != TOKEN_READY)
			snprintf(reason, size, "token %s is %s", token_configuration(service->tokens[i])->name,
				token_state_name(facts.state));
		else if (facts.failing)
			snprintf(reason, size, "key %s does not sign", facts.failing);
	}
	for (unsigned i = 0; i < service->keys.count && !reason[0]; i++)
		if (!service->keys.items[i].known && issuing_key_is_public(&service->keys.items[i]))
			snprintf(reason, size, "key %s is not used", service->keys.items[i].config->name);
	if (!reason[0] && governed_refusal(service, &why) != HM_OK)
		snprintf(reason, size, "the store's view is not fresh");
	if (!reason[0] && ledger_heads_refusal(service, &why) != HM_OK)
		snprintf(reason, size, "the ledger is not verified against its key and anchor yet");
	if (!reason[0] && clock_watch_is_stepped(service))
		snprintf(reason, size, "the clock was stepped");
	return !reason[0];
}

void service_update_readiness(struct service *service)
{
	static char body[REPORT_MAX];
	char reason[HM_NAME_MAX + 128];
	if (!service->gate)
		return;
	bool ready = service_is_ready(service, reason, sizeof reason);
	size_t length = report_ready(service, body, sizeof body);
	if (publications_set(service->publications, "/readyz", ready ? 200 : 503, "application/json", CACHING_NONE,
		    body, length))
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

static void note_published(struct service *service)
{
	for (unsigned i = 0; i < service->config->issuers_count; i++) {
		int64_t *since = &service->published_since[i];
		if (service->documents_due || !issuing_keys_are_whole(&service->keys, i))
			*since = 0;
		else if (!*since)
			*since = hm_time();
	}
}

hm_result service_publish_documents(struct service *service, struct hm_problem *why)
{
	hm_result result =
		documents_publish(service->config, &service->keys, service->publications, publish, service, why);
	service->documents_due = result != HM_OK;
	note_published(service);
	service_update_readiness(service);
	return result;
}

void service_fail_start(struct service *service, const char *detail)
{
	hm_log(HM_ERROR, "start_failed", "detail=\"%s\"", detail);
	fprintf(stderr, "hsmint: %s\n", detail);
	service->exit_status = 1;
	service_stop(service);
}

/* ---- gate ---- */

static void answer_metrics(struct service *service, uint64_t id, const struct gate_caller *caller)
{
	static char body[REPORT_MAX];
	struct hm_problem why;
	struct gate_reply reply = {.status = 200, .content_type = "text/plain; version=0.0.4; charset=utf-8"};
	if (policy_check_role(service->config, caller, ROLE_AUDIT, "audit", &why) != HM_OK) {
		mint_refuse(service, gate_generation(service->gate), id, OPERATION_METRICS, &why);
		return;
	}
	reply.body = (struct hm_bytes){(uint8_t *)body, report_metrics(service, caller, body, sizeof body)};
	gate_answer(service->gate, gate_generation(service->gate), id, &reply);
}

static void answer_keys(struct service *service, uint64_t id, const struct gate_caller *caller)
{
	static char body[EVIDENCE_MAX];
	struct hm_problem why;
	struct gate_reply reply = {.status = 200, .content_type = "application/json"};
	if (policy_check_role(service->config, caller, ROLE_AUDIT | ROLE_OPERATE, "audit or operate", &why) != HM_OK) {
		mint_refuse(service, gate_generation(service->gate), id, OPERATION_KEYS, &why);
		return;
	}
	reply.body = (struct hm_bytes){(uint8_t *)body, evidence_write(service, caller, body, sizeof body)};
	if (!reply.body.length) {
		(void)!hm_broken(&why, "no room for the evidence");
		mint_refuse(service, gate_generation(service->gate), id, OPERATION_KEYS, &why);
		return;
	}
	gate_answer(service->gate, gate_generation(service->gate), id, &reply);
}

static void on_request(void *context, uint64_t id, const struct gate_request *request)
{
	struct service *service = context;
	if (request->operation == OPERATION_METRICS)
		answer_metrics(service, id, &request->caller);
	else if (request->operation == OPERATION_KEYS)
		answer_keys(service, id, &request->caller);
	else if (request->operation == OPERATION_API)
		api_gate_request(service->api, id, request);
	else if (request->operation >= OPERATION_LEDGER_PUBLIC && request->operation <= OPERATION_LEDGER_PROOF)
		ledger_serve_request(service->ledger_serve, id, request);
	else
		mint_request(service, id, request);
}

/* Gate's library refuses certificates that ours took: neither this gate nor the next shall have them. */
static void go_back(struct service *service)
{
	credentials_close(&service->sockets);
	service->sockets = service->before;
	service->before = NO_SOCKETS;
	gate_keep(service->gate, &service->sockets);
}

static void on_gate_ready(void *context, const struct gate_ready *ready)
{
	struct service *service = context;
	bool is_about_the_last = !gate_facts(service->gate).unanswered;
	if (ready->accepted) {
		if (is_about_the_last)
			credentials_close(&service->before);
		service_update_readiness(service);
		return;
	}
	hm_log(HM_ERROR, "gate_refused", "detail=\"%s\"", ready->detail);
	if (is_about_the_last && service->before.certificate >= 0)
		go_back(service);
	if (!gate_facts(service->gate).ready && !service->reported_ready)
		service_fail_start(service, ready->detail);
}

static void end_tokens(struct service *service)
{
	signing_end(service);
	if (!service->ending_tokens)
		service_end_ledger(service);
}

/* A last checkpoint, then the tokens end, and what they counted is recorded. */
static void on_store_ended(void *context)
{
	struct service *service = context;
	record_stop(service);
	ledger_heads_finish(service, end_tokens);
}

/* Nobody asks any more. */
static void on_gate_ended(void *context)
{
	struct service *service = context;
	service->gate = NULL;
	control_close(service->control);
	service->control = NULL;
	trusts_close(service->trusts);
	service->trusts = NULL;
	governance_end(service, on_store_ended, service);
}

/* ---- the loop ---- */

/* While a token is behind, nobody gains by our looking at once: frames that come one by one wake us, and by us others,
 * for each of them. Let some gather; the token's threads have enough at hand meanwhile. */
static void gather(const struct service *service)
{
	unsigned shortest_us = 0;
	for (unsigned i = 0; i < service->token_count; i++) {
		unsigned us = token_gather_us(service->tokens[i]);
		if (us && (!shortest_us || us < shortest_us))
			shortest_us = us;
	}
	const struct timespec time = {.tv_nsec = shortest_us * 1000L};
	if (shortest_us)
		nanosleep(&time, NULL);
}

static void on_prepare(uv_prepare_t *prepare)
{
	struct service *service = prepare->data;
	governance_look_at_links(service);
	ledger_write_waiting(service->ledger);
	for (unsigned i = 0; i < service->token_count; i++)
		token_flush(service->tokens[i]);
	if (service->gate)
		gate_flush(service->gate);
	gather(service);
}

static void on_tick(uv_timer_t *tick)
{
	struct service *service = tick->data;
	struct hm_problem why;
	clock_watch_tick(service);
	for (unsigned i = 0; i < service->token_count; i++)
		token_tick(service->tokens[i]);
	replays_expire(service->replays, uv_now(&service->loop));
	if (service->trusts)
		trusts_tick(service->trusts, hm_boot_ms());
	if (service->documents_due)
		(void)!service_publish_documents(service, &why); /* what failed was told when it did */
	key_life_tick(service);
	record_tick(service);
	governance_tick(service);
	ledger_heads_tick(service);
	service_update_readiness(service);
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
	if (service_reload(handle->data, &why) != HM_OK && strcmp(why.code, "reload_refused") == 0)
		hm_log(HM_ERROR, "reload_refused", "detail=\"%s\"", why.detail);
}

static void on_parent(uv_poll_t *poll, int status, int events)
{
	(void)status, (void)events;
	uv_poll_stop(poll);
	service_stop(poll->data);
}

static void close_handles(void *context)
{
	struct service *service = context;

	uv_handle_t *const handles[] = {(uv_handle_t *)&service->prepare, (uv_handle_t *)&service->tick,
		(uv_handle_t *)&service->deadline, (uv_handle_t *)&service->last_checkpoint,
		(uv_handle_t *)&service->terminate, (uv_handle_t *)&service->interrupt,
		(uv_handle_t *)&service->hang_up, (uv_handle_t *)&service->parent};
	for (size_t i = 0; i < sizeof handles / sizeof *handles; i++)
		if (handles[i]->data && !uv_is_closing(handles[i]))
			uv_close(handles[i], NULL);
}

void service_stop(struct service *service)
{
	if (service->stopping)
		return;
	service->stopping = true;
	hm_log(HM_INFO, "stopping", "pending=%u", pending_count(service->pool));
	service_update_readiness(service);
	gate_drain(service->gate);
}

static void open_loop(struct service *service, int parent)
{
	uv_loop_init(&service->loop);
	uv_prepare_init(&service->loop, &service->prepare);
	uv_timer_init(&service->loop, &service->tick);
	uv_timer_init(&service->loop, &service->deadline);
	uv_timer_init(&service->loop, &service->last_checkpoint);
	uv_signal_init(&service->loop, &service->terminate);
	uv_signal_init(&service->loop, &service->interrupt);
	uv_signal_init(&service->loop, &service->hang_up);
	service->prepare.data = service->tick.data = service->deadline.data = service->last_checkpoint.data =
		service->terminate.data = service->interrupt.data = service->hang_up.data = service;
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

void service_end_ledger(struct service *service)
{
	ledger_end(service->ledger, close_handles, service);
}

/* ---- the ledger ---- */

static void on_durable(void *context, uint64_t ticket)
{
	struct service *service = context;
	mint_recorded(service, ticket);
	api_recorded(service->api, ticket);
	parked_recorded(service->parked, ticket);
	ledger_heads_durable(service);
}

static void on_ledger_changed(void *context, const char *fault)
{
	struct service *service = context;
	if (fault)
		mint_unrecorded(service);
	service_update_readiness(service);
}

void service_publish_checkpoint(struct service *service, unsigned shard, const char *note, size_t length)
{
	static const char path[] = "/ledger/checkpoint";
	if (shard == ledger_shard(service->ledger) &&
		publications_set(
			service->publications, path, 200, "text/plain; charset=utf-8", CACHING_ASK_AGAIN, note, length))
		publish(service, publications_find(service->publications, path));
}

void service_publish_status_list(struct service *service, const char *path, const char *token, size_t length)
{
	if (publications_set(
		    service->publications, path, 200, "application/statuslist+jwt", CACHING_SECONDS, token, length))
		publish(service, publications_find(service->publications, path));
}

static hm_result open_ledger(struct service *service, struct hm_problem *why)
{
	const struct config_ledger *ledger = &service->config->ledger;
	const struct ledger_events events = {on_durable, on_ledger_changed, service};
	TAILQ_INIT(&service->unrecorded);
	HM_TRY(ledger_open(&service->loop, ledger->directory, ledger->origin, &events, &service->ledger, why));
	service->refusals = refusals_open();
	service->ledger_serve = ledger_serve_open(service);
	if (!service->refusals || !service->ledger_serve)
		return hm_unavailable(why, "system", "no memory");
	HM_TRY(anchors_open(service, why));
	return ledger_heads_open(service, why);
}

/* ---- start and reload ---- */

hm_result service_lock_state(const char *state, int *lock, struct hm_problem *why)
{
	char path[HM_PATH_MAX];
	if (mkdir(state, 0700) < 0 && errno != EEXIST)
		return hm_refuse(why, "config", NULL, "%s: %s", state, strerror(errno));
	if (snprintf(path, sizeof path, "%s/lock", state) >= (int)sizeof path)
		return hm_refuse(why, "config", NULL, "%s: path too long", state);
	*lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (*lock < 0)
		return hm_refuse(why, "config", NULL, "%s: %s", path, strerror(errno));
	if (flock(*lock, LOCK_EX | LOCK_NB) < 0)
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
	service->fault.allowed = options->faults;
	service->sockets = service->before = NO_SOCKETS;
	HM_TRY(config_load(options->config_path, &service->config, why));
	service->started_with = service->config;
	HM_TRY(trusts_open(&service->loop, service->config, &service->trusts, why));
	HM_TRY(service_lock_state(service->config->state, &service->lock, why));
	HM_TRY(key_life_open(service, why));
	HM_TRY(open_sockets(service, options->tcp_listener, &control, why));
	service->pool = pending_open();
	service->replays = replays_open();
	service->caller_rates = rates_open();
	service->profile_rates = rates_open();
	service->publications = publications_open();
	service->unlocks = unlocks_open();
	if (!service->pool || !service->replays || !service->caller_rates || !service->profile_rates ||
		!service->publications || !service->unlocks)
		return hm_unavailable(why, "system", "no memory");

	open_loop(service, options->parent);
	HM_TRY(open_ledger(service, why));
	HM_TRY(governance_open(service, why));
	record_start(service);
	HM_TRY(clock_watch_open(service, why));
	HM_TRY(key_life_configure(service, why));
	HM_TRY(signing_adopt(service, why));
	HM_TRY(ledger_heads_verify(service, why));
	service->gate = gate_start(&service->loop, &service->sockets, service->publications, &events);
	service->control = control_open(service, control);
	if (!service->gate || !service->control)
		return hm_unavailable(why, "system", "no memory");
	trusts_tick(service->trusts, hm_boot_ms());
	service_update_readiness(service);
	return HM_OK;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_anchor(const struct config_anchor *a, const struct config_anchor *b)
{
	if (!a || !b)
		return a == b;
	const struct config_witness *v = a->witness, *w = b->witness;
	return same_text(a->file, b->file) && same_text(a->token, b->token) && a->store == b->store &&
	       (v && w ? same_text(v->url, w->url) && same_text(v->key, w->key) : v == w);
}

static bool same_ledger(const struct config_ledger *a, const struct config_ledger *b)
{
	return same_text(a->origin, b->origin) && same_text(a->directory, b->directory) && same_text(a->key, b->key) &&
	       a->shard == b->shard && same_anchor(a->anchor, b->anchor);
}

static bool same_policy(const struct config_policy *a, const struct config_policy *b)
{
	if (!a || !b)
		return a == b;
	return a->engine == b->engine && a->deadline_ms == b->deadline_ms && same_text(a->url, b->url) &&
	       same_text(a->socket, b->socket) && same_text(a->path, b->path) && same_text(a->ca, b->ca) &&
	       same_text(a->certificate, b->certificate) && same_text(a->key, b->key);
}

static hm_result check_unchanged(const struct config *old, const struct config *new, struct hm_problem *why)
{
	const struct config_listen *a = &old->listen, *b = &new->listen;
	if (!same_text(a->socket, b->socket) || !same_text(a->control, b->control) || !a->tls != !b->tls ||
		(a->tls && (!same_text(a->tls->address, b->tls->address) || a->tls->port != b->tls->port)) ||
		a->sandbox != b->sandbox || !same_text(old->state, new->state) ||
		!same_ledger(&old->ledger, &new->ledger) || !same_text(old->store, new->store) ||
		!same_policy(old->policy, new->policy))
		return hm_refuse(why, "reload_refused", NULL,
			"listen, state, store, ledger and policy as they are: a change of these needs a restart");
	return HM_OK;
}

/* Whoever gave keys gives them again, and until then those are good that it gave before. */
static void give_trusts(struct service *service, struct trusts *trusts)
{
	trusts_take_over(trusts, service->trusts);
	trusts_close(service->trusts);
	service->trusts = trusts;
	trusts_tick(trusts, hm_boot_ms());
}

/* What gate took last is kept until its word on these: when it is yet to come for those of another reload, they go. */
static void give_certificates(struct service *service, const struct gate_sockets *sockets)
{
	if (service->before.certificate >= 0)
		credentials_close(&service->sockets);
	else
		service->before = service->sockets;
	service->sockets = *sockets;
	gate_reconfigure(service->gate, &service->sockets);
}

hm_result service_reload(struct service *service, struct hm_problem *why)
{
	struct config *new = NULL;
	struct trusts *trusts = NULL;
	if (service->stopping)
		return hm_refuse(why, "reload_refused", NULL, "nothing any more: the service is stopping");
	struct gate_sockets sockets = service->sockets;
	hm_result result = config_load(service->config_path, &new, why);
	if (result == HM_OK)
		result = check_unchanged(service->config, new, why);
	if (result == HM_OK)
		result = trusts_open(&service->loop, new, &trusts, why);
	if (result == HM_OK && new->listen.tls)
		result = credentials_load(new->listen.tls, &sockets, why);
	if (result != HM_OK) {
		trusts_close(trusts);
		config_free(new);
		why->code = "reload_refused";
		return result;
	}
	documents_withdraw(service->config, new, service->publications, publish, service);
	record_tick(service); /* what it has of callers is of the configuration before */
	give_trusts(service, trusts);
	if (service->config != service->started_with)
		config_free(service->config);
	service->config = new;
	service->configuration++;
	record_configuration(service);
	memset(service->counters.minted, 0, sizeof service->counters.minted);
	if (new->listen.tls)
		give_certificates(service, &sockets);
	struct hm_problem another;
	result = key_life_configure(service, why);
	hm_result next = signing_adopt(service, result == HM_OK ? why : &another);
	result = result == HM_OK ? next : result;
	next = service_publish_documents(service, result == HM_OK ? why : &another);
	result = result == HM_OK ? next : result;
	if (result != HM_OK) {
		hm_log(HM_ERROR, "reload_incomplete", "detail=\"%s\"", why->detail);
		return result;
	}
	(void)gate_flush(
		service->gate); /* before anybody is told that it is done: what was taken out is no longer served */
	hm_log(HM_INFO, "reloaded", "profiles=%u callers=%u", new->profiles_count, new->callers_count);
	return HM_OK;
}

static void close_service(struct service *service)
{
	(void)unlink(service->config->listen.socket);
	(void)unlink(service->config->listen.control);
	uv_loop_close(&service->loop);
	governance_close(service);
	clock_watch_close(service);
	ledger_serve_close(service->ledger_serve);
	ledger_close(service->ledger);
	ledger_heads_close(service->heads);
	anchors_close(service->anchors);
	refusals_close(service->refusals);
	key_life_close(service);
	pending_close(service->pool);
	replays_close(service->replays);
	rates_close(service->caller_rates);
	rates_close(service->profile_rates);
	publications_close(service->publications);
	unlocks_close(service->unlocks);
	trusts_close(service->trusts);
	if (service->config != service->started_with)
		config_free(service->config);
	config_free(service->started_with);
	credentials_close(&service->before);
	credentials_close(&service->sockets);
	const int fds[] = {service->sockets.unix_socket, service->sockets.tcp_socket, service->lock};
	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

int service_run(const struct service_options *options)
{
	static struct service service;
	struct hm_problem why;

	hm_log_open("mint");
	process_harden();
	/* A witness or provider that is slow, or somebody who reads the ledger, must not keep its writer waiting for a
	 * thread. */
	setenv("UV_THREADPOOL_SIZE", "10", 1);
	if (open_service(&service, options, &why) != HM_OK) {
		fprintf(stderr, "hsmint: %s\n", why.detail);
		return 1; /* children, if any, end at the end of their sockets */
	}
	uv_run(&service.loop, UV_RUN_DEFAULT);
	close_service(&service);
	hm_log(HM_INFO, "stopped", "status=%d", service.exit_status);
	return service.exit_status;
}
