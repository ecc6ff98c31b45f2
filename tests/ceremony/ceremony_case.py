# SPDX-License-Identifier: Apache-2.0
"""What the tests of key ceremonies share: a SoftHSM token, a ceremony with answers, and openssl's word on what it made."""
import hashlib
import json
import os
import re
import subprocess
import sys

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TESTS, "token"))

from softhsm_keys import make_keys  # noqa: E402,F401
from token_case import HSMINT, PATIENCE, TokenCase, read, run, unbase64, wait_for, write  # noqa: E402,F401

ADA, CHARLES = "Ada Lovelace", "Charles Babbage"
SUBJECT = "CN=Agents CA,O=Example,C=DE"
HASHES = {"ES256": "sha256", "ES384": "sha384", "RS256": "sha256"}
AGREED = [ADA, CHARLES, "yes", "yes"]


def read_bytes(path):
    with open(path, "rb") as file:
        return file.read()


def openssl(*arguments, **more):
    return run(["openssl", *arguments], **more).stdout


class CeremonyCase(TokenCase):
    def setUp(self):
        super().setUp()
        self.record = os.path.join(self.work, "record")

    def objects(self):
        """The objects on the token: each file's hash. The token's own file has its flags, which a login may change."""
        base = os.path.join(self.directory, "tokens")
        found = {}
        for where, _, names in os.walk(base):
            for name in names:
                if name.endswith(".object") and name != "token.object":
                    found[name] = hashlib.sha256(read_bytes(os.path.join(where, name))).hexdigest()
        self.assertTrue(found)  # the keys that `hsmint dev` made
        return found

    def arguments(self, label="ca", custodians=(ADA, CHARLES), subject=SUBJECT):
        arguments = ["--config", self.config, "--token", "soft", "--label", label, "--subject", subject, "--out", self.record]
        for name in custodians:
            arguments += ["--custodian", name]
        return arguments

    def ceremony(self, *arguments, answers=AGREED, status=0):
        """`hsmint key ceremony`, with these lines on its standard input."""
        result = subprocess.run([HSMINT, "key", "ceremony", *arguments], input="".join(a + "\n" for a in answers), text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
        self.assertEqual(result.returncode, status, result.stderr)
        if status:
            self.assertEqual(result.stdout, "")
        return result

    def new(self, *more, answers=AGREED, status=0, **named):
        return self.ceremony("new", *self.arguments(**named), *more, answers=answers, status=status)

    def file(self, name):
        return os.path.join(self.record, name)

    def document(self, name="record.json"):
        return json.loads(read(self.file(name)))

    def public_key(self):
        """The key in the record as PEM, by openssl from its DER."""
        path = os.path.join(self.work, "public.pem")
        spki = self.document()["key"]["spki"]
        der = os.path.join(self.work, "public.der")
        with open(der, "wb") as out:
            out.write(unbase64(spki))
        openssl("pkey", "-pubin", "-inform", "DER", "-in", der, "-out", path)
        return path

    def assert_nothing_is_left(self, before):
        """No record, and the token's objects as they were."""
        self.assertFalse(os.path.exists(self.record))
        self.assertFalse(os.path.exists(self.record + ".new"))
        self.assertEqual(self.objects(), before)

    def extensions(self, text):
        """What openssl prints of each extension: {name: (critical, value)}."""
        return {name: (bool(critical), " ".join(value.split())) for name, critical, value in
                re.findall(r"X509v3 ([A-Z][\w ]+): ?(critical)?\s*\n +(.+)\n", text)}
