/* SPDX-License-Identifier: Apache-2.0 */
#include "gate_protocol.h"

#include "encoding.h"

TestSuite(gate_protocol, .init = begin);

/* ---- configuration ---- */

static struct gate_config config;

static bool get_config(struct hm_reader *r)
{
	return gate_config_get(r, &config);
}

Test(gate_protocol, a_configuration_comes_back_as_it_was)
{
	gate_config_put(&w, &(struct gate_config){.sandbox = SANDBOX_BEST, .has_unix = 1, .has_tls = 1});
	struct hm_reader r = again();
	cr_assert(get_config(&r));
	cr_expect_eq(config.sandbox, SANDBOX_BEST);
	cr_expect_eq(config.has_unix, 1);
	cr_expect_eq(config.has_tcp, 0);
	cr_expect_eq(config.has_tls, 1);
	expect_whole_or_nothing(get_config);
}

Test(gate_protocol, a_configuration_with_a_value_out_of_range_is_refused)
{
	for (size_t member = 0; member < 4; member++)
		for (unsigned value = 2; value < 256; value++) {
			uint8_t bytes[4] = {0};
			bytes[member] = (uint8_t)value;
			struct hm_reader r = hm_reader(bytes, sizeof bytes);
			cr_expect_not(get_config(&r), "member %zu is %u", member, value);
		}
}

/* ---- publication ---- */

static struct gate_publish publish;

static bool get_publish(struct hm_reader *r)
{
	return gate_publish_get(r, &publish);
}

Test(gate_protocol, a_publication_comes_back_as_it_was)
{
	struct gate_publish sent = {.path = "/demo/.well-known/jwks.json",
		.status = 200,
		.content_type = "application/json",
		.cache_control = "public, max-age=300",
		.etag = "\"abc\"",
		.body = {(const uint8_t *)"{\0}", 3}};
	gate_publish_put(&w, &sent);
	struct hm_reader r = again();
	cr_assert(get_publish(&r));
	cr_expect_str_eq(publish.path, sent.path);
	cr_expect_eq(publish.status, 200);
	cr_expect_str_eq(publish.content_type, sent.content_type);
	cr_expect_str_eq(publish.cache_control, sent.cache_control);
	cr_expect_str_eq(publish.etag, sent.etag);
	cr_expect_eq(publish.body.length, 3);
	cr_expect_arr_eq(publish.body.data, "{\0}", 3);
	expect_whole_or_nothing(get_publish);
}

Test(gate_protocol, a_removal_is_a_publication_too)
{
	gate_publish_put(&w, &(struct gate_publish){.path = "/a"});
	expect_whole_or_nothing(get_publish);
	cr_expect_eq(publish.status, 0);
}

Test(gate_protocol, a_publication_out_of_range_is_refused)
{
	static const struct gate_publish bad[] = {
		{.path = "", .status = 200}, {.path = "a", .status = 200}, {.path = "/a", .status = 600}};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		begin();
		gate_publish_put(&w, &bad[i]);
		struct hm_reader r = again();
		cr_expect_not(get_publish(&r), "case %zu", i);
	}
}

/* ---- request ---- */

static struct gate_request request;

static bool get_request(struct hm_reader *r)
{
	return gate_request_get(r, &request);
}

Test(gate_protocol, a_unix_caller_comes_back_as_it_was_and_has_no_certificate)
{
	struct gate_request sent = {.operation = OPERATION_METRICS,
		.caller = {.kind = CALLER_UNIX, .uid = 1000, .gid = 100, .pid = 4711, .uri = "spiffe://not.sent/x"},
		.body = {(const uint8_t *)"", 0}};
	memset(sent.caller.spki_sha256, 0xaa, sizeof sent.caller.spki_sha256);
	memset(&request, 0xff, sizeof request); /* what stood there before must not shine through */
	gate_request_put(&w, &sent);
	struct hm_reader r = again();
	cr_assert(get_request(&r));
	cr_expect_eq(request.operation, OPERATION_METRICS);
	cr_expect_eq(request.caller.uid, 1000);
	cr_expect_eq(request.caller.gid, 100);
	cr_expect_eq(request.caller.pid, 4711);
	cr_expect_str_eq(request.caller.uri, "");
	static const uint8_t zeros[32];
	cr_expect_arr_eq(request.caller.spki_sha256, zeros, 32);
	cr_expect_eq(request.body.length, 0);
	expect_whole_or_nothing(get_request);
}

