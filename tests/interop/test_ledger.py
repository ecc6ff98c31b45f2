# SPDX-License-Identifier: Apache-2.0
"""A verifier in another language, which shares no code with hsmint, judges ledgers and proofs; and so does openssl."""
import base64
import hashlib
import hmac
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
for name in ("e2e", "ledger"):
    sys.path.insert(0, os.path.join(HERE, "..", name))
from harness import Case, edit, read, start_dev, start_serve, wait_for  # noqa: E402
from made_log import EcdsaKey, Ed25519Key, Log, b64, frame, inclusion  # noqa: E402
from token_admin import create_key  # noqa: E402

ORIGIN = "mint.test/ledger"


def judge(*arguments):
    result = subprocess.run(["node", os.path.join(HERE, "ledger.mjs")] + list(arguments), capture_output=True, text=True,
                            timeout=120)
    answer = json.loads(result.stdout)
    assert (result.returncode == 0) == answer["ok"], result
    return answer


class VerifierCase(unittest.TestCase):
    """That the verifier finds faults, so that what it accepts is right."""
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="hsmint-interop-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.ledger = os.path.join(self.directory, "ledger")
        self.key = Ed25519Key(ORIGIN)

    def make(self, count, shard=1, previous=None, close=False):
        log = Log(self.ledger, ORIGIN, self.key, shard)
        members = {"type": "open", "origin": log.origin}
        if previous:
            members["previous"] = {"origin": previous.origin, "size": len(previous.entries),
                                   "root": base64.b64encode(self.root(previous)).decode().rstrip("=")
                                   .translate(str.maketrans("+/", "-_"))}
        log.add(1, **members).add(count - 1 - close)
        return log.add(1, type="close") if close else log

    @staticmethod
    def root(log):
        return base64.b64decode(log.text().split(b"\n")[2])

    def verify(self, *more):
        return judge("verify", self.ledger, "--vkey", self.key.vkey, *more)

    def assert_fault(self, part, *more):
        answer = self.verify(*more)
        self.assertFalse(answer["ok"])
        self.assertIn(part, answer["fault"])


