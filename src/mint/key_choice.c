/* SPDX-License-Identifier: Apache-2.0 */
#include "key_choice.h"

#include <string.h>

/* While half a key set is not published (documents.c), a key that others may not know yet does not take the first one's
 * place. */
const struct issuing_key *key_choice(
	const struct service *service, const struct config_profile *profile, const struct pending *pending)
{
	const struct issuing_key *chosen = NULL;
	bool is_whole = issuing_keys_are_whole(&service->keys, profile->issuer_index);
	for (unsigned i = 0; i < (is_whole ? profile->key_count : 1); i++) {
		const struct issuing_key *key = service->keys.active[profile->key_indexes[i]];
		if (!issuing_key_can_sign(key) ||
			(pending && (key->token == pending->was_with || !token_would_take(key->token, pending))))
			continue;
		if (!chosen || token_wait_s(key->token) < token_wait_s(chosen->token))
			chosen = key;
	}
	return chosen;
}

const struct issuing_key *key_choice_to_wait_for(const struct service *service, const struct config_profile *profile)
{
	for (unsigned i = 0; i < profile->key_count; i++) {
		const struct issuing_key *key = service->keys.active[profile->key_indexes[i]];
		if (key->known && token_takes_requests(key->token))
			return key;
	}
	return service->keys.active[profile->key_indexes[0]];
}

static bool is_of(const struct config *config, const struct config_profile *profile, const struct issuing_key *key)
{
	for (unsigned i = 0; i < profile->key_count; i++)
		if (&config->keys[profile->key_indexes[i]] == key->config)
			return true;
	return false;
}

bool key_choice_knows(const struct service *service, const struct config_profile *profile, const char *kid)
{
	for (unsigned i = 0; i < service->keys.count; i++) {
		const struct issuing_key *key = &service->keys.items[i];
		if ((key->version->state == KEY_ACTIVE || key->version->state == KEY_RETIRING) && key->known &&
			strcmp(key->jwk.kid, kid) == 0 && is_of(service->config, profile, key))
			return true;
	}
	return false;
}
