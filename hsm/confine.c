/* SPDX-License-Identifier: Apache-2.0 */
#include "confine.h"

#include "file.h"
#include "landlock.h"
#include "log.h"
#include <errno.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Libraries, and what they read by themselves to find libraries, users, hosts, times, random bytes and locales. All of
 * /etc would show the service's own secrets. */
static const struct landlock_path system_paths[] = {
	{"/usr", false, false},
	{"/lib", false, false},
	{"/lib64", false, false},
	{"/etc/ld.so.cache", false, false},
	{"/etc/ld.so.conf", false, false},
	{"/etc/ld.so.conf.d", false, false},
	{"/etc/nsswitch.conf", false, false},
	{"/etc/passwd", false, false},
	{"/etc/group", false, false},
	{"/etc/hosts", false, false},
	{"/etc/host.conf", false, false},
	{"/etc/resolv.conf", false, false},
	{"/etc/services", false, false},
	{"/etc/gai.conf", false, false},
	{"/etc/localtime", false, false},
	{"/etc/ssl/openssl.cnf", false, false},
	{"/proc", false, false},
	{"/sys/devices/system/cpu", false, false},
	{"/dev/null", true, false},
	{"/dev/urandom", false, false},
	{"/dev/random", false, false},
};

enum { SYSTEM_PATHS = sizeof system_paths / sizeof *system_paths, OWN_PATHS = 5 };

struct list {
	struct landlock_path paths[SYSTEM_PATHS + OWN_PATHS + HM_TOKEN_PATHS_MAX];
	unsigned count;
};

static void add(struct list *list, const char *path, bool write, bool required)
{
	if (*path)
		list->paths[list->count++] = (struct landlock_path){path, write, required};
}

static void cut_file(char *path)
{
	char *slash = strrchr(path, '/');
	if (slash)
		*slash = 0;
}

/* Where the module is, as it is named and as the file behind symbolic links lies: vendors' libraries look beside them.
 */
static void add_directories(struct list *list, const char *module, char named[HM_PATH_MAX], char real[PATH_MAX])
{
	snprintf(named, HM_PATH_MAX, "%s", module);
	cut_file(named);
	add(list, named, false, true);
	if (!realpath(module, real))
		return;
	cut_file(real);
	add(list, real, false, false);
}

/* Of the state directory the latches alone: mint believes what else lies there. The lock is open already. */
static hm_result add_latch(
	struct list *list, const struct token_config *config, char latch[HM_PATH_MAX], struct token_failure *why)
{
	struct hm_problem problem;
	if (snprintf(latch, HM_PATH_MAX, "%s/latch", config->state) >= HM_PATH_MAX)
		return fail(why, TOKEN_PERMANENT, "%s: path too long", config->state);
	if (file_make_directory(latch, &problem) != HM_OK)
		return fail(why, TOKEN_DEVICE, "PIN latch: %s", problem.detail);
	add(list, latch, true, true);
	return HM_OK;
}

static void add_own(struct list *list, const struct token_config *config)
{
	const char *credentials = getenv("CREDENTIALS_DIRECTORY");
	for (unsigned i = 0; i < SYSTEM_PATHS; i++)
		list->paths[list->count++] = system_paths[i];
	if (config->login == LOGIN_FILE)
		add(list, config->pin_file, false, false);
	if (config->login == LOGIN_CREDENTIAL && credentials)
		add(list, credentials, false, false);
	for (unsigned i = 0; i < config->path_count; i++)
		add(list, config->paths[i].path, config->paths[i].write, true);
}

hm_result confine(const struct token_config *config, struct token_failure *why)
{
	char named[HM_PATH_MAX], real[PATH_MAX], latch[HM_PATH_MAX];
	struct list list = {.count = 0};
	const char *fault;
	if (!config->path_count)
		return HM_OK;
	HM_TRY(add_latch(&list, config, latch, why));
	add_own(&list, config);
	add_directories(&list, config->module, named, real);
	if (landlock_enter(list.paths, list.count, &fault))
		return HM_OK;
	if (fault) /* one that is not there now may come back, as a token's files on a disk that is mounted late */
		return fail(
			why, errno == ENOENT ? TOKEN_DEVICE : TOKEN_PERMANENT, "paths: %s: %s", fault, strerror(errno));
	if (!config->confine_at_best)
		return fail(why, TOKEN_PERMANENT,
			"paths: Landlock cannot be entered (%s): give it to this service, or set sandbox: best",
			strerror(errno));
	hm_log(HM_WARNING, "not_confined", "detail=\"Landlock cannot be entered (%s)\"", strerror(errno));
	return HM_OK;
}
