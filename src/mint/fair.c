/* SPDX-License-Identifier: Apache-2.0 */
#include "fair.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 256 };

/* ---- taking turns ---- */

enum turn_place { OUT, FRESH, ROUND };

struct turn {
	TAILQ_ENTRY(turn) next;
	enum turn_place place;
	unsigned waiting, weight, credit;
};
TAILQ_HEAD(turn_list, turn);

/* Those who came to an empty line stand in `fresh`, who was served goes round. The two lists are served alternately:
 * who asks seldom waits for one other, and however many newcomers there are, the round goes on. */
struct turns {
	struct turn_list fresh, round;
	bool was_fresh;
	unsigned active, weight; /* of those with somebody waiting */
};

static void turns_begin(struct turns *turns)
{
	*turns = (struct turns){0};
	TAILQ_INIT(&turns->fresh);
	TAILQ_INIT(&turns->round);
}

static void turn_leave(struct turns *turns, struct turn *turn)
{
	if (turn->place != OUT)
		TAILQ_REMOVE(turn->place == FRESH ? &turns->fresh : &turns->round, turn, next);
	turn->place = OUT;
}

static void turn_more(struct turns *turns, struct turn *turn)
{
	if (turn->waiting++)
		return;
	turns->active++;
	turns->weight += turn->weight;
	if (turn->place != OUT)
		return; /* served a moment ago: it waits for the others */
	turn->place = FRESH;
	TAILQ_INSERT_TAIL(&turns->fresh, turn, next);
}

static void turn_less(struct turns *turns, struct turn *turn)
{
	if (--turn->waiting)
		return;
	turns->active--;
	turns->weight -= turn->weight;
}

static void go_round(struct turns *turns, struct turn *turn)
{
	turn_leave(turns, turn);
	turn->place = ROUND;
	turn->credit = turn->weight;
	TAILQ_INSERT_TAIL(&turns->round, turn, next);
}

/* Somebody waits. */
static struct turn *turns_next(struct turns *turns)
{
	for (;;) {
		struct turn *fresh = TAILQ_FIRST(&turns->fresh), *round = TAILQ_FIRST(&turns->round);
		struct turn *turn = fresh && (!turns->was_fresh || !round) ? fresh : round;
		if (!turn->waiting) {
			turn_leave(turns, turn);
			continue;
		}
		turns->was_fresh = turn == fresh;
		if (turn == fresh || --turn->credit == 0)
			go_round(turns, turn);
		return turn;
	}
}

/* ---- groups and members ---- */

struct group {
	struct turn turn; /* first, so that one is the other */
	LIST_ENTRY(group) in_bucket;
	uint64_t id;
	unsigned count;
	struct turns members;
};

struct member {
	struct turn turn; /* first */
	LIST_ENTRY(member) in_bucket;
	uint64_t id;
	unsigned count;
	struct group *group;
	struct pending_list line;
};

struct fair {
	unsigned count, waiting;
	struct pending_list first; /* those that were served in vain */
	struct turns groups;
	LIST_HEAD(, group) group_buckets[BUCKETS];
	LIST_HEAD(, member) member_buckets[BUCKETS];
	LIST_HEAD(, group) free_groups; /* used before: a quiet service touches few pages */
	LIST_HEAD(, member) free_members;
	unsigned used_groups, used_members;
	struct group group_places[HM_PENDING_MAX]; /* each request may be of another */
	struct member member_places[HM_PENDING_MAX];
};

struct fair *fair_open(void)
{
	struct fair *fair = calloc(1, sizeof *fair);
	if (!fair)
		return NULL;
	TAILQ_INIT(&fair->first);
	turns_begin(&fair->groups);
	return fair;
}

void fair_close(struct fair *fair)
{
	free(fair);
}

static struct group *find_group(const struct fair *fair, const struct fair_who *who)
{
	struct group *group = LIST_FIRST(&fair->group_buckets[who->group % BUCKETS]);
	while (group && group->id != who->group)
		group = LIST_NEXT(group, in_bucket);
	return group;
}

static unsigned member_bucket(const struct fair_who *who)
{
	return (unsigned)((who->group ^ who->member) % BUCKETS);
}

static struct member *find_member(const struct fair *fair, const struct fair_who *who)
{
	struct member *member = LIST_FIRST(&fair->member_buckets[member_bucket(who)]);
	while (member && (member->id != who->member || member->group->id != who->group))
		member = LIST_NEXT(member, in_bucket);
	return member;
}

