/* SPDX-License-Identifier: Apache-2.0 */
/* `hsmint ledger prove` */
#include "ledger.h"

#include "base64.h"
#include "base64url.h"
#include "file.h"
#include "json_write.h"
#include "ledger_credential.h"
#include "ledger_input.h"
#include "ledger_scan.h"
#include "options.h"
#include "shard.h"
#include <getopt.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAMES_MAX = 16 };

static const char help[] =
	"Usage: hsmint ledger prove DIR TOKEN|ID [--salts DIR [--human NAME...]]\n"
	"\n"
	"Print a proof that a credential is recorded: its entry, the path from it to a checkpoint, and the "
	"checkpoint.\n"
	"hsmint ledger check-proof verifies it with nothing but a key.\n"
	"\n"
	"  TOKEN         a file that holds the JWT, or - for standard input\n"
	"  ID            or a credential's id (its jti)\n"
	"  --salts DIR   the service's state/salts: the names and salts of the humans in the entry go into the proof\n"
	"  --human NAME  a human whom the JWT does not name\n"
	"\n"
	"Example:\n"
	"  hsmint ledger prove ledger token.jwt > proof.json";

struct request {
	const char *directory, *salts;
	const char *names[NAMES_MAX];
	unsigned name_count;
	struct ledger_credential *credential; /* NULL: an id was given */
	char id[6 * HM_JWT_MAX + 3];          /* as a string of canonical JSON */

	bool is_found, is_settled; /* the entry is there; and it is about the credential's bytes, if those are known */
	unsigned shard;
	uint64_t index;
	uint8_t data[TILE_ENTRY_MAX];
	size_t length;
	struct entry entry; /* of `data` */
	struct ledger_humans humans;
};

/* ---- finding the entry ---- */

static void keep(struct request *request, const struct ledger_scanned *scanned)
{
	struct hm_problem why;
	request->is_found = true;
	request->shard = scanned->shard;
	request->index = scanned->index;
	request->length = scanned->length;
	memcpy(request->data, scanned->data, scanned->length);
	if (entry_read(request->data, request->length, &request->entry, &why) != HM_OK)
		request->is_found = false; /* it was read before */
}

/* The bytes that a human is named in are compared when the salts are known. */
static bool is_about(const struct request *request, const struct entry *entry)
{
	return !request->credential || entry->members[ENTRY_TBS_HMAC].data ||
	       ledger_is_about(entry, &request->humans, request->credential);
}

static bool is_retry_of(const struct request *request, const struct ledger_scanned *scanned)
{
	int64_t of;
	bool is_before = scanned->entry.members[ENTRY_ORIGIN].data != NULL;
	return request->is_found && scanned->entry.type == ENTRY_RETRY &&
	       entry_number(scanned->entry.members[ENTRY_OF], &of) && (uint64_t)of == request->index &&
	       scanned->shard == request->shard + is_before;
}

/* What a client got of a credential that was signed twice may be the second one: then the retry's entry is its. */
static bool take(void *context, const struct ledger_scanned *scanned)
{
	struct request *request = context;
	bool is_it = scanned->entry.type == ENTRY_CREDENTIAL && !request->is_found &&
		     entry_is(scanned->entry.members[ENTRY_ID], request->id);
	if (!is_it && !is_retry_of(request, scanned))
		return true;
	request->is_settled = is_about(request, &scanned->entry);
	if (is_it || request->is_settled)
		keep(request, scanned);
	return !request->is_settled;
}

static hm_result find(struct request *request, struct hm_problem *why)
{
	struct log_ledger ledger;
	HM_TRY(log_directory(request->directory, &ledger, why));
	HM_TRY(ledger_scan(&ledger, take, request, why));
	if (!request->is_found)
		return hm_refuse(why, "ledger", NULL, "no credential with the id %s is recorded", request->id);
	if (!request->is_settled)
		return hm_refuse(why, "ledger", NULL,
			"entry %" PRIu64 " of shard %u has the id %s, and is about another credential's bytes",
			request->index, request->shard, request->id);
	return HM_OK;
}

