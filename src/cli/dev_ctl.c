/* SPDX-License-Identifier: Apache-2.0 */
#include "dev_ctl.h"

#include "config.h"
#include "json_write.h"
#include "options.h"
#include "problem.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char help[] =
	"Usage: hsmint dev ctl [--dir DIR | --control PATH] FAULT [ARGUMENT...]\n"
	"\n"
	"Provoke a fault in a service that `hsmint dev` runs, to see what its callers make of it. Durations are a "
	"number\n"
	"and ms or s.\n"
	"\n"
	"  slow 50ms             each signature takes at least so long, a minute at most; slow 0ms ends it\n"
	"  token-down 3s         kill the token's process, and start the next after the time\n"
	"  gate-down [3s]        kill the gate, and with it every connection; start the next after the time, or at "
	"once\n"
	"  refuse CODE 3s        answer each mint request with this code of docs/errors.md for the time\n"
	"  overload [3s]         the same as refuse overload; for a second if nothing is said\n"
	"  off                   end all of these\n"
	"  clock +1h | -90s | 2026-01-01T00:00:00Z\n"
	"                        set the service's clock, relative to the system's (in s, m, h or d) or to a time in "
	"UTC;\n"
	"                        for builds with -DHSMINT_TEST_CLOCK=ON\n"
	"\n"
	"  --dir DIR             the directory that the service was started with\n"
	"  --control PATH        its control socket (otherwise HSMINT_CONTROL)\n"
	"\n"
	"Options come first. Each fault takes the place of the one of its kind before, and none outlives the service.\n"
	"\n"
	"Examples:\n"
	"  hsmint dev ctl --dir run slow 300ms\n"
	"  hsmint dev ctl --dir run token-down 3s\n"
	"  hsmint dev ctl --dir run gate-down\n"
	"  hsmint dev ctl --dir run refuse rate_limited 10s\n"
	"  hsmint dev ctl --dir run overload\n"
	"  hsmint dev ctl --dir run off\n"
	"  hsmint dev ctl --dir run clock +1h";

enum { TIMEOUT_MS = 10 * 1000, COMMAND_MAX = 256, DIGITS_MAX = 9 };

/* ---- what the words say ---- */

struct unit {
	const char *name;
	int64_t worth;
};
static const struct unit duration_units[] = {{"ms", 1}, {"s", 1000}, {NULL, 0}};
static const struct unit offset_units[] = {{"s", 1}, {"m", 60}, {"h", 60 * 60}, {"d", 24 * 60 * 60}, {NULL, 0}};

/* A number and a unit, and nothing else. */
static bool parse_amount(const char *text, const struct unit *units, int64_t *amount)
{
	size_t digits = strspn(text, "0123456789");
	if (digits < 1 || digits > DIGITS_MAX)
		return false;
	for (; units->name; units++)
		if (strcmp(units->name, text + digits) == 0) {
			*amount = strtol(text, NULL, 10) * units->worth;
			return true;
		}
	return false;
}

static bool parse_time(const char *text, int64_t *seconds)
{
	struct tm utc = {0};
	if (*text == '+' || *text == '-') {
		if (!parse_amount(text + 1, offset_units, seconds))
			return false;
		*seconds = time(NULL) + (*text == '-' ? -*seconds : *seconds);
		return true;
	}
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &utc);
	*seconds = timegm(&utc);
	return end && !*end;
}

struct fault {
	const char *word, *name;     /* as given here, and to the service */
	const char *code;            /* what it refuses with; NULL: the first word behind it, */
	bool takes_code;             /* if it takes one */
	bool takes_time, needs_time; /* a duration comes last */
	int64_t ms;                  /* when none is given */
};

static const struct fault faults[] = {
	{.word = "slow", .name = "slow", .takes_time = true, .needs_time = true},
	{.word = "token-down", .name = "token-down", .takes_time = true, .needs_time = true},
	{.word = "gate-down", .name = "gate-down", .takes_time = true},
	{.word = "refuse", .name = "refuse", .takes_code = true, .takes_time = true, .needs_time = true},
	{.word = "overload", .name = "refuse", .code = "overload", .takes_time = true, .ms = 1000},
	{.word = "off", .name = "off"},
};

static const struct fault *find_fault(const char *word)
{
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
		if (strcmp(faults[i].word, word) == 0)
			return &faults[i];
	return NULL;
}

