# SPDX-License-Identifier: Apache-2.0
"""Every bit of every file of a small ledger changed, and every file cut off at every length: all of it is found, with the
file named. Nothing is harmless but what stands behind a segment's whole frames, and files that end in .new."""
import json
import os
import subprocess

import ledger_case
import logs

STEP = 101 if os.environ.get("HSMINT_SANITIZE") else 1  # bits, and lengths
FLIPS = os.path.join(ledger_case.BUILD, "bin", "ledger-flips")


class Flips(ledger_case.LedgerCase):
    def setUp(self):
        super().setUp()
        for shard in logs.small(self.key):
            shard.write(self.directory)

    def flip(self, name, start=0):
        done = subprocess.run([FLIPS, self.directory, self.key.vkey(), name, str(start), str(STEP)],
                              stdout=subprocess.PIPE, check=True)
        length = os.path.getsize(self.path(name)) - start
        found = json.loads(done.stdout)
        for what, tries in (("flips", length * 8), ("cuts", length)):
            self.assertEqual(sum(found[what][how] for how in ("named", "found", "missed")), -(-tries // STEP))
        return found["flips"], found["cuts"]

    def test_every_bit_and_every_length_of_every_file_counts(self):
        files = [os.path.relpath(os.path.join(path, name), self.directory)
                 for path, _, names in os.walk(self.directory) for name in names]
        self.assertEqual(sorted(files), ["1/checkpoint", "1/segment", "1/tile/0/000", "1/tile/entries/000",
                                         "2/checkpoint", "2/segment"])
        for name in files:
            with self.subTest(name):
                for found in self.flip(name):
                    self.assertEqual((found["missed"], found["found"]), (0, 0), found)

    def test_what_a_crash_leaves_behind_the_last_frame_means_nothing(self):
        with open(self.path("2/segment"), "ab") as segment:
            whole = segment.tell()
            segment.write(logs.frame(5, [b'{"time":1,"type":"stop","v":1}'])[:60])
        flips, cuts = self.flip("2/segment", whole)
        self.assertEqual((flips["named"], flips["found"]), (0, 0))
        self.assertEqual((cuts["named"], cuts["found"]), (0, 0))

    def test_a_file_that_was_being_written_means_nothing(self):
        for name in (".checkpoint.new", ".segment.new", "checkpoint.new", "tile/0/.001.new", "tile/entries/.001.new"):
            logs.write(self.path("1", name), b"anything")
        self.assert_right()
