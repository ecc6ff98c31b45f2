# SPDX-License-Identifier: Apache-2.0
"""hsmint-token spoken to directly: the ledger's newest checkpoint, kept in the token as a data object."""
import base64
import os
import subprocess
import unittest

import test_frames
from softhsm_keys import module_of
from test_frames import CONFIG, READY, TURN, Peer, Reader
from token_admin import frame, string, token_config
from token_case import PATIENCE, TokenCase, read

LABEL, ORIGIN, OTHER = "hsmint ledger anchor", "demo.test/ledger", "demo.test/another"
PUT, GET, ANCHOR, NOT_ANCHORED = 7, 8, 23, 24
LONGEST = 16 * 1024


def note(size, shard=1, origin=ORIGIN):
    root = base64.b64encode(bytes([size % 256]) * 32).decode()
    return ("%s/%d\n%d\n%s\n\n\u2014 %s AAAA\n" % (origin, shard, size, root, origin)).encode()


def put(data):
    return frame(PUT, string(data))


def get():
    return frame(GET, string(""))


class Anchors(TokenCase):
    with_fault_module = test_frames.Frames.with_fault_module

    def ready(self, origin=ORIGIN):
        """A process that is ready, with the fault module before SoftHSM."""
        plain = token_config(self.directory, module_of(self.directory), [("access", "demo-access", "01")], origin=origin)
        peer = Peer()
        self.addCleanup(peer.close)
        configuration = self.with_fault_module(plain, os.path.join(self.directory, "script"))
        self.assertEqual(peer.ask(frame(CONFIG, configuration))[:2], (TURN, 0))
        kind, _, payload = peer.receive()
        self.assertEqual(kind, READY, payload)
        return peer

    def tool(self, *arguments):
        """OpenSC's, which has its own way to read and write objects."""
        return subprocess.run(
            ["pkcs11-tool", "--module", module_of(self.directory), "--token-label", "hsmint-dev", "--login", "--pin",
             read(self.pin_file).strip(), "--type", "data", *arguments], check=True, capture_output=True, text=True,
            timeout=PATIENCE, env={**os.environ, "SOFTHSM2_CONF": self.directory + "/softhsm2.conf"}).stdout

    def objects(self):
        """Label, application and flags of each data object in the token."""
        found = []
        for block in self.tool("--list-objects").split("Data object")[1:]:
            told = dict((part.strip() for part in line.split(":", 1)) for line in block.splitlines() if ":" in line)
            found.append((told["label"].strip("'"), told["application"].strip("'"), told["flags"].split()))
        return sorted(found)

    def write(self, data, label, application):
        path = os.path.join(self.work, "object")
        with open(path, "wb") as out:
            out.write(data)
        self.tool("--write-object", path, "--label", label, "--application-label", application, "--private")

    def kept(self, answer):
        kind, identity, payload = answer
        self.assertEqual((kind, identity), (ANCHOR, 0), payload)
        reader = Reader(payload)
        data = reader.bytes()
        self.assertEqual(reader.data, b"")
        return data

    def assert_not_anchored(self, answer, said):
        kind, identity, payload = answer
        self.assertEqual((kind, identity), (NOT_ANCHORED, 0), payload)
        self.assertIn(said, payload.decode("latin-1"))

    def test_what_is_put_is_there_in_the_next_process(self):
        peer = self.ready()
        self.assertEqual(self.kept(peer.ask(get())), b"")
        self.assertEqual(self.kept(peer.ask(put(note(5)))), note(5))
        self.assertEqual(self.kept(peer.ask(get())), note(5))
        peer.socket.close()
        self.assertEqual(peer.process.wait(PATIENCE), 0)
        again = self.ready()
        self.assertEqual(self.kept(again.ask(get())), note(5))
        (label, application, flags), = self.objects()
        self.assertEqual((label, application), (LABEL, ORIGIN))
        self.assertIn("private", flags)
        self.assertEqual(self.kept(again.ask(put(b"x" * LONGEST))), b"x" * LONGEST)

    def test_it_takes_the_place_of_what_was_there_and_of_nothing_else(self):
        self.write(b"theirs", LABEL, OTHER)
        self.write(b"theirs", "another label", ORIGIN)
        peer = self.ready()
        for size in (5, 9, 7):
            self.assertEqual(self.kept(peer.ask(put(note(size)))), note(size))
            self.assertEqual(self.kept(peer.ask(get())), note(size))
        self.assertEqual([found[:2] for found in self.objects()],
                         [("another label", ORIGIN), (LABEL, OTHER), (LABEL, ORIGIN)])

    def test_the_power_is_cut_in_between(self):
        """Before the new one is there, or before the old one is gone: the one that is further is what is kept."""
        for first, second in ((note(5), note(9)), (note(9), note(5)), (note(9), note(1, shard=2)),
                              (note(1, shard=10), note(9, shard=9))):
            with self.subTest(first=first, second=second):
                further = first if (first, second) in ((note(9), note(5)), (note(1, shard=10), note(9, shard=9))) else second
                self.script("")
                self.assertEqual(self.kept(self.ready().ask(put(first))), first)
                for function, kept, count in (("C_CreateObject", first, 1), ("C_DestroyObject", further, 2)):
                    self.script("")
                    peer = self.ready()
                    self.script(function + " exit\n")
                    peer.send(put(second))
                    self.assertIsNone(peer.receive())
                    self.script("")
                    self.assertEqual(self.kept(self.ready().ask(get())), kept)
                    self.assertEqual(len(self.objects()), count)
                last = self.ready()
                self.assertEqual(self.kept(last.ask(put(note(77)))), note(77))
                self.assertEqual(len(self.objects()), 1)
                self.assertEqual(self.kept(last.ask(get())), note(77))

    def test_of_two_the_one_that_is_no_checkpoint_counts_for_nothing(self):
        self.write(b"no checkpoint", LABEL, ORIGIN)
        peer = self.ready()
        self.assertEqual(self.kept(peer.ask(get())), b"no checkpoint")
        self.write(note(3), LABEL, ORIGIN)
        self.write(note(99, origin=OTHER), LABEL, ORIGIN)
        self.assertEqual(self.kept(peer.ask(get())), note(3))

    def test_more_than_a_crash_leaves_are_not_chosen_from(self):
        for size in range(9):
            self.write(note(size), LABEL, ORIGIN)
        peer = self.ready()
        self.assert_not_anchored(peer.ask(get()), "destroy all but the newest")
        self.assert_not_anchored(peer.ask(put(note(10))), "destroy all but the newest")
        self.assertEqual(len(self.objects()), 9)

    def test_a_token_that_cannot_says_so_and_goes_on(self):
        peer = self.ready()
        self.assertEqual(self.kept(peer.ask(put(note(5)))), note(5))
        for function, value, said in (("C_CreateObject", "0x54", "C_CreateObject: CKR_FUNCTION_NOT_SUPPORTED (0x54): the token does "
                                       "not take the data object 'hsmint ledger anchor'"),
                                      ("C_CreateObject", "0x30", "C_CreateObject: CKR_DEVICE_ERROR"),
                                      ("C_OpenSession", "0xb1", "C_OpenSession: CKR_SESSION_COUNT"),
                                      ("C_FindObjectsInit", "0x101", "C_FindObjectsInit: CKR_USER_NOT_LOGGED_IN")):
            with self.subTest(function=function, value=value):
                self.script("%s %s\n" % (function, value))
                self.assert_not_anchored(peer.ask(put(note(6))), said)
                self.script("")
                self.assertEqual(self.kept(peer.ask(get())), note(5))

    def test_it_never_leaves_more_than_two_where_nothing_can_be_destroyed(self):
        peer = self.ready()
        self.assertEqual(self.kept(peer.ask(put(note(5)))), note(5))
        self.script("C_DestroyObject 0x1b\n")
        for size in (6, 7, 8):
            self.assert_not_anchored(peer.ask(put(note(size))), "C_DestroyObject: CKR_ACTION_PROHIBITED")
        self.assertEqual(self.kept(peer.ask(get())), note(6))
        self.assertEqual(len(self.objects()), 2)

    def test_its_session_is_its_own_and_closed(self):
        peer = self.ready()
        before = len(self.calls("C_OpenSession")), len(self.calls("C_CloseSession"))
        self.assertEqual(self.kept(peer.ask(put(note(5)))), note(5))
        opened, closed = self.calls("C_OpenSession")[before[0]:], self.calls("C_CloseSession")[before[1]:]
        self.assertEqual([call["flags"] for call in opened], [0x6])  # CKF_SERIAL_SESSION, CKF_RW_SESSION
        self.assertEqual([call["session"] for call in closed], [call["session"] for call in opened])

    def test_what_is_malformed_ends_it(self):
        for what, origin, data in (("of no ledger", "", put(note(5))), ("of no ledger", "", get()),
                                   ("nothing to keep", ORIGIN, put(b"")), ("a question with bytes", ORIGIN, frame(GET, string("x"))),
                                   ("too long", ORIGIN, put(b"x" * (LONGEST + 1))), ("a byte more", ORIGIN, put(note(5)) + b"x")):
            with self.subTest(what, origin=origin):
                peer = self.ready(origin)
                peer.send(data)
                self.assertIsNone(peer.receive())
                self.assertEqual(peer.end()[0], 1)


if __name__ == "__main__":
    unittest.main()
