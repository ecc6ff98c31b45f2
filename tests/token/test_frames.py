# SPDX-License-Identifier: Apache-2.0
"""hsmint-token spoken to directly: what it signs for whoever holds mint's end of its socket, and what it ends over."""
import base64
import hashlib
import json
import os
import select
import socket
import struct
import subprocess
import unittest

from softhsm_keys import module_of
from token_case import BUILD, FAULT, PATIENCE, TokenCase, process_exists, read, run, unbase64, wait_for
from token_admin import CHILD_FD, CONFIG, CREATE, DONE, FAILED, create_key, frame, string, token_config

SIGN, PROBE, LEARN, COUNT, TURN, READY, SIGNED, ENDING, LEARNED, NOT_LEARNED, COUNTS = 2, 3, 5, 6, 15, 16, 17, 19, 20, 21, 22
CLASS_REFUSED, CLASS_ABSENT = 6, 8
CKM_EC_KEY_PAIR_GEN, CKM_ECDSA = 0x1040, 0x1041
CUSTODY = bytes([1, 1, 1, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 1])  # in the order of enum custody_attribute
INHERIT = 'exec "$0" "$@" %d<&0 </dev/null' % CHILD_FD
PROGRAM = os.path.join(BUILD, "bin", "hsmint-token")
ISSUER = "https://localhost/unused"  # of every key, says token_config
KEYS = [("first", "demo-access", "01"), ("second", "demo-svid", "02")]


class Peer:
    """hsmint-token with this process in mint's place."""

    def __init__(self, *arguments):
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(PATIENCE)
        with theirs:
            self.process = subprocess.Popen(
                ["sh", "-c", INHERIT, PROGRAM, *arguments], stdin=theirs, stderr=subprocess.PIPE, text=True)

    def send(self, data, descriptors=()):
        socket.send_fds(self.socket, [data], list(descriptors))

    def receive(self):
        """Type, id and payload of the next frame; None at the end."""
        data = self.socket.recv(1 << 17)
        if not data:
            return None
        version, kind, flags, length, identity = struct.unpack("=BBHIQ", data[:16])
        assert (version, flags, length) == (1, 0, len(data) - 16), data
        return kind, identity, data[16:]

    def ask(self, data):
        self.send(data)
        return self.receive()

    def end(self):
        """The exit status and what was said; kills a process that has not ended by itself."""
        try:
            _, said = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        return self.process.returncode, said

    def close(self):
        self.socket.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class Reader:
    def __init__(self, data):
        self.data = data

    def take(self, form):
        size = struct.calcsize(form)
        value, = struct.unpack(form, self.data[:size])
        self.data = self.data[size:]
        return value

    def raw(self, length):
        value, self.data = self.data[:length], self.data[length:]
        return value

    def bytes(self):
        return self.raw(self.take("=I"))


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def tbs(kid, issuer=ISSUER, **header):
    """What a key for access tokens signs."""
    header = {"alg": "ES256", "kid": kid, "typ": "at+jwt", **header}
    payload = {"iss": issuer, "sub": "spiffe://demo.test/agent/first"}
    return b".".join(base64url(json.dumps(part, separators=(",", ":")).encode()) for part in (header, payload))


def sign(key, data, identity=1):
    return frame(SIGN, struct.pack("=H", key) + string(data), identity)


