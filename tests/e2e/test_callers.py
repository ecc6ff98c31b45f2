# SPDX-License-Identifier: Apache-2.0
"""Who may call: certificates good and bad, roles, Unix users."""
import http.client
import json
import os
import shutil
import socket
import ssl
import sys
import tempfile
import unittest

from certificates import Authority, spki_sha256
from harness import AUDIENCE, BUILD, HSMINT, PATIENCE, SUBJECT, Case, edit, read, run, start_dev, start_serve

CLIENT = "URI:spiffe://demo.test/client"


class Certificates(Case):
    """One service that knows its own client by URI and another by its key."""

    @classmethod
    def setUpClass(cls):
        cls.shared = tempfile.mkdtemp(prefix="hsmint-")
        directory = os.path.join(cls.shared, "dev")
        start_dev(directory).stop()
        cls.ca = Authority(cls.shared, "ca", made_by_dev=directory)
        cls.foreign = Authority(cls.shared, "foreign")
        cls.by_key = cls.ca.issue("by-key", [])
        config = os.path.join(directory, "hsmint.yaml")
        edit(config, "    callers: [demo]\n", "    callers: [demo, keyed, auditless]\n")
        with open(config, "a") as out:
            out.write("  - {name: keyed, issuer: demo, spki: %s, roles: [mint]}\n" % spki_sha256(cls.by_key[0]))
            out.write("  - {name: auditless, issuer: demo, uri: 'spiffe://demo.test/reader', roles: [task]}\n")
            out.write("  - {name: stranger, issuer: demo, uri: 'spiffe://demo.test/stranger', roles: [mint]}\n")
        cls.service = start_serve(config, directory)

    @classmethod
    def tearDownClass(cls):
        cls.service.stop()
        shutil.rmtree(cls.shared, True)

    def mint_with(self, pair):
        connection = self.service.tls(pair)
        try:
            return self.service.mint(connection)
        finally:
            connection.close()

    def test_the_callers_own_certificate_is_served(self):
        self.assertEqual(self.mint_with(True).status, 200)

    def test_a_caller_known_by_its_key_is_served(self):
        self.assertEqual(self.mint_with(self.by_key).status, 200)

    def test_no_certificate(self):
        answer = self.mint_with(None)
        self.refused(answer, 401, "certificate_required")
        self.assertNotIn("WWW-Authenticate", answer.headers)

    def refuse(self, pair):
        self.refused(self.mint_with(pair), 403, "certificate_refused")

    def test_an_expired_certificate(self):
        self.refuse(self.ca.issue("expired", [CLIENT], begin="20200101000000Z", end="20200201000000Z"))

    def test_a_certificate_that_is_not_valid_yet(self):
        self.refuse(self.ca.issue("early", [CLIENT], begin="20900101000000Z", end="20900201000000Z"))

    def test_a_certificate_of_a_foreign_ca(self):
        self.refuse(self.foreign.issue("foreign-client", [CLIENT]))

    def test_a_certificate_signed_by_itself(self):
        own = Authority(self.work, "own", usage="digitalSignature")
        self.refuse((own.cert, own.key))

    def test_a_certificate_with_two_uris(self):
        self.refuse(self.ca.issue("two", [CLIENT, "URI:spiffe://demo.test/other"]))

    def test_a_certificate_with_the_same_uri_twice(self):
        self.refuse(self.ca.issue("twice", [CLIENT, CLIENT]))

    def test_a_certificate_for_servers(self):
        self.refuse(self.ca.issue("server-only", [CLIENT], usage="serverAuth"))

    def test_a_ca_does_not_call(self):
        """SPIFFE X.509-SVID, section 5: never authenticate with a signing certificate."""
        self.refuse(self.ca.issue("signer", [CLIENT], ca=True))
        with self.assertRaises((http.client.HTTPException, OSError)):  # its key is not for signatures like TLS's
            self.mint_with((self.ca.cert, self.ca.key))

    def test_a_certificate_of_a_ca_that_the_ca_did_not_allow(self):
        middle = self.ca.issue("middle", [], usage=None, ca=True)
        below = Authority.__new__(Authority)
        below.directory, (below.cert, below.key) = self.work, middle
        cert, key = below.issue("below", [CLIENT])
        with open(cert, "a") as out:
            out.write(read(middle[0]))
        self.refuse((cert, key))

    def test_a_certificate_whose_name_is_no_caller(self):
        self.refused(self.mint_with(self.ca.issue("unknown", ["URI:spiffe://demo.test/nobody"])), 403, "unknown_caller")
        self.refused(self.mint_with(self.ca.issue("nameless", [])), 403, "unknown_caller")
        self.refused(self.mint_with(self.ca.issue("dns", ["DNS:client.demo.test"])), 403, "unknown_caller")

    def test_other_names_beside_the_uri_do_no_harm(self):
        self.assertEqual(self.mint_with(self.ca.issue("mixed", [CLIENT, "DNS:client.demo.test"])).status, 200)

    def test_a_caller_without_the_role(self):
        pair = self.ca.issue("reader", ["URI:spiffe://demo.test/reader"])
        self.refused(self.mint_with(pair), 403, "role_missing")
        connection = self.service.tls(pair)
        self.refused(self.service.ask("GET", "/metrics", connection=connection), 403, "role_missing")
        connection.close()

    def test_a_caller_that_the_profile_does_not_serve(self):
        pair = self.ca.issue("stranger", ["URI:spiffe://demo.test/stranger"])
        self.refused(self.mint_with(pair), 403, "caller_not_allowed")

    def test_what_is_public_needs_no_certificate_and_minds_no_bad_one(self):
        for pair in (None, self.foreign.issue("public", [CLIENT])):
            connection = self.service.tls(pair)
            self.assertEqual(self.service.ask("GET", "/demo/.well-known/jwks.json", connection=connection).status, 200)
            self.assertEqual(self.service.ask("GET", "/healthz", connection=connection).status, 200)
            connection.close()

    def test_tls_below_1_3_is_not_spoken(self):
        context = self.service.tls_context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with socket.create_connection(("localhost", self.service.port), PATIENCE) as plain:
            with self.assertRaises((ssl.SSLError, ConnectionResetError)):
                context.wrap_socket(plain, server_hostname="localhost")

    def test_what_is_not_tls_gets_no_answer(self):
        with socket.create_connection(("localhost", self.service.port), PATIENCE) as plain:
            plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            received = b""
            try:
                while some := plain.recv(4096):
                    received += some
            except ConnectionResetError:
                pass
        self.assertNotIn(b"HTTP", received)
        self.assertEqual(self.service.mint().status, 200)


