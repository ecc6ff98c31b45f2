/* SPDX-License-Identifier: Apache-2.0 */
#include "token_admin.h"

#include "token_program.h"
#include <stdlib.h>

struct token_admin {
	struct token_program program;
};

struct token_admin *token_admin_open(const struct token_config *config, struct hm_problem *why)
{
	struct token_admin *admin = calloc(1, sizeof *admin);
	if (!admin) {
		(void)!hm_unavailable(why, "system", "no memory");
		return NULL;
	}
	if (token_program_start(&admin->program, "hsmint-token", "admin", config, why) == HM_OK)
		return admin;
	free(admin);
	return NULL;
}

void token_admin_close(struct token_admin *admin)
{
	if (!admin)
		return;
	token_program_end(&admin->program);
	free(admin);
}

static hm_result ask(const struct token_admin *admin, enum hm_frame_type type, const void *payload, size_t length,
	struct hm_problem *why)
{
	return token_program_ask(&admin->program, type, payload, length, HM_ADMIN_DONE, NULL, NULL, why);
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
