/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that a client signed, and every way in which they may not be what was signed. The base is written out here
 * by hand, as RFC 9421, section 2.5, has it. */
#include "http_signature.h"

#include "base64.h"
#include <criterion/criterion.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#define NOW INT64_C(1760000000)
#define URI "spiffe://demo.test/operator"

/* ---- certificates ---- */

struct party {
	EVP_PKEY *key;
	X509 *certificate;
};

struct wish {
	EVP_PKEY *key;
	const char *names; /* subjectAltName; NULL: none */
	const char *usage; /* extendedKeyUsage */
	const char *constraints;
	int64_t from, until; /* from now */
};

/* What a test makes is released at its end. */
static EVP_PKEY *keys[64];
static X509 *certificates[64];
static size_t key_count, certificate_count;

static EVP_PKEY *kept(EVP_PKEY *key)
{
	cr_assert_lt(key_count, sizeof keys / sizeof *keys);
	cr_assert_not_null(key);
	return keys[key_count++] = key;
}

static X509 *new_certificate(void)
{
	cr_assert_lt(certificate_count, sizeof certificates / sizeof *certificates);
	return certificates[certificate_count++] = X509_new();
}

static void add_extension(X509 *certificate, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	cr_assert_not_null(extension, "%s", value);
	cr_assert_eq(X509_add_ext(certificate, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

/* `issuer` NULL: signed by itself. */
static struct party issue(const struct party *issuer, const char *name, const struct wish *wish)
{
	static long serial;
	struct party made = {wish->key, new_certificate()};
	X509_NAME *subject = X509_get_subject_name(made.certificate);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_version(made.certificate, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), ++serial);
	ASN1_TIME_set(X509_getm_notBefore(made.certificate), (time_t)(NOW + wish->from));
	ASN1_TIME_set(X509_getm_notAfter(made.certificate), (time_t)(NOW + wish->until));
	X509_set_issuer_name(made.certificate, issuer ? X509_get_subject_name(issuer->certificate) : subject);
	X509_set_pubkey(made.certificate, wish->key);
	add_extension(made.certificate, NID_basic_constraints, wish->constraints);
	if (wish->usage)
		add_extension(made.certificate, NID_ext_key_usage, wish->usage);
	if (wish->names)
		add_extension(made.certificate, NID_subject_alt_name, wish->names);
	cr_assert_gt(X509_sign(made.certificate, issuer ? issuer->key : wish->key, EVP_sha256()), 0);
	return made;
}

static struct party authority(const char *name)
{
	return issue(
		NULL, name, &(struct wish){kept(EVP_EC_gen("P-256")), NULL, NULL, "critical,CA:TRUE", -1000, 1000000});
}

static const struct wish good = {NULL, "URI:" URI, "clientAuth", "critical,CA:FALSE", -100, 10000};

static struct party client(const struct party *issuer, EVP_PKEY *key)
{
	struct wish wish = good;
	wish.key = key;
	return issue(issuer, "client", &wish);
}

static const char *pem_of(const struct party *party)
{
	static char text[8192];
	BIO *bio = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(bio, party->certificate);
	int length = BIO_read(bio, text, sizeof text - 1);
	cr_assert_gt(length, 0);
	text[length] = 0;
	BIO_free(bio);
	return text;
}

/* ---- a request ---- */

static struct nonces *nonces;
static struct party trusted;
static struct gate_request request;
static struct gate_caller caller;
static struct hm_problem why;
static uint8_t chain[HM_CERTIFICATES_MAX];
static const char *trust;

static void show(const struct party *party)
{
	uint8_t *at = chain + request.call.certificates.length;
	int length = i2d_X509(party->certificate, &at);
	cr_assert_gt(length, 0);
	request.call.certificates = (struct hm_bytes){chain, request.call.certificates.length + (size_t)length};
}

static void begin(void)
{
	nonces = nonces_open();
	trusted = authority("trusted");
	trust = pem_of(&trusted);
	memset(&request, 0, sizeof request);
	request.operation = OPERATION_API;
	request.caller.kind = CALLER_CERTIFICATE;
	request.call.certificates.data = chain;
}

static void end(void)
{
	nonces_close(nonces);
	while (key_count)
		EVP_PKEY_free(keys[--key_count]);
	while (certificate_count)
		X509_free(certificates[--certificate_count]);
}

TestSuite(http_signature, .init = begin, .fini = end);

static void put_bytes(char *text, size_t size, const char *before, const uint8_t *bytes, size_t length)
{
	int used = snprintf(text, size, "%s", before);
	cr_assert_lt((size_t)used + base64_length(length) + 2, size);
	used += (int)base64_encode(bytes, length, text + used);
	snprintf(text + used, size - (size_t)used, ":");
}

static size_t sign_text(EVP_PKEY *key, const char *alg, const char *text, uint8_t signature[1024])
{
	EVP_PKEY_CTX *context;
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	size_t length = 1024;
	const EVP_MD *hash = strstr(alg, "384")   ? EVP_sha384()
			     : strstr(alg, "512") ? EVP_sha512()
			     : strstr(alg, "256") ? EVP_sha256()
						  : NULL;
	cr_assert_eq(EVP_DigestSignInit(digest, &context, hash, NULL, key), 1);
	if (strcmp(alg, "rsa-pss-sha512") == 0) {
		EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING);
		EVP_PKEY_CTX_set_rsa_pss_saltlen(context, 64);
	}
	cr_assert_eq(EVP_DigestSign(digest, signature, &length, (const uint8_t *)text, strlen(text)), 1);
	EVP_MD_CTX_free(digest);
	return length;
}

/* r and s side by side, each with the length of the group. */
static size_t to_raw(uint8_t *signature, size_t length, int half)
{
	const unsigned char *at = signature;
	ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)length);
	BN_bn2binpad(ECDSA_SIG_get0_r(pair), signature, half);
	BN_bn2binpad(ECDSA_SIG_get0_s(pair), signature + half, half);
	ECDSA_SIG_free(pair);
	return 2 * (size_t)half;
}

