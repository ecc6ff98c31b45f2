/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libhsmint: ask an hsmint service for a credential, over its Unix socket or over mutual TLS 1.3.
 *
 *     hsmint_error *error = NULL;
 *     hsmint_client *client = hsmint_client_unix("/run/hsmint/hsmint.sock", &error);
 *     hsmint_request *request = hsmint_request_new();
 *     hsmint_request_text(request, "profile", "demo-access");
 *     hsmint_request_text(request, "subject", "spiffe://demo.test/agent/first");
 *     hsmint_request_add(request, "audience", "https://api.demo.test");
 *     hsmint_reply *reply = hsmint_mint(client, "jwt", request, &error);
 *     puts(reply ? hsmint_reply_credential(reply) : hsmint_error_message(error));
 *     hsmint_reply_free(reply), hsmint_request_free(request), hsmint_client_free(client), hsmint_error_free(error);
 *
 * Made for every language that can call C: plain functions, opaque pointers, NUL-terminated UTF-8 text, nothing to lay
 * out in memory.
 *
 * Ownership: what a function returns as a non-const pointer is the caller's, until given to the free function of its
 * type; `const char *` belongs to the object it was asked of and lives as long as that. Arguments are copied. Every
 * free function and every accessor takes NULL.
 *
 * Failure: a function that can fail returns NULL (or -1) and, when `error` is not NULL, sets `*error` to a new error,
 * which is the caller's; what `*error` held before is not looked at. On success `*error` is not touched.
 *
 * Threads: an object is used by one thread at a time; different objects by different threads freely. Nothing here
 * installs a signal handler, reads the environment or starts a thread; libcurl and OpenSSL read what they document
 * (OPENSSL_CONF, SSLKEYLOGFILE). The first client initialises libcurl for the process (curl_global_init).
 */
#ifndef HSMINT_CLIENT_H
#define HSMINT_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define HSMINT_API __attribute__((visibility("default")))
#else
#define HSMINT_API
#endif

typedef struct hsmint_client hsmint_client;   /* a connection, opened when needed and kept for the next request */
typedef struct hsmint_request hsmint_request; /* the members of a request, being put together */
typedef struct hsmint_reply hsmint_reply;     /* a credential and what belongs to it */
typedef struct hsmint_error hsmint_error;     /* why there is none */

/* The library's version, "0.1.0". */
HSMINT_API const char *hsmint_version(void);

/* ---- clients ---- */

/* A client of the service at this Unix socket. Connects with the first request. */
HSMINT_API hsmint_client *hsmint_client_unix(const char *socket_path, hsmint_error **error);

/*
 * A client of the service at `url` ("https://host:port", without a path), which proves itself with a certificate chain
 * and key (PEM files, key not encrypted) and trusts only the CAs in `ca_file`. Connects with the first request.
 */
HSMINT_API hsmint_client *hsmint_client_https(
	const char *url, const char *certificate_file, const char *key_file, const char *ca_file, hsmint_error **error);

/* How long a call may take, with all its attempts and the waits between them; 10,000 ms when not set. At least 1. */
HSMINT_API void hsmint_client_set_timeout(hsmint_client *client, long milliseconds);

HSMINT_API void hsmint_client_free(hsmint_client *client); /* closes the connection */

/* ---- requests ---- */

/*
 * A request is a JSON object; its members are those of docs/openapi.yaml: profile, subject, audience, scope, lifetime,
 * claims, context. Each function adds one and returns 0, or -1 when the value is not UTF-8 or not JSON, the member was
 * set already or memory ran out; such a request stays failed and hsmint_mint refuses it, so a caller may leave the
 * results unread.
 */
HSMINT_API hsmint_request *hsmint_request_new(void); /* NULL: out of memory */
HSMINT_API int hsmint_request_text(hsmint_request *request, const char *member, const char *text);
HSMINT_API int hsmint_request_number(hsmint_request *request, const char *member, int64_t value);
HSMINT_API int hsmint_request_json(hsmint_request *request, const char *member, const char *json);
/* Append to an array of strings: one "audience" after the other. */
HSMINT_API int hsmint_request_add(hsmint_request *request, const char *member, const char *text);
/* Put name and value into an object of strings, such as "context". */
HSMINT_API int hsmint_request_pair(hsmint_request *request, const char *member, const char *name, const char *value);
/*
 * The Idempotency-Key, 1 to 128 printable ASCII characters without spaces. Within 120 seconds the service gives one
 * credential for a key, however often it is asked with the same request: so a broker that writes the key down first can
 * ask again after its own restart. Without one, each hsmint_mint makes a random key. 0, or -1 as above.
 */
HSMINT_API int hsmint_request_set_key(hsmint_request *request, const char *key);
HSMINT_API void hsmint_request_free(hsmint_request *request);

/* ---- minting ---- */

/*
 * Have a credential of this kind ("jwt") minted. The request may be used again.
 *
 * Within the client's time the request is sent again, always with the same Idempotency-Key, so that no second
 * credential is struck: after Retry-After, when the service says `after`, if that time is left; and at growing
 * intervals of 10 ms to 1 s when it says `same-key`. A connection that is lost or cannot be made is tried again
 * likewise, once the service has answered this client before: a service that restarts is waited for, one that was never
 * there is not. The error is the last one, but not that the time ran out when there was another before. The service is
 * told the time that is left (Deadline-Ms), and answers within it.
 *
 * What others have to approve first is no reply, but the error client_approval: hsmint_error_approval says which
 * approval is wanted. When they have granted it, the same request with the member "approval" is answered with the
 * credential; until when is hsmint_error_approval_expires_at. To wait for them, hsmint_get
 * "/v1/approvals/ID?wait=30" again and again.
 */
