/* SPDX-License-Identifier: Apache-2.0 */
#include "login.h"

#include "latch.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

hm_result login_lock(const struct token_config *config, int *lock, struct token_failure *why)
{
	char path[HM_PATH_MAX + 32];
	snprintf(path, sizeof path, "%s/token-start.lock", config->state);
	*lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*lock < 0)
		return fail(why, TOKEN_DEVICE, "%s: %s", path, strerror(errno));
	while (flock(*lock, LOCK_EX) < 0)
		if (errno != EINTR) {
			close(*lock);
			return fail(why, TOKEN_DEVICE, "%s: %s", path, strerror(errno));
		}
	return HM_OK;
}

/* What the token says of its PIN by itself, before one of its few attempts is spent. */
static hm_result check_flags(const struct token_config *config, const struct module *module, struct token_failure *why)
{
	CK_TOKEN_INFO info;
	TRY_CALL(why, module->calls, C_GetTokenInfo, module->slot, &info);
	if (info.flags & CKF_USER_PIN_LOCKED)
		return fail(why, TOKEN_LATCH, "the token's user PIN is locked: have its security officer set it anew");
	if (info.flags & CKF_USER_PIN_FINAL_TRY)
		return fail(why, TOKEN_LATCH, "the token allows one last attempt: log in with its own tools first");
	if (!(info.flags & CKF_USER_PIN_INITIALIZED))
		return fail(why, TOKEN_LATCH, "the token's user PIN was never set");
	if (config->login == LOGIN_PROTECTED_PATH && !(info.flags & CKF_PROTECTED_AUTHENTICATION_PATH))
		return fail(why, TOKEN_LATCH,
			"the token has no PIN pad (CKF_PROTECTED_AUTHENTICATION_PATH): configure "
			"another login");
	return HM_OK;
}

static bool is_about_the_pin(CK_RV ckr)
{
	return ckr == CKR_PIN_INCORRECT || ckr == CKR_PIN_INVALID || ckr == CKR_PIN_LEN_RANGE ||
	       ckr == CKR_PIN_EXPIRED || ckr == CKR_PIN_LOCKED;
}

struct login {
	const struct token_config *config;
	const struct module *module;
	CK_SESSION_HANDLE session;
	struct pin pin;
	struct latch latch;
};

static void login_wipe(struct login *login)
{
	pin_wipe(&login->pin);
}

static hm_result try_once(struct login *login, CK_RV *ckr, struct token_failure *why)
{
	HM_TRY(latch_try(&login->latch, why));
	bool has_pin_pad = login->config->login == LOGIN_PROTECTED_PATH;
	*ckr = login->module->calls->C_Login(
		login->session, login->config->user_type, has_pin_pad ? NULL : login->pin.text, login->pin.length);
	return HM_OK;
}

/* Whether there is a token that works behind the module. One without random numbers cannot show it. */
static hm_result show_life(const struct login *login, bool *is_shown, struct token_failure *why)
{
	CK_BYTE random[16];
	CK_RV ckr = login->module->calls->C_GenerateRandom(login->session, random, sizeof random);
	*is_shown = ckr == CKR_OK;
	if (ckr == CKR_OK || ckr == CKR_RANDOM_NO_RNG || ckr == CKR_FUNCTION_NOT_SUPPORTED)
		return HM_OK;
	hm_result result = fail_call(why, "C_GenerateRandom", ckr);
	why->class = TOKEN_DEVICE;
	return result;
}

/* A good PIN that was refused while the token was away stays good, and its attempt unanswered. */
static hm_result try_pin(struct login *login, CK_RV *ckr, struct token_failure *why)
{
	struct token_failure flagged;
	bool is_shown;
	if (latch_is_in_doubt(&login->latch))
		HM_TRY(show_life(login, &is_shown, why));
	HM_TRY(try_once(login, ckr, why));
	if (*ckr != CKR_PIN_INCORRECT || !latch_is_good(&login->latch))
		return HM_OK;
	HM_TRY(show_life(login, &is_shown, why));
	return is_shown && check_flags(login->config, login->module, &flagged) == HM_OK ? try_once(login, ckr, why)
											: HM_OK;
}

/* What was given in an unlock is known by its id, and nothing is tried before it was given. */
static hm_result choose(struct login *login, struct token_failure *why)
{
	static const uint8_t none[HM_UNLOCK_ID];
	const uint8_t *unlock = login->config->unlock;
	if (!token_is_attended(login->config))
		return latch_choose(&login->latch, &login->pin, why);
	if (memcmp(unlock, none, sizeof none) == 0)
		return fail(why, TOKEN_LATCH, "nobody has unlocked the token: hsmint token unlock");
	latch_choose_unlock(&login->latch, unlock);
	return HM_OK;
}

/* What people have to do again is not tried without them. */
static hm_result refuse(const struct login *login, CK_RV ckr, struct token_failure *why)
{
	hm_result result = fail_call(why, "C_Login", ckr);
	size_t said = strlen(why->detail);
	if (login->config->login == LOGIN_PROTECTED_PATH)
		why->class = TOKEN_LATCH;
	if (token_is_attended(login->config) && why->class == TOKEN_LATCH)
		snprintf(why->detail + said, sizeof why->detail - said,
			": nothing is tried again until hsmint token unlock");
	return result;
}

hm_result login_user(const struct token_config *config, const struct pin_parts *parts, const struct module *module,
	CK_SESSION_HANDLE session, struct token_failure *why)
{
	__attribute__((cleanup(login_wipe))) struct login login = {
		.config = config, .module = module, .session = session};
	struct token_failure unrecorded;
	CK_RV ckr;

	if (config->login == LOGIN_NONE)
		return HM_OK;
	HM_TRY(pin_read(config, parts, &login.pin, why));
	HM_TRY(check_flags(config, module, why));
	HM_TRY(latch_open(config->state, config->name, config->unlatch, &login.latch, why));
	HM_TRY(choose(&login, why));
	HM_TRY(try_pin(&login, &ckr, why));
	if (ckr == CKR_OK)
		return latch_answer(&login.latch, LATCH_GOOD, why);
	/* Unrecorded, a wrong one stays `trying`, and an attempt counted: neither is tried more often for it. */
	(void)!(is_about_the_pin(ckr) ? latch_answer(&login.latch, LATCH_WRONG, &unrecorded)
				      : latch_withdraw(&login.latch, &unrecorded));
	return refuse(&login, ckr, why);
}
