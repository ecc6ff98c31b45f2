/* SPDX-License-Identifier: Apache-2.0 */
/* What gate takes from itself before it reads the first hostile byte. */
#ifndef HSMINT_SANDBOX_H
#define HSMINT_SANDBOX_H

#include "gate_protocol.h"

enum { SANDBOX_STATE_SIZE = 200 };

/*
 * Drop every capability, then enter Landlock and seccomp, for good. `state` tells what is in force, also on failure,
 * like "seccomp=on landlock=7 capabilities=none dumpable=no". The process must have no new privileges already
 * (process_harden), one thread, and everything open that it will ever need.
 * HM_REFUSED, only with SANDBOX_REQUIRE: a part is missing; `why` names it.
 */
hm_result sandbox_enter(enum sandbox_mode mode, char state[SANDBOX_STATE_SIZE], struct hm_problem *why) HM_MUST_USE;

#endif
