/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PKCS#11 module for tests. It wraps another one, records calls, and fails where a script says so.
 *
 *	HSMINT_TEST_MODULE  the module to wrap
 *	HSMINT_TEST_CALLS   if set, gets a line for each C_Initialize, C_Finalize, C_Login, C_Logout, C_Sign,
 *	                    C_SignUpdate and C_SignFinal that comes in, before anything is done with it, and for each
 *	                    C_OpenSession, C_CloseSession and C_CloseAllSessions that the wrapped module was asked
 *	HSMINT_TEST_TAKES   if set, a signature returns so many microseconds after its C_SignInit came
 *	HSMINT_TEST_SCRIPT  a file read anew at every call of a function below; it may be missing
 *
 * A script has one rule a line, "FUNCTION ACTION" or "FUNCTION ACTION TIMES"; the first rule that fits a call is
 * obeyed. With TIMES a rule is obeyed that often in all, over all processes: its count is the length of the file
 * SCRIPT.FUNCTION.ACTION, which grows by a byte each time. FUNCTION is C_Login, C_OpenSession, C_CloseSession,
 * C_SignInit, C_Sign or C_GetTokenInfo.
 * ACTION is
 *
 *	0x…        return this value; the wrapped module is not asked
 *	exit       end the process at once, before the wrapped module is asked
 *	hang       never return, nor ask the wrapped module
 *	wait-MS    ask it so many milliseconds later
 *	pass       ask it: with TIMES, such calls are counted
 *	flip       ask it, then change one bit of the signature (C_Sign)
 *	short      ask it, then give one byte less of the signature (C_Sign)
 *	close      close this session for good, then ask it (C_SignInit, C_Sign)
 *	close-all  close every session, which ends the login too, then ask it (C_SignInit, C_Sign)
 *	logout     log out, then ask it (C_SignInit, C_Sign)
 *	+0x… -0x…  ask it, then set or clear these flags (C_GetTokenInfo)
 *
 * C_GetAttributeValue:0x… is a function too, for an attribute asked for alone: its value is that of the wrapped module,
 * but then `true`, `false`, `unavailable` (CK_UNAVAILABLE_INFORMATION), `nameless` (the length that says so) or `given`
 * (CKR_OK whatever the wrapped module says). 0x… returns as above.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <p11-kit/pkcs11.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PATH = 1024, WORD = 32, LINE = 256 };

static CK_FUNCTION_LIST wrapped; /* the other module's functions */
static CK_FUNCTION_LIST given;   /* the same, but ours in places */
static CK_SLOT_ID used_slot;     /* of the first session */

/* Held for writing while sessions are taken away: not every module survives that in the middle of a signature. */
static pthread_rwlock_t signing = PTHREAD_RWLOCK_INITIALIZER;

struct rule {
	char function[WORD], action[WORD];
	unsigned times; /* 0: always */
};

/* ---- the script ---- */

static _Noreturn void give_up(const char *what)
{
	fprintf(stderr, "counting_module: %s\n", what);
	_exit(99);
}

/* Take one of the times that the rule may be obeyed. Threads and processes may ask at once. */
static bool take_turn(const char *script, const struct rule *rule)
{
	char path[PATH];
	struct stat stat;
	if (!rule->times)
		return true;
	snprintf(path, sizeof path, "%s.%s.%s", script, rule->function, rule->action);
	int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0 || flock(fd, LOCK_EX) < 0 || fstat(fd, &stat) < 0)
		give_up("a rule's count cannot be kept");
	bool ours = stat.st_size < (off_t)rule->times;
	if (ours && write(fd, "x", 1) != 1)
		give_up("a rule's count cannot be kept");
	close(fd);
	return ours;
}

/* The action for this call, or "". */
static void find_action(const char *function, char action[WORD])
{
	const char *script = getenv("HSMINT_TEST_SCRIPT");
	FILE *file = script ? fopen(script, "re") : NULL;
	char line[4 * WORD];
	action[0] = 0;
	while (file && !action[0] && fgets(line, sizeof line, file)) {
		struct rule rule = {.times = 0};
		if (sscanf(line, "%31s %31s %u", rule.function, rule.action, &rule.times) < 2)
			give_up("a rule is FUNCTION ACTION [TIMES]");
		if (strcmp(rule.function, function) == 0 && take_turn(script, &rule))
			memcpy(action, rule.action, WORD);
	}
	if (file)
		fclose(file);
}

