# SPDX-License-Identifier: Apache-2.0
"""A token that locks its PIN after three wrong ones, whatever comes then: how many it sees."""
import os
import unittest

from fault_case import FaultCase, wait_for, write

MOST = 3


class Lockout(FaultCase):
    def setUp(self):
        super().setUp()
        self.script("C_Login lock-%d" % MOST)

    def wrong_pins(self):
        """What the token has counted."""
        path = os.path.join(self.directory, "script.wrong-pins")
        return os.path.getsize(path) if os.path.exists(path) else 0

    def use_pin(self, pin, logins):
        """Give another PIN to the running service, which is to try it once."""
        write(self.pin_file, pin + "\n")
        self.service.command("reload", "--control", self.service.control)
        wait_for(lambda: self.logins() == logins, "login %d" % logins)

    def assert_latched(self, said, logins, wrong):
        token = self.wait_stopped(self.service)
        self.assertIn(said, token["last_error"])
        self.refused(self.service.mint(), 503, "token_unavailable")
        self.assertEqual((token["pid"], self.logins(), self.wrong_pins()), (0, logins, wrong))

    def test_a_wrong_pin_costs_one_attempt_and_no_restart_another(self):
        os.unlink(self.latch_file)  # no PIN is known
        write(self.pin_file, "wrong-pin-1\n")
        self.service = self.serve(wait=False)
        self.assert_latched("C_Login: CKR_PIN_INCORRECT (0xa0)", 1, 1)
        for _ in range(2):
            for _ in range(2):
                self.service.command("reload", "--control", self.service.control)
                self.assert_latched("the token has refused this PIN", 1, 1)
            self.kill(self.service)
            self.service = self.serve(wait=False)
            self.assert_latched("the token has refused this PIN", 1, 1)
        self.use_pin(self.pin, 2)
        self.service.wait_ready()
        self.assertEqual((self.service.mint().status, self.wrong_pins()), (200, 0))

    def test_a_pin_that_is_locked_is_not_tried_again_until_an_operator_says_that_it_is_not(self):
        os.unlink(self.latch_file)
        write(self.pin_file, "wrong-pin-1\n")
        self.service = self.serve(wait=False)
        self.assert_latched("CKR_PIN_INCORRECT", 1, 1)
        for number in range(2, MOST + 1):
            self.use_pin("wrong-pin-%d" % number, number)
            self.assert_latched("CKR_PIN_INCORRECT", number, number)
        self.use_pin(self.pin, MOST + 1)
        self.assert_latched("C_Login: CKR_PIN_LOCKED (0xa4)", MOST + 1, MOST)
        self.service.command("reload", "--control", self.service.control)
        self.assert_latched("the token has refused this PIN", MOST + 1, MOST)
        self.kill(self.service)
        self.service = self.serve(wait=False)
        self.assert_latched("the token has refused this PIN", MOST + 1, MOST)

        os.unlink(os.path.join(self.directory, "script.wrong-pins"))  # as its security officer does
        self.service.command("token", "unlatch", "--token", "soft", "--control", self.service.control)
        self.service.wait_ready()
        self.assertEqual((self.service.mint().status, self.logins()), (200, MOST + 2))

    def test_no_outage_costs_a_good_pin_an_attempt(self):
        self.begin()
        faults = ("C_Sign exit", "C_Sign 0x30", "C_SignInit logout", "C_Sign close-all", "C_SignInit 0x101",
                  "C_OpenSession 0xe0", "C_FindObjectsInit 0x5", "C_Login 0x32", "C_Login exit")
        for fault in faults:
            with self.subTest(fault):
                self.script("%s 1\nC_Login lock-%d" % (fault, MOST))
                self.wait_started(self.kill_token() + 2)
                self.assert_minted()
                self.assertEqual((self.obeyed(*fault.split()), self.wrong_pins()), (1, 0))


if __name__ == "__main__":
    unittest.main()
