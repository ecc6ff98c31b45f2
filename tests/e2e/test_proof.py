# SPDX-License-Identifier: Apache-2.0
"""Proof of possession at the token endpoint: credentials bound to a key by DPoP (RFC 9449) or mutual TLS (RFC 8705)."""
import base64
import hashlib
import json
import os
import ssl
import time
import unittest

import frames
from certificates import Authority, spki_sha256
from dpop_proof import Prover
from harness import AUDIENCE, HSMINT, Case, SharedCase, decode, edit, run, start_serve
from made_jwt import Signer, base64url, jwks
from test_token_endpoint import AGENT, FORM, TOKEN, TokenCase
from test_wrong_children import WrongChild

GRANTS = "    callers: [demo]\n    grants: [client_credentials, token_exchange]"
BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def der_of(path):
    with open(path) as file:
        return ssl.PEM_cert_to_DER_cert(file.read())


def certificate_thumbprint(path):
    """RFC 8705, section 3.1."""
    return base64url(hashlib.sha256(der_of(path)).digest())


def spki_of(path):
    return base64.urlsafe_b64decode(spki_sha256(path) + "=")


class ProofCase(TokenCase):
    def ask(self, prover=None, proof=None, connection=None, **parameters):
        """With a proof of the prover's, or this one."""
        headers = {"DPoP": proof or prover.proof()} if proof or prover else {}
        answer = self.token(connection, headers=headers, **parameters)
        if prover and "DPoP-Nonce" in answer.headers:
            prover.nonce = answer.headers["DPoP-Nonce"]
        return answer

    def prover(self, algorithm="ES256"):
        """One that knows the nonce."""
        prover = Prover(self.service, algorithm)
        self.assert_error(self.ask(prover), "use_dpop_nonce", "use_dpop_nonce")
        self.assertTrue(prover.nonce)
        return prover

    def assert_bound(self, answer, cnf, token_type="DPoP"):
        claims = self.credential(answer)[1]
        self.assertEqual((claims.get("cnf"), answer.json["token_type"]), (cnf, token_type))
        return claims

    def entry(self, answer):
        found = self.service.command("ledger", "find", os.path.join(self.service.directory, "ledger"), "--agent", AGENT)
        entry, = [line["entry"] for line in map(json.loads, found.stdout.splitlines())
                  if line["index"] == answer.json["ledger"]["index"]]
        return entry


