/* SPDX-License-Identifier: Apache-2.0 */
#include "mint.h"

#include "base64url.h"
#include "clock.h"
#include "clock_watch.h"
#include "fault.h"
#include "governed.h"
#include "id.h"
#include "json_write.h"
#include "key_choice.h"
#include "ledger_heads.h"
#include "record.h"
#include "jwt.h"
#include "log.h"
#include "mint_reply.h"
#include "rate.h"
#include "replay.h"
#include "status_publish.h"
#include "token_request.h"
#include <stdio.h>
#include <string.h>

static uint64_t now_ms(void)
{
	return uv_hrtime() / 1000000;
}

static void refuse_pending(struct service *service, const struct pending *pending, const struct hm_problem *why)
{
	mint_refuse(service, pending->gate_generation, pending->gate_request, pending->operation, why);
}

/* ---- the way in ---- */

/* Who is shown a credential knows when it was issued by what it says itself: dated back to before a revocation of its
 * subject or key, it would be covered by that. */
static unsigned backdate(const struct service *service, const struct decision *decision,
	const struct mint_request *request, const char *kid, int64_t issued)
{
	const char *issuer = decision->issuer->name;
	int64_t until = revocations_until(service->revocations, issuer, request->subject, kid), other = -1;
	if (request->delegation)
		other = revocations_until(service->revocations, issuer, request->delegation->sub, kid);
	int64_t since = issued - (other > until ? other : until);
	if (since > decision->backdate || since < 1)
		return decision->backdate;
	return (unsigned)since - 1;
}

static hm_result fill(const struct service *service, struct pending *pending, const struct decision *decided,
	const struct mint_request *request, const struct issuing_key *key, struct hm_problem *why)
{
	struct decision dated = *decided;
	const struct decision *decision = &dated;
	if (!id_make(pending->id_text))
		return hm_broken(why, "getrandom gave too little");
	struct jwt_times times = {.issued = decision->now};
	times.expires = times.issued + decision->lifetime;
	dated.backdate = backdate(service, decided, request, key->jwk.kid, times.issued);
	HM_TRY(jwt_build(decision, request, key->header, pending->id_text, &times,
		pending->has_place ? &pending->place : NULL, pending->jwt, &pending->tbs_length, why));
	pending->kind = decision->profile->kind;
	pending->issued = times.issued;
	pending->expires = times.expires;
	snprintf(pending->profile, sizeof pending->profile, "%s", decision->profile->name);
	memcpy(pending->kid, key->jwk.kid, sizeof pending->kid);
	return HM_OK;
}

/* A request on its way in. */
struct asking {
	uint64_t id, generation; /* of gate's frame */
	const struct gate_request *request;
	uint64_t deadline_ms; /* the latest, until set_deadline has looked at what the caller wants */
	struct mint_request asked;
	struct policy_granted granted; /* what was committed for it before */
	unsigned tries;                /* how often something was */
	struct decision decision;
	struct governed_needs needs;
	struct identity caller, key; /* with an Idempotency-Key, */
	struct identity terms;       /* and then what the configuration puts into the credential */
	struct replay *replay;       /* of the key; NULL: none, or nothing is known of it */
	struct bucket *buckets[2];
	unsigned bucket_count;
};

static void free_asking(struct asking *asking)
{
	mint_request_free(&asking->asked);
	governed_needs_free(&asking->needs);
}
#define ASKING_AUTO __attribute__((cleanup(free_asking))) struct asking

/* Gate's word can only shorten the time. */
static hm_result set_deadline(struct asking *asking, struct hm_problem *why)
{
	uint64_t wanted = asking->request->deadline_ms;
	if (wanted && wanted < asking->deadline_ms)
		asking->deadline_ms = wanted;
	if (asking->deadline_ms <= now_ms())
		return hm_unavailable(why, "deadline", "it had passed before mint saw the request");
	return HM_OK;
}

static hm_result find_replay(struct service *service, struct asking *asking, struct hm_problem *why)
{
	const struct gate_request *request = asking->request;
	if (!request->key.text[0])
		return HM_OK;
	HM_TRY(identity_of_caller(service->config, &request->caller, &asking->caller, why));
	HM_TRY(identity_of_key(&asking->caller, request->key.text, &asking->key, why));
	return replays_find(
		service->replays, &asking->key, &request->key, uv_now(&service->loop), &asking->replay, why);
}

