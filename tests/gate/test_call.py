# SPDX-License-Identifier: Apache-2.0
"""What governs: paths with ids, queries, forms, large imports, and what an HTTP signature needs."""

import json
import os

import fake_mint
from program import URI, GateTest, post, request

FORM = b"Content-Type: application/x-www-form-urlencoded"
JSON = b"Content-Type: application/json"
SIGNED = (b"Content-Digest: sha-256=:AA==:", b'Signature-Input: hsmint=("@method");created=1', b"Signature: hsmint=:AA==:")

# as docs/governance.md has them
PATHS = {
    "/v1/agents": "GET, POST", "/v1/agents/import": "POST", "/v1/agents/a-Z_9": "GET", "/v1/agents/x/suspend": "POST",
    "/v1/agents/x/resume": "POST", "/v1/agents/x/retire": "POST", "/v1/agents/x/transfer": "POST",
    "/v1/tasks": "GET, POST", "/v1/tasks/x": "GET", "/v1/tasks/x/pause": "POST", "/v1/tasks/x/resume": "POST",
    "/v1/tasks/x/complete": "POST", "/v1/tasks/x/cancel": "POST", "/v1/approvals": "GET", "/v1/approvals/x": "GET",
    "/v1/approvals/x/grant": "POST", "/v1/approvals/x/deny": "POST", "/v1/revocations": "GET, POST",
    "/v1/policy/explain": "POST", "/v1/nonces": "POST", "/oauth2/introspect": "POST", "/oauth2/revoke": "POST",
}


def is_form(path):
    return path.startswith("/oauth2/")


