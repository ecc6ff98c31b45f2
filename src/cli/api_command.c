/* SPDX-License-Identifier: Apache-2.0 */
#include "api_command.h"

#include "limits.h"
#include "options.h"
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	OPTION_JSON = 256,
	OPTION_HELP,
	OPTION_ISSUER,
	OPTION_FIRST,
	OPTIONS_MAX = 24,
};

static const char place[] = "{id}"; /* in a path */

const struct api_option api_reason_options[] = {{.name = "reason"}, {.name = NULL}};
const struct api_option api_list_options[] = {{.name = "after"}, {.name = "limit"}, {.name = NULL}};

struct asked {
	const struct api_command *command;
	const struct api_verb *verb;
	struct api_way_options way_options;
	struct api_way *way;
	const char *word;
	bool json, help;
	json_t *body;
};

/* ---- options ---- */

static bool parse_period(const char *text, json_int_t *seconds)
{
	static const struct {
		char unit;
		json_int_t seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 60 * 60}, {'d', 24 * 60 * 60}};
	char *end;
	unsigned long number = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || number < 1 || number > 100000)
		return false;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (end[0] == units[i].unit && !end[1]) {
			*seconds = (json_int_t)number * units[i].seconds;
			return true;
		}
	return false;
}

/* --on-behalf-of is on_behalf_of. */
static void member_name(const char *option, char name[64])
{
	snprintf(name, 64, "%s", option);
	for (char *c = name; *c; c++)
		if (*c == '-')
			*c = '_';
}

static int set_text(const struct asked *asked, json_t *object, const char *name, const char *text)
{
	if (json_object_get(object, name))
		return usage_error(asked->command->name, "--%s is given once", name);
	return json_object_set_new(object, name, json_string(text)) == 0
		       ? 0
		       : usage_error(asked->command->name, "--%s takes UTF-8 text", name);
}

static int add_text(const struct asked *asked, json_t *object, const char *name, const char *text)
{
	json_t *list = json_object_get(object, name);
	if (!list) {
		list = json_array();
		json_object_set_new(object, name, list);
	}
	return json_array_append_new(list, json_string(text)) == 0
		       ? 0
		       : usage_error(asked->command->name, "--%s takes UTF-8 text", name);
}

static int set_number(const struct asked *asked, json_t *object, const char *name, const char *text)
{
	long number;
	if (!parse_number(text, 0, INT32_MAX, &number))
		return usage_error(asked->command->name, "--%s takes a whole number, not '%s'", name, text);
	json_object_set_new(object, name, json_integer(number));
	return 0;
}

static int set_period(const struct asked *asked, json_t *object, const char *name, const char *text, json_int_t from)
{
	json_int_t seconds;
	if (!parse_period(text, &seconds))
		return usage_error(
			asked->command->name, "--%s takes a period such as 90d, 12h or 15m, not '%s'", name, text);
	json_object_set_new(object, name, json_integer(from + seconds));
	return 0;
}

static int set_secret(const struct asked *asked, json_t *object, const char *name, const char *path)
{
	char text[HM_JWT_MAX + 2];
	bool is_standard = strcmp(path, "-") == 0;
	FILE *file = is_standard ? stdin : fopen(path, "re");
	size_t length = file ? fread(text, 1, sizeof text - 1, file) : 0;
	bool is_read = file && !ferror(file);
	if (file && !is_standard)
		fclose(file);
	if (!is_read)
		return usage_error(asked->command->name, "%s: %s", path, strerror(errno));
	text[length] = 0;
	text[strcspn(text, "\n")] = 0;
	int status = set_text(asked, object, name, text);
	OPENSSL_cleanse(text, sizeof text);
	return status;
}

static json_t *object_of(const struct asked *asked, const struct api_option *option)
{
	if (!option->inside)
		return asked->body;
	json_t *inside = json_object_get(asked->body, option->inside);
	if (inside)
		return inside;
	inside = json_object();
	json_object_set_new(asked->body, option->inside, inside);
	return inside;
}

