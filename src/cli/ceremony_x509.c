/* SPDX-License-Identifier: Apache-2.0 */
#include "ceremony_x509.h"

#include "file.h"
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

enum { SHA256_LENGTH = 32, SECURITY_LEVEL = 2 /* OpenSSL's: 112 bits, no SHA-1, RSA from 2048 */ };

void x509_free(X509 **certificate)
{
	X509_free(*certificate);
}

void x509_free_stack(STACK_OF(X509) * *stack)
{
	sk_X509_pop_free(*stack, X509_free);
}

static void free_request(X509_REQ **request)
{
	X509_REQ_free(*request);
}

static void free_extensions(STACK_OF(X509_EXTENSION) * *extensions)
{
	sk_X509_EXTENSION_pop_free(*extensions, X509_EXTENSION_free);
}

static void free_bio(BIO **bio)
{
	BIO_free(*bio);
}
#define BIO_AUTO __attribute__((cleanup(free_bio))) BIO

void x509_sha256(const void *data, size_t length, char hex[HEX_SHA256])
{
	uint8_t digest[SHA256_LENGTH] = {0};
	(void)EVP_Digest(data, length, digest, NULL, EVP_sha256(), NULL);
	for (size_t i = 0; i < sizeof digest; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

bool x509_fingerprint(const X509 *certificate, char hex[HEX_SHA256])
{
	unsigned char *der = NULL;
	int length = i2d_X509((X509 *)certificate, &der);
	if (length > 0)
		x509_sha256(der, (size_t)length, hex);
	OPENSSL_free(der);
	return length > 0;
}

/* ---- PEM ---- */

bool x509_pem_append(const char *name, const uint8_t *der, size_t length, char *text, size_t *used)
{
	char *data;
	BIO_AUTO *bio = BIO_new(BIO_s_mem());
	if (!bio || PEM_write_bio(bio, name, "", der, (long)length) <= 0)
		return false;
	long size = BIO_get_mem_data(bio, &data);
	if (size <= 0 || (size_t)size > PEM_MAX - *used)
		return false;
	memcpy(text + *used, data, (size_t)size);
	*used += (size_t)size;
	return true;
}

bool x509_pem_first(const char *text, size_t length, uint8_t *der, size_t *der_length)
{
	char *name = NULL, *header = NULL;
	unsigned char *data = NULL;
	long size = 0;
	BIO_AUTO *bio = BIO_new_mem_buf(text, (int)length);
	bool good = bio && PEM_read_bio(bio, &name, &header, &data, &size) == 1 && size > 0 && size <= PEM_MAX;
	if (good)
		memcpy(der, data, (size_t)size);
	*der_length = (size_t)size;
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(data);
	return good;
}

bool x509_chain_pem(const STACK_OF(X509) * chain, char *text, size_t *used)
{
	*used = 0;
	for (int i = 0; i < sk_X509_num(chain); i++) {
		unsigned char *der = NULL;
		int length = i2d_X509(sk_X509_value(chain, i), &der);
		bool appended = length > 0 && x509_pem_append("CERTIFICATE", der, (size_t)length, text, used);
		OPENSSL_free(der);
		if (!appended)
			return false;
	}
	return true;
}

static int count_blocks(const char *text, size_t length)
{
	static const char begin[] = "-----BEGIN ";
	int count = 0;
	const char *end = text + length;
	while ((text = memmem(text, (size_t)(end - text), begin, sizeof begin - 1)) != NULL) {
		text += sizeof begin - 1;
		count++;
	}
	return count;
}

static void read_certificates(BIO *bio, STACK_OF(X509) * chain)
{
	X509 *certificate;
	while ((certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL)))
		if (sk_X509_push(chain, certificate) <= 0)
			X509_free(certificate);
}

/* What OpenSSL cannot read it passes over: each block must have become a certificate. */
hm_result x509_chain_read(const char *path, STACK_OF(X509) * *chain, struct hm_problem *why)
{
	static char text[PEM_MAX];
	size_t length;
	*chain = sk_X509_new_null();
	HM_TRY(file_read(path, false, text, sizeof text, &length, why));
	BIO_AUTO *bio = BIO_new_mem_buf(text, (int)length);
	int blocks = count_blocks(text, length);
	if (!bio || !*chain)
		return hm_broken(why, "no memory for a chain");
	read_certificates(bio, *chain);
	if (blocks < 1 || blocks > HM_CA_CHAIN_MAX || sk_X509_num(*chain) != blocks)
		return hm_refuse(why, "config", NULL, "%s: not 1 to %d certificates in PEM, and nothing else", path,
			HM_CA_CHAIN_MAX);
	return HM_OK;
}

/* ---- what the CA must be ---- */

/* Constraints as the ceremony asks for them; `exact`: a self-signed certificate and a request have no others. */
static bool has_constraints(const STACK_OF(X509_EXTENSION) * extensions, const struct ca_wanted *wanted, bool exact)
{
	int critical;
	BASIC_CONSTRAINTS *found = X509V3_get_d2i(extensions, NID_basic_constraints, &critical, NULL);
	bool good = found && critical == 1 && found->ca;
	if (good && exact)
		good = found->pathlen && ASN1_INTEGER_get(found->pathlen) == (long)wanted->path_length;
	BASIC_CONSTRAINTS_free(found);
	return good;
}

static bool may_sign_certificates(const STACK_OF(X509_EXTENSION) * extensions)
{
	ASN1_BIT_STRING *usage = X509V3_get_d2i(extensions, NID_key_usage, NULL, NULL);
	bool may = usage && ASN1_BIT_STRING_get_bit(usage, 5) == 1; /* RFC 5280, section 4.2.1.3 */
	ASN1_BIT_STRING_free(usage);
	return may;
}

/* One URI, of the trust domain; `*count`: how many there are. */
static bool names_trust_domain(const STACK_OF(X509_EXTENSION) * extensions, const char *trust_domain, int *count)
{
	char uri[HM_TRUST_DOMAIN_MAX + 16];
	bool good = true;
	GENERAL_NAMES *names = X509V3_get_d2i(extensions, NID_subject_alt_name, NULL, NULL);
	snprintf(uri, sizeof uri, "spiffe://%s", trust_domain ? trust_domain : "");
	*count = 0;
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		if (name->type != GEN_URI)
			continue;
		const ASN1_IA5STRING *text = name->d.uniformResourceIdentifier;
		++*count;
		good = good && (size_t)ASN1_STRING_length(text) == strlen(uri) &&
		       memcmp(ASN1_STRING_get0_data(text), uri, strlen(uri)) == 0;
	}
	GENERAL_NAMES_free(names);
	return good;
}

