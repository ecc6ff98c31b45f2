# SPDX-License-Identifier: Apache-2.0
"""What the TPM says of its keys, against rows of tpm2-pkcs11's database that say otherwise."""
import json
import os
import re
import sqlite3
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "e2e"), os.path.join(HERE, "..", "token")]
import backends  # noqa: E402
from token_case import HSMINT, TokenCase, run, verify  # noqa: E402

PUBLIC_KEY, PRIVATE_KEY = 2, 3
CLASS, LABEL, EC_POINT, OBJECT_AUTH, PUBLIC_BLOB, PRIVATE_BLOB = 0x0, 0x3, 0x181, 0x8F000001, 0x8F000002, 0x8F000003
# Everything that custody wants (docs/operations.md), as a row spells it.
GOOD = {0x1: True, 0x2: True, 0x103: True, 0x162: False, 0x163: True, 0x164: True, 0x165: True, 0x108: True, 0x109: False,
        0x105: False, 0x107: False, 0x10C: False, 0x202: False}
FIXED = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|"


class Store:
    """tpm2-pkcs11's database: a row for each half of a key."""

    def __init__(self, directory):
        self.rows = sqlite3.connect(os.path.join(directory, "store", "tpm2_pkcs11.sqlite3"))

    @staticmethod
    def attribute(number, value=r"[^,\n]*"):
        return r'(!!int "%d"\s*: )%s' % (number, value)

    def find(self, label, half=PRIVATE_KEY):
        for identity, attributes in self.rows.execute("SELECT id, attrs FROM tobjects"):
            if re.search(self.attribute(CLASS, '!!int "%d"' % half), attributes) and \
                    re.search(self.attribute(LABEL, '!!str "%s"' % label.encode().hex()), attributes):
                return identity, attributes
        raise AssertionError("no key %s" % label)

    def blob(self, label, number):
        return bytes.fromhex(re.search(self.attribute(number, '!!str "([0-9a-f]+)"'), self.find(label)[1]).group(2))

    def write(self, label, changes, half=PRIVATE_KEY):
        identity, attributes = self.find(label, half)
        for number, value in changes.items():
            text = '!!bool "%s"' % str(value).lower() if isinstance(value, bool) else '!!str "%s"' % value.hex()
            attributes, count = re.subn(self.attribute(number), r"\g<1>" + text, attributes)
            if not count:
                raise AssertionError("%s has no 0x%x" % (label, number))
        self.rows.execute("UPDATE tobjects SET attrs = ? WHERE id = ?", (attributes, identity))
        self.rows.commit()


