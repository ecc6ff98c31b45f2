# SPDX-License-Identifier: Apache-2.0
"""Somebody who is trusted: a key, what it signs, and an HTTPS server that gives its keys, or does not."""
import base64
import http.server
import json
import ssl
import threading
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Key:
    def __init__(self, kid):
        self.kid = kid
        self.key = ec.generate_private_key(ec.SECP256R1())

    def jwk(self, use="sig"):
        numbers = self.key.public_key().public_numbers()
        return {"kty": "EC", "crv": "P-256", "kid": self.kid, "use": use, "x": base64url(numbers.x.to_bytes(32, "big")),
                "y": base64url(numbers.y.to_bytes(32, "big"))}

    def sign(self, **claims):
        """A JWT with these claims, five minutes from now."""
        now = int(time.time())
        claims = {"iat": now, "exp": now + 300, **claims}
        text = ".".join(base64url(json.dumps(part).encode()) for part in
                        ({"alg": "ES256", "kid": self.kid, "typ": "JWT"}, claims))
        r, s = utils.decode_dss_signature(self.key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return text + "." + base64url(r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def key_set(*keys, use="sig"):
    return json.dumps({"keys": [key.jwk(use) for key in keys]}).encode()


class KeyServer:
    """Answers each GET with what `status`, `headers` and `body` are then; while `hangs`, with nothing."""

    def __init__(self, certificate, key):
        self.status, self.headers, self.body = 200, {}, b""
        self.paths = []
        self.hangs = threading.Event()
        self.hanging = threading.Event()  # somebody waits
        self.hang_up = threading.Semaphore(0)  # on as many of them as it is released
        self.when_asked = lambda: None
        outside = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outside.answer(self)

            def log_message(self, *_):
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.server.handle_error = lambda *_: None  # who does not trust the certificate, or hangs up
        self.url = "https://localhost:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, handler):
        self.when_asked()
        self.paths.append(handler.path)
        if self.hangs.is_set():
            self.hanging.set()
            self.hang_up.acquire(timeout=60)
            return
        handler.send_response(self.status)
        for name, value in self.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(self.body)))
        handler.end_headers()
        handler.wfile.write(self.body)

    def close(self):
        self.hang_up.release(100)
        self.server.shutdown()
        self.server.server_close()
