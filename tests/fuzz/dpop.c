/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A DPoP proof as anybody may send it. An input is a header and a payload with a zero byte between them; they are
 * signed here, so that what is behind the signature is reached, too. With no zero byte it is a whole proof, and then
 * only one that was signed here passes. What passes is bound to the key that signed, and does not pass again.
 */
#include "fuzz.h"

#include "base64url.h"
#include "dpop_inside.h"
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW INT64_C(1760000000)
#define URL "https://mint.test/oauth2/token"
enum { TEXT = 2 * FUZZ_INPUT_MAX, SEEDS = 4 };

static struct dpop *dpop;
static EVP_PKEY *key;
static struct jwk jwk;
static char seed_proof[HM_DPOP_PROOF_MAX + 1];

static void check(bool holds)
{
	if (!holds)
		abort();
}

static size_t put_signature(const char *text, size_t length, char *out)
{
	uint8_t der[128], raw[64];
	size_t size = sizeof der;
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	check(EVP_DigestSignInit(digest, NULL, EVP_sha256(), NULL, key) == 1 &&
		EVP_DigestSign(digest, der, &size, (const uint8_t *)text, length) == 1);
	const unsigned char *at = der;
	ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)size);
	BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, 32);
	BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + 32, 32);
	ECDSA_SIG_free(pair);
	EVP_MD_CTX_free(digest);
	return base64url_encode(raw, sizeof raw, out);
}

static void make_proof(const uint8_t *header, size_t header_length, const uint8_t *payload, size_t length, char *text)
{
	size_t used = base64url_encode(header, header_length, text);
	text[used++] = '.';
	used += base64url_encode(payload, length, text + used);
	size_t written = put_signature(text, used, text + used + 1);
	text[used] = '.';
	text[used + 1 + written] = 0;
}

static size_t put_parts(unsigned number, uint8_t *data)
{
	static const char *const more[SEEDS] = {"", ",\"exp\":1760000060,\"nbf\":1759999990", ",\"ath\":\"AAAA\"", ""};
	char nonce[HM_ID_MAX + 1];
	struct hm_problem why;
	check(dpop_nonce(dpop, NOW, nonce, &why) == HM_OK);
	int header = sprintf((char *)data, "{\"typ\":\"dpop+jwt\",\"alg\":\"ES256\",\"jwk\":{%s}}", jwk.members);
	int payload = sprintf((char *)data + header + 1,
		"{\"jti\":\"seed %u\",\"htm\":\"POST\",\"htu\":\"" URL "\",\"iat\":%lld,\"nonce\":\"%s\"%s}", number,
		(long long)NOW, nonce, more[number]);
	return (size_t)header + 1 + (size_t)payload;
}

static void begin(void)
{
	uint8_t spki[HM_SPKI_MAX], *at = spki;
	struct hm_problem why;
	if (dpop)
		return;
	dpop = dpop_open();
	key = EVP_EC_gen("P-256");
	check(dpop && key);
	int length = i2d_PUBKEY(key, &at);
	check(length > 0 && jwk_from_spki(spki, (size_t)length, &jwk, &why) == HM_OK);
}

static hm_result verify(const char *proof, struct hm_problem *why)
{
	char jkt[HM_KID_MAX + 1];
	enum dpop_error error;
	struct dpop_request request = {proof, "POST", URL};
	hm_result result = dpop_verify(dpop, &request, NOW, jkt, &error, why);
	check(result != HM_BROKEN && strcmp(jkt, result == HM_OK ? jwk.kid : "") == 0);
	if (result == HM_REFUSED)
		check(why->field[0] && why->detail[0] &&
			(error == DPOP_INVALID_PROOF || strcmp(why->field, "nonce") == 0));
	return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char proof[TEXT];
	struct hm_problem why = {0};
	const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
	begin();
	if (zero) {
		make_proof(data, (size_t)(zero - data), zero + 1, size - (size_t)(zero + 1 - data), proof);
	} else {
		if (size)
			memcpy(proof, data, size);
		proof[size] = 0;
	}
	hm_result result = verify(proof, &why);
	check(result != HM_OK || zero || strcmp(proof, seed_proof) == 0);
	if (result == HM_OK)
		check(verify(proof, &why) == HM_REFUSED && strcmp(why.field, "jti") == 0);
	return 0;
}

size_t fuzz_seed(unsigned number, uint8_t *data)
{
	struct hm_problem why;
	begin();
	if (number >= SEEDS)
		return 0;
	size_t length = put_parts(number, data), header = strlen((const char *)data);
	if (number < SEEDS - 1)
		return length;
	make_proof(data, header, data + header + 1, length - header - 1, seed_proof);
	check(verify(seed_proof, &why) == HM_OK);
	strcpy((char *)data, seed_proof);
	return strlen(seed_proof);
}
