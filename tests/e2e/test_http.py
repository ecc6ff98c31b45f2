# SPDX-License-Identifier: Apache-2.0
"""HTTP as attackers and broken clients speak it."""
import json
import os
import re
import socket
import threading
import time
import unittest

from harness import AUDIENCE, PATIENCE, SUBJECT, SharedCase, wait_for

MINT = json.dumps({"profile": "demo-access", "subject": SUBJECT, "audience": AUDIENCE}).encode()
LENGTH = b"Content-Length: %d\r\n" % len(MINT)
JSON = b"Content-Type: application/json\r\n"


def request(line=b"POST /v1/mint/jwt HTTP/1.1", headers=b"", content=MINT):
    return line + b"\r\n" + headers + b"\r\n" + content


# Shapes that another parser on the way may read otherwise (RFC 9112, sections 2.2, 3.2, 5.1, 6.3 and 11.2).
SMUGGLING = {
    "a length and chunks": request(headers=b"Host: h\r\n" + JSON + LENGTH + b"Transfer-Encoding: chunked\r\n"),
    "chunks": request(headers=b"Host: h\r\n" + JSON + b"Transfer-Encoding: chunked\r\n", content=b"0\r\n\r\n"),
    "an unknown coding": request(headers=b"Host: h\r\n" + JSON + LENGTH + b"Transfer-Encoding: xchunked\r\n"),
    "two lengths": request(headers=b"Host: h\r\n" + JSON + LENGTH + b"Content-Length: 5\r\n"),
    "the same length twice": request(headers=b"Host: h\r\n" + JSON + LENGTH + LENGTH),
    "a length with a sign": request(headers=b"Host: h\r\n" + JSON + b"Content-Length: +%d\r\n" % len(MINT)),
    "a length in hexadecimal": request(headers=b"Host: h\r\n" + JSON + b"Content-Length: 0x10\r\n"),
    "a list of lengths": request(headers=b"Host: h\r\n" + JSON + b"Content-Length: %d, %d\r\n" % (len(MINT), len(MINT))),
    "an endless length": request(headers=b"Host: h\r\n" + JSON + b"Content-Length: 99999999999999999999\r\n"),
    "no host": request(headers=JSON + LENGTH),
    "two hosts": request(headers=b"Host: h\r\nHost: i\r\n" + JSON + LENGTH),
    "a header's name with a space": request(headers=b"Host: h\r\n" + JSON + LENGTH + b"X Y: 1\r\n"),
    "a space before the colon": request(headers=b"Host: h\r\n" + JSON + LENGTH + b"Content-Length : 3\r\n"),
    "a header's name in Latin": request(headers=b"Host: h\r\n" + JSON + LENGTH + b"X\xe9: 1\r\n"),
    "HTTP/1.0": request(b"POST /v1/mint/jwt HTTP/1.0", b"Host: h\r\n" + JSON + LENGTH),
    "HTTP/1.2": request(b"POST /v1/mint/jwt HTTP/1.2", b"Host: h\r\n" + JSON + LENGTH),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a GET with a body": request(b"GET /metrics HTTP/1.1", b"Host: h\r\n" + LENGTH),
}

GOOD = b"Host: h\r\n" + JSON + LENGTH
# What libmicrohttpd 0.9.75 hides from hsmint: the request is served, though RFC 9112, sections 2.2 and 5.2, and
# RFC 9110, section 5.5, have it refused. Another program on the way may read it as other requests.
HIDDEN = {
    "line feeds alone": request(headers=GOOD).replace(b"\r\n", b"\n"),
    "a line feed alone": request(headers=b"X: a\n" + GOOD),
    "a carriage return alone": request(headers=b"X: a\rContent-Length: 5\r\n" + GOOD),
    "a folded value": request(headers=b"X: a\r\n b\r\n" + GOOD),
    "a NUL in a value": request(headers=b"X: a\0b\r\n" + GOOD),
    "a NUL in the length": request(headers=GOOD.replace(LENGTH, LENGTH.replace(b"\r", b"\x000\r"))),
    "a NUL behind the path": request(b"POST /v1/mint/jwt\0x HTTP/1.1", GOOD),
}
# Of the same kind, and seen all the same.
SEEN = {
    "a length behind a line feed": request(headers=b"X: a\nContent-Length: 5\r\n" + GOOD),
    "a coding in a folded line": request(headers=b"X: a\r\n Transfer-Encoding: chunked\r\n" + GOOD),
    "a length in a folded line": request(headers=b"Host: h\r\n" + JSON + LENGTH.replace(b": ", b":\r\n ")),
    "a NUL in a header's name": request(headers=b"X\0Y: b\r\n" + GOOD),
}


