# SPDX-License-Identifier: Apache-2.0
"""hsmint ledger verify, on ledgers that our generator wrote from docs/ledger.md."""
import os
import shutil
import unittest

import ledger_case
import logs

BUNDLE = "1/tile/entries/000"


def shard(key, **kwargs):
    return logs.Shard(key, 1, **kwargs)


class Accepted(ledger_case.LedgerCase):
    def test_a_ledger_of_two_shards_is_right_with_either_kind_of_key(self):
        for kind in (logs.Ed25519Key, logs.EcdsaKey):
            with self.subTest(kind):
                key = kind(ledger_case.NAME)
                first, second = logs.small(key)
                first.write(self.directory)
                second.write(self.directory)
                found = self.assert_right(key=key)
                self.assertEqual(found["notes"], [])
                self.assertEqual(found["entries"], len(first.entries) + len(second.entries))
                one, two = found["shards"]
                self.assertEqual(one["origin"], first.origin)
                self.assertEqual((one["entries"], one["checkpoint"], one["closed"]), (264, 264, True))
                self.assertEqual(one["types"]["credential"], 5)
                self.assertEqual(one["signatures"], {"credential": 5, "probe": 2, "checkpoint": 1, "status_list": 0})
                self.assertEqual((two["entries"], two["closed"]), (5, False))

    def test_people_are_told_so_too(self):
        first, second = logs.small(self.key)
        first.write(self.directory)
        second.write(self.directory)
        done = self.hsmint("verify", self.directory, "--vkey", self.key.vkey)
        self.assertEqual(done.returncode, 0)
        self.assertIn(b"ok: 269 entries verified", done.stdout)
        self.assertIn(first.origin.encode(), done.stdout)
        self.change("1/tile/0/000")
        done = self.hsmint("verify", self.directory, "--vkey", self.key.vkey)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"fault: 1/tile/0/000, entry 0: ", done.stdout)
        self.assertIn(b"1 fault in 269 entries", done.stdout)

    def test_every_size_around_a_tile_is_right(self):
        for size in (1, 2, 3, 255, 256, 257, 511, 512, 513, 1000):
            with self.subTest(size):
                log = shard(self.key)
                log.fill(size)
                log.write(self.directory)
                self.assert_right()
                shutil.rmtree(self.path("1"))

    def test_a_ledger_with_tiles_of_a_second_level_is_right(self):
        log = shard(self.key)
        log.fill(65792 + 300)
        log.write(self.directory)
        self.assertTrue(os.path.exists(self.path("1/tile/1/000")))
        self.assert_right()
        self.change("1/tile/1/000", at=40)
        self.assert_only_fault("1/tile/1/000", 256, "its hash 1 is not that of tile/0/001")

    def test_what_is_full_may_still_be_in_the_segment(self):
        log = shard(self.key)
        log.fill(600)
        log.write(self.directory)
        log.write(self.directory, bundled=0)  # bundles and tiles from before are there too
        self.assert_right()
        self.change("1/tile/entries/001", at=100)
        self.assert_only_fault("1/tile/entries/001", None, "differs from the segment")

    def test_entries_behind_the_checkpoint_are_told_apart(self):
        log = shard(self.key)
        log.fill(20)
        log.write(self.directory, checked=15)
        found = self.assert_right()
        self.assertEqual(found["shards"][0]["checkpoint"], 15)
        self.assertEqual(len(found["notes"]), 1)
        self.assertIn("5 entries from 15 on", found["notes"][0]["text"])

    def test_shards_that_were_moved_elsewhere_are_not_missed(self):
        shards = [logs.Shard(self.key, 1)]
        for number in (2, 3, 4):
            shards[-1].add("close")
            shards.append(logs.Shard(self.key, number, previous=shards[-1]))
        for log in (shards[1], shards[3]):
            log.write(self.directory)
        found = self.assert_right()
        self.assertEqual([note["place"] for note in found["notes"]], ["3"])

    def test_a_shard_that_has_just_begun_may_be_empty(self):
        log = shard(self.key)
        log.add("close")
        log.write(self.directory)
        logs.write(self.path("2/segment"), logs.frame(0, []))
        self.assert_right()


