# SPDX-License-Identifier: Apache-2.0
"""Children of mint that speak wrongly, lie, or do not answer: mint ends them, starts others, and believes little."""
import hashlib
import json
import os
import shutil
import signal
import sys
import unittest

import frames
import wrong_child
from harness import AUDIENCE, BUILD, SUBJECT, Case, edit, leave_unsigned, process_exists, start_serve, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
LONG = bool(os.environ.get("HSMINT_LONG"))
SCRIPT = "#!%s -B\nimport sys\nsys.path.insert(0, %r)\nimport wrong_child\nwrong_child.main(%r, %r)\n"
MINT, METRICS = 0, 1


class WrongChild(Case):
    """A service whose one child is a relay that can be told to misbehave."""

    def serve_with(self, wrong, config=None):
        self.bin = os.path.join(self.work, "bin")
        os.mkdir(self.bin)
        shutil.copy(os.path.join(BUILD, "bin", "hsmint"), self.bin)  # not a link: it looks where it really lies
        for program in ("hsmint-gate", "hsmint-token"):
            genuine, path = os.path.join(BUILD, "bin", program), os.path.join(self.bin, program)
            if program != wrong:
                os.symlink(genuine, path)
                continue
            with open(path, "w") as out:
                out.write(SCRIPT % (sys.executable, HERE, genuine, self.work))
            os.chmod(path, 0o755)
        directory = self.made()
        if config:
            config(os.path.join(directory, "hsmint.yaml"))
        self.service = start_serve(os.path.join(directory, "hsmint.yaml"), directory,
                                   program=os.path.join(self.bin, "hsmint"))
        self.addCleanup(self.service.stop)

    def plan(self, behaviour):
        with open(os.path.join(self.work, "behaviour.new"), "w") as out:
            out.write(behaviour)
        os.rename(os.path.join(self.work, "behaviour.new"), os.path.join(self.work, "behaviour"))

    def pids(self):
        status = self.service.status()
        return {"gate": status["gate"]["pid"], "token": status["tokens"][0]["pid"]}

    def restart_as(self, child, behaviour):
        """End the child; the next one behaves so."""
        before = self.pids()
        self.plan(behaviour)
        os.kill(before[child], signal.SIGKILL)
        wait_for(lambda: self.pids()[child] not in (0, before[child]), "the next " + child)
        return before

    def ask(self, lies):
        """Have the gate send these requests; the status and body of each answer."""
        with open(os.path.join(self.work, "lies"), "w") as out:
            json.dump([[operation, caller.hex(), body] for operation, caller, body in lies], out)
        path = os.path.join(self.work, "replies")
        open(path, "w").close()
        self.restart_as("gate", "lies")

        def replies():
            with open(path) as file:
                lines = file.read().splitlines()
            return lines if len(lines) >= len(lies) else None
        return [(status, body) for _, status, body in
                sorted(json.loads(line) for line in wait_for(replies, "mint's answers"))]

    def each(self, child, behaviours):
        other = "token" if child == "gate" else "gate"
        for behaviour in behaviours:
            with self.subTest(behaviour):
                logged = len(self.service.log())
                before = self.restart_as(child, behaviour)
                if behaviour in wrong_child.SIGNING:
                    self.service.wait_ready()
                    answer = self.service.mint()
                    if answer.status != 200:
                        self.refused(answer, 503, "token_unavailable")
                    self.assertEqual(answer.status == 200, behaviour == "token: every signature twice", answer.body)
                wait_for(lambda: "event=child_malformed program=hsmint-%s" % child in self.service.log()[logged:],
                         "the log to tell of what it said", 10)
                wait_for(lambda: "%s_ended" % child in self.service.log()[logged:].partition("child_malformed")[2],
                         "its end")
                self.assertIn('how="signal 9"', self.service.log()[logged:].partition("child_malformed")[2])
                self.service.wait_ready()
                self.assertEqual(self.service.mint().status, 200)
                self.assertEqual(self.pids()[other], before[other], "the other child has nothing to do with it")

    @staticmethod
    def behaviours(child):
        return [name for name in wrong_child.BEHAVIOURS if name.startswith(child + ":")]