class Dpop(ProofCase, SharedCase):
    def test_a_bound_token_is_exchanged_by_who_proves_its_key_alone(self):
        prover, other = self.prover(), self.prover("PS256")
        token = self.ask(prover, scope="read write").json["access_token"]
        exchange = {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token": token,
                    "subject_token_type": "urn:ietf:params:oauth:token-type:access_token", "scope": "read"}
        self.assert_error(self.ask(**exchange), "invalid_request", "token_refused")
        self.assert_error(self.ask(other, **exchange), "invalid_request", "token_refused")
        self.assertEqual(self.assert_bound(self.ask(prover, **exchange), {"jkt": prover.jkt})["act"], {"sub": AGENT})

    def minted(self):
        metrics = self.service.ask("GET", "/metrics").body.decode()
        return [line for line in metrics.splitlines() if line.startswith("hsmint_minted_total")]

    def test_a_token_is_bound_to_the_key_of_the_proof_that_came_with_the_request(self):
        for algorithm in ("ES256", "ES384", "PS256", "RS256", "EdDSA"):
            prover = self.prover(algorithm)
            answer = self.ask(prover)
            self.assert_bound(answer, {"jkt": prover.jkt})
            self.assertTrue(answer.headers["DPoP-Nonce"])
            self.assertEqual(self.entry(answer)["cnf"], {"jkt": prover.jkt})

    def test_it_is_so_over_the_unix_socket_too(self):
        prover = self.prover()
        self.assert_bound(self.ask(prover, connection=self.service.unix()), {"jkt": prover.jkt})

    def test_without_a_proof_it_is_bound_to_nothing(self):
        answer = self.ask()
        self.assert_bound(answer, None, "Bearer")
        self.assertNotIn("DPoP-Nonce", answer.headers)
        self.assertNotIn("cnf", self.entry(answer))

    def test_what_is_wrong_with_a_proof_is_told_and_nothing_is_struck(self):
        prover, other = self.prover(), Signer("ES256")
        private = dict(prover.jwk, d=base64url(b"x" * 32))
        now = int(time.time())
        before = self.minted()
        for header, claims in (({}, {"htu": prover.htu + "/"}), ({}, {"htu": prover.htu.replace("/demo", "/other")}),
                               ({}, {"htu": prover.htu.replace("https", "http")}), ({}, {"htu": None}),
                               ({}, {"htm": "GET"}), ({}, {"htm": "post"}), ({}, {"htm": None}),
                               ({}, {"iat": now - 90}), ({}, {"iat": now + 90}), ({}, {"jti": None}),
                               ({"jwk": private}, {}), ({"jwk": None}, {}), ({"typ": "JWT"}, {}), ({"typ": None}, {}),
                               ({"alg": "none"}, {}), ({"alg": "HS256"}, {}), ({"alg": "ES384"}, {}),
                               ({"jwk": {**other.jwk()}}, {}), ({"x5c": []}, {})):
            with self.subTest(header=header, claims=claims):
                answer = self.ask(proof=prover.proof(header, **claims))
                self.assert_error(answer, "invalid_dpop_proof", "invalid_dpop_proof")
                self.assertTrue(answer.headers["DPoP-Nonce"])
        self.assert_error(self.ask(proof="x"), "invalid_dpop_proof", "invalid_dpop_proof")
        self.assertEqual(self.minted(), before)
        self.assert_bound(self.ask(prover), {"jkt": prover.jkt})

    def test_a_proof_is_good_once(self):
        prover = self.prover()
        proof = prover.proof()
        self.assert_bound(self.ask(proof=proof), {"jkt": prover.jkt})
        self.assert_error(self.ask(proof=proof), "invalid_dpop_proof", "invalid_dpop_proof")

    def test_another_nonce_than_ours_is_answered_with_ours(self):
        prover = self.prover()
        for nonce in (None, "", "AAAAAAAAAAAAAAAAAAAAAA", prover.nonce[:-1]):
            answer = self.ask(proof=prover.proof(nonce=nonce))
            self.assert_error(answer, "use_dpop_nonce", "use_dpop_nonce")
            self.assertEqual(answer.headers["Cache-Control"], "no-store")
            prover.nonce = answer.headers["DPoP-Nonce"]
        self.assert_bound(self.ask(prover), {"jkt": prover.jkt})

    def test_who_is_not_authenticated_uses_up_no_proof(self):
        prover = self.prover()
        proof = prover.proof()
        answer = self.ask(proof=proof, connection=self.service.tls(cert=False))
        self.assert_error(answer, "invalid_client", "client_refused")
        self.assertNotIn("DPoP-Nonce", answer.headers)
        self.assert_bound(self.ask(proof=proof), {"jkt": prover.jkt})

    def test_two_proofs_are_none(self):
        prover = self.prover()
        connection = self.service.tls()
        connection.putrequest("POST", TOKEN)
        body = b"grant_type=client_credentials&resource=" + AUDIENCE.encode()
        for name, value in {**FORM, "Content-Length": str(len(body))}.items():
            connection.putheader(name, value)
        for _ in range(2):
            connection.putheader("DPoP", prover.proof())
        connection.endheaders(body)
        response = connection.getresponse()
        self.assertEqual((response.status, json.loads(response.read())["error"]), (400, "invalid_request"))
        connection.close()

    def test_introspection_says_what_a_token_is_bound_to(self):
        prover = self.prover()
        for asked, cnf, token_type in ((prover, {"jkt": prover.jkt}, "DPoP"), (None, None, "Bearer")):
            token = self.ask(asked).json["access_token"]
            answer = self.service.ask("POST", "/oauth2/introspect", "token=" + token, headers=FORM)
            self.assertEqual((answer.json["active"], answer.json.get("cnf"), answer.json["token_type"]),
                             (True, cnf, token_type))

    def test_discovery_names_the_algorithms(self):
        for path in ("/demo/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/demo"):
            metadata = self.service.ask("GET", path).json
            self.assertEqual(metadata["dpop_signing_alg_values_supported"],
                             ["ES256", "ES384", "PS256", "RS256", "Ed25519", "EdDSA"])
            self.assertNotIn("tls_client_certificate_bound_access_tokens", metadata)


