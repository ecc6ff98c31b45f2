# SPDX-License-Identifier: Apache-2.0
"""HTTP message signatures by a client, as RFC 9421 says and docs/governance.md demands, made without anything of ours."""
import base64
import hashlib
import json
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

LABEL = "hsmint"


def read_key(path):
    with open(path, "rb") as file:
        return serialization.load_pem_private_key(file.read(), None)


def alg_of(key):
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey):
        return "rsa-pss-sha512"
    return {256: "ecdsa-p256-sha256", 384: "ecdsa-p384-sha384"}[key.curve.key_size]


def sign(key, data):
    """Section 3.3: of ECDSA r and s side by side."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PSS(padding.MGF1(hashes.SHA512()), 64), hashes.SHA512())
    size = key.curve.key_size // 8
    digest = {32: hashes.SHA256, 48: hashes.SHA384}[size]()
    return b"".join(number.to_bytes(size, "big") for number in utils.decode_dss_signature(key.sign(data, ec.ECDSA(digest))))


def byte_sequence(data):
    return ":%s:" % base64.b64encode(data).decode()


def headers(key, method, target, body, nonce, created=None, alg=None):
    """What a request with these needs beside its body (bytes) to be a signed one."""
    path, _, query = target.partition("?")
    components = [("@method", method), ("@path", path), ("@query", "?" + query)]
    made = {}
    if body:
        made["Content-Digest"] = "sha-256=" + byte_sequence(hashlib.sha256(body).digest())
        components.append(("content-digest", made["Content-Digest"]))
    parameters = "(%s);created=%d;nonce=\"%s\";alg=\"%s\"" % (
        " ".join('"%s"' % name for name, _ in components), int(time.time()) if created is None else created, nonce,
        alg or alg_of(key))
    base = "".join('"%s": %s\n' % component for component in components) + '"@signature-params": ' + parameters
    made["Signature-Input"] = "%s=%s" % (LABEL, parameters)
    made["Signature"] = "%s=%s" % (LABEL, byte_sequence(sign(key, base.encode())))
    return made


def ask_over_tls(service, cert, method, target, content=None, headers=None):
    """On a connection of its own."""
    connection = service.tls(cert)
    try:
        return service.ask(method, target, content, connection, headers)
    finally:
        connection.close()


class Signer:
    """A caller with a certificate that proves its requests over HTTPS."""

    def __init__(self, service, cert):
        self.service, self.cert, self.key = service, cert, read_key(cert[1])

    def nonce(self):
        answer = ask_over_tls(self.service, self.cert, "POST", "/v1/nonces", "", {"Content-Length": "0"})
        assert answer.status == 200, answer.body
        return answer.json["nonce"]

    def ask(self, method, target, body=None, form=False, **more):
        """`body`: JSON, or with `form` text. `more` as `headers` takes it."""
        content = body.encode() if form else json.dumps(body).encode() if body is not None else b""
        signed = headers(self.key, method, target, content, more.pop("nonce", None) or self.nonce(), **more)
        if content:
            signed["Content-Type"] = "application/x-www-form-urlencoded" if form else "application/json"
        return ask_over_tls(self.service, self.cert, method, target, content if method == "POST" else None, signed)
