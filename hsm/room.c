/* SPDX-License-Identifier: Apache-2.0 */
#include "room.h"

#include "confine.h"
#include "frame.h"
#include "login.h"
#include "sign.h"
#include "tpm.h"
#include <time.h>
#include <unistd.h>

enum { SESSIONS_SPARE = 2 }; /* the login's, and one for an operator's tool */

static hm_result open_session(
	const struct room *room, bool may_write, CK_SESSION_HANDLE *session, struct token_failure *why)
{
	CK_FLAGS flags = CKF_SERIAL_SESSION | (may_write ? CKF_RW_SESSION : 0);
	CK_RV ckr = room->module.calls->C_OpenSession(room->module.slot, flags, NULL, NULL, session);
	if (ckr == CKR_OK)
		return HM_OK;
	*session = CK_INVALID_HANDLE;
	return fail_call(why, "C_OpenSession", ckr);
}

/* The first signature with a key takes longer than those that follow: the quicker of two counts, of the slowest key. */
static hm_result time_probes(struct room *room, CK_SESSION_HANDLE session, const struct key *key, uint32_t *slowest_us,
	struct token_failure *why)
{
	int64_t least_us = INT64_MAX;
	for (int i = 0; i < 2; i++) {
		struct timespec begun, ended;
		clock_gettime(CLOCK_MONOTONIC, &begun);
		HM_TRY(sign_probe(&room->module, session, key, why));
		clock_gettime(CLOCK_MONOTONIC, &ended);
		int64_t took_us = (ended.tv_sec - begun.tv_sec) * 1000000 + (ended.tv_nsec - begun.tv_nsec) / 1000;
		least_us = took_us < least_us ? took_us : least_us;
	}
	if (least_us > *slowest_us)
		*slowest_us = (uint32_t)least_us;
	return HM_OK;
}

/* Some modules name a mechanism for hashes made elsewhere, and then do not sign with it. */
static hm_result try_out(
	struct room *room, CK_SESSION_HANDLE session, struct key *key, uint32_t *slowest_us, struct token_failure *why)
{
	hm_result result = time_probes(room, session, key, slowest_us, why);
	if (result == HM_UNAVAILABLE && key_hash_in_token(&room->module, key))
		result = time_probes(room, session, key, slowest_us, why);
	return result;
}

static hm_result find_key(
	struct room *room, CK_SESSION_HANDLE session, uint32_t place, uint32_t *slowest_us, struct token_failure *why)
{
	struct key *key = &room->keys[place];
	HM_TRY(key_find(&room->module, session, &room->config->keys[place], room->config->waived, key, why));
	if (room->config->tpm_parent)
		HM_TRY(tpm_check(&room->module, session, room->config->tpm_parent, key, why));
	else if (!room->config->tpm_unasked && tpm_holds(&room->module, session, key))
		return fail(why, TOKEN_CUSTODY,
			"key %s: its attributes are rows beside the TPM, which anybody with its files can rewrite: set "
			"the "
			"token's tpm_parent, so that the TPM is asked",
			key->config->name);
	if (key->config->use != KEY_USE_CHECKPOINT)
		HM_TRY(jose_open(key, &room->jose[place], why));
	key->tally = tallies_find(&room->tallies, key->shown.kid);
	if (!key->tally)
		return fail(why, TOKEN_DEVICE, "key %s: this process has counted %d keys, as many as it can",
			key->config->name, HM_TALLIES_MAX);
	HM_TRY(try_out(room, session, key, slowest_us, why));
	atomic_store(&room->holds[place], true);
	return HM_OK;
}

static hm_result find_keys(struct room *room, struct token_failure *why)
{
	for (uint32_t i = 0; i < room->config->key_count; i++)
		if (room->config->keys[i].name[0])
			HM_TRY(find_key(room, room->login, i, &room->probe_us, why));
	return HM_OK;
}

static hm_result learn_key(
	struct room *room, CK_SESSION_HANDLE session, const struct token_learn *learn, struct token_failure *why)
{
	uint32_t probe_us = 0;
	if (atomic_load(&room->holds[learn->place]))
		return HM_BROKEN; /* threads may be signing with what it holds */
	room->config->keys[learn->place] = learn->key;
	hm_result result = find_key(room, session, learn->place, &probe_us, why);
	if (result != HM_OK)
		key_close(&room->keys[learn->place]);
	return result;
}

hm_result room_learn_key(
	struct room *room, CK_SESSION_HANDLE session, const struct token_learn *learn, struct token_failure *why)
{
	pthread_mutex_lock(&room->learning);
	hm_result result = learn_key(room, session, learn, why);
	pthread_mutex_unlock(&room->learning);
	return result;
}

