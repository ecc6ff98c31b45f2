/* SPDX-License-Identifier: Apache-2.0 */
#include "trust_inside.h"

#include "file.h"
#include "http_client.h"
#include "log.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECOND = 1000 };

/* The keys of one of `config->trust`, which a worker that is still asking may outlive. */
struct source {
	uv_work_t work;
	struct trusts *trusts;
	const struct config_trust *config;
	enum key_set_kind kind;
	struct key_set *keys; /* NULL: none */

	/* Of a URL. The worker has all behind `is_asking` while that is true. */
	struct http_client *client; /* NULL: of a file */
	char url[HM_URL_MAX + 1];
	const char *path;                                   /* in the URL, and its query */
	int64_t asked_ms;                                   /* when those in `keys` were asked for */
	int64_t ended_ms, due_ms;                           /* the last attempt, and the next */
	char fault[sizeof((struct hm_problem *)0)->detail]; /* of the last attempt; "": none */
	bool is_asking;
	int64_t began_ms;
	hm_result result;
	struct key_set *fetched;
	long max_age;
	struct hm_problem why;
};

struct trusts {
	uv_loop_t *loop;
	const struct config *config;
	int64_t now_ms; /* of the last tick, which is near enough to go by */
	unsigned asking;
	bool closing;
	atomic_bool stop; /* whoever is asking */
	unsigned count;
	struct source sources[];
};

/* ---- what is read ---- */

static hm_result read_set(const struct source *source, const char *place, const char *text, size_t length,
	struct key_set **keys, struct hm_problem *why)
{
	struct hm_problem fault;
	hm_result result = key_set_read(text, length, source->kind, keys, &fault);
	return result == HM_OK ? HM_OK : hm_refuse(why, "config", NULL, "%s: %s", place, fault.detail);
}

static hm_result read_file(struct source *source, struct hm_problem *why)
{
	static char text[HM_KEY_SET_MAX];
	const char *path = source->config->keys;
	size_t length;
	HM_TRY(file_read(path, false, text, sizeof text, &length, why));
	return read_set(source, path, text, length, &source->keys, why);
}

static hm_result read_answer(struct source *source, const struct http_answer *answer)
{
	struct hm_problem *why = &source->why;
	source->max_age = answer->max_age;
	if (answer->status != 200) /* a redirection leads to where nobody said that keys are */
		return hm_unavailable(
			why, TRUST_UNAVAILABLE, "%s: answered with status %d", source->url, answer->status);
	return read_set(source, source->url, answer->body, answer->length, &source->fetched, why);
}

/* ---- asking ---- */

static void ask_in_worker(uv_work_t *work)
{
	struct source *source = work->data;
	struct http_answer answer;
	source->fetched = NULL;
	source->result = http_get(source->client, source->path, HM_KEY_SET_MAX, &answer, &source->why);
	if (source->result != HM_OK)
		return;
	source->result = read_answer(source, &answer);
	http_answer_free(&answer);
}

static bool are_same(const struct key_set *a, const struct key_set *b)
{
	if (!a || a->count != b->count)
		return false;
	for (unsigned i = 0; i < a->count; i++) {
		const struct key_set_key *other = key_set_find(b, a->keys[i].kid);
		if (!other || strcmp(other->jwk.kid, a->keys[i].jwk.kid) != 0) /* that one is the thumbprint */
			return false;
	}
	return true;
}

static void take(struct source *source)
{
	const struct config_trust *config = source->config;
	int64_t seconds = source->max_age < 0 ? HM_TRUST_REFRESH_SECONDS : source->max_age;
	if (seconds < HM_TRUST_REFRESH_SECONDS_MIN)
		seconds = HM_TRUST_REFRESH_SECONDS_MIN;
	if (seconds > HM_TRUST_REFRESH_SECONDS_MAX)
		seconds = HM_TRUST_REFRESH_SECONDS_MAX;
	if (source->fault[0] || !are_same(source->keys, source->fetched))
		hm_log(HM_INFO, "trust_keys", "issuer=%s name=%s keys=%u ignored=%u", config->issuer, config->name,
			source->fetched->count, source->fetched->ignored);
	key_set_free(source->keys);
	source->keys = source->fetched;
	source->fetched = NULL;
	source->fault[0] = 0;
	source->asked_ms = source->began_ms;
	source->due_ms = source->began_ms + seconds * SECOND;
}

