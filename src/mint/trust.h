/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Those whose word we take, issuer by issuer (the configuration's `trust`): identity providers, CI among them, and the
 * SPIFFE trust domains of others. Their keys are of files, which are read once, or of URLs, which are asked again and
 * again in worker threads: docs/operations.md, "trust", has how often, and for how long an answer is good.
 */
#ifndef HSMINT_TRUST_H
#define HSMINT_TRUST_H

#include "config.h"
#include "foreign_jwt.h"
#include <uv.h>

/* The code of HM_UNAVAILABLE: like FOREIGN_JWT_REFUSED, for whoever asked to map; the detail is for the log. */
#define TRUST_UNAVAILABLE "trust_unavailable"

struct trusts; /* opaque; made by trusts_open, released by trusts_close */

/*
 * Read the files of keys. `config` has to outlive it. HM_REFUSED: a file cannot be read or is no key set, or a URL
 * cannot be used; the detail names it. `loop` may be NULL where nobody will be asked (`hsmint check`).
 */
hm_result trusts_open(
	uv_loop_t *loop, const struct config *config, struct trusts **out, struct hm_problem *why) HM_MUST_USE;

/* Take from `before`, which is about to be closed, the keys that were fetched from the same URL in the same way. */
void trusts_take_over(struct trusts *trusts, struct trusts *before);

/* Each second, and once at the start: ask whose keys are due. `now_ms` is hm_boot_ms(). */
void trusts_tick(struct trusts *trusts, int64_t now_ms);

/* Who is being asked is given up; the memory goes when the last worker has ended. NULL is fine. */
void trusts_close(struct trusts *trusts);

struct trusted_token {
	struct foreign_jwt jwt;
	const struct config_trust *by; /* the configuration's: a reload ends it */
	/* The claim that the configuration says, 1 to HM_FOREIGN_SUBJECT_MAX plain bytes; of a SPIFFE trust domain
	 * (by->trust_domain), and only then, a SPIFFE ID in it. In jwt's payload. */
	const char *subject;
	const json_t *groups; /* an array of plain strings, in jwt's payload; NULL: the token says none */
};

/*
 * Verify a JWT of somebody whom our issuer (its place in the configuration) trusts, by that one's rules and keys. `now`
 * is wall time. HM_REFUSED, FOREIGN_JWT_REFUSED: it is nobody's whom we trust, or not good. HM_UNAVAILABLE,
 * TRUST_UNAVAILABLE: the keys are not here, too old, or do not have this one and are being asked for: later may
 * succeed. Free with trusted_token_free in any case.
 */
hm_result trust_verify(struct trusts *trusts, unsigned issuer, const char *text, size_t length, int64_t now,
	struct trusted_token *out, struct hm_problem *why) HM_MUST_USE;
void trusted_token_free(struct trusted_token *token);

#define TRUSTED_TOKEN_AUTO __attribute__((cleanup(trusted_token_free))) struct trusted_token

/* Of the keys of one of `config->trust`. */
struct trust_facts {
	bool is_url;       /* else a file, of which only `keys` is said */
	unsigned keys;     /* of use to us */
	int64_t age_ms;    /* since they were asked for; -1: there are none, or none any more */
	const char *fault; /* why the last attempt gave none; "": it gave some, or is to come */
};
struct trust_facts trust_facts(const struct trusts *trusts, unsigned index);

#endif
