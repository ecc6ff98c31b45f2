/* SPDX-License-Identifier: Apache-2.0 */
#include "guard.h"

#include <criterion/criterion.h>
#include <string.h>

enum { HEADERS = 4 };

struct example {
	const char *what, *method, *version;
	const char *headers[HEADERS][2];
	const char *code; /* NULL: accepted */
};

#define HOST                        \
	{                           \
		"Host", "localhost" \
	}

static const struct example examples[] = {
	{"a plain GET", "GET", "HTTP/1.1", {HOST}, NULL},
	{"a GET with a length of zero", "GET", "HTTP/1.1", {HOST, {"Content-Length", "0"}}, NULL},
	{"a POST", "POST", "HTTP/1.1", {HOST, {"content-length", "12"}, {"X-Any", ""}}, NULL},
	{"HTTP/1.0", "GET", "HTTP/1.0", {HOST}, "bad_request"},
	{"HTTP/1.2", "GET", "HTTP/1.2", {HOST}, "bad_request"},
	{"no host", "GET", "HTTP/1.1", {{"Hosts", "localhost"}}, "bad_request"},
	{"two hosts", "GET", "HTTP/1.1", {HOST, {"HOST", "localhost"}}, "bad_request"},
	{"chunked", "POST", "HTTP/1.1", {HOST, {"Transfer-Encoding", "chunked"}}, "bad_request"},
	{"chunked and a length", "POST", "HTTP/1.1", {HOST, {"Content-Length", "5"}, {"transfer-encoding", "identity"}},
		"bad_request"},
	{"two lengths", "POST", "HTTP/1.1", {HOST, {"Content-Length", "5"}, {"Content-Length", "5"}}, "bad_request"},
	{"a signed length", "POST", "HTTP/1.1", {HOST, {"Content-Length", "+5"}}, "bad_request"},
	{"a list of lengths", "POST", "HTTP/1.1", {HOST, {"Content-Length", "5, 5"}}, "bad_request"},
	{"no digits", "POST", "HTTP/1.1", {HOST, {"Content-Length", ""}}, "bad_request"},
	{"a length beyond any number", "POST", "HTTP/1.1", {HOST, {"Content-Length", "18446744073709551621"}},
		"bad_request"},
	{"a space before the colon", "POST", "HTTP/1.1", {HOST, {"Content-Length ", "5"}}, "bad_request"},
	{"an empty name", "GET", "HTTP/1.1", {HOST, {"", "x"}}, "bad_request"},
	{"a name with a byte above ASCII", "GET", "HTTP/1.1", {HOST, {"X\xe9", "x"}}, "bad_request"},
	{"two content types", "POST", "HTTP/1.1", {HOST, {"Content-Type", "a/b"}, {"Content-Type", "a/b"}},
		"bad_request"},
	{"a GET with a body", "GET", "HTTP/1.1", {HOST, {"Content-Length", "1"}}, "bad_request"},
	{"a HEAD with a body", "HEAD", "HTTP/1.1", {HOST, {"Content-Length", "1"}}, "bad_request"},
	{"a POST without a length", "POST", "HTTP/1.1", {HOST}, "length_required"},
};

Test(guard, each_shape_gets_its_answer)
{
	for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
		const struct example *example = &examples[i];
		struct guard guard = {0};
		struct hm_problem why = {.code = "none"};
		for (int h = 0; h < HEADERS && example->headers[h][0]; h++)
			guard_see_header(&guard, example->headers[h][0], strlen(example->headers[h][0]),
				example->headers[h][1], strlen(example->headers[h][1]));
		hm_result result = guard_check(&guard, example->method, example->version, "/", &why);
		cr_expect_eq(result, example->code ? HM_REFUSED : HM_OK, "%s", example->what);
		cr_expect_str_eq(why.code, example->code ? example->code : "none", "%s", example->what);
	}
}

Test(guard, a_query_is_refused)
{
	struct guard guard = {.hosts = 1};
	struct hm_problem why;
	cr_expect_eq(guard_check(&guard, "GET", "HTTP/1.1", "/healthz?", &why), HM_REFUSED);
}

Test(guard, the_length_is_read)
{
	struct guard guard = {0};
	guard_see_header(&guard, "Content-Length", 14, "64512", 5);
	cr_expect_eq(guard.content_length, 64512);
}

static const struct {
	const char *type;
	bool json;
} types[] = {
	{"application/json", true},
	{"Application/JSON", true},
	{"application/json; charset=utf-8", true},
	{"application/json;charset=\"UTF-8\"", true},
	{"application/json ;  charset=utf-8 ", true},
	{"application/json; charset=utf-16", false},
	{"application/json; charset=utf-8; x=y", false},
	{"application/json;", false},
	{"application/jsonp", false},
	{"application/jso", false},
	{"text/json", false},
	{"", false},
};

Test(guard, only_json_in_utf8_is_json)
{
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		cr_expect_eq(guard_is_json((struct guard_text){types[i].type, strlen(types[i].type)}), types[i].json,
			"'%s'", types[i].type);
	cr_expect_not(guard_is_json((struct guard_text){0}), "no header");
}
