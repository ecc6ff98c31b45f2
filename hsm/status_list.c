/* SPDX-License-Identifier: Apache-2.0 */
#include "status_list.h"

#include "base64url.h"
#include <string.h>

enum { NUMBER_DIGITS_MAX = 12 };

/* What is left to be read of the payload. */
struct rest {
	const char *at, *end;
};

static bool takes(struct rest *rest, const char *text)
{
	size_t length = strlen(text);
	if ((size_t)(rest->end - rest->at) < length || memcmp(rest->at, text, length) != 0)
		return false;
	rest->at += length;
	return true;
}

/* Decimal, without zeros before it. */
static bool takes_number(struct rest *rest, int64_t *number)
{
	const char *begin = rest->at;
	for (*number = 0; rest->at < rest->end && *rest->at >= '0' && *rest->at <= '9'; rest->at++)
		if (rest->at - begin < NUMBER_DIGITS_MAX)
			*number = *number * 10 + (*rest->at - '0');
	return rest->at > begin && rest->at - begin < NUMBER_DIGITS_MAX && (*begin != '0' || rest->at - begin == 1);
}

static bool takes_base64url(struct rest *rest)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const char *begin = rest->at;
	while (rest->at < rest->end && *rest->at && strchr(alphabet, *rest->at))
		rest->at++;
	return rest->at > begin;
}

/* {"iss":ISSUER,"sub":"ISSUER/status/N","iat":N,"exp":N,"ttl":N,"status_list":{"bits":2,"lst":"…"}} */
static bool is_status_list(const char *issuer, struct rest *rest)
{
	int64_t list, issued, expires, ttl;
	return takes(rest, "{\"iss\":\"") && takes(rest, issuer) && takes(rest, "\",\"sub\":\"") &&
	       takes(rest, issuer) && takes(rest, "/status/") && takes_number(rest, &list) &&
	       list < HM_STATUS_LISTS_MAX && takes(rest, "\",\"iat\":") && takes_number(rest, &issued) && issued > 0 &&
	       takes(rest, ",\"exp\":") && takes_number(rest, &expires) && expires > issued &&
	       expires - issued <= HM_LIFETIME_MAX && takes(rest, ",\"ttl\":") && takes_number(rest, &ttl) && ttl > 0 &&
	       takes(rest, ",\"status_list\":{\"bits\":2,\"lst\":\"") && takes_base64url(rest) && takes(rest, "\"}}") &&
	       rest->at == rest->end;
}

hm_result status_list_check(const struct key *key, struct hm_bytes tbs, struct token_failure *why)
{
	char payload[HM_JWT_PAYLOAD_MAX];
	const char *text = (const char *)tbs.data, *dot = memchr(text, '.', tbs.length);
	size_t length = dot ? base64url_decode(dot + 1, tbs.length - (size_t)(dot + 1 - text), payload, sizeof payload)
			    : SIZE_MAX;
	if (length > sizeof payload)
		return fail(why, TOKEN_REFUSED, "the payload is not base64url");
	struct rest rest = {payload, payload + length};
	if (!is_status_list(key->config->issuer, &rest))
		return fail(why, TOKEN_REFUSED, "not a status list of this key's issuer");
	return HM_OK;
}
