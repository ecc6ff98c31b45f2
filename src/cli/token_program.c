/* SPDX-License-Identifier: Apache-2.0 */
#include "token_program.h"

#include "process.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CONFIG_FRAME_MAX = 256 * 1024 };

static hm_result run(struct token_program *program, const char *argument, struct hm_problem *why)
{
	char path[HM_PATH_MAX];
	int ends[2];
	if (!process_program(program->name, path))
		return hm_unavailable(
			why, "system", "%s is neither beside hsmint nor in ../libexec/hsmint", program->name);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return hm_unavailable(why, "system", "socketpair: %s", strerror(errno));
	program->pid = fork();
	if (program->pid == 0) {
		if (ends[1] == HM_CHILD_FD) { /* dup2 onto itself would leave it to be closed by exec */
			ends[1] = dup(ends[1]);
		}
		if (dup2(ends[1], HM_CHILD_FD) == HM_CHILD_FD && dup2(STDERR_FILENO, STDOUT_FILENO) >= 0)
			execl(path, program->name, argument, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	program->socket = ends[0];
	if (program->pid > 0)
		return HM_OK;
	close(ends[0]);
	return hm_unavailable(why, "system", "fork: %s", strerror(errno));
}

static hm_result send_config(
	const struct token_program *program, const struct token_config *config, struct hm_problem *why)
{
	static uint8_t payload[CONFIG_FRAME_MAX];
	struct hm_writer w = hm_writer(payload, sizeof payload);
	token_config_put(&w, config);
	if (w.failed || frame_send(program->socket, HM_TOKEN_CONFIG, 0, payload, w.used, NULL, 0) != HM_OK)
		return hm_unavailable(why, "token", "%s ended at once", program->name);
	return HM_OK;
}

hm_result token_program_start(struct token_program *program, const char *name, const char *argument,
	const struct token_config *config, struct hm_problem *why)
{
	*program = (struct token_program){.name = name, .socket = -1};
	HM_TRY(run(program, argument, why));
	hm_result result = send_config(program, config, why);
	if (result != HM_OK)
		token_program_end(program);
	return result;
}

static hm_result take(const struct token_program *program, const struct hm_frame *frame, enum hm_frame_type wanted,
	void *answer, size_t *size, struct hm_problem *why)
{
	struct token_failure failure;
	struct hm_reader reader = hm_reader(frame->payload, frame->length);
	if (frame->type == HM_TOKEN_FAILED && token_failure_get(&reader, &failure))
		return hm_unavailable(why, "token", "%s", failure.detail);
	if (frame->type != wanted || (answer && frame->length > *size))
		return hm_broken(why, "%s answered with frame type %d", program->name, (int)frame->type);
	if (answer) {
		memcpy(answer, frame->payload, frame->length);
		*size = frame->length;
	}
	return HM_OK;
}

hm_result token_program_ask(const struct token_program *program, enum hm_frame_type command, const void *payload,
	size_t length, enum hm_frame_type wanted, void *answer, size_t *size, struct hm_problem *why)
{
	static uint8_t buffer[HM_FRAME_HEADER + HM_FRAME_MAX_INLINE];
	struct hm_frame frame;
	if (frame_send(program->socket, command, 1, payload, length, NULL, 0) != HM_OK ||
		frame_receive(program->socket, buffer, sizeof buffer, &frame) != HM_OK)
		return hm_unavailable(why, "token", "%s ended without an answer", program->name);
	hm_result result = take(program, &frame, wanted, answer, size, why);
	frame_done(&frame);
	return result;
}

void token_program_end(struct token_program *program)
{
	close(program->socket);
	while (waitpid(program->pid, NULL, 0) < 0 && errno == EINTR)
		;
}
