/* SPDX-License-Identifier: Apache-2.0 */
/* `hsmint key ceremony new`: checks, agreement, the key, its certificate, confirmation, the record. Until the last step
 * nothing is kept: a key that was made by then is destroyed again. */
#include "ceremony.h"

#include "ceremony_held.h"
#include "ceremony_record.h"
#include "file.h"
#include "options.h"
#include "process.h"
#include "spiffe.h"
#include <errno.h>
#include <getopt.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char help[] =
	"Usage: hsmint key ceremony new --config FILE --token NAME --label LABEL --subject DN --custodian NAME... "
	"--out DIR\n"
	"                               [--csr] [--algorithm ALG] [--days N] [--path-length N] [--trust-domain NAME]\n"
	"                               [--answers FILE]\n"
	"\n"
	"Generate a CA key in a token and a self-signed certificate for it, or a request for the enterprise's root. "
	"Each\n"
	"custodian types their name before the key is made, and reads back a part of its fingerprint after that. If "
	"one "
	"does\n"
	"not, or anything fails, the key is destroyed and nothing is kept. DIR gets a record that the new key has "
	"signed.\n"
	"\n"
	"  --config FILE        a configuration with the token\n"
	"  --token NAME         the token's name in it\n"
	"  --label LABEL        the new key's label on the token\n"
	"  --subject DN         the CA's name, as 'CN=Agents CA,O=Example,C=DE'\n"
	"  --custodian NAME     who is there and confirms; up to 16 times\n"
	"  --out DIR            where the record goes; it must not exist\n"
	"  --csr                a certificate signing request instead of a self-signed certificate\n"
	"  --algorithm ALG      ES256, ES384 (default) or RS256, which makes an RSA key of 3072 bits\n"
	"  --days N             the certificate's validity, 1 to 36500 (default 3650)\n"
	"  --path-length N      how many CAs there may be below this one, 0 to 8 (default 0)\n"
	"  --trust-domain NAME  the SPIFFE trust domain that it signs for, as a URI name in the certificate\n"
	"  --answers FILE       read the answers there, one a line, instead of asking; \"yes\" stands for a part of "
	"the\n"
	"                       fingerprint, and the record says so. The same holds for standard input that is no "
	"terminal\n"
	"\n"
	"Example:\n"
	"  hsmint key ceremony new --config hsmint.yaml --token hsm --label ca-2026 --subject 'CN=Agents CA,O=Example' "
	"\\\n"
	"      --custodian 'Ada Lovelace' --custodian 'Charles Babbage' --out ceremony-2026";

static const char command[] = "key ceremony new";
enum { DAYS_DEFAULT = 3650 };

struct ceremony {
	struct ceremony_held held;
	const char *subject, *out, *answers_path;
	uint8_t subject_der[HM_SUBJECT_MAX];
	struct answers answers;
	struct token_program program;
	uint8_t der[HM_CERTIFICATE_MAX];
	size_t der_length;
	char beside[HM_PATH_MAX]; /* DIR.new, which becomes DIR when all is done */
};

/* ---- options ---- */

enum {
	OPTION_CONFIG = 256,
	OPTION_TOKEN,
	OPTION_LABEL,
	OPTION_SUBJECT,
	OPTION_CUSTODIAN,
	OPTION_OUT,
	OPTION_CSR,
	OPTION_ALGORITHM,
	OPTION_DAYS,
	OPTION_PATH_LENGTH,
	OPTION_TRUST_DOMAIN,
	OPTION_ANSWERS,
	OPTION_HELP
};

static const struct option options[] = {
	{"config", required_argument, NULL, OPTION_CONFIG},
	{"token", required_argument, NULL, OPTION_TOKEN},
	{"label", required_argument, NULL, OPTION_LABEL},
	{"subject", required_argument, NULL, OPTION_SUBJECT},
	{"custodian", required_argument, NULL, OPTION_CUSTODIAN},
	{"out", required_argument, NULL, OPTION_OUT},
	{"csr", no_argument, NULL, OPTION_CSR},
	{"algorithm", required_argument, NULL, OPTION_ALGORITHM},
	{"days", required_argument, NULL, OPTION_DAYS},
	{"path-length", required_argument, NULL, OPTION_PATH_LENGTH},
	{"trust-domain", required_argument, NULL, OPTION_TRUST_DOMAIN},
	{"answers", required_argument, NULL, OPTION_ANSWERS},
	{"help", no_argument, NULL, OPTION_HELP},
	{0},
};

static bool take_number(const char *text, long least, long most, uint32_t *out)
{
	long number;
	if (!parse_number(text, least, most, &number))
		return false;
	*out = (uint32_t)number;
	return true;
}

