# SPDX-License-Identifier: Apache-2.0
"""Requests good and bad: routes, published blobs, refusals, shapes that smuggle, bodies, and what mint says."""

import os
import socket

from program import MINT, Client, GateTest, post, request

BODY_MAX = 60 * 1024


class Requests(GateTest):
    def test_a_request_reaches_mint_as_it_came_with_its_unix_peer(self):
        answer = self.unix().ask(post(b'{ "a" : 1}'))
        self.assertEqual((answer.status, answer.headers["cache-control"]), (200, "no-store"))
        ask = self.mint.requests[0]
        self.assertEqual((ask.operation, ask.kind, ask.uid, ask.gid), (0, 0, os.getuid(), os.getgid()))
        self.assertEqual((ask.pid, ask.body), (os.getpid(), b'{ "a" : 1}'))

    def test_many_requests_on_one_connection(self):
        client = self.unix()
        for _ in range(50):
            self.assertEqual(client.ask(post()).status, 200)

    def test_pipelined_requests_are_answered_in_order(self):
        client = self.unix()
        self.answer = lambda mint, ask: mint.reply(ask.id, ask.body)
        client.send(b"".join(post(b'{"n":%d}' % n) for n in range(5)))
        self.assertEqual([client.answer().body for _ in range(5)], [b'{"n":%d}' % n for n in range(5)])

    def test_metrics_is_asked_without_a_body(self):
        self.answer = lambda mint, ask: mint.reply(ask.id, b"x 1\n", content_type="text/plain")
        answer = self.unix().ask(request(b"GET", b"/metrics"))
        self.assertEqual((answer.status, answer.headers["content-type"], answer.body), (200, "text/plain", b"x 1\n"))
        self.assertEqual((self.mint.requests[0].operation, self.mint.requests[0].body), (1, b""))

    def test_what_mint_says_is_passed_on(self):
        self.answer = lambda mint, ask: mint.reply(ask.id, b"{}", 503, 7, "application/problem+json")
        answer = self.unix().ask(post())
        self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "7"))
        self.assertEqual(answer.headers["content-type"], "application/problem+json")

    def test_a_long_reply_and_a_body_of_the_greatest_length(self):
        reply = b'"' + b"r" * 300000 + b'"'
        self.answer = lambda mint, ask: mint.reply(ask.id, reply)
        body = b'{"a":"' + b"x" * (BODY_MAX - 8) + b'"}'
        self.assertEqual(len(body), BODY_MAX)
        self.assertEqual(self.unix().ask(post(body)).body, reply)
        self.assertEqual(self.mint.requests[0].body, body)

    def test_a_body_that_comes_in_pieces(self):
        client = self.unix()
        for byte in post(b'{"a":1}'):
            client.send(bytes([byte]))
        self.assertEqual(client.answer().status, 200)
        self.assertEqual(self.mint.requests[0].body, b'{"a":1}')

    def test_a_client_that_expects_to_be_told_to_go_on(self):
        head, _, body = request(
            b"POST", MINT, b'{"a":1}', b"Content-Type: application/json", b"Expect: 100-continue"
        ).partition(b"\r\n\r\n")
        client = self.unix()
        self.assertEqual(client.ask(head + b"\r\n\r\n").status, 100)
        self.assertEqual(client.ask(body).status, 200)

    def test_a_client_bound_to_a_long_path_is_turned_away(self):
        sock = socket.socket(socket.AF_UNIX)
        path = os.path.join(self.directory, "p" * 60)
        sock.bind(path)
        sock.connect(self.mint.path)
        client = Client(sock)
        self.addCleanup(client.close)
        self.assertTrue(client.is_closed())
        self.assertEqual(self.unix().ask(post()).status, 200)


class Published(GateTest):
    def publish(self, *arguments, **named):
        self.mint.publish(*arguments, **named)
        told = len(self.mint.ready)
        self.mint.configure(tls=self.certificates.server())  # its answer says that all before was taken
        self.mint.wait_ready(told + 1)

    def get(self, path, *headers):
        return self.unix().ask(request(b"GET", path, None, *headers))

    def test_health(self):
        answer = self.get(b"/healthz")
        self.assertEqual((answer.status, answer.body), (200, b'{"status":"ok"}'))

    def test_a_blob_until_it_is_replaced_and_removed(self):
        self.assertEqual(self.get(b"/jwks").status, 404)
        self.publish("/jwks", b'{"keys":[]}', etag='"one"')
        answer = self.get(b"/jwks")
        self.assertEqual((answer.status, answer.body), (200, b'{"keys":[]}'))
        self.assertEqual((answer.headers["etag"], answer.headers["cache-control"]), ('"one"', "public, max-age=300"))
        self.publish("/jwks", b"{}", etag='"two"')
        self.assertEqual(self.get(b"/jwks").body, b"{}")
        self.publish("/jwks", b"", status=0)
        self.assertEqual(self.get(b"/jwks").status, 404)

    def test_a_blob_with_the_status_of_a_failure(self):
        self.publish("/readyz", b'{"ready":false}', status=503, cache="no-store")
        self.assertEqual(self.get(b"/readyz").status, 503)

    def test_a_client_that_has_it_is_told_so(self):
        self.publish("/jwks", b'{"keys":[]}', etag='"one"')
        client = self.unix()
        answer = client.ask(request(b"GET", b"/jwks", None, b'If-None-Match: "zero", W/"one"'))
        self.assertEqual((answer.status, answer.headers["etag"]), (304, '"one"'))
        self.assertEqual(client.ask(request(b"GET", b"/jwks", None, b'If-None-Match: "zero"')).status, 200)

    def test_head(self):
        client = self.unix()
        answer = client.send(request(b"HEAD", b"/healthz")).answer(head_only=True)
        self.assertEqual((answer.status, answer.headers["content-length"]), (200, "15"))
        self.assertEqual(client.ask(request(b"GET", b"/healthz")).body, b'{"status":"ok"}')

    def test_a_large_blob(self):
        self.publish("/large", b"x" * 1000000)
        self.assertEqual(len(self.get(b"/large").body), 1000000)

    def test_paths_are_compared_as_they_came(self):
        for path in (b"/health%7a", b"/healthz/", b"//healthz", b"/x/../healthz", b"/HEALTHZ", b"*",
                     b"http://localhost/healthz"):
            self.assertEqual(self.get(path).status, 404, path)


