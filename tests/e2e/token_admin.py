# SPDX-License-Identifier: Apache-2.0
"""Keys made by `hsmint-token admin`, spoken to in frames (docs/frames.md)."""
import os
import re
import socket
import struct
import subprocess

from harness import BUILD, read

CONFIG, CREATE, FAILED, DONE = 1, 33, 18, 48
CHILD_FD = 3


def frame(kind, payload, identity=0):
    return struct.pack("=BBHIQ", 1, kind, 0, len(payload), identity) + payload


def string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("=I", len(data)) + data


def token_config(directory, module, keys, label_of_token="hsmint-dev", environment=None, pin=None,
                 origin=""):
    """struct token_config of the token that `hsmint dev` made; `keys` are (name, label, id in hexadecimal), and the
    algorithm's number if it is not ES256."""
    environment = environment or {"SOFTHSM2_CONF": directory + "/softhsm2.conf"}
    config = string("soft") + string(module) + string(label_of_token) + struct.pack("=I", 0)
    config += struct.pack("=B", 0) + string(pin or directory + "/pin")
    config += struct.pack("=I", 0) + bytes(16)  # no custodians, no unlock
    config += string(directory + "/state") + string(origin)
    config += struct.pack("=IBBBQIBI", 1, 0, 0, 0, 1, 0, 0, 0) + struct.pack("=BII", 0, 0, len(environment))
    config += b"".join(string("%s=%s" % pair) for pair in environment.items())
    config += struct.pack("=I", len(keys))
    for name, label, identity, *algorithm in keys:
        config += string(name) + string(label) + string(bytes.fromhex(identity))
        config += struct.pack("=BBB", 0, *(algorithm or [0]), 0)
        config += string("https://localhost/unused")
    return config


def create_key(directory, config, label, identity, algorithm=0, **token):
    """Generate a key for signing, of the algorithm's number in a frame, in the token of a directory in which nothing
    runs; `token` may be another's module, label, environment and file with the PIN."""
    module = token.pop("module", None) or re.search(r"module: (\S+)", read(config)).group(1)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            program = os.path.join(BUILD, "bin", "hsmint-token")
            process = subprocess.Popen(
                ["sh", "-c", 'exec "$0" admin %d<&0 </dev/null' % CHILD_FD, program], stdin=theirs)
        ours.send(frame(CONFIG, token_config(directory, module, [(label, label, identity, algorithm)], **token)))
        ours.send(frame(CREATE, struct.pack("=H", 0), 1))
        answer = ours.recv(65536)
    process.wait(60)
    if answer[1] != DONE:
        raise AssertionError("hsmint-token admin: %r" % answer)