/* ---- humans ---- */

static bool read_salt(const char *salts, const char *name, struct ledger_human *human)
{
	char path[HM_PATH_MAX], text[64] = "";
	uint8_t hash[32];
	size_t length;
	struct hm_problem why;
	if (strlen(name) >= sizeof human->name || EVP_Digest(name, strlen(name), hash, NULL, EVP_sha256(), NULL) != 1)
		return false;
	text[base64url_encode(hash, sizeof hash, text)] = 0;
	snprintf(path, sizeof path, "%s/%s", salts, text);
	snprintf(human->name, sizeof human->name, "%s", name);
	return file_read(path, true, human->salt, sizeof human->salt, &length, &why) == HM_OK &&
	       length == sizeof human->salt;
}

static bool try_human(
	const struct request *request, struct hm_bytes commitment, const char *name, struct ledger_human *human)
{
	return name && read_salt(request->salts, name, human) && ledger_is_human(commitment, human);
}

/* Whose commitment it is: one of those named, or a claim's value. */
static bool find_human(const struct request *request, struct hm_bytes commitment, struct ledger_human *human)
{
	const char *claim;
	json_t *value;
	for (unsigned i = 0; i < request->name_count; i++)
		if (try_human(request, commitment, request->names[i], human))
			return true;
	if (!request->credential)
		return false;
	json_object_foreach(request->credential->claims, claim, value)
	{
		if (try_human(request, commitment, json_string_value(value), human))
			return true;
	}
	return false;
}

static hm_result find_humans(struct request *request, struct hm_problem *why)
{
	struct hm_bytes at = request->entry.members[ENTRY_HUMANS], commitment;
	struct ledger_humans *humans = &request->humans;
	while (entry_next(&at, &commitment)) {
		if (humans->count == HM_HUMANS_MAX || !find_human(request, commitment, &humans->people[humans->count]))
			return hm_refuse(why, "ledger", NULL,
				"the human with the commitment %.*s has no salt in %s, or is neither in the JWT nor "
				"given "
				"with --human",
				(int)commitment.length, (const char *)commitment.data, request->salts);
		humans->count++;
	}
	if (request->credential && !ledger_is_about(&request->entry, humans, request->credential))
		return hm_refuse(why, "ledger", NULL,
			"entry %" PRIu64 " of shard %u is about another credential's bytes", request->index,
			request->shard);
	return HM_OK;
}

/* ---- the proof ---- */

struct proof {
	char note[NOTE_MAX];
	size_t note_length;
	struct merkle_hash path[MERKLE_PATH_MAX];
	unsigned count;
};

static hm_result make(struct request *request, struct shard *shard, struct proof *proof, struct hm_problem *why)
{
	struct merkle_source source = shard_source(shard);
	struct checkpoint checkpoint;
	struct merkle_hash leaf;
	HM_TRY(shard_checkpoint(shard, proof->note, &proof->note_length, why));
	HM_TRY(checkpoint_read(proof->note, proof->note_length, &checkpoint, why));
	if (request->index >= checkpoint.size)
		return hm_refuse(why, "ledger", NULL,
			"entry %" PRIu64 " of shard %u is not under a checkpoint yet: try again in a second",
			request->index, request->shard);
	HM_TRY(merkle_inclusion(&source, request->index, checkpoint.size, proof->path, &proof->count, why));
	merkle_leaf(request->data, request->length, &leaf);
	if (!merkle_includes(&leaf, request->index, checkpoint.size, proof->path, proof->count, &checkpoint.root))
		return hm_refuse(why, "ledger", NULL,
			"the ledger is damaged: entry %" PRIu64
			" of shard %u is not under its checkpoint; hsmint ledger "
			"verify says more",
			request->index, request->shard);
	return HM_OK;
}

static json_t *base64_json(const void *data, size_t length)
{
	char text[64];
	return json_stringn(text, base64_encode(data, length, text));
}

