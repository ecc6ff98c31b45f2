/* SPDX-License-Identifier: Apache-2.0 */
#include "route.h"

#include "api_path.h"
#include <string.h>

static const struct route routes[] = {
	{"/v1/mint/jwt", "POST", OPERATION_MINT_JWT, 0},
	{"/v1/mint/batch", "POST", OPERATION_MINT_ITEM, ROUTE_LARGE},
	{"/metrics", "GET", OPERATION_METRICS, 0},
	{"/v1/keys", "GET", OPERATION_KEYS, 0},
	{"/v1/agents", "GET, POST", OPERATION_API, ROUTE_QUERY},
	{"/v1/agents/import", "POST", OPERATION_API, ROUTE_LARGE},
	{"/v1/agents/{id}", "GET", OPERATION_API, ROUTE_QUERY},
	{"/v1/agents/{id}/suspend", "POST", OPERATION_API, 0},
	{"/v1/agents/{id}/resume", "POST", OPERATION_API, 0},
	{"/v1/agents/{id}/retire", "POST", OPERATION_API, 0},
	{"/v1/agents/{id}/transfer", "POST", OPERATION_API, 0},
	{"/v1/tasks", "GET, POST", OPERATION_API, ROUTE_QUERY},
	{"/v1/tasks/{id}", "GET", OPERATION_API, ROUTE_QUERY},
	{"/v1/tasks/{id}/pause", "POST", OPERATION_API, 0},
	{"/v1/tasks/{id}/resume", "POST", OPERATION_API, 0},
	{"/v1/tasks/{id}/complete", "POST", OPERATION_API, 0},
	{"/v1/tasks/{id}/cancel", "POST", OPERATION_API, 0},
	{"/v1/approvals", "GET", OPERATION_API, ROUTE_QUERY},
	{"/v1/approvals/{id}", "GET", OPERATION_API, ROUTE_QUERY},
	{"/v1/approvals/{id}/grant", "POST", OPERATION_API, 0},
	{"/v1/approvals/{id}/deny", "POST", OPERATION_API, 0},
	{"/v1/revocations", "GET, POST", OPERATION_API, ROUTE_QUERY},
	{"/v1/policy/explain", "POST", OPERATION_API, 0},
	{"/v1/nonces", "POST", OPERATION_API, 0},
	{"/oauth2/introspect", "POST", OPERATION_API, ROUTE_FORM},
	{"/oauth2/revoke", "POST", OPERATION_API, ROUTE_FORM},
};

static const struct route ledger_public = {NULL, "GET, HEAD", OPERATION_LEDGER_PUBLIC, 0};
static const struct route ledger_entries = {NULL, "GET, HEAD", OPERATION_LEDGER_ENTRIES, 0};
static const struct route ledger_proof = {NULL, "GET, HEAD", OPERATION_LEDGER_PROOF, 0};

/* Of an issuer: what its paths end with. */
static const struct route issuer_routes[] = {
	{"/oauth2/token", "POST", OPERATION_TOKEN, ROUTE_FORM | ROUTE_OAUTH},
	{"/oauth2/introspect", "POST", OPERATION_API, ROUTE_FORM | ROUTE_OAUTH},
	{"/oauth2/revoke", "POST", OPERATION_API, ROUTE_FORM | ROUTE_OAUTH},
};

static bool ends_with(const char *path, const char *end)
{
	size_t length = strlen(path), wanted = strlen(end);
	return length >= wanted && length <= HM_HTTP_MAX_PATH && strcmp(path + length - wanted, end) == 0;
}

static const struct route *find_of_issuer(const char *path)
{
	for (size_t i = 0; i < sizeof issuer_routes / sizeof *issuer_routes; i++)
		if (ends_with(path, issuer_routes[i].path))
			return &issuer_routes[i];
	return NULL;
}

bool route_is_authorization(const char *path)
{
	return ends_with(path, "/oauth2/authorize");
}

static bool has_ledger_form(const char *path)
{
	size_t length = strspn(path, "0123456789abcdefghijklmnopqrstuvwxyz/.");
	return !path[length] && length <= HM_LEDGER_PATH_MAX;
}

static bool begins(const char **at, const char *with)
{
	size_t length = strlen(with);
	if (strncmp(*at, with, length) != 0)
		return false;
	*at += length;
	return true;
}

/* What of the ledger is asked for: enough to know who may ask. The checkpoint of the open shard is a published blob. */
static const struct route *find_in_ledger(const char *path)
{
	const char *at = path;
	if (!has_ledger_form(path))
		return NULL;
	if (begins(&at, "/v1/ledger/proof/"))
		return &ledger_proof;
	if (!begins(&at, "/ledger/"))
		return NULL;
	size_t digits = strspn(at, "0123456789");
	bool has_shard = digits && at[digits] == '/';
	if (has_shard)
		at += digits + 1;
	if (begins(&at, "tile/entries/"))
		return &ledger_entries;
	return begins(&at, "tile/") || (has_shard && strcmp(at, "checkpoint") == 0) ? &ledger_public : NULL;
}

const struct route *route_find(const char *path)
{
	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
		if (api_path_matches(routes[i].path, path, NULL))
			return &routes[i];
	const struct route *of_issuer = find_of_issuer(path);
	return of_issuer ? of_issuer : find_in_ledger(path);
}

bool route_takes(const struct route *route, const char *method)
{
	size_t length = strlen(method);
	for (const char *at = route->methods; *at; at += strspn(at, ", ")) {
		size_t other = strcspn(at, ",");
		if (other == length && memcmp(at, method, length) == 0)
			return true;
		at += other;
	}
	return false;
}
