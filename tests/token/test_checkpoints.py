# SPDX-License-Identifier: Apache-2.0
"""hsmint-token spoken to directly: what a key for checkpoints signs (docs/ledger.md), and what it does not."""
import base64
import hashlib
import os
import struct
import unittest

from softhsm_keys import module_of
from test_frames import (CONFIG, FAILED, ISSUER, READY, SIGNED, TURN, CLASS_REFUSED, CUSTODY, Peer, Reader, sign, tbs)
from token_admin import create_key, frame, string, token_config
from token_case import TokenCase, run

ORIGIN = "demo.test/ledger"
ACCESS_TOKEN, CHECKPOINT = 0, 2
ES256, ES384, ED25519 = 0, 1, 4
SHARDS_MAX = 99999
ROOT, OTHER_ROOT = (base64.b64encode(hashlib.sha256(data).digest()).decode() for data in (b"one", b"other"))
ANOTHERS, BEHIND, CONTRADICTS = "another ledger", "behind one that was signed", "contradicts one that was signed"


def checkpoint(shard=1, size=7, root=ROOT, origin=ORIGIN):
    return ("%s/%s\n%s\n%s\n" % (origin, shard, size, root)).encode()


def key(name, label, identity, use, algorithm, issuer):
    return (string(name) + string(label) + string(bytes.fromhex(identity)) +
            struct.pack("=BBB", use, algorithm, 0) + string(issuer))