static int print(const struct request *request, const struct proof *proof)
{
	json_t *path = json_array(), *humans = json_array();
	for (unsigned i = 0; i < proof->count; i++)
		json_array_append_new(path, base64_json(proof->path[i].bytes, sizeof proof->path[i].bytes));
	for (unsigned i = 0; i < request->humans.count; i++)
		json_array_append_new(humans,
			json_pack("{s:s,s:o}", "name", request->humans.people[i].name, "salt",
				base64_json(request->humans.people[i].salt, sizeof request->humans.people[i].salt)));
	json_t *whole = json_pack("{s:s%,s:I,s:o,s:s%,s:o}", "entry", (const char *)request->data, request->length,
		"index", (json_int_t)request->index, "path", path, "checkpoint", proof->note, proof->note_length,
		"humans", humans);
	char *text = whole ? json_dumps(whole, JSON_COMPACT) : NULL;
	json_decref(whole);
	int status = text ? print_line(text) : EXIT_FAILED;
	free(text);
	return status;
}

static hm_result prove(struct request *request, struct proof *proof, struct hm_problem *why)
{
	SHARD_AUTO *shard = NULL;
	HM_TRY(find(request, why));
	if (request->salts)
		HM_TRY(find_humans(request, why));
	HM_TRY(shard_open(request->directory, request->shard, &shard, why));
	return make(request, shard, proof, why);
}

/* ---- the command line ---- */

static bool set_id(struct request *request, const char *id)
{
	struct hm_json json = hm_json(request->id, sizeof request->id - 1);
	hm_json_string(&json, id);
	request->id[json.out.used] = 0;
	return !json.out.failed;
}

/* A token is a file or standard input, so that it stands in no list of processes. */
static hm_result take_words(struct request *request, const char *token, struct hm_problem *why)
{
	static struct ledger_credential credential;
	if (strcmp(token, "-") != 0 && access(token, F_OK) < 0)
		return set_id(request, token) ? HM_OK : hm_refuse(why, "ledger", NULL, "the id is too long");
	request->credential = &credential;
	HM_TRY(ledger_credential_read(token, &credential, why));
	return set_id(request, credential.id) ? HM_OK : hm_refuse(why, "ledger", NULL, "the jti is too long");
}

static int run(struct request *request, const char *token)
{
	static struct proof proof;
	struct hm_problem why;
	hm_result result = take_words(request, token, &why);
	if (result == HM_OK)
		result = prove(request, &proof, &why);
	if (result == HM_OK && !request->salts && request->entry.members[ENTRY_HUMANS].data)
		fputs("hsmint: the entry has commitments to humans; without --salts the proof does not say to whom\n",
			stderr);
	int status = result == HM_OK ? print(request, &proof) : ledger_input_failed(&why);
	if (request->credential)
		ledger_credential_free(request->credential);
	explicit_bzero(&request->humans, sizeof request->humans);
	return status;
}

enum { OPTION_SALTS = 256, OPTION_HUMAN, OPTION_HELP };

static const struct option options[] = {{"salts", required_argument, NULL, OPTION_SALTS},
	{"human", required_argument, NULL, OPTION_HUMAN}, {"help", no_argument, NULL, OPTION_HELP}, {0}};

int ledger_prove(int argc, char **argv)
{
	static struct request request;
	int option;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == OPTION_SALTS)
			request.salts = optarg;
		else if (option == OPTION_HUMAN && request.name_count < NAMES_MAX)
			request.names[request.name_count++] = optarg;
		else if (option == OPTION_HELP)
			return print_line(help);
		else
			return usage_error(argv[0], "see the options");
	}
	if (argc - optind != 2)
		return usage_error(argv[0], "which ledger, and which credential? DIR and a file, - or an id");
	if (request.name_count && !request.salts)
		return usage_error(argv[0], "--human belongs to --salts");
	request.directory = argv[optind];
	return run(&request, argv[optind + 1]);
}
