# SPDX-License-Identifier: Apache-2.0
"""Every return value of the table, where a token may give it: what the client gets, what is tried again, which process is
replaced, when nobody logs in any more, and what the log says."""
import os
import unittest

from ckr_table import BY_CLASS, LATCH
from fault_case import PROBES, FaultCase

ENDS = ("login", "device")  # of these another process is started by itself
STOPS = ("permanent", "latch")


class Signing(FaultCase):
    """A request meets the value once."""

    def facts(self):
        token = self.token()
        return token["restarts"], self.counted("C_SignInit"), self.logins(), token["pid"], len(self.service.log())

    def meet(self, function, name, value, kind):
        restarts, tried, logins, pid, logged = self.facts()
        self.script("%s 0x%x 1" % (function, value))
        answer = self.service.mint()
        if kind == "latch":
            self.wait_token(lambda token: token["state"] == "stopped", "the token to stop")
        self.assertEqual(self.obeyed(function, "0x%x" % value), 1)
        said = self.service.log()[logged:]
        self.assertIn("class=%s ckr=0x%x detail=\"%s: %s (0x%x)\"" % (kind, value, function, name, value), said)

        ends = kind in ENDS
        tries = 1 if kind in STOPS else 2
        now = self.facts()
        self.assertEqual(now[:3], (restarts + ends, tried + tries + PROBES * ends, logins + ends))
        self.assertEqual(now[3], pid if kind in ("session", "pressure", "permanent") else self.token()["pid"])
        if kind == "permanent":
            self.refused(answer, 500, "internal")
        elif kind == "latch":
            self.refused(answer, 503, "token_unavailable")
            self.start_again(logins)
        else:
            self.assert_credential(answer)

    def start_again(self, logins):
        """Nobody but an operator has it log in again; the PIN itself is known to be good."""
        self.refused(self.service.mint(), 503, "token_unavailable")
        token = self.token()
        self.assertEqual((token["pid"], token["state"], self.logins()), (0, "stopped", logins))
        self.service.command("reload", "--control", self.service.control)
        self.service.wait_ready()

    def walk(self, function):
        self.begin()
        for kind, values in BY_CLASS.items():
            for name, value in values:
                with self.subTest("%s %s" % (function, name), value=hex(value)):
                    self.meet(function, name, value, kind)
                    self.assert_minted()

    def test_each_value_when_a_signature_begins(self):
        self.walk("C_SignInit")

    def test_each_value_when_a_signature_is_made(self):
        self.walk("C_Sign")


class Persistent(FaultCase):
    """Every request meets the value."""

    def test_what_another_session_does_not_mend_costs_two_tries_and_no_process(self):
        self.begin()
        pid = self.token()["pid"]
        for value in (0xb3, 0x31):
            tried = self.counted("C_Sign")
            self.script("C_Sign 0x%x" % value)
            self.refused(self.service.mint(), 503, "token_unavailable")
            self.assertEqual(self.counted("C_Sign"), tried + 2)
            self.script("")
            self.assert_minted()
        self.assertEqual((self.token()["pid"], self.logins()), (pid, 1))

    def assert_recovers_from(self, rule):
        self.begin()
        self.script(rule)
        before = self.counted("C_Sign"), self.logins()
        answer = self.service.mint()
        self.assertIn((answer.status, answer.json["code"]), ((503, "token_unavailable"), (504, "deadline")))
        token = self.wait_token(lambda token: token["restarts"] >= 4, "its process to fail at every start")
        self.refused(self.service.mint(), 503, "token_unavailable")
        self.assertFalse(self.service.status()["ready"])
        logins = self.logins() - before[1]
        self.assertLessEqual(logins, self.token()["restarts"], "one login each at most")
        self.assertGreaterEqual(logins, token["restarts"] - 1)
        self.script("")
        self.service.wait_ready()
        self.assert_minted()

    def test_a_login_that_is_lost_again_and_again(self):
        self.assert_recovers_from("C_SignInit 0x101")

    def test_a_device_that_fails_again_and_again(self):
        self.assert_recovers_from("C_Sign 0x80000386")


