/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_register.h"

#include "limits.h"
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	LINE_MAX_BYTES = HM_HTTP_MAX_BODY,               /* an agent is far shorter */
	TEXT_MAX = HM_HTTP_MAX_BATCH_BODY - 1024,        /* leaves room for what is around the agents, */
	BATCHES = API_WAY_AT_ONCE + 1,                   /* the last is being read */
	TOKENS_MAX = HM_JSON_IMPORT_TOKENS - HM_LIST_MAX /* and for its values and names */
};

/* What goes into one request. */
struct batch {
	char *text; /* its agents, with a comma between two of them; of TEXT_MAX bytes */
	size_t length, tokens;
	unsigned count;
	unsigned long lines[HM_IMPORT_MAX]; /* where each stands */
};

/* One line's agent. */
struct item {
	char *text; /* as it is sent */
	size_t length, tokens;
	unsigned long line;
};

/* A batch on its way, in a thread: the next is read meanwhile, and mint works on one while the other is written. */
struct sending {
	pthread_t thread;
	struct api_way *way;
	const struct batch *batch;
	char *body, target[API_TARGET_MAX];
	json_t *answer; /* NULL: */
	hsmint_error *error;
};

struct import {
	const char *name;
	FILE *file;
	char *line; /* getline's */
	size_t line_room;
	unsigned long number; /* of the line, from 1 */
	char issuer[HM_NAME_MAX + 1];
	bool has_issuer, asks_lines; /* asks_lines: the issuer is the one that they say */
	struct item item;            /* read, and not in a batch; text NULL: there is none */
	struct batch batches[BATCHES], *batch;
	struct sending sendings[API_WAY_AT_ONCE];
	unsigned long sent, finished; /* batches */
	unsigned long added, unchanged, passed_over;
};

