# SPDX-License-Identifier: Apache-2.0
"""Which signatures are checked before they are used: all of them, or a sample that begins with the first."""
import unittest

from softhsm_keys import make_keys
from token_case import TokenCase, unbase64, verify

FIRST, EACH = 100, 64  # a sample is these first of each process, and one in so many


class SelfCheck(TokenCase):
    def begin(self, check, threads=1):
        self.edit("self_check: sampled", "self_check: " + check)
        if threads > 1:
            self.use_threads(threads)
        self.count_and_script()
        self.service = self.serve()
        self.position = 0  # of the next signature among those of its process, which begins to count at ready
        self.flipped = 0
        self.jwks = self.service.ask("GET", "/demo/.well-known/jwks.json").body

    def restarts(self):
        return self.service.status()["tokens"][0]["restarts"]

    def mint(self, connection):
        answer = self.service.mint(connection)
        self.assertEqual(answer.status, 200, answer.body)
        self.position += 1
        return answer.json["credential"]

    def mint_flipped_at(self, position):
        """The credential whose signature was that one of its process, and came out of the token with a bit changed."""
        connection = self.service.unix()
        while self.position < position:
            self.mint(connection)
        self.flipped += 1
        self.script("C_Sign flip %d" % self.flipped)
        credential = self.mint(connection)
        self.assertEqual(self.obeyed("C_Sign", "flip"), self.flipped)
        connection.close()
        return credential

    def assert_caught_at(self, position):
        """It is signed again, first of all by another process."""
        restarts = self.restarts()
        verify(self.mint_flipped_at(position), self.jwks, self.work)
        self.assertEqual(self.restarts(), restarts + 1)
        self.position = 1

    def assert_missed_at(self, position):
        restarts = self.restarts()
        with self.assertRaisesRegex(AssertionError, "'jws', 'ver'"):
            verify(self.mint_flipped_at(position), self.jwks, self.work)
        self.assertEqual(self.restarts(), restarts)

    def test_a_sample_is_the_first_of_each_process_and_then_one_in_so_many(self):
        self.begin("sampled")
        self.assert_caught_at(0)
        self.assert_caught_at(FIRST - 1)
        self.assert_missed_at(FIRST)
        self.assert_missed_at(2 * EACH - 1)
        self.assert_caught_at(2 * EACH)
        self.assert_caught_at(FIRST - 1)
        self.assert_missed_at(2 * EACH + 1)
        self.assert_caught_at(3 * EACH)

    def test_always_is_always(self):
        self.begin("always")
        self.assert_caught_at(FIRST)
        self.assert_caught_at(2 * EACH - 1)

    def use(self, algorithm, kind):
        make_keys(self.directory, [dict(label=kind, id="20", kind=kind)])
        self.edit('label: demo-access, id: "01", use: access-token, algorithm: ES256',
                  'label: %s, id: "20", use: access-token, algorithm: %s' % (kind, algorithm))

    def test_an_rsa_signature_is_always_checked(self):
        self.use("RS256", "RSA")
        self.begin("sampled")
        self.assert_caught_at(FIRST)
        self.assert_caught_at(FIRST + 1)

    def assert_wrong_ones_are_caught(self, algorithm, kind, length):
        self.use(algorithm, kind)
        self.begin("always")
        for faults, action in enumerate(("short", "flip"), 1):
            self.script("C_Sign %s 1" % action)
            answer = self.service.mint()
            self.assertEqual(answer.status, 200, answer.body)
            self.assertEqual(self.obeyed("C_Sign", action), 1)
            self.assertEqual(self.restarts(), faults)
            self.assertEqual(len(unbase64(answer.json["credential"].split(".")[2])), length)

    def test_a_wrong_es384_signature_is_caught(self):
        self.assert_wrong_ones_are_caught("ES384", "P-384", 96)

    def test_a_wrong_ps256_signature_is_caught(self):
        self.assert_wrong_ones_are_caught("PS256", "RSA", 256)

    def test_a_wrong_ed25519_signature_is_caught(self):
        self.assert_wrong_ones_are_caught("Ed25519", "Ed25519", 64)

    def test_of_several_threads_none_lets_a_wrong_one_out_among_the_first(self):
        self.begin("sampled", threads=4)
        answers = self.mint_together_with_fault(self.service, "C_Sign", "flip")
        self.assert_credentials(self.service, answers)
        self.assertEqual(self.restarts(), 1)

    def test_of_several_threads_none_ever_lets_a_wrong_one_out_that_always_checks(self):
        self.begin("always", threads=4)
        self.mint_together(self.service, each=32)
        answers = self.mint_together_with_fault(self.service, "C_Sign", "flip")
        self.assert_credentials(self.service, answers)
        self.assertEqual(self.restarts(), 1)


if __name__ == "__main__":
    unittest.main()
