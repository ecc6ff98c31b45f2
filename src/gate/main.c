/* SPDX-License-Identifier: Apache-2.0 */
/* hsmint-gate: the process that faces the network. Started by hsmint, which says everything it needs over HM_CHILD_FD.
 */
#include "log.h"
#include "process.h"
#include "request.h"
#include "sandbox.h"
#include "server.h"
#include <errno.h>
#include <gnutls/pkcs11.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	PEM_MAX = 1024 * 1024,
	TICK_MS = 1000,
	DRAIN_TICK_MS = 50,
	DRAIN_MS = HM_HTTP_DRAIN_SECONDS * 1000,
	POLLED_MAX = 8,
	EXIT_REFUSED = 1,  /* the first configuration; mint was told why */
	EXIT_DESERTED = 2, /* mint is gone, or speaks wrongly */
	EXIT_NOT_A_CHILD = 2,
};

struct process {
	struct gate gate;
	struct server *server;
	int epoll;
	bool configured, waits_for_room, left_to_do;
	char sandbox[SANDBOX_STATE_SIZE];
	struct gate_stats told;
	uint64_t told_ms;
	uint64_t next_tick_ms;
	uint64_t drain_until_ms; /* 0: not draining */
};

static uint64_t monotonic_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- configuration ---- */

struct mapping {
	void *data;
	size_t length;
};

static void unmap(struct mapping *mapping)
{
	if (mapping->data)
		munmap(mapping->data, mapping->length);
}
#define MAPPING_AUTO __attribute__((cleanup(unmap))) struct mapping

static hm_result map_pem(int fd, struct mapping *mapping, struct hm_bytes *bytes, struct hm_problem *why)
{
	struct stat stat;
	if (fstat(fd, &stat) < 0 || stat.st_size <= 0 || stat.st_size > PEM_MAX)
		return hm_refuse(why, "config", NULL, "a PEM file is empty or longer than %d bytes", PEM_MAX);
	void *data = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return hm_unavailable(why, "system", "mmap: %s", strerror(errno));
	*mapping = (struct mapping){data, (size_t)stat.st_size};
	*bytes = (struct hm_bytes){data, mapping->length};
	return HM_OK;
}

static hm_result take_tls(struct gate *gate, const int fds[3], struct hm_problem *why)
{
	MAPPING_AUTO certificate = {0};
	MAPPING_AUTO key = {0};
	MAPPING_AUTO trust = {0};
	struct tls_pem pem;
	struct tls_snapshot *snapshot;
	HM_TRY(map_pem(fds[0], &certificate, &pem.certificate, why));
	HM_TRY(map_pem(fds[1], &key, &pem.key, why));
	HM_TRY(map_pem(fds[2], &trust, &pem.trust, why));
	HM_TRY(tls_snapshot_make(&pem, &snapshot, why));
	tls_snapshot_release(gate->tls); /* sessions that use it hold it still */
	gate->tls = snapshot;
	return HM_OK;
}

/* Take over the next descriptor of the frame, in the order that gate_protocol.h gives. */
static int take_over(struct hm_frame *frame, unsigned *next)
{
	int fd = frame->fds[*next];
	frame->fds[(*next)++] = -1;
	return fd;
}

