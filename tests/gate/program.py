# SPDX-License-Identifier: Apache-2.0
"""What the tests of the whole gate share: a gate with a stand-in for mint, certificates, and raw HTTP."""

import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import unittest

import fake_mint

PROGRAM = os.environ["HSMINT_GATE"]
SANITIZED = bool(os.environ.get("HSMINT_SANITIZE"))
MINT = b"/v1/mint/jwt"
URI = "spiffe://example.org/broker"


class Answer:
    def __init__(self, head, body):
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(": ")
            self.headers[name.lower()] = value
        self.body = body

    @property
    def code(self):
        return json.loads(self.body)["code"]


class Client:
    """One connection that sends bytes as they are and reads answers."""

    def __init__(self, sock):
        self.socket = sock
        self.socket.settimeout(40)
        self.buffer = b""

    def send(self, data):
        self.socket.sendall(data)
        return self

    def _fill(self):
        try:
            data = self.socket.recv(65536)
        except (ConnectionResetError, ssl.SSLError):
            data = b""
        self.buffer += data
        return bool(data)

    def answer(self, head_only=False):
        while b"\r\n\r\n" not in self.buffer:
            if not self._fill():
                raise EOFError("closed without a whole answer")
        head, _, rest = self.buffer.partition(b"\r\n\r\n")
        answer = Answer(head, b"")
        length = int(answer.headers.get("content-length", 0))
        if head_only or answer.status == 304:
            length = 0
        while len(rest) < length:
            if not self._fill():
                raise EOFError("closed within an answer")
            rest = self.buffer.partition(b"\r\n\r\n")[2]
        answer.body, self.buffer = rest[:length], rest[length:]
        return answer

    def ask(self, data):
        return self.send(data).answer()

    def is_closed(self):
        return not self.buffer and not self._fill()

    def close(self):
        self.socket.close()


def request(method, path, body=None, *headers):
    lines = [b"%s %s HTTP/1.1" % (method, path), b"Host: localhost", *headers]
    if body is not None:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")


def post(body=b"{}", path=MINT):
    return request(b"POST", path, body, b"Content-Type: application/json")


class Certificates:
    """An authority and what it issues, made by openssl."""

    def __init__(self, directory, name="ca"):
        self.directory, self.name = directory, name
        self.openssl("req", "-x509", *self._new_key(name), "-out", name + ".crt", "-days", "2", "-subj", "/CN=" + name,
                     "-addext", "basicConstraints=critical,CA:TRUE",
                     "-addext", "keyUsage=critical,keyCertSign,digitalSignature")

    def openssl(self, *arguments):
        done = subprocess.run(["openssl", *arguments], cwd=self.directory, capture_output=True)
        if done.returncode:
            raise AssertionError(done.stderr.decode())
        return done.stdout

    def _new_key(self, name):
        return "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key"

    def issue(self, name, names, usage="clientAuth", days=2):
        self.openssl("req", *self._new_key(name), "-out", name + ".csr", "-subj", "/CN=" + name)
        extensions = "basicConstraints=CA:FALSE\nextendedKeyUsage=%s\n" % usage
        if names:
            extensions += "subjectAltName=%s\n" % names
        with open(self.path(name + ".ext"), "w") as file:
            file.write(extensions)
        self.openssl("x509", "-req", "-in", name + ".csr", "-CA", self.name + ".crt", "-CAkey", self.name + ".key",
                     "-CAcreateserial", "-out", name + ".crt", "-days", str(days), "-extfile", name + ".ext")
        return self

    def path(self, name):
        return os.path.join(self.directory, name)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def server(self, name="server"):
        return [self.read(name + ".crt"), self.read(name + ".key"), self.read(self.name + ".crt")]


class GateTest(unittest.TestCase):
    """Each class has its certificates, each test its gate."""

    sandbox = fake_mint.REQUIRE

    @classmethod
    def setUpClass(cls):
        cls.tls_directory = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, cls.tls_directory)
        cls.certificates = Certificates(cls.tls_directory)
        cls.certificates.issue("server", "DNS:localhost", "serverAuth").issue("client", "URI:" + URI)

    def setUp(self):
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        self.mint = fake_mint.FakeMint(PROGRAM, self.directory, tls=self.certificates.server(), sandbox=self.sandbox,
                                       answer=lambda mint, ask: self.answer(mint, ask))
        self.answer = fake_mint.FakeMint.reply_at_once
        self.addCleanup(self.end)
        accepted, self.sandbox_state, detail = self.mint.wait_ready()
        self.assertEqual(accepted, 1, detail)

    def end(self):
        if self.mint.process.poll() is None:
            self.assertEqual(self.mint.drain(), 0, self.log())
        self.mint.close()

    def log(self):
        with open(self.mint.log.name) as file:
            return file.read()

    def unix(self):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(self.mint.path)
        client = Client(sock)
        self.addCleanup(client.close)
        return client

    def tls(self, name="client", trust=None):
        context = ssl.create_default_context(cafile=self.certificates.path("ca.crt"))
        if trust:
            context.load_verify_locations(trust)
        if name:
            context.load_cert_chain(self.certificates.path(name + ".crt"), self.certificates.path(name + ".key"))
        sock = socket.create_connection(("127.0.0.1", self.mint.port))
        client = Client(context.wrap_socket(sock, server_hostname="localhost"))
        self.addCleanup(client.close)
        return client
