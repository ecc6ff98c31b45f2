# SPDX-License-Identifier: Apache-2.0
"""Two issuers in one service: nothing crosses between them."""
import os
import re
import signal
import unittest

from harness import AUDIENCE, SUBJECT, Case, decode, edit, read, start_serve, verify, wait_for
from token_admin import create_key


class Issuers(Case):
    def setUp(self):
        super().setUp()
        directory = self.made()
        config = self.config = os.path.join(directory, "hsmint.yaml")
        port = int(re.search(r"port: (\d+)", read(config)).group(1))
        create_key(directory, config, "other-access", "03")
        edit(config, "tokens:\n", '  - {name: other, url: "https://localhost:%d/other", trust_domain: other.test}\ntokens:\n' % port)
        edit(config, "profiles:\n", "  - {name: other-access, issuer: other, token: soft, label: other-access, id: \"03\", "
             "use: access-token}\nprofiles:\n"
             "  - name: other-access\n    issuer: other\n    kind: at+jwt\n    key: other-access\n"
             "    lifetime: {default: 300, maximum: 900}\n    audiences: ['https://api.demo.test']\n"
             "    subjects: ['spiffe://other.test/agent/*']\n    callers: [theirs]\n")
        with open(config, "a") as out:
            out.write("  - {name: theirs, issuer: other, uri: 'spiffe://demo.test/client', roles: [mint]}\n"
                      "  - {name: registrar, issuer: other, uid: %d, roles: [register]}\n" % os.geteuid())
        self.service = start_serve(config, directory)
        self.addCleanup(self.service.stop)
        self.service.command("agent", "add", "spiffe://other.test/agent/*", "--class", "--owner", "o@other.test", "--purpose",
                             "test", "--review", "1d", "--issuer", "other", "--control", self.service.control)
        edit(config, "  - {name: registrar, issuer: other, uid: %d, roles: [register]}\n" % os.geteuid(), "")
        self.service.command("reload", "--control", self.service.control)

    def mint_other(self, **members):
        wanted = {"profile": "other-access", "subject": "spiffe://other.test/agent/first", "audience": AUDIENCE}
        wanted.update(members)
        connection = self.service.tls()
        try:
            return self.service.mint(connection, **wanted)
        finally:
            connection.close()

    def test_introspection_and_revocation_at_an_issuers_path_are_about_that_issuer(self):
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        connection = self.service.tls()  # a caller of both
        self.addCleanup(connection.close)

        def ask(path, token, more=""):
            return self.service.ask("POST", path, "token=%s%s" % (token, more), connection, form)
        answer = self.service.ask("POST", "/other/oauth2/introspect", "token=x", headers=form)  # by one of demo's alone
        self.assertEqual((answer.status, answer.json),
                         (400, {"error": "invalid_client", "error_description": "unknown_caller"}))
        tokens = {"demo": self.service.mint().json["credential"], "other": self.mint_other().json["credential"]}
        self.refused(ask("/oauth2/introspect", tokens["demo"]), 400, "missing_member", "issuer")
        for issuer in tokens:
            another = "other" if issuer == "demo" else "demo"
            path = "/%s/oauth2/introspect" % issuer
            self.assertIs(ask(path, tokens[issuer], "&issuer=" + another).json["active"], True)
            self.assertEqual(ask(path, tokens[another]).json, {"active": False})
            self.assertEqual(ask("/%s/oauth2/revoke" % another, tokens[issuer]).status, 200)
            self.assertIs(ask(path, tokens[issuer]).json["active"], True, "it is for its own issuer to end it")
            self.assertEqual(ask("/%s/oauth2/revoke" % issuer, tokens[issuer]).status, 200)
            self.assertEqual(ask(path, tokens[issuer]).json, {"active": False})

    def test_each_has_its_own_keys_and_documents(self):
        ask = self.service.ask
        demo = ask("GET", "/demo/.well-known/jwks.json")
        other = ask("GET", "/other/.well-known/jwks.json")
        kids = [{key["kid"] for key in document.json["keys"]} for document in (demo, other)]
        self.assertEqual([len(kids[0]), len(kids[1])], [3, 1])
        self.assertFalse(kids[0] & kids[1])
        self.assertEqual(ask("GET", "/other/.well-known/openid-configuration").json["issuer"],
                         "https://localhost:%d/other" % self.service.port)
        self.assertEqual(ask("GET", "/other/spiffe/bundle.json").json["keys"], [])

        reply = self.mint_other()
        self.assertEqual(reply.status, 200, reply.body)
        payload = verify(reply.json["credential"], other.body, self.work)
        self.assertEqual(payload["iss"], "https://localhost:%d/other" % self.service.port)
        self.assertIn(decode(reply.json["credential"])[0]["kid"], kids[1])
        with self.assertRaises(AssertionError):
            verify(reply.json["credential"], demo.body, self.work)

    def test_a_caller_of_one_is_nobody_at_the_other(self):
        self.refused(self.service.mint(profile="other-access", subject="spiffe://other.test/agent/first"), 400,
                     "unknown_profile", "profile")
        answer = self.service.mint(profile="nowhere")
        self.refused(answer, 400, "unknown_profile", "profile")

    def test_an_agent_of_one_is_none_of_the_other(self):
        self.refused(self.mint_other(subject=SUBJECT), 403, "subject_not_allowed", "subject")
        self.refused(self.service.mint(subject="spiffe://other.test/agent/first"), 403, "subject_not_allowed", "subject")

    def test_an_issuer_that_is_taken_out_publishes_nothing_any_more(self):
        self.assertEqual(self.service.ask("GET", "/other/.well-known/jwks.json").status, 200)
        text = read(self.config)
        text = "".join(line for line in text.splitlines(True) if "issuer: other" not in line and "name: other," not in line)
        with open(self.config, "w") as out:
            out.write(re.sub(r"  - name: other-access\n(?:    .*\n)+", "", text))
        self.service.command("reload", "--control", self.service.control)
        for path in ("/other/.well-known/jwks.json", "/other/.well-known/openid-configuration", "/other/spiffe/bundle.json",
                     "/.well-known/oauth-authorization-server/other"):
            self.refused(self.service.ask("GET", path), 404, "not_found")
        self.assertEqual(self.service.ask("GET", "/demo/.well-known/jwks.json").status, 200)

    def test_metrics_tell_a_caller_of_its_own_issuers_alone(self):
        self.assertEqual(self.mint_other().status, 200)
        metrics = self.service.ask("GET", "/metrics").body.decode()
        self.assertIn('profile="demo-access"', metrics)
        self.assertNotIn("other-access", metrics)

    def test_who_audits_any_of_them_sees_the_ledgers_key(self):
        edit(self.config, "    uid: %d\n" % os.geteuid(), "")
        edit(self.config, "uri: 'spiffe://demo.test/client', roles: [mint]", "uid: %d, roles: [audit]" % os.geteuid())
        self.service.process.send_signal(signal.SIGHUP)
        answer = wait_for(lambda: (lambda a: a.status == 200 and b"demo-access" not in a.body and a)(
            self.service.ask("GET", "/v1/keys")), "the reload")
        self.assertEqual([key["name"] for key in answer.json["keys"]], ["demo-checkpoint", "other-access"])
        metrics = self.service.ask("GET", "/metrics").body.decode()
        self.assertEqual(re.findall(r'hsmint_key_reserve{issuer="(\w*)",key="([\w-]+)"}', metrics),
                         [("", "demo-checkpoint"), ("other", "other-access")])


if __name__ == "__main__":
    unittest.main()
