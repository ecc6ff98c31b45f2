/* SPDX-License-Identifier: Apache-2.0 */
#include "certificate.h"

#include "clock.h"
#include "lent.h"
#include "reason.h"
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

enum { SERIAL_BITS = 159, EXTENSION_MAX = HM_TRUST_DOMAIN_MAX + 32, SECONDS_A_DAY = 24 * 60 * 60 };

static void free_certificate(X509 **certificate)
{
	X509_free(*certificate);
}
#define X509_AUTO __attribute__((cleanup(free_certificate))) X509

static void free_request(X509_REQ **request)
{
	X509_REQ_free(*request);
}

static void free_extension(X509_EXTENSION **extension)
{
	X509_EXTENSION_free(*extension);
}

static void free_extensions(STACK_OF(X509_EXTENSION) * *extensions)
{
	sk_X509_EXTENSION_pop_free(*extensions, X509_EXTENSION_free);
}

static void free_number(BIGNUM **number)
{
	BN_free(*number);
}

static void free_name(X509_NAME **name)
{
	X509_NAME_free(*name);
}

static void free_digest(EVP_MD_CTX **context)
{
	EVP_MD_CTX_free(*context);
}

/* A signature in the token failed: its own call and value, or what OpenSSL says. */
static hm_result refuse_signing(struct token_failure *why, const char *what)
{
	hm_result result = lent_failure(why);
	return result == HM_REFUSED ? fail_openssl(why, TOKEN_DEVICE, what) : result;
}

/* ---- extensions ---- */

struct wanted_extension {
	int nid;
	char value[EXTENSION_MAX];
};

/* Both kinds get them: of a request they are what the CA above is asked for. Returns how many. */
static unsigned list_extensions(const struct ceremony_certificate *wanted, struct wanted_extension list[4])
{
	unsigned count = 0;
	list[count].nid = NID_basic_constraints;
	snprintf(list[count++].value, EXTENSION_MAX, "critical,CA:TRUE,pathlen:%u", wanted->path_length);
	list[count].nid = NID_key_usage;
	snprintf(list[count++].value, EXTENSION_MAX, "critical,keyCertSign,cRLSign");
	list[count].nid = NID_subject_key_identifier;
	snprintf(list[count++].value, EXTENSION_MAX, "hash");
	if (*wanted->trust_domain) {
		list[count].nid = NID_subject_alt_name;
		snprintf(list[count++].value, EXTENSION_MAX, "URI:spiffe://%s", wanted->trust_domain);
	}
	return count;
}

static bool add_to_certificate(X509 *certificate, int nid, const char *value)
{
	X509V3_CTX context;
	X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
	__attribute__((cleanup(free_extension))) X509_EXTENSION *extension =
		X509V3_EXT_conf_nid(NULL, &context, nid, value);
	return extension && X509_add_ext(certificate, extension, -1) == 1;
}

static bool add_to_stack(X509_REQ *request, STACK_OF(X509_EXTENSION) * extensions, int nid, const char *value)
{
	X509V3_CTX context;
	X509V3_set_ctx(&context, NULL, NULL, request, NULL, 0);
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	if (extension && sk_X509_EXTENSION_push(extensions, extension) > 0)
		return true;
	X509_EXTENSION_free(extension);
	return false;
}

/* ---- a certificate ---- */

static bool set_serial(X509 *certificate)
{
	__attribute__((cleanup(free_number))) BIGNUM *number = BN_new();
	return number && BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
	       !BN_is_zero(number) && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
}

/* RFC 5280, section 4.1.2.5: the last second belongs to it. */
static bool set_validity(X509 *certificate, uint32_t days)
{
	time_t now = (time_t)hm_time();
	return ASN1_TIME_set(X509_getm_notBefore(certificate), now) &&
	       ASN1_TIME_set(X509_getm_notAfter(certificate), now + (time_t)days * SECONDS_A_DAY - 1);
}

static bool fill_certificate(
	X509 *certificate, EVP_PKEY *public, const struct ceremony_certificate *wanted, const X509_NAME *subject)
{
	struct wanted_extension extensions[4];
	unsigned count = list_extensions(wanted, extensions);
	if (!X509_set_version(certificate, X509_VERSION_3) || !set_serial(certificate) ||
		!X509_set_subject_name(certificate, subject) || !X509_set_issuer_name(certificate, subject) ||
		!set_validity(certificate, wanted->days) || !X509_set_pubkey(certificate, public))
		return false;
	for (unsigned i = 0; i < count; i++)
		if (!add_to_certificate(certificate, extensions[i].nid, extensions[i].value))
			return false;
	return add_to_certificate(certificate, NID_authority_key_identifier, "keyid:always");
}

