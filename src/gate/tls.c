/* SPDX-License-Identifier: Apache-2.0 */
#include "tls.h"

#include <gnutls/x509.h>
#include <gnutls/x509-ext.h>
#include <stdlib.h>
#include <string.h>

enum {
	CHAIN_MAX = 8, /* certificates that a client may send */
	VERDICT_SECONDS = 60,
};

struct tls_snapshot {
	unsigned holders;
	uint64_t generation;
	gnutls_certificate_credentials_t credentials;
	gnutls_x509_trust_list_t trust;
};

/* ---- snapshots ---- */

static gnutls_datum_t datum(struct hm_bytes bytes)
{
	return (gnutls_datum_t){.data = (unsigned char *)bytes.data, .size = (unsigned)bytes.length};
}

static hm_result fill(struct tls_snapshot *snapshot, const struct tls_pem *pem, struct hm_problem *why)
{
	gnutls_datum_t certificate = datum(pem->certificate);
	gnutls_datum_t key = datum(pem->key);
	gnutls_datum_t trust = datum(pem->trust);

	if (gnutls_certificate_allocate_credentials(&snapshot->credentials) < 0 ||
		gnutls_x509_trust_list_init(&snapshot->trust, 0) < 0)
		return hm_unavailable(why, "system", "no memory for TLS credentials");
	int error = gnutls_certificate_set_x509_key_mem2(
		snapshot->credentials, &certificate, &key, GNUTLS_X509_FMT_PEM, NULL, 0);
	if (error < 0)
		return hm_refuse(
			why, "config", NULL, "the server's certificate chain and key: %s", gnutls_strerror(error));
	int trusted = gnutls_x509_trust_list_add_trust_mem(snapshot->trust, &trust, NULL, GNUTLS_X509_FMT_PEM, 0, 0);
	if (trusted <= 0)
		return hm_refuse(why, "config", NULL, "the trusted certificates for clients: %s",
			trusted < 0 ? gnutls_strerror(trusted) : "none is there");
	return HM_OK;
}

hm_result tls_snapshot_make(const struct tls_pem *pem, struct tls_snapshot **out, struct hm_problem *why)
{
	static uint64_t generations;
	*out = NULL;
	struct tls_snapshot *snapshot = calloc(1, sizeof *snapshot);
	if (!snapshot)
		return hm_unavailable(why, "system", "no memory for TLS credentials");
	snapshot->holders = 1;
	snapshot->generation = ++generations;
	hm_result result = fill(snapshot, pem, why);
	if (result == HM_OK)
		*out = snapshot;
	else
		tls_snapshot_release(snapshot);
	return result;
}

struct tls_snapshot *tls_snapshot_hold(struct tls_snapshot *snapshot)
{
	snapshot->holders++;
	return snapshot;
}

void tls_snapshot_release(struct tls_snapshot *snapshot)
{
	if (!snapshot || --snapshot->holders)
		return;
	if (snapshot->credentials)
		gnutls_certificate_free_credentials(snapshot->credentials);
	if (snapshot->trust)
		gnutls_x509_trust_list_deinit(snapshot->trust, 1);
	free(snapshot);
}

bool tls_session_prepare(gnutls_session_t session, struct tls_snapshot *snapshot)
{
	if (gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, snapshot->credentials) < 0)
		return false;
	gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUEST);
	return true;
}

bool tls_session_is_open(gnutls_session_t session)
{
	char *description = gnutls_session_get_desc(session); /* NULL until the handshake is done */
	gnutls_free(description);
	return description != NULL;
}

/* ---- who the client is ---- */

struct chain {
	unsigned count;
	gnutls_x509_crt_t certificates[CHAIN_MAX];
};

static void chain_free(struct chain *chain)
{
	for (unsigned i = 0; i < chain->count; i++)
		gnutls_x509_crt_deinit(chain->certificates[i]);
}

static void names_free(gnutls_subject_alt_names_t *names)
{
	if (*names)
		gnutls_subject_alt_names_deinit(*names);
}

static void datum_free(gnutls_datum_t *owned)
{
	gnutls_free(owned->data);
}

static hm_result refuse(struct hm_problem *why, const char *accepted)
{
	return hm_refuse(why, "certificate_refused", NULL, "%s", accepted);
}

static hm_result chain_import(gnutls_session_t session, struct chain *chain, struct hm_problem *why)
{
	unsigned count = 0;
	const gnutls_datum_t *sent = gnutls_certificate_get_peers(session, &count);
	if (!sent || !count)
		return hm_refuse(why, "certificate_required", NULL, "a client certificate, or the Unix socket");
	if (count > CHAIN_MAX)
		return refuse(why, "a shorter certificate chain");
	for (unsigned i = 0; i < count; i++) {
		if (gnutls_x509_crt_init(&chain->certificates[i]) < 0)
			return refuse(why, "a certificate, later");
		chain->count++;
		if (gnutls_x509_crt_import(chain->certificates[i], &sent[i], GNUTLS_X509_FMT_DER) < 0)
			return refuse(why, "well formed certificates");
	}
	return HM_OK;
}

