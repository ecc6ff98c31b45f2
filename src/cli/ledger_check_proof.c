/* SPDX-License-Identifier: Apache-2.0 */
/* `hsmint ledger check-proof`: needs nothing but the proof and a key. */
#include "ledger.h"

#include "base64.h"
#include "ledger_credential.h"
#include "ledger_input.h"
#include "options.h"
#include "verify.h"
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
	"Usage: hsmint ledger check-proof FILE --vkey KEY [--vkey KEY...] [--credential FILE]\n"
	"\n"
	"Check a proof that hsmint ledger prove made: the signature of its checkpoint, the path from the entry to it, "
	"and\n"
	"the commitments to humans whom it names. Prints the entry.\n"
	"\n"
	"  --vkey KEY         a key that signs the ledger's checkpoints, as hsmint ledger vkey prints it\n"
	"  --credential FILE  a JWT (- for standard input): check that the entry is about these very bytes\n"
	"\n"
	"Example:\n"
	"  hsmint ledger check-proof proof.json --vkey mint.example.org/ledger+3b8b4f4f+Aa… --credential token.jwt";

struct proof {
	json_t *json;
	const char *text; /* of the entry */
	size_t length;
	uint64_t index;
	struct merkle_hash path[MERKLE_PATH_MAX];
	unsigned count;
	struct checkpoint checkpoint;
	struct entry entry;
	struct ledger_humans humans;
};

/* ---- reading it ---- */

static bool read_bytes(const json_t *text, void *data, size_t size)
{
	return json_is_string(text) &&
	       base64_decode(json_string_value(text), json_string_length(text), data, size) == size;
}

static bool read_path(const json_t *path, struct proof *proof)
{
	size_t i;
	json_t *hash;
	if (!json_is_array(path) || json_array_size(path) > MERKLE_PATH_MAX)
		return false;
	json_array_foreach(path, i, hash)
	{
		if (!read_bytes(hash, proof->path[i].bytes, sizeof proof->path[i].bytes))
			return false;
	}
	proof->count = (unsigned)json_array_size(path);
	return true;
}

static bool read_humans(const json_t *humans, struct ledger_humans *read)
{
	size_t i;
	json_t *human;
	if (!humans)
		return true;
	if (!json_is_array(humans) || json_array_size(humans) > HM_HUMANS_MAX)
		return false;
	json_array_foreach(humans, i, human)
	{
		const char *name = json_string_value(json_object_get(human, "name"));
		struct ledger_human *person = &read->people[i];
		if (!name || strlen(name) >= sizeof person->name ||
			!read_bytes(json_object_get(human, "salt"), person->salt, sizeof person->salt))
			return false;
		snprintf(person->name, sizeof person->name, "%s", name);
	}
	read->count = (unsigned)json_array_size(humans);
	return true;
}

static hm_result read_proof(const char *file, struct proof *proof, struct hm_problem *why)
{
	json_error_t error;
	proof->json = json_load_file(file, JSON_REJECT_DUPLICATES, &error);
	if (!proof->json)
		return hm_refuse(why, "ledger", NULL, "%s: %s", file, error.text);
	const json_t *entry = json_object_get(proof->json, "entry"), *index = json_object_get(proof->json, "index");
	if (!json_is_string(entry) || !json_is_integer(index) || json_integer_value(index) < 0 ||
		!json_is_string(json_object_get(proof->json, "checkpoint")) ||
		!read_path(json_object_get(proof->json, "path"), proof) ||
		!read_humans(json_object_get(proof->json, "humans"), &proof->humans))
		return hm_refuse(why, "ledger", NULL, "%s: is not a proof: entry, index, path and checkpoint", file);
	proof->text = json_string_value(entry);
	proof->length = json_string_length(entry);
	proof->index = (uint64_t)json_integer_value(index);
	return HM_OK;
}

/* ---- checking it ---- */

