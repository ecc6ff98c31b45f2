/* SPDX-License-Identifier: Apache-2.0 */
#include "sign.h"

#include "verify.h"
#include <openssl/rand.h>
#include <string.h>

enum { HASH_MAX = 48, PREFIX_MAX = 32, PROBE_RANDOM = 16 };

/* What goes to C_Sign: the bytes themselves, or their hash with what the mechanism wants before it. */
static hm_result prepare(const struct key *key, struct hm_bytes data, uint8_t room[PREFIX_MAX + HASH_MAX],
	struct hm_bytes *out, struct token_failure *why)
{
	const struct hm_bytes *prefix = &key->algorithm->prefix;
	unsigned length = 0;
	*out = data;
	if (key->by_token)
		return HM_OK;
	if (prefix->length)
		memcpy(room, prefix->data, prefix->length);
	if (EVP_Digest(data.data, data.length, room + prefix->length, &length, key->hash, NULL) != 1)
		return fail(why, TOKEN_DEVICE, "key %s: %s failed", key->config->name, key->algorithm->hash);
	*out = (struct hm_bytes){room, prefix->length + length};
	return HM_OK;
}

static hm_result sign_and_check(const struct module *module, CK_SESSION_HANDLE session, const struct key *key,
	struct hm_bytes data, enum signed_what what, bool check, struct signature *signature, struct token_failure *why)
{
	CK_RSA_PKCS_PSS_PARAMS pss = algorithm_pss();
	CK_MECHANISM mechanism = {key->mechanism, NULL, 0};
	uint8_t room[PREFIX_MAX + HASH_MAX];
	struct hm_bytes input;
	if (key->algorithm->is_pss)
		mechanism = (CK_MECHANISM){key->mechanism, &pss, sizeof pss};
	HM_TRY(prepare(key, data, room, &input, why));
	TRY_CALL(why, module->calls, C_SignInit, session, &mechanism, key->handle);
	signature->length = sizeof signature->bytes;
	TRY_CALL(why, module->calls, C_Sign, session, (CK_BYTE *)input.data, input.length, signature->bytes,
		&signature->length);
	tally_count(key->tally, what);
	if (signature->length != key->signature_length)
		return fail(why, TOKEN_DEVICE, "key %s: C_Sign gave %lu bytes", key->config->name, signature->length);
	if (check && !verify(key, data, signature->bytes))
		return fail(why, TOKEN_DEVICE, "key %s: C_Sign gave a signature that its public key does not verify",
			key->config->name);
	return HM_OK;
}

hm_result sign(const struct module *module, CK_SESSION_HANDLE session, const struct key *key, struct hm_bytes data,
	enum signed_what what, bool check, struct signature *signature, struct token_failure *why)
{
	hm_result result = sign_and_check(module, session, key, data, what, check, signature, why);
	if (result != HM_OK)
		memset(signature, 0, sizeof *signature);
	return result;
}

hm_result sign_probe(
	const struct module *module, CK_SESSION_HANDLE session, const struct key *key, struct token_failure *why)
{
	uint8_t data[sizeof HM_PROBE_PREFIX - 1 + PROBE_RANDOM];
	struct signature signature;
	memcpy(data, HM_PROBE_PREFIX, sizeof HM_PROBE_PREFIX - 1);
	if (RAND_bytes(data + sizeof data - PROBE_RANDOM, PROBE_RANDOM) != 1)
		return fail(why, TOKEN_DEVICE, "no random bytes");
	return sign(module, session, key, (struct hm_bytes){data, sizeof data}, SIGNED_PROBE, true, &signature, why);
}
