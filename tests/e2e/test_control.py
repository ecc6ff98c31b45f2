# SPDX-License-Identifier: Apache-2.0
"""The control socket: who may operate, what bad input gets, and operators who keep others out."""
import ctypes
import json
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time
import unittest

import frames
from harness import HSMINT, PATIENCE, Case, SharedCase, edit, start_serve, wait_for

OPERATORS_MAX = 32
IDLE_SECONDS = 60
COMMAND_MAX = 1024 * 1024 + 4096
LONG = bool(os.environ.get("HSMINT_LONG"))


class Operator:
    """One connection to the control socket."""

    def __init__(self, service):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(service.control)

    def send(self, data):
        self.socket.send(data)
        return self

    def answer(self):
        """The id and JSON of a reply; None at the end."""
        try:
            data, _ = frames.receive(self.socket)
        except ConnectionResetError:
            return None
        if not data:
            return None
        kind, frame_id, payload = frames.split(data)
        assert kind == frames.CONTROL_REPLY, kind
        return frame_id, json.loads(payload)

    def ask(self, command, frame_id=1):
        command = command if isinstance(command, bytes) else json.dumps(command).encode()
        return self.send(frames.frame(frames.CONTROL_REQUEST, command, frame_id)).answer()

    def close(self):
        self.socket.close()


class Operators(Case):
    def operator(self, service=None):
        operator = Operator(service or self.service)
        self.addCleanup(operator.close)
        return operator

    def refused_command(self, result, code):
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("hsmint: %s: " % code, result.stderr)


class Commands(SharedCase, Operators):
    def test_an_answer_carries_the_id_of_its_question(self):
        operator = self.operator()
        for frame_id in (1, 7, 2**64 - 1):
            answered, reply = operator.ask({"command": "status"}, frame_id)
            self.assertEqual((answered, reply["ok"]), (frame_id, True))

    def refuse(self, command, code, status, field=None):
        operator = self.operator()
        _, reply = operator.ask(command)
        self.assertEqual((reply["code"], reply["status"], reply.get("field")), (code, status, field), command)
        self.assertEqual(operator.ask({"command": "status"})[1]["ok"], True, "the connection stays usable")

    def test_what_is_no_command(self):
        for command in ({"command": "stop"}, {"command": ""}, {"command": 1}, {"command": None}, {}, []):
            self.refuse(command, "unknown_command", 400, "command")
        for command in (b"{", b"status", b'{"command":"status"} {}', b'{"command":"\xff"}', b'{"command":"status"}\0',
                        b'{"command":"reload","command":"status"}'):
            self.refuse(command, "malformed_json", 400)

    def test_a_token_that_is_not_configured(self):
        self.refuse({"command": "token-unlatch", "token": "nobody"}, "unknown_token", 404, "token")
        for token in ({}, {"token": 1}):
            self.refuse(dict(command="token-unlatch", **token), "missing_member", 400, "token")
        result = self.service.command("token", "unlatch", "--token", "nobody", "--control", self.service.control,
                                      check=False)
        self.refused_command(result, "unknown_token")

    def test_the_clock_is_as_synchronised_as_the_kernel_says(self):
        """adjtimex(2): with all modes 0 it only tells; 5 is TIME_ERROR, and below 0 it is not allowed."""
        kept = ctypes.create_string_buffer(512)  # struct timex is shorter
        expected = 0 <= ctypes.CDLL(None).adjtimex(kept) < 5
        self.assertEqual(self.service.status()["clock"], {"state": "steady", "synchronised": expected})

    def test_what_is_no_frame_of_an_operators_ends_the_connection(self):
        status = b'{"command":"status"}'
        kind = frames.CONTROL_REQUEST
        for data in (b"x", frames.frame(kind, status)[:-1], frames.frame(kind, status, version=2),
                     frames.frame(kind, status, flags=2), frames.frame(kind, status, flags=1),
                     frames.frame(kind, status, length=0), frames.frame(frames.CONTROL_REPLY, status),
                     frames.frame(frames.GATE_REQUEST, status), frames.frame(frames.TOKEN_CONFIG, status),
                     frames.frame(200, status)):
            with self.subTest(data[:8]):
                self.assertIsNone(self.operator().send(data).answer())
        for length in (len(status), COMMAND_MAX + 1):  # a short one does not travel so, and that one is too long
            operator = self.operator()
            frames.send_in_memfd(operator.socket, kind, status.ljust(length))
            self.assertIsNone(operator.answer())
        self.assertTrue(self.service.status()["ok"])

    def test_a_command_of_the_greatest_length_is_read(self):
        status = b'{"command":"status"}'
        self.assertTrue(self.operator().ask(status.ljust(frames.INLINE_MAX))[1]["ok"])
        operator = self.operator()
        frames.send_in_memfd(operator.socket, frames.CONTROL_REQUEST, status.ljust(COMMAND_MAX))
        self.assertTrue(operator.answer()[1]["ok"])

    def test_an_operator_that_never_reads_is_closed(self):
        operator = self.operator()
        with self.assertRaises((BrokenPipeError, ConnectionResetError)):
            for _ in range(100000):
                operator.send(frames.frame(frames.CONTROL_REQUEST, b'{"command":"status"}', 1))
        self.assertTrue(self.service.status()["ok"])

    def test_one_operator_too_many_is_told_so(self):
        operators = [self.operator() for _ in range(OPERATORS_MAX)]
        for operator in operators:
            self.assertTrue(operator.ask({"command": "status"})[1]["ok"])
        for _ in range(20):  # whether it has asked before it is answered or not
            result = self.service.command("status", "--control", self.service.control, check=False)
            self.refused_command(result, "overload")
        silent = self.operator()
        frame_id, reply = silent.answer()
        self.assertEqual((frame_id, reply["code"], reply["status"], reply["retry"]), (0, "overload", 503, "after"))
        self.assertIsNone(silent.answer())
        self.assertTrue(operators[0].ask({"command": "status"})[1]["ok"], "who is connected already is served")
        operators[0].close()
        wait_for(self.service.status_if_any, "a place")
        self.assertIn("event=control_refused", self.service.log())

    @unittest.skipUnless(LONG, "takes more than a minute")
    def test_operators_that_say_nothing_lose_their_place(self):
        operators = [self.operator() for _ in range(OPERATORS_MAX)]
        began = time.monotonic()
        self.assertIsNone(self.service.status_if_any())
        while time.monotonic() - began < IDLE_SECONDS - 5:
            time.sleep(1)
            self.assertTrue(operators[0].ask({"command": "status"})[1]["ok"])
        operators[1].socket.settimeout(IDLE_SECONDS)
        self.assertIsNone(operators[1].answer())
        self.assertLess(abs(time.monotonic() - began - IDLE_SECONDS), 15)
        self.assertTrue(self.service.status()["ok"])
        self.assertTrue(operators[0].ask({"command": "status"})[1]["ok"], "one that spoke lately stays")


