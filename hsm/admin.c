/* SPDX-License-Identifier: Apache-2.0 */
#include "admin.h"

#include "frame.h"
#include "key.h"
#include "login.h"
#include "pin.h"
#include "serve.h"
#include <string.h>
#include <unistd.h>

struct admin {
	struct token_config config;
	struct pin_parts parts; /* of the PIN, when people give it */
	struct module module;
	CK_SESSION_HANDLE session; /* read-write, logged in as user; CK_INVALID_HANDLE until a command needs it */
	uint8_t buffer[HM_FRAME_HEADER + HM_FRAME_MAX_INLINE];
};

/* ---- initialise ---- */

static hm_result set_user_pin(const struct admin *admin, CK_SESSION_HANDLE session, const struct pin *so_pin,
	const struct pin *user_pin, struct token_failure *why)
{
	CK_FUNCTION_LIST *calls = admin->module.calls;
	TRY_CALL(why, calls, C_Login, session, CKU_SO, (CK_UTF8CHAR *)so_pin->text, so_pin->length);
	TRY_CALL(why, calls, C_InitPIN, session, (CK_UTF8CHAR *)user_pin->text, user_pin->length);
	TRY_CALL(why, calls, C_Logout, session);
	return HM_OK;
}

static hm_result initialise(struct admin *admin, const char *so_pin_file, struct token_failure *why)
{
	CK_FUNCTION_LIST *calls = admin->module.calls;
	CK_UTF8CHAR label[32];
	CK_SESSION_HANDLE session;
	PIN_AUTO so_pin = {0};
	PIN_AUTO user_pin = {0};

	HM_TRY(pin_read_file(so_pin_file, &so_pin, why));
	HM_TRY(pin_read(&admin->config, &admin->parts, &user_pin, why));
	if (!user_pin.length)
		return fail(why, TOKEN_REFUSED,
			"a token is initialised with the PIN of its login, and this login has none");
	HM_TRY(module_find_blank(&admin->config, &admin->module, why));
	memset(label, ' ', sizeof label);
	memcpy(label, admin->config.label, strlen(admin->config.label));
	TRY_CALL(why, calls, C_InitToken, admin->module.slot, so_pin.text, so_pin.length, label);

	HM_TRY(module_find_token(&admin->config, &admin->module, why)); /* modules may give it another slot */
	TRY_CALL(why, calls, C_OpenSession, admin->module.slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
		&session);
	hm_result result = set_user_pin(admin, session, &so_pin, &user_pin, why);
	(void)calls->C_CloseSession(session);
	return result;
}

/* ---- create ---- */

static hm_result open_session(struct admin *admin, struct token_failure *why)
{
	if (admin->session != CK_INVALID_HANDLE)
		return HM_OK;
	HM_TRY(module_find_token(&admin->config, &admin->module, why));
	TRY_CALL(why, admin->module.calls, C_OpenSession, admin->module.slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL,
		NULL, &admin->session);
	return login_user(&admin->config, &admin->parts, &admin->module, admin->session, why);
}

static hm_result create(struct admin *admin, uint16_t key, struct token_failure *why)
{
	HM_TRY(open_session(admin, why));
	return key_generate(&admin->module, admin->session, &admin->config.keys[key], why);
}

/* ---- destroy ---- */

static hm_result destroy(struct admin *admin, uint16_t key, const char *kid, struct token_failure *why)
{
	HM_TRY(open_session(admin, why));
	return key_destroy(&admin->module, admin->session, &admin->config.keys[key], kid, why);
}

/* ---- commands ---- */

/* HM_BROKEN: not a command. */
static hm_result run(struct admin *admin, const struct hm_frame *frame, struct token_failure *why)
{
	struct hm_reader reader = hm_reader(frame->payload, frame->length);
	char so_pin_file[HM_PATH_MAX], kid[HM_KID_MAX + 1];
	uint16_t key;
	switch (frame->type) {
	case HM_ADMIN_INIT:
		hm_get_string(&reader, so_pin_file, sizeof so_pin_file);
		return hm_reader_done(&reader) ? initialise(admin, so_pin_file, why) : HM_BROKEN;
	case HM_ADMIN_CREATE:
		key = hm_get_u16(&reader);
		return hm_reader_done(&reader) && key < admin->config.key_count ? create(admin, key, why) : HM_BROKEN;
	case HM_ADMIN_DESTROY:
		key = hm_get_u16(&reader);
		hm_get_string(&reader, kid, sizeof kid);
		return hm_reader_done(&reader) && key < admin->config.key_count ? destroy(admin, key, kid, why)
										: HM_BROKEN;
	default:
		return HM_BROKEN;
	}
}

static hm_result answer(uint64_t id, hm_result result, const struct token_failure *why)
{
	uint8_t payload[sizeof *why + 16];
	struct hm_writer w = hm_writer(payload, sizeof payload);
	if (result == HM_OK)
		return frame_send(HM_CHILD_FD, HM_ADMIN_DONE, id, NULL, 0, NULL, 0);
	token_failure_put(&w, why);
	return frame_send(HM_CHILD_FD, HM_TOKEN_FAILED, id, payload, w.used, NULL, 0);
}

static hm_result begin(struct admin *admin, int *lock, struct token_failure *why)
{
	HM_TRY(login_lock(&admin->config, lock, why));
	return module_load(&admin->config, &admin->module, why);
}

/* Why it could not begin is answered to every command. */
static void serve(struct admin *admin, int *lock)
{
	struct token_failure why, unloaded;
	struct hm_frame frame;
	hm_result loaded = begin(admin, lock, &unloaded);
	while (frame_receive(HM_CHILD_FD, admin->buffer, sizeof admin->buffer, &frame) == HM_OK) {
		hm_result result = loaded == HM_OK ? run(admin, &frame, &why) : loaded;
		uint64_t id = frame.id;
		frame_done(&frame);
		if (result == HM_BROKEN || answer(id, result, loaded == HM_OK ? &why : &unloaded) != HM_OK)
			break;
	}
	if (loaded == HM_OK)
		(void)admin->module.calls->C_Finalize(NULL);
}

int admin_run(void)
{
	static struct admin admin = {.session = CK_INVALID_HANDLE};
	int lock = -1;
	if (!serve_receive_config(&admin.config, &admin.parts))
		return 1;
	serve(&admin, &lock);
	if (lock >= 0)
		close(lock);
	return 0;
}
