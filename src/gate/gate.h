/* SPDX-License-Identifier: Apache-2.0 */
/* What the gate's rooms share. One thread uses it, so there are no locks. */
#ifndef HSMINT_GATE_H
#define HSMINT_GATE_H

#include "frame.h"
#include "gate_protocol.h"
#include "published.h"
#include "tls.h"
#include "upstream.h"

struct gate {
	struct channel *channel; /* to mint */
	struct upstream *upstream;
	struct published *published;
	struct tls_snapshot *tls; /* for new connections and new verdicts; NULL without TLS */
	struct gate_stats stats;
	uint64_t now_ms;       /* monotonic, read once in each turn of the loop */
	unsigned large_bodies; /* held now */
	unsigned public_reads; /* of the ledger, with mint now */
	unsigned unproven;     /* requests to token endpoints without a certificate, with mint now */
	bool closing;          /* draining: each answer ends its connection */
	bool given_up;         /* the drain's time is over: mint is asked nothing more */
};

#endif
