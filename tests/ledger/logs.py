# SPDX-License-Identifier: Apache-2.0
"""A ledger written from docs/ledger.md alone, with openssl for the key and its signatures."""
import base64
import hashlib
import json
import os
import subprocess

WIDTH = 256


def sha256(data):
    return hashlib.sha256(data).digest()


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def leaf_hash(entry):
    return sha256(b"\0" + entry)


def node_hash(left, right):
    return sha256(b"\1" + left + right)


def root_hash(hashes):
    """RFC 6962, section 2.1."""
    if not hashes:
        return sha256(b"")
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return node_hash(root_hash(hashes[:split]), root_hash(hashes[split:]))


def canonical(entry):
    return json.dumps(entry, separators=(",", ":"), ensure_ascii=False,
                      sort_keys=True).encode()  # plain names: code points and UTF-16 have one order


class Key:
    """A key that signs checkpoints: "ed25519" or "es256"."""

    def __init__(self, directory, name, kind="ed25519"):
        self.name, self.kind = name, kind
        self.path = os.path.join(directory, "%s-%s.pem" % (kind, hashlib.sha256(name.encode()).hexdigest()[:8]))
        way = ["-algorithm", "ED25519"] if kind == "ed25519" else ["-algorithm", "EC", "-pkeyopt",
                                                                    "ec_paramgen_curve:P-256"]
        subprocess.run(["openssl", "genpkey", *way, "-out", self.path], check=True, stderr=subprocess.DEVNULL)
        spki = subprocess.run(["openssl", "pkey", "-in", self.path, "-pubout", "-outform", "DER"], check=True,
                              stdout=subprocess.PIPE).stdout
        if kind == "ed25519":
            self.material = b"\1" + spki[-32:]
            self.id = sha256(name.encode() + b"\n" + self.material)[:4]
        else:
            self.material = b"\2" + spki
            self.id = sha256(spki)[:4]

    def vkey(self):
        return "%s+%s+%s" % (self.name, self.id.hex(), base64.b64encode(self.material).decode())

    def sign(self, text):
        message = self.path + ".text"
        with open(message, "wb") as out:
            out.write(text)
        way = ["pkeyutl", "-sign", "-rawin"] if self.kind == "ed25519" else ["pkeyutl", "-sign", "-rawin", "-digest",
                                                                             "sha256"]
        return subprocess.run(["openssl", *way, "-inkey", self.path, "-in", message], check=True,
                              stdout=subprocess.PIPE).stdout

    def note(self, text):
        signature = base64.b64encode(self.id + self.sign(text.encode())).decode()
        return "%s\n\u2014 %s %s\n" % (text, self.name, signature)


def tile_path(number):
    groups = ["%03d" % (number % 1000)]
    while number >= 1000:
        number //= 1000
        groups.insert(0, "x%03d" % (number % 1000))
    return "/".join(groups)


def bundle(entries):
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def frame(first, entries):
    body = bundle(entries)
    head = b"HSL1" + len(body).to_bytes(4, "big") + first.to_bytes(8, "big") + len(entries).to_bytes(4, "big")
    return head + body + sha256(head + b"".join(leaf_hash(entry) for entry in entries))


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as out:
        out.write(data)


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
        return root_hash([leaf_hash(entry) for entry in self.entries[:size]])

    def text(self, size=None):
        size = len(self.entries) if size is None else size
        return "%s\n%d\n%s\n" % (self.origin, size, base64.b64encode(self.root(size)).decode())

    def write(self, directory, bundled=None, checked=None, frames=7):
        """The directory of the shard; `bundled` entries are in bundles (default: all that fill some), and `checked`
        under the checkpoint (default: all)."""
        path = os.path.join(directory, str(self.number))
        if bundled is None:
            bundled = len(self.entries) // WIDTH * WIDTH
        for at in range(0, bundled, WIDTH):
            write(os.path.join(path, "tile/entries", tile_path(at // WIDTH)), bundle(self.entries[at:at + WIDTH]))
        level, hashes = 0, [leaf_hash(entry) for entry in self.entries[:bundled]]
        while len(hashes) >= WIDTH:
            full = [hashes[at:at + WIDTH] for at in range(0, len(hashes) - WIDTH + 1, WIDTH)]
            for number, tile in enumerate(full):
                write(os.path.join(path, "tile", str(level), tile_path(number)), b"".join(tile))
            level, hashes = level + 1, [root_hash(tile) for tile in full]
        segment = frame(bundled, self.entries[bundled:bundled + frames])
        for at in range(bundled + frames, len(self.entries), frames):
            segment += frame(at, self.entries[at:at + frames])
        write(os.path.join(path, "segment"), segment)
        write(os.path.join(path, "checkpoint"), self.key.note(self.text(checked)).encode())
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
