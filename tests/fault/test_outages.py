# SPDX-License-Identifier: Apache-2.0
"""SoftHSM's tokens taken away under a running service, and put back; and a module that stands still."""
import json
import os
import shutil
import signal
import unittest

from fault_case import FaultCase, read, wait_for
from harness import AUDIENCE, SUBJECT

REQUEST = json.dumps({"profile": "demo-access", "subject": SUBJECT, "audience": AUDIENCE})


class Removed(FaultCase):
    threads = 2

    def take_away(self):
        shutil.move(self.tokens, self.away)
        os.mkdir(self.tokens)

    def put_back(self):
        os.rmdir(self.tokens)
        shutil.move(self.away, self.tokens)

    def test_it_is_noticed_refused_at_once_and_over_when_the_token_is_there(self):
        self.tokens, self.away = (os.path.join(self.directory, name) for name in ("tokens", "away"))
        self.begin()
        for _ in range(2):
            logins = self.logins()
            self.take_away()
            wait_for(lambda: self.service.mint().status == 503, "the loss to be noticed")
            self.wait_token(lambda token: token["state"] == "backoff" and
                            "no token is labelled 'hsmint-dev'" in token["last_error"], "the token to be looked for")
            self.assertFalse(self.service.status()["ready"])
            self.assertEqual(self.logins(), logins, "nobody to log in to")
            self.put_back()
            self.service.wait_ready()
            self.assert_credentials(self.service, self.mint_together(self.service))
            self.assertEqual(self.logins(), logins + 1)


class Still(FaultCase):
    def test_a_call_that_never_returns_costs_its_process_and_not_the_request(self):
        """Here while a session is replaced: no other thread could open one meanwhile."""
        self.edit("    login: file\n", "    login: file\n    stuck_after: 2\n")
        self.begin()
        for restarts, function in enumerate(("C_CloseSession", "C_OpenSession"), 1):
            with self.subTest(function):
                self.assert_minted()
                self.script("C_Sign 0xb3 %d\n%s hang 1\n" % (restarts, function))
                self.assert_minted()
                self.assertEqual((self.obeyed(function, "hang"), self.token()["restarts"]), (1, restarts))
                self.assertEqual(self.service.log().count("event=token_stuck"), restarts)


class Unread(FaultCase):
    """A process that ends with a request unread in its socket resets the connection."""

    def begin_mint(self):
        connection = self.service.unix()
        self.addCleanup(connection.close)
        connection.request("POST", "/v1/mint/jwt", REQUEST, {"Content-Type": "application/json"})
        return connection

    def state(self, pid):
        return read("/proc/%d/stat" % pid).rpartition(")")[2].split()[0]

    def test_its_last_words_are_heard_though_it_was_gone_before_mint_listened(self):
        """Some times over: whatever mint sends first, as it does each second, is told of the reset in its place."""
        self.begin()
        for times in range(1, 5):
            pid, wait = self.token()["pid"], "wait-%d" % (400 + times)
            self.script("C_SignInit %s 1\nC_Sign 0x30 %d\n" % (wait, times))
            waiting = [self.begin_mint() for _ in range(2)]
            wait_for(lambda w=wait: self.obeyed("C_SignInit", w) and self.service.status()["pending"] == 2,
                     "one at work, and one behind it")
            self.service.process.send_signal(signal.SIGSTOP)
            wait_for(lambda p=pid: self.state(p) == "Z", "the process to end")
            self.service.process.send_signal(signal.SIGCONT)
            self.assertEqual([connection.getresponse().status for connection in waiting], [200, 200])
            ended = [line for line in self.service.log().splitlines() if "event=token_ended" in line]
            self.assertEqual(len(ended), times)
            self.assertIn("class=device ckr=0x30 detail=\"C_Sign: CKR_DEVICE_ERROR (0x30)\"", ended[-1])


if __name__ == "__main__":
    unittest.main()
