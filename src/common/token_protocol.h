/* SPDX-License-Identifier: Apache-2.0 */
/* What mint and a token process say to each other: the payloads of HM_TOKEN_* and HM_ADMIN_* frames. */
#ifndef HSMINT_TOKEN_PROTOCOL_H
#define HSMINT_TOKEN_PROTOCOL_H

#include "buffer.h"
#include "limits.h"
#include "result.h"

/* A probe signs these bytes and 16 random ones; nothing else that hsmint signs begins like this. */
#define HM_PROBE_PREFIX "hsmint probe\n"

/* What a key may sign; one use per key (docs/architecture.md). */
enum key_use { KEY_USE_ACCESS_TOKEN, KEY_USE_JWT_SVID, KEY_USE_CHECKPOINT, KEY_USE_STATUS_LIST, KEY_USES };
enum key_algorithm { KEY_ES256, KEY_ES384, KEY_RS256, KEY_PS256, KEY_ED25519, KEY_ALGORITHMS };
enum key_hash { KEY_HASH_AUTO, KEY_HASH_HOST, KEY_HASH_TOKEN, KEY_HASHES }; /* who hashes what is signed */
enum self_check { SELF_CHECK_ALWAYS, SELF_CHECK_SAMPLED };
enum token_login { LOGIN_FILE, LOGIN_CREDENTIAL, LOGIN_CUSTODIANS, LOGIN_PROTECTED_PATH, LOGIN_NONE, LOGINS };

/* The configuration's word for each ("access-token", "ES256", …). */
const char *key_use_name(enum key_use use);
const char *key_algorithm_name(enum key_algorithm algorithm);
const char *token_login_name(enum token_login login);
/* JOSE's word for it (RFC 7518, section 3.1; RFC 8037, section 3.1), a string literal. */
const char *key_algorithm_jose(enum key_algorithm algorithm);
/* The JOSE header's typ for a use: "at+jwt", "JWT". */
const char *key_use_typ(enum key_use use);

/* What a token tells of a private key (PKCS #11 3.0, section 4.9), and must: see hsm/custody.c. */
enum custody_attribute {
	CUSTODY_TOKEN,
	CUSTODY_PRIVATE,
	CUSTODY_SENSITIVE,
	CUSTODY_EXTRACTABLE,
	CUSTODY_LOCAL,
	CUSTODY_ALWAYS_SENSITIVE,
	CUSTODY_NEVER_EXTRACTABLE,
	CUSTODY_SIGN,
	CUSTODY_SIGN_RECOVER,
	CUSTODY_DECRYPT,
	CUSTODY_UNWRAP,
	CUSTODY_DERIVE,
	CUSTODY_ALWAYS_AUTHENTICATE,
	CUSTODY_KEY_GEN_MECHANISM,
	CUSTODY_ATTRIBUTES
};
enum custody_value { CUSTODY_FALSE, CUSTODY_TRUE, CUSTODY_NOT_TOLD, CUSTODY_VALUES };
const char *custody_attribute_name(enum custody_attribute attribute); /* "CKA_TOKEN", … */

/* What a TPM itself tells of a key (TPM 2.0 Library, part 2, section 8.3), and must: see hsm/tpm.c. */
enum tpm_attribute {
	TPM_SENSITIVE_DATA_ORIGIN,
	TPM_FIXED_TPM,
	TPM_FIXED_PARENT,
	TPM_SIGN,
	TPM_DECRYPT,
	TPM_RESTRICTED,
	TPM_ATTRIBUTES
};
const char *tpm_attribute_name(enum tpm_attribute attribute); /* "sensitiveDataOrigin", … */

struct token_key_config {
	char name[HM_NAME_MAX + 1];   /* empty: there is no key at this place */
	char label[HM_LABEL_MAX + 1]; /* CKA_LABEL; not compared when it is empty */
	uint8_t id[HM_KEY_ID_MAX];    /* CKA_ID; not compared when id_length is 0 */
	uint32_t id_length;
	uint8_t use;                 /* enum key_use */
	uint8_t algorithm;           /* enum key_algorithm */
	uint8_t hash;                /* enum key_hash */
	char issuer[HM_URL_MAX + 1]; /* a JWT that this key signs begins {"iss":"<issuer>", */
};