class PublicArea(TokenCase):
    def setUp(self):
        super().setUp()
        self.backend = backends.TPM(self.directory)
        self.addCleanup(self.backend.kill)
        self.backend.start()
        self.backend.use()
        self.store = Store(self.backend.place)
        self.addCleanup(self.store.rows.close)
        self.line = "    tpm_parent: %s\n" % self.backend.parent
        self.good = self.backend.read_config()

    def use_key(self, label, identity, algorithm="ES256"):
        self.backend.write_config(self.good)
        self.edit('label: demo-access, id: "01", use: access-token, algorithm: ES256',
                  'label: %s, id: "%s", use: access-token, algorithm: %s' % (label, identity, algorithm))

    def ptool(self, verb, label, *arguments):
        """A key that tpm2_ptool puts into the store; it takes the id for a text."""
        run(["tpm2_ptool", verb, "--label", self.backend.label, "--userpin=" + self.backend.pin, "--key-label", label, "--id",
             "50", "--path", self.backend.place + "/store", *arguments],
            env={**os.environ, **self.backend.environment, "TPM2TOOLS_TCTI": "tabrmd:bus_type=session"})
        self.store.write(label, GOOD)
        self.use_key(label, b"50".hex())

    def make_imported(self):
        pem = os.path.join(self.work, "imported.pem")
        run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", pem])
        self.ptool("import", "imported", "--algorithm", "ecc", "--privkey", pem)

    def create(self, label, attributes, algorithm="ecc256"):
        """The files of a key that the TPM makes: its public and its private blob."""
        files = [os.path.join(self.work, label + end) for end in (".pub", ".priv")]
        self.backend.tpm2("create", "-C", self.backend.parent, "-G", algorithm, "-a", attributes, "-u", files[0], "-r",
                          files[1])
        return files

    def make_in_tpm(self, label, attributes):
        self.ptool("link", label, *self.create(label, attributes))

    def exchange(self, label, other):
        """Under this label the module finds what it needs to use the other key."""
        for number in (PUBLIC_BLOB, PRIVATE_BLOB, OBJECT_AUTH):
            self.store.write(label, {number: self.store.blob(other, number)})

    def assert_believed(self):
        """Where the TPM's word is waived the rows are taken at theirs; of what is configured nothing else is in the way."""
        self.edit(self.line, "    tpm_parent: 0\n")
        service = self.serve()
        answer = service.mint()
        self.assertEqual(answer.status, 200, answer.body)
        key, = (key for key in service.ask("GET", "/v1/keys").json["keys"] if key["name"] == "demo-access")
        self.assertNotIn("tpm", key)
        self.end(service)

    def assert_refused(self, words):
        log = self.serve_refused()
        self.assertIn("key demo-access: " + words, log)
        self.assertIn("class=custody", log)

    # ---- keys as they should be ----

    def test_an_honest_key_signs_and_its_evidence_is_the_tpms(self):
        files = [os.path.join(self.work, name) for name in ("public", "private", "context", "name")]
        for path, number in zip(files, (PUBLIC_BLOB, PRIVATE_BLOB)):
            with open(path, "wb") as file:
                file.write(self.store.blob("demo-access", number))
        self.backend.tpm2("load", "-C", self.backend.parent, "-u", files[0], "-r", files[1], "-c", files[2], "-n",
                          files[3])
        with open(files[3], "rb") as file:
            name = file.read().hex()
        service = self.serve()
        verify(service.mint().json["credential"], service.ask("GET", "/demo/.well-known/jwks.json").body, self.work)
        shown = json.loads(run([HSMINT, "key", "evidence", "demo-access", "--control", service.control]).stdout)
        self.assertEqual(shown["tpm"], {"parent": self.backend.parent, "name": name, "attributes": {
            "sensitiveDataOrigin": True, "fixedTPM": True, "fixedParent": True, "sign": True, "decrypt": False,
            "restricted": False}})
        self.assertEqual([key["tpm"]["parent"] for key in service.ask("GET", "/v1/keys").json["keys"]],
                         [self.backend.parent] * 2)

    def test_keys_of_other_types_pass_and_another_in_their_place_does_not(self):
        for number, algorithm in enumerate(("ES384", "RS256")):
            with self.subTest(algorithm):
                label, identity = "other-%d" % number, "6%d" % number
                self.backend.create(label, identity, algorithm)
                self.use_key(label, identity, algorithm)
                service = self.serve()
                self.assertEqual(service.mint().status, 200)
                self.end(service)
                self.backend.create(label + "-again", identity, algorithm)
                self.exchange(label, label + "-again")
                self.assert_refused("what the TPM loads is another key than its public half's")

    # ---- rows that are better than the key ----

    def test_the_rows_alone_are_not_believed(self):
        self.edit(self.line, "")
        self.assert_refused("its attributes are rows beside the TPM")

    def test_an_imported_key_is_refused_whatever_its_row_says(self):
        self.make_imported()
        self.assert_refused("the TPM says that sensitiveDataOrigin is false")
        self.assert_believed()

    def test_an_imported_key_is_refused_whatever_its_public_blob_says(self):
        self.make_imported()
        public, honest = (bytearray(self.store.blob(label, PUBLIC_BLOB)) for label in ("imported", "demo-access"))
        self.assertNotEqual(public[6:10], honest[6:10])
        public[6:10] = honest[6:10]  # the attributes, behind three lengths and numbers of two bytes
        self.store.write("imported", {PUBLIC_BLOB: bytes(public)})
        self.assert_refused("the TPM does not load it")

    def test_a_key_that_may_leave_the_tpm_is_refused(self):
        self.make_in_tpm("loose", "sensitivedataorigin|userwithauth|sign")
        self.assert_refused("the TPM says that fixedTPM is false")
        self.assert_believed()

    def test_a_key_that_may_do_more_than_sign_is_refused(self):
        self.make_in_tpm("versatile", FIXED + "sign|decrypt")
        self.assert_refused("the TPM says that decrypt is true")
        self.assert_believed()

    def test_a_key_that_may_not_sign_is_refused(self):
        self.make_in_tpm("agreeing", FIXED + "decrypt")
        self.assert_refused("the TPM says that sign is false")

    def test_a_key_that_signs_only_what_the_tpm_says_is_refused(self):
        """tpm2_ptool takes none: it gets another's rows."""
        files = self.create("quoting", FIXED + "sign|restricted", "ecc256:ecdsa-sha256:null")
        with open(files[0], "rb") as public, open(files[1], "rb") as private:
            blobs = {PUBLIC_BLOB: public.read(), PRIVATE_BLOB: private.read()}
        x, y = blobs[PUBLIC_BLOB][-66:-34], blobs[PUBLIC_BLOB][-32:]  # with a length of two bytes before each
        self.store.write("demo-access", blobs)
        self.store.write("demo-access", {EC_POINT: bytes([4, 65, 4]) + x + y}, PUBLIC_KEY)
        self.assert_refused("the TPM says that restricted is true")

    def test_the_blobs_of_another_key_are_refused(self):
        self.exchange("demo-access", "demo-svid")
        self.assert_refused("what the TPM loads is another key than its public half's")

    def test_a_key_is_asked_about_when_it_is_adopted_too(self):
        self.make_imported()
        self.backend.create("honest", "61")
        self.backend.write_config(self.good)
        service = self.serve()
        adopt = [HSMINT, "key", "adopt", "demo-access", "--control", service.control]
        refused = run([*adopt, "pkcs11:object=imported"], check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("the TPM says that sensitiveDataOrigin is false", refused.stderr)
        run([*adopt, "pkcs11:object=honest"])
        keys = service.ask("GET", "/v1/keys").json["keys"]
        self.assertEqual([key["tpm"]["attributes"]["sensitiveDataOrigin"] for key in keys], [True] * 3)

    # ---- the configuration ----

    def test_a_parent_that_is_not_there_is_named(self):
        self.edit(self.line, "    tpm_parent: 0x81000009\n")
        self.assertIn("tpm_parent 0x81000009: there is no such object in the TPM", self.serve_refused())


class AnotherModule(TokenCase):
    def test_a_token_that_is_no_tpms_is_refused(self):
        self.edit("    login: file\n", "    login: file\n    tpm_parent: 0x81000001\n")
        self.edit("    environment:\n", '    environment:\n      - {name: TPM2_PKCS11_TCTI, value: "device:/nowhere"}\n')
        self.assertIn("tpm_parent is for tpm2-pkcs11", self.serve_refused())


if __name__ == "__main__":
    unittest.main()