class Configured(ProofCase, Case):
    def begin(self):
        self.directory = self.made()
        self.config = os.path.join(self.directory, "hsmint.yaml")

    def start(self):
        self.service = start_serve(self.config, self.directory)
        self.addCleanup(lambda: self.service.stop())

    def serve(self, proof):
        """With one profile for the token endpoint."""
        self.begin()
        edit(self.config, GRANTS, GRANTS + proof)
        edit(self.config, "    grants: [client_credentials]\n", "")
        self.start()

    def test_what_is_approved_is_approved_for_one_key(self):
        self.begin()
        edit(self.config, GRANTS, GRANTS.partition("\n")[0])  # that no other profile refuses it first
        self.start()
        prover, other = self.prover(), self.prover()
        task = json.loads(self.service.command("task", "open", "--control", self.service.control, "--agent", AGENT,
                                               "--purpose", "testing", "--json").stdout)["id"]
        wanted = {"scope": "admin", "task": task}
        answer = self.ask(prover, **wanted)
        self.assert_error(answer, "authorization_pending")
        approval = answer.json["approval"]["id"]
        shown = self.service.ask("GET", "/v1/approvals/" + approval).json
        self.assertEqual(shown["request"]["key"], prover.jkt)
        canonical = json.dumps(shown["request"], sort_keys=True, separators=(",", ":"))
        self.assertEqual(shown["hash"], base64url(hashlib.sha256(canonical.encode()).digest()))
        tls = os.path.join(self.service.directory, "tls")
        run([HSMINT, "approve", "grant", approval, "--url", self.service.ready["url"], "--ca", self.service.ready["ca"],
             "--cert", os.path.join(tls, "approver.crt"), "--key", os.path.join(tls, "approver.key")])
        wanted["approval"] = approval
        self.assert_error(self.ask(other, **wanted), "invalid_request", "approval_mismatch")
        self.assert_error(self.ask(**wanted), "invalid_request", "approval_mismatch")
        self.assert_bound(self.ask(prover, **wanted), {"jkt": prover.jkt})

    def test_a_nonce_of_another_process_is_refused_and_so_is_what_was_used_there(self):
        self.serve("")
        prover = self.prover()
        proof, nonce = prover.proof(), prover.nonce
        self.assert_bound(self.ask(proof=proof), {"jkt": prover.jkt})
        self.service.stop()
        self.service = start_serve(self.config, self.directory)
        for again in (proof, prover.proof(nonce=nonce)):
            answer = self.ask(proof=again)
            self.assert_error(answer, "use_dpop_nonce", "use_dpop_nonce")
        prover.nonce = answer.headers["DPoP-Nonce"]
        self.assertNotEqual(prover.nonce, nonce)
        self.assert_bound(self.ask(prover), {"jkt": prover.jkt})

    def test_a_profile_that_wants_dpop_gives_nothing_without_it(self):
        self.serve("\n    proof: [dpop]")
        self.assert_error(self.ask(), "invalid_request", "key_proof_required")
        prover = self.prover()
        self.assert_bound(self.ask(prover), {"jkt": prover.jkt})
        self.refused(self.service.mint(), 403, "key_proof_required")
        item = {"kind": "jwt", "profile": "demo-access", "subject": AGENT, "audience": AUDIENCE}
        reply, = self.service.ask("POST", "/v1/mint/batch", {"requests": [item]}).json["replies"]
        self.assertEqual(reply["code"], "key_proof_required")

    def test_a_profile_that_wants_mutual_tls_binds_to_the_certificate_of_the_connection(self):
        self.serve("\n    proof: [mtls]")
        cnf = {"x5t#S256": certificate_thumbprint(self.service.ready["cert"])}
        answer = self.ask()
        self.assert_bound(answer, cnf, "Bearer")
        self.assertEqual(self.entry(answer)["cnf"], cnf)
        said = self.service.ask("POST", "/oauth2/introspect", "token=" + answer.json["access_token"], headers=FORM).json
        self.assertEqual((said["cnf"], said["token_type"]), (cnf, "Bearer"))
        self.assert_error(self.ask(connection=self.service.unix()), "invalid_request", "key_proof_required")
        prover = self.prover()
        self.assert_error(self.ask(prover), "invalid_request", "key_proof_required")
        self.refused(self.service.mint(), 403, "key_proof_required")
        connection = self.service.tls()
        asked = {"profile": "demo-access", "subject": AGENT, "audience": AUDIENCE}
        self.refused(self.service.ask("POST", "/v1/mint/jwt", asked, connection), 403, "key_proof_required")
        connection.close()
        metadata = self.service.ask("GET", "/demo/.well-known/openid-configuration").json
        self.assertIs(metadata["tls_client_certificate_bound_access_tokens"], True)

    def test_a_renewed_certificate_of_the_same_caller_is_another_key(self):
        self.serve("\n    proof: [mtls]")
        name = run(["openssl", "x509", "-in", self.service.ready["cert"], "-noout", "-ext", "subjectAltName"]).stdout
        uri = name[name.index("URI:"):].split()[0].strip(",")
        other = Authority(self.work, "ca", made_by_dev=self.directory).issue("other", [uri])
        self.assert_bound(self.ask(connection=self.service.tls(other)), {"x5t#S256": certificate_thumbprint(other[0])},
                          "Bearer")

    def test_of_a_profile_that_takes_either_a_proof_that_is_sent_is_what_counts(self):
        self.serve("\n    proof: [dpop, mtls]")
        self.assert_bound(self.ask(), {"x5t#S256": certificate_thumbprint(self.service.ready["cert"])}, "Bearer")
        prover = self.prover()
        self.assert_bound(self.ask(prover), {"jkt": prover.jkt})
        self.assert_error(self.ask(connection=self.service.unix()), "invalid_request", "key_proof_required")

    def test_the_certificate_of_who_carries_an_assertion_binds_nothing(self):
        runner = Signer("ES256", "one", iss="runner", sub="runner")
        self.begin()
        with open(os.path.join(self.directory, "runner.jwks"), "w") as file:
            file.write(jwks(runner))
        edit(self.config, GRANTS, GRANTS.replace("[demo]", "[demo, runner]") + "\n    proof: [dpop, mtls]")
        edit(self.config, "  - name: approver ",
             "  - {name: runner, issuer: demo, jwks: runner.jwks, agent: \"%s\", roles: [mint]}\n"
             "  - name: approver " % AGENT)
        self.start()
        issuer = self.service.ask("GET", "/demo/.well-known/openid-configuration").json["issuer"]

        def assertion(**more):
            return {"client_assertion": runner.sign(aud=issuer, **more), "client_assertion_type": BEARER}
        self.assert_error(self.ask(**assertion()), "invalid_request", "key_proof_required")
        prover, once = Prover(self.service), assertion()
        self.assert_error(self.ask(prover, **once), "use_dpop_nonce")  # before the assertion is used up
        proof = prover.proof()  # good once, and yet for a request that waits for the store
        self.assert_bound(self.ask(proof=proof, **once), {"jkt": prover.jkt})
        self.assert_error(self.ask(proof=proof, **assertion()), "invalid_dpop_proof", "invalid_dpop_proof")
        self.assert_error(self.ask(prover, **once), "invalid_client", "client_refused")

    def test_an_exchange_is_bound_to_the_certificate_of_who_acts_and_of_no_broker(self):
        self.begin()
        edit(self.config, GRANTS, GRANTS + "\n    proof: [dpop, mtls]")
        edit(self.config, "audiences: [\"https://api.demo.test\", \"spiffe", "audiences: [\"https://*/demo\", \"spiffe")
        self.start()
        issuer = self.service.ask("GET", "/demo/.well-known/openid-configuration").json["issuer"]
        kind = "urn:ietf:params:oauth:token-type:"
        task = {"ref": "x", "purpose": "testing"}
        subject = self.service.mint(profile="demo-task", subject=AGENT + "-other", task=task)
        actor = self.service.mint(profile="demo-svid", subject=AGENT + "-actor", audience=issuer)
        asked = {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
                 "subject_token": subject.json["credential"], "subject_token_type": kind + "access_token"}
        self.assert_bound(self.ask(**asked), {"x5t#S256": certificate_thumbprint(self.service.ready["cert"])}, "Bearer")
        asked.update(actor_token=actor.json["credential"], actor_token_type=kind + "jwt")
        self.assert_error(self.ask(**asked), "invalid_request", "key_proof_required")
        prover = self.prover()
        answer = self.ask(prover, **asked)
        self.assertEqual(self.assert_bound(answer, {"jkt": prover.jkt})["act"]["sub"], AGENT + "-actor")
        asked["subject_token"] = answer.json["access_token"]  # bound, and nobody takes it from whom it is bound to
        self.assert_error(self.ask(self.prover(), **asked), "invalid_request", "token_refused")


