/* SPDX-License-Identifier: Apache-2.0 */
#include "issuing_key.h"

#include "jwt.h"
#include <openssl/x509.h>
#include <string.h>

static hm_result read_public(struct issuing_key *issuing, const struct token_key_ready *shown, struct hm_problem *why)
{
	const uint8_t *at = shown->spki;
	EVP_PKEY_free(issuing->public_key);
	issuing->public_key = d2i_PUBKEY(NULL, &at, (long)shown->spki_length);
	return issuing->public_key ? HM_OK : hm_broken(why, "key %s: no memory to read it", issuing->config->name);
}

void issuing_keys_clear(struct issuing_keys *keys)
{
	for (unsigned i = 0; i < keys->count; i++)
		EVP_PKEY_free(keys->items[i].public_key);
	keys->count = 0;
}

hm_result issuing_key_learn(struct issuing_key *issuing, const struct token_key_ready *shown, struct hm_problem *why)
{
	const struct key_version *version = issuing->version;
	const struct config_key *config = issuing->config;
	HM_TRY(jwk_from_spki(shown->spki, shown->spki_length, &issuing->jwk, why));
	if (version->kid[0] && strcmp(version->kid, issuing->jwk.kid) != 0)
		return hm_refuse(why, "token", NULL,
			"key %s: the key labelled '%s' is another one than before: kid %s was %s. If that is meant, "
			"remove the record state/keys",
			config->name, version->label, issuing->jwk.kid, version->kid);
	HM_TRY(read_public(issuing, shown, why));
	if (config->use != KEY_USE_CHECKPOINT)
		jwt_header(config->algorithm, config->use, issuing->jwk.kid, issuing->header, sizeof issuing->header);
	issuing->known = true;
	return HM_OK;
}

bool issuing_key_can_sign(const struct issuing_key *issuing)
{
	return issuing->known && token_can_sign(issuing->token, issuing->place);
}

bool issuing_key_is_public(const struct issuing_key *issuing)
{
	enum key_state state = issuing->version->state;
	return state == KEY_PUBLISHED || state == KEY_ACTIVE || state == KEY_RETIRING;
}

bool issuing_keys_are_whole(const struct issuing_keys *keys, unsigned issuer)
{
	for (unsigned i = 0; i < keys->count; i++)
		if (keys->items[i].config->issuer_index == issuer && issuing_key_is_public(&keys->items[i]) &&
			!keys->items[i].known)
			return false;
	return true;
}

const struct issuing_key *issuing_keys_find(const struct issuing_keys *keys, const struct key_version *version)
{
	for (unsigned i = 0; i < keys->count; i++)
		if (keys->items[i].version == version)
			return &keys->items[i];
	return NULL;
}
