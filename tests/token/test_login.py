# SPDX-License-Identifier: Apache-2.0
"""Where the PIN comes from, which token is the right one, and where the PIN never is."""
import datetime
import json
import os
import re
import shutil
import signal
import unittest

from softhsm_keys import module_of
from token_case import (HSMINT, PATIENCE, SANITIZED, TokenCase, children_of, process_exists, read, run, wait_for,
                        write)

NOBODY = 65534


class Pin(TokenCase):
    def setUp(self):
        super().setUp()
        self.count_and_script()

    def assert_stopped(self, service, said):
        token = self.wait_stopped(service)
        self.assertEqual((token["last_class"], self.logins()), ("latch", 0))
        self.assertIn(said, token["last_error"])

    def test_a_file_that_others_can_read_is_refused_with_the_mend(self):
        os.chmod(self.pin_file, 0o640)
        service = self.serve(wait=False)
        self.assert_stopped(service, self.pin_file + ": others can read it (mode 640): chmod 600")
        os.chmod(self.pin_file, 0o600)
        service.process.send_signal(signal.SIGHUP)
        service.wait_ready()
        self.assertEqual((service.mint().status, self.logins()), (200, 1))

    def test_a_file_that_is_not_there_or_empty(self):
        os.unlink(self.pin_file)
        service = self.serve(wait=False)
        self.assert_stopped(service, self.pin_file + ": No such file")
        service.stop()
        write(self.pin_file, "\n")
        self.assert_stopped(self.serve(wait=False), self.pin_file + " is empty")

    def test_a_credential_of_the_service_manager(self):
        self.edit("login: file\n    pin: pin\n", "login: credential\n    pin: softhsm-pin\n")
        os.unlink(self.pin_file)
        service = self.serve(wait=False, env=dict(os.environ, CREDENTIALS_DIRECTORY=self.work))
        self.assert_stopped(service, self.work + "/softhsm-pin: No such file")
        service.stop()
        environment = {name: value for name, value in os.environ.items() if name != "CREDENTIALS_DIRECTORY"}
        service = self.serve(wait=False, env=environment)
        self.assert_stopped(service, "LoadCredential=softhsm-pin")
        service.stop()
        write(os.path.join(self.work, "softhsm-pin"), self.pin, 0o440)  # as its access list shows
        service = self.serve(env=dict(os.environ, CREDENTIALS_DIRECTORY=self.work))
        self.assertEqual((service.mint().status, self.logins()), (200, 1))


class Flags(TokenCase):
    """What the token says of its PIN before an attempt is spent."""

    def test_a_pin_that_the_token_would_not_survive_or_does_not_have_is_not_tried(self):
        self.count_and_script()
        latch = read(self.latch_file)
        for action, said in (("+0x40000", "the token's user PIN is locked"),
                             ("+0x20000", "the token allows one last attempt"),
                             ("-0x8", "the token's user PIN was never set")):
            with self.subTest(said):
                self.script("C_GetTokenInfo " + action)
                service = self.serve(wait=False)
                token = self.wait_stopped(service)
                self.assertEqual((token["last_class"], self.logins()), ("latch", 0))
                self.assertIn(said, token["last_error"])
                self.refused(service.mint(), 503, "token_unavailable")
                self.assertEqual(read(self.latch_file), latch)
                service.stop()
        self.script("C_GetTokenInfo +0x10000")  # an attempt failed once: that alone is no reason
        self.assertEqual((self.serve().mint().status, self.logins()), (200, 1))


class Hanging(TokenCase):
    def test_a_module_that_hangs_does_not_keep_the_service_from_stopping(self):
        self.count_and_script("C_Login hang")
        service = self.serve(wait=False)
        wait_for(lambda: self.logins() == 1, "the login")
        children = children_of(service.pid)
        service.process.send_signal(signal.SIGTERM)
        self.assertEqual(service.process.wait(PATIENCE), 0)
        self.assertEqual([pid for pid in children if process_exists(pid)], [])


