/* SPDX-License-Identifier: Apache-2.0 */
/* `hsmint key create` and `destroy`: what changes a token is done by hsmint-token admin, never by the service. */
#include "config.h"
#include "key.h"
#include "options.h"
#include "token_admin.h"
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_MS = 30 * 1000, ID_BYTES = 16, STAMP = 17 /* ".20261125T151132Z" */ };

static void free_config(struct config **config)
{
	config_free(*config);
}

#define CONFIG_AUTO __attribute__((cleanup(free_config))) struct config

static int say(const struct hm_problem *why)
{
	fprintf(stderr, "hsmint: %s\n", why->detail);
	return EXIT_FAILED;
}

/* ---- the key in the configuration ---- */

/* NULL: `why` says why it cannot be managed. */
static const struct config_key *find_key(const struct config *config, const char *name, struct hm_problem *why)
{
	const struct config_key *key = NULL;
	for (unsigned i = 0; i < config->keys_count; i++)
		if (strcmp(config->keys[i].name, name) == 0)
			key = &config->keys[i];
	if (!key) {
		(void)!hm_refuse(why, "config", NULL, "no key '%s' is configured", name);
		return NULL;
	}
	const struct config_token *token = &config->tokens[key->token_index];
	if (token->login == LOGIN_CUSTODIANS || token->login == LOGIN_PROTECTED_PATH) {
		(void)!hm_refuse(why, "config", NULL,
			"people log token %s in, and this command cannot ask them. Make or destroy the key with the "
			"token's own tools; hsmint key adopt takes it into use",
			token->name);
		return NULL;
	}
	if (token->key_rights == KEY_RIGHTS_MANAGE)
		return key;
	(void)!hm_refuse(why, "config", NULL,
		"token %s has key_rights: use. Make or destroy the key with the token's own tools; hsmint key adopt "
		"takes "
		"it into use",
		token->name);
	return NULL;
}

/* The token's configuration with one key alone, named by label and id. */
static void put_token(const struct config *config, const struct config_key *key, const char *label, const char *id,
	struct token_config *out)
{
	config_token_frame(config, key->token_index, out);
	config_key_frame(config, key, label, id, &out->keys[0]);
	out->key_count = 1;
}

/* ---- create ---- */

struct new_key {
	char label[HM_LABEL_MAX + 1];
	char id[2 * ID_BYTES + 1];
};

/* A label that says when it was made, so that the versions of a key can be told apart with any tool. */
static hm_result name_version(const struct config_key *key, struct new_key *made, struct hm_problem *why)
{
	char stamp[STAMP + 1];
	uint8_t id[ID_BYTES];
	struct tm utc;
	time_t now = time(NULL);
	if (strlen(key->label) + STAMP > HM_LABEL_MAX)
		return hm_refuse(why, "config", NULL, "label %s: at most %d characters, so that a time can be added",
			key->label, HM_LABEL_MAX - STAMP);
	if (!gmtime_r(&now, &utc) || !strftime(stamp, sizeof stamp, ".%Y%m%dT%H%M%SZ", &utc) ||
		RAND_bytes(id, sizeof id) != 1)
		return hm_broken(why, "no time or random bytes");
	snprintf(made->label, sizeof made->label, "%s%s", key->label, stamp);
	for (size_t i = 0; i < sizeof id; i++)
		snprintf(made->id + 2 * i, 3, "%02x", id[i]);
	return HM_OK;
}

static void name_first(const struct config_key *key, struct new_key *made)
{
	snprintf(made->label, sizeof made->label, "%s", key->label);
	made->id[0] = 0;
}

static hm_result generate(const struct config *config, const struct config_key *key, const struct new_key *made,
	bool is_first, struct hm_problem *why)
{
	static struct token_config token;
	put_token(config, key, made->label, is_first && key->id ? key->id : made->id, &token);
	struct token_admin *admin = token_admin_open(&token, why);
	if (!admin)
		return HM_UNAVAILABLE;
	hm_result result = token_admin_create(admin, 0, why);
	token_admin_close(admin);
	return result;
}

static hm_result create(const struct config *config, const struct key_words *words, bool is_first, struct new_key *made,
	struct hm_problem *why)
{
	const struct config_key *key = find_key(config, words->name, why);
	if (!key)
		return HM_REFUSED;
	if (is_first)
		name_first(key, made);
	else
		HM_TRY(name_version(key, made, why));
	return generate(config, key, made, is_first, why);
}

enum service {
	SERVICE_AWAY,    /* then the first key pair is made: the service would find nothing to start with */
	SERVICE_TAKES,   /* the new one into its reserve, from us */
	SERVICE_REFUSES, /* who may use the PIN need not be an operator: another adopts what was made */
	SERVICE_FAILS
};

static enum service look_for_service(const char *control)
{
	hsmint_error *error = NULL;
	char *reply = hsmint_control_call(control, "{\"command\":\"keys\"}", LOOK_MS, &error);
	const char *code = error ? hsmint_error_code(error) : "";
	enum service service = SERVICE_TAKES;
	if (strcmp(code, "client_unreachable") == 0)
		service = SERVICE_AWAY;
	else if (strcmp(code, "unknown_caller") == 0 || strcmp(code, "role_missing") == 0)
		service = SERVICE_REFUSES;
	else if (error)
		service = SERVICE_FAILS;
	if (service == SERVICE_FAILS)
		(void)report_error(error);
	else
		hsmint_error_free(error);
	hsmint_text_free(reply);
	return service;
}

