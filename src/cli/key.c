/* SPDX-License-Identifier: Apache-2.0 */
#include "key.h"

#include "ceremony.h"
#include "options.h"
#include <getopt.h>
#include <p11-kit/uri.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char help[] =
	"Usage: hsmint key list\n"
	"       hsmint key show NAME\n"
	"       hsmint key evidence [NAME]\n"
	"       hsmint key create NAME --config FILE\n"
	"       hsmint key adopt NAME 'pkcs11:object=LABEL;id=ID'\n"
	"       hsmint key rotate NAME [--now]\n"
	"       hsmint key activate NAME VERSION [--now]\n"
	"       hsmint key retire NAME VERSION\n"
	"       hsmint key destroy NAME VERSION --config FILE [--label LABEL]\n"
	"       hsmint key ceremony --help\n"
	"\n"
	"The issuers' keys, and the life of each. A configured key has versions: one signs, others wait in reserve or "
	"are\n"
	"kept for as long as what they signed lives.\n"
	"\n"
	"  list      a line for each version\n"
	"  show      what each version of a key does, and since when\n"
	"  evidence  what the custody of a key rests on, or of each without NAME, as JSON: its attributes as the "
	"token\n"
	"            told them, the token, the module and its SHA-256\n"
	"  create    make a key pair in the token, and take it into the reserve; where the service does not run, the\n"
	"            first one. Only on a token with `key_rights: manage`\n"
	"  adopt     take a key pair into the reserve that the site's own tools made in the token\n"
	"  rotate    publish the next version of the reserve, and have it sign after the key's `publish_ahead`\n"
	"  activate  the same with a version of your choice\n"
	"  retire    take a version that does not sign out of use: verifiers are told to refuse what it signed\n"
	"  destroy   destroy a retired version's key pair in the token. Asks for its label\n"
	"\n"
	"  --now           have it sign at once, though verifiers may not know it yet\n"
	"  --config FILE   the service's configuration\n"
	"  --label LABEL   the label of what is to be destroyed, instead of asking for it\n"
	"  --control PATH  the service's control socket (otherwise HSMINT_CONTROL, or the configuration's)\n"
	"  --json          print the service's reply\n"
	"\n"
	"Example:\n"
	"  hsmint key rotate demo-access --control run/control.sock";

static const char *text(const json_t *object, const char *member)
{
	const char *value = json_string_value(json_object_get(object, member));
	return value ? value : "-";
}

/* ---- asking ---- */

char *key_call(const struct key_words *words, json_t *request, int *status)
{
	char *command = request ? json_dumps(request, JSON_COMPACT) : NULL;
	json_decref(request);
	*status = command ? EXIT_FAILED : usage_error("key", "names and labels are UTF-8 text");
	char *reply = command ? control_call(words->control, command, "key", status) : NULL;
	free(command);
	return reply;
}

static void print_time(const char *what, const json_t *version, const char *member)
{
	const json_t *value = json_object_get(version, member);
	time_t time = (time_t)json_integer_value(value);
	struct tm utc;
	char date[32];
	if (json_is_integer(value) && gmtime_r(&time, &utc) && strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc))
		printf("  %s %s", what, date);
}

static void print_version(const char *name, const json_t *version)
{
	printf("%s  version %lld  %s  kid %s", name, (long long)json_integer_value(json_object_get(version, "version")),
		text(version, "state"), text(version, "kid"));
	print_time("signs from", version, "activates_at");
	print_time(strcmp(text(version, "state"), "active") == 0 ? "signs since" : "signed from", version, "active_at");
	print_time("published until", version, "retires_at");
	print_time("retired", version, "retired_at");
	putchar('\n');
}

int key_ask(const struct key_words *words, json_t *request)
{
	int status;
	char *reply = key_call(words, request, &status);
	if (!reply)
		return status;
	json_t *version = json_loads(reply, 0, NULL); /* the library has parsed it before */
	if (words->json)
		status = print_line(reply);
	else {
		print_version(words->name, version);
		status = flush_output();
	}
	json_decref(version);
	hsmint_text_free(reply);
	return status;
}

/* ---- showing ---- */

static int list(const struct key_words *words, const json_t *keys)
{
	size_t i;
	json_t *key;
	(void)words;
	json_array_foreach(keys, i, key) printf("%s  version %lld  %s  %s  %s  %s  on %s  kid %s\n", text(key, "name"),
		(long long)json_integer_value(json_object_get(key, "version")), text(key, "state"), text(key, "issuer"),
		text(key, "use"), text(key, "algorithm"), text(json_object_get(key, "token"), "name"),
		text(key, "kid"));
	return flush_output();
}

