/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a gate that was taken over may send as a signed request: a whole frame's payload, certificates and all. However
 * it is changed, the only request that passes is the one that was signed, by whom it was signed.
 */
#include "fuzz.h"

#include "base64.h"
#include "http_signature.h"
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW    INT64_C(1760000000)
#define URI    "spiffe://demo.test/operator"
#define TARGET "/v1/tasks/abc/cancel"
#define BODY   "{\"reason\":\"done\"}"

static void check(bool holds)
{
	if (!holds)
		abort();
}

static struct nonces *nonces;
static char trust[4096];
static uint8_t certificate[4096];
static struct gate_request signed_one;

static void add_extension(X509 *to, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	check(extension && X509_add_ext(to, extension, -1) == 1);
	X509_EXTENSION_free(extension);
}

static X509 *issue(const char *name, EVP_PKEY *key, X509 *issuer, EVP_PKEY *by)
{
	X509 *made = X509_new();
	X509_NAME *subject = X509_get_subject_name(made);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_version(made, X509_VERSION_3);
	ASN1_TIME_set(X509_getm_notBefore(made), (time_t)NOW - 1000);
	ASN1_TIME_set(X509_getm_notAfter(made), (time_t)NOW + 1000);
	X509_set_issuer_name(made, issuer ? X509_get_subject_name(issuer) : subject);
	X509_set_pubkey(made, key);
	add_extension(made, NID_basic_constraints, issuer ? "critical,CA:FALSE" : "critical,CA:TRUE");
	if (issuer)
		add_extension(made, NID_subject_alt_name, "URI:" URI);
	check(X509_sign(made, by, EVP_sha256()) > 0);
	return made;
}

static void put_bytes(char *text, const char *before, const uint8_t *bytes, size_t length)
{
	size_t used = strlen(before);
	memcpy(text, before, used);
	used += base64_encode(bytes, length, text + used);
	memcpy(text + used, ":", 2);
}

/* ECDSA's r and s side by side. */
static void sign(EVP_PKEY *key, const char *base, char *text)
{
	uint8_t signature[128], raw[64];
	size_t length = sizeof signature;
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	check(EVP_DigestSignInit(digest, NULL, EVP_sha256(), NULL, key) == 1 &&
		EVP_DigestSign(digest, signature, &length, (const uint8_t *)base, strlen(base)) == 1);
	const unsigned char *at = signature;
	ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)length);
	BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, 32);
	BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + 32, 32);
	put_bytes(text, "hsmint=:", raw, sizeof raw);
	ECDSA_SIG_free(pair);
	EVP_MD_CTX_free(digest);
}

static void make_certificates(EVP_PKEY *key)
{
	EVP_PKEY *root_key = EVP_EC_gen("P-256");
	X509 *root = issue("root", root_key, NULL, root_key), *client = issue("client", key, root, root_key);
	BIO *bio = BIO_new(BIO_s_mem());
	uint8_t *at = certificate;
	PEM_write_bio_X509(bio, root);
	check(BIO_read(bio, trust, sizeof trust - 1) > 0);
	int length = i2d_X509(client, &at);
	check(length > 0 && (size_t)length < sizeof certificate);
	signed_one.call.certificates = (struct hm_bytes){certificate, (size_t)length};
	BIO_free(bio);
	X509_free(root);
	X509_free(client);
	EVP_PKEY_free(root_key);
}

static void make_request(void)
{
	char base[1024], nonce[HM_ID_MAX + 1], parameters[300];
	uint8_t hash[32];
	struct hm_problem why;
	struct gate_call *call = &signed_one.call;
	EVP_PKEY *key = EVP_EC_gen("P-256");
	nonces = nonces_open();
	check(key && nonces && nonces_make(nonces, NOW, nonce, &why) == HM_OK);
	signed_one.operation = OPERATION_API;
	signed_one.caller.kind = CALLER_UNIX;
	signed_one.body = (struct hm_bytes){(const uint8_t *)BODY, sizeof BODY - 1};
	make_certificates(key);
	strcpy(call->method, "POST");
	strcpy(call->target, TARGET);
	EVP_Digest(BODY, sizeof BODY - 1, hash, NULL, EVP_sha256(), NULL);
	put_bytes(call->content_digest, "sha-256=:", hash, sizeof hash);
	snprintf(parameters, sizeof parameters,
		"(\"@method\" \"@path\" \"@query\" "
		"\"content-digest\");created=%lld;nonce=\"%s\";alg=\"ecdsa-p256-sha256\"",
		(long long)NOW, nonce);
	snprintf(call->signature_input, sizeof call->signature_input, "hsmint=%s", parameters);
	snprintf(base, sizeof base,
		"\"@method\": POST\n\"@path\": " TARGET
		"\n\"@query\": ?\n\"content-digest\": %s\n\"@signature-params\": %s",
		call->content_digest, parameters);
	sign(key, base, call->signature);
	EVP_PKEY_free(key);
}

static void begin(void)
{
	if (!nonces)
		make_request();
}

/* Everything was good but the nonce, which may be used by now. */
static bool is_good(hm_result result, const struct hm_problem *why)
{
	return result == HM_OK || strcmp(why->field, "nonce") == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct gate_request request;
	struct gate_caller caller = {.kind = CALLER_NONE};
	struct hm_problem why = {0};
	struct hm_reader reader = hm_reader(data, size);
	begin();
	if (!gate_request_get(&reader, &request) || request.operation != OPERATION_API)
		return 0;
	hm_result result = http_signature_verify(nonces, trust, &request, NOW, &caller, &why);
	if (!is_good(result, &why)) {
		check(result == HM_REFUSED && strcmp(why.code, "signature_refused") == 0 && why.field[0]);
		return 0;
	}
	check(strcmp(request.call.method, "POST") == 0 && strcmp(request.call.target, TARGET) == 0);
	check(request.body.length == sizeof BODY - 1 && memcmp(request.body.data, BODY, sizeof BODY - 1) == 0);
	check(caller.kind == CALLER_CERTIFICATE && strcmp(caller.uri, URI) == 0);
	return 0;
}

size_t fuzz_seed(unsigned number, uint8_t *data)
{
	struct hm_writer writer = hm_writer(data, FUZZ_INPUT_MAX);
	struct gate_caller caller;
	struct hm_problem why = {0};
	begin();
	if (number)
		return 0;
	check(is_good(http_signature_verify(nonces, trust, &signed_one, NOW, &caller, &why), &why));
	gate_request_put(&writer, &signed_one);
	check(!writer.failed);
	return writer.used;
}
