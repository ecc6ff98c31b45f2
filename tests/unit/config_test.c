/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A good configuration, line by line, as the refusals below number them. */
static const char *const good[] = {
	/*  1 */ "listen:",
	/*  2 */ "  socket: hsmint.sock",
	/*  3 */ "  control: /run/hsmint/control.sock",
	/*  4 */ "  tls:",
	/*  5 */ "    address: 127.0.0.1",
	/*  6 */ "    port: 8443",
	/*  7 */ "    certificate: tls/server.crt",
	/*  8 */ "    key: tls/server.key",
	/*  9 */ "    trust: tls/ca.crt",
	/* 10 */ "  sandbox: best",
	/* 11 */ "state: state",
	/* 12 */ "issuers:",
	/* 13 */ "  - name: a",
	/* 14 */ "    url: https://mint.test/a",
	/* 15 */ "    trust_domain: a.test",
	/* 16 */ "  - name: b",
	/* 17 */ "    url: https://mint.test",
	/* 18 */ "    trust_domain: b.test",
	/* 19 */ "tokens:",
	/* 20 */ "  - name: soft",
	/* 21 */ "    module: /usr/lib/softhsm/libsofthsm2.so",
	/* 22 */ "    label: hsmint",
	/* 23 */ "    serials: [0123456789abcdef]",
	/* 24 */ "    pin: pin",
	/* 25 */ "    threads: 4",
	/* 26 */ "    self_check: sampled",
	/* 27 */ "    environment:",
	/* 28 */ "      - {name: SOFTHSM2_CONF, value: softhsm2.conf, path: true}",
	/* 29 */ "  - name: other",
	/* 30 */ "    module: module.so",
	/* 31 */ "    label: other",
	/* 32 */ "    login: credential",
	/* 33 */ "    pin: other.pin",
	/* 34 */ "keys:",
	/* 35 */ "  - name: a-access",
	/* 36 */ "    issuer: a",
	/* 37 */ "    token: soft",
	/* 38 */ "    label: first",
	/* 39 */ "    id: \"01fF\"",
	/* 40 */ "    use: access-token",
	/* 41 */ "    algorithm: ES256",
	/* 42 */ "  - name: b-svid",
	/* 43 */ "    issuer: b",
	/* 44 */ "    token: soft",
	/* 45 */ "    label: second",
	/* 46 */ "    use: jwt-svid",
	/* 47 */ "profiles:",
	/* 48 */ "  - name: access",
	/* 49 */ "    issuer: a",
	/* 50 */ "    kind: at+jwt",
	/* 51 */ "    key: a-access",
	/* 52 */ "    lifetime: {default: 300, maximum: 900}",
	/* 53 */ "    backdate: 0",
	/* 54 */ "    audiences: [\"https://api.a.test\"]",
	/* 55 */ "    subjects: [\"spiffe://a.test/agent/*\"]",
	/* 56 */ "    scopes: [read, write]",
	/* 57 */ "    callers: [broker]",
	/* 58 */ "    claims: [{name: session, size: 64}, {name: level, type: integer, constant: \"7\"}]",
	/* 59 */ "  - name: svid",
	/* 60 */ "    issuer: b",
	/* 61 */ "    kind: jwt-svid",
	/* 62 */ "    key: b-svid",
	/* 63 */ "    lifetime: {default: 60, maximum: 60}",
	/* 64 */ "    audiences: [\"https://api.b.test\"]",
	/* 65 */ "    subjects: [\"spiffe://b.test/agent/*\"]",
	/* 66 */ "    callers: [broker]",
	/* 67 */ "callers:",
	/* 68 */ "  - name: broker",
	/* 69 */ "    issuer: a",
	/* 70 */ "    uri: spiffe://a.test/broker",
	/* 71 */ "    roles: [mint, audit]",
	/* 72 */ "  - name: broker",
	/* 73 */ "    issuer: b",
	/* 74 */ "    uid: 1000",
	/* 75 */ "    roles: [mint]",
	/* 76 */ "ledger:",
	/* 77 */ "  origin: mint.test/ledger",
};
enum { LINES = sizeof good / sizeof *good };

static char directory[] = "/tmp/hsmint-config-XXXXXX";
static char path[64];
static struct config *config;
static struct hm_problem why;

static void make_directory(void)
{
	cr_assert_not_null(mkdtemp(directory));
	snprintf(path, sizeof path, "%s/hsmint.yaml", directory);
}

static void remove_directory(void)
{
	config_free(config);
	(void)unlink(path);
	cr_expect_eq(rmdir(directory), 0);
}

TestSuite(config, .init = make_directory, .fini = remove_directory);

/* Load the good configuration with one line replaced; line 0: none. */
static hm_result load_with(int line, const char *text)
{
	FILE *file = fopen(path, "w");
	cr_assert_not_null(file);
	for (int i = 0; i < LINES; i++)
		if (i + 1 != line)
			fprintf(file, "%s\n", good[i]);
		else if (*text)
			fprintf(file, "%s\n", text);
	fclose(file);
	config_free(config);
	why = (struct hm_problem){0};
	return config_load(path, &config, &why);
}

static void expect_path(const char *value, const char *name)
{
	char wanted[128];
	snprintf(wanted, sizeof wanted, "%s/%s", directory, name);
	cr_expect_str_eq(value, wanted);
}

/* ---- what is good ---- */

Test(config, a_good_file_is_read)
{
	cr_assert_eq(load_with(0, ""), HM_OK, "%s", why.detail);
	cr_expect_eq(config->listen.tls->port, 8443);
	cr_expect_eq(config->listen.sandbox, SANDBOX_BEST);
	cr_expect_eq(config->issuers_count, 2);
	cr_expect_str_eq(config->issuers[0].path, "/a");
	cr_expect_str_eq(config->issuers[1].path, "");
	cr_expect_eq(config->tokens_count, 2);
	cr_expect_eq(config->tokens[0].threads, 4);
	cr_expect_eq(config->tokens[0].self_check, SELF_CHECK_SAMPLED);
	cr_expect_eq(config->tokens[0].login, LOGIN_FILE);
	cr_expect_eq(config->tokens[1].login, LOGIN_CREDENTIAL);
	cr_expect_eq(config->tokens[1].self_check, SELF_CHECK_ALWAYS, "unless it says otherwise");
	cr_expect_eq(config->keys[0].issuer_index, 0);
	cr_expect_eq(config->keys[1].issuer_index, 1);
	cr_expect_eq(config->profiles[0].kind, KIND_ACCESS_TOKEN);
	cr_expect_eq(config->profiles[0].lifetime.standard, 300);
	cr_expect_eq(config->profiles[0].lifetime.maximum, 900);
	cr_expect_eq(*config->profiles[0].backdate, 0);
	cr_expect_null(config->profiles[1].backdate);
	cr_expect_eq(config->profiles[1].issuer_index, 1);
	cr_expect_eq(config->profiles[1].key_count, 1);
	cr_expect_eq(config->profiles[1].key_indexes[0], 1);
	cr_expect_eq(config->profiles[0].claims[0].size, 64);
	cr_expect_eq(config->profiles[0].claims[1].size, 1024, "unless it says otherwise");
	cr_expect_str_eq(config->profiles[0].claims[1].constant, "7");
	cr_expect_eq(config->callers[0].roles, ROLE_MINT | ROLE_AUDIT);
	cr_expect_eq(*config->callers[1].uid, 1000);
	cr_expect_null(config->callers[0].uid);
}

Test(config, relative_paths_are_taken_from_where_the_file_is)
{
	cr_assert_eq(load_with(0, ""), HM_OK, "%s", why.detail);
	expect_path(config->listen.socket, "hsmint.sock");
	cr_expect_str_eq(config->listen.control, "/run/hsmint/control.sock");
	expect_path(config->listen.tls->certificate, "tls/server.crt");
	expect_path(config->listen.tls->key, "tls/server.key");
	expect_path(config->listen.tls->trust, "tls/ca.crt");
	expect_path(config->state, "state");
	cr_expect_str_eq(config->tokens[0].module, "/usr/lib/softhsm/libsofthsm2.so");
	expect_path(config->tokens[0].pin, "pin");
	expect_path(config->tokens[0].environment[0].value, "softhsm2.conf");
	expect_path(config->tokens[1].module, "module.so");
	cr_expect_str_eq(config->tokens[1].pin, "other.pin", "a credential's name is no path");
}

