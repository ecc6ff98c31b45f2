/* SPDX-License-Identifier: Apache-2.0 */
#include "ceremony.h"

#include "borrowed_key.h"
#include "certificate.h"
#include "frame.h"
#include "key.h"
#include "lent.h"
#include "login.h"
#include "objects.h"
#include "serve.h"
#include "tpm.h"
#include <stdio.h>
#include <unistd.h>

struct ceremony {
	struct token_config config;
	struct pin_parts parts; /* none: nobody unlocks a token for a ceremony */
	struct module module;
	CK_SESSION_HANDLE session; /* read-write, logged in as user; CK_INVALID_HANDLE before */
	struct lender *lender;
	struct key key;
	struct ca_key ca;
	bool made; /* the key was generated in this ceremony, and nobody said KEEP */
	struct hm_writer answer;
	uint8_t buffer[HM_FRAME_HEADER + HM_FRAME_MAX_INLINE];
};

static struct token_key_config *wanted_key(struct ceremony *ceremony)
{
	return &ceremony->config.keys[0];
}

/* ---- the login ---- */

static hm_result load_and_log_in(struct ceremony *ceremony, struct token_failure *why)
{
	struct module *module = &ceremony->module;
	HM_TRY(module_load(&ceremony->config, module, why));
	HM_TRY(module_find_token(&ceremony->config, module, why));
	TRY_CALL(why, module->calls, C_OpenSession, module->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
		&ceremony->session);
	return login_user(&ceremony->config, &ceremony->parts, module, ceremony->session, why);
}

/* People take their time: the start lock is held for the login alone, not for the ceremony. */
static hm_result log_in(struct ceremony *ceremony, struct token_failure *why)
{
	int lock;
	HM_TRY(login_lock(&ceremony->config, &lock, why));
	hm_result result = load_and_log_in(ceremony, why);
	close(lock);
	return result;
}

static hm_result begin(struct ceremony *ceremony, struct token_failure *why)
{
	if (ceremony->session != CK_INVALID_HANDLE)
		return fail(why, TOKEN_REFUSED, "this ceremony has begun already");
	HM_TRY(log_in(ceremony, why));
	return lender_open(&ceremony->module, &ceremony->lender, why);
}

/* ---- commands ---- */

static hm_result show(struct ceremony *ceremony, bool with_key, struct token_failure *why)
{
	static struct token_ready ready;
	HM_TRY(module_describe(&ceremony->module, &ready, why));
	ready.key_count = with_key;
	ready.keys[0] = ceremony->key.shown;
	token_ready_put(&ceremony->answer, &ready);
	return HM_OK;
}

static hm_result check(struct ceremony *ceremony, struct token_failure *why)
{
	HM_TRY(begin(ceremony, why));
	HM_TRY(objects_check(&ceremony->module, ceremony->session, wanted_key(ceremony), why));
	HM_TRY(lender_check(ceremony->lender, why));
	return show(ceremony, false, why);
}

static hm_result take_key(struct ceremony *ceremony, struct token_failure *why)
{
	const struct token_key_config *config = wanted_key(ceremony);
	struct ca_key *ca = &ceremony->ca;
	HM_TRY(key_find(&ceremony->module, ceremony->session, config, ceremony->config.waived, &ceremony->key, why));
	if (ceremony->config.tpm_parent)
		HM_TRY(tpm_check(
			&ceremony->module, ceremony->session, ceremony->config.tpm_parent, &ceremony->key, why));
	HM_TRY(lender_lend(ceremony->lender, config->id, config->id_length, &ca->private, why));
	ca->public = ceremony->key.public;
	ca->hash = ceremony_hash(config->algorithm);
	return show(ceremony, true, why);
}

static hm_result find(struct ceremony *ceremony, struct token_failure *why)
{
	HM_TRY(begin(ceremony, why));
	return take_key(ceremony, why);
}

/* tpm2-pkcs11 1.9 lets no key go on which a signature once failed, before it begins anew. */
static hm_result destroy_anew(struct ceremony *ceremony, struct token_failure *why)
{
	(void)ceremony->module.calls->C_Finalize(NULL);
	HM_TRY(log_in(ceremony, why));
	return objects_destroy(&ceremony->module, ceremony->session, wanted_key(ceremony), why);
}

static hm_result destroy(struct ceremony *ceremony, struct token_failure *why)
{
	if (!ceremony->made)
		return fail(why, TOKEN_REFUSED, "there is no key of this ceremony that is not kept");
	lent_end();
	EVP_PKEY_free(ceremony->ca.private);
	ceremony->ca.private = NULL;
	if (objects_destroy(&ceremony->module, ceremony->session, wanted_key(ceremony), why) != HM_OK)
		HM_TRY(destroy_anew(ceremony, why));
	ceremony->made = false;
	return HM_OK;
}

/* A failure of C_GenerateKeyPair does not say that there is no key: until it is kept, it may be there. */
static hm_result create(struct ceremony *ceremony, struct token_failure *why)
{
	if (ceremony->session == CK_INVALID_HANDLE || ceremony->key.config)
		return fail(why, TOKEN_REFUSED, "a ceremony makes one key, after its checks");
	ceremony->made = true;
	HM_TRY(key_generate(&ceremony->module, ceremony->session, wanted_key(ceremony), why));
	return take_key(ceremony, why);
}

