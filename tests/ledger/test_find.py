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

    def test_a_chain_is_told_back_to_its_start_over_shards_and_nothing_else_is(self):
        log = logs.Shard(self.key, 1)
        task = log.add("task", task="task-1", state="open")
        first = log.credential(subject="spiffe://t/a", task="task-1", approval="approval-1", **{"from": "A" * 43})
        asked = log.add("approval", act="ask", approval="approval-1")
        log.add("approval", act="ask", approval="approval-2")
        log.credential(subject="spiffe://t/x", task="task-9")
        log.add("close")
        next_log = logs.Shard(self.key, 2, previous=log)
        next_log.fill(20)  # an id is made of its place
        ids = [json.loads(log.entries[first])["id"]]
        second = next_log.credential(subject="spiffe://t/b", task="task-2", **{"from": ids[0]})
        ids.append(json.loads(next_log.entries[second])["id"])
        third = next_log.credential(subject="spiffe://t/c", **{"from": ids[1]})
        ids.append(json.loads(next_log.entries[third])["id"])
        other = next_log.credential(subject="spiffe://t/d", **{"from": ids[0]})
        void = next_log.add("void", of=ids[2])
        next_log.add("task", task="task-3", state="open")
        ended = next_log.add("task", task="task-2", state="cancelled")
        one, two = log.origin, next_log.origin
        log.write(self.directory)
        next_log.write(self.directory)
        start = [(one, task), (one, first), (one, asked)]
        for number, expected in ((0, start), (1, start + [(two, second), (two, ended)]),
                                 (2, start + [(two, second), (two, third), (two, void), (two, ended)])):
            self.assertEqual(self.places("--chain", ids[number]), expected)
        self.assertNotIn((two, other), self.places("--chain", ids[2]))

    def test_a_chain_that_goes_on_at_another_node_says_so(self):
        log = logs.Shard(self.key, 1)
        log.fill(20)
        last = log.credential(subject="spiffe://t/a", **{"from": "A" * 22})
        theirs = log.credential(subject="spiffe://t/b", **{"from": "A" * 43})
        log.write(self.directory)
        done = self.hsmint("find", self.directory, "--chain", json.loads(log.entries[last])["id"])
        self.assertEqual((done.returncode, len(done.stdout.splitlines())), (1, 1))
        self.assertIn(b"A" * 22, done.stderr)
        done = self.hsmint("find", self.directory, "--chain", json.loads(log.entries[theirs])["id"])
        self.assertEqual((done.returncode, len(done.stdout.splitlines()), done.stderr), (0, 1, b""))

    def test_a_chain_that_cannot_be_told_is_refused(self):
        for words, status in ((("--chain", "AAAAAAAAAAAAAAAAAAAAAA"), 1), (("--chain", ""), 2), (("--chain", "a b"), 2),
                              (("--chain", "A" * 23), 2), (("--chain", "A" * 22, "--task", "x"), 2)):
            done = self.hsmint("find", self.directory, *words)
            self.assertEqual((done.returncode, done.stdout), (status, b""), words)
            self.assertNotEqual(done.stderr, b"")

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