/* A file, or a directory and what is under it, that the module may read and execute, or write too. */
struct token_path {
	char path[HM_PATH_MAX];
	uint8_t write;
};

struct token_config {
	char name[HM_NAME_MAX + 1];
	char module[HM_PATH_MAX]; /* the PKCS#11 module to load */
	char label[33];           /* CK_TOKEN_INFO.label, without padding */
	uint32_t serial_count;    /* 0: any */
	char serials[HM_TOKEN_SERIALS_MAX][17];
	uint8_t login;              /* enum token_login */
	char pin_file[HM_PATH_MAX]; /* LOGIN_FILE: a path; LOGIN_CREDENTIAL: a name in $CREDENTIALS_DIRECTORY */
	uint32_t custodian_count;   /* of LOGIN_CUSTODIANS: as many sealed memfds come along, each with a part of the */
	uint32_t custodians[HM_PIN_PARTS_MAX]; /* PIN, in the order of these uids */
	uint8_t unlock[HM_UNLOCK_ID]; /* at random, of what people gave to log in with; zeros: they gave nothing */
	char state[HM_PATH_MAX];      /* the directory that holds latch/<name> and token-start.lock */
	uint32_t threads;             /* sessions that sign */
	uint8_t self_check;           /* enum self_check */
	uint8_t unlatch;              /* forget a latched PIN before the login */
	uint8_t read_write;           /* sessions that sign may write, too: some modules have no others */
	uint64_t user_type;           /* CK_USER_TYPE of the login, CKU_USER or a vendor's own */
	uint32_t waived;              /* a bit for each custody_attribute that the module need not tell */
	uint8_t tpm_unasked;          /* the operator waives the TPM's word, where keys are a TPM's */
	uint32_t tpm_parent;          /* the persistent handle under which a TPM holds the keys; 0: no TPM is asked */
	uint32_t path_count;          /* 0: the process is not confined */
	uint8_t confine_at_best;      /* where the kernel cannot, it goes on unconfined */
	struct token_path paths[HM_TOKEN_PATHS_MAX];
	uint32_t environment_count;
	char environment[HM_TOKEN_ENVIRONMENT_MAX][HM_PATH_MAX]; /* NAME=value, set before the module is loaded */
	uint32_t key_count;
	struct token_key_config keys[HM_KEYS_MAX]; /* a frame names a key by its place here */
	/* Of the ledger whose newest checkpoint is kept in the token; empty: of none. */
	char origin[HM_ORIGIN_MAX + 1];
};

/* A key that the process is to hold from now on, at a place that held none since it started. */
struct token_learn {
	uint16_t place;
	struct token_key_config key;
};

struct token_sign {
	uint16_t key;
	struct hm_bytes tbs; /* to be signed */
};

struct token_key_ready {
	char kid[HM_KID_MAX + 1]; /* RFC 7638 thumbprint */
	uint8_t spki[HM_SPKI_MAX];
	uint32_t spki_length;
	uint8_t custody[CUSTODY_ATTRIBUTES]; /* enum custody_value; of CUSTODY_KEY_GEN_MECHANISM: whether it was told */
	uint64_t generated_by;               /* CKA_KEY_GEN_MECHANISM */
	uint64_t mechanism;                  /* that signs, */
	uint8_t by_token;                    /* and whether it hashes */
	uint8_t tpm_name[HM_TPM_NAME_MAX];   /* of the object in the TPM, the hash of its public area; */
	uint32_t tpm_name_length;            /* 0: no TPM was asked, */
	uint8_t tpm[TPM_ATTRIBUTES];         /* and nothing is true here */
};

/* What a signature was of. */
enum signed_what { SIGNED_CREDENTIAL, SIGNED_PROBE, SIGNED_CHECKPOINT, SIGNED_STATUS_LIST, SIGNED_WHATS };
const char *signed_what_name(enum signed_what what); /* "credential", … */

