# SPDX-License-Identifier: Apache-2.0
"""hsmint agent import and export: what is registered of a file, batch by batch, and which line is at fault."""
import json
import os
import re
import subprocess
import unittest

import ledger_entries
from harness import AUDIENCE, HSMINT, SUBJECT, edit, run, start_dev
from test_api_ways import REVIEW
from test_govern_commands import WAYS, Commands

BATCH = 1000


class Files(Commands):
    def agent_line(self, **members):
        """A registration that is new."""
        return {"spiffe_id": "spiffe://demo.test/own/" + self.fresh("file"), "owner": "o@demo.test", "purpose": "p", "review": REVIEW,
                **members}

    def file(self, lines):
        path = os.path.join(self.work, "agents.jsonl")
        with open(path, "wb") as out:
            for line in lines:
                out.write(line if isinstance(line, bytes) else json.dumps(line, ensure_ascii=False).encode() + b"\n")
        return path

    def found(self, line):
        """Is it registered?"""
        return bool(self.govern("GET", "/v1/agents?spiffe_id=" + line["spiffe_id"])["agents"])

    def outcome(self, way, lines, added, unchanged, pattern=r"", status=0):
        """Import a file; what it says of it on standard error is this and nothing else."""
        result = self.hsmint(way, "agent", "import", self.file(lines), status=status)
        self.assertEqual(result.stdout, "%d added, %d unchanged\n" % (added, unchanged), result.stderr)
        self.assertRegex(result.stderr, r"\A(?:%s)\Z" % pattern)

    def stops(self, way, lines, line, says, added=0, first=1, last=None):
        """Line `line` is at fault: for the command itself, or with `last` for the service, and then no line from `first` to `last`
        is registered."""
        path = re.escape(os.path.join(self.work, "agents.jsonl"))
        where = "nothing from line %d on is registered" % first if last is None else \
            "lines %d to %d: none of them is registered" % (first, last)
        self.outcome(way, lines, added, 0, r"hsmint: %s:%d: %s\nhsmint: %s\n" % (path, line, says, where), status=1)


