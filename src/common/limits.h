/* SPDX-License-Identifier: Apache-2.0 */
/* Every length and count that hsmint refuses to exceed, in one place. Lengths are bytes, times as named. */
#ifndef HSMINT_LIMITS_H
#define HSMINT_LIMITS_H

#include <stdint.h>

/* The largest integer that every reader of JSON takes exactly (RFC 7493, section 2.2). */
#define HM_INTEGER_MAX INT64_C(9007199254740991)

/* The last second of the year 9999: no time in seconds since 1970 is later. */
#define HM_TIME_MAX INT64_C(253402300799)

enum {
	/* Frames between processes */
	HM_FRAME_MAX_INLINE = 64 * 1024,          /* payload carried in the datagram itself */
	HM_FRAME_MAX_MEMFD = 16 * 1024 * 1024,    /* payload carried in a sealed memfd */
	HM_FRAME_MAX_FDS = 8,                     /* descriptors in one frame, the memfd included */
	HM_FRAME_BATCH = 16,                      /* frames received or sent in one system call */
	HM_CHANNEL_MAX_QUEUED = 16 * 1024 * 1024, /* bytes waiting to be sent on one channel */

	/* HTTP */
	HM_HTTP_MAX_BODY = 60 * 1024, /* a request, its caller and its key still fit one inline frame */
	HM_HTTP_MAX_BATCH_BODY = 1024 * 1024,
	HM_HTTP_MAX_LARGE_BODIES = 64, /* bodies above HM_HTTP_MAX_BODY held at once */
	HM_HTTP_MAX_PATH = 1024,
	HM_HTTP_MAX_CONNECTIONS = 1024, /* on each listener */
	HM_HTTP_MAX_PER_ADDRESS = 256,  /* connections from one IP address that have not shown a client certificate */
	HM_HTTP_DEADLINE_MAX_MS = 600 * 1000, /* Deadline-Ms */
	HM_BATCH_MAX = 256,                   /* requests in one batch */
	HM_BATCH_WINDOW = 64,                 /* of one batch, with mint at once */
	HM_BATCH_ITEMS_IN_FLIGHT = 2048,      /* of all batches, beyond one of each connection */
	HM_HTTP_IDLE_SECONDS = 30,            /* an idle connection is closed */
	HM_HTTP_REQUEST_SECONDS = 10,         /* from first byte to whole request */
	HM_HTTP_DRAIN_SECONDS = 10,           /* SIGTERM: answers in flight may take this long */
	HM_PUBLISHED_MAX = 1024,              /* blobs that gate serves from memory */
	HM_JSON_MAX_DEPTH = 8,
	HM_JSON_MAX_TOKENS = 2048,          /* values and names in one body, */
	HM_JSON_IMPORT_TOKENS = 100 * 1000, /* and in an import of agents */

	/* Names and words */
	HM_NAME_MAX = 64,        /* of a profile, key, token, caller or issuer in the configuration */
	HM_SPIFFE_ID_MAX = 2048, /* SPIFFE-ID, section 2.3 */
	HM_TRUST_DOMAIN_MAX = 255,
	HM_URL_MAX = 512, /* an issuer's URL */
	HM_AUDIENCE_MAX = 512,
	HM_AUDIENCES_MAX = 8,
	HM_SCOPE_MAX = 64,
	HM_SCOPES_MAX = 32,
	HM_CLAIMS_MAX = 32,             /* claims in one profile */
	HM_CLAIMS_BYTES_MAX = 4096,     /* a request's claims, as JSON */
	HM_CLAIM_STRING_MAX = 1024,     /* one claim's string, when its profile sets no size */
	HM_CONTEXT_MAX = 16,            /* members of `context` */
	HM_CONTEXT_BYTES_MAX = 1024,    /* their names and values together */
	HM_TENANT_MAX = 128,            /* the value of the member of `context` that names the tenant */
	HM_LIFETIME_MAX = 24 * 60 * 60, /* seconds; no profile may allow more */
	HM_BACKDATE_MAX = 300,          /* seconds */

