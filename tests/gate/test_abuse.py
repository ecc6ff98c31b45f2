# SPDX-License-Identifier: Apache-2.0
"""Clients that are slow, stuck, gone or too many; a mint that is slow, gone or speaks wrongly; and the end."""

import os
import resource
import socket
import subprocess
import threading
import time
import unittest

import fake_mint
from program import PROGRAM, SANITIZED, Client, GateTest, post, request

CONNECTIONS_OPEN, CONNECTIONS_TOTAL, REQUESTS, IN_FLIGHT, GUARD, TLS_REFUSED, OVERLOAD, TIMEOUTS = range(8)
MANY = 800
BODY_MAX, LARGE_MAX = 60 * 1024, 64
CONNECTIONS_MAX = 1024


class Slow(GateTest):
    def dribble(self, client, start):
        """Send a byte a second until the gate has had enough; tell how long that took."""
        began = time.monotonic()
        client.send(start)
        try:
            while time.monotonic() - began < 60:
                client.socket.settimeout(1)
                try:
                    if not client.socket.recv(1):
                        break
                except TimeoutError:
                    client.send(b"x")
        except OSError:
            pass
        return time.monotonic() - began

    def test_clients_that_drag_out_what_they_send(self):
        raw_tls = Client(socket.create_connection(("127.0.0.1", self.mint.port)))
        self.addCleanup(raw_tls.close)
        cases = {
            "header": (self.unix(), b"GET /healthz HTTP/1.1\r\nHost: ", 10),
            "body": (self.unix(), post(b"x" * 500)[:-400], 10),
            "header over TLS": (self.tls(), b"GET /healthz HTTP/1.1\r\nHost: ", 10),
            "handshake": (raw_tls, b"\x16\x03\x01\x40\x00\x01", 10),
        }
        if os.environ.get("HSMINT_LONG"):
            cases["request line"] = (self.unix(), b"GET /", 30)
        took = {}

        def run(name):
            took[name] = self.dribble(*cases[name][:2])

        threads = [threading.Thread(target=run, args=(name,)) for name in cases]
        for thread in threads:
            thread.start()
        self.assertEqual(self.tls().ask(post()).status, 200, "others are served meanwhile")
        for thread in threads:
            thread.join()
        for name, (_, _, limit) in cases.items():
            self.assertLess(abs(took[name] - limit - 1), 3, name)
        self.mint.wait(lambda: self.mint.stats and self.mint.stats[-1][TIMEOUTS] >= 4)

    def test_a_client_that_does_not_read(self):
        self.mint.publish("/large", b"x" * 8000000)
        began = time.monotonic()
        stuck = [self.unix(), self.tls()]
        for client in stuck:
            client.send(request(b"GET", b"/large") * 3)
        served = self.unix()
        self.assertEqual(served.ask(post()).status, 200)
        served.close()
        self.mint.wait(lambda: self.mint.stats and self.mint.stats[-1][CONNECTIONS_OPEN] == 2)
        if os.environ.get("HSMINT_LONG"):
            self.mint.wait(lambda: self.mint.stats[-1][CONNECTIONS_OPEN] == 0, 40)
            self.assertLess(abs(time.monotonic() - began - 31), 3)
            self.assertEqual(self.mint.stats[-1][TIMEOUTS], 2)


class ByHand(unittest.TestCase):
    def check(self, arguments, **more):
        result = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=20, **more)
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertEqual(result.stderr, "hsmint-gate is started by hsmint; see hsmint --help\n")

    def test_started_by_hand_it_says_who_starts_it(self):
        for arguments in ([], ["--help"], ["--version"]):
            self.check(arguments)

    def test_a_pipe_or_a_stream_in_place_of_its_socket_is_refused(self):
        pairs = [os.pipe(), [end.detach() for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)]]
        for pair in pairs:
            self.check([], preexec_fn=lambda end=pair[0]: os.dup2(end, 3), close_fds=False)
            for end in pair:
                os.close(end)


