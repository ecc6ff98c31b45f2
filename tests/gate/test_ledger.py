# SPDX-License-Identifier: Apache-2.0
"""What is read of the ledger: which paths reach mint and with whom, what may be kept, and how much at once."""

import os
import threading

from fake_mint import LEDGER_ENTRIES, LEDGER_PROOF, LEDGER_PUBLIC
from program import URI, GateTest, post, request

PUBLIC = (b"/ledger/tile/0/000", b"/ledger/tile/1/x001/x234/067", b"/ledger/tile/0/000.p/5", b"/ledger/1/tile/0/000",
          b"/ledger/99999/tile/7/000.p/255", b"/ledger/1/checkpoint", b"/ledger/tile/nonsense", b"/ledger/tile/",
          b"/ledger/1/tile/0/../../x")
ENTRIES = (b"/ledger/tile/entries/000", b"/ledger/1/tile/entries/x001/000.p/7", b"/ledger/tile/entries/")
PROOFS = (b"/v1/ledger/proof/0", b"/v1/ledger/proof/2/17", b"/v1/ledger/proof/x")
NOWHERE = (b"/ledger", b"/ledger/", b"/ledger/1", b"/ledger/1/", b"/ledger/1/x", b"/ledger/x/tile/0/000",
           b"/ledger/-1/tile/0/000", b"/ledger//tile/0/000", b"/LEDGER/tile/0/000", b"/ledger/tile/0/%30%30%30",
           b"/ledger/tile/0/00\xc3\xa4", b"/ledger/tile/0/000_", b"/ledger/tile/0/A", b"/ledger/tile",
           b"/ledger/1/checkpoint/", b"/ledger/1/checkpoints", b"/v1/ledger/proof", b"/v1/ledger/", b"//ledger/tile/0/000",
           b"/ledger/tile/" + b"x" * 84)
AT_ONCE = 64
IMMUTABLE = "public, max-age=31536000, immutable"


