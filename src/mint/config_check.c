/* SPDX-License-Identifier: Apache-2.0 */
#include "config_check.h"

#include "base64url.h"
#include "config_place.h"
#include "config_trust.h"
#include "file.h"
#include "identity.h"
#include "note.h"
#include "postgres.h"
#include "spiffe.h"
#include <arpa/inet.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

enum { THREADS_DEFAULT = 2, BURST_MAX = 1000000, ATTESTATION_MAX = 1024 * 1024 };
enum { STUCK_DEFAULT = 10, STUCK_MIN = 2, STUCK_MAX = 600 }; /* seconds */
enum {
	PUBLISH_AHEAD_DEFAULT = 60 * 60,
	PUBLISH_AHEAD_MIN = 5 * HM_JWKS_AGE,
	STALENESS_DEFAULT = 2, /* seconds */
	DECISION_MS_DEFAULT = 500
};
enum { CUSTODIANS_MIN = 2 };
enum { SHARD_MIN = 60 * 60, SHARD_DEFAULT = 90 * 24 * 60 * 60, SHARD_NUMBER_MAX = 5 /* digits */ };
enum { USER_TYPE_DEFAULT = 1 }; /* CKU_USER */
#define RATE_MIN 0.001
#define RATE_MAX 1e6

#define TPM_PERSISTENT_FIRST 0x81000000u /* TPM 2.0 Library, part 2, TPM_HC */
#define TPM_PERSISTENT_LAST  0x81ffffffu

/* ---- small rules ---- */

static bool is_hex(const char *text, size_t most)
{
	size_t length = strlen(text);
	return length && length % 2 == 0 && length <= most && text[strspn(text, "0123456789abcdefABCDEF")] == 0;
}

/* ---- listen ---- */

static hm_result check_socket(const struct place *place, const char *member, const char *path)
{
	enum { MOST = sizeof((struct sockaddr_un *)0)->sun_path - 1 };
	return strlen(path) <= MOST ? HM_OK
				    : complain(place, member, "a Unix socket's path has at most %d bytes", MOST);
}

static hm_result check_listen(struct config *config, const char *path, struct hm_problem *why)
{
	struct place place = {path, "listen", -1, why};
	HM_TRY(make_absolute(&place, "socket", &config->listen.socket));
	HM_TRY(make_absolute(&place, "control", &config->listen.control));
	HM_TRY(check_socket(&place, "socket", config->listen.socket));
	HM_TRY(check_socket(&place, "control", config->listen.control));
	if (strcmp(config->listen.socket, config->listen.control) == 0)
		return complain(&place, "control", "is the path of socket: two sockets need two");
	struct config_tls *tls = config->listen.tls;
	if (!tls)
		return HM_OK;
	uint8_t address[16];
	if (inet_pton(AF_INET, tls->address, address) != 1 && inet_pton(AF_INET6, tls->address, address) != 1)
		return complain(&place, "tls", "address '%.64s' is not a numeric IPv4 or IPv6 address", tls->address);
	HM_TRY(make_absolute(&place, "tls", &tls->certificate));
	HM_TRY(make_absolute(&place, "tls", &tls->key));
	return make_absolute(&place, "tls", &tls->trust);
}

/* ---- issuers ---- */

/* RFC 8414, section 2: https, no query, no fragment; and we want no user, no escapes, no trailing slash. */
static const char *url_fault(const char *url)
{
	if (strlen(url) > HM_URL_MAX)
		return "at most 512 bytes";
	if (strncmp(url, "https://", 8) != 0)
		return "an https URL";
	const char *host = url + 8;
	if (!*host || *host == '/')
		return "a URL with a host";
	for (const char *c = host; *c; c++)
		if (*c <= ' ' || *c >= 0x7f || strchr("?#@%\"\\<>", *c))
			return "no query, fragment, user, escape, quote or space in an issuer's URL";
	if (strstr(host, "/.")) /* "/.well-known" would stand in another issuer's way, ".." would be resolved away */
		return "no path segment that begins with '.'";
	return url[strlen(url) - 1] == '/' || strstr(host, "//") ? "no empty path segment, no trailing '/'" : NULL;
}

#ifdef HSMINT_TEST_CLOCK
/* RFC 6761, section 6.2: what is under .test belongs to nobody, so no verifier of the world trusts it. */
static const char *test_fault(const char *url)
{
	const char *host = url + strlen("https://");
	size_t length = strcspn(host, ":/");
	static const char end[] = ".test";
	bool is_test = length >= sizeof end && memcmp(host + length - strlen(end), end, strlen(end)) == 0;
	return is_test ? NULL : "a host under .test: this is a build for tests (HSMINT_TEST_CLOCK)";
}
#else
static const char *test_fault(const char *url)
{
	(void)url;
	return NULL;
}
#endif

static hm_result check_issuer(struct config *config, unsigned index, const struct place *place)
{
	struct config_issuer *issuer = &config->issuers[index];
	HM_TRY(check_name(place, issuer->name));
	const char *fault = url_fault(issuer->url);
	if (!fault)
		fault = test_fault(issuer->url);
	if (fault)
		return complain(place, "url", "'%.64s': %s", issuer->url, fault);
	issuer->path = strchr(issuer->url + 8, '/');
	if (!issuer->path)
		issuer->path = "";
	if (!spiffe_is_trust_domain(issuer->trust_domain, strlen(issuer->trust_domain)))
		return complain(place, "trust_domain", "'%.64s' is not a SPIFFE trust domain", issuer->trust_domain);
	for (unsigned i = 0; i < index; i++) {
		if (strcmp(config->issuers[i].name, issuer->name) == 0)
			return complain(place, "name", "'%.64s' is taken already", issuer->name);
		if (strcmp(config->issuers[i].path, issuer->path) == 0)
			return complain(place, "url", "its path '%.64s' is another issuer's already", issuer->path);
		if (strcmp(config->issuers[i].trust_domain, issuer->trust_domain) == 0)
			return complain(
				place, "trust_domain", "'%.64s' is another issuer's already", issuer->trust_domain);
	}
	return HM_OK;
}

