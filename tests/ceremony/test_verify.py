# SPDX-License-Identifier: Apache-2.0
"""`hsmint key ceremony verify`: offline, and every byte counts."""
import os
import shutil
import subprocess
import unittest

from ceremony_case import HSMINT, SUBJECT, CeremonyCase, read_bytes
from harness import SANITIZED
from test_import import ImportCase

# Bytes between those that are changed; prime, so that all parts of base64 and hexadecimal come up.
EVERY = 61 if SANITIZED else 13


class Verify(ImportCase):
    def verify(self, directory, status=0):
        """Without anything of this machine but the record."""
        result = subprocess.run([HSMINT, "key", "ceremony", "verify", directory], stdin=subprocess.DEVNULL, cwd="/", env={},
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(result.returncode, status, result.stdout + result.stderr)
        return result

    def test_offline(self):
        self.new()
        moved = os.path.join(self.work, "elsewhere")
        shutil.move(self.record, moved)
        shutil.rmtree(self.directory)
        result = self.verify(moved)
        self.assertEqual(result.stderr, "")
        for said in ("ok\n", "certificate for " + SUBJECT, "custodian Ada Lovelace", "custodian Charles Babbage"):
            self.assertIn(said, result.stdout)

    def walk(self, name):
        path = self.file(name)
        whole = read_bytes(path)
        last = len(whole) - 1
        for position in sorted({*range(0, len(whole), EVERY), last}):
            self.write_bytes(path, whole[:position] + bytes([whole[position] ^ (1, 0x20, 0x80)[position % 3]]) + whole[position + 1:])
            self.assertEqual(self.verify(self.record, 1).stdout, "", (name, position))
        for other in (b"", whole[:-1], whole + b"\n", whole + whole, b"\n" + whole, whole.replace(b"\n", b"\r\n") + b"\n"):
            self.write_bytes(path, other)
            self.verify(self.record, 1)
        os.unlink(path)
        self.verify(self.record, 1)
        self.write_bytes(path, whole)
        self.verify(self.record)

    @staticmethod
    def write_bytes(path, data):
        with open(path, "wb") as out:
            out.write(data)

    def test_a_changed_byte_anywhere(self):
        self.request()
        self.accepted(self.returned())
        self.verify(self.record)
        for name in sorted(os.listdir(self.record)):
            with self.subTest(name):
                self.walk(name)

    def test_a_changed_byte_of_a_certificate(self):
        self.new("--algorithm", "RS256")
        for name in sorted(os.listdir(self.record)):
            with self.subTest(name):
                self.walk(name)

    def test_parts_of_another_record(self):
        """Each good by itself, but not together."""
        self.new("--csr")
        first = self.record
        self.record = os.path.join(self.work, "second")
        self.new("--csr", label="second")
        for name in os.listdir(first):
            with self.subTest(name):
                mixed = os.path.join(self.work, "mixed-" + name)
                shutil.copytree(first, mixed)
                shutil.copy(self.file(name), mixed)
                self.verify(mixed, 1)

    def test_what_is_no_record(self):
        for directory in (self.work, os.path.join(self.work, "none"), "/dev/null"):
            self.verify(directory, 1)
        for content in (b"", b"{}", b"[]\n", b"null\n", b'{"hsmint_ceremony":1}\n', b"{" * 5000, b"\x00" * 100, b"[" * 47000):
            with self.subTest(content[:20]):
                os.makedirs(self.record, exist_ok=True)
                self.write_bytes(self.file("record.json"), content)
                self.verify(self.record, 1)


del ImportCase, CeremonyCase  # or unittest would run theirs here, too

if __name__ == "__main__":
    unittest.main()
