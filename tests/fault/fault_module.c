/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PKCS#11 module for tests. It wraps another one, records calls, and fails where a script says so.
 *
 *	HSMINT_TEST_MODULE  the module to wrap
 *	HSMINT_TEST_CALLS   if set, gets a line for each call that comes in, before anything is done with it, but for
 *	                    C_OpenSession and C_CloseSession after the wrapped module was asked
 *	HSMINT_TEST_TAKES   if set, a signature returns so many microseconds after its C_SignInit came
 *	HSMINT_TEST_PIN_PAD if set, what a person enters at the token's PIN pad when C_Login comes without a PIN
 *	HSMINT_TEST_HSM_LOG if set, gets a line "time,label,1" for each signature that the wrapped module made
 *	HSMINT_TEST_SCRIPT  a file read anew at every call; it may be missing
 *
 * A script has one rule a line, "FUNCTION ACTION" or "FUNCTION ACTION TIMES"; the first rule that fits a call is
 * obeyed. With TIMES a rule is obeyed that often in all, over all processes: its count is the length of the file
 * SCRIPT.FUNCTION.ACTION, which grows by a byte each time. FUNCTION is any that this file has. ACTION is
 *
 *	0x…        return this value; the wrapped module is not asked
 *	exit       end the process at once, before the wrapped module is asked
 *	hang       never return, nor ask the wrapped module
 *	wait-MS    ask it so many milliseconds later
 *	pass       ask it: with TIMES, such calls are counted
 *	renumber   make every handle of an object given so far invalid, then ask it
 *	flip       ask it, then change one bit of the signature (C_Sign)
 *	short long ask it, then give one byte less or more of the signature (C_Sign)
 *	stale      ask it, then give this thread's signature before this one (C_Sign)
 *	other-key  ask it for a signature by another key of the same type (C_SignInit)
 *	limit-N    with N sessions open or N signatures under way in this process, refuse one more (C_OpenSession:
 *	           CKR_SESSION_COUNT, C_Sign: CKR_TOKEN_RESOURCE_EXCEEDED)
 *	lock-N     after N wrong PINs, refuse each with CKR_PIN_LOCKED (C_Login). They are counted in SCRIPT.wrong-pins;
 *	           before, a right one clears the count
 *	close      close this session for good, then ask it (C_SignInit, C_Sign)
 *	close-all  close every session, which ends the login too, then ask it (C_SignInit, C_Sign)
 *	logout     log out, then ask it (C_SignInit, C_Sign)
 *	login      ask it, then log in by itself with HSMINT_TEST_PIN_PAD (C_OpenSession)
 *	+0x… -0x…  ask it, then set or clear these flags (C_GetTokenInfo)
 *
 * C_GetAttributeValue:0x… is a function too, for an attribute asked for alone: its value is that of the wrapped module,
 * but then `true`, `false`, `unavailable` (CK_UNAVAILABLE_INFORMATION), `nameless` (the length that says so) or `given`
 * (CKR_OK whatever the wrapped module says). 0x… returns as above.
 */
#include "hsm_log.h"
#include "objects.h"
#include "record.h"
#include "script.h"
#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { SIGNATURE_MAX = 1024 };
enum { TOKEN_RESOURCE_EXCEEDED = 0x201 }; /* PKCS#11 3.1's, which p11-kit's header lacks */

static CK_FUNCTION_LIST wrapped; /* the other module's functions */
static CK_FUNCTION_LIST given;   /* the same, but ours in places */
static CK_SLOT_ID used_slot;     /* of the first session */
static atomic_ulong sessions;    /* that are open */
static atomic_ulong signatures;  /* that are under way */

/* Held for writing while sessions are taken away: not every module survives that in the middle of a signature. */
static pthread_rwlock_t signing = PTHREAD_RWLOCK_INITIALIZER;

static bool acts(const char *function, char action[SCRIPT_WORD], CK_RV *ckr)
{
	bool is_done = script_acts(function, action, ckr);
	if (strcmp(action, "renumber") == 0)
		objects_renumber();
	return is_done;
}

/* ---- functions that are only recorded and made to fail ---- */

