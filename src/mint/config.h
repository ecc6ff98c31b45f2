/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration file (docs/operations.md has every key). It is read by libcyaml, which refuses unknown, repeated
 * and mistyped keys, and then checked for meaning; every complaint names file and line. What a loaded configuration
 * holds never changes; a reload loads another.
 */
#ifndef HSMINT_CONFIG_H
#define HSMINT_CONFIG_H

#include "gate_protocol.h"
#include "key_set.h"
#include "limits.h"
#include "result.h"
#include "token_protocol.h"
#include <stdbool.h>
#include <stdint.h>

enum credential_kind { KIND_ACCESS_TOKEN, KIND_JWT_SVID, CREDENTIAL_KINDS };
const char *credential_kind_name(enum credential_kind kind); /* "at+jwt", "jwt-svid" */

enum role {
	ROLE_MINT = 1,
	ROLE_TASK = 2,
	ROLE_AUDIT = 4,
	ROLE_REGISTER = 8,
	ROLE_APPROVE = 16,
	ROLE_REVOKE = 32,
	ROLE_OPERATE = 64,
	ROLE_ANY = 127
};

enum claim_type { CLAIM_STRING, CLAIM_INTEGER, CLAIM_BOOLEAN };

/* Whose turn a caller's requests take while they wait. */
enum fair_by { FAIR_BY_CALLER, FAIR_BY_ISSUER, FAIR_BY_TENANT };

/* Whose rate a profile's rate is. */
enum rate_per { PER_CALLER, PER_AGENT, PER_TENANT };

struct config_tls {
	char *address; /* numeric */
	uint16_t port; /* 0: any */
	char *certificate, *key, *trust;
};

struct config_listen {
	char *socket, *control;
	struct config_tls *tls; /* NULL: no TCP listener */
	enum sandbox_mode sandbox;
};

struct config_issuer {
	char *name, *url, *trust_domain;
	const char *path; /* of the URL: "/demo", or "" */
};

struct config_variable {
	char *name, *value;
	bool path; /* the value is a path relative to the configuration file */
};

struct config_path {
	char *path;
	bool write;
};

enum token_sessions { SESSIONS_READ_ONLY, SESSIONS_READ_WRITE };

/* Whether hsmint's commands may make and destroy keys on it, or only use those that the site's own tools made. */
enum key_rights { KEY_RIGHTS_USE, KEY_RIGHTS_MANAGE };

/* The module need not tell this attribute. It is named, so that another module in its place is not waived too. */
struct config_waiver {
	char *module;
	enum custody_attribute attribute;
};

struct config_token {
	char *name, *module, *label, *pin;
	char **serials;
	unsigned serials_count;
	enum token_login login;
	char **custodians; /* callers, each with a part of the PIN, in its order */
	unsigned custodians_count;
	uint32_t custodian_uids[HM_PIN_PARTS_MAX];
	unsigned threads;
	enum self_check self_check;
	struct config_variable *environment;
	unsigned environment_count;
	struct config_path *paths; /* none: the token's process is not confined */
	unsigned paths_count;
	enum token_sessions sessions;
	enum key_rights key_rights;
	uint64_t *written_user_type, user_type;     /* CK_USER_TYPE of the login */
	unsigned *written_stuck_after, stuck_after; /* seconds */
	uint64_t *written_tpm_parent; /* a TPM's persistent handle, the parent of its keys; 0: it is not to be asked;
					 NULL: nothing is said */
	bool approved_only;           /* its keys sign with algorithms that FIPS approves, whichever edition counts */
	char *fips_certificate;       /* the number of the module's FIPS 140-3 certificate; NULL: not said */
	struct config_waiver *waivers;
	unsigned waivers_count;
};

