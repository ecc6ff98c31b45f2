# SPDX-License-Identifier: Apache-2.0
"""Tokens that people log in: custodians with a part of the PIN each, somebody at a PIN pad; and tokens without a login. What
the token sees of it, and what is left of it anywhere."""
import errno
import fcntl
import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "token"))
import frames  # noqa: E402
from token_case import HSMINT, PATIENCE, TokenCase, children_of, read, wait_for  # noqa: E402

ALICE, BOB, CAROL, MALLORY = 42001, 42002, 42003, 42004
LONGEST_PIN = 256

CALLERS = "".join("  - {name: %s, issuer: demo, uid: %d, roles: [%s]}\n" % caller for caller in (
    ("alice", ALICE, "operate"), ("bob", BOB, "operate"), ("carol", CAROL, "operate"), ("mallory", MALLORY, "audit")))


@unittest.skipIf(os.geteuid() != 0, "becoming another user needs root")
class People(TokenCase):
    """A service whose control socket every user reaches, with callers for some of them."""
    login = None
    waits = True

    def setUp(self):
        super().setUp()
        self.public = tempfile.mkdtemp(prefix="hsmint-")
        self.addCleanup(shutil.rmtree, self.public, True)
        os.chmod(self.public, 0o755)
        self.count_and_script()
        self.edit("control: control.sock", "control: %s/control.sock" % self.public)
        self.edit("    login: file\n    pin: pin\n", self.login)
        with open(self.config, "a") as config:
            config.write(CALLERS)
        os.unlink(self.latch_file)

    def serve(self, wait=False, **more):
        service = super().serve(wait=False, **more)
        service.control = self.public + "/control.sock"
        if wait:
            service.wait_ready()
        elif self.waits:
            wait_for(lambda: self.token(service), "the service")
        return service

    def token(self, service):
        status = service.status_if_any()
        return status and status["tokens"][0]

    def wait_token(self, service, state):
        return wait_for(lambda: (lambda token: token and token["state"] == state and token)(self.token(service)), state)

    def unlock(self, service, uid, part="", *more):
        return subprocess.run([HSMINT, "token", "unlock", "--token", "soft", "--control", service.control, *more],
                              input=part, capture_output=True, text=True, timeout=120,
                              user=uid, group=uid, extra_groups=[])

    def unlocked(self, service, uid, said, part=""):
        result = self.unlock(service, uid, part)
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, said, ""))

    def not_unlocked(self, service, uid, code, said, part=""):
        result = self.unlock(service, uid, part)
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("hsmint: " + code, result.stderr)
        self.assertIn(said, result.stderr)

    def kill_token(self, service):
        os.kill(self.token(service)["pid"], signal.SIGKILL)

    def assert_waits(self, service, logins, said=""):
        """No process, no attempt, and everybody is told why."""
        token = self.wait_token(service, "waiting_for_operator")
        self.assertEqual((token["pid"], self.logins()), (0, logins))
        self.assertIn(said, token["last_error"])
        self.refused(service.mint(), 503, "token_unavailable")
        wait_for(lambda: "token soft is waiting_for_operator" in
                 service.ask("GET", "/readyz").json.get("reason", ""), "/readyz")
        answer = service.ask("GET", "/readyz")
        self.assertEqual((answer.status, answer.json["tokens"]), (503, {"soft": "waiting_for_operator"}))
        self.assertIn('hsmint_token_waiting_for_operator{token="soft"} 1\n', service.ask("GET", "/metrics").body.decode())
        self.assertIn("token soft  waiting_for_operator", service.command("status", "--control", service.control).stdout)
        self.assertIn("hsmint token unlock --token soft",
                      service.command("status", "--control", service.control).stdout)
        result = service.command("mint", "jwt", "--timeout", "1", "--socket", service.socket, "--profile", "demo-access", "--subject",
                                 "spiffe://demo.test/agent/first", "--audience", "https://api.demo.test", check=False)
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("hsmint: token_unavailable: ", result.stderr)
        self.assertIn("hsmint status", result.stderr)
        self.assertEqual(self.logins(), logins)


