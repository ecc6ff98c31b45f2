/* SPDX-License-Identifier: Apache-2.0 */
#include "token_admin.h"

#include "frame.h"
#include "process.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CONFIG_FRAME_MAX = 256 * 1024 };

struct token_admin {
	pid_t pid;
	int socket;
};

static hm_result start(struct token_admin *admin, struct hm_problem *why)
{
	char path[HM_PATH_MAX];
	int ends[2];
	if (!process_program("hsmint-token", path))
		return hm_unavailable(why, "system", "hsmint-token is neither beside hsmint nor in ../libexec/hsmint");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return hm_unavailable(why, "system", "socketpair: %s", strerror(errno));
	admin->pid = fork();
	if (admin->pid == 0) {
		if (ends[1] == HM_CHILD_FD) { /* dup2 onto itself would leave it to be closed by exec */
			ends[1] = dup(ends[1]);
		}
		if (dup2(ends[1], HM_CHILD_FD) == HM_CHILD_FD && dup2(STDERR_FILENO, STDOUT_FILENO) >= 0)
			execl(path, "hsmint-token", "admin", (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	admin->socket = ends[0];
	if (admin->pid > 0)
		return HM_OK;
	close(ends[0]);
	return hm_unavailable(why, "system", "fork: %s", strerror(errno));
}

static hm_result ask(const struct token_admin *admin, enum hm_frame_type type, const void *payload, size_t length,
	struct hm_problem *why)
{
	static uint8_t buffer[HM_FRAME_HEADER + HM_FRAME_MAX_INLINE];
	struct token_failure failure;
	struct hm_frame frame;
	if (frame_send(admin->socket, type, 1, payload, length, NULL, 0) != HM_OK ||
		frame_receive(admin->socket, buffer, sizeof buffer, &frame) != HM_OK)
		return hm_unavailable(why, "token", "hsmint-token admin ended without an answer");
	struct hm_reader reader = hm_reader(frame.payload, frame.length);
	hm_result result = HM_OK;
	if (frame.type != HM_ADMIN_DONE)
		result = token_failure_get(&reader, &failure)
				 ? hm_unavailable(why, "token", "%s", failure.detail)
				 : hm_broken(why, "hsmint-token admin answered with frame type %d", (int)frame.type);
	frame_done(&frame);
	return result;
}

static hm_result configure(const struct token_admin *admin, const struct token_config *config, struct hm_problem *why)
{
	static uint8_t payload[CONFIG_FRAME_MAX];
	struct hm_writer w = hm_writer(payload, sizeof payload);
	token_config_put(&w, config);
	if (w.failed || frame_send(admin->socket, HM_TOKEN_CONFIG, 0, payload, w.used, NULL, 0) != HM_OK)
		return hm_unavailable(why, "token", "hsmint-token admin ended at once");
	return HM_OK;
}

struct token_admin *token_admin_open(const struct token_config *config, struct hm_problem *why)
{
	struct token_admin *admin = calloc(1, sizeof *admin);
	if (!admin) {
		(void)!hm_unavailable(why, "system", "no memory");
		return NULL;
	}
	if (start(admin, why) != HM_OK) {
		free(admin);
		return NULL;
	}
	if (configure(admin, config, why) == HM_OK)
		return admin;
	token_admin_close(admin);
	return NULL;
}

void token_admin_close(struct token_admin *admin)
{
	if (!admin)
		return;
	close(admin->socket);
	while (waitpid(admin->pid, NULL, 0) < 0 && errno == EINTR)
		;
	free(admin);
}

hm_result token_admin_init(const struct token_admin *admin, const char *so_pin_file, struct hm_problem *why)
{
	uint8_t payload[HM_PATH_MAX + 16];
	struct hm_writer w = hm_writer(payload, sizeof payload);
	hm_put_string(&w, so_pin_file);
	return ask(admin, HM_ADMIN_INIT, payload, w.used, why);
}

hm_result token_admin_create(const struct token_admin *admin, uint16_t key, struct hm_problem *why)
{
	return ask(admin, HM_ADMIN_CREATE, &key, sizeof key, why);
}

hm_result token_admin_destroy(const struct token_admin *admin, uint16_t key, const char *kid, struct hm_problem *why)
{
	uint8_t payload[HM_KID_MAX + 16];
	struct hm_writer w = hm_writer(payload, sizeof payload);
	hm_put_u16(&w, key);
	hm_put_string(&w, kid);
	return ask(admin, HM_ADMIN_DESTROY, payload, w.used, why);
}