/* ---- tokens and keys ---- */

static hm_result check_environment(struct config_token *token, const struct place *place)
{
	for (unsigned i = 0; i < token->environment_count; i++) {
		if (strchr(token->environment[i].name, '='))
			return complain(
				place, "environment", "'%.64s' is not a variable's name", token->environment[i].name);
		if (token->environment[i].path)
			HM_TRY(make_absolute(place, "environment", &token->environment[i].value));
		if (strlen(token->environment[i].name) + strlen(token->environment[i].value) + 2 > HM_PATH_MAX)
			return complain(place, "environment", "'%.64s' is too long", token->environment[i].name);
	}
	return HM_OK;
}

static hm_result check_waivers(struct config_token *token, const struct place *place)
{
	for (unsigned i = 0; i < token->waivers_count; i++) {
		HM_TRY(make_absolute(place, "waivers", &token->waivers[i].module));
		if (strcmp(token->waivers[i].module, token->module) != 0)
			return complain(place, "waivers", "of module '%.64s', but the token's is '%.64s'",
				token->waivers[i].module, token->module);
	}
	return HM_OK;
}

static bool is_in_environment(const struct config_token *token, const char *name)
{
	for (unsigned i = 0; i < token->environment_count; i++)
		if (strcmp(token->environment[i].name, name) == 0)
			return true;
	return false;
}

/* The TPM that is asked is the one that the module signs with: both go by the same variable. */
static hm_result check_tpm(const struct config_token *token, const struct place *place)
{
	if (!token->written_tpm_parent || !*token->written_tpm_parent)
		return HM_OK;
	if (*token->written_tpm_parent < TPM_PERSISTENT_FIRST || *token->written_tpm_parent > TPM_PERSISTENT_LAST)
		return complain(place, "tpm_parent", "a TPM's persistent handle, 0x%x to 0x%x, or 0",
			TPM_PERSISTENT_FIRST, TPM_PERSISTENT_LAST);
	if (!is_in_environment(token, "TPM2_PKCS11_TCTI"))
		return complain(place, "tpm_parent", "environment must name the TPM: TPM2_PKCS11_TCTI");
	return HM_OK;
}

static bool may_be_custodian(const struct config_caller *caller, const char *name)
{
	return strcmp(caller->name, name) == 0 && caller->uid && (caller->roles & ROLE_OPERATE);
}

/* Two issuers may have a caller of this name, but a custodian is one person. */
static hm_result find_custodian(const struct config *config, const struct place *place, const char *name, uint32_t *uid)
{
	bool is_found = false;
	for (unsigned i = 0; i < config->callers_count; i++) {
		const struct config_caller *caller = &config->callers[i];
		if (!may_be_custodian(caller, name))
			continue;
		if (is_found && *uid != *caller->uid)
			return complain(
				place, "custodians", "'%.64s' is a caller of two issuers, with different uids", name);
		*uid = *caller->uid;
		is_found = true;
	}
	return is_found ? HM_OK
			: complain(place, "custodians", "'%.64s' is no caller with a uid and the role operate", name);
}

static hm_result check_custodians(const struct config *config, struct config_token *token, const struct place *place)
{
	if (!token->custodians || token->custodians_count < CUSTODIANS_MIN)
		return complain(place, token->custodians ? "custodians" : "login", "%d to %d custodians",
			CUSTODIANS_MIN, HM_PIN_PARTS_MAX);
	for (unsigned i = 0; i < token->custodians_count; i++) {
		uint32_t *uid = &token->custodian_uids[i];
		HM_TRY(find_custodian(config, place, token->custodians[i], uid));
		for (unsigned other = 0; other < i; other++)
			if (token->custodian_uids[other] == *uid)
				return complain(place, "custodians", "'%.64s' has the uid of '%.64s': one person each",
					token->custodians[i], token->custodians[other]);
	}
	return HM_OK;
}

/* A login takes what it needs, and nothing else, which would be taken to protect something. */
static hm_result check_login(const struct config *config, struct config_token *token, const struct place *place)
{
	bool wants_pin = token->login == LOGIN_FILE || token->login == LOGIN_CREDENTIAL;
	if (!token->pin && wants_pin)
		return complain(place, NULL, "Missing required mapping field: pin");
	if (token->pin && !wants_pin)
		return complain(place, "pin", "not with login: %s", token_login_name(token->login));
	if (token->custodians && token->login != LOGIN_CUSTODIANS)
		return complain(place, "custodians", "only with login: custodians");
	if (token->login == LOGIN_CUSTODIANS)
		return check_custodians(config, token, place);
	if (token->login == LOGIN_FILE)
		return make_absolute(place, "pin", &token->pin);
	if (token->login == LOGIN_CREDENTIAL && strchr(token->pin, '/'))
		return complain(place, "pin", "with login: credential, the credential's name");
	return HM_OK;
}