class Checkpoints(TokenCase):
    def setUp(self):
        super().setUp()
        create_key(self.directory, self.config, "heads", "0a", ED25519)
        create_key(self.directory, self.config, "p384", "0b", ES384)
        keys = [key("ecdsa", "demo-checkpoint", "03", CHECKPOINT, ES256, ORIGIN),
                key("eddsa", "heads", "0a", CHECKPOINT, ED25519, ORIGIN),
                key("access", "demo-access", "01", ACCESS_TOKEN, ES256, ISSUER),
                key("other", "p384", "0b", CHECKPOINT, ES384, ORIGIN)]
        without = token_config(self.directory, module_of(self.directory), [])
        configuration = without[:-4] + struct.pack("=I", len(keys)) + b"".join(keys)
        self.peer = Peer()
        self.addCleanup(self.peer.close)
        self.assertEqual(self.peer.ask(frame(CONFIG, configuration))[:2], (TURN, 0))
        kind, _, payload = self.peer.receive()
        self.assertEqual(kind, READY, payload)
        self.keys = self.shown(Reader(payload), len(keys))

    @staticmethod
    def shown(reader, count):
        """The kid and public key of each key in READY."""
        for _ in range(7):
            reader.bytes()
        reader.raw(32 + 16)
        for _ in range(reader.take("=I")):
            reader.take("=Q")
        for _ in range(3):
            reader.take("=I")
        keys = []
        for _ in range(count):
            keys.append((reader.bytes().decode(), reader.bytes()))
            reader.raw(len(CUSTODY) + 8 + 8 + 1)
            reader.bytes()
            reader.raw(6)
        return keys

    def signed(self, place, data):
        kind, identity, signature = self.peer.ask(sign(place, data, 5))
        self.assertEqual((kind, identity, len(signature)), (SIGNED, 5, 64), (data, signature))
        return signature

    def verified(self, place, data):
        """Signed, and OpenSSL says so."""
        signature = self.signed(place, data)
        path = {name: os.path.join(self.work, name) for name in ("spki", "data", "signature")}
        if place == 0:
            r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
            integers = "asn1=SEQUENCE:rs\n[rs]\nr=INTEGER:0x%x\ns=INTEGER:0x%x\n" % (r, s)
            with open(path["data"], "w") as out:
                out.write(integers)
            run(["openssl", "asn1parse", "-genconf", path["data"], "-noout", "-out", path["signature"]])
        for name, content in (("spki", self.keys[place][1]), ("data", data), ("signature", signature)):
            if (place, name) != (0, "signature"):
                with open(path[name], "wb") as out:
                    out.write(content)
        how = ["-digest", "sha256"] if place == 0 else []
        run(["openssl", "pkeyutl", "-verify", "-rawin", *how, "-pubin", "-inkey", path["spki"], "-keyform", "DER",
             "-in", path["data"], "-sigfile", path["signature"]])

    def refused(self, place, data, said):
        kind, identity, payload = self.peer.ask(sign(place, data, 6))
        self.assertEqual((kind, identity), (FAILED, 6), data)
        reader = Reader(payload)
        self.assertEqual((reader.take("=B"), reader.take("=Q")), (CLASS_REFUSED, 0))
        self.assertIn(said, reader.bytes().decode(), data)

    def test_the_three_lines_of_its_own_ledger_are_signed(self):
        for place in (0, 1):
            for data in (checkpoint(size=0), checkpoint(size=2 ** 64 - 1), checkpoint(shard=SHARDS_MAX)):
                with self.subTest(data, place=place):
                    self.verified(place, data)

    def test_nothing_else_is_signed(self):
        good = checkpoint()
        not_canonical = ROOT[:-2] + chr(ord(ROOT[-2]) + 1) + "="
        self.assertEqual(base64.b64decode(not_canonical), base64.b64decode(ROOT))
        malformed = [
            checkpoint(size="07"), checkpoint(size="00"), checkpoint(size="+7"), checkpoint(size="-7"),
            checkpoint(size=" 7"), checkpoint(size="7 "), checkpoint(size=""), checkpoint(size="0x7"),
            checkpoint(size=2 ** 64), checkpoint(root=not_canonical), checkpoint(root=ROOT[:-1]),
            checkpoint(root=ROOT + "="), checkpoint(root=ROOT[:-4]), checkpoint(root=""),
            checkpoint(root=base64.b64encode(bytes(31)).decode()),
            checkpoint(root=base64.urlsafe_b64encode(b"\xff" * 32).decode()), checkpoint(root=ROOT + " "),
            good[:-1], good + b"\n", good + b"more\n", good + b"more", good + b"\0", b"\n" + good, good + good,
            good + b"\n\xe2\x80\x94 demo.test/ledger AAAA\n", good.replace(b"\n", b"\r\n"),
            good.rsplit(b"\n", 2)[0] + b"\n", good.replace(b"/1\n", b"/1\0\n"), b"",
            checkpoint(origin="x" * 256), b"hsmint probe\n" + bytes(16), b"x" * 24 * 1024]
        others = [
            checkpoint(origin="demo.test/other"), checkpoint(origin=ORIGIN + "/1"), checkpoint(origin=ORIGIN + "/"),
            checkpoint(origin="Demo.test/ledger"), checkpoint(origin="x" + ORIGIN), checkpoint(origin=ORIGIN[:-1]),
            checkpoint(origin=""), good.replace(b"/1\n", b"\n"), good.replace(b"/1\n", b"1\n"), checkpoint(shard="01"),
            checkpoint(shard=0), checkpoint(shard=SHARDS_MAX + 1), checkpoint(shard=2 ** 32 + 1),
            checkpoint(shard=2 ** 64 + 1), checkpoint(shard="-1"), checkpoint(shard="+1"), checkpoint(shard=" 1"),
            checkpoint(shard="1 "), checkpoint(shard=""), checkpoint(shard="1/1"), checkpoint(shard="one")]
        for place in (0, 1):
            with self.subTest("a JWT", place=place):
                self.refused(place, tbs(self.keys[place][0], ORIGIN), "not a checkpoint")
            for data in malformed:
                with self.subTest(data[:80], place=place):
                    self.refused(place, data, "not a checkpoint")
            for data in others:
                with self.subTest(data[:80], place=place):
                    self.refused(place, data, ANOTHERS)
            self.signed(place, good)

    def test_an_algorithm_that_no_signed_note_has_signs_none(self):
        self.refused(3, checkpoint(), "ES256 or Ed25519")

    def test_there_is_no_way_back(self):
        for place in (0, 1):
            with self.subTest(place=place):
                self.signed(place, checkpoint(2, 7))
                self.signed(place, checkpoint(2, 7))  # again, as after an answer that was lost
                self.refused(place, checkpoint(2, 7, OTHER_ROOT), CONTRADICTS)
                self.refused(place, checkpoint(2, 6), BEHIND)
                self.refused(place, checkpoint(1, 8), BEHIND)
                self.signed(place, checkpoint(2, 8, OTHER_ROOT))
                self.refused(place, checkpoint(2, 7), BEHIND)
                self.refused(place, checkpoint(2, 8), CONTRADICTS)
                self.signed(place, checkpoint(3, 1))
                self.refused(place, checkpoint(2, 9), BEHIND)

    def test_what_was_refused_does_not_count(self):
        self.refused(0, checkpoint(9, 99, origin="demo.test/other"), ANOTHERS)
        self.refused(0, checkpoint(9, 99) + b"more\n", "not a checkpoint")
        self.signed(1, checkpoint(9, 99))  # nor what another key signed
        self.signed(0, checkpoint(1, 1))

    def test_a_key_for_credentials_signs_no_checkpoint(self):
        for origin in (ORIGIN, ISSUER):
            self.refused(2, checkpoint(origin=origin), "not the JOSE header")
        self.signed(2, tbs(self.keys[2][0]))


if __name__ == "__main__":
    unittest.main()