class Checkpoints(ledger_case.LedgerCase):
    def write(self, **kwargs):
        log = shard(self.key)
        log.fill(10)
        log.write(self.directory, **kwargs)
        return log

    def test_a_signature_by_another_key_is_found(self):
        self.write()
        self.assert_only_fault("1/checkpoint", None, "", key=logs.Ed25519Key(ledger_case.NAME))

    def test_a_key_of_another_name_does_not_count(self):
        log = self.write()
        other = logs.Ed25519Key("other.example.org/ledger")
        logs.write(self.path("1/checkpoint"), other.note(log.text()))
        self.assert_only_fault("1/checkpoint", None, "belongs to none of the keys", key=other)
        self.assert_only_fault("1/checkpoint", None, "")

    def test_the_checkpoint_of_another_shard_is_found(self):
        self.write()
        log = logs.Shard(self.key, 2)
        log.fill(10)
        logs.write(self.path("1/checkpoint"), self.key.note(log.text()))
        self.assert_only_fault("1/checkpoint", None, "it is that of 'mint.example.org/ledger/2'")

    def test_a_checkpoint_that_is_not_there_is_found(self):
        self.write()
        os.unlink(self.path("1/checkpoint"))
        self.assert_only_fault("1/checkpoint", None, "No such file")

    def test_entries_that_were_cut_off_are_found(self):
        log = self.write()
        cut = logs.Shard(self.key, 1)
        cut.entries = log.entries[:8]
        logs.write(self.path("1/segment"), logs.frame(0, cut.entries))
        self.assert_only_fault("1/segment", 8, "the checkpoint covers 10 entries")

    def test_entries_that_were_rewritten_with_all_their_hashes_are_found(self):
        log = shard(self.key)
        log.fill(600)
        log.write(self.directory)
        with open(self.path("1/checkpoint"), "rb") as file:
            note = file.read()
        log.entries[300] = log.entries[300].replace(b'"stop"', b'"start"')
        log.write(self.directory)
        logs.write(self.path("1/checkpoint"), note)
        self.assert_only_fault("1/checkpoint", None, "its root is not that of the 600 entries")


class Files(ledger_case.LedgerCase):
    def setUp(self):
        super().setUp()
        self.log = shard(self.key)
        self.log.fill(600)
        self.log.write(self.directory)

    def test_a_bundle_that_is_lost_is_named_and_what_follows_still_verified(self):
        os.unlink(self.path(BUNDLE))
        self.assert_only_fault(BUNDLE, None, "No such file")
        self.change("1/tile/entries/001", at=30)
        found = self.assert_fault("1/tile/entries/001", 256, "")
        self.assertFalse(found["shards"][0]["counts_checked"])

    def test_a_tile_that_is_lost_is_named(self):
        os.unlink(self.path("1/tile/0/001"))
        self.assert_only_fault("1/tile/0/001", None, "No such file")

    def test_a_bundle_with_an_entry_too_many_is_named(self):
        with open(self.path(BUNDLE), "ab") as file:
            file.write(b"\0\2{}")
        self.assert_only_fault(BUNDLE, None, "4 bytes stand behind its last entry")

    def test_a_segment_that_is_lost_or_damaged_is_named(self):
        self.change("1/segment", at=30)
        self.assert_only_fault("1", None, "/1/segment: ")
        os.unlink(self.path("1/segment"))
        self.assert_only_fault("1", None, "/1/segment: No such file")


class EntriesCase(ledger_case.LedgerCase):
    """Ledgers whose hashes and signatures are right, and whose entries are not."""

    def setUp(self):
        super().setUp()
        self.log = shard(self.key)
        self.log.add("token", name="hsm", event="started", epoch="e1")
        self.first = self.log.credential()

    def fault(self, entry, text, only=True, place="1/segment"):
        self.log.write(self.directory)
        return (self.assert_only_fault if only else self.assert_fault)(place, entry, text)

    def right(self):
        self.log.write(self.directory)
        return self.assert_right()


