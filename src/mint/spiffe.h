/* SPDX-License-Identifier: Apache-2.0 */
/* SPIFFE IDs, read strictly (SPIFFE-ID, sections 2.1 to 2.3). */
#ifndef HSMINT_SPIFFE_H
#define HSMINT_SPIFFE_H

#include <stdbool.h>
#include <stddef.h>

struct spiffe_id {
	const char *trust_domain; /* points into the text that was parsed; as is the path, without its first '/' */
	size_t trust_domain_length;
	const char *path;
	size_t path_length;
};

/*
 * Read a SPIFFE ID of a workload: lower-case scheme and trust domain (we accept only the normal form), a path of one
 * or more segments, at most HM_SPIFFE_ID_MAX bytes. False, with a constant sentence in `*rule`, when it is none.
 */
bool spiffe_parse(const char *text, size_t length, struct spiffe_id *id, const char **rule);

/* Whether it begins as a SPIFFE ID: what tells an agent from a person in one member. */
bool spiffe_begins(const char *text);

bool spiffe_is_in(const struct spiffe_id *id, const char *trust_domain);

/* True when a SPIFFE ID of this trust domain can match `pattern` (pattern.h), which may leave open what the ID is, but
 * never the trust domain. */
bool spiffe_is_pattern(const char *pattern, const char *trust_domain);

/* True when `text` is a trust domain name. */
bool spiffe_is_trust_domain(const char *text, size_t length);

#endif
