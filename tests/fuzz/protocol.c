/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the processes read from each other, and the last check before a signature. An input's first byte chooses the
 * parser. What a parser accepts must be written again as the same bytes: nothing is read in two ways, and nothing is
 * overlooked. What jose_check accepts must be the one header and, encoded in the one way, a payload of its issuer.
 */
#include "fuzz.h"

#include "base64url.h"
#include "ceremony_protocol.h"
#include "gate_protocol.h"
#include "jose.h"
#include <stdlib.h>
#include <string.h>

#define ISSUER "https://mint.example/one"

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* Read a payload and, if it is accepted, write it again. */
typedef bool parser(struct hm_reader *r, struct hm_writer *w);

#define REREAD(name)                                                              \
	static bool reread_##name(struct hm_reader *r, struct hm_writer *w)       \
	{                                                                         \
		static struct name value;                                         \
		memset(&value, 0xaa, sizeof value); /* what is not set is seen */ \
		if (!name##_get(r, &value))                                       \
			return false;                                             \
		name##_put(w, &value);                                            \
		return true;                                                      \
	}

REREAD(token_config)
REREAD(token_ready)
REREAD(token_counts)
REREAD(token_failure)
REREAD(gate_config)
REREAD(gate_publish)
REREAD(gate_request)
REREAD(gate_reply)
REREAD(gate_ready)
REREAD(gate_stats)
REREAD(ceremony_certificate)
REREAD(ceremony_sign)

static bool reread_token_sign(struct hm_reader *r, struct hm_writer *w)
{
	struct token_sign value;
	if (!token_sign_get(r, &value))
		return false;
	token_sign_put(w, value.key, value.tbs.data, value.tbs.length);
	return true;
}

static bool reread_token_learn(struct hm_reader *r, struct hm_writer *w)
{
	static struct token_learn value;
	memset(&value, 0xaa, sizeof value);
	if (!token_learn_get(r, &value))
		return false;
	check(value.place < HM_KEYS_MAX && value.key.name[0] && (value.key.label[0] || value.key.id_length));
	token_learn_put(w, value.place, &value.key);
	return true;
}

static bool reread_token_learned(struct hm_reader *r, struct hm_writer *w)
{
	static struct token_key_ready value;
	uint16_t place;
	memset(&value, 0xaa, sizeof value);
	if (!token_learned_get(r, &place, &value))
		return false;
	check(place < HM_KEYS_MAX);
	token_learned_put(w, place, &value);
	return true;
}

static bool reread_token_not_learned(struct hm_reader *r, struct hm_writer *w)
{
	struct token_failure value;
	uint16_t place;
	memset(&value, 0xaa, sizeof value);
	if (!token_not_learned_get(r, &place, &value))
		return false;
	check(place < HM_KEYS_MAX);
	token_not_learned_put(w, place, &value);
	return true;
}

static bool reread_token_slow(struct hm_reader *r, struct hm_writer *w)
{
	uint32_t ms;
	if (!token_slow_get(r, &ms))
		return false;
	check(ms <= HM_TOKEN_SLOW_MAX_MS);
	hm_put_u32(w, ms);
	return true;
}

static parser *const parsers[] = {reread_token_config, reread_token_counts, reread_token_ready, reread_token_failure,
	reread_token_sign, reread_token_slow, reread_gate_config, reread_gate_publish, reread_gate_request,
	reread_gate_reply, reread_gate_ready, reread_gate_stats, reread_ceremony_certificate, reread_ceremony_sign,
	reread_token_learn, reread_token_learned, reread_token_not_learned};
enum { PARSERS = sizeof parsers / sizeof *parsers, JOSE = PARSERS, CHOICES };

static void try_parser(parser *reread, const uint8_t *data, size_t size)
{
	static uint8_t again[FUZZ_INPUT_MAX];
	struct hm_reader reader = hm_reader(data, size);
	struct hm_writer writer = hm_writer(again, sizeof again);
	if (!reread(&reader, &writer))
		return;
	check(!writer.failed && writer.used == size && memcmp(again, data, size) == 0);
}

/* ---- jose ---- */

static const struct jose *the_jose(void)
{
	static const struct token_key_config config = {.name = "key",
		.use = KEY_USE_ACCESS_TOKEN,
		.algorithm = KEY_ES256,
		.hash = KEY_HASH_AUTO,
		.issuer = ISSUER};
	static const struct key key = {
		.config = &config, .shown = {.kid = "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s"}};
	static struct jose jose;
	static struct token_failure why;
	if (!jose.header_length)
		check(jose_open(&key, &jose, &why) == HM_OK);
	return &jose;
}

static void try_jose(const uint8_t *data, size_t size)
{
	static const char start[] = "{\"iss\":\"" ISSUER "\",";
	static uint8_t payload[FUZZ_INPUT_MAX];
	static char text[2 * FUZZ_INPUT_MAX];
	const struct jose *jose = the_jose();
	struct token_failure why = {.class = TOKEN_CLASSES};
	if (jose_check(jose, (struct hm_bytes){data, size}, &why) != HM_OK) {
		check(why.class == TOKEN_REFUSED && memchr(why.detail, 0, sizeof why.detail));
		return;
	}
	const uint8_t *dot = memchr(data, '.', size);
	check(dot && (size_t)(dot - data) + 1 == jose->header_length && memcmp(data, jose->header, dot - data) == 0);
	size_t encoded = size - jose->header_length;
	size_t length = base64url_decode((const char *)dot + 1, encoded, payload, sizeof payload);
	check(length <= HM_JWT_PAYLOAD_MAX && length > sizeof start && memcmp(payload, start, sizeof start - 1) == 0);
	check(base64url_encode(payload, length, text) == encoded && memcmp(text, dot + 1, encoded) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	unsigned choice = data[0] % CHOICES;
	if (choice == JOSE)
		try_jose(data + 1, size - 1);
	else
		try_parser(parsers[choice], data + 1, size - 1);
	return 0;
}

/* ---- seeds ---- */

static void put_token_config(struct hm_writer *w)
{
	static struct token_config config = {.name = "soft",
		.module = "/usr/lib/softhsm/libsofthsm2.so",
		.label = "token",
		.serial_count = 2,
		.serials = {"0123456789abcdef", "1"},
		.login = LOGIN_CUSTODIANS,
		.custodian_count = 2,
		.custodians = {1000, 1001},
		.unlock = {1, 2, 3},
		.state = "/var/lib/hsmint",
		.origin = "mint.example/ledger",
		.threads = 2,
		.self_check = SELF_CHECK_SAMPLED,
		.path_count = 2,
		.paths = {{"/etc/softhsm2.conf", 0}, {"/var/lib/softhsm", 1}},
		.environment_count = 1,
		.environment = {"SOFTHSM2_CONF=/etc/softhsm2.conf"},
		.key_count = 2,
		.keys = {{"one", "label", {1}, 1, KEY_USE_ACCESS_TOKEN, KEY_ES256, KEY_HASH_HOST, ISSUER},
			{"two", "label", {0}, 0, KEY_USE_JWT_SVID, KEY_RS256, KEY_HASH_TOKEN, ISSUER}}};
	token_config_put(w, &config);
}

static void put_token_ready(struct hm_writer *w)
{
	static struct token_ready ready = {.manufacturer = "SoftHSM project",
		.model = "SoftHSM v2",
		.serial = "0123456789abcdef",
		.firmware = "2.6",
		.mechanism_count = 2,
		.mechanisms = {0x1041, 0x1057},
		.threads = 2,
		.key_count = 2,
		.keys = {{.kid = "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s",
				 .spki = {0x30, 0x59},
				 .spki_length = 91,
				 .custody = {CUSTODY_TRUE, CUSTODY_NOT_TOLD},
				 .by_token = 1,
				 .tpm_name = {0, 0xb},
				 .tpm_name_length = 34,
				 .tpm = {1, 1, 1, 1}},
			{.spki_length = 0}}};
	token_ready_put(w, &ready);
}

static void put_token_counts(struct hm_writer *w)
{
	static const struct token_counts counts = {
		.epoch = {1, 2}, .count = 1, .keys = {{"cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s", {3, 2, 0}}}};
	token_counts_put(w, &counts);
}

static void put_token_failure(struct hm_writer *w)
{
	token_failure_put(w, &(struct token_failure){TOKEN_LATCH, 0xa0, "C_Login: CKR_PIN_INCORRECT (0xa0)"});
}

static void put_token_sign(struct hm_writer *w)
{
	token_sign_put(w, 1, "header.payload", 14);
}

static void put_token_slow(struct hm_writer *w)
{
	hm_put_u32(w, HM_TOKEN_SLOW_MAX_MS);
}

static void put_token_learn(struct hm_writer *w)
{
	static const struct token_key_config key = {
		"one", "label", {1}, 1, KEY_USE_ACCESS_TOKEN, KEY_ES256, KEY_HASH_HOST, ISSUER};
	token_learn_put(w, HM_KEYS_MAX - 1, &key);
}

static void put_token_learned(struct hm_writer *w)
{
	static const struct token_key_ready key = {.kid = "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s",
		.spki = {0x30, 0x59},
		.spki_length = 91,
		.custody = {CUSTODY_TRUE}};
	token_learned_put(w, 1, &key);
}

static void put_token_not_learned(struct hm_writer *w)
{
	token_not_learned_put(w, 1, &(struct token_failure){TOKEN_CUSTODY, 0, "key one: no private key"});
}

static void put_gate_config(struct hm_writer *w)
{
	gate_config_put(w, &(struct gate_config){SANDBOX_BEST, 1, 1, 1});
}

static void put_gate_publish(struct hm_writer *w)
{
	static const struct gate_publish publish = {"/jwks.json", 200, "application/json", "max-age=300", "\"tag\"",
		{(const uint8_t *)"{\"keys\":[]}", 11}};
	gate_publish_put(w, &publish);
}

static void put_gate_request(struct hm_writer *w)
{
	static const struct gate_request request = {.operation = OPERATION_MINT_JWT,
		.caller = {.kind = CALLER_UNIX, .uid = 1000, .gid = 100, .pid = 4711},
		.deadline_ms = 12345,
		.key = {"a-key", {7, 8}, 2, 3},
		.body = {(const uint8_t *)"{}", 2}};
	gate_request_put(w, &request);
}

static void put_gate_request_by_certificate(struct hm_writer *w)
{
	static const struct gate_request request = {.operation = OPERATION_METRICS,
		.caller = {.kind = CALLER_CERTIFICATE, .uri = "spiffe://demo.test/client", .spki_sha256 = {1, 2, 3}},
		.key = {.items = 1}};
	gate_request_put(w, &request);
}

static void put_gate_request_of_ledger(struct hm_writer *w)
{
	gate_request_put(w, &(struct gate_request){.operation = OPERATION_LEDGER_PUBLIC,
				    .caller = {.kind = CALLER_NONE},
				    .path = "/ledger/tile/0/000.p/5"});
}

static void put_gate_request_to_govern(struct hm_writer *w)
{
	static const struct gate_request request = {.operation = OPERATION_API,
		.caller = {.kind = CALLER_CERTIFICATE, .uri = "spiffe://demo.test/client"},
		.call = {.method = "POST",
			.target = "/v1/tasks/abc/cancel",
			.content_digest = "sha-256=:AA==:",
			.signature_input = "hsmint=(\"@method\");created=1",
			.signature = "hsmint=:AA==:",
			.dpop = "e30.e30.AA",
			.certificates = {(const uint8_t *)"\x30\x00", 2}},
		.body = {(const uint8_t *)"{}", 2}};
	gate_request_put(w, &request);
}

static void put_gate_reply(struct hm_writer *w)
{
	gate_reply_put(w, &(struct gate_reply){503, 1, "application/problem+json", "no-cache", "\"x\"", "nonce",
				  {(const uint8_t *)"{}", 2}});
}

static void put_gate_ready(struct hm_writer *w)
{
	gate_ready_put(w, &(struct gate_ready){1, "seccomp=on landlock=7", ""});
}

static void put_gate_stats(struct hm_writer *w)
{
	gate_stats_put(w, &(struct gate_stats){{1, 2, 3, 4, 5, 6, 7, 8}});
}

static void put_ceremony_certificate(struct hm_writer *w)
{
	static const uint8_t subject[] = {
		0x30, 0x0d, 0x31, 0x0b, 0x30, 0x09, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0x02, 'C', 'A'};
	static const struct ceremony_certificate certificate = {
		.days = 365, .path_length = 1, .subject = {subject, sizeof subject}, .trust_domain = "mint.example"};
	ceremony_certificate_put(w, &certificate);
}

static void put_ceremony_sign(struct hm_writer *w)
{
	static const uint8_t data[] = "{\"hsmint_ceremony\":1}\n";
	static const struct ceremony_sign sign = {CEREMONY_RECORD, {data, sizeof data - 1}};
	ceremony_sign_put(w, &sign);
}

static void put_jose(struct hm_writer *w)
{
	static const char payload[] = "{\"iss\":\"" ISSUER "\",\"sub\":\"spiffe://mint.example/agent\",\"exp\":1}";
	char text[sizeof payload * 2];
	const struct jose *jose = the_jose();
	hm_put_raw(w, jose->header, jose->header_length);
	hm_put_raw(w, text, base64url_encode(payload, sizeof payload - 1, text));
}

static const struct {
	parser *parser; /* NULL: jose_check */
	void (*put)(struct hm_writer *w);
} well_formed[] = {
	{reread_token_config, put_token_config},
	{reread_token_ready, put_token_ready},
	{reread_token_counts, put_token_counts},
	{reread_token_failure, put_token_failure},
	{reread_token_sign, put_token_sign},
	{reread_token_slow, put_token_slow},
	{reread_token_learn, put_token_learn},
	{reread_token_learned, put_token_learned},
	{reread_token_not_learned, put_token_not_learned},
	{reread_gate_config, put_gate_config},
	{reread_gate_publish, put_gate_publish},
	{reread_gate_request, put_gate_request},
	{reread_gate_request, put_gate_request_by_certificate},
	{reread_gate_request, put_gate_request_of_ledger},
	{reread_gate_request, put_gate_request_to_govern},
	{reread_gate_reply, put_gate_reply},
	{reread_gate_ready, put_gate_ready},
	{reread_gate_stats, put_gate_stats},
	{reread_ceremony_certificate, put_ceremony_certificate},
	{reread_ceremony_sign, put_ceremony_sign},
	{NULL, put_jose},
};

static uint8_t choice_of(parser *wanted)
{
	for (uint8_t i = 0; i < PARSERS; i++)
		if (parsers[i] == wanted)
			return i;
	return JOSE;
}

/* A seed that its own parser refuses would be no seed. */
static void check_accepted(parser *reread, const uint8_t *data, size_t length)
{
	static uint8_t again[FUZZ_INPUT_MAX];
	struct hm_reader reader = hm_reader(data, length);
	struct hm_writer writer = hm_writer(again, sizeof again);
	struct token_failure why;
	check(reread ? reread(&reader, &writer)
		     : jose_check(the_jose(), (struct hm_bytes){data, length}, &why) == HM_OK);
}

size_t fuzz_seed(unsigned number, uint8_t *data)
{
	if (number >= sizeof well_formed / sizeof *well_formed)
		return 0;
	struct hm_writer writer = hm_writer(data, FUZZ_INPUT_MAX);
	hm_put_u8(&writer, choice_of(well_formed[number].parser));
	well_formed[number].put(&writer);
	check(!writer.failed);
	check_accepted(well_formed[number].parser, data + 1, writer.used - 1);
	return writer.used;
}
