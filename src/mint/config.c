/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "config_check.h"
#include "config_where.h"
#include "file.h"
#include <cyaml/cyaml.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *credential_kind_name(enum credential_kind kind)
{
	static const char *const names[CREDENTIAL_KINDS] = {"at+jwt", "jwt-svid"};
	return names[kind];
}

#define STRING(key, type, member) CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER, type, member, 1, HM_PATH_MAX - 1)
#define NAME(key, type, member)   CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER, type, member, 1, HM_NAME_MAX)
#define OPTIONAL_STRING(key, type, member) \
	CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, member, 1, HM_PATH_MAX - 1)
#define LIST(key, type, member, entry, least, most) \
	CYAML_FIELD_SEQUENCE(key, CYAML_FLAG_POINTER, type, member, entry, least, most)
#define OPTIONAL_LIST(key, type, member, entry, most) \
	CYAML_FIELD_SEQUENCE(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, member, entry, 0, most)

static const cyaml_schema_value_t text_entry = {CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 1, HM_PATH_MAX - 1)};

static const cyaml_strval_t sandbox_words[] = {{"require", SANDBOX_REQUIRE}, {"best", SANDBOX_BEST}};
static const cyaml_strval_t login_words[] = {{"file", LOGIN_FILE}, {"credential", LOGIN_CREDENTIAL},
	{"custodians", LOGIN_CUSTODIANS}, {"protected-path", LOGIN_PROTECTED_PATH}, {"none", LOGIN_NONE}};
static const cyaml_strval_t self_check_words[] = {{"always", SELF_CHECK_ALWAYS}, {"sampled", SELF_CHECK_SAMPLED}};
static const cyaml_strval_t use_words[] = {{"access-token", KEY_USE_ACCESS_TOKEN}, {"jwt-svid", KEY_USE_JWT_SVID},
	{"checkpoint", KEY_USE_CHECKPOINT}, {"status-list", KEY_USE_STATUS_LIST}};
static const cyaml_strval_t algorithm_words[] = {{"ES256", KEY_ES256}, {"ES384", KEY_ES384}, {"RS256", KEY_RS256},
	{"PS256", KEY_PS256}, {"Ed25519", KEY_ED25519}};
static const cyaml_strval_t algorithms_words[] = {{"ES256", 1 << KEY_ES256}, {"ES384", 1 << KEY_ES384},
	{"RS256", 1 << KEY_RS256}, {"PS256", 1 << KEY_PS256}, {"Ed25519", 1 << KEY_ED25519}};
static const cyaml_strval_t key_rights_words[] = {{"use", KEY_RIGHTS_USE}, {"manage", KEY_RIGHTS_MANAGE}};
static const cyaml_strval_t sessions_words[] = {{"read-only", SESSIONS_READ_ONLY}, {"read-write", SESSIONS_READ_WRITE}};
static const cyaml_strval_t attribute_words[] = {{"CKA_TOKEN", CUSTODY_TOKEN}, {"CKA_PRIVATE", CUSTODY_PRIVATE},
	{"CKA_SENSITIVE", CUSTODY_SENSITIVE}, {"CKA_EXTRACTABLE", CUSTODY_EXTRACTABLE}, {"CKA_LOCAL", CUSTODY_LOCAL},
	{"CKA_ALWAYS_SENSITIVE", CUSTODY_ALWAYS_SENSITIVE}, {"CKA_NEVER_EXTRACTABLE", CUSTODY_NEVER_EXTRACTABLE},
	{"CKA_SIGN", CUSTODY_SIGN}, {"CKA_SIGN_RECOVER", CUSTODY_SIGN_RECOVER}, {"CKA_DECRYPT", CUSTODY_DECRYPT},
	{"CKA_UNWRAP", CUSTODY_UNWRAP}, {"CKA_DERIVE", CUSTODY_DERIVE},
	{"CKA_ALWAYS_AUTHENTICATE", CUSTODY_ALWAYS_AUTHENTICATE}, {"CKA_KEY_GEN_MECHANISM", CUSTODY_KEY_GEN_MECHANISM}};
static const cyaml_strval_t hash_words[] = {
	{"auto", KEY_HASH_AUTO}, {"host", KEY_HASH_HOST}, {"token", KEY_HASH_TOKEN}};
