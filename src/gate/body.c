/* SPDX-License-Identifier: Apache-2.0 */
#include "body.h"

#include "form.h"
#include "json_form.h"
#include <gnutls/crypto.h>
#include <string.h>

hm_result body_check_type(const struct route *route, const struct guard *guard, struct hm_problem *why)
{
	bool is_none = route->operation == OPERATION_API && !guard->content_length && !guard->content_types;
	bool is_right =
		route->flags & ROUTE_FORM ? guard_is_form(guard->content_type) : guard_is_json(guard->content_type);
	if (is_none || is_right)
		return HM_OK;
	return hm_refuse(why, "unsupported_media_type", NULL, "Content-Type: %s",
		route->flags & ROUTE_FORM ? "application/x-www-form-urlencoded" : "application/json");
}

/* A call that needs no words comes without a body. */
static hm_result check_call(const struct route *route, const char *text, size_t length, struct hm_problem *why)
{
	if (!length)
		return HM_OK;
	if (!(route->flags & ROUTE_FORM))
		return route->flags & ROUTE_LARGE ? json_form_check_import(text, length, why)
						  : json_form_check(text, length, why);
	if (!form_is_sound(text, length))
		return hm_refuse(why, "malformed_form", NULL, "NAME=VALUE pairs with & between them, percent-encoded");
	return HM_OK;
}

hm_result body_check(const struct route *route, struct hm_bytes body, struct batch **batch, struct hm_problem *why)
{
	const char *text = (const char *)body.data;
	if (!text)
		return HM_OK; /* GET */
	if (route->operation == OPERATION_MINT_ITEM)
		return batch_open(text, body.length, batch, why);
	if (route->operation == OPERATION_API || route->operation == OPERATION_TOKEN)
		return check_call(route, text, body.length, why);
	return json_form_check(text, body.length, why);
}

hm_result body_digest(const struct route *route, struct hm_bytes body, uint8_t digest[32], struct hm_problem *why)
{
	gnutls_hash_hd_t hash;
	if (gnutls_hash_init(&hash, GNUTLS_DIG_SHA256) < 0)
		return hm_unavailable(why, "overload", "no memory");
	int failed = gnutls_hash(hash, route->path, strlen(route->path) + 1);
	failed |= gnutls_hash(hash, body.data, body.length);
	gnutls_hash_deinit(hash, digest);
	return failed ? hm_broken(why, "SHA-256 failed") : HM_OK;
}
