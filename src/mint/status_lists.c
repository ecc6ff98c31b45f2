/* SPDX-License-Identifier: Apache-2.0 */
#include "delegation.h"
#include "status_inside.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- issuers and lists ---- */

struct status_issuer *status_issuer(const struct status_lists *lists, const char *name)
{
	for (unsigned i = 0; i < lists->issuers_count; i++)
		if (strcmp(lists->issuers[i].name, name) == 0)
			return (struct status_issuer *)&lists->issuers[i];
	return NULL;
}

struct status_issuer *status_issuer_make(struct status_lists *lists, const char *name)
{
	struct status_issuer *issuer = status_issuer(lists, name);
	if (issuer || lists->issuers_count == HM_ISSUERS_MAX)
		return issuer;
	issuer = &lists->issuers[lists->issuers_count];
	issuer->name = words_take(&lists->words, name);
	if (!issuer->name)
		return NULL;
	lists->issuers_count++;
	return issuer;
}

struct status_list *status_list_make(struct status_issuer *issuer, unsigned number)
{
	if (number >= HM_STATUS_LISTS_MAX)
		return NULL;
	for (; issuer->count <= number; issuer->count++) {
		struct status_list *list = calloc(1, sizeof *list);
		if (!list)
			return NULL;
		list->changed = true; /* it is published when it comes into being */
		issuer->lists[issuer->count] = list;
	}
	return issuer->lists[number];
}

struct status_lists *status_lists_open(
	const struct agents *agents, const struct tasks *tasks, const struct revocations *revocations)
{
	struct status_lists *lists = calloc(1, sizeof *lists);
	if (!lists)
		return NULL;
	lists->agents = agents;
	lists->tasks = tasks;
	lists->revocations = revocations;
	if (status_blocks_open(lists))
		return lists;
	status_lists_close(lists);
	return NULL;
}

void status_lists_close(struct status_lists *lists)
{
	if (!lists)
		return;
	for (unsigned i = 0; i < lists->issuers_count; i++)
		for (unsigned k = 0; k < lists->issuers[i].count; k++)
			free(lists->issuers[i].lists[k]);
	status_blocks_close(lists);
	words_close(&lists->words);
	free(lists);
}

/* ---- what places say ---- */

static enum status_value worse(enum status_value a, enum status_value b)
{
	if (a == STATUS_INVALID || b == STATUS_INVALID)
		return STATUS_INVALID;
	return a == STATUS_SUSPENDED ? a : b;
}

static enum status_value value_of_status(enum agent_status status)
{
	return status == AGENT_ACTIVE ? STATUS_VALID : status == AGENT_SUSPENDED ? STATUS_SUSPENDED : STATUS_INVALID;
}

static enum status_value value_of(const struct status_lists *lists, const char *issuer, const char *spiffe_id)
{
	const struct agent *agent = agents_find(lists->agents, issuer, spiffe_id);
	const struct agent *accountable = agent ? agents_accountable(lists->agents, agent) : NULL;
	if (!accountable)
		return STATUS_INVALID;
	return worse(value_of_status(agent->status), value_of_status(accountable->status));
}

/* Of those whose tokens were exchanged for it. */
static enum status_value value_of_links(const struct status_lists *lists, const struct task *task)
{
	enum status_value value = STATUS_VALID;
	for (; task; task = task->parent) {
		const char *agent = delegation_link(task);
		if (agent)
			value = worse(value, value_of(lists, task->issuer, agent));
	}
	return value;
}

/* What expired needs no word: no credential outlived it. */
static enum status_value value_of_task(const struct status_lists *lists, const struct status_block *block)
{
	static const enum status_value values[TASK_STATES] = {
		[TASK_PAUSED] = STATUS_SUSPENDED, [TASK_COMPLETED] = STATUS_INVALID, [TASK_CANCELLED] = STATUS_INVALID};
	if (!block->task[0])
		return STATUS_VALID;
	const struct task *task = tasks_find(lists->tasks, block->task);
	return task ? worse(values[task_effective(task, 0)], value_of_links(lists, task)) : STATUS_INVALID;
}

static bool is_revoked(const struct status_lists *lists, const struct status_block *block)
{
	const char *issuer = status_block_issuer(lists, block);
	const struct revocation *subject = revocations_find(lists->revocations, REVOKED_SUBJECT, issuer, block->agent);
	const struct revocation *key = revocations_find(lists->revocations, REVOKED_KEY, issuer, block->kid);
	return (subject && block->leased <= subject->at) || (key && block->leased <= key->at);
}

enum status_value status_block_value(const struct status_lists *lists, const struct status_block *block)
{
	if (block->ended || is_revoked(lists, block))
		return STATUS_INVALID;
	return worse(value_of_task(lists, block), value_of(lists, status_block_issuer(lists, block), block->agent));
}

static void set_place(struct status_list *list, unsigned index, enum status_value value)
{
	unsigned shift = index % 4 * 2;
	uint8_t *byte = &list->bits[index / 4], now = (uint8_t)((*byte & ~(3u << shift)) | (unsigned)value << shift);
	list->changed |= now != *byte;
	*byte = now;
}

