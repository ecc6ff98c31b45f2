# SPDX-License-Identifier: Apache-2.0
"""What the tests of a running service's ledger share: its files read from docs/ledger.md, and clients that remember what
they got."""
import base64
import hashlib
import http.client
import json
import os
import struct
import sys
import threading

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TESTS, "e2e"))

from harness import (AUDIENCE, BUILD, HSMINT, PATIENCE, SANITIZED, SUBJECT, Case, UnixConnection, children_of,  # noqa: E402
                     edit, process_exists, read, run, start_serve, unbase64, wait_for)
from made_log import WIDTH, leaf_hash, node_hash, path_of, sha256  # noqa: E402


def entries_of(data):
    """The entries of a bundle, or of a frame's body."""
    found, at = [], 0
    while at < len(data):
        length, = struct.unpack_from(">H", data, at)
        found.append(data[at + 2:at + 2 + length])
        at += 2 + length
    return found


def read_segment(data):
    """First index and entries of a segment's whole frames."""
    first, found, at = None, [], 0
    while at + 52 <= len(data):
        magic, length, index, count = struct.unpack_from(">4sIQI", data, at)
        body = entries_of(data[at + 20:at + 20 + length]) if at + 52 + length <= len(data) else []
        if magic != b"HSL1" or len(body) != count or at + 52 + length > len(data):
            break
        check = sha256(data[at:at + 20] + b"".join(map(leaf_hash, body)))
        if check != data[at + 20 + length:at + 52 + length]:
            break
        if first is None:
            first = index
        assert index == first + len(found), (index, first, len(found))
        found += body
        at += 52 + length
    return first, found


def read_shard(directory, number=1):
    """Every entry of a shard."""
    base = os.path.join(directory, str(number))
    with open(os.path.join(base, "segment"), "rb") as file:
        first, tail = read_segment(file.read())
    found = []
    for bundle in range(first // WIDTH):
        with open(os.path.join(base, "tile", "entries", path_of(bundle)), "rb") as file:
            found += entries_of(file.read())
    return found + tail


def read_checkpoint(directory, number=1):
    """Origin, size and root."""
    origin, size, root = read(os.path.join(directory, str(number), "checkpoint")).split("\n")[:3]
    return origin, int(size), base64.b64decode(root)


class Tree:
    """The root of a log that grows, by its whole subtrees."""

    def __init__(self):
        self.size, self.peaks = 0, []  # (level, hash), the largest first

    def add(self, leaf):
        self.size += 1
        level, top = 0, leaf
        while self.peaks and self.peaks[-1][0] == level:
            top = node_hash(self.peaks.pop()[1], top)
            level += 1
        self.peaks.append((level, top))

    def root(self):
        if not self.peaks:
            return sha256(b"")
        top = self.peaks[-1][1]
        for _, left in reversed(self.peaks[:-1]):
            top = node_hash(left, top)
        return top


class Client(threading.Thread):
    """Asks for credentials until the service is gone, and keeps what it got."""

    def __init__(self, path, credentials, stop=None):
        super().__init__()
        self.path, self.credentials, self.stop, self.others = path, credentials, stop, []

    def run(self):
        connection = UnixConnection(self.path)
        body = json.dumps({"profile": "demo-access", "subject": SUBJECT, "audience": AUDIENCE})
        while not (self.stop and self.stop.is_set()):
            try:
                connection.request("POST", "/v1/mint/jwt", body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                answer = json.loads(response.read())
            except (OSError, http.client.HTTPException, ValueError):
                break
            if response.status == 200:
                self.credentials.append(answer)
            else:
                self.others.append((response.status, answer.get("code")))
        connection.close()


class ServiceCase(Case):
    def setUp(self):
        super().setUp()
        self.directory = self.made()
        self.config = os.path.join(self.directory, "hsmint.yaml")
        self.ledger = os.path.join(self.directory, "ledger")

    def serve(self, **more):
        service = start_serve(self.config, self.directory, **more)
        self.addCleanup(lambda: service.log_fd >= 0 and service.stop())
        return service

    def ask_for_vkey(self, service):
        self.key = service.command("ledger", "vkey", "--control", service.control).stdout.strip()
        return self.key

    def assert_recorded(self, credentials, entries):
        """Each credential is the one of its entry."""
        for answer in credentials:
            entry = json.loads(entries[answer["ledger"]["index"]])
            to_be_signed = answer["credential"].rsplit(".", 1)[0].encode()
            self.assertEqual((entry["type"], entry["id"]), ("credential", answer["id"]))
            self.assertEqual(unbase64(entry["tbs"]), hashlib.sha256(to_be_signed).digest())