/* libcurl may tell what the other side said: it goes to JSON and terminals. */
static void make_plain(char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

/* What was fetched before stays good for a while. */
static void keep(struct source *source)
{
	const struct config_trust *config = source->config;
	make_plain(source->why.detail);
	if (!source->fault[0]) /* and not each time until it is back */
		hm_log(HM_WARNING, "trust_keys_failed", "issuer=%s name=%s detail=\"%s\"", config->issuer, config->name,
			source->why.detail);
	snprintf(source->fault, sizeof source->fault, "%s", source->why.detail);
	source->due_ms = source->ended_ms + HM_TRUST_AGAIN_SECONDS * SECOND;
}

static void ask_who_is_due(struct trusts *trusts);

static void free_when_idle(struct trusts *trusts)
{
	if (trusts->asking)
		return;
	for (unsigned i = 0; i < trusts->count; i++) {
		http_client_close(trusts->sources[i].client);
		key_set_free(trusts->sources[i].keys);
	}
	free(trusts);
}

static void on_asked(uv_work_t *work, int status)
{
	struct source *source = work->data;
	struct trusts *trusts = source->trusts;
	(void)status;
	source->is_asking = false;
	source->ended_ms = trusts->now_ms;
	trusts->asking--;
	if (trusts->closing) {
		key_set_free(source->fetched);
		free_when_idle(trusts);
		return;
	}
	if (source->result == HM_OK)
		take(source);
	else
		keep(source);
	ask_who_is_due(trusts);
}

static void ask(struct source *source)
{
	struct trusts *trusts = source->trusts;
	source->is_asking = true;
	source->began_ms = trusts->now_ms;
	source->work.data = source;
	trusts->asking++;
	(void)uv_queue_work(trusts->loop, &source->work, ask_in_worker, on_asked); /* fails without a function alone */
}

static bool is_due(const struct source *source)
{
	return source->client && !source->is_asking && source->due_ms <= source->trusts->now_ms;
}

/* Those who have waited longest first: one that hangs each time keeps nobody from its turn. */
static struct source *first_due(struct trusts *trusts)
{
	struct source *first = NULL;
	for (unsigned i = 0; i < trusts->count; i++)
		if (is_due(&trusts->sources[i]) && (!first || trusts->sources[i].due_ms < first->due_ms))
			first = &trusts->sources[i];
	return first;
}

static void ask_who_is_due(struct trusts *trusts)
{
	struct source *source;
	while (trusts->loop && trusts->asking < HM_TRUST_FETCHES && (source = first_due(trusts)))
		ask(source);
}

/* Whether a key that is not among those here may be among those that are asked for. Anybody can name one, so they are
 * asked for no oftener than the limit says. */
static bool ask_for_more(struct source *source)
{
	struct trusts *trusts = source->trusts;
	if (source->is_asking || source->fault[0])
		return true;
	if (trusts->now_ms - source->ended_ms < HM_TRUST_AGAIN_SECONDS * SECOND)
		return false;
	if (source->due_ms > trusts->now_ms)
		source->due_ms = trusts->now_ms;
	ask_who_is_due(trusts);
	return true;
}

static hm_result be_unavailable(const struct source *source, const char *what, struct hm_problem *why)
{
	hm_result result = hm_unavailable(why, TRUST_UNAVAILABLE, "%s '%s'%s%s", what, source->config->name,
		source->fault[0] ? ": " : "", source->fault);
	if (source->fault[0])
		why->retry_after = hm_retry_after((double)(source->due_ms - source->trusts->now_ms) / SECOND);
	return result;
}

hm_result trusts_keys(
	struct trusts *trusts, unsigned index, const char *kid, const struct key_set **keys, struct hm_problem *why)
{
	struct source *source = &trusts->sources[index];
	*keys = source->keys;
	if (!source->client)
		return HM_OK;
	if (!source->keys)
		return be_unavailable(source, "there are no keys yet, or no longer, of", why);
	if (kid[0] && !key_set_find(source->keys, kid) && ask_for_more(source))
		return be_unavailable(source, "the token's key is not there, and newer ones are asked for, of", why);
	return HM_OK;
}

/* ---- from begin to end ---- */

const struct config *trusts_config(const struct trusts *trusts)
{
	return trusts->config;
}

/* http_client appends the path of a request to a URL; ours is one document, whose URL is to stay as it is. */
static hm_result open_client(struct source *source, struct hm_problem *why)
{
	const struct config_trust *config = source->config;
	const struct http_identity identity = {.ca = config->ca};
	const struct http_way way = {.whole_ms = HM_TRUST_FETCH_MS, .stop = &source->trusts->stop};
	char server[HM_URL_MAX + 1];
	size_t scheme = strlen("https://"), length = scheme + strcspn(config->keys_url + scheme, "/?");
	snprintf(source->url, sizeof source->url, "%s", config->keys_url);
	source->path = source->url + length;
	memcpy(server, source->url, length);
	server[length] = 0;
	if (config->ca && access(config->ca, R_OK) < 0)
		return hm_refuse(why, "config", NULL, "%s: cannot be read: %m", config->ca);
	return http_client_open_by(server, &identity, &way, &source->client, why);
}

hm_result trusts_open(uv_loop_t *loop, const struct config *config, struct trusts **out, struct hm_problem *why)
{
	struct trusts *trusts = calloc(1, sizeof *trusts + config->trust_count * sizeof *trusts->sources);
	hm_result result = HM_OK;
	*out = NULL;
	if (!trusts)
		return hm_unavailable(why, "system", "no memory");
	trusts->loop = loop;
	trusts->config = config;
	trusts->count = config->trust_count;
	for (unsigned i = 0; i < trusts->count && result == HM_OK; i++) {
		struct source *source = &trusts->sources[i];
		source->trusts = trusts;
		source->config = &config->trust[i];
		source->kind = source->config->trust_domain ? KEY_SET_SPIFFE : KEY_SET_JWKS;
		result = source->config->keys ? read_file(source, why) : open_client(source, why);
	}
	if (result == HM_OK)
		*out = trusts;
	else
		free_when_idle(trusts);
	return result;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool ask_the_same(const struct source *a, const struct source *b)
{
	return a->client && b->client && a->kind == b->kind && strcmp(a->url, b->url) == 0 &&
	       same_text(a->config->ca, b->config->ca);
}

void trusts_take_over(struct trusts *trusts, struct trusts *before)
{
	for (unsigned i = 0; i < trusts->count; i++)
		for (unsigned k = 0; k < before->count && !trusts->sources[i].keys; k++) {
			struct source *from = &before->sources[k], *to = &trusts->sources[i];
			if (!ask_the_same(to, from))
				continue;
			to->keys = from->keys;
			to->asked_ms = from->asked_ms;
			from->keys = NULL;
		}
}

/* Nobody has confirmed them for so long that they may have been withdrawn. */
static void drop_old(struct source *source)
{
	if (!source->client || !source->keys ||
		source->trusts->now_ms - source->asked_ms <= (int64_t)HM_TRUST_AWAY_SECONDS * SECOND)
		return;
	hm_log(HM_ERROR, "trust_keys_dropped", "issuer=%s name=%s detail=\"%s\"", source->config->issuer,
		source->config->name, source->fault);
	key_set_free(source->keys);
	source->keys = NULL;
}

void trusts_tick(struct trusts *trusts, int64_t now_ms)
{
	trusts->now_ms = now_ms;
	for (unsigned i = 0; i < trusts->count; i++)
		drop_old(&trusts->sources[i]);
	ask_who_is_due(trusts);
}

void trusts_close(struct trusts *trusts)
{
	if (!trusts)
		return;
	trusts->closing = true;
	atomic_store(&trusts->stop, true);
	free_when_idle(trusts);
}

struct trust_facts trust_facts(const struct trusts *trusts, unsigned index)
{
	const struct source *source = &trusts->sources[index];
	return (struct trust_facts){.is_url = source->client,
		.keys = source->keys ? source->keys->count : 0,
		.age_ms = source->keys ? trusts->now_ms - source->asked_ms : -1,
		.fault = source->fault};
}