static int take_member(const struct asked *asked, const struct api_option *option, const char *text)
{
	char name[64];
	json_t *object = object_of(asked, option);
	member_name(option->as ? option->as : option->name, name);
	switch (option->member) {
	case MEMBER_TEXT:
		return set_text(asked, object, name, text);
	case MEMBER_SECRET:
		return set_secret(asked, object, name, text);
	case MEMBER_LIST:
		return add_text(asked, object, name, text);
	case MEMBER_FLAG:
		return json_object_set_new(object, name, json_true());
	case MEMBER_NUMBER:
		return set_number(asked, object, name, text);
	case MEMBER_PERIOD:
		return set_period(asked, object, name, text, 0);
	case MEMBER_TIME:
		return set_period(asked, object, name, text, (json_int_t)time(NULL));
	}
	return EXIT_USAGE;
}

static int take(struct asked *asked, int option, const char *text)
{
	if (api_way_take(&asked->way_options, option, text))
		return 0;
	switch (option) {
	case OPTION_JSON:
		asked->json = true;
		return 0;
	case OPTION_HELP:
		asked->help = true;
		return 0;
	case OPTION_ISSUER:
		return set_text(asked, asked->body, "issuer", text);
	default:
		if (option < OPTION_FIRST)
			return usage_error(asked->command->name, "see the options"); /* getopt_long has named it */
		return take_member(asked, &asked->verb->options[option - OPTION_FIRST], text);
	}
}

static bool wants_word(const struct api_verb *verb)
{
	return verb->word || strstr(verb->path, place);
}

static unsigned options_count(const struct api_verb *verb)
{
	unsigned count = 0;
	while (verb->options && verb->options[count].name)
		count++;
	return count;
}

static int take_all(struct asked *asked, int argc, char **argv)
{
	enum { OWN = 3 + API_WAY_OPTIONS };
	struct option options[OPTIONS_MAX] = {{"json", no_argument, NULL, OPTION_JSON},
		{"help", no_argument, NULL, OPTION_HELP}, {"issuer", required_argument, NULL, OPTION_ISSUER}};
	int option;
	api_way_list(options + 3);
	for (unsigned i = 0; i < options_count(asked->verb); i++)
		options[OWN + i] = (struct option){asked->verb->options[i].name,
			asked->verb->options[i].member == MEMBER_FLAG ? no_argument : required_argument, NULL,
			OPTION_FIRST + (int)i};
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		int status = take(asked, option, optarg);
		if (status || asked->help)
			return status;
	}
	if (wants_word(asked->verb))
		asked->word = optind < argc ? argv[optind++] : NULL;
	if (wants_word(asked->verb) && !asked->word)
		return usage_error(asked->command->name, "%s needs to know which", asked->verb->name);
	if (optind < argc)
		return usage_error(asked->command->name, "'%s' is not wanted", argv[optind]);
	return 0;
}

/* ---- asking ---- */

static void append(char *target, const char *text)
{
	size_t used = strlen(target);
	snprintf(target + used, API_TARGET_MAX - used, "%s", text);
}

/* A SPIFFE ID in a query: what is not unreserved is escaped (RFC 3986). */
static void append_escaped(char *target, const char *text)
{
	size_t used = strlen(target);
	for (; *text && used + 4 < API_TARGET_MAX; text++) {
		bool is_plain = strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~", *text);
		used += (size_t)snprintf(target + used, 4, is_plain ? "%c" : "%%%02X", (unsigned char)*text);
	}
}

void api_target_add(char target[API_TARGET_MAX], const char *name, const char *value)
{
	append(target, strchr(target, '?') ? "&" : "?");
	append(target, name);
	append(target, "=");
	append_escaped(target, value);
}

static const char *issuer_of(const struct asked *asked)
{
	return json_string_value(json_object_get(asked->body, "issuer"));
}

/* The id of the agent with this SPIFFE ID. */
static bool find_id(const struct asked *asked, const char *spiffe_id, char id[128])
{
	char target[API_TARGET_MAX] = "/v1/agents";
	api_target_add(target, "spiffe_id", spiffe_id);
	if (issuer_of(asked))
		api_target_add(target, "issuer", issuer_of(asked));
	json_t *found = api_way_ask(asked->way, "GET", target, NULL);
	const char *text =
		json_string_value(json_object_get(json_array_get(json_object_get(found, "agents"), 0), "id"));
	if (text)
		snprintf(id, 128, "%s", text);
	else if (found)
		fprintf(stderr, "hsmint: %s: no agent of this SPIFFE ID is registered\n", spiffe_id);
	json_decref(found);
	return text;
}

