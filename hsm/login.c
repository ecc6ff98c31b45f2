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
static hm_result check_flags(const struct module *module, struct token_failure *why)
{
	CK_TOKEN_INFO info;
	TRY_CALL(why, module->calls, C_GetTokenInfo, module->slot, &info);
	if (info.flags & CKF_USER_PIN_LOCKED)
		return fail(why, TOKEN_LATCH, "the token's user PIN is locked: have its security officer set it anew");
	if (info.flags & CKF_USER_PIN_FINAL_TRY)
		return fail(why, TOKEN_LATCH, "the token allows one last attempt: log in with its own tools first");
	if (!(info.flags & CKF_USER_PIN_INITIALIZED))
		return fail(why, TOKEN_LATCH, "the token's user PIN was never set");
	return HM_OK;
}

static bool is_about_the_pin(CK_RV ckr)
{
	return ckr == CKR_PIN_INCORRECT || ckr == CKR_PIN_INVALID || ckr == CKR_PIN_LEN_RANGE ||
	       ckr == CKR_PIN_EXPIRED || ckr == CKR_PIN_LOCKED;
}

hm_result login_user(const struct token_config *config, const struct module *module, CK_SESSION_HANDLE session,
	struct token_failure *why)
{
	struct token_failure unrecorded;
	struct latch latch;
	PIN_AUTO pin = {0};

	HM_TRY(pin_read(config, &pin, why));
	HM_TRY(check_flags(module, why));
	HM_TRY(latch_open(config->state, config->name, config->unlatch, &latch, why));
	HM_TRY(latch_try(&latch, &pin, why));
	CK_RV ckr = module->calls->C_Login(session, config->user_type, pin.text, pin.length);
	if (ckr == CKR_OK)
		return latch_answer(&latch, LATCH_GOOD, why);
	/* Unrecorded, a wrong one stays `trying`, and an attempt counted: neither is tried more often for it. */
	(void)!(is_about_the_pin(ckr) ? latch_answer(&latch, LATCH_WRONG, &unrecorded)
				      : latch_withdraw(&latch, &unrecorded));
	return fail_call(why, "C_Login", ckr);
}
