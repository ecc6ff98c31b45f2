# SPDX-License-Identifier: Apache-2.0
"""hsmint ledger follow: a copy goes on as the ledger does, and nothing enters it that a checkpoint does not prove."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from harness import HSMINT, Case, wait_for  # noqa: E402
from log_server import LogServer  # noqa: E402
from made_log import EcdsaKey, Ed25519Key, Log  # noqa: E402

ORIGIN = "mint.test/ledger"


def files_of(directory):
    found = {}
    for place, _, names in os.walk(directory):
        for name in names:
            with open(os.path.join(place, name), "rb") as file:
                found[os.path.relpath(os.path.join(place, name), directory)] = file.read()
    return found


class FollowCase(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="hsmint-follow-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.copy, self.made = os.path.join(self.directory, "copy"), os.path.join(self.directory, "made")
        self.key = Ed25519Key(ORIGIN)

    def log(self, count, shard=1, **members):
        return Log(self.made, ORIGIN, self.key, shard).add(count, **members)

    def serve(self, *logs):
        server = LogServer(*logs)
        self.addCleanup(server.close)
        return server

    def follow(self, server, *more):
        return subprocess.run([HSMINT, "ledger", "follow", server.url, self.copy, "--once", "--vkey", self.key.vkey] +
                              list(more), capture_output=True, text=True, timeout=120)

    def assert_followed(self, server, *logs):
        result = self.follow(server)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assert_copy(*logs)

    def assert_copy(self, *logs):
        """What the writer of the tests would have written, one frame for all that is not in bundles."""
        shutil.rmtree(self.made, True)
        for log in logs:
            log.write(in_frame=256)
        self.assertEqual(files_of(self.copy), files_of(self.made))

    def assert_refused(self, server, *parts):
        before = files_of(self.copy)
        result = self.follow(server)
        self.assertEqual(result.returncode, 1, result.stdout)
        for part in parts:
            self.assertIn(part, result.stderr)
        after = files_of(self.copy)
        for name in ("1/checkpoint", "1/segment"):
            self.assertEqual(after.get(name), before.get(name), name)


class Follow(FollowCase):
    def test_a_copy_of_any_size_is_the_ledger(self):
        for count in (1, 255, 256, 257, 512, 700, 66000):
            with self.subTest(count):
                log = self.log(count)
                server = self.serve(log)
                self.assert_followed(server, log)
                self.assert_followed(server, log.add(9))
                shutil.rmtree(self.copy)

    def test_it_goes_on_from_what_it_has(self):
        log = self.log(1)
        server = self.serve(log)
        for more in (0, 1, 253, 1, 1, 300, 212, 0, 3000):
            log.add(more)
            self.assert_followed(server, log)
        before = len(server.asked)
        self.assert_followed(server, log.add(2))
        entries = [path for path in server.asked[before:] if "entries" in path]
        self.assertEqual(len(entries), 1, "only what is new is asked for")

    def test_nothing_is_written_when_nothing_is_new(self):
        log = self.log(300)
        server = self.serve(log)
        self.assert_followed(server, log)
        path = os.path.join(self.copy, "1", "segment"), os.path.join(self.copy, "1", "checkpoint")
        before = [os.stat(name).st_ino for name in path]
        self.assertEqual(self.follow(server).stdout, "")
        self.assertEqual([os.stat(name).st_ino for name in path], before)

    def test_an_ecdsa_key(self):
        self.key = EcdsaKey(ORIGIN)
        log = self.log(300)
        self.assert_followed(self.serve(log), log)

    def test_shards(self):
        first, second = self.log(300), self.log(2, shard=2)
        server = self.serve(first)
        self.assert_followed(server, first)
        first.add(20)
        server.logs[2] = second
        self.assert_followed(server, first, second)
        third = self.log(3, shard=3)
        server.logs[3] = third
        self.assert_followed(server, first, second.add(1), third)

    def test_shards_that_were_moved_elsewhere_are_not_needed(self):
        logs = [self.log(3, shard=shard) for shard in (4, 5)]
        self.assert_followed(self.serve(*logs), *logs)


class Refused(FollowCase):
    def test_a_checkpoint_that_is_not_signed_by_the_key(self):
        log, key = self.log(300), self.key
        server = self.serve(log)
        self.assert_followed(server, log)
        log.add(10).key = Ed25519Key(ORIGIN)
        self.assert_refused(server, "none of its signatures")
        log.key = key
        server.wrong = lambda path, body: body.replace(b"\n310\n", b"\n309\n") if "checkpoint" in path else body
        self.assert_refused(server, "is wrong")
        witness = Ed25519Key("witness.test", 4)
        server.wrong = lambda path, body: (log.text() + b"\n" + witness.cosign(log.text(), 1).encode()
                                           if "checkpoint" in path else body)
        result = self.follow(server, "--vkey", witness.vkey)
        self.assertIn("only witnesses", result.stderr)

    def test_the_checkpoint_of_another_shard_or_ledger(self):
        log, other = self.log(300), self.log(310, shard=2)
        server = self.serve(log)
        server.wrong = lambda path, body: other.note() if path.endswith("/1/checkpoint") else body
        self.assert_refused(server, ORIGIN + "/2 instead of " + ORIGIN + "/1")
        other.origin = "other.test/ledger/1"
        self.assert_refused(server, "other.test/ledger/1 instead of " + ORIGIN + "/1")

    def test_entries_that_are_not_those_of_the_checkpoint(self):
        log = self.log(300)
        server = self.serve(log)
        self.assert_followed(server, log)
        log.add(600)
        changes = (lambda body: body[:-9] + bytes([body[-9] ^ 1]) + body[-8:], lambda body: body[:-1],
                   lambda body: body + b"\0\1x", lambda body: b"", lambda body: body[80:])
        for name in ("001", "002", "003.p/132"):
            for number, change in enumerate(changes):
                with self.subTest(name, number=number):
                    server.wrong = lambda path, body, c=change, n="/1/tile/entries/" + name: \
                        c(body) if path.endswith(n) else body
                    self.assert_refused(server)
        server.wrong = None
        self.assert_followed(server, log)

    def test_a_ledger_that_was_rolled_back_or_changed(self):
        log = self.log(300)
        server = self.serve(log)
        self.assert_followed(server, log)
        server.logs[1] = self.log(299)
        self.assert_refused(server, "300", "rolled back")
        for other in (self.log(300, version="x"), self.log(310, version="x"), self.log(900, version="x")):
            server.logs[1] = other
            self.assert_refused(server, "shard 1")
        changed = self.log(290).add(10, version="x").add(300)  # the part of a bundle that the copy has
        server.logs[1] = changed
        self.assert_refused(server, "contradicts its copy", "entry 256")
        server.logs[1] = log.add(1)
        self.assert_followed(server, log)

    def test_a_service_that_has_fewer_shards(self):
        first, second = self.log(300), self.log(2, shard=2)
        server = self.serve(first, second)
        self.assert_followed(server, first, second)
        del server.logs[2]
        self.assert_refused(server, "newest shard is 1", "rolled back")

    def test_a_copy_that_was_changed(self):
        log = self.log(600)
        server = self.serve(log)
        self.assert_followed(server, log)
        path = os.path.join(self.copy, "1", "tile", "0", "000")
        with open(path, "r+b") as file:
            file.write(b"x")
        log.add(10)
        self.assert_refused(server, "do not have the root", "changed there or here")

    def test_what_is_away_is_said(self):
        log = self.log(300)
        server = self.serve(log)
        for status, part in ((403, "role audit"), (401, "role audit"), (503, "status 503"), (302, "status 302")):
            server.status = status
            self.assert_refused(server, part)
        server.status = None
        server.wrong = lambda path, body: None if "entries" in path else body
        self.assert_refused(server, "/1/tile/entries/000", "404")
        server.close()
        self.assert_refused(server, server.url)

    def test_usage(self):
        for arguments, part in ((["https://a.test/ledger"], "URL DIR"), (["ledger", "copy"], "URL DIR"),
                                (["https://a.test/ledger", self.copy], "--vkey is needed"),
                                (["https://a.test/ledger", self.copy, "--vkey", "x"], "verifier key")):
            result = subprocess.run([HSMINT, "ledger", "follow", *arguments], capture_output=True, text=True, timeout=60)
            self.assertEqual(result.returncode, 2)
            self.assertIn(part, result.stderr)
        for more, part in ((["--cert", "x"], "belong together"), (["--key", "x"], "belong together")):
            result = subprocess.run([HSMINT, "ledger", "follow", "http://127.0.0.1:1", self.copy, "--vkey", self.key.vkey,
                                     "--once", *more], capture_output=True, text=True, timeout=60)
            self.assertEqual(result.returncode, 1)
            self.assertIn(part, result.stderr)
        result = subprocess.run([HSMINT, "ledger", "follow", "http://elsewhere.test/ledger", self.copy, "--once", "--vkey",
                                 self.key.vkey], capture_output=True, text=True, timeout=60)
        self.assertEqual((result.returncode, "https://" in result.stderr), (1, True))


class OfHsmint(Case):
    """Against the service, by its certificate, while it mints."""
    def setUp(self):
        super().setUp()
        self.service = self.dev()
        self.vkeys = [word for key in self.service.command("ledger", "vkey", "--control", self.service.control)
                      .stdout.split() for word in ("--vkey", key)]
        self.url = "https://localhost:%d/ledger" % self.service.port
        self.identity = ["--ca", self.service.ready["ca"], "--cert", self.service.ready["cert"], "--key",
                         self.service.ready["key"]]
        self.copy = os.path.join(self.work, "copy")

    def mint(self, count):
        for _ in range(count):
            reply = self.service.mint()
            self.assertEqual(reply.status, 200, reply.body)
        return reply.json["ledger"]["index"]

    def size(self):
        with open(os.path.join(self.copy, "1", "checkpoint"), "rb") as file:
            return int(file.read().split(b"\n")[1])

    def covers(self, index):
        answer = self.service.ask("GET", "/ledger/checkpoint")
        return answer.status == 200 and int(answer.body.split(b"\n")[1]) > index

    def ledger(self, *arguments, check=True):
        return self.service.command("ledger", *arguments, *self.vkeys, *self.identity, check=check)

    def test_a_copy_goes_on_and_is_verified_here_and_there(self):
        for count in (3, 300, 600):
            index = self.mint(count)
            wait_for(lambda i=index: self.covers(i), "a checkpoint of entry %d" % index)
            self.ledger("follow", self.url, self.copy, "--once")
            self.assertGreater(self.size(), index)
            for place in (self.copy, self.url):
                self.assertIn("ok: ", self.ledger("verify", place).stdout)

    def test_it_follows_until_it_is_ended(self):
        index = self.mint(1)
        wait_for(lambda: self.covers(index), "a checkpoint")
        command = [HSMINT, "ledger", "follow", self.url, self.copy, *self.vkeys, *self.identity]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            try:
                for count in (1, 2):
                    index = self.mint(count)
                    wait_for(lambda i=index: os.path.exists(os.path.join(self.copy, "1", "checkpoint")) and
                             self.size() > i, "entry %d in the copy" % index, 60)
            finally:
                process.terminate()
                self.assertEqual(process.stderr.read(), b"")

    def test_a_server_that_no_known_ca_vouches_for_is_not_asked(self):
        result = self.service.command("ledger", "follow", self.url, self.copy, "--once", *self.vkeys, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("certificate", result.stderr)
        self.assertEqual(files_of(self.copy), {})

    def test_entries_are_for_the_audit_role(self):
        index = self.mint(1)
        wait_for(lambda: self.covers(index), "a checkpoint")
        result = self.service.command("ledger", "follow", self.url, self.copy, "--once", *self.vkeys, "--ca",
                                      self.service.ready["ca"], check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("role audit", result.stderr)


if __name__ == "__main__":
    unittest.main()