Test(config, a_tokens_process_gets_its_own_keys_and_nothing_else)
{
	static struct token_config frame;
	cr_assert_eq(load_with(44, "    token: other"), HM_OK, "%s", why.detail);
	config_token_frame(config, 0, &frame);
	cr_expect_str_eq(frame.name, "soft");
	cr_expect_str_eq(frame.label, "hsmint");
	cr_expect_eq(frame.serial_count, 1);
	cr_expect_str_eq(frame.serials[0], "0123456789abcdef");
	cr_expect_eq(frame.threads, 4);
	cr_expect_eq(frame.environment_count, 1);
	cr_expect_eq(strncmp(frame.environment[0], "SOFTHSM2_CONF=/", 15), 0);
	cr_expect_eq(frame.key_count, 1);
	cr_expect_str_eq(frame.keys[0].name, "a-access");
	cr_expect_str_eq(frame.keys[0].label, "first");
	cr_expect_str_eq(frame.keys[0].issuer, "https://mint.test/a");
	cr_expect_eq(frame.keys[0].id_length, 2);
	cr_expect_arr_eq(frame.keys[0].id, "\x01\xff", 2);
	config_token_frame(config, 1, &frame);
	cr_expect_eq(frame.key_count, 1);
	cr_expect_str_eq(frame.keys[0].name, "b-svid");
	cr_expect_eq(frame.keys[0].id_length, 0);
	cr_expect_str_eq(frame.keys[0].issuer, "https://mint.test");
	cr_expect_eq(frame.login, LOGIN_CREDENTIAL);
	cr_expect_str_eq(frame.pin_file, "other.pin");
}

Test(config, a_tpm_is_asked_for_its_keys_where_the_module_finds_it)
{
	static struct token_config frame;
	static const char text[] = "      - {name: TPM2_PKCS11_TCTI, value: \"device:/dev/tpmrm0\"}\n"
				   "    tpm_parent: 0x81000001";
	cr_assert_eq(load_with(28, text), HM_OK, "%s", why.detail);
	config_token_frame(config, 0, &frame);
	cr_expect_eq(frame.tpm_parent, 0x81000001);
	config_token_frame(config, 1, &frame);
	cr_expect_eq(frame.tpm_parent, 0);
}

/* ---- logins by people ---- */

static const char attendants[] = "  - {name: alice, issuer: a, uid: 2001, roles: [operate]}\n"
				 "  - {name: alice, issuer: b, uri: \"spiffe://b.test/alice\", roles: [mint]}\n"
				 "  - {name: bob, issuer: b, uid: 2002, roles: [operate, audit]}\n"
				 "  - {name: carol, issuer: a, uid: 2003, roles: [operate]}\n"
				 "  - {name: carol, issuer: b, uid: 2003, roles: [operate]}\n"
				 "  - {name: dave, issuer: a, uid: 2004, roles: [operate]}\n"
				 "  - {name: dave, issuer: b, uid: 2005, roles: [operate]}\n"
				 "  - {name: erin, issuer: b, uid: 2001, roles: [operate]}\n"
				 "  - {name: frank, issuer: a, uid: 2006, roles: [audit]}\n"
				 "  - {name: grace, issuer: a, uri: \"spiffe://a.test/grace\", roles: [operate]}\n"
				 "  - {name: o1, issuer: a, uid: 3001, roles: [operate]}\n"
				 "  - {name: o2, issuer: a, uid: 3002, roles: [operate]}\n"
				 "  - {name: o3, issuer: a, uid: 3003, roles: [operate]}\n"
				 "  - {name: o4, issuer: a, uid: 3004, roles: [operate]}\n"
				 "  - {name: o5, issuer: a, uid: 3005, roles: [operate]}\n";

/* A token in line 20 before the others, and callers behind the others. */
static hm_result load_attended(const char *login)
{
	FILE *file = fopen(path, "w");
	cr_assert_not_null(file);
	for (int i = 0; i < LINES; i++) {
		if (i + 1 == 20)
			fprintf(file, "  - {name: attended, module: m, label: l, login: %s}\n", login);
		if (i + 1 == 76)
			fputs(attendants, file);
		fprintf(file, "%s\n", good[i]);
	}
	fclose(file);
	config_free(config);
	why = (struct hm_problem){0};
	return config_load(path, &config, &why);
}

Test(config, custodians_are_known_by_their_uids_in_the_order_of_their_parts)
{
	static struct token_config frame;
	cr_assert_eq(load_attended("custodians, custodians: [bob, carol, alice]"), HM_OK, "%s", why.detail);
	config_token_frame(config, 0, &frame);
	cr_expect_eq(frame.login, LOGIN_CUSTODIANS);
	cr_expect_str_eq(frame.pin_file, "");
	cr_expect_eq(frame.custodian_count, 3);
	cr_expect_eq(frame.custodians[0], 2002);
	cr_expect_eq(frame.custodians[1], 2003);
	cr_expect_eq(frame.custodians[2], 2001);
	cr_expect_eq(
		load_attended("custodians, custodians: [alice, bob, o1, o2, o3, o4, o5]"), HM_OK, "%s", why.detail);
}

Test(config, who_logs_in_at_a_pin_pad_or_not_at_all_takes_nothing_more)
{
	static struct token_config frame;
	cr_assert_eq(load_attended("protected-path"), HM_OK, "%s", why.detail);
	config_token_frame(config, 0, &frame);
	cr_expect_eq(frame.login, LOGIN_PROTECTED_PATH);
	cr_expect_eq(frame.custodian_count, 0);
	cr_assert_eq(load_attended("none"), HM_OK, "%s", why.detail);
	cr_expect_eq(config->tokens[0].login, LOGIN_NONE);
}

