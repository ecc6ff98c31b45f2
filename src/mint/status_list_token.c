/* SPDX-License-Identifier: Apache-2.0 */
#include "status_list_token.h"

#include "base64url.h"
#include "json_write.h"
#include <stdio.h>
#include <string.h>
#include <zlib.h>

enum { COMPRESSED_MAX = HM_JWT_PAYLOAD_MAX };

size_t status_list_compress(const uint8_t *bits, size_t length, char *text, size_t size)
{
	uint8_t compressed[COMPRESSED_MAX];
	uLongf compressed_length = sizeof compressed;
	if (compress2(compressed, &compressed_length, bits, length, Z_BEST_COMPRESSION) != Z_OK ||
		base64url_length(compressed_length) > size)
		return 0;
	return base64url_encode(compressed, compressed_length, text);
}

/* In this order and form the token process wants it, and no other. */
static size_t write_payload(const char *issuer_url, unsigned list, const uint8_t *bits, size_t size, int64_t issued,
	char payload[HM_JWT_PAYLOAD_MAX])
{
	static char text[HM_JWT_PAYLOAD_MAX];
	char subject[HM_URL_MAX + 32];
	size_t length = status_list_compress(bits, size, text, sizeof text);
	struct hm_json json = hm_json(payload, HM_JWT_PAYLOAD_MAX);
	snprintf(subject, sizeof subject, "%s/status/%u", issuer_url, list);
	hm_json_begin(&json, '{');
	hm_json_member_string(&json, "iss", issuer_url);
	hm_json_member_string(&json, "sub", subject);
	hm_json_member_number(&json, "iat", issued);
	hm_json_member_number(&json, "exp", issued + STATUS_LIFE_SECONDS);
	hm_json_member_number(&json, "ttl", STATUS_TTL_SECONDS);
	hm_json_key(&json, "status_list");
	hm_json_begin(&json, '{');
	hm_json_member_number(&json, "bits", 2);
	hm_json_key(&json, "lst");
	hm_json_text(&json, text, length);
	hm_json_end(&json, '}');
	hm_json_end(&json, '}');
	return json.out.failed || !length ? 0 : json.out.used;
}

hm_result status_list_build(const char *header, const char *issuer_url, unsigned list, const uint8_t *bits, size_t size,
	int64_t issued, char *tbs, size_t *length, struct hm_problem *why)
{
	char payload[HM_JWT_PAYLOAD_MAX];
	size_t header_length = strlen(header), used = write_payload(issuer_url, list, bits, size, issued, payload);
	if (!used || header_length + 1 + base64url_length(used) > HM_JWT_TBS_MAX)
		return hm_broken(why, "status list %u of %s does not fit a token", list, issuer_url);
	memcpy(tbs, header, header_length);
	tbs[header_length] = '.';
	*length = header_length + 1 + base64url_encode(payload, used, tbs + header_length + 1);
	return HM_OK;
}
