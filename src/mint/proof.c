/* SPDX-License-Identifier: Apache-2.0 */
#include "proof.h"

#include "base64url.h"
#include "client_certificate.h"
#include "credentials.h"
#include "dpop.h"
#include "service.h"
#include <stdio.h>
#include <string.h>

/* ---- DPoP ---- */

static hm_result read_dpop(const struct service *service, unsigned issuer, const struct gate_request *from, int64_t now,
	struct proof *proof, struct hm_problem *why)
{
	char url[HM_URL_MAX + 32];
	enum dpop_error error;
	struct hm_problem found;
	const struct dpop_request request = {.proof = from->call.dpop, .method = from->call.method, .url = url};
	snprintf(url, sizeof url, "%s/oauth2/token", service->config->issuers[issuer].url);
	hm_result result = dpop_verify(service->dpop, &request, now, proof->jkt, &error, &found);
	if (result == HM_REFUSED)
		return hm_refuse(why, error == DPOP_USE_NONCE ? "use_dpop_nonce" : "invalid_dpop_proof", found.field,
			"%.200s", found.detail);
	if (result != HM_OK)
		*why = found;
	return result;
}

/* ---- mutual TLS ---- */

bool proof_may_be_certificate(const struct config *config, unsigned issuer)
{
	for (unsigned i = 0; i < config->profiles_count; i++)
		if (config->profiles[i].issuer_index == issuer && (config->profiles[i].proof & PROOF_MTLS))
			return true;
	return false;
}

static hm_result refuse_certificate(struct hm_problem *why)
{
	return hm_refuse(why, "certificate_refused", NULL, "a certificate that is in force, of who calls");
}

/* RFC 8705, section 3.1. */
static hm_result thumbprint(const X509 *certificate, char text[HM_KID_MAX + 1], struct hm_problem *why)
{
	uint8_t digest[32];
	if (X509_digest(certificate, EVP_sha256(), digest, NULL) != 1)
		return hm_broken(why, "the hash of a client's certificate failed");
	text[base64url_encode(digest, sizeof digest, text)] = 0;
	return HM_OK;
}

/* Gate alone saw that the client has the key. But a certificate is of one caller, and of no other whatever gate says.
 */
static hm_result read_certificate(const struct service *service, const struct gate_request *from, int64_t now,
	struct proof *proof, struct hm_problem *why)
{
	struct gate_caller named;
	CLIENT_CERTIFICATE_AUTO certificate = NULL;
	const char *trust = credentials_trust(&service->sockets);
	hm_result result =
		trust ? client_certificate_verify(from->call.certificates, trust, now, &certificate, why) : HM_REFUSED;
	if (result == HM_OK)
		result = client_certificate_caller(certificate, &named, why);
	if (result == HM_REFUSED)
		return refuse_certificate(why);
	HM_TRY(result);
	if (strcmp(named.uri, from->caller.uri) != 0 ||
		memcmp(named.spki_sha256, from->caller.spki_sha256, sizeof named.spki_sha256) != 0)
		return refuse_certificate(why);
	return thumbprint(certificate, proof->x5t_s256, why);
}

/* ---- both ---- */

hm_result proof_read(const struct service *service, unsigned issuer, const struct gate_request *from, int64_t now,
	struct proof *proof, struct hm_problem *why)
{
	if (from->caller.kind == CALLER_CERTIFICATE && proof_may_be_certificate(service->config, issuer))
		HM_TRY(read_certificate(service, from, now, proof, why));
	if (from->call.dpop[0]) /* last: it is used up by this */
		HM_TRY(read_dpop(service, issuer, from, now, proof, why));
	proof->is_read = true;
	return HM_OK;
}
