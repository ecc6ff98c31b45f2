# SPDX-License-Identifier: Apache-2.0
"""What a token's process counts of what it signs, and what of it the ledger says."""
import base64
import os
import shutil
import signal
import struct
import unittest

from softhsm_keys import module_of
from test_frames import (CONFIG, COUNT, COUNTS, ENDING, FAILED, ISSUER, LEARN, LEARNED, PROBE, READY, SIGNED, TURN, Peer,
                         Reader, sign, tbs)
from test_status_keys import STATUS, status_list, tbs_of
from token_case import FAULT, TokenCase, process_exists, wait_for, write
from token_admin import frame, string, token_config
from ledger_entries import counted, entries, of_type

EPOCH = 16
START_PROBES = 2  # of each key
WHATS = ("credential", "probe", "checkpoint", "status_list")
ORIGIN = "demo.test/ledger"


class Counting(TokenCase):
    """hsmint-token spoken to directly."""

    def ready(self, keys):
        peer = Peer()
        self.addCleanup(peer.close)
        configuration = token_config(self.directory, self.module(), [], environment=self.environment())
        peer.send(frame(CONFIG, configuration[:-4] + struct.pack("=I", len(keys)) + b"".join(keys)))
        self.assertEqual(peer.receive()[0], TURN)
        kind, _, payload = peer.receive()
        self.assertEqual(kind, READY, payload)
        reader = Reader(payload)
        for _ in range(7):
            reader.bytes()
        reader.raw(32)
        epoch = reader.raw(EPOCH)
        self.assertGreater(len(set(epoch)), 1, epoch)
        for _ in range(reader.take("=I")):
            reader.take("=Q")
        for _ in range(3):
            reader.take("=I")
        kids = []
        for _ in keys:
            kids.append(reader.bytes().decode())
            reader.bytes()
            reader.raw(14 + 8 + 8 + 1)
            reader.bytes()
            reader.raw(6)
        return peer, epoch, kids

    def module(self):
        return module_of(self.directory)

    def environment(self):
        return {"SOFTHSM2_CONF": self.directory + "/softhsm2.conf"}

    @staticmethod
    def read(payload):
        """Epoch, and of each kid what was counted, by name; what is 0 is left out."""
        reader = Reader(payload)
        epoch = reader.raw(EPOCH)
        counts = {}
        for _ in range(reader.take("=I")):
            kid = reader.bytes().decode()
            counts[kid] = {what: count for what, count in ((what, reader.take("=Q")) for what in WHATS) if count}
        assert reader.data == b""
        return epoch, counts

    def counts(self, peer, epoch):
        kind, identity, payload = peer.ask(frame(COUNT, bytes(4), 77))
        self.assertEqual((kind, identity), (COUNTS, 77))
        told, counts = self.read(payload)
        self.assertEqual(told, epoch)
        return counts

    ACCESS = (string("access") + string("demo-access") + string(b"\x01") + struct.pack("=BBB", 0, 0, 0) + string(ISSUER))
    HEADS = (string("heads") + string("demo-checkpoint") + string(b"\x03") + struct.pack("=BBB", 2, 0, 0) +
             string(ORIGIN))

    def test_each_signature_counts_by_key_and_by_what_it_is(self):
        peer, epoch, (access, heads, lists) = self.ready([self.ACCESS, self.HEADS, STATUS])
        expected = {kid: {"probe": START_PROBES} for kid in (access, heads, lists)}
        self.assertEqual(self.counts(peer, epoch), expected)
        for _ in range(3):
            self.assertEqual(peer.ask(sign(0, tbs(access)))[0], SIGNED)
        root = base64.b64encode(bytes(32)).decode()
        self.assertEqual(peer.ask(sign(1, ("%s/1\n0\n%s\n" % (ORIGIN, root)).encode()))[0], SIGNED)
        self.assertEqual(peer.ask(frame(PROBE, struct.pack("=H", 1), 1))[0], SIGNED)
        for _ in range(2):
            self.assertEqual(peer.ask(sign(2, tbs_of(lists, status_list())))[0], SIGNED)
        expected = {access: {"probe": START_PROBES, "credential": 3},
                    heads: {"probe": START_PROBES + 1, "checkpoint": 1},
                    lists: {"probe": START_PROBES, "status_list": 2}}
        self.assertEqual(self.counts(peer, epoch), expected)
        self.assertEqual(peer.ask(sign(0, b"no JWT"))[0], FAILED)
        self.assertEqual(peer.ask(sign(1, tbs(heads)))[0], FAILED)
        self.assertEqual(peer.ask(sign(2, tbs(lists)))[0], FAILED)
        self.assertEqual(self.counts(peer, epoch), expected, "what was refused was not signed")

    def test_a_key_learned_later_counts_too_and_another_process_has_another_epoch(self):
        peer, epoch, (access,) = self.ready([self.ACCESS])
        learned = peer.ask(frame(LEARN, struct.pack("=H", 5) + self.HEADS))
        self.assertEqual(learned[0], LEARNED)
        heads = Reader(learned[2][2:]).bytes().decode()
        self.assertEqual(self.counts(peer, epoch), {access: {"probe": START_PROBES}, heads: {"probe": START_PROBES}})
        _, other, _ = self.ready([self.ACCESS])
        self.assertNotEqual(other, epoch)

    def test_a_question_with_something_in_it_is_malformed(self):
        for payload in (bytes(5), bytes(3), struct.pack("=I", 1)):
            peer, _, _ = self.ready([self.ACCESS])
            peer.send(frame(COUNT, payload, 1))
            self.assertIsNone(peer.receive())
            self.assertEqual(peer.end()[0], 1)