static void sign_base(EVP_PKEY *key, const char *alg, const char *base)
{
	uint8_t signature[1024];
	size_t length = sign_text(key, alg, base, signature);
	if (strncmp(alg, "ecdsa", 5) == 0)
		length = to_raw(signature, length, strstr(alg, "384") ? 48 : 32);
	put_bytes(request.call.signature, sizeof request.call.signature, "hsmint=:", signature, length);
}

static char nonce[HM_ID_MAX + 1];

/* POST /v1/tasks/abc/cancel {"reason":"done"}, by a fresh nonce. */
static void sign_as(EVP_PKEY *key, const char *alg, int64_t created)
{
	static const char body[] = "{\"reason\":\"done\"}";
	char base[2048], *digest = request.call.content_digest;
	uint8_t hash[32];
	struct gate_call *call = &request.call;
	cr_assert_eq(nonces_make(nonces, NOW, nonce, &why), HM_OK);
	request.body = (struct hm_bytes){(const uint8_t *)body, sizeof body - 1};
	EVP_Digest(body, sizeof body - 1, hash, NULL, EVP_sha256(), NULL);
	put_bytes(digest, sizeof call->content_digest, "sha-256=:", hash, sizeof hash);
	strcpy(call->method, "POST");
	strcpy(call->target, "/v1/tasks/abc/cancel");
	snprintf(call->signature_input, sizeof call->signature_input,
		"hsmint=(\"@method\" \"@path\" \"@query\" \"content-digest\");created=%lld;nonce=\"%s\";alg=\"%s\"",
		(long long)created, nonce, alg);
	snprintf(base, sizeof base,
		"\"@method\": POST\n\"@path\": /v1/tasks/abc/cancel\n\"@query\": ?\n\"content-digest\": %s\n"
		"\"@signature-params\": (\"@method\" \"@path\" \"@query\" "
		"\"content-digest\");created=%lld;nonce=\"%s\";"
		"alg=\"%s\"",
		digest, (long long)created, nonce, alg);
	sign_base(key, alg, base);
}

static void sign(EVP_PKEY *key)
{
	sign_as(key, "ecdsa-p256-sha256", NOW);
}

static hm_result verify(void)
{
	memset(&caller, 0xff, sizeof caller);
	return http_signature_verify(nonces, trust, &request, NOW, &caller, &why);
}

