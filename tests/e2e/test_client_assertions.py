# SPDX-License-Identifier: Apache-2.0
"""Clients of the token endpoint that bring an assertion: private_key_jwt and JWT-SVIDs, each good once."""
import json
import os
import threading
import time
import unittest
from urllib.parse import urlencode

from harness import AUDIENCE, HSMINT, Case, edit, read, run, start_serve, wait_for
from made_jwt import Signer, jwks
from test_token_endpoint import FORM, TOKEN, TokenCase

RUNNER = "spiffe://demo.test/agent/runner"
BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SVID = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"


class Assertions(TokenCase, Case):
    def setUp(self):
        super().setUp()
        self.directory = self.made()
        self.signer = Signer("ES256", "runner-1", iss="runner", sub="runner")
        self.give_keys(self.signer)
        self.config = os.path.join(self.directory, "hsmint.yaml")
        edit(self.config, "    callers: [demo]\n    grants: [client_credentials, token_exchange]",
             "    callers: [demo, runner]\n    grants: [client_credentials, token_exchange]")
        edit(self.config, "audiences: [\"https://api.demo.test\", \"spiffe",
             "audiences: [\"https://*\", \"https://*/demo\", \"spiffe")
        edit(self.config, "  - name: approver ",
             "  - {name: runner, issuer: demo, jwks: runner.jwks, agent: \"%s\", uri: \"%s\", roles: [mint]}\n"
             "  - name: approver " % (RUNNER, RUNNER))
        self.service = start_serve(self.config, self.directory)
        self.addCleanup(self.stop)
        self.issuer = self.service.ask("GET", "/demo/.well-known/openid-configuration").json["issuer"]
        self.signer.claims["aud"] = self.issuer

    def stop(self):
        self.service.stop()

    def give_keys(self, *signers):
        with open(os.path.join(self.directory, "runner.jwks"), "w") as file:
            file.write(jwks(*signers))

    def ask(self, assertion, type=BEARER, **more):
        return self.token(self.service.tls(cert=False), client_assertion=assertion, client_assertion_type=type, **more)

    def assert_refused(self, answer):
        self.assert_error(answer, "invalid_client", "client_refused")
        self.assertEqual(answer.json["error_description"], "client_refused")

    def svid(self, **members):
        answer = self.service.mint(**{"profile": "demo-svid", "subject": RUNNER, "audience": self.issuer, **members})
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json["credential"]