static bool take_algorithm(const char *text, enum key_algorithm *out)
{
	for (*out = 0; *out < KEY_ALGORITHMS; ++*out)
		if (ceremony_hash(*out) && strcmp(text, key_algorithm_name(*out)) == 0)
			return true;
	return false;
}

static bool take_trust_domain(const char *text, char out[HM_TRUST_DOMAIN_MAX + 1])
{
	if (!spiffe_is_trust_domain(text, strlen(text)))
		return false;
	snprintf(out, HM_TRUST_DOMAIN_MAX + 1, "%s", text);
	return true;
}

static bool take_option(struct ceremony *ceremony, int option)
{
	switch (option) {
	case OPTION_CONFIG:
		ceremony->held.place.config = optarg;
		return true;
	case OPTION_TOKEN:
		ceremony->held.place.token = optarg;
		return true;
	case OPTION_LABEL:
		ceremony->held.place.label = optarg;
		return is_plain_text(optarg, HM_NAME_MAX);
	case OPTION_SUBJECT:
		ceremony->subject = optarg;
		return true;
	case OPTION_CUSTODIAN:
		return custodians_add(&ceremony->held.custodians, optarg);
	case OPTION_OUT:
		ceremony->out = optarg;
		while (strlen(optarg) > 1 && optarg[strlen(optarg) - 1] == '/')
			optarg[strlen(optarg) - 1] = 0;
		return *optarg != 0;
	case OPTION_CSR:
		ceremony->held.wanted.request = 1;
		return true;
	case OPTION_ALGORITHM:
		return take_algorithm(optarg, &ceremony->held.place.algorithm);
	case OPTION_DAYS:
		return take_number(optarg, 1, HM_CA_DAYS_MAX, &ceremony->held.wanted.days);
	case OPTION_PATH_LENGTH:
		return take_number(optarg, 0, HM_CA_PATH_LENGTH_MAX, &ceremony->held.wanted.path_length);
	case OPTION_TRUST_DOMAIN:
		return take_trust_domain(optarg, ceremony->held.wanted.trust_domain);
	default:
		ceremony->answers_path = optarg;
		return true;
	}
}

/* False: it is done, with `*status`. */
static bool read_options(int argc, char **argv, struct ceremony *ceremony, int *status)
{
	int option, which = 0;
	while ((option = getopt_long(argc, argv, "", options, &which)) != -1) {
		if (option == OPTION_HELP)
			*status = print_line(help);
		else if (option == '?')
			*status = usage_error(command, "see the options");
		else if (!take_option(ceremony, option))
			*status = usage_error(
				command, "--%s does not take '%.128s'", options[which].name, optarg ? optarg : "");
		else
			continue;
		return false;
	}
	if (optind != argc)
		*status = usage_error(command, "'%s' is not wanted", argv[optind]);
	else if (!ceremony->held.place.config || !ceremony->held.place.token || !ceremony->held.place.label ||
		 !ceremony->subject || !ceremony->out || !ceremony->held.custodians.count)
		*status =
			usage_error(command, "--config, --token, --label, --subject, --custodian and --out are needed");
	else
		return true;
	return false;
}

/* ---- step 1: checks ---- */

static hm_result check_out(struct ceremony *ceremony, struct hm_problem *why)
{
	if (snprintf(ceremony->beside, sizeof ceremony->beside, "%s.new", ceremony->out) >=
		(int)sizeof ceremony->beside)
		return hm_refuse(why, "config", NULL, "%s: path too long", ceremony->out);
	const char *const places[] = {ceremony->out, ceremony->beside};
	for (size_t i = 0; i < 2; i++)
		if (access(places[i], F_OK) == 0)
			return hm_refuse(why, "config", NULL, "%s exists: a record is never written over", places[i]);
	if (mkdir(ceremony->beside, 0700) < 0 || rmdir(ceremony->beside) < 0)
		return hm_refuse(why, "config", NULL, "%s: %s", ceremony->beside, strerror(errno));
	return HM_OK;
}

static hm_result prepare(struct ceremony *ceremony, struct hm_problem *why)
{
	struct ceremony_place *place = &ceremony->held.place;
	place->makes_key = true;
	place->id_length = RECORD_KEY_ID;
	if (RAND_bytes(place->id, RECORD_KEY_ID) != 1)
		return hm_broken(why, "no random bytes");
	HM_TRY(name_parse(ceremony->subject, ceremony->subject_der, &ceremony->held.wanted.subject.length, why));
	ceremony->held.wanted.subject.data = ceremony->subject_der;
	HM_TRY(check_out(ceremony, why));
	HM_TRY(answers_open(ceremony->answers_path, &ceremony->answers, why));
	return ceremony_token_config(place, &ceremony->held.config, why);
}