class Calls(GateTest):
    def ask_for(self, method, path):
        if method != "POST":
            return request(method.encode(), path.encode())
        return request(b"POST", path.encode(), *((b"token=x", FORM) if is_form(path) else (b"{}", JSON)))

    def test_every_path_takes_its_methods_and_no_other(self):
        client = self.unix()
        for path, methods in PATHS.items():
            for method in ("GET", "POST", "PUT", "DELETE", "HEAD"):
                with self.subTest(method + " " + path):
                    client.send(self.ask_for(method, path))
                    answer = client.answer(head_only=method == "HEAD")
                    if method not in methods.split(", "):
                        self.assertEqual((answer.status, answer.headers["allow"]), (405, methods))
                        continue
                    self.assertEqual(answer.status, 200, answer.body)
                    ask = self.mint.requests[-1]
                    self.assertEqual((ask.operation, ask.method, ask.target), (fake_mint.CALL, method, path))
                    self.assertEqual((ask.kind, ask.uid, ask.is_form), (0, os.getuid(), is_form(path)))
                    self.assertEqual((ask.signature_input, ask.signature, ask.certificates), ("", "", b""))

    def test_paths_that_are_none(self):
        client = self.unix()
        for path in ("/v1/agents/", "/v1/agents/a%41", "/v1/agents/" + "x" * 65, "/v1/agents/x/y", "/v1/tasks/x/delete",
                     "/v1/tasks/./pause", "/v1/approvals/x/grant/", "/v1/policy", "/oauth2/tokens", "/V1/agents"):
            answer = client.ask(request(b"GET", path.encode()))
            self.assertEqual((answer.status, answer.code), (404, "not_found"), path)
        self.assertEqual(client.ask(request(b"GET", b"/v1/agents/" + b"x" * 64)).status, 200)

    def test_a_query_comes_as_it_was_where_one_is_taken(self):
        for target in ("/v1/agents?spiffe_id=spiffe://x/%2a&limit=5", "/v1/tasks?after=abc", "/v1/approvals/x?wait=30",
                       "/v1/revocations?issuer=demo", "/v1/tasks/x?"):
            self.assertEqual(self.unix().ask(request(b"GET", target.encode())).status, 200, target)
            self.assertEqual(self.mint.requests[-1].target, target)

    def test_a_query_is_refused_where_none_is_taken_or_that_can_be_read_in_two_ways(self):
        for data in (post(path=b"/v1/agents?issuer=demo"), post(path=b"/v1/nonces?"), request(b"GET", b"/v1/keys?a=b"),
                     request(b"GET", b"/metrics?"), post(path=b"/v1/tasks/x/cancel?a=b")):
            client = self.unix()
            answer = client.ask(data)
            self.assertEqual((answer.status, answer.code), (400, "bad_request"), data)
            self.assertTrue(client.is_closed())
        for query in (b"a", b"=b", b"a=b&", b"a=b&&c=d", b"a=%4", b"a=%00", b"a=b=c", b'a="', b"a=" + b"x" * 1020):
            answer = self.unix().ask(request(b"GET", b"/v1/tasks?" + query))
            self.assertEqual((answer.status, answer.code), (400, "bad_request"), query)

    def test_bodies(self):
        client = self.unix()
        for data, status, code in (
                (request(b"POST", b"/v1/tasks/x/cancel", b""), 200, None),
                (request(b"POST", b"/v1/tasks/x/cancel", b"", JSON), 200, None),
                (post(b'{"reason":"done"}', b"/v1/tasks/x/cancel"), 200, None),
                (request(b"POST", b"/v1/tasks/x/cancel", b"{}"), 415, "unsupported_media_type"),
                (request(b"POST", b"/v1/tasks/x/cancel", b"a=b", FORM), 415, "unsupported_media_type"),
                (post(b"{", b"/v1/tasks"), 400, "malformed_json"),
                (post(b'{"a":1,"a":1}', b"/v1/tasks"), 400, "duplicate_member"),
                (request(b"POST", b"/oauth2/revoke", b"token=a.b-_~%2B", FORM), 200, None),
                (request(b"POST", b"/oauth2/revoke", b"token=x", FORM + b"; charset=utf-8"), 200, None),
                (request(b"POST", b"/oauth2/revoke", b"token=x", FORM + b"; charset=latin1"), 415, "unsupported_media_type"),
                (post(b"{}", b"/oauth2/introspect"), 415, "unsupported_media_type"),
                (request(b"POST", b"/oauth2/revoke", b"token", FORM), 400, "malformed_form"),
                (request(b"POST", b"/oauth2/revoke", b"token=%0", FORM), 400, "malformed_form"),
                (request(b"POST", b"/oauth2/revoke", b"token=a b", FORM), 400, "malformed_form")):
            with self.subTest(data):
                answer = client.ask(data)
                self.assertEqual(answer.status, status, answer.body)
                if code:
                    self.assertEqual(answer.code, code)
                else:
                    self.assertEqual(self.mint.requests[-1].body, data.partition(b"\r\n\r\n")[2])

    def test_an_import_may_be_large_and_nothing_else(self):
        agent = {"spiffe_id": "spiffe://demo.test/agent/%04d", "owner": "o" * 100, "purpose": "p" * 500, "review": 1,
                 "limits": {"audiences": ["https://api.demo.test"], "scopes": ["read", "write"], "lifetime": 60}}
        body = json.dumps({"agents": [{**agent, "spiffe_id": agent["spiffe_id"] % n} for n in range(1000)]}).encode()
        self.assertGreater(len(body), 700000)
        self.assertEqual(self.unix().ask(post(body, b"/v1/agents/import")).status, 200)
        self.assertEqual(self.mint.requests[-1].body, body)
        for path in (b"/v1/agents", b"/v1/tasks", b"/v1/policy/explain"):
            answer = self.unix().ask(post(body, path))
            self.assertEqual((answer.status, answer.code), (413, "body_too_large"), path)
        answer = self.unix().ask(post(b'"' + b"x" * (1 << 20) + b'"', b"/v1/agents/import"))
        self.assertEqual((answer.status, answer.code), (413, "body_too_large"))
        answer = self.unix().ask(post(b"[" + b"1," * 100000 + b"1]", b"/v1/agents/import"))
        self.assertEqual((answer.status, answer.code), (400, "too_deep"))

    def test_a_signature_comes_as_it_was_with_the_certificates_of_the_connection(self):
        answer = self.tls().ask(request(b"POST", b"/v1/tasks/x/cancel", b"{}", JSON, *SIGNED))
        self.assertEqual(answer.status, 200, answer.body)
        ask = self.mint.requests[-1]
        self.assertEqual((ask.kind, ask.uri), (1, URI))
        self.assertEqual((ask.digest_header, ask.signature_input, ask.signature),
                         ("sha-256=:AA==:", 'hsmint=("@method");created=1', "hsmint=:AA==:"))
        chain = [self.certificates.openssl("x509", "-in", name + ".crt", "-outform", "DER") for name in ("client", "ca")]
        self.assertEqual(ask.certificates, b"".join(chain))  # this client sends the authority's, too

    def test_without_a_signature_no_certificates_go_to_mint(self):
        self.assertEqual(self.tls().ask(post(path=b"/v1/nonces")).status, 200)
        self.assertEqual(self.mint.requests[-1].certificates, b"")

    def test_over_the_unix_socket_there_are_none(self):
        self.assertEqual(self.unix().ask(request(b"POST", b"/v1/nonces", b"", *SIGNED)).status, 200)
        self.assertEqual((self.mint.requests[-1].signature, self.mint.requests[-1].certificates), ("hsmint=:AA==:", b""))

    def test_a_header_of_a_signature_comes_once_and_has_a_limit(self):
        for name, most in ((b"Content-Digest", 127), (b"Signature-Input", 512), (b"Signature", 1024)):
            with self.subTest(name):
                client = self.unix()
                self.assertEqual(client.ask(request(b"GET", b"/v1/tasks", None, name + b": " + b"x" * most)).status, 200)
                for headers in ([name + b": x", name + b": x"], [name + b": " + b"x" * (most + 1)], [name + b":"],
                                [name + b": \xe9"]):
                    answer = client.ask(request(b"GET", b"/v1/tasks", None, *headers))
                    self.assertEqual((answer.status, answer.code), (400, "invalid_header"), headers)
                    self.assertEqual(json.loads(answer.body)["field"], name.decode())

    def test_nobody_without_a_certificate(self):
        answer = self.tls(name=None).ask(request(b"GET", b"/v1/tasks"))
        self.assertEqual((answer.status, answer.code), (401, "certificate_required"))
        self.assertEqual(self.mint.requests, [])

    def test_an_idempotency_key_is_not_for_mint(self):
        self.assertEqual(self.unix().ask(request(b"POST", b"/v1/tasks", b"{}", JSON, b"Idempotency-Key: a")).status, 200)
        self.assertEqual(self.mint.requests[-1].key, "")