Test(config, what_makes_no_custodians_is_refused)
{
	static const struct {
		const char *login, *said;
	} cases[] = {{"custodians", "2 to 7 custodians"}, {"custodians, custodians: []", "2 to 7 custodians"},
		{"custodians, custodians: [alice]", "2 to 7 custodians"},
		{"custodians, custodians: [alice, bob, o1, o2, o3, o4, o5, carol]", "custodians"},
		{"custodians, custodians: [alice, alice]", "'alice' has the uid of 'alice'"},
		{"custodians, custodians: [alice, erin]", "'erin' has the uid of 'alice'"},
		{"custodians, custodians: [alice, dave]", "different uids"},
		{"custodians, custodians: [alice, nobody]", "'nobody' is no caller with a uid and the role operate"},
		{"custodians, custodians: [alice, frank]", "'frank' is no caller with"},
		{"custodians, custodians: [alice, grace]", "'grace' is no caller with"},
		{"protected-path, custodians: [alice, bob]", "only with login: custodians"},
		{"none, custodians: [alice, bob]", "only with login: custodians"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		cr_expect_eq(load_attended(cases[i].login), HM_REFUSED, "%s", cases[i].login);
		cr_expect_not_null(strstr(why.detail, ":20: "), "%s: %s", cases[i].login, why.detail);
		cr_expect_not_null(strstr(why.detail, cases[i].said), "%s: %s", cases[i].login, why.detail);
	}
}

/* ---- the ledger ---- */

#define CHECKPOINT_KEY "  - {name: tree, token: other, label: tree, use: checkpoint, algorithm: "
#define ES256_KEY      CHECKPOINT_KEY "ES256}\n"
#define ED25519_KEY    CHECKPOINT_KEY "Ed25519}\n"
/* Made by another program, of one random key: type 4, a cosignature; and type 1, which signs notes alone. */
#define WITNESS_KEY "w.test+7e155399+BNEOyp5aUaJ7VA673+JPnlcqdS09LTPcybVQaC/XPVAv"
#define NOTE_KEY    "w.test+2b21e9c6+AdEOyp5aUaJ7VA673+JPnlcqdS09LTPcybVQaC/XPVAv"
#define WITNESS     "witness: {url: \"https://w.test/\", key: " WITNESS_KEY "}"

/* The good configuration with this key behind the others, in line 47, and this ledger at the end. */
static hm_result load_ledger(const char *key, const char *ledger)
{
	FILE *file = fopen(path, "w");
	cr_assert_not_null(file);
	for (int i = 0; i < LINES - 2; i++)
		fprintf(file, "%s%s\n", i + 1 == 47 ? key : "", good[i]);
	fprintf(file, "%s", ledger);
	fclose(file);
	config_free(config);
	why = (struct hm_problem){0};
	return config_load(path, &config, &why);
}

Test(config, a_ledger_needs_an_origin_and_no_more)
{
	cr_assert_eq(load_with(0, ""), HM_OK, "%s", why.detail);
	cr_expect_str_eq(config->ledger.origin, "mint.test/ledger");
	expect_path(config->ledger.directory, "ledger");
	cr_expect_null(config->ledger.key);
	cr_expect_eq(config->ledger.key_index, HM_KEYS_MAX);
	cr_expect_eq(config->ledger.shard, 90 * 24 * 60 * 60);
	cr_expect_null(config->ledger.anchor);
}

Test(config, what_a_ledger_may_have_is_read)
{
	cr_assert_eq(load_ledger(ED25519_KEY, "ledger: {origin: o, directory: /var/log, key: tree, shard: 1h,\n"
					      "  anchor: {file: far, token: other, " WITNESS "}}\n"),
		HM_OK, "%s", why.detail);
	cr_expect_str_eq(config->ledger.directory, "/var/log");
	cr_expect_eq(config->ledger.key_index, 2);
	cr_expect_eq(config->ledger.shard, 3600);
	expect_path(config->ledger.anchor->file, "far");
	cr_expect_eq(config->ledger.anchor->token_index, 1);
	cr_expect_str_eq(config->ledger.anchor->witness->url, "https://w.test/");
	cr_expect_str_eq(config->ledger.anchor->witness->key, WITNESS_KEY);
	static struct token_config frame;
	config_token_frame(config, 1, &frame);
	cr_expect_str_eq(frame.origin, config->ledger.origin);
	config_token_frame(config, 0, &frame);
	cr_expect_str_eq(frame.origin, "");
	cr_assert_eq(load_ledger(ES256_KEY, "ledger: {origin: o, key: tree, anchor: {file: /far}}\n"), HM_OK, "%s",
		why.detail);
	cr_expect_eq(config->ledger.anchor->token_index, HM_TOKENS_MAX);
	cr_expect_null(config->ledger.anchor->witness);
}

Test(config, a_store_beside_the_ledger_is_no_anchor_of_it)
{
	cr_assert_eq(load_ledger(ES256_KEY, "ledger: {origin: o, key: tree, anchor: {store: true}}\n"), HM_REFUSED);
	cr_expect_not_null(strstr(why.detail, "needs a store in PostgreSQL"), "%s", why.detail);
	cr_assert_eq(load_ledger(ES256_KEY, "store: \"postgresql://h/d\"\n"
					    "ledger: {origin: o, key: tree, anchor: {store: true}}\n"),
		HM_OK, "%s", why.detail);
	cr_expect_str_eq(config->ledger.anchor->store_url, "postgresql://h/d");
	cr_assert_eq(load_ledger(ES256_KEY, "store: \"postgresql://h/d\"\n"
					    "ledger: {origin: o, key: tree, anchor: {store: false}}\n"),
		HM_REFUSED);
}

Test(config, a_key_for_checkpoints_is_the_ledgers_and_no_issuers)
{
	static struct token_config frame;
	cr_assert_eq(load_ledger(ES256_KEY, "ledger: {origin: mint.test/tree, key: tree}\n"), HM_OK, "%s", why.detail);
	cr_expect_eq(config->keys[2].issuer_index, HM_ISSUERS_MAX);
	config_token_frame(config, 1, &frame);
	cr_assert_eq(frame.key_count, 1);
	cr_expect_eq(frame.keys[0].use, KEY_USE_CHECKPOINT);
	cr_expect_str_eq(frame.keys[0].issuer, "mint.test/tree");
}

Test(config, a_witness_is_asked_over_https_or_on_this_host)
{
	static const char *const urls[] = {"https://w.test", "https://w.test:1/a", "http://127.0.0.1",
		"http://127.0.0.1:80/", "http://127.0.0.1/"};
	for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
		char text[256];
		snprintf(text, sizeof text,
			"ledger: {origin: o, key: tree, anchor: {witness: {url: \"%s\", key: " WITNESS_KEY "}}}\n",
			urls[i]);
		cr_expect_eq(load_ledger(ED25519_KEY, text), HM_OK, "%s: %s", urls[i], why.detail);
	}
}

/* Five digits of a shard's number and a slash go behind it, and 255 are all. */
Test(config, an_origin_has_room_for_the_number_of_a_shard)
{
	for (int length = 249; length <= 250; length++) {
		char text[300];
		snprintf(text, sizeof text, "ledger: {origin: %0*d}\n", length, 1);
		cr_expect_eq(load_ledger("", text), length == 249 ? HM_OK : HM_REFUSED, "%d: %s", length, why.detail);
	}
	cr_expect_not_null(strstr(why.detail, "249"), "%s", why.detail);
}

