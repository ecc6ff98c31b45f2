# SPDX-License-Identifier: Apache-2.0
"""What a token does wrong while it signs: no wrong credential comes out, and minting goes on by itself."""
import re
import threading
import time
import unittest

from token_case import PATIENCE, TokenCase, verify, wait_for

DEADLINE = 5  # seconds


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


class FourThreads(TokenCase):
    def setUp(self):
        super().setUp()
        self.count_and_script()
        self.edit("self_check: sampled", "self_check: always")
        self.use_threads(4)
        self.service = self.serve()
        self.assertEqual(self.token()["threads"], 4)

    def token(self):
        return self.service.status()["tokens"][0]

    def minted(self):
        """How many credentials were released, by mint's own count."""
        metrics = self.service.ask("GET", "/metrics").body.decode()
        return sum(map(int, re.findall(r"^hsmint_minted_total\{.*\} (\d+)$", metrics, re.M)))

    def test_one_fault_among_requests_at_once_costs_nobody_a_credential(self):
        restarts = 0
        for function, action, ends in (("C_Sign", "flip", True), ("C_Sign", "short", True), ("C_Sign", "exit", True),
                                       ("C_SignInit", "0x101", True), ("C_Sign", "0x30", True),
                                       ("C_Sign", "0xb3", False), ("C_SignInit", "0x90", False),
                                       ("C_Sign", "0x2", False)):
            with self.subTest(function + " " + action):
                answers = self.mint_together_with_fault(self.service, function, action)
                self.assert_credentials(self.service, answers)
                restarts += ends
                self.assertEqual(self.token()["restarts"], restarts)

    def test_what_will_never_work_fails_the_requests_it_met_and_no_other(self):
        self.script("C_SignInit 0x68 2")
        answers = self.mint_together(self.service)
        failed = [answer for answer in answers if answer.status != 200]
        self.assertEqual(len(failed), 2)
        for answer in failed:
            self.refused(answer, 500, "internal")
        self.assert_credentials(self.service, [answer for answer in answers if answer.status == 200])
        self.assertEqual(self.token()["restarts"], 0)

    def test_a_hung_signature_holds_up_nobody_for_long_and_a_late_one_is_never_released(self):
        """The late one comes after its request was answered, and before the process is killed over the hung one."""
        self.script("C_Sign hang 1\nC_Sign wait-%d 1\n" % (1000 * (DEADLINE + 1)))
        pid = self.token()["pid"]
        ends = []

        def mint():
            began = time.monotonic()
            answer = self.service.mint()
            ends.append((answer, time.monotonic() - began))
        waiting = [threading.Thread(target=mint) for _ in range(2)]
        for thread in waiting:
            thread.start()
        wait_for(lambda: self.obeyed("C_Sign", "wait-%d" % (1000 * (DEADLINE + 1))), "both calls to hang")
        self.assert_credentials(self.service, [self.service.mint() for _ in range(5)])  # by the other threads
        for thread in waiting:
            thread.join()
        self.assertEqual((self.token()["pid"], len(ends)), (pid, 2))
        for answer, took in ends:
            self.refused(answer, 504, "deadline")
            self.assertEqual(answer.json["retry"], "same-key")
            self.assertTrue(DEADLINE - 0.1 < took < DEADLINE + PATIENCE / 20, took)

        wait_for(lambda: self.token()["signed"] == 6, "the late signature")
        self.assertEqual((self.token()["pid"], self.minted()), (pid, 5))
        wait_for(lambda: self.token()["restarts"] == 1, "the hung process to be replaced")
        self.assertRegex(self.service.log(), r"event=token_stuck token=soft pid=%d\b" % pid)
        self.service.wait_ready()
        self.assertEqual((self.minted(), self.token()["signed"], self.token()["outstanding"]), (5, 6, 0))
        self.assert_credentials(self.service, self.mint_together(self.service))


if __name__ == "__main__":
    unittest.main()
