/* SPDX-License-Identifier: Apache-2.0 */
#include "record_act.h"

#include "canonical.h"
#include "clock.h"
#include "record.h"

const char *api_way_name(enum api_way way)
{
	static const char *const names[] = {"gate", "signed", "control"};
	return names[way];
}

static json_t *members_of(const struct api_call *call, uint64_t sequence)
{
	const struct api_actor *actor = &call->actor;
	json_t *entry = json_pack("{s:s, s:s, s:I, s:I, s:s, s:i, s:s}", "actor", actor->name, "issuer", call->issuer,
		"sequence", (json_int_t)sequence, "time", (json_int_t)hm_time(), "type", call->entry_type, "v",
		RECORD_VERSION, "way", api_way_name(actor->way));
	bool failed = json_object_update_missing(entry, call->entry) != 0;
	if (actor->way == WAY_CONTROL)
		failed |= json_object_set_new(entry, "uid", json_integer(actor->caller.uid)) != 0;
	if (!failed)
		return entry;
	json_decref(entry);
	return NULL;
}

uint64_t record_act(struct service *service, const struct api_call *call, uint64_t sequence)
{
	static char text[HM_LEDGER_ENTRY_MAX];
	struct hm_json json = hm_json(text, sizeof text);
	json_t *entry = members_of(call, sequence);
	canonical_write(&json, entry);
	json_decref(entry);
	return record_add(service, &json, false);
}
