/* SPDX-License-Identifier: Apache-2.0 */
#include "checkpoint.h"

#include <string.h>

static hm_result refuse(struct token_failure *why, const char *what)
{
	return fail(why, TOKEN_REFUSED, "%s", what);
}

/* Read, and written again: there is one way to write it. */
static bool is_checkpoint(struct hm_bytes tbs, struct checkpoint *checkpoint)
{
	char again[NOTE_TEXT_MAX];
	struct hm_problem why;
	return checkpoint_read((const char *)tbs.data, tbs.length, checkpoint, &why) == HM_OK &&
	       checkpoint_write(checkpoint, again) == tbs.length && memcmp(again, tbs.data, tbs.length) == 0;
}

hm_result checkpoint_check(const struct key *key, const struct checkpoint_last *last, struct hm_bytes tbs,
	struct checkpoint_last *next, struct token_failure *why)
{
	struct checkpoint checkpoint;
	enum key_algorithm algorithm = key->config->algorithm;
	if (algorithm != KEY_ES256 && algorithm != KEY_ED25519)
		return refuse(why, "a checkpoint is signed with ES256 or Ed25519");
	if (!is_checkpoint(tbs, &checkpoint))
		return refuse(why, "not a checkpoint");
	*next = (struct checkpoint_last){
		checkpoint_shard(key->config->issuer, checkpoint.origin), checkpoint.size, checkpoint.root};
	if (!next->shard)
		return refuse(why, "a checkpoint of another ledger than this key's");
	if (next->shard < last->shard || (next->shard == last->shard && next->size < last->size))
		return refuse(why, "a checkpoint behind one that was signed already");
	if (next->shard == last->shard && next->size == last->size && !merkle_equal(&next->root, &last->root))
		return refuse(why, "a checkpoint that contradicts one that was signed already");
	return HM_OK;
}
