# SPDX-License-Identifier: Apache-2.0
"""Who calls over TLS; and certificates that change while connections live."""

import hashlib
import socket
import ssl

from program import URI, Certificates, GateTest, post, request


class Callers(GateTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        issue = cls.certificates.issue
        issue("plain", None)
        issue("two", "URI:%s,URI:spiffe://example.org/other" % URI)
        issue("expired", "URI:" + URI, days=-1)
        issue("wrong-purpose", "URI:" + URI, "serverAuth")
        issue("long", "URI:spiffe://example.org/" + "x" * 2028)
        issue("longest", "URI:spiffe://example.org/" + "x" * 2027)
        Certificates(cls.tls_directory, "foreign-ca").issue("foreign", "URI:" + URI)

    def spki(self, name):
        key = self.certificates.openssl("x509", "-in", name + ".crt", "-pubkey", "-noout")
        der = ssl.PEM_cert_to_DER_cert(
            key.decode().replace("PUBLIC KEY", "CERTIFICATE"))  # the same armour, whatever is inside
        return hashlib.sha256(der).digest()

    def test_a_certificate_with_a_uri(self):
        self.assertEqual(self.tls().ask(post()).status, 200)
        ask = self.mint.requests[0]
        self.assertEqual((ask.kind, ask.uri, ask.spki), (1, URI, self.spki("client")))

    def test_a_certificate_without_a_uri_is_known_by_its_key(self):
        self.assertEqual(self.tls("plain").ask(post()).status, 200)
        self.assertEqual((self.mint.requests[0].uri, self.mint.requests[0].spki), ("", self.spki("plain")))

    def test_the_longest_uri_and_body_together(self):
        self.assertEqual(self.tls("longest").ask(post(b"[" + b" " * 61438 + b"]")).status, 200)
        self.assertEqual(len(self.mint.requests[0].uri), 2048)

    def test_certificates_that_are_refused(self):
        for name in ("two", "expired", "wrong-purpose", "foreign", "long", "ca"):
            client = self.tls(name)
            answer = client.ask(post())
            self.assertEqual((answer.status, answer.code), (403, "certificate_refused"), name)
            self.assertEqual(client.ask(request(b"GET", b"/healthz")).status, 200, name)
        self.assertEqual(self.mint.requests, [])

    def test_no_certificate(self):
        client = self.tls(None)
        answer = client.ask(post())
        self.assertEqual((answer.status, answer.code), (401, "certificate_required"))
        self.assertEqual(client.ask(request(b"GET", b"/metrics")).status, 401)
        self.assertEqual(client.ask(request(b"GET", b"/healthz")).status, 200)

    def test_only_tls_1_3_is_spoken(self):
        context = ssl.create_default_context(cafile=self.certificates.path("ca.crt"))
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with self.assertRaises(OSError), socket.create_connection(("127.0.0.1", self.mint.port)) as sock:
            context.wrap_socket(sock, server_hostname="localhost")


class Reconfigured(GateTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = Certificates(cls.tls_directory, "other-ca")
        cls.other.issue("other-server", "DNS:localhost", "serverAuth").issue("other-client", "URI:" + URI)

    def reconfigure(self, tls):
        told = len(self.mint.ready)
        self.mint.configure(tls=tls)
        return self.mint.wait_ready(told + 1)

    def test_new_certificates_without_dropping_a_connection(self):
        client = self.tls()
        self.assertEqual(client.ask(post()).status, 200)
        accepted, _, detail = self.reconfigure(self.other.server("other-server"))
        self.assertEqual(accepted, 1, detail)
        answer = client.ask(post())
        self.assertEqual((answer.status, answer.code), (403, "certificate_refused"), "its authority is gone")
        self.assertEqual(client.ask(request(b"GET", b"/healthz")).status, 200)
        renewed = self.tls("other-client", self.other.path("other-ca.crt"))
        self.assertEqual(renewed.ask(post()).status, 200)

    def test_bad_ones_keep_the_old(self):
        good = self.certificates.server()
        for bad in (
            [good[0], self.other.read("other-server.key"), good[2]],
            [b"nothing", good[1], good[2]],
            [good[0], good[1], b"nothing"],
            [b"", good[1], good[2]],
        ):
            accepted, _, detail = self.reconfigure(bad)
            self.assertEqual(accepted, 0)
            self.assertTrue(detail)
            self.assertEqual(self.tls().ask(post()).status, 200)