static hm_result make_certificate(const struct ca_key *key, const struct ceremony_certificate *wanted,
	const X509_NAME *subject, uint8_t *der, int *length, struct token_failure *why)
{
	X509_AUTO *certificate = X509_new();
	if (!certificate || !fill_certificate(certificate, key->public, wanted, subject))
		return fail_openssl(why, TOKEN_DEVICE, "certificate");
	if (X509_sign(certificate, key->private, EVP_get_digestbyname(key->hash)) <= 0)
		return refuse_signing(why, "X509_sign with the key in the token");
	if (X509_verify(certificate, key->public) != 1)
		return fail(why, TOKEN_DEVICE, "the token's signature of the certificate is wrong");
	*length = i2d_X509(certificate, NULL);
	return *length > 0 && *length <= HM_CERTIFICATE_MAX && i2d_X509(certificate, &der) == *length
		       ? HM_OK
		       : fail_openssl(why, TOKEN_DEVICE, "i2d_X509");
}

/* ---- a request ---- */

static bool fill_request(
	X509_REQ *request, EVP_PKEY *public, const struct ceremony_certificate *wanted, const X509_NAME *subject)
{
	struct wanted_extension list[4];
	unsigned count = list_extensions(wanted, list);
	__attribute__((cleanup(free_extensions))) STACK_OF(X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null();
	if (!extensions || !X509_REQ_set_version(request, X509_REQ_VERSION_1) ||
		!X509_REQ_set_subject_name(request, subject) || !X509_REQ_set_pubkey(request, public))
		return false;
	for (unsigned i = 0; i < count; i++)
		if (!add_to_stack(request, extensions, list[i].nid, list[i].value))
			return false;
	return X509_REQ_add_extensions(request, extensions) == 1;
}

static hm_result make_request(const struct ca_key *key, const struct ceremony_certificate *wanted,
	const X509_NAME *subject, uint8_t *der, int *length, struct token_failure *why)
{
	__attribute__((cleanup(free_request))) X509_REQ *request = X509_REQ_new();
	if (!request || !fill_request(request, key->public, wanted, subject))
		return fail_openssl(why, TOKEN_DEVICE, "certificate request");
	if (X509_REQ_sign(request, key->private, EVP_get_digestbyname(key->hash)) <= 0)
		return refuse_signing(why, "X509_REQ_sign with the key in the token");
	if (X509_REQ_verify(request, key->public) != 1)
		return fail(why, TOKEN_DEVICE, "the token's signature of the request is wrong");
	*length = i2d_X509_REQ(request, NULL);
	return *length > 0 && *length <= HM_CERTIFICATE_MAX && i2d_X509_REQ(request, &der) == *length
		       ? HM_OK
		       : fail_openssl(why, TOKEN_DEVICE, "i2d_X509_REQ");
}

hm_result certificate_make(const struct ca_key *key, const struct ceremony_certificate *wanted, uint8_t *der,
	size_t *length, struct token_failure *why)
{
	const uint8_t *in = wanted->subject.data;
	int made = 0;
	__attribute__((cleanup(free_name))) X509_NAME *subject = d2i_X509_NAME(NULL, &in, (long)wanted->subject.length);
	ERR_clear_error();
	if (!subject || X509_NAME_entry_count(subject) == 0)
		return fail(why, TOKEN_REFUSED, "the subject is no X.501 name, or empty");
	HM_TRY(wanted->request ? make_request(key, wanted, subject, der, &made, why)
			       : make_certificate(key, wanted, subject, der, &made, why));
	*length = (size_t)made;
	return HM_OK;
}

/* ---- documents of the ceremony ---- */

hm_result certificate_sign_document(const struct ca_key *key, const struct ceremony_sign *document,
	uint8_t signature[HM_SIGNATURE_MAX], size_t *length, struct token_failure *why)
{
	static uint8_t data[HM_CEREMONY_DOCUMENT_MAX + 64];
	const char *prefix = ceremony_prefix(document->what);
	size_t begun = strlen(prefix), whole = begun + document->data.length;
	const EVP_MD *hash = EVP_get_digestbyname(key->hash);
	__attribute__((cleanup(free_digest))) EVP_MD_CTX *signing = EVP_MD_CTX_new();
	__attribute__((cleanup(free_digest))) EVP_MD_CTX *checking = EVP_MD_CTX_new();
	memcpy(data, prefix, begun);
	memcpy(data + begun, document->data.data, document->data.length);
	*length = HM_SIGNATURE_MAX;
	ERR_clear_error();
	if (!signing || !checking || EVP_DigestSignInit(signing, NULL, hash, NULL, key->private) != 1 ||
		EVP_DigestSign(signing, signature, length, data, whole) != 1)
		return refuse_signing(why, "a signature with the key in the token");
	if (EVP_DigestVerifyInit(checking, NULL, hash, NULL, key->public) != 1 ||
		EVP_DigestVerify(checking, signature, *length, data, whole) != 1)
		return fail(why, TOKEN_DEVICE, "the token's signature is wrong");
	return HM_OK;
}