static hm_result check_made(const char *what, const STACK_OF(X509_EXTENSION) * extensions, const X509_NAME *subject,
	EVP_PKEY *key, const struct ca_wanted *wanted, struct hm_problem *why)
{
	char text[NAME_TEXT];
	int uris;
	if (!key || EVP_PKEY_eq(key, wanted->key) != 1)
		return hm_refuse(why, "config", NULL, "the %s is for another key", what);
	if (!name_text(subject, text) || strcmp(text, wanted->subject) != 0)
		return hm_refuse(why, "config", NULL, "the %s has another subject", what);
	if (!has_constraints(extensions, wanted, true) || !may_sign_certificates(extensions))
		return hm_refuse(
			why, "config", NULL, "the %s is not for a CA with path length %u", what, wanted->path_length);
	if (!names_trust_domain(extensions, wanted->trust_domain, &uris) || uris != (wanted->trust_domain ? 1 : 0))
		return hm_refuse(why, "config", NULL, "the %s names another trust domain", what);
	return HM_OK;
}

hm_result x509_check_self_signed(
	const uint8_t *der, size_t length, const struct ca_wanted *wanted, struct hm_problem *why)
{
	const uint8_t *in = der;
	X509_AUTO *certificate = d2i_X509(NULL, &in, (long)length);
	if (!certificate || in != der + length)
		return hm_refuse(why, "config", NULL, "the certificate is none");
	HM_TRY(check_made("certificate", X509_get0_extensions(certificate), X509_get_subject_name(certificate),
		X509_get0_pubkey(certificate), wanted, why));
	if (X509_verify(certificate, wanted->key) != 1)
		return hm_refuse(why, "config", NULL, "the certificate's signature is not the key's own");
	return HM_OK;
}

