# SPDX-License-Identifier: Apache-2.0
"""Ready means that the token really signed lately, with every key."""
import os
import time
import unittest

from token_case import TokenCase, wait_for


class Readiness(TokenCase):
    def setUp(self):
        super().setUp()
        self.count_and_script()
        self.service = self.serve()

    def ready(self):
        return self.service.ask("GET", "/readyz")

    def gauge(self):
        metrics = self.service.ask("GET", "/metrics").body.decode()
        return 'hsmint_token_ready{token="soft"} 1' in metrics

    def test_a_key_that_does_not_sign_makes_the_service_unready_until_it_signs_again(self):
        self.assertEqual((self.ready().status, self.gauge()), (200, True))
        self.script("C_SignInit 0x68")
        self.refused(self.service.mint(), 500, "internal")
        wait_for(lambda: self.ready().status == 503, "the service to be unready")
        self.assertEqual(self.ready().json["reason"], "key demo-access does not sign")
        self.assertFalse(self.gauge())
        self.assertFalse(self.service.status()["ready"])
        self.assertIn("C_SignInit: CKR_KEY_FUNCTION_NOT_PERMITTED (0x68)", self.service.log())

        self.script("")  # nobody mints: a probe finds out
        wait_for(lambda: self.ready().status == 200, "the service to be ready again")
        self.assertTrue(self.gauge())

    def test_a_mint_that_succeeds_ends_it_at_once(self):
        self.script("C_SignInit 0x68")
        self.refused(self.service.mint(profile="demo-svid"), 500, "internal")
        wait_for(lambda: self.ready().status == 503, "the service to be unready")
        self.script("")
        self.assertEqual(self.service.mint(profile="demo-svid").status, 200)
        wait_for(lambda: self.ready().status == 200, "the service to be ready again", 4)

    def test_failing_probes_are_not_hurried(self):
        self.script("C_SignInit 0x68")
        self.refused(self.service.mint(), 500, "internal")
        began = time.monotonic()
        wait_for(lambda: self.service.log().count("event=token_failed") >= 3, "two failed probes")
        self.assertGreater(time.monotonic() - began, 5)

    @unittest.skipUnless(os.environ.get("HSMINT_LONG"), "takes more than a minute")
    def test_an_idle_token_is_asked_each_minute_with_each_key(self):
        self.script("C_SignInit pass 99")
        wait_for(lambda: self.obeyed("C_SignInit", "pass") >= 2, "two probes", 150)
        self.assertEqual(self.ready().status, 200)


if __name__ == "__main__":
    unittest.main()