#define PLAIN(FUNCTION, PARAMETERS, ARGUMENTS)                                           \
	static CK_RV our_##FUNCTION PARAMETERS                                           \
	{                                                                                \
		char action[SCRIPT_WORD];                                                \
		CK_RV ckr;                                                               \
		record(#FUNCTION " thread=%d\n", gettid());                              \
		return acts(#FUNCTION, action, &ckr) ? ckr : wrapped.FUNCTION ARGUMENTS; \
	}

PLAIN(C_Finalize, (void *reserved), (reserved))
PLAIN(C_GetInfo, (CK_INFO * info), (info))
PLAIN(C_GetSlotList, (CK_BBOOL present, CK_SLOT_ID *slots, CK_ULONG *count), (present, slots, count))
PLAIN(C_GetMechanismList, (CK_SLOT_ID slot, CK_MECHANISM_TYPE *list, CK_ULONG *count), (slot, list, count))
PLAIN(C_GetMechanismInfo, (CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info), (slot, type, info))
PLAIN(C_InitToken, (CK_SLOT_ID slot, CK_UTF8CHAR *pin, CK_ULONG length, CK_UTF8CHAR *label), (slot, pin, length, label))
PLAIN(C_InitPIN, (CK_SESSION_HANDLE session, CK_UTF8CHAR *pin, CK_ULONG length), (session, pin, length))
PLAIN(C_GetSessionInfo, (CK_SESSION_HANDLE session, CK_SESSION_INFO *info), (session, info))
PLAIN(C_Logout, (CK_SESSION_HANDLE session), (session))
PLAIN(C_FindObjectsInit, (CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG count),
	(session, template, count))
PLAIN(C_FindObjectsFinal, (CK_SESSION_HANDLE session), (session))
PLAIN(C_SignUpdate, (CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG length), (session, part, length))
PLAIN(C_GenerateRandom, (CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG length), (session, out, length))

/* ---- the module and its token ---- */

static CK_RV our_C_Initialize(void *given_arguments)
{
	char action[SCRIPT_WORD];
	CK_RV ckr;
	CK_C_INITIALIZE_ARGS none = {0}, *arguments = given_arguments ? given_arguments : &none;
	bool callbacks =
		arguments->CreateMutex || arguments->DestroyMutex || arguments->LockMutex || arguments->UnlockMutex;
	record("C_Initialize thread=%d flags=0x%lx callbacks=%d\n", gettid(), arguments->flags, callbacks);
	return acts("C_Initialize", action, &ckr) ? ckr : wrapped.C_Initialize(given_arguments);
}

static CK_RV our_C_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
	char action[SCRIPT_WORD];
	CK_RV ckr;
	record("C_GetTokenInfo thread=%d\n", gettid());
	if (acts("C_GetTokenInfo", action, &ckr))
		return ckr;
	ckr = wrapped.C_GetTokenInfo(slot, info);
	if (action[0] == '+')
		info->flags |= strtoul(action + 1, NULL, 16);
	else if (action[0] == '-')
		info->flags &= ~strtoul(action + 1, NULL, 16);
	return ckr;
}

static CK_UTF8CHAR *pin_pad(void)
{
	return (CK_UTF8CHAR *)getenv("HSMINT_TEST_PIN_PAD");
}

static CK_RV login_or_lock(
	CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG length, unsigned long most)
{
	if (script_count("wrong-pins", false) >= most)
		return CKR_PIN_LOCKED;
	CK_RV ckr = wrapped.C_Login(session, user, pin, length);
	if (ckr == CKR_PIN_INCORRECT)
		script_count("wrong-pins", true);
	else if (ckr == CKR_OK)
		script_forget("wrong-pins");
	return ckr;
}

static CK_RV our_C_Login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG length)
{
	char action[SCRIPT_WORD];
	unsigned long most;
	CK_RV ckr;
	record("C_Login thread=%d session=%lu user=0x%lx pad=%d\n", gettid(), session, user, !pin);
	if (acts("C_Login", action, &ckr))
		return ckr;
	if (!pin && (pin = pin_pad()))
		length = strlen((char *)pin);
	return script_number(action, "lock", &most) ? login_or_lock(session, user, pin, length, most)
						    : wrapped.C_Login(session, user, pin, length);
}

/* ---- sessions ---- */

