/* SPDX-License-Identifier: Apache-2.0 */
#include "signature_base.h"

#include <stdio.h>
#include <string.h>

size_t signature_base_write(
	const struct signature_components *components, const char *params, char base[SIGNATURE_BASE_MAX])
{
	const char *target = components->target, *digest = components->digest;
	const char *query = strchr(target, '?');
	int path = query ? (int)(query - target) : (int)strlen(target);
	int length = snprintf(base, SIGNATURE_BASE_MAX,
		"\"@method\": %s\n\"@path\": %.*s\n\"@query\": %s\n%s%s%s\"@signature-params\": %s", components->method,
		path, target, query ? query : "?", digest ? "\"content-digest\": " : "", digest ? digest : "",
		digest ? "\n" : "", params);
	return length > 0 && length < SIGNATURE_BASE_MAX ? (size_t)length : 0;
}