static const cyaml_strval_t kind_words[] = {{"at+jwt", KIND_ACCESS_TOKEN}, {"jwt-svid", KIND_JWT_SVID}};
static const cyaml_strval_t claim_words[] = {
	{"string", CLAIM_STRING}, {"integer", CLAIM_INTEGER}, {"boolean", CLAIM_BOOLEAN}};
static const cyaml_strval_t fair_by_words[] = {
	{"caller", FAIR_BY_CALLER}, {"issuer", FAIR_BY_ISSUER}, {"tenant", FAIR_BY_TENANT}};
static const cyaml_strval_t per_words[] = {{"caller", PER_CALLER}, {"agent", PER_AGENT}, {"tenant", PER_TENANT}};
static const cyaml_strval_t require_words[] = {{"task", REQUIRE_TASK}};
static const cyaml_strval_t grant_words[] = {
	{"client_credentials", GRANT_CLIENT_CREDENTIALS}, {"token_exchange", GRANT_TOKEN_EXCHANGE}};
static const cyaml_strval_t proof_words[] = {{"dpop", PROOF_DPOP}, {"mtls", PROOF_MTLS}};
static const cyaml_strval_t status_words[] = {
	{"none", STATUS_OF_NONE}, {"task", STATUS_OF_TASK}, {"credential", STATUS_OF_CREDENTIAL}};
static const cyaml_strval_t engine_words[] = {{"authzen", ENGINE_AUTHZEN}, {"opa", ENGINE_OPA}};
static const cyaml_strval_t role_words[] = {{"mint", ROLE_MINT}, {"task", ROLE_TASK}, {"audit", ROLE_AUDIT},
	{"register", ROLE_REGISTER}, {"approve", ROLE_APPROVE}, {"revoke", ROLE_REVOKE}, {"operate", ROLE_OPERATE}};

static const cyaml_schema_field_t tls_fields[] = {STRING("address", struct config_tls, address),
	CYAML_FIELD_UINT("port", CYAML_FLAG_DEFAULT, struct config_tls, port),
	STRING("certificate", struct config_tls, certificate), STRING("key", struct config_tls, key),
	STRING("trust", struct config_tls, trust), CYAML_FIELD_END};

static const cyaml_schema_field_t listen_fields[] = {STRING("socket", struct config_listen, socket),
	STRING("control", struct config_listen, control),
	CYAML_FIELD_MAPPING_PTR("tls", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config_listen, tls, tls_fields),
	CYAML_FIELD_ENUM("sandbox", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct config_listen, sandbox,
		sandbox_words, CYAML_ARRAY_LEN(sandbox_words)),
	CYAML_FIELD_END};

static const cyaml_schema_field_t issuer_fields[] = {NAME("name", struct config_issuer, name),
	STRING("url", struct config_issuer, url), STRING("trust_domain", struct config_issuer, trust_domain),
	CYAML_FIELD_END};
static const cyaml_schema_value_t issuer_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_issuer, issuer_fields)};

static const cyaml_schema_field_t variable_fields[] = {NAME("name", struct config_variable, name),
	STRING("value", struct config_variable, value),
	CYAML_FIELD_BOOL("path", CYAML_FLAG_OPTIONAL, struct config_variable, path), CYAML_FIELD_END};
static const cyaml_schema_value_t variable_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_variable, variable_fields)};

static const cyaml_schema_field_t path_fields[] = {STRING("path", struct config_path, path),
	CYAML_FIELD_BOOL("write", CYAML_FLAG_OPTIONAL, struct config_path, write), CYAML_FIELD_END};
static const cyaml_schema_value_t path_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_path, path_fields)};

static const cyaml_schema_field_t waiver_fields[] = {STRING("module", struct config_waiver, module),
	CYAML_FIELD_ENUM("attribute", CYAML_FLAG_STRICT, struct config_waiver, attribute, attribute_words,
		CYAML_ARRAY_LEN(attribute_words)),
	CYAML_FIELD_END};
static const cyaml_schema_value_t waiver_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_waiver, waiver_fields)};

