# SPDX-License-Identifier: Apache-2.0
"""Shards with entries of every kind, as docs/ledger.md has them."""
import base64
import json
import os

from made_log import (WIDTH, EcdsaKey, Ed25519Key, b64, frame, leaf_hash, node_hash, root, sha256, write,  # noqa: F401
                      write_shard)


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def canonical(entry):
    return json.dumps(entry, separators=(",", ":"), ensure_ascii=False,
                      sort_keys=True).encode()  # plain names: code points and UTF-16 have one order


class Shard:
    """Entries that are added, and then the files made of them."""

    def __init__(self, key, number, previous=None, carried=None, **members):
        self.key, self.number, self.entries = key, number, []
        self.origin = "%s/%d" % (key.name, number)
        if previous:
            members["previous"] = {"origin": previous.origin, "root": b64url(previous.root()),
                                   "size": len(previous.entries)}
        if carried:
            members["carried"] = carried
        self.add("open", origin=self.origin, **members)

    def add(self, type, **members):
        """Add an entry; its index."""
        entry = {"time": 1700000000 + len(self.entries), "type": type, "v": 1, **members}
        return self.raw(canonical(entry))

    def raw(self, entry):
        self.entries.append(entry)
        return len(self.entries) - 1

    def credential(self, kid="k1", **members):
        return self.add("credential", id=b64url(sha256(b"%d" % len(self.entries))[:16]), kid=kid,
                        tbs=b64url(sha256(b"tbs %d" % len(self.entries))), **members)

    def fill(self, size):
        """Short entries up to this many."""
        while len(self.entries) < size:
            self.add("stop")

    def root(self, size=None):
        return root([leaf_hash(entry) for entry in self.entries[:size]])

    def text(self, size=None):
        size = len(self.entries) if size is None else size
        return ("%s\n%d\n%s\n" % (self.origin, size, b64(self.root(size)))).encode()

    def write(self, directory, bundled=None, checked=None, frames=7):
        """The directory of the shard; `bundled` entries are in bundles (default: all that fill some), and `checked`
        under the checkpoint (default: all)."""
        path = os.path.join(directory, str(self.number))
        if bundled is None:
            bundled = len(self.entries) // WIDTH * WIDTH
        write_shard(path, self.entries, bundled, frames)
        write(os.path.join(path, "checkpoint"), self.key.note(self.text(checked)))
        return path


def shortest(key):
    """A shard with a bundle and a tile, and one entry that is in none yet."""
    shard = Shard(key, 1)
    while len(shard.entries) < WIDTH + 1:
        shard.add("stop", time=1)
    return shard


def small(key, with_bundle=True):
    """Two shards with something of each kind; the first is closed, and has a bundle and a tile."""
    first = Shard(key, 1)
    first.add("start", version="0", configuration=b64url(sha256(b"")))
    first.add("token", name="hsm", event="started", epoch="epoch-1")
    for _ in range(3):
        first.credential()
    lost = first.credential()
    first.add("retry", of=lost, kid="k1", tbs=b64url(sha256(b"again")))
    first.add("void", of=lost, reason="deadline")
    first.add("refused", caller="shop", issuer="i", code="rate_limited", count=3)
    first.add("counts", epoch="epoch-1", token="hsm", signed=[
        {"count": 5, "kid": "k1", "what": "credential"}, {"count": 2, "kid": "k1", "what": "probe"},
        {"count": 1, "kid": "c1", "what": "checkpoint"}])
    if with_bundle:
        first.fill(262)
    last = first.credential()
    first.add("close")

    second = Shard(key, 2, previous=first, carried=[{"count": 1, "kid": "k1"}])
    second.add("void", of=last, origin=first.origin, reason="deadline")
    second.credential("k2")
    second.add("counts", epoch="epoch-1", token="hsm", final=True, signed=[
        {"count": 1, "kid": "k1", "what": "credential"}, {"count": 1, "kid": "k2", "what": "credential"}])
    second.add("stop")
    return first, second
