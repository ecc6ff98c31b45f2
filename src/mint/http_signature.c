/* SPDX-License-Identifier: Apache-2.0 */
#include "http_signature.h"

#include "base64.h"
#include "client_certificate.h"
#include "signature_base.h"
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum { ALG_MAX = 32, CREATED_DIGITS = 15, DIGEST = 32 };

#define LABEL "hsmint="

/* What Signature-Input says; `params` is its value without the label, as the signature covers it. */
struct input {
	const char *params;
	bool covers_digest;
	int64_t created;
	char nonce[HM_ID_MAX + 1];
	char alg[ALG_MAX + 1];
};

static hm_result refuse(struct hm_problem *why, const char *field, const char *accepted)
{
	return hm_refuse(why, "signature_refused", field, "%s", accepted);
}

bool http_signature_is_there(const struct gate_call *call)
{
	return call->signature_input[0] || call->signature[0];
}

/* ---- Signature-Input ---- */

static bool takes(const char **at, const char *wanted)
{
	size_t length = strlen(wanted);
	if (strncmp(*at, wanted, length) != 0)
		return false;
	*at += length;
	return true;
}

static bool take_number(const char **at, int64_t *number)
{
	size_t digits = strspn(*at, "0123456789");
	if (!digits || digits > CREATED_DIGITS)
		return false;
	*number = strtoll(*at, NULL, 10);
	*at += digits;
	return true;
}

/* A string in quotes that needs no escapes. */
static bool take_text(const char **at, char *text, size_t size)
{
	if (!takes(at, "\""))
		return false;
	size_t length = strcspn(*at, "\"\\");
	if (!length || length >= size)
		return false;
	memcpy(text, *at, length);
	text[length] = 0;
	*at += length;
	return takes(at, "\"");
}

/* Each of the three once, in whichever order, and no other. */
static bool take_parameters(const char **at, struct input *input)
{
	bool has_created = false;
	while (takes(at, ";")) {
		bool sound = false;
		if (!has_created && takes(at, "created="))
			sound = has_created = take_number(at, &input->created);
		else if (!input->nonce[0] && takes(at, "nonce="))
			sound = take_text(at, input->nonce, sizeof input->nonce);
		else if (!input->alg[0] && takes(at, "alg="))
			sound = take_text(at, input->alg, sizeof input->alg);
		if (!sound)
			return false;
	}
	return has_created && input->nonce[0] && input->alg[0];
}

/* In the one form in which RFC 9421 has it signed (section 2.3), so that what came is what was signed. */
static hm_result read_input(const char *header, struct input *input, struct hm_problem *why)
{
	const char *at = header;
	*input = (struct input){.created = 0};
	bool sound = takes(&at, LABEL);
	input->params = at;
	sound = sound && takes(&at, "(\"@method\" \"@path\" \"@query\"");
	input->covers_digest = sound && takes(&at, " \"content-digest\"");
	if (sound && takes(&at, ")") && take_parameters(&at, input) && !*at)
		return HM_OK;
	return refuse(why, "Signature-Input",
		"hsmint=(\"@method\" \"@path\" \"@query\" \"content-digest\") with created, nonce and alg alone, the "
		"last component only of a request with a body");
}

/* ---- what is signed ---- */

/* The value of `LABEL:base64:`, a byte sequence (RFC 8941, section 3.3.5). */
static size_t decode(const char *header, const char *label, uint8_t *out, size_t size)
{
	const char *at = header;
	size_t length = strlen(header);
	if (!takes(&at, label) || !takes(&at, ":") || header[length - 1] != ':' || at == header + length)
		return SIZE_MAX;
	return base64_decode(at, (size_t)(header + length - at) - 1, out, size);
}

static hm_result check_digest(const struct gate_request *request, const struct input *input, struct hm_problem *why)
{
	uint8_t told[DIGEST], found[DIGEST];
	const struct hm_bytes *body = &request->body;
	if (input->covers_digest != (body->length > 0))
		return refuse(why, "Signature-Input", "content-digest as a component exactly when there is a body");
	if (!input->covers_digest)
		return HM_OK;
	if (EVP_Digest(body->data, body->length, found, NULL, EVP_sha256(), NULL) != 1)
		return hm_broken(why, "SHA-256 failed");
	if (decode(request->call.content_digest, "sha-256=", told, sizeof told) != DIGEST ||
		memcmp(told, found, DIGEST) != 0)
		return refuse(why, "Content-Digest", "sha-256=:BASE64: of the body");
	return HM_OK;
}

static hm_result check_created(const struct input *input, int64_t now, struct hm_problem *why)
{
	if (input->created <= now + HM_AHEAD_SECONDS && input->created >= now - HM_NONCE_SECONDS)
		return HM_OK;
	return hm_refuse(why, "signature_refused", "created",
		"a time at most %d seconds before and %d after now, which is %lld", HM_NONCE_SECONDS, HM_AHEAD_SECONDS,
		(long long)now);
}

static hm_result check_signature(
	const struct gate_call *call, const struct input *input, EVP_PKEY *key, struct hm_problem *why)
{
	char base[SIGNATURE_BASE_MAX];
	uint8_t signature[HM_HTTP_SIGNATURE_MAX];
	const struct signature_components components = {
		call->method, call->target, input->covers_digest ? call->content_digest : NULL};
	size_t length = decode(call->signature, LABEL, signature, sizeof signature);
	size_t base_length = signature_base_write(&components, input->params, base);
	if (!base_length)
		return hm_broken(why, "no room for a signature base");
	if (length == SIZE_MAX || !length)
		return refuse(why, "Signature", "hsmint=:BASE64:");
	return client_key_verify(key, input->alg, (struct hm_bytes){signature, length},
		(struct hm_bytes){(const uint8_t *)base, base_length}, why);
}

hm_result http_signature_verify(struct nonces *nonces, const char *trust, const struct gate_request *request,
	int64_t now, struct gate_caller *caller, struct hm_problem *why)
{
	struct input input;
	const struct gate_call *call = &request->call;
	CLIENT_CERTIFICATE_AUTO certificate = NULL;
	HM_TRY(read_input(call->signature_input, &input, why));
	HM_TRY(check_created(&input, now, why));
	HM_TRY(check_digest(request, &input, why));
	HM_TRY(client_certificate_verify(call->certificates, trust, now, &certificate, why));
	HM_TRY(check_signature(call, &input, client_certificate_key(certificate), why));
	HM_TRY(client_certificate_caller(certificate, caller, why));
	return nonces_use(nonces, now, input.nonce, why);
}
