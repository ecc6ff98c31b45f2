/* SPDX-License-Identifier: Apache-2.0 */
#include "api_path.h"

#include <criterion/criterion.h>
#include <string.h>

Test(api_path, a_pattern_without_an_id_is_compared_byte_by_byte)
{
	char id[HM_API_ID_MAX + 1] = "before";
	cr_expect(api_path_matches("/v1/agents", "/v1/agents", id));
	cr_expect_str_eq(id, "");
	cr_expect_not(api_path_matches("/v1/agents", "/v1/agents/", id));
	cr_expect_not(api_path_matches("/v1/agents", "/v1/agent", id));
}

Test(api_path, an_id_is_taken_from_its_place)
{
	char id[HM_API_ID_MAX + 1];
	cr_expect(api_path_matches("/v1/tasks/{id}/cancel", "/v1/tasks/aZ0-_/cancel", id));
	cr_expect_str_eq(id, "aZ0-_");
	cr_expect(api_path_matches("/v1/tasks/{id}", "/v1/tasks/x", id));
	cr_expect(api_path_matches("/v1/tasks/{id}", "/v1/tasks/x", NULL));
}

Test(api_path, what_is_no_id_matches_nothing)
{
	static const char *const others[] = {"/v1/tasks//cancel", "/v1/tasks/a/b/cancel", "/v1/tasks/a%41/cancel",
		"/v1/tasks/../cancel", "/v1/tasks/a b/cancel", "/v1/tasks/a/cancel/", "/v1/tasks/a/cance",
		"/v1/tasks/a", "/v1/tasks/a/cancelx", "/v1/task/a/cancel", ""};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		cr_expect_not(api_path_matches("/v1/tasks/{id}/cancel", others[i], NULL), "%s", others[i]);
}

Test(api_path, an_id_has_its_limit)
{
	char path[sizeof "/v1/tasks/" + HM_API_ID_MAX + 1] = "/v1/tasks/";
	memset(path + strlen(path), 'x', HM_API_ID_MAX);
	cr_expect(api_path_matches("/v1/tasks/{id}", path, NULL));
	path[strlen(path)] = 'x';
	cr_expect_not(api_path_matches("/v1/tasks/{id}", path, NULL));
}