/* ---- what was asked for before ---- */

/* One key, two callers or two configurations: what was made for the one is not what the other would get. */
static hm_result check_terms(const struct asking *asking, const uint8_t *terms, struct hm_problem *why)
{
	if (memcmp(asking->terms.bytes, terms, sizeof asking->terms.bytes) == 0)
		return HM_OK;
	return hm_refuse(why, "replay_withdrawn", NULL, "a new Idempotency-Key: the configuration has changed");
}

/* What was given out before is given out again only if it might be minted now: policy_decide has said yes to the
 * request, the rest is what of the credential may differ from what would be minted. */
static hm_result replay(
	struct service *service, const struct asking *asking, const struct kept *kept, struct hm_problem *why)
{
	const struct config_profile *profile = asking->decision.profile;
	HM_TRY(check_terms(asking, kept->terms, why));
	if (kept->expires <= hm_time())
		return hm_refuse(why, "replay_withdrawn", NULL, "a new Idempotency-Key: the credential has expired");
	if (revocations_cover(service->revocations, asking->decision.issuer->name, kept->id, asking->asked.subject,
		    kept->kid, kept->issued))
		return hm_refuse(why, "replay_withdrawn", NULL, "a new Idempotency-Key: the credential was revoked");
	if (kept->expires - kept->issued > profile->lifetime.maximum)
		return hm_refuse(why, "replay_withdrawn", NULL, "a new Idempotency-Key: the credential lives too long");
	if (!key_choice_knows(service, profile, kept->kid))
		return hm_refuse(why, "replay_withdrawn", NULL, "a new Idempotency-Key: another key signs now");
	mint_reply_give_again(service, asking->generation, asking->id, kept->text, kept->length);
	return HM_OK;
}

static struct pending *take_place(struct service *service, const struct asking *asking)
{
	struct pending *pending = pending_take(service->pool, asking->deadline_ms);
	if (!pending)
		return NULL;
	pending->gate_request = asking->id;
	pending->gate_generation = asking->generation;
	pending->operation = asking->request->operation;
	pending->configuration = service->configuration;
	if (pending_next_due(service->pool) == pending)
		mint_expire(service);
	return pending;
}

static unsigned *followers(struct service *service, uint64_t group)
{
	return &service->followers[group % HM_CALLERS_MAX];
}

/* Wait for the answer to the request that came first. Half the places are for requests that ask for something new; of
 * the others one caller takes no more than it leaves free. */
static hm_result follow(
	struct service *service, const struct asking *asking, struct pending *leader, struct hm_problem *why)
{
	HM_TRY(check_terms(asking, leader->terms, why));
	uint64_t group = asking->decision.caller->group;
	bool has_room = pending_free(service->pool) > HM_PENDING_MAX / 2 + *followers(service, group);
	struct pending *pending = has_room ? take_place(service, asking) : NULL;
	if (!pending)
		return hm_overload(why, token_wait_s(leader->token), "too many repetitions wait");
	pending->who.group = group;
	++*followers(service, group);
	pending->leader = leader;
	TAILQ_INSERT_TAIL(&leader->followers, pending, at_token);
	if (leader->wanted_until_ms < pending->deadline_ms)
		leader->wanted_until_ms = pending->deadline_ms;
	return HM_OK;
}

/* Of two that are used up the one that takes longer is told. */
static hm_result look_at_rate(struct rates *rates, struct asking *asking, const struct rate *rate, uint64_t now,
	hm_result before, struct hm_problem *why)
{
	struct hm_problem other;
	hm_result result =
		rates_look(rates, rate, now, &asking->buckets[asking->bucket_count++], before == HM_OK ? why : &other);
	if (before == HM_OK || result == HM_OK)
		return before == HM_OK ? result : before;
	if (other.retry_after > why->retry_after)
		*why = other;
	return before;
}

