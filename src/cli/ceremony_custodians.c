/* SPDX-License-Identifier: Apache-2.0 */
#include "ceremony_custodians.h"

#include "clock.h"
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

enum { SHA256_HEX = 64, ANSWER_MAX = 512, ATTEMPTS_TERMINAL = 3 };

static const char time_format[] = "%Y-%m-%dT%H:%M:%SZ";

/* ---- times and texts ---- */

void time_now(char text[TIME_TEXT])
{
	struct tm tm;
	time_t now = (time_t)hm_time();
	gmtime_r(&now, &tm);
	strftime(text, TIME_TEXT, time_format, &tm);
}

bool time_read(const char *text, int64_t *seconds)
{
	struct tm tm = {0};
	char again[TIME_TEXT];
	const char *end = strptime(text, time_format, &tm);
	if (!end || *end)
		return false;
	time_t time = timegm(&tm);
	gmtime_r(&time, &tm);
	strftime(again, sizeof again, time_format, &tm);
	*seconds = time;
	return strcmp(again, text) == 0;
}

/* U+0080 to U+009F are control characters, too: C2 80 to C2 9F. */
static bool is_control(const unsigned char *text)
{
	return *text < 0x20 || *text == 0x7f || (*text == 0xc2 && text[1] < 0xa0);
}

bool is_plain_text(const char *text, size_t most)
{
	size_t length = strlen(text);
	json_t *string = json_string(text); /* NULL: not UTF-8 */
	bool plain = string && length >= 1 && length <= most;
	json_decref(string);
	for (size_t i = 0; plain && i < length; i++)
		plain = !is_control((const unsigned char *)text + i);
	return plain;
}

/* ---- who ---- */

bool custodians_add(struct custodians *custodians, const char *name)
{
	if (custodians->count == HM_CUSTODIANS_MAX || !is_plain_text(name, HM_CUSTODIAN_NAME_MAX) || *name == ' ' ||
		name[strlen(name) - 1] == ' ' || strcasecmp(name, "no") == 0)
		return false;
	for (unsigned i = 0; i < custodians->count; i++)
		if (strcmp(custodians->list[i].name, name) == 0)
			return false;
	custodians->list[custodians->count++] = (struct custodian){.name = name};
	return true;
}

/* ---- asking ---- */

hm_result answers_open(const char *path, struct answers *answers, struct hm_problem *why)
{
	*answers = (struct answers){.in = stdin, .terminal = !path && isatty(STDIN_FILENO)};
	if (path)
		answers->in = fopen(path, "re");
	return answers->in ? HM_OK : hm_refuse(why, "config", NULL, "%s: %s", path, strerror(errno));
}

void answers_close(struct answers *answers)
{
	if (answers->in && answers->in != stdin)
		fclose(answers->in);
}

/* One line without blanks at its ends. False: there is none, or it is too long. */
static bool read_line(FILE *in, char line[ANSWER_MAX])
{
	if (!fgets(line, ANSWER_MAX, in))
		return false;
	size_t length = strlen(line);
	if (length == ANSWER_MAX - 1 && line[length - 1] != '\n')
		return false;
	while (length && strchr(" \t\r\n", line[length - 1]))
		line[--length] = 0;
	const char *start = line + strspn(line, " \t");
	memmove(line, start, strlen(start) + 1);
	return true;
}

typedef bool is_right(const char *answer, const void *wanted, struct custodian *custodian);

/* At a terminal a slip may be mended; "no" is none. */
static hm_result ask(struct custodian *custodian, struct answers *answers, const char *what, is_right *right,
	const void *wanted, struct hm_problem *why)
{
	char line[ANSWER_MAX];
	for (int left = answers->terminal ? ATTEMPTS_TERMINAL : 1; left > 0; left--) {
		fprintf(stderr, "  %s, %s: ", custodian->name, what);
		bool answered = read_line(answers->in, line);
		if (!answers->terminal)
			fprintf(stderr, "%s\n", answered ? "(answered)" : "(no answer)");
		if (answered && right(line, wanted, custodian))
			return HM_OK;
		if (!answered || strcasecmp(line, "no") == 0)
			break;
		if (left > 1)
			fputs("  That is not it; \"no\" ends the ceremony.\n", stderr);
	}
	return hm_refuse(why, "config", NULL, "custodian %s did not confirm", custodian->name);
}

static bool is_name(const char *answer, const void *wanted, struct custodian *custodian)
{
	(void)wanted;
	return strcmp(answer, custodian->name) == 0;
}

hm_result custodians_agree(struct custodians *custodians, struct answers *answers, struct hm_problem *why)
{
	for (unsigned i = 0; i < custodians->count; i++) {
		struct custodian *custodian = &custodians->list[i];
		HM_TRY(ask(custodian, answers, "type your name to agree", is_name, NULL, why));
		time_now(custodian->agreed);
	}
	return HM_OK;
}

struct read_back {
	const char *characters;
	bool terminal;
};

static bool is_read_back(const char *answer, const void *wanted, struct custodian *custodian)
{
	const struct read_back *read_back = wanted;
	custodian->read_back = strcasecmp(answer, read_back->characters) == 0;
	return custodian->read_back || (!read_back->terminal && strcmp(answer, "yes") == 0);
}

hm_result custodians_confirm(
	struct custodians *custodians, struct answers *answers, const char *sha256, struct hm_problem *why)
{
	struct read_back wanted = {sha256 + strlen(sha256) - READ_BACK, answers->terminal};
	for (unsigned i = 0; i < custodians->count; i++) {
		struct custodian *custodian = &custodians->list[i];
		HM_TRY(ask(custodian, answers, "type the fingerprint's last 8 characters to confirm", is_read_back,
			&wanted, why));
		time_now(custodian->confirmed);
	}
	return HM_OK;
}

/* ---- in a record ---- */

json_t *custodians_json(const struct custodians *custodians)
{
	json_t *array = json_array();
	for (unsigned i = 0; i < custodians->count; i++) {
		const struct custodian *custodian = &custodians->list[i];
		json_t *entry = json_pack("{s:s, s:s, s:s, s:s}", "name", custodian->name, "agreed", custodian->agreed,
			"confirmed", custodian->confirmed, "how", custodian->read_back ? "read-back" : "yes");
		if (!entry || json_array_append_new(array, entry) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static bool is_between(const char *text, int64_t begun, int64_t ended)
{
	int64_t time;
	return time_read(text, &time) && begun <= time && time <= ended;
}

bool custodians_are_sound(const json_t *array, int64_t begun, int64_t ended)
{
	struct custodians seen = {.count = 0};
	size_t i;
	json_t *entry;
	json_array_foreach(array, i, entry)
	{
		const char *name, *agreed, *confirmed, *how;
		if (json_unpack_ex(entry, NULL, JSON_STRICT, "{s:s, s:s, s:s, s:s}", "name", &name, "agreed", &agreed,
			    "confirmed", &confirmed, "how", &how) < 0)
			return false;
		if (!custodians_add(&seen, name) || !is_between(agreed, begun, ended) ||
			!is_between(confirmed, begun, ended) || strcmp(agreed, confirmed) > 0)
			return false;
		if (strcmp(how, "read-back") != 0 && strcmp(how, "yes") != 0)
			return false;
	}
	return seen.count > 0;
}
