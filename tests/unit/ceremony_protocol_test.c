/* SPDX-License-Identifier: Apache-2.0 */
#include "ceremony_protocol.h"

#include "encoding.h"

TestSuite(ceremony_protocol, .init = begin);

static const uint8_t subject[] = {0x30, 0x00};
static struct ceremony_certificate sent, certificate;
static struct ceremony_sign sign;

static bool get_certificate(struct hm_reader *r)
{
	return ceremony_certificate_get(r, &certificate);
}

static bool get_sign(struct hm_reader *r)
{
	return ceremony_sign_get(r, &sign);
}

static void fill(void)
{
	sent = (struct ceremony_certificate){.request = 1,
		.days = HM_CA_DAYS_MAX,
		.path_length = HM_CA_PATH_LENGTH_MAX,
		.subject = {subject, sizeof subject},
		.trust_domain = "demo.test"};
}

static bool is_taken(void)
{
	begin();
	ceremony_certificate_put(&w, &sent);
	struct hm_reader r = again();
	bool taken = get_certificate(&r);
	fill();
	return taken;
}

Test(ceremony_protocol, a_certificate_comes_back_as_it_was)
{
	fill();
	ceremony_certificate_put(&w, &sent);
	expect_whole_or_nothing(get_certificate);
	struct hm_reader r = again();
	cr_assert(get_certificate(&r));
	cr_expect_eq(certificate.request, 1);
	cr_expect_eq(certificate.days, HM_CA_DAYS_MAX);
	cr_expect_eq(certificate.path_length, HM_CA_PATH_LENGTH_MAX);
	cr_expect_eq(certificate.subject.length, sizeof subject);
	cr_expect_eq(memcmp(certificate.subject.data, subject, sizeof subject), 0);
	cr_expect_str_eq(certificate.trust_domain, "demo.test");
}

Test(ceremony_protocol, a_certificate_out_of_range_is_refused)
{
	static uint8_t large[HM_SUBJECT_MAX + 1];
	fill();
	cr_expect(is_taken());
	sent.request = 2;
	cr_expect_not(is_taken(), "request");
	sent.days = 0;
	cr_expect_not(is_taken(), "no days");
	sent.days = HM_CA_DAYS_MAX + 1;
	cr_expect_not(is_taken(), "days");
	sent.path_length = HM_CA_PATH_LENGTH_MAX + 1;
	cr_expect_not(is_taken(), "path_length");
	sent.subject = (struct hm_bytes){large, sizeof large};
	cr_expect_not(is_taken(), "subject");
}

Test(ceremony_protocol, what_is_signed_comes_back_as_it_was)
{
	const struct ceremony_sign wanted = {CEREMONY_IMPORT, {subject, sizeof subject}};
	ceremony_sign_put(&w, &wanted);
	expect_whole_or_nothing(get_sign);
	struct hm_reader r = again();
	cr_assert(get_sign(&r));
	cr_expect_eq(sign.what, CEREMONY_IMPORT);
	cr_expect_eq(sign.data.length, sizeof subject);
}

Test(ceremony_protocol, what_has_no_prefix_or_is_too_long_is_not_signed)
{
	static uint8_t large[HM_CEREMONY_DOCUMENT_MAX + 1];
	const struct ceremony_sign unknown = {CEREMONY_SIGNED, {subject, sizeof subject}};
	ceremony_sign_put(&w, &unknown);
	struct hm_reader r = again();
	cr_expect_not(get_sign(&r));
	const struct ceremony_sign long_one = {CEREMONY_RECORD, {large, sizeof large}};
	begin();
	ceremony_sign_put(&w, &long_one);
	r = again();
	cr_expect_not(get_sign(&r));
}

/* docs/ceremony.md; a DER SEQUENCE begins with 0x30, a JWS signing input holds no blank. */
Test(ceremony_protocol, no_prefix_begins_a_certificate_or_a_jwt_or_another_prefix)
{
	static const char *const prefixes[CEREMONY_SIGNED] = {
		"hsmint ceremony test 1\n", "hsmint ceremony record 1\n", "hsmint ceremony import 1\n"};
	for (enum ceremony_signed what = 0; what < CEREMONY_SIGNED; what++) {
		cr_expect_str_eq(ceremony_prefix(what), prefixes[what]);
		cr_expect_neq(ceremony_prefix(what)[0], 0x30);
		cr_expect_not_null(strchr(ceremony_prefix(what), ' '));
	}
}

Test(ceremony_protocol, only_algorithms_of_x509_that_libp11_signs_with_have_a_hash)
{
	cr_expect_str_eq(ceremony_hash(KEY_ES256), "SHA256");
	cr_expect_str_eq(ceremony_hash(KEY_ES384), "SHA384");
	cr_expect_str_eq(ceremony_hash(KEY_RS256), "SHA256");
	cr_expect_null(ceremony_hash(KEY_PS256));
	cr_expect_null(ceremony_hash(KEY_ED25519));
}
