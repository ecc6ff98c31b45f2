# SPDX-License-Identifier: Apache-2.0
"""The main job: a credential minted over HTTP, signed in the token, verified by a program that is not ours."""
import json
import time
import unittest

from harness import AUDIENCE, HSMINT, SUBJECT, SharedCase, decode, run, verify


class FirstCredential(SharedCase):
    def jwks(self):
        return self.service.ask("GET", "/demo/.well-known/jwks.json").body

    def issuer(self):
        return "https://localhost:%d/demo" % self.service.port

    def check_access_token(self, reply, lifetime=300):
        payload = verify(reply["credential"], self.jwks(), self.work)
        header, _ = decode(reply["credential"])
        now = time.time()
        self.assertEqual(header, {"alg": "ES256", "kid": reply["kid"], "typ": "at+jwt"})
        self.assertEqual(payload["iss"], self.issuer())
        self.assertEqual(payload["sub"], SUBJECT)
        self.assertEqual(payload["client_id"], SUBJECT)
        self.assertEqual(payload["aud"], AUDIENCE)
        self.assertEqual(payload["jti"], reply["id"])
        self.assertEqual(len(reply["id"]), 22)
        self.assertEqual(payload["exp"], reply["expires_at"])
        self.assertEqual(reply["expires_at"] - reply["issued_at"], lifetime)
        self.assertEqual(payload["iat"], reply["issued_at"] - 5)
        self.assertEqual(payload["nbf"], payload["iat"])
        self.assertLess(abs(reply["issued_at"] - now), 30)
        return payload

    def test_an_access_token_over_the_socket(self):
        answer = self.service.mint(scope="read write", claims={"session": "s-1"}, context={"traceparent": "00-abc"})
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(set(answer.json), {"credential", "kind", "profile", "kid", "id", "issued_at", "expires_at", "ledger"})
        self.assertEqual((answer.json["kind"], answer.json["profile"]), ("at+jwt", "demo-access"))
        self.assertEqual(answer.headers["Cache-Control"], "no-store")
        payload = self.check_access_token(answer.json)
        self.assertEqual(payload["scope"], "read write")
        self.assertEqual(payload["session"], "s-1")
        self.assertNotIn("traceparent", json.dumps(payload))

    def test_an_access_token_over_mutual_tls(self):
        connection = self.service.tls()
        self.addCleanup(connection.close)
        answer = self.service.mint(connection, lifetime=60)
        self.assertEqual(answer.status, 200, answer.body)
        payload = self.check_access_token(answer.json, 60)
        self.assertNotIn("scope", payload)

    def test_a_jwt_svid(self):
        answer = self.service.mint(profile="demo-svid", audience=["https://api.demo.test", "spiffe://demo.test/db"])
        self.assertEqual(answer.status, 200, answer.body)
        header, _ = decode(answer.json["credential"])
        payload = verify(answer.json["credential"], self.jwks(), self.work)
        self.assertEqual(header["typ"], "JWT")
        self.assertEqual(answer.json["kind"], "jwt-svid")
        self.assertEqual(payload["aud"], ["https://api.demo.test", "spiffe://demo.test/db"])
        self.assertEqual(payload["sub"], SUBJECT)
        self.assertNotIn("client_id", payload)

    def test_the_command_prints_just_the_token(self):
        common = ["mint", "jwt", "--socket", self.service.socket, "--profile", "demo-access", "--subject", SUBJECT,
                  "--audience", AUDIENCE, "--scope", "read", "--lifetime", "30"]
        result = self.service.command(*common)
        self.assertRegex(result.stdout, r"\A[\w-]+\.[\w-]+\.[\w-]+\n\Z")
        self.assertEqual(result.stderr, "")
        verify(result.stdout.strip(), self.jwks(), self.work)
        reply = json.loads(self.service.command(*common, "--json").stdout)
        self.check_access_token(reply, 30)

    def test_the_command_over_mutual_tls(self):
        ready = self.service.ready
        result = self.service.command("mint", "jwt", "--url", ready["url"], "--cert", ready["cert"], "--key", ready["key"],
                                      "--ca", ready["ca"], "--profile", "demo-svid", "--subject", SUBJECT,
                                      "--audience", AUDIENCE)
        verify(result.stdout.strip(), self.jwks(), self.work)

    def test_the_command_says_why_not(self):
        result = self.service.command("mint", "jwt", "--socket", self.service.socket, "--profile", "demo-access",
                                      "--subject", SUBJECT, "--audience", "https://elsewhere.test", check=False)
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("audience_not_allowed", result.stderr)
        result = run([HSMINT, "mint", "jwt", "--nonsense"], check=False)
        self.assertEqual((result.returncode, result.stdout), (2, ""))

    def test_what_is_published(self):
        issuer = self.issuer()
        jwks = self.service.ask("GET", "/demo/.well-known/jwks.json")
        self.assertEqual(jwks.headers["Cache-Control"], "public, max-age=300")
        self.assertEqual(len(jwks.json["keys"]), 3)
        for key in jwks.json["keys"]:
            self.assertEqual((key["use"], key["alg"], key["kty"], key["crv"]), ("sig", "ES256", "EC", "P-256"))
        bundle = self.service.ask("GET", "/demo/spiffe/bundle.json").json
        svid_kid = self.service.mint(profile="demo-svid").json["kid"]
        self.assertEqual([(key["use"], key["kid"]) for key in bundle["keys"]], [("jwt-svid", svid_kid)])
        self.assertEqual((bundle["spiffe_sequence"], bundle["spiffe_refresh_hint"]), (1, 300))
        for path in ("/demo/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/demo"):
            discovery = self.service.ask("GET", path).json
            self.assertEqual((discovery["issuer"], discovery["jwks_uri"]), (issuer, issuer + "/.well-known/jwks.json"))

    def test_published_documents_need_no_certificate_and_are_cached(self):
        connection = self.service.tls(cert=None)
        first = self.service.ask("GET", "/demo/.well-known/jwks.json", connection=connection)
        self.assertEqual(first.status, 200)
        again = self.service.ask("GET", "/demo/.well-known/jwks.json", connection=connection,
                                 headers={"If-None-Match": first.headers["ETag"]})
        self.assertEqual((again.status, again.body), (304, b""))
        connection.close()

    def test_health_readiness_and_metrics(self):
        self.assertEqual(self.service.ask("GET", "/healthz").status, 200)
        ready = self.service.ask("GET", "/readyz")
        self.assertEqual((ready.status, ready.json["ready"], ready.json["tokens"]), (200, True, {"soft": "ready"}))
        self.service.mint()
        metrics = self.service.ask("GET", "/metrics").body.decode()
        self.assertRegex(metrics, r'hsmint_minted_total\{issuer="demo",profile="demo-access"\} [1-9]')
        self.assertIn('hsmint_token_ready{token="soft"} 1', metrics)
        self.assertRegex(metrics, r'hsmint_token_rate\{token="soft"\} [1-9]')
        self.assertIn('hsmint_key_reserve{issuer="demo",key="demo-access"} 0', metrics)
        connection = self.service.tls(None)
        self.addCleanup(connection.close)
        self.assertEqual(self.service.ask("GET", "/metrics", connection=connection).status, 401)

    def test_status(self):
        status = self.service.status()
        self.assertTrue(status["ready"])
        self.assertEqual(status["tokens"][0]["state"], "ready")
        text = self.service.command("status", "--control", self.service.control).stdout
        self.assertIn("soft", text)


if __name__ == "__main__":
    unittest.main()
