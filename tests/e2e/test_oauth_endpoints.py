# SPDX-License-Identifier: Apache-2.0
"""An issuer's endpoints beside the token's: introspection, revocation, authorization, as discovery names them."""
import unittest
from urllib.parse import urlencode, urlsplit

from harness import AUDIENCE, SharedCase

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
INTROSPECT, REVOKE, AUTHORIZE = ("/demo/oauth2/" + name for name in ("introspect", "revoke", "authorize"))
METADATA = "/demo/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/demo"


class Endpoints(SharedCase):
    def post(self, path, connection=None, **parameters):
        return self.service.ask("POST", path, urlencode(parameters), connection, FORM)

    def without_certificate(self):
        connection = self.service.tls(cert=False)
        self.addCleanup(connection.close)
        return connection

    def token(self):
        answer = self.post("/demo/oauth2/token", grant_type="client_credentials", resource=AUDIENCE)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json["access_token"]

    def shown(self, path, **parameters):
        answer = self.post(path, **parameters)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json

    def assert_error(self, answer, error, code, status=400):
        self.assertEqual((answer.status, answer.json["error"]), (status, error), answer.body)
        self.assertEqual(answer.headers["Content-Type"], "application/json")
        self.assertEqual(answer.json["error_description"].partition(":")[0], code)

    def test_a_token_is_shown_and_ended_by_who_says_its_name_and_a_hint_too(self):
        token = self.token()
        for more in ({}, {"client_id": "demo"}, {"client_id": "spiffe://demo.test/client"},
                     {"token_type_hint": "refresh_token"}, {"issuer": "other"}):
            self.assertIs(self.shown(INTROSPECT, token=token, **more)["active"], True, more)
        self.shown(REVOKE, token=token, client_id="demo", token_type_hint="access_token")
        self.assertEqual(self.shown(INTROSPECT, token=token), {"active": False})

    def test_what_is_no_token_is_not_active_and_ended_already(self):
        for text in ("x", "e30.e30.AA", self.token()[:-4] + "AAAA"):
            self.assertEqual(self.shown(INTROSPECT, token=text), {"active": False})
            self.assertEqual(self.post(REVOKE, token=text).status, 200)

    def test_what_is_refused_is_refused_in_the_words_of_oauth(self):
        for path in (INTROSPECT, REVOKE):
            self.assert_error(self.post(path), "invalid_request", "missing_member")
            self.assert_error(self.post(path, token="x", client_id="other"), "invalid_client", "client_refused")
            answer = self.post(path, self.without_certificate(), token="x")
            self.assert_error(answer, "invalid_client", "certificate_required")
            self.assert_error(self.service.ask("GET", path), "invalid_request", "method_not_allowed", 405)
            for other in ("/other", "/demo/x", "/demo/"):
                path_of_none = other + path[len("/demo"):]
                self.assert_error(self.post(path_of_none, token="x"), "invalid_request", "not_found", 404)

    def test_the_path_that_names_no_issuer_refuses_another_client_id_too(self):
        self.refused(self.post("/oauth2/introspect", token="x", client_id="other"), 400, "client_refused", "client_id")
        self.assertEqual(self.shown("/oauth2/introspect", token="x", client_id="demo"), {"active": False})

    def test_nobody_is_sent_to_log_in(self):
        query = urlencode({"response_type": "code", "client_id": "demo", "redirect_uri": "https://evil.test/",
                           "state": "x" * 2000})
        for answer in (self.service.ask("GET", AUTHORIZE), self.service.ask("GET", AUTHORIZE + "?" + query),
                       self.service.ask("GET", AUTHORIZE + "?" + query, connection=self.without_certificate()),
                       self.service.ask("POST", AUTHORIZE, query, self.without_certificate(), FORM)):
            self.assertEqual((answer.status, answer.json["error"]), (400, "unsupported_response_type"), answer.body)
            self.assertEqual((answer.headers["Location"], answer.headers["Cache-Control"]), (None, "no-store"))
        answer = self.service.ask("DELETE", AUTHORIZE)
        self.assertEqual((answer.status, answer.headers["Allow"]), (405, "GET, HEAD, POST"))
        self.assertEqual(self.service.ask("GET", "/other/oauth2/authorize?" + query).status, 404)

    def test_every_endpoint_of_the_metadata_is_there(self):
        for path in METADATA:
            metadata = self.service.ask("GET", path).json
            endpoints = {name: url for name, url in metadata.items() if name.endswith("_endpoint")}
            self.assertEqual(set(endpoints), {"authorization_endpoint", "introspection_endpoint", "revocation_endpoint",
                                              "token_endpoint"})
            for url in endpoints.values():
                self.assertTrue(url.startswith(metadata["issuer"] + "/oauth2/"))
                self.assertEqual(self.post(urlsplit(url).path).status, 400, url)
            for name in ("introspection", "revocation"):
                self.assertEqual(metadata[name + "_endpoint_auth_methods_supported"], ["tls_client_auth"])
            self.assertEqual((metadata["response_types_supported"], metadata["code_challenge_methods_supported"]),
                             ([], ["S256"]))
            self.assertNotIn("authorization_response_iss_parameter_supported", metadata)


if __name__ == "__main__":
    unittest.main()
