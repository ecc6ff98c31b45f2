/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth_error.h"

#include "json_write.h"
#include "problem.h"
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Problems that have a word of their own. Of the others those that are the caller's are invalid_request, and those that
 * are ours keep their status. */
static const struct {
	const char *code, *error;
} words[] = {
	{"client_refused", "invalid_client"},
	{"certificate_required", "invalid_client"},
	{"certificate_refused", "invalid_client"},
	{"unknown_caller", "invalid_client"},
	{"grant_not_offered", "unsupported_grant_type"},
	{"role_missing", "unauthorized_client"},
	{"caller_not_allowed", "unauthorized_client"},
	{"grant_not_allowed", "unauthorized_client"},
	{"unknown_agent", "unauthorized_client"},
	{"agent_suspended", "unauthorized_client"},
	{"agent_retired", "unauthorized_client"},
	{"agent_unowned", "unauthorized_client"},
	{"agent_review_due", "unauthorized_client"},
	{"subject_not_allowed", "unauthorized_client"},
	{"invalid_dpop_proof", "invalid_dpop_proof"},
	{"use_dpop_nonce", "use_dpop_nonce"},
	{"details_not_offered", "invalid_authorization_details"},
	{"invalid_scope", "invalid_scope"},
	{"scope_not_allowed", "invalid_scope"},
	{"invalid_audience", "invalid_target"},
	{"audience_not_allowed", "invalid_target"},
	{"policy_denied", "access_denied"},
	{"approval_denied", "access_denied"},
	{"approval_pending", "authorization_pending"},
};

/* What is wrong with the HTTP request keeps its status. */
static bool is_of_http(const char *code)
{
	static const char *const codes[] = {
		"not_found", "method_not_allowed", "length_required", "body_too_large", "unsupported_media_type"};
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
		if (strcmp(codes[i], code) == 0)
			return true;
	return false;
}

struct oauth_error oauth_error_of(const char *code)
{
	const struct problem_kind *kind = problem_kind(code);
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcmp(words[i].code, kind->code) == 0)
			return (struct oauth_error){words[i].error, 400};
	if (kind->status >= 500 || kind->status == 429)
		return (struct oauth_error){
			kind->status == 500 ? "server_error" : "temporarily_unavailable", kind->status};
	return (struct oauth_error){"invalid_request", is_of_http(kind->code) ? kind->status : 400};
}

/* RFC 6749, section 5.2: of printable ASCII, without " and \. */
static void keep_plain(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~' || *text == '"' || *text == '\\')
			*text = '?';
}

size_t oauth_error_write(const struct hm_problem *why, char *body, size_t size)
{
	const struct problem_kind *kind = problem_kind(why->code);
	char text[sizeof why->detail + 256];
	const char *error = oauth_error_of(kind->code).error;
	bool is_nobody = strcmp(error, "invalid_client") == 0; /* is told nothing that would have helped */
	bool is_told = why->detail[0] && kind->status < 500;   /* what a fault of ours holds is for the log */
	if (is_nobody)
		snprintf(text, sizeof text, "%s", kind->code);
	else
		snprintf(text, sizeof text, "%s%s%s%s%s", kind->code, why->field[0] ? ": " : "", why->field,
			is_told ? ": " : "", is_told ? why->detail : "");
	keep_plain(text);
	struct hm_json json = hm_json(body, size);
	hm_json_begin(&json, '{');
	hm_json_member_string(&json, "error", error);
	hm_json_member_string(&json, "error_description", text);
	hm_json_end(&json, '}');
	return json.out.failed ? 0 : json.out.used;
}