static const cyaml_schema_field_t token_fields[] = {NAME("name", struct config_token, name),
	STRING("module", struct config_token, module),
	CYAML_FIELD_STRING_PTR("label", CYAML_FLAG_POINTER, struct config_token, label, 1, 32),
	OPTIONAL_LIST("serials", struct config_token, serials, &text_entry, HM_TOKEN_SERIALS_MAX),
	CYAML_FIELD_ENUM("login", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct config_token, login, login_words,
		CYAML_ARRAY_LEN(login_words)),
	OPTIONAL_STRING("pin", struct config_token, pin),
	OPTIONAL_LIST("custodians", struct config_token, custodians, &text_entry, HM_PIN_PARTS_MAX),
	CYAML_FIELD_UINT("threads", CYAML_FLAG_OPTIONAL, struct config_token, threads),
	CYAML_FIELD_ENUM("self_check", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct config_token, self_check,
		self_check_words, CYAML_ARRAY_LEN(self_check_words)),
	OPTIONAL_LIST("environment", struct config_token, environment, &variable_entry, HM_TOKEN_ENVIRONMENT_MAX),
	OPTIONAL_LIST("paths", struct config_token, paths, &path_entry, HM_TOKEN_PATHS_MAX),
	CYAML_FIELD_ENUM("key_rights", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct config_token, key_rights,
		key_rights_words, CYAML_ARRAY_LEN(key_rights_words)),
	CYAML_FIELD_ENUM("sessions", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct config_token, sessions,
		sessions_words, CYAML_ARRAY_LEN(sessions_words)),
	CYAML_FIELD_UINT_PTR(
		"login_user_type", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config_token, written_user_type),
	CYAML_FIELD_UINT_PTR(
		"stuck_after", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config_token, written_stuck_after),
	CYAML_FIELD_BOOL("approved_only", CYAML_FLAG_OPTIONAL, struct config_token, approved_only),
	CYAML_FIELD_STRING_PTR("fips_certificate", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config_token,
		fips_certificate, 1, HM_NAME_MAX),
	CYAML_FIELD_UINT_PTR(
		"tpm_parent", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config_token, written_tpm_parent),
	OPTIONAL_LIST("waivers", struct config_token, waivers, &waiver_entry, CUSTODY_ATTRIBUTES), CYAML_FIELD_END};
static const cyaml_schema_value_t token_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_token, token_fields)};

static const cyaml_schema_field_t key_fields[] = {NAME("name", struct config_key, name),
	CYAML_FIELD_STRING_PTR(
		"issuer", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config_key, issuer, 1, HM_NAME_MAX),
	NAME("token", struct config_key, token), NAME("label", struct config_key, label),
	OPTIONAL_STRING("id", struct config_key, id), OPTIONAL_STRING("attestation", struct config_key, attestation),
	OPTIONAL_STRING("rotate", struct config_key, written_rotate),
	OPTIONAL_STRING("publish_ahead", struct config_key, written_publish_ahead),
	CYAML_FIELD_ENUM("use", CYAML_FLAG_STRICT, struct config_key, use, use_words, CYAML_ARRAY_LEN(use_words)),
	CYAML_FIELD_ENUM("algorithm", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct config_key, algorithm,
		algorithm_words, CYAML_ARRAY_LEN(algorithm_words)),
	CYAML_FIELD_ENUM("hash", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct config_key, hash, hash_words,
		CYAML_ARRAY_LEN(hash_words)),
	CYAML_FIELD_END};
static const cyaml_schema_value_t key_entry = {CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_key, key_fields)};

static const cyaml_schema_field_t claim_fields[] = {NAME("name", struct config_claim, name),
	CYAML_FIELD_ENUM("type", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct config_claim, type, claim_words,
		CYAML_ARRAY_LEN(claim_words)),
	OPTIONAL_STRING("pattern", struct config_claim, pattern),
	OPTIONAL_LIST("enumeration", struct config_claim, enumeration, &text_entry, HM_PATTERNS_MAX),
	CYAML_FIELD_UINT("size", CYAML_FLAG_OPTIONAL, struct config_claim, size),
	CYAML_FIELD_BOOL("required", CYAML_FLAG_OPTIONAL, struct config_claim, required),
	OPTIONAL_STRING("constant", struct config_claim, constant), CYAML_FIELD_END};