ASK = """
import json, os, socket, subprocess, sys
sys.path.insert(0, %r)
from harness import Answer, UnixConnection
os.setgroups([]); os.setgid(65534); os.setuid(65534)
connection = UnixConnection(sys.argv[1])
connection.request("POST", "/v1/mint/jwt", sys.argv[2], {"Content-Type": "application/json"})
answer = Answer(connection.getresponse())
control = subprocess.run([sys.argv[3], "status", "--control", sys.argv[4]], capture_output=True, text=True)
print(json.dumps([answer.status, answer.json.get("code"), control.returncode, control.stdout, control.stderr]))
"""


@unittest.skipIf(os.geteuid() != 0, "becoming another user needs root")
class UnixUsers(Case):
    def test_a_user_that_is_no_caller_gets_nothing_over_either_socket(self):
        directory = self.made()
        config = os.path.join(directory, "hsmint.yaml")
        public = tempfile.mkdtemp(prefix="hsmint-")
        self.addCleanup(shutil.rmtree, public, True)
        os.chmod(public, 0o755)
        edit(config, "socket: hsmint.sock", "socket: %s/hsmint.sock" % public)
        edit(config, "control: control.sock", "control: %s/control.sock" % public)
        service = start_serve(config, directory, wait=False)
        service.socket, service.control = public + "/hsmint.sock", public + "/control.sock"
        self.addCleanup(service.stop)
        service.wait_ready()
        self.assertEqual(service.mint().status, 200)
        body = json.dumps({"profile": "demo-access", "subject": SUBJECT, "audience": AUDIENCE})
        result = run([sys.executable, "-B", "-c", ASK % os.path.dirname(os.path.abspath(__file__)), service.socket, body,
                      HSMINT, service.control], env=dict(os.environ, HSMINT_BUILD=BUILD))
        *answers, said = json.loads(result.stdout)
        self.assertEqual(answers, [403, "unknown_caller", 1, ""])
        self.assertIn("unknown_caller", said)
        self.assertEqual(service.leaks(said.replace(service.control, "")), [])


if __name__ == "__main__":
    unittest.main()
