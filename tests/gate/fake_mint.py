#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stands in for mint: starts hsmint-gate on a socket pair, speaks frames, and lets a test say how to answer.

As a program it serves until interrupted and answers every request at once:
  fake_mint.py --program build/release/bin/hsmint-gate --dir DIR [--sandbox require]
"""

import argparse
import array
import fcntl
import os
import socket
import struct
import subprocess
import sys
import threading

CONFIG, PUBLISH, REPLY, DRAIN = 64, 65, 66, 67
READY, REQUEST, STATS = 80, 81, 82
REQUIRE, BEST = 0, 1
LEDGER = LEDGER_PUBLIC, LEDGER_ENTRIES, LEDGER_PROOF = 4, 5, 6  # operations
CALL, TOKEN = 7, 8
INLINE_MAX = 64 * 1024
ALL_SEALS = 1 | 2 | 4 | 8


def text(value):
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("=I", len(data)) + data


def sealed(name, data):
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, data)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, ALL_SEALS)
    return fd


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, form):
        (value,) = struct.unpack_from("=" + form, self.data, self.at)
        self.at += struct.calcsize("=" + form)
        return value

    def text(self):
        length = self.number("I")
        self.at += length
        return self.data[self.at - length : self.at]


class Request:
    def __init__(self, frame_id, payload):
        reader = Reader(payload)
        self.id = frame_id
        self.operation, self.kind = reader.number("B"), reader.number("B")
        self.uid = self.gid = self.pid = self.uri = self.spki = None
        if self.kind == 0:
            self.uid, self.gid, self.pid = (reader.number("I") for _ in range(3))
        elif self.kind == 1:
            self.uri = reader.text().decode()
            self.spki = bytes(reader.data[reader.at : reader.at + 32])
            reader.at += 32
        self.deadline = reader.number("Q")
        self.key, self.digest, self.item, self.items = reader.text().decode(), None, 0, 1
        if self.key:
            self.digest = bytes(reader.data[reader.at : reader.at + 32])
            reader.at += 32
            self.item, self.items = reader.number("H"), reader.number("H")
        self.path = reader.text().decode() if self.operation in LEDGER else None
        if self.operation in (CALL, TOKEN):
            self.method, self.target = reader.text().decode(), reader.text().decode()
            self.is_form = reader.number("B")
            self.digest_header, self.signature_input, self.signature = (reader.text().decode() for _ in range(3))
            self.dpop = reader.text().decode()
            self.certificates = reader.text()
        self.body = reader.text()


class FakeMint:
    """One gate and the thread that answers it. `answer(mint, request)` is called in that thread."""

    def __init__(self, program, directory, answer=None, sandbox=BEST, tls=None, unix=True, tcp=True, wrap=()):
        self.answer = answer or FakeMint.reply_at_once
        self.ready, self.stats, self.requests = [], [], []
        self.changed = threading.Condition()
        self.directory = directory
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket, self.listeners = ours, []

        def child():
            os.dup2(theirs.fileno(), 3)
            os.set_inheritable(3, True)

        self.log = open(os.path.join(directory, "gate.log"), "wb")
        # close_fds would close descriptor 3 after the child function ran
        self.process = subprocess.Popen([*wrap, program], preexec_fn=child, close_fds=False, stderr=self.log)
        theirs.close()
        self.path = os.path.join(directory, "gate.sock")
        self.port = 0
        self.configure(sandbox, tls, unix, tcp)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def configure(self, sandbox=BEST, tls=None, unix=False, tcp=False):
        fds, keep, memfds = [], [], []
        if unix:
            if os.path.exists(self.path):
                os.unlink(self.path)
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(self.path)
            keep.append(listener)
        if tcp:
            listener = socket.socket(socket.AF_INET)
            listener.bind(("127.0.0.1", 0))
            self.port = listener.getsockname()[1]
            keep.append(listener)
        for listener in keep:
            listener.listen(512)
            listener.setblocking(False)
            fds.append(listener.fileno())
        self.listeners += keep
        for name, data in zip(("certificate", "key", "trust"), tls or ()):
            memfds.append(sealed(name, data))
        self.send(CONFIG, 0, struct.pack("=BBBB", sandbox, unix, tcp, tls is not None), fds + memfds)
        for fd in memfds:
            os.close(fd)

    def send(self, kind, frame_id, payload=b"", fds=()):
        fds = list(fds)
        payload = payload or bytes(4)
        flags = 0
        length = len(payload)
        memfd = None
        if length > INLINE_MAX:
            flags = 1
            memfd = sealed("frame", payload)
            fds.insert(0, memfd)
            payload = b""
        header = struct.pack("=BBHIQ", 1, kind, flags, length, frame_id)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([header, payload], ancillary)
        if memfd is not None:
            os.close(memfd)

    def publish(self, path, body, status=200, content_type="application/json", cache="public, max-age=300", etag=""):
        self.send(
            PUBLISH,
            0,
            text(path) + struct.pack("=H", status) + text(content_type) + text(cache) + text(etag) + text(body),
        )

    def reply(self, frame_id, body=b"{}", status=200, retry_after=0, content_type="application/json", cache="", etag="",
              dpop_nonce=""):
        self.send(REPLY, frame_id, struct.pack("=HI", status, retry_after) + text(content_type) + text(cache) +
                  text(etag) + text(dpop_nonce) + text(body))

    def reply_at_once(self, request):
        self.reply(request.id, b'{"credential":"' + b"x" * 650 + b'"}')

    def wait(self, condition, seconds=20):
        with self.changed:
            if not self.changed.wait_for(condition, seconds):
                raise AssertionError("gate did not do in time what was waited for")

    def wait_ready(self, count=1):
        self.wait(lambda: len(self.ready) >= count)
        return self.ready[count - 1]

    def drain(self):
        self.send(DRAIN, 0)
        return self.process.wait(20)

    def close(self):
        self.socket.close()
        self.log.close()
        for listener in self.listeners:
            listener.close()

    def _serve(self):
        while True:
            try:
                data, ancillary, _, _ = self.socket.recvmsg(INLINE_MAX + 16, 1024)
            except OSError:
                return
            if not data:
                return
            _, kind, flags, length, frame_id = struct.unpack_from("=BBHIQ", data)
            payload = data[16:]
            if flags & 1:
                fds = array.array("i", ancillary[0][2])
                payload = os.pread(fds[0], length, 0)
                os.close(fds[0])
            self._take(kind, frame_id, payload)

    def _take(self, kind, frame_id, payload):
        if kind == REQUEST:
            request = Request(frame_id, payload)
            if len(self.requests) < 1000:
                self.requests.append(request)
            self.answer(self, request)
        with self.changed:
            if kind == READY:
                reader = Reader(payload)
                self.ready.append((reader.number("B"), reader.text().decode(), reader.text().decode()))
            elif kind == STATS:
                self.stats.append(struct.unpack("=8Q", payload))
            self.changed.notify_all()


def read_tls(directory):
    parts = []
    for name in ("server.crt", "server.key", "ca.crt"):
        with open(os.path.join(directory, name), "rb") as file:
            parts.append(file.read())
    return parts


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--dir", required=True, help="holds tls/server.crt, server.key and ca.crt")
    parser.add_argument("--sandbox", choices=("require", "best"), default="best")
    options = parser.parse_args()
    tls = read_tls(os.path.join(options.dir, "tls"))
    mint = FakeMint(options.program, options.dir, sandbox=REQUIRE if options.sandbox == "require" else BEST, tls=tls)
    print(mint.wait_ready(), mint.path, mint.port, mint.process.pid, flush=True)
    mint.publish("/jwks.json", b'{"keys":[]}', etag='"one"')
    try:
        sys.exit(mint.process.wait())
    except KeyboardInterrupt:
        sys.exit(mint.drain())


if __name__ == "__main__":
    main()
