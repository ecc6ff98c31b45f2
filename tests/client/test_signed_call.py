# SPDX-License-Identifier: Apache-2.0
"""Requests that the library signs: what is sent is verified by what RFC 9421 and docs/governance.md say, written out here."""
import base64
import hashlib
import json
import os
import re
import shutil
import ssl
import tempfile
import time
import unittest

from certificates import Authority
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from false_server import FalseServer, answer
from harness import Case, run
from library import Client, lib, result_of
from test_client import Failing

NONCE = "nonce-nonce_nonce12345"
NONCE_ANSWER = answer(body=b'{"nonce":"%s","expires":1760000000}' % NONCE.encode())
KEYS = {
    "ecdsa-p256-sha256": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "ecdsa-p384-sha384": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
    "ed25519": ["-newkey", "ed25519"],
    "rsa-pss-sha512": ["-newkey", "rsa:2048"],
}


def verify(alg, certificate, signature, base):
    """Raises unless the signature is good (RFC 9421, section 3.3)."""
    with open(certificate, "rb") as file:
        key = x509.load_pem_x509_certificate(file.read()).public_key()
    if alg == "ed25519":
        return key.verify(signature, base)
    if alg == "rsa-pss-sha512":
        return key.verify(signature, base, padding.PSS(padding.MGF1(hashes.SHA512()), 64), hashes.SHA512())
    half = len(signature) // 2
    assert half == key.curve.key_size // 8
    der = utils.encode_dss_signature(int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))
    return key.verify(der, base, ec.ECDSA(hashes.SHA256() if half == 32 else hashes.SHA384()))


class Sent:
    """A request as it arrived."""

    def __init__(self, data):
        head, self.body = data.split(b"\r\n\r\n", 1)
        first, *lines = head.decode().split("\r\n")
        self.method, self.target, _ = first.split(" ")
        self.headers = {}
        for line in lines:
            name, value = line.split(": ", 1)
            assert name not in self.headers, name
            self.headers[name] = value


