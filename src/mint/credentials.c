/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials.h"

#include "file.h"
#include "frame.h"
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>
#include <unistd.h>

enum { PEM_MAX = 256 * 1024 };

struct pem {
	const char *path;
	size_t length;
	char text[PEM_MAX];
};

static void free_bio(BIO **bio)
{
	BIO_free(*bio);
}

static void free_certificate(X509 **certificate)
{
	X509_free(*certificate);
}

static void free_key(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}

#define BIO_AUTO __attribute__((cleanup(free_bio))) BIO

static hm_result read_pem(const char *path, bool secret, struct pem *pem, struct hm_problem *why)
{
	pem->path = path;
	return file_read(path, secret, pem->text, sizeof pem->text, &pem->length, why);
}

/* No pass phrase is ever asked for: an encrypted key is refused. */
static int no_phrase(char *buffer, int size, int writing, void *context)
{
	(void)buffer, (void)size, (void)writing, (void)context;
	return -1;
}

/* The first certificate. Every further one must be readable too: gate refuses a file with one that is not. */
static hm_result read_certificates(const struct pem *pem, X509 **first, struct hm_problem *why)
{
	BIO_AUTO *bio = BIO_new_mem_buf(pem->text, (int)pem->length);
	STACK_OF(X509_INFO) *blocks = bio ? PEM_X509_INFO_read_bio(bio, NULL, no_phrase, NULL) : NULL;
	*first = NULL;
	for (int i = 0; i < sk_X509_INFO_num(blocks) && !*first; i++)
		*first = sk_X509_INFO_value(blocks, i)->x509;
	if (*first)
		X509_up_ref(*first);
	sk_X509_INFO_pop_free(blocks, X509_INFO_free);
	if (!*first)
		return hm_refuse(why, "config", NULL, "%s: holds no certificate in PEM, or a damaged one", pem->path);
	return HM_OK;
}

static hm_result check_pair(const struct pem *chain, const struct pem *key, struct hm_problem *why)
{
	BIO_AUTO *bio = BIO_new_mem_buf(key->text, (int)key->length);
	__attribute__((cleanup(free_certificate))) X509 *certificate = NULL;
	__attribute__((cleanup(free_key))) EVP_PKEY *private =
		bio ? PEM_read_bio_PrivateKey(bio, NULL, no_phrase, NULL) : NULL;
	HM_TRY(read_certificates(chain, &certificate, why));
	if (!private)
		return hm_refuse(why, "config", NULL, "%s: holds no unencrypted private key in PEM", key->path);
	if (X509_check_private_key(certificate, private) != 1)
		return hm_refuse(why, "config", NULL, "%s: is not the key of %s", key->path, chain->path);
	return HM_OK;
}

static hm_result check_trust(const struct pem *trust, struct hm_problem *why)
{
	__attribute__((cleanup(free_certificate))) X509 *certificate = NULL;
	return read_certificates(trust, &certificate, why);
}

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void credentials_close(struct gate_sockets *sockets)
{
	close_one(&sockets->certificate);
	close_one(&sockets->key);
	close_one(&sockets->trust);
}

static hm_result seal(const struct pem *chain, const struct pem *key, const struct pem *trust,
	struct gate_sockets *sockets, struct hm_problem *why)
{
	int fds[3] = {memfd_sealed("tls-certificate", chain->text, chain->length),
		memfd_sealed("tls-key", key->text, key->length), memfd_sealed("tls-trust", trust->text, trust->length)};
	if (fds[0] < 0 || fds[1] < 0 || fds[2] < 0) {
		for (int i = 0; i < 3; i++)
			close_one(&fds[i]);
		return hm_unavailable(why, "system", "memfd_create: %s", strerror(errno));
	}
	sockets->certificate = fds[0];
	sockets->key = fds[1];
	sockets->trust = fds[2];
	return HM_OK;
}

hm_result credentials_load(const struct config_tls *tls, struct gate_sockets *sockets, struct hm_problem *why)
{
	static struct pem chain, key, trust;
	HM_TRY(read_pem(tls->certificate, false, &chain, why));
	HM_TRY(read_pem(tls->trust, false, &trust, why));
	HM_TRY(check_trust(&trust, why));
	hm_result result = read_pem(tls->key, true, &key, why);
	if (result == HM_OK)
		result = check_pair(&chain, &key, why);
	if (result == HM_OK)
		result = seal(&chain, &key, &trust, sockets, why);
	explicit_bzero(key.text, sizeof key.text);
	return result;
}

const char *credentials_trust(const struct gate_sockets *sockets)
{
	static char text[PEM_MAX + 1];
	ssize_t length = sockets->trust >= 0 ? pread(sockets->trust, text, PEM_MAX, 0) : -1;
	if (length <= 0)
		return NULL;
	text[length] = 0;
	return text;
}
