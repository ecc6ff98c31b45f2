/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger_serve.h"

#include "ledger.h"
#include "ledger_read.h"
#include "mint_reply.h"
#include "policy.h"
#include <stdlib.h>
#include <sys/queue.h>

/* A question that waits or is read. */
struct read {
	STAILQ_ENTRY(read) link;
	struct ledger_question question;
	struct ledger_now now; /* when it is begun */
	uint64_t id, generation;
	bool is_public;
	hm_result result;
	struct gate_reply reply;
	struct hm_problem why;
};

struct ledger_serve {
	struct service *service;
	struct ledger_reader *reader; /* the thread's while one is read */
	uv_work_t work;
	struct read *current;
	STAILQ_HEAD(, read) waiting;
	unsigned counts[2]; /* waiting or read: of callers, and of the public */
};

struct ledger_serve *ledger_serve_open(struct service *service)
{
	struct ledger_serve *serve = calloc(1, sizeof *serve);
	if (!serve)
		return NULL;
	serve->service = service;
	serve->work.data = serve;
	STAILQ_INIT(&serve->waiting);
	serve->reader = ledger_reader_open(ledger_directory(service->ledger));
	if (serve->reader)
		return serve;
	free(serve);
	return NULL;
}

void ledger_serve_close(struct ledger_serve *serve)
{
	if (!serve)
		return;
	ledger_reader_close(serve->reader);
	free(serve);
}

/* ---- reading ---- */

static void work(uv_work_t *handle)
{
	struct ledger_serve *serve = handle->data;
	struct read *read = serve->current;
	read->result = ledger_read(serve->reader, &read->question, &read->now, &read->reply, &read->why);
}

static void read_next(struct ledger_serve *serve);

static void on_read(uv_work_t *handle, int status)
{
	(void)status;
	struct ledger_serve *serve = handle->data;
	struct read *read = serve->current;
	if (read->result == HM_OK)
		gate_answer(serve->service->gate, read->generation, read->id, &read->reply);
	else
		mint_refuse(serve->service, read->generation, read->id, OPERATION_LEDGER_PUBLIC, &read->why);
	serve->counts[read->is_public]--;
	serve->current = NULL;
	free((void *)read->reply.body.data);
	free(read);
	read_next(serve);
}

static void read_next(struct ledger_serve *serve)
{
	struct read *next = STAILQ_FIRST(&serve->waiting);
	if (serve->current || !next)
		return;
	STAILQ_REMOVE_HEAD(&serve->waiting, link);
	const struct ledger *ledger = serve->service->ledger;
	next->now = (struct ledger_now){.shard = ledger_shard(ledger), .size = ledger_size(ledger)};
	serve->current = next;
	uv_queue_work(&serve->service->loop, &serve->work, work, on_read);
}

/* ---- who may ---- */

static hm_result check_caller(const struct config *config, const struct gate_request *request,
	const struct ledger_question *question, struct hm_problem *why)
{
	if (question->part == LEDGER_TILE && question->tile.level == TILE_ENTRIES)
		return policy_check_role(config, &request->caller, ROLE_AUDIT, "audit", why);
	if (question->part == LEDGER_PROOF && !policy_knows_caller(config, &request->caller))
		return hm_refuse(why, "unknown_caller", NULL, "a caller that the configuration lists");
	return HM_OK;
}

static hm_result take(
	struct ledger_serve *serve, uint64_t id, const struct gate_request *request, struct hm_problem *why)
{
	const struct service *service = serve->service;
	struct ledger_question question;
	bool is_public = request->operation == OPERATION_LEDGER_PUBLIC;
	if (!ledger_question_read(request->path, &question))
		return hm_refuse(why, "not_found", NULL, "a path of the API");
	HM_TRY(check_caller(service->config, request, &question, why));
	struct read *read = serve->counts[is_public] < HM_LEDGER_READS_MAX ? calloc(1, sizeof *read) : NULL;
	if (!read)
		return hm_overload(why, 1, "as many read the ledger as may");
	read->question = question;
	read->id = id;
	read->generation = gate_generation(service->gate);
	read->is_public = is_public;
	serve->counts[is_public]++;
	STAILQ_INSERT_TAIL(&serve->waiting, read, link);
	return HM_OK;
}

void ledger_serve_request(struct ledger_serve *serve, uint64_t id, const struct gate_request *request)
{
	struct hm_problem why;
	if (take(serve, id, request, &why) != HM_OK)
		mint_refuse(serve->service, gate_generation(serve->service->gate), id, OPERATION_LEDGER_PUBLIC, &why);
	else
		read_next(serve);
}