class Roles(Operators):
    def serve_with(self, roles):
        directory = self.made()
        config = os.path.join(directory, "hsmint.yaml")
        edit(config, "roles: [mint, task, audit, register, approve, revoke, operate]", "roles: [%s]" % roles)
        service = start_serve(config, directory, wait=False)
        self.addCleanup(service.stop)
        wait_for(lambda: service.process.poll() is not None or os.path.exists(service.control), "the control socket")
        return service

    def test_audit_may_look_and_not_touch(self):
        service = self.serve_with("audit")
        service.wait_ready()
        for arguments in (["reload"], ["token", "unlatch", "--token", "soft"], ["clock", "accept"]):
            self.refused_command(service.command(*arguments, "--control", service.control, check=False), "role_missing")
        self.assertTrue(service.status()["ok"])

    def test_who_may_only_mint_may_not_even_look(self):
        service = self.serve_with("mint")
        for arguments in (["status"], ["reload"], ["token", "unlatch", "--token", "soft"]):
            self.refused_command(service.command(*arguments, "--control", service.control, check=False), "role_missing")


@unittest.skipIf(os.geteuid() != 0, "becoming another user needs root")
class Strangers(Operators):
    def test_a_user_that_is_no_caller_is_told_so_and_nothing_else(self):
        directory = self.made()
        config = os.path.join(directory, "hsmint.yaml")
        public = tempfile.mkdtemp(prefix="hsmint-")
        self.addCleanup(shutil.rmtree, public, True)
        os.chmod(public, 0o755)
        edit(config, "control: control.sock", "control: %s/control.sock" % public)
        service = start_serve(config, directory, wait=False)
        service.control = public + "/control.sock"
        self.addCleanup(service.stop)
        service.wait_ready()
        for _ in range(20):  # whether it has asked before it is answered or not
            for arguments in (["status"], ["reload"]):
                result = subprocess.run([HSMINT, *arguments, "--control", service.control], capture_output=True,
                                        text=True, user=54321, group=54321, extra_groups=[], timeout=PATIENCE)
                self.refused_command(result, "unknown_caller")
                self.assertNotIn(self.work, result.stderr)
        log = service.log()
        self.assertRegex(log, r"event=control_refused uid=54321 pid=\d+ result=unknown_caller")
        self.assertNotIn("event=command name=reload", log)


if __name__ == "__main__":
    unittest.main()