struct config_key {
	char *name, *issuer, *token, *label, *id; /* issuer: NULL of a key with the use checkpoint */
	char *attestation;                        /* a file, the token vendor's word on the key; NULL: there is none */
	uint8_t attestation_sha256[32];
	enum key_use use;
	enum key_algorithm algorithm;
	enum key_hash hash;
	unsigned issuer_index, token_index; /* in their lists; HM_ISSUERS_MAX: it has no issuer */
	char *written_rotate, *written_publish_ahead;
	unsigned rotate;        /* seconds for which a version signs; 0: until it is told otherwise */
	unsigned publish_ahead; /* seconds for which one is published before it signs */
};

struct config_claim {
	char *name;
	enum claim_type type;
	char *pattern;
	char **enumeration;
	unsigned enumeration_count;
	unsigned size; /* bytes; 0: HM_CLAIM_STRING_MAX */
	bool required;
	char *constant;
};

/* Which of a profile's credentials have a place in a token status list. */
enum profile_status { STATUS_OF_NONE, STATUS_OF_TASK, STATUS_OF_CREDENTIAL };

/* What a profile's requests must have. */
enum profile_require { REQUIRE_TASK = 1 };

/* By which OAuth grants a profile's credentials may be had at the token endpoint. */
enum profile_grant { GRANT_CLIENT_CREDENTIALS = 1, GRANT_TOKEN_EXCHANGE = 2 };

/* How a client proves the key that a profile's credentials are bound to (RFC 9449, RFC 8705). */
enum profile_proof { PROOF_DPOP = 1, PROOF_MTLS = 2 };

/* What may be had for a token (RFC 8693). */
struct config_exchange {
	unsigned *written_depth, depth; /* the most actors */
	bool impersonation;             /* the credential does not say who acts */
	char **trust, **groups; /* whose tokens besides ours, and of which groups of theirs, NAME:GROUP (none: any) */
	unsigned trust_count, groups_count;
};

/* Who asks for one of these scopes or audiences needs as many approvers. */
struct config_approve {
	char **scopes, **audiences; /* audiences: patterns */
	unsigned scopes_count, audiences_count;
	unsigned by;
	char *written_within;
	unsigned within; /* seconds for which an approval waits, and then for which it is good */
};

struct config_profile {
	char *name, *issuer, *key;
	enum credential_kind kind;
	struct {
		unsigned standard, maximum; /* seconds */
	} lifetime;
	unsigned *backdate; /* seconds; NULL: HM_BACKDATE_DEFAULT */
	double *rate;       /* credentials a second; NULL: no limit */
	unsigned *written_burst, burst;
	enum rate_per per;
	char **audiences, **subjects, **scopes, **callers;
	char **humans; /* members of context, and claims, whose value is a person */
	unsigned audiences_count, subjects_count, scopes_count, callers_count, humans_count;
	struct config_claim *claims;
	unsigned claims_count;
	unsigned require; /* of enum profile_require */
	unsigned grants;  /* of enum profile_grant */
	unsigned proof;   /* of enum profile_proof: each is bound to a key by one of these; 0: none need be */
	struct config_exchange *exchange; /* NULL: nothing is said */
	enum profile_status status;
	struct config_approve *approve; /* NULL: nothing needs it */
	unsigned max_per_task;          /* credentials; 0: no limit */
	char **other_keys;
	unsigned other_keys_count;
	unsigned issuer_index;
	unsigned key_indexes[HM_PROFILE_KEYS_MAX], key_count; /* `key` and the others */
};

struct config_caller {
	char *name, *issuer;
	char *uri;                                /* the certificate's URI SAN */
	char *spki;                               /* base64url of SHA-256 of its SubjectPublicKeyInfo */
	uint32_t *uid;                            /* of the Unix peer */
	char *jwks;                               /* a file: its public keys, by which it signs assertions */
	char *trust, *subject;                    /* whose tokens prove it, about whom: a pattern */
	unsigned roles;                           /* of enum role */
	double *rate;                             /* credentials a second; NULL: no limit */
	unsigned *written_burst, *written_weight; /* NULL: nothing is written, and config_check says what holds */
	unsigned burst, weight;
	enum fair_by fair_by;
	char *agent;  /* the SPIFFE ID of the agent that it is at the token endpoint; NULL: its uri, if that is one */
	char *tenant; /* the member of a request's context that names its tenant; NULL: none does */
	unsigned issuer_index;
	uint64_t group;       /* a number for those who share its turns */
	struct key_set *keys; /* of `jwks`; NULL: none */
	uint8_t spki_sha256[32];
};

