/* SPDX-License-Identifier: Apache-2.0 */
#include "status_publish.h"

#include "clock.h"
#include "clock_watch.h"
#include "governed.h"
#include "log.h"
#include "mint.h"
#include "record.h"
#include "status_list_token.h"
#include "status_lists.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	AT_ONCE = 4,
	GATHER_MS = 100,                          /* what changes together is signed together */
	EACH_MS = 250,                            /* a list that changes all the time is signed so often */
	REFRESH_SECONDS = STATUS_LIFE_SECONDS / 2 /* one that has not changed is signed anew */
};

/* One on its way. */
struct publishing {
	struct pending *pending; /* NULL: this place is free */
	char issuer[HM_NAME_MAX + 1];
	unsigned list;
};

/* Of one list. */
struct published {
	int64_t issued;     /* of what is out; 0: nothing is */
	uint64_t signed_ms; /* when it was last sent to be signed */
	bool waits;         /* it has changed again, too soon */
};

struct status_publisher {
	uv_timer_t timer;
	struct publishing items[AT_ONCE];
	struct published lists[HM_ISSUERS_MAX][HM_STATUS_LISTS_MAX];
	unsigned configuration; /* that these issuers are of: service.h */
	char fault[sizeof((struct hm_problem *)0)->detail];
};

static const struct config_issuer *issuer_of(const struct service *service, const char *name, unsigned *index)
{
	for (*index = 0; *index < service->config->issuers_count; ++*index)
		if (strcmp(service->config->issuers[*index].name, name) == 0)
			return &service->config->issuers[*index];
	return NULL;
}

/* The version that signs now; NULL: the issuer has none for status lists. */
static const struct issuing_key *key_of(const struct service *service, unsigned issuer)
{
	for (unsigned i = 0; i < service->config->keys_count; i++)
		if (service->config->keys[i].use == KEY_USE_STATUS_LIST &&
			service->config->keys[i].issuer_index == issuer)
			return service->keys.active[i];
	return NULL;
}

static void set_fault(struct status_publisher *publisher, const char *fault)
{
	if (fault[0] && strcmp(publisher->fault, fault) != 0)
		hm_log(HM_WARNING, "status_list_not_signed", "detail=\"%s\"", fault);
	snprintf(publisher->fault, sizeof publisher->fault, "%s", fault);
}

/* ---- signing ---- */

static struct publishing *free_place(struct status_publisher *publisher)
{
	for (unsigned i = 0; i < AT_ONCE; i++)
		if (!publisher->items[i].pending)
			return &publisher->items[i];
	return NULL;
}

static struct publishing *place_of(struct status_publisher *publisher, const struct pending *pending)
{
	for (unsigned i = 0; i < AT_ONCE; i++)
		if (publisher->items[i].pending == pending)
			return &publisher->items[i];
	return NULL;
}

/* Of two signatures of one list the older one must not come out last, so there is one at a time. */
static bool is_too_soon(const struct service *service, const struct publishing *item, unsigned issuer)
{
	const struct status_publisher *publisher = service->status_publisher;
	for (unsigned i = 0; i < AT_ONCE; i++)
		if (publisher->items[i].pending && publisher->items[i].list == item->list &&
			strcmp(publisher->items[i].issuer, item->issuer) == 0)
			return true;
	uint64_t signed_ms = publisher->lists[issuer][item->list].signed_ms;
	return signed_ms && uv_now(&service->loop) < signed_ms + EACH_MS;
}

static hm_result prepare(const struct service *service, const struct publishing *item,
	const struct config_issuer *issuer, const struct issuing_key *key, const uint8_t *bits, struct pending *pending,
	struct hm_problem *why)
{
	pending->what = PENDING_STATUS_LIST;
	pending->configuration = service->configuration;
	pending->who =
		(struct fair_who){.group = 0, .weight = 1}; /* no caller's number: they take turns with callers */
	pending->profile[0] = 0;                            /* no other key may sign it */
	memset(&pending->humans, 0, sizeof pending->humans);
	memcpy(pending->kid, key->jwk.kid, sizeof pending->kid);
	HM_TRY(status_list_build(key->header, issuer->url, item->list, bits, STATUS_LIST_PLACES / 4, hm_time(),
		pending->jwt, &pending->tbs_length, why));
	return record_prepare_status_list(pending, item->issuer, item->list, why);
}

static hm_result submit(struct service *service, struct publishing *item, const uint8_t *bits, struct hm_problem *why)
{
	unsigned index;
	const struct config_issuer *issuer = issuer_of(service, item->issuer, &index);
	const struct issuing_key *key = issuer ? key_of(service, index) : NULL;
	if (!key)
		return HM_OK; /* nobody can sign it, and no profile gives places */
	struct published *published = &service->status_publisher->lists[index][item->list];
	published->waits = is_too_soon(service, item, index);
	if (published->waits)
		return HM_OK;
	HM_TRY(clock_watch_refusal(service, why)); /* kept until its time comes, it would say then what was so now */
	HM_TRY(governed_refusal(service, why));    /* it would say of today what was so yesterday */
	if (!issuing_key_can_sign(key))
		return hm_unavailable(why, "token_unavailable", "key %s does not sign", key->config->name);
	struct pending *pending = pending_take(service->pool, uv_now(&service->loop) + HM_REQUEST_MS);
	if (!pending)
		return hm_overload(why, 1, "all places are taken");
	if (pending_next_due(service->pool) == pending)
		mint_expire(service);
	item->pending = pending;
	published->signed_ms = uv_now(&service->loop);
	hm_result result = prepare(service, item, issuer, key, bits, pending, why);
	if (result == HM_OK)
		result = token_submit(key->token, key->place, pending, why);
	if (result != HM_OK && item->pending) {
		item->pending = NULL;
		pending_release(service->pool, pending);
	}
	return result;
}

