# SPDX-License-Identifier: Apache-2.0
"""Batches, and the headers that set the terms of a request."""
import hashlib
import json
import time
import unittest

from fake_mint import FakeMint
from program import GateTest, post, request

BATCH = b"/v1/mint/batch"
WINDOW = 64


def batch(count, path=BATCH, *headers, body=None):
    body = body or json.dumps({"requests": [{"n": n} for n in range(count)]}).encode()
    return request(b"POST", path, body, b"Content-Type: application/json", *headers), body


def echo(mint, ask, status=200):
    mint.reply(ask.id, b'{"was":' + ask.body + b"}", status)


class Batches(GateTest):
    def test_the_answers_stand_in_the_order_of_the_requests_whenever_they_came(self):
        held = []

        def answer(mint, ask):
            held.append(ask)
            if len(held) == 7:
                for one in reversed(held):
                    echo(mint, one)
        self.answer = answer
        reply = self.unix().ask(batch(7)[0])
        self.assertEqual((reply.status, reply.headers["content-type"]), (200, "application/json"))
        self.assertEqual(reply.headers["cache-control"], "no-store")
        self.assertEqual(json.loads(reply.body), {"replies": [{"was": {"n": n}} for n in range(7)]})
        self.assertEqual({ask.operation for ask in held}, {2})

    def test_the_most_there_may_be_is_asked_for_by_and_by(self):
        most = [0]

        def answer(mint, ask):
            held.append(ask)
            most[0] = max(most[0], len(held))
            if len(held) == WINDOW or asked[0] + len(held) == 256:
                asked[0] += len(held)
                for one in held:
                    echo(mint, one)
                held.clear()
        held, asked = [], [0]
        self.answer = answer
        client = self.unix()
        reply = client.ask(batch(256)[0])
        self.assertEqual(len(json.loads(reply.body)["replies"]), 256)
        self.assertEqual(most[0], WINDOW)
        self.answer = echo
        self.assertEqual(len(json.loads(client.ask(batch(3)[0]).body)["replies"]), 3, "the connection lives on")

    def test_refusals_stand_among_the_answers(self):
        self.answer = lambda mint, ask: echo(mint, ask, 403 if ask.body == b'{"n": 1}' else 200)
        self.assertEqual([one["was"]["n"] for one in json.loads(self.unix().ask(batch(3)[0]).body)["replies"]], [0, 1, 2])

    def test_a_422_speaks_of_the_whole(self):
        self.answer = lambda mint, ask: echo(mint, ask, 422 if ask.body == b'{"n": 1}' else 200)
        reply = self.unix().ask(batch(3)[0])
        self.assertEqual((reply.status, reply.headers["content-type"]), (422, "application/problem+json"))
        self.assertEqual(json.loads(reply.body), {"was": {"n": 1}})

    def test_what_is_not_answered_by_the_deadline_is_late(self):
        self.answer = lambda mint, ask: echo(mint, ask) if ask.body == b'{"n": 1}' else None
        reply = self.unix().ask(batch(3, BATCH, b"Deadline-Ms: 100")[0])
        self.assertEqual(reply.status, 200)
        self.assertEqual([one.get("code") for one in json.loads(reply.body)["replies"]], ["deadline", None, "deadline"])

    def test_a_client_that_leaves(self):
        self.answer = lambda mint, ask: None
        client = self.unix().send(batch(100)[0])
        self.mint.wait(lambda: len(self.mint.requests) == WINDOW)
        client.close()
        for ask in list(self.mint.requests):
            echo(self.mint, ask)
        self.answer = echo
        for ask in self.mint.requests[WINDOW:]:
            echo(self.mint, ask)
        self.assertEqual(self.unix().ask(batch(2)[0]).status, 200)
        self.mint.wait(lambda: self.mint.stats and self.mint.stats[-1][:4:3] == (1, 0))  # open connections, in flight

    def test_over_tls(self):
        self.answer = echo
        self.assertEqual(len(json.loads(self.tls().ask(batch(200)[0]).body)["replies"]), 200)

    def test_the_end_comes_in_the_middle(self):
        self.answer = lambda mint, ask: None
        client = self.unix().send(batch(100)[0])
        self.mint.wait(lambda: len(self.mint.requests) == WINDOW)
        self.mint.send(67, 0)
        codes = {one["code"] for one in json.loads(client.answer().body)["replies"]}
        self.assertLessEqual(codes, {"deadline", "shutting_down"})
        self.assertEqual(self.mint.process.wait(15), 0)

    def test_one_mebibyte_is_a_body_and_more_is_not(self):
        self.answer = echo
        fill = b" " * (1024 * 1024 - len(b'{"requests":[{}]}'))
        self.assertEqual(self.unix().ask(batch(0, body=b'{"requests":[{}' + fill + b"]}")[0]).status, 200)
        self.assertEqual(self.unix().ask(batch(0, body=b'{"requests":[{} ' + fill + b"]}")[0]).status, 413)

    def test_what_is_no_batch(self):
        for body, code, field in (
                (b"{}", "missing_member", "requests"), (b'{"requests":{}}', "wrong_type", "requests"),
                (b'{"requests":[]}', "invalid_batch", "requests"), (b'{"other":[]}', "unknown_member", "other"),
                (b'{"requests":[{}],"more":1}', "unknown_member", "more"), (b'[{"requests":[]}]', "malformed_json", None),
                (b'{"requests":[{}]} x', "malformed_json", None), (b'{"requests":[{}', "malformed_json", None),
                (b'{"requests":[{},]}', "malformed_json", "requests[1]"), (b'{"requests":[1]}', "malformed_json", "requests[0]"),
                (b'{"requests":[{},{"a":1,"a":2}]}', "duplicate_member", "requests[1]"),
                (b'{"requests":[{"a":"\xff"}]}', "invalid_utf8", "requests[0]"),
                (b'{"requests":[' + b"[" * 9 + b"]" * 9 + b"]}", "too_deep", "requests[0]"),
                (b'{"requests":[{"a":"' + b"x" * 61440 + b'"}]}', "body_too_large", "requests[0]"),
                (json.dumps({"requests": [{}] * 257}).encode(), "invalid_batch", "requests")):
            reply = self.unix().ask(batch(0, body=body)[0])
            told = json.loads(reply.body)
            self.assertEqual((told["code"], told.get("field")), (code, field), body[:40])
        self.assertEqual(self.mint.requests, [])


