# SPDX-License-Identifier: Apache-2.0
"""OAuth clients from npm get their tokens at the token endpoint, unchanged."""
import json
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from harness import AUDIENCE, SharedCase, edit, start_dev, start_serve  # noqa: E402
from made_jwt import Signer, jwks  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
AGENT = "spiffe://demo.test/agent/demo"
LIBRARIES = "oauth4webapi", "openid-client"


class ClientCase(SharedCase):
    def go(self, library, certificate=True, parameters=None, **changed):
        ready = self.service.ready
        question = {"library": library, "issuer": "https://localhost:%d/demo" % self.service.port, "client_id": "demo",
                    "ca": ready["ca"], "audience": AUDIENCE,
                    "parameters": {"resource": AUDIENCE, "scope": "read", **(parameters or {})}, **changed}
        if certificate:
            question.update(cert=ready["cert"], key=ready["key"])
        result = subprocess.run(["node", os.path.join(HERE, "oauth.mjs")], input=json.dumps(question),
                                capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)


class Certificates(ClientCase):
    def test_client_credentials_by_mutual_tls(self):
        for library in LIBRARIES:
            with self.subTest(library):
                answer = self.go(library)
                self.assertEqual(answer.get("error"), None, answer)
                self.assertEqual((answer["token"]["token_type"].lower(), answer["token"]["expires_in"]), ("bearer", 300))
                self.assertEqual((answer["payload"]["sub"], answer["payload"]["scope"]), (AGENT, "read"))

    def test_tokens_are_bound_to_the_key_of_a_clients_dpop_proofs(self):
        for library in (*LIBRARIES, "dpop"):
            for algorithm in ("ES256", "Ed25519", "PS256", "RS256"):
                with self.subTest(library + " " + algorithm):
                    answer = self.go(library, dpop=algorithm)
                    self.assertEqual(answer.get("error"), None, answer)
                    self.assertEqual(answer["token"]["token_type"].lower(), "dpop")
                    self.assertEqual(answer["payload"]["cnf"], {"jkt": answer["jkt"]})

    def test_what_discovery_names_tells_of_a_token_and_ends_it(self):
        for library in LIBRARIES:
            with self.subTest(library):
                answer = self.go(library)
                self.assertEqual(answer.get("error"), None, answer)
                shown = answer["before"]
                self.assertIs(shown["active"], True)
                for name in ("iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope"):
                    self.assertEqual(shown[name], answer["payload"][name], name)
                self.assertEqual(answer["after"], {"active": False})

    def test_a_token_is_exchanged(self):
        for library in LIBRARIES:
            with self.subTest(library):
                answer = self.go(library, exchange={"resource": AUDIENCE, "scope": "read"})
                self.assertEqual(answer.get("error"), None, answer)
                self.assertEqual(answer["token"]["issued_token_type"], "urn:ietf:params:oauth:token-type:access_token")
                self.assertEqual((answer["payload"]["sub"], answer["payload"]["act"]), (AGENT, {"sub": AGENT}))
                self.assertEqual(answer["after"], {"active": False})
                self.assertEqual(self.go(library, exchange={"resource": AUDIENCE, "scope": "write"})["error"],
                                 "invalid_scope")

    def test_refusals_are_read_as_such(self):
        for library in LIBRARIES:
            for changed, error in (({"certificate": False}, "invalid_client"), ({"client_id": "other"}, "invalid_client"),
                                   ({"parameters": {"scope": "admin"}}, "invalid_scope"),
                                   ({"parameters": {"resource": "https://evil.test"}}, "invalid_target")):
                with self.subTest(library + " " + error):
                    self.assertEqual(self.go(library, **changed)["error"], error)


class Keys(ClientCase):
    """Clients that sign assertions, and have no certificate."""
    @classmethod
    def start_shared(cls, directory):
        start_dev(directory).stop()
        cls.signer = Signer("ES256", "one")
        config = os.path.join(directory, "hsmint.yaml")
        with open(os.path.join(directory, "keyed.jwks"), "w") as file:
            file.write(jwks(cls.signer))
        edit(config, "    callers: [demo]\n    grants: [client_credentials, token_exchange]",
             "    callers: [demo, keyed]\n    grants: [client_credentials, token_exchange]")
        edit(config, "  - name: approver ", "  - {name: keyed, issuer: demo, jwks: keyed.jwks, agent: \"%s\", "
             "roles: [mint]}\n  - name: approver " % AGENT)
        return start_serve(config, directory)

    def go(self, library, certificate=False, **changed):
        return super().go(library, certificate, **{"client_id": "keyed", "jwk": self.signer.private_jwk(), **changed})

    def test_client_credentials_and_an_exchange_by_private_key_jwt(self):
        for library in LIBRARIES:
            for changed, act in (({}, None), ({"exchange": {"resource": AUDIENCE, "scope": "read"}}, {"sub": AGENT}),
                                 ({"dpop": "ES256"}, None)):
                with self.subTest((library, changed)):
                    answer = self.go(library, **changed)
                    self.assertEqual(answer.get("error"), None, answer)
                    self.assertEqual((answer["payload"]["sub"], answer["payload"].get("act")), (AGENT, act))

    def test_another_key_is_refused(self):
        for library in LIBRARIES:
            self.assertEqual(self.go(library, jwk=Signer("ES256", "one").private_jwk())["error"], "invalid_client")


if __name__ == "__main__":
    unittest.main()