static int64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

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

static void sleep_ms(unsigned long ms)
{
	struct timespec rest = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
	nanosleep(&rest, NULL);
}

/* Do what is done before the wrapped module is asked. True: it is not asked, return `*ckr`. */
static bool acts(const char *function, char action[WORD], CK_RV *ckr)
{
	find_action(function, action);
	if (strcmp(action, "exit") == 0)
		_exit(98);
	while (strcmp(action, "hang") == 0)
		pause();
	if (strncmp(action, "wait-", 5) == 0)
		sleep_ms(strtoul(action + 5, NULL, 10));
	if (strncmp(action, "0x", 2) != 0)
		return false;
	*ckr = strtoul(action, NULL, 16);
	return true;
}

/* ---- the record of calls ---- */

__attribute__((format(printf, 1, 2))) static void record(const char *format, ...)
{
	const char *path = getenv("HSMINT_TEST_CALLS");
	char line[LINE];
	va_list arguments;
	if (!path)
		return;
	va_start(arguments, format);
	int length = vsnprintf(line, sizeof line, format, arguments);
	va_end(arguments);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0 || length >= LINE || write(fd, line, (size_t)length) != length)
		give_up("calls cannot be recorded in HSMINT_TEST_CALLS");
	close(fd);
}

/* How many threads the process has. */
static unsigned count_threads(void)
{
	unsigned count = 0;
	DIR *tasks = opendir("/proc/self/task");
	if (!tasks)
		give_up("threads cannot be counted");
	for (struct dirent *task; (task = readdir(tasks));)
		count += task->d_name[0] != '.';
	closedir(tasks);
	return count;
}

/* ---- our functions ---- */

static CK_RV initialize(void *given_arguments)
{
	CK_C_INITIALIZE_ARGS none = {0}, *arguments = given_arguments ? given_arguments : &none;
	bool callbacks =
		arguments->CreateMutex || arguments->DestroyMutex || arguments->LockMutex || arguments->UnlockMutex;
	record("C_Initialize thread=%d flags=0x%lx callbacks=%d\n", gettid(), arguments->flags, callbacks);
	return wrapped.C_Initialize(given_arguments);
}

static CK_RV finalize(void *reserved)
{
	record("C_Finalize thread=%d\n", gettid());
	return wrapped.C_Finalize(reserved);
}

static CK_RV get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
	char action[WORD];
	CK_RV ckr;
	if (acts("C_GetTokenInfo", action, &ckr))
		return ckr;
	ckr = wrapped.C_GetTokenInfo(slot, info);
	if (action[0] == '+')
		info->flags |= strtoul(action + 1, NULL, 16);
	else if (action[0] == '-')
		info->flags &= ~strtoul(action + 1, NULL, 16);
	return ckr;
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG length)
{
	char action[WORD];
	CK_RV ckr;
	record("C_Login thread=%d session=%lu user=0x%lx\n", gettid(), session, user);
	return acts("C_Login", action, &ckr) ? ckr : wrapped.C_Login(session, user, pin, length);
}

static CK_RV logout(CK_SESSION_HANDLE session)
{
	record("C_Logout thread=%d session=%lu\n", gettid(), session);
	return wrapped.C_Logout(session);
}

static CK_RV open_session(
	CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY notify, CK_SESSION_HANDLE *session)
{
	char action[WORD];
	CK_RV ckr;
	int64_t began = now_us();
	used_slot = slot;
	if (acts("C_OpenSession", action, &ckr))
		return ckr;
	ckr = wrapped.C_OpenSession(slot, flags, application, notify, session);
	record("C_OpenSession thread=%d threads=%u flags=0x%lx session=%lu ckr=0x%lx began=%" PRId64 " ended=%" PRId64
	       "\n",
		gettid(), count_threads(), flags, *session, ckr, began, now_us());
	return ckr;
}