Test(gate_protocol, a_caller_with_a_certificate_comes_back_as_it_was_and_has_no_uid)
{
	struct gate_request sent = {.operation = OPERATION_MINT_JWT,
		.caller = {.kind = CALLER_CERTIFICATE, .uid = 0, .uri = "spiffe://demo.test/client"},
		.body = {(const uint8_t *)"{}", 2}};
	for (uint8_t i = 0; i < 32; i++)
		sent.caller.spki_sha256[i] = i;
	memset(&request, 0, sizeof request); /* a uid of 0 left standing would be root */
	gate_request_put(&w, &sent);
	struct hm_reader r = again();
	cr_assert(get_request(&r));
	cr_expect_str_eq(request.caller.uri, "spiffe://demo.test/client");
	cr_expect_arr_eq(request.caller.spki_sha256, sent.caller.spki_sha256, 32);
	cr_expect_eq(request.caller.uid, UINT32_MAX);
	cr_expect_eq(request.caller.gid, UINT32_MAX);
	cr_expect_eq(request.caller.pid, UINT32_MAX);
	cr_expect_arr_eq(request.body.data, "{}", 2);
	expect_whole_or_nothing(get_request);
}

Test(gate_protocol, a_request_with_an_unknown_operation_or_kind_of_caller_is_refused)
{
	struct gate_request sent = {.caller = {.kind = CALLER_UNIX}, .body = {(const uint8_t *)"", 0}};
	for (unsigned operation = OPERATIONS; operation < 256; operation++) {
		begin();
		sent.operation = (uint8_t)operation;
		gate_request_put(&w, &sent);
		struct hm_reader r = again();
		cr_expect_not(get_request(&r), "operation %u", operation);
	}
	sent.operation = OPERATION_MINT_JWT;
	for (unsigned kind = CALLER_NONE; kind < 256; kind++) {
		begin();
		sent.caller.kind = (uint8_t)kind;
		gate_request_put(&w, &sent);
		struct hm_reader r = again();
		cr_expect_not(get_request(&r), "kind %u", kind);
	}
}

Test(gate_protocol, what_is_asked_of_the_ledger_comes_back_with_its_path)
{
	struct gate_request sent = {.operation = OPERATION_LEDGER_ENTRIES,
		.caller = {.kind = CALLER_UNIX, .uid = 7},
		.path = "/ledger/12/tile/entries/x001/234.p/5"};
	memset(&request, 0xff, sizeof request);
	gate_request_put(&w, &sent);
	struct hm_reader r = again();
	cr_assert(get_request(&r));
	cr_expect_eq(request.caller.uid, 7);
	cr_expect_str_eq(request.path, sent.path);
	expect_whole_or_nothing(get_request);
}

Test(gate_protocol, only_what_is_asked_of_the_ledger_has_a_path)
{
	struct gate_request sent = {.operation = OPERATION_KEYS, .caller = {.kind = CALLER_UNIX}, .path = "/keys"};
	memset(&request, 0xff, sizeof request);
	gate_request_put(&w, &sent);
	struct hm_reader r = again();
	cr_assert(get_request(&r));
	cr_expect_str_eq(request.path, "");
}

/* Whoever stood in the memory before must not be taken for the one who asks. */
Test(gate_protocol, nobody_asks_for_what_is_public_and_somebody_for_all_else)
{
	for (unsigned operation = 0; operation < OPERATIONS; operation++)
		for (unsigned kind = CALLER_UNIX; kind <= CALLER_NONE; kind++) {
			struct gate_request sent = {.operation = (uint8_t)operation,
				.caller = {.kind = (uint8_t)kind},
				.path = "/p",
				.call = {.method = "POST", .target = "/p"}};
			begin();
			memset(&request, 0, sizeof request);
			gate_request_put(&w, &sent);
			struct hm_reader r = again();
			bool is_right = (operation == OPERATION_LEDGER_PUBLIC) == (kind == CALLER_NONE) ||
					operation == OPERATION_TOKEN;
			cr_expect_eq(get_request(&r), is_right, "operation %u, kind %u", operation, kind);
			if (is_right && kind == CALLER_NONE)
				cr_expect_eq(request.caller.uid, UINT32_MAX);
		}
}