class Ledgers(VerifierCase):
    def test_logs_of_every_form(self):
        for count in (1, 2, 255, 256, 257, 700, 1024, 66000):
            with self.subTest(count):
                log = self.make(count).write(in_frame=100)
                answer = self.verify()
                self.assertTrue(answer["ok"], answer)
                self.assertEqual((answer["result"][0]["size"], answer["result"][0]["root"]), (count, b64(self.root(log))))
                shutil.rmtree(self.ledger)

    def test_an_ecdsa_key(self):
        self.key = EcdsaKey(ORIGIN)
        self.make(300).write()
        self.assertTrue(self.verify()["ok"])

    def test_entries_behind_the_checkpoint(self):
        log = self.make(300)
        note = log.note()
        log.add(300).write(checkpoint=False).put("checkpoint", note)
        answer = self.verify()["result"][0]
        self.assertEqual((answer["size"], answer["entries"]), (300, 600))

    def test_shards_follow_one_another(self):
        first = self.make(300, close=True).write()
        self.make(5, shard=2, previous=first).write()
        self.assertTrue(self.verify()["ok"])
        self.make(5, shard=2, previous=self.make(300)).write()
        self.assert_fault("does not cite")
        self.make(300).write()
        self.make(5, shard=2, previous=self.make(300)).write()
        self.assert_fault("not closed")

    def test_a_witness(self):
        log, witness = self.make(3).write(), Ed25519Key("witness.test", 4)
        log.put("checkpoint", log.note() + witness.cosign(log.text(), 1750000000).encode())
        self.assertEqual(self.verify()["result"][0]["witnesses"], [])
        self.assertEqual(self.verify("--vkey", witness.vkey)["result"][0]["witnesses"], ["witness.test"])
        log.put("checkpoint", log.note() + witness.cosign(log.text(2), 1750000000).encode())
        self.assert_fault("signature of witness.test", "--vkey", witness.vkey)

    def test_changed_bytes_and_cuts_are_found(self):
        self.make(257).write()
        for name in ("checkpoint", "segment", "tile/0/000", "tile/entries/000"):
            path = os.path.join(self.ledger, "1", name)
            with open(path, "rb") as file:
                whole = file.read()
            for at in range(0, len(whole), max(1, len(whole) // 10)):
                with self.subTest(name, at=at):
                    with open(path, "wb") as file:
                        file.write(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
                    self.assertFalse(self.verify()["ok"])
                    with open(path, "wb") as file:
                        file.write(whole[:at])
                    self.assertFalse(self.verify()["ok"])
            with open(path, "wb") as file:
                file.write(whole)
        self.assertTrue(self.verify()["ok"])

    def test_a_torn_frame_is_nothing_but_one_before_whole_ones_is_a_fault(self):
        log = self.make(20).write()
        path, more = os.path.join(self.ledger, "1", "segment"), [b'{"time":1,"type":"stop","v":1}']
        with open(path, "ab") as file:
            file.write(frame(20, more)[:-1])
        self.assertEqual(self.verify()["result"][0]["entries"], 20)
        with open(path, "ab") as file:
            file.write(frame(21, more))
        self.assert_fault("whole frames behind")
        log.put("segment", frame(0, log.entries) + frame(21, more))
        self.assert_fault("does not follow")
        log.put("segment", frame(0, log.entries) + frame(20, []))
        self.assert_fault("begins wrongly")
        log.put("segment", frame(1, log.entries[1:]))
        self.assert_fault("begins wrongly")

    def test_what_an_entry_must_be(self):
        for entry, part in ((b'{"time":1,"type":"stop","v":2}', "has no v"), (b'{"type":"stop","v":1}', "has no v"),
                            (b'{"v":1,"time":1,"type":"stop"}', "canonical"), (b'{"time":1,"type":"stop", "v":1}', "canonical"),
                            (b'{"time":1.0,"type":"stop","v":1}', "canonical"),
                            (b'{"time":1,"time":1,"type":"stop","v":1}', "canonical"),
                            (b'{"time":1,"type":"stop","v":1,"x":9007199254740993}', "53 bits"),
                            (b'{"time":1,"type":"stop","v":1,"x":[[[[[[[[]]]]]]]]}', "8 deep"), (b"[1", "JSON"),
                            (b'{"of":9,"time":1,"type":"void","v":1}', "names no credential"),
                            (b'{"time":1,"type":"open","v":1}', "is an open")):
            log = self.make(3)
            log.append(entry)
            log.write()
            self.assert_fault(part)


class Proofs(VerifierCase):
    def check(self, proof):
        path = os.path.join(self.directory, "proof")
        with open(path, "w") as file:
            json.dump(proof, file)
        return judge("proof", path, "--vkey", self.key.vkey)

    def prove(self, log, index):
        return {"origin": log.origin, "index": index, "leaf": b64(log.leaves[index]),
                "path": list(map(b64, inclusion(index, log.leaves))), "checkpoint": log.note().decode()}

    def test_of_every_entry(self):
        for count in (1, 2, 3, 7, 8, 13):
            log = self.make(count)
            for index in range(count):
                self.assertTrue(self.check(self.prove(log, index))["ok"])

    def test_others_are_refused(self):
        log = self.make(13)
        good = self.prove(log, 5)
        for part, change in (("does not lead", {"index": 4}), ("the index", {"index": 13}), ("the index", {"index": -1}),
                             ("a path of", {"path": good["path"][1:]}), ("a path of", {"path": good["path"] * 2}),
                             ("does not lead", {"path": good["path"][::-1]}), ("does not lead", {"leaf": b64(log.leaves[4])}),
                             ("checkpoint is of", {"origin": ORIGIN + "/2"}),
                             ("is wrong", {"checkpoint": good["checkpoint"].replace("\n13\n", "\n14\n")})):
            answer = self.check(dict(good, **change))
            self.assertFalse(answer["ok"], change)
            self.assertIn(part, answer["fault"])

    def test_in_a_file_with_a_human(self):
        salt, name = os.urandom(32), "alice@example.org"
        commitment = base64.urlsafe_b64encode(hmac.digest(salt, name.encode(), hashlib.sha256)).decode().rstrip("=")
        log = self.make(4).add(1, type="credential", humans=[commitment])
        proof = {"entry": log.entries[4].decode(), "index": 4, "path": list(map(b64, inclusion(4, log.leaves))),
                 "checkpoint": log.note().decode(),
                 "humans": [{"name": name, "salt": b64(salt)}]}
        answer = self.check(proof)
        self.assertTrue(answer["ok"], answer)
        self.assertEqual(answer["result"]["entry"]["humans"], [commitment])
        self.assertFalse(self.check(dict(proof, entry=proof["entry"].replace("credential", "Credential")))["ok"])
        self.assertFalse(self.check(dict(proof, humans=[dict(proof["humans"][0], name="bob@example.org")]))["ok"])
        self.assertFalse(self.check(dict(proof, humans=proof["humans"] * 2))["ok"])
        self.assertTrue(self.check(dict(proof, humans=[]))["ok"], "nobody is told")


class OfHsmint(Case):
    """What hsmint writes, judged by the verifier."""
    def covered(self, service, size):
        """The newest checkpoint, when it covers so many entries."""
        def newest():
            answer = service.ask("GET", "/ledger/checkpoint")
            return answer.status == 200 and int(answer.body.split(b"\n")[1]) >= size and answer.body
        return wait_for(newest, "a checkpoint of %d entries" % size)

    def vkeys(self, service):
        printed = service.command("ledger", "vkey", "--control", service.control).stdout.split()
        return [word for key in printed for word in ("--vkey", key)]

    def accept(self, *arguments):
        answer = judge(*arguments)
        self.assertTrue(answer["ok"], answer)
        return answer["result"]

    def mint(self, service, count):
        """Where the last of them is recorded, and the credential."""
        for _ in range(count):
            reply = service.mint()
            self.assertEqual(reply.status, 200, reply.body)
        return reply.json["ledger"]["index"], reply.json["credential"]

    def test_a_directory_and_the_signature_by_openssl(self):
        service = start_dev(os.path.join(self.work, "dev"))
        self.addCleanup(service.stop)
        index, _ = self.mint(service, 600)
        note, keys = self.covered(service, index + 1), self.vkeys(service)
        service.stop()
        shard, = self.accept("verify", os.path.join(self.work, "dev", "ledger"), *keys)
        self.assertGreater(shard["size"], index)
        self.assertLessEqual(set(shard["behind"]), {"counts", "token"}, "a clean stop signs all but the token's own end")
        self.check_with_openssl(note, keys[1])

    def check_with_openssl(self, note, vkey):
        text, _, line = note.partition(b"\n\n")
        material = base64.b64decode(vkey.split("+", 2)[2])
        self.assertEqual(material[0], 2)
        for name, data in (("text", text + b"\n"), ("signature", base64.b64decode(line.split()[2])[4:]),
                           ("key", material[1:])):
            with open(os.path.join(self.work, name), "wb") as file:
                file.write(data)
        command = ["openssl", "dgst", "-sha256", "-keyform", "DER", "-verify", os.path.join(self.work, "key"),
                   "-signature", os.path.join(self.work, "signature"), os.path.join(self.work, "text")]
        self.assertEqual(subprocess.run(command, capture_output=True, timeout=60).stdout, b"Verified OK\n")
        with open(os.path.join(self.work, "text"), "ab") as file:
            file.write(b"\n")
        self.assertNotEqual(subprocess.run(command, capture_output=True, timeout=60).returncode, 0)

    def test_over_http(self):
        service = start_dev(os.path.join(self.work, "dev"))
        self.addCleanup(service.stop)
        index, _ = self.mint(service, 300)
        self.covered(service, index + 1)
        keys, ready = self.vkeys(service), service.ready
        url = "https://localhost:%d/ledger" % service.port
        identity = ["--ca", ready["ca"], "--cert", ready["cert"], "--key", ready["key"]]
        for place, more in (("http://localhost/ledger/1", ["--socket", service.socket]),
                            ("http://localhost/ledger", ["--socket", service.socket]),
                            (url + "/1", identity), (url + "/1", identity[:2] + ["--hashes"])):
            shard, = self.accept("verify", place, *keys, *more)
            self.assertGreater(shard["size"], index)
        self.assertIn("status 4", judge("verify", url + "/1", *keys, *identity[:2])["fault"], "entries are not for all")
        for at in (0, 5, 255, 256, index):
            self.accept("proof", self.put("proof", service.ask("GET", "/v1/ledger/proof/%d" % at).body), *keys)

    def put(self, name, data):
        path = os.path.join(self.work, name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def test_a_proof_in_a_file(self):
        service = start_dev(os.path.join(self.work, "dev"))
        self.addCleanup(service.stop)
        (_, other), (index, token) = self.mint(service, 1), self.mint(service, 299)
        self.covered(service, index + 1)
        keys, right = self.vkeys(service), self.put("token", token.encode())
        service.stop()
        proof = service.command("ledger", "prove", os.path.join(self.work, "dev", "ledger"), right).stdout
        found = self.accept("proof", self.put("proof", proof.encode()), *keys, "--credential", right)
        self.assertEqual((found["index"], found["entry"]["type"]), (index, "credential"))
        wrong = self.put("other", other.encode())
        answer = judge("proof", os.path.join(self.work, "proof"), *keys, "--credential", wrong)
        self.assertEqual(answer, {"ok": False, "fault": "the entry is about another credential"})

    def test_a_credential_that_names_a_human(self):
        directory = self.made()
        config = os.path.join(directory, "hsmint.yaml")
        edit(config, "    claims:\n", "    humans: [user, owner]\n    claims:\n      - {name: owner, type: string, size: 64}\n")
        service = start_serve(config, directory)
        self.addCleanup(service.stop)
        reply = service.mint(claims={"owner": "alice@demo.test"}, context={"user": "bob@demo.test"})
        self.assertEqual(reply.status, 200, reply.body)
        self.covered(service, reply.json["ledger"]["index"] + 1)
        keys, token = self.vkeys(service), self.put("token", reply.json["credential"].encode())
        service.stop()
        proof = service.command("ledger", "prove", os.path.join(directory, "ledger"), token, "--salts",
                                os.path.join(directory, "state", "salts"), "--human", "bob@demo.test").stdout
        found = self.accept("proof", self.put("proof", proof.encode()), *keys, "--credential", token)
        for name in ("alice", "bob"):
            self.assertNotIn(name, json.dumps(found["entry"]))
        self.assertEqual([human["name"] for human in json.loads(proof)["humans"]], ["bob@demo.test", "alice@demo.test"])
        self.assertEqual((len(found["entry"]["humans"]), "tbs" in found["entry"]), (2, False))
        told = dict(json.loads(proof), humans=[])
        answer = judge("proof", self.put("proof", json.dumps(told).encode()), *keys, "--credential", token)
        self.assertIn("whose salt is not told", answer["fault"])

    def test_a_directory_that_an_ed25519_key_signs(self):
        directory = self.made()
        config = os.path.join(directory, "hsmint.yaml")
        create_key(directory, config, "heads", "40", 4)
        edit(config, "\nkeys:\n", '\nkeys:\n  - {name: heads, token: soft, label: heads, id: "40", use: checkpoint, '
             "algorithm: Ed25519}\n")
        edit(config, "key: demo-checkpoint}", "key: heads}")
        edit(config, next(line for line in read(config).splitlines(True) if "{name: demo-checkpoint," in line), "")
        shutil.rmtree(os.path.join(directory, "ledger"))  # it was begun with another key
        service = start_serve(config, directory)
        self.addCleanup(service.stop)
        index, _ = self.mint(service, 3)
        self.covered(service, index + 1)
        keys = self.vkeys(service)
        service.stop()
        shard, = self.accept("verify", os.path.join(directory, "ledger"), *keys)
        self.assertGreater(shard["size"], index)


if __name__ == "__main__":
    unittest.main()
