/* SPDX-License-Identifier: Apache-2.0 */
/* Operators' commands on keys (docs/frames.md), as control.sock gives them. */
#ifndef HSMINT_KEY_COMMAND_H
#define HSMINT_KEY_COMMAND_H

#include "control.h"
#include <jansson.h>

/* Each writes its reply into `json`; key_command_adopt leaves it empty: `asker` is answered later. */
hm_result key_command_adopt(struct service *service, const json_t *request, const struct control_asker *asker,
	struct hm_problem *why) HM_MUST_USE;
hm_result key_command_activate(
	struct service *service, const json_t *request, struct hm_json *json, struct hm_problem *why) HM_MUST_USE;
hm_result key_command_retire(
	struct service *service, const json_t *request, struct hm_json *json, struct hm_problem *why) HM_MUST_USE;
hm_result key_command_forget(struct service *service, const json_t *request, struct hm_problem *why) HM_MUST_USE;

#endif
