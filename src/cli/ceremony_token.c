/* SPDX-License-Identifier: Apache-2.0 */
#include "ceremony_token.h"

#include "config.h"
#include "file.h"
#include <stdio.h>
#include <string.h>

static hm_result find_token(const struct config *config, const struct ceremony_place *place, struct token_config *out,
	struct hm_problem *why)
{
	for (unsigned i = 0; i < config->tokens_count; i++) {
		if (strcmp(config->tokens[i].name, place->token) != 0)
			continue;
		if (place->makes_key && config->tokens[i].key_rights != KEY_RIGHTS_MANAGE)
			return hm_refuse(why, "config", NULL,
				"token %s has key_rights: use, and a ceremony makes a key: have a configuration for it "
				"with key_rights: manage",
				place->token);
		config_token_frame(config, i, out);
		return file_make_directory(config->state, why); /* the PIN latch lives there */
	}
	return hm_refuse(why, "config", NULL, "the configuration has no token '%.64s'", place->token);
}

hm_result ceremony_token_config(const struct ceremony_place *place, struct token_config *out, struct hm_problem *why)
{
	struct config *config;
	HM_TRY(config_load(place->config, &config, why));
	hm_result result = find_token(config, place, out, why);
	config_free(config);
	HM_TRY(result);
	struct token_key_config *key = &out->keys[0];
	*key = (struct token_key_config){.algorithm = (uint8_t)place->algorithm, .id_length = place->id_length};
	memcpy(key->id, place->id, sizeof key->id);
	snprintf(key->name, sizeof key->name, "%s", place->label);
	snprintf(key->label, sizeof key->label, "%s", place->label);
	out->key_count = 1;
	return HM_OK;
}

/* A frame is never empty: what has nothing to say is an empty string. */
static hm_result ask(const struct token_program *program, enum hm_frame_type command, enum hm_frame_type wanted,
	void *answer, size_t *size, struct hm_problem *why)
{
	return token_program_ask(program, command, NULL, 0, wanted, answer, size, why);
}

hm_result ceremony_token_show(const struct token_program *program, enum hm_frame_type command,
	struct token_ready *shown, struct hm_problem *why)
{
	static uint8_t payload[HM_FRAME_MAX_INLINE];
	size_t length = sizeof payload;
	HM_TRY(ask(program, command, HM_CEREMONY_SHOWN, payload, &length, why));
	struct hm_reader reader = hm_reader(payload, length);
	if (token_ready_get(&reader, shown) && shown->key_count == (command != HM_CEREMONY_CHECK))
		return HM_OK;
	return hm_broken(why, "%s showed a malformed token", program->name);
}

hm_result ceremony_token_certify(const struct token_program *program, const struct ceremony_certificate *wanted,
	uint8_t *der, size_t *length, struct hm_problem *why)
{
	uint8_t payload[HM_SUBJECT_MAX + HM_TRUST_DOMAIN_MAX + 64];
	struct hm_writer w = hm_writer(payload, sizeof payload);
	ceremony_certificate_put(&w, wanted);
	*length = HM_CERTIFICATE_MAX;
	return token_program_ask(program, HM_CEREMONY_CERTIFY, payload, w.used, HM_CEREMONY_MADE, der, length, why);
}

hm_result ceremony_token_sign(const struct token_program *program, enum ceremony_signed what, const void *data,
	size_t data_length, uint8_t signature[HM_SIGNATURE_MAX], size_t *length, struct hm_problem *why)
{
	static uint8_t payload[HM_CEREMONY_DOCUMENT_MAX + 16];
	struct ceremony_sign sign = {(uint8_t)what, {data, data_length}};
	struct hm_writer w = hm_writer(payload, sizeof payload);
	ceremony_sign_put(&w, &sign);
	*length = HM_SIGNATURE_MAX;
	if (w.failed)
		return hm_broken(why, "the document is longer than %d bytes", HM_CEREMONY_DOCUMENT_MAX);
	return token_program_ask(program, HM_CEREMONY_SIGN, payload, w.used, HM_CEREMONY_MADE, signature, length, why);
}

hm_result ceremony_token_decide(const struct token_program *program, enum hm_frame_type command, struct hm_problem *why)
{
	return ask(program, command, HM_CEREMONY_DONE, NULL, NULL, why);
}
