/* SPDX-License-Identifier: Apache-2.0 */
#include "guard.h"

#include <string.h>
#include <strings.h>

enum { LENGTH_MAX_DIGITS = 15 };

/* RFC 9110, section 5.6.2 */
static bool is_token(const char *text, size_t length)
{
	static const char marks[] = "!#$%&'*+-.^_`|~";
	for (size_t i = 0; i < length; i++) {
		char c = text[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		if (!letter && !(c >= '0' && c <= '9') && (!c || !strchr(marks, c)))
			return false;
	}
	return length > 0;
}

static bool is_named(const char *name, size_t length, const char *wanted)
{
	return length == strlen(wanted) && strncasecmp(name, wanted, length) == 0;
}

static void see_length(struct guard *guard, const char *value, size_t length)
{
	uint64_t number = 0;
	guard->lengths++;
	for (size_t i = 0; i < length; i++) {
		if (value[i] < '0' || value[i] > '9')
			guard->length_not_digits = true;
		number = number * 10 + (uint64_t)(value[i] - '0');
	}
	if (length == 0 || length > LENGTH_MAX_DIGITS)
		guard->length_not_digits = true;
	guard->content_length = guard->length_not_digits ? 0 : number;
}

static void see_once(struct guard_header *header, const char *value, size_t length)
{
	header->count++;
	header->value = (struct guard_text){value, length};
}

void guard_see_header(struct guard *guard, const char *name, size_t name_length, const char *value, size_t value_length)
{
	if (!value) {
		value = "";
		value_length = 0;
	}
	if (!is_token(name, name_length))
		guard->name_not_token = true;
	else if (is_named(name, name_length, "Host"))
		guard->hosts++;
	else if (is_named(name, name_length, "Content-Length"))
		see_length(guard, value, value_length);
	else if (is_named(name, name_length, "Transfer-Encoding"))
		guard->transfer_encoding = true;
	else if (is_named(name, name_length, "Expect"))
		guard->expects = true;
	else if (is_named(name, name_length, "Content-Type")) {
		guard->content_types++;
		guard->content_type = (struct guard_text){value, value_length};
	} else if (is_named(name, name_length, "Idempotency-Key"))
		see_once(&guard->idempotency_key, value, value_length);
	else if (is_named(name, name_length, "Deadline-Ms"))
		see_once(&guard->deadline, value, value_length);
	else if (is_named(name, name_length, "Content-Digest"))
		see_once(&guard->content_digest, value, value_length);
	else if (is_named(name, name_length, "Signature-Input"))
		see_once(&guard->signature_input, value, value_length);
	else if (is_named(name, name_length, "Signature"))
		see_once(&guard->signature, value, value_length);
	else if (is_named(name, name_length, "DPoP"))
		see_once(&guard->dpop, value, value_length);
	else if (is_named(name, name_length, "If-None-Match"))
		guard->if_none_match = (struct guard_text){value, value_length};
}

static hm_result check_body(const struct guard *guard, const char *method, struct hm_problem *why)
{
	bool carries_none = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
	if (carries_none && guard->content_length)
		return hm_refuse(why, "bad_request", NULL, "no body with %s", method);
	if (strcmp(method, "POST") == 0 && !guard->lengths)
		return hm_refuse(why, "length_required", NULL, "a Content-Length");
	return HM_OK;
}

hm_result guard_check(
	const struct guard *guard, const char *method, const char *version, const char *target, struct hm_problem *why)
{
	if (strcmp(version, "HTTP/1.1") != 0)
		return hm_refuse(why, "bad_request", NULL, "HTTP/1.1");
	if (guard->name_not_token)
		return hm_refuse(why, "bad_request", NULL, "header names that are tokens (RFC 9110, section 5.6.2)");
	if (guard->transfer_encoding)
		return hm_refuse(why, "bad_request", NULL, "a Content-Length, no Transfer-Encoding");
	if (guard->hosts != 1)
		return hm_refuse(why, "bad_request", NULL, "exactly one Host header");
	if (guard->lengths > 1 || guard->length_not_digits)
		return hm_refuse(why, "bad_request", NULL, "one Content-Length, a decimal number");
	if (guard->content_types > 1)
		return hm_refuse(why, "bad_request", NULL, "one Content-Type");
	if (strchr(target, '?'))
		return hm_refuse(why, "bad_request", NULL, "a path without a query");
	return check_body(guard, method, why);
}

static size_t skip_space(struct guard_text text, size_t at)
{
	while (at < text.length && (text.text[at] == ' ' || text.text[at] == '\t'))
		at++;
	return at;
}

static bool takes(struct guard_text text, size_t *at, const char *wanted)
{
	size_t length = strlen(wanted);
	if (length > text.length - *at || strncasecmp(text.text + *at, wanted, length) != 0)
		return false;
	*at += length;
	return true;
}

/* Of this type, with no parameter but charset=utf-8: form encoders of browsers and of Node.js add that to forms, too.
 */
static bool is_type(struct guard_text content_type, const char *type)
{
	size_t at = 0;
	if (!content_type.text || !takes(content_type, &at, type))
		return false;
	at = skip_space(content_type, at);
	if (at < content_type.length) {
		if (!takes(content_type, &at, ";"))
			return false;
		at = skip_space(content_type, at);
		if (!takes(content_type, &at, "charset=utf-8") && !takes(content_type, &at, "charset=\"utf-8\""))
			return false;
		at = skip_space(content_type, at);
	}
	return at == content_type.length;
}

bool guard_is_json(struct guard_text content_type)
{
	return is_type(content_type, "application/json");
}

bool guard_is_form(struct guard_text content_type)
{
	return is_type(content_type, "application/x-www-form-urlencoded");
}
