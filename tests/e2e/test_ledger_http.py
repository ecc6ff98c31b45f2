# SPDX-License-Identifier: Apache-2.0
"""The ledger over HTTP: what is read is what the directory has, by whom, how long it may be kept, and that proofs hold."""
import base64
import hashlib
import json
import os
import unittest

from certificates import Authority
from harness import AUDIENCE, SUBJECT, Case, SharedCase, start_dev, start_serve, wait_for

WIDTH = 256
BATCHES = 18  # more than 16 full bundles, so that some are in files
REQUEST = {"kind": "jwt", "profile": "demo-access", "subject": SUBJECT, "audience": AUDIENCE}
FOR_GOOD, AGAIN = "max-age=31536000, immutable", "no-cache"


# ---- RFC 6962, section 2.1 ----

def leaf_hash(entry):
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def root_hash(leaves):
    """Of a list of leaf hashes."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(root_hash(leaves[:split]), root_hash(leaves[split:]))


def root_by_path(leaf, index, size, path):
    """The root to which an audit path leads; it goes wrong when it has too many hashes or too few."""
    if size == 1:
        assert not path
        return leaf
    split = 1 << (size - 1).bit_length() - 1
    if index < split:
        return node_hash(root_by_path(leaf, index, split, path[:-1]), path[-1])
    return node_hash(path[-1], root_by_path(leaf, index - split, size - split, path[:-1]))


# ---- C2SP tlog-tiles ----

def tile_name(number, width=WIDTH):
    groups = ["%03d" % (number % 1000)]
    while number >= 1000:
        number //= 1000
        groups.insert(0, "x%03d" % (number % 1000))
    return "/".join(groups) + (".p/%d" % width if width < WIDTH else "")


def split_bundle(data):
    entries = []
    while data:
        length = int.from_bytes(data[:2], "big")
        assert len(data) >= 2 + length
        entries.append(data[2:2 + length])
        data = data[2 + length:]
    return entries


class Checkpoint:
    def __init__(self, note):
        lines = note.decode().split("\n")
        self.origin, self.size, self.root = lines[0], int(lines[1]), base64.b64decode(lines[2], validate=True)


class Ledger(SharedCase):
    """A ledger of some thousand entries; nobody adds to it any more."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.directory = os.path.join(cls.shared, "dev")
        for _ in range(BATCHES):
            answer = cls.service.ask("POST", "/v1/mint/batch", {"requests": [REQUEST] * WIDTH})
            cls.replies = answer.json["replies"]
        last = cls.replies[-1]["ledger"]["index"]
        wait_for(lambda: cls.service.ask("GET", "/v1/ledger/proof/%d" % last).status == 200, "a checkpoint of all")
        cls.connection = cls.service.unix()
        cls.note = cls.read("/ledger/1/checkpoint")
        cls.checkpoint = Checkpoint(cls.note)

    @classmethod
    def tearDownClass(cls):
        cls.connection.close()
        super().tearDownClass()

    @classmethod
    def read(cls, path):
        answer = cls.service.ask("GET", path, connection=cls.connection)
        if answer.status != 200:
            raise AssertionError("%s: %d %s" % (path, answer.status, answer.body))
        return answer.body

    @classmethod
    def bundles(cls, under="/ledger/1/tile/"):
        """Every entry, over HTTP."""
        whole, left = divmod(cls.checkpoint.size, WIDTH)
        names = [tile_name(number) for number in range(whole)] + [tile_name(whole, left)] * bool(left)
        return [entry for name in names for entry in split_bundle(cls.read(under + "entries/" + name))]

    def status(self, path, connection=None, method="GET"):
        return self.service.ask(method, path, connection=connection or self.connection).status

    def test_what_has_a_file_is_that_file(self):
        inside = os.path.join(self.directory, "ledger", "1", "tile")
        names = [os.path.relpath(os.path.join(where, name), inside) for where, _, files in os.walk(inside) for name in files]
        self.assertGreater(len(names), 30)
        for name in names:
            with open(os.path.join(inside, name), "rb") as file:
                data = file.read()
            self.assertEqual(self.read("/ledger/1/tile/" + name), data, name)
            self.assertEqual(self.read("/ledger/tile/" + name), data, name)

    def test_checkpoints_are_that_of_the_directory(self):
        with open(os.path.join(self.directory, "ledger", "1", "checkpoint"), "rb") as file:
            self.assertEqual(file.read(), self.note)
        self.assertEqual(self.read("/ledger/checkpoint"), self.note)
        self.assertEqual(self.checkpoint.origin, "demo.test/ledger/1")

    def test_bundles_and_tiles_have_the_root_of_the_checkpoint(self):
        leaves = [leaf_hash(entry) for entry in self.bundles()]
        self.assertEqual(len(leaves), self.checkpoint.size)
        self.assertEqual(root_hash(leaves), self.checkpoint.root)
        self.assertEqual(b"".join(self.tiles(0, len(leaves))), b"".join(leaves))
        above = [root_hash(leaves[at:at + WIDTH]) for at in range(0, len(leaves) - WIDTH + 1, WIDTH)]
        self.assertEqual(b"".join(self.tiles(1, len(above))), b"".join(above))

    def tiles(self, level, count):
        whole, left = divmod(count, WIDTH)
        names = [tile_name(number) for number in range(whole)] + [tile_name(whole, left)] * bool(left)
        return [self.read("/ledger/tile/%d/%s" % (level, name)) for name in names]

    def test_a_partial_one_is_there_at_each_width_up_to_what_the_checkpoint_covers(self):
        whole, left = divmod(self.checkpoint.size, WIDTH)
        for number, most in ((whole, left), (0, WIDTH - 1), (whole - 1, WIDTH - 1)):
            hashes = b"".join(leaf_hash(entry) for entry in split_bundle(self.read(
                "/ledger/tile/entries/" + tile_name(number, WIDTH if number < whole else left)))) if most else b""
            for width in range(1, most + 1):
                name = tile_name(number, width)
                self.assertEqual(self.read("/ledger/tile/0/" + name), hashes[:32 * width], name)
                entries = split_bundle(self.read("/ledger/1/tile/entries/" + name))
                self.assertEqual(b"".join(map(leaf_hash, entries)), hashes[:32 * width], name)
        beyond = [tile_name(whole), tile_name(whole + 1), tile_name(whole + 1, 1), tile_name(10**9)]
        beyond += [tile_name(whole, width) for width in range(left + 1, WIDTH)]
        for name in beyond:
            for path in ("/ledger/tile/0/", "/ledger/1/tile/0/", "/ledger/tile/entries/", "/ledger/1/tile/entries/"):
                self.assertEqual(self.status(path + name), 404, path + name)
        for path in ("/ledger/tile/1/000", "/ledger/tile/1/" + tile_name(0, whole + 1), "/ledger/tile/2/000.p/1",
                     "/ledger/2/tile/0/000", "/ledger/2/checkpoint", "/ledger/99999/checkpoint"):
            self.assertEqual(self.status(path), 404, path)

    def test_a_proof_of_each_entry_leads_to_the_root_of_the_checkpoint(self):
        for index, entry in enumerate(self.bundles()):
            path = "/v1/ledger/proof/%d" if index % 2 else "/v1/ledger/proof/1/%d"
            proof = json.loads(self.read(path % index))
            self.assertEqual(set(proof), {"origin", "index", "leaf", "path", "checkpoint"})
            self.assertEqual((proof["origin"], proof["index"]), ("demo.test/ledger/1", index))
            self.assertEqual(proof["checkpoint"].encode(), self.note)
            leaf = base64.b64decode(proof["leaf"], validate=True)
            self.assertEqual(leaf, leaf_hash(entry))
            hashes = [base64.b64decode(text, validate=True) for text in proof["path"]]
            self.assertEqual(root_by_path(leaf, index, self.checkpoint.size, hashes), self.checkpoint.root, index)

    def test_the_receipt_is_the_place_of_the_credential(self):
        entries = self.bundles()
        for reply in self.replies:
            self.assertEqual(reply["ledger"]["origin"], self.checkpoint.origin)
            entry = json.loads(entries[reply["ledger"]["index"]])
            self.assertEqual((entry["type"], entry["id"]), ("credential", reply["id"]))

    def test_what_is_not_recorded_has_no_proof(self):
        for path in ("/v1/ledger/proof/999999", "/v1/ledger/proof/1/999999", "/v1/ledger/proof/2/0", "/v1/ledger/proof/x"):
            self.refused(self.service.ask("GET", path), 404, "not_found")

    def test_how_long_it_may_be_kept_and_by_whom(self):
        for path, cache in (("/ledger/1/tile/0/000", "public, " + FOR_GOOD), ("/ledger/1/tile/0/000.p/5", "public, " + FOR_GOOD),
                            ("/ledger/1/tile/entries/000", "private, " + FOR_GOOD), ("/ledger/tile/0/000", AGAIN),
                            ("/ledger/tile/0/000.p/5", AGAIN), ("/ledger/tile/entries/000", "private, " + AGAIN),
                            ("/ledger/checkpoint", AGAIN), ("/ledger/1/checkpoint", AGAIN), ("/v1/ledger/proof/0", "no-store")):
            answer = self.service.ask("GET", path)
            self.assertEqual(answer.headers["Cache-Control"], cache, path)
            kind = "application/octet-stream" if "tile" in path else "text/plain; charset=utf-8" if "checkpoint" in path else "application/json"
            self.assertEqual(answer.headers["Content-Type"], kind, path)
            self.assertEqual("ETag" in answer.headers, AGAIN in cache, path)
            head = self.service.ask("HEAD", path)
            self.assertEqual((head.status, head.body, head.headers["Content-Length"]), (200, b"", str(len(answer.body))), path)
            if "ETag" in answer.headers:
                again = self.service.ask("GET", path, headers={"If-None-Match": answer.headers["ETag"]})
                self.assertEqual((again.status, again.body), (304, b""), path)

    def test_hostile_paths_read_nothing(self):
        for path in ("/ledger/tile/../1/segment", "/ledger/1/segment", "/ledger/1/tile/0/../../checkpoint",
                     "/ledger/tile/entries/../../../../pin", "/ledger/tile/0/000/", "/ledger/tile/0/%30%30%30", "/ledger//1/tile/0/000",
                     "/ledger/1/checkpoint.new", "/ledger/tile/0/0000", "/ledger/tile/0/x000/000", "/ledger/0/checkpoint",
                     "/ledger/01/checkpoint", "/ledger/100000/checkpoint", "/ledger/tile/8/000", "/ledger/tile/0/000.p/0",
                     "/ledger/tile/0/000.p/256", "/ledger/tile/" + "x" * 5000):
            self.refused(self.service.ask("GET", path), 404, "not_found")