class Http(SharedCase):
    def raw(self, data):
        """Send bytes on a connection of their own and give all that comes back until the service closes it."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(self.service.socket)
            sock.sendall(data)
            return self.drain(sock)

    @staticmethod
    def drain(sock):
        received = b""
        try:
            while True:
                some = sock.recv(65536)
                if not some:
                    return received
                received += some
        except ConnectionResetError:
            return received

    def test_what_could_smuggle_a_request_is_refused_and_its_connection_closed(self):
        tail = request(headers=b"Host: h\r\n" + JSON + LENGTH)
        before = self.service.status()["minted"]
        for what, data in SMUGGLING.items():
            with self.subTest(what):
                answer = self.raw(data + tail)
                self.assertRegex(answer, rb"\AHTTP/1\.[01] (400|413|505) ")
                self.assertNotIn(b"credential", answer)
        self.assertEqual(self.service.status()["minted"], before, "something was minted")

    def test_what_the_library_hides_is_served_as_one_request(self):
        for what, data in HIDDEN.items():
            with self.subTest(what):
                answer = self.raw(data + request(b"GET /healthz HTTP/1.1", b"Host: h\r\nConnection: close\r\n", b""))
                self.assertEqual(answer.count(b"HTTP/1.1 200 "), 2, answer)
                self.assertEqual(answer.count(b'"credential"'), 1)
        for what, data in SEEN.items():
            with self.subTest(what):
                answer = self.raw(data)
                self.assertRegex(answer, rb"\AHTTP/1\.1 (400|411) ")
                self.assertNotIn(b"credential", answer)

    def test_what_is_hidden_in_a_request_is_its_own_clients(self):
        """A connection belongs to one client: nothing on it is done for another, or answered to another."""
        other = self.service.tls()
        self.addCleanup(other.close)
        self.assertEqual(self.service.mint(other).status, 200)
        before = self.service.status()["minted"]
        for what, data in {**HIDDEN, **SEEN}.items():
            with self.subTest(what):
                nobody = self.service.tls_context(None)
                with socket.create_connection(("localhost", self.service.port), PATIENCE) as plain:
                    with nobody.wrap_socket(plain, server_hostname="localhost") as sock:
                        sock.sendall(data + request(headers=GOOD + b"Connection: close\r\n"))
                        answer = self.drain(sock)
                self.assertRegex(answer, rb"\AHTTP/1\.1 4(00|01|11) ")
                self.assertEqual(set(re.findall(rb"HTTP/1\.1 (\d+)", answer)) - {b"400", b"401", b"411"}, set())
        self.assertEqual(self.service.status()["minted"], before, "something was minted")
        other.sock.settimeout(0.1)
        with self.assertRaises(TimeoutError):
            other.sock.recv(1)
        other.sock.settimeout(PATIENCE)
        self.assertEqual(self.service.mint(other).status, 200)

    def test_a_good_request_of_the_same_making_is_served(self):
        answer = self.raw(request(headers=b"Host: h\r\nConnection: close\r\n" + JSON + LENGTH))
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 "), answer)
        self.assertIn(b'"credential"', answer)

    def test_paths_and_methods(self):
        ask = self.service.ask
        self.refused(ask("GET", "/nothing"), 404, "not_found")
        self.refused(ask("GET", "/"), 404, "not_found")
        self.refused(ask("GET", "/demo/.well-known/../.well-known/jwks.json"), 404, "not_found")
        self.refused(ask("GET", "/demo/.well-known/jwks%2ejson"), 404, "not_found")
        self.refused(ask("GET", "/healthz?x=1"), 400, "bad_request")
        answer = ask("GET", "/v1/mint/jwt")
        self.refused(answer, 405, "method_not_allowed")
        self.assertEqual(answer.headers["Allow"], "POST")
        answer = ask("DELETE", "/demo/.well-known/jwks.json")
        self.refused(answer, 405, "method_not_allowed")
        self.assertEqual(answer.headers["Allow"], "GET, HEAD")
        head = ask("HEAD", "/demo/.well-known/jwks.json")
        self.assertEqual((head.status, head.body), (200, b""))
        self.assertGreater(int(head.headers["Content-Length"]), 100)

    def test_media_types_and_lengths(self):
        for media_type in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", "application/json; charset=latin1"):
            answer = self.service.ask("POST", "/v1/mint/jwt", MINT, headers={"Content-Type": media_type})
            self.refused(answer, 415, "unsupported_media_type")
        for media_type in ("application/json; charset=utf-8", "Application/JSON;charset=UTF-8"):
            answer = self.service.ask("POST", "/v1/mint/jwt", MINT, headers={"Content-Type": media_type})
            self.assertEqual(answer.status, 200, answer.body)
        answer = self.raw(request(headers=b"Host: h\r\nConnection: close\r\n" + JSON, content=b""))
        self.assertTrue(answer.startswith(b"HTTP/1.1 411 "), answer)

    def test_huge_headers_and_lines(self):
        for data in (request(headers=b"Host: h\r\nX: " + b"x" * 40000 + b"\r\n" + JSON + LENGTH),
                     request(b"POST /" + b"x" * 40000 + b" HTTP/1.1", b"Host: h\r\n" + JSON + LENGTH),
                     request(headers=b"Host: h\r\n" + b"X: y\r\n" * 20000 + JSON + LENGTH)):
            answer = self.raw(data)
            self.assertRegex(answer, rb"\AHTTP/1\.1 4(13|14|31) |\A\Z")
        self.assertEqual(self.service.mint().status, 200)

    def test_many_requests_in_one_piece_are_answered_in_order(self):
        one = request(headers=b"Host: h\r\n" + JSON + LENGTH)
        last = request(b"GET /healthz HTTP/1.1", b"Host: h\r\nConnection: close\r\n", b"")
        answer = self.raw(one * 20 + last)
        self.assertEqual(answer.count(b"HTTP/1.1 200 "), 21)
        self.assertEqual(answer.count(b'"credential"'), 20)

    def test_a_slow_client_is_closed_and_others_are_not(self):
        ended = []

        def drip():
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(PATIENCE + 40)
                sock.connect(self.service.socket)
                try:
                    for byte in request(headers=b"Host: h\r\n" + JSON + LENGTH):
                        sock.sendall(bytes([byte]))
                        if self.readable(sock, 0.5):
                            break
                    answer = self.drain(sock)
                except (BrokenPipeError, ConnectionResetError):
                    answer = b""
                ended.append(answer)

        threads = [threading.Thread(target=drip) for _ in range(20)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            self.assertEqual(self.service.mint().status, 200)
            time.sleep(0.1)
        self.assertEqual(len(ended), 20)
        for answer in ended:
            self.assertNotIn(b"credential", answer)

    @staticmethod
    def readable(sock, seconds):
        sock.settimeout(seconds)
        try:
            return sock.recv(1, socket.MSG_PEEK) is not None
        except socket.timeout:
            return False
        finally:
            sock.settimeout(PATIENCE)

    def test_clients_that_leave_while_they_wait_cost_nothing_lasting(self):
        for _ in range(300):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(self.service.socket)
                sock.sendall(request(headers=b"Host: h\r\n" + JSON + LENGTH))
        self.assertEqual(self.service.mint().status, 200)
        wait_for(lambda: self.service.status()["pending"] == 0, "no pending request")
        gate = self.service.status()["gate"]["pid"]
        wait_for(lambda: len(os.listdir("/proc/%d/fd" % gate)) < 30, "the gate to close what the clients left")

    def test_a_client_that_never_reads_does_not_stop_the_others(self):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            sock.connect(self.service.socket)
            sock.setblocking(False)
            try:
                while True:
                    sock.send(request(headers=b"Host: h\r\n" + JSON + LENGTH))
            except BlockingIOError:
                pass
            for _ in range(20):
                self.assertEqual(self.service.mint().status, 200)

    def test_a_path_bound_by_the_client_is_harmless(self):
        for length in (10, 60, 100):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.bind(os.path.join(self.work, "c" * length)[:107])
                sock.settimeout(PATIENCE)
                sock.connect(self.service.socket)
                try:
                    sock.sendall(request(headers=b"Host: h\r\nConnection: close\r\n" + JSON + LENGTH))
                    answer = self.drain(sock)
                except (BrokenPipeError, ConnectionResetError):
                    answer = b""
                self.assertRegex(answer, rb"(?s)\A(HTTP/1\.1 200 .*)?\Z")
        self.assertEqual(self.service.mint().status, 200)


if __name__ == "__main__":
    unittest.main()
