/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Those whom a configuration trusts, moved by lines on standard input, each answered by one line:
 *
 *   pass SECONDS     so much time passes, and whoever is asked has answered or failed
 *   begin SECONDS    the same, without waiting for that
 *   verify TOKEN     by the first issuer: ok NAME SUBJECT; refused, and why; unavailable, for how many seconds (0: not
 *                    known), and why
 *   facts            of the first one that is trusted: its keys, their age in seconds, and the fault
 *   reload           the configuration is read again
 *
 * trust-driver CONFIG. At the end of the input it ends as the service does.
 */
#include "trust.h"

#include "clock.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uv_loop_t loop;
static struct config *config;
static struct trusts *trusts;
static int64_t now_ms = 1000 * 1000;

static void answer(hm_result result, const char *text)
{
	static const char *const words[] = {"ok", "refused", "unavailable", "broken"};
	printf("%s %s\n", words[result], text);
	fflush(stdout);
}

static void verify(const char *text)
{
	TRUSTED_TOKEN_AUTO token;
	struct hm_problem why;
	char who[HM_NAME_MAX + HM_SPIFFE_ID_MAX + 2]; /* or why not */
	hm_result result = trust_verify(trusts, 0, text, strlen(text), hm_time(), &token, &why);
	if (result == HM_OK)
		snprintf(who, sizeof who, "%s %s", token.by->name, token.subject);
	else if (result == HM_UNAVAILABLE)
		snprintf(who, sizeof who, "%u %s", why.retry_after, why.detail);
	else
		snprintf(who, sizeof who, "%s", why.detail);
	answer(result, who);
	uv_run(&loop, UV_RUN_NOWAIT);
}

static void tell_facts(void)
{
	struct trust_facts facts = trust_facts(trusts, 0);
	printf("%u %lld %s\n", facts.keys, (long long)(facts.age_ms < 0 ? -1 : facts.age_ms / 1000), facts.fault);
	fflush(stdout);
}

static hm_result load(const char *path, struct hm_problem *why)
{
	struct config *new;
	struct trusts *opened;
	HM_TRY(config_load(path, &new, why));
	hm_result result = trusts_open(&loop, new, &opened, why);
	if (result != HM_OK) {
		config_free(new);
		return result;
	}
	if (trusts)
		trusts_take_over(opened, trusts);
	trusts_close(trusts);
	config_free(config);
	config = new;
	trusts = opened;
	trusts_tick(trusts, now_ms);
	return HM_OK;
}

static void obey(const char *path, const char *line)
{
	struct hm_problem why = {.detail = ""};
	if (strncmp(line, "verify ", 7) == 0) {
		verify(line + 7);
		return;
	}
	if (strcmp(line, "facts") == 0) {
		tell_facts();
		return;
	}
	if (strcmp(line, "reload") == 0) {
		hm_result result = load(path, &why);
		answer(result, why.detail);
		return;
	}
	const char *seconds = strchr(line, ' ');
	now_ms += seconds ? atoll(seconds) * 1000 : 0;
	trusts_tick(trusts, now_ms);
	uv_run(&loop, strncmp(line, "pass ", 5) == 0 ? UV_RUN_DEFAULT : UV_RUN_NOWAIT);
	answer(HM_OK, "");
}

int main(int argc, char **argv)
{
	static char line[32 * 1024];
	struct hm_problem why = {.detail = ""};
	if (argc != 2 || uv_loop_init(&loop) != 0)
		return 2;
	hm_result result = load(argv[1], &why);
	answer(result, why.detail);
	while (result == HM_OK && fgets(line, sizeof line, stdin)) {
		line[strcspn(line, "\n")] = 0;
		obey(argv[1], line);
	}
	trusts_close(trusts);
	uv_run(&loop, UV_RUN_DEFAULT);
	config_free(config);
	return uv_loop_close(&loop) == 0 && result == HM_OK ? 0 : 1;
}