hm_result x509_check_request(const uint8_t *der, size_t length, const struct ca_wanted *wanted, struct hm_problem *why)
{
	const uint8_t *in = der;
	__attribute__((cleanup(free_request))) X509_REQ *request = d2i_X509_REQ(NULL, &in, (long)length);
	if (!request || in != der + length)
		return hm_refuse(why, "config", NULL, "the request is none");
	__attribute__((cleanup(free_extensions))) STACK_OF(X509_EXTENSION) *extensions =
		X509_REQ_get_extensions(request);
	HM_TRY(check_made(
		"request", extensions, X509_REQ_get_subject_name(request), X509_REQ_get0_pubkey(request), wanted, why));
	if (X509_REQ_verify(request, wanted->key) != 1)
		return hm_refuse(why, "config", NULL, "the request's signature is not the key's own");
	return HM_OK;
}

/* ---- chains ---- */

static hm_result check_ca(X509 *ca, const struct ca_wanted *wanted, struct hm_problem *why)
{
	const STACK_OF(X509_EXTENSION) *extensions = X509_get0_extensions(ca);
	EVP_PKEY *key = X509_get0_pubkey(ca);
	int uris;
	if (!key || EVP_PKEY_eq(key, wanted->key) != 1)
		return hm_refuse(why, "config", NULL, "the chain's first certificate is for another key");
	if (!has_constraints(extensions, wanted, false))
		return hm_refuse(why, "config", NULL,
			"the certificate is not for a CA: basicConstraints must be critical, CA:TRUE");
	if (!may_sign_certificates(extensions))
		return hm_refuse(why, "config", NULL, "the certificate's keyUsage lacks keyCertSign");
	if (!names_trust_domain(extensions, wanted->trust_domain, &uris))
		return hm_refuse(why, "config", NULL, "the certificate names another trust domain");
	return HM_OK;
}

/* OpenSSL counts the CAs below an issuer up to the one before the first: that the first issues, too, it cannot know. */
static hm_result check_path_lengths(const STACK_OF(X509) * chain, struct hm_problem *why)
{
	long below = 0;
	for (int i = 0; i < sk_X509_num(chain); i++) {
		X509 *ca = sk_X509_value(chain, i);
		long most = X509_get_pathlen(ca);
		if (i > 0 && most >= 0 && most < below)
			return hm_refuse(why, "config", NULL,
				"path length: the certificate %d above the CA allows %ld CAs below it, and there are "
				"%ld",
				i, most, below);
		if (!(X509_get_extension_flags(ca) & EXFLAG_SI))
			below++;
	}
	return HM_OK;
}

static void free_store(X509_STORE **store)
{
	X509_STORE_free(*store);
}

static void free_context(X509_STORE_CTX **context)
{
	X509_STORE_CTX_free(*context);
}

static hm_result build(
	const STACK_OF(X509) * given, X509 *root, int64_t at, STACK_OF(X509) * *whole, struct hm_problem *why)
{
	__attribute__((cleanup(free_store))) X509_STORE *store = X509_STORE_new();
	__attribute__((cleanup(free_context))) X509_STORE_CTX *context = X509_STORE_CTX_new();
	if (!store || !context || X509_STORE_add_cert(store, root) != 1 ||
		X509_STORE_CTX_init(context, store, sk_X509_value(given, 0), (STACK_OF(X509) *)given) != 1)
		return hm_broken(why, "no memory for a chain");
	X509_STORE_CTX_set_time(context, 0, (time_t)at);
	X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(context), SECURITY_LEVEL);
	if (X509_verify_cert(context) != 1)
		return hm_refuse(why, "config", NULL, "the chain does not lead to the root: %s (certificate %d)",
			X509_verify_cert_error_string(X509_STORE_CTX_get_error(context)),
			X509_STORE_CTX_get_error_depth(context));
	*whole = X509_STORE_CTX_get1_chain(context);
	return *whole && sk_X509_num(*whole) <= HM_CA_CHAIN_MAX ? HM_OK : hm_broken(why, "the chain is too long");
}

hm_result x509_check_chain(const STACK_OF(X509) * given, X509 *root, int64_t at, const struct ca_wanted *wanted,
	STACK_OF(X509) * *whole, struct hm_problem *why)
{
	*whole = NULL;
	HM_TRY(check_ca(sk_X509_value(given, 0), wanted, why));
	HM_TRY(build(given, root, at, whole, why));
	if (sk_X509_num(*whole) < 2)
		return hm_refuse(why, "config", NULL, "the certificate is its own root");
	return check_path_lengths(*whole, why);
}
