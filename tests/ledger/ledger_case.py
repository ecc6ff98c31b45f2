# SPDX-License-Identifier: Apache-2.0
"""What the tests of the ledger's commands share."""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

import logs

BUILD = os.environ.get("HSMINT_BUILD") or os.path.join(os.path.dirname(__file__), "../../build/dev")
HSMINT = os.path.join(BUILD, "bin", "hsmint")
NAME = "mint.example.org/ledger"


class LedgerCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.key = logs.Ed25519Key(NAME)

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="hsmint-ledger-")
        self.addCleanup(shutil.rmtree, self.directory)

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def change(self, *names, at=0):
        """Change a byte of a file."""
        with open(self.path(*names), "r+b") as file:
            file.seek(at)
            byte = file.read(1)
            file.seek(at)
            file.write(bytes([byte[0] ^ 1]))

    def hsmint(self, *words, stdin=None):
        return subprocess.run([HSMINT, "ledger", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, input=stdin,
                              timeout=300)

    def verify(self, *words, key=None):
        done = self.hsmint("verify", self.directory, "--json", "--vkey", (key or self.key).vkey, *words)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        self.assertEqual(done.stderr, b"")
        found = json.loads(done.stdout)
        self.assertEqual(done.returncode, 1 if found["faults"] else 0)
        self.assertEqual(found["ok"], not found["faults"])
        self.assertEqual(found["fault_count"], len(found["faults"]))
        return found

    def assert_right(self, *words, **kwargs):
        found = self.verify(*words, **kwargs)
        self.assertEqual(found["faults"], [])
        return found

    def assert_fault(self, place, entry, text, *words, **kwargs):
        """A fault at this place and entry whose text has these words."""
        found = self.verify(*words, **kwargs)
        for fault in found["faults"]:
            if fault["place"] == place and fault.get("entry") == entry and text in fault["text"]:
                return found
        self.fail("not at %s, entry %s, '%s': %s" % (place, entry, text, found["faults"]))
        return None

    def assert_only_fault(self, place, entry, text, *words, **kwargs):
        found = self.assert_fault(place, entry, text, *words, **kwargs)
        self.assertEqual(len(found["faults"]), 1, found["faults"])
        return found
