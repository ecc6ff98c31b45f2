/* SPDX-License-Identifier: Apache-2.0 */
#include "anchor_witness.h"

#include "base64.h"
#include "http_client.h"
#include "shard.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_TYPE "text/x.tlog.size"

enum {
	PROOF_LINE = 45, /* base64 of a hash, and a newline */
	REQUEST_MAX = 32 + (MERKLE_PATH_MAX + 1) * PROOF_LINE + 1 + NOTE_MAX,
	ANSWER_MAX = NOTE_MAX,
	ROUNDS = 3 /* one with what is remembered, one with what the witness says, one in case a lost answer was kept */
};

struct witness {
	struct http_client *client;
	const char *url;
	struct note_key key;
	char origin[HM_ORIGIN_MAX + 1]; /* of the log whose size is known */
	uint64_t size;                  /* that it cosigned last; 0: not known */
};

/* ---- opening ---- */

static hm_result read_key(const char *text, struct note_key *key, struct hm_problem *why)
{
	HM_TRY(note_key_read(text, key, why));
	if (key->algorithm != NOTE_COSIGNATURE)
		return hm_refuse(why, "config", NULL,
			"the witness's key '%.80s' is one for notes: its verifier key for cosignatures begins with the "
			"byte 4",
			text);
	return HM_OK;
}

hm_result witness_open(const struct config_witness *config, struct witness **witness, struct hm_problem *why)
{
	struct witness *opened = *witness = calloc(1, sizeof *opened);
	if (!opened)
		return hm_unavailable(why, "system", "no memory for a witness");
	opened->url = config->url;
	hm_result result = read_key(config->key, &opened->key, why);
	if (result == HM_OK)
		result = http_client_open(config->url, NULL, &opened->client, why);
	if (result == HM_OK)
		return HM_OK;
	witness_close(opened);
	*witness = NULL;
	return result;
}

void witness_close(struct witness *witness)
{
	if (!witness)
		return;
	http_client_close(witness->client);
	free(witness);
}

/* ---- a request ---- */

static hm_result make_proof(const char *directory, unsigned number, uint64_t before, uint64_t size,
	struct merkle_hash proof[MERKLE_PATH_MAX + 1], unsigned *count, struct hm_problem *why)
{
	SHARD_AUTO *shard = NULL;
	*count = 0;
	if (before == 0 || before == size)
		return HM_OK;
	HM_TRY(shard_open(directory, number, &shard, why));
	struct merkle_source source = shard_source(shard);
	return merkle_consistency(&source, before, size, proof, count, why);
}

struct submission {
	const char *directory;
	unsigned shard;
	const char *note;
	size_t length; /* of the note */
	size_t text;   /* of what is signed in it */
	struct checkpoint checkpoint;
};

static hm_result write_request(const struct submission *what, uint64_t before, char request[REQUEST_MAX],
	size_t *length, struct hm_problem *why)
{
	struct merkle_hash proof[MERKLE_PATH_MAX + 1];
	unsigned count;
	HM_TRY(make_proof(what->directory, what->shard, before, what->checkpoint.size, proof, &count, why));
	size_t used = (size_t)snprintf(request, REQUEST_MAX, "old %" PRIu64 "\n", before);
	for (unsigned i = 0; i < count; i++) {
		used += base64_encode(proof[i].bytes, sizeof proof[i].bytes, request + used);
		request[used++] = '\n';
	}
	request[used++] = '\n';
	memcpy(request + used, what->note, what->length);
	*length = used + what->length;
	return HM_OK;
}

/* ---- answers ---- */

static hm_result away(const struct witness *witness, const char *what, struct hm_problem *why)
{
	return hm_unavailable(why, "ledger", "witness %s: %s", witness->url, what);
}

static hm_result contradicts(const struct witness *witness, const struct submission *what, struct hm_problem *why)
{
	return hm_refuse(why, "ledger", NULL,
		"witness %.80s has cosigned another tree of %.80s, which one of %" PRIu64
		" entries does not go on from: "
		"the ledger was changed, or hsmint runs twice with this origin",
		witness->url, what->checkpoint.origin, what->checkpoint.size);
}

static bool read_size(const struct http_answer *answer, uint64_t *size)
{
	char text[24];
	if (strncmp(answer->type, SIZE_TYPE, sizeof SIZE_TYPE - 1) != 0 || answer->length >= sizeof text)
		return false;
	*size = strtoull(answer->body, NULL, 10);
	snprintf(text, sizeof text, "%" PRIu64 "\n", *size);
	return strcmp(answer->body, text) == 0;
}