static CK_RV our_C_OpenSession(
	CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY notify, CK_SESSION_HANDLE *session)
{
	char action[SCRIPT_WORD];
	unsigned long most;
	CK_RV ckr;
	int64_t began = now_us();
	used_slot = slot;
	if (acts("C_OpenSession", action, &ckr))
		return ckr;
	if (script_number(action, "limit", &most) && atomic_load(&sessions) >= most)
		return CKR_SESSION_COUNT;
	ckr = wrapped.C_OpenSession(slot, flags, application, notify, session);
	atomic_fetch_add(&sessions, ckr == CKR_OK);
	if (ckr == CKR_OK && strcmp(action, "login") == 0)
		(void)wrapped.C_Login(*session, CKU_USER, pin_pad(), strlen((char *)pin_pad()));
	record("C_OpenSession thread=%d threads=%u flags=0x%lx session=%lu ckr=0x%lx began=%" PRId64 " ended=%" PRId64
	       "\n",
		gettid(), count_threads(), flags, *session, ckr, began, now_us());
	return ckr;
}

static CK_RV close_session(CK_SESSION_HANDLE session)
{
	CK_RV ckr = wrapped.C_CloseSession(session);
	atomic_fetch_sub(&sessions, ckr == CKR_OK);
	return ckr;
}

static CK_RV our_C_CloseSession(CK_SESSION_HANDLE session)
{
	char action[SCRIPT_WORD];
	CK_RV ckr;
	int64_t began = now_us();
	if (acts("C_CloseSession", action, &ckr))
		return ckr;
	ckr = close_session(session);
	record("C_CloseSession thread=%d session=%lu ckr=0x%lx began=%" PRId64 " ended=%" PRId64 "\n", gettid(),
		session, ckr, began, now_us());
	return ckr;
}

static CK_RV close_all_sessions(CK_SLOT_ID slot)
{
	CK_RV ckr = wrapped.C_CloseAllSessions(slot);
	if (ckr == CKR_OK)
		atomic_store(&sessions, 0);
	return ckr;
}

static CK_RV our_C_CloseAllSessions(CK_SLOT_ID slot)
{
	char action[SCRIPT_WORD];
	CK_RV ckr;
	record("C_CloseAllSessions thread=%d\n", gettid());
	return acts("C_CloseAllSessions", action, &ckr) ? ckr : close_all_sessions(slot);
}

/* What happens to a session without its owner's doing. */
static void take_away(CK_SESSION_HANDLE session, const char *action)
{
	pthread_rwlock_wrlock(&signing);
	if (strcmp(action, "close") == 0)
		close_session(session);
	else if (strcmp(action, "close-all") == 0)
		close_all_sessions(used_slot);
	else if (strcmp(action, "logout") == 0)
		wrapped.C_Logout(session);
	pthread_rwlock_unlock(&signing);
}

/* ---- signatures ---- */

static _Thread_local int64_t sign_began_us; /* a signature begins with C_SignInit */

/* Threads oversleep, by some 40 us on a virtual machine: as much less is slept as was overslept lately. */
static void sleep_until(int64_t end_us)
{
	static _Thread_local int64_t late_us;
	int64_t asked_us = end_us - late_us;
	struct timespec end = {.tv_sec = asked_us / 1000000, .tv_nsec = asked_us % 1000000 * 1000};
	(void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL) == EINTR)
		;
	int64_t over_us = now_us() - asked_us;
	if (over_us < 1000)
		late_us += (over_us - late_us) / 8;
}

static CK_RV our_C_SignInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
	char action[SCRIPT_WORD];
	CK_OBJECT_HANDLE real;
	CK_RV ckr;
	sign_began_us = now_us();
	record("C_SignInit thread=%d session=%lu key=%lu\n", gettid(), session, key);
	if (acts("C_SignInit", action, &ckr))
		return ckr;
	take_away(session, action);
	if (!objects_take(key, &real))
		return CKR_KEY_HANDLE_INVALID;
	pthread_rwlock_rdlock(&signing);
	if (strcmp(action, "other-key") == 0)
		real = objects_other_key(&wrapped, session, real);
	ckr = wrapped.C_SignInit(session, mechanism, real);
	hsm_log_begin(real);
	pthread_rwlock_unlock(&signing);
	return ckr;
}