/* Each of these gives EXIT_DONE, or EXIT_USAGE after saying why. */
static int write_fault(struct hm_json *json, const struct fault *fault, char **words, int count)
{
	const char *code = fault->code;
	int64_t ms = fault->ms;
	if (fault->takes_code && count) {
		code = *words++;
		count--;
	}
	if (count > fault->takes_time)
		return usage_error("dev ctl", "'%s' is not wanted", words[fault->takes_time]);
	if (fault->takes_code && (!code || strcmp(problem_kind(code)->code, code) != 0))
		return usage_error("dev ctl", "%s takes one of the service's codes", fault->word);
	if ((fault->needs_time && !count) || (count && !parse_amount(*words, duration_units, &ms)))
		return usage_error("dev ctl", "%s takes a duration such as 50ms or 3s", fault->word);
	hm_json_member_string(json, "command", "fault");
	hm_json_member_string(json, "fault", fault->name);
	if (code)
		hm_json_member_string(json, "code", code);
	if (fault->takes_time)
		hm_json_member_number(json, "ms", ms);
	return EXIT_DONE;
}

static int write_clock(struct hm_json *json, char **words, int count)
{
	int64_t seconds;
	if (count != 1 || !parse_time(*words, &seconds))
		return usage_error("dev ctl", "clock takes a time such as +1h, -90s or 2026-01-01T00:00:00Z");
	hm_json_member_string(json, "command", "clock");
	hm_json_member_number(json, "now", seconds);
	return EXIT_DONE;
}

static int write_command(char *command, size_t size, char **words, int count)
{
	struct hm_json json = hm_json(command, size - 1);
	const struct fault *fault = count ? find_fault(*words) : NULL;
	int status;
	hm_json_begin(&json, '{');
	if (fault)
		status = write_fault(&json, fault, words + 1, count - 1);
	else if (count && strcmp(*words, "clock") == 0)
		status = write_clock(&json, words + 1, count - 1);
	else
		status = usage_error(
			"dev ctl", "what to provoke? slow, token-down, gate-down, refuse, overload, off, clock");
	hm_json_end(&json, '}');
	command[json.out.used] = 0;
	return status;
}

/* ---- giving it to the service ---- */

/* The sockets of a directory with a long path are elsewhere: its configuration says where. */
static int find_control(const char *dir, char control[HM_PATH_MAX])
{
	char path[HM_PATH_MAX];
	struct config *config = NULL;
	struct hm_problem why;
	if (snprintf(path, sizeof path, "%s/hsmint.yaml", dir) >= (int)sizeof path)
		return usage_error("dev ctl", "--dir is too long");
	if (config_load(path, &config, &why) != HM_OK) {
		fprintf(stderr, "hsmint: %s\n", why.detail);
		return EXIT_FAILED;
	}
	snprintf(control, HM_PATH_MAX, "%s", config->listen.control);
	config_free(config);
	return EXIT_DONE;
}

static int give(const char *control, const char *command, const char *missing)
{
	hsmint_error *error = NULL;
	char *reply = hsmint_control_call(control, command, TIMEOUT_MS, &error);
	if (reply) {
		hsmint_text_free(reply);
		return EXIT_DONE;
	}
	if (strcmp(hsmint_error_code(error), "unknown_command") == 0)
		fprintf(stderr, "hsmint: %s\n", missing);
	return report_error(error);
}

enum { OPTION_DIR = 256, OPTION_CONTROL, OPTION_HELP };

static const struct option options[] = {
	{"dir", required_argument, NULL, OPTION_DIR},
	{"control", required_argument, NULL, OPTION_CONTROL},
	{"help", no_argument, NULL, OPTION_HELP},
	{0},
};

static int run(const char *dir, const char *control, char **words, int count)
{
	char command[COMMAND_MAX], path[HM_PATH_MAX] = "";
	if (dir && control)
		return usage_error("dev ctl", "either --dir or --control");
	int status = write_command(command, sizeof command, words, count);
	if (status == EXIT_DONE && dir)
		status = find_control(dir, path);
	if (status != EXIT_DONE)
		return status;
	if (dir)
		control = path;
	else if (!control)
		control = getenv("HSMINT_CONTROL");
	if (!control || !*control)
		return usage_error("dev ctl", "where is the service? --dir DIR, --control PATH or HSMINT_CONTROL");
	return give(control, command,
		strcmp(*words, "clock") == 0 ? "this needs a service built with -DHSMINT_TEST_CLOCK=ON"
					     : "this needs a service that `hsmint dev` runs");
}

int dev_ctl(int argc, char **argv)
{
	const char *dir = NULL;
	const char *control = NULL;
	int option;
	/* "+": what follows the fault is no option, -90s for one. */
	while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (option == OPTION_HELP)
			return print_line(help);
		if (option == OPTION_DIR)
			dir = optarg;
		else if (option == OPTION_CONTROL)
			control = optarg;
		else
			return usage_error("dev ctl", "see the options");
	}
	return run(dir, control, argv + optind, argc - optind);
}
