/* SPDX-License-Identifier: Apache-2.0 */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hsmint_error {
	int status;
	long retry_after;
	char code[64];
	char title[256];
	char field[128];
	char accepts[512];
	char retry[16];
	char message[1024];
	char approval[64]; /* that is wanted first; "": none is */
	char approval_hash[64];
	int64_t approval_expires_at;
};

static const struct {
	const char *code, *retry, *title;
} own[] = {
	{"client_argument", "no", "The request cannot be sent"},
	{"client_unreachable", "after", "The service cannot be reached"},
	{"client_tls", "no", "No TLS connection to the service"},
	{"client_timeout", "same-key", "The service did not answer in time"},
	{"client_lost", "same-key", "The connection ended without an answer"},
	{"client_reply", "no", "The answer is not one that hsmint gives"},
	{"client_memory", "no", "Out of memory"},
	{"client_approval", "no", "Others have to approve it first"},
};

/* Handed out when there is no memory for an error; freeing it does nothing. */
static hsmint_error out_of_memory = {
	.code = "client_memory", .retry = "no", .title = "Out of memory", .message = "client_memory: Out of memory"};

/* The length of the UTF-8 sequence (RFC 3629) at `text`; 0: none, or one of a control character. */
static size_t character(const unsigned char *text)
{
	unsigned char first = text[0];
	size_t length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	if (length == 1)
		return first < 0x20 || first == 0x7f ? 0 : 1;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	bool too_long = (first == 0xe0 && text[1] < 0xa0) || (first == 0xf0 && text[1] < 0x90);
	bool none = (first == 0xed && text[1] > 0x9f) || (first == 0xf4 && text[1] > 0x8f);
	bool control = first == 0xc2 && text[1] < 0xa0;
	return too_long || none || control ? 0 : length;
}

/*
 * Copy one line of text: whatever it came from (a file's name, a stranger's certificate), it becomes UTF-8 in which
 * nothing steers a terminal or forges a line, and no character is cut.
 */
static void copy_line(char *to, size_t size, const char *from)
{
	size_t used = 0;
	while (*from) {
		size_t length = character((const unsigned char *)from);
		if (used + (length ? length : 1) >= size)
			break;
		if (length)
			memcpy(to + used, from, length);
		else
			to[used] = '?';
		used += length ? length : 1;
		from += length ? length : 1;
	}
	to[used] = 0;
}

static hsmint_error *make(hsmint_error **error, int status, const char *code, const char *title, const char *retry)
{
	if (!error)
		return NULL;
	hsmint_error *made = calloc(1, sizeof *made);
	*error = made ? made : &out_of_memory;
	if (!made)
		return NULL;
	made->status = status;
	copy_line(made->code, sizeof made->code, code);
	copy_line(made->title, sizeof made->title, title);
	copy_line(made->retry, sizeof made->retry, retry);
	return made;
}

static void compose(hsmint_error *error)
{
	const char *field = error->field;
	const char *accepts = error->accepts;
	bool aside = *field || *accepts;
	snprintf(error->message, sizeof error->message, "%s: %s%s%s%s%s%s", error->code, error->title,
		aside ? " (" : "", field, *field && *accepts ? ": " : "", accepts, aside ? ")" : "");
}

void error_make(hsmint_error **error, const char *code, const char *format, ...)
{
	size_t i = 0;
	while (strcmp(own[i].code, code) != 0)
		i++;
	hsmint_error *made = make(error, 0, code, own[i].title, own[i].retry);
	if (!made)
		return;

	char text[sizeof made->accepts];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	copy_line(made->accepts, sizeof made->accepts, text);
	compose(made);
}

static const char *text_of(const json_t *object, const char *member)
{
	const char *text = json_string_value(json_object_get(object, member));
	return text ? text : "";
}

bool error_from_problem(hsmint_error **error, const json_t *problem, int status, long retry_after)
{
	const char *code = text_of(problem, "code");
	const json_t *said = json_object_get(problem, "status");
	if (!*code || !*text_of(problem, "title") || (said && !json_is_integer(said)))
		return false;
	if (!status)
		status = (int)json_integer_value(said);

	hsmint_error *made = make(error, status, code, text_of(problem, "title"), text_of(problem, "retry"));
	if (!made)
		return true;
	made->retry_after = retry_after;
	copy_line(made->field, sizeof made->field, text_of(problem, "field"));
	copy_line(made->accepts, sizeof made->accepts, text_of(problem, "accepts"));
	compose(made);
	return true;
}

void error_from_status(hsmint_error **error, int status, long retry_after)
{
	hsmint_error *made = make(error, status, "client_reply", "The answer is not one that hsmint gives",
		status == 503 ? "after" : "no");
	if (!made)
		return;
	made->retry_after = retry_after;
	snprintf(made->accepts, sizeof made->accepts, "HTTP status %d", status);
	compose(made);
}

bool error_from_approval(hsmint_error **error, const json_t *answer)
{
	const char *id, *hash;
	json_int_t expires_at;
	if (json_unpack((json_t *)answer, "{s:{s:s, s:s, s:I}}", "approval", "id", &id, "hash", &hash, "expires_at",
		    &expires_at) < 0)
		return false;
	error_make(error, "client_approval", "%s", id);
	if (!error || *error == &out_of_memory)
		return true;
	(*error)->status = 202;
	(*error)->approval_expires_at = expires_at;
	copy_line((*error)->field, sizeof(*error)->field, "approval");
	copy_line((*error)->approval, sizeof(*error)->approval, id);
	copy_line((*error)->approval_hash, sizeof(*error)->approval_hash, hash);
	compose(*error);
	return true;
}

const char *hsmint_error_code(const hsmint_error *error)
{
	return error ? error->code : "";
}

int hsmint_error_status(const hsmint_error *error)
{
	return error ? error->status : 0;
}

const char *hsmint_error_title(const hsmint_error *error)
{
	return error ? error->title : "";
}

const char *hsmint_error_field(const hsmint_error *error)
{
	return error ? error->field : "";
}

const char *hsmint_error_accepts(const hsmint_error *error)
{
	return error ? error->accepts : "";
}

const char *hsmint_error_retry(const hsmint_error *error)
{
	return error ? error->retry : "";
}

long hsmint_error_retry_after(const hsmint_error *error)
{
	return error ? error->retry_after : 0;
}

const char *hsmint_error_message(const hsmint_error *error)
{
	return error ? error->message : "";
}

const char *hsmint_error_approval(const hsmint_error *error)
{
	return error ? error->approval : "";
}

const char *hsmint_error_approval_hash(const hsmint_error *error)
{
	return error ? error->approval_hash : "";
}

int64_t hsmint_error_approval_expires_at(const hsmint_error *error)
{
	return error ? error->approval_expires_at : 0;
}

void hsmint_error_free(hsmint_error *error)
{
	if (error != &out_of_memory)
		free(error);
}
