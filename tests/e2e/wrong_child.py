# SPDX-License-Identifier: Apache-2.0
"""A child of mint that lies: it stands between mint and the genuine program, passes their frames on, and adds or
changes some. test_wrong_children.py puts it in the genuine program's place."""
import json
import os
import select
import socket
import subprocess
import time

import frames

LIES = 2**63  # ids of requests that the genuine gate never sent


class Relay:
    def __init__(self, genuine, directory, behaviour):
        self.directory = directory
        self.wrong = after(frames.GATE_READY, *lies_of(directory)) if behaviour == "lies" else BEHAVIOURS[behaviour]
        self.deaf = behaviour == "deaf"
        self.mint = socket.socket(fileno=3)
        self.inner, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

        def child():
            os.dup2(theirs.fileno(), 3)
            os.set_inheritable(3, True)

        # Descriptor 3 is mint's socket here and the relay's there.
        self.process = subprocess.Popen([genuine], preexec_fn=child, close_fds=False)
        theirs.close()

    def run(self):
        while True:
            for readable in select.select([self.mint, self.inner], [], [])[0]:
                data, fds = frames.receive(readable)
                if not data:
                    return
                if readable is self.inner:
                    for message in self.wrong(data):
                        frames.send(self.mint, message, fds)
                elif not self.keeps_back(data):
                    frames.send(self.inner, data, fds)
                for fd in fds:
                    os.close(fd)

    def keeps_back(self, data):
        """What mint answers to our own requests is for the test, not for the genuine gate."""
        kind, frame_id, payload = frames.split(data)
        if self.deaf:
            return kind == frames.GATE_DRAIN
        if kind != frames.GATE_REPLY or frame_id < LIES:
            return False
        with open(os.path.join(self.directory, "replies"), "a") as out:
            out.write(json.dumps([frame_id - LIES, *frames.split_reply(payload)]) + "\n")
        return True


def after(kind, *wrong):
    """Once the genuine program has sent a frame of this kind, say these, too."""
    return lambda data: [data, *wrong] if frames.split(data)[0] == kind else [data]


def instead(kind, change):
    return lambda data: [change(data)] if frames.split(data)[0] == kind else [data]


def twice(kind):
    return lambda data: [data] * (2 if frames.split(data)[0] == kind else 1)


def say_of_a_tpm(data):
    """READY ends with the last key's name in a TPM, which is empty, and six attributes."""
    return frames.frame(frames.TOKEN_READY, frames.split(data)[2][:-10] + frames.text(b"\0\x0b") + bytes(6))


def of_requests(change):
    """Change what comes with the id of a request, not of a probe or a question."""
    return lambda data: change(data) if frames.split(data)[1] and frames.split(data)[0] != frames.TOKEN_COUNTS else [data]


def short_signature(data):
    kind, frame_id, payload = frames.split(data)
    return [frames.frame(kind, payload[:-1], frame_id)]


def of_the_first_key(data):
    """The same, told of the key at the token's first place."""
    kind, frame_id, payload = frames.split(data)
    return frames.frame(kind, b"\0\0" + payload[2:], frame_id)


def lies_of(directory):
    with open(os.path.join(directory, "lies")) as lies:
        for number, (operation, caller, body) in enumerate(json.load(lies)):
            if operation in (frames.CALL, frames.TOKEN):
                certificates = bytes.fromhex(body.pop("certificates", ""))
                yield frames.gate_call(bytes.fromhex(caller), frame_id=LIES + number, certificates=certificates,
                                       operation=operation, **body)
            else:
                yield frames.gate_request(operation, bytes.fromhex(caller), body, LIES + number)