Test(config, a_ledger_that_could_not_be_kept_is_refused)
{
	static const struct {
		const char *key, *ledger;
		int told;
		const char *said;
	} cases[] = {{"", "", 68, "ledger: {origin: mint.example.org/ledger"},
		{"", "ledger: {}\n", 76, "Missing required mapping field: origin"},
		{"", "ledger:\n  origin: \"\"\n", 77, "origin"}, {"", "ledger:\n  origin: a b\n", 77, "without space"},
		{"", "ledger:\n  origin: a+b\n", 77, "without space"},
		{"", "ledger:\n  origin: \"a\\nb\"\n", 77, "printable"},
		{"", "ledger:\n  origin: a\xc3\xa9\n", 77, "printable"},
		{"", "ledger:\n  origin: a/\n", 77, "at the end"},
		{"", "ledger: {origin: o, keys: tree}\n", 76, "keys"},
		{"", "ledger:\n  origin: o\n  shard: 3599s\n", 78, "at least 1h"},
		{"", "ledger:\n  origin: o\n  shard: 2w\n", 78, "at least 1h"},
		{"", "ledger:\n  origin: o\n  key: tree\n", 78, "no key 'tree'"},
		{"", "ledger:\n  origin: o\n  key: a-access\n", 78, "'a-access' is for access-token"},
		{"", "ledger: {origin: o, anchor: {file: far}}\n", 76, "needs key"},
		{ES256_KEY, "ledger: {origin: o}\n", 47, "'tree' signs no checkpoints"},
		{ES256_KEY, "ledger: {origin: o, key: tree, anchor: {}}\n", 77,
			"a file, a token, a witness or the store"},
		{ES256_KEY, "ledger: {origin: o, key: tree, anchor: {token: t}}\n", 77, "no token 't'"},
		{ES256_KEY, "ledger: {origin: o, key: tree, anchor: {" WITNESS "}}\n", 77, "must be Ed25519"},
		{ED25519_KEY, "ledger: {origin: o, key: tree, anchor: {witness: {url: \"http://w.test\", key: k}}}\n",
			77, "https://"},
		{ED25519_KEY,
			"ledger: {origin: o, key: tree, anchor: {witness: {url: \"http://127.0.0.1.test\", key: k}}}\n",
			77, "https://"},
		{ED25519_KEY, "ledger: {origin: o, key: tree, anchor: {witness: {url: \"https:///a\", key: k}}}\n", 77,
			"https://"},
		{ED25519_KEY, "ledger: {origin: o, key: tree, anchor: {witness: {url: \"https://a b\", key: k}}}\n", 77,
			"https://"},
		{ED25519_KEY, "ledger: {origin: o, key: tree, anchor: {witness: {url: \"https://a\", key: \"\"}}}\n",
			77, "key"},
		{ED25519_KEY,
			"ledger: {origin: o, key: tree, anchor: {witness: {url: \"https://w.test\", key: "
			"w.test+7e155399+BNEO}}}\n",
			77, "a verifier key is name+id+base64"},
		{ED25519_KEY,
			"ledger: {origin: o, key: tree, anchor: {witness: {url: \"https://w.test\", key: " NOTE_KEY
			"}}}\n",
			77, "type 4"},
		{CHECKPOINT_KEY "ES384}\n", "ledger: {origin: o, key: tree}\n", 47, "ES256 or Ed25519"},
		{CHECKPOINT_KEY "ES256, issuer: a}\n", "ledger: {origin: o, key: tree}\n", 47, "of all issuers"},
		{"  - {name: c, token: other, label: c, use: access-token}\n", "ledger: {origin: o}\n", 47,
			"Missing required mapping field: issuer"},
		{"  - {name: tree2, token: other, label: tree2, use: checkpoint}\n" ES256_KEY,
			"ledger: {origin: o, key: tree}\n", 47, "'tree2' signs no checkpoints"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char wanted[80];
		cr_expect_eq(load_ledger(cases[i].key, cases[i].ledger), HM_REFUSED, "%zu: %s", i, cases[i].ledger);
		snprintf(wanted, sizeof wanted, "%s:%d: ", path, cases[i].told);
		cr_expect_eq(strncmp(why.detail, wanted, strlen(wanted)), 0, "%zu: %s", i, why.detail);
		cr_expect_not_null(strstr(why.detail, cases[i].said), "%zu: %s", i, why.detail);
	}
}

Test(config, no_profile_signs_with_a_key_for_checkpoints)
{
	cr_expect_eq(load_ledger(ES256_KEY
			     "profiles:\n  - {name: x, issuer: a, kind: at+jwt, key: tree, lifetime: {default: "
			     "1, maximum: 1}, audiences: [x], subjects: [\"spiffe://a.test/x\"], callers: [broker]}\n#",
			     "ledger: {origin: o, key: tree}\n"),
		HM_REFUSED);
	cr_expect_not_null(strstr(why.detail, "'tree' is for checkpoint"), "%s", why.detail);
}

/* ---- rates and turns ---- */

Test(config, without_a_word_on_it_nobody_has_a_rate_and_callers_weigh_the_same)
{
	cr_assert_eq(load_with(0, ""), HM_OK, "%s", why.detail);
	for (unsigned i = 0; i < 2; i++) {
		cr_expect_null(config->profiles[i].rate);
		cr_expect_null(config->callers[i].rate);
		cr_expect_eq(config->callers[i].weight, 1);
		cr_expect_eq(config->callers[i].fair_by, FAIR_BY_CALLER);
		cr_expect_null(config->callers[i].tenant);
	}
	cr_expect_neq(config->callers[0].group, config->callers[1].group, "the same name at another issuer");
}

Test(config, a_callers_rate_weight_and_tenant_are_read)
{
	cr_assert_eq(load_with(71, "    roles: [mint]\n    rate: 2.5\n    burst: 7\n    weight: 100\n"
				   "    fair_by: tenant\n    tenant: customer"),
		HM_OK, "%s", why.detail);
	const struct config_caller *caller = &config->callers[0];
	cr_expect_float_eq(*caller->rate, 2.5, 1e-9);
	cr_expect_eq(caller->burst, 7);
	cr_expect_eq(caller->weight, 100);
	cr_expect_eq(caller->fair_by, FAIR_BY_TENANT);
	cr_expect_str_eq(caller->tenant, "customer");
}

Test(config, a_profiles_rate_is_read_and_its_burst_is_the_rate_but_at_least_1)
{
	static const struct {
		const char *text;
		unsigned burst;
		enum rate_per per;
	} cases[] = {{"    rate: 10", 10, PER_CALLER}, {"    rate: 2.9\n    per: caller", 2, PER_CALLER},
		{"    rate: 0.001\n    per: agent", 1, PER_AGENT}, {"    rate: 1e6", 1000000, PER_CALLER},
		{"    rate: 1\n    burst: 1000000", 1000000, PER_CALLER}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		cr_assert_eq(load_with(53, cases[i].text), HM_OK, "%s", why.detail);
		cr_expect_eq(config->profiles[0].burst, cases[i].burst, "%s", cases[i].text);
		cr_expect_eq(config->profiles[0].per, cases[i].per, "%s", cases[i].text);
		cr_expect_null(config->profiles[1].rate);
	}
}

Test(config, a_rate_for_each_tenant_needs_callers_that_have_tenants)
{
	cr_assert_eq(load_with(71, "    roles: [mint]\n    tenant: customer"), HM_OK, "%s", why.detail);
	cr_expect_eq(load_with(53, "    rate: 1\n    per: tenant"), HM_REFUSED);
	cr_expect(strstr(why.detail, "caller 'broker' has no key tenant"), "%s", why.detail);
	cr_assert_eq(load_with(67, "  - {name: third, issuer: a, kind: at+jwt, key: a-access, lifetime: {default: 60, "
				   "maximum: 60},"
				   " audiences: [x], subjects: [\"spiffe://a.test/x\"], callers: [speaker], rate: 1, "
				   "per: tenant}\n"
				   "callers:\n  - {name: speaker, issuer: a, uid: 9, roles: [mint], tenant: customer}"),
		HM_OK, "%s", why.detail);
	cr_expect_eq(config->profiles[2].per, PER_TENANT);
}

/* Two callers of issuer a, and the broker of b, each with this line. */
static void load_three_callers(const char *first, const char *second)
{
	char text[512];
	snprintf(text, sizeof text,
		"    roles: [mint]\n%s  - name: other\n    issuer: a\n    uid: 7\n    roles: [mint]\n%s", first,
		second);
	cr_assert_eq(load_with(71, text), HM_OK, "%s", why.detail);
	cr_assert_eq(config->callers_count, 3);
}

Test(config, callers_share_turns_by_issuer_only_when_both_say_so)
{
	load_three_callers("    fair_by: issuer\n", "    fair_by: issuer");
	cr_expect_eq(config->callers[0].group, config->callers[1].group);
	cr_expect_neq(config->callers[0].group, config->callers[2].group, "of another issuer");
	load_three_callers("    fair_by: issuer\n", "    fair_by: caller");
	cr_expect_neq(config->callers[0].group, config->callers[1].group);
	load_three_callers("", "    tenant: t\n    fair_by: tenant");
	cr_expect_neq(config->callers[0].group, config->callers[1].group);
	uint64_t by_caller = config->callers[0].group;
	load_three_callers("    rate: 7\n", "");
	cr_expect_eq(config->callers[0].group, by_caller, "a reload does not change it");
}

static const struct {
	int line;
	const char *text;
} variants[] = {
	{10, ""},
	{25, ""},
	{53, ""},
	{53, "    backdate: 300"},
	{56, ""},
	{58, ""},
	{52, "    lifetime: {default: 86400, maximum: 86400}"},
	{52, "    lifetime: {default: 1, maximum: 1}"},
	{5, "    address: \"::1\""},
	{6, "    port: 65535"},
	{14, "    url: https://mint.test:8443/a/b_c~d"},
	{45, "    label: first\n    id: \"02\""},
	{70, "    spki: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
	{70, "    uid: 1000"},
	{74, "    uid: 4294967295"},
	{72, "  - {name: c, issuer: a, uri: x, roles: [mint]}\n"
	     "  - {name: d, issuer: a, uri: y, uid: 7, roles: [mint]}\n"
	     "  - {name: e, issuer: a, uid: 8, spki: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA, roles: [mint]}\n"
	     "  - {name: f, issuer: a, spki: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE, roles: [mint]}\n"
	     "  - name: broker"},
	{58, "    claims: [{name: a, enumeration: [x, y]}, {name: b, type: boolean, constant: \"false\"}]"},
	{58, "    claims: [{name: a, type: integer, constant: \"-9007199254740991\"}]"},
};

Test(config, what_may_be_left_out_or_is_at_its_limit_is_accepted)
{
	for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
		cr_expect_eq(load_with(variants[i].line, variants[i].text), HM_OK, "line %d '%s': %s", variants[i].line,
			variants[i].text, why.detail);
}

Test(config, without_a_word_on_it_the_sandbox_is_required_and_two_threads_sign)
{
	cr_assert_eq(load_with(10, ""), HM_OK, "%s", why.detail);
	cr_expect_eq(config->listen.sandbox, SANDBOX_REQUIRE);
	cr_assert_eq(load_with(25, ""), HM_OK, "%s", why.detail);
	cr_expect_eq(config->tokens[0].threads, 2);
}

Test(config, without_a_word_on_it_no_key_is_rotated_made_or_destroyed)
{
	cr_assert_eq(load_with(0, ""), HM_OK, "%s", why.detail);
	cr_expect_eq(config->keys[0].rotate, 0);
	cr_expect_eq(config->keys[0].publish_ahead, 60 * 60);
	cr_expect_eq(config->tokens[0].key_rights, KEY_RIGHTS_USE);
}

Test(config, the_schedule_of_a_key_and_the_right_to_manage_keys_are_read)
{
	static const struct {
		const char *text;
		unsigned rotate, ahead;
	} periods[] = {{"rotate: 90d", 90 * 86400, 3600}, {"publish_ahead: 2d", 0, 2 * 86400},
		{"rotate: 50m\n    publish_ahead: 25m", 3000, 1500}, {"rotate: 7200s", 7200, 3600},
		{"rotate: 3660d\n    publish_ahead: 1830d", 3660 * 86400, 1830 * 86400}};
	for (size_t i = 0; i < sizeof periods / sizeof *periods; i++) {
		char text[128];
		snprintf(text, sizeof text, "%s\n    %s", good[40], periods[i].text);
		cr_assert_eq(load_with(41, text), HM_OK, "%s: %s", periods[i].text, why.detail);
		cr_expect_eq(config->keys[0].rotate, periods[i].rotate, "%s", periods[i].text);
		cr_expect_eq(config->keys[0].publish_ahead, periods[i].ahead, "%s", periods[i].text);
	}
	cr_assert_eq(load_with(25, "    key_rights: manage"), HM_OK, "%s", why.detail);
	cr_expect_eq(config->tokens[0].key_rights, KEY_RIGHTS_MANAGE);
	cr_expect_eq(config->tokens[1].key_rights, KEY_RIGHTS_USE);
}

/* ---- what is not ---- */

static const struct {
	int line;         /* the line replaced */
	const char *text; /* by this; "": left out */
	int told;         /* the line that the complaint must name */
	const char *word; /* and what must stand in it */
} refusals[] = {
	/* form: keys that are unknown, repeated or missing (told in the last line of what lacks it); wrong types and
	 * words */
	{11, "state: state\nstore: x", 12, "store"},
	{2, "  socket: hsmint.sock\n  backlog: 5", 3, "backlog"},
	{15, "    trust_domain: a.test\n    colour: red", 16, "colour"},
	{52, "    lifetime: {default: 300, maximum: 900, minimum: 1}", 52, "minimum"},
	{58, "    claims: [{name: session, length: 64}]", 58, "length"},
	{11, "state: state\nstate: state", 12, "state"},
	{2, "  socket: a.sock\n  socket: b.sock", 3, "socket"},
	{14, "    url: https://mint.test/a\n    url: https://mint.test/c", 15, "url"},
	{11, "", 76, ":76: Missing required mapping field: state"},
	{2, "", 9, ":9: Missing required mapping field: socket"},
	{18, "", 17, ":17: Missing required mapping field: trust_domain"},
	{66, "", 65, ":65: Missing required mapping field: callers"},
	{6, "    port: 65536", 6, "port"},
	{6, "    port: https", 6, "port"},
	{6, "    port: -1", 6, "port"},
	{25, "    threads: many", 25, "threads"},
	{74, "    uid: 4294967296", 74, "uid"},
	{74, "    uid: -1", 74, "uid"},
	{10, "  sandbox: off", 10, "require, best"},
	{26, "    self_check: never", 26, "always, sampled"},
	{32, "    login: pinpad", 32, "file, credential"},
	{40, "    use: anything", 40, "access-token, jwt-svid, checkpoint"},
	{25, "    sessions: write", 25, "read-only, read-write"},
	{25, "    stuck_after: 1", 25, "2 to 600"},
	{25, "    stuck_after: 601", 25, "2 to 600"},
	{25, "    fips_certificate: \"\"", 25, "fips_certificate"},
	{25, "    waivers: [{module: module.so, attribute: CKA_VALUE}]", 25, "CKA_TOKEN, CKA_PRIVATE"},
	{25, "    waivers: [{module: another.so, attribute: CKA_LOCAL}]", 25, "but the token's is"},
	{25, "    tpm_parent: 0x80ffffff", 25, "0x81000000 to 0x81ffffff"},
	{25, "    tpm_parent: 0x82000000", 25, "0x81000000 to 0x81ffffff"},
	{25, "    tpm_parent: 0x81000001", 25, "TPM2_PKCS11_TCTI"},
	{41, "    attestation: /nowhere/attestation", 41, "/nowhere/attestation"},
	{41, "    algorithm: none", 41, "ES256, ES384, RS256, PS256, Ed25519"},
	{41, "    algorithm: EdDSA", 41, "Ed25519"},
	{51, "    key: a-access\n    other_keys: [nobody]", 52, "there is no key 'nobody'"},
	{51, "    key: a-access\n    other_keys: [b-svid]", 52, "belongs to issuer 'b'"},
	{51, "    key: a-access\n    other_keys: [a-access]", 52, "is on the token of 'a-access'"},
	{46, "    use: jwt-svid\n    algorithm: Ed25519", 47, "ES256, ES384, RS256 or PS256"},
	{41, "    hash: SHA256", 41, "auto, host, token"},
	{41, "    algorithm: Ed25519\n    hash: host", 42, "hashes by itself"},
	{50, "    kind: id-token", 50, "at+jwt, jwt-svid"},
	{71, "    roles: [mint, admin]", 71, "mint, task, audit, register, approve, revoke, operate"},
	{57, "    callers: []", 57, "callers"},
	{54, "    audiences: https://api.a.test", 54, "audiences"},
	{1, "listen: yes", 1, "listen"},
	{13, "  - name: \"\"", 13, "name"},
	{58, "    claims: [{name: &same a}, {name: *same}]", 58, "lias"},
	{58, "    claims: *unknown", 58, ""},
	{12, "issuers: [", 12, ""},
	{58, "    claims: [{name: a, name: b}]", 58, "name"},
	{73, "    issuer: b\n    roles: [mint]\n    issuer: b", 75, "issuer"},
	/* listen */
	{5, "    address: localhost", 5, "numeric"},
	/* issuers */
	{13, "  - name: a b", 13, "letters"},
	{13, "  - name: ../a", 13, "letters"},
	{13, "  - name: .a", 13, "letters"},
	{16, "  - name: a", 16, "taken"},
	{14, "    url: http://mint.test/a", 14, "https"},
	{14, "    url: https:///a", 14, "host"},
	{14, "    url: https://mint.test/a/", 14, "trailing"},
	{14, "    url: https://mint.test//a", 14, "empty path segment"},
	{14, "    url: https://mint.test/a?b=c", 14, "query"},
	{14, "    url: \"https://mint.test/a#b\"", 14, "fragment"},
	{14, "    url: https://user@mint.test/a", 14, "user"},
	{14, "    url: https://mint.test/%61", 14, "escape"},
	{14, "    url: 'https://mint.test/\"a'", 14, "quote"},
	{14, "    url: \"https://mint.test/a b\"", 14, "space"},
	{14, "    url: \"https://mint.test/\xc3\xa9\"", 14, "escape"},
	{14, "    url: https://mint.test/.well-known", 14, "'.'"},
	{14, "    url: https://mint.test/a/../b", 14, "'.'"},
	{14, "    url: https://other.test", 17, "another issuer"},
	{15, "    trust_domain: A.test", 15, "trust domain"},
	{15, "    trust_domain: b.test", 18, "another issuer"},
	/* tokens */
	{20, "  - name: a/b", 20, "letters"},
	{29, "  - name: soft", 29, "taken"},
	{33, "    pin: /run/pin", 33, "credential"},
	{33, "", 29, "Missing required mapping field: pin"},
	{32, "    login: protected-path", 33, "not with login: protected-path"},
	{32, "    login: none", 33, "not with login: none"},
	{32, "    login: custodians", 33, "not with login: custodians"},
	{33, "    pin: pin\n    custodians: [broker, broker]", 34, "only with login: custodians"},
	{23, "    serials: [0123456789abcdef0]", 23, "16 characters"},
	{25, "    threads: 65", 25, "64"},
	{28, "      - {name: A=B, value: x}", 28, "A=B"},
	/* keys */
	{35, "  - name: a/b", 35, "letters"},
	{39, "    id: \"zz\"", 39, "hexadecimal"},
	{36, "    issuer: c", 36, "no issuer 'c'"},
	{37, "    token: none", 37, "no token 'none'"},
	{39, "    id: \"01f\"", 39, "hexadecimal"},
	{39, "    id: \"xx\"", 39, "hexadecimal"},
	{39, "    id: \"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20\"", 39, "32 bytes"},
	{42, "  - name: a-access", 42, "taken"},
	{45, "    label: first", 45, "one use per key"},
	{45, "    label: first\n    id: \"01Ff\"", 45, "one use per key"},
	/* callers */
	{72, "  - name: a/b", 72, "letters"},
	{72,
		"  - {name: c, issuer: a, uid: 7, roles: [mint]}\n  - {name: d, issuer: a, uid: 7, roles: [mint]}\n"
		"  - name: broker",
		73, "the same caller"},
	{72,
		"  - {name: c, issuer: a, spki: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA, roles: [mint]}\n"
		"  - {name: d, issuer: a, spki: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA, roles: [mint]}\n"
		"  - name: broker",
		73, "the same caller"},
	{70, "", 68, "uri, an spki, a uid, jwks or trust"},
	{70, "    spki: AAAA", 70, "43 characters"},
	{70, "    spki: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 70, "43 characters"},
	{69, "    issuer: c", 69, "no issuer 'c'"},
	{73, "    issuer: a", 72, "taken"},
	{72, "  - name: twin\n    uri: spiffe://a.test/broker\n    issuer: a\n    roles: [mint]\n  - name: broker", 72,
		"the same caller"},
	/* the life of keys: 25 minutes are five times as long as verifiers may keep a key set */
	{25, "    key_rights: own", 25, "use, manage"},
	{41, "    publish_ahead: 1499s", 41, "at least 1500s"},
	{41, "    publish_ahead: 24m", 41, "at least 1500s"},
	{41, "    publish_ahead: 0d", 41, "at least 1500s"},
	{41, "    publish_ahead: 3661d", 41, "at least 1500s"},
	{41, "    publish_ahead: 99999999999999999999d", 41, "at least 1500s"},
	{41, "    publish_ahead: 1500", 41, "at least 1500s"},
	{41, "    publish_ahead: -1d", 41, "at least 1500s"},
	{41, "    publish_ahead: 1d2h", 41, "at least 1500s"},
	{41, "    rotate: 7199s", 41, "twice publish_ahead (3600s)"},
	{41, "    rotate: 2w", 41, "twice publish_ahead (3600s)"},
	{41, "    rotate: \" 90d\"", 41, "twice publish_ahead (3600s)"},
	{41, "    publish_ahead: 25m\n    rotate: 2999s", 42, "twice publish_ahead (1500s)"},
	/* profiles */
	{48, "  - name: a/b", 48, "letters"},
	{59, "  - name: access", 59, "taken"},
	{49, "    issuer: c", 49, "no issuer 'c'"},
	{51, "    key: none", 51, "no key 'none'"},
	{51, "    key: b-svid", 51, "belongs to issuer 'b'"},
	{50, "    kind: jwt-svid", 51, "access-token"},
	{52, "    lifetime: {default: 0, maximum: 900}", 52, "1 to maximum"},
	{52, "    lifetime: {default: 901, maximum: 900}", 52, "1 to maximum"},
	{52, "    lifetime: {default: 1, maximum: 0}", 52, "86400"},
	{52, "    lifetime: {default: 1, maximum: 86401}", 52, "86400"},
	{52, "    lifetime: {default: 1, maximum: 4294967297}", 52, "maximum"},
	{53, "    backdate: 301", 53, "300"},
	{55, "    subjects: [\"*\"]", 55, "spiffe://a.test/"},
	{55, "    subjects: [\"spiffe://a.test/agent/*/\"]", 55, "spiffe://a.test/"},
	{55, "    subjects: [\"spiffe://*/agent\"]", 55, "spiffe://a.test/"},
	{55, "    subjects: [\"spiffe://a.test*/agent\"]", 55, "spiffe://a.test/"},
	{55, "    subjects: [\"spiffe://a.test/\"]", 55, "spiffe://a.test/"},
	{55, "    subjects: [\"spiffe://a.test/x\", \"spiffe://b.test/x\"]", 55, "spiffe://a.test/"},
	{56, "    scopes: [\"read write\"]", 56, "scope"},
	{56, "    scopes: ['a\"b']", 56, "scope"},
	{56, "    scopes: [aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]", 56, "64"},
	{57, "    callers: [nobody]", 57, "no caller 'nobody'"},
	{58, "    claims: [{name: a, type: integer, size: 5}]", 58, "strings"},
	{58, "    claims: [{name: a, type: boolean, pattern: x}]", 58, "strings"},
	{58, "    claims: [{name: a, size: 4097}]", 58, "4096"},
	{58, "    claims: [{name: a}, {name: a}]", 58, "twice"},
	{58, "    claims: [{name: a, type: float}]", 58, "string, integer, boolean"},
	{58, "    claims: [{name: a, constant: x, required: true}]", 58, "constant"},
	{58, "    claims: [{name: a, constant: x, pattern: x}]", 58, "constant"},
	{58, "    claims: [{name: a, type: integer, constant: x}]", 58, "integer"},
	{58, "    claims: [{name: a, type: integer, constant: 1.5}]", 58, "integer"},
	{58, "    claims: [{name: a, type: integer, constant: \"9007199254740992\"}]", 58, "2^53"},
	{58, "    claims: [{name: a, type: integer, constant: \"99999999999999999999\"}]", 58, "2^53"},
	{58, "    claims: [{name: a, type: boolean, constant: \"1\"}]", 58, "true or false"},
	{53, "    rate: 0.0009", 53, "0.001"},
	{53, "    rate: 1000001", 53, "1e+06"},
	{53, "    rate: 0", 53, "0.001"},
	{53, "    rate: -1", 53, "0.001"},
	{53, "    rate: nan", 53, "0.001"},
	{53, "    rate: inf", 53, "0.001"},
	{53, "    rate: many", 53, "rate"},
	{53, "    burst: 5", 53, "needs a rate"},
	{53, "    rate: 1\n    burst: 1000001", 54, "1000000"},
	{53, "    rate: 1\n    burst: -1", 54, "burst"},
	{53, "    rate: 1\n    burst: 0", 54, "1 to 1000000"},
	{53, "    burst: 0", 53, "needs a rate"},
	{71, "    roles: [mint]\n    rate: 0", 72, "0.001"},
	{71, "    roles: [mint]\n    weight: 0", 72, "1 to 100"},
	{71,
		"    roles: [mint]\n    fair_by: issuer\n  - name: other\n    issuer: a\n    uid: 7\n    roles: "
		"[mint]\n"
		"    fair_by: issuer\n    weight: 2",
		78, "'broker', with which it shares turns (fair_by: issuer), has 1"},
	{53, "    rate: 1\n    per: key", 54, "caller, agent, tenant"},
	{71, "    roles: [mint]\n    rate: 0.0001", 72, "0.001"},
	{71, "    roles: [mint]\n    burst: 1", 72, "needs a rate"},
	{71, "    roles: [mint]\n    weight: 101", 72, "1 to 100"},
	{71, "    roles: [mint]\n    fair_by: agent", 72, "caller, issuer, tenant"},
	{71, "    roles: [mint]\n    fair_by: tenant", 72, "needs the caller's key tenant"},
	{71, "    roles: [mint]\n    tenant: \"\"", 72, "tenant"},
};

Test(config, each_fault_is_told_with_its_line_and_what_would_be_accepted)
{
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		char wanted[80];
		cr_expect_eq(load_with(refusals[i].line, refusals[i].text), HM_REFUSED, "line %d '%s'",
			refusals[i].line, refusals[i].text);
		cr_expect_null(config);
		cr_expect_str_eq(why.code ? why.code : "", "config");
		snprintf(wanted, sizeof wanted, "%s:%d: ", path, refusals[i].told);
		cr_expect_eq(strncmp(why.detail, wanted, strlen(wanted)), 0, "line %d '%s': %s", refusals[i].line,
			refusals[i].text, why.detail);
		cr_expect(strstr(why.detail, refusals[i].word), "line %d '%s': %s", refusals[i].line, refusals[i].text,
			why.detail);
	}
}

/* Each path, so long that with the directory before it there is no room, and told in its line. */
Test(config, a_path_that_becomes_too_long_is_refused_and_not_cut)
{
	static const struct {
		int line;
		const char *before, *behind;
	} paths[] = {{2, "  socket: ", ""}, {3, "  control: ", ""}, {7, "    certificate: ", ""}, {8, "    key: ", ""},
		{9, "    trust: ", ""}, {11, "state: ", ""}, {77, "  origin: o\n  directory: ", ""},
		{21, "    module: ", ""}, {24, "    pin: ", ""}, {28, "      - {name: A, path: true, value: ", "}"}};
	char name[1020];
	memset(name, 'p', sizeof name - 1);
	name[sizeof name - 1] = 0;
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		char line[1100];
		snprintf(line, sizeof line, "%s%s%s", paths[i].before, name, paths[i].behind);
		cr_expect_eq(load_with(paths[i].line, line), HM_REFUSED, "line %d", paths[i].line);
		cr_expect(strstr(why.detail, "no usable path"), "%s", why.detail);
	}
}

/* What fits is accepted, or refused further on because other lines name what stood there before. */
Test(config, texts_have_their_limits)
{
	static const struct {
		int line;
		const char *before, *behind;
		size_t most;
		const char *fits, *longer;
	} texts[] = {{14, "    url: https://a/", "", 512 - 10, NULL, "512 bytes"},
		{15, "    trust_domain: ", "", 255, "profiles.subjects", "not a SPIFFE trust domain"},
		{20, "  - name: ", "", 64, "no token 'soft'", "64"}, {22, "    label: ", "", 32, NULL, "32"},
		{38, "    label: ", "", 64, NULL, "64"}, {70, "    uri: ", "", 2048, NULL, "2048"},
		{28, "      - {name: A, value: ", "}", 1024 - 3, NULL, "too long"}};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		for (size_t more = 0; more < 2; more++) {
			char text[2100], line[2200];
			const char *told = more ? texts[i].longer : texts[i].fits;
			memset(text, 'a', sizeof text);
			text[texts[i].most + more] = 0;
			snprintf(line, sizeof line, "%s%s%s", texts[i].before, text, texts[i].behind);
			cr_expect_eq(load_with(texts[i].line, line), told ? HM_REFUSED : HM_OK, "line %d: %s",
				texts[i].line, why.detail);
			if (told)
				cr_expect(strstr(why.detail, told), "line %d: %s", texts[i].line, why.detail);
		}
}

/* Lines 4 to 9. */
Test(config, without_tls_there_is_no_tcp_listener)
{
	FILE *file = fopen(path, "w");
	cr_assert_not_null(file);
	for (int i = 0; i < LINES; i++)
		if (i + 1 < 4 || i + 1 > 9)
			fprintf(file, "%s\n", good[i]);
	fclose(file);
	cr_assert_eq(config_load(path, &config, &why), HM_OK, "%s", why.detail);
	cr_expect_null(config->listen.tls);
}

/* Every claim that the builder writes, or that a standard gives a meaning which hsmint alone may vouch for. */
Test(config, no_profile_may_list_a_claim_that_hsmint_sets)
{
	static const char *const reserved[] = {"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope",
		"cnf", "act", "may_act", "azp", "status", "txn", "authorization_details", "auth_time", "nonce", "task"};
	for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
		char line[80], constant[80];
		snprintf(line, sizeof line, "    claims: [{name: %s}]", reserved[i]);
		cr_expect_eq(load_with(58, line), HM_REFUSED, "%s", reserved[i]);
		cr_expect(strstr(why.detail, "hsmint alone"), "%s", why.detail);
		snprintf(constant, sizeof constant, "    claims: [{name: %s, constant: x}]", reserved[i]);
		cr_expect_eq(load_with(58, constant), HM_REFUSED, "%s", reserved[i]);
	}
}

