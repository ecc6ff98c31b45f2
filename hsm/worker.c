/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

#include "anchor_object.h"
#include "log.h"
#include "sign.h"
#include "status_list.h"
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CHECKED_FIRST = 100, CHECKED_EACH = 64, SESSION_RETRY_MS = 1000 };

static hm_result send_failure(enum hm_frame_type type, uint64_t id, const struct token_failure *why)
{
	uint8_t payload[sizeof *why + 16];
	struct hm_writer w = hm_writer(payload, sizeof payload);
	token_failure_put(&w, why);
	return frame_send(HM_CHILD_FD, type, id, payload, w.used, NULL, 0);
}

_Noreturn void worker_end_process(const struct token_failure *why)
{
	(void)!send_failure(HM_TOKEN_ENDING, 0, why); /* if mint is gone, nobody needs to know */
	_exit(1);
}

/* Session, device or login: what this thread can mend it mends; what it cannot ends the process. */
static void mend(struct worker *worker, const struct token_failure *why)
{
	struct token_failure renewal;
	if (why->class == TOKEN_REFUSED)
		return; /* nothing was asked of the token */
	if (why->class != TOKEN_SESSION && why->class != TOKEN_PRESSURE && why->class != TOKEN_PERMANENT)
		worker_end_process(why);
	room_close_session(worker->room, &worker->session); /* an operation may be left open in it */
	if (room_open_session(worker->room, &worker->session, &renewal) != HM_OK && renewal.class != TOKEN_PRESSURE)
		worker_end_process(&renewal);
}

/* To verify an RSA signature costs next to nothing, and a faulty one can tell the key (Boneh, DeMillo, Lipton, 1997).
 */
static bool wants_check(struct room *room, const struct key *key)
{
	uint_fast64_t before = atomic_fetch_add(&room->signed_, 1);
	return room->config->self_check == SELF_CHECK_ALWAYS || key->algorithm->is_rsa || before < CHECKED_FIRST ||
	       before % CHECKED_EACH == 0;
}

static void wait_as_told(struct room *room)
{
	uint_fast32_t ms = atomic_load(&room->slow_ms);
	struct timespec time = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
	if (ms)
		nanosleep(&time, NULL);
}

static bool holds(struct room *room, uint16_t key)
{
	return key < HM_KEYS_MAX && atomic_load(&room->holds[key]);
}

static hm_result sign_jwt(
	struct worker *worker, const struct token_sign *asked, struct signature *signature, struct token_failure *why)
{
	struct room *room = worker->room;
	const struct key *key = &room->keys[asked->key];
	bool is_status_list = key->config->use == KEY_USE_STATUS_LIST;
	HM_TRY(jose_check(&room->jose[asked->key], asked->tbs, why));
	if (is_status_list)
		HM_TRY(status_list_check(key, asked->tbs, why));
	if (worker->session == CK_INVALID_HANDLE)
		HM_TRY(room_open_session(room, &worker->session, why));
	wait_as_told(room);
	return sign(&room->module, worker->session, key, asked->tbs,
		is_status_list ? SIGNED_STATUS_LIST : SIGNED_CREDENTIAL, wants_check(room, key), signature, why);
}

/* Under the lock, so that of two threads the second sees what the first signed. */
static hm_result sign_head(
	struct worker *worker, const struct token_sign *asked, struct signature *signature, struct token_failure *why)
{
	struct room *room = worker->room;
	struct checkpoint_last next;
	HM_TRY(checkpoint_check(&room->keys[asked->key], &room->checkpoints[asked->key], asked->tbs, &next, why));
	if (worker->session == CK_INVALID_HANDLE)
		HM_TRY(room_open_session(room, &worker->session, why));
	/* It counts as signed before it is: what becomes of the answer is not known here. */
	room->checkpoints[asked->key] = next;
	return sign(&room->module, worker->session, &room->keys[asked->key], asked->tbs, SIGNED_CHECKPOINT, true,
		signature, why);
}

static hm_result sign_checkpoint(
	struct worker *worker, const struct token_sign *asked, struct signature *signature, struct token_failure *why)
{
	pthread_mutex_lock(&worker->room->heads);
	hm_result result = sign_head(worker, asked, signature, why);
	pthread_mutex_unlock(&worker->room->heads);
	return result;
}

