# SPDX-License-Identifier: Apache-2.0
"""The way to an issuer's token endpoint: clients without a certificate, DPoP, and refusals in OAuth's words."""

import json
import unittest

import fake_mint
from program import URI, GateTest, request

FORM = b"Content-Type: application/x-www-form-urlencoded"
PATHS = (b"/demo/oauth2/token", b"/oauth2/token", b"/a/b/oauth2/token")
MOST = 32  # of clients without a certificate, with mint at once


def ask_for(path=PATHS[0], body=b"grant_type=client_credentials", *headers):
    return request(b"POST", path, body, FORM, *headers)


class Token(GateTest):
    def assert_error(self, answer, status, error, code):
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(answer.headers["content-type"], "application/json")
        self.assertEqual(answer.headers["cache-control"], "no-store")
        said = json.loads(answer.body)
        self.assertEqual(said["error"], error)
        self.assertEqual(said["error_description"].partition(":")[0], code)

    def test_whoever_comes_is_told_to_mint_as_what_it_proves(self):
        for path in PATHS:
            for client, kind in ((self.unix(), 0), (self.tls(), 1), (self.tls(name=None), 2)):
                self.assertEqual(client.ask(ask_for(path)).status, 200)
                ask = self.mint.requests[-1]
                self.assertEqual((ask.operation, ask.kind, ask.method, ask.target, ask.is_form),
                                 (fake_mint.TOKEN, kind, "POST", path.decode(), 1))
                self.assertEqual(ask.body, b"grant_type=client_credentials")
        self.assertEqual(self.mint.requests[-2].uri, URI)

    def test_a_proof_comes_as_it_was_and_the_nonce_goes_back(self):
        self.answer = lambda mint, ask: mint.reply(ask.id, dpop_nonce="n1-x")
        answer = self.tls(name=None).ask(ask_for(PATHS[0], b"a=b", b"DPoP: e30.e30.AA"))
        self.assertEqual((answer.status, answer.headers["dpop-nonce"]), (200, "n1-x"))
        self.assertEqual(self.mint.requests[-1].dpop, "e30.e30.AA")
        answer = self.tls().ask(ask_for(PATHS[0], b"a=b", b"DPoP: e30.e30.AA", b"DPoP: e30.e30.AA"))
        self.assert_error(answer, 400, "invalid_request", "invalid_header")

    def test_the_certificates_of_a_connection_go_to_mint(self):
        chain = [self.certificates.openssl("x509", "-in", name + ".crt", "-outform", "DER") for name in ("client", "ca")]
        for client, sent in ((self.tls(), b"".join(chain)), (self.tls(name=None), b""), (self.unix(), b"")):
            self.assertEqual(client.ask(ask_for(PATHS[0], b"a=b")).status, 200)
            self.assertEqual(self.mint.requests[-1].certificates, sent)

    def test_what_gate_refuses_it_refuses_in_the_words_of_oauth(self):
        for data, status, code in (
                (request(b"GET", PATHS[0]), 405, "method_not_allowed"),
                (request(b"POST", PATHS[0], b"{}", b"Content-Type: application/json"), 415, "unsupported_media_type"),
                (ask_for(PATHS[0], b"grant_type"), 400, "malformed_form"),
                (ask_for(PATHS[0], b"a=%00"), 400, "malformed_form"),
                (ask_for(PATHS[0], b"a=" + b"b" * 70000), 413, "body_too_large")):
            with self.subTest(code):
                self.assert_error(self.unix().ask(data), status, "invalid_request", code)
        self.assertEqual(self.mint.requests, [])

    def test_an_issuers_introspection_and_revocation_are_calls_refused_in_the_words_of_oauth(self):
        for path in (b"/demo/oauth2/introspect", b"/a/b/oauth2/revoke"):
            self.assertEqual(self.unix().ask(ask_for(path, b"token=x")).status, 200)
            ask = self.mint.requests[-1]
            self.assertEqual((ask.operation, ask.target, ask.is_form), (fake_mint.CALL, path.decode(), 1))
            for data, status, error, code in (
                    (request(b"GET", path), 405, "invalid_request", "method_not_allowed"),
                    (ask_for(path, b"token"), 400, "invalid_request", "malformed_form")):
                self.assert_error(self.unix().ask(data), status, error, code)
            answer = self.tls(name=None).ask(ask_for(path, b"token=x"))
            self.assert_error(answer, 400, "invalid_client", "certificate_required")

    def test_an_authorization_endpoint_is_a_document_whatever_is_asked_of_it(self):
        path = b"/demo/oauth2/authorize"
        self.mint.publish(path.decode(), b'{"error":"x"}', status=400, cache="no-store")
        long = path + b"?a=%00&" + b"b" * 1500
        for data in (request(b"GET", path), request(b"GET", path + b"?response_type=code&a"), request(b"GET", long),
                     ask_for(path, b"response_type=code"), ask_for(path, b"%"), ask_for(path + b"?a=b", b"")):
            with self.subTest(data[:60]):
                answer = self.tls(name=None).ask(data)
                self.assertEqual((answer.status, answer.body), (400, b'{"error":"x"}'))
        answer = self.unix().ask(request(b"DELETE", path))
        self.assertEqual((answer.status, answer.headers["allow"]), (405, "GET, HEAD, POST"))
        self.assertEqual(self.unix().ask(request(b"GET", b"/x/oauth2/authorize?a=b")).status, 404)
        self.assertEqual(self.mint.requests, [])

    def test_a_certificate_that_is_not_accepted_is_not_as_none(self):
        self.certificates.issue("expired", "URI:" + URI, days=-1)
        self.assert_error(self.tls("expired").ask(ask_for()), 400, "invalid_client", "certificate_refused")
        self.assertEqual(self.mint.requests, [])

    def test_clients_without_a_certificate_have_some_places_and_not_all(self):
        self.answer = lambda mint, ask: None
        clients = [self.tls(name=None) for _ in range(MOST)]
        for client in clients:
            client.send(ask_for())
        self.mint.wait(lambda: len(self.mint.requests) == MOST)
        self.assert_error(self.tls(name=None).ask(ask_for()), 503, "temporarily_unavailable", "overload")
        self.answer = fake_mint.FakeMint.reply_at_once
        self.assertEqual(self.tls().ask(ask_for()).status, 200)
        for ask in self.mint.requests[:MOST]:
            self.mint.reply(ask.id)
        self.assertEqual([client.answer().status for client in clients], [200] * MOST)
        self.assertEqual(self.tls(name=None).ask(ask_for()).status, 200)


if __name__ == "__main__":
    unittest.main()