static const cyaml_schema_value_t claim_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_claim, claim_fields)};

static const cyaml_schema_field_t lifetime_fields[] = {
	CYAML_FIELD_UINT("default", CYAML_FLAG_DEFAULT, __typeof__(((struct config_profile *)0)->lifetime), standard),
	CYAML_FIELD_UINT("maximum", CYAML_FLAG_DEFAULT, __typeof__(((struct config_profile *)0)->lifetime), maximum),
	CYAML_FIELD_END};

static const cyaml_schema_field_t approve_fields[] = {
	OPTIONAL_LIST("scopes", struct config_approve, scopes, &text_entry, HM_PATTERNS_MAX),
	OPTIONAL_LIST("audiences", struct config_approve, audiences, &text_entry, HM_PATTERNS_MAX),
	CYAML_FIELD_UINT("by", CYAML_FLAG_DEFAULT, struct config_approve, by),
	STRING("within", struct config_approve, written_within), CYAML_FIELD_END};

static const cyaml_schema_field_t exchange_fields[] = {
	CYAML_FIELD_UINT_PTR("depth", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config_exchange, written_depth),
	CYAML_FIELD_BOOL("impersonation", CYAML_FLAG_OPTIONAL, struct config_exchange, impersonation),
	OPTIONAL_LIST("trust", struct config_exchange, trust, &text_entry, HM_TRUST_MAX),
	OPTIONAL_LIST("groups", struct config_exchange, groups, &text_entry, HM_PATTERNS_MAX), CYAML_FIELD_END};

static const cyaml_schema_field_t profile_fields[] = {NAME("name", struct config_profile, name),
	NAME("issuer", struct config_profile, issuer),
	CYAML_FIELD_ENUM(
		"kind", CYAML_FLAG_STRICT, struct config_profile, kind, kind_words, CYAML_ARRAY_LEN(kind_words)),
	NAME("key", struct config_profile, key),
	OPTIONAL_LIST("other_keys", struct config_profile, other_keys, &text_entry, HM_PROFILE_KEYS_MAX - 1),
	CYAML_FIELD_MAPPING("lifetime", CYAML_FLAG_DEFAULT, struct config_profile, lifetime, lifetime_fields),
	CYAML_FIELD_UINT_PTR("backdate", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config_profile, backdate),
	CYAML_FIELD_FLOAT_PTR("rate", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config_profile, rate),
	CYAML_FIELD_UINT_PTR("burst", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config_profile, written_burst),
	CYAML_FIELD_ENUM("per", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct config_profile, per, per_words,
		CYAML_ARRAY_LEN(per_words)),
	LIST("audiences", struct config_profile, audiences, &text_entry, 1, HM_PATTERNS_MAX),
	LIST("subjects", struct config_profile, subjects, &text_entry, 1, HM_PATTERNS_MAX),
	OPTIONAL_LIST("scopes", struct config_profile, scopes, &text_entry, HM_PATTERNS_MAX),
	OPTIONAL_LIST("humans", struct config_profile, humans, &text_entry, HM_HUMANS_MAX / 2),
	LIST("callers", struct config_profile, callers, &text_entry, 1, HM_CALLERS_MAX),
	OPTIONAL_LIST("claims", struct config_profile, claims, &claim_entry, HM_CLAIMS_MAX),
	CYAML_FIELD_FLAGS("require", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct config_profile, require,
		require_words, CYAML_ARRAY_LEN(require_words)),
	CYAML_FIELD_FLAGS("grants", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct config_profile, grants, grant_words,
		CYAML_ARRAY_LEN(grant_words)),
	CYAML_FIELD_FLAGS("proof", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct config_profile, proof, proof_words,
		CYAML_ARRAY_LEN(proof_words)),
	CYAML_FIELD_MAPPING_PTR(
		"exchange", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config_profile, exchange, exchange_fields),
	CYAML_FIELD_ENUM("status", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct config_profile, status, status_words,
		CYAML_ARRAY_LEN(status_words)),
	CYAML_FIELD_MAPPING_PTR(
		"approve", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config_profile, approve, approve_fields),
	CYAML_FIELD_UINT("max_per_task", CYAML_FLAG_OPTIONAL, struct config_profile, max_per_task), CYAML_FIELD_END};
