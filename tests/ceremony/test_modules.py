# SPDX-License-Identifier: Apache-2.0
"""Ceremonies with modules other than SoftHSM loaded directly: each makes a key that openssl believes, or leaves none."""
import os
import sys
import unittest

from ceremony_case import AGREED, TESTS, CeremonyCase, openssl

sys.path.insert(0, os.path.join(TESTS, "modules"))
import backends  # noqa: E402


class Modules(CeremonyCase):
    def use(self, backend):
        self.backend = backend(self.directory)
        self.addCleanup(self.backend.kill)
        self.backend.start()
        self.backend.use()

    def count(self):
        return self.backend.tool("-O").stdout.count("Object;")

    def good(self, algorithm):
        with self.subTest(algorithm):
            self.record = os.path.join(self.work, algorithm)
            before = self.count()
            self.new("--algorithm", algorithm, label=algorithm)
            openssl("verify", "-x509_strict", "-check_ss_sig", "-CAfile", self.file("certificate.pem"),
                    self.file("certificate.pem"))
            self.ceremony("verify", self.record)
            self.assertEqual(self.document()["module"]["path"], self.backend.module)
            self.assertEqual(self.count(), before + 2)

    def bad(self, algorithm, answers, says):
        self.record = os.path.join(self.work, "bad")
        before = self.count()
        result = self.new("--algorithm", algorithm, label="bad", answers=answers, status=1)
        self.assertIn(says, result.stderr)
        self.assertIn("the key 'bad' has been destroyed", result.stderr)
        self.assertEqual(self.count(), before)

    def test_softhsm_behind_p11_kit(self):
        self.use(backends.P11Kit)
        for algorithm in ("ES256", "ES384", "RS256"):
            self.good(algorithm)
        self.bad("ES256", AGREED[:3], "did not confirm")

    def test_a_tpm(self):
        self.use(backends.TPM)
        for algorithm in ("ES256", "ES384"):
            self.good(algorithm)
        self.bad("ES256", AGREED[:3], "did not confirm")
        self.bad("RS256", AGREED, "C_Sign: CKR_GENERAL_ERROR (0x5)")  # it signs only what it has hashed itself


if __name__ == "__main__":
    unittest.main()