static hm_result look_at_rates(struct service *service, struct asking *asking, struct hm_problem *why)
{
	const struct config_caller *caller = asking->decision.caller;
	const struct config_profile *profile = asking->decision.profile;
	const char *tenant = asking->decision.tenant;
	const char *const whose[] = {"caller", "agent", "tenant"};
	const char *const names[] = {caller->name, asking->asked.subject, tenant ? tenant : ""};
	struct rate rate = {.field = "caller", .burst = caller->burst, .owner = caller->group};
	uint64_t now = uv_now(&service->loop);
	hm_result result = HM_OK;
	if (caller->rate) {
		rate.per_second = *caller->rate;
		HM_TRY(identity_of_words("caller", caller->issuer, caller->name, NULL, &rate.who, why));
		result = look_at_rate(service->caller_rates, asking, &rate, now, result, why);
	}
	if (!profile->rate)
		return result;
	rate = (struct rate){.field = whose[profile->per],
		.per_second = *profile->rate,
		.burst = profile->burst,
		.owner = caller->group};
	HM_TRY(identity_of_words("profile", profile->name, profile->per == PER_TENANT ? caller->name : rate.field,
		names[profile->per], &rate.who, why));
	return look_at_rate(service->profile_rates, asking, &rate, now, result, why);
}

static hm_result set_turn(struct pending *pending, const struct decision *decision, struct hm_problem *why)
{
	const struct config_caller *caller = decision->caller;
	struct identity tenant;
	pending->who = (struct fair_who){.group = caller->group, .weight = caller->weight};
	if (caller->fair_by != FAIR_BY_TENANT)
		return HM_OK;
	HM_TRY(identity_of_words("tenant", decision->tenant, NULL, NULL, &tenant, why));
	pending->who.member = identity_number(&tenant);
	return HM_OK;
}

/* The end of a request. One that was sent to a token and comes to nothing (`reason`: why) is told of in the ledger. */
static void end(struct service *service, struct pending *pending, const char *reason)
{
	if (reason && pending->ticket)
		record_void(service, pending, reason);
	pending_release(service->pool, pending);
}

static void forget(struct service *service, struct pending *pending)
{
	if (pending->replay)
		replay_drop(service->replays, pending);
}

static hm_result remember(
	struct service *service, const struct asking *asking, struct pending *pending, struct hm_problem *why)
{
	struct identity tenant = {{0}};
	if (asking->decision.tenant)
		HM_TRY(identity_of_words("tenant", asking->decision.tenant, NULL, NULL, &tenant, why));
	memcpy(pending->terms, asking->terms.bytes, sizeof pending->terms);
	return replays_begin(service->replays, &asking->caller, &tenant, &asking->key, &asking->request->key,
		pending->tbs_length + MINT_REPLY_MORE, uv_now(&service->loop), pending, why);
}

static hm_result submit(struct service *service, const struct asking *asking, const struct issuing_key *key,
	struct pending *pending, struct hm_problem *why)
{
	const struct decision *decision = &asking->decision;
	governed_remember(pending, decision, &asking->asked, &asking->needs);
	HM_TRY(fill(service, pending, decision, &asking->asked, key, why));
	HM_TRY(set_turn(pending, decision, why));
	HM_TRY(record_prepare(
		pending, service->config->state, decision, &asking->asked, asking->request->key.text, why));
	if (asking->request->key.text[0])
		HM_TRY(remember(service, asking, pending, why));
	return token_submit(key->token, key->place, pending, why);
}

static hm_result choose_key(const struct service *service, const struct config_profile *profile,
	const struct issuing_key **key, struct hm_problem *why)
{
	*key = key_choice(service, profile, NULL);
	if (!*key)
		*key = key_choice_to_wait_for(service, profile);
	if ((*key)->known)
		return HM_OK;
	return hm_unavailable(why, "token_unavailable", "key %s is not known yet", (*key)->config->name);
}

static struct parked_request about(const struct asking *asking)
{
	struct parked_request about = {.id = asking->id,
		.generation = asking->generation,
		.deadline_ms = asking->deadline_ms,
		.tries = asking->tries,
		.before = asking->granted,
		.granted = asking->needs.granted,
		.acts = asking->needs.acts};
	if (!asking->decision.issuer) /* nothing is decided yet */
		return about;
	snprintf(about.acts.issuer, sizeof about.acts.issuer, "%s", asking->decision.issuer->name);
	snprintf(about.acts.caller, sizeof about.acts.caller, "%s", asking->decision.caller->name);
	snprintf(about.acts.subject, sizeof about.acts.subject, "%s", asking->asked.subject);
	return about;
}

/* Something must be committed first; mint_again goes on from there. */
static hm_result wait_for_store(struct service *service, struct asking *asking, struct hm_problem *why)
{
	const struct parked_request request = about(asking);
	struct changes *changes = asking->needs.changes;
	asking->needs.changes = NULL;
	return parked_commit(service->parked, &request, asking->request, changes, why);
}

