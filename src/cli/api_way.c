/* SPDX-License-Identifier: Apache-2.0 */
#include "api_way.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTION_CONTROL = API_WAY_FIRST, OPTION_URL, OPTION_CERT, OPTION_KEY, OPTION_CA, TIMEOUT_MS = 30 * 1000 };

struct api_way {
	const char *control;   /* its path; NULL: there is */
	hsmint_client *client; /* for HTTPS */
};

void api_way_list(struct option options[API_WAY_OPTIONS])
{
	static const struct option own[API_WAY_OPTIONS] = {{"control", required_argument, NULL, OPTION_CONTROL},
		{"url", required_argument, NULL, OPTION_URL}, {"cert", required_argument, NULL, OPTION_CERT},
		{"key", required_argument, NULL, OPTION_KEY}, {"ca", required_argument, NULL, OPTION_CA}};
	memcpy(options, own, sizeof own);
}

bool api_way_take(struct api_way_options *options, int option, const char *text)
{
	switch (option) {
	case OPTION_CONTROL:
		options->control = text;
		return true;
	case OPTION_URL:
		options->https.url = text;
		return true;
	case OPTION_CERT:
		options->https.certificate = text;
		return true;
	case OPTION_KEY:
		options->https.key = text;
		return true;
	case OPTION_CA:
		options->https.ca = text;
		return true;
	default:
		return false;
	}
}

/* ---- opening ---- */

static bool find_control(struct api_way *way, const struct api_way_options *options, const char *command, int *status)
{
	way->control = options->control ? options->control : getenv("HSMINT_CONTROL");
	if (way->control && *way->control)
		return true;
	*status = usage_error(command, "where is the service? --control PATH or HSMINT_CONTROL, or --url URL");
	return false;
}

static bool find_service(struct api_way *way, const struct api_way_options *options, const char *command, int *status)
{
	const struct connection *https = &options->https;
	if (!https->url && !https->certificate && !https->key && !https->ca)
		return find_control(way, options, command, status);
	if (options->control) {
		*status = usage_error(command, "either --control or --url");
		return false;
	}
	way->client = connection_open(https, command, status);
	hsmint_client_set_timeout(way->client, TIMEOUT_MS);
	return way->client;
}

struct api_way *api_way_open(const struct api_way_options *options, const char *command, int *status)
{
	struct api_way *way = calloc(1, sizeof *way);
	*status = EXIT_FAILED;
	if (way && find_service(way, options, command, status))
		return way;
	api_way_close(way);
	return NULL;
}

void api_way_close(struct api_way *way)
{
	if (way)
		hsmint_client_free(way->client);
	free(way);
}

/* ---- asking ---- */

unsigned api_way_at_once(const struct api_way *way)
{
	return way->client ? 1 : API_WAY_AT_ONCE;
}

static json_t *parse(char *text) /* which the library has parsed before */
{
	json_t *value = text ? json_loads(text, 0, NULL) : NULL;
	hsmint_text_free(text);
	return value;
}

/* {"command":"api",…,"body":BODY}; `body` is JSON already, and may be large. NULL: no memory. */
static char *write_command(const char *method, const char *target, const char *body)
{
	char *whole = NULL;
	json_t *command = json_pack("{s:s, s:s, s:s}", "command", "api", "method", method, "path", target);
	char *text = command ? json_dumps(command, JSON_COMPACT) : NULL;
	json_decref(command);
	if (!text || !body)
		return text;
	text[strlen(text) - 1] = 0; /* its closing brace */
	if (asprintf(&whole, "%s,\"body\":%s}", text, body) < 0)
		whole = NULL;
	free(text);
	return whole;
}

static json_t *call_control(
	const char *control, const char *method, const char *target, const char *body, hsmint_error **error)
{
	char *command = write_command(method, target, body);
	json_t *whole = parse(hsmint_control_call(control, command, TIMEOUT_MS, error));
	free(command);
	json_t *answer = json_incref(json_object_get(whole, "body"));
	json_decref(whole);
	return answer;
}

json_t *api_way_call_text(
	struct api_way *way, const char *method, const char *target, const char *body, hsmint_error **error)
{
	return way->client ? parse(hsmint_signed_call(way->client, method, target, body, error))
			   : call_control(way->control, method, target, body, error);
}

json_t *api_way_call(struct api_way *way, const char *method, const char *target, json_t *body, hsmint_error **error)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	json_decref(body);
	json_t *answer = api_way_call_text(way, method, target, text, error);
	free(text);
	return answer;
}

json_t *api_way_ask(struct api_way *way, const char *method, const char *target, json_t *body)
{
	hsmint_error *error = NULL;
	json_t *answer = api_way_call(way, method, target, body, &error);
	if (!answer)
		report_error(error);
	return answer;
}