	/* Credentials */
	HM_JWT_HEADER_MAX = 256,        /* JSON, before base64url */
	HM_JWT_PAYLOAD_MAX = 16 * 1024, /* JSON, before base64url */
	HM_JWT_TBS_MAX = 24 * 1024,     /* base64url header, dot, base64url payload */
	HM_JWT_MAX = 26 * 1024,
	HM_KID_MAX = 43, /* base64url of a SHA-256 */
	HM_ID_MAX = 22,  /* base64url of 128 bits */

	/* JWTs that others signed, and their keys */
	HM_FOREIGN_HEADER_MAX = 1024, /* JSON, before base64url; else as of ours */
	HM_FOREIGN_KID_MAX = 256,
	HM_FOREIGN_JTI_MAX = 256,
	HM_FOREIGN_TYPS_MAX = 4,      /* that one rule accepts */
	HM_ASSERTION_SECONDS = 300,   /* for which a client assertion may live */
	HM_LEEWAY_MAX = 30,           /* seconds that another's clock may be off */
	HM_KEY_SET_MAX = 256 * 1024,  /* bytes of a JWK Set or SPIFFE bundle, */
	HM_KEY_SET_KEYS_MAX = 64,     /* and keys, those included that are ignored, */
	HM_KEY_SET_VALUES_MAX = 4096, /* and values and names */

	/* Those whose word we take */
	HM_TRUST_MAX = 64,                 /* in one configuration */
	HM_FOREIGN_SUBJECT_MAX = 255,      /* of who is no SPIFFE ID: OpenID Connect Core 1.0, section 2 */
	HM_TRUST_FETCHES = 2,              /* key sets asked for at once, */
	HM_TRUST_FETCH_MS = 10 * 1000,     /* and for so long */
	HM_TRUST_REFRESH_SECONDS = 5 * 60, /* after which one is asked for again that does not say when, */
	HM_TRUST_REFRESH_SECONDS_MIN = 60, /* and one that does */
	HM_TRUST_REFRESH_SECONDS_MAX = 60 * 60,
	HM_TRUST_AGAIN_SECONDS = 10,         /* between attempts: after a failure, and for a kid that is not known */
	HM_TRUST_AWAY_SECONDS = 6 * 60 * 60, /* for which keys are good though nobody gives newer ones */
	HM_TRUST_LIFETIME_SECONDS = 60 * 60, /* of a token, where the configuration does not say */

	/* Tokens */
	HM_TOKENS_MAX = 16,
	HM_KEYS_MAX = 64,
	HM_TOKEN_THREADS_MAX = 64,
	HM_TOKEN_ENVIRONMENT_MAX = 16,
	HM_TOKEN_SERIALS_MAX = 8,
	HM_TOKEN_PATHS_MAX = 16, /* that a module may use */
	HM_PIN_MAX = 256,
	HM_LABEL_MAX = 64,        /* CKA_LABEL of a key */
	HM_KEY_ID_MAX = 32,       /* CKA_ID of a key */
	HM_KEY_OF_MAX = 1024,     /* what the configuration says of a key, as the record of keys has it */
	HM_JWKS_AGE = 300,        /* seconds for which verifiers may keep a published document */
	HM_KEY_VERSIONS_MAX = 16, /* of one configured key, those retired lately among them */
	HM_RSA_BITS_MIN = 2048,
	HM_RSA_BITS_MAX = 4096,
	HM_SIGNATURE_MAX = HM_RSA_BITS_MAX / 8,
	HM_MECHANISMS_MAX = 512, /* of a token */
	HM_SPKI_MAX = 640,       /* DER SubjectPublicKeyInfo of an RSA key of HM_RSA_BITS_MAX */
	HM_EPOCH = 16,           /* of one life of a token's process, at random */
	HM_TALLIES_MAX = 128,    /* keys that one process counts the signatures of */
	HM_TPM_NAME_MAX = 66,    /* a hash algorithm's number and a SHA-512 */
	HM_PATH_MAX = 1024,
	HM_ANCHOR_MAX = 16 * 1024,   /* of the ledger's newest checkpoint, where a token keeps it */
	HM_LOGIN_UNANSWERED_MAX = 3, /* login attempts that ended without an answer before the latch closes */

