/* SPDX-License-Identifier: Apache-2.0 */
/* Inside libhsmint: a client, and one request and answer over its connection. */
#ifndef HSMINT_CLIENT_EXCHANGE_H
#define HSMINT_CLIENT_EXCHANGE_H

#include "hsmint/client.h"
#include <curl/curl.h>
#include <openssl/evp.h>
#include <stdbool.h>

struct hsmint_client {
	CURL *curl;
	char *base;     /* "http://localhost" on a socket, otherwise the URL */
	char *socket;   /* its path, NULL with a URL */
	char *key_file; /* of the client's certificate; NULL on a socket */
	EVP_PKEY *key;  /* what is in it, once something was signed */
	char detail[CURL_ERROR_SIZE];
	long timeout_ms;
	bool was_answered; /* by whatever serves there, once */
};

struct exchange {
	const char *target; /* path, and with ? its query */
	bool is_post;
	bool is_once;     /* not sent again by libcurl either, when a kept connection ends without an answer */
	const char *json; /* the body of a POST; NULL: it has none */
	struct curl_slist *headers; /* beside Content-Type; freed with the exchange. NULL: none */
	size_t most;                /* bytes that the answer may have */
	int64_t end_ms;             /* on the monotonic clock */
};

struct answer {
	int status; /* 200 to 299 */
	char *text; /* with a NUL behind; NULL: empty */
	size_t length;
};

int64_t exchange_now_ms(void);

/* A header more; `*headers` is NULL before the first, and freed and NULL again when there is no memory, which is false.
 */
bool exchange_add_header(struct curl_slist **headers, const char *header);

/* True: an answer with a status that is a success, whose text is the caller's. Frees the headers. */
bool exchange_run(hsmint_client *client, struct exchange *exchange, struct answer *answer, hsmint_error **error);

#endif