class Gate(WrongChild):
    def test_one_that_speaks_wrongly_is_ended_and_another_started(self):
        self.serve_with("hsmint-gate")
        self.each("gate", self.behaviours("gate"))

    def test_one_that_does_not_drain_is_ended(self):
        self.serve_with("hsmint-gate")
        self.restart_as("gate", "deaf")
        self.service.wait_ready()
        pid = self.pids()["gate"]
        self.service.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.service.process.wait(30), 0)
        self.assertIn("event=gate_stuck pid=%d" % pid, self.service.log())
        self.assertFalse(process_exists(pid))

    @unittest.skipUnless(LONG, "takes half a minute")
    def test_one_that_never_gets_ready_is_ended_and_another_started(self):
        self.serve_with("hsmint-gate")
        self.restart_as("gate", "silent")
        pid = self.pids()["gate"]
        wait_for(lambda: not process_exists(pid), "its end", 45)
        self.assertIn("event=gate_stuck pid=%d" % pid, self.service.log())
        self.service.wait_ready()
        self.assertEqual(self.service.mint().status, 200)


def request(**members):
    body = {"profile": "demo-access", "subject": SUBJECT, "audience": AUDIENCE}
    body.update(members)
    return json.dumps(body)


class LyingGate(WrongChild):
    """A gate that was taken over says of requests of its own that somebody else sent them."""

    def add_callers(self, config):
        edit(config, "    callers: [demo]\n", "    callers: [demo, named]\n")
        with open(config, "a") as out:
            out.write("  - {name: named, issuer: demo, uri: 'spiffe://demo.test/named', roles: [mint]}\n")
            out.write("  - {name: operator, issuer: demo, uid: 4711, roles: [operate]}\n")
            out.write("  - {name: outsider, issuer: demo, uid: 4712, roles: [mint]}\n")

    def check_answers(self, cases):
        answers = self.ask([case[:3] for case in cases])
        for (_, _, body, status, code), answer in zip(cases, answers):
            with self.subTest(body=body[:80], code=code):
                self.assertEqual(answer[0], status, answer)
                if code:
                    self.assertEqual(json.loads(answer[1])["code"], code)

    def test_of_the_ledger_it_gets_what_those_callers_may_read_and_nothing_outside(self):
        self.serve_with("hsmint-gate", self.add_callers)
        wait_for(lambda: self.service.ask("GET", "/v1/ledger/proof/0").status == 200, "a checkpoint")
        public, entries, proof = frames.LEDGER_PUBLIC, frames.LEDGER_ENTRIES, frames.LEDGER_PROOF
        operator, stranger = frames.unix_caller(4711), frames.unix_caller(4713)
        bundle = "/ledger/1/tile/entries/000.p/1"
        self.check_answers([
            (public, frames.NOBODY, "/ledger/tile/0/000.p/1", 200, None),
            (entries, frames.unix_caller(os.getuid()), bundle, 200, None),
            (proof, operator, "/v1/ledger/proof/0", 200, None),
            # whatever the gate calls it, the path decides
            (public, frames.NOBODY, bundle, 403, "unknown_caller"),
            (public, frames.NOBODY, "/v1/ledger/proof/0", 403, "unknown_caller"),
            (entries, operator, bundle, 403, "role_missing"),
            (entries, stranger, bundle, 403, "unknown_caller"),
            (proof, operator, bundle, 403, "role_missing"),
            (proof, stranger, "/v1/ledger/proof/0", 403, "unknown_caller"),
            # paths that a genuine gate passes on, or to nobody
            *((public, frames.NOBODY, path, 404, "not_found") for path in (
                "", "/", "/ledger/1/segment", "/ledger/../pin", "/ledger/1/tile/../segment", "/ledger/1/tile/0/../../checkpoint",
                "/ledger/tile/0/..%2fsegment", "/ledger/tile/0/000 ", "x" * 96)),
        ])
        self.assertNotIn("child_malformed", self.service.log())

    def test_a_flood_of_reads_is_bounded_and_keeps_nobody_from_minting(self):
        self.serve_with("hsmint-gate", self.add_callers)
        wait_for(lambda: self.service.ask("GET", "/v1/ledger/proof/0").status == 200, "a checkpoint")
        own = frames.unix_caller(os.getuid())
        answers = self.ask([(frames.LEDGER_PUBLIC, frames.NOBODY, "/ledger/tile/0/000.p/1"),
                            (frames.LEDGER_PROOF, own, "/v1/ledger/proof/0")] * 1500 + [(MINT, own, request())])
        self.assertEqual({answer[0] for answer in answers}, {200, 503})
        self.assertEqual(answers[-1][0], 200, answers[-1])
        self.service.wait_ready()
        self.assertEqual(self.service.ask("GET", "/ledger/tile/0/000.p/1").status, 200)

    def test_it_gets_what_the_configuration_gives_those_callers_and_no_more(self):
        self.serve_with("hsmint-gate", self.add_callers)
        own, named = frames.unix_caller(os.getuid()), frames.certificate_caller("spiffe://demo.test/named")
        cases = [
            (MINT, own, request(), 200, None),
            (MINT, named, request(), 200, None),
            (METRICS, own, "", 200, None),
            # whoever it names, the profile decides
            (MINT, own, request(scope="admin"), 403, "scope_not_allowed"),
            (MINT, own, request(lifetime=86400), 403, "lifetime_not_allowed"),
            (MINT, own, request(subject="spiffe://other.test/agent/x"), 403, "subject_not_allowed"),
            (MINT, named, request(profile="nobody"), 400, "unknown_profile"),
            # callers that are none, or lack the role
            (MINT, frames.unix_caller(4713), request(), 403, "unknown_caller"),
            (MINT, frames.certificate_caller("spiffe://demo.test/nobody"), request(), 403, "unknown_caller"),
            (MINT, frames.certificate_caller(""), request(), 403, "unknown_caller"),
            (MINT, frames.certificate_caller("", hashlib.sha256(b"key").digest()), request(), 403, "unknown_caller"),
            (MINT, frames.unix_caller(4711), request(), 403, "role_missing"),
            (MINT, frames.unix_caller(4712), request(), 403, "caller_not_allowed"),
            (METRICS, named, "", 403, "role_missing"),
            # bodies that a genuine gate passes on to nobody
            (MINT, own, "", 400, "malformed_json"),
            (MINT, own, "no json", 400, "malformed_json"),
            (MINT, own, "[]", 400, "malformed_json"),
            (MINT, own, request() + request(), 400, "malformed_json"),
            (MINT, own, request()[:-1] + ', "scope": "read", "scope": "write"}', 400, "malformed_json"),
            (MINT, own, request(profile="demo-access\0"), 400, None),
            (MINT, own, '{"claims":' + "[" * 20000 + "]" * 20000 + "}", 400, None),
        ]
        self.check_answers(cases)
        self.assertEqual(self.service.mint().status, 200)
        self.assertNotIn("child_malformed", self.service.log())

    def test_a_flood_of_requests_is_bounded_and_ends_nothing(self):
        self.serve_with("hsmint-gate", self.add_callers)
        count = 3000
        answers = self.ask([(MINT, frames.unix_caller(os.getuid()), request())] * count)
        self.assertLessEqual({answer[0] for answer in answers}, {200, 503, 504})
        self.assertLessEqual({json.loads(answer[1]).get("code") for answer in answers}, {None, "overload", "token_unavailable", "deadline"})
        self.service.wait_ready()
        self.assertEqual(self.service.mint().status, 200)
        self.assertEqual(self.service.status()["pending"], 0)


class Token(WrongChild):
    def test_one_that_speaks_wrongly_is_ended_and_another_started(self):
        self.serve_with("hsmint-token", leave_unsigned)  # a wrong signature is a request's, not a checkpoint's
        self.each("token", self.behaviours("token"))

    def test_one_that_tells_of_another_key_than_it_was_asked_for_is_ended(self):
        self.serve_with("hsmint-token")
        for behaviour, label in zip(wrong_child.LEARNING, ("demo-svid", "nobody")):
            with self.subTest(behaviour):
                logged = len(self.service.log())
                self.restart_as("token", behaviour)
                self.service.wait_ready()
                result = self.service.command("key", "adopt", "demo-access", "pkcs11:object=" + label, "--control",
                                              self.service.control, check=False)
                self.assertIn("the token's process ended", result.stderr)
                self.assertIn("event=child_malformed program=hsmint-token", self.service.log()[logged:])
                self.service.wait_ready()
                self.assertEqual(self.service.mint().status, 200)


if __name__ == "__main__":
    unittest.main()