class PrivateKeys(Assertions):
    def test_a_client_that_has_the_key_is_the_caller(self):
        answer = self.ask(self.signer.sign(), client_id="runner")
        self.assertEqual(self.credential(answer)[1]["sub"], RUNNER)
        self.assertEqual(self.credential(self.ask(self.signer.sign({"typ": "client-authentication+jwt"})))[1]["sub"],
                         RUNNER)
        found = self.service.command("ledger", "find", os.path.join(self.directory, "ledger"), "--agent", RUNNER)
        entries = [json.loads(line)["entry"] for line in found.stdout.splitlines()]
        self.assertEqual([entry["caller"] for entry in entries if entry["type"] == "credential"], ["runner"] * 2)

    def test_one_key_alone_needs_no_name(self):
        self.credential(self.ask(self.signer.sign({"kid": None})))
        self.give_keys(self.signer, Signer("ES384", "runner-2"))
        self.service.command("reload", "--control", self.service.control)
        self.credential(self.ask(self.signer.sign({"kid": None})))  # the other is for another algorithm
        self.give_keys(self.signer, Signer("ES256", "runner-2"))
        self.service.command("reload", "--control", self.service.control)
        wait_for(lambda: self.ask(self.signer.sign({"kid": None})).status == 400, "the second key")
        self.credential(self.ask(self.signer.sign()))
        for kid in ("", 1, [], False):
            self.assert_refused(self.ask(self.signer.sign({"kid": kid})))

    def test_a_refusal_is_recorded_as_the_clients_whoever_connects(self):
        body = urlencode({"grant_type": "client_credentials", "resource": AUDIENCE, "scope": "everything",
                          "client_assertion": self.signer.sign(), "client_assertion_type": BEARER})
        self.assertEqual(self.service.ask("POST", TOKEN, body, headers=FORM).status, 400)

        def told():
            found = self.service.command("ledger", "find", os.path.join(self.directory, "ledger"), "--type", "refused")
            return [json.loads(line)["entry"] for line in found.stdout.splitlines()]
        wait_for(told, "the entry")
        self.assertEqual([(entry["caller"], entry["code"]) for entry in told()], [("runner", "scope_not_allowed")])

    def test_what_is_not_the_clients_own_for_this_issuer_alone_is_refused(self):
        now = int(time.time())
        other = Signer("ES256", "runner-1", **self.signer.claims)
        for assertion in (
                other.sign(), self.signer.sign({"kid": "runner-2"}), self.signer.sign({"alg": "none"}),
                self.signer.sign({"jwk": self.signer.jwk()}), self.signer.sign({"crit": ["exp"]}),
                self.signer.sign({"typ": "at+jwt"}), self.signer.sign(iss="demo"), self.signer.sign(sub="demo"),
                self.signer.sign(iss="demo", sub="demo"), self.signer.sign(aud=self.issuer + "/oauth2/token"),
                self.signer.sign(aud=[self.issuer, "https://other.test"]), self.signer.sign(aud=None),
                self.signer.sign(jti=None), self.signer.sign(exp=None), self.signer.sign(exp=now - 31),
                self.signer.sign(exp=now + 400), self.signer.sign(iat=None, exp=now + 400),
                self.signer.sign(nbf=now + 60), self.signer.sign(iat=now + 60, exp=now + 90),
                self.signer.sign()[:-2], "x", "", "e30.e30.AA"):
            with self.subTest(assertion):
                self.assert_refused(self.ask(assertion))
        self.assert_refused(self.ask(self.signer.sign(), client_id="demo"))
        self.assert_refused(self.ask(self.signer.sign(), type=SVID))
        self.assert_refused(self.ask(self.signer.sign(), type=BEARER.replace("jwt", "saml2")))
        self.assert_refused(self.ask(self.signer.sign(), type=None))
        self.assert_refused(self.ask(None))
        self.assert_refused(self.ask(self.signer.sign(), client_secret="x"))
        metrics = self.service.ask("GET", "/metrics").body.decode()
        self.assertIn('{code="client_refused"} 29\n', metrics)
        self.credential(self.ask(self.signer.sign()))

    def test_a_connection_does_not_help_an_assertion_that_is_refused(self):
        answer = self.token(client_assertion=self.signer.sign(sub="demo"), client_assertion_type=BEARER)
        self.assert_refused(answer)
        answer = self.token(client_assertion=self.signer.sign(), client_assertion_type=BEARER)
        self.assertEqual(self.credential(answer)[1]["sub"], RUNNER)  # who asserts is who asks, whoever connects

    def test_each_is_good_once(self):
        assertion = self.signer.sign()
        self.credential(self.ask(assertion))
        self.assert_refused(self.ask(assertion))
        jti = self.signer.sign(jti="the same")
        self.credential(self.ask(jti))
        self.assert_refused(self.ask(self.signer.sign(jti="the same", exp=int(time.time()) + 90)))
        self.service.kill()
        self.service = start_serve(self.config, self.directory)
        self.assert_refused(self.ask(assertion))
        self.credential(self.ask(self.signer.sign()))

    def test_one_that_was_refused_for_what_it_asked_is_used_up_too(self):
        assertion = self.signer.sign()
        self.assert_error(self.ask(assertion, scope="everything"), "invalid_scope")
        self.assert_refused(self.ask(assertion))

    def test_of_many_that_come_at_once_one_is_taken(self):
        assertion, answers = self.signer.sign(), []
        threads = [threading.Thread(target=lambda: answers.append(self.ask(assertion))) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        good = [answer for answer in answers if answer.status == 200]
        self.assertEqual(len(good), 1, [answer.body for answer in answers])
        for answer in answers:
            if answer is not good[0]:
                self.assert_refused(answer)

    def test_keys_are_changed_by_a_reload(self):
        after = Signer("PS256", "runner-2", **self.signer.claims)
        self.assert_refused(self.ask(after.sign()))
        self.give_keys(after)
        self.service.command("reload", "--control", self.service.control)
        wait_for(lambda: self.ask(after.sign()).status == 200, "the new key")
        self.assert_refused(self.ask(self.signer.sign()))

    def test_discovery_says_how_clients_may_authenticate(self):
        metadata = self.service.ask("GET", "/demo/.well-known/openid-configuration").json
        self.assertEqual(metadata["token_endpoint_auth_methods_supported"],
                         ["tls_client_auth", "private_key_jwt", "spiffe_jwt"])
        for algorithm in metadata["token_endpoint_auth_signing_alg_values_supported"]:
            with self.subTest(algorithm):
                signer = Signer(algorithm, "runner-3", **self.signer.claims)
                self.give_keys(signer)
                self.service.command("reload", "--control", self.service.control)
                wait_for(lambda: self.ask(signer.sign()).status == 200, "the new key")


class Svids(Assertions):
    def test_a_jwt_svid_of_ours_is_good_once(self):
        svid = self.svid()
        self.assertEqual(self.credential(self.ask(svid, SVID))[1]["sub"], RUNNER)
        self.assert_refused(self.ask(svid, SVID))

    def test_one_that_was_used_makes_nobody_an_actor(self):
        subject, used, other = self.service.mint().json["credential"], self.svid(), self.svid()
        self.credential(self.ask(used, SVID))
        kind = "urn:ietf:params:oauth:token-type:"
        for actor, status in ((used, 400), (other, 200)):
            answer = self.token(grant_type="urn:ietf:params:oauth:grant-type:token-exchange", subject_token=subject,
                                subject_token_type=kind + "access_token", actor_token=actor,
                                actor_token_type=kind + "jwt")
            self.assertEqual(answer.status, status, answer.body)
        self.credential(self.ask(other, SVID))

    def test_what_is_no_svid_for_this_issuer_alone_is_refused(self):
        access = self.service.mint(subject=RUNNER).json["credential"]
        for svid in (self.svid(audience="https://api.demo.test"),
                     self.svid(audience=[self.issuer, "https://api.demo.test"]),
                     self.svid(subject="spiffe://demo.test/agent/other"), access, self.signer.sign()):
            self.assert_refused(self.ask(svid, SVID))

    def test_one_that_was_revoked_is_refused(self):
        svid, other = self.svid(), self.svid()
        path = os.path.join(self.work, "svid")
        with open(path, "w") as file:
            file.write(svid)
        self.service.command("revoke", "--token", path, "--control", self.service.control)
        self.assert_refused(self.ask(svid, SVID))
        self.credential(self.ask(other, SVID))


class Wrong(Case):
    def test_a_key_set_that_cannot_be_used_is_named_with_its_place(self):
        directory = self.made()
        config, keys = os.path.join(directory, "hsmint.yaml"), os.path.join(directory, "runner.jwks")
        edit(config, "  - name: approver ",
             "  - {name: runner, issuer: demo, jwks: runner.jwks, roles: [mint]}\n  - name: approver ")
        private = json.loads(jwks(Signer()))
        private["keys"][0]["d"] = "AA"
        for text in (None, "{}", "{\"keys\": []}", json.dumps(private), "[]", "x"):
            if text is not None:
                with open(keys, "w") as file:
                    file.write(text)
            checked = run([HSMINT, "check", "--config", config], check=False)
            self.assertEqual(checked.returncode, 1)
            self.assertRegex(checked.stderr, r"hsmint\.yaml:\d+: callers\.jwks: ")


    def test_whom_a_provider_proves_is_named_with_it(self):
        directory = self.made()
        config = os.path.join(directory, "hsmint.yaml")
        with open(os.path.join(directory, "ci.jwks"), "w") as file:
            file.write(jwks(Signer()))
        edit(config, "callers:\n  - name: demo\n",
             "trust:\n  - {name: ci, issuer: demo, provider: \"https://ci.test\", keys: ci.jwks}\n"
             "callers:\n  - {name: job, issuer: demo, roles: [mint], HERE}\n  - name: demo\n")
        before = read(config)
        for members, said in (("trust: ci", "trust and subject go together"), ("subject: x", "needs a uri"),
                              ("uid: 1, subject: x", "trust and subject go together"),
                              ("trust: ci, subject: \"*\"", "does not begin with"),
                              ("trust: ci, subject: \"*:x\"", "does not begin with"),
                              ("trust: other, subject: x", "trusts nobody of the name"),
                              ("trust: ci, subject: x}\n  - {name: again, issuer: demo, roles: [mint], "
                               "trust: ci, subject: x", "is the same caller as")):
            with open(config, "w") as file:
                file.write(before.replace("HERE", members))
            checked = run([HSMINT, "check", "--config", config], check=False)
            self.assertEqual(checked.returncode, 1, members)
            self.assertIn(said, checked.stderr)
        with open(config, "w") as file:
            file.write(before.replace("HERE", "trust: ci, subject: \"repo:x/*\""))
        run([HSMINT, "check", "--config", config])


if __name__ == "__main__":
    unittest.main()