static hm_result start_serving(
	struct process *process, const struct gate_config *config, struct hm_frame *frame, struct hm_problem *why)
{
	unsigned next = 0;
	if (config->has_tcp && !config->has_tls)
		return hm_refuse(
			why, "config", NULL, "the TCP socket needs a certificate, a key and trusted authorities");
	if (config->has_tls)
		HM_TRY(take_tls(&process->gate, frame->fds + config->has_unix + config->has_tcp, why));
	if (config->has_unix)
		HM_TRY(server_listen(process->server, take_over(frame, &next), false, why));
	if (config->has_tcp)
		HM_TRY(server_listen(process->server, take_over(frame, &next), true, why));
	int fd;
	for (unsigned i = 0; (fd = server_poll_fd(process->server, i)) >= 0; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.u32 = i + 1};
		if (epoll_ctl(process->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
			return hm_unavailable(why, "system", "epoll_ctl: %s", strerror(errno));
	}
	/* No connection is accepted before the loop runs the daemons again. */
	HM_TRY(sandbox_enter(config->sandbox, process->sandbox, why));
	hm_log(HM_INFO, "started", "sandbox=\"%s\" unix=%u tcp=%u", process->sandbox, config->has_unix,
		config->has_tcp);
	return HM_OK;
}

static void tell_ready(struct process *process, hm_result result, const struct hm_problem *why)
{
	struct gate_ready ready = {.accepted = result == HM_OK};
	uint8_t payload[sizeof ready + 16];
	snprintf(ready.sandbox, sizeof ready.sandbox, "%s", process->sandbox);
	if (result != HM_OK)
		snprintf(ready.detail, sizeof ready.detail, "%.*s", (int)sizeof ready.detail - 1, why->detail);
	struct hm_writer w = hm_writer(payload, sizeof payload);
	gate_ready_put(&w, &ready);
	if (channel_queue(process->gate.channel, HM_GATE_READY, 0, payload, w.used, NULL, 0) != HM_OK)
		_exit(EXIT_DESERTED);
}

static hm_result take_config(struct process *process, struct hm_frame *frame)
{
	struct gate_config config;
	struct hm_problem why = {0};
	struct hm_reader reader = hm_reader(frame->payload, frame->length);
	bool first = !process->configured;
	if (!gate_config_get(&reader, &config) ||
		frame->fd_count != (unsigned)config.has_unix + config.has_tcp + (config.has_tls ? 3u : 0u) ||
		(!first && (config.has_unix || config.has_tcp)))
		return HM_REFUSED;
	hm_result result = HM_OK;
	if (first)
		result = start_serving(process, &config, frame, &why);
	else if (config.has_tls)
		result = take_tls(&process->gate, frame->fds, &why);
	tell_ready(process, result, &why);
	if (first && result != HM_OK) {
		hm_log(HM_ERROR, "not_started", "detail=\"%s\"", why.detail);
		(void)!channel_flush(process->gate.channel);
		_exit(EXIT_REFUSED);
	}
	process->configured = true;
	return HM_OK;
}

/* ---- mint's frames ---- */

static hm_result take_publication(struct process *process, const struct hm_frame *frame)
{
	static struct gate_publish publish;
	struct hm_reader reader = hm_reader(frame->payload, frame->length);
	return gate_publish_get(&reader, &publish) ? published_set(process->gate.published, &publish) : HM_REFUSED;
}

static void begin_to_drain(struct process *process)
{
	if (process->drain_until_ms)
		return;
	process->drain_until_ms = process->gate.now_ms + DRAIN_MS;
	process->next_tick_ms = 0;
	process->gate.closing = true;
	published_closing(process->gate.published);
	server_drain(process->server);
	hm_log(HM_INFO, "draining", "connections=%u in_flight=%u", server_connections(process->server),
		upstream_in_flight(process->gate.upstream));
}

static hm_result take_frame(void *context, struct hm_frame *frame)
{
	struct process *process = context;
	if (frame->type == HM_GATE_CONFIG)
		return take_config(process, frame);
	if (frame->fd_count || !process->configured)
		return HM_REFUSED;
	switch (frame->type) {
	case HM_GATE_PUBLISH:
		return take_publication(process, frame);
	case HM_GATE_REPLY:
		return upstream_take(process->gate.upstream, frame);
	case HM_GATE_DRAIN:
		begin_to_drain(process);
		return HM_OK;
	default:
		return HM_REFUSED;
	}
}

/* Whatever goes wrong between mint and us ends us: mint starts another. */
static void take_frames(struct process *process)
{
	bool more = true;
	while (more) {
		hm_result result = channel_receive(process->gate.channel, take_frame, process, &more);
		if (result == HM_OK)
			continue;
		if (result == HM_REFUSED)
			hm_log(HM_ERROR, "malformed_frame", "from=mint");
		_exit(EXIT_DESERTED);
	}
}

static void flush_frames(struct process *process)
{
	struct channel *channel = process->gate.channel;
	if (channel_flush(channel) != HM_OK)
		_exit(EXIT_DESERTED);
	if (channel_waiting(channel) == process->waits_for_room)
		return;
	process->waits_for_room = channel_waiting(channel);
	struct epoll_event event = {.events = EPOLLIN | (process->waits_for_room ? EPOLLOUT : 0), .data.u32 = 0};
	if (epoll_ctl(process->epoll, EPOLL_CTL_MOD, channel_fd(channel), &event) < 0)
		_exit(EXIT_DESERTED);
}

/* ---- the loop ---- */

static void tell_stats(struct process *process)
{
	struct gate_stats *stats = &process->gate.stats;
	uint8_t payload[sizeof *stats];
	stats->counter[GATE_REQUESTS_IN_FLIGHT] = upstream_in_flight(process->gate.upstream);
	if (memcmp(stats, &process->told, sizeof *stats) == 0)
		return;
	struct hm_writer w = hm_writer(payload, sizeof payload);
	gate_stats_put(&w, stats);
	if (channel_queue(process->gate.channel, HM_GATE_STATS, 0, payload, w.used, NULL, 0) == HM_OK)
		process->told = *stats;
}

static void tick(struct process *process)
{
	uint64_t now = process->gate.now_ms;
	server_reap(process->server);
	if (now - process->told_ms >= TICK_MS) {
		tell_stats(process);
		process->told_ms = now;
	}
	process->next_tick_ms = now + (process->drain_until_ms ? DRAIN_TICK_MS : TICK_MS);
}

/* With no connection and nothing to tell, sleep until something comes. */
static int wait_ms(const struct process *process)
{
	if (process->left_to_do)
		return 0;
	if (!process->drain_until_ms && !server_connections(process->server) &&
		memcmp(&process->gate.stats, &process->told, sizeof process->told) == 0)
		return -1;
	uint64_t now = process->gate.now_ms, next = upstream_next_ms(process->gate.upstream);
	if (next > process->next_tick_ms)
		next = process->next_tick_ms;
	return next > now ? (int)(next - now) : 0;
}

/* Answers are taken before the daemons run and requests sent after, so each turn sends what it can. */
static void turn(struct process *process)
{
	struct epoll_event events[POLLED_MAX];
	int count = epoll_wait(process->epoll, events, POLLED_MAX, wait_ms(process));
	process->gate.now_ms = monotonic_ms();
	for (int i = 0; i < count; i++) {
		if (events[i].data.u32)
			server_is_readable(process->server, events[i].data.u32 - 1);
		else if (events[i].events & ~(uint32_t)EPOLLOUT)
			take_frames(process);
	}
	if (upstream_next_ms(process->gate.upstream) <= process->gate.now_ms)
		take_frames(process); /* what mint has answered in time is not late for our having slept */
	upstream_expire(process->gate.upstream, process->gate.now_ms);
	if (process->gate.now_ms >= process->next_tick_ms)
		tick(process);
	process->left_to_do = server_run(process->server);
	flush_frames(process);
}

/* True when nothing is left to answer, or the time for it is over. */
static bool has_drained(struct process *process)
{
	if (!process->drain_until_ms)
		return false;
	if (server_connections(process->server) == 0)
		return true;
	if (process->gate.now_ms < process->drain_until_ms)
		return false;
	process->gate.given_up = true; /* whose request is whole only now must not be suspended */
	upstream_give_up(process->gate.upstream);
	process->left_to_do = server_run(process->server);
	return true;
}

static bool open_process(struct process *process)
{
	struct gate *gate = &process->gate;
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = 0};
	gate->now_ms = monotonic_ms();
	gate->channel = channel_open(HM_CHILD_FD);
	gate->published = published_open();
	gate->upstream = gate->channel ? upstream_open(gate->channel, request_answer) : NULL;
	process->server = server_open(gate);
	process->epoll = epoll_create1(EPOLL_CLOEXEC);
	return gate->upstream && gate->published && process->server && process->epoll >= 0 &&
	       epoll_ctl(process->epoll, EPOLL_CTL_ADD, HM_CHILD_FD, &event) == 0;
}