static void expect_refused(const char *field)
{
	hm_result result = verify();
	cr_expect_eq(result, HM_REFUSED, "%s", field);
	if (result != HM_REFUSED)
		return;
	cr_expect_str_eq(why.code, "signature_refused");
	cr_expect_str_eq(why.field, field, "%s", why.detail);
}

/* ---- what is accepted ---- */

Test(http_signature, the_caller_is_the_certificates)
{
	EVP_PKEY *key = kept(EVP_EC_gen("P-256"));
	struct party party = client(&trusted, key);
	unsigned char *spki = NULL;
	uint8_t hash[32];
	show(&party);
	sign(key);
	strcpy(request.caller.uri, "spiffe://demo.test/somebody-else"); /* what gate says does not count */
	cr_expect_eq(verify(), HM_OK, "%s", why.detail);
	cr_expect_eq(caller.kind, CALLER_CERTIFICATE);
	cr_expect_str_eq(caller.uri, URI);
	cr_expect_eq(caller.uid, UINT32_MAX);
	int length = i2d_PUBKEY(key, &spki);
	EVP_Digest(spki, (size_t)length, hash, NULL, EVP_sha256(), NULL);
	OPENSSL_free(spki);
	cr_expect_arr_eq(caller.spki_sha256, hash, 32);
}

static void expect_alg(EVP_PKEY *key, const char *alg)
{
	struct party party = client(&trusted, key);
	request.call.certificates.length = 0;
	show(&party);
	sign_as(key, alg, NOW);
	cr_expect_eq(verify(), HM_OK, "%s: %s", alg, why.detail);
	sign_as(key, alg, NOW);
	request.call.signature[12] = request.call.signature[12] == 'A' ? 'B' : 'A';
	expect_refused("Signature");
}