class LyingGate(WrongChild):
    """A gate that was taken over has mint bind to no certificate but to one of the caller whom it names."""

    def test_a_certificate_is_of_the_caller_or_binds_nothing(self):
        self.serve_with("hsmint-gate", lambda config: edit(config, GRANTS, GRANTS + "\n    proof: [mtls]"))
        cert, uri = self.service.ready["cert"], "spiffe://demo.test/client"
        trusted = Authority(self.work, "ca", made_by_dev=self.service.directory)
        other = trusted.issue("other", ["URI:" + uri + "/other"])[0]
        invented = Authority(self.work, "own").issue("invented", ["URI:" + uri])[0]
        true = frames.certificate_caller(uri, spki_of(cert))
        call = {"method": "POST", "target": TOKEN, "is_form": True,
                "body": "grant_type=client_credentials&resource=" + AUDIENCE}
        cases = [(frames.certificate_caller(uri, spki_of(name)), der_of(name)) for name in (other, invented)]
        cases += [(true, der_of(other)), (true, b""), (true, b"x"), (frames.certificate_caller(uri), der_of(cert)),
                  (true, der_of(cert))]
        answers = self.ask([(frames.TOKEN, caller, {**call, "certificates": sent.hex()}) for caller, sent in cases])
        told = [json.loads(body) for _, body in answers]
        self.assertEqual([answer.get("error_description") for answer in told], ["certificate_refused"] * 6 + [None])
        self.assertEqual(decode(told[-1]["access_token"])[1]["cnf"], {"x5t#S256": certificate_thumbprint(cert)})


if __name__ == "__main__":
    unittest.main()
