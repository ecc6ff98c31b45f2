/* SPDX-License-Identifier: Apache-2.0 */
/* What an issuer publishes: JWKS, discovery documents and SPIFFE bundle. */
#ifndef HSMINT_DOCUMENTS_H
#define HSMINT_DOCUMENTS_H

#include "issuing_key.h"
#include "publication.h"

/*
 * Rebuild every issuer's documents from the keys known so far and call `changed`
 * for each that is new, different or gone. The bundle's sequence rises with its keys and is kept under the state
 * directory. HM_UNAVAILABLE: the state directory cannot be written.
 */
hm_result documents_publish(const struct config *config, const struct issuing_keys *keys,
	struct publications *publications, publication_use *changed, void *context, struct hm_problem *why) HM_MUST_USE;

/* After a reload: take back at once what issuers published that are configured no longer; `removed` is called for each.
 */
void documents_withdraw(const struct config *old, const struct config *new, struct publications *publications,
	publication_use *removed, void *context);

#endif
