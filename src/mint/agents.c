/* SPDX-License-Identifier: Apache-2.0 */
#include "agents.h"

#include "agent_row.h"
#include "pattern.h"
#include "siphash.h"
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS_MIN = 64, CLASSES_MIN = 16 };

/* Open addressing; at most three of four slots are taken. */
struct table {
	struct agent_entry **slots;
	size_t mask, used;
	uint64_t (*hash)(const struct agent_entry *entry);
};

/* What of a class is looked at first, side by side for all of them: nearly all that do not match are told from it. */
struct class
{
	uint64_t prefix; /* hash of what is before its first `*` */
	uint32_t prefix_length;
	uint32_t length;
	const struct agent *agent;
};

struct agents {
	struct siphash_key key;
	struct table by_name, by_id;
	struct agent_entry *root; /* of a tree in the order of issuers and SPIFFE IDs, and a heap by their hashes */
	struct class *classes;    /* the longest pattern first */
	size_t classes_count, classes_room;
};

/* ---- tables ---- */

static uint64_t name_hash(const struct agent_entry *entry)
{
	return entry->hash;
}

/* Ids are random. */
static uint64_t id_number(const char *id)
{
	uint64_t number;
	memcpy(&number, id, sizeof number);
	return number * 0x9e3779b97f4a7c15 >> 16;
}

static uint64_t id_hash(const struct agent_entry *entry)
{
	return id_number(entry->agent.id);
}

static void put(const struct table *table, struct agent_entry *entry)
{
	size_t slot = table->hash(entry) & table->mask;
	while (table->slots[slot])
		slot = (slot + 1) & table->mask;
	table->slots[slot] = entry;
}

/* Make room for one more. False: no memory. */
static bool make_room(struct table *table)
{
	size_t size = table->slots ? table->mask + 1 : 0;
	if ((table->used + 1) * 4 <= size * 3)
		return true;
	struct table larger = *table;
	larger.mask = (size ? size * 2 : SLOTS_MIN) - 1;
	larger.slots = calloc(larger.mask + 1, sizeof(struct agent_entry *));
	if (!larger.slots)
		return false;
	for (size_t i = 0; i < size; i++)
		if (table->slots[i])
			put(&larger, table->slots[i]);
	free((void *)table->slots);
	*table = larger;
	return true;
}

/* Those behind it that were put off by it move up, so that a free slot ends every search. */
static void take_out(struct table *table, const struct agent_entry *entry)
{
	struct agent_entry **slots = table->slots;
	size_t hole = table->hash(entry) & table->mask;
	while (slots[hole] != entry)
		hole = (hole + 1) & table->mask;
	for (size_t i = (hole + 1) & table->mask; slots[i]; i = (i + 1) & table->mask) {
		size_t from_home = (i - table->hash(slots[i])) & table->mask;
		if (from_home < ((i - hole) & table->mask))
			continue;
		slots[hole] = slots[i];
		hole = i;
	}
	slots[hole] = NULL;
	table->used--;
}

/* ---- the order ---- */

static int compare(const struct agent *agent, const char *issuer, const char *spiffe_id)
{
	int order = strcmp(agent->issuer, issuer);
	return order ? order : strcmp(agent->spiffe_id, spiffe_id);
}

static int compare_entries(const struct agent_entry *a, const struct agent_entry *b)
{
	return compare(&a->agent, b->agent.issuer, b->agent.spiffe_id);
}

static void insert(struct agent_entry **link, struct agent_entry *entry)
{
	while (*link && (*link)->hash >= entry->hash)
		link = compare_entries(entry, *link) < 0 ? &(*link)->less : &(*link)->more;
	struct agent_entry *node = *link, **less = &entry->less, **more = &entry->more;
	*link = entry;
	while (node) {
		if (compare_entries(node, entry) < 0) {
			*less = node;
			less = &node->more;
			node = *less;
		} else {
			*more = node;
			more = &node->less;
			node = *more;
		}
	}
	*less = *more = NULL;
}

static void remove_entry(struct agent_entry **link, const struct agent_entry *entry)
{
	while (*link != entry)
		link = compare_entries(entry, *link) < 0 ? &(*link)->less : &(*link)->more;
	struct agent_entry *less = entry->less, *more = entry->more;
	while (less && more) {
		if (less->hash >= more->hash) {
			*link = less;
			link = &less->more;
			less = *link;
		} else {
			*link = more;
			link = &more->less;
			more = *link;
		}
	}
	*link = less ? less : more;
}

static const struct agent *next(const struct agents *agents, const char *issuer, const char *after)
{
	const struct agent *found = NULL;
	for (const struct agent_entry *node = agents->root; node;) {
		bool is_behind = compare(&node->agent, issuer, after) > 0;
		if (is_behind)
			found = &node->agent;
		node = is_behind ? node->less : node->more;
	}
	return found && strcmp(found->issuer, issuer) == 0 ? found : NULL;
}