static CK_RV close_session(CK_SESSION_HANDLE session)
{
	char action[WORD];
	CK_RV ckr;
	int64_t began = now_us();
	if (acts("C_CloseSession", action, &ckr))
		return ckr;
	ckr = wrapped.C_CloseSession(session);
	record("C_CloseSession thread=%d session=%lu ckr=0x%lx began=%" PRId64 " ended=%" PRId64 "\n", gettid(),
		session, ckr, began, now_us());
	return ckr;
}

static CK_RV close_all_sessions(CK_SLOT_ID slot)
{
	record("C_CloseAllSessions thread=%d\n", gettid());
	return wrapped.C_CloseAllSessions(slot);
}

/* What happens to a session without its owner's doing. */
static void take_away(CK_SESSION_HANDLE session, const char *action)
{
	pthread_rwlock_wrlock(&signing);
	if (strcmp(action, "close") == 0)
		wrapped.C_CloseSession(session);
	else if (strcmp(action, "close-all") == 0)
		wrapped.C_CloseAllSessions(used_slot);
	else if (strcmp(action, "logout") == 0)
		wrapped.C_Logout(session);
	pthread_rwlock_unlock(&signing);
}

static _Thread_local int64_t sign_began_us; /* a signature begins with C_SignInit */

static CK_RV sign_init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
	char action[WORD];
	CK_RV ckr;
	sign_began_us = now_us();
	if (acts("C_SignInit", action, &ckr))
		return ckr;
	take_away(session, action);
	pthread_rwlock_rdlock(&signing);
	ckr = wrapped.C_SignInit(session, mechanism, key);
	pthread_rwlock_unlock(&signing);
	return ckr;
}

static CK_RV sign(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG length, CK_BYTE *signature, CK_ULONG *size)
{
	char action[WORD];
	CK_RV ckr;
	record("C_Sign thread=%d session=%lu length=%lu\n", gettid(), session, length);
	if (acts("C_Sign", action, &ckr))
		return ckr;
	take_away(session, action);
	pthread_rwlock_rdlock(&signing);
	ckr = wrapped.C_Sign(session, data, length, signature, size);
	pthread_rwlock_unlock(&signing);
	if (getenv("HSMINT_TEST_TAKES"))
		sleep_until(sign_began_us + strtol(getenv("HSMINT_TEST_TAKES"), NULL, 10));
	if (ckr == CKR_OK && signature && strcmp(action, "flip") == 0)
		signature[*size - 1] ^= 1;
	if (ckr == CKR_OK && signature && strcmp(action, "short") == 0)
		--*size;
	return ckr;
}

static CK_RV sign_update(CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG length)
{
	record("C_SignUpdate thread=%d session=%lu length=%lu\n", gettid(), session, length);
	return wrapped.C_SignUpdate(session, part, length);
}

static CK_RV sign_final(CK_SESSION_HANDLE session, CK_BYTE *signature, CK_ULONG *size)
{
	record("C_SignFinal thread=%d session=%lu\n", gettid(), session);
	return wrapped.C_SignFinal(session, signature, size);
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

static CK_RV get_attribute_value(
	CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *attributes, CK_ULONG count)
{
	char function[WORD], action[WORD];
	CK_RV ckr;
	snprintf(function, sizeof function, "C_GetAttributeValue:0x%lx", attributes[0].type);
	if (acts(function, action, &ckr))
		return ckr;
	ckr = wrapped.C_GetAttributeValue(session, object, attributes, count);
	if (!action[0] || count != 1)
		return ckr;
	pretend(&attributes[0], action);
	return CKR_OK;
}

/* ---- the way in ---- */

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
	given.C_Initialize = initialize;
	given.C_Finalize = finalize;
	given.C_GetTokenInfo = get_token_info;
	given.C_Login = login;
	given.C_Logout = logout;
	given.C_OpenSession = open_session;
	given.C_CloseSession = close_session;
	given.C_CloseAllSessions = close_all_sessions;
	given.C_GetAttributeValue = get_attribute_value;
	given.C_SignInit = sign_init;
	given.C_Sign = sign;
	given.C_SignUpdate = sign_update;
	given.C_SignFinal = sign_final;
	*list = &given;
	return CKR_OK;
}