class Callers(Case):
    def test_tiles_are_for_all_proofs_for_callers_and_entries_for_who_audits(self):
        directory = self.made()
        with open(os.path.join(directory, "hsmint.yaml"), "a") as config:
            config.write("  - {name: other, issuer: demo, uri: 'spiffe://demo.test/other', roles: [mint, operate]}\n")
            config.write("  - {name: auditor, issuer: demo, uri: 'spiffe://demo.test/auditor', roles: [audit]}\n")
        authority = Authority(self.work, "ca", made_by_dev=directory)
        certificates = {name: authority.issue(name, ["URI:spiffe://demo.test/" + name]) for name in ("other", "auditor", "unknown")}
        foreign = Authority(self.work, "foreign").issue("foreigner", ["URI:spiffe://demo.test/auditor"])
        service = start_dev(directory)
        self.addCleanup(service.stop)
        wait_for(lambda: service.ask("GET", "/v1/ledger/proof/0").status == 200, "a checkpoint")
        public = ("/ledger/checkpoint", "/ledger/1/checkpoint", "/ledger/tile/0/000.p/1", "/ledger/1/tile/0/000.p/1")
        entries = ("/ledger/tile/entries/000.p/1", "/ledger/1/tile/entries/000.p/1")
        proofs = ("/v1/ledger/proof/0", "/v1/ledger/proof/1/0")
        good = (200, None)
        for certificate, of_entries, of_proofs in (
                (None, (401, "certificate_required"), (401, "certificate_required")),
                (foreign, (403, "certificate_refused"), (403, "certificate_refused")),
                (certificates["unknown"], (403, "unknown_caller"), (403, "unknown_caller")),
                (certificates["other"], (403, "role_missing"), good), (certificates["auditor"], good, good)):
            connection = service.tls(certificate)
            self.addCleanup(connection.close)
            for paths, expected in ((public, good), (entries, of_entries), (proofs, of_proofs)):
                for path in paths:
                    answer = service.ask("GET", path, connection=connection)
                    self.assertEqual((answer.status, None if answer.status == 200 else answer.json["code"]), expected, path)
            self.assertEqual(service.ask("GET", "/ledger/tile/entries/999", connection=connection).status,
                             404 if of_entries == good else of_entries[0], "who may not read learns nothing of what there is")

    def test_what_is_recorded_is_pending_until_a_checkpoint_covers_it(self):
        service = self.dev()
        wait_for(lambda: service.ask("GET", "/ledger/checkpoint").status == 200, "a checkpoint")
        service.command("dev", "ctl", "--control", service.control, "token-down", "120s")
        size = Checkpoint(service.ask("GET", "/ledger/1/checkpoint").body).size
        answer = service.ask("GET", "/v1/ledger/proof/%d" % size)
        self.refused(answer, 503, "checkpoint_pending")
        self.assertEqual(answer.headers["Retry-After"], "1")
        self.assertEqual(service.ask("GET", "/ledger/tile/0/" + tile_name(size // WIDTH, size % WIDTH + 1)).status, 404)
        self.assertEqual(service.ask("GET", "/v1/ledger/proof/%d" % (size - 1)).status, 200)
        service.command("dev", "ctl", "--control", service.control, "off")
        wait_for(lambda: service.ask("GET", "/v1/ledger/proof/%d" % size).status == 200, "a checkpoint of it")

    def test_it_is_read_while_it_grows_and_after_a_restart(self):
        service = self.dev()
        seen = []
        for _ in range(4):
            answer = service.ask("POST", "/v1/mint/batch", {"requests": [REQUEST] * WIDTH})
            last = answer.json["replies"][-1]["ledger"]["index"]
            wait_for(lambda at=last: service.ask("GET", "/v1/ledger/proof/%d" % at).status == 200, "a checkpoint")
            seen.append(self.check_tiles(service))
        self.assertEqual(sorted(set(seen)), seen)
        service.stop()
        service = start_serve(os.path.join(service.directory, "hsmint.yaml"), service.directory)
        self.addCleanup(service.stop)
        self.assertEqual(service.ask("GET", "/ledger/checkpoint").status, 200, "before there is a new one, too")
        self.assertGreaterEqual(self.check_tiles(service), seen[-1])

    def check_tiles(self, service):
        checkpoint = Checkpoint(service.ask("GET", "/ledger/1/checkpoint").body)
        whole, left = divmod(checkpoint.size, WIDTH)
        names = [tile_name(number) for number in range(whole)] + [tile_name(whole, left)] * bool(left)
        leaves = b"".join(service.ask("GET", "/ledger/tile/0/" + name).body for name in names)
        self.assertEqual(root_hash([leaves[at:at + 32] for at in range(0, len(leaves), 32)]), checkpoint.root)
        return checkpoint.size


if __name__ == "__main__":
    unittest.main()
