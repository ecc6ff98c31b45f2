# SPDX-License-Identifier: Apache-2.0
"""A key that is not what was promised is refused at start, by name and attribute, before anything is served."""
import os
import re
import shutil
import unittest

from softhsm_keys import make_keys, module_of
from token_case import PATIENCE, TokenCase, edit, read, run, verify, wait_for

# What is wrong with the key, how it is made, and how it is refused.
MADE = [
    ("extractable", dict(EXTRACTABLE=True), "CKA_EXTRACTABLE is true"),
    ("not sensitive", dict(SENSITIVE=False), "CKA_SENSITIVE is false"),
    ("public to all", dict(PRIVATE=False), "CKA_PRIVATE is false"),
    ("may decrypt", dict(DECRYPT=True), "CKA_DECRYPT is true"),
    ("may unwrap", dict(UNWRAP=True), "CKA_UNWRAP is true"),
    ("may derive", dict(DERIVE=True), "CKA_DERIVE is true"),
    ("may sign recoverably", dict(SIGN_RECOVER=True), "CKA_SIGN_RECOVER is true"),
    ("may not sign", dict(SIGN=False), "CKA_SIGN is false"),
    ("asks for the PIN each time", dict(ALWAYS_AUTHENTICATE=True), "CKA_ALWAYS_AUTHENTICATE is true"),
    ("of RSA", dict(kind="RSA"), "CKA_KEY_TYPE is 0x0: ES256 needs an EC key on P-256"),
    ("on P-384", dict(kind="P-384"), "CKA_EC_PARAMS: ES256 needs an EC key on P-256"),
    ("of Ed25519", dict(kind="Ed25519"), "CKA_KEY_TYPE is 0x40: ES256 needs an EC key on P-256"),
    ("without a public half", dict(public_label="elsewhere"), "no public key is labelled"),
]

# What a module may tell of a key, as the fault module pretends: the attribute, the pretence and the refusal.
TOLD = [
    (0x1, "false", "CKA_TOKEN is false"),
    (0x2, "false", "CKA_PRIVATE is false"),
    (0x103, "false", "CKA_SENSITIVE is false"),
    (0x105, "true", "CKA_DECRYPT is true"),
    (0x107, "true", "CKA_UNWRAP is true"),
    (0x108, "false", "CKA_SIGN is false"),
    (0x109, "true", "CKA_SIGN_RECOVER is true"),
    (0x10c, "true", "CKA_DERIVE is true"),
    (0x162, "true", "CKA_EXTRACTABLE is true"),
    (0x163, "false", "CKA_LOCAL is false"),
    (0x164, "false", "CKA_NEVER_EXTRACTABLE is false"),
    (0x165, "false", "CKA_ALWAYS_SENSITIVE is false"),
    (0x166, "unavailable", "CKA_KEY_GEN_MECHANISM is unavailable"),
    (0x202, "true", "CKA_ALWAYS_AUTHENTICATE is true"),
    (0x11, "given", "CKA_VALUE: reading the private value gave CKR_OK"),
    (0x163, "0x12", "the module does not tell CKA_LOCAL"),
    (0x164, "nameless", "the module does not tell CKA_NEVER_EXTRACTABLE"),
    (0x166, "nameless", "the module does not tell CKA_KEY_GEN_MECHANISM"),
]

# The same of other algorithms: the algorithm, the key, and how it is refused.
OTHERS = [
    ("ES384", "P-256", "CKA_EC_PARAMS: ES384 needs an EC key on P-384"),
    ("ES384", "Ed25519", "CKA_KEY_TYPE is 0x40: ES384 needs an EC key on P-384"),
    ("RS256", "P-256", "CKA_KEY_TYPE is 0x3: RS256 needs an RSA key"),
    ("PS256", "P-384", "CKA_KEY_TYPE is 0x3: PS256 needs an RSA key"),
    ("RS256", "RSA-1024", "an RSA key has 1024 bits: 2048 to 4096 are accepted"),
    ("Ed25519", "P-256", "CKA_KEY_TYPE is 0x3: Ed25519 needs an Ed25519 key"),
]