static hm_result check_path(struct proof *proof, const struct ledger_keys *keys, struct hm_problem *why)
{
	const json_t *note = json_object_get(proof->json, "checkpoint");
	struct verify_keys all = {.keys = keys->keys, .count = keys->count};
	struct merkle_hash leaf;
	struct hm_problem fault;
	unsigned shard;
	if (verify_checkpoint(&all, json_string_value(note), json_string_length(note), &proof->checkpoint, &shard,
		    &fault) != HM_OK)
		return hm_refuse(why, "ledger", NULL, "the proof's checkpoint: %s", fault.detail);
	merkle_leaf(proof->text, proof->length, &leaf);
	if (!merkle_includes(
		    &leaf, proof->index, proof->checkpoint.size, proof->path, proof->count, &proof->checkpoint.root))
		return hm_refuse(why, "ledger", NULL,
			"the path does not lead from the entry at %" PRIu64 " to the checkpoint", proof->index);
	if (entry_read((const uint8_t *)proof->text, proof->length, &proof->entry, &fault) != HM_OK)
		return hm_refuse(why, "ledger", NULL, "the entry: %s", fault.detail);
	return HM_OK;
}

/* A proof names all humans of its entry or none. */
static hm_result check_humans(const struct proof *proof, struct hm_problem *why)
{
	struct hm_bytes at = proof->entry.members[ENTRY_HUMANS], commitment;
	unsigned count = 0;
	while (proof->humans.count && entry_next(&at, &commitment)) {
		if (count == proof->humans.count || !ledger_is_human(commitment, &proof->humans.people[count]))
			return hm_refuse(
				why, "ledger", NULL, "the entry's commitment %u is not to the human named", count);
		count++;
	}
	if (count != proof->humans.count)
		return hm_refuse(why, "ledger", NULL, "the proof names humans to whom the entry has no commitment");
	return HM_OK;
}

static hm_result check_credential(const struct proof *proof, const char *file, struct hm_problem *why)
{
	static struct ledger_credential credential;
	hm_result result = ledger_credential_read(file, &credential, why);
	if (result == HM_OK && !ledger_is_about(&proof->entry, &proof->humans, &credential))
		result = hm_refuse(why, "ledger", NULL, "%s",
			proof->entry.members[ENTRY_TBS_HMAC].data && !proof->humans.count
				? "the credential names a human, and the proof has no salts to compare its bytes with: "
				  "make it with --salts"
				: "the entry is about another credential's bytes");
	ledger_credential_free(&credential);
	return result;
}

static hm_result check(struct proof *proof, const char *file, const struct ledger_keys *keys, const char *credential,
	struct hm_problem *why)
{
	HM_TRY(read_proof(file, proof, why));
	HM_TRY(check_path(proof, keys, why));
	HM_TRY(check_humans(proof, why));
	return credential ? check_credential(proof, credential, why) : HM_OK;
}

static int print(const struct proof *proof)
{
	printf("ok: entry %" PRIu64 " of %s, under its checkpoint of %" PRIu64 " entries\n", proof->index,
		proof->checkpoint.origin, proof->checkpoint.size);
	for (unsigned i = 0; i < proof->humans.count; i++)
		printf("human: %s\n", proof->humans.people[i].name);
	fwrite(proof->text, 1, proof->length, stdout);
	return print_line("");
}

enum { OPTION_VKEY = 256, OPTION_CREDENTIAL, OPTION_HELP };

static const struct option options[] = {{"vkey", required_argument, NULL, OPTION_VKEY},
	{"credential", required_argument, NULL, OPTION_CREDENTIAL}, {"help", no_argument, NULL, OPTION_HELP}, {0}};

int ledger_check_proof(int argc, char **argv)
{
	static struct proof proof;
	struct ledger_keys keys = {.count = 0};
	const char *credential = NULL;
	struct hm_problem why;
	int option;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == OPTION_VKEY && !ledger_input_key(&keys, argv[0], optarg))
			return EXIT_USAGE;
		if (option == OPTION_CREDENTIAL)
			credential = optarg;
		if (option == OPTION_HELP)
			return print_line(help);
		if (option == '?')
			return usage_error(argv[0], "see the options");
	}
	if (argc - optind != 1)
		return usage_error(argv[0], "which proof? one FILE");
	if (!keys.count)
		return usage_error(argv[0], "--vkey is needed");
	int status = check(&proof, argv[optind], &keys, credential, &why) == HM_OK ? print(&proof)
										   : ledger_input_failed(&why);
	json_decref(proof.json);
	explicit_bzero(&proof.humans, sizeof proof.humans);
	return status;
}
