/* SPDX-License-Identifier: Apache-2.0 */
#include "client_certificate.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

enum { CHAIN_MAX = 8, AUTH_LEVEL = 2 /* keys and hashes of 112 bits, as gate's library demands */ };

typedef STACK_OF(X509) certificates;

static void free_certificates(certificates **list)
{
	sk_X509_pop_free(*list, X509_free);
}

static void free_store(X509_STORE **store)
{
	X509_STORE_free(*store);
}

static void free_context(X509_STORE_CTX **context)
{
	X509_STORE_CTX_free(*context);
}

static void free_names(GENERAL_NAMES **names)
{
	GENERAL_NAMES_free(*names);
}

static hm_result refuse(struct hm_problem *why, const char *accepted)
{
	return hm_refuse(why, "signature_refused", "certificate", "%s", accepted);
}

/* ---- the chain ---- */

static hm_result read_chain(struct hm_bytes chain, certificates *list, struct hm_problem *why)
{
	const unsigned char *at = chain.data, *end = chain.data + chain.length;
	if (!chain.length)
		return refuse(why, "a connection with a client certificate, whose key signs");
	while (at < end) {
		X509 *certificate = d2i_X509(NULL, &at, end - at);
		if (!certificate || sk_X509_num(list) == CHAIN_MAX || !sk_X509_push(list, certificate)) {
			X509_free(certificate);
			return refuse(why, "at most 8 well formed certificates");
		}
	}
	return HM_OK;
}

static hm_result read_trust(const char *pem, X509_STORE *store, struct hm_problem *why)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	STACK_OF(X509_INFO) *blocks = bio ? PEM_X509_INFO_read_bio(bio, NULL, NULL, "") : NULL;
	int added = 0;
	for (int i = 0; i < sk_X509_INFO_num(blocks); i++) {
		X509 *certificate = sk_X509_INFO_value(blocks, i)->x509;
		added += certificate && X509_STORE_add_cert(store, certificate) == 1;
	}
	sk_X509_INFO_pop_free(blocks, X509_INFO_free);
	BIO_free(bio);
	return added ? HM_OK : hm_broken(why, "the trusted certificates for clients cannot be read");
}

static bool prepare(X509_STORE_CTX *context, X509_STORE *store, certificates *list, int64_t now)
{
	if (X509_STORE_CTX_init(context, store, sk_X509_value(list, 0), list) != 1 ||
		X509_STORE_CTX_set_purpose(context, X509_PURPOSE_SSL_CLIENT) != 1)
		return false;
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(context);
	X509_VERIFY_PARAM_set_time(param, (time_t)now);
	X509_VERIFY_PARAM_set_auth_level(param, AUTH_LEVEL);
	/* What is trusted need not be a root. */
	return X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN) == 1;
}

static hm_result verify_chain(certificates *list, const char *trust, int64_t now, struct hm_problem *why)
{
	__attribute__((cleanup(free_store))) X509_STORE *store = X509_STORE_new();
	__attribute__((cleanup(free_context))) X509_STORE_CTX *context = X509_STORE_CTX_new();
	if (!store || !context)
		return hm_broken(why, "no memory");
	HM_TRY(read_trust(trust, store, why));
	if (!prepare(context, store, list, now))
		return hm_broken(why, "the certificate library does not begin");
	if (X509_verify_cert(context) != 1)
		return refuse(
			why, X509_STORE_CTX_get_error(context) == X509_V_ERR_CERT_HAS_EXPIRED
				     ? "a certificate that has not expired"
				     : "a certificate for TLS clients, valid now, from an authority trusted here");
	if (X509_check_ca(sk_X509_value(list, 0)) != 0)
		return refuse(why, "a client's certificate, not an authority's");
	return HM_OK;
}

hm_result client_certificate_verify(
	struct hm_bytes chain, const char *trust, int64_t now, X509 **out, struct hm_problem *why)
{
	__attribute__((cleanup(free_certificates))) certificates *list = sk_X509_new_null();
	*out = NULL;
	if (!list)
		return hm_broken(why, "no memory");
	HM_TRY(read_chain(chain, list, why));
	HM_TRY(verify_chain(list, trust, now, why));
	*out = sk_X509_shift(list);
	return X509_get0_pubkey(*out) ? HM_OK : refuse(why, "a certificate with a readable key");
}

/* ---- whom it names ---- */

static hm_result take_name(const GENERAL_NAME *name, char *uri, struct hm_problem *why)
{
	if (name->type != GEN_URI)
		return HM_OK;
	const ASN1_IA5STRING *text = name->d.uniformResourceIdentifier;
	int length = ASN1_STRING_length(text);
	if (uri[0])
		return refuse(why, "a certificate with one URI name");
	if (length < 1 || length > HM_SPIFFE_ID_MAX || memchr(ASN1_STRING_get0_data(text), 0, (size_t)length))
		return refuse(why, "a URI name of at most 2048 bytes and no NUL");
	memcpy(uri, ASN1_STRING_get0_data(text), (size_t)length);
	uri[length] = 0;
	return HM_OK;
}

static hm_result read_uri(X509 *certificate, char *uri, struct hm_problem *why)
{
	int found = 0; /* -1: there is no such extension, -2: there are two */
	__attribute__((cleanup(free_names))) GENERAL_NAMES *names =
		X509_get_ext_d2i(certificate, NID_subject_alt_name, &found, NULL);
	uri[0] = 0;
	if (!names && found != -1)
		return refuse(why, "well formed names in the certificate");
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
		HM_TRY(take_name(sk_GENERAL_NAME_value(names, i), uri, why));
	return HM_OK;
}

hm_result client_certificate_caller(X509 *certificate, struct gate_caller *caller, struct hm_problem *why)
{
	unsigned char *spki = NULL;
	*caller = (struct gate_caller){
		.kind = CALLER_CERTIFICATE, .uid = UINT32_MAX, .gid = UINT32_MAX, .pid = UINT32_MAX};
	HM_TRY(read_uri(certificate, caller->uri, why));
	int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &spki);
	bool failed =
		length <= 0 || EVP_Digest(spki, (size_t)length, caller->spki_sha256, NULL, EVP_sha256(), NULL) != 1;
	OPENSSL_free(spki);
	return failed ? hm_broken(why, "the hash of a client's key failed") : HM_OK;
}