class SignedCall(Case, Failing):
    @classmethod
    def setUpClass(cls):
        cls.shared = tempfile.mkdtemp(prefix="hsmint-")
        cls.addClassCleanup(shutil.rmtree, cls.shared, True)
        cls.ca = Authority(cls.shared, "ca")
        cls.server_pair = cls.ca.issue("server", ["DNS:localhost"], usage="serverAuth")
        cls.pairs = {alg: cls.own_pair(alg, options) for alg, options in KEYS.items()}

    @classmethod
    def own_pair(cls, name, options):
        """This server asks for no certificate, so it may be of anybody's."""
        pair = [os.path.join(cls.shared, name + end) for end in (".crt", ".key")]
        run(["openssl", "req", "-x509", *options, "-nodes", "-keyout", pair[1], "-out", pair[0], "-days", "30", "-subj", "/CN=" + name])
        return pair

    def client(self, *scripts, pair=None, timeout_ms=5000):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.server_pair)
        self.server = FalseServer.tcp(*scripts, wrap=lambda connection: context.wrap_socket(connection, server_side=True))
        self.addCleanup(self.server.close)
        client = Client.https("https://localhost:%d" % self.server.port, *(pair or self.pairs["ecdsa-p256-sha256"]), self.ca.cert, timeout_ms)
        self.addCleanup(client.__exit__)
        return client

    def call(self, *arguments, said=b"{}", status=b"200 OK", **more):
        """One over one connection, the nonce first; what it gave, and the request as it arrived."""
        client = self.client(["request", NONCE_ANSWER, "request", answer(status, said)], **more)
        given = client.signed_call(*arguments)
        nonce, signed = map(Sent, self.server.requests)
        self.assertEqual((nonce.method, nonce.target, nonce.body, nonce.headers["Content-Length"]), ("POST", "/v1/nonces", b"", "0"))
        self.assertEqual(set(nonce.headers), {"Host", "User-Agent", "Accept", "Content-Length"})
        return given, signed

    def check(self, alg, sent):
        """The signature is over method, path, query and body as they arrived."""
        path, _, query = sent.target.partition("?")
        components = [("@method", sent.method), ("@path", path), ("@query", "?" + query)]
        if sent.body:
            digest = "sha-256=:%s:" % base64.b64encode(hashlib.sha256(sent.body).digest()).decode()
            self.assertEqual(sent.headers["Content-Digest"], digest)
            components.append(("content-digest", digest))
        names = " ".join('"%s"' % name for name, _ in components)
        label, params = sent.headers["Signature-Input"].split("=", 1)
        created = re.fullmatch(r'\(%s\);created=(\d+);nonce="%s";alg="%s"' % (re.escape(names), NONCE, alg), params).group(1)
        self.assertLess(abs(int(created) - time.time()), 30)
        base = "".join('"%s": %s\n' % component for component in components) + '"@signature-params": ' + params
        signature = re.fullmatch("%s=:(.*):" % label, sent.headers["Signature"]).group(1)
        self.assertEqual(label, "hsmint")
        verify(alg, self.pairs[alg][0], base64.b64decode(signature, validate=True), base.encode())

    def test_each_kind_of_key(self):
        body = json.dumps({"owner": "l\u00f6we"}, ensure_ascii=False).encode()
        for alg, pair in self.pairs.items():
            for target, content in ((b"/v1/agents", body), (b"/v1/agents?issuer=a%20b", body), (b"/v1/tasks/x/pause", None)):
                with self.subTest(alg, target=target):
                    _, sent = self.call(b"POST", target, content, pair=pair)
                    self.assertEqual((sent.method, sent.target, sent.body), ("POST", target.decode(), content or b""))
                    self.assertEqual(sent.headers.get("Content-Type"), "application/json" if content else None)
                    self.check(alg, sent)
            _, sent = self.call(b"GET", b"/v1/agents?limit=3&after=x", pair=pair)
            self.assertEqual((sent.method, sent.target, sent.body), ("GET", "/v1/agents?limit=3&after=x", b""))
            self.assertNotIn("Content-Digest", sent.headers)
            self.check(alg, sent)

    def test_short_numbers_in_a_signature_are_filled_up(self):
        """One r of 256 begins with a zero byte, and so does one s."""
        most, short = 6000, set()
        client = self.client(["request", NONCE_ANSWER, "request", answer(body=b"{}")] * most)
        for _ in range(most):
            client.signed_call(b"GET", b"/v1/tasks")
            sent = Sent(self.server.requests[-1])
            signature = base64.b64decode(sent.headers["Signature"][len("hsmint=:"):-1])
            self.assertEqual(len(signature), 64)
            self.check("ecdsa-p256-sha256", sent)
            short |= {half for half in (0, 32) if signature[half] == 0}
            if short == {0, 32}:
                return
        self.fail("none was short")

    def test_a_path_is_sent_as_it_was_signed(self):
        for target in (b"/v1/agents/../tasks", b"/v1/./agents//x", b"/v1/agents/%2e%2E/x?", b"/v1/a?b?c=/../d", b"/v1/\"'<>|{}"):
            with self.subTest(target):
                _, sent = self.call(b"GET", target)
                self.assertEqual(sent.target, target.decode())

    def test_what_it_gives(self):
        for status, said in ((b"200 OK", b'{"id":"x"}'), (b"201 Created", b'{"id":"x"}'), (b"200 OK", b"[]")):
            self.assertEqual(self.call(b"POST", b"/v1/agents", b"{}", status=status, said=said)[0], said)

    def test_each_call_has_a_nonce_of_its_own_over_one_connection(self):
        other = "other-other_other12345"
        client = self.client(["request", NONCE_ANSWER, "request", answer(body=b"{}"),
                              "request", NONCE_ANSWER.replace(NONCE.encode(), other.encode()), "request", answer(body=b"{}")])
        client.signed_call(b"GET", b"/v1/tasks")
        client.signed_call(b"GET", b"/v1/tasks")
        first, second = (Sent(self.server.requests[i]).headers["Signature-Input"] for i in (1, 3))
        self.assertEqual((NONCE in first, other in first, NONCE in second, other in second), (True, False, False, True))
        self.assertEqual(self.server.connections, 1)

    def test_a_refusal(self):
        problem = b'{"code":"role_missing","title":"t","status":403,"retry":"no","field":"","accepts":"register"}'
        client = self.client(["request", NONCE_ANSWER, "request", answer(b"403 No", problem)])
        failure = self.fails("role_missing", client.signed_call, b"POST", b"/v1/agents", b"{}")
        self.assertEqual((failure.status, failure.accepts), (403, "register"))

    def test_nothing_is_signed_without_a_nonce(self):
        client = self.client(["request", answer(b"503 Busy", b'{"code":"overload","title":"t","retry":"after"}')])
        self.fails("overload", client.signed_call, b"GET", b"/v1/tasks")
        self.assertEqual(len(self.server.requests), 1)
        for said in (b"{}", b"[]", b"", b"no", b'{"nonce":1}', b'{"nonce":""}', b'{"nonce":"a\\"b"}', b'{"nonce":"a b"}',
                     b'{"nonce":"a\\r\\nX: y"}', b'{"nonce":"%s"}' % (b"n" * 23), b'{"nonce":"%s"}' % (b"n" * 5000)):
            with self.subTest(said[:30]):
                client = self.client(["request", answer(body=said)])
                self.fails("client_reply", client.signed_call, b"GET", b"/v1/tasks")
                self.assertEqual(len(self.server.requests), 1)

    def test_it_is_sent_once(self):
        """Whether it was done is not known, and the nonce may be used up."""
        client = self.client(["request", NONCE_ANSWER, "request"], ["request", NONCE_ANSWER, "request", answer(body=b"{}")])
        self.fails("client_lost", client.signed_call, b"POST", b"/v1/agents", b"{}")
        self.assertEqual(len(self.server.requests), 2)

    def test_an_answer_that_is_none(self):
        for said in (b"", b"{", b"text", b'{"a":1,"a":2}', b"{}{}"):
            client = self.client(["request", NONCE_ANSWER, "request", answer(body=said)])
            self.fails("client_reply", client.signed_call, b"GET", b"/v1/tasks")
        client = self.client(["request", NONCE_ANSWER, "request", "mute"], timeout_ms=300)
        self.fails("client_timeout", client.signed_call, b"GET", b"/v1/tasks")

    def test_arguments(self):
        client = self.client()
        for method, target, body in (
                (None, b"/v1/tasks", None), (b"PUT", b"/v1/tasks", b"{}"), (b"get", b"/v1/tasks", None), (b"", b"/v1/tasks", None),
                (b"GET", b"/v1/tasks", b"{}"), (b"POST", b"/v1/tasks", b""), (b"GET", None, None), (b"GET", b"", None),
                (b"GET", b"v1/tasks", None), (b"GET", b"/v1/ta sks", None), (b"GET", b"/v1/tasks#x", None), (b"GET", b"/v1/t\r\nX: y", None),
                (b"GET", "/v1/t\u00e4".encode(), None), (b"GET", b"/" + b"x" * 1024, None)):
            with self.subTest(method, target=target):
                self.fails("client_argument", client.signed_call, method, target, body)
        self.assertEqual(self.server.connections, 0)
        with Client.unix(self.work + "/nobody") as over_a_socket:
            self.fails("client_argument", over_a_socket.signed_call, b"GET", b"/v1/tasks")
        self.fails("client_argument", result_of, lib.hsmint_signed_call, None, b"GET", b"/v1/tasks", None)

    def test_keys_that_do_not_sign(self):
        cert, key = self.pairs["ecdsa-p256-sha256"]
        encrypted = os.path.join(self.work, "encrypted.key")
        run(["openssl", "pkey", "-in", key, "-aes256", "-passout", "pass:secret", "-out", encrypted])
        small = self.own_pair("small", ["-newkey", "rsa:1024"])
        other = self.own_pair("other", ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp521r1"])
        large = self.own_pair("large", ["-newkey", "rsa:4104"])
        for pair in ((cert, encrypted), (cert, cert), (cert, self.work + "/none"), (cert, self.pairs["ed25519"][1]), other, large):
            with self.subTest(pair):
                client = self.client(["request", NONCE_ANSWER], pair=pair)
                self.fails("client_tls", client.signed_call, b"GET", b"/v1/tasks")
                self.assertFalse([request for request in self.server.requests if b"Signature" in request])
        client = self.client(["request", NONCE_ANSWER], pair=small)
        self.fails("client_tls", client.signed_call, b"GET", b"/v1/tasks")


if __name__ == "__main__":
    unittest.main()