static const cyaml_schema_value_t profile_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_profile, profile_fields)};

static const cyaml_schema_field_t caller_fields[] = {NAME("name", struct config_caller, name),
	NAME("issuer", struct config_caller, issuer),
	CYAML_FIELD_STRING_PTR(
		"uri", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config_caller, uri, 1, HM_SPIFFE_ID_MAX),
	OPTIONAL_STRING("spki", struct config_caller, spki),
	CYAML_FIELD_UINT_PTR("uid", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config_caller, uid),
	OPTIONAL_STRING("jwks", struct config_caller, jwks), OPTIONAL_STRING("trust", struct config_caller, trust),
	OPTIONAL_STRING("subject", struct config_caller, subject),
	CYAML_FIELD_FLAGS(
		"roles", CYAML_FLAG_STRICT, struct config_caller, roles, role_words, CYAML_ARRAY_LEN(role_words)),
	CYAML_FIELD_FLOAT_PTR("rate", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config_caller, rate),
	CYAML_FIELD_UINT_PTR("burst", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config_caller, written_burst),
	CYAML_FIELD_UINT_PTR("weight", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config_caller, written_weight),
	CYAML_FIELD_ENUM("fair_by", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct config_caller, fair_by,
		fair_by_words, CYAML_ARRAY_LEN(fair_by_words)),
	CYAML_FIELD_STRING_PTR(
		"agent", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config_caller, agent, 1, HM_SPIFFE_ID_MAX),
	CYAML_FIELD_STRING_PTR(
		"tenant", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config_caller, tenant, 1, HM_NAME_MAX),
	CYAML_FIELD_END};
static const cyaml_schema_value_t caller_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_caller, caller_fields)};

static const cyaml_schema_field_t witness_fields[] = {
	STRING("url", struct config_witness, url), STRING("key", struct config_witness, key), CYAML_FIELD_END};

static const cyaml_schema_field_t anchor_fields[] = {OPTIONAL_STRING("file", struct config_anchor, file),
	OPTIONAL_STRING("token", struct config_anchor, token),
	CYAML_FIELD_BOOL("store", CYAML_FLAG_OPTIONAL, struct config_anchor, store),
	CYAML_FIELD_MAPPING_PTR(
		"witness", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config_anchor, witness, witness_fields),
	CYAML_FIELD_END};

static const cyaml_schema_field_t ledger_fields[] = {STRING("origin", struct config_ledger, origin),
	OPTIONAL_STRING("directory", struct config_ledger, directory),
	OPTIONAL_STRING("key", struct config_ledger, key),
	OPTIONAL_STRING("shard", struct config_ledger, written_shard),
	CYAML_FIELD_MAPPING_PTR(
		"anchor", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config_ledger, anchor, anchor_fields),
	CYAML_FIELD_END};

static const cyaml_schema_field_t policy_fields[] = {CYAML_FIELD_ENUM("engine", CYAML_FLAG_STRICT, struct config_policy,
							     engine, engine_words, CYAML_ARRAY_LEN(engine_words)),
	STRING("url", struct config_policy, url), OPTIONAL_STRING("socket", struct config_policy, socket),
	OPTIONAL_STRING("path", struct config_policy, path),
	CYAML_FIELD_UINT_PTR(
		"deadline_ms", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config_policy, written_deadline_ms),
	OPTIONAL_STRING("ca", struct config_policy, ca),
	OPTIONAL_STRING("certificate", struct config_policy, certificate),
	OPTIONAL_STRING("key", struct config_policy, key), CYAML_FIELD_END};

static const cyaml_schema_field_t trust_fields[] = {NAME("name", struct config_trust, name),
	NAME("issuer", struct config_trust, issuer), OPTIONAL_STRING("provider", struct config_trust, provider),
	OPTIONAL_STRING("trust_domain", struct config_trust, trust_domain),
	OPTIONAL_LIST("audiences", struct config_trust, audiences, &text_entry, HM_AUDIENCES_MAX),
	CYAML_FIELD_FLAGS("algorithms", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct config_trust, algorithms,
		algorithms_words, CYAML_ARRAY_LEN(algorithms_words)),
	OPTIONAL_STRING("keys", struct config_trust, keys), OPTIONAL_STRING("keys_url", struct config_trust, keys_url),
	OPTIONAL_STRING("ca", struct config_trust, ca), OPTIONAL_STRING("subject", struct config_trust, subject),
	OPTIONAL_STRING("groups", struct config_trust, groups),
	OPTIONAL_STRING("max_lifetime", struct config_trust, written_max_lifetime), CYAML_FIELD_END};