/* 409: it remembers another size than the one that we took for the last. */
static hm_result take_conflict(struct witness *witness, const struct submission *what, uint64_t before,
	const struct http_answer *answer, uint64_t *knows, struct hm_problem *why)
{
	uint64_t size;
	if (!read_size(answer, &size))
		return away(witness, "a conflict (409) without the size that it knows", why);
	if (size == before && size == what->checkpoint.size)
		return contradicts(witness, what, why); /* its root is another */
	if (size > what->checkpoint.size) {
		*knows = size;
		return hm_refuse(why, "ledger", NULL,
			"witness %.80s has cosigned %" PRIu64 " entries of %.80s, more than the %" PRIu64 " of this "
			"checkpoint: the ledger is an old copy, or hsmint runs twice with this origin",
			witness->url, size, what->checkpoint.origin, what->checkpoint.size);
	}
	witness->size = size;
	return size == before ? away(witness, "it contradicts itself: a conflict (409) with its own size", why) : HM_OK;
}

static hm_result take_status(struct witness *witness, const struct submission *what, const struct http_answer *answer,
	struct hm_problem *why)
{
	switch (answer->status) {
	case 422:
		return contradicts(witness, what, why);
	case 403:
		return away(witness,
			"it does not trust the checkpoint's key (403): give it the one that `hsmint ledger vkey` "
			"prints",
			why);
	case 404:
		return hm_unavailable(why, "ledger",
			"witness %s: it does not know the log %s (404): have it added there", witness->url,
			what->checkpoint.origin);
	case 400:
		return away(witness, "it does not understand the request (400)", why);
	default:
		return hm_unavailable(
			why, "ledger", "witness %s: it answers with status %d", witness->url, answer->status);
	}
}

/* One line of an answer, when it is the witness's cosignature of this checkpoint. */
static bool is_cosignature(
	const struct witness *witness, const struct submission *what, const char *line, size_t length)
{
	char note[NOTE_MAX];
	size_t text;
	struct hm_problem fault;
	if (what->text + 1 + length > sizeof note)
		return false;
	memcpy(note, what->note, what->text);
	note[what->text] = '\n';
	memcpy(note + what->text + 1, line, length);
	return note_verify(note, what->text + 1 + length, &witness->key, 1, &text, NULL, &fault) == HM_OK;
}

/* C2SP tlog-witness: cosignatures of other keys are ignored. */
static hm_result take_cosignature(struct witness *witness, const struct submission *what,
	const struct http_answer *answer, char note[NOTE_MAX], size_t *length, struct hm_problem *why)
{
	const char *line = answer->body, *end;
	for (; (end = strchr(line, '\n')); line = end + 1) {
		size_t line_length = (size_t)(end + 1 - line);
		if (!is_cosignature(witness, what, line, line_length))
			continue;
		if (*length + line_length >= NOTE_MAX)
			return away(witness, "no room for its cosignature in the note", why);
		memcpy(note + *length, line, line_length);
		*length += line_length;
		note[*length] = 0;
		witness->size = what->checkpoint.size;
		return HM_OK;
	}
	return away(witness, "its answer has no cosignature that its configured key verifies", why);
}

/* ---- all ---- */

static hm_result begin(struct witness *witness, struct submission *what, struct hm_problem *why)
{
	const char *end = memmem(what->note, what->length, "\n\n", 2);
	what->text = end ? (size_t)(end + 1 - what->note) : 0;
	HM_TRY(checkpoint_read(what->note, what->length, &what->checkpoint, why));
	if (strcmp(witness->origin, what->checkpoint.origin) == 0)
		return HM_OK;
	witness->size = 0;
	memcpy(witness->origin, what->checkpoint.origin, sizeof witness->origin);
	return HM_OK;
}

/* `*is_done`: it was cosigned; else the witness has said how large the tree is that it knows. */
static hm_result submit(struct witness *witness, const struct submission *what, char note[NOTE_MAX], size_t *length,
	uint64_t *knows, bool *is_done, struct hm_problem *why)
{
	char request[REQUEST_MAX];
	size_t request_length;
	struct http_answer answer;
	uint64_t before = witness->size <= what->checkpoint.size ? witness->size : 0;
	HM_TRY(write_request(what, before, request, &request_length, why));
	HM_TRY(http_post(witness->client, "/add-checkpoint", request, request_length, ANSWER_MAX, &answer, why));
	*is_done = answer.status == 200;
	hm_result result = *is_done               ? take_cosignature(witness, what, &answer, note, length, why)
			   : answer.status == 409 ? take_conflict(witness, what, before, &answer, knows, why)
						  : take_status(witness, what, &answer, why);
	http_answer_free(&answer);
	return result;
}

hm_result witness_add(struct witness *witness, const char *directory, unsigned shard, char note[NOTE_MAX],
	size_t *length, uint64_t *knows, struct hm_problem *why)
{
	struct submission what = {.directory = directory, .shard = shard, .note = note, .length = *length};
	*knows = 0;
	HM_TRY(begin(witness, &what, why));
	for (unsigned round = 0; round < ROUNDS; round++) {
		bool is_done;
		HM_TRY(submit(witness, &what, note, length, knows, &is_done, why));
		if (is_done)
			return HM_OK;
	}
	return away(witness, "it says another size each time", why);
}
