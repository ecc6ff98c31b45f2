# SPDX-License-Identifier: Apache-2.0
"""An MCP client and an MCP server, by MCP's own SDK, with hsmint as the authorization server between them."""
import json
import os
import re
import subprocess
import sys
import unittest
from urllib.parse import urlencode

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
from harness import AUDIENCE, Case, edit, read, start_serve  # noqa: E402
from made_jwt import Signer, jwks  # noqa: E402

AGENT = "spiffe://demo.test/agent/demo"
KEYED = "spiffe://demo.test/agent/keyed"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
VERIFIERS = "jose", "introspection"


class Mcp(Case):
    def setUp(self):
        super().setUp()
        directory = self.made()
        config = os.path.join(directory, "hsmint.yaml")
        self.issuer = re.search(r'url: "(https://[^"]+/demo)"', read(config)).group(1)
        tls = {name: os.path.join(directory, "tls", file) for name, file in
               (("ca", "ca.crt"), ("cert", "client.crt"), ("key", "client.key"))}
        self.tls = tls
        self.servers = {by: self.start_server(by) for by in VERIFIERS}
        edit(config, 'audiences: ["https://api.demo.test", "https://*.demo.test/mcp"]',
             "audiences: %s" % json.dumps([AUDIENCE, *self.servers.values()]))
        self.signer = Signer("ES256", "one")
        with open(os.path.join(directory, "keyed.jwks"), "w") as file:
            file.write(jwks(self.signer))
        edit(config, "    callers: [demo]\n    grants: [client_credentials, token_exchange]",
             "    callers: [demo, keyed]\n    grants: [client_credentials, token_exchange]")
        edit(config, "  - name: approver ", "  - {name: keyed, issuer: demo, jwks: keyed.jwks, agent: \"%s\", "
             "roles: [mint]}\n  - name: approver " % KEYED)
        self.service = start_serve(config, directory)
        self.addCleanup(self.service.stop)

    def start_server(self, by):
        process = subprocess.Popen(["node", os.path.join(HERE, "mcp_server.mjs"),
                                    json.dumps({"issuer": self.issuer, "by": by, **self.tls})],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait, 30)
        self.addCleanup(process.stdin.close)
        return json.loads(process.stdout.readline())["resource"]

    def call(self, server, token=None, **members):
        question = {"server": server, "token": token, **(members or self.tls)}
        result = subprocess.run(["node", os.path.join(HERE, "mcp_client.mjs")], input=json.dumps(question),
                                capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)

    def token(self, resource):
        body = urlencode({"grant_type": "client_credentials", "resource": resource, "scope": "read"})
        answer = self.service.ask("POST", "/demo/oauth2/token", body, headers=FORM)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json["access_token"]

    def test_a_client_that_knows_only_the_mcp_server_finds_its_way_and_calls_a_tool(self):
        for by, server in self.servers.items():
            with self.subTest(by):
                answer = self.call(server)
                self.assertEqual(answer.get("error"), None, answer)
                self.assertEqual(answer["told"], {"sub": AGENT, "client": AGENT, "scopes": ["read"]})
                self.assertIn(self.issuer + "/oauth2/token", answer["asked"])

    def test_a_client_with_a_key_and_no_certificate_does_so_too(self):
        for by, server in self.servers.items():
            with self.subTest(by):
                answer = self.call(server, ca=self.tls["ca"], jwk=self.signer.private_jwk())
                self.assertEqual(answer.get("error"), None, answer)
                self.assertEqual(answer["told"], {"sub": KEYED, "client": KEYED, "scopes": ["read"]})
        other = Signer("ES256", "one").private_jwk()
        self.assertNotEqual(self.call(server, ca=self.tls["ca"], jwk=other).get("error"), None)

    def test_a_token_for_somebody_else_is_refused(self):
        for by, server in self.servers.items():
            with self.subTest(by):
                self.assertEqual(self.call(server, self.token(server))["told"]["sub"], AGENT)
                for other in (AUDIENCE, *(one for one in self.servers.values() if one != server)):
                    self.assertEqual(self.call(server, self.token(other)).get("error"), 401)

    def test_one_that_was_revoked_is_refused_by_who_introspects(self):
        server = self.servers["introspection"]
        token = self.call(server)["token"]
        self.assertEqual(self.call(server, token)["told"]["sub"], AGENT)
        answer = self.service.ask("POST", "/demo/oauth2/revoke", urlencode({"token": token}), headers=FORM)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(self.call(server, token).get("error"), 401)


if __name__ == "__main__":
    unittest.main()