class Entries(EntriesCase):
    def test_an_entry_that_is_not_canonical_is_named(self):
        at = self.log.raw(b'{"time":1, "type":"stop","v":1}')
        self.fault(at, "not canonical JSON: byte 10")

    def test_an_entry_of_another_version_or_an_unknown_type_is_named(self):
        at = self.log.raw(b'{"time":1,"type":"stop","v":2}')
        self.fault(at, "`v`")
        self.log.entries[at] = b'{"time":1,"type":"halt","v":1}'
        self.fault(at, "`type`")

    def test_an_entry_in_a_bundle_is_named_with_the_bundle(self):
        self.log.fill(200)
        at = self.log.raw(b"{}")
        self.log.fill(600)
        self.fault(at, "not canonical", place=BUNDLE)

    def test_members_that_are_not_known_are_accepted(self):
        self.log.add("stop", aaa=[1, {"x": None}], zzz="\u00e9")
        self.right()

    def test_a_retry_or_void_names_a_credential_before_it(self):
        self.log.add("retry", of=self.first, kid="k1", tbs="x")
        self.log.add("void", of=self.first, reason="deadline")
        self.right()
        for type in ("retry", "void"):
            members = {"kid": "k1", "tbs": "x"} if type == "retry" else {"reason": "deadline"}
            for of, text in ((0, "which is neither a credential's"), (1, "which is neither a credential's"),
                             (99, "which is not before it"), (len(self.log.entries), "which is not before it"),
                             (-1, "no index"), ("2", "no index")):
                with self.subTest(type=type, of=of):
                    at = self.log.add(type, of=of, **members)
                    self.fault(at, text)
                    self.log.entries.pop()
        at = self.log.add("void", reason="deadline")
        self.fault(at, "`of` is missing")

    def test_what_a_void_names_is_looked_up_far_behind(self):
        self.log.fill(70000)
        self.log.add("void", of=self.first, reason="deadline")
        at = self.log.add("void", of=self.first + 1, reason="deadline")
        self.fault(at, "which is neither a credential's nor a status list's")

    def test_what_is_signed_has_a_key_and_one_hash(self):
        at = self.log.add("credential", id="x", tbs="x")
        self.fault(at, "`kid` is missing")
        self.log.entries[at:] = []
        at = self.log.add("credential", id="x", kid="k1")
        self.fault(at, "one of `tbs` and `tbs_hmac`")
        self.log.entries[at:] = []
        at = self.log.add("credential", id="x", kid="k1", tbs="x", tbs_hmac="y")
        self.fault(at, "one of `tbs` and `tbs_hmac`")
        self.log.entries[at:] = []
        self.log.add("credential", id="x", kid="k1", tbs_hmac="y")
        self.right()

    def test_a_shard_begins_with_open_and_has_it_once(self):
        at = self.log.add("open", origin=self.log.origin)
        self.fault(at, "`open` stands within the shard")
        self.log.entries[at:] = []
        del self.log.entries[0]
        self.fault(0, "begins with `open`", only=False)

    def test_open_says_the_origin(self):
        self.log.entries[0] = logs.canonical({"origin": "x/1", "time": 1, "type": "open", "v": 1})
        self.fault(0, "`origin` is not 'mint.example.org/ledger/1'")

    def test_nothing_stands_behind_close(self):
        self.log.add("close")
        self.right()
        at = self.log.add("stop")
        self.fault(at, "it stands behind `close`")


