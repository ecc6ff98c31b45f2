# SPDX-License-Identifier: Apache-2.0
"""hsmint-ceremony spoken to directly (docs/frames.md): what its key signs for whoever holds the other end."""
import os
import socket
import struct
import subprocess
import unittest

from ceremony_case import PATIENCE, CeremonyCase
from softhsm_keys import make_keys, module_of
from token_admin import CHILD_FD, CONFIG, FAILED, frame, string, token_config
from token_case import BUILD

CHECK, FIND, CREATE, CERTIFY, SIGN, KEEP, DESTROY, SHOWN, MADE, DONE = *range(112, 119), 128, 129, 130
PROGRAM = os.path.join(BUILD, "bin", "hsmint-ceremony")
NAME = bytes.fromhex("300d310b300906035504030c026361")  # CN=ca
CERTIFICATE = struct.pack("=BII", 0, 30, 0) + string(NAME) + string("")


class Frames(CeremonyCase):
    def start(self, keys=(("ca", "ca", "aabb", 0),)):
        self.peer, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(self.peer.close)
        self.peer.settimeout(PATIENCE)
        with theirs:
            self.process = subprocess.Popen(["sh", "-c", 'exec "$0" %d<&0 </dev/null' % CHILD_FD, PROGRAM], stdin=theirs,
                                            stderr=subprocess.PIPE, text=True)
        self.peer.send(frame(CONFIG, token_config(self.directory, module_of(self.directory), list(keys))))

    def ask(self, kind, payload=string("")):
        self.peer.send(frame(kind, payload, 7))
        answer = self.peer.recv(1 << 17)
        if answer:
            self.assertEqual(struct.unpack("=Q", answer[8:16])[0], 7)
        return (answer[1], answer[16:]) if answer else None

    def refused(self, kind, says, payload=string("")):
        answer = self.ask(kind, payload)
        self.assertEqual(answer[0], FAILED, answer)
        self.assertIn(says.encode(), answer[1])

    def end(self, status=0):
        self.peer.close()
        _, said = self.process.communicate(timeout=PATIENCE)
        self.assertEqual(self.process.returncode, status, said)
        return said

    def test_one_key_in_its_order(self):
        before = self.objects()
        self.start()
        self.refused(CREATE, "after its checks")
        self.refused(CERTIFY, "for keys that this ceremony made", CERTIFICATE)
        self.refused(SIGN, "no key yet", struct.pack("=B", 0) + string("abc"))
        self.refused(DESTROY, "there is no key of this ceremony")
        self.assertEqual(self.ask(CHECK)[0], SHOWN)
        self.refused(CHECK, "begun already")
        self.refused(FIND, "begun already")
        self.refused(DESTROY, "there is no key of this ceremony")
        self.assertEqual(self.ask(CREATE)[0], SHOWN)
        self.refused(CREATE, "one key")
        self.assertEqual(self.ask(CERTIFY, CERTIFICATE)[0], MADE)
        self.refused(CERTIFY, "no X.501 name", struct.pack("=BII", 0, 30, 0) + string("x") + string(""))
        self.assertEqual(self.ask(SIGN, struct.pack("=B", 1) + string("abc"))[0], MADE)
        self.assertEqual(self.ask(DESTROY)[0], DONE)
        self.assertEqual(self.objects(), before)
        self.refused(CERTIFY, "for keys that this ceremony made", CERTIFICATE)
        self.refused(SIGN, "no key yet", struct.pack("=B", 1) + string("abc"))
        self.refused(CREATE, "one key")
        self.assertEqual(self.end(), "")

    def test_a_key_that_was_kept_stays(self):
        before = self.objects()
        self.start()
        for kind, answer in ((CHECK, SHOWN), (CREATE, SHOWN), (KEEP, DONE)):
            self.assertEqual(self.ask(kind)[0], answer)
        self.refused(DESTROY, "that is not kept")
        self.assertEqual(self.end(), "")
        self.assertEqual(len(self.objects()), len(before) + 2)

    def test_a_key_that_was_there_gets_no_certificate_and_is_not_destroyed(self):
        make_keys(self.directory, [dict(label="ca", id="aabb")])
        before = self.objects()
        self.start()
        self.assertEqual(self.ask(FIND)[0], SHOWN)
        self.refused(CERTIFY, "for keys that this ceremony made", CERTIFICATE)
        self.refused(CREATE, "one key")
        self.refused(DESTROY, "there is no key of this ceremony")
        self.end()
        self.assertEqual(self.objects(), before)

    def test_what_is_no_command_ends_it_and_its_key(self):
        for kind, payload in ((SIGN, struct.pack("=B", 3) + string("abc")), (CERTIFY, CERTIFICATE + b"x"), (KEEP, b"x"),
                              (KEEP, string("x")), (33, struct.pack("=H", 0)), (255, string(""))):
            with self.subTest((kind, payload)):
                before = self.objects()
                self.start()
                self.assertEqual(self.ask(CHECK)[0], SHOWN)
                self.assertEqual(self.ask(CREATE)[0], SHOWN)
                self.assertIsNone(self.ask(kind, payload))
                self.assertIn("the key 'ca' has been destroyed", self.end())
                self.assertEqual(self.objects(), before)

    def test_configurations_that_are_not_for_a_ceremony(self):
        for keys in ([], [("ca", "ca", "aa", 0), ("cb", "cb", "bb", 0)], [("ca", "ca", "", 0)], [("ca", "ca", "aa", 3)],
                     [("ca", "ca", "aa", 4)]):
            with self.subTest(keys):
                self.start(keys)
                self.assertEqual(self.peer.recv(16), b"")
                self.end(1)

    def test_it_is_started_by_hsmint_alone(self):
        result = subprocess.run([PROGRAM], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertIn("is started by hsmint", result.stderr)


if __name__ == "__main__":
    unittest.main()
