/* SPDX-License-Identifier: Apache-2.0 */
#include "anchor_object.h"

#include "checkpoint.h"
#include <stdio.h>
#include <string.h>

enum { OBJECTS_MAX = 8 }; /* a crash leaves two; more were put there by somebody else */

static char label[] = "hsmint ledger anchor";

struct objects {
	CK_ULONG count;
	CK_OBJECT_HANDLE handles[OBJECTS_MAX + 1];
};

/* How far a note goes; zeros when it is none. */
struct reach {
	unsigned shard;
	uint64_t size;
};

static hm_result find(const struct module *module, CK_SESSION_HANDLE session, const char *origin,
	struct objects *objects, struct token_failure *why)
{
	CK_OBJECT_CLASS class = CKO_DATA;
	CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}, {CKA_LABEL, label, sizeof label - 1},
		{CKA_APPLICATION, (void *)origin, strlen(origin)}};
	objects->count = 0;
	TRY_CALL(why, module->calls, C_FindObjectsInit, session, template, sizeof template / sizeof *template);
	CK_RV ckr = module->calls->C_FindObjects(session, objects->handles, OBJECTS_MAX + 1, &objects->count);
	CK_RV ended = module->calls->C_FindObjectsFinal(session);
	if (ckr != CKR_OK)
		return fail_call(why, "C_FindObjects", ckr);
	if (ended != CKR_OK)
		return fail_call(why, "C_FindObjectsFinal", ended);
	if (objects->count > OBJECTS_MAX)
		return fail(why, TOKEN_CUSTODY, "more than %d data objects '%s' of %s: destroy all but the newest",
			OBJECTS_MAX, label, origin);
	return HM_OK;
}

static hm_result read_note(const struct module *module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
	struct anchor_note *note, struct token_failure *why)
{
	CK_ULONG length = sizeof note->bytes;
	HM_TRY(module_attribute(module, session, object, CKA_VALUE, note->bytes, &length, why));
	note->length = length;
	return HM_OK;
}

static struct reach reach_of(const struct anchor_note *note, const char *origin)
{
	struct checkpoint checkpoint;
	struct hm_problem why;
	if (checkpoint_read((const char *)note->bytes, note->length, &checkpoint, &why) != HM_OK)
		return (struct reach){0};
	return (struct reach){checkpoint_shard(origin, checkpoint.origin), checkpoint.size};
}

static bool is_further(struct reach one, struct reach other)
{
	return one.shard != other.shard ? one.shard > other.shard : one.size > other.size;
}

/* The place of the one that goes furthest, which is `note`, among those found: at least one. */
static hm_result choose(const struct module *module, CK_SESSION_HANDLE session, const char *origin,
	const struct objects *objects, CK_ULONG *chosen, struct anchor_note *note, struct token_failure *why)
{
	struct anchor_note other;
	*chosen = 0;
	HM_TRY(read_note(module, session, objects->handles[0], note, why));
	for (CK_ULONG i = 1; i < objects->count; i++) {
		HM_TRY(read_note(module, session, objects->handles[i], &other, why));
		if (!is_further(reach_of(&other, origin), reach_of(note, origin)))
			continue;
		*chosen = i;
		*note = other;
	}
	return HM_OK;
}

hm_result anchor_object_get(const struct module *module, CK_SESSION_HANDLE session, const char *origin,
	struct anchor_note *note, struct token_failure *why)
{
	struct objects objects;
	CK_ULONG chosen;
	note->length = 0;
	HM_TRY(find(module, session, origin, &objects, why));
	return objects.count ? choose(module, session, origin, &objects, &chosen, note, why) : HM_OK;
}

/* What an earlier crash left beside the newest; so there are never more than two, however often a token fails. */
static hm_result destroy_others(const struct module *module, CK_SESSION_HANDLE session, const char *origin,
	struct objects *objects, struct token_failure *why)
{
	struct anchor_note note;
	CK_ULONG chosen;
	if (objects->count < 2)
		return HM_OK;
	HM_TRY(choose(module, session, origin, objects, &chosen, &note, why));
	for (CK_ULONG i = 0; i < objects->count; i++)
		if (i != chosen)
			TRY_CALL(why, module->calls, C_DestroyObject, session, objects->handles[i]);
	*objects = (struct objects){1, {objects->handles[chosen]}};
	return HM_OK;
}

static hm_result create(const struct module *module, CK_SESSION_HANDLE session, const char *origin,
	struct hm_bytes note, struct token_failure *why)
{
	CK_OBJECT_CLASS class = CKO_DATA;
	CK_BBOOL yes = CK_TRUE;
	CK_OBJECT_HANDLE object;
	CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}, {CKA_TOKEN, &yes, sizeof yes},
		{CKA_PRIVATE, &yes, sizeof yes}, {CKA_LABEL, label, sizeof label - 1},
		{CKA_APPLICATION, (void *)origin, strlen(origin)}, {CKA_VALUE, (void *)note.data, note.length}};
	CK_RV ckr = module->calls->C_CreateObject(session, template, sizeof template / sizeof *template, &object);
	if (ckr == CKR_OK)
		return HM_OK;
	hm_result result = fail_call(why, "C_CreateObject", ckr);
	size_t said = strlen(why->detail);
	snprintf(
		why->detail + said, sizeof why->detail - said, ": the token does not take the data object '%s'", label);
	return result;
}

hm_result anchor_object_put(const struct module *module, CK_SESSION_HANDLE session, const char *origin,
	struct hm_bytes note, struct token_failure *why)
{
	struct objects objects;
	HM_TRY(find(module, session, origin, &objects, why));
	HM_TRY(destroy_others(module, session, origin, &objects, why));
	HM_TRY(create(module, session, origin, note, why));
	if (objects.count)
		TRY_CALL(why, module->calls, C_DestroyObject, session, objects.handles[0]);
	return HM_OK;
}
