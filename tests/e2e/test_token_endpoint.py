# SPDX-License-Identifier: Apache-2.0
"""The OAuth token endpoint: the grant of client credentials, who gets what by it, and refusals in OAuth's words."""
import json
import os
import unittest
from urllib.parse import urlencode

from harness import AUDIENCE, Case, SharedCase, decode, edit, read, start_serve, verify

TOKEN = "/demo/oauth2/token"
AGENT = "spiffe://demo.test/agent/demo"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class TokenCase:
    def token(self, connection=None, path=TOKEN, headers=None, **parameters):
        form = {"grant_type": "client_credentials", "resource": AUDIENCE, **parameters}
        body = urlencode([(name, value) for name, values in form.items() if values is not None
                          for value in (values if isinstance(values, list) else [values])])
        connection = connection or self.service.tls()
        try:
            return self.service.ask("POST", path, body, connection, {**FORM, **(headers or {})})
        finally:
            connection.close()

    def assert_error(self, answer, error, code=None, status=400):
        self.assertEqual((answer.status, answer.json["error"]), (status, error), answer.body)
        self.assertEqual(answer.headers["Cache-Control"], "no-store")
        if code:
            self.assertEqual(answer.json["error_description"].partition(":")[0], code)
        self.assertEqual(self.service.leaks(answer.body.decode()), [])

    def credential(self, answer):
        self.assertEqual(answer.status, 200, answer.body)
        jwks = self.service.ask("GET", "/demo/.well-known/jwks.json").body
        verify(answer.json["access_token"], jwks, self.work)
        return decode(answer.json["access_token"])


class ClientCredentials(TokenCase, SharedCase):
    def test_a_client_gets_a_token_for_the_agent_that_it_is(self):
        for connection in (self.service.tls(), self.service.unix()):
            answer = self.token(connection, scope="read write", client_id="demo")
            header, claims = self.credential(answer)
            self.assertEqual(set(answer.json), {"access_token", "token_type", "expires_in", "ledger"})
            self.assertEqual((answer.json["token_type"], answer.json["expires_in"]), ("Bearer", 300))
            self.assertEqual(answer.headers["Cache-Control"], "no-store")
            self.assertEqual(header["typ"], "at+jwt")
            self.assertEqual((claims["sub"], claims["client_id"], claims["aud"], claims["scope"]),
                             (AGENT, AGENT, AUDIENCE, "read write"))

    def test_resource_and_audience_name_whom_it_is_for(self):
        other = "https://tools.demo.test/mcp"
        for names, expected in (({"resource": [AUDIENCE, other]}, [AUDIENCE, other]),
                                ({"resource": None, "audience": AUDIENCE}, AUDIENCE),
                                ({"resource": AUDIENCE, "audience": other}, [AUDIENCE, other])):
            self.assertEqual(self.credential(self.token(**names))[1]["aud"], expected)

    def test_its_entry_in_the_ledger_says_by_which_grant_it_came(self):
        answer = self.token()
        index = answer.json["ledger"]["index"]
        found = self.service.command("ledger", "find", os.path.join(self.service.directory, "ledger"), "--agent", AGENT)
        entry, = [line["entry"] for line in map(json.loads, found.stdout.splitlines()) if line["index"] == index]
        self.assertEqual((entry["grant"], entry["caller"], entry["subject"]), ("client_credentials", "demo", AGENT))

    def test_a_task_is_named_by_its_id_and_what_has_ended_is_refused(self):
        task = json.loads(self.service.command("task", "open", "--control", self.service.control, "--agent", AGENT,
                                               "--purpose", "testing", "--json").stdout)["id"]
        answer = self.token(scope="admin read", task=task)
        self.assert_error(answer, "authorization_pending")
        self.assertEqual(set(answer.json["approval"]), {"id", "hash", "expires_at"})
        answer = self.token(task=task, scope="read")
        self.assertEqual(self.credential(answer)[1]["task"], task)
        self.assertEqual(answer.json["task"], task)
        self.service.command("task", "complete", task, "--control", self.service.control)
        self.assert_error(self.token(task=task, scope="read"), "invalid_request", "task_ended")

    def test_what_is_refused_is_refused_in_the_words_of_oauth(self):
        for parameters, error, code in (
                ({"grant_type": None}, "invalid_request", "missing_member"),
                ({"grant_type": ""}, "invalid_request", "missing_member"),
                ({"grant_type": "password"}, "unsupported_grant_type", "grant_not_offered"),
                ({"grant_type": "refresh_token"}, "unsupported_grant_type", "grant_not_offered"),
                ({"grant_type": ["client_credentials"] * 2}, "invalid_request", "duplicate_member"),
                ({"scope": ["read", "write"]}, "invalid_request", "duplicate_member"),
                ({"scope": "read everything"}, "invalid_scope", "scope_not_allowed"),
                ({"scope": "read  write"}, "invalid_scope", "invalid_scope"),
                ({"resource": None}, "invalid_target", "invalid_audience"),
                ({"resource": ""}, "invalid_target", "invalid_audience"),
                ({"resource": "https://evil.test"}, "invalid_target", "audience_not_allowed"),
                ({"resource": AUDIENCE + "#part"}, "invalid_target", "invalid_audience"),
                ({"resource": "api"}, "invalid_target", "invalid_audience"),
                ({"resource": [AUDIENCE, AUDIENCE]}, "invalid_target", "invalid_audience"),
                ({"resource": [AUDIENCE, "https://evil.test"]}, "invalid_target", "audience_not_allowed"),
                ({"authorization_details": "[]"}, "invalid_authorization_details", "details_not_offered"),
                ({"client_id": "somebody"}, "invalid_client", "client_refused"),
                ({"client_secret": "x"}, "invalid_client", "client_refused"),
                ({"client_assertion": "e30.e30.AA"}, "invalid_client", "client_refused"),
                ({"task": "AAAAAAAAAAAAAAAAAAAAAA"}, "invalid_request", "unknown_task")):
            with self.subTest(parameters):
                self.assert_error(self.token(**parameters), error, code)
        self.assertEqual(self.token(unknown="x", nothing="").status, 200)  # RFC 6749, section 3.2

    def test_a_client_that_proves_nothing_is_told_nothing(self):
        answer = self.token(self.service.tls(cert=False))
        self.assert_error(answer, "invalid_client", "client_refused")
        self.assertEqual(answer.json["error_description"], "client_refused")
        answer = self.token(self.service.tls(cert=(os.path.join(self.service.directory, "tls", "approver.crt"),
                                                   os.path.join(self.service.directory, "tls", "approver.key"))))
        self.assert_error(answer, "unauthorized_client", "grant_not_allowed")

    def test_paths_that_are_no_issuers(self):
        for path in ("/oauth2/token", "/other/oauth2/token", "/demo/x/oauth2/token", "/demo//oauth2/token"):
            self.assert_error(self.token(path=path), "invalid_request", "not_found", 404)

    def test_discovery_names_it(self):
        for path in ("/demo/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/demo"):
            metadata = self.service.ask("GET", path).json
            self.assertEqual(metadata["token_endpoint"], metadata["issuer"] + "/oauth2/token")
            self.assertEqual(metadata["grant_types_supported"],
                             ["client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"])
            self.assertEqual(metadata["token_endpoint_auth_methods_supported"], ["tls_client_auth", "spiffe_jwt"])

    def test_an_agent_that_is_suspended_gets_none(self):
        self.credential(self.token())
        agents = self.service.ask("GET", "/v1/agents?spiffe_id=" + AGENT).json["agents"]
        self.service.command("agent", "suspend", agents[0]["id"], "--control", self.service.control)
        self.assert_error(self.token(), "unauthorized_client", "agent_suspended")
        self.service.command("agent", "resume", agents[0]["id"], "--control", self.service.control)
        self.credential(self.token())


