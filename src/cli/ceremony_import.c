/* SPDX-License-Identifier: Apache-2.0 */
/* `hsmint key ceremony import`: the certificate that the enterprise's root gave for a request, checked and put into the
 * record as a second part that the key signs. */
#include "ceremony.h"

#include "ceremony_custodians.h"
#include "ceremony_record.h"
#include "ceremony_token.h"
#include "options.h"
#include "process.h"
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
	"Usage: hsmint key ceremony import --config FILE --record DIR --chain FILE --root FILE --custodian NAME...\n"
	"                                  [--answers FILE]\n"
	"\n"
	"Take the certificate that came back for the request of a ceremony. It must be for the record's key, be a "
	"CA's, and\n"
	"lead to the given root, with no path length in between that forbids it to issue. Each custodian reads back a "
	"part "
	"of\n"
	"its fingerprint; then chain.pem and a part signed by the key are put into DIR.\n"
	"\n"
	"  --config FILE     a configuration with the token of the record\n"
	"  --record DIR      the record of `new --csr`\n"
	"  --chain FILE      the certificate, and then those between it and the root, in PEM\n"
	"  --root FILE       the root, in PEM: got from where you trust it, not from who sent the chain\n"
	"  --custodian NAME  who is there and confirms; up to 16 times\n"
	"  --answers FILE    as for `new`\n"
	"\n"
	"Example:\n"
	"  hsmint key ceremony import --config hsmint.yaml --record ceremony-2026 --chain returned.pem --root root.pem "
	"\\\n"
	"      --custodian 'Ada Lovelace' --custodian 'Charles Babbage'";

static const char command[] = "key ceremony import";

struct import {
	const char *config, *directory, *chain_path, *root_path, *answers_path;
	struct custodians custodians;
	struct answers answers;
	char begun[TIME_TEXT];
	struct record record;
	STACK_OF(X509) * given, *roots, *whole;
	struct token_config token;
	struct token_program program;
};

enum { OPTION_CONFIG = 256, OPTION_RECORD, OPTION_CHAIN, OPTION_ROOT, OPTION_CUSTODIAN, OPTION_ANSWERS, OPTION_HELP };

static const struct option options[] = {
	{"config", required_argument, NULL, OPTION_CONFIG},
	{"record", required_argument, NULL, OPTION_RECORD},
	{"chain", required_argument, NULL, OPTION_CHAIN},
	{"root", required_argument, NULL, OPTION_ROOT},
	{"custodian", required_argument, NULL, OPTION_CUSTODIAN},
	{"answers", required_argument, NULL, OPTION_ANSWERS},
	{"help", no_argument, NULL, OPTION_HELP},
	{0},
};

static const char **place_of(struct import *import, int option)
{
	switch (option) {
	case OPTION_CONFIG:
		return &import->config;
	case OPTION_RECORD:
		return &import->directory;
	case OPTION_CHAIN:
		return &import->chain_path;
	case OPTION_ROOT:
		return &import->root_path;
	default:
		return &import->answers_path;
	}
}

/* False: it is done, with `*status`. */
static bool read_options(int argc, char **argv, struct import *import, int *status)
{
	int option;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == OPTION_HELP)
			*status = print_line(help);
		else if (option == '?')
			*status = usage_error(command, "see the options");
		else if (option == OPTION_CUSTODIAN && !custodians_add(&import->custodians, optarg))
			*status = usage_error(command, "--custodian does not take '%.128s'", optarg);
		else {
			if (option != OPTION_CUSTODIAN)
				*place_of(import, option) = optarg;
			continue;
		}
		return false;
	}
	if (optind != argc)
		*status = usage_error(command, "'%s' is not wanted", argv[optind]);
	else if (!import->config || !import->directory || !import->chain_path || !import->root_path ||
		 !import->custodians.count)
		*status = usage_error(command, "--config, --record, --chain, --root and --custodian are needed");
	else
		return true;
	return false;
}

/* ---- checks ---- */

static hm_result read_files(struct import *import, struct hm_problem *why)
{
	HM_TRY(record_read(import->directory, &import->record, why));
	if (!import->record.is_request)
		return hm_refuse(
			why, "config", NULL, "the record is of a self-signed certificate: there is nothing to import");
	if (import->record.import)
		return hm_refuse(why, "config", NULL, "a chain was imported already");
	HM_TRY(x509_chain_read(import->chain_path, &import->given, why));
	HM_TRY(x509_chain_read(import->root_path, &import->roots, why));
	if (sk_X509_num(import->roots) != 1)
		return hm_refuse(why, "config", NULL, "%s: one root, please", import->root_path);
	return HM_OK;
}

static hm_result check_chain(struct import *import, struct hm_problem *why)
{
	int64_t now;
	time_now(import->begun);
	if (!time_read(import->begun, &now) || now < import->record.ended)
		return hm_refuse(
			why, "config", NULL, "it is %s, and the record is later: set the clock", import->begun);
	return x509_check_chain(
		import->given, sk_X509_value(import->roots, 0), now, &import->record.ca, &import->whole, why);
}

static hm_result say_certificate(
	const X509 *certificate, const char *what, char sha256[HEX_SHA256], struct hm_problem *why)
{
	char subject[NAME_TEXT];
	if (!name_text(X509_get_subject_name(certificate), subject) || !x509_fingerprint(certificate, sha256))
		return hm_broken(why, "no memory for a name");
	fprintf(stderr, "  %s %s\n    SHA-256 %s\n", what, subject, sha256);
	return HM_OK;
}

/* ---- agreement ---- */