static hm_result certify(
	struct ceremony *ceremony, const struct ceremony_certificate *wanted, struct token_failure *why)
{
	static uint8_t der[HM_CERTIFICATE_MAX];
	size_t length;
	if (!ceremony->ca.private || !ceremony->made)
		return fail(why, TOKEN_REFUSED, "certificates and requests are for keys that this ceremony made");
	HM_TRY(certificate_make(&ceremony->ca, wanted, der, &length, why));
	hm_put_raw(&ceremony->answer, der, length);
	return HM_OK;
}

static hm_result sign_document(
	struct ceremony *ceremony, const struct ceremony_sign *document, struct token_failure *why)
{
	uint8_t signature[HM_SIGNATURE_MAX];
	size_t length;
	if (!ceremony->ca.private)
		return fail(why, TOKEN_REFUSED, "this ceremony has no key yet");
	HM_TRY(certificate_sign_document(&ceremony->ca, document, signature, &length, why));
	hm_put_raw(&ceremony->answer, signature, length);
	return HM_OK;
}

static hm_result keep(struct ceremony *ceremony)
{
	ceremony->made = false;
	return HM_OK;
}

/* ---- frames ---- */

static bool is_empty(struct hm_reader *reader)
{
	(void)hm_get_bytes(reader, 0);
	return hm_reader_done(reader);
}

static hm_result run_plain(struct ceremony *ceremony, enum hm_frame_type command, struct token_failure *why)
{
	switch (command) {
	case HM_CEREMONY_CHECK:
		return check(ceremony, why);
	case HM_CEREMONY_FIND:
		return find(ceremony, why);
	case HM_CEREMONY_CREATE:
		return create(ceremony, why);
	case HM_CEREMONY_KEEP:
		return keep(ceremony);
	case HM_CEREMONY_DESTROY:
		return destroy(ceremony, why);
	default:
		return HM_BROKEN;
	}
}

/* HM_BROKEN: not a command. */
static hm_result run(
	struct ceremony *ceremony, const struct hm_frame *frame, enum hm_frame_type *answer, struct token_failure *why)
{
	struct hm_reader reader = hm_reader(frame->payload, frame->length);
	struct ceremony_certificate certificate;
	struct ceremony_sign document;
	switch (frame->type) {
	case HM_CEREMONY_CERTIFY:
		*answer = HM_CEREMONY_MADE;
		return ceremony_certificate_get(&reader, &certificate) ? certify(ceremony, &certificate, why)
								       : HM_BROKEN;
	case HM_CEREMONY_SIGN:
		*answer = HM_CEREMONY_MADE;
		return ceremony_sign_get(&reader, &document) ? sign_document(ceremony, &document, why) : HM_BROKEN;
	case HM_CEREMONY_KEEP:
	case HM_CEREMONY_DESTROY:
		*answer = HM_CEREMONY_DONE;
		break;
	default:
		*answer = HM_CEREMONY_SHOWN;
	}
	return is_empty(&reader) ? run_plain(ceremony, frame->type, why) : HM_BROKEN;
}

static hm_result serve_one(struct ceremony *ceremony, const struct hm_frame *frame)
{
	static uint8_t payload[HM_FRAME_MAX_INLINE];
	struct token_failure why;
	enum hm_frame_type type;
	ceremony->answer = hm_writer(payload, sizeof payload);
	hm_result result = run(ceremony, frame, &type, &why);
	if (result == HM_BROKEN)
		return result;
	if (result != HM_OK) {
		type = HM_TOKEN_FAILED;
		ceremony->answer = hm_writer(payload, sizeof payload);
		token_failure_put(&ceremony->answer, &why);
	}
	if (ceremony->answer.failed)
		return HM_BROKEN;
	return frame_send(HM_CHILD_FD, type, frame->id, payload, ceremony->answer.used, NULL, 0);
}

/* Whoever led the ceremony is gone, and nobody else can say that the key was not kept. */
static void destroy_what_is_left(struct ceremony *ceremony)
{
	struct token_failure why;
	const char *label = wanted_key(ceremony)->label;
	if (!ceremony->made)
		return;
	if (destroy(ceremony, &why) == HM_OK)
		fprintf(stderr, "hsmint: the ceremony was broken off: the key '%s' has been destroyed\n", label);
	else
		fprintf(stderr,
			"hsmint: the ceremony was broken off, and the key '%s' may be on the token still: destroy it "
			"with the token's own tools (%s)\n",
			label, why.detail);
}

int ceremony_run(void)
{
	static struct ceremony ceremony = {.session = CK_INVALID_HANDLE};
	struct hm_frame frame;
	if (!serve_receive_config(&ceremony.config, &ceremony.parts) || ceremony.config.key_count != 1 ||
		!ceremony.config.keys[0].id_length || !ceremony_hash(ceremony.config.keys[0].algorithm))
		return 1;
	while (frame_receive(HM_CHILD_FD, ceremony.buffer, sizeof ceremony.buffer, &frame) == HM_OK) {
		hm_result result = serve_one(&ceremony, &frame);
		frame_done(&frame);
		if (result != HM_OK)
			break;
	}
	destroy_what_is_left(&ceremony);
	EVP_PKEY_free(ceremony.ca.private);
	if (ceremony.session != CK_INVALID_HANDLE)
		(void)ceremony.module.calls->C_Finalize(NULL);
	return 0;
}