Test(gate_protocol, a_path_has_its_limit_and_no_control_characters)
{
	char longest[HM_LEDGER_PATH_MAX + 2];
	memset(longest, 'a', sizeof longest);
	for (size_t length = HM_LEDGER_PATH_MAX; length < sizeof longest; length++) {
		begin();
		hm_put_u8(&w, OPERATION_LEDGER_PUBLIC);
		hm_put_u8(&w, CALLER_NONE);
		hm_put_u64(&w, 0);
		hm_put_string(&w, "");
		hm_put_bytes(&w, longest, length);
		hm_put_bytes(&w, NULL, 0);
		struct hm_reader r = again();
		cr_expect_eq(get_request(&r), length == HM_LEDGER_PATH_MAX, "%zu", length);
	}
	begin();
	gate_request_put(&w,
		&(struct gate_request){
			.operation = OPERATION_LEDGER_PUBLIC, .caller = {.kind = CALLER_NONE}, .path = "/ledger/\n"});
	struct hm_reader r = again();
	cr_expect_not(get_request(&r));
}

static const struct gate_request a_call = {.operation = OPERATION_API,
	.caller = {.kind = CALLER_UNIX, .uid = 7},
	.call = {.method = "POST",
		.target = "/v1/tasks/abc/cancel?x=1",
		.is_form = 1,
		.content_digest = "sha-256=:AA==:",
		.signature_input = "hsmint=()",
		.signature = "hsmint=:AA==:",
		.dpop = "e30.e30.AA",
		.certificates = {(const uint8_t *)"der", 3}},
	.body = {(const uint8_t *)"{}", 2}};

Test(gate_protocol, a_call_comes_back_with_what_its_signature_covers)
{
	memset(&request, 0xff, sizeof request);
	gate_request_put(&w, &a_call);
	struct hm_reader r = again();
	cr_assert(get_request(&r));
	cr_expect_str_eq(request.path, "");
	cr_expect_str_eq(request.call.method, "POST");
	cr_expect_str_eq(request.call.target, "/v1/tasks/abc/cancel?x=1");
	cr_expect_eq(request.call.is_form, 1);
	cr_expect_str_eq(request.call.content_digest, "sha-256=:AA==:");
	cr_expect_str_eq(request.call.signature_input, "hsmint=()");
	cr_expect_str_eq(request.call.signature, "hsmint=:AA==:");
	cr_expect_str_eq(request.call.dpop, "e30.e30.AA");
	cr_expect_eq(request.call.certificates.length, 3);
	cr_expect_arr_eq(request.call.certificates.data, "der", 3);
	cr_expect_arr_eq(request.body.data, "{}", 2);
	expect_whole_or_nothing(get_request);
}

Test(gate_protocol, a_token_request_may_come_from_nobody_and_no_call_may)
{
	struct gate_request sent = a_call;
	sent.caller = (struct gate_caller){.kind = CALLER_NONE};
	gate_request_put(&w, &sent);
	struct hm_reader r = again();
	cr_expect_not(get_request(&r));
	begin();
	sent.operation = OPERATION_TOKEN;
	gate_request_put(&w, &sent);
	r = again();
	cr_assert(get_request(&r));
	cr_expect_eq(request.caller.kind, CALLER_NONE);
	cr_expect_str_eq(request.call.dpop, "e30.e30.AA");
}

Test(gate_protocol, only_a_call_has_what_a_signature_covers)
{
	struct gate_request sent = a_call;
	sent.operation = OPERATION_MINT_JWT;
	memset(&request, 0xff, sizeof request);
	gate_request_put(&w, &sent);
	struct hm_reader r = again();
	cr_assert(get_request(&r));
	cr_expect_str_eq(request.call.method, "");
	cr_expect_str_eq(request.call.signature, "");
	cr_expect_eq(request.call.certificates.length, 0);
}

static void expect_call(struct gate_request sent, bool accepted, const char *what)
{
	begin();
	gate_request_put(&w, &sent);
	struct hm_reader r = again();
	cr_expect_eq(get_request(&r), accepted, "%s", what);
}

Test(gate_protocol, a_call_out_of_range_is_refused)
{
	struct gate_request sent = a_call;
	expect_call(sent, true, "as it is");
	strcpy(sent.call.method, "PUT");
	expect_call(sent, false, "another method");
	sent = a_call;
	strcpy(sent.call.target, "v1/tasks");
	expect_call(sent, false, "a target without a slash");
	strcpy(sent.call.target, "/v1/\n");
	expect_call(sent, false, "a target with a control character");
	sent = a_call;
	sent.call.is_form = 2;
	expect_call(sent, false, "neither a form nor not");
	sent = a_call;
	sent.call.signature_input[0] = 0;
	expect_call(sent, true, "a signature without its input is for mint to refuse");
	sent.call.signature[0] = 0;
	expect_call(sent, false, "certificates without a signature");
	sent.operation = OPERATION_TOKEN;
	expect_call(sent, true, "to which a token may be bound");
}

