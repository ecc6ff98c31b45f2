/* SPDX-License-Identifier: Apache-2.0 */
#include "token_protocol.h"

#include "encoding.h"

TestSuite(token_protocol, .init = begin);

/* ---- words ---- */

/* RFC 9068, section 2.1; JWT-SVID, section 2.3; RFC 7518, section 3.1; RFC 8037, section 3.1. */
Test(token_protocol, uses_and_algorithms_have_the_names_of_their_standards)
{
	cr_expect_str_eq(key_use_typ(KEY_USE_ACCESS_TOKEN), "at+jwt");
	cr_expect_str_eq(key_use_typ(KEY_USE_JWT_SVID), "JWT");
	static const char *const names[KEY_ALGORITHMS] = {"ES256", "ES384", "RS256", "PS256", "Ed25519"};
	for (enum key_algorithm algorithm = 0; algorithm < KEY_ALGORITHMS; algorithm++) {
		cr_expect_str_eq(key_algorithm_name(algorithm), names[algorithm]);
		cr_expect_str_eq(key_algorithm_jose(algorithm), algorithm == KEY_ED25519 ? "EdDSA" : names[algorithm]);
	}
	cr_expect_str_eq(key_use_name(KEY_USE_ACCESS_TOKEN), "access-token");
	cr_expect_str_eq(key_use_name(KEY_USE_JWT_SVID), "jwt-svid");
}

Test(token_protocol, each_class_of_failure_has_a_name_of_its_own)
{
	for (int i = 0; i < TOKEN_CLASSES; i++) {
		cr_assert_not_null(token_class_name((enum token_class)i));
		for (int other = 0; other < i; other++)
			cr_expect_str_neq(
				token_class_name((enum token_class)i), token_class_name((enum token_class)other));
	}
	cr_expect_str_eq(token_class_name(TOKEN_CUSTODY), "custody");
}

/* ---- configuration ---- */

static struct token_config sent, config;

static bool get_config(struct hm_reader *r)
{
	return token_config_get(r, &config);
}

static void fill_config(void)
{
	sent = (struct token_config){.name = "soft",
		.module = "/usr/lib/softhsm/libsofthsm2.so",
		.label = "a label of thirty-two characters",
		.serial_count = 2,
		.serials = {"0123456789abcdef", "1"},
		.login = LOGIN_CUSTODIANS,
		.pin_file = "pin",
		.custodian_count = 2,
		.custodians = {1000, UINT32_MAX},
		.unlock = {1, 0, 255},
		.state = "/var/lib/hsmint",
		.origin = "mint.example/ledger",
		.threads = HM_TOKEN_THREADS_MAX,
		.self_check = SELF_CHECK_SAMPLED,
		.unlatch = 1,
		.read_write = 1,
		.user_type = UINT64_C(0x80000001),
		.waived = (1u << CUSTODY_ATTRIBUTES) - 1,
		.tpm_unasked = 1,
		.tpm_parent = 0x81ffffff,
		.confine_at_best = 1,
		.path_count = 2,
		.paths = {{"/etc/softhsm2.conf", 0}, {"/var/lib/softhsm", 1}},
		.environment_count = 1,
		.environment = {"SOFTHSM2_CONF=/etc/softhsm2.conf"},
		.key_count = 2,
		.keys = {{.name = "access",
				 .label = "first",
				 .id = {1, 0, 255},
				 .id_length = 3,
				 .use = KEY_USE_ACCESS_TOKEN,
				 .algorithm = KEY_ES384,
				 .hash = KEY_HASH_TOKEN,
				 .issuer = "https://mint.example/a"},
			{.name = "svid",
				.label = "second",
				.use = KEY_USE_JWT_SVID,
				.issuer = "https://mint.example/b"}}};
	begin();
	token_config_put(&w, &sent);
}

Test(token_protocol, a_configuration_comes_back_as_it_was)
{
	fill_config();
	struct hm_reader r = again();
	memset(&config, 0xff, sizeof config);
	cr_assert(get_config(&r));
	cr_expect_eq(memcmp(&config, &sent, sizeof config), 0);
}

Test(token_protocol, a_configuration_is_taken_whole_or_not_at_all)
{
	fill_config();
	expect_whole_or_nothing(get_config);
}

