# SPDX-License-Identifier: Apache-2.0
"""The examples for brokers do what they show: mint, alone and in a batch, over both ways in, repeat through a restart of the
service, wait for an approval, and say what cannot be mended. What they print is verified by a program that is not ours."""
import os
import re
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLES = os.path.join(HERE, "..", "..", "examples")
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
from harness import BUILD, SUBJECT, Case, start_dev, verify, wait_for  # noqa: E402


class Examples:
    """For each example its command, and whether it says that it tries again."""

    TALKS = True

    def begin(self, service, *arguments, tls=False):
        where = ["--socket", service.socket]
        if tls:
            where = ["--url", service.ready["url"], "--cert", service.ready["cert"], "--key", service.ready["key"],
                     "--ca", service.ready["ca"]]
        return subprocess.Popen([*self.COMMAND, *where, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True)

    def run_it(self, service, *arguments, tls=False, status=0):
        process = self.begin(service, *arguments, tls=tls)
        out, talk = process.communicate(timeout=60)
        self.assertEqual(process.returncode, status, talk)
        return out.split(), talk

    def check(self, service, credentials, count=1):
        self.assertEqual(len(set(credentials)), count)
        jwks = service.ask("GET", "/demo/.well-known/jwks.json").body
        for credential in credentials:
            self.assertEqual(verify(credential, jwks, self.work)["aud"], "https://api.demo.test")

    def test_one_and_a_batch_over_both_ways(self):
        service = self.dev()
        for tls in (False, True):
            self.check(service, self.run_it(service, tls=tls)[0])
            self.check(service, self.run_it(service, "--count", "5", tls=tls)[0], 5)

    def test_a_restart_in_the_middle(self):
        directory = os.path.join(self.work, "dev")
        service = start_dev(directory)
        service.command("dev", "ctl", "--control", service.control, "slow", "3s")
        process = self.begin(service, "--within", "30000")
        wait_for(lambda: service.status()["pending"], "the request to be with mint")
        service.kill()  # with the request in its hands
        self.assertIsNone(process.poll())
        again = start_dev(directory)
        self.addCleanup(again.stop)
        out, talk = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, talk)
        if self.TALKS:
            self.assertIn("again in", talk)
        self.check(again, out.split())
        self.assertEqual(again.status()["minted"], 1)

    def test_a_lost_answer_is_the_same_credential(self):
        service = self.dev()
        service.command("dev", "ctl", "--control", service.control, "slow", "500ms")
        process = self.begin(service)
        wait_for(lambda: service.status()["pending"], "the request to be with mint")
        service.command("dev", "ctl", "--control", service.control, "gate-down")
        out, talk = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, talk)
        self.check(service, out.split())
        self.assertEqual(service.status()["minted"], 1, "the one whose answer was lost was given again")

    def test_retry_after_is_obeyed(self):
        service = self.dev()
        service.command("dev", "ctl", "--control", service.control, "overload", "2s")
        began = time.monotonic()
        out, talk = self.run_it(service)
        self.assertGreater(time.monotonic() - began, 1)
        if self.TALKS:
            self.assertRegex(talk, "overload; again in (1|2|1000|2000)")
        self.check(service, out)

    def test_what_cannot_be_mended_is_said_at_once(self):
        service = self.dev()
        out, talk = self.run_it(service, "--audience", "https://elsewhere.test", status=1)
        self.assertEqual(out, [])
        self.assertIn("audience_not_allowed", talk)
        self.assertEqual(service.status()["refused"], 1)

    def test_the_time_is_kept(self):
        service = self.dev()
        service.command("dev", "ctl", "--control", service.control, "refuse", "token_unavailable", "20s")
        out, talk = self.run_it(service, "--within", "500", status=1)
        self.assertEqual(out, [])
        self.assertIn("token_unavailable", talk)

    # ---- what others have to approve first ----

    def governed(self):
        """A service, and what asks for what its `approver` has to approve."""
        service = self.dev()
        tls = os.path.join(service.directory, "tls", "approver")
        self.approver = ["--url", service.ready["url"], "--cert", tls + ".crt", "--key", tls + ".key", "--ca", service.ready["ca"]]
        opened = service.command("task", "open", "--agent", SUBJECT, "--purpose", "p", "--control", service.control)
        self.wanted = ["--profile", "demo-task", "--task", opened.stdout.strip(), "--scope", "admin"]
        return service

    def approve(self, service, verb):
        """Whatever waits, once something does."""
        def waiting():
            listed = service.command("approve", "list", *self.approver).stdout.splitlines()
            return [line.split()[0] for line in listed if line.split()[1] == "pending"]
        for one in wait_for(waiting, "an approval to be asked for"):
            service.command("approve", verb, one, *self.approver)

    def test_an_approval_is_waited_for(self):
        service = self.governed()
        for tls in (False, True):
            process = self.begin(service, *self.wanted, "--within", "60000", tls=tls)
            self.approve(service, "grant")
            out, talk = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 0, talk)
            self.assertRegex(talk, "approval [A-Za-z0-9_-]{22} is wanted")
            self.check(service, out.split())
        process = self.begin(service, *self.wanted, "--within", "60000")
        self.approve(service, "deny")
        out, talk = process.communicate(timeout=60)
        self.assertEqual((process.returncode, out), (1, ""), talk)
        self.assertIn("approval_denied", talk)

    def test_one_that_comes_later_is_used_later(self):
        service = self.governed()
        out, talk = self.run_it(service, *self.wanted, "--within", "2500", status=1)
        self.assertEqual(out, [])
        one = re.search("approval ([A-Za-z0-9_-]{22}) is wanted", talk).group(1)
        talk = self.run_it(service, *self.wanted, "--approval", one, status=1)[1]
        self.assertIn("approval_pending", talk)
        service.command("approve", "grant", one, *self.approver)
        self.check(service, self.run_it(service, *self.wanted, "--approval", one)[0])
        self.assertIn("approval_used", self.run_it(service, *self.wanted, "--approval", one, status=1)[1])


class Batches:
    def test_of_a_batch_each_says_which_approval_it_wants(self):
        service = self.governed()
        out, talk = self.run_it(service, *self.wanted, "--count", "2", status=1)
        self.assertEqual(out, [])
        self.assertEqual(len(set(re.findall("approval ([A-Za-z0-9_-]{22}) is wanted", talk))), 2)


class Python(Batches, Examples, Case):
    COMMAND = [sys.executable, "-B", os.path.join(EXAMPLES, "broker.py")]


class JavaScript(Batches, Examples, Case):
    COMMAND = ["node", os.path.join(EXAMPLES, "broker.mjs")]


class C(Examples, Case):
    COMMAND = [os.path.join(BUILD, "bin", "example-broker")]
    TALKS = False


if __name__ == "__main__":
    unittest.main()