	/* Key ceremonies */
	HM_CUSTODIANS_MAX = 16,
	HM_CUSTODIAN_NAME_MAX = 128,
	HM_SUBJECT_MAX = 1024,                /* of a CA certificate: an X.501 name in DER, or as text */
	HM_CA_DAYS_MAX = 36500,               /* its validity */
	HM_CA_PATH_LENGTH_MAX = 8,            /* CAs below it */
	HM_CA_CHAIN_MAX = 8,                  /* certificates up to the root, both ends counted */
	HM_CERTIFICATE_MAX = 16 * 1024,       /* DER of a certificate or a request */
	HM_CEREMONY_DOCUMENT_MAX = 48 * 1024, /* a record, and any other file of a ceremony twice over */

	/* The ledger */
	HM_ORIGIN_MAX = 255,                       /* of a shard: the configured origin, a slash and a number */
	HM_SHARDS_MAX = 99999,                     /* of a ledger */
	HM_LEDGER_PATH_MAX = 96,                   /* of what is read of it over HTTP */
	HM_LEDGER_READS_MAX = 64,                  /* by anybody at once, and by callers */
	HM_LEDGER_ENTRY_MAX = 48 * 1024,           /* bytes; 256 of them fit one frame of a segment */
	HM_LEDGER_FLUSH_BUNDLES = 16,              /* full bundles go to their files when there are so many, */
	HM_LEDGER_FLUSH_MOST = 64,                 /* of them at once; */
	HM_LEDGER_UNFLUSHED_MAX = 16 * 1024,       /* entries that wait for bundles which cannot be written */
	HM_LEDGER_ROOM_BYTES = 5 * 1024 * 1024,    /* of zeros for a segment to be written over; */
	HM_LEDGER_SEGMENT_BYTES = 4 * 1024 * 1024, /* or the segment is so long */
	HM_ANCHOR_TOKEN_SECONDS = 60, /* a token that keeps the newest checkpoint is given one no oftener */
	HM_HUMANS_MAX = 5,      /* two members of a request by its profile, twice, as context and as claim; and `sub` */
	HM_REFUSALS_MAX = 1024, /* different ones within a second that are told one by one */

	/* Agents, tasks, approvals, revocation */
	HM_STORE_KEY_MAX = 2560,         /* of a row: two names and a SPIFFE ID */
	HM_STORE_BODY_MAX = 32 * 1024,   /* of a row, as JSON */
	HM_STORE_COMMITS_MAX = 4096,     /* that wait */
	HM_POSTGRES_SILENCE_MS = 5000,   /* of a server, which then is given up */
	HM_STALENESS_SECONDS_MAX = 60,   /* for which a view of the store is believed */
	HM_OWNER_MAX = 256,              /* of an agent, and whom to escalate to */
	HM_PURPOSE_MAX = 1024,           /* of an agent or a task */
	HM_REASON_MAX = 512,             /* of an act */
	HM_REF_MAX = 256,                /* by which a caller names its task */
	HM_DEPTH_MAX = 8,                /* of delegation, and of a tree of tasks */
	HM_IMPORT_MAX = 1000,            /* agents in one request */
	HM_LIST_MAX = 1000,              /* of anything in one answer, */
	HM_LIST_BYTES_MAX = 4 << 20,     /* and bytes, before it goes on in the next */
	HM_STATUS_LISTS_MAX = 64,        /* of an issuer */
	HM_APPROVERS_MAX = 8,            /* that one request needs */
	HM_APPROVAL_SECONDS_MAX = 86400, /* for which one waits */
	HM_APPROVALS_WAITING_MAX = 256,  /* of one caller */
	HM_TASK_SECONDS = 3600,          /* of one that does not say when it ends */
	HM_TASK_SECONDS_MAX = 31 * 86400,
	HM_TASKS_LOOKED_AT = 20000, /* at once, for one page of a list */
	HM_NONCE_SECONDS = 60,      /* for an HTTP signature */
	HM_NONCES_MAX = 65536,
	HM_AHEAD_SECONDS = 5,     /* that the clock of who signs may be before ours */
	HM_WAIT_SECONDS_MAX = 30, /* of a request that waits for an approval */
	/* As text: one by an RSA key of HM_RSA_BITS_MAX has 2100 characters besides its claims. */
	HM_DPOP_PROOF_MAX = 4096,
	HM_DPOP_JTI_MAX = 128,
	HM_DPOP_URL_MAX = 1024,          /* without query and fragment */
	HM_DPOP_SECONDS = 60,            /* of a proof's age; and for so long a nonce is given out, and good twice */
	HM_DPOP_AHEAD_SECONDS = 30,      /* that the clock of who signs may be before ours: the nonce says when, too */
	HM_DPOP_PROOFS_MAX = 256 * 1024, /* that are remembered of one nonce */
	HM_API_CALLS_MAX = 1024,         /* that are committed, recorded or wait */
	HM_API_PATH_MAX = HM_HTTP_MAX_PATH,
	HM_DPOP_NONCE_MAX = 64,
	HM_UNPROVEN_MAX = 32, /* requests to token endpoints at mint at once, of clients without a certificate */
	HM_API_ID_MAX = 64,   /* of an id in a path */
	HM_SIGNATURE_INPUT_MAX = 512, /* headers of an HTTP signature */
	HM_HTTP_SIGNATURE_MAX = 1024,
	HM_CERTIFICATES_MAX = 16 * 1024, /* a client's chain, DER, one behind the other */
	HM_ENGINE_ASKS = 4,              /* questions to an outside decision point at once, */
	HM_ENGINE_WAITING_MAX = 1024,    /* and those that wait for that */
	HM_ENGINE_MS_MAX = 4000,         /* for its answer: a request is answered within 5 s */
	HM_DECISION_ID_MAX = 128,        /* by which it knows a decision */
	HM_PARKED_MAX = 4096,            /* mint requests that wait for the store, or for another's decision */