static void write_text(const char *text)
{
	FILE *file = fopen(path, "w");
	cr_assert_not_null(file);
	fputs(text, file);
	fclose(file);
}

Test(config, a_file_that_is_empty_or_no_mapping_is_refused)
{
	static const char *const texts[] = {
		"", "\n", "# nothing\n", "---\n", "[]\n", "text\n", "{}\n", "\xff\xfe", "a: [\n", "\t\n", "a: &x b\n"};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		write_text(texts[i]);
		cr_expect_eq(config_load(path, &config, &why), HM_REFUSED, "'%s'", texts[i]);
		cr_expect_null(config);
		cr_expect(strstr(why.detail, path), "%s", why.detail);
	}
}

Test(config, a_file_that_is_not_there_is_refused_with_its_name)
{
	cr_expect_eq(config_load(path, &config, &why), HM_REFUSED);
	cr_expect(strstr(why.detail, path), "%s", why.detail);
	cr_expect(strstr(why.detail, "No such file"), "%s", why.detail);
}

/* Cut after any line: never a crash, and never half a configuration. */
Test(config, a_file_cut_short_is_refused)
{
	for (int lines = 0; lines < LINES - 1; lines++) {
		FILE *file = fopen(path, "w");
		cr_assert_not_null(file);
		for (int i = 0; i < lines; i++)
			fprintf(file, "%s\n", good[i]);
		fclose(file);
		cr_expect_eq(config_load(path, &config, &why), HM_REFUSED, "%d lines", lines);
	}
}