/* Who brings an assertion twice, here or at another node, is refused before anything is decided for it. */
static hm_result use_assertion(struct service *service, struct asking *asking, struct hm_problem *why)
{
	struct governed_needs *needs = &asking->needs;
	needs->granted = asking->granted;
	needs->granted.assertion = true;
	needs->changes = changes_open();
	if (!needs->changes || !assertions_put(needs->changes, &asking->asked.assertion))
		return hm_broken(why, "no memory for an assertion");
	return wait_for_store(service, asking, why);
}

/* Our own decision is yes; so must the site's be. */
static hm_result wait_for_engine(struct service *service, struct asking *asking, struct hm_problem *why)
{
	const struct parked_request request = about(asking);
	return parked_ask(service->parked, &request, asking->request, &asking->decision, &asking->asked, why);
}

/* Who comes again while one waits is told of that one: asking costs nothing of the rate, and must not fill the store.
 */
static hm_result ask_approval(struct service *service, struct asking *asking, struct hm_problem *why)
{
	const struct decision *decision = &asking->decision;
	unsigned waiting;
	const struct approval *same = approvals_pending(service->approvals, decision->issuer->name,
		decision->caller->name, decision->hash, decision->now, &waiting);
	if (same) {
		mint_reply_asked(service, asking->generation, asking->id, asking->request->operation, same);
		return HM_OK;
	}
	if (waiting >= HM_APPROVALS_WAITING_MAX)
		return hm_overload(why, 1, "as many requests of this caller wait for approval as may");
	HM_TRY(governed_ask(decision, &asking->asked, &asking->needs, why));
	return wait_for_store(service, asking, why);
}

static hm_result strike(struct service *service, struct asking *asking, struct hm_problem *why)
{
	const struct issuing_key *key = NULL;
	const struct decision *decision = &asking->decision;
	asking->needs.granted = asking->granted;
	HM_TRY(look_at_rates(service, asking, why));
	if (decision->approvers)
		return ask_approval(service, asking, why);
	if (service->engine && !asking->granted.engine)
		return wait_for_engine(service, asking, why);
	HM_TRY(choose_key(service, decision->profile, &key, why));
	HM_TRY(governed_prepare(service, decision, &asking->asked, key->jwk.kid, decision->now + decision->lifetime,
		&asking->needs, why));
	if (asking->needs.changes)
		return wait_for_store(service, asking, why);
	struct pending *pending = take_place(service, asking);
	if (!pending)
		return hm_overload(why, token_wait_s(key_choice_to_wait_for(service, asking->decision.profile)->token),
			"all places are taken");
	hm_result result = submit(service, asking, key, pending, why);
	if (result != HM_OK) {
		forget(service, pending);
		pending_release(service->pool, pending);
		return result;
	}
	for (unsigned i = 0; i < asking->bucket_count; i++)
		bucket_take(asking->buckets[i]);
	return HM_OK;
}

/* Repetitions of what was struck, or is about to be. */
static bool was_granted(const struct asking *asking)
{
	uint16_t item = asking->request->key.item;
	return asking->replay && (replay_kept(asking->replay, item) || replay_leader(asking->replay, item));
}

/* What is asked, and our own yes to it. A token request is known by what is decided of it; of one whose client brings
 * an assertion nothing is, before that is used up. */
static hm_result decide(
	const struct service *service, struct asking *asking, const struct policy_views *views, struct hm_problem *why)
{
	const struct gate_request *request = asking->request;
	if (request->operation == OPERATION_TOKEN)
		return token_request_read(
			service, views, &asking->granted, request, &asking->asked, &asking->decision, why);
	HM_TRY(mint_request_parse(request->body, request->operation == OPERATION_MINT_ITEM, &asking->asked, why));
	if (was_granted(asking)) /* what it used up then does not stand in its way now, and nothing is struck for it */
		asking->granted = (struct policy_granted){.approval = true, .struck = true};
	return policy_decide(
		service->config, views, &asking->granted, &request->caller, &asking->asked, &asking->decision, why);
}

