# SPDX-License-Identifier: Apache-2.0
"""Anchors: what a file and a witness remember, and what is said of a directory that they do not agree with."""
import os
import shutil
import socket
import subprocess
import tempfile
import unittest

from made_log import EcdsaKey, Ed25519Key, Log
from witness import Witness

DRIVER = os.path.join(os.environ["HSMINT_BUILD"], "bin", "anchor-driver")
ORIGIN = "mint.test/ledger"


class Anchor:
    def __init__(self, case, *arguments, origin=ORIGIN):
        self.process = subprocess.Popen([DRIVER, origin, case.ledger] + list(arguments), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        case.addCleanup(self.close)
        self.opened = self.hear()

    def close(self):
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()

    def hear(self):
        word, _, detail = self.process.stdout.readline().rstrip("\n").partition(" ")
        return word, detail

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.hear()

    def read(self):
        return self.ask("read")


class AnchorCase(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="hsmint-anchor-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.ledger = os.path.join(self.directory, "ledger")
        os.mkdir(self.ledger)
        self.file = os.path.join(self.directory, "anchor")
        self.key = Ed25519Key(ORIGIN)

    def log(self, shard=1, key=None):
        return Log(self.ledger, ORIGIN, key or self.key, shard)

    def keep(self, anchor, log):
        """Hand over the log's checkpoint as a writer does: entries first, the note to the anchor, then to its file."""
        path = os.path.join(self.directory, "note")
        log.write(checkpoint=False)
        with open(path, "wb") as file:
            file.write(log.note())
        answer = anchor.ask("keep %d %s" % (log.shard, path))
        with open(path, "rb") as file:
            note = file.read()
        log.put("checkpoint", note)
        return answer, note

    def assert_kept(self, anchor, log):
        answer, note = self.keep(anchor, log)
        self.assertEqual(answer, ("ok", ""))
        return note

    def assert_told(self, answer, word, *parts):
        self.assertEqual(answer[0], word, answer)
        for part in parts:
            self.assertIn(part, answer[1])

    def copy(self):
        shutil.copytree(self.ledger, os.path.join(self.directory, "copy"))

    def restore(self):
        shutil.rmtree(self.ledger)
        os.rename(os.path.join(self.directory, "copy"), self.ledger)


class File(AnchorCase):
    def anchor(self):
        return Anchor(self, "--file", self.file)

    def test_a_new_ledger_begins_one_and_each_checkpoint_replaces_it(self):
        anchor, log = self.anchor(), self.log()
        self.assertEqual(anchor.read(), ("ok", ""))
        for count in (1, 5, 300):
            note = self.assert_kept(anchor, log.add(count))
            with open(self.file, "rb") as file:
                self.assertEqual(file.read(), note)
            self.assertEqual(self.anchor().read(), ("ok", ""))

    def test_a_ledger_that_goes_on_from_it_is_accepted(self):
        log = self.log().add(10)
        anchor = self.anchor()
        anchor.read()
        self.assert_kept(anchor, log)
        log.add(600).write(checkpoint=False)
        self.assertEqual(self.anchor().read(), ("ok", ""))
        log.write()
        self.assertEqual(self.anchor().read(), ("ok", ""))

    def test_an_old_copy_is_refused_with_what_is_missing(self):
        log = self.log().add(20)
        anchor = self.anchor()
        anchor.read()
        self.assert_kept(anchor, log)
        self.copy()
        self.assert_kept(anchor, log.add(100))
        self.restore()
        self.assert_told(self.anchor().read(), "refused", self.file, "120 entries", "100 are missing",
                         "since 2025-06-15T15:06:59Z", "hsmint ledger restore")  # 1750000019: the 20th entry

    def test_other_entries_are_refused(self):
        log = self.log().add(20)
        anchor = self.anchor()
        anchor.read()
        self.assert_kept(anchor, log)
        self.log().add(30, version="other").write()
        self.assert_told(self.anchor().read(), "refused", self.file, "entries differ", "hsmint ledger restore")

    def test_a_copy_without_the_newest_shard_is_refused(self):
        anchor, log = self.anchor(), self.log().add(20)
        anchor.read()
        self.assert_kept(anchor, log)
        self.copy()
        self.assert_kept(anchor, self.log(2).add(3))
        self.assertEqual(self.anchor().read(), ("ok", ""))
        self.restore()
        self.assert_told(self.anchor().read(), "refused", "an old copy", ORIGIN + "/2")

    def test_one_of_the_shard_before_is_compared_with_that_shard(self):
        anchor, log = self.anchor(), self.log().add(20)
        anchor.read()
        self.assert_kept(anchor, log)
        self.log(2).add(3).write(checkpoint=False)
        self.assertEqual(self.anchor().read(), ("ok", ""))
        self.log().add(20, version="other").write()
        self.assert_told(self.anchor().read(), "refused", "entries differ")
        shutil.rmtree(os.path.join(self.ledger, "1"))
        self.assert_told(self.anchor().read(), "refused", "not whole", "no shard 1")

    def test_storage_that_is_away_does_not_pass_for_a_new_anchor(self):
        anchor, log = self.anchor(), self.log().add(20)
        anchor.read()
        self.assert_kept(anchor, log)
        os.unlink(self.file)
        self.assert_told(self.keep(anchor, log.add(1))[0], "unavailable", self.file, "mount")
        again = self.anchor()
        self.assert_told(again.read(), "unavailable", self.file, "mount", "empty file")
        self.assert_told(self.keep(again, log.add(1))[0], "unavailable", self.file, "mount")
        self.assertFalse(os.path.exists(self.file))
        open(self.file, "w").close()
        self.assertEqual(again.read(), ("ok", ""))
        self.assert_kept(again, log)

    def test_a_file_that_is_no_checkpoint_is_refused(self):
        self.log().add(1).write()
        with open(self.file, "w") as file:
            file.write("something else\n")
        self.assert_told(self.anchor().read(), "refused", self.file, "not a checkpoint")

    def test_one_of_another_ledger_is_refused(self):
        for origin in (ORIGIN + "x/1", "other.test/ledger/1", ORIGIN, ORIGIN + "/01", ORIGIN + "/1/2", ORIGIN + "/0"):
            log = self.log().add(1).write()
            log.origin = origin
            with open(self.file, "wb") as file:
                file.write(log.note())
            self.assert_told(self.anchor().read(), "refused", "another origin", origin)

    def test_one_that_cannot_be_written_is_said_and_later_made_up_for(self):
        os.mkdir(os.path.join(self.directory, "other"))
        self.file = os.path.join(self.directory, "other", "anchor")
        anchor, log = self.anchor(), self.log().add(20)
        anchor.read()
        os.rmdir(os.path.dirname(self.file))
        self.assert_told(self.keep(anchor, log)[0], "unavailable", self.file, "cannot be written")
        os.mkdir(os.path.dirname(self.file))
        self.assert_kept(anchor, log)


class WitnessCase(AnchorCase):
    def setUp(self):
        super().setUp()
        self.witness = Witness(os.path.join(self.directory, "witness"),
                               {"%s/%d" % (ORIGIN, shard): self.key for shard in (1, 2)})
        self.addCleanup(self.witness.close)

    def anchor(self, *more, **changed):
        return Anchor(self, "--witness", changed.get("url", self.witness.url),
                      changed.get("key", self.witness.key.vkey), *more)

    def known(self, shard=1):
        return self.witness.state().get("%s/%d" % (ORIGIN, shard), [0])[0]


class Cosigned(WitnessCase):
    def test_each_checkpoint_is_cosigned_and_the_cosignature_stands_behind_it(self):
        anchor, log = self.anchor(), self.log()
        self.assertEqual(anchor.read(), ("ok", ""))
        for count in (1, 1, 6, 300, 1000):
            plain = log.add(count).note()
            note = self.assert_kept(anchor, log)
            self.assertTrue(note.startswith(log.text()))
            lines = note.decode().splitlines()
            self.assertEqual([line.split(" ")[1] for line in lines[4:]], [ORIGIN, self.witness.key.name])
            self.assertEqual(len(note.splitlines()), len(plain.splitlines()) + 1)
            self.assertEqual(self.known(), len(log.entries))
        self.assertEqual(len(self.witness.requests), 5, "the size that it knows is remembered")
        self.assertEqual(len({address for _, _, address in self.witness.requests}), 1, "by one connection")

    def test_an_ecdsa_key_is_cosigned_too_where_the_witness_takes_it(self):
        self.key = EcdsaKey(ORIGIN)
        self.witness.logs[ORIGIN + "/1"] = self.key
        self.assert_kept(self.anchor(), self.log().add(3))

    def test_another_shard_is_another_log(self):
        anchor = self.anchor()
        self.assert_kept(anchor, self.log().add(20))
        self.assert_kept(anchor, self.log(2).add(2))
        self.assertEqual((self.known(1), self.known(2)), (20, 2))

    def test_after_a_restart_it_says_itself_what_it_knows(self):
        log = self.log().add(20)
        self.assert_kept(self.anchor(), log)
        self.assert_kept(self.anchor(), log.add(300))
        anchor = self.anchor()
        self.assertEqual(anchor.read(), ("ok", ""))
        self.assert_kept(anchor, log.add(1))

    def test_an_answer_that_was_lost_is_made_up_for(self):
        log = self.log().add(20)
        anchor = self.anchor()
        self.witness.wrong = lambda *answer: None
        self.assert_told(self.keep(anchor, log)[0], "unavailable", self.witness.url)
        self.assertEqual(self.known(), 20)
        self.witness.wrong = None
        self.assert_kept(anchor, log)
        self.assert_kept(anchor, log.add(1))

    def test_one_that_is_behind_is_told_at_start(self):
        log = self.log().add(20)
        self.assert_kept(self.anchor(), log)
        log.add(300).write()
        self.assertEqual(self.anchor().read(), ("ok", ""))
        self.assertEqual(self.known(), 320)


class RolledBack(WitnessCase):
    def test_an_old_copy_is_refused_with_what_is_missing(self):
        log = self.log().add(20)
        anchor = self.anchor()
        self.assert_kept(anchor, log)
        self.copy()
        self.assert_kept(anchor, log.add(100))
        self.restore()
        self.assert_told(self.anchor().read(), "refused", self.witness.url, "120 entries", "100 are missing",
                         "since 2025-06-15T15:06:59Z", "hsmint ledger restore")

    def test_a_checkpoint_that_was_cosigned_and_not_written_any_more_is_no_roll_back(self):
        log = self.log().add(20)
        anchor = self.anchor()
        old = self.assert_kept(anchor, log)
        self.assert_kept(anchor, log.add(100))
        log.put("checkpoint", old)
        again = self.anchor()
        self.assertEqual(again.read(), ("ok", ""))
        self.assert_kept(again, log.add(1))

    def test_a_copy_that_went_another_way_is_refused(self):
        log = self.log().add(20)
        anchor = self.anchor()
        self.assert_kept(anchor, log)
        self.copy()
        self.assert_kept(anchor, log.add(10))
        self.restore()
        for more in (10, 11, 300):  # as many entries as it knows, one more, many more
            other = self.log().add(20).add(more, version="other")
            other.write()
            self.assert_told(self.anchor().read(), "refused", self.witness.url, "another tree")
            self.assert_told(self.keep(self.anchor(), other)[0], "refused", self.witness.url, "another tree")
        self.assertEqual(self.known(), 30)

    def test_a_checkpoint_that_it_is_beyond_is_refused_while_running(self):
        anchor, other = self.anchor(), self.anchor()
        log = self.log().add(20)
        self.assert_kept(anchor, log)
        self.assert_kept(other, self.log().add(30))
        self.assert_told(self.keep(anchor, log.add(1))[0], "refused", "30 entries", "old copy")


class OfNoUse(WitnessCase):
    def test_what_it_answers_is_said_with_what_mends_it(self):
        log = self.log().add(2)
        anchor = self.anchor()
        del self.witness.logs[ORIGIN + "/1"]
        self.assert_told(self.keep(anchor, log)[0], "unavailable", "404", ORIGIN + "/1", "added there")
        self.witness.logs[ORIGIN + "/1"] = Ed25519Key(ORIGIN)
        self.assert_told(self.keep(anchor, log)[0], "unavailable", "403", "hsmint ledger vkey")
        self.assert_told(self.anchor().read(), "unavailable", "403")

    def test_answers_that_are_none(self):
        log = self.log().add(2)
        good = []
        cases = [
            ("status 500", lambda status, body, kind: (500, b"", kind)),
            ("status 301", lambda status, body, kind: (301, b"", kind)),
            ("400", lambda status, body, kind: (400, b"", kind)),
            ("no cosignature", lambda status, body, kind: (200, b"", kind)),
            ("no cosignature", lambda status, body, kind: (200, body.splitlines(True)[0], kind)),
            ("no cosignature", lambda status, body, kind: (200, body.rstrip(b"\n"), kind)),
            ("no cosignature", lambda status, body, kind: (200, good[0], kind)),
            ("without the size", lambda status, body, kind: (409, b"2\n", "text/plain")),
            ("without the size", lambda status, body, kind: (409, b"02\n", "text/x.tlog.size")),
            ("without the size", lambda status, body, kind: (409, b"2", "text/x.tlog.size")),
            ("without the size", lambda status, body, kind: (409, b"-1\n", "text/x.tlog.size")),
            ("without the size", lambda status, body, kind: (409, b"18446744073709551617\n", "text/x.tlog.size")),
            ("contradicts itself", lambda status, body, kind: (409, b"0\n", "text/x.tlog.size")),
            ("more than", lambda status, body, kind: (200, b"x" * 20000, kind)),
        ]
        anchor = self.anchor()
        note = self.assert_kept(anchor, log)
        good.append(note.splitlines(True)[-1])  # of another checkpoint
        log.add(1)
        for number, (what, wrong) in enumerate(cases):
            with self.subTest(what, number=number):
                self.witness.wrong = wrong
                answer, after = self.keep(self.anchor(), log)
                self.assert_told(answer, "unavailable", self.witness.url, what)
                self.assertEqual(after.count(b"\n"), log.note().count(b"\n"), "nothing is appended")
        self.witness.wrong = None
        self.assert_kept(anchor, log)

    def test_sizes_that_change_do_not_keep_it_busy(self):
        log, sizes = self.log().add(50), iter(range(1, 50))
        self.witness.wrong = lambda status, body, kind: (409, b"%d\n" % next(sizes), "text/x.tlog.size")
        self.assert_told(self.keep(self.anchor(), log)[0], "unavailable", "another size each time")
        self.assertLess(len(self.witness.requests), 6)

    def test_one_that_is_not_there(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = "http://127.0.0.1:%d" % free.getsockname()[1]
            self.assert_told(self.keep(self.anchor(url=url), self.log().add(2))[0], "unavailable", url)

    def test_the_file_is_kept_whatever_the_witness_does_and_the_other_way_round(self):
        self.witness.wrong = lambda status, body, kind: (500, b"", kind)
        anchor, log = self.anchor("--file", self.file), self.log().add(2)
        anchor.read()
        self.assert_told(self.keep(anchor, log)[0], "unavailable", "status 500")
        with open(self.file, "rb") as file:
            self.assertTrue(file.read().startswith(log.text()))
        self.witness.wrong = None
        os.unlink(self.file)
        again = self.anchor("--file", self.file)
        self.assert_told(self.keep(again, log.add(1))[0], "unavailable", self.file)
        self.assertEqual(self.known(), 3)

    def test_what_a_file_refuses_is_said_whatever_the_witness_does(self):
        anchor, log = self.anchor("--file", self.file), self.log().add(2)
        anchor.read()
        self.copy()
        self.assert_kept(anchor, log)
        self.restore()
        self.log().add(1).write()
        self.witness.wrong = lambda status, body, kind: (500, b"", kind)
        self.assert_told(self.anchor("--file", self.file).read(), "refused", self.file, "1 are missing")

    def test_a_key_or_url_that_is_of_no_use_is_refused_at_once(self):
        for change, part in (({"key": "something"}, "verifier key"), ({"key": self.key.vkey}, "cosignatures"),
                             ({"url": "http://witness.test/"}, "https://"), ({"url": "ftp://127.0.0.1/"}, "https://"),
                             ({"url": "http://127.0.0.1.witness.test/"}, "https://"),
                             ({"url": "http://localhost@witness.test/"}, "https://"),
                             ({"url": "https://"}, "https://"), ({"url": "https://w.test/?a"}, "https://")):
            with self.subTest(change):
                self.assert_told(self.anchor(**change).opened, "refused", part)


class NoAnchor(AnchorCase):
    def test_remembers_nothing_and_refuses_nothing(self):
        anchor, log = Anchor(self), self.log().add(2)
        self.assertEqual(anchor.read(), ("ok", ""))
        self.assertEqual(self.assert_kept(anchor, log).count(b"\n"), 5)


if __name__ == "__main__":
    unittest.main()