static void say_token(const struct ceremony *ceremony)
{
	const struct token_ready *shown = &ceremony->held.shown;
	char sha256[HEX_SHA256];
	for (size_t i = 0; i < sizeof shown->module_sha256; i++)
		snprintf(sha256 + 2 * i, 3, "%02x", shown->module_sha256[i]);
	fprintf(stderr,
		"  module    %s, %s %s\n  SHA-256   %s\n  token     '%s', serial %s, %s %s, hardware %s, firmware %s\n"
		"  The login is made, the label is free, and the token can be used. Nothing was written to it.\n\n",
		ceremony->held.config.module, shown->library, shown->library_version, sha256,
		ceremony->held.config.label, shown->serial, shown->manufacturer, shown->model, shown->hardware,
		shown->firmware);
}

static hm_result check(struct ceremony *ceremony, struct hm_problem *why)
{
	fprintf(stderr, "Step 1 of 5: module, token and login are checked.\n");
	time_now(ceremony->held.begun);
	HM_TRY(ceremony_token_show(&ceremony->program, HM_CEREMONY_CHECK, &ceremony->held.shown, why));
	say_token(ceremony);
	return HM_OK;
}

/* ---- step 2: agreement ---- */

static hm_result agree(struct ceremony *ceremony, struct hm_problem *why)
{
	const struct ceremony_certificate *wanted = &ceremony->held.wanted;
	fprintf(stderr,
		"Step 2 of 5: the custodians agree to what is done next.\n"
		"  A key for %s, labelled '%s', is generated in the token.\n  It signs a %s for %s, path length %u",
		key_algorithm_name(ceremony->held.place.algorithm), ceremony->held.place.label,
		wanted->request ? "certificate signing request" : "certificate of its own", ceremony->subject,
		wanted->path_length);
	if (!wanted->request)
		fprintf(stderr, ", valid for %u days", wanted->days);
	if (*wanted->trust_domain)
		fprintf(stderr, ", trust domain %s", wanted->trust_domain);
	fprintf(stderr, ".\n  \"no\" ends the ceremony.\n");
	HM_TRY(custodians_agree(&ceremony->held.custodians, &ceremony->answers, why));
	fputc('\n', stderr);
	return HM_OK;
}

/* ---- steps 3 and 4: the key and what it is for ---- */

static hm_result create(struct ceremony *ceremony, struct hm_problem *why)
{
	fprintf(stderr, "Step 3 of 5: the key is generated.\n");
	HM_TRY(ceremony_token_show(&ceremony->program, HM_CEREMONY_CREATE, &ceremony->held.shown, why));
	const struct token_key_ready *key = &ceremony->held.shown.keys[0];
	x509_sha256(key->spki, key->spki_length, ceremony->held.spki_sha256);
	fprintf(stderr,
		"  The token tells that it was generated in it, cannot leave it and may only sign.\n"
		"  SHA-256 of its public key:\n\n    %s\n\n",
		ceremony->held.spki_sha256);
	return HM_OK;
}

static hm_result certify(struct ceremony *ceremony, struct hm_problem *why)
{
	const char *what = ceremony->held.wanted.request ? "certificate signing request" : "certificate";
	fprintf(stderr, "Step 4 of 5: the %s is signed in the token.\n", what);
	HM_TRY(ceremony_token_certify(
		&ceremony->program, &ceremony->held.wanted, ceremony->der, &ceremony->der_length, why));
	x509_sha256(ceremony->der, ceremony->der_length, ceremony->held.document_sha256);
	fprintf(stderr, "  SHA-256 of the %s:\n\n    %s\n\n", what, ceremony->held.document_sha256);
	return HM_OK;
}

/* ---- step 5: confirmation and record ---- */

struct test {
	uint8_t data[RECORD_TEST_DATA], signature[HM_SIGNATURE_MAX];
	size_t length; /* of the signature */
};

static hm_result sign_test(const struct ceremony *ceremony, struct test *test, struct hm_problem *why)
{
	if (RAND_bytes(test->data, sizeof test->data) != 1)
		return hm_broken(why, "no random bytes");
	return ceremony_token_sign(
		&ceremony->program, CEREMONY_TEST, test->data, sizeof test->data, test->signature, &test->length, why);
}

/* The caller frees; NULL without memory. */
static char *make_text(const struct ceremony *ceremony, const struct test *test)
{
	json_t *record = record_make(&ceremony->held, test->data, (struct hm_bytes){test->signature, test->length});
	char *text = record ? record_text(record) : NULL;
	json_decref(record);
	return text;
}