# One thing wrong in each, after a start that was right. A frame has the ready frame's type where it tells nothing new.
MALFORMED = {
    "no header": b"x",
    "a header alone": frames.frame(99)[:frames.HEADER],
    "another version": frames.frame(99, version=2),
    "an unknown flag": frames.frame(99, flags=2),
    "a length of nothing": frames.frame(99, length=0),
    "a length beyond the end": frames.frame(99, length=4000),
    "a memfd that does not come": frames.frame(99, flags=1, length=100000),
    "an unknown type": frames.frame(200),
}
GATE = {
    "mint's own reply": frames.frame(frames.GATE_REPLY, bytes(20)),
    "a configuration": frames.frame(frames.GATE_CONFIG),
    "a signature": frames.frame(frames.TOKEN_SIGNED, bytes(64), 1),
    "an operator's command": frames.frame(frames.CONTROL_REQUEST, b'{"command":"status"}'),
    "figures that end too soon": frames.frame(frames.GATE_STATS, bytes(60)),
    "an operation that is none": frames.gate_request(9, frames.unix_caller(0), b"{}", 1),
    "a kind of caller that is none": frames.gate_request(0, frames.unix_caller(0, kind=9), b"{}", 1),
    "a caller of what is public": frames.gate_request(frames.LEDGER_PUBLIC, frames.unix_caller(0), "/ledger/tile/0/000", 1),
    "nobody who asks for entries": frames.gate_request(frames.LEDGER_ENTRIES, frames.NOBODY, "/ledger/tile/entries/000", 1),
    "nobody who has something minted": frames.gate_request(0, frames.NOBODY, b"{}", 1),
    "a path that is too long": frames.gate_request(frames.LEDGER_PUBLIC, frames.NOBODY, "/ledger/" + "x" * 89, 1),
    "a call by another method": frames.gate_call(frames.unix_caller(0), "PUT", "/v1/agents", b"", 1),
    "a call of no path": frames.gate_call(frames.unix_caller(0), "GET", "v1/agents", b"", 1),
    "a call by nobody": frames.gate_call(frames.NOBODY, "GET", "/v1/agents", b"", 1),
    "certificates without a signature": frames.gate_call(frames.unix_caller(0), "GET", "/v1/agents", b"", 1, certificates=b"x"),
    "a signature that is too long": frames.gate_call(frames.unix_caller(0), "GET", "/v1/agents", b"", 1, signature="x" * 1025),
    "a request that ends too soon": frames.gate_request(0, frames.unix_caller(0), b"{}", 1)[:-1],
    "a request with something behind it":
        frames.frame(frames.GATE_REQUEST, b"\0" + frames.unix_caller(0) + frames.text(b"{}") + b"x", 1),
    "a name that is too long": frames.gate_request(0, frames.certificate_caller("spiffe://x/" + "x" * 2048), b"{}", 1),
    "a name with a NUL": frames.gate_request(0, frames.certificate_caller("spiffe://demo.test/client\0"), b"{}", 1),
}
TOKEN = {
    "mint's own order": frames.frame(frames.TOKEN_CONFIG),
    "a caller's request": frames.gate_request(0, frames.unix_caller(0), b"{}", 1),
    "a signature nobody asked for": frames.frame(frames.TOKEN_SIGNED, bytes(64), 4711),
    "a failure of no request": frames.frame(frames.TOKEN_FAILED, b"\0" + bytes(8) + frames.text("no"), 4711),
    "a failure of no class": frames.frame(frames.TOKEN_FAILED, b"\x63" + bytes(8) + frames.text("no")),
    "a failure that ends too soon": frames.frame(frames.TOKEN_FAILED, b"\0"),
    "counts nobody asked for": frames.frame(frames.TOKEN_COUNTS, bytes(16) + bytes(4)),
    "a key that it was not asked to look for":
        frames.frame(frames.TOKEN_NOT_LEARNED, b"\0\0\7" + bytes(8) + frames.text("no")),
}
BEHAVIOURS = {"gate: " + name: after(frames.GATE_READY, wrong) for name, wrong in {**MALFORMED, **GATE}.items()}
BEHAVIOURS.update({"token: " + name: after(frames.TOKEN_READY, wrong) for name, wrong in {**MALFORMED, **TOKEN}.items()})
BEHAVIOURS.update({
    "gate: ready twice": twice(frames.GATE_READY),
    "gate: a request before it is ready":
        lambda data: [frames.gate_request(0, frames.unix_caller(0), b"{}", 1), data],
    "token: ready twice": twice(frames.TOKEN_READY),
    "token: ready with nothing to show": instead(frames.TOKEN_READY, lambda data: frames.frame(frames.TOKEN_READY)),
    "token: what a TPM says, which nobody asked for": instead(frames.TOKEN_READY, say_of_a_tpm),
    "token: counts of another process":
        instead(frames.TOKEN_COUNTS, lambda data: data[:frames.HEADER] + bytes(16) + data[frames.HEADER + 16:]),
    "deaf": lambda data: [data],  # serves, and does not hear that it is to end
})
# Only once it is asked for a signature.
SIGNING = {
    "token: a signature that is too short": of_requests(short_signature),
    "token: a signature that is too long": of_requests(lambda data: [frames.frame(data[1], bytes(65), frames.split(data)[1])]),
    "token: every signature twice": of_requests(lambda data: [data, data]),
}
BEHAVIOURS.update(SIGNING)
# Only once it is asked for a key.
LEARNING = {
    "another key learned than it was asked for": instead(frames.TOKEN_LEARNED, of_the_first_key),
    "another key not learned than it was asked for": instead(frames.TOKEN_NOT_LEARNED, of_the_first_key),
}
BEHAVIOURS.update(LEARNING)


def main(genuine, directory):
    """Behave once as the file `behaviour` says; then, and without it, be the genuine program."""
    path = os.path.join(directory, "behaviour")
    try:
        with open(path) as file:
            behaviour = file.read()
    except FileNotFoundError:
        os.execv(genuine, [genuine])
    os.unlink(path)
    if behaviour == "silent":
        time.sleep(1000)
    Relay(genuine, directory, behaviour).run()