static bool make_target(const struct asked *asked, char target[API_TARGET_MAX])
{
	char id[128];
	const char *path = asked->verb->path, *at = strstr(path, place), *word = asked->word;
	snprintf(target, API_TARGET_MAX, "%.*s", at ? (int)(at - path) : (int)strlen(path), path);
	if (!at || !word)
		return true;
	if (asked->verb->by_spiffe_id && strncmp(word, "spiffe://", 9) == 0) {
		if (!find_id(asked, word, id))
			return false;
		word = id;
	}
	append_escaped(target, word);
	append(target, at + sizeof place - 1);
	return true;
}

/* Of a GET the options are parameters. */
static void append_parameters(const struct asked *asked, char *target)
{
	const char *name;
	json_t *value;
	json_object_foreach(asked->body, name, value) api_target_add(target, name, json_string_value(value));
}

static int print_json(const json_t *body)
{
	char *text = json_dumps(body, JSON_COMPACT);
	int status = text ? print_line(text) : EXIT_FAILED;
	free(text);
	return status;
}

static int show(const struct asked *asked, const json_t *body)
{
	int status = asked->json ? print_json(body) : asked->verb->print(body);
	bool is_success = !asked->verb->is_success || asked->verb->is_success(body);
	return is_success ? status : EXIT_FAILED;
}

static int ask(struct asked *asked)
{
	char target[API_TARGET_MAX];
	int status = EXIT_FAILED;
	bool is_get = strcmp(asked->verb->method, "GET") == 0;
	if (!make_target(asked, target))
		return status;
	if (is_get)
		append_parameters(asked, target);
	json_t *body = api_way_ask(asked->way, asked->verb->method, target, is_get ? NULL : json_incref(asked->body));
	if (body)
		status = show(asked, body);
	json_decref(body);
	return status;
}

/* ---- the command ---- */

static const struct api_verb *find_verb(const struct api_command *command, const char *name)
{
	for (unsigned i = 0; i < command->verbs_count; i++)
		if (strcmp(command->verbs[i].name, name) == 0)
			return &command->verbs[i];
	return NULL;
}

static int take_file(const struct asked *asked)
{
	json_error_t error;
	const char *file = asked->word;
	json_t *value = strcmp(file, "-") == 0 ? json_loadf(stdin, JSON_REJECT_DUPLICATES, &error)
					       : json_load_file(file, JSON_REJECT_DUPLICATES, &error);
	if (!value)
		return usage_error(asked->command->name, "%s: %s (line %d)", file, error.text, error.line);
	json_object_set_new(asked->body, asked->verb->word, value);
	return 0;
}

/* The word that is not an id. */
static int take_word(const struct asked *asked)
{
	if (!asked->verb->word || !asked->word || asked->verb->run)
		return 0;
	return asked->verb->is_file ? take_file(asked) : set_text(asked, asked->body, asked->verb->word, asked->word);
}

static int run(struct asked *asked)
{
	const struct api_words words = {asked->word, issuer_of(asked), asked->json};
	int status = take_word(asked);
	if (status)
		return status;
	asked->way = api_way_open(&asked->way_options, asked->command->name, &status);
	if (asked->way)
		status = asked->verb->run ? asked->verb->run(asked->way, &words) : ask(asked);
	api_way_close(asked->way);
	return status;
}

int api_command_run(const struct api_command *command, int argc, char **argv)
{
	struct asked asked = {.command = command};
	if (argc > 1 && strcmp(argv[1], "--help") == 0)
		return print_line(command->help);
	asked.verb = argc > 1 ? find_verb(command, argv[1]) : NULL;
	if (!asked.verb)
		return argc > 1 ? usage_error(command->name, "there is no '%s'", argv[1])
				: usage_error(command->name, "what is to be done?");
	asked.body = json_object();
	int status = take_all(&asked, argc - 1, argv + 1);
	if (status == 0)
		status = asked.help ? print_line(command->help) : run(&asked);
	json_decref(asked.body);
	return status;
}

/* ---- showing ---- */

const char *api_text(const json_t *object, const char *member)
{
	const char *value = json_string_value(json_object_get(object, member));
	return value && *value ? value : "-";
}

void api_print_time(const char *what, const json_t *object, const char *member)
{
	const json_t *value = json_object_get(object, member);
	time_t seconds = (time_t)json_integer_value(value);
	struct tm utc;
	char date[32];
	if (seconds && gmtime_r(&seconds, &utc) && strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc))
		printf("  %s %s", what, date);
}