static hm_result write_record(struct ceremony *ceremony, const char *text, struct hm_problem *why)
{
	static char pem[PEM_MAX];
	bool request = ceremony->held.wanted.request;
	uint8_t signature[HM_SIGNATURE_MAX];
	size_t length, used = 0;
	HM_TRY(ceremony_token_sign(&ceremony->program, CEREMONY_RECORD, text, strlen(text), signature, &length, why));
	if (!x509_pem_append(
		    request ? "CERTIFICATE REQUEST" : "CERTIFICATE", ceremony->der, ceremony->der_length, pem, &used))
		return hm_broken(why, "no memory for PEM");
	HM_TRY(file_make_directory(ceremony->beside, why));
	HM_TRY(record_write_file(ceremony->beside, request ? REQUEST_FILE : CERTIFICATE_FILE, pem, used, why));
	HM_TRY(record_write_file(ceremony->beside, RECORD_FILE, text, strlen(text), why));
	return record_write_file(ceremony->beside, RECORD_SIGNATURE, signature, length, why);
}

static void remove_record(const struct ceremony *ceremony)
{
	static const char *const files[] = {REQUEST_FILE, CERTIFICATE_FILE, RECORD_FILE, RECORD_SIGNATURE};
	struct hm_problem unused;
	char path[HM_PATH_MAX];
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		if (record_path(ceremony->beside, files[i], path, &unused) == HM_OK)
			(void)unlink(path);
	(void)rmdir(ceremony->beside);
}

static hm_result finish(struct ceremony *ceremony, struct hm_problem *why)
{
	RECORD_AUTO record = {.json = NULL};
	struct test test;
	fprintf(stderr, "Step 5 of 5: the custodians confirm that it is this key, and the record is signed.\n");
	HM_TRY(custodians_confirm(&ceremony->held.custodians, &ceremony->answers, ceremony->held.spki_sha256, why));
	HM_TRY(sign_test(ceremony, &test, why));
	char *text = make_text(ceremony, &test);
	hm_result result = text ? write_record(ceremony, text, why) : hm_broken(why, "no memory for a record");
	free(text);
	HM_TRY(result);
	return record_read(ceremony->beside, &record, why); /* what does not verify is not kept */
}

/* ---- the end ---- */

/* The record stands beside its place when the key is kept, so that there is never a key without a record. */
static hm_result keep(struct ceremony *ceremony, struct hm_problem *why)
{
	struct hm_problem unsure;
	if (ceremony_token_decide(&ceremony->program, HM_CEREMONY_KEEP, &unsure) != HM_OK)
		return hm_unavailable(why, "token",
			"%.160s: whether the key was kept is not known: look for '%s' on the token; its record is in "
			"%.128s",
			unsure.detail, ceremony->held.place.label, ceremony->beside);
	if (rename(ceremony->beside, ceremony->out) == 0)
		return HM_OK;
	return hm_unavailable(why, "system", "the key is kept, and its record is in %s: it could not be renamed: %s",
		ceremony->beside, strerror(errno));
}

static void undo(struct ceremony *ceremony)
{
	struct hm_problem why;
	remove_record(ceremony);
	if (ceremony_token_decide(&ceremony->program, HM_CEREMONY_DESTROY, &why) == HM_OK)
		fprintf(stderr, "hsmint: the key '%s' has been destroyed, and no record is kept\n",
			ceremony->held.place.label);
	else
		fprintf(stderr,
			"hsmint: the key '%s' may be on the token still: destroy it with the token's own tools (%s)\n",
			ceremony->held.place.label, why.detail);
}

static hm_result make(struct ceremony *ceremony, struct hm_problem *why)
{
	HM_TRY(create(ceremony, why));
	HM_TRY(certify(ceremony, why));
	return finish(ceremony, why);
}

static hm_result hold(struct ceremony *ceremony, struct hm_problem *why)
{
	HM_TRY(check(ceremony, why));
	HM_TRY(agree(ceremony, why));
	hm_result result = make(ceremony, why);
	if (result == HM_OK)
		return keep(ceremony, why);
	undo(ceremony);
	return result;
}

int ceremony_new(int argc, char **argv)
{
	static struct ceremony ceremony = {
		.held = {.place = {.algorithm = KEY_ES384}, .wanted = {.days = DAYS_DEFAULT}}};
	struct hm_problem why;
	int status;
	if (!read_options(argc, argv, &ceremony, &status))
		return status;
	process_harden();
	hm_result result = prepare(&ceremony, &why);
	if (result == HM_OK)
		result = token_program_start(&ceremony.program, "hsmint-ceremony", NULL, &ceremony.held.config, &why);
	if (result == HM_OK) {
		result = hold(&ceremony, &why);
		token_program_end(&ceremony.program);
	}
	answers_close(&ceremony.answers);
	if (result != HM_OK) {
		fprintf(stderr, "hsmint: %s\n", why.detail);
		return EXIT_FAILED;
	}
	printf("record %s\nkey %s\n%s %s\n", ceremony.out, ceremony.held.spki_sha256,
		ceremony.held.wanted.request ? "request" : "certificate", ceremony.held.document_sha256);
	return flush_output();
}
