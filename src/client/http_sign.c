/* SPDX-License-Identifier: Apache-2.0 */
#include "http_sign.h"

#include "base64.h"
#include "error.h"
#include "exchange.h"
#include "http_alg.h"
#include "signature_base.h"
#include <errno.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

enum { DIGEST = 32, SIGNATURE_MAX = HM_RSA_BITS_MAX / 8, VALUE_MAX = HM_HTTP_SIGNATURE_MAX };

/* ---- the key ---- */

/* Or OpenSSL would ask at the terminal. */
static int no_password(char *password, int size, int is_writing, void *context)
{
	(void)password, (void)size, (void)is_writing, (void)context;
	return -1;
}

EVP_PKEY *http_sign_key(const char *path, hsmint_error **error)
{
	FILE *file = fopen(path, "re");
	if (!file) {
		error_make(error, "client_tls", "%s: %s", path, strerror(errno));
		return NULL;
	}
	setvbuf(file, NULL, _IONBF, 0); /* no copy of the key is left in a buffer */
	EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, no_password, NULL);
	fclose(file);
	if (!key)
		error_make(error, "client_tls", "%s: a private key in PEM, not encrypted", path);
	return key;
}

/* ---- signing ---- */

/* `NAME=:BASE64:`, a member of a dictionary that is a byte sequence (RFC 8941, section 3.3.5). */
static bool write_bytes(const char *name, const void *bytes, size_t length, char value[VALUE_MAX])
{
	char text[VALUE_MAX];
	if (base64_length(length) >= sizeof text)
		return false;
	text[base64_encode(bytes, length, text)] = 0;
	return snprintf(value, VALUE_MAX, "%s=:%s:", name, text) < VALUE_MAX;
}

static bool write_digest(const char *body, char value[VALUE_MAX])
{
	uint8_t digest[DIGEST];
	return EVP_Digest(body, strlen(body), digest, NULL, EVP_sha256(), NULL) == 1 &&
	       write_bytes("sha-256", digest, sizeof digest, value);
}

/* OpenSSL gives DER; RFC 9421 has r and s side by side. 0: it failed. */
static size_t from_der(size_t half, uint8_t signature[SIGNATURE_MAX], size_t length)
{
	const uint8_t *at = signature;
	ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)length);
	bool good = pair && BN_bn2binpad(ECDSA_SIG_get0_r(pair), signature, (int)half) == (int)half &&
		    BN_bn2binpad(ECDSA_SIG_get0_s(pair), signature + half, (int)half) == (int)half;
	ECDSA_SIG_free(pair);
	return good ? 2 * half : 0;
}

/* The length; 0: it failed. */
static size_t sign(EVP_PKEY *key, const struct http_alg *alg, const char *base, size_t base_length,
	uint8_t signature[SIGNATURE_MAX])
{
	size_t length = SIGNATURE_MAX;
	EVP_PKEY_CTX *context = NULL;
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	bool good = digest && EVP_DigestSignInit(digest, &context, http_alg_hash(alg), NULL, key) == 1 &&
		    http_alg_set_padding(alg, context) &&
		    EVP_DigestSign(digest, signature, &length, (const uint8_t *)base, base_length) == 1;
	EVP_MD_CTX_free(digest);
	if (!good)
		return 0;
	return alg->half ? from_der(alg->half, signature, length) : length;
}

static bool write_signature(
	EVP_PKEY *key, const struct http_alg *alg, const char *base, size_t base_length, char value[VALUE_MAX])
{
	uint8_t signature[SIGNATURE_MAX];
	size_t length = base_length ? sign(key, alg, base, base_length, signature) : 0;
	return length && write_bytes("hsmint", signature, length, value);
}

static bool add(struct curl_slist **headers, const char *name, const char *value)
{
	char header[VALUE_MAX + 64];
	return snprintf(header, sizeof header, "%s: %s", name, value) < (int)sizeof header &&
	       exchange_add_header(headers, header);
}

bool http_sign(EVP_PKEY *key, const struct signed_request *request, struct curl_slist **headers, hsmint_error **error)
{
	char digest[VALUE_MAX], input[HM_SIGNATURE_INPUT_MAX], signature[VALUE_MAX], base[SIGNATURE_BASE_MAX];
	const struct signature_components components = {
		request->method, request->target, request->body ? digest : NULL};
	const struct http_alg *alg = http_alg_of(key);
	if (!alg || EVP_PKEY_get_size(key) > SIGNATURE_MAX) {
		error_make(error, "client_tls",
			"to sign requests with, a P-256, P-384 or Ed25519 key, or an RSA key of %d to %d bits",
			HM_RSA_BITS_MIN, HM_RSA_BITS_MAX);
		return false;
	}
	snprintf(input, sizeof input,
		"hsmint=(\"@method\" \"@path\" \"@query\"%s);created=%lld;nonce=\"%s\";alg=\"%s\"",
		request->body ? " \"content-digest\"" : "", (long long)request->created, request->nonce, alg->name);
	if ((!request->body || (write_digest(request->body, digest) && add(headers, "Content-Digest", digest))) &&
		write_signature(key, alg, base, signature_base_write(&components, input + sizeof "hsmint=" - 1, base),
			signature) &&
		add(headers, "Signature-Input", input) && add(headers, "Signature", signature))
		return true;
	error_make(error, "client_memory", "signature");
	return false;
}