static const cyaml_schema_value_t trust_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_trust, trust_fields)};

static const cyaml_schema_field_t config_fields[] = {
	CYAML_FIELD_MAPPING("listen", CYAML_FLAG_DEFAULT, struct config, listen, listen_fields),
	STRING("state", struct config, state), OPTIONAL_STRING("store", struct config, store),
	OPTIONAL_STRING("max_staleness", struct config, written_max_staleness),
	CYAML_FIELD_MAPPING("ledger", CYAML_FLAG_DEFAULT, struct config, ledger, ledger_fields),
	LIST("issuers", struct config, issuers, &issuer_entry, 1, HM_ISSUERS_MAX),
	LIST("tokens", struct config, tokens, &token_entry, 1, HM_TOKENS_MAX),
	LIST("keys", struct config, keys, &key_entry, 1, HM_KEYS_MAX),
	LIST("profiles", struct config, profiles, &profile_entry, 1, HM_PROFILES_MAX),
	LIST("callers", struct config, callers, &caller_entry, 1, HM_CALLERS_MAX),
	OPTIONAL_LIST("trust", struct config, trust, &trust_entry, HM_TRUST_MAX),
	CYAML_FIELD_MAPPING_PTR(
		"policy", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config, policy, policy_fields),
	CYAML_FIELD_END};
static const cyaml_schema_value_t config_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct config, config_fields)};

/* What libcyaml says comes as a message and then a backtrace, whose first line number and field are the nearest. */
struct complaint {
	char message[300];
	char field[HM_NAME_MAX + 1];
	unsigned line;
};

static void note(cyaml_log_t level, void *context, const char *format, va_list args)
{
	struct complaint *complaint = context;
	char text[400];
	(void)level;
	vsnprintf(text, sizeof text, format, args);
	text[strcspn(text, "\n")] = 0;
	const char *line = strstr(text, "(line: ");
	if (line && !complaint->line)
		complaint->line = (unsigned)strtoul(line + 7, NULL, 10);
	if (line && !complaint->field[0])
		(void)sscanf(text, " in mapping field '%64[^']", complaint->field);
	if (!line && !complaint->message[0] && !strstr(text, "Backtrace:"))
		snprintf(complaint->message, sizeof complaint->message, "%.*s", (int)sizeof complaint->message - 1,
			strncmp(text, "Load: ", 6) == 0 ? text + 6 : text);
}

static const cyaml_config_t *reader(struct complaint *complaint, cyaml_config_t *config)
{
	*config = (cyaml_config_t){.log_fn = note,
		.log_ctx = complaint,
		.mem_fn = cyaml_mem,
		.log_level = CYAML_LOG_WARNING,
		.flags = CYAML_CFG_NO_ALIAS};
	return config;
}

void config_free(struct config *config)
{
	cyaml_config_t settings;
	for (unsigned i = 0; config && i < config->callers_count; i++)
		key_set_free(config->callers[i].keys);
	if (config)
		(void)cyaml_free(reader(NULL, &settings), &config_schema, config, 0);
}

static const char unknown_key[] = "Unexpected key: ";
static const char repeated_key[] = "Mapping field already seen: ";
static const char missing_key[] = "Missing required mapping field: ";

static bool begins(const struct complaint *complaint, const char *start)
{
	return strncmp(complaint->message, start, strlen(start)) == 0;
}

/* For a key that is unknown or repeated libcyaml names the line of the value before it. */
static unsigned line_of(const char *path, const struct complaint *complaint)
{
	if (begins(complaint, unknown_key))
		return config_line_of_key(path, complaint->message + strlen(unknown_key), complaint->line, false);
	if (begins(complaint, repeated_key))
		return config_line_of_key(path, complaint->message + strlen(repeated_key), complaint->line, true);
	return complaint->line;
}