static hm_result take_request(struct service *service, struct asking *asking, struct hm_problem *why)
{
	const struct gate_request *request = asking->request;
	if (service->stopping)
		return hm_unavailable(why, "shutting_down", "stopping");
	HM_TRY(fault_refusal(service, why));
	HM_TRY(clock_watch_refusal(service, why));
	HM_TRY(ledger_heads_refusal(service, why));
	HM_TRY(governed_refusal(service, why));
	HM_TRY(set_deadline(asking, why));
	HM_TRY(find_replay(service, asking, why));
	const struct policy_views views = governed_views(service);
	HM_TRY(decide(service, asking, &views, why));
	if (asking->asked.assertion.key[0])
		return use_assertion(service, asking, why);
	if (request->key.text[0])
		HM_TRY(identity_of_terms(&asking->decision, &asking->terms, why));
	if (asking->replay && replay_kept(asking->replay, request->key.item))
		return replay(service, asking, replay_kept(asking->replay, request->key.item), why);
	if (asking->replay && replay_leader(asking->replay, request->key.item))
		return follow(service, asking, replay_leader(asking->replay, request->key.item), why);
	return strike(service, asking, why);
}

static void take_or_refuse(struct service *service, struct asking *asking)
{
	struct hm_problem why;
	if (take_request(service, asking, &why) == HM_OK)
		return;
	record_refused(service, asking->asked.client, &asking->request->caller, why.code);
	mint_refuse(service, asking->generation, asking->id, asking->request->operation, &why);
}

void mint_request(struct service *service, uint64_t id, const struct gate_request *request)
{
	ASKING_AUTO asking = {.id = id, .generation = gate_generation(service->gate), .request = request};
	asking.deadline_ms = uv_now(&service->loop) + HM_REQUEST_MS;
	take_or_refuse(service, &asking);
}

void mint_again(struct service *service, const struct parked_request *about, const struct gate_request *request)
{
	if (about->acts.approval) {
		const struct approval *approval = approvals_find(service->approvals, about->acts.approval_id);
		if (approval) /* else it was deleted since: gate's own time limit answers */
			mint_reply_asked(service, about->generation, about->id, request->operation, approval);
		return;
	}
	ASKING_AUTO asking = {.id = about->id,
		.generation = about->generation,
		.request = request,
		.deadline_ms = about->deadline_ms,
		.tries = about->tries,
		.granted = about->granted};
	take_or_refuse(service, &asking);
}

/* ---- the way out ---- */

static void count_minted(struct service *service, const struct pending *pending)
{
	service->counters.minted_total++;
	for (unsigned i = 0; i < service->config->profiles_count; i++)
		if (strcmp(service->config->profiles[i].name, pending->profile) == 0)
			service->counters.minted[i]++;
}

/* Every follower's place is free after this. */
static void release_follower(struct service *service, struct pending *follower)
{
	TAILQ_REMOVE(&follower->leader->followers, follower, at_token);
	--*followers(service, follower->who.group);
	pending_release(service->pool, follower);
}

/* Nothing goes out: not to the one who asked, nor to those who wait with it. */
static void refuse_all(struct service *service, struct pending *pending, const struct hm_problem *why)
{
	struct pending *follower;
	forget(service, pending);
	if (!pending->answered)
		refuse_pending(service, pending, why);
	while ((follower = TAILQ_FIRST(&pending->followers))) {
		refuse_pending(service, follower, why);
		release_follower(service, follower);
	}
}

/* Whose time is over by now gets no credential, though the timer has not said so yet. */
static void refuse_late(struct service *service, struct pending *pending)
{
	static const struct hm_problem late = {.code = "deadline"};
	uint64_t now = now_ms();
	struct pending *next;
	for (struct pending *follower = TAILQ_FIRST(&pending->followers); follower; follower = next) {
		next = TAILQ_NEXT(follower, at_token);
		if (follower->deadline_ms > now)
			continue;
		refuse_pending(service, follower, &late);
		release_follower(service, follower);
	}
	if (pending->answered || pending->deadline_ms > now)
		return;
	refuse_pending(service, pending, &late);
	pending_mark_answered(service->pool, pending);
}

/* Whether somebody got it, or may still by a repetition. */
static bool give_to_all(struct service *service, struct pending *pending, const char *body, size_t length)
{
	struct pending *follower;
	bool is_given = pending->replay;
	if (!pending->answered)
		is_given |= mint_reply_give(service, pending, body, length);
	while ((follower = TAILQ_FIRST(&pending->followers))) {
		is_given |=
			mint_reply_give_again(service, follower->gate_generation, follower->gate_request, body, length);
		release_follower(service, follower);
	}
	return is_given;
}

