# SPDX-License-Identifier: Apache-2.0
"""hsmint ledger prove and check-proof; and that others could check the proof by docs/ledger.md alone."""
import base64
import hashlib
import hmac
import json
import os
import unittest

import ledger_case
import logs


def jwt(jti, **claims):
    parts = [logs.b64url(json.dumps(part).encode()) for part in ({"alg": "ES256"}, {"jti": jti, **claims})]
    return ".".join(parts) + ".c2ln"


def tbs(token):
    return token.rsplit(".", 1)[0].encode()


def commitment(name, salt):
    return logs.b64url(hmac.digest(salt, name.encode(), "sha256"))


class ProveCase(ledger_case.LedgerCase):
    def setUp(self):
        super().setUp()
        self.log = logs.Shard(self.key, 1)
        self.log.fill(10)
        self.token = jwt("the-id")
        self.at = self.log.add("credential", id="the-id", kid="k1", tbs=logs.b64url(logs.sha256(tbs(self.token))))
        self.file = self.path("token")
        self.proof = self.path("proof")
        self.write_token(self.token)

    def write_token(self, token, name="token"):
        logs.write(self.path(name), token.encode() + b"\n")

    def write(self, size=600, **kwargs):
        self.log.fill(size)
        self.log.write(self.path("ledger"), **kwargs)

    def prove(self, *words, **kwargs):
        done = self.hsmint("prove", self.path("ledger"), *words, **kwargs)
        self.assertEqual(done.returncode, 0, done.stderr)
        logs.write(self.proof, done.stdout)
        return json.loads(done.stdout)

    def refuse(self, text, *words, **kwargs):
        done = self.hsmint("prove", self.path("ledger"), *words, **kwargs)
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(text, done.stderr.decode())

    def check(self, *words, key=None):
        return self.hsmint("check-proof", self.proof, "--vkey", (key or self.key).vkey, *words)

    def assert_checked(self, *words):
        done = self.check(*words)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return done.stdout.decode()

    def assert_wrong(self, text, *words, **kwargs):
        done = self.check(*words, **kwargs)
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(text, done.stderr.decode())

    def change_proof(self, **members):
        with open(self.proof) as file:
            proof = json.load(file)
        logs.write(self.proof, json.dumps({**proof, **members}).encode())


class Prove(ProveCase):
    def test_a_credential_is_proved_by_its_file_by_standard_input_and_by_its_id(self):
        self.write()
        proofs = [self.prove(self.file), self.prove("-", stdin=self.token.encode()), self.prove("the-id")]
        self.assertEqual(proofs[0], proofs[1])
        self.assertEqual(proofs[0], proofs[2])
        text = self.assert_checked("--credential", self.file)
        self.assertIn("ok: entry %d of mint.example.org/ledger/1, under its checkpoint of 600 entries" % self.at, text)
        self.assertIn(self.log.entries[self.at].decode(), text)

    def test_the_proof_holds_by_rfc_6962(self):
        self.write(700)
        proof = self.prove("the-id")
        self.assertEqual(proof["entry"].encode(), self.log.entries[self.at])
        self.assertEqual((proof["index"], proof["humans"]), (self.at, []))
        node, index, last = logs.leaf_hash(proof["entry"].encode()), self.at, 699
        for step in map(base64.b64decode, proof["path"]):  # section 2.1.1, from the leaf up
            if index % 2 or index == last:
                node = logs.node_hash(step, node)
                while index % 2 == 0 and index:
                    index, last = index // 2, last // 2
            else:
                node = logs.node_hash(node, step)
            index, last = index // 2, last // 2
        self.assertEqual(last, 0)
        self.assertEqual(base64.b64decode(proof["checkpoint"].split("\n")[2]), node)

    def test_every_place_in_the_tree_has_a_proof(self):
        ids = []
        while len(self.log.entries) < 530:
            ids.append("id-%d" % len(self.log.entries))
            self.log.add("credential", id=ids[-1], kid="k1", tbs="x")
        self.write(530)
        for name in ids[::37] + ids[-2:]:
            self.prove(name)
            self.assert_checked()

    def test_what_is_not_recorded_or_not_signed_yet_has_none(self):
        self.write(checked=self.at)
        self.refuse("no credential with the id", "other-id")
        self.refuse("is not under a checkpoint yet", "the-id")
        self.write()
        self.write_token(jwt("the-id", other=1))
        self.refuse("is about another credential's bytes", self.file)

    def test_a_damaged_ledger_gives_no_proof_that_does_not_hold(self):
        self.write()
        self.change("ledger/1/tile/0/000", at=32 * self.at)
        self.prove("the-id")  # its own hash is not in its path
        self.change("ledger/1/tile/0/001", at=32)
        self.refuse("the ledger is damaged", "the-id")

    def test_the_second_signature_of_a_credential_is_proved_by_its_retry(self):
        other = jwt("the-id", again=True)
        at = self.log.add("retry", of=self.at, kid="k2", tbs=logs.b64url(logs.sha256(tbs(other))))
        self.write()
        self.write_token(other, "other")
        self.assertEqual(self.prove(self.path("other"))["index"], at)
        self.assert_checked("--credential", self.path("other"))
        self.assert_wrong("another credential's bytes", "--credential", self.file)
        self.assertEqual(self.prove(self.file)["index"], self.at)

    def test_a_token_that_is_none_is_refused(self):
        self.write()
        for token in ("x", "a.b", "a.b.c.d", "a.%s.c" % logs.b64url(b"{}"), "a.%s.c" % logs.b64url(b"[]"), "a." * 20000):
            with self.subTest(token[:20]):
                self.write_token(token)
                self.refuse("", self.file)


