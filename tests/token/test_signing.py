# SPDX-License-Identifier: Apache-2.0
"""What a token does wrong while it signs: no wrong credential comes out, and minting goes on by itself."""
import threading
import unittest

from token_case import TokenCase, verify, wait_for


class Signing(TokenCase):
    def setUp(self):
        super().setUp()
        self.count_and_script()
        self.edit("self_check: sampled", "self_check: always")
        self.service = self.serve()
        self.pid = self.token()["pid"]
        self.jwks = self.service.ask("GET", "/demo/.well-known/jwks.json").body

    def token(self):
        return self.service.status()["tokens"][0]

    def assert_minted(self):
        answer = self.service.mint()
        self.assertEqual(answer.status, 200, answer.body)
        verify(answer.json["credential"], self.jwks, self.work)

    def test_faults_that_end_the_process_but_not_the_request(self):
        faults = (("C_Sign", "flip", "C_Sign gave a signature that its public key does not verify"),
                  ("C_Sign", "short", "C_Sign gave 63 bytes"),
                  ("C_SignInit", "0x101", "C_SignInit: CKR_USER_NOT_LOGGED_IN (0x101)"),
                  ("C_SignInit", "0x60", "C_SignInit: CKR_KEY_HANDLE_INVALID (0x60)"),
                  ("C_Sign", "0x30", "C_Sign: CKR_DEVICE_ERROR (0x30)"),
                  ("C_Sign", "0x80000386", "C_Sign: CKR_VENDOR_DEFINED (0x80000386)"),
                  ("C_Sign", "exit", "exit 98"))
        for restarts, (function, action, said) in enumerate(faults, 1):
            with self.subTest(function + " " + action):
                self.script("%s %s 1" % (function, action))
                self.assert_minted()
                self.assertEqual((self.obeyed(function, action), self.token()["restarts"]), (1, restarts))
                self.assertIn(said, self.service.log())

    def test_faults_that_a_new_session_mends(self):
        for function, action, said in (("C_Sign", "0xb3", "CKR_SESSION_HANDLE_INVALID"),
                                       ("C_SignInit", "0xb0", "CKR_SESSION_CLOSED"),
                                       ("C_SignInit", "0x90", "CKR_OPERATION_ACTIVE"),
                                       ("C_Sign", "0x2", "CKR_HOST_MEMORY")):
            with self.subTest(function + " " + action):
                self.script("%s %s 1" % (function, action))
                self.assert_minted()
                self.assertEqual(self.obeyed(function, action), 1)
                self.assertIn(said, self.service.log())
        token = self.token()
        self.assertEqual((token["pid"], token["restarts"], self.logins()), (self.pid, 0, 1))

    def test_an_operation_left_open_is_given_up_with_its_session(self):
        """C_Sign is not asked, so its operation stays open: the same session would refuse the next C_SignInit."""
        self.script("C_Sign 0xb1 3\nC_CloseSession pass 9\n")
        self.refused(self.service.mint(), 503, "token_unavailable")
        for _ in range(4):
            self.assert_minted()
        self.assertEqual((self.token()["pid"], self.obeyed("C_Sign", "0xb1")), (self.pid, 3))
        self.assertEqual(self.obeyed("C_CloseSession", "pass"), 3)
        self.assertNotIn("CKR_OPERATION_ACTIVE", self.service.log())

    def test_a_session_that_cannot_be_opened_at_once_is_opened_later(self):
        self.script("C_Sign 0xb3 1\nC_OpenSession 0xb1 1\n")
        for _ in range(4):
            self.assert_minted()
        self.assertEqual(self.obeyed("C_OpenSession", "0xb1"), 1)
        self.assertEqual((self.token()["pid"], self.token()["restarts"]), (self.pid, 0))

    def test_a_device_lost_with_the_session_ends_the_process(self):
        self.script("C_Sign 0xb3 1\nC_OpenSession 0xe0 1\n")
        self.assert_minted()
        self.assertEqual(self.token()["restarts"], 1)
        self.assertIn("C_OpenSession: CKR_TOKEN_NOT_PRESENT", self.service.log())

    def test_what_will_never_work_is_not_tried_again(self):
        self.script("C_SignInit 0x68 2")
        self.refused(self.service.mint(), 500, "internal")
        self.assertEqual(self.obeyed("C_SignInit", "0x68"), 1)
        self.script("")
        self.assert_minted()
        self.assertEqual((self.token()["pid"], self.token()["restarts"]), (self.pid, 0))

    def test_a_token_that_signs_wrongly_gives_no_credential_until_it_is_well(self):
        self.script("C_Sign flip")
        answers = [self.service.mint()]
        wait_for(lambda: self.token()["restarts"] >= 4, "its process to fail at every start")
        self.assertFalse(self.service.status()["ready"])
        answers += [self.service.mint() for _ in range(3)]
        for answer in answers:
            self.assertIn((answer.status, answer.json["code"]), ((503, "token_unavailable"), (504, "deadline")))
        self.assertEqual(answers[-1].status, 503, "it is known by now: nobody is kept waiting")
        self.script("")
        self.service.wait_ready()
        self.assert_minted()

    def test_a_request_is_tried_twice_at_most(self):
        self.script("C_Sign 0xb3 5")
        self.refused(self.service.mint(), 503, "token_unavailable")
        self.assertEqual(self.obeyed("C_Sign", "0xb3"), 2)

    def test_a_hung_signature_holds_up_nobody_for_long(self):
        self.script("C_Sign hang 1")
        hung = threading.Thread(target=self.service.mint)
        hung.start()
        wait_for(lambda: self.obeyed("C_Sign", "hang"), "the hung call")
        for _ in range(5):
            self.assert_minted()  # by the other thread
        self.assertEqual(self.token()["pid"], self.pid)
        hung.join()
        wait_for(lambda: self.token()["restarts"] == 1, "the hung process to be replaced")
        self.assertRegex(self.service.log(), r"event=token_stuck token=soft pid=%d\b" % self.pid)
        self.service.wait_ready()
        self.assert_minted()


if __name__ == "__main__":
    unittest.main()