static unsigned count_threads(const struct room *room)
{
	CK_ULONG most = room->module.info.ulMaxSessionCount;
	CK_ULONG wanted = room->config->threads;
	if (most == CK_EFFECTIVELY_INFINITE || most == CK_UNAVAILABLE_INFORMATION || most >= wanted + SESSIONS_SPARE)
		return (unsigned)wanted;
	return most > SESSIONS_SPARE ? (unsigned)(most - SESSIONS_SPARE) : 1;
}

static void release(int *lock)
{
	if (*lock >= 0)
		close(*lock);
	*lock = -1;
}

/* A person at the PIN pad takes time; other tokens' processes must not wait for it. */
static hm_result log_in(struct room *room, const struct pin_parts *parts, int *lock, struct token_failure *why)
{
	HM_TRY(confine(room->config, why));
	HM_TRY(module_load(room->config, &room->module, why));
	HM_TRY(module_find_token(room->config, &room->module, why));
	HM_TRY(open_session(room, room->config->read_write, &room->login, why));
	if (room->config->login == LOGIN_PROTECTED_PATH)
		release(lock);
	return login_user(room->config, parts, &room->module, room->login, why);
}

hm_result room_open(struct token_config *config, struct pin_parts *parts, struct room *room, struct token_failure *why)
{
	int lock;
	room->config = config;
	pthread_mutex_init(&room->sessions, NULL);
	pthread_mutex_init(&room->learning, NULL);
	pthread_mutex_init(&room->heads, NULL);
	HM_TRY(tallies_open(&room->tallies, why));
	HM_TRY(login_lock(config, &lock, why));
	if (frame_send(HM_CHILD_FD, HM_TOKEN_TURN, 0, NULL, 0, NULL, 0) != HM_OK)
		return fail(why, TOKEN_DEVICE, "mint is gone");
	hm_result result = log_in(room, parts, &lock, why);
	release(&lock);
	pin_parts_close(parts);
	if (result != HM_OK)
		return result;
	room->threads = count_threads(room);
	return find_keys(room, why);
}

static hm_result check_login(const struct room *room, CK_SESSION_HANDLE session, struct token_failure *why)
{
	CK_SESSION_INFO info;
	if (room->config->login == LOGIN_NONE)
		return HM_OK;
	TRY_CALL(why, room->module.calls, C_GetSessionInfo, session, &info);
	if (info.state == CKS_RO_USER_FUNCTIONS || info.state == CKS_RW_USER_FUNCTIONS)
		return HM_OK;
	return fail(why, TOKEN_LOGIN, "C_GetSessionInfo: the token has logged us out");
}

static void close_session(const struct module *module, CK_SESSION_HANDLE *session)
{
	if (*session != CK_INVALID_HANDLE)
		(void)module->calls->C_CloseSession(*session); /* it may be gone already */
	*session = CK_INVALID_HANDLE;
}

static hm_result open_logged_in(
	const struct room *room, bool may_write, CK_SESSION_HANDLE *session, struct token_failure *why)
{
	hm_result result = open_session(room, may_write, session, why);
	if (result == HM_OK)
		result = check_login(room, *session, why);
	if (result != HM_OK)
		close_session(&room->module, session);
	return result;
}

hm_result room_open_session(struct room *room, CK_SESSION_HANDLE *session, struct token_failure *why)
{
	pthread_mutex_lock(&room->sessions);
	hm_result result = open_logged_in(room, room->config->read_write, session, why);
	atomic_fetch_add(&room->open, result == HM_OK);
	pthread_mutex_unlock(&room->sessions);
	return result;
}

void room_close_session(struct room *room, CK_SESSION_HANDLE *session)
{
	pthread_mutex_lock(&room->sessions);
	atomic_fetch_sub(&room->open, *session != CK_INVALID_HANDLE);
	close_session(&room->module, session);
	pthread_mutex_unlock(&room->sessions);
}

hm_result room_open_writing(struct room *room, CK_SESSION_HANDLE *session, struct token_failure *why)
{
	pthread_mutex_lock(&room->sessions);
	hm_result result = open_logged_in(room, true, session, why);
	pthread_mutex_unlock(&room->sessions);
	return result;
}

void room_close_writing(struct room *room, CK_SESSION_HANDLE *session)
{
	pthread_mutex_lock(&room->sessions);
	close_session(&room->module, session);
	pthread_mutex_unlock(&room->sessions);
}

void room_close(struct room *room)
{
	for (uint32_t i = 0; i < HM_KEYS_MAX; i++)
		key_close(&room->keys[i]);
	(void)room->module.calls->C_Finalize(NULL);
}