static struct status_list *list_of(const struct status_lists *lists, const struct status_block *block)
{
	return lists->issuers[block->issuer].lists[block->list];
}

static void derive(const struct status_lists *lists, const struct status_block *block)
{
	struct status_list *list = list_of(lists, block);
	enum status_value value = status_block_value(lists, block);
	for (unsigned i = block->first; i < block->first + block->count; i++)
		set_place(list, i, list->revoked[i / 32] & 1u << i % 32 ? STATUS_INVALID : value);
}

/* All of the issuer, or those that the key signs; blocks are looked at in the order of their places. */
static void derive_each(const struct status_lists *lists, const char *issuer, const char *kid)
{
	const struct status_issuer *of = status_issuer(lists, issuer);
	for (unsigned k = 0; of && k < of->count; k++)
		for (unsigned i = 0; i < STATUS_LIST_PLACES; i++) {
			const struct status_block *block = status_block(lists, of->lists[k]->blocks[i]);
			if (block && (!kid || strcmp(block->kid, kid) == 0))
				derive(lists, block);
		}
}

static void derive_agent(const struct status_lists *lists, const char *issuer, const char *agent)
{
	const struct status_block *block = status_agent_first(lists, issuer, agent);
	for (; block; block = status_block(lists, block->next_of_agent))
		if (strcmp(block->agent, agent) == 0 && strcmp(status_block_issuer(lists, block), issuer) == 0)
			derive(lists, block);
}

/* A class's pattern stands for all of its instances. */
void status_lists_agent_changed(struct status_lists *lists, const char *issuer, const char *agent)
{
	if (!lists->count)
		return;
	if (strchr(agent, '*'))
		derive_each(lists, issuer, NULL);
	else
		derive_agent(lists, issuer, agent);
}

void status_lists_task_changed(struct status_lists *lists, const struct task *task)
{
	const struct status_block *block = status_holder_first(lists, task->issuer, "", task->id);
	for (; block; block = status_block(lists, block->next_of_holder))
		if (strcmp(block->task, task->id) == 0)
			derive(lists, block);
	for (const struct task *child = task->first_child; child; child = child->next_sibling)
		status_lists_task_changed(lists, child); /* at most HM_DEPTH_MAX deep */
}

static void revoke_place(struct status_lists *lists, const struct revocation *revocation)
{
	struct status_issuer *issuer = status_issuer_make(lists, revocation->issuer);
	struct status_list *list = issuer ? status_list_make(issuer, revocation->list) : NULL;
	if (!list || revocation->index >= STATUS_LIST_PLACES)
		return;
	list->revoked[revocation->index / 32] |= 1u << revocation->index % 32;
	set_place(list, revocation->index, STATUS_INVALID);
}

void status_lists_revoked(struct status_lists *lists, const struct revocation *revocation)
{
	if (revocation->of == REVOKED_KEY)
		derive_each(lists, revocation->issuer, revocation->name);
	else if (revocation->of == REVOKED_SUBJECT)
		derive_agent(lists, revocation->issuer, revocation->name);
	else if (revocation->has_place)
		revoke_place(lists, revocation);
}

enum status_value status_lists_value(const struct status_lists *lists, const char *issuer, struct status_place place)
{
	const struct status_issuer *at = status_issuer(lists, issuer);
	if (!at || place.list >= at->count || place.index >= STATUS_LIST_PLACES)
		return STATUS_INVALID;
	unsigned byte = at->lists[place.list]->bits[place.index / 4];
	return (enum status_value)(byte >> place.index % 4 * 2 & 3);
}

bool status_lists_take_changed(struct status_lists *lists, char issuer[HM_NAME_MAX + 1], unsigned *list, uint8_t *bits)
{
	for (unsigned i = 0; i < lists->issuers_count; i++)
		for (unsigned k = 0; k < lists->issuers[i].count; k++) {
			struct status_list *at = lists->issuers[i].lists[k];
			if (!at->changed)
				continue;
			at->changed = false;
			snprintf(issuer, HM_NAME_MAX + 1, "%s", lists->issuers[i].name);
			*list = k;
			memcpy(bits, at->bits, sizeof at->bits);
			return true;
		}
	return false;
}

void status_lists_again(struct status_lists *lists, const char *issuer, unsigned list)
{
	struct status_issuer *at = status_issuer(lists, issuer);
	if (at && list < at->count)
		at->lists[list]->changed = true;
}

/* ---- rows ---- */

static hm_result fault(const struct store_row *row, const char *what, struct hm_problem *why)
{
	return hm_broken(why, "the store's row of block '%.200s': %s", row->key, what);
}

/* ISSUER " " LIST " " FIRST */
static bool read_key(const char *key, char issuer[HM_NAME_MAX + 1], struct status_place *place)
{
	char rest;
	return sscanf(key, "%64s %5u %5u%c", issuer, &place->list, &place->index, &rest) == 3 &&
	       place->list < HM_STATUS_LISTS_MAX && place->index < STATUS_LIST_PLACES;
}

