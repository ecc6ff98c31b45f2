# SPDX-License-Identifier: Apache-2.0
"""The PIN latch, over restarts and crashes: how many attempts the token sees."""
import os
import signal
import unittest

from token_case import TokenCase, children_of, process_exists, read, wait_for, write


class Latch(TokenCase):
    def setUp(self):
        super().setUp()
        self.count_and_script()
        os.unlink(self.latch_file)  # what `dev` has learnt

    def assert_latched(self, service, said, logins):
        token = self.wait_stopped(service)
        self.assertEqual(token["last_class"], "latch")
        self.assertIn(said, token["last_error"])
        self.assertEqual((token["pid"], self.logins()), (0, logins))
        self.assertEqual(service.status()["ready"], False)
        self.refused(service.mint(), 503, "token_unavailable")

    def assert_latched_over_restarts(self, said, logins):
        for _ in range(2):
            service = self.serve(wait=False)
            self.assert_latched(service, said, logins)
            service.command("reload", "--control", service.control)
            self.assert_latched(service, said, logins)
            service.stop()

    def unlatch(self, service):
        service.command("token", "unlatch", "--token", "soft", "--control", service.control)

    def test_a_wrong_pin_is_tried_once(self):
        write(self.pin_file, "wrong-pin-1\n")
        service = self.serve(wait=False)
        self.assert_latched(service, "C_Login: CKR_PIN_INCORRECT (0xa0)", 1)
        for _ in range(3):
            self.kill(service)
            service = self.serve(wait=False)
            self.assert_latched(service, "the token has refused this PIN", 1)
        service.stop()
        self.assert_latched_over_restarts("the token has refused this PIN", 1)

        service = self.serve(wait=False)
        self.wait_stopped(service)
        write(self.pin_file, "wrong-pin-2\n")
        service.command("reload", "--control", service.control)
        wait_for(lambda: self.logins() == 2, "another PIN to be tried")
        self.assert_latched(service, "C_Login: CKR_PIN_INCORRECT", 2)
        write(self.pin_file, self.pin)
        service.command("reload", "--control", service.control)
        service.wait_ready()
        self.assertEqual((service.mint().status, self.logins()), (200, 3))
        service.stop()

        write(self.pin_file, "wrong-pin-1\n")
        self.assert_latched_over_restarts("the token has refused this PIN", 3)

    def test_unlatched_it_is_tried_exactly_once_more(self):
        write(self.pin_file, "wrong-pin-1\n")
        service = self.serve(wait=False)
        self.assert_latched(service, "CKR_PIN_INCORRECT", 1)
        self.unlatch(service)
        wait_for(lambda: self.logins() == 2, "the PIN to be tried once more")
        self.assert_latched(service, "CKR_PIN_INCORRECT", 2)
        service.command("reload", "--control", service.control)
        self.assert_latched(service, "the token has refused this PIN", 2)
        service.stop()
        self.assert_latched_over_restarts("the token has refused this PIN", 2)

    def test_a_token_process_that_ends_in_its_first_login(self):
        self.script("C_Login exit")
        service = self.serve(wait=False)
        self.assert_latched(service, "a first attempt with this PIN ended without an answer", 1)
        self.assertIn("\ntrying ", read(self.latch_file))
        service.stop()
        self.script("")
        self.assert_latched_over_restarts("a first attempt with this PIN ended without an answer", 1)
        service = self.serve(wait=False)
        self.wait_stopped(service)
        self.unlatch(service)
        service.wait_ready()
        self.assertEqual((service.mint().status, self.logins()), (200, 2))
        self.assertNotIn("\ntrying ", read(self.latch_file))

    def test_a_token_process_killed_in_its_first_login(self):
        self.script("C_Login hang")
        service = self.serve(wait=False)
        wait_for(lambda: self.logins() == 1, "the login")
        os.kill(self.token_pid(service), signal.SIGKILL)
        self.assert_latched(service, "a first attempt with this PIN ended without an answer", 1)

    def test_a_service_killed_in_its_first_login(self):
        self.script("C_Login hang")
        service = self.serve(wait=False)
        wait_for(lambda: self.logins() == 1, "the login")
        pid = self.token_pid(service)
        service.process.send_signal(signal.SIGKILL)
        wait_for(lambda: not process_exists(pid), "the token process to end with mint")
        self.script("")
        self.assert_latched_over_restarts("a first attempt with this PIN ended without an answer", 1)

    @staticmethod
    def token_pid(service):
        named = [pid for pid in children_of(service.pid) if read("/proc/%d/comm" % pid).strip() == "hsmint-token"]
        return named[0]

    def test_three_unanswered_logins_with_a_good_pin(self):
        service = self.serve()
        self.assertEqual(self.logins(), 1)
        service.stop()
        self.script("C_Login exit")
        service = self.serve(wait=False)
        self.assert_latched(service, "3 attempts in a row ended without an answer", 4)
        self.assertRegex(read(self.latch_file), r"\ngood \S+ 3\n")
        service.stop()
        self.script("")
        self.assert_latched_over_restarts("3 attempts in a row ended without an answer", 4)
        service = self.serve(wait=False)
        self.wait_stopped(service)
        self.unlatch(service)
        service.wait_ready()
        self.assertEqual((service.mint().status, self.logins()), (200, 5))
        self.assertRegex(read(self.latch_file), r"\ngood \S+ 0\n")

    def test_a_success_clears_what_was_unanswered(self):
        self.serve().stop()
        for _ in range(2):
            self.script("C_Login exit 2")
            service = self.serve()
            self.assertRegex(read(self.latch_file), r"\ngood \S+ 0\n")
            service.stop()
            os.unlink(os.path.join(self.directory, "script.C_Login.exit"))
        self.assertEqual(self.logins(), 1 + 3 + 3)

    def test_a_device_error_in_a_login_says_nothing_about_the_pin(self):
        self.serve().stop()
        self.script("C_Login 0x30 2")
        service = self.serve()
        self.assertEqual((service.mint().status, self.logins()), (200, 1 + 3))

    def test_a_good_pin_that_is_refused_is_tried_once_more_when_the_token_gives_random_numbers(self):
        """tpm2-pkcs11 says so, too, when it could not ask its TPM."""
        self.serve().stop()
        self.script("C_Login 0xa0 1")
        service = self.serve()
        self.assertEqual((service.mint().status, self.logins()), (200, 1 + 2))
        self.assertEqual([call["function"] for call in self.calls("C_Login", "C_GenerateRandom")],
                         ["C_Login", "C_Login", "C_GenerateRandom", "C_Login"])
        self.assertRegex(read(self.latch_file), r"\ngood \S+ 0\n")

    def test_a_good_pin_that_was_changed_is_tried_once_more_and_no_more(self):
        self.serve().stop()
        self.script("C_Login 0xa0")
        service = self.serve(wait=False)
        self.assert_latched(service, "CKR_PIN_INCORRECT", 1 + 2)
        service.stop()
        self.assert_latched_over_restarts("the token has refused this PIN", 1 + 2)

    def test_a_good_pin_that_is_refused_while_the_token_is_away_is_not_tried_until_it_is_back(self):
        self.serve().stop()
        self.script("C_Login 0xa0\nC_GenerateRandom 0x5\n")
        service = self.serve(wait=False)
        wait_for(lambda: len(self.calls("C_GenerateRandom")) >= 4, "the token to be looked for again and again")
        self.assertEqual(self.logins(), 1 + 1)
        self.assertIn('class=device ckr=0x5 detail="C_GenerateRandom: CKR_GENERAL_ERROR (0x5)"', service.log())
        self.assertRegex(read(self.latch_file), r"\ngood \S+ 1\n")
        self.script("")
        service.wait_ready()
        self.assertEqual((service.mint().status, self.logins()), (200, 1 + 2))
        self.assertRegex(read(self.latch_file), r"\ngood \S+ 0\n")

    def test_without_random_numbers_a_refused_pin_is_not_tried_again(self):
        for value in ("0x121", "0x54"):
            with self.subTest(value):
                self.script("")
                service = self.serve()
                logins = self.logins()
                service.stop()
                self.script("C_Login 0xa0\nC_GenerateRandom %s\n" % value)
                service = self.serve(wait=False)
                self.assert_latched(service, "CKR_PIN_INCORRECT", logins + 1)
                service.stop()
                os.unlink(self.latch_file)

    def test_a_token_that_allows_one_last_attempt_after_a_refusal_does_not_get_it(self):
        self.serve().stop()
        looks = len(self.calls("C_GetTokenInfo"))
        service = self.serve()
        looks = len(self.calls("C_GetTokenInfo")) - looks
        service.stop()
        self.script("C_Login 0xa0\nC_GetTokenInfo pass %d\nC_GetTokenInfo +0x20000\n" % looks)
        service = self.serve(wait=False)
        self.assert_latched(service, "CKR_PIN_INCORRECT", 2 + 1)

    def test_a_token_that_locked_its_pin(self):
        self.script("C_Login 0xa4")
        service = self.serve(wait=False)
        self.assert_latched(service, "CKR_PIN_LOCKED", 1)
        service.stop()
        self.assert_latched_over_restarts("the token has refused this PIN", 1)

    def test_token_processes_killed_after_their_login_never_close_it(self):
        service = self.serve()
        for restart in range(1, 6):
            os.kill(service.status()["tokens"][0]["pid"], signal.SIGKILL)
            wait_for(lambda r=restart: self.logins() == 1 + r, "login %d" % restart)
            service.wait_ready()
        self.assertEqual(service.mint().status, 200)

    def test_a_damaged_latch_file(self):
        self.serve().stop()
        write(self.latch_file, read(self.latch_file)[:-10])
        service = self.serve(wait=False)
        self.assert_latched(service, "is damaged: hsmint token unlatch", 1)
        self.unlatch(service)
        service.wait_ready()
        self.assertEqual(self.logins(), 2)


if __name__ == "__main__":
    unittest.main()
