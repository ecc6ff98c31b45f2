# SPDX-License-Identifier: Apache-2.0
"""hsmint ledger find and export."""
import json
import subprocess
import unittest

import ledger_case
import logs


class Find(ledger_case.LedgerCase):
    def setUp(self):
        super().setUp()
        self.first = logs.Shard(self.key, 1)
        self.first.fill(254)
        self.a = self.first.credential(subject="spiffe://t/a", context={"k": "v", "other": "\u00e9\n\"\\"})
        self.b = self.first.credential(subject="spiffe://t/b", context={"k": "v"}, task="task-1")
        self.first.credential(subject="spiffe://t/ab", context={"k": "w", "kk": "v"})
        self.first.fill(300)
        self.first.add("close")
        self.second = logs.Shard(self.key, 2, previous=self.first)
        self.c = self.second.credential(subject="spiffe://t/a", context={"k\"": "v"})
        self.first.write(self.directory)
        self.second.write(self.directory)

    def find(self, *words):
        done = self.hsmint("find", self.directory, *words)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return [json.loads(line) for line in done.stdout.decode().splitlines()]

    def places(self, *words):
        return [(found["origin"], found["index"]) for found in self.find(*words)]

    def test_each_condition_selects(self):
        one, two = self.first.origin, self.second.origin
        for words, expected in (
                (("--agent", "spiffe://t/a"), [(one, self.a), (two, self.c)]),
                (("--task", "task-1"), [(one, self.b)]),
                (("--context", "k=v"), [(one, self.a), (one, self.b)]),
                (("--context", "other=\u00e9\n\"\\"), [(one, self.a)]),
                (("--context", "k\"=v"), [(two, self.c)]),
                (("--context", "k=v", "--context", "other=x"), []),
                (("--context", "k=v", "--agent", "spiffe://t/b"), [(one, self.b)]),
                (("--type", "close"), [(one, 300)]),
                (("--type", "open"), [(one, 0), (two, 0)]),
                (("--agent", "spiffe://t/nobody"), [])):
            with self.subTest(words):
                self.assertEqual(self.places(*words), expected)

    def test_since_takes_seconds_and_dates(self):
        since = 1700000000 + self.b  # our generator's clock
        for text, expected in ((str(since), [self.b, self.b + 1]), (str(since + 1), [self.b + 1]),
                               ("2023-11-14T22:17:35Z", [self.b, self.b + 1]), ("2023-11-14", [self.a, self.b, self.b + 1]),
                               ("2023-11-15", [])):
            with self.subTest(text):
                found = [place[1] for place in self.places("--since", text, "--type", "credential")
                         if place[0] == self.first.origin]
                self.assertEqual(found, expected)

    def test_an_entry_is_printed_as_it_stands(self):
        done = self.hsmint("find", self.directory, "--task", "task-1")
        self.assertEqual(done.stdout, b'{"origin":"%s","index":%d,"entry":%s}\n' % (
            self.first.origin.encode(), self.b, self.first.entries[self.b]))

    def test_export_prints_every_entry(self):
        done = self.hsmint("export", self.directory)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        lines = [json.loads(line) for line in done.stdout.decode().splitlines()]
        expected = [(log.origin, index, json.loads(entry)) for log in (self.first, self.second)
                    for index, entry in enumerate(log.entries)]
        self.assertEqual([(line["origin"], line["index"], line["entry"]) for line in lines], expected)

    def test_what_cannot_be_read_is_said(self):
        self.change("1/tile/entries/000", at=1)
        done = self.hsmint("export", self.directory)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"shard 1, entry 0", done.stderr)
        self.assertEqual(self.hsmint("export", "/nowhere").returncode, 1)

    def test_standard_output_that_fails_is_said(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([ledger_case.HSMINT, "ledger", "export", self.directory], stdout=full,
                                  stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 1)

    def test_wrong_usage_has_the_status_2(self):
        for words in (("find",), ("export",), ("find", "x", "--since", "yesterday"), ("find", "x", "--type", "nothing"),
                      ("find", "x", "--context", "k"), ("find", "x", "y"), ("export", "x", "y"), ("export", "--what"),
                      ("find", "--what", "x"), ("find", "x", "--since", "2023-11-14x")):
            with self.subTest(words):
                self.assertEqual(self.hsmint(*words).returncode, 2)

    def test_help_goes_to_standard_output(self):
        for verb in ("find", "export"):
            done = self.hsmint(verb, "--help")
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertIn(b"Usage: hsmint ledger " + verb.encode(), done.stdout)


if __name__ == "__main__":
    unittest.main()
