/* SPDX-License-Identifier: Apache-2.0 */
#include "route.h"

#include <string.h>

static const struct route routes[] = {
	{"/v1/mint/jwt", "POST", OPERATION_MINT_JWT},
	{"/v1/mint/batch", "POST", OPERATION_MINT_ITEM},
	{"/metrics", "GET", OPERATION_METRICS},
	{"/v1/keys", "GET", OPERATION_KEYS},
};

const struct route *route_find(const char *path)
{
	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
		if (strcmp(routes[i].path, path) == 0)
			return &routes[i];
	return NULL;
}
