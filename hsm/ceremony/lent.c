/* SPDX-License-Identifier: Apache-2.0 */
#include "lent.h"

#include <string.h>

enum { SESSIONS_MAX = 16 };

static CK_FUNCTION_LIST lent;
static const CK_FUNCTION_LIST *calls; /* the module's own */
static CK_SESSION_HANDLE sessions[SESSIONS_MAX];
static unsigned session_count;
static const char *failed; /* NULL: no call has */
static CK_RV failure;

/* ---- what it is not for ---- */

static CK_RV initialize(void *arguments)
{
	(void)arguments;
	return CKR_CRYPTOKI_ALREADY_INITIALIZED;
}

static CK_RV finalize(void *reserved)
{
	(void)reserved;
	return CKR_OK;
}

static CK_RV close_all(CK_SLOT_ID slot)
{
	(void)slot;
	return CKR_OK;
}

static CK_RV log_in(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG length)
{
	(void)session, (void)user, (void)pin, (void)length;
	return CKR_FUNCTION_NOT_SUPPORTED;
}

static CK_RV log_out(CK_SESSION_HANDLE session)
{
	(void)session;
	return CKR_FUNCTION_NOT_SUPPORTED;
}

/* ---- what it is for ---- */

static CK_RV open_session(
	CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY notify, CK_SESSION_HANDLE *session)
{
	if (session_count == SESSIONS_MAX)
		return CKR_SESSION_COUNT;
	CK_RV ckr = calls->C_OpenSession(slot, flags, application, notify, session);
	if (ckr == CKR_OK)
		sessions[session_count++] = *session;
	return ckr;
}

static CK_RV note(const char *function, CK_RV ckr)
{
	if (ckr == CKR_OK)
		return ckr;
	failed = function;
	failure = ckr;
	return ckr;
}

static CK_RV sign_init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
	return note("C_SignInit", calls->C_SignInit(session, mechanism, key));
}

static CK_RV sign(
	CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG length, CK_BYTE *signature, CK_ULONG *signature_length)
{
	return note("C_Sign", calls->C_Sign(session, data, length, signature, signature_length));
}

void lent_module(const struct module *module)
{
	calls = module->calls;
	/* What stays NULL libp11 does not call to find keys and sign; if it did, that would be the end of it. */
	lent = (CK_FUNCTION_LIST){.version = calls->version,
		.C_Initialize = initialize,
		.C_Finalize = finalize,
		.C_GetInfo = calls->C_GetInfo,
		.C_GetSlotList = calls->C_GetSlotList,
		.C_GetSlotInfo = calls->C_GetSlotInfo,
		.C_GetTokenInfo = calls->C_GetTokenInfo,
		.C_GetMechanismList = calls->C_GetMechanismList,
		.C_GetMechanismInfo = calls->C_GetMechanismInfo,
		.C_OpenSession = open_session,
		.C_CloseSession = calls->C_CloseSession,
		.C_CloseAllSessions = close_all,
		.C_GetSessionInfo = calls->C_GetSessionInfo,
		.C_Login = log_in,
		.C_Logout = log_out,
		.C_GetAttributeValue = calls->C_GetAttributeValue,
		.C_FindObjectsInit = calls->C_FindObjectsInit,
		.C_FindObjects = calls->C_FindObjects,
		.C_FindObjectsFinal = calls->C_FindObjectsFinal,
		.C_SignInit = sign_init,
		.C_Sign = sign};
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
	*list = &lent;
	return CKR_OK;
}

void lent_end(void)
{
	while (session_count)
		(void)calls->C_CloseSession(sessions[--session_count]);
}

hm_result lent_failure(struct token_failure *why)
{
	const char *function = failed;
	failed = NULL;
	return function ? fail_call(why, function, failure) : HM_REFUSED;
}