class Configured(TokenCase, Case):
    def serve(self, *edits):
        directory = self.made()
        config = os.path.join(directory, "hsmint.yaml")
        for old, new in edits:
            edit(config, old, new)
        self.service = start_serve(config, directory)
        self.addCleanup(self.service.stop)

    def test_a_profile_offers_no_grant_that_it_does_not_name(self):
        directory = self.made()
        config = os.path.join(directory, "hsmint.yaml")
        text = read(config)
        with open(config, "w") as out:
            out.write("\n".join(line for line in text.split("\n") if "grants:" not in line))
        self.service = start_serve(config, directory)
        self.addCleanup(self.service.stop)
        self.assert_error(self.token(), "unauthorized_client", "grant_not_allowed")
        self.assertNotIn("token_endpoint", self.service.ask("GET", "/demo/.well-known/openid-configuration").json)

    def test_of_several_profiles_the_first_that_allows_it_and_what_the_first_refuses_is_told(self):
        self.serve(("lifetime: {default: 300, maximum: 900}\n    audiences: [\"https://api.demo.test\"]",
                    "lifetime: {default: 200, maximum: 900}\n    audiences: [\"https://api.demo.test\"]"))
        task = self.service.ask("POST", "/v1/tasks", {"agent": AGENT, "purpose": "testing"}).json["id"]
        self.assertEqual(self.token(scope="write").json["expires_in"], 300)
        self.assert_error(self.token(scope="admin"), "invalid_scope", "scope_not_allowed")
        self.assert_error(self.token(scope="admin", task=task), "authorization_pending")

    def test_a_caller_that_is_no_agent_has_none(self):
        self.serve(("    agent: \"spiffe://demo.test/agent/demo\"", "    #"))
        self.assert_error(self.token(), "unauthorized_client", "subject_not_allowed")
        self.assert_error(self.token(self.service.unix()), "unauthorized_client", "subject_not_allowed")


if __name__ == "__main__":
    unittest.main()