class Import(Files):
    def test_each_line_is_an_agent_or_a_class(self):
        for way in WAYS:
            with self.subTest(way):
                full = self.agent_line(contact="c@demo.test", purpose="l\u00f6we \u2028 \"quoted\" \\ ",
                                       limits={"audiences": [AUDIENCE], "scopes": ["read"], "kinds": ["at+jwt"], "lifetime": 60, "depth": 1})
                of_many = self.agent_line(spiffe_id="spiffe://demo.test/%s/*" % self.fresh("class"), **{"class": True})
                plain = self.agent_line()
                lines = [full, b"\n", of_many, b" \t\r\n", json.dumps(plain).encode()]  # the last has no end of line
                self.outcome(way, lines, 3, 0)
                for line in (full, of_many, plain):
                    [agent] = self.govern("GET", "/v1/agents?spiffe_id=" + line["spiffe_id"])["agents"]
                    self.assertEqual({name: agent[name] for name in line}, line)
                self.outcome(way, lines, 0, 3)
                self.outcome(way, [self.agent_line()] + lines, 1, 3)

    def test_standard_input_and_the_reply_as_json(self):
        for way in WAYS:
            text = json.dumps(self.agent_line()) + "\n"
            result = self.hsmint(way, "agent", "import", "-", "--json", input=text)
            self.assertEqual((json.loads(result.stdout), result.stderr), ({"added": 1, "unchanged": 0}, ""))
            result = self.hsmint(way, "agent", "import", "-", input="{", status=1)
            self.assertIn("hsmint: standard input:1: ", result.stderr)

    def test_nothing_to_import(self):
        self.outcome("control", [], 0, 0)
        self.outcome("control", [b"\n\n"], 0, 0)

    def test_more_than_a_batch_is_registered_batch_by_batch(self):
        for way in WAYS:
            with self.subTest(way):
                lines = [self.agent_line() for _ in range(2 * BATCH + 1)]
                self.outcome(way, lines, 2 * BATCH + 1, 0)
                self.assertTrue(self.found(lines[0]) and self.found(lines[BATCH]) and self.found(lines[-1]))
                entries = ledger_entries.entries(os.path.join(self.service.directory, "ledger"))
                imports = [len(entry["ids"]) for entry in entries if entry.get("act") == "import"]
                self.assertEqual(imports[-3:], [BATCH, BATCH, 1])

    def test_a_batch_is_no_longer_than_a_request_may_be(self):
        for way in WAYS:
            with self.subTest(way):
                self.outcome(way, [self.agent_line(purpose="p" * 1024, contact="c" * 256, owner="o" * 256) for _ in range(BATCH)], BATCH, 0)
                words = ["w%02d" % number for number in range(64)]
                self.outcome(way, [self.agent_line(limits={"audiences": words, "scopes": words[:32]}) for _ in range(BATCH)], BATCH, 0)

    def test_a_line_at_fault_is_named_and_its_batch_is_not_registered(self):
        good = [self.agent_line() for _ in range(3)]
        faults = [(b"{\n", r"[^\n]+ expected, in column 1"), (b"\x1b[2Jno\n", r"[^\n\x1b]+"), (b"[]\n", "an agent is a JSON object"), (b"1\n", r"[^\n]+"),
                  (b'{"a":1,"a":2}\n', r"duplicate object key[^\n]*"), (b'{"owner":"\xff"}\n', r"unable to decode byte[^\n]*"),
                  (b'{"owner":"a\0b"}\n', r"[^\n]+"), (b"{} {}\n", r"end of file expected[^\n]*"), (b'{}],"issuer":"x","a":[{}\n', r"[^\n]+"),
                  (b"{}" + b" " * (60 * 1024) + b"\n", r"an agent has at most \d+ bytes"),
                  (self.agent_line(owner=""), r"invalid_member: [^\n]* \(owner: [^\n]+\)"),
                  (self.agent_line(owner=1), r"wrong_type: [^\n]* \(owner: [^\n]+\)"),
                  (self.agent_line(unknown=1), r"unknown_member: [^\n]* \(unknown: [^\n]+\)"),
                  (self.agent_line(limits={"scopes": ["a", "b\n"]}), r"invalid_member: [^\n]* \(limits.scopes\[1\]: [^\n]+\)"),
                  (self.agent_line(spiffe_id="spiffe://other.test/x"), r"invalid_member: [^\n]* \(spiffe_id: [^\n]+\)"),
                  (self.agent_line(review=1), r"invalid_member: [^\n]* \(review: [^\n]+\)"),
                  ({}, r"missing_member: [^\n]* \(spiffe_id: [^\n]+\)"), (good[0], r"invalid_member: [^\n]* \(spiffe_id: each agent once\)")]
        for way in WAYS:
            for fault, says in faults:
                with self.subTest(way, fault=fault):
                    last = 5 if isinstance(fault, dict) else None
                    self.stops(way, [good[0], b"\n", good[1], fault, good[2]], 4, says, last=last)
                    self.assertFalse(any(map(self.found, good)))

    def test_another_content_than_what_is_there(self):
        for way in WAYS:
            line = self.agent_line()
            self.outcome(way, [line], 1, 0)
            self.stops(way, [self.agent_line(), {**line, "owner": "other"}], 2, r"agent_exists: [^\n]* \(spiffe_id: [^\n]+\)",
                       last=2)

    def test_what_stands_before_the_batch_at_fault_stays(self):
        for way in WAYS:
            with self.subTest(way):
                lines = [self.agent_line() for _ in range(2 * BATCH)]
                self.stops(way, lines[:BATCH + 17] + [b"{\n"] + lines[BATCH + 17:], BATCH + 18, r"[^\n]+", added=BATCH, first=BATCH + 1)
                self.assertTrue(self.found(lines[0]) and self.found(lines[BATCH - 1]))
                self.assertFalse(self.found(lines[BATCH]) or self.found(lines[-1]))
                self.outcome(way, lines, BATCH, BATCH)

    def test_nothing_is_sent_behind_a_batch_that_is_refused_but_what_is_on_its_way(self):
        for way in WAYS:
            with self.subTest(way):
                lines = [self.agent_line() for _ in range(6 * BATCH)]
                wrong = lines[:BATCH + 17] + [self.agent_line(owner="")] + lines[BATCH + 18:]
                said = self.hsmint(way, "agent", "import", self.file(wrong), status=1)
                fault, batch, rest = said.stderr.splitlines()
                self.assertRegex(fault, r"agents.jsonl:%d: invalid_member: " % (BATCH + 18))
                self.assertEqual(batch, "hsmint: lines %d to %d: none of them is registered" % (BATCH + 1, 2 * BATCH))
                rest = int(re.fullmatch(r"hsmint: nothing from line (\d+) on is registered", rest).group(1))
                self.assertIn(rest, (2 * BATCH + 1, 3 * BATCH + 1))
                found = [self.found(lines[number * BATCH]) for number in range(6)]
                self.assertEqual(found, [number != 1 and number * BATCH + 1 < rest for number in range(6)])
                self.assertEqual(said.stdout, "%d added, 0 unchanged\n" % (rest - 1 - BATCH))
                self.outcome(way, lines, 7 * BATCH + 1 - rest, rest - 1 - BATCH)

    def test_the_same_agent_in_two_batches(self):
        for way in WAYS:
            lines = [self.agent_line() for _ in range(BATCH)]
            self.outcome(way, lines + lines[:3] + [self.agent_line()], BATCH + 1, 3)

    def test_what_is_refused_as_a_whole(self):
        lines = [self.agent_line() for _ in range(2)]
        path = self.file(lines)
        said = self.hsmint("https", "agent", "import", path, who="audit", status=1)
        self.assertEqual(said.stdout, "0 added, 0 unchanged\n")
        self.assertRegex(said.stderr, r"\Ahsmint: role_missing: [^\n]+\nhsmint: lines 1 to 2: none of them is registered\n\Z")
        said = self.hsmint(["--control", self.work + "/nobody"], "agent", "import", path, status=1)
        self.assertIn("hsmint: client_unreachable: ", said.stderr)
        said = self.hsmint("control", "agent", "import", self.work + "/none", status=1)
        self.assertRegex(said.stderr, r"\Ahsmint: %s/none: No such file[^\n]*\n\Z" % re.escape(self.work))
        said = self.hsmint("control", "agent", "import", self.work, status=1)
        self.assertIn("directory", said.stderr)
        self.assertFalse(any(map(self.found, lines)))

    def test_how_it_is_used(self):
        self.usage("needs to know which", "agent", "import", *self.way("control"))
        self.usage("'y' is not wanted", "agent", "import", "x", "y", *self.way("control"))
        self.usage("'x' is not wanted", "agent", "export", "x", *self.way("control"))
        self.usage("either --control or --url", "agent", "export", *self.way("https"), *self.way("control"))