/* How often a process had its keys sign since it started, also where the signature was of no use. */
struct token_counts {
	uint8_t epoch[HM_EPOCH]; /* which process */
	uint32_t count;
	struct token_signed {
		char kid[HM_KID_MAX + 1];
		uint64_t counts[SIGNED_WHATS];
	} keys[HM_TALLIES_MAX]; /* each kid once; one that was there once stays, in its place */
};

struct token_ready {
	char manufacturer[33], model[17], serial[17], firmware[16], hardware[16];
	char library[33], library_version[16]; /* what the module says of itself */
	uint8_t module_sha256[32];             /* of its file */
	uint8_t epoch[HM_EPOCH];               /* that it counts its signatures under */
	uint32_t mechanism_count;
	uint64_t mechanisms[HM_MECHANISMS_MAX]; /* that the token has */
	uint32_t threads;
	uint32_t probe_us;  /* how long a signature of the slowest key took at the start, with its check */
	uint32_t key_count; /* as in the configuration, in its order */
	struct token_key_ready keys[HM_KEYS_MAX];
};

/* Who has to act, and how (docs/architecture.md has the CKR codes of each). */
enum token_class {
	TOKEN_SESSION,   /* A: the session was lost; a new one serves */
	TOKEN_LOGIN,     /* B: login or handle lost */
	TOKEN_DEVICE,    /* C: the device is away; a new process may find it */
	TOKEN_PRESSURE,  /* D: the token has too much to do */
	TOKEN_PERMANENT, /* E: will not work again the same way: configuration or hardware */
	TOKEN_LATCH,     /* F: the PIN is not tried again until an operator acts */
	TOKEN_REFUSED,   /* the token process refused: bytes that the key is not for */
	TOKEN_CUSTODY,   /* a key or the token is not as promised: the detail names it */
	TOKEN_ABSENT,    /* there is no such key, that this process could see */
	TOKEN_CLASSES
};
const char *token_class_name(enum token_class class); /* "session", "login", … */

struct token_failure {
	uint8_t class;    /* enum token_class */
	uint64_t ckr;     /* 0 when no PKCS#11 call failed */
	char detail[320]; /* function, CKR name, attribute at fault; for the log, never for a caller */
};

/* Whether the login needs people: LOGIN_CUSTODIANS, LOGIN_PROTECTED_PATH. */
bool token_is_attended(const struct token_config *config);

/* Each get refuses (false) what is malformed, out of range or too long. */
void token_config_put(struct hm_writer *w, const struct token_config *config);
bool token_config_get(struct hm_reader *r, struct token_config *config) HM_MUST_USE;
bool token_key_equals(const struct token_key_config *a, const struct token_key_config *b);
void token_learn_put(struct hm_writer *w, uint16_t place, const struct token_key_config *key);
bool token_learn_get(struct hm_reader *r, struct token_learn *learn) HM_MUST_USE;
void token_learned_put(struct hm_writer *w, uint16_t place, const struct token_key_ready *key);
bool token_learned_get(struct hm_reader *r, uint16_t *place, struct token_key_ready *key) HM_MUST_USE;
void token_not_learned_put(struct hm_writer *w, uint16_t place, const struct token_failure *failure);
bool token_not_learned_get(struct hm_reader *r, uint16_t *place, struct token_failure *failure) HM_MUST_USE;
void token_sign_put(struct hm_writer *w, uint16_t key, const void *tbs, size_t length);
bool token_sign_get(struct hm_reader *r, struct token_sign *sign) HM_MUST_USE;
bool token_slow_get(struct hm_reader *r, uint32_t *ms) HM_MUST_USE;
void token_ready_put(struct hm_writer *w, const struct token_ready *ready);
bool token_ready_get(struct hm_reader *r, struct token_ready *ready) HM_MUST_USE;
void token_counts_put(struct hm_writer *w, const struct token_counts *counts);
bool token_counts_get(struct hm_reader *r, struct token_counts *counts) HM_MUST_USE;
bool token_note_get(struct hm_reader *r, struct hm_bytes *note) HM_MUST_USE; /* at most HM_ANCHOR_MAX */
void token_failure_put(struct hm_writer *w, const struct token_failure *failure);
bool token_failure_get(struct hm_reader *r, struct token_failure *failure) HM_MUST_USE;

#endif