Test(token_protocol, the_largest_configuration_fits)
{
	fill_config();
	sent.serial_count = HM_TOKEN_SERIALS_MAX;
	sent.path_count = HM_TOKEN_PATHS_MAX;
	for (int i = 0; i < HM_TOKEN_PATHS_MAX; i++)
		memset(sent.paths[i].path, 'p', sizeof sent.paths[i].path - 1);
	sent.environment_count = HM_TOKEN_ENVIRONMENT_MAX;
	sent.key_count = HM_KEYS_MAX;
	for (int i = 0; i < HM_TOKEN_ENVIRONMENT_MAX; i++)
		memset(sent.environment[i], 'e', sizeof sent.environment[i] - 1);
	for (int i = 0; i < HM_KEYS_MAX; i++) {
		memset(sent.keys[i].issuer, 'i', HM_URL_MAX);
		memset(sent.keys[i].name, 'n', HM_NAME_MAX);
		memset(sent.keys[i].label, 'l', HM_NAME_MAX);
		sent.keys[i].id_length = 32;
	}
	begin();
	token_config_put(&w, &sent);
	struct hm_reader r = again();
	cr_assert(get_config(&r));
	cr_expect_eq(memcmp(&config, &sent, sizeof config), 0);
}

static void expect_config_refused(const char *what)
{
	begin();
	token_config_put(&w, &sent);
	struct hm_reader r = again();
	cr_expect_not(get_config(&r), "%s", what);
	fill_config();
}

Test(token_protocol, a_configuration_with_a_value_out_of_range_is_refused)
{
	fill_config();
	sent.login = LOGINS;
	expect_config_refused("login");
	sent.login = LOGIN_PROTECTED_PATH;
	expect_config_refused("custodians of another login");
	sent.custodian_count = 0;
	expect_config_refused("no custodians");
	sent.self_check = SELF_CHECK_SAMPLED + 1;
	expect_config_refused("self_check");
	sent.unlatch = 2;
	expect_config_refused("unlatch");
	sent.read_write = 2;
	expect_config_refused("read_write");
	sent.tpm_unasked = 2;
	expect_config_refused("tpm_unasked");
	sent.confine_at_best = 2;
	expect_config_refused("confine_at_best");
	sent.paths[1].write = 2;
	expect_config_refused("paths");
	sent.waived = 1u << CUSTODY_ATTRIBUTES;
	expect_config_refused("waived");
	sent.threads = 0;
	expect_config_refused("no threads");
	sent.threads = HM_TOKEN_THREADS_MAX + 1;
	expect_config_refused("threads");
	sent.keys[0].use = KEY_USES;
	expect_config_refused("use");
	sent.keys[1].use = 255;
	expect_config_refused("use");
	sent.keys[1].algorithm = KEY_ALGORITHMS;
	expect_config_refused("algorithm");
	sent.keys[1].hash = KEY_HASHES;
	expect_config_refused("hash");
}

/* Each count, one above what the array holds, with as many entries behind it as it says. */
Test(token_protocol, a_count_beyond_its_array_is_refused)
{
	static const struct {
		const char *what;
		unsigned serials, custodians, variables, keys;
	} cases[] = {{"serials", HM_TOKEN_SERIALS_MAX + 1, 0, 0, 0}, {"custodians", 0, HM_PIN_PARTS_MAX + 1, 0, 0},
		{"variables", 0, 0, HM_TOKEN_ENVIRONMENT_MAX + 1, 0}, {"keys", 0, 0, 0, HM_KEYS_MAX + 1},
		{"serials", UINT32_MAX, 0, 0, 0}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		begin();
		for (int text = 0; text < 3; text++) /* name, module, label */
			hm_put_string(&w, "x");
		hm_put_u32(&w, cases[i].serials);
		for (unsigned n = 0; n < cases[i].serials && n < 100; n++)
			hm_put_string(&w, "1");
		hm_put_u8(&w, LOGIN_FILE);
		hm_put_string(&w, "pin");
		hm_put_u32(&w, cases[i].custodians);
		for (unsigned n = 0; n < cases[i].custodians; n++)
			hm_put_u32(&w, n);
		hm_put_raw(&w, (uint8_t[HM_UNLOCK_ID]){0}, HM_UNLOCK_ID);
		hm_put_string(&w, "state");
		hm_put_u32(&w, 1);
		hm_put_u8(&w, 0);
		hm_put_u8(&w, 0);
		hm_put_u32(&w, cases[i].variables);
		for (unsigned n = 0; n < cases[i].variables; n++)
			hm_put_string(&w, "A=b");
		hm_put_u32(&w, cases[i].keys);
		for (unsigned n = 0; n < cases[i].keys; n++) {
			hm_put_string(&w, "name");
			hm_put_string(&w, "label");
			hm_put_bytes(&w, "", 0);
			hm_put_u8(&w, 0);
			hm_put_u8(&w, 0);
			hm_put_string(&w, "https://mint.example");
		}
		struct hm_reader r = again();
		cr_expect_not(get_config(&r), "%s", cases[i].what);
	}
}