class Terms(GateTest):
    def headers(self, *lines):
        return request(b"POST", b"/v1/mint/jwt", b"{}", b"Content-Type: application/json", *lines)

    def test_mint_hears_of_key_and_deadline(self):
        before = time.clock_gettime(time.CLOCK_MONOTONIC) * 1000
        self.unix().ask(self.headers(b"Idempotency-Key: \"a-key\"", b"deadline-ms: 4000"))
        ask = self.mint.requests[0]
        self.assertEqual((ask.key, ask.item, ask.items), ('"a-key"', 0, 1))
        self.assertEqual(ask.digest, hashlib.sha256(b"/v1/mint/jwt\0{}").digest())
        self.assertTrue(before + 3000 < ask.deadline < before + 6000, (before, ask.deadline))

    def test_each_of_a_batch_has_the_digest_of_all_and_its_place(self):
        data, body = batch(3, BATCH, b"Idempotency-Key: k")
        self.unix().ask(data)
        self.assertEqual({ask.digest for ask in self.mint.requests}, {hashlib.sha256(BATCH + b"\0" + body).digest()})
        self.assertEqual([(ask.item, ask.items) for ask in self.mint.requests], [(0, 3), (1, 3), (2, 3)])

    def test_without_them_there_is_none(self):
        self.unix().ask(self.headers())
        self.assertEqual((self.mint.requests[0].key, self.mint.requests[0].deadline), ("", 0))

    def test_malformed_ones(self):
        for lines, field in (([b"Idempotency-Key: "], "Idempotency-Key"), ([b"Idempotency-Key: a b"], "Idempotency-Key"),
                             ([b"Idempotency-Key: " + b"k" * 129], "Idempotency-Key"),
                             ([b"Idempotency-Key: k\xc3\xa9y"], "Idempotency-Key"),
                             ([b"Idempotency-Key: a", b"Idempotency-Key: a"], "Idempotency-Key"),
                             ([b"Deadline-Ms: 0"], "Deadline-Ms"), ([b"Deadline-Ms: 600001"], "Deadline-Ms"),
                             ([b"Deadline-Ms: -1"], "Deadline-Ms"), ([b"Deadline-Ms: 1.5"], "Deadline-Ms"),
                             ([b"Deadline-Ms: 1e3"], "Deadline-Ms"), ([b"Deadline-Ms: 00000001"], "Deadline-Ms"),
                             ([b"Deadline-Ms: "], "Deadline-Ms"), ([b"Deadline-Ms: 5", b"Deadline-Ms: 5"], "Deadline-Ms")):
            reply = self.unix().ask(self.headers(*lines))
            told = json.loads(reply.body)
            self.assertEqual((reply.status, told["code"], told.get("field")), (400, "invalid_header", field), lines)
        self.assertEqual(self.unix().ask(self.headers(b"Idempotency-Key: " + b"k" * 128, b"Deadline-Ms: 600000")).status, 200)

    def test_elsewhere_they_say_nothing(self):
        self.assertEqual(self.unix().ask(request(b"GET", b"/healthz", None, b"Deadline-Ms: x")).status, 200)

    def test_when_mint_says_nothing_the_gate_does_at_the_deadline(self):
        self.answer = lambda mint, ask: None
        began = time.monotonic()
        reply = self.unix().ask(self.headers(b"Deadline-Ms: 50"))
        self.assertEqual((reply.status, reply.code), (504, "deadline"))
        self.assertLess(time.monotonic() - began, 5, "and not at its own limit")
        self.answer = FakeMint.reply_at_once


if __name__ == "__main__":
    unittest.main()