class WhichToken(TokenCase):
    def softhsm(self, *arguments):
        return run([*arguments], env={**os.environ, "SOFTHSM2_CONF": self.directory + "/softhsm2.conf"}).stdout

    def make_twin(self):
        self.softhsm("softhsm2-util", "--init-token", "--free", "--label", "hsmint-dev", "--so-pin", "12345678",
                     "--pin", "1234")

    def serials(self):
        text = self.softhsm("pkcs11-tool", "--module", module_of(self.directory), "--list-token-slots")
        return re.findall(r"serial num\s*:\s*(\S+)", text)

    def allow(self, *serials):
        self.edit("    label: hsmint-dev\n", "    label: hsmint-dev\n    serials: [%s]\n" %
                  ", ".join('"%s"' % serial for serial in serials))

    def test_a_serial_that_is_not_listed_is_refused(self):
        self.allow("0123456789abcdef")
        self.assertIn("hsmint: token soft: the token labelled 'hsmint-dev' has none of the allowed serials",
                      self.serve_refused())

    def test_a_serial_that_is_listed_serves(self):
        self.allow("0123456789abcdef", *self.serials())
        self.assertEqual(self.serve().mint().status, 200)

    def test_of_two_tokens_with_one_label_the_serial_tells_the_right_one(self):
        serial, = self.serials()
        self.make_twin()
        self.assertEqual(len(self.serials()), 2)
        self.assertIn("2 tokens are labelled 'hsmint-dev': list the serial", self.serve_refused())
        self.allow(serial)
        self.assertEqual(self.serve().mint().status, 200)

    def test_a_token_that_is_away_is_looked_for_again_and_again_and_serves_when_it_comes(self):
        tokens, away = (os.path.join(self.directory, name) for name in ("tokens", "away"))
        shutil.move(tokens, away)
        os.mkdir(tokens)
        service = self.serve(wait=False)

        def restarts():
            status = service.status_if_any()
            return status["tokens"][0]["restarts"] if status else 0
        wait_for(lambda: restarts() >= 4, "the fifth attempt")
        self.assertIn("class=device", service.log())
        self.assertIn("no token is labelled 'hsmint-dev'", service.log())
        self.refused(service.mint(), 503, "token_unavailable")
        self.assertEqual(service.process.poll(), None)
        self.assert_waits_double(service.log())

        for name in os.listdir(away):
            shutil.move(os.path.join(away, name), tokens)
        service.wait_ready()
        self.assertEqual(service.mint().status, 200)

    def assert_waits_double(self, log):
        ends = [datetime.datetime.fromisoformat(time) for time in
                re.findall(r"^time=(\S+)Z .* event=token_ended ", log, re.M)]
        waits = [(later - earlier).total_seconds() for earlier, later in zip(ends, ends[1:])]
        self.assertGreaterEqual(len(waits), 3)
        for i, wait in enumerate(waits):
            self.assertGreaterEqual(wait, 0.1 * 2 ** i * 0.9, waits)


class Secrecy(TokenCase):
    def of(self, pid, name):
        with open("/proc/%d/%s" % (pid, name), "rb") as file:
            return file.read()

    def processes(self, service):
        return [service.pid] + children_of(service.pid)

    def holds_pin(self, pid):
        """Whether any page of the process that can be read holds the PIN."""
        with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "rb", 0) as memory:
            for line in maps:
                start, end = re.match(r"(\w+)-(\w+)", line).groups()
                try:
                    memory.seek(int(start, 16))
                    if self.pin.encode() in memory.read(int(end, 16) - int(start, 16)):
                        return line
                except (OSError, ValueError, OverflowError):
                    pass  # guard pages and the like
        return None

    def test_the_pin_is_nowhere_but_in_its_file(self):
        self.assertGreaterEqual(len(self.pin), 16)
        service = self.serve()
        self.assertEqual(service.mint().status, 200)
        processes = self.processes(service)
        self.assertEqual(len(processes), 3)
        for pid in processes:
            for name in ("cmdline", "environ"):
                self.assertNotIn(self.pin.encode(), self.of(pid, name))
        self.assertNotIn(self.pin, json.dumps(service.status()))
        os.kill(service.status()["tokens"][0]["pid"], signal.SIGKILL)
        service.wait_ready()
        service.stop()
        write(self.pin_file, self.pin + "-wrong")
        service = self.serve(wait=False)
        self.assertNotIn(self.pin, json.dumps(self.wait_stopped(service)))
        self.assertNotIn(self.pin, service.log())
        for parent, _, names in os.walk(self.directory):
            for name in names:
                path = os.path.join(parent, name)
                if path != self.pin_file and os.path.isfile(path):
                    with open(path, "rb") as file:
                        self.assertNotIn(self.pin.encode(), file.read(), path)

    @unittest.skipIf(SANITIZED, "freed memory lies in quarantine")
    @unittest.skipUnless(os.geteuid() == 0, "only root may look into these processes")
    def test_no_process_keeps_the_pin_in_memory(self):
        self.count_and_script()
        service = self.serve()
        for pid in self.processes(service):
            self.assertIsNone(self.holds_pin(pid))
        service.stop()
        self.script("C_Login hang")
        service = self.serve(wait=False)
        wait_for(lambda: self.logins() == 2, "the login")
        self.assertEqual([bool(self.holds_pin(pid)) for pid in self.processes(service)].count(True), 1,
                         "the token process alone, while it logs in")
        self.kill(service)

    def test_no_process_leaves_a_core(self):
        service = self.serve()
        for pid in self.processes(service):
            self.assertRegex(self.of(pid, "limits").decode(), r"Max core file size\s+0\s+0\s")

    @unittest.skipIf(SANITIZED, "the leak checker needs a process that can be traced")
    def test_no_process_can_be_traced_by_its_own_user(self):
        """The kernel gives what /proc shows of such a process to root."""
        user = {}
        if os.geteuid() == 0:
            if run(["setpriv", "--reuid=%d" % NOBODY, "--clear-groups", HSMINT, "--help"], check=False).returncode != 0:
                self.skipTest("another user cannot reach the build")
            user = dict(user=NOBODY, group=NOBODY, extra_groups=[])
            os.chmod(self.work, 0o755)
            for parent, directories, names in os.walk(self.directory):
                for path in [parent] + [os.path.join(parent, name) for name in directories + names]:
                    os.chown(path, NOBODY, NOBODY)
        service = self.serve(**user)
        for pid in self.processes(service):
            with open("/proc/%d/status" % pid) as status:
                uid = re.search(r"^Uid:\s+(\d+)", status.read(), re.M).group(1)
            self.assertNotEqual(int(uid), 0)
            self.assertEqual(os.stat("/proc/%d/environ" % pid).st_uid, 0)


if __name__ == "__main__":
    unittest.main()