Test(token_protocol, a_text_longer_than_its_member_is_refused_and_not_cut)
{
	char name[HM_NAME_MAX + 2];
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = 0;
	fill_config();
	size_t rest = w.used - (4 + strlen(sent.name));
	uint8_t *behind = malloc(rest);
	cr_assert_not_null(behind);
	memcpy(behind, room + 4 + strlen(sent.name), rest);
	for (size_t length = HM_NAME_MAX; length <= HM_NAME_MAX + 1; length++) {
		begin();
		hm_put_bytes(&w, name, length);
		hm_put_raw(&w, behind, rest);
		struct hm_reader r = again();
		cr_expect_eq(get_config(&r), length == HM_NAME_MAX, "%zu", length);
	}
	free(behind);
}

/* ---- learning ---- */

static const struct token_key_config a_key = {.name = "access",
	.label = "first",
	.id = {1, 0, 255},
	.id_length = 3,
	.use = KEY_USE_JWT_SVID,
	.algorithm = KEY_PS256,
	.hash = KEY_HASH_HOST,
	.issuer = "https://mint.example/a"};
static struct token_learn learn;

static bool get_learn(struct hm_reader *r)
{
	return token_learn_get(r, &learn);
}

Test(token_protocol, a_key_to_learn_comes_back_as_it_was)
{
	token_learn_put(&w, HM_KEYS_MAX - 1, &a_key);
	struct hm_reader r = again();
	memset(&learn, 0xff, sizeof learn);
	cr_assert(get_learn(&r));
	cr_expect_eq(learn.place, HM_KEYS_MAX - 1);
	cr_expect_eq(memcmp(&learn.key, &a_key, sizeof a_key), 0);
	expect_whole_or_nothing(get_learn);
}

static bool takes_to_learn(uint16_t place, const struct token_key_config *key)
{
	begin();
	token_learn_put(&w, place, key);
	struct hm_reader r = again();
	return get_learn(&r);
}

Test(token_protocol, a_key_is_learned_at_a_place_and_by_its_label_or_id)
{
	struct token_key_config key = a_key;
	cr_expect_not(takes_to_learn(HM_KEYS_MAX, &key));
	cr_expect_not(takes_to_learn(UINT16_MAX, &key));
	key.label[0] = 0;
	cr_expect(takes_to_learn(0, &key));
	key.id_length = 0;
	cr_expect_not(takes_to_learn(0, &key));
	key = a_key;
	key.id_length = 0;
	cr_expect(takes_to_learn(0, &key));
	key.name[0] = 0;
	cr_expect_not(takes_to_learn(0, &key));
	key = a_key;
	key.algorithm = KEY_ALGORITHMS;
	cr_expect_not(takes_to_learn(0, &key));
}

Test(token_protocol, keys_are_the_same_when_all_that_is_said_of_them_is)
{
	struct token_key_config others[8];
	cr_expect(token_key_equals(&a_key, &a_key));
	for (int i = 0; i < 8; i++)
		others[i] = a_key;
	others[0].name[0] = 'A';
	others[1].label[0] = 'F';
	others[2].id[2] = 254;
	others[3].id_length = 2;
	others[4].use = KEY_USE_ACCESS_TOKEN;
	others[5].algorithm = KEY_RS256;
	others[6].hash = KEY_HASH_TOKEN;
	others[7].issuer[0] = 'H';
	for (int i = 0; i < 8; i++)
		cr_expect_not(token_key_equals(&a_key, &others[i]), "%d", i);
}

static struct token_key_ready learned;
static struct token_failure not_learned;
static uint16_t place;

static bool get_learned(struct hm_reader *r)
{
	return token_learned_get(r, &place, &learned);
}

