/* SPDX-License-Identifier: Apache-2.0 */
#include "issuing_key.h"

#include "jwt.h"

hm_result issuing_key_learn(struct issuing_key *issuing, const struct config_key *key,
	const struct token_ready *holdings, struct hm_problem *why)
{
	const struct token_key_ready *shown = &holdings->keys[key->place];
	HM_TRY(jwk_from_spki(shown->spki, shown->spki_length, &issuing->jwk, why));
	jwt_header(key->algorithm, key->use, issuing->jwk.kid, issuing->header, sizeof issuing->header);
	issuing->known = true;
	return HM_OK;
}

bool issuing_key_can_sign(const struct issuing_key *issuing, const struct config_key *key)
{
	return issuing->known && token_can_sign(issuing->token, (uint16_t)key->place);
}

bool issuing_keys_are_whole(const struct config *config, const struct issuing_key *keys, unsigned issuer)
{
	for (unsigned i = 0; i < config->keys_count; i++)
		if (config->keys[i].issuer_index == issuer && !keys[i].known)
			return false;
	return true;
}
