# SPDX-License-Identifier: Apache-2.0
"""Frames as docs/frames.md describes them, good and bad, for tests that speak them themselves."""
import array
import fcntl
import os
import socket
import struct

HEADER = 16
INLINE_MAX = 64 * 1024
TOKEN_CONFIG, TOKEN_READY, TOKEN_SIGNED, TOKEN_FAILED = 1, 16, 17, 18
TOKEN_LEARNED, TOKEN_NOT_LEARNED, TOKEN_COUNTS = 20, 21, 22
GATE_CONFIG, GATE_REPLY, GATE_DRAIN, GATE_READY, GATE_REQUEST, GATE_STATS = 64, 66, 67, 80, 81, 82
CONTROL_REQUEST, CONTROL_REPLY = 96, 97
LEDGER_PUBLIC, LEDGER_ENTRIES, LEDGER_PROOF = 4, 5, 6  # operations
CALL, TOKEN = 7, 8
NOBODY = b"\2"  # the caller of what is public
ALL_SEALS = 1 | 2 | 4 | 8


def frame(kind, payload=b"", frame_id=0, version=1, flags=0, length=None):
    """One datagram; the last three say what is not so when they are given."""
    payload = payload or bytes(4)
    return struct.pack("=BBHIQ", version, kind, flags, len(payload) if length is None else length, frame_id) + payload


def split(data):
    """The type, id and inline payload of a datagram."""
    _, kind, _, _, frame_id = struct.unpack_from("=BBHIQ", data)
    return kind, frame_id, data[HEADER:]


def text(value):
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("=I", len(data)) + data


def receive(sock):
    """One datagram and its descriptors; no bytes: the end."""
    data, ancillary, _, _ = sock.recvmsg(HEADER + INLINE_MAX, 1024)
    fds = array.array("i")
    for _, _, content in ancillary:
        fds.frombytes(content)
    return data, list(fds)


def send(sock, data, fds=()):
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sock.sendmsg([data], ancillary)


def send_in_memfd(sock, kind, payload, frame_id=0):
    """A frame whose payload travels as a sealed memfd, however long it is."""
    fd = os.memfd_create("frame", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.write(fd, payload)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, ALL_SEALS)
        send(sock, struct.pack("=BBHIQ", 1, kind, 1, len(payload), frame_id), [fd])
    finally:
        os.close(fd)


def split_reply(payload):
    """The status and body of a gate's reply."""
    status, _ = struct.unpack_from("=HI", payload)
    at = struct.calcsize("=HI")
    for _ in range(4):  # content type, cache control, ETag, DPoP nonce
        at += 4 + struct.unpack_from("=I", payload, at)[0]
    return status, payload[at + 4:].decode(errors="replace")


def gate_call(caller, method, target, body, frame_id, digest="", signature_input="", signature="", certificates=b"",
              is_form=False, operation=CALL):
    """A request to the API or a token endpoint, with what its HTTP signature covers and what proves a key."""
    call = text(method) + text(target) + struct.pack("=B", is_form) + text(digest) + text(signature_input) + \
        text(signature) + text("") + text(certificates)
    return frame(GATE_REQUEST, struct.pack("=B", operation) + caller + struct.pack("=Q", 0) + text("") + call + text(body), frame_id)


def gate_request(operation, caller, body, frame_id):
    """Without a deadline and a key. What is asked of the ledger has its path instead of a body."""
    rest = text(body) + text("") if operation in (LEDGER_PUBLIC, LEDGER_ENTRIES, LEDGER_PROOF) else text(body)
    return frame(GATE_REQUEST, struct.pack("=B", operation) + caller + struct.pack("=Q", 0) + text("") + rest, frame_id)


def unix_caller(uid, kind=0):
    return struct.pack("=BIII", kind, uid, uid, os.getpid())


def certificate_caller(uri, spki=bytes(32)):
    return struct.pack("=B", 1) + text(uri) + spki
