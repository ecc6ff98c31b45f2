/* SPDX-License-Identifier: Apache-2.0 */
#include "url_normal.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 128 };

/* Those with a section are examples of RFC 3986, moved to https where they are of another scheme or have none. */
static const struct {
	const char *url, *normal; /* normal: NULL: it is refused */
} cases[] = {
	{"https://mint.test/oauth2/token", "https://mint.test/oauth2/token"},
	/* 6.2.2 */
	{"httpS://a/./b/../b/%63/%7bfoo%7d", "https://a/b/c/%7Bfoo%7D"},
	{"https://a/b/c/%7Bfoo%7D", "https://a/b/c/%7Bfoo%7D"},
	/* 6.2.2.1 */
	{"HTTP://www.EXAMPLE.com/", "http://www.example.com/"},
	{"http://www.example.com/Path", "http://www.example.com/Path"},
	/* 6.2.3 */
	{"http://example.com", "http://example.com/"},
	{"http://example.com/", "http://example.com/"},
	{"http://example.com:/", "http://example.com/"},
	{"http://example.com:80/", "http://example.com/"},
	{"https://example.com:443", "https://example.com/"},
	{"https://example.com:80/", "https://example.com:80/"},
	{"http://example.com:443/", "http://example.com:443/"},
	{"https://example.com:0443/", "https://example.com:0443/"},
	{"https://example.com:443:443/", "https://example.com:443:443/"},
	{"https://[2001:DB8::7]:443/a", "https://[2001:db8::7]/a"},
	{"https://[2001:DB8::443]/a", "https://[2001:db8::443]/a"},
	/* 5.2.4 and 5.4 */
	{"https://a/a/b/c/./../../g", "https://a/a/g"},
	{"https://a/b/c/../../../g", "https://a/g"},
	{"https://a/b/c/.", "https://a/b/c/"},
	{"https://a/b/c/..", "https://a/b/"},
	{"https://a/..", "https://a/"},
	{"https://a/../", "https://a/"},
	{"https://a/b/.g/g./..g/g..", "https://a/b/.g/g./..g/g.."},
	{"https://a/b/./g/.", "https://a/b/g/"},
	{"https://a//b//../c", "https://a//b/c"},
	{"https://a/%2e%2E/%2e/b", "https://a/b"},
	{"https://a/b%2fc%2F..", "https://a/b%2Fc%2F.."},
	{"https://a/%41%7E%2D", "https://a/A~-"},
	{"https://a/%25%34%31", "https://a/%2541"}, /* once, not again */
	/* what is behind the path is not looked at */
	{"https://a/b?c=d", "https://a/b"},
	{"https://a/b#c", "https://a/b"},
	{"https://a?/../b#c?d", "https://a/"},
	{"https://a/b%3Fc%23", "https://a/b%3Fc%23"},
	{"https://a/?%", "https://a/"},
	/* what is none */
	{"", NULL},
	{"https:", NULL},
	{"https://", NULL},
	{"https:///a", NULL},
	{"https://:443/a", NULL},
	{"https://?a", NULL},
	{"//a/b", NULL},
	{"/b", NULL},
	{"a/b", NULL},
	{"ftp://a/b", NULL},
	{"https:/a/b", NULL},
	{"httpss://a/b", NULL},
	{" https://a/b", NULL},
	{"https://a/b ", NULL},
	{"https://a/b\n", NULL},
	{"https://a\\@b/", NULL},
	{"https://user@a/", NULL},
	{"https://user:word@a/", NULL},
	{"https://a%2Fb/", NULL},
	{"https://a%00/", NULL},
	{"https://a/%", NULL},
	{"https://a/%4", NULL},
	{"https://a/%4g", NULL},
	{"https://a/%g4", NULL},
	{"https://a/\xc3\xa9", NULL},
	{"https://a/\x7f", NULL},
	{"https://a/\"", NULL},
	{"https://a/<b>", NULL},
};

Test(url_normal, each_url_has_one_form)
{
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char out[ROOM], again[ROOM];
		bool is_one = url_normal(cases[i].url, out, sizeof out);
		cr_expect_eq(is_one, cases[i].normal != NULL, "%s", cases[i].url);
		if (!is_one || !cases[i].normal)
			continue;
		cr_expect_str_eq(out, cases[i].normal, "%s", cases[i].url);
		cr_expect(url_normal(out, again, sizeof again));
		cr_expect_str_eq(again, out, "the form of the form of %s", cases[i].url);
	}
}

/* In memory of just this size, so that a sanitizer sees a byte beyond it. */
Test(url_normal, what_has_no_room_is_refused)
{
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (size_t size = 1; cases[i].normal && size <= ROOM; size++) {
			char *out = malloc(size);
			cr_assert_not_null(out);
			if (url_normal(cases[i].url, out, size))
				cr_expect_str_eq(out, cases[i].normal);
			else
				cr_expect_leq(size, strlen(cases[i].url) + 3, "%s", cases[i].url);
			free(out);
		}
}