class Counts(EntriesCase):
    def counts(self, *counted, **members):
        return self.log.add("counts", epoch="e1", token="hsm", signed=[
            {"count": count, "kid": kid, "what": what} for count, kid, what in counted], **members)

    def test_no_key_signs_more_than_is_recorded(self):
        self.counts((1, "k1", "credential"))
        self.right()
        self.log.credential()
        self.counts((1, "k1", "credential"))
        self.right()
        at = self.counts((1, "k1", "credential"))
        self.fault(at, "key k1 has signed 3 credentials by then, and only 2 are recorded")

    def test_counts_look_at_what_is_before_them_alone(self):
        at = self.counts((2, "k1", "credential"))
        self.log.credential()
        self.fault(at, "has signed 2 credentials by then, and only 1 ")

    def test_each_key_counts_for_itself(self):
        self.log.credential("k2")
        self.counts((1, "k1", "credential"), (1, "k2", "credential"))
        self.right()
        at = self.counts((1, "k3", "credential"))
        self.fault(at, "key k3 has signed 1 ")

    def test_a_retry_is_a_signature_more(self):
        self.log.add("retry", of=self.first, kid="k1", tbs="x")
        self.counts((2, "k1", "credential"))
        self.right()

    def test_a_void_is_none(self):
        self.log.add("void", of=self.first, reason="deadline")
        at = self.counts((2, "k1", "credential"))
        self.fault(at, "has signed 2 ")

    def test_probes_and_checkpoints_need_no_entry(self):
        self.counts((7, "k1", "probe"), (9, "c1", "checkpoint"))
        found = self.right()
        self.assertEqual(found["shards"][0]["signatures"],
                         {"credential": 0, "probe": 7, "checkpoint": 9, "status_list": 0})

    def status_list(self, kid="s1", **members):
        return self.log.add("status_list", issuer="i", kid=kid, list=0, tbs="x", **members)

    def test_a_status_list_that_nobody_recorded_is_a_fault(self):
        self.status_list()
        self.counts((1, "s1", "status_list"), (1, "k1", "credential"))
        found = self.right()
        self.assertEqual(found["shards"][0]["signatures"],
                         {"credential": 1, "probe": 0, "checkpoint": 0, "status_list": 1})
        self.assertEqual(found["shards"][0]["types"]["status_list"], 1)
        at = self.counts((1, "s1", "status_list"))
        self.fault(at, "key s1 has signed 2 status lists by then, and only 1 are recorded")

    def test_a_second_signature_of_a_status_list_is_a_retry(self):
        of = self.status_list()
        self.log.add("retry", of=of, kid="s1", tbs="x")
        self.counts((2, "s1", "status_list"))
        self.right()
        at = self.counts((1, "s1", "status_list"))
        self.fault(at, "key s1 has signed 3 status lists by then, and only 2 are recorded")

    def test_what_is_recorded_as_one_thing_is_not_counted_as_another(self):
        for kid, what in (("s1", "credential"), ("k1", "status_list")):
            with self.subTest(kid):
                size = len(self.log.entries)
                self.status_list()
                at = self.counts((1, kid, what))
                self.fault(at, "key %s has signed credentials and status lists" % kid)
                self.log.entries[size:] = []
        at = self.status_list("k1")
        self.fault(at, "its key signs credentials and status lists")

    def test_a_status_list_has_a_key_and_one_hash(self):
        for members, text in (({"tbs": "x"}, "`kid` is missing"), ({"kid": "s1"}, "one of `tbs` and `tbs_hmac`")):
            at = self.log.add("status_list", issuer="i", list=0, **members)
            self.fault(at, text)
            self.log.entries.pop()

    def test_what_nothing_is_recorded_for_is_a_fault(self):
        at = self.counts((1, "k1", "other"))
        self.fault(at, "which nothing is recorded for")

    def test_counts_that_cannot_be_read_are_a_fault(self):
        for element in ({"kid": "k1", "what": "probe"}, {"count": 1, "what": "probe"}, {"count": 1, "kid": "k1"},
                        {"count": -1, "kid": "k1", "what": "credential"}, 5, {}):
            with self.subTest(element):
                at = self.log.add("counts", epoch="e1", token="hsm", signed=[element])
                self.fault(at, "`signed` has an element without")
                self.log.entries.pop()

    def test_counts_of_more_than_can_be_are_a_fault(self):
        at = self.counts((2**53 - 1, "k1", "credential"), (1, "k1", "credential"))
        self.fault(at, "too much", only=False)

    def test_an_epoch_without_final_counts_is_named(self):
        for members in ({"event": "ended", "epoch": "e1"}, {"event": "stopped", "reason": "latch", "epoch": "e1"},
                        {"event": "started", "epoch": "e2"}):
            with self.subTest(members):
                self.log.add("token", name="hsm", **members)
                found = self.right()
                self.assertEqual([note["text"].split(", ")[0] for note in found["notes"]],
                                 ["token hsm: epoch e1"])
                self.assertIn("ended uncounted", found["notes"][0]["text"])
                self.log.entries.pop()
        self.log.add("start")
        self.assertIn("epoch e1", self.right()["notes"][0]["text"])

    def test_an_epoch_with_final_counts_or_that_still_lives_is_not_named(self):
        self.counts()
        self.assertEqual(self.right()["notes"], [])
        self.log.add("token", name="other", event="started", epoch="e2")
        self.assertEqual(self.right()["notes"], [])
        self.counts((1, "k1", "credential"), final=True)
        self.log.add("token", name="hsm", event="ended", epoch="e1")
        self.log.add("token", name="hsm", event="started", epoch="e3")
        self.assertEqual(self.right()["notes"], [])


