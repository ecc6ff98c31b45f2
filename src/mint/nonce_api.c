/* SPDX-License-Identifier: Apache-2.0 */
#include "nonce_api.h"

#include "http_signature.h"
#include "service.h"

hm_result nonce_api_make(struct api_call *call, struct hm_problem *why)
{
	char nonce[HM_ID_MAX + 1];
	HM_TRY(nonces_make(call->service->nonces, call->now, nonce, why));
	call->status = 200;
	call->answer = json_pack("{s:s, s:I}", "nonce", nonce, "expires", (json_int_t)call->now + HM_NONCE_SECONDS);
	return call->answer ? HM_OK : hm_broken(why, "no memory for a nonce");
}