/* The library's return code says only that it looked; the status word is the verdict. */
static hm_result chain_verify(struct chain *chain, const struct tls_snapshot *snapshot, struct hm_problem *why)
{
	gnutls_typed_vdata_st purpose = {
		.type = GNUTLS_DT_KEY_PURPOSE_OID, .data = (unsigned char *)GNUTLS_KP_TLS_WWW_CLIENT};
	unsigned status = GNUTLS_CERT_INVALID;
	int error = gnutls_x509_trust_list_verify_crt2(snapshot->trust, chain->certificates, chain->count, &purpose, 1,
		GNUTLS_PROFILE_TO_VFLAGS(GNUTLS_PROFILE_MEDIUM), &status, NULL);
	if (error < 0 || status)
		return refuse(
			why, status & GNUTLS_CERT_EXPIRED
				     ? "a certificate that has not expired"
				     : "a certificate for TLS clients, valid now, from an authority trusted here");
	if (gnutls_x509_crt_get_ca_status(chain->certificates[0], NULL) > 0)
		return refuse(why, "a client's certificate, not an authority's");
	return HM_OK;
}

/* One name of the certificate. A second URI leaves open who calls (X509-SVID, section 2: exactly one). */
static hm_result take_name(unsigned type, const gnutls_datum_t *name, char *uri, struct hm_problem *why)
{
	if (type != GNUTLS_SAN_URI)
		return HM_OK;
	if (uri[0])
		return refuse(why, "a certificate with one URI name");
	if (!name->size || name->size > HM_SPIFFE_ID_MAX || memchr(name->data, 0, name->size))
		return refuse(why, "a URI name of at most 2048 bytes and no NUL");
	memcpy(uri, name->data, name->size);
	uri[name->size] = 0;
	return HM_OK;
}

static hm_result read_names(const gnutls_datum_t *extension, char *uri, struct hm_problem *why)
{
	__attribute__((cleanup(names_free))) gnutls_subject_alt_names_t names = NULL;
	if (gnutls_subject_alt_names_init(&names) < 0 ||
		gnutls_x509_ext_import_subject_alt_names(extension, names, 0) < 0)
		return refuse(why, "well formed names in the certificate");
	for (unsigned i = 0;; i++) {
		unsigned type;
		gnutls_datum_t name;
		int error = gnutls_subject_alt_names_get(names, i, &type, &name, NULL);
		if (error == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			return HM_OK;
		if (error < 0)
			return refuse(why, "well formed names in the certificate");
		HM_TRY(take_name(type, &name, uri, why));
	}
}

static hm_result read_uri(gnutls_x509_crt_t certificate, char *uri, struct hm_problem *why)
{
	static const char subject_alt_name[] = "2.5.29.17";
	__attribute__((cleanup(datum_free))) gnutls_datum_t extension = {0};
	__attribute__((cleanup(datum_free))) gnutls_datum_t second = {0};
	uri[0] = 0;
	int error = gnutls_x509_crt_get_extension_by_oid2(certificate, subject_alt_name, 0, &extension, NULL);
	if (error == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
		return HM_OK;
	if (error < 0 || gnutls_x509_crt_get_extension_by_oid2(certificate, subject_alt_name, 1, &second, NULL) !=
				 GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
		return refuse(why, "well formed names in the certificate");
	return read_names(&extension, uri, why);
}

static hm_result read_key(gnutls_x509_crt_t certificate, uint8_t digest[32], struct hm_problem *why)
{
	size_t size = 32;
	if (gnutls_x509_crt_get_key_id(certificate, GNUTLS_KEYID_USE_SHA256, digest, &size) < 0 || size != 32)
		return refuse(why, "a certificate with a readable key");
	return HM_OK;
}

static void bound_by_chain(const struct chain *chain, time_t *until)
{
	for (unsigned i = 0; i < chain->count; i++) {
		time_t end = gnutls_x509_crt_get_expiration_time(chain->certificates[i]);
		if (end != (time_t)-1 && end < *until)
			*until = end;
	}
}

static hm_result judge(gnutls_session_t session, const struct tls_snapshot *snapshot, struct tls_verdict *verdict)
{
	__attribute__((cleanup(chain_free))) struct chain chain = {0};
	struct hm_problem *why = &verdict->why;
	HM_TRY(chain_import(session, &chain, why));
	HM_TRY(chain_verify(&chain, snapshot, why));
	HM_TRY(read_uri(chain.certificates[0], verdict->caller.uri, why));
	HM_TRY(read_key(chain.certificates[0], verdict->caller.spki_sha256, why));
	verdict->caller.kind = CALLER_CERTIFICATE;
	bound_by_chain(&chain, &verdict->until);
	return HM_OK;
}

hm_result tls_identify(gnutls_session_t session, const struct tls_snapshot *snapshot, struct tls_verdict *verdict,
	struct hm_problem *why)
{
	time_t now = time(NULL);
	bool clock_went_back = verdict->until > now + VERDICT_SECONDS;
	if (verdict->generation != snapshot->generation || now >= verdict->until || clock_went_back) {
		verdict->until = now + VERDICT_SECONDS;
		verdict->result = judge(session, snapshot, verdict);
		verdict->generation = snapshot->generation;
	}
	if (verdict->result != HM_OK)
		*why = verdict->why;
	return verdict->result;
}
