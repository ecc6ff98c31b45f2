# SPDX-License-Identifier: Apache-2.0
"""The examples for brokers do what they show: mint, alone and in a batch, over both ways in, repeat through a restart of the
service, and say what cannot be mended. What they print is verified by a program that is not ours."""
import os
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLES = os.path.join(HERE, "..", "..", "examples")
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
from harness import BUILD, Case, start_dev, verify, wait_for  # noqa: E402


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


class Python(Examples, Case):
    COMMAND = [sys.executable, "-B", os.path.join(EXAMPLES, "broker.py")]


class JavaScript(Examples, Case):
    COMMAND = ["node", os.path.join(EXAMPLES, "broker.mjs")]


class C(Examples, Case):
    COMMAND = [os.path.join(BUILD, "bin", "example-broker")]
    TALKS = False


if __name__ == "__main__":
    unittest.main()