static void print_uri(FILE *out, const struct new_key *made)
{
	fprintf(out, "pkcs11:object=%s;id=", made->label);
	for (size_t i = 0; made->id[i]; i += 2)
		fprintf(out, "%%%.2s", made->id + i);
	fputc('\n', out);
}

/* What is left to be done with it. */
static int hand_over(const struct key_words *words, enum service service, const struct new_key *made)
{
	if (service == SERVICE_AWAY) {
		printf("%s  made as '%s'\n", words->name, made->label);
		return flush_output();
	}
	if (service == SERVICE_REFUSES) {
		print_uri(stdout, made);
		fprintf(stderr, "hsmint: made; an operator takes it into use: hsmint key adopt %s 'URI'\n",
			words->name);
		return flush_output();
	}
	fputs("hsmint: made ", stderr);
	print_uri(stderr, made);
	return key_ask(words, json_pack("{s:s, s:s, s:s, s:s}", "command", "key-adopt", "key", words->name, "label",
				      made->label, "id", made->id));
}

int key_create(const struct key_words *words)
{
	struct hm_problem why;
	struct new_key made;
	struct key_words with_control = *words;
	CONFIG_AUTO *config = NULL;
	if (config_load(words->config, &config, &why) != HM_OK)
		return say(&why);
	if (!with_control.control)
		with_control.control = config->listen.control;
	enum service service = look_for_service(with_control.control);
	if (service == SERVICE_FAILS)
		return EXIT_FAILED;
	if (create(config, words, service == SERVICE_AWAY, &made, &why) != HM_OK)
		return say(&why);
	return hand_over(&with_control, service, &made);
}

/* ---- destroy ---- */

static hm_result check_label(const char *given, const char *label, struct hm_problem *why)
{
	char line[HM_LABEL_MAX + 2] = "";
	if (!given && isatty(STDIN_FILENO)) {
		fprintf(stderr, "This destroys the key pair '%s' for good. Type its label: ", label);
		if (fgets(line, sizeof line, stdin))
			line[strcspn(line, "\n")] = 0;
		given = line;
	}
	if (!given)
		return hm_refuse(why, "config", NULL, "--label: the label of what is to be destroyed");
	if (strcmp(given, label) != 0)
		return hm_refuse(why, "config", NULL, "'%s' is not its label: nothing was destroyed", given);
	return HM_OK;
}

static const json_t *find_version(const json_t *keys, const char *name, long number)
{
	size_t i;
	json_t *key;
	json_array_foreach(keys, i, key)
	{
		const char *own = json_string_value(json_object_get(key, "name"));
		if (own && strcmp(own, name) == 0 && json_integer_value(json_object_get(key, "version")) == number)
			return key;
	}
	return NULL;
}

static const char *member(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));
	return value ? value : "";
}

static hm_result destroy(
	const struct config *config, const struct key_words *words, const json_t *version, struct hm_problem *why)
{
	static struct token_config token;
	const struct config_key *key = find_key(config, words->name, why);
	if (!key)
		return HM_REFUSED;
	if (!version)
		return hm_refuse(why, "config", NULL, "key %s has no version %s", words->name, words->more);
	if (strcmp(member(version, "state"), "retired") != 0)
		return hm_refuse(why, "config", NULL, "version %s is %s: only a retired one is destroyed", words->more,
			member(version, "state"));
	const char *label = member(version, "label"), *id = member(version, "id");
	HM_TRY(check_label(words->label, label[0] ? label : id, why));
	put_token(config, key, label, id, &token);
	struct token_admin *admin = token_admin_open(&token, why);
	if (!admin)
		return HM_UNAVAILABLE;
	hm_result result = token_admin_destroy(admin, 0, member(version, "kid"), why);
	token_admin_close(admin);
	return result;
}

static int forget(const struct key_words *words, long number)
{
	int status;
	char *reply = key_call(words,
		json_pack(
			"{s:s, s:s, s:I}", "command", "key-forget", "key", words->name, "version", (json_int_t)number),
		&status);
	if (!reply)
		return status;
	hsmint_text_free(reply);
	printf("%s  version %ld  destroyed\n", words->name, number);
	return flush_output();
}

int key_destroy(const struct key_words *words)
{
	struct hm_problem why;
	struct key_words with_control = *words;
	long number;
	int status;
	CONFIG_AUTO *config = NULL;
	if (!parse_number(words->more, 1, UINT32_MAX, &number))
		return usage_error("key", "'%s' is not a version's number", words->more);
	if (config_load(words->config, &config, &why) != HM_OK)
		return say(&why);
	if (!with_control.control)
		with_control.control = config->listen.control;
	char *reply = key_call(&with_control, json_pack("{s:s}", "command", "keys"), &status);
	if (!reply)
		return status;
	json_t *answer = json_loads(reply, 0, NULL);
	hm_result result =
		destroy(config, words, find_version(json_object_get(answer, "keys"), words->name, number), &why);
	json_decref(answer);
	hsmint_text_free(reply);
	return result == HM_OK ? forget(&with_control, number) : say(&why);
}
