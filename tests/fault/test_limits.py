# SPDX-License-Identifier: Apache-2.0
"""Tokens that do less at once than their threads ask for, or refuse to be changed."""
import os
import re
import sys
import unittest

from fault_case import FAULT, FaultCase, read, wait_for

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from token_admin import create_key  # noqa: E402

CHANGES = ("C_InitToken", "C_InitPIN", "C_CreateObject", "C_DestroyObject", "C_SetAttributeValue", "C_GenerateKeyPair",
           "C_Logout", "C_CloseAllSessions")


class Limits(FaultCase):
    threads = 4

    def signers(self):
        """The threads that signed while clients asked at once, each of which got its credential."""
        signed = self.counted("C_Sign")
        answers = self.mint_together(self.service, each=8)
        self.assertEqual([answer.body for answer in answers if answer.status != 200], [])
        self.assert_credentials(self.service, answers[::8])
        return {call["thread"] for call in self.calls("C_Sign")[signed:]}

    def test_with_fewer_sessions_than_threads_those_that_there_are_sign(self):
        limit = "C_OpenSession limit-3\nC_Sign wait-3\n"
        self.script(limit)
        self.begin()
        self.assertEqual(len(self.signers()), 2, "one session more holds the login")
        self.assertEqual((self.token()["restarts"], self.logins()), (0, 1))
        self.assertIn("C_OpenSession: CKR_SESSION_COUNT (0xb1)", self.service.log())
        self.script("C_Sign 0xb3 1\n" + limit)  # one that is opened anew finds its place
        self.assertEqual(len(self.signers()), 2)
        self.script("C_Sign wait-3")
        wait_for(lambda: len(self.signers()) == self.threads, "all threads to sign")
        self.assertEqual((self.token()["restarts"], self.logins()), (0, 1))

    def test_threads_that_lose_their_sessions_leave_requests_to_the_others(self):
        self.begin()
        for action in ("0xb3", "0xb0"):
            self.script("C_OpenSession limit-3\nC_Sign %s 1\nC_Sign wait-3\n" % action)
            self.signers()
            self.assertEqual(self.obeyed("C_Sign", action), 1)
        for _ in range(4):
            self.assertEqual(len(self.signers()), 2)
        self.assertEqual((self.token()["restarts"], self.logins()), (0, 1))
        self.service.stop()  # threads that wait for a session end as well
        self.assertEqual(self.calls()[-1]["function"], "C_Finalize")

    def test_without_a_session_to_sign_in_the_token_is_started_again_until_there_is_one(self):
        self.begin()
        self.script("C_OpenSession limit-1")
        restarts = self.kill_token()
        self.wait_token(lambda token: token["restarts"] >= restarts + 3, "further attempts")
        self.assertIn("class=pressure", self.service.log())
        self.script("")
        self.service.wait_ready()
        self.assert_minted()
        self.assertEqual(self.token()["threads"], 4)

    def test_with_fewer_signatures_at_once_than_threads(self):
        """Each takes five milliseconds. One that is refused is tried again, with fewer beside it."""
        self.edit("    environment:\n", "    environment:\n      - {name: HSMINT_TEST_TAKES, value: \"5000\"}\n")
        self.begin()
        self.script("C_Sign limit-2")
        answers = self.mint_together(self.service, clients=16, each=16)
        self.assertEqual([answer.body for answer in answers if answer.status != 200], [])
        self.assert_credentials(self.service, answers[::8])
        refused = self.service.log().count("C_Sign: CKR_TOKEN_RESOURCE_EXCEEDED (0x201)")
        self.assertGreater(refused, 0)
        self.assertLess(refused, len(answers) / 8, "it is asked for less at once")
        self.assertEqual(self.token()["restarts"], 0)

        self.script("")  # it can do more again: that is found out
        wait_for(lambda: self.most_at_once() == self.threads, "signatures by all threads")

    def most_at_once(self):
        signed = self.counted("C_Sign")
        self.assert_credentials(self.service, self.mint_together(self.service, clients=8, each=4)[::8])
        return max(call["others"] for call in self.calls("C_Sign")[signed:]) + 1


class Unchanged(FaultCase):
    def test_a_service_changes_nothing_in_its_token(self):
        self.script("".join("%s exit\n" % function for function in CHANGES))
        self.begin()
        self.assert_minted()
        self.kill_token()
        self.assert_minted()
        self.service.stop()
        self.assertEqual(self.calls(*CHANGES), [])

    def test_a_key_that_the_token_does_not_make_is_refused_with_its_reason_and_leaves_nothing(self):
        module = read(self.config).split("HSMINT_TEST_MODULE, value: ")[1].split("}")[0]
        token = dict(module=FAULT, environment={
            "SOFTHSM2_CONF": self.directory + "/softhsm2.conf", "HSMINT_TEST_MODULE": module,
            "HSMINT_TEST_CALLS": self.directory + "/calls", "HSMINT_TEST_SCRIPT": self.directory + "/script"})
        for function, value, name in (("C_GenerateKeyPair", 0x200, "CKR_FUNCTION_REJECTED"),
                                      ("C_GenerateKeyPair", 0x80000386, "CKR_VENDOR_DEFINED"),
                                      ("C_OpenSession", 0xb1, "CKR_SESSION_COUNT"),
                                      ("C_FindObjectsInit", 0x30, "CKR_DEVICE_ERROR")):
            with self.subTest(function, value=hex(value)):
                self.script("%s 0x%x 1" % (function, value))
                with self.assertRaisesRegex(AssertionError, re.escape("%s: %s (0x%x)" % (function, name, value))):
                    create_key(self.directory, self.config, "more", "34", **token)
        self.script("")
        create_key(self.directory, self.config, "more", "34", **token)  # none of that label is there
        self.assertEqual(self.counted("C_GenerateKeyPair"), 3)


if __name__ == "__main__":
    unittest.main()