unsigned agents_list(
	const struct agents *agents, const char *issuer, const char *after, const struct agent **found, unsigned most)
{
	unsigned count = 0;
	if (!after)
		after = "";
	while (count < most && (found[count] = next(agents, issuer, after)))
		after = found[count++]->spiffe_id;
	return count;
}

/* ---- classes ---- */

/* Of a text and one character more: so those of all beginnings of a text are found in one pass. */
static uint64_t hash_more(uint64_t hash, char c)
{
	return hash * 0x9e3779b97f4a7c15 + (unsigned char)c + 1;
}

static struct class class_of(const struct agent *agent)
{
	struct class class = {0, 0, (uint32_t)strlen(agent->spiffe_id), agent};
	for (const char *c = agent->spiffe_id; *c && *c != '*'; c++, class.prefix_length++)
		class.prefix = hash_more(class.prefix, *c);
	return class;
}

static bool is_before(const struct class *a, const struct class *b)
{
	if (a->length != b->length)
		return a->length > b->length;
	return compare(a->agent, b->agent->issuer, b->agent->spiffe_id) < 0;
}

/* The place of a class, or where it would be. */
static size_t class_place(const struct agents *agents, const struct class *class)
{
	size_t low = 0, high = agents->classes_count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (is_before(&agents->classes[middle], class))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool make_room_for_class(struct agents *agents)
{
	if (agents->classes_count < agents->classes_room)
		return true;
	size_t room = agents->classes_room ? agents->classes_room * 2 : CLASSES_MIN;
	struct class *classes = realloc(agents->classes, room * sizeof *classes);
	if (!classes)
		return false;
	agents->classes = classes;
	agents->classes_room = room;
	return true;
}

static void add_class(struct agents *agents, const struct agent *agent)
{
	struct class class = class_of(agent);
	struct class *place = agents->classes + class_place(agents, &class);
	size_t behind = (size_t)(agents->classes + agents->classes_count - place);
	memmove(place + 1, place, behind * sizeof *place);
	*place = class;
	agents->classes_count++;
}

static void remove_class(struct agents *agents, const struct agent *agent)
{
	struct class class = class_of(agent);
	struct class *place = agents->classes + class_place(agents, &class);
	size_t behind = (size_t)(agents->classes + agents->classes_count - place) - 1;
	memmove(place, place + 1, behind * sizeof *place);
	agents->classes_count--;
}

const struct agent *agents_class_of(const struct agents *agents, const char *issuer, const char *spiffe_id)
{
	uint64_t prefixes[HM_SPIFFE_ID_MAX + 1];
	size_t length = strlen(spiffe_id);
	if (length > HM_SPIFFE_ID_MAX)
		return NULL;
	prefixes[0] = 0;
	for (size_t i = 0; i < length; i++)
		prefixes[i + 1] = hash_more(prefixes[i], spiffe_id[i]);
	for (size_t i = 0; i < agents->classes_count; i++) {
		const struct class *class = &agents->classes[i];
		if (class->length > length) /* each `*` stands for one character at least */
			continue;
		if (class->prefix == prefixes[class->prefix_length] && strcmp(class->agent->issuer, issuer) == 0 &&
			pattern_matches(class->agent->spiffe_id, spiffe_id, length))
			return class->agent;
	}
	return NULL;
}

const struct agent *agents_accountable(const struct agents *agents, const struct agent *agent)
{
	return agent->of ? agents_find(agents, agent->issuer, agent->of) : agent;
}

/* ---- all of them ---- */

struct agents *agents_open(void)
{
	struct agents *agents = calloc(1, sizeof *agents);
	if (!agents)
		return NULL;
	agents->by_name.hash = name_hash;
	agents->by_id.hash = id_hash;
	if (RAND_bytes(agents->key.bytes, sizeof agents->key.bytes) == 1 && make_room(&agents->by_name) &&
		make_room(&agents->by_id))
		return agents;
	agents_close(agents);
	return NULL;
}

void agents_close(struct agents *agents)
{
	if (!agents)
		return;
	for (size_t i = 0; agents->by_name.slots && i <= agents->by_name.mask; i++)
		free(agents->by_name.slots[i]);
	free((void *)agents->by_name.slots);
	free((void *)agents->by_id.slots);
	free(agents->classes);
	free(agents);
}

static uint64_t hash_name(const struct agents *agents, const char *issuer, const char *spiffe_id)
{
	struct siphash_key key = agents->key;
	uint64_t of_issuer = siphash(&key, issuer, strlen(issuer));
	memcpy(key.bytes, &of_issuer, sizeof of_issuer);
	return siphash(&key, spiffe_id, strlen(spiffe_id));
}

static struct agent_entry *find(const struct agents *agents, const char *issuer, const char *spiffe_id, uint64_t hash)
{
	const struct table *table = &agents->by_name;
	struct agent_entry *entry;
	for (size_t i = hash & table->mask; (entry = table->slots[i]); i = (i + 1) & table->mask)
		if (entry->hash == hash && compare(&entry->agent, issuer, spiffe_id) == 0)
			return entry;
	return NULL;
}

const struct agent *agents_find(const struct agents *agents, const char *issuer, const char *spiffe_id)
{
	const struct agent_entry *entry = find(agents, issuer, spiffe_id, hash_name(agents, issuer, spiffe_id));
	return entry ? &entry->agent : NULL;
}

const struct agent *agents_by_id(const struct agents *agents, const char *id)
{
	const struct table *table = &agents->by_id;
	const struct agent_entry *entry;
	if (strlen(id) != HM_ID_MAX)
		return NULL;
	for (size_t i = id_number(id) & table->mask; (entry = table->slots[i]); i = (i + 1) & table->mask)
		if (strcmp(entry->agent.id, id) == 0)
			return &entry->agent;
	return NULL;
}

unsigned agents_count(const struct agents *agents)
{
	return (unsigned)agents->by_name.used;
}

static void drop(struct agents *agents, struct agent_entry *entry)
{
	take_out(&agents->by_name, entry);
	take_out(&agents->by_id, entry);
	remove_entry(&agents->root, entry);
	if (entry->agent.is_class)
		remove_class(agents, &entry->agent);
	free(entry);
}

static void add(struct agents *agents, struct agent_entry *entry)
{
	put(&agents->by_name, entry);
	put(&agents->by_id, entry);
	agents->by_name.used++;
	agents->by_id.used++;
	insert(&agents->root, entry);
	if (entry->agent.is_class)
		add_class(agents, &entry->agent);
}

static hm_result take_deleted(struct agents *agents, const struct store_row *row)
{
	char issuer[HM_NAME_MAX + 1];
	size_t length = 0;
	const char *spiffe_id = agent_row_name(row->key, &length);
	if (!spiffe_id || length >= sizeof issuer)
		return HM_OK; /* there is none of that name */
	memcpy(issuer, row->key, length);
	issuer[length] = 0;
	struct agent_entry *known = find(agents, issuer, spiffe_id, hash_name(agents, issuer, spiffe_id));
	if (known && known->agent.version <= row->version)
		drop(agents, known);
	return HM_OK;
}

static void entry_cleanup(struct agent_entry **entry)
{
	free(*entry);
}

hm_result agents_take(struct agents *agents, const struct store_row *row, struct hm_problem *why)
{
	if (!row->body)
		return take_deleted(agents, row);
	__attribute__((cleanup(entry_cleanup))) struct agent_entry *entry = NULL;
	HM_TRY(agent_row_read(row, &entry, why));
	entry->hash = hash_name(agents, entry->agent.issuer, entry->agent.spiffe_id);
	struct agent_entry *known = find(agents, entry->agent.issuer, entry->agent.spiffe_id, entry->hash);
	const struct agent *same_id = agents_by_id(agents, entry->agent.id);
	if (same_id && (!known || same_id != &known->agent))
		return hm_broken(why, "the store's row of agent '%.200s': another has its id", row->key);
	if (known && known->agent.version > row->version)
		return HM_OK; /* it has changed since */
	if (!make_room(&agents->by_name) || !make_room(&agents->by_id) ||
		(entry->agent.is_class && !make_room_for_class(agents)))
		return hm_broken(why, "no memory");
	if (known)
		drop(agents, known);
	add(agents, entry);
	entry = NULL; /* it is the view's */
	return HM_OK;
}

/* ---- may it ---- */

static bool has_status(const struct agent *agent, const struct agent *class, enum agent_status status)
{
	return agent->status == status || class->status == status;
}

hm_result agents_check_named(
	const struct agents *agents, const char *issuer, const char *spiffe_id, int64_t now, struct hm_problem *why)
{
	const struct agent *agent = agents_find(agents, issuer, spiffe_id);
	return agents_check(agent, agent ? agents_accountable(agents, agent) : NULL, now, why);
}

hm_result agents_check(const struct agent *agent, const struct agent *class, int64_t now, struct hm_problem *why)
{
	if (!agent && !class)
		return hm_refuse(why, "unknown_agent", NULL, "an agent that is registered, or of a registered class");
	if (!agent)
		agent = class;
	if (!agent->of || !class) /* it answers for itself; an instance whose class is gone has no owner */
		class = agent;
	if (has_status(agent, class, AGENT_RETIRED))
		return hm_refuse(why, "agent_retired", NULL, "an agent that is active");
	if (has_status(agent, class, AGENT_SUSPENDED))
		return hm_refuse(why, "agent_suspended", NULL, "an agent that is active, once it is resumed");
	if (!class->owner[0])
		return hm_refuse(why, "agent_unowned", NULL, "an agent that has an owner");
	if (class->review <= now)
		return hm_refuse(why, "agent_review_due", NULL, "an agent whose review is not due");
	return HM_OK;
}