class Succession(ledger_case.LedgerCase):
    def first(self, close=True):
        log = logs.Shard(self.key, 1)
        log.add("token", name="hsm", event="started", epoch="e1")
        self.credential = log.credential()
        if close:
            log.add("close")
        return log

    def write(self, *shards, **kwargs):
        for log in shards:
            log.write(self.directory, **kwargs)

    def test_a_shard_that_has_a_successor_is_closed(self):
        first = self.first(close=False)
        self.write(first, logs.Shard(self.key, 2, previous=first))
        self.assert_only_fault("2/segment", 0, "shard 1, before this one, was not closed")

    def test_what_is_closed_is_under_its_checkpoint(self):
        first = self.first()
        second = logs.Shard(self.key, 2, previous=first)
        self.write(second)
        first.write(self.directory, checked=3)
        self.assert_only_fault("1", None, "though the shard is closed")

    def test_open_cites_the_shard_before(self):
        first = self.first()
        other = self.first()
        self.write(first)
        self.write(logs.Shard(self.key, 2))
        self.assert_only_fault("2/segment", 0, "does not cite the shard before")
        other.add("stop")
        self.write(logs.Shard(self.key, 2, previous=other))
        self.assert_only_fault("2/segment", 0, "had 5 entries; it has 4")
        other.entries[1:] = other.entries[2:]
        self.write(logs.Shard(self.key, 2, previous=other))
        self.assert_only_fault("2/segment", 0, "has another root")
        first.origin += "7"
        self.write(logs.Shard(self.key, 2, previous=first))
        self.assert_only_fault("2/segment", 0, "cites another shard than 'mint.example.org/ledger/1'")

    def test_the_first_shard_cites_none(self):
        self.write(logs.Shard(self.key, 1, previous=self.first()))
        self.assert_only_fault("1/segment", 0, "before the first")

    def test_a_restore_is_said(self):
        first = self.first(close=False)
        self.write(first, logs.Shard(self.key, 2, previous=first, restored={
            "origin": first.origin, "root": "x", "size": 99}))
        found = self.assert_right()
        self.assertIn("an old copy was accepted here", found["notes"][0]["text"])

    def test_a_ledger_that_was_lost_with_all_its_shards_goes_on(self):
        self.write(logs.Shard(self.key, 4, restored={"origin": "%s/3" % ledger_case.NAME, "root": "x", "size": 9}))
        self.assert_right()
        self.write(logs.Shard(self.key, 4))
        self.assert_only_fault("4/segment", 0, "does not cite the shard before")

    def test_what_is_carried_was_left_uncounted(self):
        first = self.first()
        second = logs.Shard(self.key, 2, previous=first, carried=[{"count": 1, "kid": "k1"}])
        counts = {"epoch": "e1", "token": "hsm"}
        second.add("counts", signed=[{"count": 1, "kid": "k1", "what": "credential"}], **counts)
        self.write(first, second)
        self.assert_right()
        at = second.add("counts", signed=[{"count": 1, "kid": "k1", "what": "credential"}], **counts)
        self.write(second)
        self.assert_only_fault("2/segment", at, "has signed 2 credentials by then, and only 1 are recorded")
        for carried in ([{"count": 2, "kid": "k1"}], [{"count": 1, "kid": "k2"}]):
            self.write(logs.Shard(self.key, 2, previous=first, carried=carried))
            self.assert_only_fault("2/segment", 0, "than the shard before left uncounted")
        for carried in ([{"count": 1}], [{"count": -1, "kid": "k1"}], [1]):
            self.write(logs.Shard(self.key, 2, previous=first, carried=carried))
            self.assert_only_fault("2/segment", 0, "`carried` has an element without")

    def test_a_void_may_name_a_credential_of_the_shard_before(self):
        first = self.first()
        second = logs.Shard(self.key, 2, previous=first)
        second.add("void", of=self.credential, origin=first.origin, reason="deadline")
        self.write(first, second)
        self.assert_right()
        for of, origin, text in ((0, first.origin, "of the shard before, which is neither a credential's"),
                                 (4, first.origin, "of a shard of 4"),
                                 (self.credential, second.origin, "`origin` is not the shard before")):
            with self.subTest(of=of, origin=origin):
                at = second.add("void", of=of, origin=origin, reason="deadline")
                self.write(second)
                self.assert_only_fault("2/segment", at, text)
                second.entries.pop()


