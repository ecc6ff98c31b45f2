/* SPDX-License-Identifier: Apache-2.0 */
#include "documents.h"

#include "base64url.h"
#include "dpop.h"
#include "file.h"
#include "json_write.h"
#include "proof.h"
#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DOCUMENT_MAX = 128 * 1024, REFRESH_HINT_SECONDS = 300 };

/* Where each document of an issuer stands: what is before and behind its URL's path. RFC 8414, section 3.1: the
 * well-known part of authorization server metadata goes before. */
enum document { DOCUMENT_JWKS, DOCUMENT_OPENID, DOCUMENT_OAUTH, DOCUMENT_BUNDLE, DOCUMENT_AUTHORIZE, DOCUMENTS };
static const struct {
	const char *before, *behind;
} places[DOCUMENTS] = {{"", "/.well-known/jwks.json"}, {"", "/.well-known/openid-configuration"},
	{"/.well-known/oauth-authorization-server", ""}, {"", "/spiffe/bundle.json"}, {"", "/oauth2/authorize"}};

struct work {
	const struct config *config;
	const struct issuing_keys *keys;
	struct publications *publications;
	publication_use *changed;
	void *context;
	struct hm_json json;
	char text[DOCUMENT_MAX];
};

static void put_path(char path[HM_HTTP_MAX_PATH], enum document document, const struct config_issuer *issuer)
{
	snprintf(path, HM_HTTP_MAX_PATH, "%s%s%s", places[document].before, issuer->path, places[document].behind);
}

static void put(struct work *work, enum document document, const struct config_issuer *issuer)
{
	char path[HM_HTTP_MAX_PATH];
	bool is_refusal = document == DOCUMENT_AUTHORIZE;
	put_path(path, document, issuer);
	if (publications_set(work->publications, path, is_refusal ? 400 : 200, "application/json",
		    is_refusal ? CACHING_NONE : CACHING_MINUTES, work->text, work->json.out.used))
		work->changed(work->context, publications_find(work->publications, path));
}

static void begin(struct work *work)
{
	work->json = hm_json(work->text, sizeof work->text);
	hm_json_begin(&work->json, '{');
}

/* ---- keys ---- */

static void put_key(struct work *work, const struct issuing_key *issuing, const char *use)
{
	char key[JWK_MEMBERS_MAX + 256];
	int length = snprintf(key, sizeof key, "{%s,\"use\":\"%s\",\"kid\":\"%s\",\"alg\":\"%s\"}",
		issuing->jwk.members, use, issuing->jwk.kid, key_algorithm_jose(issuing->config->algorithm));
	hm_json_raw(&work->json, key, (size_t)length);
}

/* One key may be on two tokens, of the same issuer and use. */
static bool is_repeated(const struct work *work, const struct issuing_key *issuing)
{
	for (const struct issuing_key *key = work->keys->items; key < issuing; key++)
		if (key->config->issuer_index == issuing->config->issuer_index && key->known &&
			issuing_key_is_public(key) && strcmp(key->jwk.kid, issuing->jwk.kid) == 0)
			return true;
	return false;
}

static bool is_listed(const struct work *work, const struct issuing_key *issuing, unsigned issuer)
{
	return issuing->config->issuer_index == issuer && issuing->known && issuing_key_is_public(issuing) &&
	       !is_repeated(work, issuing);
}

/* RFC 7517, section 5: every key that signs JWTs for this issuer, will, or did while they live. */
static void put_jwks(struct work *work, unsigned issuer)
{
	begin(work);
	hm_json_key(&work->json, "keys");
	hm_json_begin(&work->json, '[');
	for (unsigned i = 0; i < work->keys->count; i++)
		if (is_listed(work, &work->keys->items[i], issuer))
			put_key(work, &work->keys->items[i], "sig");
	hm_json_end(&work->json, ']');
	hm_json_end(&work->json, '}');
	put(work, DOCUMENT_JWKS, &work->config->issuers[issuer]);
}

