# SPDX-License-Identifier: Apache-2.0
"""A witness, written from C2SP tlog-witness alone; it keeps what it cosigned in a file, before it answers."""
import base64
import binascii
import http.server
import json
import os
import re
import threading

from cryptography.exceptions import InvalidSignature
from made_log import Ed25519Key, consistency_holds

SIZE = re.compile(rb"0|[1-9][0-9]*")


class Refusal(Exception):
    def __init__(self, status, body=b"", kind="text/plain"):
        super().__init__(status)
        self.status, self.body, self.kind = status, body, kind


class Witness:
    """`logs`: the keys that are trusted, by origin. `wrong` (a function of status, body and type) changes answers."""
    def __init__(self, path, logs=()):
        self.path, self.logs, self.wrong = path, dict(logs), None
        self.key = Ed25519Key("witness.test/w1", 4)
        self.lock, self.requests, self.time = threading.Lock(), [], 1750000000
        witness = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # an answer behind its head would wait for the reader's delayed ACK

            def do_POST(self):  # noqa: N802
                body = self.rfile.read(int(self.headers["Content-Length"]))
                witness.requests.append((self.path, body, self.client_address))
                status, answer, kind = witness.answer(self.path, body)
                if witness.wrong:
                    changed = witness.wrong(status, answer, kind)
                    if changed is None:
                        self.close_connection = True
                        return
                    status, answer, kind = changed
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = "http://127.0.0.1:%d/prefix/" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def state(self):
        if not os.path.exists(self.path):
            return {}
        with open(self.path) as file:
            return json.load(file)

    def keep(self, origin, size, root):
        state = self.state()
        state[origin] = [size, root]
        with open(self.path + ".new", "w") as file:
            json.dump(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.rename(self.path + ".new", self.path)

    def answer(self, path, body):
        try:
            if path != "/prefix/add-checkpoint":
                raise Refusal(405)
            with self.lock:
                return 200, self.add(body), "text/plain"
        except Refusal as refusal:
            return refusal.status, refusal.body, refusal.kind

    def add(self, body):
        head, _, note = body.partition(b"\n\n")
        old, proof = self.read_head(head)
        text, origin, size, root = self.read_checkpoint(note)
        if origin not in self.logs:
            raise Refusal(404)
        self.check_signature(self.logs[origin], text, note)
        if old > size:
            raise Refusal(400)
        known, known_root = self.state().get(origin, [0, None])
        if old != known or (known == size and known_root != root):
            raise Refusal(409, b"%d\n" % known, "text/x.tlog.size")
        if old == 0 and proof:
            raise Refusal(422)
        if old and not consistency_holds(old, size, base64.b64decode(known_root), base64.b64decode(root), proof):
            raise Refusal(422)
        self.keep(origin, size, root)
        self.time += 1
        return Ed25519Key("somebody.else", 4).cosign(text, self.time).encode() + \
            self.key.cosign(text, self.time).encode()

    @staticmethod
    def read_head(head):
        lines = head.split(b"\n")
        if not lines[0].startswith(b"old ") or not SIZE.fullmatch(lines[0][4:]) or len(lines) > 64:
            raise Refusal(400)
        try:
            proof = [base64.b64decode(line, validate=True) for line in lines[1:]]
        except binascii.Error:
            raise Refusal(400) from None
        if any(len(hash_) != 32 for hash_ in proof):
            raise Refusal(400)
        return int(lines[0][4:]), proof

    @staticmethod
    def read_checkpoint(note):
        text = note[:note.rfind(b"\n\n") + 1]
        lines = text.split(b"\n")
        if len(lines) < 4 or not all(lines[:-1]) or not SIZE.fullmatch(lines[1]) or not note.endswith(b"\n"):
            raise Refusal(400)
        return text, lines[0].decode(), int(lines[1]), lines[2].decode()

    @staticmethod
    def check_signature(key, text, note):
        for line in note[len(text) + 1:].decode().splitlines():
            dash, name, blob = line.split(" ")
            signature = base64.b64decode(blob)
            if dash == "\u2014" and name == key.name and signature[:4] == key.id:
                try:
                    return key.verify(signature[4:], text)
                except InvalidSignature:
                    raise Refusal(403) from None
        raise Refusal(403)