class Trusted(ledger_case.LedgerCase):
    def setUp(self):
        super().setUp()
        self.log = shard(self.key)
        self.log.fill(1000)
        self.log.write(self.directory)
        self.file = self.path("trusted")

    def trust(self, size, log=None, key=None):
        logs.write(self.file, (key or self.key).note((log or self.log).text(size)))
        return ("--trusted", self.file)

    def test_it_goes_on_from_there(self):
        for size in (1, 255, 256, 257, 511, 700, 768, 769, 999, 1000):
            with self.subTest(size):
                found = self.assert_right(*self.trust(size))
                self.assertEqual(found["shards"][0]["read_from"], size)
                self.assertEqual(found["entries"], 1000 - size)

    def test_entries_before_are_not_read_again(self):
        trusted = self.trust(520)
        os.unlink(self.path("1/tile/entries/000"))
        os.unlink(self.path("1/tile/entries/001"))
        self.assert_right(*trusted)
        self.change("1/tile/entries/002", at=2000)
        self.assert_fault("1/tile/0/002", 512 + 48, "tile/entries/002", *trusted)

    def test_a_ledger_that_does_not_continue_it_is_found(self):
        other = shard(self.key)
        other.fill(299)
        other.add("start")
        trusted = self.trust(300, other)
        found = self.assert_fault("1", None, "do not have the root of the trusted checkpoint", *trusted)
        self.assertEqual(found["shards"][0]["read_from"], 0)
        self.assert_fault("1", None, "the first 300 entries do not have the root", *trusted)

    def test_a_tile_that_was_changed_is_found(self):
        trusted = self.trust(700)
        self.change("1/tile/0/000")
        self.assert_fault("1/tile/0/000", 0, "", *trusted)

    def test_an_old_copy_is_found(self):
        trusted = self.trust(900)
        old = shard(self.key)
        old.entries = self.log.entries[:800]
        shutil.rmtree(self.path("1"))
        old.write(self.directory)
        self.assert_only_fault("1/checkpoint", None, "this is an old copy", *trusted)

    def test_the_trusted_checkpoint_must_be_signed_and_of_this_ledger(self):
        other = logs.Ed25519Key(ledger_case.NAME)
        for size, log, key in ((300, None, other), (5, logs.Shard(self.key, 7), None)):
            done = self.hsmint("verify", self.directory, "--vkey", self.key.vkey, *self.trust(size, log, key))
            self.assertEqual(done.returncode, 1)
            self.assertIn(b"the trusted checkpoint", done.stderr)

    def test_shards_before_are_not_read_again(self):
        self.log.add("close")
        second = logs.Shard(self.key, 2, previous=self.log)
        second.fill(30)
        self.log.write(self.directory)
        second.write(self.directory)
        os.unlink(self.path("1/segment"))
        found = self.assert_right(*self.trust(10, second))
        self.assertEqual([shard["shard"] for shard in found["shards"]], [2])


class Usage(ledger_case.LedgerCase):
    def test_wrong_usage_has_the_status_2(self):
        for words in ((), ("verify",), ("verify", "x"), ("verify", "x", "--vkey", "nonsense"), ("nothing",),
                      ("verify", "x", "y", "--vkey", self.key.vkey), ("verify", "x", "--what")):
            with self.subTest(words):
                self.assertEqual(self.hsmint(*words).returncode, 2)

    def test_a_directory_that_is_none_has_the_status_1(self):
        for directory in ("/nowhere", self.directory):
            done = self.hsmint("verify", directory, "--vkey", self.key.vkey)
            self.assertEqual(done.returncode, 1)
            self.assertIn(directory.encode(), done.stderr)

    def test_help_goes_to_standard_output(self):
        for words in (("--help",), ("verify", "--help")):
            done = self.hsmint(*words)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertIn(b"Usage: hsmint ledger", done.stdout)


if __name__ == "__main__":
    unittest.main()
