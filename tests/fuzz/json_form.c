/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The form of a request's body. Gate and mint must never disagree about what is JSON: a body passes exactly when the
 * parser that mint uses takes it, without duplicates, and what it then holds is within the bounds.
 */
#include "fuzz.h"

#include "json_form.h"
#include "limits.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(bool holds)
{
	if (!holds)
		abort();
}

struct measure {
	unsigned depth, tokens;
};

static void measure(const json_t *value, unsigned depth, struct measure *found)
{
	const char *name;
	json_t *inner;
	size_t i;
	found->tokens++;
	if (!json_is_object(value) && !json_is_array(value))
		return;
	if (depth > found->depth)
		found->depth = depth;
	json_array_foreach(value, i, inner) measure(inner, depth + 1, found);
	json_object_foreach((json_t *)value, name, inner)
	{
		found->tokens++;
		measure(inner, depth + 1, found);
	}
}

static void check_refusal(const struct hm_problem *why)
{
	static const char *const codes[] = {"malformed_json", "invalid_utf8", "duplicate_member", "too_deep"};
	bool known = false;
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
		known = known || strcmp(why->code, codes[i]) == 0;
	check(known && memchr(why->field, 0, sizeof why->field) && memchr(why->detail, 0, sizeof why->detail));
	for (const char *c = why->field; *c; c++)
		check(*c > ' ' && *c < 0x7f && *c != '"' && *c != '\\'); /* it stands in the answer */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hm_problem why = {0};
	struct measure found = {0};
	bool accepted = json_form_check((const char *)data, size, &why) == HM_OK;
	json_t *parsed = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
	if (parsed)
		measure(parsed, 1, &found);
	check(accepted == (parsed && found.depth <= HM_JSON_MAX_DEPTH && found.tokens <= HM_JSON_MAX_TOKENS));
	if (!accepted)
		check_refusal(&why);
	json_decref(parsed);
	return 0;
}

/* ---- seeds ---- */

static const char *const bodies[] = {
	"{\"profile\":\"demo-access\",\"subject\":\"spiffe://demo.test/agent/first\",\"audience\":[\"https://a.test\"],"
	"\"scope\":\"read write\",\"lifetime\":300,\"claims\":{\"session\":\"x\",\"level\":7,\"live\":true},"
	"\"context\":{\"traceparent\":\"00-1-2-00\"}}",
	" {\"a\": [1, 2.5e-3, -0, true, false, null], \"b\": {\"c\": \"\\u00e9\\ud83d\\udd11\\n\\\"}{][,:\"}} ",
	"{\"\xc3\xa9\": \"\xf0\x9f\x94\x91\", \"\": {}}", "{\"a\":[[[[[[[]]]]]]]}", "[[[[[[[{}]]]]]]]",
	"{\"aud\":1,\"bud\":2}",
	"[[[[[[[[[]]]]]]]]]", /* one level too many: this one and the array with a value too many are refused */
};
enum { BODIES = sizeof bodies / sizeof *bodies, GOOD_BODIES = BODIES - 1, ARRAYS = 2 };

static size_t put_array(uint8_t *data, unsigned values)
{
	size_t used = (size_t)sprintf((char *)data, "[0");
	for (unsigned i = 1; i < values; i++)
		used += (size_t)sprintf((char *)data + used, ",1");
	data[used++] = ']';
	return used;
}

size_t fuzz_seed(unsigned number, uint8_t *data)
{
	struct hm_problem why;
	if (number >= BODIES + ARRAYS)
		return 0;
	if (number >= BODIES) /* the array itself counts too */
		return put_array(data, HM_JSON_MAX_TOKENS - 1 + (number - BODIES));
	size_t length = strlen(bodies[number]);
	memcpy(data, bodies[number], length);
	check((json_form_check(bodies[number], length, &why) == HM_OK) == (number < GOOD_BODIES));
	return length;
}