static bool get_not_learned(struct hm_reader *r)
{
	return token_not_learned_get(r, &place, &not_learned);
}

Test(token_protocol, a_key_that_was_learned_comes_back_as_it_was)
{
	static const struct token_key_ready shown = {.kid = "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s",
		.spki = {0x30, 0, 1},
		.spki_length = 3,
		.custody = {CUSTODY_TRUE, CUSTODY_NOT_TOLD},
		.generated_by = 0x1040,
		.mechanism = UINT64_MAX,
		.by_token = 1};
	token_learned_put(&w, HM_KEYS_MAX - 1, &shown);
	struct hm_reader r = again();
	memset(&learned, 0xff, sizeof learned);
	cr_assert(get_learned(&r));
	cr_expect_eq(place, HM_KEYS_MAX - 1);
	cr_expect_eq(memcmp(&learned, &shown, sizeof shown), 0);
	expect_whole_or_nothing(get_learned);
	begin();
	token_learned_put(&w, HM_KEYS_MAX, &shown);
	r = again();
	cr_expect_not(get_learned(&r));
}

Test(token_protocol, why_a_key_was_not_learned_comes_back_as_it_was)
{
	static const struct token_failure failed = {.class = TOKEN_CUSTODY, .ckr = 5, .detail = "CKA_EXTRACTABLE"};
	token_not_learned_put(&w, HM_KEYS_MAX - 1, &failed);
	struct hm_reader r = again();
	cr_assert(get_not_learned(&r));
	cr_expect_eq(place, HM_KEYS_MAX - 1);
	cr_expect_eq(not_learned.class, TOKEN_CUSTODY);
	cr_expect_eq(not_learned.ckr, 5);
	cr_expect_str_eq(not_learned.detail, "CKA_EXTRACTABLE");
	expect_whole_or_nothing(get_not_learned);
	begin();
	token_not_learned_put(&w, HM_KEYS_MAX, &failed);
	r = again();
	cr_expect_not(get_not_learned(&r));
}

/* ---- signing ---- */

static struct token_sign sign;

static bool get_sign(struct hm_reader *r)
{
	return token_sign_get(r, &sign);
}

Test(token_protocol, a_request_to_sign_comes_back_as_it_was)
{
	token_sign_put(&w, 65535, "header.payload", 14);
	struct hm_reader r = again();
	cr_assert(get_sign(&r));
	cr_expect_eq(sign.key, 65535);
	cr_expect_eq(sign.tbs.length, 14);
	cr_expect_arr_eq(sign.tbs.data, "header.payload", 14);
	expect_whole_or_nothing(get_sign);
}

Test(token_protocol, what_is_to_be_signed_has_a_limit)
{
	static const uint8_t bytes[HM_JWT_TBS_MAX + 1];
	token_sign_put(&w, 0, bytes, HM_JWT_TBS_MAX);
	struct hm_reader r = again();
	cr_expect(get_sign(&r));
	begin();
	token_sign_put(&w, 0, bytes, HM_JWT_TBS_MAX + 1);
	r = again();
	cr_expect_not(get_sign(&r));
}

/* ---- slow ---- */

static uint32_t slow_ms;

static bool get_slow(struct hm_reader *r)
{
	return token_slow_get(r, &slow_ms);
}

Test(token_protocol, a_wait_before_each_signature_comes_back_as_it_was_or_is_refused_as_too_long)
{
	static const struct {
		uint32_t ms;
		bool fits;
	} cases[] = {{0, true}, {1, true}, {HM_TOKEN_SLOW_MAX_MS, true}, {HM_TOKEN_SLOW_MAX_MS + 1, false},
		{UINT32_MAX, false}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		begin();
		hm_put_u32(&w, cases[i].ms);
		struct hm_reader r = again();
		cr_expect_eq(get_slow(&r), cases[i].fits, "%u", cases[i].ms);
		cr_expect_eq(slow_ms, cases[i].ms);
	}
}

Test(token_protocol, a_wait_is_taken_whole_or_not_at_all)
{
	hm_put_u32(&w, 50);
	expect_whole_or_nothing(get_slow);
}

/* ---- ready ---- */

static struct token_ready ready_sent, ready;

static bool get_ready(struct hm_reader *r)
{
	return token_ready_get(r, &ready);
}

