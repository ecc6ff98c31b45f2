# SPDX-License-Identifier: Apache-2.0
"""How the module is used: its sessions, its login and its calls to sign, as the fault module saw them; and what
becomes of minting when sessions or the login are really taken away."""
import os
import unittest

from token_case import TokenCase, children_of

CKF_OS_LOCKING_OK = 2
THREADS, PROBES = 4, 4  # two for each key of `dev`
SHA256 = 32


class Sessions(TokenCase):
    def setUp(self):
        super().setUp()
        self.use_threads(THREADS)
        self.count_and_script()
        self.service = self.serve()
        self.token = self.service.status()["tokens"][0]

    def test_the_module_is_to_lock_with_what_the_system_offers(self):
        told, = self.calls("C_Initialize")
        self.assertEqual((told["flags"], told["callbacks"]), (CKF_OS_LOCKING_OK, 0))

    def test_sessions_are_opened_by_the_main_thread_before_there_is_another(self):
        opened = self.calls("C_OpenSession")
        self.assertEqual(len(opened), 1 + THREADS)
        self.assertEqual({(call["thread"], call["threads"], call["ckr"]) for call in opened},
                         {(self.token["pid"], opened[0]["threads"], 0)})
        self.assertGreaterEqual(len(os.listdir("/proc/%d/task" % self.token["pid"])), THREADS + 1)
        self.assertEqual(len({call["session"] for call in opened}), 1 + THREADS)

    def test_each_thread_signs_in_a_session_of_its_own(self):
        self.script("C_Sign wait-5")
        self.mint_together(self.service)
        signed = {(call["thread"], call["session"]) for call in self.calls("C_Sign")[PROBES:]}
        self.assertEqual(len(signed), THREADS)
        self.assertEqual(len({thread for thread, _ in signed}), THREADS)
        self.assertEqual(len({session for _, session in signed}), THREADS)

    def test_a_signature_is_one_call_over_one_digest(self):
        self.assert_credentials(self.service, self.mint_together(self.service))
        signed = self.calls("C_Sign")
        self.assertEqual(len(signed), PROBES + 8 * 4)
        self.assertEqual({call["length"] for call in signed}, {SHA256})
        self.assertEqual(self.calls("C_SignUpdate", "C_SignFinal"), [])

    def test_the_login_and_its_idle_session_last_as_long_as_the_process(self):
        self.script("C_Sign 0xb3 2\nC_SignInit 0x2 2\n")
        self.mint_together(self.service)
        login, = self.calls("C_Login")
        self.assertEqual(len([call for call in self.calls("C_Sign") if call["session"] == login["session"]]), PROBES)
        self.assertEqual(len(self.calls("C_CloseSession")), 4, "the sessions of the threads were replaced")
        self.assertEqual(self.service.status()["tokens"][0]["pid"], self.token["pid"])
        self.service.stop()
        self.assertNotIn(login["session"], [call["session"] for call in self.calls("C_CloseSession")])
        self.assertEqual(self.calls("C_Logout", "C_CloseAllSessions"), [])
        self.assertEqual([call["thread"] for call in self.calls("C_Finalize")], [self.token["pid"]])
        self.assertEqual((self.calls()[-1]["function"], self.logins()), ("C_Finalize", 1))

    def test_threads_replace_their_sessions_one_at_a_time(self):
        self.script("C_Sign 0xb3 8\nC_OpenSession wait-20\nC_CloseSession wait-20\n")
        self.mint_together(self.service)
        replaced = [call for call in self.calls("C_OpenSession", "C_CloseSession") if call["thread"] != self.token["pid"]]
        self.assertEqual(len(replaced), 2 * 8)
        self.assertGreater(len({call["thread"] for call in replaced}), 1)
        replaced.sort(key=lambda call: call["began"])
        for before, after in zip(replaced, replaced[1:]):
            self.assertGreaterEqual(after["began"], before["ended"])
        self.script("")
        self.assert_credentials(self.service, self.mint_together(self.service))

    def test_minting_recovers_from_what_is_really_taken_away_and_each_request_is_served(self):
        restarts = 0
        for function, action, ends in (("C_SignInit", "close", False), ("C_Sign", "close", False),
                                       ("C_SignInit", "close-all", True), ("C_Sign", "close-all", True),
                                       ("C_SignInit", "logout", True)):
            with self.subTest(function + " " + action):
                tried = len(self.calls("C_Sign"))
                answers = self.mint_together_with_fault(self.service, function, action)
                self.assert_credentials(self.service, answers)
                restarts += ends
                token = self.service.status()["tokens"][0]
                self.assertEqual((token["restarts"], self.logins()), (restarts, 1 + restarts))
                self.assertLessEqual(len(self.calls("C_Sign")) - tried, 2 * 8 * 4 + PROBES, "tried twice at most")
        self.assertEqual(len(children_of(self.service.pid)), 2)


if __name__ == "__main__":
    unittest.main()