/* No more requests join than there are places. */
static struct group *add_group(struct fair *fair, const struct fair_who *who)
{
	struct group *group = LIST_FIRST(&fair->free_groups);
	if (group)
		LIST_REMOVE(group, in_bucket);
	else
		group = &fair->group_places[fair->used_groups++];
	*group = (struct group){.id = who->group, .turn = {.weight = who->weight, .credit = who->weight}};
	turns_begin(&group->members);
	LIST_INSERT_HEAD(&fair->group_buckets[who->group % BUCKETS], group, in_bucket);
	return group;
}

static struct member *add_member(struct fair *fair, struct group *group, const struct fair_who *who)
{
	struct member *member = LIST_FIRST(&fair->free_members);
	if (member)
		LIST_REMOVE(member, in_bucket);
	else
		member = &fair->member_places[fair->used_members++];
	*member = (struct member){.id = who->member, .group = group, .turn = {.weight = 1, .credit = 1}};
	TAILQ_INIT(&member->line);
	LIST_INSERT_HEAD(&fair->member_buckets[member_bucket(who)], member, in_bucket);
	return member;
}

static void drop_member(struct fair *fair, struct member *member)
{
	turn_leave(&member->group->members, &member->turn);
	LIST_REMOVE(member, in_bucket);
	LIST_INSERT_HEAD(&fair->free_members, member, in_bucket);
}

static void drop_group(struct fair *fair, struct group *group)
{
	turn_leave(&fair->groups, &group->turn);
	LIST_REMOVE(group, in_bucket);
	LIST_INSERT_HEAD(&fair->free_groups, group, in_bucket);
}

/* ---- joining and leaving ---- */

bool fair_join(struct fair *fair, struct pending *pending, unsigned free_places)
{
	const struct fair_who *who = &pending->who;
	struct group *group = find_group(fair, who);
	struct member *member = group ? find_member(fair, who) : NULL;
	if (fair->count + (group ? group->count : 0) + (member ? member->count : 0) > free_places)
		return false;
	if (!group)
		group = add_group(fair, who);
	if (!member)
		member = add_member(fair, group, who);
	fair->count++;
	group->count++;
	member->count++;
	pending->member = member;
	return true;
}

void fair_leave(struct fair *fair, struct pending *pending)
{
	struct member *member = pending->member;
	struct group *group = member->group;
	pending->member = NULL;
	fair->count--;
	if (--member->count == 0)
		drop_member(fair, member);
	if (--group->count == 0)
		drop_group(fair, group);
}

/* ---- waiting ---- */

void fair_wait(struct fair *fair, struct pending *pending)
{
	struct member *member = pending->member;
	TAILQ_INSERT_TAIL(&member->line, pending, at_token);
	turn_more(&member->group->members, &member->turn);
	turn_more(&fair->groups, &member->group->turn);
	fair->waiting++;
	pending->goes_first = false;
}

void fair_wait_first(struct fair *fair, struct pending *pending)
{
	TAILQ_INSERT_HEAD(&fair->first, pending, at_token);
	fair->waiting++;
	pending->goes_first = true;
}

void fair_take_out(struct fair *fair, struct pending *pending)
{
	struct member *member = pending->member;
	fair->waiting--;
	if (pending->goes_first) {
		TAILQ_REMOVE(&fair->first, pending, at_token);
		return;
	}
	TAILQ_REMOVE(&member->line, pending, at_token);
	turn_less(&member->group->members, &member->turn);
	turn_less(&fair->groups, &member->group->turn);
}

struct pending *fair_next(struct fair *fair)
{
	struct pending *pending = TAILQ_FIRST(&fair->first);
	if (!pending && !fair->waiting)
		return NULL;
	if (!pending) {
		struct group *group = (struct group *)turns_next(&fair->groups);
		struct member *member = (struct member *)turns_next(&group->members);
		pending = TAILQ_FIRST(&member->line);
	}
	fair_take_out(fair, pending);
	return pending;
}

unsigned fair_waiting(const struct fair *fair)
{
	return fair->waiting;
}

double fair_turns_until(const struct fair *fair, const struct fair_who *who)
{
	const struct group *group = find_group(fair, who);
	const struct member *member = group ? find_member(fair, who) : NULL;
	unsigned own = 1 + (member ? member->turn.waiting : 0);
	bool group_waits = group && group->turn.waiting, member_waits = member && member->turn.waiting;
	unsigned own_weight = group ? group->turn.weight : who->weight; /* its callers' weights may differ */
	double weight = fair->groups.weight + (group_waits ? 0 : own_weight);
	double members = group ? group->members.active + (member_waits ? 0 : 1) : 1;
	double turns = own * members * weight / own_weight;
	double all = fair->waiting + 1.0; /* with lines as short as some are, others run out before */
	return turns < all ? turns : all;
}
