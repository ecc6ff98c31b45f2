/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox.h"

#include "filter.h"
#include "landlock.h"
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The bounding set needs a right to be emptied; without it none can come back either, since there is no exec and no
 * new privilege. So what fails here is judged by what capget finds afterwards. */
static bool drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {0};
	for (unsigned long capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
		(void)prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	(void)syscall(SYS_capset, &header, sets);

	memset(sets, 0xff, sizeof sets);
	header = (struct __user_cap_header_struct){.version = _LINUX_CAPABILITY_VERSION_3};
	if (syscall(SYS_capget, &header, sets) < 0)
		return false;
	for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		if (sets[i].effective || sets[i].permitted || sets[i].inheritable)
			return false;
	return true;
}

struct parts {
	int seccomp_error; /* 0: on */
	int landlock;      /* its version, 0: off */
	int landlock_error;
	bool capabilities_gone, not_dumpable, no_new_privileges;
};

static struct parts enter_parts(void)
{
	struct parts parts = {.capabilities_gone = drop_capabilities(),
		.not_dumpable = prctl(PR_GET_DUMPABLE) == 0,
		.no_new_privileges = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1};
#if !HSMINT_SANITIZED /* its leak checker and reports need files */
	parts.landlock = landlock_enter_nothing();
	parts.landlock_error = errno;
#endif
	parts.seccomp_error = -filter_enter(); /* last: it forbids the calls above */
	return parts;
}

static void tell(const struct parts *parts, char *state)
{
	const char *lax = HSMINT_SANITIZED ? "(sanitizer)" : "";
	char landlock[32] = "off";
	if (parts->landlock)
		snprintf(landlock, sizeof landlock, "%d", parts->landlock);
	snprintf(state, SANDBOX_STATE_SIZE, "seccomp=%s%s landlock=%s%s capabilities=%s dumpable=%s%s",
		parts->seccomp_error ? "off" : "on", lax, landlock, lax, parts->capabilities_gone ? "none" : "some",
		parts->not_dumpable ? "no" : "yes", lax);
}

static hm_result check_all(const struct parts *parts, struct hm_problem *why)
{
	static const char mend[] = "give it to this service, or set sandbox: best";
	if (parts->seccomp_error)
		return hm_refuse(why, "system", NULL, "sandbox: seccomp cannot be entered (%s): %s",
			strerror(parts->seccomp_error), mend);
	if (!parts->landlock && !HSMINT_SANITIZED)
		return hm_refuse(why, "system", NULL, "sandbox: Landlock cannot be entered (%s): %s",
			strerror(parts->landlock_error), mend);
	if (!parts->no_new_privileges)
		return hm_refuse(why, "system", NULL, "sandbox: no_new_privs is not set: %s", mend);
	if (!parts->capabilities_gone)
		return hm_refuse(why, "system", NULL, "sandbox: capabilities cannot be dropped: %s", mend);
	return HM_OK;
}

hm_result sandbox_enter(enum sandbox_mode mode, char state[SANDBOX_STATE_SIZE], struct hm_problem *why)
{
	struct parts parts = enter_parts();
	tell(&parts, state);
	return mode == SANDBOX_REQUIRE ? check_all(&parts, why) : HM_OK;
}