static hm_result sign_request(
	struct worker *worker, const struct hm_frame *frame, struct signature *signature, struct token_failure *why)
{
	struct token_sign asked;
	struct hm_reader reader = hm_reader(frame->payload, frame->length);
	if (!token_sign_get(&reader, &asked) || !holds(worker->room, asked.key))
		return HM_BROKEN;
	if (worker->room->keys[asked.key].config->use == KEY_USE_CHECKPOINT)
		return sign_checkpoint(worker, &asked, signature, why);
	return sign_jwt(worker, &asked, signature, why);
}

static hm_result probe_request(struct worker *worker, const struct hm_frame *frame, struct token_failure *why)
{
	struct room *room = worker->room;
	struct hm_reader reader = hm_reader(frame->payload, frame->length);
	uint16_t key = hm_get_u16(&reader);
	if (!hm_reader_done(&reader) || !holds(room, key))
		return HM_BROKEN;
	if (worker->session == CK_INVALID_HANDLE)
		HM_TRY(room_open_session(room, &worker->session, why));
	return sign_probe(&room->module, worker->session, &room->keys[key], why);
}

static hm_result send_learned(const struct room *room, const struct token_learn *learn)
{
	uint8_t payload[sizeof(struct token_key_ready) + 64];
	struct hm_writer w = hm_writer(payload, sizeof payload);
	token_learned_put(&w, learn->place, &room->keys[learn->place].shown);
	return frame_send(HM_CHILD_FD, HM_TOKEN_LEARNED, 0, payload, w.used, NULL, 0);
}

static hm_result send_not_learned(const struct token_learn *learn, const struct token_failure *why)
{
	uint8_t payload[sizeof *why + 64];
	struct hm_writer w = hm_writer(payload, sizeof payload);
	token_not_learned_put(&w, learn->place, why);
	return frame_send(HM_CHILD_FD, HM_TOKEN_NOT_LEARNED, 0, payload, w.used, NULL, 0);
}

static hm_result learn_in_session(struct worker *worker, const struct token_learn *learn, struct token_failure *why)
{
	if (worker->session == CK_INVALID_HANDLE)
		HM_TRY(room_open_session(worker->room, &worker->session, why));
	return room_learn_key(worker->room, worker->session, learn, why);
}

/* A key that is not as promised is no reason to end: those before it are. As a request, it is tried once more where
 * another session may help. */
static hm_result learn_key(struct worker *worker, const struct hm_frame *frame)
{
	struct token_failure why;
	struct token_learn learn;
	struct hm_reader reader = hm_reader(frame->payload, frame->length);
	if (!token_learn_get(&reader, &learn))
		return HM_BROKEN;
	hm_result result = learn_in_session(worker, &learn, &why);
	if (result == HM_UNAVAILABLE && (why.class == TOKEN_SESSION || why.class == TOKEN_PRESSURE)) {
		mend(worker, &why);
		result = learn_in_session(worker, &learn, &why);
	}
	if (result == HM_OK)
		return send_learned(worker->room, &learn);
	if (result == HM_BROKEN)
		return HM_BROKEN;
	if (why.class != TOKEN_CUSTODY && why.class != TOKEN_ABSENT)
		mend(worker, &why);
	return send_not_learned(&learn, &why);
}

hm_result worker_send_counts(const struct room *room, uint64_t id)
{
	struct token_counts counts;
	uint8_t payload[sizeof counts + 8 * HM_TALLIES_MAX];
	struct hm_writer w = hm_writer(payload, sizeof payload);
	tallies_tell(&room->tallies, &counts);
	token_counts_put(&w, &counts);
	return frame_send(HM_CHILD_FD, HM_TOKEN_COUNTS, id, payload, w.used, NULL, 0);
}

static hm_result take_count(const struct room *room, const struct hm_frame *frame)
{
	struct hm_reader reader = hm_reader(frame->payload, frame->length);
	if (hm_get_u32(&reader) || !hm_reader_done(&reader))
		return HM_BROKEN;
	return worker_send_counts(room, frame->id);
}

static hm_result take_slow(struct room *room, const struct hm_frame *frame)
{
	uint32_t ms;
	struct hm_reader reader = hm_reader(frame->payload, frame->length);
	if (!token_slow_get(&reader, &ms))
		return HM_BROKEN;
	atomic_store(&room->slow_ms, ms);
	return HM_OK;
}

/* ---- the ledger's anchor ---- */