class CountingBehind(Counting):
    """With the fault module in between."""

    def module(self):
        return FAULT

    def environment(self):
        return {"SOFTHSM2_CONF": self.directory + "/softhsm2.conf", "HSMINT_TEST_MODULE": module_of(self.directory),
                "HSMINT_TEST_SCRIPT": self.directory + "/script"}

    def test_a_start_that_fails_tells_what_it_signed(self):
        self.script("C_Sign pass 1\nC_Sign flip\n")
        peer = Peer()
        self.addCleanup(peer.close)
        configuration = token_config(self.directory, self.module(), [], environment=self.environment())
        peer.send(frame(CONFIG, configuration[:-4] + struct.pack("=I", 1) + self.ACCESS))
        self.assertEqual(peer.receive()[0], TURN)
        kind, identity, payload = peer.receive()
        self.assertEqual((kind, identity), (COUNTS, 0))
        (counts,) = self.read(payload)[1].values()
        self.assertEqual(counts, {"probe": 2}, "one that was good, and one that was not")
        self.assertEqual(peer.receive()[0], ENDING)


class Recorded(TokenCase):
    """What of it the ledger of a service has."""

    def setUp(self):
        super().setUp()
        self.ledger = os.path.join(self.directory, "ledger")
        shutil.rmtree(self.ledger)  # dev has begun it

    def assert_covered(self):
        """At each counts entry, no more credentials were counted than are there (docs/ledger.md, "Checking counts")."""
        there, told = {}, {}
        for entry in entries(self.ledger):
            if entry["type"] in ("credential", "retry"):
                there[entry["kid"]] = there.get(entry["kid"], 0) + 1
            for item in entry.get("signed", ()):
                if item["what"] == "credential":
                    told[item["kid"]] = told.get(item["kid"], 0) + item["count"]
                    self.assertLessEqual(told[item["kid"]], there.get(item["kid"], 0))
        return there, told

    def test_a_service_that_stops_has_counted_all_it_signed(self):
        service = self.serve()
        for _ in range(7):
            self.assertEqual(service.mint().status, 200)
        service.stop()
        there, told = self.assert_covered()
        self.assertEqual(list(told.values()), [7])
        self.assertEqual(told, there)
        sums = counted(self.ledger)
        self.assertEqual([sums[kid, "probe"] >= START_PROBES for kid, what in sums if what == "probe"], [True] * 4)
        self.assertGreaterEqual(sum(count for (_, what), count in sums.items() if what == "checkpoint"), 1)
        lives = of_type(self.ledger, "token", "counts")
        self.assertEqual([life.get("event", "counts") for life in lives][:2], ["started", "ready"])
        self.assertEqual([life.get("event", "counts") for life in lives][-2:], ["counts", "ended"])
        ready, final, ended = lives[1], lives[-2], lives[-1]
        self.assertEqual((final["final"], final["token"]), (True, "soft"))
        self.assertEqual(ended["reason"], "ended")
        self.assertEqual({ready["epoch"], final["epoch"], ended["epoch"]}, {ready["epoch"]})
        self.assertEqual(len(base64.urlsafe_b64decode(ready["epoch"] + "==")), EPOCH)
        self.assertEqual((ready["name"], len(ready["module"])), ("soft", 43))
        self.assertRegex(ready["serial"], "^[0-9a-f]{16}$")

    def test_a_process_that_dies_has_no_last_word(self):
        service = self.serve()
        self.assertEqual(service.mint().status, 200)
        pid = service.status()["tokens"][0]["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not process_exists(pid), "the process to end")
        wait_for(lambda: service.mint().status == 200, "another process")
        service.stop()
        self.assert_covered()
        lives = of_type(self.ledger, "token")
        self.assertEqual([(life["event"], life.get("reason")) for life in lives],
                         [("started", None), ("ready", None), ("ended", "died"),
                          ("started", None), ("ready", None), ("ended", "ended")])
        first, second = lives[1]["epoch"], lives[4]["epoch"]
        self.assertNotEqual(first, second)
        self.assertEqual(lives[2]["epoch"], first)
        finals = [entry["epoch"] for entry in of_type(self.ledger, "counts") if entry.get("final")]
        self.assertEqual(finals, [second])

    def test_a_process_that_is_ended_to_look_again_says_what_it_signed(self):
        service = self.serve()
        self.assertEqual(service.mint().status, 200)
        self.edit("\nprofiles:\n", '\n  - {name: third, issuer: demo, token: soft, label: nobody, id: "33", '
                  "use: access-token}\nprofiles:\n")
        service.command("reload", "--control", service.control, check=False)
        wait_for(lambda: service.status()["tokens"][0]["restarts"] == 1, "another process")
        wait_for(lambda: service.mint().status == 200, "it to sign")
        service.stop()
        there, told = self.assert_covered()
        self.assertEqual(told, there)
        lives = of_type(self.ledger, "token")
        self.assertEqual([(life["event"], life.get("reason")) for life in lives],
                         [("started", None), ("ready", None), ("ended", "ended")] * 2)
        self.assertEqual([entry["epoch"] for entry in of_type(self.ledger, "counts") if entry.get("final")],
                         [lives[1]["epoch"], lives[4]["epoch"]])

    def test_a_latched_pin_stops_the_token_and_the_ledger_says_so(self):
        write(self.pin_file, "wrong-one")
        service = self.serve(wait=False)
        self.wait_stopped(service)
        service.stop()
        lives = of_type(self.ledger, "token")
        self.assertEqual([(life["event"], life.get("reason")) for life in lives],
                         [("started", None), ("ended", "died"), ("stopped", "latch")])
        final, = of_type(self.ledger, "counts")
        self.assertEqual((final["final"], final["signed"]), (True, []), "it told that it had signed nothing")

    def test_counts_are_asked_for_while_it_signs(self):
        service = self.serve()
        self.assertEqual(service.mint().status, 200)
        wait_for(lambda: of_type(self.ledger, "counts"), "the first counts", 60)
        self.assertEqual(service.mint().status, 200)
        wait_for(lambda: sum(count for (_, what), count in counted(self.ledger).items() if what == "credential") == 2,
                 "both credentials to be counted", 60)
        self.assertFalse([entry for entry in of_type(self.ledger, "counts") if entry.get("final")])
        token = service.status()["tokens"][0]
        self.assertEqual((token["epoch"], token["counted"]["credential"], token["counted"]["probe"]),
                         (of_type(self.ledger, "counts")[0]["epoch"], 2, 4 * START_PROBES))
        self.assertGreaterEqual(token["counted"]["checkpoint"], 1)
        service.stop()
        told = self.assert_covered()[1]
        self.assertEqual(list(told.values()), [2], "increments, not sums")

    def test_a_token_that_people_log_in_waits(self):
        self.edit("    login: file\n    pin: pin\n", "    login: protected-path\n")
        service = self.serve(wait=False)
        wait_for(lambda: (service.status_if_any() or {"tokens": [{"state": None}]})["tokens"][0]["state"] ==
                 "waiting_for_operator", "the token to wait")
        service.stop()
        self.assertEqual([life["event"] for life in of_type(self.ledger, "token")], ["waiting"])


if __name__ == "__main__":
    unittest.main()
