/* SPDX-License-Identifier: Apache-2.0 */
#include "jwk.h"

#include <criterion/criterion.h>
#include <string.h>

/*
 * The EC key of RFC 7517, appendix A.1. Its SubjectPublicKeyInfo was made with node's crypto from the RFC's x and y;
 * its thumbprint was computed with latchset's `jose jwk thp -a S256`.
 */
static const char rfc_spki[] =
	"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04"
	"\x30\xa0\x42\x4c\xd2\x1c\x29\x44\x83\x8a\x2d\x75\xc9\x2b\x37\xe7\x6e\xa2\x0d\x9f\x00\x89\x3a\x3b\x4e\xee\x8a"
	"\x3c\x0a\xaf\xec\x3e\xe0\x4b\x65\xe9\x24\x56\xd9\x88\x8b\x52\xb3\x79\xbd\xfb\xd5\x1e\xe8\x69\xef\x1f\x0f\xc6"
	"\x5b\x66\x59\x69\x5b\x6c\xce\x08\x17\x23";
static const char rfc_members[] =
	"\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\","
	"\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\"";
static const char rfc_kid[] = "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s";
enum { RFC_SPKI = sizeof rfc_spki - 1 };

Test(jwk, the_rfc_key_has_its_members_and_its_thumbprint)
{
	struct hm_problem why = {0};
	char members[256];
	char kid[HM_KID_MAX + 1];
	cr_assert_eq(jwk_from_spki((const uint8_t *)rfc_spki, RFC_SPKI, members, sizeof members, kid, &why), HM_OK);
	cr_expect_str_eq(members, rfc_members);
	cr_expect_str_eq(kid, rfc_kid);
}

Test(jwk, a_buffer_that_is_too_small_is_our_fault_and_not_a_shorter_jwk)
{
	struct hm_problem why = {0};
	char members[sizeof rfc_members - 1];
	char kid[HM_KID_MAX + 1];
	cr_expect_eq(jwk_from_spki((const uint8_t *)rfc_spki, RFC_SPKI, members, sizeof members, kid, &why), HM_BROKEN);
}

/* Made with openssl: a P-384 key and an Ed25519 key. */
static const struct {
	const char *what, *spki;
	size_t length;
} others[] = {
	{"P-384",
		"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00\x04\x2e"
		"\x94\x50\xab\x2f\x45\x3c\x4c\x24\x1a\xce\xd6\xa8\xc4\x37\x11\x70\x5e\x70\x1f\xb6\x54\xa5\x3e\x22\xc1"
		"\x1e\x4b\x60\x4b\xbe\xa0\x0b\xea\x8a\x48\xef\x88\x8c\xea\x51\x54\xf1\x61\x79\xeb\xba\x8b\x3a\x9d\xe0"
		"\x19\x54\x6f\x3d\x3e\x1b\xb0\x56\xcd\x64\x1f\xca\x8d\xcf\x2c\xeb\x49\x45\xc0\xc0\xf9\xed\xee\xd2\x56"
		"\x07\xad\x0f\x7e\x94\xc4\x20\x5e\xe6\xfa\xd1\x85\xcc\xdf\x2c\x02\xb7\x8a\xdb\x6e",
		120},
	{"Ed25519",
		"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00\x07\xd1\xaa\x02\x57\x95\x04\xe1\x16\xee\x57\x9a\x82"
		"\x0c\xa4\x12\x14\xb7\xf9\xb6\x80\x23\x3f\x86\x7a\x39\xd5\x4a\x79\xcf\x95\x0e",
		44},
	{"nothing", "", 0},
};

Test(jwk, another_kind_of_key_is_refused)
{
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		struct hm_problem why = {0};
		char members[256];
		char kid[HM_KID_MAX + 1];
		cr_expect_eq(jwk_from_spki((const uint8_t *)others[i].spki, others[i].length, members, sizeof members,
				     kid, &why),
			HM_REFUSED, "%s", others[i].what);
		cr_expect_str_eq(why.code, "token", "%s", others[i].what);
	}
}

Test(jwk, a_point_off_the_curve_and_bytes_behind_the_key_are_refused)
{
	struct hm_problem why = {0};
	char members[256];
	char kid[HM_KID_MAX + 1];
	uint8_t spki[RFC_SPKI + 1];
	memcpy(spki, rfc_spki, sizeof spki);
	cr_expect_eq(jwk_from_spki(spki, RFC_SPKI + 1, members, sizeof members, kid, &why), HM_REFUSED);
	for (size_t length = 0; length < RFC_SPKI; length++)
		cr_expect_eq(jwk_from_spki(spki, length, members, sizeof members, kid, &why), HM_REFUSED, "%zu bytes",
			length);
	spki[RFC_SPKI - 1] ^= 1;
	cr_expect_eq(jwk_from_spki(spki, RFC_SPKI, members, sizeof members, kid, &why), HM_REFUSED);
}
