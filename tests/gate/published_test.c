/* SPDX-License-Identifier: Apache-2.0 */
#include "published.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static hm_result set(struct published *published, const char *path, int status, const char *etag)
{
	struct gate_publish publish = {.status = (uint16_t)status,
		.content_type = "application/json",
		.cache_control = "public, max-age=300",
		.body = {(const uint8_t *)"{}", 2}};
	snprintf(publish.path, sizeof publish.path, "%s", path);
	snprintf(publish.etag, sizeof publish.etag, "%s", etag);
	return published_set(published, &publish);
}

Test(published, a_blob_is_found_by_its_exact_path_until_it_is_removed)
{
	struct published *published = published_open();
	cr_assert_eq(set(published, "/b", 200, ""), HM_OK);
	cr_assert_eq(set(published, "/a", 503, ""), HM_OK);
	cr_assert_eq(set(published, "/z", 200, ""), HM_OK);
	cr_expect_eq(published_find(published, "/a")->status, 503);
	cr_expect_eq(published_find(published, "/b")->status, 200);
	cr_expect_eq(published_find(published, "/z")->status, 200);
	cr_expect_null(published_find(published, "/"));
	cr_expect_null(published_find(published, "/a/"));
	cr_expect_null(published_find(published, "/A"));
	cr_assert_eq(set(published, "/a", 200, ""), HM_OK);
	cr_expect_eq(published_find(published, "/a")->status, 200);
	cr_assert_eq(set(published, "/a", 0, ""), HM_OK);
	cr_assert_eq(set(published, "/never", 0, ""), HM_OK);
	cr_expect_null(published_find(published, "/a"));
	cr_expect_not_null(published_find(published, "/b"));
	published_close(published);
}

Test(published, health_is_there_from_the_start)
{
	struct published *published = published_open();
	cr_expect_eq(published_find(published, "/healthz")->status, 200);
	published_close(published);
}

Test(published, the_number_of_blobs_is_bounded)
{
	struct published *published = published_open();
	char path[32];
	for (int i = 0; i < HM_PUBLISHED_MAX; i++) {
		snprintf(path, sizeof path, "/%d", i);
		cr_assert_eq(set(published, path, 200, "\"x\""), HM_OK, "%d", i);
	}
	cr_expect_eq(set(published, "/over", 200, ""), HM_UNAVAILABLE);
	cr_expect_eq(set(published, "/7", 200, ""), HM_OK, "one that is there can still be replaced");
	published_close(published);
}

static const struct {
	const char *value;
	bool matches;
} values[] = {
	{"\"one\"", true},
	{"W/\"one\"", true},
	{"\"two\", \"one\"", true},
	{"\"two\",W/\"one\"", true},
	{" \t\"one\" ", true},
	{"*", true},
	{"\"two\"", false},
	{"one", false},
	{"\"one", false},
	{"\"one\"x", false},
	{"W/", false},
	{"", false},
	{",,", false},
};

Test(published, if_none_match_is_compared_weakly)
{
	struct published *published = published_open();
	cr_assert_eq(set(published, "/a", 200, "\"one\""), HM_OK);
	const struct published_blob *blob = published_find(published, "/a");
	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		cr_expect_eq(published_matches(blob, values[i].value, strlen(values[i].value)), values[i].matches,
			"'%s'", values[i].value);
	published_close(published);
}

Test(published, what_has_no_etag_or_is_an_error_never_matches)
{
	struct published *published = published_open();
	cr_assert_eq(set(published, "/plain", 200, ""), HM_OK);
	cr_assert_eq(set(published, "/error", 503, "\"one\""), HM_OK);
	cr_expect_not(published_matches(published_find(published, "/plain"), "*", 1));
	cr_expect_not(published_matches(published_find(published, "/error"), "\"one\"", 5));
	published_close(published);
}
