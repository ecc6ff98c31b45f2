# SPDX-License-Identifier: Apache-2.0
"""A ledger's directory copied, used, and copied back: refused by whatever remembers more, or accepted knowingly."""
import base64
import json
import os
import re
import shutil
import subprocess
import unittest

from cryptography.hazmat.primitives.asymmetric import ed25519
from service_case import HSMINT, ServiceCase, edit, read, read_checkpoint, read_shard, run, wait_for
from witness import Witness
from harness import share_store, start_plain_dev
from postgres import Postgres
from token_admin import create_key


ED25519 = 4  # in the order of enum key_algorithm


class RollbackCase(ServiceCase):
    def anchored(self, anchor):
        edit(self.config, "key: demo-checkpoint}", "key: demo-checkpoint, anchor: {%s}}" % anchor)

    def live(self, credentials):
        """One life of the service, ended with a checkpoint."""
        service = self.serve()
        connection = service.unix()
        answers = [service.mint(connection) for _ in range(credentials)]
        connection.close()
        self.assertEqual({answer.status for answer in answers}, {200})
        self.ask_for_vkey(service)
        service.stop()
        return [answer.json for answer in answers]

    def roll_back(self):
        """An old copy in the place of the newest."""
        kept = os.path.join(self.work, "copy")
        self.live(1)
        shutil.copytree(self.ledger, kept)
        self.live(100)
        shutil.rmtree(self.ledger)
        shutil.copytree(kept, self.ledger)

    def refused_start(self):
        """The last line of a start that ended, with nothing having been served."""
        ended = subprocess.run([HSMINT, "serve", "--config", self.config], stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(ended.returncode, 1, ended.stderr)
        self.assertNotIn("event=ready", ended.stderr)
        return [line for line in ended.stderr.splitlines() if line.startswith("hsmint: ")][-1]

    def restore(self):
        return run([HSMINT, "ledger", "restore", "--config", self.config]).stdout

    def assert_restored(self):
        """It goes on under a new origin, says what was given up, verifies, and is anchored again."""
        said = self.restore()
        self.assertIn("goes on as: demo.test/ledger/2", said)
        answer, = self.live(1)
        self.assertEqual(answer["ledger"]["origin"], "demo.test/ledger/2")
        first = json.loads(read_shard(self.ledger, 2)[0])
        self.assertEqual(first["type"], "open")
        self.assertEqual(first["restored"]["origin"], "demo.test/ledger/1")
        self.assertEqual(first["previous"]["size"], len(read_shard(self.ledger, 1)))
        verified = run([HSMINT, "ledger", "verify", self.ledger, "--vkey", self.key], check=False)
        self.assertEqual(verified.returncode, 0, verified.stdout + verified.stderr)
        self.assertIn("note: 2, entry 0: an old copy was accepted here", verified.stdout)
        self.live(1)
        return first


class File(RollbackCase):
    def setUp(self):
        super().setUp()
        self.anchor = os.path.join(self.work, "anchor")
        self.anchored("file: " + self.anchor)
        open(self.anchor, "w").close()

    def test_refused_and_restored(self):
        self.roll_back()
        remembered = int(read(self.anchor).split("\n")[1])
        self.assertRegex(self.refused_start(), "old copy.*file .*%d are missing" % (
            remembered - len(read_shard(self.ledger))))
        first = self.assert_restored()
        self.assertEqual(first["restored"]["size"], remembered)

    def test_what_is_not_behind_is_not_restored(self):
        self.live(1)
        refused = run([HSMINT, "ledger", "restore", "--config", self.config], check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("nothing is lost", refused.stderr)
        edit(self.config, ", anchor: {file: %s}" % self.anchor, "")
        refused = run([HSMINT, "ledger", "restore", "--config", self.config], check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("--checkpoint", refused.stderr)
        self.assertEqual(os.listdir(self.ledger), ["1"])

    def test_a_directory_that_was_emptied_is_no_new_ledger(self):
        self.live(1)
        shutil.rmtree(self.ledger)
        self.assertIn("old copy", self.refused_start())

    def test_without_an_anchor_it_is_not_noticed_and_that_is_said(self):
        edit(self.config, ", anchor: {file: %s}" % self.anchor, "")
        self.roll_back()
        service = self.serve()
        self.assertEqual(service.status()["ledger"]["anchor"], "")
        self.assertIn("anchor none: an old copy", service.command("status", "--control", service.control).stdout)
        self.assertIn("no anchor", service.command("check", "--config", self.config).stderr)

    def test_an_anchor_that_is_away_keeps_it_from_striking(self):
        self.live(1)
        os.rename(self.anchor, self.anchor + ".away")
        service = self.serve(wait=False)
        ready = wait_for(lambda: self.readiness(service), "an answer")
        self.assertFalse(ready["ready"])
        wait_for(lambda: "anchor" in self.readiness(service).get("reason", ""), "the reason")
        self.refused(service.mint(), 503, "ledger_unavailable")
        self.assertIn(self.anchor, service.status()["ledger"]["last_error"])
        os.rename(self.anchor + ".away", self.anchor)
        service.wait_ready()
        self.assertEqual(service.mint().status, 200)

    @staticmethod
    def readiness(service):
        try:
            return service.ask("GET", "/readyz").json
        except OSError:
            return None


class InToken(RollbackCase):
    def setUp(self):
        super().setUp()
        self.anchored("token: soft")

    def test_refused_and_restored(self):
        """The token is no part of the copy: its data object has the newest checkpoint."""
        self.roll_back()
        self.assertRegex(self.refused_running(), "old copy: token soft remembers .* are missing")
        newest = os.path.join(self.work, "newest")
        with open(newest, "wb") as file:
            file.write(self.object())
        self.assertIn("given up: what demo.test/ledger/1 had", run(
            [HSMINT, "ledger", "restore", "--config", self.config, "--checkpoint", newest]).stdout)
        self.live(1)
        self.assertIn(b"demo.test/ledger/2", self.object())

    def refused_running(self):
        """The token is asked when it is there: nothing is struck before."""
        service = self.serve(wait=False)
        self.assertEqual(service.process.wait(60), 1)
        log = service.log()
        self.assertNotIn("event=ready", log)
        return [line for line in log.splitlines() if line.startswith("hsmint: ")][-1]

    def object(self):
        """As pkcs11-tool reads it."""
        found = subprocess.run(
            ["pkcs11-tool", "--module", re.search(r"module: (\S+)", read(self.config)).group(1), "--login",
             "--pin", read(os.path.join(self.directory, "pin")).strip(), "--token-label", "hsmint-dev",
             "--read-object", "--type", "data", "--label", "hsmint ledger anchor"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60,
            env=dict(os.environ, SOFTHSM2_CONF=os.path.join(self.directory, "softhsm2.conf")))
        return found.stdout


class InStore(RollbackCase):
    def setUp(self):
        super().setUp()
        self.postgres = Postgres()
        self.addCleanup(self.postgres.close)
        share_store(self.directory, self.postgres.url())
        self.anchored("store: true")  # a new ledger begins with it
        start_plain_dev(self.directory).stop()  # and registers its agents in this store

    def test_refused_and_restored(self):
        self.roll_back()
        self.assertRegex(self.refused_start(), "old copy: the store remembers .* are missing")
        self.assert_restored()
        row = self.postgres.sql("SELECT note FROM hsmint.anchor WHERE origin = 'demo.test/ledger'", "hsmint1")
        self.assertTrue(row.startswith("demo.test/ledger/2\n"), row)

    def test_a_row_that_is_gone_is_no_new_anchor(self):
        self.live(1)
        self.postgres.sql("DELETE FROM hsmint.anchor", "hsmint1")
        service = self.serve(wait=False)
        wait_for(lambda: "INSERT INTO hsmint.anchor" in service.log(), "the mend")
        wait_for(lambda: (service.status_if_any() or {"tokens": []})["tokens"][0]["state"] == "ready", "the token")
        self.refused(service.mint(), 503, "ledger_unavailable")
        self.postgres.sql("INSERT INTO hsmint.anchor VALUES ('demo.test/ledger', '')", "hsmint1")
        service.wait_ready()

    def test_a_store_that_was_set_back_is_refused(self):
        self.live(1)
        had = int(self.postgres.sql("SELECT sequence FROM hsmint.meta", "hsmint1"))
        self.postgres.sql("DELETE FROM hsmint.record WHERE version = %d; UPDATE hsmint.meta SET sequence = %d" % (
            had, had - 1), "hsmint1")
        self.assertIn("the store is an old copy: the ledger remembers its commit %d, and it has %d:" % (had, had - 1),
                      self.refused_start())


class OldStore(RollbackCase):
    """The ledger is the newest, and store.db is not."""

    def setUp(self):
        super().setUp()
        self.state = os.path.join(self.directory, "state")
        self.store = os.path.join(self.state, "store.db")

    def set_back(self):
        """An agent is suspended, and what said so is replaced by what was there before."""
        self.live(1)
        shutil.copy(self.store, self.work)
        service = self.serve()
        found = json.loads(service.command("agent", "list", "--control", service.control, "--json").stdout)["agents"]
        for agent in found:
            service.command("agent", "suspend", agent["id"], "--control", service.control)
        self.refused(service.mint(), 403, "agent_suspended")
        service.stop()
        for name in os.listdir(self.state):
            if name.startswith("store.db"):
                os.remove(os.path.join(self.state, name))
        shutil.copy(os.path.join(self.work, "store.db"), self.store)

    def test_what_it_would_bring_back_is_not_in_force_again(self):
        self.set_back()
        remembered = read(os.path.join(self.ledger, "1", "checkpoint")).split("\n")[3]
        self.assertRegex(remembered, "^store [0-9]+$")
        commit = int(remembered[len("store "):])
        self.assertRegex(self.refused_start(), "the store is an old copy: the ledger remembers its commit %d" % commit)
        said = run([HSMINT, "ledger", "restore", "--config", self.config], check=False)
        self.assertEqual(said.returncode, 1)  # of the ledger nothing is lost
        said = run([HSMINT, "ledger", "restore", "--config", self.config, "--store"]).stdout
        self.assertIn("the store had, up to its commit %d" % commit, said)
        self.live(1)
        first = json.loads(read_shard(self.ledger, 2)[0])
        self.assertEqual(first["restored"]["store"], commit)
        verified = run([HSMINT, "ledger", "verify", self.ledger, "--vkey", self.key], check=False)
        self.assertEqual(verified.returncode, 0, verified.stdout + verified.stderr)
        self.assertIn("note: 2, entry 0: an old copy was accepted here", verified.stdout)


    def test_to_accept_an_old_ledger_is_not_to_accept_an_old_store(self):
        anchor = os.path.join(self.work, "anchor")
        self.anchored("file: " + anchor)
        open(anchor, "w").close()
        self.live(1)
        shutil.copytree(self.ledger, os.path.join(self.work, "copy"))
        self.set_back()
        shutil.rmtree(self.ledger)
        shutil.copytree(os.path.join(self.work, "copy"), self.ledger)
        self.assertIn("the ledger is an old copy", self.refused_start())
        self.restore()
        self.assertIn("the store is an old copy", self.refused_start())
        run([HSMINT, "ledger", "restore", "--config", self.config, "--store"])
        self.live(1)

    def test_an_anchor_that_is_behind_the_directory_does_not_hide_what_the_store_had(self):
        anchor = os.path.join(self.work, "anchor")
        self.anchored("file: " + anchor)
        open(anchor, "w").close()
        self.live(1)
        before = read(anchor)
        self.set_back()
        with open(anchor, "w") as out:
            out.write(before)
        self.assertIn("the store is an old copy", self.refused_start())
        run([HSMINT, "ledger", "restore", "--config", self.config, "--store"])
        self.live(1)


class AtWitness(RollbackCase):
    def setUp(self):
        super().setUp()
        create_key(self.directory, self.config, "witnessed", "04", ED25519)
        edit(self.config, "label: demo-checkpoint, id: \"03\", use: checkpoint, algorithm: ES256",
             "label: witnessed, id: \"04\", use: checkpoint, algorithm: Ed25519")
        shutil.rmtree(self.ledger)  # it begins with this key
        self.live(1)
        self.witness = Witness(os.path.join(self.work, "witness"), {
            "demo.test/ledger/%d" % shard: self.log_key() for shard in (1, 2)})
        self.addCleanup(self.witness.close)
        self.anchored("witness: {url: \"%s\", key: \"%s\"}" % (self.witness.url, self.witness.key.vkey))

    def log_key(self):
        """What the witness was told of the log: its verifier key."""
        name, identity, material = self.key.split("+", 2)
        material = base64.b64decode(material)
        self.assertEqual(material[0], 1)

        class Key:
            id = bytes.fromhex(identity)
            public = ed25519.Ed25519PublicKey.from_public_bytes(material[1:])

            def verify(self, signature, text):
                self.public.verify(signature, text)
        Key.name = name
        return Key()

    def test_refused_and_restored(self):
        self.roll_back()
        known = self.witness.state()["demo.test/ledger/1"][0]
        self.assertRegex(self.refused_start(), "old copy.*witness .* remembers %d entries" % known)
        self.assert_restored()
        self.assertIn("demo.test/ledger/2", self.witness.state())

    def test_its_cosignature_stands_behind_the_checkpoint(self):
        self.live(1)
        note = read(os.path.join(self.ledger, "1", "checkpoint"))
        self.assertEqual(self.witness.state()["demo.test/ledger/1"][0], read_checkpoint(self.ledger)[1])
        self.assertRegex(note, "(?m)^\u2014 %s " % self.witness.key.name)
        run([HSMINT, "ledger", "verify", self.ledger, "--vkey", self.key, "--vkey", self.witness.key.vkey])


if __name__ == "__main__":
    unittest.main()