/* Those that changed too soon are looked at again a little later. */
static void look_again(struct service *service)
{
	const struct config *config = service->config;
	for (unsigned i = 0; i < config->issuers_count; i++)
		for (unsigned k = 0; k < HM_STATUS_LISTS_MAX; k++) {
			struct published *list = &service->status_publisher->lists[i][k];
			if (!list->waits)
				continue;
			list->waits = false;
			status_lists_again(service->status_lists, config->issuers[i].name, k);
			status_publisher_changed(service);
		}
}

/* What cannot be signed now is so with the next tick. */
static void take_changed(struct service *service)
{
	uint8_t bits[STATUS_LIST_PLACES / 4];
	struct hm_problem why;
	struct status_publisher *publisher = service->status_publisher;
	struct publishing *item;
	while (!service->stopping && (item = free_place(publisher)) &&
		status_lists_take_changed(service->status_lists, item->issuer, &item->list, bits)) {
		if (submit(service, item, bits, &why) == HM_OK)
			continue;
		status_lists_again(service->status_lists, item->issuer, item->list);
		set_fault(publisher, why.detail);
		return;
	}
}

static void look(struct service *service)
{
	take_changed(service);
	look_again(service);
}

static void on_gathered(uv_timer_t *timer)
{
	look(timer->data);
}

void status_publisher_changed(struct service *service)
{
	struct status_publisher *publisher = service->status_publisher;
	if (publisher && !service->stopping && !uv_is_active((uv_handle_t *)&publisher->timer))
		uv_timer_start(&publisher->timer, on_gathered, GATHER_MS, 0);
}

/* Also one that is of the future, since the clock was set back. */
static bool is_old(const struct published *list)
{
	int64_t age = hm_time() - list->issued;
	return age < 0 || age >= REFRESH_SECONDS;
}

/* After a reload they are signed anew: an issuer may have another place, or URL. */
void status_publisher_tick(struct service *service)
{
	struct status_publisher *publisher = service->status_publisher;
	if (publisher->configuration != service->configuration)
		memset(publisher->lists, 0, sizeof publisher->lists);
	publisher->configuration = service->configuration;
	for (unsigned i = 0; i < service->config->issuers_count; i++)
		for (unsigned k = 0; k < HM_STATUS_LISTS_MAX; k++)
			if (is_old(&publisher->lists[i][k])) {
				publisher->lists[i][k].issued = hm_time(); /* once is enough to ask */
				status_lists_again(service->status_lists, service->config->issuers[i].name, k);
			}
	look(service);
}

/* ---- what came of it ---- */

static void publish(struct service *service, const struct publishing *item, const struct pending *pending)
{
	unsigned index;
	char path[HM_URL_MAX + 32];
	const struct config_issuer *issuer = issuer_of(service, item->issuer, &index);
	if (!issuer)
		return; /* a reload took it away */
	snprintf(path, sizeof path, "%s/status/%u", issuer->path, item->list);
	service->status_publisher->lists[index][item->list].issued = hm_time();
	service_publish_status_list(service, path, pending->jwt, strlen(pending->jwt));
	set_fault(service->status_publisher, "");
}

void status_publisher_ready(struct service *service, struct pending *pending)
{
	struct publishing *item = place_of(service->status_publisher, pending);
	if (item) {
		publish(service, item, pending);
		item->pending = NULL;
	}
	pending_release(service->pool, pending);
	look(service); /* others may wait for its place */
}

/* A signature may have been made for it, or may yet be: its entry stays, and says less than it could. */
static void give_up(struct service *service, struct pending *pending, const char *detail)
{
	struct publishing *item = place_of(service->status_publisher, pending);
	if (!item)
		return;
	status_lists_again(service->status_lists, item->issuer, item->list);
	set_fault(service->status_publisher, detail);
	item->pending = NULL;
}

void status_publisher_failed(struct service *service, struct pending *pending, const char *detail)
{
	give_up(service, pending, detail);
	pending_release(service->pool, pending);
}

void status_publisher_expired(struct service *service, struct pending *pending)
{
	give_up(service, pending, "the token took too long to sign it");
	pending_mark_answered(service->pool, pending);
	if (!pending->token || token_forget(pending->token, pending))
		pending_release(service->pool, pending);
}

/* ---- from begin to end ---- */

hm_result status_publisher_open(struct service *service, struct hm_problem *why)
{
	struct status_publisher *publisher = service->status_publisher = calloc(1, sizeof *publisher);
	if (!publisher)
		return hm_unavailable(why, "system", "no memory");
	uv_timer_init(&service->loop, &publisher->timer);
	publisher->timer.data = service;
	return HM_OK;
}

void status_publisher_end(struct service *service)
{
	uv_close((uv_handle_t *)&service->status_publisher->timer, NULL);
}

void status_publisher_close(struct status_publisher *publisher)
{
	free(publisher);
}
