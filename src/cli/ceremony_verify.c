/* SPDX-License-Identifier: Apache-2.0 */
/* `hsmint key ceremony verify`: needs nothing but the record. */
#include "ceremony.h"

#include "ceremony_record.h"
#include "options.h"
#include <getopt.h>
#include <string.h>

static const char help[] =
	"Usage: hsmint key ceremony verify DIR\n"
	"\n"
	"Check the record of a key ceremony, without token, configuration, service or network: that the key signed it, "
	"and\n"
	"that certificate or request, test signature, evidence, fingerprints and an imported chain agree with it. A "
	"byte\n"
	"that was changed in any of its files is found. What it prints is what the record says; that the key is in the "
	"token,\n"
	"and the custodians were there, is their word: compare the fingerprints with your printed script.\n"
	"\n"
	"Example:\n"
	"  hsmint key ceremony verify ceremony-2026";

static const char *text(const json_t *object, const char *member)
{
	const char *value = json_string_value(json_object_get(object, member));
	return value ? value : "-";
}

static void print_custodians(const json_t *document)
{
	size_t i;
	json_t *entry;
	json_array_foreach(json_object_get(document, "custodians"), i, entry)
		printf("custodian %s, agreed %s, confirmed %s by %s\n", text(entry, "name"), text(entry, "agreed"),
			text(entry, "confirmed"), text(entry, "how"));
}

static int print_record(const struct record *record)
{
	const json_t *token = json_object_get(record->json, "token");
	const json_t *module = json_object_get(record->json, "module");
	const json_t *document = json_object_get(record->json, "document");
	printf("held %s to %s\n", text(record->json, "begun"), text(record->json, "ended"));
	print_custodians(record->json);
	printf("token %s, serial %s, %s %s, firmware %s\n", text(token, "label"), text(token, "serial"),
		text(token, "manufacturer"), text(token, "model"), text(token, "firmware"));
	printf("module %s, SHA-256 %s\n", text(module, "path"), text(module, "sha256"));
	printf("key %s (%s, %s), SHA-256 %s\n", record->label, record->id, key_algorithm_name(record->algorithm),
		record->spki_sha256);
	printf("%s for %s, SHA-256 %s\n", record->is_request ? "request" : "certificate", record->ca.subject,
		text(document, "sha256"));
	if (record->import) {
		printf("chain imported %s, root SHA-256 %s\n", text(record->import, "ended"), record->root_sha256);
		print_custodians(record->import);
	}
	puts("ok");
	return flush_output();
}

enum { OPTION_HELP = 256 };

static const struct option options[] = {{"help", no_argument, NULL, OPTION_HELP}, {0}};

int ceremony_verify(int argc, char **argv)
{
	RECORD_AUTO record = {.json = NULL};
	struct hm_problem why;
	int option = getopt_long(argc, argv, "", options, NULL);
	if (option == OPTION_HELP)
		return print_line(help);
	if (option != -1)
		return usage_error("key ceremony verify", "see the options");
	if (argc - optind != 1)
		return usage_error("key ceremony verify", "which record? one DIR");
	if (record_read(argv[optind], &record, &why) == HM_OK)
		return print_record(&record);
	fprintf(stderr, "hsmint: %s\n", why.detail);
	return EXIT_FAILED;
}
