# SPDX-License-Identifier: Apache-2.0
"""A shard's directory made without hsmint, from docs/ledger.md and the documents that it names alone."""
import base64
import hashlib
import json
import os
import struct

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

WIDTH = 256


def sha256(data):
    return hashlib.sha256(data).digest()


def leaf_hash(entry):
    return sha256(b"\x00" + entry)


def node_hash(left, right):
    return sha256(b"\x01" + left + right)


def split(size):
    """The largest power of two below `size` (RFC 6962, section 2.1)."""
    return 1 << (size - 1).bit_length() - 1


def root(leaves):
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return node_hash(root(leaves[:k]), root(leaves[k:]))


def inclusion(index, leaves):
    """RFC 6962, section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if index < k:
        return inclusion(index, leaves[:k]) + [root(leaves[k:])]
    return inclusion(index - k, leaves[k:]) + [root(leaves[:k])]


def consistency_holds(before, size, root_before, root_now, proof):
    """RFC 9162, section 2.1.4.2, which says how to verify what RFC 6962 says how to make."""
    if before == size:
        return not proof and root_before == root_now
    if before == 0:
        return not proof
    proof = list(proof)
    if before & (before - 1) == 0:
        proof.insert(0, root_before)
    if not proof:
        return False
    fn, sn = before - 1, size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = proof[0]
    for c in proof[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and fr == root_before and sr == root_now


def b64(data):
    return base64.b64encode(data).decode()


class Key:
    """What both kinds have: a name, an id, and a way to sign."""
    def line(self, text):
        return "\u2014 %s %s\n" % (self.name, b64(self.id + self.sign(text)))

    def note(self, text):
        return text + b"\n" + self.line(text).encode()


class Ed25519Key(Key):
    """Signs notes (type 1), or checkpoints as a witness (type 4)."""
    def __init__(self, name, kind=1):
        self.name, self.kind, self.private = name, kind, ed25519.Ed25519PrivateKey.generate()
        public = self.private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.material = bytes([kind]) + public
        self.id = sha256(name.encode() + b"\n" + self.material)[:4]
        self.vkey = "%s+%s+%s" % (name, self.id.hex(), b64(self.material))

    def sign(self, text):
        return self.private.sign(text)

    def verify(self, signature, text):
        self.private.public_key().verify(signature, text)

    def cosign(self, text, time):
        signature = self.sign(b"cosignature/v1\ntime %d\n" % time + text)
        return "\u2014 %s %s\n" % (self.name, b64(self.id + struct.pack(">Q", time) + signature))


class EcdsaKey(Key):
    def __init__(self, name):
        self.name, self.private = name, ec.generate_private_key(ec.SECP256R1())
        self.spki = self.private.public_key().public_bytes(serialization.Encoding.DER,
                                                           serialization.PublicFormat.SubjectPublicKeyInfo)
        self.id = sha256(self.spki)[:4]
        self.vkey = "%s+%s+%s" % (name, self.id.hex(), b64(b"\x02" + self.spki))

    def sign(self, text):
        return self.private.sign(text, ec.ECDSA(hashes.SHA256()))

    def verify(self, signature, text):
        self.private.public_key().verify(signature, text, ec.ECDSA(hashes.SHA256()))


def path_of(number):
    parts = ["%03d" % (number % 1000)]
    while number >= 1000:
        number //= 1000
        parts.insert(0, "x%03d" % (number % 1000))
    return "/".join(parts)


def bundle(entries):
    return b"".join(struct.pack(">H", len(entry)) + entry for entry in entries)


def frame(first, entries):
    body = bundle(entries)
    head = b"HSL1" + struct.pack(">IQI", len(body), first, len(entries))
    return head + body + sha256(head + b"".join(map(leaf_hash, entries)))


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


def write_tiles(path, leaves):
    level, hashes_ = 0, leaves
    while len(hashes_) >= WIDTH:
        full = [hashes_[at:at + WIDTH] for at in range(0, len(hashes_) - WIDTH + 1, WIDTH)]
        for number, tile in enumerate(full):
            write(os.path.join(path, "tile", str(level), path_of(number)), b"".join(tile))
        level, hashes_ = level + 1, [root(tile) for tile in full]


def write_shard(path, entries, bundled, in_frame):
    """`bundled` entries in tiles and bundles, the rest in the segment, `in_frame` entries a frame."""
    for at in range(0, bundled, WIDTH):
        write(os.path.join(path, "tile/entries", path_of(at // WIDTH)), bundle(entries[at:at + WIDTH]))
    write_tiles(path, [leaf_hash(entry) for entry in entries[:bundled]])
    frames = [frame(bundled, [])]
    frames += [frame(at, entries[at:at + in_frame]) for at in range(bundled, len(entries), in_frame)]
    write(os.path.join(path, "segment"), b"".join(frames))


class Log:
    """One shard that grows. `directory` is the ledger's; nothing is written before `write`."""
    def __init__(self, directory, origin, key, shard=1):
        self.path = os.path.join(directory, str(shard))
        self.origin, self.key, self.shard = "%s/%d" % (origin, shard), key, shard
        self.entries, self.leaves, self.notes = [], [], {}

    def add(self, count, **members):
        for _ in range(count):
            entry = dict({"time": 1750000000 + len(self.entries), "type": "stop", "v": 1, "version": "0"}, **members)
            self.append(json.dumps(entry, sort_keys=True, separators=(",", ":")).encode())
        return self

    def append(self, entry):
        self.entries.append(entry)
        self.leaves.append(leaf_hash(entry))

    def text(self, size=None):
        size = len(self.entries) if size is None else size
        return ("%s\n%d\n%s\n" % (self.origin, size, b64(root(self.leaves[:size])))).encode()

    def note(self, size=None):
        """Always the same for one text: an ECDSA signature is another each time that it is made."""
        text = self.text(size)
        if (text, self.key) not in self.notes:
            self.notes[text, self.key] = self.key.note(text)
        return self.notes[text, self.key]

    def put(self, name, data):
        write(os.path.join(self.path, name), data)

    def write(self, checkpoint=True, in_frame=7):
        """All that is full goes to tiles and bundles, the rest to the segment."""
        write_shard(self.path, self.entries, len(self.entries) // WIDTH * WIDTH, in_frame)
        if checkpoint:
            self.put("checkpoint", self.note())
        return self
