/* SPDX-License-Identifier: Apache-2.0 */
#include "fair.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 256, PLACES = 2 * HM_PENDING_MAX };

/* ---- taking turns ---- */

enum turn_place { OUT, FRESH, ROUND };

struct turn {
	TAILQ_ENTRY(turn) next;
	enum turn_place place;
	unsigned count; /* that joined */
	unsigned waiting, weight;
	double due; /* in the round's time */
};
TAILQ_HEAD(turn_list, turn);

/*
 * Who comes stands in `fresh`; who was served is due again in the round when all others have had what their weight
 * gives them meanwhile, and keeps that place though it waits for nothing: otherwise one that asks one by one would be
 * new each time. The two lists are served alternately: who asks seldom waits for one other, and however many newcomers
 * there are, the round goes on.
 */
struct turns {
	struct turn_list fresh, round; /* the round by `due` */
	double time;                   /* when the last one of the round was due */
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
		return; /* served a moment ago: the others come first */
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
	turn->due = turns->time + 1.0 / turn->weight;
	struct turn *before = TAILQ_LAST(&turns->round, turn_list);
	while (before && before->due > turn->due)
		before = TAILQ_PREV(before, turn_list, next);
	if (before)
		TAILQ_INSERT_AFTER(&turns->round, before, turn, next);
	else
		TAILQ_INSERT_HEAD(&turns->round, turn, next);
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
		if (turn == round)
			turns->time = turn->due;
		go_round(turns, turn);
		return turn;
	}
}

/* ---- groups and members ---- */

struct group {
	struct turn turn; /* first, so that one is the other */
	LIST_ENTRY(group) in_bucket;
	uint64_t id;
	struct turns members;
};

struct member {
	struct turn turn; /* first */
	LIST_ENTRY(member) in_bucket;
	uint64_t id;
	struct group *group;
	struct pending_list line;
};

/*
 * A group or member stays when nobody of it is left, so that its place in the round is known, until another needs the
 * place. Requests are of at most half of them.
 */
struct fair {
	unsigned count, waiting;
	struct pending_list first; /* those that were served in vain */
	struct turns groups;
	LIST_HEAD(, group) group_buckets[BUCKETS];
	LIST_HEAD(, member) member_buckets[BUCKETS];
	unsigned used_groups, used_members; /* a quiet service touches few pages */
	unsigned group_hand, member_hand;   /* where the last place was found */
	struct group group_places[PLACES];
	struct member member_places[PLACES];
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

/* ---- places ---- */

static void forget_member(struct member *member)
{
	turn_leave(&member->group->members, &member->turn);
	LIST_REMOVE(member, in_bucket);
	*member = (struct member){0};
}

static void forget_group(struct fair *fair, struct group *group)
{
	for (unsigned i = 0; i < fair->used_members; i++)
		if (fair->member_places[i].group == group)
			forget_member(&fair->member_places[i]);
	turn_leave(&fair->groups, &group->turn);
	LIST_REMOVE(group, in_bucket);
}

static struct group *group_place(struct fair *fair)
{
	if (fair->used_groups < PLACES)
		return &fair->group_places[fair->used_groups++];
	while (fair->group_places[fair->group_hand].turn.count)
		fair->group_hand = (fair->group_hand + 1) % PLACES;
	forget_group(fair, &fair->group_places[fair->group_hand]);
	return &fair->group_places[fair->group_hand];
}

static struct member *member_place(struct fair *fair)
{
	if (fair->used_members < PLACES)
		return &fair->member_places[fair->used_members++];
	while (fair->member_places[fair->member_hand].turn.count)
		fair->member_hand = (fair->member_hand + 1) % PLACES;
	struct member *member = &fair->member_places[fair->member_hand];
	if (member->group)
		forget_member(member);
	return member;
}

static struct group *add_group(struct fair *fair, const struct fair_who *who)
{
	struct group *group = group_place(fair);
	*group = (struct group){.id = who->group};
	turns_begin(&group->members);
	LIST_INSERT_HEAD(&fair->group_buckets[who->group % BUCKETS], group, in_bucket);
	return group;
}

static struct member *add_member(struct fair *fair, struct group *group, const struct fair_who *who)
{
	struct member *member = member_place(fair);
	*member = (struct member){.id = who->member, .group = group, .turn.weight = 1};
	TAILQ_INIT(&member->line);
	LIST_INSERT_HEAD(&fair->member_buckets[member_bucket(who)], member, in_bucket);
	return member;
}

/* ---- joining and leaving ---- */

/* A reload may have changed it. */
static void set_weight(struct fair *fair, struct group *group, unsigned weight)
{
	if (group->turn.waiting)
		fair->groups.weight += weight - group->turn.weight;
	group->turn.weight = weight;
}

bool fair_has_room(const struct fair *fair, const struct fair_who *who, unsigned free_places)
{
	const struct group *group = find_group(fair, who);
	const struct member *member = group ? find_member(fair, who) : NULL;
	return fair->count + (group ? group->turn.count : 0) + (member ? member->turn.count : 0) <= free_places;
}

bool fair_join(struct fair *fair, struct pending *pending, unsigned free_places)
{
	const struct fair_who *who = &pending->who;
	if (!fair_has_room(fair, who, free_places))
		return false;
	struct group *group = find_group(fair, who);
	struct member *member = group ? find_member(fair, who) : NULL;
	if (!group)
		group = add_group(fair, who);
	group->turn.count++;
	if (!member)
		member = add_member(fair, group, who);
	member->turn.count++;
	fair->count++;
	set_weight(fair, group, who->weight);
	pending->member = member;
	return true;
}

void fair_leave(struct fair *fair, struct pending *pending)
{
	struct member *member = pending->member;
	pending->member = NULL;
	fair->count--;
	member->turn.count--;
	member->group->turn.count--;
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
	double weight = fair->groups.weight - (group_waits ? group->turn.weight : 0) + who->weight;
	double members = group ? group->members.active + (member_waits ? 0 : 1) : 1;
	double turns = own * members * weight / who->weight;
	double all = fair->waiting + 1.0; /* with lines as short as some are, others run out before */
	return turns < all ? turns : all;
}