static void release_credential(struct service *service, struct pending *pending)
{
	char body[MINT_REPLY_MAX];
	struct hm_problem why;
	size_t length = mint_reply_write(service, pending, body, sizeof body);
	if (!length || (pending->replay && !replay_keep(service->replays, pending, body, length))) {
		(void)!hm_broken(&why, "no room for the reply");
		refuse_all(service, pending, &why);
		end(service, pending, why.code);
		return;
	}
	count_minted(service, pending);
	end(service, pending, give_to_all(service, pending, body, length) ? NULL : "undelivered");
}

static bool append_signature(struct pending *pending, const uint8_t *signature, size_t length)
{
	size_t end = pending->tbs_length;
	if (end + 1 + base64url_length(length) + 1 > sizeof pending->jwt)
		return false;
	pending->jwt[end++] = '.';
	end += base64url_encode(signature, length, pending->jwt + end);
	pending->jwt[end] = 0;
	return true;
}

static void fail_signed(struct service *service, struct pending *pending, const struct hm_problem *why)
{
	if (pending->what == PENDING_STATUS_LIST) {
		status_publisher_failed(service, pending, why->detail);
		return;
	}
	refuse_all(service, pending, why);
	end(service, pending, why->code);
}

static void release_status_list(struct service *service, struct pending *pending)
{
	struct hm_problem why;
	if (clock_watch_look(service, &why) == HM_OK)
		status_publisher_ready(service, pending);
	else
		status_publisher_failed(service, pending, why.detail);
}

/* Its times were read while it was built: had the clock been set by then, that shows now. */
static hm_result may_go_out(struct service *service, const struct pending *pending, struct hm_problem *why)
{
	HM_TRY(clock_watch_look(service, why));
	return governed_still(service, pending, why);
}

/* It is signed, and its entry is on stable storage. */
static void release_signed(struct service *service, struct pending *pending)
{
	struct hm_problem why;
	if (pending->what == PENDING_STATUS_LIST) {
		release_status_list(service, pending);
		return;
	}
	refuse_late(service, pending);
	if (!pending->answered || !TAILQ_EMPTY(&pending->followers)) {
		if (may_go_out(service, pending, &why) == HM_OK)
			release_credential(service, pending);
		else
			fail_signed(service, pending, &why);
		return;
	}
	forget(service, pending); /* nobody waits for it any more */
	end(service, pending, "deadline");
}

void mint_signed(struct service *service, struct pending *pending, const uint8_t *signature, size_t length)
{
	struct hm_problem why;
	if (pending->what == PENDING_CHECKPOINT) {
		ledger_heads_signed(service, pending, signature, length);
		return;
	}
	if (!append_signature(pending, signature, length)) {
		(void)!hm_broken(&why, "no room for the signature");
		fail_signed(service, pending, &why);
	} else if (pending->ticket <= ledger_durable(service->ledger)) {
		release_signed(service, pending);
	} else if (ledger_heads_refusal(service, &why) != HM_OK) {
		fail_signed(service, pending, &why);
	} else {
		pending->is_signed = true;
		TAILQ_INSERT_TAIL(&service->unrecorded, pending, at_token);
	}
}

static void take_recorded(struct service *service, struct pending *pending)
{
	TAILQ_REMOVE(&service->unrecorded, pending, at_token);
	pending->is_signed = false;
}

void mint_recorded(struct service *service, uint64_t ticket)
{
	struct pending *next;
	for (struct pending *pending = TAILQ_FIRST(&service->unrecorded); pending; pending = next) {
		next = TAILQ_NEXT(pending, at_token);
		if (pending->ticket > ticket)
			continue;
		take_recorded(service, pending);
		release_signed(service, pending);
	}
}

void mint_unrecorded(struct service *service)
{
	struct hm_problem why;
	struct pending *pending;
	while ((pending = TAILQ_FIRST(&service->unrecorded)) && ledger_heads_refusal(service, &why) != HM_OK) {
		take_recorded(service, pending);
		fail_signed(service, pending, &why);
	}
}

static const struct config_profile *profile_of(const struct service *service, const struct pending *pending)
{
	for (unsigned i = 0; i < service->config->profiles_count; i++)
		if (strcmp(service->config->profiles[i].name, pending->profile) == 0)
			return &service->config->profiles[i];
	return NULL;
}