class Custodians(People):
    login = "    login: custodians\n    custodians: [alice, bob]\n"

    def setUp(self):
        super().setUp()
        half = len(self.pin) // 2
        self.first, self.second = self.pin[:half], self.pin[half:]

    def unlock_both(self, service):
        self.unlocked(service, BOB, "1 more part is missing\n", self.second + "\n")
        self.unlocked(service, ALICE, "the token is unlocked\n", self.first)

    def test_two_custodians_unlock_and_only_a_restart_of_the_service_needs_them_again(self):
        service = self.serve()
        self.assert_waits(service, 0)
        self.unlock_both(service)
        self.assertEqual((service.mint().status, self.logins()), (200, 1))
        for restart in (1, 2):
            self.kill_token(service)
            answers = self.mint_together(service)
            self.assert_credentials(service, answers)
            self.assertEqual((self.token(service)["restarts"], self.logins()), (restart, 1 + restart))
        self.kill(service)

        service = self.serve()
        self.assert_waits(service, 3)
        self.unlock_both(service)
        self.assertEqual((service.mint().status, self.logins()), (200, 4))

    def test_no_part_and_no_digest_is_left_anywhere(self):
        service = self.serve()
        self.unlock_both(service)
        self.assertEqual(service.mint().status, 200)
        secrets = [secret.encode() for secret in (self.pin, self.first, self.second)]
        seen = [service.log().encode(), json.dumps(service.status()).encode()]
        for pid in [service.pid] + children_of(service.pid):
            for name in ("cmdline", "environ", "maps"):
                with open("/proc/%d/%s" % (pid, name), "rb") as file:
                    seen.append(file.read())
            with open("/proc/%d/limits" % pid) as limits:
                self.assertRegex(limits.read(), r"Max core file size\s+0\s+0\s")
        for parent, _, names in os.walk(self.directory):
            for path in (os.path.join(parent, name) for name in names):
                if os.path.isfile(path) and path != self.pin_file:  # which is not configured
                    with open(path, "rb") as file:
                        seen.append(file.read())
        for secret in secrets:
            self.assertEqual([text for text in seen if secret in text], [])
        self.assertRegex(read(self.latch_file), r"\Ahsmint-latch 1\nsalt \S+\ngood [\w-]{22} 0\n\Z")
        mark = read(self.latch_file).split()[-2]
        self.kill(service)
        service = self.serve()
        self.unlock_both(service)
        self.assertNotIn(mark, read(self.latch_file))

    def test_a_wrong_part_costs_one_attempt(self):
        service = self.serve()
        self.unlocked(service, ALICE, "1 more part is missing\n", self.first)
        self.not_unlocked(service, BOB, "unlock_refused", "CKR_PIN_INCORRECT", "wrong")
        self.assert_waits(service, 1, "CKR_PIN_INCORRECT")
        self.assertEqual(self.token(service)["parts_missing"], 2)
        service.command("reload", "--control", service.control)
        self.assert_waits(service, 1, "CKR_PIN_INCORRECT")
        self.unlock_both(service)
        self.assertEqual((service.mint().status, self.logins()), (200, 2))

    def test_a_token_process_that_ends_in_the_first_login_is_the_last(self):
        self.script("C_Login exit 1\n")
        service = self.serve()
        self.unlocked(service, ALICE, "1 more part is missing\n", self.first)
        self.assertEqual(self.unlock(service, BOB, self.second).returncode, 1)
        self.assert_waits(service, 1, "a first attempt with this PIN ended without an answer")
        self.unlock_both(service)
        self.assertEqual((service.mint().status, self.logins()), (200, 2))

    def test_each_gives_their_own_part_and_nobody_elses(self):
        service = self.serve()
        self.unlocked(service, ALICE, "1 more part is missing\n", "wrong")
        self.unlocked(service, ALICE, "your part took the place of the one that you gave before\n"
                                      "1 more part is missing\n", self.first)
        self.not_unlocked(service, CAROL, "role_missing", "a custodian of token soft", self.second)
        self.not_unlocked(service, MALLORY, "role_missing", "operate", self.second)
        self.not_unlocked(service, 42999, "unknown_caller", "", self.second)
        self.not_unlocked(service, 0, "role_missing", "a custodian of token soft", self.second)
        self.assertEqual((self.token(service)["parts_missing"], self.logins()), (1, 0))
        self.unlocked(service, BOB, "the token is unlocked\n", self.second)
        self.assertEqual(service.mint().status, 200)
        self.not_unlocked(service, ALICE, "unlock_refused", "soft is ready", self.first)

    def test_what_is_no_part_is_not_sent(self):
        service = self.serve()
        for part, said in (("", "not empty"), ("\n", "not empty"), ("x" * (LONGEST_PIN + 1), "too long")):
            result = self.unlock(service, ALICE, part)
            self.assertEqual((result.returncode, result.stdout), (1, ""))
            self.assertIn(said, result.stderr)
        self.unlocked(service, ALICE, "1 more part is missing\n", "x" * (LONGEST_PIN - 1) + "\n")
        self.not_unlocked(service, BOB, "unlock_refused", "at most 256", "xx")
        self.assert_waits(service, 0)

    def test_a_part_is_asked_for_at_the_terminal_without_echo(self):
        service = self.serve()
        for typed, status, said in ((b"\x03\n", 1, b"nothing was sent"), (self.first.encode() + b"\n", 0, b"1 more part is missing")):
            ours, theirs = pty.openpty()
            with subprocess.Popen([HSMINT, "token", "unlock", "--token", "soft", "--control", service.control],
                                  stdin=theirs, stdout=theirs, stderr=theirs, user=ALICE, group=ALICE,
                                  extra_groups=[]) as process:
                wait_for(lambda t=theirs: not termios.tcgetattr(t)[3] & termios.ECHO, "no echo")
                os.write(ours, typed)
                self.assertEqual(process.wait(PATIENCE), status)
            self.assertTrue(termios.tcgetattr(theirs)[3] & termios.ECHO)
            os.close(theirs)
            shown = b"".join(self.rest_of(ours))
            self.assertIn(b"your part of the PIN: ", shown)
            self.assertIn(said, shown)
            self.assertNotIn(self.first.encode(), shown)
            os.close(ours)

    def rest_of(self, terminal):
        """What is in it, which comes in pieces; then reading fails, since nobody has the other side open."""
        try:
            while True:
                yield os.read(terminal, 4096)
        except OSError as end:
            self.assertEqual(end.errno, errno.EIO)

    def ask(self, service, fds):
        """As alice; the answer, or what ended the connection."""
        script = ("import json, os, sys; sys.path.insert(0, %r); import frames, socket\n"
                  "sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); sock.connect(%r)\n"
                  "command = json.dumps({'command': 'token-unlock', 'token': 'soft'}).encode()\n"
                  "frames.send(sock, frames.frame(frames.CONTROL_REQUEST, command, 1), %r)\n"
                  "print(frames.split(frames.receive(sock)[0])[2].decode())\n" % (
                      os.path.dirname(os.path.abspath(frames.__file__)), service.control, fds))
        result = subprocess.run([sys.executable, "-B", "-c", script], capture_output=True, text=True, timeout=PATIENCE,
                                pass_fds=fds, user=ALICE, group=ALICE, extra_groups=[], check=True)
        return json.loads(result.stdout)

    def memfd(self, data, seals=frames.ALL_SEALS):
        fd = os.memfd_create("part", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        self.addCleanup(os.close, fd)
        os.write(fd, data)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
        return fd

    def test_a_part_comes_in_one_memfd_that_nobody_can_change(self):
        service = self.serve()
        ours, theirs = socket.socketpair()
        file = os.open(self.config, os.O_RDONLY)
        for fds in ([], [self.memfd(b"a", 0)], [self.memfd(b"")], [self.memfd(b"x" * (LONGEST_PIN + 1))], [ours.fileno()],
                    [file], [self.memfd(b"a"), self.memfd(b"b")],
                    *([self.memfd(b"a", frames.ALL_SEALS & ~seal)] for seal in (1, 2, 4, 8))):
            answer = self.ask(service, fds)
            self.assertEqual((answer["code"], answer["status"]), ("unlock_refused", 409), answer)
        ours.close(), theirs.close(), os.close(file)
        self.assert_waits(service, 0)
        self.assertEqual(self.token(service)["parts_missing"], 2)
        descriptors = len(os.listdir("/proc/%d/fd" % service.pid))
        for _ in range(20):
            self.assertEqual(self.ask(service, [self.memfd(self.first.encode())])["parts_missing"], 1)
        wait_for(lambda: len(os.listdir("/proc/%d/fd" % service.pid)) <= descriptors + 1, "only one part to be kept")

    def test_a_reload_keeps_what_was_given_unless_the_custodians_change(self):
        service = self.serve()
        self.unlocked(service, ALICE, "1 more part is missing\n", self.first)
        service.command("reload", "--control", service.control)
        self.unlocked(service, BOB, "the token is unlocked\n", self.second)
        self.edit("threads: 1 ", "threads: 2 ")
        service.command("reload", "--control", service.control)
        service.wait_ready()
        self.assertEqual((service.mint().status, self.token(service)["threads"], self.logins()), (200, 2, 2))
        self.edit("custodians: [alice, bob]", "custodians: [carol, bob]")
        service.command("reload", "--control", service.control)
        self.assert_waits(service, 2)
        self.not_unlocked(service, ALICE, "role_missing", "a custodian", self.first)
        self.unlocked(service, BOB, "1 more part is missing\n", self.second)
        self.unlocked(service, CAROL, "the token is unlocked\n", self.first)
        self.assertEqual((service.mint().status, self.logins()), (200, 3))

    def test_unlatch_is_not_for_a_token_that_people_log_in(self):
        service = self.serve()
        result = service.command("token", "unlatch", "--token", "soft", "--control", service.control, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("unlock_refused", result.stderr)
        self.assertIn("hsmint token unlock", result.stderr)
        self.assert_waits(service, 0)

    def test_an_outage_of_the_token_needs_no_custodian(self):
        service = self.serve()
        self.unlock_both(service)
        self.script("C_Login 0xa0 1\nC_GenerateRandom 0x30 3\n")
        self.kill_token(service)
        service.wait_ready()
        self.assertEqual((service.mint().status, self.logins()), (200, 1 + 2))

    def test_a_key_that_is_not_as_promised_stops_the_token_and_a_reload_logs_in_again(self):
        self.edit("label: demo-access", "label: not-there")
        service = self.serve()
        self.unlocked(service, ALICE, "1 more part is missing\n", self.first)
        self.not_unlocked(service, BOB, "unlock_refused", "labelled 'not-there'", self.second)
        self.assertEqual(self.wait_token(service, "stopped")["last_class"], "absent")
        self.assertIsNone(service.process.poll())
        self.not_unlocked(service, CAROL, "role_missing", "a custodian of token soft", self.second)
        self.edit("label: not-there", "label: demo-access")
        service.command("reload", "--control", service.control)
        service.wait_ready()
        self.assertEqual((service.mint().status, self.logins()), (200, 2))


class PinPad(People):
    login = "    login: protected-path\n"

    def setUp(self):
        super().setUp()
        self.edit("    environment:\n", "    environment:\n      - {name: HSMINT_TEST_PIN_PAD, value: '%s'}\n" % self.pin)
        self.has_pin_pad()

    def has_pin_pad(self, more=""):
        self.script(more + "C_GetTokenInfo +0x100\n")

    def test_somebody_stands_there_for_one_login_and_no_other(self):
        service = self.serve()
        self.assert_waits(service, 0)
        self.unlocked(service, CAROL, "the token is unlocked\n")
        self.assertEqual((service.mint().status, self.calls("C_Login")[0]["pad"], self.logins()), (200, 1, 1))
        self.not_unlocked(service, CAROL, "unlock_refused", "soft is ready")
        self.kill_token(service)
        self.assert_waits(service, 1)
        self.unlocked(service, ALICE, "the token is unlocked\n")
        self.assertEqual((service.mint().status, self.logins()), (200, 2))
        self.kill(service)
        service = self.serve()
        self.assert_waits(service, 2)

    def test_a_session_that_is_lost_is_opened_again_in_place(self):
        service = self.serve()
        self.unlocked(service, CAROL, "the token is unlocked\n")
        pid = self.token(service)["pid"]
        self.has_pin_pad("C_Sign close 1\n")
        self.assertEqual(service.mint().status, 200)
        self.assertEqual((self.obeyed("C_Sign", "close"), self.token(service)["pid"], self.logins()), (1, pid, 1))

    def test_a_login_that_is_lost_waits_for_somebody(self):
        service = self.serve()
        self.unlocked(service, CAROL, "the token is unlocked\n")
        self.has_pin_pad("C_SignInit logout 1\n")
        self.refused(service.mint(), 503, "token_unavailable")
        self.assert_waits(service, 1)

    def test_what_the_token_answers_is_told_and_not_asked_again(self):
        service = self.serve()
        for i, (value, name) in enumerate((("0xa0", "CKR_PIN_INCORRECT"), ("0x50", "CKR_FUNCTION_CANCELED"),
                                           ("0x30", "CKR_DEVICE_ERROR"), ("0x200", "CKR_FUNCTION_REJECTED")), 1):
            with self.subTest(name):
                self.has_pin_pad("C_Login %s 1\n" % value)
                self.not_unlocked(service, CAROL, "unlock_refused", name)
                self.assert_waits(service, i, name)
        self.unlocked(service, CAROL, "the token is unlocked\n")
        self.assertEqual((service.mint().status, self.logins()), (200, 5))

    def test_a_token_without_a_pin_pad_is_not_asked(self):
        self.script("")
        service = self.serve()
        self.not_unlocked(service, CAROL, "unlock_refused", "CKF_PROTECTED_AUTHENTICATION_PATH")
        self.assert_waits(service, 0, "CKF_PROTECTED_AUTHENTICATION_PATH")

    def test_who_takes_their_time_does_not_keep_other_tokens_from_starting(self):
        self.has_pin_pad("C_Login wait-3000 1\n")
        service = self.serve()
        with subprocess.Popen([HSMINT, "token", "unlock", "--token", "soft", "--control", service.control],
                              stdout=subprocess.PIPE, text=True, user=CAROL, group=CAROL, extra_groups=[]) as unlock:
            wait_for(lambda: self.logins() == 1, "the login")
            with open(os.path.join(self.directory, "state", "token-start.lock")) as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.not_unlocked(service, ALICE, "unlock_refused", "soft is starting")
            self.assertEqual(unlock.communicate(timeout=PATIENCE)[0], "the token is unlocked\n")
        self.assertEqual((service.mint().status, self.logins()), (200, 1))


class WithoutLogin(People):
    login = "    login: none\n"
    waits = False

    def test_a_module_that_logs_in_by_itself_serves(self):
        self.edit("    environment:\n", "    environment:\n      - {name: HSMINT_TEST_PIN_PAD, value: '%s'}\n" % self.pin)
        self.script("C_OpenSession login\n")
        service = self.serve(wait=True)
        self.assertEqual((service.mint().status, self.logins()), (200, 0))
        self.not_unlocked(service, ALICE, "unlock_refused", "login: none")
        self.kill_token(service)
        self.assertEqual((service.mint().status, self.logins()), (200, 0))

    def test_a_token_that_hides_its_keys_without_a_login_is_refused(self):
        self.assertIn("token soft: key demo-access: no private key is labelled", self.serve_refused())
        self.assertEqual(self.logins(), 0)


class Others(People):
    login = "    login: credential\n    pin: pin\n"

    def test_a_token_that_nobody_logs_in_cannot_be_unlocked(self):
        service = self.serve(wait=True, env=dict(os.environ, CREDENTIALS_DIRECTORY=self.directory))
        self.not_unlocked(service, ALICE, "unlock_refused", "login: credential")


if __name__ == "__main__":
    unittest.main()
