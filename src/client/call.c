/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that are sent once: public documents, and what governs. */
#include "error.h"
#include "exchange.h"
#include "http_sign.h"
#include "limits.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DOCUMENT_MAX = 16 * 1024 * 1024 /* what gate can hold */, NONCE_ANSWER_MAX = 4096 };

/* What a caller gets of an answer with the status that it wants. */
static char *take_text(struct answer *answer, hsmint_error **error)
{
	if (!answer->text && !(answer->text = calloc(1, 1)))
		error_make(error, "client_memory", "answer");
	return answer->text;
}

char *hsmint_get(hsmint_client *client, const char *path, size_t *length, hsmint_error **error)
{
	struct answer answer = {0};
	if (!client || !path || *path != '/') {
		error_make(error, "client_argument", "a client, and a path that begins with \"/\"");
		return NULL;
	}
	struct exchange exchange = {
		.target = path, .most = DOCUMENT_MAX, .end_ms = exchange_now_ms() + client->timeout_ms};
	if (!exchange_run(client, &exchange, &answer, error))
		return NULL;
	if (answer.status != 200) {
		error_from_status(error, answer.status, 0);
		free(answer.text);
		return NULL;
	}
	if (length)
		*length = answer.length;
	return take_text(&answer, error);
}

/* ---- signed ---- */

/* So that what is signed is what arrives: libcurl sends these as they are. */
static bool is_target(const char *target)
{
	for (const char *c = target; *c; c++)
		if (*c <= ' ' || *c >= 0x7f || *c == '#')
			return false;
	return target[0] == '/' && strlen(target) <= HM_HTTP_MAX_PATH;
}

static bool check_call(
	const hsmint_client *client, const char *method, const char *target, const char *json, hsmint_error **error)
{
	bool is_post = method && strcmp(method, "POST") == 0, is_get = method && strcmp(method, "GET") == 0;
	if (client && client->key_file && target && is_target(target) && (is_post || (is_get && !json)) &&
		(!json || *json))
		return true;
	error_make(error, "client_argument",
		"a client of an https URL, GET or POST, a path of at most %d characters that begins with \"/\", and a "
		"body with POST alone",
		HM_HTTP_MAX_PATH);
	return false;
}

static bool is_nonce(const char *text)
{
	size_t length = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
	return length && length <= HM_ID_MAX && !text[length];
}

static bool fetch_nonce(hsmint_client *client, int64_t end_ms, char nonce[HM_ID_MAX + 1], hsmint_error **error)
{
	struct answer answer = {0};
	struct exchange exchange = {
		.target = "/v1/nonces", .is_post = true, .most = NONCE_ANSWER_MAX, .end_ms = end_ms};
	if (!exchange_run(client, &exchange, &answer, error))
		return false;
	json_t *said = json_loadb(answer.text ? answer.text : "", answer.length, JSON_REJECT_DUPLICATES, NULL);
	const char *text = json_string_value(json_object_get(said, "nonce"));
	bool found = text && is_nonce(text);
	if (found)
		memcpy(nonce, text, strlen(text) + 1);
	else
		error_make(error, "client_reply", "a nonce");
	json_decref(said);
	free(answer.text);
	return found;
}

static bool load_key(hsmint_client *client, hsmint_error **error)
{
	if (!client->key)
		client->key = http_sign_key(client->key_file, error);
	return client->key;
}

static bool is_json(const struct answer *answer)
{
	json_t *value = json_loadb(answer->text ? answer->text : "", answer->length, JSON_REJECT_DUPLICATES, NULL);
	json_decref(value);
	return value;
}

char *hsmint_signed_call(
	hsmint_client *client, const char *method, const char *target, const char *json, hsmint_error **error)
{
	char nonce[HM_ID_MAX + 1];
	struct answer answer = {0};
	if (!check_call(client, method, target, json, error) || !load_key(client, error))
		return NULL;
	struct exchange exchange = {.target = target,
		.is_post = *method == 'P',
		.is_once = true,
		.json = json,
		.most = DOCUMENT_MAX,
		.end_ms = exchange_now_ms() + client->timeout_ms};
	struct signed_request request = {.method = method, .target = target, .body = json, .nonce = nonce};
	if (!fetch_nonce(client, exchange.end_ms, nonce, error))
		return NULL;
	request.created = time(NULL);
	if (!http_sign(client->key, &request, &exchange.headers, error)) {
		curl_slist_free_all(exchange.headers);
		return NULL;
	}
	if (!exchange_run(client, &exchange, &answer, error))
		return NULL;
	if (is_json(&answer))
		return answer.text;
	error_make(error, "client_reply", "an answer in JSON");
	free(answer.text);
	return NULL;
}

void hsmint_text_free(char *text)
{
	free(text);
}
