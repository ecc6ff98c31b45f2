# SPDX-License-Identifier: Apache-2.0
"""What the tests of faults share: a service on SoftHSM behind the fault module, and what became of a request."""
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "token"))
from token_case import BUILD, FAULT, SANITIZED, TokenCase, read, verify, wait_for, write  # noqa: E402,F401

PROBES = 4  # of each process at its start: two for each key of `dev`


class FaultCase(TokenCase):
    threads = 1

    def setUp(self):
        super().setUp()
        self.count_and_script()
        self.edit("self_check: sampled", "self_check: always")
        if self.threads > 1:
            self.use_threads(self.threads)

    def begin(self):
        self.service = self.serve()
        self.jwks = self.service.ask("GET", "/demo/.well-known/jwks.json").body

    def token(self):
        return self.service.status()["tokens"][0]

    def wait_token(self, condition, what):
        def token():
            status = self.service.status_if_any()
            return status and condition(status["tokens"][0]) and status["tokens"][0]
        return wait_for(token, what)

    def counted(self, function):
        """How often the function was called so far, by all processes."""
        return read(os.path.join(self.directory, "calls")).count(function + " ")

    def kill_token(self):
        """The token process killed; give how many there were before it."""
        token = self.token()
        os.kill(token["pid"], signal.SIGKILL)
        return token["restarts"]

    def wait_started(self, restarts):
        """Wait for the process that is the last of so many to be ready; a request has only five seconds."""
        self.wait_token(lambda token: token["restarts"] == restarts and token["state"] == "ready", "another process")

    def assert_credential(self, answer):
        self.assertEqual(answer.status, 200, answer.body)
        verify(answer.json["credential"], self.jwks, self.work)

    def assert_minted(self):
        self.assert_credential(self.service.mint())
