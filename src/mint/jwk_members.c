/* SPDX-License-Identifier: Apache-2.0 */
#include "jwk_members.h"

#include "base64url.h"
#include <string.h>

bool jwk_has_private_part(const json_t *jwk)
{
	static const char *const names[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (json_object_get(jwk, names[i]))
			return true;
	return false;
}

size_t jwk_bytes(const json_t *jwk, const char *name, uint8_t *bytes, size_t size)
{
	const char *text = json_string_value(json_object_get(jwk, name));
	return text ? base64url_decode(text, strlen(text), bytes, size) : SIZE_MAX;
}

EVP_PKEY *jwk_make_key(const char *type, OSSL_PARAM *parameters)
{
	EVP_PKEY *key = NULL;
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	if (!context || EVP_PKEY_fromdata_init(context) != 1 ||
		EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(context);
	return key;
}