/* For somebody who still waits, and only under the configuration by which it was decided. Not of what has a place in a
 * status list: that is of one key, and the end of another would not reach it. */
static const struct issuing_key *another_key(const struct service *service, const struct pending *pending)
{
	bool is_wanted = (!pending->answered || !TAILQ_EMPTY(&pending->followers)) &&
			 pending->wanted_until_ms > uv_now(&service->loop);
	if (pending->moved || pending->has_place || !is_wanted || pending->configuration != service->configuration)
		return NULL;
	const struct config_profile *profile = profile_of(service, pending);
	return profile ? key_choice(service, profile, pending) : NULL;
}

bool mint_may_move(const struct service *service, const struct pending *pending)
{
	return another_key(service, pending) != NULL;
}

/* The same payload under another key's header, with that key's token. */
static bool move(struct pending *pending, const struct issuing_key *key)
{
	struct hm_problem why;
	const char *payload = memchr(pending->jwt, '.', pending->tbs_length);
	size_t header = strlen(key->header),
	       length = payload ? pending->tbs_length - (size_t)(payload - pending->jwt) : 0;
	if (!payload || header + length > HM_JWT_TBS_MAX)
		return false;
	memmove(pending->jwt + header, payload, length);
	memcpy(pending->jwt, key->header, header);
	pending->tbs_length = header + length;
	memcpy(pending->kid, key->jwk.kid, sizeof pending->kid);
	pending->moved = true;
	pending->tries = 0;
	return record_moved(pending, &why) == HM_OK && token_submit(key->token, key->place, pending, &why) == HM_OK;
}

void mint_failed(struct service *service, struct pending *pending, const char *code, const char *detail)
{
	struct hm_problem why = {.code = code};
	if (pending->what == PENDING_CHECKPOINT) {
		ledger_heads_failed(service, pending, detail);
		return;
	}
	if (pending->what == PENDING_STATUS_LIST) {
		status_publisher_failed(service, pending, detail);
		return;
	}
	const struct issuing_key *key = strcmp(code, "token_unavailable") == 0 ? another_key(service, pending) : NULL;
	if (key && move(pending, key))
		return;
	snprintf(why.detail, sizeof why.detail, "%s", detail);
	refuse_all(service, pending, &why);
	end(service, pending, code);
}

/* ---- time ---- */

static void on_deadline(uv_timer_t *timer)
{
	mint_expire(timer->data);
}

/* Nobody waits for it any more: give it up where it is, if it is not at work. */
static void abandon(struct service *service, struct pending *pending)
{
	forget(service, pending);
	if (pending->is_signed)
		take_recorded(service, pending);
	if (!pending->token || token_forget(pending->token, pending))
		end(service, pending, "deadline");
}

static void expire_follower(struct service *service, struct pending *follower)
{
	struct pending *leader = follower->leader;
	release_follower(service, follower);
	if (leader->answered && TAILQ_EMPTY(&leader->followers))
		abandon(service, leader);
}

static void expire_one(struct service *service, struct pending *pending)
{
	if (pending->what == PENDING_CHECKPOINT) {
		ledger_heads_expired(service, pending);
		return;
	}
	if (pending->what == PENDING_STATUS_LIST) {
		if (pending->is_signed)
			take_recorded(service, pending);
		status_publisher_expired(service, pending);
		return;
	}
	/* One that waits for a token's process is not late by the caller's doing: the token is away. */
	const struct pending *at = pending->leader ? pending->leader : pending;
	bool is_away = !at->at_work && at->token && token_facts(at->token).state != TOKEN_READY;
	struct hm_problem why = {.code = is_away ? "token_unavailable" : "deadline"};
	refuse_pending(service, pending, &why);
	if (pending->leader) {
		expire_follower(service, pending);
		return;
	}
	pending_mark_answered(service->pool, pending);
	if (TAILQ_EMPTY(&pending->followers))
		abandon(service, pending);
}

void mint_expire(struct service *service)
{
	struct pending *next;
	uint64_t now = uv_now(&service->loop);
	while ((next = pending_next_due(service->pool)) && next->deadline_ms <= now)
		expire_one(service, next);
	if (next)
		uv_timer_start(&service->deadline, on_deadline, next->deadline_ms - now, 0);
}