static bool say(const struct import *import, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Why it does not go on; false. */
static bool say(const struct import *import, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fprintf(stderr, "hsmint: %s:%lu: ", import->name, import->number);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	return false;
}

/* ---- lines ---- */

/* Values and names, as gate counts them. */
static size_t count_tokens(const json_t *value)
{
	size_t count = 1, i;
	const char *name;
	json_t *inside;
	json_object_foreach((json_t *)value, name, inside) count += 1 + count_tokens(inside);
	json_array_foreach(value, i, inside) count += count_tokens(inside);
	return count;
}

/* Whether it is one that an agent of a class has by itself: it comes anew with its first credential. */
static bool is_instance(const json_t *agent)
{
	return json_object_get(agent, "of") != NULL;
}

static bool check_status(const struct import *import, const json_t *agent)
{
	const char *status = json_string_value(json_object_get(agent, "status"));
	if (!json_object_get(agent, "status") || (status && strcmp(status, "active") == 0))
		return true;
	return say(
		import, "it is %s, and would be active: take it out, or its status", status ? status : "in no status");
}

/* Every line says the same issuer, or none does, unless --issuer did. */
static bool check_issuer(struct import *import, const json_t *agent)
{
	const json_t *member = json_object_get(agent, "issuer");
	const char *issuer = member ? json_string_value(member) : "";
	if (!import->asks_lines)
		return true;
	if (!issuer || strlen(issuer) > HM_NAME_MAX)
		return say(import, "issuer is the name of an issuer");
	if (!import->has_issuer)
		snprintf(import->issuer, sizeof import->issuer, "%s", issuer);
	import->has_issuer = true;
	return strcmp(import->issuer, issuer) == 0 ||
	       say(import, "another issuer than the lines before: --issuer says which");
}

/* What mint gives an agent, as `agent export` shows it. Returns whether there was any. */
static bool leave_out(json_t *agent)
{
	static const char *const given[] = {"id", "created", "status", "issuer"};
	bool was_any = false;
	for (size_t i = 0; i < sizeof given / sizeof *given; i++)
		was_any |= json_object_del(agent, given[i]) == 0;
	return was_any;
}

/* The line as it is, which was found to be one object, unless something was left out. */
static bool set_item(struct import *import, json_t *agent, size_t length)
{
	char *text = leave_out(agent) ? json_dumps(agent, JSON_COMPACT) : strndup(import->line, length);
	if (!text)
		return say(import, "out of memory");
	import->item = (struct item){text, strlen(text), count_tokens(agent), import->number};
	return true;
}

/* What the parser found, without the text that it quotes: that could steer a terminal. */
static bool say_malformed(const struct import *import, const json_error_t *error)
{
	const char *quoted = strstr(error->text, " near ");
	return say(import, "%.*s, in column %d", (int)(quoted ? quoted - error->text : (ptrdiff_t)strlen(error->text)),
		error->text, error->column);
}

static bool take_line(struct import *import, size_t length)
{
	json_error_t error;
	if (length > LINE_MAX_BYTES)
		return say(import, "an agent has at most %d bytes", LINE_MAX_BYTES);
	json_t *agent = json_loadb(import->line, length, JSON_REJECT_DUPLICATES, &error);
	bool is_sound = agent ? json_is_object(agent) || say(import, "an agent is a JSON object")
			      : say_malformed(import, &error);
	is_sound = is_sound && check_status(import, agent) && check_issuer(import, agent);
	if (is_sound && is_instance(agent))
		import->passed_over++;
	else if (is_sound)
		is_sound = set_item(import, agent, length);
	json_decref(agent);
	return is_sound;
}

/* The next agent to import, unless one is left. False: it failed. No item: it was the last. */
static bool next_item(struct import *import)
{
	ssize_t length;
	errno = 0;
	while (!import->item.text && (length = getline(&import->line, &import->line_room, import->file)) >= 0) {
		import->number++;
		if (length > 0 && import->line[length - 1] == '\n')
			length--;
		bool is_blank = strspn(import->line, " \t\r") >= (size_t)length;
		if (!is_blank && !take_line(import, (size_t)length))
			return false;
	}
	if (ferror(import->file))
		return say(import, "%s", strerror(errno));
	return true;
}

/* ---- batches ---- */

static bool has_room(const struct batch *batch, const struct item *item)
{
	return batch->count < HM_IMPORT_MAX && batch->length + 1 + item->length <= TEXT_MAX &&
	       (!batch->count || batch->tokens + item->tokens <= TOKENS_MAX);
}

static void add_item(struct batch *batch, struct item *item)
{
	if (batch->count)
		batch->text[batch->length++] = ',';
	memcpy(batch->text + batch->length, item->text, item->length);
	batch->length += item->length;
	batch->tokens += item->tokens;
	batch->lines[batch->count++] = item->line;
	free(item->text);
	item->text = NULL;
}

/* False: it failed, and what was read is not sent. */
static bool fill(struct import *import)
{
	struct batch *batch = import->batch;
	batch->length = batch->tokens = batch->count = 0;
	while (next_item(import)) {
		if (!import->item.text || !has_room(batch, &import->item))
			return true;
		add_item(batch, &import->item);
	}
	if (!batch->count)
		batch->lines[0] = import->number;
	return false;
}

/* ---- asking ---- */

/* The line of the agent that the service names, "agents[17].owner"; `*rest` is what is behind. 0: it names none. */
static unsigned long line_of(const struct batch *batch, const char *field, const char **rest)
{
	unsigned index;
	int end = 0;
	*rest = field;
	if (sscanf(field, "agents[%u]%n", &index, &end) != 1 || !end || index >= batch->count)
		return 0;
	*rest = field[end] == '.' ? field + end + 1 : field + end;
	return batch->lines[index];
}

static bool report(struct import *import, const struct batch *batch, hsmint_error *error)
{
	const char *code = hsmint_error_code(error), *field, *accepts = hsmint_error_accepts(error);
	unsigned long line = line_of(batch, hsmint_error_field(error), &field);
	bool is_unknown = strcmp(code, "client_lost") == 0 || strcmp(code, "client_timeout") == 0;
	if (line)
		fprintf(stderr, "hsmint: %s:%lu: %s: %s (%s%s%s)\n", import->name, line, code,
			hsmint_error_title(error), field, *field && *accepts ? ": " : "", accepts);
	else
		fprintf(stderr, "hsmint: %s\n", hsmint_error_message(error));
	fprintf(stderr, "hsmint: lines %lu to %lu: %s\n", batch->lines[0], batch->lines[batch->count - 1],
		is_unknown ? "whether they are registered is not known" : "none of them is registered");
	hsmint_error_free(error);
	return false;
}

static bool count_answer(struct import *import, json_t *answer)
{
	json_int_t added, unchanged;
	bool is_sound = json_unpack(answer, "{s:I, s:I}", "added", &added, "unchanged", &unchanged) == 0;
	json_decref(answer);
	if (!is_sound) {
		fprintf(stderr, "hsmint: the service's answer is none\n");
		return false;
	}
	import->added += (unsigned long)added;
	import->unchanged += (unsigned long)unchanged;
	return true;
}

static void *send_body(void *context)
{
	struct sending *sending = context;
	sending->answer = api_way_call_text(sending->way, "POST", sending->target, sending->body, &sending->error);
	return NULL;
}

/* Send the batch that was read. False: it could not be. */
static bool start(struct import *import, struct api_way *way)
{
	struct sending *sending = &import->sendings[import->sent % API_WAY_AT_ONCE];
	const struct batch *batch = import->batch;
	*sending = (struct sending){.way = way, .batch = batch, .target = "/v1/agents/import"};
	if (import->issuer[0])
		api_target_add(sending->target, "issuer", import->issuer);
	if (asprintf(&sending->body, "{\"agents\":[%.*s]}", (int)batch->length, batch->text) < 0)
		return say(import, "out of memory");
	if (pthread_create(&sending->thread, NULL, send_body, sending) != 0) {
		free(sending->body);
		return say(import, "no thread");
	}
	import->batch = &import->batches[++import->sent % BATCHES];
	return true;
}

/* What came of the batch that was sent first of those on their way. */
static bool finish(struct import *import)
{
	struct sending *sending = &import->sendings[import->finished++ % API_WAY_AT_ONCE];
	pthread_join(sending->thread, NULL);
	free(sending->body);
	return sending->answer ? count_answer(import, sending->answer) : report(import, sending->batch, sending->error);
}

/* Reads and sends until the end, or until something is at fault; `*rest` is then the first line that was not sent. */
static bool send_all(struct import *import, struct api_way *way, unsigned long *rest)
{
	unsigned at_once = api_way_at_once(way);
	for (;;) {
		bool is_filled = fill(import);
		*rest = import->batch->lines[0];
		if (!is_filled)
			return false;
		if (!import->batch->count)
			break;
		if (import->sent - import->finished == at_once && !finish(import))
			return false;
		if (!start(import, way))
			return false;
	}
	*rest = 0;
	return true;
}

static bool import_all(struct import *import, struct api_way *way)
{
	unsigned long rest;
	bool is_done = send_all(import, way, &rest);
	while (import->finished < import->sent)
		is_done &= finish(import);
	if (rest)
		fprintf(stderr, "hsmint: nothing from line %lu on is registered\n", rest);
	return is_done;
}

/* ---- as one ---- */

static bool open_import(struct import *import, const struct api_words *words)
{
	import->name = strcmp(words->text, "-") == 0 ? "standard input" : words->text;
	import->file = strcmp(words->text, "-") == 0 ? stdin : fopen(words->text, "re");
	import->batch = import->batches;
	bool is_roomy = true;
	for (unsigned i = 0; i < BATCHES; i++)
		is_roomy &= (import->batches[i].text = malloc(TEXT_MAX)) != NULL;
	import->asks_lines = !words->issuer;
	snprintf(import->issuer, sizeof import->issuer, "%s", words->issuer ? words->issuer : "");
	if (!import->file)
		fprintf(stderr, "hsmint: %s: %s\n", import->name, strerror(errno));
	return import->file && is_roomy;
}

static void close_import(struct import *import)
{
	if (import->file && import->file != stdin)
		fclose(import->file);
	free(import->line);
	free(import->item.text);
	for (unsigned i = 0; i < BATCHES; i++)
		free(import->batches[i].text);
}

/* What was done, also when it did not go on. */
static int print_outcome(const struct import *import, const struct api_words *words)
{
	if (import->passed_over)
		fprintf(stderr,
			"hsmint: %lu instances of classes passed over: each comes anew with its first credential\n",
			import->passed_over);
	if (words->is_json)
		printf("{\"added\":%lu,\"unchanged\":%lu}\n", import->added, import->unchanged);
	else
		printf("%lu added, %lu unchanged\n", import->added, import->unchanged);
	return flush_output();
}

int agent_import(struct api_way *way, const struct api_words *words)
{
	struct import import = {.file = NULL};
	int status = EXIT_FAILED;
	if (open_import(&import, words)) {
		bool is_done = import_all(&import, way);
		status = print_outcome(&import, words);
		if (!is_done)
			status = EXIT_FAILED;
	}
	close_import(&import);
	return status;
}
