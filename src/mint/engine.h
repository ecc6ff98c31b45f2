/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An outside decision point, for sites with policy as code: asked after our own decision said yes, so that it can only
 * narrow. OPA's data API or AuthZEN 1.0, over HTTPS or a Unix socket. Anything but a clear yes in time is a no. It gets
 * claims and hashes, never a token. It is asked in worker threads, so many at once as HM_ENGINE_ASKS.
 */
#ifndef HSMINT_ENGINE_H
#define HSMINT_ENGINE_H

#include "config.h"
#include "policy.h"
#include <uv.h>

struct engine; /* opaque; made by engine_open, released by engine_close */

/* HM_REFUSED: the URL cannot be used. */
hm_result engine_open(uv_loop_t *loop, const struct config_policy *config, struct engine **engine,
	struct hm_problem *why) HM_MUST_USE;

/*
 * HM_OK: it said yes, under `id` ("": it gave none). HM_REFUSED, policy_denied: it said no, or nothing that is clear.
 * HM_UNAVAILABLE, policy_unavailable: it did not answer in time.
 */
typedef void engine_done(void *context, hm_result result, const char *id, const struct hm_problem *why);

/* HM_OK: `done` is called later, once; also when the engine is closed. HM_UNAVAILABLE, policy_unavailable: it has
 * failed several times and is left alone for a while, or too many wait. */
hm_result engine_ask(struct engine *engine, const struct decision *decision, const struct mint_request *request,
	engine_done *done, void *context, struct hm_problem *why) HM_MUST_USE;

/* Those who wait are told; the memory goes when the last worker has ended. NULL is fine. */
void engine_close(struct engine *engine);

#endif
