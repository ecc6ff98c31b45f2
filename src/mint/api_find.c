/* SPDX-License-Identifier: Apache-2.0 */
#include "api_inside.h"

#include "api_path.h"
#include <string.h>

/* A path that is one of a pattern with an id may be another row's own: that one goes before, whatever its method. */
static const struct api_route *find_path(const struct api_table *table, const char *path)
{
	const struct api_route *found = NULL;
	for (size_t i = 0; i < table->count; i++) {
		const struct api_route *route = &table->routes[i];
		if (strcmp(route->path, path) == 0)
			return route;
		if (!found && api_path_matches(route->path, path, NULL))
			found = route;
	}
	return found;
}

hm_result api_table_find(const struct api_table *table, const char *method, const char *path,
	const struct api_route **out, char id[HM_API_ID_MAX + 1], struct hm_problem *why)
{
	const struct api_route *of_path = find_path(table, path);
	if (!of_path)
		return hm_refuse(why, "not_found", NULL, "a path of the API");
	(void)api_path_matches(of_path->path, path, id);
	for (size_t i = 0; i < table->count; i++) {
		*out = &table->routes[i];
		if (strcmp((*out)->path, of_path->path) == 0 && strcmp((*out)->method, method) == 0)
			return HM_OK;
	}
	return hm_refuse(why, "method_not_allowed", NULL, "%s", of_path->method);
}