class Refusals(GateTest):
    json = b"Content-Type: application/json"

    def check_kept(self, data, status, code):
        client = self.unix()
        answer = client.ask(data)
        self.assertEqual((answer.status, answer.code), (status, code), data[:80])
        self.assertEqual(answer.headers["content-type"], "application/problem+json")
        self.assertEqual(answer.headers["cache-control"], "no-store")
        self.assertEqual(client.ask(request(b"GET", b"/healthz")).status, 200, "the connection stays usable")
        return answer

    def check_closed(self, data, status, code=None):
        client = self.unix()
        answer = client.ask(data)
        self.assertEqual(answer.status, status, data[:80])
        if code:
            self.assertEqual(answer.code, code, data[:80])
            self.assertTrue(client.is_closed(), data[:80])

    def test_what_is_wrong_about_a_whole_request_leaves_the_connection_open(self):
        self.check_kept(post(path=b"/v1/mint"), 404, "not_found")
        self.check_kept(post(b"not json", path=b"/nowhere"), 404, "not_found")
        answer = self.check_kept(request(b"GET", MINT), 405, "method_not_allowed")
        self.assertEqual(answer.headers["allow"], "POST")
        answer = self.check_kept(request(b"DELETE", b"/healthz"), 405, "method_not_allowed")
        self.assertEqual(answer.headers["allow"], "GET, HEAD")
        self.check_kept(post(path=b"/metrics"), 405, "method_not_allowed")
        self.check_kept(request(b"POST", MINT, b"{}"), 415, "unsupported_media_type")
        self.check_kept(request(b"POST", MINT, b"{}", b"Content-Type: text/plain"), 415, "unsupported_media_type")
        self.check_kept(post(b""), 400, "malformed_json")
        self.check_kept(post(b"{"), 400, "malformed_json")
        self.check_kept(post(b'{"a":"\\u0000"}'), 400, "malformed_json")
        self.check_kept(post(b'{"a":"\xff"}'), 400, "invalid_utf8")
        self.check_kept(post(b'{"a":1,"a":2}'), 400, "duplicate_member")
        self.check_kept(post(b"[" * 60000), 400, "too_deep")
        self.assertEqual(self.mint.requests, [])

    def test_a_body_that_is_too_large(self):
        for length in (BODY_MAX + 1, 1024 * 1024):
            self.check_kept(post(b"x" * length), 413, "body_too_large")
        head = b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" % MINT
        self.check_closed(head + b"Content-Length: 3000000\r\n\r\n", 413, "body_too_large")
        self.check_closed(head + b"Content-Length: 70000\r\nExpect: 100-continue\r\n\r\n", 413, "body_too_large")

    def test_shapes_that_smuggle(self):
        get = b"GET /healthz HTTP/1.1\r\n"
        mint = b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" % MINT
        for data in (
            mint + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            mint + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            mint + b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}",
            mint + b"Transfer-Encoding: xchunked\r\n\r\n",
            mint + b"Content-Length: 2\r\nContent-Length: 20\r\n\r\n{}",
            mint + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
            mint + b"Content-Length : 2\r\n\r\n{}",
            mint + b"Content-Length: 2\r\nX\x01Y: 2\r\n\r\n{}",
            get + b"Host: a\r\nHost: b\r\n\r\n",
            get + b"Host: a\r\nContent-Length: 2\r\n\r\n{}",
            b"GET /healthz HTTP/1.0\r\nHost: a\r\n\r\n",
            b"GET /healthz?x=1 HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /healthz? HTTP/1.1\r\nHost: a\r\n\r\n",
        ):
            self.check_closed(data, 400, "bad_request")
        self.check_closed(b"POST %s HTTP/1.1\r\nHost: a\r\n\r\n" % MINT, 411, "length_required")
        self.assertEqual(self.mint.requests, [])

    def test_what_the_library_refuses_itself(self):
        for data, status in (
            (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
            (b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2, 2\r\n\r\n{}", 400),
            (b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: -2\r\n\r\n{}", 400),
            (b"GET /" + b"x" * 20000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
            (b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20000 + b"\r\n\r\n", 431),
        ):
            self.check_closed(data, status)

    def test_a_path_of_the_greatest_length(self):
        self.assertEqual(self.unix().ask(request(b"GET", b"/" + b"x" * 2000)).status, 404)