/* Of a call alone the body is not bound to one frame. */
Test(gate_protocol, the_lengths_of_a_call_have_their_limits)
{
	static uint8_t bytes[HM_HTTP_MAX_BATCH_BODY + 1], large[sizeof bytes + 64 * 1024];
	for (int longer = 0; longer <= 1; longer++) {
		struct gate_request sent = a_call;
		sent.body = (struct hm_bytes){bytes, HM_HTTP_MAX_BATCH_BODY + (size_t)longer};
		w = hm_writer(large, sizeof large);
		gate_request_put(&w, &sent);
		struct hm_reader r = hm_reader(large, w.used);
		cr_expect_eq(get_request(&r), !longer, "body");
		sent = a_call;
		sent.call.certificates = (struct hm_bytes){bytes, HM_CERTIFICATES_MAX + (size_t)longer};
		w = hm_writer(large, sizeof large);
		gate_request_put(&w, &sent);
		r = hm_reader(large, w.used);
		cr_expect_eq(get_request(&r), !longer, "certificates");
	}
}

Test(gate_protocol, a_deadline_and_a_key_come_back_as_they_were)
{
	struct gate_request sent = {.caller = {.kind = CALLER_UNIX},
		.deadline_ms = UINT64_MAX - 7,
		.key = {.text = "a/key\"", .digest = {1, 2, 3}, .item = 255, .items = 256},
		.body = {(const uint8_t *)"{}", 2}};
	memset(&request, 0xff, sizeof request);
	gate_request_put(&w, &sent);
	struct hm_reader r = again();
	cr_assert(get_request(&r));
	cr_expect_eq(request.deadline_ms, UINT64_MAX - 7);
	cr_expect_str_eq(request.key.text, "a/key\"");
	cr_expect_arr_eq(request.key.digest, sent.key.digest, 32);
	cr_expect_eq(request.key.item, 255);
	cr_expect_eq(request.key.items, 256);
	expect_whole_or_nothing(get_request);
}

Test(gate_protocol, without_a_key_a_request_is_the_only_one)
{
	struct gate_request sent = {.caller = {.kind = CALLER_UNIX}, .key = {.item = 3, .items = 9}};
	memset(&request, 0xff, sizeof request);
	gate_request_put(&w, &sent);
	struct hm_reader r = again();
	cr_assert(get_request(&r));
	cr_expect_str_eq(request.key.text, "");
	cr_expect_eq(request.key.item, 0);
	cr_expect_eq(request.key.items, 1);
}

Test(gate_protocol, a_key_for_an_item_that_the_batch_does_not_have_is_refused)
{
	static const struct {
		uint16_t item, items;
	} cases[] = {{0, 0}, {1, 1}, {256, 256}, {0, 257}, {65535, 65535}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct gate_request sent = {.caller = {.kind = CALLER_UNIX},
			.key = {.text = "k", .item = cases[i].item, .items = cases[i].items}};
		begin();
		gate_request_put(&w, &sent);
		struct hm_reader r = again();
		cr_expect_not(get_request(&r), "case %zu", i);
	}
}

static void put_certificate_caller(size_t uri_length, size_t body_length)
{
	static const uint8_t bytes[HM_HTTP_MAX_BODY + 1] = {0};
	char uri[HM_SPIFFE_ID_MAX + 2];
	memset(uri, 'a', sizeof uri);
	begin();
	hm_put_u8(&w, OPERATION_MINT_JWT);
	hm_put_u8(&w, CALLER_CERTIFICATE);
	hm_put_bytes(&w, uri, uri_length);
	hm_put_raw(&w, bytes, 32);
	hm_put_u64(&w, 0);
	hm_put_string(&w, "");
	hm_put_bytes(&w, bytes, body_length);
}

Test(gate_protocol, a_uri_and_a_body_have_their_limits)
{
	static const struct {
		size_t uri, body;
		bool fits;
	} cases[] = {{2048, 0, true}, {2049, 0, false}, {0, 60 * 1024, true}, {0, 60 * 1024 + 1, false}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		put_certificate_caller(cases[i].uri, cases[i].body);
		struct hm_reader r = again();
		cr_expect_eq(get_request(&r), cases[i].fits, "case %zu", i);
	}
}