/* ---- discovery ---- */

static void put_url(struct work *work, const char *name, const struct config_issuer *issuer, const char *behind)
{
	char url[HM_URL_MAX + 32];
	snprintf(url, sizeof url, "%s%s", issuer->url, behind);
	hm_json_member_string(&work->json, name, url);
}

static void put_list(struct work *work, const char *name, const char *only)
{
	hm_json_key(&work->json, name);
	hm_json_begin(&work->json, '[');
	if (only)
		hm_json_string(&work->json, only);
	hm_json_end(&work->json, ']');
}

/* RFC 8414, section 2. The authorization endpoint is there because MCP's and OpenID's clients refuse metadata without
 * one, as those of MCP do without S256: it grants nothing, by no response type. */
static void put_common_metadata(struct work *work, const struct config_issuer *issuer)
{
	begin(work);
	hm_json_member_string(&work->json, "issuer", issuer->url);
	put_url(work, "jwks_uri", issuer, "/.well-known/jwks.json");
	put_url(work, "authorization_endpoint", issuer, "/oauth2/authorize");
	put_list(work, "response_types_supported", NULL);
	put_list(work, "code_challenge_methods_supported", "S256");
	put_url(work, "introspection_endpoint", issuer, "/oauth2/introspect");
	put_list(work, "introspection_endpoint_auth_methods_supported", "tls_client_auth");
	put_url(work, "revocation_endpoint", issuer, "/oauth2/revoke");
	put_list(work, "revocation_endpoint_auth_methods_supported", "tls_client_auth");
}

static bool signs_with(const struct config *config, unsigned issuer, enum key_algorithm algorithm)
{
	for (unsigned i = 0; i < config->keys_count; i++)
		if (config->keys[i].issuer_index == issuer && config->keys[i].algorithm == algorithm)
			return true;
	return false;
}

static void put_algorithms(struct work *work, const struct config_issuer *issuer)
{
	hm_json_key(&work->json, "id_token_signing_alg_values_supported");
	hm_json_begin(&work->json, '[');
	for (enum key_algorithm algorithm = 0; algorithm < KEY_ALGORITHMS; algorithm++)
		if (signs_with(work->config, (unsigned)(issuer - work->config->issuers), algorithm))
			hm_json_string(&work->json, key_algorithm_jose(algorithm));
	hm_json_end(&work->json, ']');
}

/* By any of its profiles. */
static unsigned grants_of(const struct config *config, unsigned issuer)
{
	unsigned grants = 0;
	for (unsigned i = 0; i < config->profiles_count; i++)
		if (config->profiles[i].issuer_index == issuer)
			grants |= config->profiles[i].grants;
	return grants;
}

static bool has_caller_with_keys(const struct config *config, unsigned issuer)
{
	for (unsigned i = 0; i < config->callers_count; i++)
		if (config->callers[i].issuer_index == issuer && (config->callers[i].keys || config->callers[i].trust))
			return true;
	return false;
}

static bool makes_svids(const struct config *config, unsigned issuer)
{
	for (unsigned i = 0; i < config->keys_count; i++)
		if (config->keys[i].issuer_index == issuer && config->keys[i].use == KEY_USE_JWT_SVID)
			return true;
	return false;
}

/* RFC 8705, section 2.1.1; RFC 7523; draft-ietf-oauth-spiffe-client-auth. */
static void put_client_authentication(struct work *work, unsigned issuer)
{
	bool has_keys = has_caller_with_keys(work->config, issuer);
	hm_json_key(&work->json, "token_endpoint_auth_methods_supported");
	hm_json_begin(&work->json, '[');
	hm_json_string(&work->json, "tls_client_auth");
	if (has_keys)
		hm_json_string(&work->json, "private_key_jwt");
	if (makes_svids(work->config, issuer))
		hm_json_string(&work->json, "spiffe_jwt");
	hm_json_end(&work->json, ']');
	if (!has_keys)
		return;
	hm_json_key(&work->json, "token_endpoint_auth_signing_alg_values_supported");
	hm_json_begin(&work->json, '[');
	for (enum key_algorithm algorithm = 0; algorithm < KEY_ALGORITHMS; algorithm++)
		hm_json_string(&work->json, key_algorithm_jose(algorithm));
	hm_json_end(&work->json, ']');
}