Test(http_signature, each_algorithm_by_its_key)
{
	expect_alg(kept(EVP_EC_gen("P-256")), "ecdsa-p256-sha256");
	expect_alg(kept(EVP_EC_gen("P-384")), "ecdsa-p384-sha384");
	expect_alg(kept(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")), "ed25519");
	expect_alg(kept(EVP_RSA_gen(2048)), "rsa-pss-sha512");
}

Test(http_signature, another_algorithm_than_the_keys_is_refused)
{
	EVP_PKEY *key = kept(EVP_EC_gen("P-256")), *small = kept(EVP_RSA_gen(1536)), *other = kept(EVP_EC_gen("P-521"));
	struct party party = client(&trusted, key);
	show(&party);
	sign_as(key, "ecdsa-p256-sha384", NOW);
	expect_refused("alg");
	request.call.certificates.length = 0;
	party = client(&trusted, other);
	show(&party);
	sign_as(other, "ecdsa-p256-sha256", NOW);
	expect_refused("alg");
	request.call.certificates.length = 0;
	party = client(&trusted, small);
	show(&party);
	sign_as(small, "rsa-pss-sha512", NOW);
	expect_refused("certificate"); /* its key is too short */
}

/* Of a request without a body, with a query. */
Test(http_signature, without_a_body_the_digest_is_left_out)
{
	EVP_PKEY *key = kept(EVP_EC_gen("P-256"));
	struct party party = client(&trusted, key);
	struct gate_call *call = &request.call;
	char base[1024];
	show(&party);
	sign(key);
	request.body.length = 0;
	call->content_digest[0] = 0;
	strcpy(call->method, "GET");
	strcpy(call->target, "/v1/tasks?after=x&limit=5");
	snprintf(call->signature_input, sizeof call->signature_input,
		"hsmint=(\"@method\" \"@path\" \"@query\");nonce=\"%s\";alg=\"ecdsa-p256-sha256\";created=1760000000",
		nonce);
	snprintf(base, sizeof base,
		"\"@method\": GET\n\"@path\": /v1/tasks\n\"@query\": ?after=x&limit=5\n\"@signature-params\": "
		"(\"@method\" \"@path\" \"@query\");nonce=\"%s\";alg=\"ecdsa-p256-sha256\";created=1760000000",
		nonce);
	sign_base(key, "ecdsa-p256-sha256", base);
	struct gate_request kept = request;
	request.body = (struct hm_bytes){(const uint8_t *)"{}", 2};
	expect_refused("Signature-Input");
	request = kept;
	strcpy(call->target, "/v1/tasks?after=x&limit=6");
	expect_refused("Signature");
	strcpy(call->target, "/v1/tasks");
	expect_refused("Signature");
	request = kept;
	cr_expect_eq(verify(), HM_OK, "%s", why.detail);
}

/* ---- what is not ---- */

Test(http_signature, every_part_is_covered)
{
	EVP_PKEY *key = kept(EVP_EC_gen("P-256"));
	struct party party = client(&trusted, key);
	show(&party);
	sign(key);
	const struct gate_request kept = request;
	strcpy(request.call.method, "GET");
	expect_refused("Signature");
	request = kept;
	strcpy(request.call.target, "/v1/tasks/abd/cancel");
	expect_refused("Signature");
	request = kept;
	strcpy(request.call.target, "/v1/tasks/abc/cancel?a=b");
	expect_refused("Signature");
	request = kept;
	request.body = (struct hm_bytes){(const uint8_t *)"{\"reason\":\"dont\"}", 17};
	expect_refused("Content-Digest");
	request = kept;
	request.body.length = 0;
	expect_refused("Signature-Input");
	request = kept;
	request.call.content_digest[0] = 0;
	expect_refused("Content-Digest");
	/* a digest of what came, which was not signed */
	uint8_t hash[32];
	request = kept;
	request.body = (struct hm_bytes){(const uint8_t *)"{}", 2};
	EVP_Digest("{}", 2, hash, NULL, EVP_sha256(), NULL);
	put_bytes(request.call.content_digest, sizeof request.call.content_digest, "sha-256=:", hash, sizeof hash);
	expect_refused("Signature");
	request = kept;
	char *created = strstr(request.call.signature_input, "created=1760000000");
	cr_assert_not_null(created);
	memcpy(created, "created=1759999999", 18);
	expect_refused("Signature");
	request = kept;
	char other[HM_ID_MAX + 1];
	cr_assert_eq(nonces_make(nonces, NOW, other, &why), HM_OK);
	memcpy(strstr(request.call.signature_input, nonce), other, HM_ID_MAX);
	expect_refused("Signature");
	request = kept;
	cr_expect_eq(verify(), HM_OK, "none of them used the nonce up: %s", why.detail);
}

Test(http_signature, a_nonce_is_good_for_one_request)
{
	EVP_PKEY *key = kept(EVP_EC_gen("P-256"));
	struct party party = client(&trusted, key);
	show(&party);
	sign(key);
	cr_expect_eq(verify(), HM_OK);
	expect_refused("nonce");
}

Test(http_signature, created_is_about_now)
{
	EVP_PKEY *key = kept(EVP_EC_gen("P-256"));
	struct party party = client(&trusted, key);
	show(&party);
	static const struct {
		int64_t created;
		bool good;
	} cases[] = {{NOW + HM_AHEAD_SECONDS + 1, false}, {NOW + HM_AHEAD_SECONDS, true}, {NOW, true},
		{NOW - HM_NONCE_SECONDS, true}, {NOW - HM_NONCE_SECONDS - 1, false}, {0, false}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		sign_as(key, "ecdsa-p256-sha256", cases[i].created);
		if (cases[i].good)
			cr_expect_eq(verify(), HM_OK, "%zu: %s", i, why.detail);
		else
			expect_refused("created");
	}
}

#define COMPONENTS "\"@method\" \"@path\" \"@query\" \"content-digest\""
#define PARAMETERS ";created=1760000000;nonce=\"x\";alg=\"ecdsa-p256-sha256\""

Test(http_signature, only_the_one_form_is_read)
{
	static const char *const inputs[] = {"", "hsmint", "hsmint=", "sig1=(" COMPONENTS ")" PARAMETERS,
		"hsmint=()" PARAMETERS, "hsmint=(\"@method\" \"@path\" \"content-digest\")" PARAMETERS,
		"hsmint=(\"@path\" \"@method\" \"@query\" \"content-digest\")" PARAMETERS,
		"hsmint=(" COMPONENTS " \"@authority\")" PARAMETERS, "hsmint=(" COMPONENTS " )" PARAMETERS,
		"hsmint=( " COMPONENTS ")" PARAMETERS,
		"hsmint=(\"@method\"  \"@path\" \"@query\" \"content-digest\")" PARAMETERS,
		"hsmint=(" COMPONENTS " \"content-digest\")" PARAMETERS, "hsmint=(" COMPONENTS ";sf)" PARAMETERS,
		"hsmint=(" COMPONENTS ")", "hsmint=(" COMPONENTS ");created=1760000000;nonce=\"x\"",
		"hsmint=(" COMPONENTS ");nonce=\"x\";alg=\"ecdsa-p256-sha256\"",
		"hsmint=(" COMPONENTS ");created=1760000000;alg=\"ecdsa-p256-sha256\"",
		"hsmint=(" COMPONENTS ")" PARAMETERS ";keyid=\"k\"", "hsmint=(" COMPONENTS ")" PARAMETERS ";expires=1",
		"hsmint=(" COMPONENTS ")" PARAMETERS ";nonce=\"y\"",
		"hsmint=(" COMPONENTS ")" PARAMETERS ";created=1760000000",
		"hsmint=(" COMPONENTS ")" PARAMETERS ";alg=\"ed25519\"", "hsmint=(" COMPONENTS ")" PARAMETERS " ",
		"hsmint=(" COMPONENTS ")" PARAMETERS ", hsmint=(" COMPONENTS ")" PARAMETERS,
		"hsmint=(" COMPONENTS ")" PARAMETERS ",other=()", "other=(), hsmint=(" COMPONENTS ")" PARAMETERS,
		"hsmint=(" COMPONENTS ");created=\"1760000000\";nonce=\"x\";alg=\"ed25519\"",
		"hsmint=(" COMPONENTS ");created=-1;nonce=\"x\";alg=\"ed25519\"",
		"hsmint=(" COMPONENTS ");created=1760000000.0;nonce=\"x\";alg=\"ed25519\"",
		"hsmint=(" COMPONENTS ");created=1760000000000000;nonce=\"x\";alg=\"ed25519\"",
		"hsmint=(" COMPONENTS ");created=1760000000;nonce=\"\";alg=\"ed25519\"",
		"hsmint=(" COMPONENTS ");created=1760000000;nonce=\"a\\\"b\";alg=\"ed25519\"",
		"hsmint=(" COMPONENTS ");created=1760000000;nonce=\"xxxxxxxxxxxxxxxxxxxxxxx\";alg=\"ed25519\"",
		"hsmint=(" COMPONENTS "); created=1760000000;nonce=\"x\";alg=\"ed25519\"",
		"HSMINT=(" COMPONENTS ")" PARAMETERS};
	EVP_PKEY *key = kept(EVP_EC_gen("P-256"));
	struct party party = client(&trusted, key);
	show(&party);
	sign(key);
	for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
		strcpy(request.call.signature_input, inputs[i]);
		expect_refused("Signature-Input");
	}
}

Test(http_signature, a_signature_has_one_form_too)
{
	EVP_PKEY *key = kept(EVP_EC_gen("P-256"));
	struct party party = client(&trusted, key);
	show(&party);
	sign(key);
	char good_one[sizeof request.call.signature];
	strcpy(good_one, request.call.signature);
	static const char *const others[] = {"", "hsmint", "hsmint=", "hsmint=:", "hsmint=::", "hsmint=:AA==",
		"hsmint=:AA:", "hsmint=AA==", "other=:AA==:", "hsmint=:!!!!:"};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		strcpy(request.call.signature, others[i]);
		expect_refused("Signature");
	}
	snprintf(request.call.signature, sizeof request.call.signature, "%.500s, %.500s", good_one, good_one);
	expect_refused("Signature");
	snprintf(request.call.signature, sizeof request.call.signature, "%.500s;a=b", good_one);
	expect_refused("Signature");
	strcpy(request.call.signature, good_one);
	cr_expect_eq(verify(), HM_OK);
}