static const struct {
	const char *field;
	const cyaml_strval_t *words;
	unsigned count;
} word_lists[] = {{"sandbox", sandbox_words, CYAML_ARRAY_LEN(sandbox_words)},
	{"login", login_words, CYAML_ARRAY_LEN(login_words)},
	{"self_check", self_check_words, CYAML_ARRAY_LEN(self_check_words)},
	{"use", use_words, CYAML_ARRAY_LEN(use_words)},
	{"algorithm", algorithm_words, CYAML_ARRAY_LEN(algorithm_words)},
	{"algorithms", algorithms_words, CYAML_ARRAY_LEN(algorithms_words)},
	{"hash", hash_words, CYAML_ARRAY_LEN(hash_words)},
	{"sessions", sessions_words, CYAML_ARRAY_LEN(sessions_words)},
	{"key_rights", key_rights_words, CYAML_ARRAY_LEN(key_rights_words)},
	{"attribute", attribute_words, CYAML_ARRAY_LEN(attribute_words)},
	{"kind", kind_words, CYAML_ARRAY_LEN(kind_words)}, {"type", claim_words, CYAML_ARRAY_LEN(claim_words)},
	{"per", per_words, CYAML_ARRAY_LEN(per_words)}, {"fair_by", fair_by_words, CYAML_ARRAY_LEN(fair_by_words)},
	{"engine", engine_words, CYAML_ARRAY_LEN(engine_words)},
	{"require", require_words, CYAML_ARRAY_LEN(require_words)},
	{"grants", grant_words, CYAML_ARRAY_LEN(grant_words)}, {"proof", proof_words, CYAML_ARRAY_LEN(proof_words)},
	{"status", status_words, CYAML_ARRAY_LEN(status_words)}, {"roles", role_words, CYAML_ARRAY_LEN(role_words)}};

/* The words that the field at fault takes, of a list; "" when it takes other things than words. */
static void list_words(const struct complaint *complaint, char *text, size_t size)
{
	struct hm_writer w = hm_writer(text, size - 1);
	for (size_t i = 0; i < CYAML_ARRAY_LEN(word_lists); i++) {
		if (strcmp(word_lists[i].field, complaint->field) != 0)
			continue;
		for (unsigned word = 0; word < word_lists[i].count; word++) {
			const char *before = word ? ", " : " (accepted: ";
			hm_put_raw(&w, before, strlen(before));
			hm_put_raw(&w, word_lists[i].words[word].str, strlen(word_lists[i].words[word].str));
		}
		hm_put_raw(&w, ")", 1);
	}
	text[w.used] = 0;
}

/* Configurations from before there was a ledger have none. */
static const char *mend(const struct complaint *complaint)
{
	bool is_ledger =
		begins(complaint, missing_key) && strcmp(complaint->message + strlen(missing_key), "ledger") == 0;
	return is_ledger ? ": say where the record of every credential goes, for example "
			   "ledger: {origin: mint.example.org/ledger, directory: /var/lib/hsmint/ledger}"
			 : "";
}

static hm_result refuse_form(const char *path, struct complaint *complaint, cyaml_err_t error, struct hm_problem *why)
{
	char words[128];
	const char *message = complaint->message[0] ? complaint->message : cyaml_strerror(error);
	if (begins(complaint, unknown_key) || begins(complaint, repeated_key) || begins(complaint, missing_key))
		complaint->field[0] = 0; /* the message names the key; this is the one before it */
	list_words(complaint, words, sizeof words);
	return hm_refuse(why, "config", NULL, "%s:%u: %s%s%s%s%s", path, line_of(path, complaint), complaint->field,
		complaint->field[0] ? ": " : "", message, words, mend(complaint));
}

static hm_result hash_file(const char *path, uint8_t sha256[32], struct hm_problem *why)
{
	static char text[HM_CONFIG_MAX];
	size_t length;
	HM_TRY(file_read(path, false, text, sizeof text, &length, why));
	if (EVP_Digest(text, length, sha256, NULL, EVP_sha256(), NULL) != 1)
		return hm_broken(why, "SHA-256 failed");
	return HM_OK;
}