/* ---- governance ---- */

Test(config, what_a_profile_requires_and_needs_approved_is_read)
{
	cr_assert_eq(load_with(53, "    require: [task]\n    max_per_task: 3\n"
				   "    approve: {scopes: [write], audiences: [\"https://*\"], by: 2, within: 15m}"),
		HM_OK, "%s", why.detail);
	const struct config_profile *profile = &config->profiles[0];
	cr_expect_eq(profile->require, REQUIRE_TASK);
	cr_expect_eq(profile->max_per_task, 3);
	cr_expect_eq(profile->status, STATUS_OF_NONE);
	cr_assert_not_null(profile->approve);
	cr_expect_eq(profile->approve->by, 2);
	cr_expect_eq(profile->approve->within, 900);
	cr_expect_eq(config->profiles[1].require, 0);
	cr_expect_null(config->profiles[1].approve);
}

Test(config, the_proofs_that_a_profile_wants_are_read)
{
	static const struct {
		const char *text;
		unsigned proof;
	} cases[] = {{"", 0}, {"\n    proof: []", 0}, {"\n    proof: [dpop]", PROOF_DPOP},
		{"\n    proof: [mtls]", PROOF_MTLS}, {"\n    proof: [dpop, mtls]", PROOF_DPOP | PROOF_MTLS}};
	char text[128];
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		snprintf(text, sizeof text, "    grants: [client_credentials]%s", cases[i].text);
		cr_assert_eq(load_with(53, text), HM_OK, "%s: %s", text, why.detail);
		cr_expect_eq(config->profiles[0].proof, cases[i].proof, "%s", text);
	}
}