Test(token_protocol, what_a_token_shows_comes_back_as_it_was)
{
	ready_sent = (struct token_ready){.manufacturer = "SoftHSM project",
		.model = "SoftHSM v2",
		.serial = "0123456789abcdef",
		.firmware = "2.6",
		.hardware = "1.0",
		.library = "Implementation of PKCS11",
		.library_version = "2.6",
		.module_sha256 = {1, [31] = 255},
		.epoch = {2, [HM_EPOCH - 1] = 254},
		.mechanism_count = 2,
		.mechanisms = {0x1041, UINT64_MAX},
		.threads = 2,
		.probe_us = 45,
		.key_count = 2,
		.keys = {{.kid = "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s",
				 .spki = {0x30, 0, 1},
				 .spki_length = 3,
				 .custody = {CUSTODY_TRUE, CUSTODY_FALSE, CUSTODY_NOT_TOLD},
				 .generated_by = 0x1040,
				 .mechanism = UINT64_MAX,
				 .by_token = 1,
				 .tpm_name = {0, 0xb, [HM_TPM_NAME_MAX - 1] = 255},
				 .tpm_name_length = HM_TPM_NAME_MAX,
				 .tpm = {1, 0, 1}},
			{.kid = "b", .spki_length = HM_SPKI_MAX}}};
	token_ready_put(&w, &ready_sent);
	struct hm_reader r = again();
	memset(&ready, 0xff, sizeof ready);
	cr_assert(get_ready(&r));
	cr_expect_eq(memcmp(&ready, &ready_sent, sizeof ready), 0);
	expect_whole_or_nothing(get_ready);
}

static void put_ready(uint32_t mechanisms, uint32_t threads, uint32_t keys, size_t kid_length, size_t spki_length,
	size_t tpm_name_length)
{
	static const uint8_t spki[HM_SPKI_MAX + 1], sha256[32], custody[CUSTODY_ATTRIBUTES],
		tpm_name[HM_TPM_NAME_MAX + 1], tpm[TPM_ATTRIBUTES];
	char kid[HM_KID_MAX + 1];
	memset(kid, 'k', sizeof kid);
	begin();
	for (int i = 0; i < 7; i++)
		hm_put_string(&w, "");
	hm_put_raw(&w, sha256, sizeof sha256);
	hm_put_raw(&w, sha256, HM_EPOCH);
	hm_put_u32(&w, mechanisms);
	for (uint32_t i = 0; i < mechanisms && i < 1000; i++)
		hm_put_u64(&w, i);
	hm_put_u32(&w, threads);
	hm_put_u32(&w, 45);
	hm_put_u32(&w, keys);
	for (uint32_t i = 0; i < keys && i < 100; i++) {
		hm_put_bytes(&w, kid, kid_length);
		hm_put_bytes(&w, spki, spki_length);
		hm_put_raw(&w, custody, sizeof custody);
		hm_put_u64(&w, 0);
		hm_put_u64(&w, 0);
		hm_put_u8(&w, 0);
		hm_put_bytes(&w, tpm_name, tpm_name_length);
		hm_put_raw(&w, tpm, sizeof tpm);
	}
}

Test(token_protocol, what_a_token_tells_of_custody_is_false_true_or_nothing)
{
	ready_sent = (struct token_ready){.key_count = 1, .keys = {{.custody = {[CUSTODY_SIGN] = CUSTODY_VALUES}}}};
	token_ready_put(&w, &ready_sent);
	struct hm_reader r = again();
	cr_expect_not(get_ready(&r));
	begin();
	ready_sent.keys[0] = (struct token_key_ready){.by_token = 2};
	token_ready_put(&w, &ready_sent);
	r = again();
	cr_expect_not(get_ready(&r));
	begin();
	ready_sent.keys[0] = (struct token_key_ready){.tpm = {[TPM_RESTRICTED] = 2}};
	token_ready_put(&w, &ready_sent);
	r = again();
	cr_expect_not(get_ready(&r));
}

