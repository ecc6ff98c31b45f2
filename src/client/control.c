/* SPDX-License-Identifier: Apache-2.0 */
/* One command over the control socket: a frame there, a frame back (docs/frames.md). */
#include "hsmint/client.h"

#include "error.h"
#include "frame.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static void close_socket(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static void free_buffer(void **buffer)
{
	free(*buffer);
}

static int connect_to(const char *path, long timeout_ms, hsmint_error **error)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (!path || !*path || strlen(path) >= sizeof address.sun_path) {
		error_make(error, "client_argument", "the control socket's path, at most %zu bytes",
			sizeof address.sun_path - 1);
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	struct timeval limit = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 &&
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0 &&
		connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	error_make(error, errno == EAGAIN ? "client_timeout" : "client_unreachable", "%s: %s", path, strerror(errno));
	close_socket(&fd);
	return -1;
}

/* An operator who is turned away is told why before it could ask: then asking fails, and the answer is there. */
static hm_result exchange(int fd, const char *command, int given, void *buffer, size_t size, struct hm_frame *frame)
{
	errno = 0;
	hm_result asked = frame_send(fd, HM_CONTROL_REQUEST, 1, command, strlen(command), &given, given >= 0);
	int error = errno;
	if (asked != HM_OK && error != EPIPE)
		return asked;
	hm_result result = frame_receive(fd, buffer, size, frame);
	if (asked != HM_OK)
		errno = error;
	return result;
}

static void report_exchange(hm_result result, hsmint_error **error)
{
	if (result == HM_REFUSED)
		error_make(error, "client_reply", "a frame of hsmint's");
	else if (errno == EAGAIN)
		error_make(error, "client_timeout", "control socket");
	else
		error_make(error, "client_lost", "%s", errno ? strerror(errno) : "the service closed the connection");
}

/* The reply's JSON, when it is one that says ok. */
static char *reply_text(const struct hm_frame *frame, hsmint_error **error)
{
	const char *bytes = (const char *)frame->payload;
	json_t *reply =
		frame->type == HM_CONTROL_REPLY ? json_loadb(bytes, frame->length, JSON_REJECT_DUPLICATES, NULL) : NULL;
	char *text = NULL;
	if (json_is_true(json_object_get(reply, "ok"))) {
		text = strndup(bytes, frame->length);
		if (!text)
			error_make(error, "client_memory", "reply");
	} else if (!error_from_problem(error, reply, 0, 0)) {
		error_make(error, "client_reply", "a control reply in JSON");
	}
	json_decref(reply);
	return text;
}

char *hsmint_control_call(const char *path, const char *command, long timeout_ms, hsmint_error **error)
{
	return hsmint_control_call_fd(path, command, -1, timeout_ms, error);
}

char *hsmint_control_call_fd(const char *path, const char *command, int given, long timeout_ms, hsmint_error **error)
{
	enum { SIZE = HM_FRAME_HEADER + HM_FRAME_MAX_INLINE };
	struct hm_frame frame;
	size_t length = command ? strlen(command) : 0;
	if (!length || length > HM_CONTROL_REQUEST_MAX || timeout_ms < 1) {
		error_make(error, "client_argument", "a command of 1 to %d bytes and a time limit above 0 ms",
			HM_CONTROL_REQUEST_MAX);
		return NULL;
	}
	__attribute__((cleanup(close_socket))) int fd = connect_to(path, timeout_ms, error);
	if (fd < 0)
		return NULL;
	__attribute__((cleanup(free_buffer))) void *buffer = malloc(SIZE);
	if (!buffer) {
		error_make(error, "client_memory", "buffer");
		return NULL;
	}
	hm_result result = exchange(fd, command, given, buffer, SIZE, &frame);
	if (result != HM_OK) {
		report_exchange(result, error);
		return NULL;
	}
	char *text = reply_text(&frame, error);
	frame_done(&frame);
	return text;
}
