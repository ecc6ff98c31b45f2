/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration file. Whatever it holds, loading ends; a refusal names file and line, and what is accepted goes
 * into the token processes' frames whole.
 */
#include "fuzz.h"

#include "config.h"
#include "scratch.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char full[] = "listen:\n"
			   "  socket: hsmint.sock\n"
			   "  control: control.sock\n"
			   "  tls:\n"
			   "    address: 127.0.0.1\n"
			   "    port: 8443\n"
			   "    certificate: tls/server.crt\n"
			   "    key: tls/server.key\n"
			   "    trust: tls/ca.crt\n"
			   "  sandbox: best\n"
			   "state: state\n"
			   "ledger:\n"
			   "  origin: mint.test/ledger\n"
			   "  directory: ledger\n"
			   "  key: tree\n"
			   "  shard: 30d\n"
			   "  anchor:\n"
			   "    file: far/anchor\n"
			   "    token: other\n"
			   "    witness: {url: \"https://w.test/\", key: "
			   "w.test+7e155399+BNEOyp5aUaJ7VA673+JPnlcqdS09LTPcybVQaC/XPVAv}\n"
			   "issuers:\n"
			   "  - {name: a, url: \"https://mint.test/a\", trust_domain: a.test}\n"
			   "  - {name: b, url: \"https://mint.test\", trust_domain: b.test}\n"
			   "tokens:\n"
			   "  - name: soft\n"
			   "    module: /usr/lib/softhsm/libsofthsm2.so\n"
			   "    label: hsmint\n"
			   "    serials: [0123456789abcdef]\n"
			   "    pin: pin\n"
			   "    threads: 4\n"
			   "    self_check: sampled\n"
			   "    environment:\n"
			   "      - {name: SOFTHSM2_CONF, value: softhsm2.conf, path: true}\n"
			   "  - {name: other, module: module.so, label: other, login: credential, pin: other.pin}\n"
			   "keys:\n"
			   "  - name: a-access\n"
			   "    issuer: a\n"
			   "    token: soft\n"
			   "    label: first\n"
			   "    id: \"01fF\"\n"
			   "    use: access-token\n"
			   "    algorithm: ES256\n"
			   "  - {name: b-svid, issuer: b, token: other, label: second, use: jwt-svid}\n"
			   "  - {name: tree, token: other, label: tree, use: checkpoint, algorithm: Ed25519}\n"
			   "profiles:\n"
			   "  - name: access\n"
			   "    issuer: a\n"
			   "    kind: at+jwt\n"
			   "    key: a-access\n"
			   "    lifetime: {default: 300, maximum: 900}\n"
			   "    backdate: 0\n"
			   "    audiences: [\"https://api.a.test\"]\n"
			   "    subjects: [\"spiffe://a.test/agent/*\"]\n"
			   "    scopes: [read, write]\n"
			   "    callers: [broker]\n"
			   "    claims:\n"
			   "      - {name: session, size: 64, pattern: \"s-*\"}\n"
			   "      - {name: level, type: integer, constant: \"7\"}\n"
			   "      - {name: stage, enumeration: [test, staging], required: true}\n"
			   "  - name: svid\n"
			   "    issuer: b\n"
			   "    kind: jwt-svid\n"
			   "    key: b-svid\n"
			   "    lifetime: {default: 60, maximum: 60}\n"
			   "    audiences: [\"https://api.b.test\"]\n"
			   "    subjects: [\"spiffe://b.test/agent/*\"]\n"
			   "    callers: [broker]\n"
			   "callers:\n"
			   "  - {name: broker, issuer: a, uri: \"spiffe://a.test/broker\", roles: [mint, audit]}\n"
			   "  - {name: broker, issuer: b, uid: 1000, roles: [mint]}\n"
			   "  - name: pinned\n"
			   "    issuer: b\n"
			   "    spki: cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s\n"
			   "    roles: [mint]\n";

static const char least[] =
	"listen: {socket: s, control: c}\n"
	"state: state\n"
	"ledger: {origin: o}\n"
	"issuers: [{name: a, url: \"https://a.test\", trust_domain: a.test}]\n"
	"tokens: [{name: t, module: m, label: as-long-as-a-token-s-label-gets-, pin: p}]\n"
	"keys: [{name: k, issuer: a, token: t, label: k, use: jwt-svid}]\n"
	"profiles: [{name: p, issuer: a, kind: jwt-svid, key: k, lifetime: {default: 1, maximum: 2}, audiences: [x],"
	" subjects: [\"spiffe://a.test/*\"], callers: [c]}]\n"
	"callers: [{name: c, issuer: a, uid: 0, roles: [mint]}]\n";

static const char *const well_formed[] = {full, least};
enum { WELL_FORMED = sizeof well_formed / sizeof *well_formed, FRAME_MAX = 256 * 1024 };

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* Nothing is cut off on its way into a frame. */
static void check_whole(const struct config_token *token, const struct token_config *frame)
{
	check(strcmp(token->name, frame->name) == 0 && strcmp(token->module, frame->module) == 0);
	check(strcmp(token->label, frame->label) == 0 && strcmp(token->pin, frame->pin_file) == 0);
	check(token->threads == frame->threads && token->serials_count == frame->serial_count);
	for (unsigned i = 0; i < frame->serial_count; i++)
		check(strcmp(token->serials[i], frame->serials[i]) == 0);
	for (unsigned i = 0; i < frame->environment_count; i++)
		check(strlen(frame->environment[i]) ==
			strlen(token->environment[i].name) + 1 + strlen(token->environment[i].value));
}

static void check_frames(const struct config *config)
{
	static struct token_config sent, received;
	static uint8_t payload[FRAME_MAX];
	for (unsigned i = 0; i < config->tokens_count; i++) {
		config_token_frame(config, i, &sent);
		check_whole(&config->tokens[i], &sent);
		struct hm_writer w = hm_writer(payload, sizeof payload);
		token_config_put(&w, &sent);
		struct hm_reader r = hm_reader(payload, w.used);
		check(!w.failed && token_config_get(&r, &received));
	}
}

static void check_refusal(const char *path, const struct hm_problem *why)
{
	unsigned line;
	size_t length = strlen(path);
	check(strcmp(why->code, "config") == 0 && memchr(why->detail, 0, sizeof why->detail));
	check(strncmp(why->detail, path, length) == 0 && sscanf(why->detail + length, ":%u: ", &line) == 1);
}

static bool is_accepted(const uint8_t *data, size_t size)
{
	struct hm_problem why = {0};
	struct config *config;
	const char *path = scratch_write("hsmint.yaml", data, size);
	if (config_load(path, &config, &why) != HM_OK) {
		check(!config);
		check_refusal(path, &why);
		return false;
	}
	check_frames(config);
	config_free(config);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	(void)is_accepted(data, size);
	return 0;
}

size_t fuzz_seed(unsigned number, uint8_t *data)
{
	if (number >= WELL_FORMED)
		return 0;
	size_t length = strlen(well_formed[number]);
	memcpy(data, well_formed[number], length);
	check(is_accepted(data, length));
	return length;
}
