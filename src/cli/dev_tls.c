/* SPDX-License-Identifier: Apache-2.0 */
#include "dev_tls.h"

#include "file.h"
#include "limits.h"
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { VALID_DAYS = 3650, CLOCK_SKEW_SECONDS = 300 };

struct identity {
	const char *name; /* of its files, and its common name */
	const char *constraints, *key_usage, *extended_usage, *alternative_name;
	EVP_PKEY *key;
	X509 *certificate;
};

static void free_identity(struct identity *identity)
{
	EVP_PKEY_free(identity->key);
	X509_free(identity->certificate);
}
#define IDENTITY_AUTO __attribute__((cleanup(free_identity))) struct identity

static bool add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	if (!value)
		return true;
	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	bool added = extension && X509_add_ext(certificate, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return added;
}

static bool set_serial(X509 *certificate)
{
	uint8_t bytes[16];
	if (RAND_bytes(bytes, sizeof bytes) != 1)
		return false;
	bytes[0] &= 0x7f; /* positive, RFC 5280, section 4.1.2.2 */
	BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
	bool set = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
	BN_free(number);
	return set;
}

static bool set_name(X509 *certificate, const char *name)
{
	X509_NAME *subject = X509_get_subject_name(certificate);
	return X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_ASC, (const uint8_t *)"hsmint dev", -1, -1, 0) == 1 &&
	       X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const uint8_t *)name, -1, -1, 0) == 1;
}

static bool fill_certificate(struct identity *identity, struct identity *issuer)
{
	X509 *certificate = identity->certificate;
	return X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
	       X509_gmtime_adj(X509_getm_notBefore(certificate), -CLOCK_SKEW_SECONDS) &&
	       X509_time_adj_ex(X509_getm_notAfter(certificate), VALID_DAYS, 0, NULL) &&
	       X509_set_pubkey(certificate, identity->key) == 1 && set_name(certificate, identity->name) &&
	       X509_set_issuer_name(certificate, X509_get_subject_name(issuer->certificate)) == 1 &&
	       add_extension(certificate, issuer->certificate, NID_basic_constraints, identity->constraints) &&
	       add_extension(certificate, issuer->certificate, NID_key_usage, identity->key_usage) &&
	       add_extension(certificate, issuer->certificate, NID_ext_key_usage, identity->extended_usage) &&
	       add_extension(certificate, issuer->certificate, NID_subject_alt_name, identity->alternative_name) &&
	       add_extension(certificate, issuer->certificate, NID_subject_key_identifier, "hash") &&
	       X509_sign(certificate, issuer->key, EVP_sha256()) > 0;
}

static hm_result write_pem(const char *dir, const char *name, const char *ending, BIO *bio, struct hm_problem *why)
{
	char path[HM_PATH_MAX];
	char *text;
	long length = BIO_get_mem_data(bio, &text);
	if (length <= 0 || snprintf(path, sizeof path, "%s/tls/%s.%s", dir, name, ending) >= (int)sizeof path)
		return hm_refuse(why, "system", NULL, "%s/tls: path too long", dir);
	return file_replace(path, text, (size_t)length, 0600, why);
}

static void free_bio(BIO **bio)
{
	BIO_free(*bio);
}

static hm_result write_files(const char *dir, const struct identity *identity, struct hm_problem *why)
{
	__attribute__((cleanup(free_bio))) BIO *certificate = BIO_new(BIO_s_mem());
	__attribute__((cleanup(free_bio))) BIO *key = BIO_new(BIO_s_secmem());
	if (!certificate || !key || PEM_write_bio_X509(certificate, identity->certificate) != 1 ||
		PEM_write_bio_PrivateKey(key, identity->key, NULL, NULL, 0, NULL, NULL) != 1)
		return hm_broken(why, "OpenSSL cannot write PEM");
	HM_TRY(write_pem(dir, identity->name, "crt", certificate, why));
	return write_pem(dir, identity->name, "key", key, why);
}

static hm_result make(const char *dir, struct identity *identity, struct identity *issuer, struct hm_problem *why)
{
	identity->key = EVP_EC_gen("P-256");
	identity->certificate = X509_new();
	if (!identity->key || !identity->certificate || !fill_certificate(identity, issuer))
		return hm_broken(why, "OpenSSL cannot make the %s certificate", identity->name);
	return write_files(dir, identity, why);
}

static hm_result make_client(
	const char *dir, const char *name, const char *uri, struct identity *ca, struct hm_problem *why)
{
	char alternative_name[HM_URL_MAX];
	snprintf(alternative_name, sizeof alternative_name, "URI:%s", uri);
	IDENTITY_AUTO client = {.name = name,
		.constraints = "critical,CA:FALSE",
		.key_usage = "critical,digitalSignature",
		.extended_usage = "clientAuth",
		.alternative_name = alternative_name};
	return make(dir, &client, ca, why);
}

hm_result dev_tls_make(const char *dir, const char *client_uri, const char *approver_uri, struct hm_problem *why)
{
	char path[HM_PATH_MAX];
	if (snprintf(path, sizeof path, "%s/tls", dir) >= (int)sizeof path ||
		(mkdir(path, 0700) < 0 && errno != EEXIST))
		return hm_refuse(why, "system", NULL, "%s: %s", path, strerror(errno));

	IDENTITY_AUTO ca = {
		.name = "ca", .constraints = "critical,CA:TRUE,pathlen:0", .key_usage = "critical,keyCertSign"};
	IDENTITY_AUTO server = {.name = "server",
		.constraints = "critical,CA:FALSE",
		.key_usage = "critical,digitalSignature",
		.extended_usage = "serverAuth",
		.alternative_name = "DNS:localhost,IP:127.0.0.1,IP:::1"};
	HM_TRY(make(dir, &ca, &ca, why));
	HM_TRY(make(dir, &server, &ca, why));
	HM_TRY(make_client(dir, "client", client_uri, &ca, why));
	return make_client(dir, "approver", approver_uri, &ca, why);
}
