/* SPDX-License-Identifier: Apache-2.0 */
/* What the checks of all parts of a configuration share: where something stands, and what is written alike. */
#ifndef HSMINT_CONFIG_PLACE_H
#define HSMINT_CONFIG_PLACE_H

#include "config.h"

/* Where a complaint belongs: list[index].member of the file. */
struct place {
	const char *path, *list;
	int index;
	struct hm_problem *why;
};

/* HM_REFUSED: "FILE:LINE: LIST.MEMBER: …". `member` NULL: the item itself. */
hm_result complain(const struct place *place, const char *member, const char *format, ...) HM_PRINTF(3, 4) HM_MUST_USE;

/* Make a path absolute that is relative to the configuration's directory. */
hm_result make_absolute(const struct place *place, const char *member, char **value) HM_MUST_USE;

hm_result check_name(const struct place *place, const char *name) HM_MUST_USE;
hm_result find_issuer(
	const struct config *config, const struct place *place, const char *name, unsigned *index) HM_MUST_USE;

/* A number and one of s, m, h, d; seconds, at most ten years of them. */
bool parse_period(const char *text, unsigned *seconds) HM_MUST_USE;

#endif
