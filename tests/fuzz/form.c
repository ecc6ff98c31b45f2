/* SPDX-License-Identifier: Apache-2.0 */
/* Queries and forms: what is sound is read as pairs to its end, and each, decoded, has no NUL and is no longer. */
#include "fuzz.h"

#include "form.h"
#include <stdlib.h>
#include <string.h>

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void check_word(struct hm_bytes written)
{
	static char out[FUZZ_INPUT_MAX + 1];
	size_t length = form_decode(written, out);
	check(length <= written.length && !memchr(out, 0, length) && !out[length]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hm_bytes name, value;
	size_t at = 0, seen = 0;
	if (!form_is_sound((const char *)data, size))
		return 0;
	while (form_next((struct hm_bytes){data, size}, &at, &name, &value)) {
		check(name.length > 0);
		check_word(name);
		check_word(value);
		seen += name.length + value.length + 2; /* = and &, or the end */
	}
	check(seen == size + (size > 0));
	return 0;
}

size_t fuzz_seed(unsigned number, uint8_t *data)
{
	static const char *const seeds[] = {"a=b", "token=ey.J-_~&token_type_hint=access_token",
		"a=%41%7e+&b=&c=%e2%82%ac", "spiffe_id=spiffe://demo.test/*&after=x%2Fy&limit=100"};
	if (number >= sizeof seeds / sizeof *seeds)
		return 0;
	size_t length = strlen(seeds[number]);
	memcpy(data, seeds[number], length);
	return length;
}