/* Give what this thread got before instead of what it got now, which is kept for the next time. */
static void exchange_with_last(CK_BYTE *signature, CK_ULONG size, bool give)
{
	static _Thread_local CK_BYTE last[SIGNATURE_MAX];
	static _Thread_local CK_ULONG last_size;
	CK_BYTE now[SIGNATURE_MAX];
	if (size > SIGNATURE_MAX || (give && last_size != size))
		give_up("there is no earlier signature of this length");
	memcpy(now, signature, size);
	if (give)
		memcpy(signature, last, size);
	memcpy(last, now, size);
	last_size = size;
}

static void spoil(const char *action, CK_BYTE *signature, CK_ULONG *size)
{
	exchange_with_last(signature, *size, strcmp(action, "stale") == 0);
	if (strcmp(action, "flip") == 0)
		signature[*size - 1] ^= 1;
	else if (strcmp(action, "short") == 0)
		--*size;
	else if (strcmp(action, "long") == 0)
		++*size;
}

static CK_RV sign_as_told(const char *action, CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG length,
	CK_BYTE *signature, CK_ULONG *size)
{
	take_away(session, action);
	pthread_rwlock_rdlock(&signing);
	CK_RV ckr = wrapped.C_Sign(session, data, length, signature, size);
	pthread_rwlock_unlock(&signing);
	if (ckr == CKR_OK && signature)
		hsm_log_signed(&wrapped, session);
	if (getenv("HSMINT_TEST_TAKES"))
		sleep_until(sign_began_us + strtol(getenv("HSMINT_TEST_TAKES"), NULL, 10));
	if (ckr == CKR_OK && signature)
		spoil(action, signature, size);
	return ckr;
}

static CK_RV our_C_Sign(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG length, CK_BYTE *signature, CK_ULONG *size)
{
	char action[SCRIPT_WORD];
	unsigned long most;
	CK_RV ckr;
	unsigned long others = atomic_fetch_add(&signatures, 1);
	record("C_Sign thread=%d session=%lu length=%lu others=%lu\n", gettid(), session, length, others);
	if (!acts("C_Sign", action, &ckr))
		ckr = script_number(action, "limit", &most) && others >= most
			      ? TOKEN_RESOURCE_EXCEEDED
			      : sign_as_told(action, session, data, length, signature, size);
	atomic_fetch_sub(&signatures, 1);
	return ckr;
}

static CK_RV our_C_SignFinal(CK_SESSION_HANDLE session, CK_BYTE *signature, CK_ULONG *size)
{
	char action[SCRIPT_WORD];
	CK_RV ckr;
	record("C_SignFinal thread=%d\n", gettid());
	if (acts("C_SignFinal", action, &ckr))
		return ckr;
	ckr = wrapped.C_SignFinal(session, signature, size);
	if (ckr == CKR_OK && signature)
		hsm_log_signed(&wrapped, session);
	return ckr;
}

/* ---- objects ---- */

static CK_RV our_C_FindObjects(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *found, CK_ULONG most, CK_ULONG *count)
{
	char action[SCRIPT_WORD];
	CK_RV ckr;
	record("C_FindObjects thread=%d\n", gettid());
	if (acts("C_FindObjects", action, &ckr))
		return ckr;
	ckr = wrapped.C_FindObjects(session, found, most, count);
	for (CK_ULONG i = 0; ckr == CKR_OK && i < *count; i++)
		found[i] = objects_give(found[i]);
	return ckr;
}

static void pretend(CK_ATTRIBUTE *attribute, const char *action)
{
	CK_ULONG unavailable = CK_UNAVAILABLE_INFORMATION;
	CK_BBOOL boolean = strcmp(action, "true") == 0;
	if (strcmp(action, "nameless") == 0)
		attribute->ulValueLen = unavailable;
	else if (strcmp(action, "unavailable") == 0)
		memcpy(attribute->pValue, &unavailable, sizeof unavailable);
	else if (strcmp(action, "given") != 0)
		memcpy(attribute->pValue, &boolean, sizeof boolean);
}

static CK_RV our_C_GetAttributeValue(
	CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *attributes, CK_ULONG count)
{
	char function[SCRIPT_WORD], action[SCRIPT_WORD];
	CK_OBJECT_HANDLE real;
	CK_RV ckr;
	snprintf(function, sizeof function, "C_GetAttributeValue:0x%lx", attributes[0].type);
	record("C_GetAttributeValue thread=%d type=0x%lx\n", gettid(), attributes[0].type);
	if (acts("C_GetAttributeValue", action, &ckr) || acts(function, action, &ckr))
		return ckr;
	if (!objects_take(object, &real))
		return CKR_OBJECT_HANDLE_INVALID;
	ckr = wrapped.C_GetAttributeValue(session, real, attributes, count);
	if (!action[0] || count != 1)
		return ckr;
	pretend(&attributes[0], action);
	return CKR_OK;
}