def some(kind):
    """Of each class that every value is of by the walk above, enough to see what the class means elsewhere."""
    values = BY_CLASS[kind]
    return [values[0], values[len(values) // 2], values[-1]]


class Login(FaultCase):
    """A token process meets the value when it logs in, the PIN known to be good unless said."""

    def meet(self, name, value):
        logged, logins = len(self.service.log()), self.logins()
        self.script("C_Login 0x%x 1" % value)
        restarts = self.kill_token()
        self.wait_token(lambda token: token["restarts"] > restarts, "another process")
        return logged, logins, restarts

    def assert_logged(self, kind, name, value, logged):
        said = self.service.log()[logged:]
        self.assertIn("class=%s ckr=0x%x detail=\"C_Login: %s (0x%x)\"" % (kind, value, name, value), said)

    def test_what_may_pass_is_tried_again(self):
        self.begin()
        for kind in ("session", "login", "device", "pressure"):
            for name, value in some(kind):
                with self.subTest(name, value=hex(value)):
                    logged, logins, restarts = self.meet(name, value)
                    self.wait_started(restarts + 2)
                    self.assert_minted()
                    self.assert_logged(kind, name, value, logged)
                    self.assertEqual(self.logins(), logins + 2)

    def test_what_will_not_pass_needs_a_person(self):
        self.begin()
        for name, value in some("permanent"):
            with self.subTest(name):
                logged, logins, _ = self.meet(name, value)
                token = self.wait_stopped(self.service)
                self.refused(self.service.mint(), 503, "token_unavailable")
                self.assert_logged("permanent", name, value, logged)
                self.assertEqual((token["last_class"], token["pid"], self.logins()), ("permanent", 0, logins + 1))
                self.service.command("reload", "--control", self.service.control)
                self.service.wait_ready()
                self.assert_minted()

    def assert_latched(self, logins):
        token = self.wait_stopped(self.service)
        self.refused(self.service.mint(), 503, "token_unavailable")
        self.assertEqual((token["last_class"], token["pid"], self.logins()), ("latch", 0, logins))

    def test_what_is_about_a_new_pin_is_asked_once_until_an_operator_unlatches(self):
        self.begin()
        for name, value in LATCH.items():
            with self.subTest(name):
                os.unlink(self.latch_file)
                logged, logins, _ = self.meet(name, value)
                self.assert_latched(logins + 1)
                self.assert_logged("latch", name, value, logged)
                self.service.command("reload", "--control", self.service.control)
                self.assert_latched(logins + 1)
                self.kill(self.service)
                self.service = self.serve(wait=False)
                self.assert_latched(logins + 1)
                self.service.command("token", "unlatch", "--token", "soft", "--control", self.service.control)
                self.service.wait_ready()
                self.assertEqual(self.logins(), logins + 2)
                self.assert_minted()


class Start(FaultCase):
    """A token process meets the value at its start, before any PIN is tried."""

    def test_a_session_that_cannot_be_had_is_asked_for_again(self):
        self.begin()
        for name, value in BY_CLASS["pressure"]:
            with self.subTest(name):
                logged, logins = len(self.service.log()), self.logins()
                self.script("C_OpenSession 0x%x 1" % value)
                self.wait_started(self.kill_token() + 2)
                self.assert_minted()
                self.assertIn("C_OpenSession: %s (0x%x)" % (name, value), self.service.log()[logged:])
                self.assertEqual(self.logins(), logins + 1)

    def test_a_module_that_fails_in_any_call_of_a_start_is_started_again(self):
        self.begin()
        for function in ("C_Initialize", "C_GetInfo", "C_GetSlotList", "C_GetTokenInfo", "C_OpenSession", "C_Login",
                         "C_FindObjectsInit", "C_FindObjects", "C_FindObjectsFinal", "C_GetAttributeValue",
                         "C_GetMechanismList", "C_SignInit", "C_Sign", "C_GetSessionInfo"):
            with self.subTest(function):
                self.script("%s 0x30 1" % function)
                self.wait_started(self.kill_token() + 2)
                self.assert_minted()
                self.assertEqual(self.obeyed(function, "0x30"), 1)


if __name__ == "__main__":
    unittest.main()
