/* SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"
#include "siphash.h"
#include "status_inside.h"
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_SIZE = 1024 };

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
	*lists =
		(struct status_lists){.agents = agents, .tasks = tasks, .revocations = revocations, .size = FIRST_SIZE};
	lists->by_holder = calloc(lists->size, sizeof(void *));
	lists->by_agent = calloc(lists->size, sizeof(void *));
	lists->key = malloc(sizeof *lists->key);
	if (lists->by_holder && lists->by_agent && lists->key &&
		RAND_bytes(lists->key->bytes, sizeof lists->key->bytes) == 1)
		return lists;
	status_lists_close(lists);
	return NULL;
}

static void free_block(struct status_lists *lists, struct status_block *block)
{
	words_give(&lists->words, block->issuer);
	words_give(&lists->words, block->agent);
	words_give(&lists->words, block->kid);
	free(block);
}

void status_lists_close(struct status_lists *lists)
{
	if (!lists)
		return;
	for (unsigned i = 0; lists->by_agent && i < lists->size; i++)
		for (struct status_block *block = lists->by_agent[i], *next; block; block = next) {
			next = block->next_of_agent;
			free_block(lists, block);
		}
	for (unsigned i = 0; i < lists->issuers_count; i++) {
		for (unsigned k = 0; k < lists->issuers[i].count; k++)
			free(lists->issuers[i].lists[k]);
		words_give(&lists->words, lists->issuers[i].name);
	}
	free(lists->by_holder);
	free(lists->by_agent);
	free(lists->key);
	free(lists);
}

/* ---- finding blocks ---- */

static unsigned hash(const struct status_lists *lists, const char *issuer, const char *name)
{
	char text[HM_NAME_MAX + HM_SPIFFE_ID_MAX + 2];
	int length = snprintf(text, sizeof text, "%s %s", issuer, name);
	return (unsigned)siphash(lists->key, text, (size_t)length) & (lists->size - 1);
}

static struct status_block **holder_bucket(
	const struct status_lists *lists, const char *issuer, const char *agent, const char *task)
{
	return &lists->by_holder[hash(lists, issuer, task[0] ? task : agent)];
}

struct status_block *status_holder_first(
	const struct status_lists *lists, const char *issuer, const char *agent, const char *task)
{
	return *holder_bucket(lists, issuer, agent, task);
}

static void link_block(struct status_lists *lists, struct status_block *block)
{
	struct status_block **holder = holder_bucket(lists, block->issuer, block->agent, block->task);
	struct status_block **agent = &lists->by_agent[hash(lists, block->issuer, block->agent)];
	block->next_of_holder = *holder; /* the newest first: that is where places are left */
	*holder = block;
	block->next_of_agent = *agent;
	*agent = block;
}

static void unlink_block(struct status_lists *lists, struct status_block *block)
{
	struct status_block **at = holder_bucket(lists, block->issuer, block->agent, block->task);
	while (*at != block)
		at = &(*at)->next_of_holder;
	*at = block->next_of_holder;
	at = &lists->by_agent[hash(lists, block->issuer, block->agent)];
	while (*at != block)
		at = &(*at)->next_of_agent;
	*at = block->next_of_agent;
}

/* Twice as many buckets; without memory the chains are longer. */
static void grow(struct status_lists *lists)
{
	unsigned size = lists->size;
	struct status_block **by_agent = lists->by_agent, **by_holder = lists->by_holder;
	struct status_block **new_agent = calloc(2 * (size_t)size, sizeof(void *));
	struct status_block **new_holder = calloc(2 * (size_t)size, sizeof(void *));
	if (!new_agent || !new_holder) {
		free(new_agent);
		free(new_holder);
		return;
	}
	lists->by_agent = new_agent;
	lists->by_holder = new_holder;
	lists->size = 2 * size;
	for (unsigned i = 0; i < size; i++)
		for (struct status_block *block = by_agent[i], *next; block; block = next) {
			next = block->next_of_agent;
			link_block(lists, block);
		}
	free(by_agent);
	free(by_holder);
}