static hm_result check(struct config *config, const char *path, struct hm_problem *why)
{
	if (!config)
		return hm_refuse(why, "config", NULL, "%s:1: the file is empty", path);
	HM_TRY(hash_file(path, config->sha256, why));
	return config_check(config, path, why);
}

hm_result config_load(const char *path, struct config **out, struct hm_problem *why)
{
	struct complaint complaint = {0};
	cyaml_config_t settings;

	*out = NULL;
	if (access(path, R_OK) < 0)
		return hm_refuse(why, "config", NULL, "%s: cannot be read: %m", path);
	cyaml_err_t error =
		cyaml_load_file(path, reader(&complaint, &settings), &config_schema, (cyaml_data_t **)out, NULL);
	if (error != CYAML_OK)
		return refuse_form(path, &complaint, error, why);
	hm_result result = check(*out, path, why);
	if (result != HM_OK) {
		config_free(*out);
		*out = NULL;
	}
	return result;
}

static void put_text(char *out, size_t size, const char *text)
{
	snprintf(out, size, "%s", text); /* lengths were checked when the file was read */
}

void config_key_frame(const struct config *config, const struct config_key *key, const char *label, const char *id,
	struct token_key_config *out)
{
	*out = (struct token_key_config){.id_length = 0};
	put_text(out->name, sizeof out->name, key->name);
	put_text(out->label, sizeof out->label, label);
	put_text(out->issuer, sizeof out->issuer,
		key->use == KEY_USE_CHECKPOINT ? config->ledger.origin : config->issuers[key->issuer_index].url);
	out->use = (uint8_t)key->use;
	out->algorithm = (uint8_t)key->algorithm;
	out->hash = (uint8_t)key->hash;
	for (; id[out->id_length * 2]; out->id_length++)
		(void)sscanf(id + out->id_length * 2, "%2hhx", &out->id[out->id_length]);
}

void config_token_frame(const struct config *config, unsigned token, struct token_config *out)
{
	const struct config_token *from = &config->tokens[token];
	*out = (struct token_config){.login = (uint8_t)from->login,
		.self_check = (uint8_t)from->self_check,
		.threads = from->threads,
		.read_write = from->sessions == SESSIONS_READ_WRITE,
		.user_type = from->user_type,
		.tpm_unasked = from->written_tpm_parent && !*from->written_tpm_parent,
		.tpm_parent = from->written_tpm_parent ? (uint32_t)*from->written_tpm_parent : 0,
		.serial_count = from->serials_count,
		.path_count = from->paths_count,
		.confine_at_best = config->listen.sandbox == SANDBOX_BEST,
		.custodian_count = from->custodians_count,
		.environment_count = from->environment_count};
	put_text(out->name, sizeof out->name, from->name);
	put_text(out->module, sizeof out->module, from->module);
	put_text(out->label, sizeof out->label, from->label);
	put_text(out->pin_file, sizeof out->pin_file, from->pin ? from->pin : "");
	memcpy(out->custodians, from->custodian_uids, sizeof out->custodians);
	put_text(out->state, sizeof out->state, config->state);
	if (config->ledger.anchor && config->ledger.anchor->token_index == token)
		put_text(out->origin, sizeof out->origin, config->ledger.origin);
	for (unsigned i = 0; i < from->paths_count; i++) {
		put_text(out->paths[i].path, sizeof out->paths[i].path, from->paths[i].path);
		out->paths[i].write = from->paths[i].write;
	}
	for (unsigned i = 0; i < from->waivers_count; i++)
		out->waived |= 1u << from->waivers[i].attribute;
	for (unsigned i = 0; i < from->serials_count; i++)
		put_text(out->serials[i], sizeof out->serials[i], from->serials[i]);
	for (unsigned i = 0; i < from->environment_count; i++)
		snprintf(out->environment[i], sizeof out->environment[i], "%s=%s", from->environment[i].name,
			from->environment[i].value);
	for (unsigned i = 0; i < config->keys_count; i++)
		if (config->keys[i].token_index == token)
			config_key_frame(config, &config->keys[i], config->keys[i].label,
				config->keys[i].id ? config->keys[i].id : "", &out->keys[out->key_count++]);
}