class SlowMint(GateTest):
    def setUp(self):
        super().setUp()
        self.answer = lambda mint, ask: None

    def wait_for_requests(self, count):
        self.mint.wait(lambda: len(self.mint.requests) >= count)

    def test_the_gates_own_limit_and_a_reply_that_comes_later(self):
        client = self.unix()
        began = time.monotonic()
        answer = client.ask(post())
        self.assertEqual((answer.status, answer.code), (504, "deadline"))
        self.assertLess(abs(time.monotonic() - began - 6), 1.5)
        self.mint.reply(self.mint.requests[0].id, b'{"late":true}')
        self.answer = fake_mint.FakeMint.reply_at_once
        self.assertEqual(client.ask(post()).status, 200)

    def test_replies_that_nobody_waits_for(self):
        for frame_id in (0, 1, 2**64 - 1, MANY):
            self.mint.reply(frame_id, b"{}")
        self.assertEqual(self.unix().ask(request(b"GET", b"/healthz")).status, 200)

    def test_clients_that_leave_while_waiting(self):
        clients = [self.unix().send(post()) for _ in range(20)] + [self.tls().send(post()) for _ in range(5)]
        self.wait_for_requests(25)
        for client in clients:
            client.close()
        for ask in list(self.mint.requests):
            self.mint.reply(ask.id)
        self.answer = fake_mint.FakeMint.reply_at_once
        self.assertEqual(self.unix().ask(post()).status, 200)

    def test_every_connection_may_ask_for_one_thing(self):
        clients = [self.unix().send(post()) for _ in range(MANY)]
        self.wait_for_requests(MANY)
        for ask in list(self.mint.requests):
            self.mint.reply(ask.id)
        self.assertEqual({client.answer().status for client in clients}, {200})

    def test_more_large_bodies_at_once_than_are_held(self):
        large = b'{"requests":[' + b" " * BODY_MAX + b"{}]}"
        clients = [self.unix().send(post(large, b"/v1/mint/batch")) for _ in range(LARGE_MAX // 2)]  # one client's part
        self.wait_for_requests(LARGE_MAX // 2)
        answer = self.unix().ask(post(large, b"/v1/mint/batch"))
        self.assertEqual((answer.status, answer.code, answer.headers["retry-after"]), (503, "overload", "1"))
        other = self.tls().send(post(large, b"/v1/mint/batch"))
        self.wait_for_requests(LARGE_MAX // 2 + 1)
        for ask in list(self.mint.requests):
            self.mint.reply(ask.id)
        self.assertEqual({client.answer().status for client in clients}, {200})
        self.answer = fake_mint.FakeMint.reply_at_once
        self.assertEqual(self.unix().ask(post(large, b"/v1/mint/batch")).status, 200, "they are let go")

    def test_connections_beyond_the_limit_wait_for_a_place(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        self.answer = fake_mint.FakeMint.reply_at_once
        clients = [self.unix() for _ in range(CONNECTIONS_MAX)]
        self.assertEqual(clients[-1].ask(post()).status, 200)
        waiting = self.unix().send(post())
        waiting.socket.settimeout(0.5)
        with self.assertRaises(TimeoutError):
            waiting.socket.recv(1)
        clients[0].close()
        waiting.socket.settimeout(0.5)
        self.assertEqual(waiting.answer().status, 200)

    def bare(self, count):
        """Connections that say nothing."""
        clients = []
        for _ in range(count):
            clients.append(Client(socket.create_connection(("127.0.0.1", self.mint.port))))
            self.addCleanup(clients[-1].close)
        return clients

    def test_from_one_address_only_so_many_connections(self):
        clients = self.bare(260)
        for client in clients[:4]:
            self.assertTrue(client.is_closed(), "the oldest make room")
        for client in clients[4:]:
            client.socket.settimeout(0.001)
            with self.assertRaises(TimeoutError):
                client.socket.recv(1)

    def test_who_has_a_certificate_is_not_kept_out_by_those_who_show_none(self):
        self.answer = fake_mint.FakeMint.reply_at_once
        first = self.tls()
        self.assertEqual(first.ask(post()).status, 200)
        self.bare(300)
        self.assertEqual(self.tls().ask(post()).status, 200)
        self.bare(300)
        self.assertEqual(first.ask(post()).status, 200, "nor is it taken for one of them")

    def test_clients_with_a_certificate_are_not_counted_by_address(self):
        self.answer = fake_mint.FakeMint.reply_at_once
        clients = [self.tls() for _ in range(300)]  # none has asked for anything when the next one comes
        self.assertEqual({client.ask(post()).status for client in clients}, {200})
        for _ in range(200):
            client = Client(socket.create_connection(("127.0.0.1", self.mint.port)))
            self.addCleanup(client.close)
        self.assertEqual(self.tls().ask(post()).status, 200)


class TheEnd(GateTest):
    def test_draining_answers_what_is_in_flight_and_what_comes_at_once(self):
        asked = threading.Event()
        self.answer = lambda mint, ask: asked.set()
        waiting, idle, active = self.unix(), self.unix(), self.unix()
        for client in (idle, active):
            client.ask(request(b"GET", b"/healthz"))
        waiting.send(post())
        self.assertTrue(asked.wait(10))
        self.mint.send(fake_mint.DRAIN, 0)
        time.sleep(0.1)
        answer = active.ask(request(b"GET", b"/healthz"))
        self.assertEqual((answer.status, answer.headers["connection"]), (200, "close"))
        self.assertTrue(active.is_closed())
        self.assertTrue(idle.is_closed())
        self.mint.reply(self.mint.requests[0].id, b'{"last":true}')
        answer = waiting.answer()
        self.assertEqual((answer.body, answer.headers["connection"]), (b'{"last":true}', "close"))
        self.assertEqual(self.mint.process.wait(10), 0)

    def test_draining_does_not_wait_for_ever(self):
        self.answer = lambda mint, ask: None
        client = self.unix().send(post())
        self.mint.wait(lambda: self.mint.requests)
        began = time.monotonic()
        self.mint.send(fake_mint.DRAIN, 0)
        answer = client.answer()
        self.assertIn((answer.status, answer.code), ((504, "deadline"), (503, "shutting_down")))
        self.assertEqual(self.mint.process.wait(15), 0)
        self.assertLess(time.monotonic() - began, 11)

    def test_the_backlog_outlives_the_gate(self):
        self.mint.process.kill()
        self.mint.process.wait()
        client = self.unix()  # mint holds the socket, so this waits in the backlog for the next gate
        client.socket.settimeout(0.2)
        with self.assertRaises(TimeoutError):
            client.socket.recv(1)

    def test_without_mint_there_is_no_gate(self):
        self.mint.socket.shutdown(socket.SHUT_RDWR)
        self.assertEqual(self.mint.process.wait(10), 2)

    def check_malformed(self, send):
        send(self.mint)
        self.assertEqual(self.mint.process.wait(10), 2)

    def test_a_frame_of_an_unknown_type(self):
        self.check_malformed(lambda mint: mint.send(99, 0, b"1234"))

    def test_a_frame_with_a_byte_too_many(self):
        self.check_malformed(lambda mint: mint.send(fake_mint.CONFIG, 0, bytes([1, 0, 0, 0, 0])))

    def test_a_frame_that_is_no_frame(self):
        self.check_malformed(lambda mint: mint.socket.send(b"x"))

    def test_sockets_given_twice(self):
        self.check_malformed(lambda mint: mint.configure(unix=True))


class Sandbox(GateTest):
    def test_its_state_is_told_and_is_in_the_first_log_line(self):
        if not SANITIZED:
            self.assertRegex(self.sandbox_state, "^seccomp=on landlock=[1-9][0-9]* capabilities=none dumpable=no$")
        self.assertIn('event=started sandbox="%s"' % self.sandbox_state, self.log().splitlines()[0])

    def test_a_first_configuration_that_is_refused_ends_it(self):
        mint = fake_mint.FakeMint(PROGRAM, self.directory, tls=[b"", b"", b""])
        self.addCleanup(mint.close)
        accepted, _, detail = mint.wait_ready()
        self.assertEqual(accepted, 0)
        self.assertTrue(detail)
        self.assertEqual(mint.process.wait(10), 1)
        self.assertIn("event=not_started", self.log())
