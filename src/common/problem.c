/* SPDX-License-Identifier: Apache-2.0 */
#include "problem.h"

#include "json_write.h"
#include <stdio.h>
#include <string.h>

const struct problem_kind problem_kinds[] = {
	/* the HTTP request itself */
	{"bad_request", 400, "no", "The HTTP request is malformed"},
	{"invalid_header", 400, "no", "A header of the request is malformed"},
	{"not_found", 404, "no", "Nothing is served at this path"},
	{"method_not_allowed", 405, "no", "The path does not take this method"},
	{"length_required", 411, "no", "The request needs a Content-Length"},
	{"body_too_large", 413, "no", "The request body is too large"},
	{"unsupported_media_type", 415, "no", "The request body must be of the type that the path takes"},
	{"malformed_json", 400, "no", "The request body is not JSON"},
	{"malformed_form", 400, "no", "The request body is not application/x-www-form-urlencoded"},
	{"invalid_utf8", 400, "no", "The request body is not UTF-8"},
	{"duplicate_member", 400, "no", "A member appears twice"},
	{"too_deep", 400, "no", "The request body nests too deeply or has too many values"},
	{"invalid_batch", 400, "no", "The batch has no requests, or too many"},
	/* who calls */
	{"certificate_required", 401, "no", "This needs a client certificate or the Unix socket"},
	{"certificate_refused", 403, "no", "The client certificate is not accepted"},
	{"unknown_caller", 403, "no", "This caller is not configured"},
	{"unknown_issuer", 404, "no", "There is no such issuer for this caller"},
	{"role_missing", 403, "no", "This caller does not have the role"},
	{"caller_not_allowed", 403, "no", "The profile does not serve this caller"},
	{"proof_required", 403, "no", "This needs a caller that is proven to mint itself"},
	{"signature_refused", 403, "no", "The HTTP signature is not accepted"},
	/* the token endpoint */
	{"client_refused", 400, "no", "The client is not authenticated"},
	{"grant_not_offered", 400, "no", "This grant is not offered"},
	{"grant_not_allowed", 400, "no", "No profile offers this grant to this client"},
	{"invalid_dpop_proof", 400, "no", "The DPoP proof is not accepted"},
	{"use_dpop_nonce", 400, "no", "The DPoP proof lacks the nonce that is good now"},
	{"key_proof_required", 403, "no", "The profile binds its credentials to a key, and none was proven"},
	{"details_not_offered", 400, "no", "Authorization details are not offered"},
	{"token_refused", 400, "no", "The subject token or the actor token is not accepted"},
	{"trust_unavailable", 503, "after", "The keys of whoever signed the token are not there"},
	{"delegation_refused", 400, "no", "This token may not be exchanged so"},
	/* the members of a mint request */
	{"unknown_member", 400, "no", "The request has a member that is not known"},
	{"missing_member", 400, "no", "The request lacks a member"},
	{"wrong_type", 400, "no", "A member has the wrong type"},
	{"invalid_kind", 400, "no", "There is no such kind of credential"},
	{"unknown_profile", 400, "no", "There is no such profile for this caller"},
	{"invalid_subject", 400, "no", "The subject is not a SPIFFE ID"},
	{"subject_not_allowed", 403, "no", "The profile does not allow this subject"},
	{"invalid_audience", 400, "no", "The audience is malformed"},
	{"audience_not_allowed", 403, "no", "The profile does not allow this audience"},
	{"invalid_scope", 400, "no", "The scope is malformed"},
	{"scope_not_allowed", 403, "no", "The profile does not allow this scope"},
	{"lifetime_not_allowed", 403, "no", "The profile does not allow this lifetime"},
	{"claim_not_allowed", 400, "no", "The profile does not list this claim"},
	{"invalid_claim", 400, "no", "A claim is not as the profile demands"},
	{"missing_claim", 400, "no", "The profile requires a claim"},
	{"claims_too_large", 400, "no", "The claims are too large"},
	{"invalid_context", 400, "no", "The context is malformed"},
	/* agents and tasks */
	{"agent_limit", 403, "no", "The agent may not have this"},
	{"task_limit", 403, "no", "The task may not have this"},
	{"policy_denied", 403, "no", "The site's own policy does not allow it"},
	{"policy_unavailable", 503, "after", "The site's own decision point does not answer"},
	{"unknown_approval", 404, "no", "There is no such approval for this caller"},
	{"approval_mismatch", 409, "no", "The approval is of another request"},
	{"approval_pending", 409, "no", "Not all of its approvers have granted it yet"},
	{"approval_denied", 403, "no", "The approval was denied"},
	{"approval_used", 409, "no", "The approval was used already"},
	{"approval_expired", 409, "no", "The time of the approval is over"},
	{"approver_not_allowed", 403, "no", "This caller may not approve this"},
	{"revoke_task_instead", 409, "no", "The credential shares its place in the status list with others"},
	{"revoked_meanwhile", 409, "no", "What the credential was struck for was revoked before it went out"},
	{"invalid_member", 400, "no", "A member has a value that is not possible"},
	/* tasks */
	{"unknown_task", 404, "no", "There is no such task for this caller"},
	{"task_paused", 409, "no", "The task, or a parent of it, is paused"},
	{"task_ended", 409, "no", "The task, or a parent of it, has ended"},
	{"task_expired", 409, "no", "The task, or a parent of it, has expired"},
	{"task_state", 409, "no", "The task is not in a state for this"},
	{"task_mismatch", 409, "no", "The ref names a task that was opened with another content"},
	{"task_too_deep", 409, "no", "The tree of tasks would be too deep"},
	/* agents */
	{"unknown_agent", 403, "no", "No such agent is registered"},
	{"agent_suspended", 403, "no", "The agent, or its class, is suspended"},
	{"agent_retired", 403, "no", "The agent, or its class, is retired"},
	{"agent_unowned", 403, "no", "The agent has no owner"},
	{"agent_review_due", 403, "no", "The agent's review is due"},
	{"no_agent", 404, "no", "There is no agent with this id"},
	{"agent_exists", 409, "no", "The agent is registered already, with another content"},
	{"agent_state", 409, "no", "The agent is not in a status for this"},
	/* retries */
	{"idempotency_mismatch", 422, "no", "The Idempotency-Key was used with another request"},
	{"replay_withdrawn", 409, "no", "What was minted under the Idempotency-Key may not be given out any more"},
	/* control.sock */
	{"unknown_command", 400, "no", "There is no such command"},
	{"unknown_token", 404, "no", "No token of this name is configured"},
	{"unknown_key", 404, "no", "No key, or no version of it, goes by this name"},
	{"unknown_human", 404, "no", "The ledger has no salt for this name"},
	{"key_refused", 409, "no", "The token does not hold this key as it must be"},
	{"key_state", 409, "no", "The key is not in a state for this"},
	{"unlock_refused", 409, "no", "The token was not unlocked"},
	{"reload_refused", 409, "no", "The new configuration was refused; the one before stays in force"},
	/* how much, time, and us */
	{"rate_limited", 429, "after", "More credentials were asked for than the rate allows"},
	{"checkpoint_pending", 503, "after", "The entry is recorded, and no checkpoint covers it yet"},
	{"ledger_unavailable", 503, "after", "The ledger cannot be written now; nothing is struck without a record"},
	{"idempotency_full", 503, "after", "Too many Idempotency-Keys are remembered for the caller"},
	{"store_unavailable", 503, "after", "The store of agents and tasks is away, or what is known of it is too old"},
	{"clock_stepped", 503, "after",
		"The service's clock was set; nothing is struck until it can be believed again"},
	{"overload", 503, "after", "Too many requests wait already"},
	{"token_unavailable", 503, "after", "The token that holds the key cannot sign now; hsmint status says why"},
	{"shutting_down", 503, "after", "The service is stopping"},
	{"deadline", 504, "same-key", "No answer was possible in time"},
	{"internal", 500, "no", "The service failed to keep its own promise"},
	{NULL, 0, NULL, NULL},
};