static hm_result set_defaults(struct config_token *token, const struct place *place)
{
	token->user_type = token->written_user_type ? *token->written_user_type : USER_TYPE_DEFAULT;
	token->stuck_after = token->written_stuck_after ? *token->written_stuck_after : STUCK_DEFAULT;
	if (token->stuck_after < STUCK_MIN || token->stuck_after > STUCK_MAX)
		return complain(place, "stuck_after", "%d to %d seconds", STUCK_MIN, STUCK_MAX);
	if (!token->threads)
		token->threads = THREADS_DEFAULT;
	if (token->threads > HM_TOKEN_THREADS_MAX)
		return complain(place, "threads", "1 to %d", HM_TOKEN_THREADS_MAX);
	return HM_OK;
}

static hm_result check_token(struct config *config, unsigned index, const struct place *place)
{
	struct config_token *token = &config->tokens[index];
	HM_TRY(check_name(place, token->name));
	for (unsigned i = 0; i < index; i++)
		if (strcmp(config->tokens[i].name, token->name) == 0)
			return complain(place, "name", "'%.64s' is taken already", token->name);
	HM_TRY(make_absolute(place, "module", &token->module));
	HM_TRY(check_login(config, token, place));
	for (unsigned i = 0; i < token->serials_count; i++)
		if (strlen(token->serials[i]) > 16)
			return complain(
				place, "serials", "'%.64s': a serial has at most 16 characters", token->serials[i]);
	for (unsigned i = 0; i < token->paths_count; i++)
		HM_TRY(make_absolute(place, "paths", &token->paths[i].path));
	HM_TRY(check_environment(token, place));
	HM_TRY(check_waivers(token, place));
	HM_TRY(check_tpm(token, place));
	return set_defaults(token, place);
}

static hm_result hash_attestation(struct config_key *key, const struct place *place)
{
	static uint8_t data[ATTESTATION_MAX];
	struct hm_problem problem;
	size_t length;
	if (!key->attestation)
		return HM_OK;
	HM_TRY(make_absolute(place, "attestation", &key->attestation));
	if (file_read(key->attestation, false, data, sizeof data, &length, &problem) != HM_OK)
		return complain(place, "attestation", "%s", problem.detail);
	if (EVP_Digest(data, length, key->attestation_sha256, NULL, EVP_sha256(), NULL) != 1)
		return hm_broken(place->why, "SHA-256 failed");
	return HM_OK;
}

/* A verifier that keeps the key set as long as it may, and asks some times in vain, still knows a key before it signs.
 */
static hm_result check_rotation(struct config_key *key, const struct place *place)
{
	key->publish_ahead = PUBLISH_AHEAD_DEFAULT;
	if (key->written_publish_ahead && (!parse_period(key->written_publish_ahead, &key->publish_ahead) ||
						  key->publish_ahead < PUBLISH_AHEAD_MIN))
		return complain(place, "publish_ahead",
			"a period such as 1h or 2d, at least %ds: five times as long as verifiers may keep the key set",
			PUBLISH_AHEAD_MIN);
	if (!key->written_rotate)
		return HM_OK;
	if (!parse_period(key->written_rotate, &key->rotate) || key->rotate < 2 * key->publish_ahead)
		return complain(place, "rotate", "a period such as 90d, at least twice publish_ahead (%us)",
			key->publish_ahead);
	return HM_OK;
}

static hm_result find_token(
	const struct config *config, const struct place *place, const char *member, const char *name, unsigned *index)
{
	for (*index = 0; *index < config->tokens_count; ++*index)
		if (strcmp(config->tokens[*index].name, name) == 0)
			return HM_OK;
	return complain(place, member, "there is no token '%.64s'", name);
}

/* A key belongs to one issuer, but one that signs checkpoints to the ledger. */
static hm_result check_owner(const struct config *config, struct config_key *key, const struct place *place)
{
	if (key->use != KEY_USE_CHECKPOINT) {
		if (!key->issuer)
			return complain(place, NULL, "Missing required mapping field: issuer");
		return find_issuer(config, place, key->issuer, &key->issuer_index);
	}
	key->issuer_index = HM_ISSUERS_MAX;
	if (key->issuer)
		return complain(place, "issuer", "none: a key for checkpoints is the ledger's, of all issuers");
	if (key->algorithm != KEY_ES256 && key->algorithm != KEY_ED25519)
		return complain(place, "algorithm", "a checkpoint is signed with ES256 or Ed25519");
	return HM_OK;
}

static hm_result check_key(struct config *config, unsigned index, const struct place *place)
{
	struct config_key *key = &config->keys[index];
	HM_TRY(check_name(place, key->name));
	HM_TRY(check_owner(config, key, place));
	HM_TRY(find_token(config, place, "token", key->token, &key->token_index));
	if (key->id && !is_hex(key->id, 2 * sizeof(((struct token_key_config *)0)->id)))
		return complain(place, "id", "'%.64s': at most 32 bytes in hexadecimal", key->id);
	if (key->algorithm == KEY_ED25519 && key->use == KEY_USE_JWT_SVID) /* JWT-SVID, section 2.1 */
		return complain(place, "algorithm", "a JWT-SVID is signed with ES256, ES384, RS256 or PS256");
	if (key->algorithm == KEY_ED25519 && key->hash == KEY_HASH_HOST)
		return complain(place, "hash", "a token that signs with Ed25519 hashes by itself");
	if (key->algorithm == KEY_ED25519 && config->tokens[key->token_index].approved_only) /* FIPS 186-5, section 7 */
		return complain(place, "algorithm",
			"token '%.64s' has approved_only: ES256, ES384, RS256 or PS256. FIPS 186-4, by which most "
			"modules "
			"are certified, does not have Ed25519",
			key->token);
	HM_TRY(hash_attestation(key, place));
	HM_TRY(check_rotation(key, place));
	for (unsigned i = 0; i < index; i++) {
		const struct config_key *other = &config->keys[i];
		if (strcmp(other->name, key->name) == 0)
			return complain(place, "name", "'%.64s' is taken already", key->name);
		if (other->token_index != key->token_index)
			continue;
		if (strcmp(other->label, key->label) == 0 &&
			(!other->id || !key->id || !strcasecmp(other->id, key->id)))
			return complain(place, "label", "'%.64s' is key '%.64s' already: one use per key", key->label,
				other->name);
	}
	return HM_OK;
}