/* Put what came, or get what is there. */
static hm_result keep_anchor(struct room *room, bool puts, struct anchor_note *note, struct token_failure *why)
{
	CK_SESSION_HANDLE session;
	struct hm_bytes bytes = {note->bytes, note->length};
	HM_TRY(room_open_writing(room, &session, why));
	hm_result result = puts ? anchor_object_put(&room->module, session, room->config->origin, bytes, why)
				: anchor_object_get(&room->module, session, room->config->origin, note, why);
	room_close_writing(room, &session);
	return result;
}

static hm_result send_note(const struct anchor_note *note)
{
	uint8_t payload[sizeof *note + 16];
	struct hm_writer w = hm_writer(payload, sizeof payload);
	hm_put_bytes(&w, note->bytes, note->length);
	return frame_send(HM_CHILD_FD, HM_TOKEN_ANCHOR, 0, payload, w.used, NULL, 0);
}

/* A token that cannot keep it, or not now, says so, and goes on signing: what is wrong with more than that, the next
 * signature shows. */
static hm_result take_anchor(struct room *room, const struct hm_frame *frame)
{
	struct token_failure why;
	struct anchor_note note;
	struct hm_bytes bytes;
	bool puts = frame->type == HM_TOKEN_ANCHOR_PUT;
	struct hm_reader reader = hm_reader(frame->payload, frame->length);
	if (!room->config->origin[0] || !token_note_get(&reader, &bytes) || puts != (bytes.length > 0))
		return HM_BROKEN;
	memcpy(note.bytes, bytes.data, bytes.length);
	note.length = bytes.length;
	if (keep_anchor(room, puts, &note, &why) == HM_OK)
		return send_note(&note);
	return send_failure(HM_TOKEN_NOT_ANCHORED, 0, &why);
}

/* HM_BROKEN: mint sent what it must not. HM_UNAVAILABLE: mint is gone. */
static hm_result serve_frame(struct worker *worker, const struct hm_frame *frame)
{
	struct token_failure why;
	struct signature signature = {.length = 0};
	hm_result result = HM_BROKEN;
	if (frame->type == HM_TOKEN_SLOW)
		return take_slow(worker->room, frame);
	if (frame->type == HM_TOKEN_COUNT)
		return take_count(worker->room, frame);
	if (frame->type == HM_TOKEN_KEY)
		return learn_key(worker, frame);
	if (frame->type == HM_TOKEN_ANCHOR_PUT || frame->type == HM_TOKEN_ANCHOR_GET)
		return take_anchor(worker->room, frame);
	if (frame->type == HM_TOKEN_SIGN)
		result = sign_request(worker, frame, &signature, &why);
	else if (frame->type == HM_TOKEN_PROBE)
		result = probe_request(worker, frame, &why);
	if (result == HM_BROKEN)
		return HM_BROKEN;
	if (result == HM_OK)
		return frame_send(HM_CHILD_FD, HM_TOKEN_SIGNED, frame->id, signature.bytes, signature.length, NULL, 0);
	mend(worker, &why);
	return send_failure(HM_TOKEN_FAILED, frame->id, &why);
}

/* A thread that can have no session leaves the requests to those that have one, as long as there are any. */
static void wait_for_session(struct worker *worker)
{
	struct token_failure why;
	struct pollfd end_of_mint = {.fd = HM_CHILD_FD};
	while (worker->session == CK_INVALID_HANDLE && atomic_load(&worker->room->open) &&
		poll(&end_of_mint, 1, SESSION_RETRY_MS) == 0)
		if (room_open_session(worker->room, &worker->session, &why) != HM_OK && why.class != TOKEN_PRESSURE)
			worker_end_process(&why);
}

void *worker_run(void *context)
{
	struct worker *worker = context;
	for (;;) {
		struct hm_frame frame;
		wait_for_session(worker);
		hm_result result = frame_receive(HM_CHILD_FD, worker->buffer, sizeof worker->buffer, &frame);
		if (result == HM_UNAVAILABLE)
			return NULL;
		if (result == HM_OK)
			result = serve_frame(worker, &frame);
		frame_done(&frame);
		if (result == HM_UNAVAILABLE)
			return NULL;
		if (result != HM_OK) {
			hm_log(HM_ERROR, "malformed_frame", "from=mint");
			_exit(1);
		}
	}
}