const struct problem_kind *problem_kind(const char *code)
{
	const struct problem_kind *kind = problem_kinds;
	while (kind->code && strcmp(kind->code, code) != 0)
		kind++;
	return kind->code ? kind : kind - 1;
}

unsigned problem_retry_after(const struct hm_problem *why)
{
	if (strcmp(problem_kind(why->code)->retry, "after") != 0)
		return 0;
	return why->retry_after ? why->retry_after : 1;
}

size_t problem_write(const struct hm_problem *why, char *body, size_t size)
{
	const struct problem_kind *kind = problem_kind(why->code);
	char type[96];
	snprintf(type, sizeof type, "urn:hsmint:problem:%s", kind->code);

	struct hm_json json = hm_json(body, size);
	hm_json_begin(&json, '{');
	hm_json_member_string(&json, "type", type);
	hm_json_member_string(&json, "title", kind->title);
	hm_json_member_number(&json, "status", kind->status);
	hm_json_member_string(&json, "code", kind->code);
	if (why->field[0])
		hm_json_member_string(&json, "field", why->field);
	if (why->detail[0] && kind->status < 500)
		hm_json_member_string(&json, "accepts", why->detail);
	hm_json_member_string(&json, "retry", kind->retry);
	if (problem_retry_after(why))
		hm_json_member_number(&json, "retry_after", problem_retry_after(why));
	hm_json_end(&json, '}');
	return json.out.failed ? 0 : json.out.used;
}