class Custody(TokenCase):
    def test_a_key_for_checkpoints_is_nobody_elses(self):
        """Nor under another token's name, which turns out to be the same device."""
        token = re.search(r"  - name: soft\n(?:    .*\n)+", read(self.config)).group(0)
        self.edit(token, token + token.replace("name: soft", "name: again"))
        shutil.rmtree(os.path.join(self.directory, "ledger"))  # which another key signed
        self.edit('token: soft, label: demo-checkpoint, id: "03"', 'token: again, label: demo-access, id: "01"')
        service = self.serve(wait=False)
        self.assertEqual(service.process.wait(PATIENCE), 1)
        self.assertRegex(service.log(), "keys (demo-access and demo-checkpoint|demo-checkpoint and demo-access) are the same")

    def setUp(self):
        super().setUp()
        self.good = read(self.config)

    def use(self, label, id="20"):
        """Let the configuration name another key as demo-access."""
        place = 'label: demo-access, id: "01"'
        self.assertIn(place, self.good)
        new = "label: %s" % label + (', id: "%s"' % id if id else "")
        with open(self.config, "w") as out:
            out.write(self.good.replace(place, new))

    def assert_refused(self, fault):
        said = self.serve_refused()
        self.assertRegex(said, r"hsmint: token soft: key demo-access: .*" + re.escape(fault))

    def test_a_key_made_otherwise(self):
        make_keys(self.directory, [dict(label="key-%d" % i, id="20", **made) for i, (_, made, _) in enumerate(MADE)])
        for i, (what, _, fault) in enumerate(MADE):
            with self.subTest(what):
                self.use("key-%d" % i)
                self.assert_refused(fault)

    def test_a_key_of_another_type_than_the_algorithm_wants(self):
        kinds = sorted({kind for _, kind, _ in OTHERS})
        make_keys(self.directory, [dict(label=kind, id="20", kind=kind) for kind in kinds])
        for algorithm, kind, fault in OTHERS:
            with self.subTest(algorithm + " with " + kind):
                self.use(kind)
                edit(self.config, "use: access-token, algorithm: ES256", "use: access-token, algorithm: " + algorithm)
                self.assert_refused(fault)

    def test_an_rsa_key_whose_secrets_can_be_read(self):
        make_keys(self.directory, [dict(label="rsa", id="20", kind="RSA")])
        self.use("rsa")
        edit(self.config, "use: access-token, algorithm: ES256", "use: access-token, algorithm: RS256")
        self.count_and_script()
        for attribute, name in ((0x123, "CKA_PRIVATE_EXPONENT"), (0x124, "CKA_PRIME_1")):
            with self.subTest(name):
                self.script("C_GetAttributeValue:0x%x given" % attribute)
                self.assert_refused(name + ": reading the private value gave CKR_OK")
        self.script("")
        self.assertEqual(self.serve().mint().status, 200)

    def test_a_key_of_which_the_module_tells_otherwise(self):
        self.count_and_script()
        for attribute, pretence, fault in TOLD:
            with self.subTest(fault):
                self.script("C_GetAttributeValue:0x%x %s" % (attribute, pretence))
                self.assert_refused(fault)
        self.script("")
        self.assertEqual(self.serve().mint().status, 200)

    def test_an_attribute_of_no_length_never_passes_for_a_long_one(self):
        self.count_and_script()
        for attribute in (0x102, 0x180):  # CKA_ID, CKA_EC_PARAMS
            self.script("C_GetAttributeValue:0x%x nameless" % attribute)
            self.assertIn("C_GetAttributeValue: CKR_ATTRIBUTE_TYPE_INVALID", self.serve_refused())

    def test_a_key_whose_first_signature_does_not_verify_is_not_served(self):
        self.count_and_script("C_Sign flip 1")
        service = self.serve()
        self.assertIn("key demo-access: C_Sign gave a signature that its public key does not verify", service.log())
        self.assertEqual(service.mint().status, 200)

    def test_a_key_that_came_from_outside(self):
        pem, der = os.path.join(self.work, "key.pem"), os.path.join(self.work, "key.der")
        run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", pem])
        run(["openssl", "pkey", "-in", pem, "-outform", "DER", "-out", der])
        run(["pkcs11-tool", "--module", module_of(self.directory), "--token-label", "hsmint-dev", "--login", "--pin",
             self.pin, "--write-object", der, "--type", "privkey", "--label", "imported", "--id", "20", "--usage-sign"],
            env={**os.environ, "SOFTHSM2_CONF": self.directory + "/softhsm2.conf"})
        self.use("imported")
        self.assert_refused("CKA_LOCAL is false: it was not generated in the token")

    def test_a_key_that_is_not_there_or_not_alone(self):
        make_keys(self.directory, [dict(label="twin", id="21"), dict(label="twin", id="22")])
        for label, id, fault in (("missing", "20", "no private key is labelled 'missing' and has its id"),
                                 ("demo-access", "7f", "no private key is labelled 'demo-access' and has its id"),
                                 ("missing", None, "no private key is labelled 'missing'"),
                                 ("twin", None, "more than one private key is labelled 'twin'")):
            with self.subTest(label + " " + str(id)):
                self.use(label, id)
                self.assert_refused(fault)

    def test_a_public_key_that_is_not_alone(self):
        make_keys(self.directory, [dict(label="twin", id="20"), dict(label="twin", id="20", only_public=True)])
        self.use("twin")
        self.assert_refused("more than one public key is labelled 'twin' and has its id")

    def test_a_public_key_that_is_another_ones_half(self):
        make_keys(self.directory, [dict(label="crossed", id="20", public_label="elsewhere"),
                                   dict(label="crossed", id="20", only_public=True)])
        self.use("crossed")
        service = self.serve(wait=False)
        wait_for(lambda: (service.status_if_any() or {"tokens": [{}]})["tokens"][0].get("restarts", 0) >= 3,
                 "its process to fail at every start")
        self.assertRegex(service.log(), r"event=token_ended .* class=device .*key demo-access: C_Sign gave a signature "
                         "that its public key does not verify")
        self.assertNotIn("event=token_ready", service.log())
        self.refused(service.mint(), 503, "token_unavailable")

    def test_a_good_key_is_found_by_id_or_by_label_alone_and_is_the_one_that_signs(self):
        make_keys(self.directory, [dict(label=label, id=id) for label, id in
                                   (("twin", "21"), ("twin", "22"), ("one", "23"))])
        kids = set()
        for label, id in (("twin", "21"), ("twin", "22"), ("one", None), ("demo-access", "01")):
            with self.subTest(label + " " + str(id)):
                self.use(label, id)
                service = self.serve()
                answer = service.mint()
                self.assertEqual(answer.status, 200, answer.body)
                jwks = service.ask("GET", "/demo/.well-known/jwks.json").body
                verify(answer.json["credential"], jwks, self.work)
                kids.add(answer.json["kid"])
                service.stop()
        self.assertEqual(len(kids), 4)


if __name__ == "__main__":
    unittest.main()
