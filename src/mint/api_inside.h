/* SPDX-License-Identifier: Apache-2.0 */
/* What the rooms of the API share: the table, a call on its way, and who may make it. */
#ifndef HSMINT_API_INSIDE_H
#define HSMINT_API_INSIDE_H

#include "api.h"
#include <sys/queue.h>

/* A row of the table in docs/governance.md. */
struct api_route {
	const char *method;
	const char *path;       /* as api_path_matches has it */
	unsigned gate, proven;  /* any of these roles by which way; 0: not that way */
	const char *parameters; /* of the query, with a space behind each, beside issuer */
	bool is_form;
	bool is_act; /* refused when it could not be recorded */
	api_operation *run;
};

struct api_table {
	const struct api_route *routes;
	size_t count;
};

/* ---- api_table.c ---- */

extern const struct api_table api_table;

/* HM_REFUSED: not_found, method_not_allowed. Fills `id`, "" when the path has none. */
hm_result api_table_find(const struct api_table *table, const char *method, const char *path,
	const struct api_route **out, char id[HM_API_ID_MAX + 1], struct hm_problem *why) HM_MUST_USE;

/* ---- api_who.c ---- */

/*
 * The caller at the issuer that is named, or at the only one that knows it: fills `known`, `name` and `issuer`.
 * HM_REFUSED: unknown_caller, unknown_issuer, missing_member when several know it and none is named.
 */
hm_result api_who_find(const struct config *config, const char *named, struct api_actor *actor,
	char issuer[HM_NAME_MAX + 1], struct hm_problem *why) HM_MUST_USE;

/* HM_REFUSED: role_missing, or proof_required for one whose role would do another way. */
hm_result api_who_check(
	const struct api_route *route, const struct api_actor *actor, struct hm_problem *why) HM_MUST_USE;

/* ---- api_words.c: what a call says ---- */

/* An object of strings. HM_REFUSED: duplicate_member, unknown_member for a parameter that the route does not take. */
hm_result api_words_query(
	const struct api_route *route, const char *query, json_t **out, struct hm_problem *why) HM_MUST_USE;
/* `*out` NULL: there is none. HM_REFUSED: malformed_json, malformed_form, duplicate_member, invalid_utf8. */
hm_result api_words_body(
	const struct api_route *route, struct hm_bytes body, json_t **out, struct hm_problem *why) HM_MUST_USE;
/* The issuer that is named, of which the body is silent then; NULL: none is. It lives with the call. HM_REFUSED:
 * wrong_type. */
hm_result api_words_issuer(const json_t *query, json_t *body, char issuer[HM_NAME_MAX + 1], bool *named,
	struct hm_problem *why) HM_MUST_USE;

/* ---- api.c ---- */

/* With another table than api_open's, for tests. */
struct api *api_open_with(struct service *service, const struct api_table *table);

#endif
