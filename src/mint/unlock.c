/* SPDX-License-Identifier: Apache-2.0 */
#include "unlock.h"

#include "json_write.h"
#include "log.h"
#include "record.h"
#include <stdlib.h>

struct unlocks {
	struct unlocking {
		const struct token *token; /* NULL: nobody waits */
		struct control_asker asker;
	} waiting[HM_TOKENS_MAX];
};

struct unlocks *unlocks_open(void)
{
	return calloc(1, sizeof(struct unlocks));
}

void unlocks_close(struct unlocks *unlocks)
{
	free(unlocks);
}

/* Who waits for this token, or with NULL a free place: each token has one, since none is unlocked while it starts. */
static struct unlocking *find(struct unlocks *unlocks, const struct token *token)
{
	for (unsigned i = 0; i < HM_TOKENS_MAX; i++)
		if (unlocks->waiting[i].token == token)
			return &unlocks->waiting[i];
	return NULL;
}

static size_t write_reply(char *reply, size_t size, const struct token_facts *facts, bool replaced)
{
	struct hm_json json = hm_json(reply, size);
	hm_json_begin(&json, '{');
	hm_json_key(&json, "ok");
	hm_json_bool(&json, true);
	hm_json_member_string(&json, "state", token_state_name(facts->state));
	hm_json_member_number(&json, "parts_missing", facts->parts_missing);
	hm_json_key(&json, "replaced");
	hm_json_bool(&json, replaced);
	hm_json_end(&json, '}');
	return json.out.used;
}

hm_result unlock_give(struct service *service, struct token *token, uint32_t uid, int *part,
	const struct control_asker *asker, char *reply, size_t size, size_t *length, struct hm_problem *why)
{
	struct unlocking *place = find(service->unlocks, NULL);
	bool replaced;
	if (!place)
		return hm_unavailable(why, "overload", "as many tokens are unlocked already");
	*place = (struct unlocking){token, *asker}; /* before the process starts: it may fail at once */
	hm_result result = token_unlock(token, uid, part, &replaced, why);
	struct token_facts facts = token_facts(token);
	*length = 0;
	if (result == HM_OK)
		hm_log(HM_INFO, "token_unlock", "token=%s uid=%u missing=%u", token_configuration(token)->name, uid,
			facts.parts_missing);
	if (result == HM_OK)
		record_unlock(service, token_configuration(token)->name, uid,
			facts.state == TOKEN_WAITING ? "part" : "whole");
	if (result == HM_OK && facts.state != TOKEN_WAITING)
		return HM_OK;
	place->token = NULL;
	if (result == HM_OK)
		*length = write_reply(reply, size, &facts, replaced);
	return result;
}

void unlock_ended(struct service *service, const struct token *token)
{
	struct unlocking *place = find(service->unlocks, token);
	struct token_facts facts = token_facts(token);
	struct hm_problem why;
	char reply[256];
	if (!place)
		return;
	place->token = NULL;
	if (facts.state == TOKEN_READY) {
		control_answer(service->control, &place->asker, reply, write_reply(reply, sizeof reply, &facts, false));
		return;
	}
	(void)!hm_refuse(&why, "unlock_refused", NULL, "%s%s",
		facts.last_error[0] ? facts.last_error : "the token's process ended",
		facts.state == TOKEN_BACKOFF ? "; it is started again by itself" : "");
	control_refuse(service->control, &place->asker, &why);
}
