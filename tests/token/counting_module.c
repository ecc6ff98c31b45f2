/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PKCS#11 module for tests. It wraps another one, counts logins, and fails where a script says so.
 *
 *	HSMINT_TEST_MODULE  the module to wrap
 *	HSMINT_TEST_LOGINS  a file that gets a line for each C_Login that comes in, before anything is done with it
 *	HSMINT_TEST_SCRIPT  a file read anew at every call of a function below; it may be missing
 *
 * A script has one rule a line, "FUNCTION ACTION" or "FUNCTION ACTION TIMES"; the first rule that fits a call is
 * obeyed. With TIMES a rule is obeyed that often in all, over all processes: its count is the length of the file
 * SCRIPT.FUNCTION.ACTION, which grows by a byte each time. FUNCTION is C_Login, C_OpenSession, C_CloseSession,
 * C_SignInit or C_Sign.
 * ACTION is
 *
 *	0x…    return this value; the wrapped module is not asked
 *	exit   end the process at once, before the wrapped module is asked
 *	hang   never return, nor ask the wrapped module
 *	flip   ask it, then change one bit of the signature (C_Sign)
 *	short  ask it, then give one byte less of the signature (C_Sign)
 *	pass   ask it: with TIMES, such calls are counted
 *
 * C_GetAttributeValue:0x… is a function too, for an attribute asked for alone: its value is that of the wrapped module,
 * but then `true`, `false`, `unavailable` (CK_UNAVAILABLE_INFORMATION), `nameless` (the length that says so) or `given`
 * (CKR_OK whatever the wrapped module says). 0x… returns as above.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <p11-kit/pkcs11.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH = 1024, WORD = 32 };

static CK_FUNCTION_LIST wrapped; /* the other module's functions */
static CK_FUNCTION_LIST given;   /* the same, but ours in places */

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

/* Do what is done before the wrapped module is asked. True: it is not asked, return `*ckr`. */
static bool acts(const char *function, char action[WORD], CK_RV *ckr)
{
	find_action(function, action);
	if (strcmp(action, "exit") == 0)
		_exit(98);
	while (strcmp(action, "hang") == 0)
		pause();
	if (strncmp(action, "0x", 2) != 0)
		return false;
	*ckr = strtoul(action, NULL, 16);
	return true;
}

/* ---- our functions ---- */

static void count_login(void)
{
	const char *path = getenv("HSMINT_TEST_LOGINS");
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
	if (fd < 0 || write(fd, "C_Login\n", 8) != 8)
		give_up("logins cannot be counted in HSMINT_TEST_LOGINS");
	close(fd);
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG length)
{
	char action[WORD];
	CK_RV ckr;
	count_login();
	return acts("C_Login", action, &ckr) ? ckr : wrapped.C_Login(session, user, pin, length);
}

static CK_RV open_session(
	CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY notify, CK_SESSION_HANDLE *session)
{
	char action[WORD];
	CK_RV ckr;
	return acts("C_OpenSession", action, &ckr) ? ckr
						   : wrapped.C_OpenSession(slot, flags, application, notify, session);
}

static CK_RV close_session(CK_SESSION_HANDLE session)
{
	char action[WORD];
	CK_RV ckr;
	return acts("C_CloseSession", action, &ckr) ? ckr : wrapped.C_CloseSession(session);
}

static CK_RV sign_init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
	char action[WORD];
	CK_RV ckr;
	return acts("C_SignInit", action, &ckr) ? ckr : wrapped.C_SignInit(session, mechanism, key);
}

static CK_RV sign(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG length, CK_BYTE *signature, CK_ULONG *size)
{
	char action[WORD];
	CK_RV ckr;
	if (acts("C_Sign", action, &ckr))
		return ckr;
	ckr = wrapped.C_Sign(session, data, length, signature, size);
	if (ckr == CKR_OK && signature && strcmp(action, "flip") == 0)
		signature[*size - 1] ^= 1;
	if (ckr == CKR_OK && signature && strcmp(action, "short") == 0)
		--*size;
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
	given.C_Login = login;
	given.C_OpenSession = open_session;
	given.C_CloseSession = close_session;
	given.C_GetAttributeValue = get_attribute_value;
	given.C_SignInit = sign_init;
	given.C_Sign = sign;
	*list = &given;
	return CKR_OK;
}
