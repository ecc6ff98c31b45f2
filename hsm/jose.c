/* SPDX-License-Identifier: Apache-2.0 */
#include "jose.h"

#include "base64url.h"
#include "json_members.h"
#include "json_write.h"
#include <stdio.h>
#include <string.h>

hm_result jose_open(const struct key *key, struct jose *jose, struct token_failure *why)
{
	char header[HM_JWT_HEADER_MAX];
	struct hm_json json = hm_json(header, sizeof header);
	hm_json_begin(&json, '{');
	hm_json_member_string(&json, "alg", key_algorithm_jose(key->config->algorithm));
	hm_json_member_string(&json, "kid", key->shown.kid);
	hm_json_member_string(&json, "typ", key_use_typ(key->config->use));
	hm_json_end(&json, '}');
	if (json.out.failed || base64url_length(json.out.used) + 1 > sizeof jose->header)
		return fail(why, TOKEN_PERMANENT, "key %s: header too long", key->config->name);
	jose->header_length = base64url_encode(header, json.out.used, jose->header);
	jose->header[jose->header_length++] = '.';

	json = hm_json(jose->start, sizeof jose->start);
	hm_json_begin(&json, '{');
	hm_json_member_string(&json, "iss", key->config->issuer);
	hm_put_u8(&json.out, ',');
	jose->start_length = json.out.used;
	return json.out.failed ? fail(why, TOKEN_PERMANENT, "key %s: issuer too long", key->config->name) : HM_OK;
}

hm_result jose_check(const struct jose *jose, struct hm_bytes tbs, struct token_failure *why)
{
	uint8_t payload[HM_JWT_PAYLOAD_MAX];
	if (tbs.length < jose->header_length || memcmp(tbs.data, jose->header, jose->header_length) != 0)
		return fail(why, TOKEN_REFUSED, "not the JOSE header of this key");
	size_t length = base64url_decode((const char *)tbs.data + jose->header_length, tbs.length - jose->header_length,
		payload, sizeof payload);
	if (length == SIZE_MAX)
		return fail(why, TOKEN_REFUSED, "the payload is not base64url");
	if (length <= jose->start_length || memcmp(payload, jose->start, jose->start_length) != 0)
		return fail(why, TOKEN_REFUSED, "the payload does not begin with this key's issuer");
	if (!json_members_name_once((const char *)payload, length, "iss"))
		return fail(why, TOKEN_REFUSED, "the payload is not one JSON object with one issuer");
	return HM_OK;
}
