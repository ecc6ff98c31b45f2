/* SPDX-License-Identifier: Apache-2.0 */
/* One server over HTTP: what the ledger asks witnesses, and whoever mirrors or verifies a ledger asks its service. */
#ifndef HSMINT_HTTP_CLIENT_H
#define HSMINT_HTTP_CLIENT_H

#include "result.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct http_client; /* opaque; made by http_client_open, released by http_client_close */

/* Files in PEM. `ca` NULL: the system's CAs; `certificate` and `key` NULL: none is shown. */
struct http_identity {
	const char *ca, *certificate, *key;
};

/*
 * `url` is https://host…, or http://… on this machine's loopback; a path may follow, to which those of requests are
 * appended. `identity` may be NULL. Redirections are not followed, and no proxy is used. HM_REFUSED: another kind of
 * URL. Source: http_client.c
 */
hm_result http_client_open(const char *url, const struct http_identity *identity, struct http_client **client,
	struct hm_problem *why) HM_MUST_USE;
void http_client_close(struct http_client *client); /* NULL is fine */

/* How it is reached, where that is not usual. */
struct http_way {
	const char *socket;       /* of a server on this machine; NULL: by the URL's host */
	long whole_ms;            /* that an answer may take; 0: 20 s */
	const char *content_type; /* of what is posted; NULL: text */
	const atomic_bool *stop;  /* once it is true an answer is given up, within about a second; NULL: none is */
};
hm_result http_client_open_by(const char *url, const struct http_identity *identity, const struct http_way *way,
	struct http_client **client, struct hm_problem *why) HM_MUST_USE;

struct http_answer {
	int status;
	char *body; /* with a NUL behind; http_answer_free releases it */
	size_t length;
	char type[64]; /* Content-Type as it was sent; "": none, or longer */
	long max_age;  /* seconds for which Cache-Control lets it be kept; -1: nothing is said of that */
};

/* Ask for `path` ("/checkpoint"). A body longer than `most` bytes is not taken. HM_UNAVAILABLE: no whole answer; one
 * with any status is an answer. */
hm_result http_get(struct http_client *client, const char *path, size_t most, struct http_answer *answer,
	struct hm_problem *why) HM_MUST_USE;
hm_result http_post(struct http_client *client, const char *path, const void *body, size_t length, size_t most,
	struct http_answer *answer, struct hm_problem *why) HM_MUST_USE;
void http_answer_free(struct http_answer *answer);

#endif
