# SPDX-License-Identifier: Apache-2.0
"""Every bit of every file of small ledgers changed, and every file cut off at every length: all of it is found, with the
file named. Nothing is harmless but what stands behind a segment's whole frames, and files that end in .new.

Each change is followed by a whole verification, so that the ledgers are no larger than they must be: one of a shard with
one bundle and one tile, as small as 256 entries can be, and one of two shards that has something of each kind."""
import json
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import ledger_case
import logs

STEP = 101 if os.environ.get("HSMINT_SANITIZE") else 1  # bits, and lengths
FLIPS = os.path.join(ledger_case.BUILD, "bin", "ledger-flips")


class Flips(ledger_case.LedgerCase):
    def flip(self, name, start=0, directory=None):
        """What came of it, in `directory` or where the test's ledger is."""
        directory = directory or self.directory
        done = subprocess.run([FLIPS, directory, self.key.vkey, name, str(start), str(STEP)],
                              stdout=subprocess.PIPE, check=True)
        length = os.path.getsize(os.path.join(directory, name)) - start
        found = json.loads(done.stdout)
        for what, tries in (("flips", length * 8), ("cuts", length)):
            self.assertEqual(sum(found[what][how] for how in ("named", "found", "missed")), -(-tries // STEP))
        return found["flips"], found["cuts"]

    def flip_copy(self, name):
        """The same in a copy, so that several files can be changed at once."""
        copy = "%s.%s" % (self.directory, name.replace("/", "-"))
        shutil.copytree(self.directory, copy)
        self.addCleanup(shutil.rmtree, copy)
        return self.flip(name, directory=copy)

    def assert_all_counts(self, *expected):
        files = [os.path.relpath(os.path.join(path, name), self.directory)
                 for path, _, names in os.walk(self.directory) for name in names]
        self.assertEqual(sorted(files), sorted(expected))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            changed = {name: pool.submit(self.flip_copy, name) for name in files}
        for name in files:
            with self.subTest(name):
                for found in changed[name].result():
                    self.assertEqual((found["missed"], found["found"]), (0, 0), found)

    def test_every_bit_and_every_length_of_a_bundle_and_a_tile_counts(self):
        logs.shortest(self.key).write(self.directory)
        self.assert_all_counts("1/checkpoint", "1/segment", "1/tile/0/000", "1/tile/entries/000")

    def test_every_bit_and_every_length_of_entries_of_each_kind_counts(self):
        for shard in logs.small(self.key, with_bundle=False):
            shard.write(self.directory)
        self.assert_all_counts("1/checkpoint", "1/segment", "2/checkpoint", "2/segment")

    def test_what_a_crash_leaves_behind_the_last_frame_means_nothing(self):
        for shard in logs.small(self.key, with_bundle=False):
            shard.write(self.directory)
        with open(self.path("2/segment"), "ab") as segment:
            whole = segment.tell()
            segment.write(logs.frame(5, [b'{"time":1,"type":"stop","v":1}'])[:60])
        flips, cuts = self.flip("2/segment", whole)
        self.assertEqual((flips["named"], flips["found"]), (0, 0))
        self.assertEqual((cuts["named"], cuts["found"]), (0, 0))

    def test_a_file_that_was_being_written_means_nothing(self):
        logs.shortest(self.key).write(self.directory)
        for name in (".checkpoint.new", ".segment.new", "checkpoint.new", "tile/0/.001.new", "tile/entries/.001.new"):
            logs.write(self.path("1", name), b"anything")
        self.assert_right()