Test(http_signature, both_headers_are_needed)
{
	cr_expect_not(http_signature_is_there(&request.call));
	strcpy(request.call.signature, "hsmint=:AA==:");
	cr_expect(http_signature_is_there(&request.call));
	expect_refused("Signature-Input");
	EVP_PKEY *key = kept(EVP_EC_gen("P-256"));
	struct party party = client(&trusted, key);
	show(&party);
	sign(key);
	request.call.signature[0] = 0;
	cr_expect(http_signature_is_there(&request.call));
	expect_refused("Signature");
}

/* ---- certificates that gate could invent ---- */

static void expect_certificate_refused(const struct party *issuer, const struct wish *changed, const char *what)
{
	struct wish wish = *changed;
	wish.key = kept(EVP_EC_gen("P-256"));
	struct party party = issue(issuer, what, &wish);
	request.call.certificates.length = 0;
	show(&party);
	sign(wish.key);
	hm_result result = verify();
	cr_expect_eq(result, HM_REFUSED, "%s", what);
	cr_expect_str_eq(why.field, "certificate", "%s", what);
}

Test(http_signature, only_certificates_that_are_trusted_and_good_now)
{
	struct party other = authority("trusted"); /* of the same name */
	struct wish wish = good;
	expect_certificate_refused(&other, &good, "another authority");
	expect_certificate_refused(NULL, &good, "signed by itself");
	wish.until = -1;
	expect_certificate_refused(&trusted, &wish, "expired");
	wish = good;
	wish.from = 1;
	expect_certificate_refused(&trusted, &wish, "not yet valid");
	wish = good;
	wish.usage = "serverAuth";
	expect_certificate_refused(&trusted, &wish, "for servers");
	wish = good;
	wish.constraints = "critical,CA:TRUE";
	expect_certificate_refused(&trusted, &wish, "an authority's own");
	wish = good;
	wish.names = "URI:" URI ",URI:spiffe://demo.test/other";
	expect_certificate_refused(&trusted, &wish, "two names");
}

