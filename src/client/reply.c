/* SPDX-License-Identifier: Apache-2.0 */
#include "reply.h"

#include "error.h"
#include <jansson.h>
#include <stdlib.h>

struct hsmint_reply {
	char *text;
	json_t *members; /* the strings below live in it */
	const char *credential, *kind, *profile, *kid, *id;
	json_int_t issued_at, expires_at;
	const char *ledger_origin; /* "": it has no receipt, and the index is -1 */
	json_int_t ledger_index;
	int replayed;
};

static bool read_members(hsmint_reply *reply, json_error_t *where)
{
	return json_unpack_ex(reply->members, where, 0, "{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s?b, s?{s:s, s:I}}",
		       "credential", &reply->credential, "kind", &reply->kind, "profile", &reply->profile, "kid",
		       &reply->kid, "id", &reply->id, "issued_at", &reply->issued_at, "expires_at", &reply->expires_at,
		       "replayed", &reply->replayed, "ledger", "origin", &reply->ledger_origin, "index",
		       &reply->ledger_index) == 0;
}

static bool read_answer(hsmint_reply *reply, const struct answer *answer, hsmint_error **error)
{
	json_error_t where;
	reply->members = json_loadb(answer->text ? answer->text : "", answer->length, JSON_REJECT_DUPLICATES, &where);
	if (reply->members && answer->status == 202 && error_from_approval(error, reply->members))
		return false;
	if (answer->status != 200)
		error_from_status(error, answer->status, 0);
	else if (!reply->members || !read_members(reply, &where))
		error_make(error, "client_reply", "%s", where.text);
	else
		return true;
	return false;
}

hsmint_reply *reply_parse(const struct answer *answer, hsmint_error **error)
{
	hsmint_reply *reply = calloc(1, sizeof *reply);
	if (!reply) {
		free(answer->text);
		error_make(error, "client_memory", "reply");
		return NULL;
	}
	reply->text = answer->text;
	reply->ledger_origin = "";
	reply->ledger_index = -1;
	if (read_answer(reply, answer, error))
		return reply;
	hsmint_reply_free(reply);
	return NULL;
}

const char *hsmint_reply_credential(const hsmint_reply *reply)
{
	return reply ? reply->credential : "";
}

const char *hsmint_reply_kind(const hsmint_reply *reply)
{
	return reply ? reply->kind : "";
}

const char *hsmint_reply_profile(const hsmint_reply *reply)
{
	return reply ? reply->profile : "";
}

const char *hsmint_reply_kid(const hsmint_reply *reply)
{
	return reply ? reply->kid : "";
}

const char *hsmint_reply_id(const hsmint_reply *reply)
{
	return reply ? reply->id : "";
}

int64_t hsmint_reply_issued_at(const hsmint_reply *reply)
{
	return reply ? reply->issued_at : 0;
}

int64_t hsmint_reply_expires_at(const hsmint_reply *reply)
{
	return reply ? reply->expires_at : 0;
}

int hsmint_reply_replayed(const hsmint_reply *reply)
{
	return reply ? reply->replayed : 0;
}

const char *hsmint_reply_ledger_origin(const hsmint_reply *reply)
{
	return reply ? reply->ledger_origin : "";
}

int64_t hsmint_reply_ledger_index(const hsmint_reply *reply)
{
	return reply ? reply->ledger_index : -1;
}

const char *hsmint_reply_json(const hsmint_reply *reply)
{
	return reply ? reply->text : "";
}

void hsmint_reply_free(hsmint_reply *reply)
{
	if (!reply)
		return;
	json_decref(reply->members);
	free(reply->text);
	free(reply);
}