/* It would read as a shorter URI, perhaps another caller's. */
Test(gate_protocol, a_nul_within_a_uri_is_refused)
{
	static const uint8_t bytes[32] = {0};
	hm_put_u8(&w, OPERATION_MINT_JWT);
	hm_put_u8(&w, CALLER_CERTIFICATE);
	hm_put_bytes(&w, "spiffe://demo.test/client\0evil", 30);
	hm_put_raw(&w, bytes, 32);
	hm_put_bytes(&w, bytes, 0);
	struct hm_reader r = again();
	cr_expect_not(get_request(&r));
}

/* ---- reply ---- */

static struct gate_reply reply;

static bool get_reply(struct hm_reader *r)
{
	return gate_reply_get(r, &reply);
}

Test(gate_protocol, a_reply_comes_back_as_it_was)
{
	struct gate_reply sent = {.status = 503,
		.retry_after = 7,
		.content_type = "application/problem+json",
		.cache_control = "no-cache",
		.etag = "\"abc\"",
		.dpop_nonce = "n-1"};
	sent.body = (struct hm_bytes){(const uint8_t *)"{\"a\":1}", 7};
	gate_reply_put(&w, &sent);
	struct hm_reader r = again();
	cr_assert(get_reply(&r));
	cr_expect_eq(reply.status, 503);
	cr_expect_eq(reply.retry_after, 7);
	cr_expect_str_eq(reply.content_type, "application/problem+json");
	cr_expect_str_eq(reply.cache_control, "no-cache");
	cr_expect_str_eq(reply.etag, "\"abc\"");
	cr_expect_str_eq(reply.dpop_nonce, "n-1");
	cr_expect_arr_eq(reply.body.data, "{\"a\":1}", 7);
	expect_whole_or_nothing(get_reply);
}

Test(gate_protocol, a_reply_whose_status_is_none_is_refused)
{
	static const uint16_t statuses[] = {0, 100, 199, 600, 65535};
	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
		begin();
		gate_reply_put(&w, &(struct gate_reply){.status = statuses[i], .body = {(const uint8_t *)"", 0}});
		struct hm_reader r = again();
		cr_expect_not(get_reply(&r), "status %u", statuses[i]);
	}
}

/* ---- ready and statistics ---- */

static struct gate_ready ready;

static bool get_ready(struct hm_reader *r)
{
	return gate_ready_get(r, &ready);
}

Test(gate_protocol, what_a_gate_says_of_itself_comes_back_as_it_was)
{
	gate_ready_put(&w, &(struct gate_ready){.accepted = 1, .sandbox = "seccomp=on landlock=7", .detail = "~ \""});
	struct hm_reader r = again();
	cr_assert(get_ready(&r));
	cr_expect_eq(ready.accepted, 1);
	cr_expect_str_eq(ready.sandbox, "seccomp=on landlock=7");
	cr_expect_str_eq(ready.detail, "~ \"");
	expect_whole_or_nothing(get_ready);
}

Test(gate_protocol, a_gate_that_would_steer_a_terminal_or_is_neither_ready_nor_not_is_refused)
{
	static const struct gate_ready bad[] = {{.accepted = 2}, {.accepted = 1, .sandbox = "\x1b[2J"},
		{.accepted = 1, .sandbox = "on\nlevel=error"}, {.accepted = 1, .sandbox = "\x7f"},
		{.accepted = 1, .sandbox = "\xff not UTF-8"},
		{.accepted = 0,
			.detail = "\x9b"
				  "31m"},
		{.accepted = 0, .detail = "\t"}};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		begin();
		gate_ready_put(&w, &bad[i]);
		struct hm_reader r = again();
		cr_expect_not(get_ready(&r), "case %zu", i);
	}
}

static struct gate_stats stats;

static bool get_stats(struct hm_reader *r)
{
	return gate_stats_get(r, &stats);
}

Test(gate_protocol, statistics_come_back_as_they_were)
{
	struct gate_stats sent;
	for (int i = 0; i < GATE_COUNTERS; i++)
		sent.counter[i] = UINT64_MAX - (uint64_t)i;
	gate_stats_put(&w, &sent);
	struct hm_reader r = again();
	cr_assert(get_stats(&r));
	for (int i = 0; i < GATE_COUNTERS; i++)
		cr_expect_eq(stats.counter[i], UINT64_MAX - (uint64_t)i);
	expect_whole_or_nothing(get_stats);
}

Test(gate_protocol, what_does_not_fit_the_buffer_fails_the_writer)
{
	uint8_t small[8];
	w = hm_writer(small, sizeof small);
	gate_publish_put(&w, &(struct gate_publish){.path = "/longer", .body = {room, 100}});
	cr_expect(w.failed);
	cr_expect_leq(w.used, sizeof small);
}