#define STATUS_KEY "  - {name: status, issuer: a, token: soft, label: status, use: status-list, algorithm: ES256}\n"

Test(config, a_profile_with_status_needs_a_key_for_lists_of_its_issuer)
{
	cr_assert_eq(load_with(47, STATUS_KEY "profiles:"), HM_OK, "%s", why.detail);
	cr_expect_eq(config->keys[2].use, KEY_USE_STATUS_LIST);
	cr_assert_eq(load_with(59, "    status: task\n  - name: svid"), HM_REFUSED);
	cr_expect(strstr(why.detail, "no key with use: status-list"), "%s", why.detail);
	cr_assert_eq(load_with(47, STATUS_KEY "profiles:\n  - {name: third, issuer: a, kind: at+jwt, key: a-access, "
					      "lifetime: {default: 60, maximum: 60}, audiences: [x], subjects: "
					      "[\"spiffe://a.test/x\"], callers: [broker], status: credential}"),
		HM_OK, "%s", why.detail);
	cr_expect_eq(config->profiles[0].status, STATUS_OF_CREDENTIAL);
	cr_assert_eq(load_with(47, STATUS_KEY "profiles:\n  - {name: third, issuer: b, kind: jwt-svid, key: b-svid, "
					      "lifetime: {default: 60, maximum: 60}, audiences: [x], subjects: "
					      "[\"spiffe://b.test/x\"], callers: [broker], status: credential}"),
		HM_REFUSED, "the key is another issuer's");
}

Test(config, store_and_policy_are_read)
{
	cr_assert_eq(load_with(0, ""), HM_OK, "%s", why.detail);
	cr_expect_null(config->store);
	cr_expect_null(config->policy);
	cr_assert_eq(
		load_with(11, "state: state\nstore: \"postgresql://mint@h/d?host=/run/pg\""), HM_OK, "%s", why.detail);
	cr_expect_str_eq(config->store, "postgresql://mint@h/d?host=/run/pg");
	cr_expect_eq(config->max_staleness, 2);
	cr_assert_eq(
		load_with(11, "state: state\nmax_staleness: 5s\n"
			      "policy: {engine: opa, url: \"http://localhost\", socket: opa.sock, path: /v1/data/x}"),
		HM_OK, "%s", why.detail);
	cr_expect_eq(config->max_staleness, 5);
	cr_expect_eq(config->policy->engine, ENGINE_OPA);
	cr_expect_eq(config->policy->deadline_ms, 500);
	expect_path(config->policy->socket, "opa.sock");
}