static void close_process(struct process *process)
{
	server_close(process->server);
	published_close(process->gate.published);
	upstream_close(process->gate.upstream);
	tls_snapshot_release(process->gate.tls);
	channel_close(process->gate.channel);
	close(process->epoll);
}

/* What libraries would otherwise do at first use, when no file can be opened any more. */
static bool prepare_libraries(void)
{
	tzset();
	json_object_seed(0);
	/* Otherwise GnuTLS loads every PKCS#11 module of the machine into this process. */
	return gnutls_pkcs11_init(GNUTLS_PKCS11_FLAG_MANUAL, NULL) >= 0 && gnutls_global_init() >= 0;
}

int main(int argc, char **argv)
{
	static struct process process;
	(void)argv;
	if (argc != 1 || !process_is_child()) {
		fputs("hsmint-gate is started by hsmint; see hsmint --help\n", stderr);
		return EXIT_NOT_A_CHILD;
	}
	process_end_with_parent();
	process_harden();
	hm_log_open("gate");
	if (!prepare_libraries() || !open_process(&process)) {
		hm_log(HM_ERROR, "not_started", "detail=\"%s\"", strerror(errno));
		return EXIT_REFUSED;
	}
	while (!has_drained(&process))
		turn(&process);
	flush_frames(&process);
	hm_log(HM_INFO, "drained", "connections=%u", server_connections(process.server));
	close_process(&process);
	gnutls_global_deinit();
	return 0;
}
