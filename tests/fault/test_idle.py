# SPDX-License-Identifier: Apache-2.0
"""A token that nobody asks is asked each minute. The service's clock is set ahead from outside (late.c)."""
import os
import struct
import unittest

from fault_case import BUILD, SANITIZED, FaultCase, wait_for

IDLE = 60  # seconds


@unittest.skipIf(SANITIZED, "the sanitizer's runtime has to come before anything that is preloaded")
class Idle(FaultCase):
    def setUp(self):
        super().setUp()
        self.late, self.path = 0, os.path.join(self.work, "late")
        self.set_ahead(0)
        self.service = self.serve(env=dict(os.environ, LD_PRELOAD=os.path.join(BUILD, "lib", "hsmint-late.so"),
                                           HSMINT_TEST_LATE=self.path))
        self.jwks = self.service.ask("GET", "/demo/.well-known/jwks.json").body

    def set_ahead(self, seconds):
        self.late += seconds
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600)
        os.pwrite(file, struct.pack("=q", self.late * 1000 * 1000 * 1000), 0)
        os.close(file)

    def keys_asked(self, past):
        """The keys of the signatures that were begun after so many."""
        return [call["key"] for call in self.calls("C_SignInit")[past:]]

    def test_each_minute_and_each_key_in_turn(self):
        begun = self.counted("C_SignInit")
        self.set_ahead(IDLE - 5)
        for _ in range(2):
            self.service.status()  # between two commands mint looks at its timers
        self.assert_minted()  # behind a probe, if there was one
        minted, = self.keys_asked(begun)
        asked = []
        for number in range(4):
            self.set_ahead(IDLE + 1)
            asked = wait_for(lambda n=number: self.keys_asked(begun + 1)[n:] and self.keys_asked(begun + 1), "a probe")
            self.service.wait_ready()
        self.assertEqual(len(asked), 4)
        self.assertEqual((asked[0::2], asked[1::2]), ([asked[0]] * 2, [asked[1]] * 2))
        self.assertIn(minted, asked)
        self.assertEqual(len(set(asked)), 2)
        self.assertEqual((self.token()["restarts"], self.logins()), (0, 1))

    def test_a_key_that_failed_is_asked_again_after_five_seconds_and_not_at_once(self):
        self.script("C_SignInit 0x68 1")
        self.refused(self.service.mint(), 500, "internal")
        begun = self.counted("C_SignInit")
        self.set_ahead(2)
        for _ in range(2):
            self.service.status()
        self.assertEqual(self.service.mint(profile="demo-svid").status, 200)  # behind a probe, if there was one
        self.assertEqual(self.counted("C_SignInit"), begun + 1)
        self.assertFalse(self.service.status()["ready"])
        self.set_ahead(4)
        self.service.wait_ready()
        self.assertEqual(self.counted("C_SignInit"), begun + 2)

    def test_a_login_lost_while_nobody_asks_is_there_again_before_somebody_does(self):
        for logins, action in enumerate(("logout", "close-all"), 2):
            self.script("C_SignInit %s 1" % action)
            self.set_ahead(IDLE + 1)
            wait_for(lambda n=logins: self.logins() == n, "another login")
            self.service.wait_ready()
        signed = self.token()["signed"]
        self.assert_minted()
        self.assertEqual(self.token()["signed"], signed + 1)

    def test_a_token_that_hangs_while_nobody_asks_is_replaced(self):
        self.script("C_Sign hang 1")
        self.set_ahead(IDLE + 1)
        wait_for(lambda: self.obeyed("C_Sign", "hang"), "the probe")
        self.set_ahead(11)  # more than stuck_after
        self.wait_token(lambda token: token["restarts"] == 1 and token["state"] == "ready", "another process")
        self.assertIn("event=token_stuck", self.service.log())
        self.assert_minted()


if __name__ == "__main__":
    unittest.main()
