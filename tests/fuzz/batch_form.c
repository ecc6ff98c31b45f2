/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The form of a batch's body, which gate takes apart by itself. It must find what the parser finds: a body that it
 * accepts is JSON with these very requests, and one that is JSON, and a batch within the bounds, is accepted.
 */
#include "fuzz.h"

#include "batch_form.h"
#include "json_form.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static void check(bool holds)
{
	if (!holds)
		abort();
}

static const char *const codes[] = {"malformed_json", "invalid_utf8", "duplicate_member", "too_deep", "body_too_large",
	"unknown_member", "missing_member", "wrong_type", "invalid_batch"};

static void check_refusal(const struct hm_problem *why)
{
	bool known = false;
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
		known = known || strcmp(why->code, codes[i]) == 0;
	check(known && memchr(why->field, 0, sizeof why->field) && memchr(why->detail, 0, sizeof why->detail));
	for (const char *c = why->field; *c; c++)
		check(*c > ' ' && *c < 0x7f && *c != '"' && *c != '\\'); /* it stands in the answer */
}

/* Each request lies in the body behind the one before, is a request by itself, and is what the parser found. */
static void check_items(
	const uint8_t *data, size_t size, const json_t *batch, const struct hm_bytes *items, unsigned count)
{
	const json_t *list = json_object_get(batch, "requests");
	const uint8_t *behind = data;
	struct hm_problem why;
	check(json_object_size(batch) == 1 && count >= 1 && json_array_size(list) == count);
	for (unsigned i = 0; i < count; i++) {
		check(items[i].data > behind && items[i].data + items[i].length < data + size);
		behind = items[i].data + items[i].length;
		check(items[i].length <= HM_HTTP_MAX_BODY && items[i].data[0] == '{' && behind[-1] == '}');
		check(json_form_check((const char *)items[i].data, items[i].length, &why) == HM_OK);
		json_t *item = json_loadb((const char *)items[i].data, items[i].length, JSON_REJECT_DUPLICATES, NULL);
		check(json_equal(item, json_array_get(list, i)));
		json_decref(item);
	}
}

/* Might it have been accepted? Whether a request is within the bounds only its own bytes tell, which are not known
 * here: one whose whole batch is within those of one request surely is. The name must be spelled without an escape. */
static bool is_plain_batch(const uint8_t *data, size_t size, const json_t *batch)
{
	static const char name[] = "\"requests\"";
	struct hm_problem why;
	const json_t *list = json_object_get(batch, "requests"), *item;
	size_t i;
	if (json_object_size(batch) != 1 || json_array_size(list) < 1 || json_array_size(list) > HM_BATCH_MAX ||
		size > HM_HTTP_MAX_BODY || !memmem(data, size, name, sizeof name - 1) || memchr(data, '\\', size))
		return false;
	json_array_foreach(list, i, item) if (!json_is_object(item)) return false;
	return json_form_check((const char *)data, size, &why) == HM_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hm_bytes items[HM_BATCH_MAX];
	struct hm_problem why = {0};
	unsigned count;
	bool accepted = batch_form_read((const char *)data, size, items, &count, &why) == HM_OK;
	json_t *batch = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
	check(count <= HM_BATCH_MAX);
	if (accepted) {
		check(batch != NULL);
		check_items(data, size, batch, items, count);
	} else {
		check_refusal(&why);
		check(!is_plain_batch(data, size, batch));
	}
	json_decref(batch);
	return 0;
}

/* ---- seeds ---- */

#define REQUEST                                                                               \
	"{\"kind\":\"jwt\",\"profile\":\"p\",\"subject\":\"spiffe://demo.test/agent/first\"," \
	"\"audience\":[\"https://a.test\"],\"claims\":{\"level\":7}}"

static const char *const bodies[] = {
	"{\"requests\":[" REQUEST "]}", " { \"requests\" :\r\n\t[ {} , " REQUEST " ,{ \"a\":[[],{}] } ] } ",
	"{\"requests\":[{\"]\":\"},{[\",\"b\":\"\\\\\\\"]\"},{\"\xc3\xa9\":\"\xf0\x9f\x94\x91\\ud83d\\udd11\"}]}",
	"{\"requests\":[{\"a\":[[[[[[[]]]]]]]},{\"b\":{\"c\":{\"d\":{\"e\":{\"f\":{\"g\":{}}}}}}}]}",
	"{\"requests\":[{}],\"more\":[{}]}", /* this one and the batch with a request too many are refused */
};
enum { BODIES = sizeof bodies / sizeof *bodies, GOOD_BODIES = BODIES - 1, BATCHES = 2 };

static size_t put_batch(char *data, unsigned requests)
{
	static const char begin[] = "{\"requests\":[";
	size_t used = sizeof begin - 1;
	memcpy(data, begin, used);
	for (unsigned i = 0; i < requests; i++) {
		memcpy(data + used, "{},", 3);
		used += 3;
	}
	memcpy(data + used - 1, "]}", 2);
	return used + 1;
}

size_t fuzz_seed(unsigned number, uint8_t *data)
{
	struct hm_bytes items[HM_BATCH_MAX];
	struct hm_problem why;
	unsigned count;
	if (number >= BODIES + BATCHES)
		return 0;
	size_t length;
	if (number >= BODIES)
		length = put_batch((char *)data, HM_BATCH_MAX + (number - BODIES));
	else
		memcpy(data, bodies[number], length = strlen(bodies[number]));
	bool good = number < GOOD_BODIES || number == BODIES;
	check((batch_form_read((const char *)data, length, items, &count, &why) == HM_OK) == good);
	return length;
}
