/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of a key ceremony: the files of one directory, whose formats docs/ceremony.md has. Every byte of them is
 * under a signature of the key or is computed again.
 */
#ifndef HSMINT_CEREMONY_RECORD_H
#define HSMINT_CEREMONY_RECORD_H

#include "ceremony_protocol.h"
#include "ceremony_x509.h"
#include <jansson.h>

#define RECORD_FILE      "record.json"
#define RECORD_SIGNATURE "record.sig"
#define CERTIFICATE_FILE "certificate.pem"
#define REQUEST_FILE     "request.pem"
#define IMPORT_FILE      "import.json"
#define IMPORT_SIGNATURE "import.sig"
#define CHAIN_FILE       "chain.pem"

enum { RECORD_TEST_DATA = 32, RECORD_KEY_ID = 16 };

/* A record that was read and found to be right. Texts belong to the JSON documents. */
struct record {
	json_t *json;
	char sha256[HEX_SHA256]; /* of record.json */
	EVP_PKEY *key;
	enum key_algorithm algorithm;
	bool is_request;
	int64_t begun, ended;
	const char *token, *label, *id, *spki_sha256;
	struct ca_wanted ca;
	json_t *import; /* NULL: nothing was imported */
	char root_sha256[HEX_SHA256];
};

void record_free(struct record *record);
#define RECORD_AUTO __attribute__((cleanup(record_free))) struct record

/* Write one of the directory's files, whole or not at all, for its owner alone. */
hm_result record_write_file(
	const char *directory, const char *file, const void *data, size_t length, struct hm_problem *why) HM_MUST_USE;

/* One of the directory's files. False: the path is too long. */
hm_result record_path(
	const char *directory, const char *file, char path[HM_PATH_MAX], struct hm_problem *why) HM_MUST_USE;

/* A document as it is signed and written: one line. The caller frees; NULL without memory. */
char *record_text(const json_t *document);

/* Read a record and check all that can be checked without the token. */
hm_result record_read(const char *directory, struct record *record, struct hm_problem *why) HM_MUST_USE;

#endif