static void put_grants(struct work *work, unsigned grants)
{
	hm_json_key(&work->json, "grant_types_supported");
	hm_json_begin(&work->json, '[');
	if (grants & GRANT_CLIENT_CREDENTIALS)
		hm_json_string(&work->json, "client_credentials");
	if (grants & GRANT_TOKEN_EXCHANGE)
		hm_json_string(&work->json, "urn:ietf:params:oauth:grant-type:token-exchange");
	hm_json_end(&work->json, ']');
}

/* RFC 9449, section 5.1; RFC 8705, section 3.3. */
static void put_proofs(struct work *work, unsigned issuer)
{
	hm_json_key(&work->json, "dpop_signing_alg_values_supported");
	hm_json_begin(&work->json, '[');
	for (const char *const *name = dpop_algorithms; *name; name++)
		hm_json_string(&work->json, *name);
	hm_json_end(&work->json, ']');
	if (!proof_may_be_certificate(work->config, issuer))
		return;
	hm_json_key(&work->json, "tls_client_certificate_bound_access_tokens");
	hm_json_bool(&work->json, true);
}

/* RFC 8414, section 2. */
static void put_token_endpoint(struct work *work, const struct config_issuer *issuer)
{
	unsigned grants = grants_of(work->config, (unsigned)(issuer - work->config->issuers));
	put_grants(work, grants);
	if (!grants)
		return;
	put_url(work, "token_endpoint", issuer, "/oauth2/token");
	put_client_authentication(work, (unsigned)(issuer - work->config->issuers));
	put_proofs(work, (unsigned)(issuer - work->config->issuers));
}

static void put_discovery(struct work *work, const struct config_issuer *issuer)
{
	put_common_metadata(work, issuer);
	put_list(work, "subject_types_supported", "public");
	put_algorithms(work, issuer);
	put_token_endpoint(work, issuer);
	hm_json_end(&work->json, '}');
	put(work, DOCUMENT_OPENID, issuer);

	put_common_metadata(work, issuer);
	put_token_endpoint(work, issuer);
	hm_json_end(&work->json, '}');
	put(work, DOCUMENT_OAUTH, issuer);
}

/* RFC 6749, section 4.1.2.1: no client has registered a redirect URI, so that whoever came is told here. */
static void put_authorize(struct work *work, const struct config_issuer *issuer)
{
	begin(work);
	hm_json_member_string(&work->json, "error", "unsupported_response_type");
	hm_json_member_string(&work->json, "error_description", "nobody logs in here: ask the token endpoint");
	hm_json_end(&work->json, '}');
	put(work, DOCUMENT_AUTHORIZE, issuer);
}

/* ---- the bundle and its sequence ---- */