struct config_witness {
	char *url, *key; /* its verifier key */
};

/* Where the newest checkpoint is kept besides. */
struct config_anchor {
	char *file;           /* NULL: in none */
	char *token;          /* NULL: on none */
	unsigned token_index; /* HM_TOKENS_MAX: on none */
	struct config_witness *witness;
	bool store;
	const char *store_url; /* the configuration's; NULL: not there */
};

/* docs/ledger.md */
struct config_ledger {
	char *origin, *directory;
	char *key;          /* that signs checkpoints; NULL: none does */
	unsigned key_index; /* HM_KEYS_MAX: none */
	char *written_shard;
	unsigned shard; /* seconds after which the next one begins */
	struct config_anchor *anchor;
};

/* An outside decision point: engine.h. */
enum policy_engine { ENGINE_AUTHZEN, ENGINE_OPA };

struct config_policy {
	enum policy_engine engine;
	char *url, *socket; /* socket: of a server on this machine; the URL's host is then only a name */
	char *path;         /* of the URL: OPA's policy, or NULL for AuthZEN's own */
	unsigned *written_deadline_ms, deadline_ms;
	char *ca, *certificate, *key;
};

/* Whose word an issuer takes: an identity provider's, or that of another SPIFFE trust domain. */
struct config_trust {
	char *name, *issuer;
	char *provider;     /* `iss` of its tokens; NULL: it is a trust domain */
	char *trust_domain; /* NULL: it is a provider */
	char **audiences;   /* of which a token has one; none: of the issuer's URL alone */
	unsigned audiences_count;
	unsigned algorithms; /* a bit for each enum key_algorithm */
	char *keys;          /* a file; NULL: they are of keys_url */
	char *keys_url, *ca; /* ca: NULL: the system's */
	char *subject;       /* the claim that names who it is about */
	char *groups;        /* the claim that names its groups; NULL: none does */
	char *written_max_lifetime;
	unsigned max_lifetime; /* seconds */
	unsigned issuer_index;
};

struct config {
	uint8_t sha256[32]; /* of the file */
	struct config_listen listen;
	char *state;
	char *store; /* "postgresql://…"; NULL: SQLite in `state` */
	char *written_max_staleness;
	unsigned max_staleness; /* seconds for which a view of it is believed */
	struct config_ledger ledger;
	struct config_policy *policy; /* NULL: nobody else is asked */
	struct config_issuer *issuers;
	unsigned issuers_count;
	struct config_token *tokens;
	unsigned tokens_count;
	struct config_key *keys;
	unsigned keys_count;
	struct config_profile *profiles;
	unsigned profiles_count;
	struct config_caller *callers;
	unsigned callers_count;
	struct config_trust *trust;
	unsigned trust_count;
};

enum { HM_BACKDATE_DEFAULT = 5, EXCHANGE_DEPTH_DEFAULT = 4 };

/*
 * Load and check `path`. Every relative path in the result has been made absolute. HM_REFUSED: `why->detail` is
 * "FILE:LINE: what is wrong and what would be accepted". The caller frees with config_free.
 */
hm_result config_load(const char *path, struct config **out, struct hm_problem *why) HM_MUST_USE;
void config_free(struct config *config); /* NULL is fine */

/* A key as its token's process wants it, found by `label` and `id` (hexadecimal), "" for what is not compared. */
void config_key_frame(const struct config *config, const struct config_key *key, const char *label, const char *id,
	struct token_key_config *out);

/* The token's part of the configuration, as its process wants it, with the keys as they are configured. */
void config_token_frame(const struct config *config, unsigned token, struct token_config *out);

#endif