struct status_block *status_block_at(const struct status_lists *lists, const char *issuer, struct status_place place)
{
	const struct status_issuer *at = status_issuer(lists, issuer);
	if (!at || place.list >= at->count || place.index >= STATUS_LIST_PLACES)
		return NULL;
	const struct status_list *list = at->lists[place.list];
	for (unsigned back = 0; back < STATUS_BLOCK_PLACES && back <= place.index; back++) {
		struct status_block *block = list->blocks[place.index - back];
		if (block)
			return back < block->count ? block : NULL;
	}
	return NULL;
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

static enum status_value value_of_agent(const struct status_lists *lists, const struct status_block *block)
{
	const struct agent *agent = agents_find(lists->agents, block->issuer, block->agent);
	const struct agent *accountable = agent ? agents_accountable(lists->agents, agent) : NULL;
	if (!accountable)
		return STATUS_INVALID;
	return worse(value_of_status(agent->status), value_of_status(accountable->status));
}

/* What expired needs no word: no credential outlived it. */
static enum status_value value_of_task(const struct status_lists *lists, const struct status_block *block)
{
	static const enum status_value values[TASK_STATES] = {
		[TASK_PAUSED] = STATUS_SUSPENDED, [TASK_COMPLETED] = STATUS_INVALID, [TASK_CANCELLED] = STATUS_INVALID};
	if (!block->task[0])
		return STATUS_VALID;
	const struct task *task = tasks_find(lists->tasks, block->task);
	return task ? values[task_effective(task, 0)] : STATUS_INVALID;
}

static bool is_revoked(const struct status_lists *lists, const struct status_block *block)
{
	const struct revocation *subject =
		revocations_find(lists->revocations, REVOKED_SUBJECT, block->issuer, block->agent);
	const struct revocation *key = revocations_find(lists->revocations, REVOKED_KEY, block->issuer, block->kid);
	return (subject && block->leased <= subject->at) || (key && block->leased <= key->at);
}

enum status_value status_block_value(const struct status_lists *lists, const struct status_block *block)
{
	if (block->ended || is_revoked(lists, block))
		return STATUS_INVALID;
	return worse(value_of_task(lists, block), value_of_agent(lists, block));
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
	return status_issuer(lists, block->issuer)->lists[block->list];
}

static void derive(const struct status_lists *lists, const struct status_block *block)
{
	struct status_list *list = list_of(lists, block);
	enum status_value value = status_block_value(lists, block);
	for (unsigned i = block->first; i < block->first + block->count; i++)
		set_place(list, i, list->revoked[i / 32] & 1u << i % 32 ? STATUS_INVALID : value);
}

static void derive_each(const struct status_lists *lists, const char *issuer, const char *kid)
{
	for (unsigned i = 0; i < lists->size; i++)
		for (const struct status_block *block = lists->by_agent[i]; block; block = block->next_of_agent)
			if (strcmp(block->issuer, issuer) == 0 && (!kid || strcmp(block->kid, kid) == 0))
				derive(lists, block);
}

static void derive_agent(const struct status_lists *lists, const char *issuer, const char *agent)
{
	const struct status_block *block = lists->by_agent[hash(lists, issuer, agent)];
	for (; block; block = block->next_of_agent)
		if (strcmp(block->issuer, issuer) == 0 && strcmp(block->agent, agent) == 0)
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
	for (; block; block = block->next_of_holder)
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
		strlen(task) > HM_ID_MAX || (shared && count != 1))
		return fault(row, "a number out of its range", why);
	block->agent = words_take(&lists->words, agent);
	block->kid = words_take(&lists->words, kid);
	block->count = (uint8_t)count;
	block->leased = leased;
	block->given = hm_time();
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
	mark(list, block, false);
	for (unsigned i = block->first; i < (unsigned)block->first + block->count; i++) {
		list->revoked[i / 32] &= ~(1u << i % 32);
		set_place(list, i, STATUS_VALID);
	}
	list->blocks[block->first] = NULL;
	unlink_block(lists, block);
	free_block(lists, block);
	lists->count--;
}

/* Places of a block that somebody else leased, or an earlier life of ours, are all taken to be given out. */
static void insert_block(struct status_lists *lists, struct status_list *list, struct status_block *block)
{
	struct status_block *before = list->blocks[block->first];
	uint32_t bit = 1u << block->first % 32;
	bool is_ours = list->leasing[block->first / 32] & bit;
	block->used = block->shared || is_ours ? 0 : block->count;
	if (before) {
		block->used = before->used;
		unlink_block(lists, before);
		free_block(lists, before);
		lists->count--;
	}
	list->leasing[block->first / 32] &= ~bit;
	list->blocks[block->first] = block;
	mark(list, block, true);
	if (lists->count >= lists->size)
		grow(lists);
	link_block(lists, block);
	lists->count++;
	derive(lists, block);
}

static hm_result take_block(struct status_lists *lists, const struct store_row *row, const char *name,
	struct status_place place, struct hm_problem *why)
{
	json_error_t error;
	struct status_issuer *issuer = status_issuer_make(lists, name);
	struct status_list *list = issuer ? status_list_make(issuer, place.list) : NULL;
	struct status_block *block = list ? calloc(1, sizeof *block) : NULL;
	if (!block)
		return hm_broken(why, "no memory for a block");
	block->issuer = words_take(&lists->words, name);
	block->version = row->version;
	block->list = (uint16_t)place.list;
	block->first = (uint16_t)place.index;
	json_t *body = json_loadb(row->body, row->length, JSON_REJECT_DUPLICATES, &error);
	hm_result result = block->issuer ? read_block(row, body, lists, block, why) : hm_broken(why, "no memory");
	json_decref(body);
	if (result == HM_OK)
		insert_block(lists, list, block);
	else
		free_block(lists, block);
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