static hm_result read_block(const struct store_row *row, const json_t *body, struct status_lists *lists,
	struct status_block *block, struct hm_problem *why)
{
	json_error_t error;
	json_int_t count = 0, leased = 0;
	int ended = 0, shared = 0;
	const char *agent = NULL, *kid = NULL, *task = "";
	if (!body || json_unpack_ex((json_t *)body, &error, 0, "{s:s, s:I, s?b, s:s, s:I, s:b, s:s !}", "agent", &agent,
			     "count", &count, "ended", &ended, "kid", &kid, "leased", &leased, "shared", &shared,
			     "task", &task) != 0)
		return fault(row, "its body", why);
	if (count < 1 || count > STATUS_BLOCK_PLACES || block->first + count > STATUS_LIST_PLACES || leased < 0 ||
		leased > UINT32_MAX || strlen(task) > HM_ID_MAX || (shared && count != 1))
		return fault(row, "a number out of its range", why);
	block->agent = words_take(&lists->words, agent);
	block->kid = words_take(&lists->words, kid);
	block->count = (uint8_t)count;
	block->leased = (uint32_t)leased;
	block->ended = ended;
	block->shared = shared;
	memcpy(block->task, task, strlen(task) + 1);
	return block->agent && block->kid ? HM_OK : hm_broken(why, "no memory for a block");
}

static void mark(struct status_list *list, const struct status_block *block, bool taken)
{
	for (unsigned i = block->first; i < (unsigned)block->first + block->count; i++)
		if (taken)
			list->taken[i / 32] |= 1u << i % 32;
		else
			list->taken[i / 32] &= ~(1u << i % 32);
}

/* Nothing lives on its places any more: others may have them. */
static void remove_block(struct status_lists *lists, struct status_block *block)
{
	struct status_list *list = list_of(lists, block);
	status_number *number = &list->blocks[block->first];
	mark(list, block, false);
	for (unsigned i = block->first; i < (unsigned)block->first + block->count; i++) {
		list->revoked[i / 32] &= ~(1u << i % 32);
		set_place(list, i, STATUS_VALID);
	}
	status_block_unlink(lists, *number);
	status_block_free(lists, *number);
	*number = 0;
}

/* The row is written anew when the block ends. Another's at the same place: this one was deleted in between. */
static bool is_same_lease(const struct status_block *a, const struct status_block *b)
{
	return a->leased == b->leased && a->count == b->count && a->shared == b->shared &&
	       strcmp(a->agent, b->agent) == 0 && strcmp(a->kid, b->kid) == 0 && strcmp(a->task, b->task) == 0;
}

/* Revocations are kept longer than places: what is revoked there already, of a new block, is who had them before. */
static void forget_revoked(struct status_list *list, const struct status_block *block)
{
	for (unsigned i = block->first; i < (unsigned)block->first + block->count; i++)
		list->revoked[i / 32] &= ~(1u << i % 32);
}

/* Places are all taken to be given out, by somebody else or an earlier life of ours, unless status_lists_leased says
 * that they are ours. */
static void insert_block(struct status_lists *lists, status_number number)
{
	struct status_block *block = status_block(lists, number);
	struct status_list *list = list_of(lists, block);
	struct status_block *before = status_block(lists, list->blocks[block->first]);
	block->used = block->shared ? 0 : block->count;
	if (before && is_same_lease(before, block)) {
		block->used = before->used;
		block->given = before->given;
		status_block_unlink(lists, list->blocks[block->first]);
		status_block_free(lists, list->blocks[block->first]);
	} else {
		if (before)
			remove_block(lists, before);
		forget_revoked(list, block);
	}
	list->blocks[block->first] = number;
	mark(list, block, true);
	status_block_link(lists, number);
	derive(lists, block);
}

static hm_result take_block(struct status_lists *lists, const struct store_row *row, const char *name,
	struct status_place place, struct hm_problem *why)
{
	json_error_t error;
	struct status_issuer *issuer = status_issuer_make(lists, name);
	struct status_list *list = issuer ? status_list_make(issuer, place.list) : NULL;
	status_number number = list ? status_block_new(lists) : 0;
	struct status_block *block = status_block(lists, number);
	if (!block)
		return hm_broken(why, "no memory for a block");
	block->version = row->version;
	block->issuer = (uint8_t)(issuer - lists->issuers);
	block->list = (uint8_t)place.list;
	block->first = (uint16_t)place.index;
	json_t *body = json_loadb(row->body, row->length, JSON_REJECT_DUPLICATES, &error);
	hm_result result = read_block(row, body, lists, block, why);
	json_decref(body);
	if (result == HM_OK)
		insert_block(lists, number);
	else
		status_block_free(lists, number);
	return result;
}

hm_result status_lists_take(struct status_lists *lists, const struct store_row *row, struct hm_problem *why)
{
	char name[HM_NAME_MAX + 1];
	struct status_place place;
	if (!read_key(row->key, name, &place))
		return fault(row, "its key is not an issuer, a list and a place", why);
	if (row->body)
		return take_block(lists, row, name, place, why);
	struct status_block *block = status_block_at(lists, name, place);
	if (block && block->first == place.index)
		remove_block(lists, block);
	return HM_OK;
}
