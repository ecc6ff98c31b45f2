/* SPDX-License-Identifier: Apache-2.0 */
/* What mint and gate say to each other: the payloads of HM_GATE_* frames. */
#ifndef HSMINT_GATE_PROTOCOL_H
#define HSMINT_GATE_PROTOCOL_H

#include "buffer.h"
#include "limits.h"
#include "result.h"

enum { ETAG_SIZE = 68 };

enum sandbox_mode { SANDBOX_REQUIRE, SANDBOX_BEST };

/*
 * The first frame to a new gate, and again when certificates changed. Its descriptors, in this order, each present
 * when its flag is set: the listening Unix socket, the listening TCP socket (gate owns both from then on, only in the
 * first frame), and with `has_tls` three sealed memfds in PEM: the server's certificate chain, its key, the trusted
 * CAs for clients.
 */
struct gate_config {
	uint8_t sandbox; /* enum sandbox_mode */
	uint8_t has_unix, has_tcp, has_tls;
};

/* A blob that gate serves at exactly `path` (GET and HEAD, no caller needed) until it is replaced; a status of 0
 * removes it. */
struct gate_publish {
	char path[HM_HTTP_MAX_PATH + 1];
	uint16_t status;
	char content_type[64];
	char cache_control[64];
	char etag[ETAG_SIZE]; /* quoted; "" for none */
	struct hm_bytes body;
};

enum gate_operation {
	OPERATION_MINT_JWT,
	OPERATION_METRICS,
	OPERATION_MINT_ITEM, /* of a batch: the body's member `kind` says what */
	OPERATION_KEYS,
	OPERATION_LEDGER_PUBLIC,  /* a hash tile or a shard's checkpoint, for anybody: no caller is sent */
	OPERATION_LEDGER_ENTRIES, /* an entry bundle */
	OPERATION_LEDGER_PROOF,
	OPERATION_API,   /* agents, tasks, approvals, revocation, introspection: mint reads method and path */
	OPERATION_TOKEN, /* an issuer's token endpoint: who has no certificate is CALLER_NONE, and says in the body who
			    it is */
	OPERATIONS
};

enum caller_kind { CALLER_UNIX, CALLER_CERTIFICATE, CALLER_NONE };

/* Who calls, as gate's own end of the connection proves it. */
struct gate_caller {
	uint8_t kind;                   /* enum caller_kind */
	uint32_t uid, gid, pid;         /* CALLER_UNIX: SO_PEERCRED at connect */
	char uri[HM_SPIFFE_ID_MAX + 1]; /* CALLER_CERTIFICATE: its one URI SAN, "" when it has none */
	uint8_t spki_sha256[32];        /* CALLER_CERTIFICATE: SHA-256 of its SubjectPublicKeyInfo */
};

/* The Idempotency-Key of a request, and which request it is. */
struct gate_key {
	char text[HM_IDEMPOTENCY_KEY_MAX + 1]; /* "": none, and the rest is not sent */
	uint8_t digest[32];                    /* SHA-256 of the path, a NUL and the whole body that the client sent */
	uint16_t item, items;                  /* this one's place in the batch, and how many it has; alone: 0 of 1 */
};

/* Of OPERATION_API and OPERATION_TOKEN: what an HTTP signature covers and what proves a key, as it came. */
struct gate_call {
	char method[8];                    /* "GET" or "POST" */
	char target[HM_HTTP_MAX_PATH + 1]; /* path and query */
	uint8_t is_form;                   /* the body is application/x-www-form-urlencoded, else JSON */
	char content_digest[128];          /* headers; "": not there */
	char signature_input[HM_SIGNATURE_INPUT_MAX + 1];
	char signature[HM_HTTP_SIGNATURE_MAX + 1];
	char dpop[HM_DPOP_PROOF_MAX + 1]; /* only of OPERATION_TOKEN */
	struct hm_bytes certificates;     /* the client's chain: of OPERATION_API only with a signature */
};

struct gate_request {
	uint8_t operation; /* enum gate_operation */
	struct gate_caller caller;
	uint64_t
		deadline_ms; /* on CLOCK_MONOTONIC: when the client wants its answer at the latest; 0: it did not say */
	struct gate_key key;
	char path[HM_LEDGER_PATH_MAX + 1]; /* of the OPERATION_LEDGER_*, as the client wrote it; sent only for these */
	struct gate_call call;             /* sent only where gate_request_has_call says so */
	struct hm_bytes body; /* JSON or a form: well formed UTF-8, no duplicate members, within depth; empty for GET */
};

struct gate_reply {
	uint16_t status;
	uint32_t retry_after; /* seconds; 0: no Retry-After header */
	char content_type[64];
	char cache_control[64];                 /* "": no-store */
	char etag[ETAG_SIZE];                   /* quoted; "" for none */
	char dpop_nonce[HM_DPOP_NONCE_MAX + 1]; /* "": no such header */
	struct hm_bytes body;
};

struct gate_ready {
	uint8_t accepted;
	char sandbox[200]; /* what is in force, e.g. "seccomp=on landlock=7 capabilities=none dumpable=no" */
	char detail[320];  /* why the configuration was refused; gate keeps the one before, or exits if there is none */
};

enum gate_counter {
	GATE_CONNECTIONS_OPEN, /* now */
	GATE_CONNECTIONS_TOTAL,
	GATE_REQUESTS_TOTAL,
	GATE_REQUESTS_IN_FLIGHT, /* now, with mint */
	GATE_GUARD_REFUSED_TOTAL,
	GATE_TLS_REFUSED_TOTAL,
	GATE_OVERLOAD_TOTAL,
	GATE_TIMEOUTS_TOTAL,
	GATE_COUNTERS
};
struct gate_stats {
	uint64_t counter[GATE_COUNTERS];
};

/* Whether `call` is sent with it: of OPERATION_API and OPERATION_TOKEN. */
bool gate_request_has_call(const struct gate_request *request);

/* Each get refuses (false) what is malformed, out of range or too long. Bytes point into the reader's memory. */
void gate_config_put(struct hm_writer *w, const struct gate_config *config);
bool gate_config_get(struct hm_reader *r, struct gate_config *config) HM_MUST_USE;
void gate_publish_put(struct hm_writer *w, const struct gate_publish *publish);
bool gate_publish_get(struct hm_reader *r, struct gate_publish *publish) HM_MUST_USE;
void gate_request_put(struct hm_writer *w, const struct gate_request *request);
bool gate_request_get(struct hm_reader *r, struct gate_request *request) HM_MUST_USE;
void gate_reply_put(struct hm_writer *w, const struct gate_reply *reply);
bool gate_reply_get(struct hm_reader *r, struct gate_reply *reply) HM_MUST_USE;
void gate_ready_put(struct hm_writer *w, const struct gate_ready *ready);
bool gate_ready_get(struct hm_reader *r, struct gate_ready *ready) HM_MUST_USE;
void gate_stats_put(struct hm_writer *w, const struct gate_stats *stats);
bool gate_stats_get(struct hm_reader *r, struct gate_stats *stats) HM_MUST_USE;

#endif