Test(http_signature, a_client_cannot_issue_for_another)
{
	struct party party = client(&trusted, kept(EVP_EC_gen("P-256")));
	struct wish wish = good;
	wish.key = kept(EVP_EC_gen("P-256"));
	wish.names = "URI:spiffe://demo.test/admin";
	struct party invented = issue(&party, "invented", &wish);
	show(&invented);
	show(&party);
	sign(wish.key);
	expect_refused("certificate");
}

Test(http_signature, the_chain_may_lead_over_others_and_ends_at_the_trusted)
{
	struct party middle = issue(&trusted, "middle",
		&(struct wish){kept(EVP_EC_gen("P-256")), NULL, NULL, "critical,CA:TRUE", -1000, 100000});
	EVP_PKEY *key = kept(EVP_EC_gen("P-256"));
	struct party party = client(&middle, key);
	show(&party);
	sign(key);
	expect_refused("certificate");
	show(&middle);
	cr_expect_eq(verify(), HM_OK, "%s", why.detail);
	/* and what is trusted need not be a root */
	trust = pem_of(&middle);
	request.call.certificates.length = 0;
	show(&party);
	sign(key);
	cr_expect_eq(verify(), HM_OK, "%s", why.detail);
}

Test(http_signature, the_signature_is_by_the_first_certificates_key)
{
	EVP_PKEY *own = kept(EVP_EC_gen("P-256")), *victims = kept(EVP_EC_gen("P-256"));
	struct party mine = client(&trusted, own), other = client(&trusted, victims);
	show(&other);
	show(&mine);
	sign(own);
	expect_refused("Signature");
}

Test(http_signature, a_certificate_without_names_is_known_by_its_key)
{
	struct wish wish = good;
	wish.key = kept(EVP_EC_gen("P-256"));
	wish.names = "DNS:client.demo.test";
	struct party party = issue(&trusted, "nameless", &wish);
	show(&party);
	sign(wish.key);
	cr_expect_eq(verify(), HM_OK);
	cr_expect_str_eq(caller.uri, "");
}

Test(http_signature, chains_that_are_none)
{
	EVP_PKEY *key = kept(EVP_EC_gen("P-256"));
	struct party party = client(&trusted, key);
	sign(key);
	expect_refused("certificate");
	show(&party);
	request.call.certificates.length--;
	expect_refused("certificate");
	request.call.certificates.length++;
	request.call.certificates.length += 1; /* what stands behind it is none */
	expect_refused("certificate");
	request.call.certificates.length = 0;
	for (int i = 0; i < 9; i++)
		show(&party);
	expect_refused("certificate");
}
