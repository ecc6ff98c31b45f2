# SPDX-License-Identifier: Apache-2.0
"""A token whose signatures are wrong in ways that look right: none reaches a client where each is checked."""
import unittest

from fault_case import FaultCase

# The function, the action, and what is said of it.
WRONG = (("C_SignInit", "other-key", "C_Sign gave a signature that its public key does not verify"),
         ("C_Sign", "stale", "C_Sign gave a signature that its public key does not verify"),
         ("C_Sign", "long", "C_Sign gave 65 bytes"),
         ("C_Sign", "0x0", "C_Sign gave "))  # CKR_OK, and nothing was written


class OneThread(FaultCase):
    def test_a_wrong_one_is_signed_again_by_another_process(self):
        self.begin()
        for restarts, (function, action, said) in enumerate(WRONG, 1):
            with self.subTest(action):
                self.assert_minted()
                self.script("%s %s 1" % (function, action))
                logged = len(self.service.log())
                self.assert_minted()
                self.assertEqual((self.obeyed(function, action), self.token()["restarts"]), (1, restarts))
                self.assertIn("class=device ckr=0x0 detail=\"key demo-access: " + said, self.service.log()[logged:])

    def test_a_token_that_takes_one_key_for_another_never_gets_ready(self):
        self.begin()
        self.script("C_SignInit other-key")
        for _ in range(3):
            answer = self.service.mint()
            self.assertIn((answer.status, answer.json["code"]), ((503, "token_unavailable"), (504, "deadline")))
        self.assertFalse(self.service.status()["ready"])
        self.script("")
        self.service.wait_ready()
        self.assert_minted()

    def test_an_operation_that_never_began_is_begun_in_another_session(self):
        """C_SignInit says CKR_OK without having asked the token."""
        self.begin()
        pid = self.token()["pid"]
        self.script("C_SignInit 0x0 1")
        self.assert_minted()
        self.assertIn("C_Sign: CKR_OPERATION_NOT_INITIALIZED (0x91)", self.service.log())
        self.assertEqual((self.obeyed("C_SignInit", "0x0"), self.token()["pid"]), (1, pid))


class FourThreads(FaultCase):
    threads = 4

    def test_of_requests_at_once_each_gets_its_own_signature(self):
        self.begin()
        self.mint_together(self.service)  # each thread has signed
        for restarts, action in enumerate(("stale", "long"), 1):
            with self.subTest(action):
                answers = self.mint_together_with_fault(self.service, "C_Sign", action)
                self.assert_credentials(self.service, answers)
                self.assertEqual(self.token()["restarts"], restarts)
                self.mint_together(self.service)
        answers = self.mint_together_with_fault(self.service, "C_SignInit", "other-key")
        self.assert_credentials(self.service, answers)


class Handles(FaultCase):
    threads = 4

    def test_objects_that_get_other_handles_are_found_anew_and_nobody_notices(self):
        self.begin()
        before = {call["key"] for call in self.calls("C_SignInit")}
        answers = self.mint_together_with_fault(self.service, "C_SignInit", "renumber")
        self.assert_credentials(self.service, answers)
        self.assertIn("C_SignInit: CKR_KEY_HANDLE_INVALID (0x60)", self.service.log())
        self.assertEqual((self.token()["restarts"], self.logins()), (1, 2))
        self.script("C_Login renumber 1\n")  # those of this process differ from the ones before
        self.kill_token()
        self.assert_minted()
        after = {call["key"] for call in self.calls("C_SignInit")} - before
        self.assertEqual((len(before), len(after), self.logins()), (2, 2, 3))

    def test_handles_that_change_while_keys_are_looked_for(self):
        self.begin()
        self.script("C_FindObjectsFinal renumber 1")
        restarts = self.kill_token()
        self.assert_minted()
        self.assertIn("C_GetAttributeValue: CKR_OBJECT_HANDLE_INVALID (0x82)", self.service.log())
        self.assertEqual(self.token()["restarts"], restarts + 2)


if __name__ == "__main__":
    unittest.main()