static int unknown(const char *name)
{
	fprintf(stderr, "hsmint: no key '%s' is configured\n", name);
	return EXIT_FAILED;
}

static int show(const struct key_words *words, const json_t *keys)
{
	size_t i;
	json_t *key;
	unsigned shown = 0;
	json_array_foreach(keys, i, key)
	{
		if (strcmp(words->name, text(key, "name")) != 0)
			continue;
		print_version(words->name, key);
		shown++;
	}
	return shown ? flush_output() : unknown(words->name);
}

static int print_evidence(const json_t *key)
{
	char *json = json_dumps(key, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	int status = json ? print_line(json) : EXIT_FAILED;
	free(json);
	return status;
}

/* Of the version that signs; without a name of every version. */
static int evidence(const struct key_words *words, const json_t *keys)
{
	size_t i;
	json_t *key;
	if (!words->name)
		return print_evidence(keys);
	json_array_foreach(keys, i, key) if (strcmp(words->name, text(key, "name")) == 0 &&
					     strcmp(text(key, "state"), "active") == 0) return print_evidence(key);
	return unknown(words->name);
}

/* Those of one name, when there is one. */
static void keep_named(json_t *keys, const char *name)
{
	for (size_t i = json_array_size(keys); name && i > 0; i--)
		if (strcmp(text(json_array_get(keys, i - 1), "name"), name) != 0)
			(void)json_array_remove(keys, i - 1);
}

static int print_json(const json_t *json)
{
	char *line = json_dumps(json, JSON_COMPACT | JSON_PRESERVE_ORDER);
	int status = line ? print_line(line) : EXIT_FAILED;
	free(line);
	return status;
}

static int look(const struct key_words *words)
{
	int (*const print)(const struct key_words *words, const json_t *keys) = strcmp(words->verb, "list") == 0 ? list
										: strcmp(words->verb, "show") == 0
											? show
											: evidence;
	int status;
	char *reply = key_call(words, json_pack("{s:s}", "command", "keys"), &status);
	if (!reply)
		return status;
	json_t *answer = json_loads(reply, 0, NULL);
	keep_named(json_object_get(answer, "keys"), words->name);
	status = words->json ? print_json(answer) : print(words, json_object_get(answer, "keys"));
	json_decref(answer);
	hsmint_text_free(reply);
	return status;
}

/* ---- changing ---- */

static void put_attribute(json_t *request, const char *member, P11KitUri *uri, CK_ATTRIBUTE_TYPE type, bool is_hex)
{
	char hex[2 * 256 + 1] = "";
	const CK_ATTRIBUTE *attribute = p11_kit_uri_get_attribute(uri, type);
	const uint8_t *bytes = attribute ? attribute->pValue : NULL;
	if (!bytes)
		return;
	for (size_t i = 0; is_hex && i < attribute->ulValueLen && i < 256; i++)
		snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
	json_t *value = is_hex ? json_string(hex) : json_stringn((const char *)bytes, attribute->ulValueLen);
	(void)json_object_set_new(request, member, value ? value : json_null()); /* refused, when it is no text */
}

/* Texts of tokens are padded with blanks; one that the URI does not name is empty. */
static void put_padded(json_t *request, const char *member, const CK_UTF8CHAR *padded, size_t length)
{
	while (length && (padded[length - 1] == ' ' || !padded[length - 1]))
		length--;
	json_t *value = length ? json_stringn((const char *)padded, length) : NULL;
	if (length)
		(void)json_object_set_new(request, member, value ? value : json_null());
}

/* What we could not hold the token to is not wanted: it would be taken for checked. Both halves of a pair are looked
 * for, whichever the URI is of. */
static bool has_others(const char *uri)
{
	static const char *const taken[] = {"object=", "id=", "token=", "serial=", "type="};
	for (const char *at = strchr(uri, ':'); at; at = strpbrk(at + 1, ";?&")) {
		bool known = !at[1];
		for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
			known |= strncmp(at + 1, taken[i], strlen(taken[i])) == 0;
		if (!known)
			return true;
	}
	return false;
}

/* RFC 7512. */
static int adopt(const struct key_words *words)
{
	P11KitUri *uri = p11_kit_uri_new();
	int fault = uri ? p11_kit_uri_parse(words->more, P11_KIT_URI_FOR_ANY, uri) : P11_KIT_URI_NO_MEMORY;
	json_t *request = json_pack("{s:s, s:s}", "command", "key-adopt", "key", words->name);
	if (fault != P11_KIT_URI_OK || has_others(words->more)) {
		p11_kit_uri_free(uri);
		json_decref(request);
		return usage_error("key",
			"'%s' is no PKCS#11 URI of object, id, token and serial such as 'pkcs11:object=LABEL;id=%%01'",
			words->more);
	}
	const CK_TOKEN_INFO *token = p11_kit_uri_get_token_info(uri);
	put_attribute(request, "label", uri, CKA_LABEL, false);
	put_attribute(request, "id", uri, CKA_ID, true);
	put_padded(request, "token", token->label, sizeof token->label);
	put_padded(request, "serial", token->serialNumber, sizeof token->serialNumber);
	p11_kit_uri_free(uri);
	return key_ask(words, request);
}

static int change(const struct key_words *words, const char *command)
{
	long number = 0;
	json_t *request = json_pack("{s:s, s:s}", "command", command, "key", words->name);
	if (words->more && !parse_number(words->more, 1, UINT32_MAX, &number)) {
		json_decref(request);
		return usage_error("key", "'%s' is not a version's number", words->more);
	}
	if (words->more)
		(void)json_object_set_new(request, "version", json_integer(number));
	if (words->now)
		(void)json_object_set_new(request, "now", json_true());
	return key_ask(words, request);
}

static int activate(const struct key_words *words)
{
	return change(words, "key-activate");
}

static int retire(const struct key_words *words)
{
	return change(words, "key-retire");
}

/* ---- the command ---- */

static const struct verb {
	const char *name;
	int least, most; /* words behind it */
	bool takes_now, takes_config, takes_label;
	int (*run)(const struct key_words *words);
} verbs[] = {{"list", 0, 0, false, false, false, look}, {"show", 1, 1, false, false, false, look},
	{"evidence", 0, 1, false, false, false, look}, {"create", 1, 1, false, true, false, key_create},
	{"adopt", 2, 2, false, false, false, adopt}, {"rotate", 1, 1, true, false, false, activate},
	{"activate", 2, 2, true, false, false, activate}, {"retire", 2, 2, false, false, false, retire},
	{"destroy", 2, 2, false, true, true, key_destroy}};

enum { OPTION_CONTROL = 256, OPTION_CONFIG, OPTION_LABEL, OPTION_NOW, OPTION_JSON, OPTION_HELP };

static const struct option options[] = {
	{"control", required_argument, NULL, OPTION_CONTROL},
	{"config", required_argument, NULL, OPTION_CONFIG},
	{"label", required_argument, NULL, OPTION_LABEL},
	{"now", no_argument, NULL, OPTION_NOW},
	{"json", no_argument, NULL, OPTION_JSON},
	{"help", no_argument, NULL, OPTION_HELP},
	{0},
};

static bool take_option(struct key_words *words, int option)
{
	switch (option) {
	case OPTION_CONTROL:
		words->control = optarg;
		return true;
	case OPTION_CONFIG:
		words->config = optarg;
		return true;
	case OPTION_LABEL:
		words->label = optarg;
		return true;
	case OPTION_NOW:
		return words->now = true;
	case OPTION_JSON:
		return words->json = true;
	default:
		return false;
	}
}

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static const char *fault_of(const struct verb *verb, const struct key_words *words, int count)
{
	if (count < verb->least)
		return verb->least == 1 ? "NAME is missing" : "NAME and what comes behind it are missing";
	if (count > verb->most)
		return "that is a word too many";
	if (words->now && !verb->takes_now)
		return "--now is for rotate and activate";
	if (words->label && !verb->takes_label)
		return "--label is for destroy";
	if (verb->takes_config && !words->config)
		return "--config FILE is needed";
	return words->config && !verb->takes_config ? "--config is for create and destroy" : NULL;
}

int command_key(int argc, char **argv)
{
	struct key_words words = {.verb = NULL};
	int option;
	if (argc > 1 && strcmp(argv[1], "ceremony") == 0)
		return command_ceremony(argc - 1, argv + 1);
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (option == OPTION_HELP)
			return print_line(help);
		else if (!take_option(&words, option))
			return usage_error("key", "see the options");
	int count = argc - optind - 1;
	const struct verb *verb = count >= 0 ? find_verb(argv[optind]) : NULL;
	if (!verb)
		return usage_error("key",
			"what to do with keys? list, show, evidence, create, adopt, rotate, activate, "
			"retire, destroy, ceremony");
	words.verb = verb->name;
	words.name = count >= 1 ? argv[optind + 1] : NULL;
	words.more = count >= 2 ? argv[optind + 2] : NULL;
	const char *fault = fault_of(verb, &words, count);
	return fault ? usage_error("key", "%s: %s", verb->name, fault) : verb->run(&words);
}