class Export(Files):
    def exported(self, way, **more):
        said = self.hsmint(way, "agent", "export", **more)
        self.assertEqual(said.stderr, "")
        return [json.loads(line) for line in said.stdout.splitlines()]

    def everyone(self):
        """Page by page, over the control socket."""
        agents, after = [], ""
        while True:
            page = self.govern("GET", "/v1/agents?limit=100" + after)
            agents += page["agents"]
            if "next" not in page:
                return agents
            after = "&after=" + page["next"]

    def test_every_agent_is_printed_as_it_is_shown(self):
        self.hsmint("control", "agent", "import", self.file([self.agent_line() for _ in range(BATCH + 5)]))
        self.agent("suspend"), self.agent("retire"), self.credential("demo")
        everyone = self.everyone()
        self.assertGreater(len(everyone), BATCH)
        for way in WAYS:
            self.assertEqual(self.exported(way), everyone)
            self.assertEqual(self.exported(way, who="audit") if way == "https" else everyone, everyone)

    def test_who_may_not_read_gets_nothing(self):
        self.refuses("role_missing", "https", "agent", "export", who="task")

    def test_an_output_that_is_full_is_a_failure(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([HSMINT, "agent", "export", *self.way("control")], stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 1)

    def test_what_was_exported_is_imported_elsewhere(self):
        """But nothing that was suspended or retired becomes active by it."""
        self.hsmint("control", "agent", "import", self.file([self.agent_line(limits={"depth": 0}), self.agent_line(contact="c")]))
        self.credential("demo")
        exported = self.exported("control")
        active = [agent for agent in exported if agent["status"] == "active"]
        instances = [agent for agent in active if "of" in agent]
        self.assertIn(SUBJECT, [agent["spiffe_id"] for agent in instances])
        other = start_dev(os.path.join(self.work, "other"))
        self.addCleanup(other.stop)
        classes = [agent for agent in active if agent["class"] and agent["purpose"] == "trying hsmint"]  # dev's own, with another review
        lines = [agent for agent in active if agent not in classes]
        path = self.file(lines)
        said = run([HSMINT, "agent", "import", path, "--control", other.control])
        self.assertEqual(said.stdout, "%d added, 0 unchanged\n" % (len(lines) - len(instances)))
        self.assertEqual(said.stderr, "hsmint: %d instances of classes passed over: each comes anew with its first credential\n" % len(instances))
        there = [json.loads(line) for line in run([HSMINT, "agent", "export", "--control", other.control]).stdout.splitlines()]

        def content(agents):
            return [{name: value for name, value in agent.items() if name not in ("id", "created")} for agent in agents
                    if "of" not in agent and agent["purpose"] != "trying hsmint"]
        self.assertEqual(content(there), content(lines))
        for status, act in (("suspended", "suspend"), ("retired", "retire")):
            one = self.agent(act)
            [shown] = [agent for agent in self.exported("control") if agent["id"] == one]
            self.stops("control", [self.agent_line(), shown], 2, "it is %s, and would be active: [^\n]+" % status)
        self.stops("control", [{**self.agent_line(), "of": "spiffe://demo.test/agent/*", "status": "suspended"}], 1, "it is suspended[^\n]+")
        self.stops("control", [self.agent_line(status=1)], 1, "it is in no status[^\n]+")

    def test_an_issuer_is_the_lines_or_the_one_that_is_said(self):
        lines = [self.agent_line(issuer="demo"), self.agent_line(issuer="demo")]
        self.outcome("control", lines, 2, 0)
        self.stops("control", [self.agent_line(issuer="demo"), self.agent_line(issuer="other")], 2, "another issuer [^\n]+")
        self.stops("control", [self.agent_line(issuer="demo"), self.agent_line()], 2, "another issuer [^\n]+")
        self.stops("control", [self.agent_line(), self.agent_line(issuer="demo")], 2, "another issuer [^\n]+")
        self.stops("control", [self.agent_line(issuer=1)], 1, "issuer is the name of an issuer")
        self.stops("control", [self.agent_line(issuer="x" * 65)], 1, "issuer is the name of an issuer")
        one = self.agent_line(issuer="elsewhere")
        said = self.hsmint("control", "agent", "import", self.file([one]), status=1)
        self.assertRegex(said.stderr, r"\Ahsmint: unknown_issuer: ")
        self.hsmint("control", "agent", "import", self.file([one, self.agent_line()]), "--issuer", "demo")
        self.assertTrue(self.found(one))


if __name__ == "__main__":
    unittest.main()