Test(config, governance_that_cannot_work_is_refused)
{
	static const struct {
		int line;
		const char *text, *said;
	} cases[] = {{53, "    require: [nothing]", "require"}, {53, "    max_per_task: 3", "needs require: [task]"},
		{53, "    proof: [dpop]", "needs grants"},
		{53, "    grants: [client_credentials]\n    proof: [certificate]", "accepted: dpop, mtls"},
		{53, "    status: task", "no key with use: status-list"},
		{53, "    approve: {by: 1, within: 1m}", "needs scopes or audiences"},
		{53, "    approve: {scopes: [admin], by: 1, within: 1m}", "'admin' is none of the profile's scopes"},
		{53, "    approve: {scopes: [read], by: 0, within: 1m}", "1 to 8 approvers"},
		{53, "    approve: {scopes: [read], by: 9, within: 1m}", "1 to 8 approvers"},
		{53, "    approve: {scopes: [read], by: 1, within: 0s}", "at most 1d"},
		{53, "    approve: {scopes: [read], by: 1, within: 25h}", "at most 1d"},
		{11, "state: state\nstore: mysql://h/d", "nothing for SQLite"},
		{11, "state: state\nstore: \"postgresql://u:secret@h/d\"", "no password here"},
		{11, "state: state\nstore: \"postgresql://h/d?password=secret\"", "no password here"},
		{11, "state: state\nstore: \"postgresql://h/d?sslpassword=secret\"", "no password here"},
		{11, "state: state\nstore: \"postgresql://h/d?no_such=1\"", "no_such"},
		{11, "state: state\nmax_staleness: 61s", "1s to 60s"},
		{11, "state: state\nmax_staleness: 0s", "1s to 60s"},
		{11, "state: state\npolicy: {engine: opa, url: \"https://h\"}", "opa needs path"},
		{11, "state: state\npolicy: {engine: cedar, url: \"https://h\"}", "accepted: authzen, opa"},
		{11, "state: state\npolicy: {engine: authzen, url: \"https://h\", path: x}", "begins with /"},
		{11, "state: state\npolicy: {engine: authzen, url: \"https://h\", deadline_ms: 4001}", "1 to 4000"},
		{11, "state: state\npolicy: {engine: authzen, url: \"https://h\", key: k}", "needs key"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		cr_expect_eq(load_with(cases[i].line, cases[i].text), HM_REFUSED, "%s", cases[i].text);
		cr_expect(strstr(why.detail, cases[i].said), "%s: %s", cases[i].text, why.detail);
	}
}

/* ---- trust ---- */

/* Behind the good configuration; what follows is line 79. */
#define TRUST "  origin: mint.test/ledger\ntrust:\n"
#define WHO   "  - {name: idp, issuer: a, provider: https://idp.test/, keys: idp.json"
#define OTHER "  - {name: other, issuer: a, trust_domain: other.test, keys: other.json"

Test(config, whose_word_is_taken_is_read_with_defaults_that_are_strict)
{
	cr_assert_eq(load_with(77, TRUST WHO "}\n" OTHER "}"), HM_OK, "%s", why.detail);
	cr_assert_eq(config->trust_count, 2);
	const struct config_trust *idp = &config->trust[0];
	cr_expect_str_eq(idp->provider, "https://idp.test/");
	cr_expect_eq(idp->issuer_index, 0);
	expect_path(idp->keys, "idp.json");
	cr_expect_str_eq(idp->subject, "sub");
	cr_expect_null(idp->groups);
	cr_expect_eq(idp->audiences_count, 0);
	cr_expect_eq(idp->max_lifetime, 3600);
	cr_expect_eq(idp->algorithms,
		1U << KEY_ES256 | 1U << KEY_ES384 | 1U << KEY_RS256 | 1U << KEY_PS256 | 1U << KEY_ED25519);
	cr_expect_str_eq(config->trust[1].trust_domain, "other.test");
	cr_assert_eq(
		load_with(77, TRUST "  - {name: ci, issuer: b, provider: https://ci.test, keys_url: "
				    "\"https://ci.test/jwks?v=1\", ca: ca.pem, audiences: [mint], algorithms: [RS256, "
				    "Ed25519], subject: email, groups: roles, max_lifetime: 10m}"),
		HM_OK, "%s", why.detail);
	const struct config_trust *ci = &config->trust[0];
	cr_expect_str_eq(ci->keys_url, "https://ci.test/jwks?v=1");
	expect_path(ci->ca, "ca.pem");
	cr_expect_str_eq(ci->audiences[0], "mint");
	cr_expect_eq(ci->algorithms, 1U << KEY_RS256 | 1U << KEY_ED25519);
	cr_expect_str_eq(ci->subject, "email");
	cr_expect_str_eq(ci->groups, "roles");
	cr_expect_eq(ci->max_lifetime, 600);
}

Test(config, two_issuers_may_trust_the_same_and_call_it_the_same)
{
	cr_expect_eq(load_with(77, TRUST WHO "}\n  - {name: idp, issuer: b, provider: https://idp.test/, keys: k}"),
		HM_OK, "%s", why.detail);
	cr_expect_eq(load_with(77, TRUST "  - {name: b, issuer: a, trust_domain: b.test, keys: k}"), HM_OK, "%s",
		why.detail);
}

static const struct {
	const char *text;
	int told;
	const char *word;
} untrusted[] = {
	{WHO ", colour: red}", 79, "colour"},
	{WHO ", algorithms: [HS256]}", 79, "algorithms"},
	{WHO ", algorithms: [none]}", 79, "ES256, ES384, RS256, PS256, Ed25519"},
	{"  - {name: i/dp, issuer: a, provider: https://idp.test, keys: k}", 79, "trust.name"},
	{"  - {name: \"i:dp\", issuer: a, provider: https://idp.test, keys: k}", 79, "trust.name"},
	{"  - {name: idp, issuer: c, provider: https://idp.test, keys: k}", 79, "there is no issuer 'c'"},
	{"  - {name: idp, issuer: a, keys: k}", 79, "one of provider and trust_domain"},
	{WHO ", trust_domain: other.test}", 79, "one of provider and trust_domain"},
	{"  - {name: idp, issuer: a, provider: http://idp.test, keys: k}", 79, "trust.provider"},
	{"  - {name: idp, issuer: a, provider: https://, keys: k}", 79, "trust.provider"},
	{"  - {name: idp, issuer: a, provider: \"https://idp.test/?a\", keys: k}", 79, "trust.provider"},
	{"  - {name: idp, issuer: a, provider: \"https://mint.test/a\", keys: k}", 79, "is issuer 'a' itself"},
	{"  - {name: idp, issuer: a, trust_domain: a.test, keys: k}", 79, "is issuer 'a' itself"},
	{"  - {name: idp, issuer: a, trust_domain: \"Other.test\", keys: k}", 79, "is not a SPIFFE trust domain"},
	{WHO "}\n" WHO "}", 80, "'idp' is taken already"},
	{WHO "}\n  - {name: b, issuer: a, provider: https://idp.test/, keys: k}", 80, "is that of 'idp' already"},
	{OTHER "}\n  - {name: b, issuer: a, trust_domain: other.test, keys: k}", 80, "is that of 'other' already"},
	{"  - {name: idp, issuer: a, provider: https://idp.test}", 79, "one of keys and keys_url"},
	{WHO ", keys_url: https://idp.test/k}", 79, "one of keys and keys_url"},
	{"  - {name: idp, issuer: a, provider: https://idp.test, keys_url: http://127.0.0.1/k}", 79, "trust.keys_url"},
	{"  - {name: idp, issuer: a, provider: https://idp.test, keys_url: \"https://me@idp.test\"}", 79,
		"trust.keys_url"},
	{WHO ", ca: ca.pem}", 79, "needs keys_url"},
	{OTHER ", subject: email}", 79, "trust.subject"},
	{OTHER ", groups: roles}", 79, "trust.groups"},
	{WHO ", groups: "
	     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}", /* 65 */
		79, "trust.groups"},
	{WHO ", max_lifetime: 0s}", 79, "1s to 24h"},
	{WHO ", max_lifetime: 25h}", 79, "1s to 24h"},
	{WHO ", max_lifetime: \"3600\"}", 79, "1s to 24h"},
};

Test(config, whose_word_cannot_be_taken_is_refused_with_the_line)
{
	for (size_t i = 0; i < sizeof untrusted / sizeof *untrusted; i++) {
		char text[1024], place[80];
		snprintf(text, sizeof text, TRUST "%s", untrusted[i].text);
		snprintf(place, sizeof place, "%s:%d: ", path, untrusted[i].told);
		cr_expect_eq(load_with(77, text), HM_REFUSED, "%s", untrusted[i].text);
		cr_expect_eq(strncmp(why.detail, place, strlen(place)), 0, "%s: %s", untrusted[i].text, why.detail);
		cr_expect_not_null(strstr(why.detail, untrusted[i].word), "%s: %s", untrusted[i].text, why.detail);
	}
}
