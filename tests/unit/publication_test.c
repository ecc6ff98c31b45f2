/* SPDX-License-Identifier: Apache-2.0 */
#include "publication.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct publications *publications;

static void open_publications(void)
{
	publications = publications_open();
	cr_assert_not_null(publications);
}

static void close_publications(void)
{
	publications_close(publications);
}

TestSuite(publication, .init = open_publications, .fini = close_publications);

static bool set(const char *path, const char *body)
{
	return publications_set(publications, path, 200, "application/json", CACHING_MINUTES, body, strlen(body));
}

static void count(void *context, const struct gate_publish *publish)
{
	(void)publish;
	++*(unsigned *)context;
}

static unsigned count_all(void)
{
	unsigned all = 0;
	publications_each(publications, count, &all);
	return all;
}

Test(publication, a_public_document_may_be_cached_and_has_an_etag)
{
	char body[] = "abc";
	cr_expect(set("/a", body));
	body[0] = 'x'; /* it was copied */
	const struct gate_publish *publish = publications_find(publications, "/a");
	cr_assert_not_null(publish);
	cr_expect_str_eq(publish->path, "/a");
	cr_expect_eq(publish->status, 200);
	cr_expect_str_eq(publish->content_type, "application/json");
	cr_expect_str_eq(publish->cache_control, "public, max-age=300");
	/* SHA-256 of "abc" as FIPS 180-2, appendix B.1 gives it, in base64url */
	cr_expect_str_eq(publish->etag, "\"ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0\"");
	cr_expect_eq(publish->body.length, 3);
	cr_expect_arr_eq(publish->body.data, "abc", 3);
}

Test(publication, what_is_not_public_is_never_stored_by_anyone)
{
	cr_expect(publications_set(publications, "/readyz", 503, "application/json", CACHING_NONE, "{}", 2));
	const struct gate_publish *publish = publications_find(publications, "/readyz");
	cr_assert_not_null(publish);
	cr_expect_eq(publish->status, 503);
	cr_expect_str_eq(publish->cache_control, "no-store");
	cr_expect_str_eq(publish->etag, "");
}

Test(publication, what_must_be_asked_for_again_has_an_etag_to_ask_with)
{
	cr_expect(publications_set(publications, "/c", 200, "text/plain", CACHING_ASK_AGAIN, "abc", 3));
	const struct gate_publish *publish = publications_find(publications, "/c");
	cr_assert_not_null(publish);
	cr_expect_str_eq(publish->cache_control, "no-cache");
	cr_expect_str_eq(publish->etag, "\"ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0\""); /* as above */
}

Test(publication, only_a_change_counts_as_one)
{
	cr_expect(set("/a", "one"));
	cr_expect_not(set("/a", "one"));
	cr_expect(set("/a", "two"));
	cr_expect(set("/a", "two, longer"));
	cr_expect_not(set("/a", "two, longer"));
	cr_expect(publications_set(publications, "/a", 503, "application/json", CACHING_MINUTES, "two, longer", 11));
	cr_expect_eq(count_all(), 1);
}

Test(publication, another_body_has_another_etag)
{
	char before[sizeof((struct gate_publish *)0)->etag];
	set("/a", "one");
	strcpy(before, publications_find(publications, "/a")->etag);
	set("/a", "two");
	cr_expect_str_neq(publications_find(publications, "/a")->etag, before);
}

Test(publication, a_path_that_was_not_set_finds_nothing)
{
	set("/a", "one");
	cr_expect_null(publications_find(publications, "/"));
	cr_expect_null(publications_find(publications, "/a/"));
	cr_expect_null(publications_find(publications, "/A"));
}

static char removed_path[HM_HTTP_MAX_PATH + 1];

static void note_removed(void *context, const struct gate_publish *publish)
{
	++*(unsigned *)context;
	cr_expect_eq(publish->status, 0);
	snprintf(removed_path, sizeof removed_path, "%s", publish->path);
}

Test(publication, one_that_is_removed_is_told_of_and_makes_room)
{
	unsigned removed = 0;
	set("/first", "1");
	set("/second", "2");
	set("/third", "3");
	publications_remove(publications, "/first", note_removed, &removed);
	cr_expect_eq(removed, 1);
	cr_expect_str_eq(removed_path, "/first");
	cr_expect_eq(count_all(), 2);
	cr_expect_null(publications_find(publications, "/first"));
	cr_expect_arr_eq(publications_find(publications, "/second")->body.data, "2", 1);
	cr_expect_arr_eq(publications_find(publications, "/third")->body.data, "3", 1);
	publications_remove(publications, "/first", note_removed, &removed);
	cr_expect_eq(removed, 1, "what is not there is not removed");
	cr_expect(set("/first", "again"));
}

Test(publication, there_is_place_for_so_many_and_no_more)
{
	char path[32];
	for (int i = 0; i < HM_PUBLISHED_MAX; i++) {
		snprintf(path, sizeof path, "/%d", i);
		cr_assert(set(path, "body"));
	}
	cr_expect_not(set("/one-more", "body"));
	cr_expect_null(publications_find(publications, "/one-more"));
	cr_expect(set("/7", "those that are there can still change"));
	cr_expect_eq(count_all(), HM_PUBLISHED_MAX);
}

Test(publication, a_path_longer_than_a_frame_takes_is_refused_and_not_cut)
{
	char path[HM_HTTP_MAX_PATH + 2];
	memset(path, 'a', sizeof path);
	path[0] = '/';
	path[HM_HTTP_MAX_PATH + 1] = 0;
	cr_expect_not(set(path, "body"));
	cr_expect_eq(count_all(), 0);
	path[HM_HTTP_MAX_PATH] = 0;
	cr_expect(set(path, "body"));
}