static hm_result agree(struct import *import, struct hm_problem *why)
{
	char sha256[HEX_SHA256], root[HEX_SHA256];
	fprintf(stderr, "The chain is for the key '%s' and leads to the root.\n", import->record.label);
	HM_TRY(say_certificate(sk_X509_value(import->whole, sk_X509_num(import->whole) - 1), "root", root, why));
	HM_TRY(say_certificate(sk_X509_value(import->whole, 0), "certificate", sha256, why));
	fprintf(stderr,
		"The custodians agree to import it, and confirm the certificate's fingerprint. \"no\" ends it.\n");
	HM_TRY(custodians_agree(&import->custodians, &import->answers, why));
	return custodians_confirm(&import->custodians, &import->answers, sha256, why);
}

/* ---- the second part of the record ---- */

static bool read_id(const char *hex, struct ceremony_place *place)
{
	for (place->id_length = 0; place->id_length < RECORD_KEY_ID; place->id_length++)
		if (sscanf(hex + (size_t)2 * place->id_length, "%2hhx", &place->id[place->id_length]) != 1)
			return false;
	return true;
}

static hm_result find_key(struct import *import, struct hm_problem *why)
{
	static struct token_ready shown;
	char sha256[HEX_SHA256];
	HM_TRY(ceremony_token_show(&import->program, HM_CEREMONY_FIND, &shown, why));
	x509_sha256(shown.keys[0].spki, shown.keys[0].spki_length, sha256);
	if (strcmp(sha256, import->record.spki_sha256) != 0)
		return hm_refuse(why, "config", NULL, "the token has another key under the record's label and id");
	return HM_OK;
}

static char *make_text(struct import *import, const char *pem, size_t length)
{
	char ended[TIME_TEXT], sha256[HEX_SHA256];
	time_now(ended);
	x509_sha256(pem, length, sha256);
	json_t *document = json_pack("{s:i, s:s+, s:s, s:s, s:s, s:o, s:s}", "hsmint_ceremony_import", 1, "made_by",
		"hsmint ", hsmint_version(), "record_sha256", import->record.sha256, "begun", import->begun, "ended",
		ended, "custodians", custodians_json(&import->custodians), "chain_sha256", sha256);
	char *text = document ? record_text(document) : NULL;
	json_decref(document);
	return text;
}

static hm_result write_part(
	struct import *import, const char *text, const char *pem, size_t length, struct hm_problem *why)
{
	uint8_t signature[HM_SIGNATURE_MAX];
	size_t signature_length;
	HM_TRY(ceremony_token_sign(
		&import->program, CEREMONY_IMPORT, text, strlen(text), signature, &signature_length, why));
	HM_TRY(record_write_file(import->directory, CHAIN_FILE, pem, length, why));
	HM_TRY(record_write_file(import->directory, IMPORT_SIGNATURE, signature, signature_length, why));
	return record_write_file(import->directory, IMPORT_FILE, text, strlen(text), why);
}

static void remove_part(const struct import *import)
{
	static const char *const files[] = {CHAIN_FILE, IMPORT_SIGNATURE, IMPORT_FILE};
	struct hm_problem unused;
	char path[HM_PATH_MAX];
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		if (record_path(import->directory, files[i], path, &unused) == HM_OK)
			(void)unlink(path);
}

/* What does not verify, or not all could be written of, is not kept. */
static hm_result write_and_verify(
	struct import *import, const char *text, const char *pem, size_t length, struct hm_problem *why)
{
	RECORD_AUTO record = {.json = NULL};
	hm_result result = write_part(import, text, pem, length, why);
	if (result == HM_OK)
		result = record_read(import->directory, &record, why);
	if (result != HM_OK)
		remove_part(import);
	return result;
}

static hm_result sign_and_write(struct import *import, struct hm_problem *why)
{
	static char pem[PEM_MAX];
	size_t length;
	HM_TRY(find_key(import, why));
	if (!x509_chain_pem(import->whole, pem, &length))
		return hm_refuse(why, "config", NULL, "the chain has more than %d bytes", PEM_MAX);
	char *text = make_text(import, pem, length);
	hm_result result =
		text ? write_and_verify(import, text, pem, length, why) : hm_broken(why, "no memory for a record");
	free(text);
	return result;
}

static hm_result hold(struct import *import, struct hm_problem *why)
{
	struct ceremony_place place = {.config = import->config};
	HM_TRY(read_files(import, why));
	HM_TRY(check_chain(import, why));
	HM_TRY(answers_open(import->answers_path, &import->answers, why));
	HM_TRY(agree(import, why));
	place.token = import->record.token;
	place.label = import->record.label;
	place.algorithm = import->record.algorithm;
	if (!read_id(import->record.id, &place))
		return hm_broken(why, "the record has no id");
	HM_TRY(ceremony_token_config(&place, &import->token, why));
	HM_TRY(token_program_start(&import->program, "hsmint-ceremony", NULL, &import->token, why));
	hm_result result = sign_and_write(import, why);
	token_program_end(&import->program);
	return result;
}

static void release(struct import *import)
{
	answers_close(&import->answers);
	record_free(&import->record);
	x509_free_stack(&import->given);
	x509_free_stack(&import->roots);
	x509_free_stack(&import->whole);
}

int ceremony_import(int argc, char **argv)
{
	static struct import import;
	struct hm_problem why;
	int status;
	if (!read_options(argc, argv, &import, &status))
		return status;
	process_harden();
	hm_result result = hold(&import, &why);
	if (result != HM_OK)
		fprintf(stderr, "hsmint: %s\n", why.detail);
	else
		printf("chain %s/" CHAIN_FILE "\n", import.directory);
	release(&import);
	return result == HM_OK ? flush_output() : EXIT_FAILED;
}
