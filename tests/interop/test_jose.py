# SPDX-License-Identifier: Apache-2.0
"""Node's jose package judges what hsmint mints and publishes."""
import json
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from harness import AUDIENCE, SUBJECT, SharedCase  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))


class Jose(SharedCase):
    def judge(self, token, **changed):
        question = {"token": token, "jwks": self.service.ask("GET", "/demo/.well-known/jwks.json").json,
                    "issuer": "https://localhost:%d/demo" % self.service.port, "audience": AUDIENCE, "typ": "at+jwt"}
        question.update(changed)
        result = subprocess.run(["node", os.path.join(HERE, "verify.mjs")], input=json.dumps(question),
                                capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)

    def test_it_accepts_an_access_token_and_agrees_on_the_thumbprint(self):
        reply = self.service.mint(scope="read").json
        answer = self.judge(reply["credential"])
        self.assertEqual(answer["payload"]["sub"], SUBJECT)
        self.assertEqual(answer["payload"]["scope"], "read")
        self.assertIn(answer["header"]["kid"], answer["thumbprints"])
        kids = [key["kid"] for key in self.service.ask("GET", "/demo/.well-known/jwks.json").json["keys"]]
        self.assertEqual(kids, answer["thumbprints"])

    def test_it_accepts_a_jwt_svid_from_the_bundle(self):
        reply = self.service.mint(profile="demo-svid").json
        bundle = self.service.ask("GET", "/demo/spiffe/bundle.json").json
        for key in bundle["keys"]:
            del key["use"]  # the package knows no use but sig and enc
        answer = self.judge(reply["credential"], jwks=bundle, typ="JWT")
        self.assertEqual(answer["payload"]["sub"], SUBJECT)

    def test_it_refuses_what_was_changed_or_is_for_somebody_else(self):
        token = self.service.mint().json["credential"]
        header, payload, signature = token.split(".")
        flipped = signature[:10] + ("A" if signature[10] != "A" else "B") + signature[11:]
        self.assertEqual(self.judge(".".join([header, payload, flipped]))["error"], "ERR_JWS_SIGNATURE_VERIFICATION_FAILED")
        self.assertEqual(self.judge(token, audience="https://elsewhere.test")["error"], "ERR_JWT_CLAIM_VALIDATION_FAILED")
        self.assertEqual(self.judge(token, typ="JWT")["error"], "ERR_JWT_CLAIM_VALIDATION_FAILED")
        self.assertEqual(self.judge(token, jwks={"keys": []})["error"], "ERR_JWKS_NO_MATCHING_KEY")


if __name__ == "__main__":
    unittest.main()