static hm_result next_sequence(
	const struct config *config, const char *name, const char *digest, uint64_t *sequence, struct hm_problem *why)
{
	char path[HM_PATH_MAX], text[128] = "", seen[64] = "";
	size_t length;
	if (snprintf(path, sizeof path, "%s/bundle", config->state) >= (int)sizeof path ||
		(mkdir(path, 0700) < 0 && errno != EEXIST))
		return hm_unavailable(why, "system", "%s: %s", path, strerror(errno));
	if (snprintf(path, sizeof path, "%s/bundle/%s", config->state, name) >= (int)sizeof path)
		return hm_unavailable(why, "system", "%s: path too long", config->state);

	*sequence = 0;
	if (access(path, F_OK) == 0) {
		HM_TRY(file_read(path, false, text, sizeof text - 1, &length, why));
		if (sscanf(text, "%" SCNu64 " %63s", sequence, seen) != 2)
			return hm_unavailable(why, "system", "%s: not a sequence and a digest", path);
	} else if (errno != ENOENT) { /* a sequence that cannot be read must not begin anew */
		return hm_unavailable(why, "system", "%s: %s", path, strerror(errno));
	}
	if (strcmp(seen, digest) == 0)
		return HM_OK;
	++*sequence;
	int wanted = snprintf(text, sizeof text, "%" PRIu64 " %s\n", *sequence, digest);
	return file_replace(path, text, (size_t)wanted, 0600, why);
}

static void put_bundle_keys(struct work *work, unsigned issuer)
{
	hm_json_key(&work->json, "keys");
	hm_json_begin(&work->json, '[');
	for (unsigned i = 0; i < work->keys->count; i++)
		if (is_listed(work, &work->keys->items[i], issuer) &&
			work->keys->items[i].config->use == KEY_USE_JWT_SVID)
			put_key(work, &work->keys->items[i], "jwt-svid");
	hm_json_end(&work->json, ']');
}

/* SPIFFE Trust Domain and Bundle, section 4. */
static hm_result put_bundle(struct work *work, unsigned index, struct hm_problem *why)
{
	const struct config_issuer *issuer = &work->config->issuers[index];
	char text[44];
	uint8_t digest[32];
	uint64_t sequence = 0;

	begin(work);
	put_bundle_keys(work, index);
	if (EVP_Digest(work->text, work->json.out.used, digest, NULL, EVP_sha256(), NULL) != 1)
		return hm_broken(why, "SHA-256 failed");
	text[base64url_encode(digest, sizeof digest, text)] = 0;
	HM_TRY(next_sequence(work->config, issuer->name, text, &sequence, why));
	hm_json_member_number(&work->json, "spiffe_sequence", (int64_t)sequence);
	hm_json_member_number(&work->json, "spiffe_refresh_hint", REFRESH_HINT_SECONDS);
	hm_json_end(&work->json, '}');
	put(work, DOCUMENT_BUNDLE, issuer);
	return HM_OK;
}

hm_result documents_publish(const struct config *config, const struct issuing_keys *keys,
	struct publications *publications, publication_use *changed, void *context, struct hm_problem *why)
{
	static struct work work;
	work = (struct work){config, keys, publications, changed, context, .json = {.comma = false}};
	for (unsigned i = 0; i < config->issuers_count; i++) {
		if (!issuing_keys_are_whole(keys, i))
			continue; /* half a key set would make verifiers drop the other half */
		put_jwks(&work, i);
		put_discovery(&work, &config->issuers[i]);
		put_authorize(&work, &config->issuers[i]);
		HM_TRY(put_bundle(&work, i, why));
	}
	return HM_OK;
}

static bool has_issuer(const struct config *config, const char *url)
{
	for (unsigned i = 0; i < config->issuers_count; i++)
		if (strcmp(config->issuers[i].url, url) == 0)
			return true;
	return false;
}

void documents_withdraw(const struct config *old, const struct config *new, struct publications *publications,
	publication_use *removed, void *context)
{
	char path[HM_HTTP_MAX_PATH];
	for (unsigned i = 0; i < old->issuers_count; i++) {
		if (has_issuer(new, old->issuers[i].url))
			continue;
		for (int document = 0; document < DOCUMENTS; document++) {
			put_path(path, document, &old->issuers[i]);
			publications_remove(publications, path, removed, context);
		}
		for (unsigned list = 0; list < HM_STATUS_LISTS_MAX; list++) {
			snprintf(path, sizeof path, "%s/status/%u", old->issuers[i].path, list);
			publications_remove(publications, path, removed, context);
		}
	}
}
