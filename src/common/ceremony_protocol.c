/* SPDX-License-Identifier: Apache-2.0 */
#include "ceremony_protocol.h"

#include <stddef.h>

const char *ceremony_prefix(enum ceremony_signed what)
{
	static const char *const prefixes[CEREMONY_SIGNED] = {
		"hsmint ceremony test 1\n", "hsmint ceremony record 1\n", "hsmint ceremony import 1\n"};
	return prefixes[what];
}

const char *ceremony_hash(enum key_algorithm algorithm)
{
	static const char *const hashes[KEY_ALGORITHMS] = {
		[KEY_ES256] = "SHA256", [KEY_ES384] = "SHA384", [KEY_RS256] = "SHA256"};
	return hashes[algorithm];
}

void ceremony_certificate_put(struct hm_writer *w, const struct ceremony_certificate *certificate)
{
	hm_put_u8(w, certificate->request);
	hm_put_u32(w, certificate->days);
	hm_put_u32(w, certificate->path_length);
	hm_put_bytes(w, certificate->subject.data, certificate->subject.length);
	hm_put_string(w, certificate->trust_domain);
}

bool ceremony_certificate_get(struct hm_reader *r, struct ceremony_certificate *certificate)
{
	certificate->request = hm_get_u8(r);
	certificate->days = hm_get_u32(r);
	certificate->path_length = hm_get_u32(r);
	certificate->subject = hm_get_bytes(r, HM_SUBJECT_MAX);
	hm_get_string(r, certificate->trust_domain, sizeof certificate->trust_domain);
	return hm_reader_done(r) && certificate->request <= 1 && certificate->days >= 1 &&
	       certificate->days <= HM_CA_DAYS_MAX && certificate->path_length <= HM_CA_PATH_LENGTH_MAX;
}

void ceremony_sign_put(struct hm_writer *w, const struct ceremony_sign *sign)
{
	hm_put_u8(w, sign->what);
	hm_put_bytes(w, sign->data.data, sign->data.length);
}

bool ceremony_sign_get(struct hm_reader *r, struct ceremony_sign *sign)
{
	sign->what = hm_get_u8(r);
	sign->data = hm_get_bytes(r, HM_CEREMONY_DOCUMENT_MAX);
	return hm_reader_done(r) && sign->what < CEREMONY_SIGNED;
}