class Frames(TokenCase):
    def peer(self, *arguments):
        peer = Peer(*arguments)
        self.addCleanup(peer.close)
        return peer

    def configuration(self):
        return token_config(self.directory, module_of(self.directory), KEYS)

    def ready(self):
        """A process that is ready, and the kid and public key of each of its keys."""
        peer = self.peer()
        self.assertEqual(peer.ask(frame(CONFIG, self.configuration()))[:2], (TURN, 0))
        kind, identity, payload = peer.receive()
        self.assertEqual((kind, identity), (READY, 0), payload)
        reader = Reader(payload)
        for _ in range(7):
            reader.bytes()  # manufacturer, model, serial, firmware, hardware, library and its version
        loaded = FAULT if string(FAULT) in self.configuration() else module_of(self.directory)
        with open(loaded, "rb") as module:
            self.assertEqual(reader.raw(32), hashlib.sha256(module.read()).digest())
        self.assertNotEqual(reader.raw(16), bytes(16))  # the epoch
        self.assertIn(CKM_ECDSA, [reader.take("=Q") for _ in range(reader.take("=I"))])
        threads, probe_us, count = (reader.take("=I") for _ in range(3))
        self.assertEqual((threads, count), (1, len(KEYS)))
        self.assertTrue(0 < probe_us < PATIENCE * 1000000, probe_us)
        keys = []
        for _ in KEYS:
            keys.append((reader.bytes().decode(), reader.bytes()))
            self.assertEqual(reader.raw(14), CUSTODY)
            self.assertEqual([reader.take("=Q"), reader.take("=Q"), reader.take("=B")], [CKM_EC_KEY_PAIR_GEN, CKM_ECDSA, 0])
            self.assertEqual((reader.bytes(), reader.raw(6)), (b"", bytes(6)))  # no TPM was asked
        self.assertEqual(reader.data, b"")
        return peer, keys

    def assert_verifies(self, spki, data, signature):
        half = [int.from_bytes(part, "big") for part in (signature[:32], signature[32:])]
        integers = b"".join(b"\x02" + bytes([len(number)]) + number for number in
                            (value.to_bytes(value.bit_length() // 8 + 1, "big") for value in half))
        der = b"\x30" + bytes([len(integers)]) + integers
        path = {name: os.path.join(self.work, name) for name in ("spki", "data", "signature")}
        for name, content in (("spki", spki), ("data", data), ("signature", der)):
            with open(path[name], "wb") as out:
                out.write(content)
        run(["openssl", "dgst", "-sha256", "-verify", path["spki"], "-keyform", "DER", "-signature", path["signature"],
             path["data"]])

    def assert_refused(self, answer, identity, said):
        kind, of, payload = answer
        self.assertEqual((kind, of), (FAILED, identity), payload)
        reader = Reader(payload)
        self.assertEqual((reader.take("=B"), reader.take("=Q")), (CLASS_REFUSED, 0))
        self.assertIn(said, reader.bytes().decode())

    def test_each_key_signs_what_it_is_for(self):
        peer, keys = self.ready()
        self.assertNotEqual(keys[0][0], keys[1][0])
        for key, (kid, spki) in enumerate(keys):
            kind, identity, signature = peer.ask(sign(key, tbs(kid), 70 + key))
            self.assertEqual((kind, identity, len(signature)), (SIGNED, 70 + key, 64))
            self.assert_verifies(spki, tbs(kid), signature)

    def test_a_probe_gives_no_signature_away(self):
        peer, keys = self.ready()
        kind, identity, payload = peer.ask(frame(PROBE, struct.pack("=H", 1), 9))
        self.assertEqual((kind, identity), (SIGNED, 9))
        self.assertLessEqual(len(payload), 4)
        self.assertEqual(payload, bytes(len(payload)))

    def test_nothing_else_is_signed_and_the_token_is_not_even_asked(self):
        script = os.path.join(self.directory, "script")
        real = self.configuration
        self.configuration = lambda: self.with_fault_module(real(), script)
        peer, ((kid, _), (other, _)) = self.ready()
        with open(script, "w") as out:
            out.write("C_SignInit exit\n")
        good = tbs(kid)
        header, payload = good.split(b".")
        refusals = [(0, tbs(other), "not the JOSE header of this key"),
                    (1, good, "not the JOSE header of this key"),
                    (0, tbs(kid, typ="JWT"), "not the JOSE header"),
                    (0, tbs(kid, alg="none"), "not the JOSE header"),
                    (0, tbs(kid, crit=[]), "not the JOSE header"),
                    (0, tbs(kid, issuer=ISSUER + "/more"), "this key's issuer"),
                    (0, tbs(kid, issuer=ISSUER[:-1]), "this key's issuer"),
                    (0, header + b".", "this key's issuer"),
                    (0, header + b"." + base64url(b"hsmint probe\n" + bytes(16)), "this key's issuer"),
                    (0, b"hsmint probe\n" + bytes(16), "not the JOSE header"),
                    (0, good + b"=", "not base64url"),
                    (0, good + b".", "not base64url"),
                    (0, header + b"." + base64url(unbase64(payload.decode()) + b"\n"), "not one JSON object"),
                    (0, b"", "not the JOSE header"),
                    (0, b"\0" * 24 * 1024, "not the JOSE header")]
        for identity, (key, data, said) in enumerate(refusals, 1):
            with self.subTest(data[:40]):
                self.assert_refused(peer.ask(sign(key, data, identity)), identity, said)
        peer.send(sign(0, good))
        self.assertIsNone(peer.receive())
        self.assertEqual(peer.end()[0], 98, "the token is asked for what the key is for")

    def with_fault_module(self, configuration, script):
        """The same configuration with the fault module before SoftHSM."""
        module = module_of(self.directory)
        one = "SOFTHSM2_CONF=%s/softhsm2.conf" % self.directory
        more = ("HSMINT_TEST_MODULE=" + module, "HSMINT_TEST_CALLS=%s/calls" % self.directory,
                "HSMINT_TEST_SCRIPT=" + script)
        for old, new in ((string(module), string(FAULT)),
                         (struct.pack("=I", 1) + string(one),
                          struct.pack("=I", 4) + string(one) + b"".join(map(string, more)))):
            self.assertEqual(configuration.count(old), 1)
            configuration = configuration.replace(old, new)
        return configuration

    def test_a_process_ends_over_a_frame_that_is_malformed_or_not_for_it(self):
        good = struct.pack("=H", 0)
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        memfd = os.memfd_create("unsealed", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        self.addCleanup(os.close, memfd)
        os.truncate(memfd, 100000)
        for what, data, descriptors in (
                ("half a header", b"\x01\x02", ()),
                ("a header alone", struct.pack("=BBHIQ", 1, PROBE, 0, 0, 1), ()),
                ("another version", struct.pack("=BBHIQ", 2, PROBE, 0, 2, 1) + good, ()),
                ("an unknown flag", struct.pack("=BBHIQ", 1, PROBE, 2, 2, 1) + good, ()),
                ("a length too large", struct.pack("=BBHIQ", 1, PROBE, 0, 3, 1) + good, ()),
                ("a length too small", struct.pack("=BBHIQ", 1, PROBE, 0, 1, 1) + good, ()),
                ("a memfd that can change", struct.pack("=BBHIQ", 1, SIGN, 1, 100000, 1), (memfd,)),
                ("a pipe for a memfd", struct.pack("=BBHIQ", 1, SIGN, 1, 100000, 1), (reader,)),
                ("an unknown type", frame(99, good, 1), ()),
                ("a type of the other way", frame(SIGNED, good, 1), ()),
                ("an admin's command", frame(CREATE, good, 1), ()),
                ("another configuration", frame(CONFIG, self.configuration()), ()),
                ("a key that is not there", sign(len(KEYS), b"x"), ()),
                ("a key far out of range", sign(0xffff, b"x"), ()),
                ("a probe of a key that is not there", frame(PROBE, struct.pack("=H", len(KEYS)), 1), ()),
                ("a probe with a byte more", frame(PROBE, good + b"\0", 1), ()),
                ("half a request", frame(SIGN, b"\0", 1), ()),
                ("bytes behind a request", frame(SIGN, good + string(b"x") + b"y", 1), ()),
                ("a request longer than any", sign(0, b"x" * (24 * 1024 + 1)), ()),
                ("a length beyond the frame", frame(SIGN, good + struct.pack("=I", 100) + b"x", 1), ())):
            with self.subTest(what):
                peer, _ = self.ready()
                peer.send(data, descriptors)
                self.assertIsNone(peer.receive(), "no answer, and above all no signature")
                status, said = peer.end()
                self.assertEqual(status, 1, said)
                self.assertIn("event=malformed_frame", said)

    def test_a_process_without_a_good_configuration_ends_at_once(self):
        good = self.configuration()
        for what, data in (("a request first", sign(0, b"x")), ("nothing", frame(CONFIG, b"\0")),
                           ("cut short", frame(CONFIG, good[:-1])), ("a byte more", frame(CONFIG, good + b"\0")),
                           ("half a header", b"\x01")):
            with self.subTest(what):
                peer = self.peer()
                peer.send(data)
                self.assertIsNone(peer.receive())
                self.assertEqual(peer.end()[0], 1)

    def learn(self, place, label, identity):
        return frame(LEARN, struct.pack("=H", place) + string("more") + string(label) + string(bytes.fromhex(identity)) +
                     struct.pack("=BBB", 0, 0, 0) + string(ISSUER))

    def test_a_key_that_it_learned_signs_and_its_place_is_taken(self):
        create_key(self.directory, self.config, "site-key", "0a")
        for then in ("learn again", "sign elsewhere"):
            with self.subTest(then):
                peer, _ = self.ready()
                kind, identity, payload = peer.ask(self.learn(9, "nobody", "0b"))
                self.assertEqual((kind, identity, payload[:3]), (NOT_LEARNED, 0, struct.pack("=HB", 9, CLASS_ABSENT)))
                kind, identity, payload = peer.ask(self.learn(9, "site-key", "0a"))
                self.assertEqual((kind, identity, payload[:2]), (LEARNED, 0, struct.pack("=H", 9)))
                reader = Reader(payload[2:])
                kid, spki = reader.bytes().decode(), reader.bytes()
                self.assert_verifies(spki, tbs(kid), peer.ask(sign(9, tbs(kid)))[2])
                wrong = self.learn(9, "site-key", "0a") if then == "learn again" else sign(8, tbs(kid))
                self.assertIsNone(peer.ask(wrong))
                self.assertEqual(peer.end()[0], 1)

    def test_the_end_of_the_socket_ends_it_at_once(self):
        peer, _ = self.ready()
        peer.socket.close()
        self.assertEqual(peer.end(), (0, ""))
        peer = self.peer()
        peer.socket.close()
        self.assertIn(peer.end()[0], (0, 1), "before its configuration")
        peer = self.peer("admin")
        peer.send(frame(CONFIG, self.configuration()))
        peer.socket.close()
        self.assertEqual(peer.end()[0], 0)

    def test_what_is_asked_is_answered_before_the_end(self):
        """Requests that were sent before mint hung up cost nothing but their answers, which nobody reads."""
        peer, ((kid, _), _) = self.ready()
        for identity in range(1, 20):
            peer.send(sign(0, tbs(kid), identity))
        peer.socket.shutdown(socket.SHUT_WR)
        for identity in range(1, 20):
            self.assertEqual(peer.receive()[:2], (SIGNED, identity))
        self.assertIsNone(peer.receive())
        self.assertEqual(peer.end()[0], 0)

    def test_it_says_why_it_ends(self):
        os.chmod(self.pin_file, 0o644)
        peer = self.peer()
        self.assertEqual(peer.ask(frame(CONFIG, self.configuration()))[0], TURN)
        self.assertEqual(peer.receive()[0], COUNTS)
        kind, _, payload = peer.receive()
        self.assertEqual(kind, ENDING)
        self.assertIn(b"chmod 600", payload)
        self.assertIsNone(peer.receive())
        self.assertEqual(peer.end()[0], 1)

    def with_custodians(self, unlock):
        """The same configuration, but the PIN comes from two people."""
        file = struct.pack("=B", 0) + string(self.directory + "/pin") + struct.pack("=I", 0) + bytes(16)
        people = struct.pack("=B", 2) + string("") + struct.pack("=III", 2, 1000, 1001) + unlock
        self.assertEqual(self.configuration().count(file), 1)
        return self.configuration().replace(file, people)

    def part(self, text):
        fd = os.memfd_create("part")
        self.addCleanup(os.close, fd)
        os.write(fd, text.encode())
        return fd

    def configure(self, configuration, parts):
        peer = self.peer()
        peer.send(frame(CONFIG, configuration), [self.part(part) for part in parts])
        return peer

    def test_parts_of_a_pin_come_with_the_configuration_in_the_custodians_order(self):
        parts = self.pin[:5], self.pin[5:]
        peer = self.configure(self.with_custodians(b"1" * 16), parts)
        self.assertEqual((peer.receive()[0], peer.receive()[0]), (TURN, READY))
        held = os.listdir("/proc/%d/fd" % peer.process.pid)
        self.assertEqual([fd for fd in held if "memfd" in os.readlink("/proc/%d/fd/%s" % (peer.process.pid, fd))], [])

    def test_without_parts_or_an_unlock_it_does_not_log_in(self):
        for unlock, parts, said in ((b"1" * 16, (), b"0 of 2 parts"), (bytes(16), ("1", "2"), b"nobody has unlocked")):
            peer = self.configure(self.with_custodians(unlock), parts)
            self.assertEqual([peer.receive()[0], peer.receive()[0]], [TURN, COUNTS])
            kind, _, payload = peer.receive()
            self.assertEqual(kind, ENDING)
            self.assertIn(said, payload)
            self.assertIn(b"hsmint token unlock", payload)

    def test_descriptors_that_no_login_takes_end_it(self):
        for configuration, parts in ((self.configuration(), ("1",)), (self.with_custodians(b"1" * 16), ("1",)),
                                     (self.with_custodians(b"1" * 16), ("1", "2", "3"))):
            peer = self.configure(configuration, parts)
            self.assertIsNone(peer.receive())
            self.assertEqual(peer.end()[0], 1)

    def test_started_by_hand_it_says_who_starts_it(self):
        for arguments in ([], ["admin"], ["--help"], ["admin", "more"]):
            with self.subTest(arguments):
                result = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                                        timeout=PATIENCE)
                self.assertEqual((result.returncode, result.stdout), (2, ""))
                self.assertEqual(result.stderr, "hsmint-token is started by hsmint; see hsmint --help\n")

    def test_a_pipe_or_a_stream_in_place_of_its_socket_is_refused(self):
        for pair in (os.pipe, lambda: [end.detach() for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)]):
            ends = pair()
            result = subprocess.run(["sh", "-c", INHERIT, PROGRAM], stdin=ends[0], stderr=subprocess.PIPE,
                                    timeout=PATIENCE)
            self.assertEqual(result.returncode, 2)
            for end in ends:
                os.close(end)

    def test_two_processes_take_their_turn_to_start(self):
        """Each holds the start lock until it has logged in; SoftHSM would lose tokens otherwise."""
        lock = os.path.join(self.directory, "state", "token-start.lock")
        holder = subprocess.Popen(["flock", lock, "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        holder.stdin.write(b"held\n")
        holder.stdin.flush()
        self.assertEqual(holder.stdout.readline(), b"held\n")
        peer = self.peer()
        peer.send(frame(CONFIG, self.configuration()))
        wait_for(lambda: self.waits_for_lock(peer.process.pid), "the process to wait for the lock")
        self.assertEqual(select.select([peer.socket], [], [], 0)[0], [])
        holder.communicate()
        self.assertEqual([peer.receive()[0], peer.receive()[0]], [TURN, READY])

    @staticmethod
    def waits_for_lock(pid):
        return any("->" in line and " %d " % pid in line for line in read("/proc/locks").splitlines())

    def test_admin_serves_commands_and_ends_over_what_is_none(self):
        peer = self.peer("admin")
        key = [("new", "admin-made", "33")]
        peer.send(frame(CONFIG, token_config(self.directory, module_of(self.directory), key)))
        self.assertEqual(peer.ask(frame(CREATE, struct.pack("=H", 0), 5))[:2], (DONE, 5))
        kind, identity, payload = peer.ask(frame(CREATE, struct.pack("=H", 0), 6))
        self.assertEqual((kind, identity), (FAILED, 6))
        self.assertIn(b"a key labelled 'admin-made' exists already", payload)
        peer.send(frame(CREATE, struct.pack("=H", 1), 7))
        self.assertIsNone(peer.receive())
        peer.end()
        self.assertFalse(process_exists(peer.process.pid))


if __name__ == "__main__":
    unittest.main()
