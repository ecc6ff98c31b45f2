/* SPDX-License-Identifier: Apache-2.0 */
#include "route.h"

#include <string.h>

static const struct route routes[] = {
	{"/v1/mint/jwt", "POST", OPERATION_MINT_JWT},
	{"/v1/mint/batch", "POST", OPERATION_MINT_ITEM},
	{"/metrics", "GET", OPERATION_METRICS},
	{"/v1/keys", "GET", OPERATION_KEYS},
};

static const struct route ledger_public = {NULL, "GET, HEAD", OPERATION_LEDGER_PUBLIC};
static const struct route ledger_entries = {NULL, "GET, HEAD", OPERATION_LEDGER_ENTRIES};
static const struct route ledger_proof = {NULL, "GET, HEAD", OPERATION_LEDGER_PROOF};

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
		if (strcmp(routes[i].path, path) == 0)
			return &routes[i];
	return find_in_ledger(path);
}

bool route_takes(const struct route *route, const char *method)
{
	if (strcmp(route->methods, "GET, HEAD") == 0)
		return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
	return strcmp(method, route->methods) == 0;
}