class Check(ProveCase):
    def setUp(self):
        super().setUp()
        self.write()
        self.good = self.prove("the-id")

    def test_another_key_is_refused(self):
        self.assert_wrong("the proof's checkpoint", key=logs.Ed25519Key(ledger_case.NAME))
        self.assert_wrong("belongs to none of the keys", key=logs.Ed25519Key("other.example.org/ledger"))

    def test_a_changed_proof_is_refused(self):
        path = self.good["path"]
        for members in ({"entry": self.good["entry"].replace("the-id", "thy-id")}, {"index": self.at + 1},
                        {"path": path[:-1]}, {"path": path + path[:1]}, {"path": [path[1], path[0]] + path[2:]},
                        {"path": []}):
            with self.subTest(members):
                self.change_proof(**{**self.good, **members})
                self.assert_wrong("the path does not lead")
        note = self.good["checkpoint"]
        for changed in (note.replace("\n600\n", "\n601\n"), note[:-3], "", note.replace("/1\n", "/2\n")):
            with self.subTest(changed):
                self.change_proof(**{**self.good, "checkpoint": changed})
                self.assert_wrong("the proof's checkpoint")

    def test_what_is_no_proof_is_refused(self):
        for members in ({"entry": 1}, {"index": "1"}, {"index": -1}, {"path": "x"}, {"path": ["x"]}, {"path": [1]},
                        {"path": ["AAAA"]}, {"path": self.good["path"] * 20}, {"checkpoint": None}, {"humans": [{}]},
                        {"humans": 1}):
            with self.subTest(members):
                self.change_proof(**{**self.good, **members})
                self.assert_wrong("is not a proof")
        logs.write(self.proof, b"nonsense")
        self.assert_wrong(self.proof)

    def test_another_credential_is_refused(self):
        self.write_token(jwt("the-id", other=1))
        self.assert_wrong("the entry is about another credential's bytes", "--credential", self.file)


class Humans(ProveCase):
    def setUp(self):
        super().setUp()
        self.people = {"alice@example.org": os.urandom(32), "bob": os.urandom(32)}
        for name, salt in self.people.items():
            path = self.path("salts", logs.b64url(hashlib.sha256(name.encode()).digest()))
            logs.write(path, salt)
            os.chmod(path, 0o600)
        self.token = jwt("human-id", user="alice@example.org", other="bobby")
        self.write_token(self.token)
        self.log.add("credential", id="human-id", kid="k1",
                     humans=[commitment(name, salt) for name, salt in self.people.items()],
                     tbs_hmac=logs.b64url(hmac.digest(b"".join(self.people.values()), tbs(self.token), "sha256")))
        self.write()
        self.salts = ("--salts", self.path("salts"))

    def test_names_and_salts_are_in_the_proof_and_checked(self):
        proof = self.prove(self.file, *self.salts, "--human", "bob")
        self.assertEqual(proof["humans"], [{"name": name, "salt": base64.b64encode(salt).decode()}
                                           for name, salt in self.people.items()])
        self.assertIn("human: alice@example.org\nhuman: bob\n", self.assert_checked("--credential", self.file))
        humans = proof["humans"]
        for changed in (humans[::-1], humans[:1], humans + humans[:1], [{**humans[0], "name": "eve"}, humans[1]],
                        [humans[0], {**humans[1], "salt": humans[0]["salt"]}]):
            with self.subTest(changed):
                self.change_proof(humans=changed)
                self.assert_wrong("human")
        self.change_proof(humans=humans)
        self.write_token(self.token.replace(".", "A.", 1))
        self.assert_wrong("another credential's bytes", "--credential", self.file)

    def test_without_salts_nobody_is_named(self):
        self.assertEqual(self.prove(self.file)["humans"], [])
        self.assert_checked()
        self.assert_wrong("make it with --salts", "--credential", self.file)

    def test_who_is_not_known_or_was_forgotten_is_said(self):
        self.refuse("has no salt", self.file, *self.salts)
        self.refuse("has no salt", "human-id", *self.salts, "--human", "bob")
        self.prove("human-id", *self.salts, "--human", "bob", "--human", "alice@example.org")
        os.unlink(self.path("salts", logs.b64url(hashlib.sha256(b"bob").digest())))
        self.refuse("has no salt", self.file, *self.salts, "--human", "bob")

    def test_another_credential_with_the_same_id_is_refused(self):
        self.write_token(jwt("human-id", user="alice@example.org"))
        self.refuse("about another credential's bytes", self.file, *self.salts, "--human", "bob")


class Usage(ledger_case.LedgerCase):
    def test_wrong_usage_has_the_status_2(self):
        for words in (("prove",), ("prove", "x"), ("prove", "x", "y", "z"), ("prove", "x", "y", "--human", "z"),
                      ("prove", "x", "y", "--what"), ("check-proof",), ("check-proof", "x"),
                      ("check-proof", "x", "--vkey", "y"), ("check-proof", "--vkey", self.key.vkey),
                      ("check-proof", "x", "y", "--vkey", self.key.vkey)):
            with self.subTest(words):
                self.assertEqual(self.hsmint(*words).returncode, 2)

    def test_help_goes_to_standard_output(self):
        for verb in ("prove", "check-proof"):
            done = self.hsmint(verb, "--help")
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertIn(b"Usage: hsmint ledger " + verb.encode(), done.stdout)


if __name__ == "__main__":
    unittest.main()