Test(token_protocol, a_token_that_shows_too_much_is_refused)
{
	static const struct {
		uint32_t mechanisms, threads, keys;
		size_t kid, spki, tpm_name;
		bool fits;
	} cases[] = {
		{0, 1, 1, HM_KID_MAX, HM_SPKI_MAX, HM_TPM_NAME_MAX, true},
		{HM_MECHANISMS_MAX, HM_TOKEN_THREADS_MAX, HM_KEYS_MAX, 1, 1, 0, true},
		{HM_MECHANISMS_MAX + 1, 1, 1, 1, 1, 0, false},
		{UINT32_MAX, 1, 1, 1, 1, 0, false},
		{0, HM_TOKEN_THREADS_MAX + 1, 1, 1, 1, 0, false},
		{0, 1, HM_KEYS_MAX + 1, 1, 1, 0, false},
		{0, 1, UINT32_MAX, 1, 1, 0, false},
		{0, 1, 1, HM_KID_MAX + 1, 1, 0, false},
		{0, 1, 1, 1, HM_SPKI_MAX + 1, 0, false},
		{0, 1, 1, 1, 1, HM_TPM_NAME_MAX + 1, false},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		put_ready(cases[i].mechanisms, cases[i].threads, cases[i].keys, cases[i].kid, cases[i].spki,
			cases[i].tpm_name);
		struct hm_reader r = again();
		cr_expect_eq(get_ready(&r), cases[i].fits, "case %zu", i);
	}
}

/* ---- counts ---- */

static struct token_counts counts_sent, counts;

static bool get_counts(struct hm_reader *r)
{
	return token_counts_get(r, &counts);
}

static void fill_counts(uint32_t count)
{
	memset(&counts_sent, 0, sizeof counts_sent);
	counts_sent.count = count;
	for (uint32_t i = 0; i < count && i < HM_TALLIES_MAX; i++)
		counts_sent.keys[i] =
			(struct token_signed){"cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s", {0, i, HM_INTEGER_MAX}};
	begin();
}

Test(token_protocol, what_was_counted_comes_back_as_it_was)
{
	static const uint32_t numbers[] = {0, 2, HM_TALLIES_MAX};
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		fill_counts(numbers[i]);
		token_counts_put(&w, &counts_sent);
		struct hm_reader r = again();
		memset(&counts, 0xff, sizeof counts);
		cr_assert(get_counts(&r));
		cr_expect_eq(memcmp(&counts, &counts_sent, sizeof counts), 0);
	}
	fill_counts(2);
	token_counts_put(&w, &counts_sent);
	expect_whole_or_nothing(get_counts);
}

Test(token_protocol, counts_of_too_many_keys_or_of_none_or_too_high_are_refused)
{
	fill_counts(1);
	counts_sent.keys[0].counts[SIGNED_PROBE] = HM_INTEGER_MAX + UINT64_C(1);
	token_counts_put(&w, &counts_sent);
	struct hm_reader r = again();
	cr_expect_not(get_counts(&r));
	fill_counts(1);
	counts_sent.keys[0].kid[HM_KID_MAX - 1] = 0;
	token_counts_put(&w, &counts_sent);
	r = again();
	cr_expect_not(get_counts(&r));
	fill_counts(HM_TALLIES_MAX);
	token_counts_put(&w, &counts_sent);
	const uint32_t more = HM_TALLIES_MAX + 1;
	memcpy(w.data + HM_EPOCH, &more, sizeof more);
	hm_put_string(&w, counts_sent.keys[0].kid);
	for (int what = 0; what < SIGNED_WHATS; what++)
		hm_put_u64(&w, 1);
	r = again();
	cr_expect_not(get_counts(&r));
}

/* ---- failure ---- */

static struct token_failure failure;

static bool get_failure(struct hm_reader *r)
{
	return token_failure_get(r, &failure);
}

Test(token_protocol, a_failure_comes_back_as_it_was)
{
	token_failure_put(&w, &(struct token_failure){.class = TOKEN_CUSTODY, .ckr = UINT64_MAX, .detail = "C_Sign"});
	struct hm_reader r = again();
	cr_assert(get_failure(&r));
	cr_expect_eq(failure.class, TOKEN_CUSTODY);
	cr_expect_eq(failure.ckr, UINT64_MAX);
	cr_expect_str_eq(failure.detail, "C_Sign");
	expect_whole_or_nothing(get_failure);
}

Test(token_protocol, a_failure_of_no_class_is_refused)
{
	for (unsigned class = TOKEN_CLASSES; class < 256; class ++) {
		begin();
		token_failure_put(&w, &(struct token_failure){.class = (uint8_t) class});
		struct hm_reader r = again();
		cr_expect_not(get_failure(&r), "class %u", class);
	}
}