/* ---- callers ---- */

static bool same_text(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

/* Set where a rate is given; one whole credential must fit. */
static hm_result check_rate(const struct place *place, const double *rate, const unsigned *written, unsigned *burst)
{
	if (!rate)
		return written ? complain(place, "burst", "needs a rate") : HM_OK;
	if (!(*rate >= RATE_MIN && *rate <= RATE_MAX))
		return complain(place, "rate", "%g to %g credentials a second", RATE_MIN, RATE_MAX);
	*burst = written ? *written : *rate < 1 ? 1 : (unsigned)*rate;
	if (*burst < 1 || *burst > BURST_MAX)
		return complain(place, "burst", "1 to %d", BURST_MAX);
	return HM_OK;
}

static hm_result set_turns(struct config_caller *caller, const struct place *place)
{
	struct identity group;
	caller->weight = caller->written_weight ? *caller->written_weight : 1;
	if (caller->weight < 1 || caller->weight > HM_WEIGHT_MAX)
		return complain(place, "weight", "1 to %d", HM_WEIGHT_MAX);
	if (caller->fair_by == FAIR_BY_TENANT && !caller->tenant)
		return complain(place, "fair_by", "tenant needs the caller's key tenant: a member of context");
	HM_TRY(identity_of_words("group", caller->issuer, caller->fair_by == FAIR_BY_ISSUER ? NULL : caller->name, NULL,
		&group, place->why));
	caller->group = identity_number(&group);
	return HM_OK;
}

/* What a caller may not have in common with another of its issuer, or must. */
static hm_result compare_callers(
	const struct place *place, const struct config_caller *caller, const struct config_caller *other)
{
	if (strcmp(other->name, caller->name) == 0)
		return complain(place, "name", "'%.64s' is taken already", caller->name);
	if (same_text(other->uri, caller->uri) || same_text(other->spki, caller->spki) ||
		(same_text(other->trust, caller->trust) && same_text(other->subject, caller->subject)) ||
		(other->uid && caller->uid && *other->uid == *caller->uid))
		return complain(place, NULL, "'%.64s' is the same caller as '%.64s'", caller->name, other->name);
	if (other->group == caller->group && other->weight != caller->weight)
		return complain(place, "weight",
			"%u, but '%.64s', with which it shares turns (fair_by: issuer), has %u", caller->weight,
			other->name, other->weight);
	return HM_OK;
}

static bool is_agent_of(const struct config_issuer *issuer, const char *text)
{
	const char *rule;
	struct spiffe_id id;
	return spiffe_parse(text, strlen(text), &id, &rule) && spiffe_is_in(&id, issuer->trust_domain);
}

/* Read here once: a configuration that was loaded never changes. */
static hm_result read_keys(struct config_caller *caller, const struct place *place)
{
	static char text[HM_KEY_SET_MAX];
	size_t length;
	struct hm_problem fault;
	if (!caller->jwks)
		return HM_OK;
	HM_TRY(make_absolute(place, "jwks", &caller->jwks));
	if (file_read(caller->jwks, false, text, sizeof text, &length, &fault) != HM_OK ||
		key_set_read(text, length, KEY_SET_JWKS, &caller->keys, &fault) != HM_OK)
		return complain(place, "jwks", "%.200s", fault.detail);
	return caller->keys->count ? HM_OK : complain(place, "jwks", "a JWK Set with a key that signs");
}

static bool is_trusted(const struct config *config, unsigned issuer, const char *name)
{
	for (unsigned i = 0; i < config->trust_count; i++)
		if (config->trust[i].issuer_index == issuer && strcmp(config->trust[i].name, name) == 0)
			return true;
	return false;
}

/* Who is proven by another's word is named exactly enough for that to mean something. */
static hm_result check_caller_trust(
	const struct config *config, const struct config_caller *caller, const struct place *place)
{
	if (!caller->trust && !caller->subject)
		return HM_OK;
	if (!caller->trust || !caller->subject)
		return complain(place, caller->trust ? "trust" : "subject", "trust and subject go together");
	if (caller->subject[0] == '*')
		return complain(place, "subject", "a pattern that does not begin with '*'");
	return is_trusted(config, caller->issuer_index, caller->trust)
		       ? HM_OK
		       : complain(place, "trust", "issuer '%.64s' trusts nobody of the name '%.64s'", caller->issuer,
				 caller->trust);
}

static hm_result check_caller(struct config *config, unsigned index, const struct place *place)
{
	struct config_caller *caller = &config->callers[index];
	HM_TRY(check_name(place, caller->name));
	HM_TRY(find_issuer(config, place, caller->issuer, &caller->issuer_index));
	HM_TRY(check_rate(place, caller->rate, caller->written_burst, &caller->burst));
	HM_TRY(set_turns(caller, place));
	if (!caller->uri && !caller->spki && !caller->uid && !caller->jwks && !caller->trust)
		return complain(place, NULL, "a caller needs a uri, an spki, a uid, jwks or trust");
	HM_TRY(read_keys(caller, place));
	HM_TRY(check_caller_trust(config, caller, place));
	if (caller->spki && base64url_decode(caller->spki, strlen(caller->spki), caller->spki_sha256,
				    sizeof caller->spki_sha256) != sizeof caller->spki_sha256)
		return complain(place, "spki", "the base64url of the SHA-256 of a SubjectPublicKeyInfo: 43 characters");
	if (caller->agent && !is_agent_of(&config->issuers[caller->issuer_index], caller->agent))
		return complain(place, "agent", "a SPIFFE ID of trust domain %.64s",
			config->issuers[caller->issuer_index].trust_domain);
	for (unsigned i = 0; i < index; i++)
		if (config->callers[i].issuer_index == caller->issuer_index)
			HM_TRY(compare_callers(place, caller, &config->callers[i]));
	return HM_OK;
}

/* ---- profiles ---- */

static const char *const reserved_claims[] = {"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "scope",
	"cnf", "act", "may_act", "azp", "sub_id", "status", "txn", "authorization_details", "auth_time", "nonce",
	"task", NULL};

static hm_result check_constant(const struct place *place, const struct config_claim *claim)
{
	char *end;
	if (!claim->constant)
		return HM_OK;
	if (claim->pattern || claim->enumeration_count || claim->required || claim->size)
		return complain(place, "claims", "'%.64s': a constant takes nothing but a type", claim->name);
	if (claim->type == CLAIM_INTEGER) {
		long long value = strtoll(claim->constant, &end, 10);
		if (*end || end == claim->constant || value < -HM_INTEGER_MAX || value > HM_INTEGER_MAX)
			return complain(place, "claims",
				"'%.64s': the constant is not an integer from -(2^53)+1 to 2^53-1", claim->name);
	}
	if (claim->type == CLAIM_BOOLEAN && strcmp(claim->constant, "true") != 0 &&
		strcmp(claim->constant, "false") != 0)
		return complain(place, "claims", "'%.64s': the constant is not true or false", claim->name);
	return HM_OK;
}

static hm_result check_claim(const struct place *place, const struct config_profile *profile, unsigned index)
{
	struct config_claim *claim = &profile->claims[index];
	for (const char *c = claim->name; *c; c++)
		if (*c <= ' ' || *c >= 0x7f || *c == '"' || *c == '\\')
			return complain(place, "claims",
				"'%.64s': printable ASCII without spaces, quotes and backslashes", claim->name);
	for (size_t i = 0; reserved_claims[i]; i++)
		if (strcmp(claim->name, reserved_claims[i]) == 0)
			return complain(place, "claims", "'%.64s' is set by hsmint alone", claim->name);
	for (unsigned i = 0; i < index; i++)
		if (strcmp(claim->name, profile->claims[i].name) == 0)
			return complain(place, "claims", "'%.64s' is listed twice", claim->name);
	if (claim->type != CLAIM_STRING && (claim->pattern || claim->enumeration_count || claim->size))
		return complain(place, "claims", "'%.64s': pattern, enumeration and size are for strings", claim->name);
	if (claim->size > HM_CLAIMS_BYTES_MAX)
		return complain(place, "claims", "'%.64s': size is at most %d", claim->name, HM_CLAIMS_BYTES_MAX);
	if (!claim->size)
		claim->size = HM_CLAIM_STRING_MAX;
	return HM_OK;
}

static hm_result check_claims(const struct place *place, const struct config_profile *profile)
{
	size_t constants = 0;
	for (unsigned i = 0; i < profile->claims_count; i++) {
		const struct config_claim *claim = &profile->claims[i];
		HM_TRY(check_constant(place, claim));
		HM_TRY(check_claim(place, profile, i));
		constants += claim->constant ? strlen(claim->name) + strlen(claim->constant) : 0;
	}
	if (constants > HM_CLAIMS_BYTES_MAX)
		return complain(place, "claims", "constants of at most %d bytes in all", HM_CLAIMS_BYTES_MAX);
	return HM_OK;
}

static hm_result check_lifetime(const struct place *place, const struct config_profile *profile)
{
	if (profile->lifetime.maximum < 1 || profile->lifetime.maximum > HM_LIFETIME_MAX)
		return complain(place, "lifetime", "maximum is 1 to %d seconds", HM_LIFETIME_MAX);
	if (profile->lifetime.standard < 1 || profile->lifetime.standard > profile->lifetime.maximum)
		return complain(place, "lifetime", "default is 1 to maximum (%u)", profile->lifetime.maximum);
	if (profile->backdate && *profile->backdate > HM_BACKDATE_MAX)
		return complain(place, "backdate", "at most %d seconds", HM_BACKDATE_MAX);
	return HM_OK;
}

/* The keys of a profile do the same, each on a token of its own, so that one token can be away. */
static hm_result add_profile_key(const struct config *config, const struct place *place, struct config_profile *profile,
	const char *member, unsigned index)
{
	static const enum key_use wanted[CREDENTIAL_KINDS] = {KEY_USE_ACCESS_TOKEN, KEY_USE_JWT_SVID};
	const struct config_key *key = &config->keys[index];
	if (key->issuer && key->issuer_index != profile->issuer_index)
		return complain(place, member, "'%.64s' belongs to issuer '%.64s'", key->name, key->issuer);
	if (key->use != wanted[profile->kind])
		return complain(place, member, "'%.64s' is for %s; kind %s needs one for %s", key->name,
			key_use_name(key->use), credential_kind_name(profile->kind),
			key_use_name(wanted[profile->kind]));
	for (unsigned i = 0; i < profile->key_count; i++)
		if (config->keys[profile->key_indexes[i]].token_index == key->token_index)
			return complain(place, member, "'%.64s' is on the token of '%.64s'", key->name,
				config->keys[profile->key_indexes[i]].name);
	profile->key_indexes[profile->key_count++] = index;
	return HM_OK;
}

static hm_result check_profile_key(const struct config *config, const struct place *place,
	struct config_profile *profile, const char *member, const char *name)
{
	for (unsigned i = 0; i < config->keys_count; i++)
		if (strcmp(config->keys[i].name, name) == 0)
			return add_profile_key(config, place, profile, member, i);
	return complain(place, member, "there is no key '%.64s'", name);
}

static hm_result check_profile_keys(
	const struct config *config, const struct place *place, struct config_profile *profile)
{
	profile->key_count = 0;
	HM_TRY(check_profile_key(config, place, profile, "key", profile->key));
	for (unsigned i = 0; i < profile->other_keys_count; i++)
		HM_TRY(check_profile_key(config, place, profile, "other_keys", profile->other_keys[i]));
	return HM_OK;
}

static const struct config_caller *issuer_caller(const struct config *config, unsigned issuer, const char *name)
{
	for (unsigned i = 0; i < config->callers_count; i++)
		if (config->callers[i].issuer_index == issuer && strcmp(config->callers[i].name, name) == 0)
			return &config->callers[i];
	return NULL;
}

static hm_result check_profile_caller(
	const struct config *config, const struct place *place, const struct config_profile *profile, const char *name)
{
	const struct config_caller *caller = issuer_caller(config, profile->issuer_index, name);
	if (!caller)
		return complain(place, "callers", "issuer '%.64s' has no caller '%.64s'", profile->issuer, name);
	if (profile->rate && profile->per == PER_TENANT && !caller->tenant)
		return complain(place, "per", "tenant, but caller '%.64s' has no key tenant", name);
	return HM_OK;
}

static bool is_scope(const char *scope)
{
	if (strlen(scope) > HM_SCOPE_MAX)
		return false;
	for (; *scope; scope++)
		if (*scope <= ' ' || *scope >= 0x7f || *scope == '"' || *scope == '\\') /* RFC 6749, appendix A.4 */
			return false;
	return true;
}

/* A claim that names a person is what the caller says, as a string. */
static hm_result check_human(const struct place *place, const struct config_profile *profile, const char *name)
{
	for (unsigned i = 0; i < profile->claims_count; i++)
		if (strcmp(profile->claims[i].name, name) == 0 &&
			(profile->claims[i].type != CLAIM_STRING || profile->claims[i].constant))
			return complain(place, "humans", "claim '%.64s' must be a string that callers give", name);
	return HM_OK;
}

static hm_result check_profile_lists(
	const struct config *config, const struct place *place, const struct config_profile *profile)
{
	const char *trust_domain = config->issuers[profile->issuer_index].trust_domain;
	for (unsigned i = 0; i < profile->subjects_count; i++)
		if (!spiffe_is_pattern(profile->subjects[i], trust_domain))
			return complain(place, "subjects", "'%.64s': a pattern of SPIFFE IDs, beginning spiffe://%s/",
				profile->subjects[i], trust_domain);
	for (unsigned i = 0; i < profile->scopes_count; i++)
		if (!is_scope(profile->scopes[i]))
			return complain(place, "scopes", "'%.64s' is not a scope of at most %d characters",
				profile->scopes[i], HM_SCOPE_MAX);
	for (unsigned i = 0; i < profile->humans_count; i++)
		HM_TRY(check_human(place, profile, profile->humans[i]));
	for (unsigned i = 0; i < profile->callers_count; i++)
		HM_TRY(check_profile_caller(config, place, profile, profile->callers[i]));
	return HM_OK;
}

static bool lists_text(char *const *list, unsigned count, const char *text)
{
	for (unsigned i = 0; i < count; i++)
		if (strcmp(list[i], text) == 0)
			return true;
	return false;
}

static hm_result check_approve(
	const struct config_profile *profile, struct config_approve *approve, const struct place *place)
{
	if (!approve->scopes_count && !approve->audiences_count)
		return complain(place, "approve", "needs scopes or audiences: which of them must be approved");
	for (unsigned i = 0; i < approve->scopes_count; i++)
		if (!lists_text(profile->scopes, profile->scopes_count, approve->scopes[i]))
			return complain(
				place, "approve", "'%.64s' is none of the profile's scopes", approve->scopes[i]);
	if (approve->by < 1 || approve->by > HM_APPROVERS_MAX)
		return complain(place, "approve", "by: 1 to %d approvers", HM_APPROVERS_MAX);
	if (!parse_period(approve->written_within, &approve->within) || !approve->within ||
		approve->within > HM_APPROVAL_SECONDS_MAX)
		return complain(place, "approve", "within: a period such as 15m, at most 1d");
	return HM_OK;
}

static bool is_group_of_trusted(
	const struct config *config, unsigned issuer, const struct config_exchange *exchange, const char *group)
{
	size_t length = strcspn(group, ":");
	for (unsigned i = 0; i < config->trust_count; i++) {
		const struct config_trust *trust = &config->trust[i];
		if (trust->issuer_index == issuer && trust->groups && strlen(trust->name) == length &&
			strncmp(trust->name, group, length) == 0 && group[length] == ':' && group[length + 1])
			return lists_text(exchange->trust, exchange->trust_count, trust->name);
	}
	return false;
}

static hm_result check_exchange(const struct config *config, const struct config_profile *profile,
	struct config_exchange *exchange, const struct place *place)
{
	if (!(profile->grants & GRANT_TOKEN_EXCHANGE))
		return complain(place, "exchange", "needs grants: [token_exchange]");
	for (unsigned i = 0; i < exchange->trust_count; i++)
		if (!is_trusted(config, profile->issuer_index, exchange->trust[i]))
			return complain(place, "exchange", "trust: issuer '%.64s' trusts nobody of the name '%.64s'",
				profile->issuer, exchange->trust[i]);
	for (unsigned i = 0; i < exchange->groups_count; i++)
		if (!is_group_of_trusted(config, profile->issuer_index, exchange, exchange->groups[i]))
			return complain(place, "exchange",
				"groups: '%.64s' is no NAME:GROUP of somebody in trust who has "
				"groups",
				exchange->groups[i]);
	exchange->depth = exchange->written_depth ? *exchange->written_depth : EXCHANGE_DEPTH_DEFAULT;
	if (exchange->depth < 1 || exchange->depth > HM_DEPTH_MAX)
		return complain(place, "exchange", "depth: 1 to %d actors", HM_DEPTH_MAX);
	return HM_OK;
}

/* What ends early must be able to say so, and what is counted by task must have one. */
static hm_result check_governance(
	const struct config *config, struct config_profile *profile, const struct place *place)
{
	bool can_tell = false;
	for (unsigned i = 0; i < config->keys_count; i++)
		can_tell |= config->keys[i].use == KEY_USE_STATUS_LIST &&
			    config->keys[i].issuer_index == profile->issuer_index;
	if (profile->status != STATUS_OF_NONE && !can_tell)
		return complain(place, "status", "issuer '%.64s' has no key with use: status-list", profile->issuer);
	if (profile->max_per_task && !(profile->require & REQUIRE_TASK))
		return complain(place, "max_per_task", "needs require: [task]");
	if (profile->grants && profile->kind != KIND_ACCESS_TOKEN)
		return complain(place, "grants", "needs kind: at+jwt");
	if (profile->proof && !profile->grants)
		return complain(place, "proof", "needs grants: only a token endpoint takes proofs");
	if (profile->exchange)
		HM_TRY(check_exchange(config, profile, profile->exchange, place));
	return profile->approve ? check_approve(profile, profile->approve, place) : HM_OK;
}

static hm_result check_profile(struct config *config, unsigned index, const struct place *place)
{
	struct config_profile *profile = &config->profiles[index];
	HM_TRY(check_name(place, profile->name));
	for (unsigned i = 0; i < index; i++)
		if (strcmp(config->profiles[i].name, profile->name) == 0)
			return complain(place, "name", "'%.64s' is taken already", profile->name);
	HM_TRY(find_issuer(config, place, profile->issuer, &profile->issuer_index));
	HM_TRY(check_profile_keys(config, place, profile));
	HM_TRY(check_lifetime(place, profile));
	HM_TRY(check_rate(place, profile->rate, profile->written_burst, &profile->burst));
	HM_TRY(check_profile_lists(config, place, profile));
	HM_TRY(check_governance(config, profile, place));
	return check_claims(place, profile);
}

/* ---- the ledger ---- */

/* It is the name of a verifier key, too (C2SP signed-note), and has a slash and a shard's number behind. */
static bool is_origin(const char *origin)
{
	size_t length = strlen(origin);
	for (const char *c = origin; *c; c++)
		if (*c <= ' ' || *c >= 0x7f || *c == '+')
			return false;
	return length <= HM_ORIGIN_MAX - 1 - SHARD_NUMBER_MAX && origin[length - 1] != '/';
}

static hm_result find_checkpoint_key(struct config *config, const struct place *place)
{
	struct config_ledger *ledger = &config->ledger;
	ledger->key_index = HM_KEYS_MAX;
	for (unsigned i = 0; i < config->keys_count; i++) {
		const struct config_key *key = &config->keys[i];
		if (same_text(key->name, ledger->key))
			ledger->key_index = i;
		else if (key->use == KEY_USE_CHECKPOINT)
			return complain(&(struct place){place->path, "keys", (int)i, place->why}, "use",
				"'%.64s' signs no checkpoints: name it with ledger.key, or leave it out", key->name);
	}
	if (!ledger->key)
		return HM_OK;
	if (ledger->key_index == HM_KEYS_MAX)
		return complain(place, "key", "there is no key '%.64s'", ledger->key);
	enum key_use use = config->keys[ledger->key_index].use;
	if (use != KEY_USE_CHECKPOINT)
		return complain(place, "key", "'%.64s' is for %s; the ledger needs one with use: checkpoint",
			ledger->key, key_use_name(use));
	return HM_OK;
}

static bool is_witness_url(const char *url)
{
	static const char secure[] = "https://", local[] = "http://127.0.0.1";
	for (const char *c = url; *c; c++)
		if (*c <= ' ' || *c >= 0x7f)
			return false;
	if (strlen(url) > HM_URL_MAX)
		return false;
	if (strncmp(url, local, strlen(local)) == 0)
		return strchr(":/", url[strlen(local)]); /* or the end */
	return strncmp(url, secure, strlen(secure)) == 0 && url[strlen(secure)] && url[strlen(secure)] != '/';
}

static hm_result check_witness(
	const struct config *config, const struct config_witness *witness, const struct place *place)
{
	struct hm_problem problem;
	struct note_key key;
	if (config->keys[config->ledger.key_index].algorithm != KEY_ED25519)
		return complain(place, "anchor", "witness: key '%.64s' must be Ed25519, which all witnesses verify",
			config->ledger.key);
	if (!is_witness_url(witness->url))
		return complain(place, "anchor", "witness: '%.64s' is not a URL with https://, or http://127.0.0.1",
			witness->url);
	if (note_key_read(witness->key, &key, &problem) != HM_OK)
		return complain(place, "anchor", "witness: %s", problem.detail);
	if (key.algorithm != NOTE_COSIGNATURE) /* C2SP tlog-cosignature */
		return complain(place, "anchor", "witness: the key of a witness is of type 4, an Ed25519 cosignature");
	return HM_OK;
}

static hm_result check_anchor(const struct config *config, struct config_anchor *anchor, const struct place *place)
{
	if (!config->ledger.key)
		return complain(place, "anchor", "needs key: it keeps the newest checkpoint, and nobody signs one");
	if (!anchor->file && !anchor->token && !anchor->witness && !anchor->store)
		return complain(place, "anchor", "needs a file, a token, a witness or the store");
	if (anchor->store && !config->store)
		return complain(place, "anchor",
			"store: true needs a store in PostgreSQL: one beside the ledger would be "
			"restored together with it");
	anchor->store_url = anchor->store ? config->store : NULL;
	if (anchor->file)
		HM_TRY(make_absolute(place, "anchor", &anchor->file));
	anchor->token_index = HM_TOKENS_MAX;
	if (anchor->token)
		HM_TRY(find_token(config, place, "anchor", anchor->token, &anchor->token_index));
	return anchor->witness ? check_witness(config, anchor->witness, place) : HM_OK;
}

static hm_result check_ledger(struct config *config, const char *path, struct hm_problem *why)
{
	struct place place = {path, "ledger", -1, why};
	struct config_ledger *ledger = &config->ledger;
	if (!is_origin(ledger->origin))
		return complain(&place, "origin",
			"at most %d printable ASCII characters without space and '+', and no '/' at the end",
			HM_ORIGIN_MAX - 1 - SHARD_NUMBER_MAX);
	if (!ledger->directory && !(ledger->directory = strdup("ledger")))
		return hm_broken(why, "no memory");
	HM_TRY(make_absolute(&place, "directory", &ledger->directory));
	ledger->shard = SHARD_DEFAULT;
	if (ledger->written_shard &&
		(!parse_period(ledger->written_shard, &ledger->shard) || ledger->shard < SHARD_MIN))
		return complain(&place, "shard", "a period such as 90d, at least 1h");
	HM_TRY(find_checkpoint_key(config, &place));
	return ledger->anchor ? check_anchor(config, ledger->anchor, &place) : HM_OK;
}

/* ---- the store ---- */

static hm_result check_store(struct config *config, const char *path, struct hm_problem *why)
{
	struct place place = {path, "store", -1, why};
	config->max_staleness = STALENESS_DEFAULT;
	struct hm_problem fault;
	if (config->store && postgres_check_url(config->store, &fault) != HM_OK)
		return complain(&place, NULL, "%s", fault.detail);
	if (config->written_max_staleness &&
		(!parse_period(config->written_max_staleness, &config->max_staleness) || config->max_staleness < 1 ||
			config->max_staleness > HM_STALENESS_SECONDS_MAX))
		return complain(&(struct place){path, "max_staleness", -1, why}, NULL, "a period of 1s to %ds",
			HM_STALENESS_SECONDS_MAX);
	return HM_OK;
}

/* ---- the outside decision point ---- */

static hm_result check_policy(struct config *config, const char *path, struct hm_problem *why)
{
	struct place place = {path, "policy", -1, why};
	struct config_policy *policy = config->policy;
	if (!policy)
		return HM_OK;
	if (policy->engine == ENGINE_OPA && !policy->path)
		return complain(&place, "engine", "opa needs path: where its policy is, such as /v1/data/hsmint/allow");
	if (!policy->path && !(policy->path = strdup("/access/v1/evaluation"))) /* AuthZEN 1.0, section 10.1.1 */
		return hm_broken(why, "no memory");
	if (policy->path[0] != '/' || strpbrk(policy->path, "?# "))
		return complain(&place, "path", "begins with / and has no query");
	policy->deadline_ms = policy->written_deadline_ms ? *policy->written_deadline_ms : DECISION_MS_DEFAULT;
	if (policy->deadline_ms < 1 || policy->deadline_ms > HM_ENGINE_MS_MAX)
		return complain(&place, "deadline_ms", "1 to %d", HM_ENGINE_MS_MAX);
	if (!policy->certificate != !policy->key)
		return complain(&place, "certificate", "needs key, and key needs certificate");
	char **const files[] = {&policy->socket, &policy->ca, &policy->certificate, &policy->key};
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		if (*files[i])
			HM_TRY(make_absolute(&place, NULL, files[i]));
	return HM_OK;
}

/* ---- all ---- */

typedef hm_result check_item(struct config *config, unsigned index, const struct place *place);

static hm_result check_each(struct config *config, const char *path, const char *list, unsigned count,
	check_item *check, struct hm_problem *why)
{
	for (unsigned i = 0; i < count; i++) {
		struct place place = {path, list, (int)i, why};
		HM_TRY(check(config, i, &place));
	}
	return HM_OK;
}

hm_result config_check(struct config *config, const char *path, struct hm_problem *why)
{
	struct place top = {path, "state", -1, why};
	HM_TRY(check_listen(config, path, why));
	HM_TRY(make_absolute(&top, NULL, &config->state));
	HM_TRY(check_each(config, path, "issuers", config->issuers_count, check_issuer, why));
	HM_TRY(check_each(config, path, "tokens", config->tokens_count, check_token, why));
	HM_TRY(check_each(config, path, "keys", config->keys_count, check_key, why));
	HM_TRY(check_ledger(config, path, why));
	HM_TRY(check_store(config, path, why));
	HM_TRY(check_policy(config, path, why));
	HM_TRY(check_each(config, path, "trust", config->trust_count, config_check_trust, why));
	HM_TRY(check_each(config, path, "callers", config->callers_count, check_caller, why));
	return check_each(config, path, "profiles", config->profiles_count, check_profile, why);
}
