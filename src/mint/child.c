/* SPDX-License-Identifier: Apache-2.0 */
#include "child.h"

#include "log.h"
#include "process.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	BATCHES_AT_ONCE = 4, /* a child that never stops talking must not keep us from everything else */
	BATCHES_LAST = 1024  /* more than its socket holds */
};

struct child {
	uv_process_t process;
	uv_poll_t poll;
	uv_loop_t *loop;
	struct channel *channel; /* NULL once hung up */
	struct child_events events;
	char program[HM_NAME_MAX];
	int open_handles;
	bool polling, polling_for_room, exited;
	bool may_end; /* its owner waits for it to end, and limits how long */
};

/* Of our environment a child gets what names the site's files or a sanitizer's options, never anything else. */
static const char *const inherited[] = {
	"CREDENTIALS_DIRECTORY", "HOME", "LANG", "TZ", "ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"};
enum { INHERITED = sizeof inherited / sizeof *inherited };

static void on_handle_closed(uv_handle_t *handle)
{
	struct child *child = handle->data;
	if (--child->open_handles == 0)
		free(child);
}

static void stop_listening(struct child *child)
{
	if (!child->channel)
		return;
	child->polling = false;
	uv_close((uv_handle_t *)&child->poll, on_handle_closed); /* before its descriptor's number is used again */
	channel_close(child->channel);
	child->channel = NULL;
}

/* Take the frames that are there, at most so many batches. False: the child cannot be listened to any longer. */
static bool take_frames(struct child *child, unsigned batches)
{
	bool more = true;
	while (more && child->channel && batches--) {
		hm_result result = channel_receive(child->channel, child->events.take, child->events.context, &more);
		if (result == HM_UNAVAILABLE)
			return false;
		if (result != HM_OK) {
			hm_log(HM_ERROR, "child_malformed", "program=%s pid=%d", child->program, (int)child_pid(child));
			return false;
		}
	}
	return true;
}

static void on_ended(uv_process_t *process, int64_t status, int signal)
{
	struct child *child = process->data;
	char how[32];
	child->exited = true;
	if (child->channel)
		(void)take_frames(child, BATCHES_LAST); /* its last words */
	stop_listening(child);
	if (signal)
		snprintf(how, sizeof how, "signal %d", signal);
	else
		snprintf(how, sizeof how, "exit %d", (int)status);
	uv_close((uv_handle_t *)&child->process, on_handle_closed);
	child->events.ended(child->events.context, how);
}

/* It closed its end. One that was asked to end is doing so, and comes to what it does last. */
static void end_without(struct child *child)
{
	if (!child->may_end)
		child_kill(child);
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void listen_for(struct child *child, bool room)
{
	uv_poll_start(&child->poll, UV_READABLE | (room ? UV_WRITABLE : 0), on_poll);
	child->polling = true;
	child->polling_for_room = room;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct child *child = poll->data;
	bool is_reset = status < 0; /* it ended with frames unread; what it had sent before is there nevertheless */
	if (is_reset)
		(void)take_frames(child, BATCHES_LAST);
	if (is_reset || ((events & UV_READABLE) && !take_frames(child, BATCHES_AT_ONCE))) {
		end_without(child);
		stop_listening(child);
		return;
	}
	if (events & UV_WRITABLE)
		child_flush(child);
}

static void fill_environment(char *environment[INHERITED + 1], char room[INHERITED][HM_PATH_MAX])
{
	size_t count = 0;
	for (size_t i = 0; i < INHERITED; i++) {
		const char *value = getenv(inherited[i]);
		if (value && snprintf(room[count], HM_PATH_MAX, "%s=%s", inherited[i], value) < HM_PATH_MAX) {
			environment[count] = room[count];
			count++;
		}
	}
	environment[count] = NULL;
}

static int spawn(struct child *child, char *path, int their_end)
{
	char room[INHERITED][HM_PATH_MAX];
	char *environment[INHERITED + 1];
	char *arguments[] = {child->program, NULL};
	uv_stdio_container_t stdio[HM_CHILD_FD + 1] = {{.flags = UV_IGNORE},
		{.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO}, {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
		{.flags = UV_INHERIT_FD, .data.fd = their_end}};
	fill_environment(environment, room);
	uv_process_options_t options = {.file = path,
		.args = arguments,
		.env = environment,
		.stdio = stdio,
		.stdio_count = HM_CHILD_FD + 1,
		.exit_cb = on_ended};
	return uv_spawn(child->loop, &child->process, &options);
}

hm_result child_start(uv_loop_t *loop, const char *program, const struct child_events *events, struct child **out,
	struct hm_problem *why)
{
	char path[HM_PATH_MAX];
	int ends[2];

	*out = NULL;
	if (!process_program(program, path))
		return hm_unavailable(why, "system", "%s is neither beside hsmint nor in ../libexec/hsmint", program);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return hm_unavailable(why, "system", "socketpair: %s", strerror(errno));
	struct child *child = calloc(1, sizeof *child);
	if (!child || !(child->channel = channel_open(ends[0]))) {
		free(child);
		close(ends[0]);
		close(ends[1]);
		return hm_unavailable(why, "system", "no memory for a child");
	}
	child->loop = loop;
	child->events = *events;
	snprintf(child->program, sizeof child->program, "%s", program);
	child->process.data = child->poll.data = child;
	int error = spawn(child, path, ends[1]);
	close(ends[1]);
	child->open_handles = 1;
	if (error) { /* libuv wants even a process that was not spawned closed */
		channel_close(child->channel);
		uv_close((uv_handle_t *)&child->process, on_handle_closed);
		return hm_unavailable(why, "system", "%s: %s", path, uv_strerror(error));
	}
	uv_poll_init(loop, &child->poll, channel_fd(child->channel));
	child->open_handles = 2;
	listen_for(child, false);
	*out = child;
	return HM_OK;
}

hm_result child_queue(struct child *child, enum hm_frame_type type, uint64_t id, const void *payload, size_t length,
	const int *fds, unsigned fd_count)
{
	if (!child->channel)
		return HM_UNAVAILABLE;
	return channel_queue(child->channel, type, id, payload, length, fds, fd_count);
}

bool child_flush(struct child *child)
{
	if (!child || !child->channel || !channel_waiting(child->channel))
		return true;
	if (channel_flush(child->channel) != HM_OK) {
		end_without(child); /* its exit is on the way; frames it sent before are still taken then */
		return false;
	}
	if (child->polling && channel_waiting(child->channel) != child->polling_for_room)
		listen_for(child, channel_waiting(child->channel));
	return !channel_waiting(child->channel);
}

pid_t child_pid(const struct child *child)
{
	return child->process.pid;
}

void child_kill(struct child *child)
{
	if (!child->exited)
		uv_process_kill(&child->process, SIGKILL);
}

void child_let_end(struct child *child)
{
	child->may_end = true;
}

void child_hang_up(struct child *child)
{
	stop_listening(child);
}
