/* SPDX-License-Identifier: Apache-2.0 */
#include "dev_register.h"

#include "agent_row.h"
#include "agents.h"
#include "clock.h"
#include "id.h"
#include "log.h"
#include "record.h"
#include "store.h"
#include <string.h>

enum { REVIEW_SECONDS = 90 * 24 * 60 * 60, ENTRY_MAX = 1024 };

static const char issuer[] = "demo", pattern[] = "spiffe://demo.test/agent/*", owner[] = "you@demo.test";

/* What waits for the commit. */
struct registering {
	struct service *service;
	void (*done)(void *context);
	void *context;
};

static bool has_issuer(const struct config *config)
{
	for (unsigned i = 0; i < config->issuers_count; i++)
		if (strcmp(config->issuers[i].name, issuer) == 0)
			return strcmp(config->issuers[i].trust_domain, "demo.test") == 0;
	return false;
}

static void record(struct service *service, uint64_t sequence)
{
	char text[ENTRY_MAX];
	struct hm_json json = hm_json(text, sizeof text);
	const struct agent *agent = agents_find(service->agents, issuer, pattern);
	if (!agent)
		return;
	hm_json_begin(&json, '{');
	hm_json_member_string(&json, "act", "add");
	hm_json_member_string(&json, "actor", "hsmint dev");
	hm_json_member_string(&json, "agent", agent->spiffe_id);
	hm_json_key(&json, "class");
	hm_json_bool(&json, true);
	hm_json_member_string(&json, "id", agent->id);
	hm_json_member_string(&json, "issuer", issuer);
	hm_json_member_string(&json, "owner", agent->owner);
	hm_json_member_number(&json, "review", agent->review);
	hm_json_member_number(&json, "sequence", (int64_t)sequence);
	hm_json_member_string(&json, "status", agent_status_name(agent->status));
	hm_json_member_number(&json, "time", hm_time());
	hm_json_member_string(&json, "type", "agent");
	hm_json_member_number(&json, "v", RECORD_VERSION);
	hm_json_member_string(&json, "way", "dev");
	hm_json_end(&json, '}');
	(void)record_add(service, &json, false);
}

static void on_committed(void *context, hm_result result, uint64_t sequence, const struct hm_problem *why)
{
	struct registering *registering = context;
	if (result == HM_OK)
		record(registering->service, sequence);
	else
		hm_log(HM_ERROR, "not_registered", "agent=%s detail=\"%s\"", pattern, why->detail);
	registering->done(registering->context);
}

static struct changes *make_changes(void)
{
	struct agent agent = {.issuer = issuer,
		.spiffe_id = pattern,
		.is_class = true,
		.owner = owner,
		.contact = "",
		.purpose = "trying hsmint",
		.created = hm_time(),
		.review = hm_time() + REVIEW_SECONDS};
	struct changes *changes = changes_open();
	if (changes && id_make(agent.id) && agent_row_put(changes, &agent))
		return changes;
	changes_close(changes);
	return NULL;
}

void dev_register(struct service *service, void (*done)(void *context), void *context)
{
	static struct registering registering; /* once in a process */
	registering = (struct registering){service, done, context};
	bool is_there = agents_find(service->agents, issuer, pattern) || !has_issuer(service->config);
	struct changes *changes = is_there ? NULL : make_changes();
	if (changes)
		store_commit(service->store, changes, on_committed, &registering);
	else
		done(context);
}