HSMINT_API hsmint_reply *hsmint_mint(
	hsmint_client *client, const char *kind, const hsmint_request *request, hsmint_error **error);

HSMINT_API const char *hsmint_reply_credential(const hsmint_reply *reply);
HSMINT_API const char *hsmint_reply_kind(const hsmint_reply *reply); /* "at+jwt", "jwt-svid" */
HSMINT_API const char *hsmint_reply_profile(const hsmint_reply *reply);
HSMINT_API const char *hsmint_reply_kid(const hsmint_reply *reply);
HSMINT_API const char *hsmint_reply_id(const hsmint_reply *reply);     /* the credential's jti */
HSMINT_API int64_t hsmint_reply_issued_at(const hsmint_reply *reply);  /* seconds since 1970; 0 of NULL */
HSMINT_API int64_t hsmint_reply_expires_at(const hsmint_reply *reply); /* seconds since 1970; 0 of NULL */
HSMINT_API int hsmint_reply_replayed(const hsmint_reply *reply);       /* 1: it was given before for this key */
/* Where the credential is recorded: the shard's origin, "" without; the entry's index in it, -1 without. */
HSMINT_API const char *hsmint_reply_ledger_origin(const hsmint_reply *reply);
HSMINT_API int64_t hsmint_reply_ledger_index(const hsmint_reply *reply);
HSMINT_API const char *hsmint_reply_json(const hsmint_reply *reply); /* the whole reply as it came */
HSMINT_API void hsmint_reply_free(hsmint_reply *reply);

/* ---- public documents ---- */

/*
 * Fetch what the service publishes at `path` ("/demo/.well-known/jwks.json"): at most 16 MiB, a NUL behind;
 * `*length` (may be NULL) is the length without it. Anything but status 200 is an error.
 */
HSMINT_API char *hsmint_get(hsmint_client *client, const char *path, size_t *length, hsmint_error **error);

/* ---- what governs ---- */

/*
 * One request about agents, tasks, approvals, revocations or a decision (docs/governance.md), for a client of an https
 * URL: signed with the key of its certificate (RFC 9421), so that who asks is proven to the process that decides.
 * `method` is "GET" or "POST"; `target` the path, with a query if there is one ("/v1/tasks?limit=10"); `json` a POST's
 * body, or NULL. Returns the answer's JSON, to be released with hsmint_text_free; what is no success is an error.
 * Each call fetches a nonce and is sent once: after client_lost or client_timeout it may be done or not.
 */
HSMINT_API char *hsmint_signed_call(
	hsmint_client *client, const char *method, const char *target, const char *json, hsmint_error **error);

/* ---- operators ---- */

/*
 * Give one command, a JSON object such as {"command":"status"}, to the control socket at `path` and wait at most
 * `timeout_ms` for each step of the exchange. Returns the reply's JSON. A reply that is a problem is an error.
 */
HSMINT_API char *hsmint_control_call(const char *path, const char *command, long timeout_ms, hsmint_error **error);

/* The same, with a copy of the descriptor `fd` for the service; docs/frames.md says which commands take one. */
HSMINT_API char *hsmint_control_call_fd(
	const char *path, const char *command, int fd, long timeout_ms, hsmint_error **error);

/* Release what hsmint_get, hsmint_signed_call or hsmint_control_call returned. */
HSMINT_API void hsmint_text_free(char *text);

/* ---- errors ---- */

/*
 * `code` is stable: either one of the service's (docs/errors.md), or one of the library's own:
 *   client_argument     the request or an argument is not usable; nothing was sent
 *   client_unreachable  no connection; nothing was sent
 *   client_tls          no TLS connection: a certificate, key or CA is not accepted; no request was sent
 *   client_approval     others have to approve it first; hsmint_mint says how to go on
 *   client_timeout      no answer in time; whether the service acted is not known
 *   client_lost         the connection ended without an answer; whether the service acted is not known
 *   client_reply        the answer is not one that hsmint gives, or larger than allowed
 *   client_memory       out of memory
 */
HSMINT_API const char *hsmint_error_code(const hsmint_error *error);
HSMINT_API int hsmint_error_status(const hsmint_error *error);          /* HTTP status; 0 without an answer */
HSMINT_API const char *hsmint_error_title(const hsmint_error *error);   /* what the code means */
HSMINT_API const char *hsmint_error_field(const hsmint_error *error);   /* the member at fault, or "" */
HSMINT_API const char *hsmint_error_accepts(const hsmint_error *error); /* what would be accepted, or "" */
HSMINT_API const char *hsmint_error_retry(const hsmint_error *error);   /* "no", "same-key" or "after" */
HSMINT_API long hsmint_error_retry_after(const hsmint_error *error);    /* seconds; 0 when none was given */
/* With client_approval, else "" and 0: the approval's id; base64url of the SHA-256 of what is to be approved
 * (docs/governance.md); and until when it waits and is good, in seconds since 1970. */
HSMINT_API const char *hsmint_error_approval(const hsmint_error *error);
HSMINT_API const char *hsmint_error_approval_hash(const hsmint_error *error);
HSMINT_API int64_t hsmint_error_approval_expires_at(const hsmint_error *error);
/* All of it in one line without control characters: "code: title (field: accepts)". */
HSMINT_API const char *hsmint_error_message(const hsmint_error *error);
HSMINT_API void hsmint_error_free(hsmint_error *error);

#ifdef __cplusplus
}
#endif

#endif