class Ledger(GateTest):
    def test_what_is_public_reaches_mint_without_saying_who_asks(self):
        for client in (self.unix(), self.tls(), self.tls(None)):
            for path in PUBLIC:
                self.assertEqual(client.ask(request(b"GET", path)).status, 200, path)
                ask = self.mint.requests[-1]
                self.assertEqual((ask.operation, ask.kind, ask.path, ask.body), (LEDGER_PUBLIC, 2, path.decode(), b""))
        self.assertEqual(len(self.mint.requests), 3 * len(PUBLIC))

    def test_entries_and_proofs_are_for_who_says_who_asks(self):
        own, named, nobody = self.unix(), self.tls(), self.tls(None)
        for operation, paths in ((LEDGER_ENTRIES, ENTRIES), (LEDGER_PROOF, PROOFS)):
            for path in paths:
                self.assertEqual(own.ask(request(b"GET", path)).status, 200, path)
                ask = self.mint.requests[-1]
                self.assertEqual((ask.operation, ask.kind, ask.uid, ask.path), (operation, 0, os.getuid(), path.decode()))
                self.assertEqual(named.ask(request(b"GET", path)).status, 200, path)
                ask = self.mint.requests[-1]
                self.assertEqual((ask.operation, ask.kind, ask.uri, ask.path), (operation, 1, URI, path.decode()))
                asked = len(self.mint.requests)
                answer = nobody.ask(request(b"GET", path))
                self.assertEqual((answer.status, answer.code), (401, "certificate_required"), path)
                self.assertEqual(len(self.mint.requests), asked)

    def test_what_has_not_the_form_of_a_path_of_the_ledger_does_not_reach_mint(self):
        client = self.unix()
        for path in NOWHERE:
            answer = client.ask(request(b"GET", path))
            self.assertEqual((answer.status, answer.code), (404, "not_found"), path)
        longest = b"/ledger/tile/" + b"x" * 83
        self.assertEqual(client.ask(request(b"GET", longest)).status, 200)
        self.assertEqual([ask.path for ask in self.mint.requests], [longest.decode()])

    def test_it_is_read_and_nothing_else(self):
        for path in (PUBLIC[0], ENTRIES[0], PROOFS[0]):
            for ask in (post(path=path), request(b"DELETE", path)):
                answer = self.unix().ask(ask)
                self.assertEqual((answer.status, answer.code), (405, "method_not_allowed"), path)
                self.assertEqual(answer.headers["allow"], "GET, HEAD")
            self.assertEqual(self.unix().ask(request(b"GET", path + b"?x=1")).status, 400)
        self.assertEqual(self.mint.requests, [])

    def test_a_tile_may_be_kept_as_mint_says_and_a_refusal_may_not(self):
        client = self.unix()
        self.answer = lambda mint, ask: mint.reply(
            ask.id, b"\x00\xff" * 4096, content_type="application/octet-stream", cache=IMMUTABLE)
        answer = client.ask(request(b"GET", PUBLIC[0]))
        self.assertEqual((answer.body, answer.headers["content-type"]), (b"\x00\xff" * 4096, "application/octet-stream"))
        self.assertEqual(answer.headers["cache-control"], IMMUTABLE)
        self.assertNotIn("etag", answer.headers)
        self.answer = lambda mint, ask: mint.reply(ask.id, b"{}", 404, content_type="application/problem+json")
        self.assertEqual(client.ask(request(b"GET", PUBLIC[0])).headers["cache-control"], "no-store")

    def test_who_has_it_already_is_told_so(self):
        self.answer = lambda mint, ask: mint.reply(ask.id, b"a tile", cache="no-cache", etag='"one"')
        for client in (self.unix(), self.tls(None)):
            answer = client.ask(request(b"GET", PUBLIC[0], None, b'If-None-Match: "zero", W/"one"'))
            self.assertEqual((answer.status, answer.headers["etag"], answer.headers["cache-control"]),
                             (304, '"one"', "no-cache"))
            answer = client.ask(request(b"GET", PUBLIC[0], None, b'If-None-Match: "zero"'))
            self.assertEqual((answer.status, answer.headers["etag"], answer.body), (200, '"one"', b"a tile"))
        self.answer = lambda mint, ask: mint.reply(ask.id, b"{}", 404, etag='"one"')
        self.assertEqual(client.ask(request(b"GET", PUBLIC[0], None, b'If-None-Match: "one"')).status, 404)

    def test_head_is_answered_without_the_body(self):
        self.answer = lambda mint, ask: mint.reply(ask.id, b"a tile", cache="no-cache", etag='"one"')
        for client in (self.unix(), self.tls()):
            for path in (PUBLIC[0], ENTRIES[0], PROOFS[0]):
                answer = client.send(request(b"HEAD", path)).answer(head_only=True)
                self.assertEqual((answer.status, answer.headers["content-length"], answer.headers["etag"]),
                                 (200, "6", '"one"'))
                self.assertEqual(client.ask(request(b"GET", path)).body, b"a tile")

    def test_a_bundle_of_the_greatest_length(self):
        bundle = b"e" * 256 * (2 + 48 * 1024)
        self.answer = lambda mint, ask: mint.reply(ask.id, bundle, content_type="application/octet-stream")
        for client in (self.unix(), self.tls()):
            self.assertEqual(client.ask(request(b"GET", ENTRIES[0])).body, bundle)

    def test_so_many_of_the_public_are_with_mint_at_once_and_callers_do_not_count(self):
        held, holding = [], threading.Event()

        def hold(mint, ask):
            if ask.operation != LEDGER_PUBLIC:
                mint.reply(ask.id)
                return
            held.append(ask)
            if len(held) == AT_ONCE:
                holding.set()
        self.answer = hold
        clients = [self.unix().send(request(b"GET", PUBLIC[0])) for _ in range(AT_ONCE)]
        self.assertTrue(holding.wait(60))
        answer = self.unix().ask(request(b"GET", PUBLIC[1]))
        self.assertEqual((answer.status, answer.code), (503, "overload"))
        self.assertEqual(answer.headers["retry-after"], "1")
        for other in (request(b"GET", ENTRIES[0]), request(b"GET", PROOFS[0]), post()):
            self.assertEqual(self.unix().ask(other).status, 200)
        self.mint.reply(held[0].id)
        self.assertEqual(clients[0].answer().status, 200)
        self.answer = lambda mint, ask: mint.reply(ask.id)
        self.assertEqual(self.unix().ask(request(b"GET", PUBLIC[1])).status, 200, "there is a place again")
        for ask in held[1:]:
            self.mint.reply(ask.id)
        self.assertEqual({client.answer().status for client in clients[1:]}, {200})