static CK_RV our_C_SetAttributeValue(
	CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *attributes, CK_ULONG count)
{
	char action[SCRIPT_WORD];
	CK_OBJECT_HANDLE real;
	CK_RV ckr;
	record("C_SetAttributeValue thread=%d type=0x%lx\n", gettid(), attributes[0].type);
	if (acts("C_SetAttributeValue", action, &ckr))
		return ckr;
	return objects_take(object, &real) ? wrapped.C_SetAttributeValue(session, real, attributes, count)
					   : CKR_OBJECT_HANDLE_INVALID;
}

static CK_RV our_C_CreateObject(
	CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *object)
{
	char action[SCRIPT_WORD];
	CK_RV ckr;
	record("C_CreateObject thread=%d\n", gettid());
	if (acts("C_CreateObject", action, &ckr))
		return ckr;
	ckr = wrapped.C_CreateObject(session, template, count, object);
	if (ckr == CKR_OK)
		*object = objects_give(*object);
	return ckr;
}

static CK_RV our_C_DestroyObject(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
	char action[SCRIPT_WORD];
	CK_OBJECT_HANDLE real;
	CK_RV ckr;
	record("C_DestroyObject thread=%d\n", gettid());
	if (acts("C_DestroyObject", action, &ckr))
		return ckr;
	return objects_take(object, &real) ? wrapped.C_DestroyObject(session, real) : CKR_OBJECT_HANDLE_INVALID;
}

static CK_RV our_C_GenerateKeyPair(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_ATTRIBUTE *public_template,
	CK_ULONG public_count, CK_ATTRIBUTE *private_template, CK_ULONG private_count, CK_OBJECT_HANDLE *public,
	CK_OBJECT_HANDLE *private)
{
	char action[SCRIPT_WORD];
	CK_RV ckr;
	record("C_GenerateKeyPair thread=%d\n", gettid());
	if (acts("C_GenerateKeyPair", action, &ckr))
		return ckr;
	ckr = wrapped.C_GenerateKeyPair(
		session, mechanism, public_template, public_count, private_template, private_count, public, private);
	if (ckr == CKR_OK) {
		*public = objects_give(*public);
		*private = objects_give(*private);
	}
	return ckr;
}

/* ---- the way in ---- */

#define USE(FUNCTION) given.FUNCTION = our_##FUNCTION

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
	const char *path = getenv("HSMINT_TEST_MODULE");
	CK_FUNCTION_LIST *theirs;
	void *library = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
	CK_C_GetFunctionList get_list = library ? (CK_C_GetFunctionList)dlsym(library, "C_GetFunctionList") : NULL;
	if (!get_list || get_list(&theirs) != CKR_OK)
		give_up("HSMINT_TEST_MODULE names no PKCS#11 module");
	wrapped = given = *theirs;
	given.C_GetFunctionList = C_GetFunctionList;
	USE(C_Initialize);
	USE(C_Finalize);
	USE(C_GetInfo);
	USE(C_GetSlotList);
	USE(C_GetTokenInfo);
	USE(C_GetMechanismList);
	USE(C_GetMechanismInfo);
	USE(C_InitToken);
	USE(C_InitPIN);
	USE(C_OpenSession);
	USE(C_CloseSession);
	USE(C_CloseAllSessions);
	USE(C_GetSessionInfo);
	USE(C_Login);
	USE(C_Logout);
	USE(C_CreateObject);
	USE(C_DestroyObject);
	USE(C_GetAttributeValue);
	USE(C_SetAttributeValue);
	USE(C_FindObjectsInit);
	USE(C_FindObjects);
	USE(C_FindObjectsFinal);
	USE(C_SignInit);
	USE(C_Sign);
	USE(C_SignUpdate);
	USE(C_SignFinal);
	USE(C_GenerateKeyPair);
	USE(C_GenerateRandom);
	*list = &given;
	return CKR_OK;
}