	/* Logins by people */
	HM_UNLOCK_ID = 16,                       /* of an unlock, at random */
	HM_PIN_PARTS_MAX = HM_FRAME_MAX_FDS - 1, /* of one token: they travel in one frame */
	HM_UNLOCK_SECONDS = 600,                 /* parts that are not complete by then are thrown away */
	HM_PROTECTED_PATH_SECONDS = 300,         /* a person at the PIN pad has so long */

	/* mint */
	HM_CONFIG_MAX = 4 * 1024 * 1024, /* bytes of its file */
	HM_ISSUERS_MAX = 16,
	HM_PROFILES_MAX = 256,
	HM_CALLERS_MAX = 1024,
	HM_PROFILE_KEYS_MAX = 4,           /* that sign for one profile, each on a token of its own */
	HM_PATTERNS_MAX = 64,              /* in one list of a profile */
	HM_PENDING_MAX = 4096,             /* mint requests that wait for a token */
	HM_TOKEN_SLOW_MAX_MS = 60 * 1000,  /* that a worker is told to wait, for tests */
	HM_FAULT_MAX_MS = 60 * 60 * 1000,  /* that any other fault is told to last */
	HM_REQUEST_MS = 5000,              /* a request is answered within this */
	HM_RETRY_AFTER_MAX = 120,          /* seconds; nobody is told to wait longer */
	HM_WEIGHT_MAX = 100,               /* of a caller, among those that wait */
	HM_BUCKETS_MAX = 64 * 1024,        /* callers, agents and tenants whose rate is watched at once, */
	HM_BUCKETS_CALLER_MAX = 16 * 1024, /* and those of one caller's requests */
	HM_IDEMPOTENCY_KEY_MAX = 128,
	HM_IDEMPOTENCY_SECONDS = 120,                           /* how long a key is remembered */
	HM_IDEMPOTENCY_CALLER_BYTES = 64 * 1024 * 1024,         /* for the keys of one caller */
	HM_IDEMPOTENCY_BYTES = 256 * 1024 * 1024,               /* for those of all callers */
	HM_CONTROL_CLIENTS = 32,                                /* connections to the control socket at once */
	HM_CONTROL_REQUEST_MAX = HM_HTTP_MAX_BATCH_BODY + 4096, /* with an import of agents */
	HM_CONTROL_IDLE_SECONDS = 60                            /* one that says nothing for so long is closed */
};

#endif
