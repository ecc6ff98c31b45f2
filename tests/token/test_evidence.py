# SPDX-License-Identifier: Apache-2.0
"""What the service tells of its keys' custody, and attributes that a module need not tell."""
import hashlib
import json
import os
import re
import subprocess
import unittest

from softhsm_keys import module_of
from token_case import HSMINT, TokenCase, read, run, unbase64, wait_for, write

ATTRIBUTES = {"CKA_TOKEN": True, "CKA_PRIVATE": True, "CKA_SENSITIVE": True, "CKA_EXTRACTABLE": False, "CKA_LOCAL": True,
              "CKA_ALWAYS_SENSITIVE": True, "CKA_NEVER_EXTRACTABLE": True, "CKA_SIGN": True, "CKA_SIGN_RECOVER": False,
              "CKA_DECRYPT": False, "CKA_UNWRAP": False, "CKA_DERIVE": False, "CKA_ALWAYS_AUTHENTICATE": False,
              "CKA_KEY_GEN_MECHANISM": "0x1040"}  # CKM_EC_KEY_PAIR_GEN


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Evidence(TokenCase):
    def documents(self, service):
        answer = service.ask("GET", "/v1/keys")
        self.assertEqual((answer.status, answer.headers["Content-Type"]), (200, "application/json"), answer.body)
        return {key["name"]: key for key in answer.json["keys"]}

    def softhsm_says(self):
        """The token's serial, manufacturer and model, by SoftHSM's own tool."""
        shown = subprocess.run(["softhsm2-util", "--show-slots"], check=True, capture_output=True, text=True,
                               env={**os.environ, "SOFTHSM2_CONF": self.directory + "/softhsm2.conf"}).stdout
        part = next(slot for slot in shown.split("\nSlot ") if "hsmint-dev" in slot)
        return dict(map(str.strip, line.split(":", 1)) for line in part.splitlines() if ":" in line)

    def test_a_document_says_where_the_key_lives_and_what_the_token_told(self):
        service = self.serve()
        documents = self.documents(service)
        self.assertEqual(set(documents), {"demo-access", "demo-svid", "demo-checkpoint", "demo-status"})
        document, slot = documents["demo-access"], self.softhsm_says()
        self.assertEqual((document["issuer"], document["use"], document["algorithm"], document["label"], document["id"]),
                         ("demo", "access-token", "ES256", "demo-access", "01"))
        self.assertEqual(document["attributes"], ATTRIBUTES)
        self.assertEqual((document["waived"], document["private_value"]), ([], "unreadable"))
        self.assertEqual(document["signs_with"], {"mechanism": "0x1041", "hash": "host"})  # CKM_ECDSA
        module = module_of(self.directory)
        with open(module, "rb") as file:
            self.assertEqual((document["module"]["path"], document["module"]["sha256"]), (module, sha256(file.read())))
        token = document["token"]
        self.assertEqual((token["name"], token["label"], token["allowed_serials"]), ("soft", "hsmint-dev", []))
        self.assertEqual((token["serial"], token["manufacturer"], token["model"]),
                         (slot["Serial number"], slot["Manufacturer ID"], slot["Model"]))
        self.assertIn("0x1041", token["mechanisms"])
        self.assertNotIn("fips_certificate", token)
        self.assertNotIn("attestation_sha256", document)

    def test_the_public_key_is_the_one_that_is_published(self):
        service = self.serve()
        published = service.ask("GET", "/demo/.well-known/jwks.json").json["keys"]
        documents = self.documents(service)
        checkpoint = documents.pop("demo-checkpoint")
        self.assertEqual((checkpoint["use"], checkpoint["origin"], checkpoint.get("issuer")),
                         ("checkpoint", "demo.test/ledger", None))
        self.assertEqual({key["kid"] for key in published}, {document["kid"] for document in documents.values()})
        for document in documents.values():
            key = next(key for key in published if key["kid"] == document["kid"])
            self.assertEqual(document["jwk"], {name: key[name] for name in ("kty", "crv", "x", "y")})
            point = b"\x04" + unbase64(key["x"]) + unbase64(key["y"])
            prefix = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")  # RFC 5480, section 2
            self.assertEqual((unbase64(document["spki"]), document["spki_sha256"]), (prefix + point, sha256(prefix + point)))

    def test_what_the_operator_adds_is_in_it(self):
        write(os.path.join(self.directory, "attestation.bin"), "the vendor's word")
        self.edit('id: "01"', 'id: "01", attestation: attestation.bin')
        serial = self.softhsm_says()["Serial number"]
        self.edit("    login: file\n", "    login: file\n    fips_certificate: \"4703\"\n    serials: [\"%s\"]\n" % serial)
        documents = self.documents(self.serve())
        self.assertEqual(documents["demo-access"]["attestation_sha256"], sha256(b"the vendor's word"))
        self.assertNotIn("attestation_sha256", documents["demo-svid"])
        for document in documents.values():
            self.assertEqual((document["token"]["fips_certificate"], document["token"]["allowed_serials"]),
                             ("4703", [serial]))

    def test_what_is_not_approved_is_refused(self):
        self.edit("    login: file\n", "    login: file\n    approved_only: true\n")
        check = lambda: run([HSMINT, "check", "--config", self.config], check=False)
        first = "use: access-token, algorithm: %s}"
        for algorithm in ("ES384", "RS256", "PS256", "ES256"):
            self.edit(re.search(first % r"\w+", read(self.config)).group(0), first % algorithm)
            self.assertEqual(check().returncode, 0, algorithm)
        documents = self.documents(self.serve())
        self.assertIs(documents["demo-access"]["token"]["approved_only"], True)
        self.edit(first % "ES256", first % "Ed25519")
        result = check()
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, r"hsmint\.yaml:\d+: keys\.algorithm: token 'soft' has approved_only")

    def test_the_command_prints_it(self):
        service = self.serve()
        documents = self.documents(service)
        control = ("--control", service.control)
        self.assertEqual(json.loads(run([HSMINT, "key", "evidence", "demo-svid", *control]).stdout), documents["demo-svid"])
        self.assertEqual(json.loads(run([HSMINT, "key", "evidence", *control]).stdout), list(documents.values()))
        lines = run([HSMINT, "key", "list", *control]).stdout.splitlines()
        self.assertEqual(len(lines), 4)
        for line, document in zip(lines, documents.values()):
            for word in (document["name"], document.get("issuer", "-"), document["use"], "ES256", "on soft", "kid " + document["kid"]):
                self.assertIn(word, line)
        self.assertEqual(json.loads(run([HSMINT, "key", "list", "--json", *control]).stdout)["keys"], list(documents.values()))
        for words, status in ((("evidence", "nobody"), 1), (("burn",), 2), ((), 2), (("list", "demo-svid"), 2)):
            self.assertEqual(run([HSMINT, "key", *words, *control], check=False).returncode, status, words)

    def test_only_auditors_and_operators_are_told(self):
        service = self.serve()
        for role, status in (("audit", 200), ("operate", 200), ("mint", 403), ("task", 403)):
            with self.subTest(role):
                text = read(self.config)
                start = text.index("roles: [")
                write(self.config, text[:start] + "roles: [%s]" % role + text[text.index("]", start) + 1:])
                service.process.send_signal(1)
                wait_for(lambda s=status: service.ask("GET", "/v1/keys").status == s, "the roles to be read again")
        self.refused(service.ask("GET", "/v1/keys"), 403, "role_missing")

    def test_a_key_whose_token_is_not_there_yet_has_no_evidence(self):
        text = read(self.config).replace("label: hsmint-dev", "label: absent")
        write(self.config, text)
        service = self.serve(wait=False)
        wait_for(lambda: service.status_if_any(), "the control socket")
        documents = json.loads(run([HSMINT, "key", "evidence", "--control", service.control]).stdout)
        self.assertEqual([document["known"] for document in documents], [False] * 4)
        self.assertNotIn("attributes", documents[0])

    # ---- waivers ----

    def waive(self, module, *attributes):
        self.edit("    login: file\n", "    login: file\n    waivers:\n" + "".join(
            "      - {module: %s, attribute: %s}\n" % (module, attribute) for attribute in attributes))

    def test_what_the_module_does_not_tell_is_waived_by_name_alone(self):
        self.count_and_script()
        for attribute, number in (("CKA_LOCAL", 0x163), ("CKA_KEY_GEN_MECHANISM", 0x166)):
            with self.subTest(attribute):
                good = read(self.config)
                self.script("C_GetAttributeValue:0x%x 0x12\n" % number)
                self.assertIn("the module does not tell " + attribute, self.serve_refused())
                self.waive(module_of(self.directory), "CKA_NEVER_EXTRACTABLE")
                self.assertIn("the module does not tell " + attribute, self.serve_refused())
                write(self.config, good)
                self.waive(module_of(self.directory), attribute)
                service = self.serve()
                for document in self.documents(service).values():
                    self.assertEqual(document["attributes"], {**ATTRIBUTES, attribute: None})
                    self.assertEqual(document["waived"], [attribute])
                self.assertEqual(service.mint().status, 200)
                self.end(service)
                write(self.config, good)

    def test_what_the_module_does_tell_is_not_waived(self):
        self.count_and_script("C_GetAttributeValue:0x162 true\n")
        self.waive(module_of(self.directory), "CKA_EXTRACTABLE", "CKA_KEY_GEN_MECHANISM")
        self.assertIn("CKA_EXTRACTABLE is true", self.serve_refused())
        self.script("C_GetAttributeValue:0x166 unavailable\n")
        self.assertIn("CKA_KEY_GEN_MECHANISM is unavailable", self.serve_refused())

    # ---- sessions and logins that vendors want ----

    def test_sessions_are_read_only_unless_told(self):
        self.count_and_script()
        for words, flags in (("", 4), ("    sessions: read-write\n", 6)):  # CKF_SERIAL_SESSION, CKF_RW_SESSION
            if words:
                self.edit("    login: file\n", "    login: file\n" + words)
            before = len(self.calls("C_OpenSession"))
            service = self.serve()
            self.assertEqual(service.mint().status, 200)
            self.assertEqual({call["flags"] for call in self.calls("C_OpenSession")[before:]}, {flags})
            self.end(service)

    def test_the_login_is_of_the_type_that_is_configured(self):
        self.count_and_script("C_Login 0x103\n")  # CKR_USER_TYPE_INVALID: SoftHSM knows no vendor's
        self.edit("    login: file\n", "    login: file\n    login_user_type: 2147483649\n")
        service = self.serve(wait=False)
        wait_for(lambda: self.calls("C_Login"), "a login")
        self.assertEqual(self.calls("C_Login")[0]["user"], 0x80000001)
        self.kill(service)


if __name__ == "__main__":
    unittest.main()
