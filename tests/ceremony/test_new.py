# SPDX-License-Identifier: Apache-2.0
"""`hsmint key ceremony new`: what it makes, what it asks, and that nothing is kept when it does not end well."""
import datetime
import hashlib
import os
import pty
import re
import select
import signal
import subprocess
import time
import unittest

from ceremony_case import (ADA, AGREED, CHARLES, HASHES, HSMINT, PATIENCE, SUBJECT, CeremonyCase, make_keys, openssl, read,
                           read_bytes, run, unbase64, wait_for, write)

CKA_EXTRACTABLE = 0x162


class Made(CeremonyCase):
    """A ceremony that ends well."""

    def test_a_self_signed_certificate(self):
        result = self.new("--trust-domain", "demo.test", "--days", "30")
        certificate = self.file("certificate.pem")
        openssl("verify", "-x509_strict", "-check_ss_sig", "-CAfile", certificate, certificate)
        text = openssl("x509", "-in", certificate, "-noout", "-text")
        found = self.extensions(text)
        self.assertEqual(found.pop("Basic Constraints"), (True, "CA:TRUE, pathlen:0"))
        self.assertEqual(found.pop("Key Usage"), (True, "Certificate Sign, CRL Sign"))
        self.assertEqual(found.pop("Subject Alternative Name"), (False, "URI:spiffe://demo.test"))
        identifier = found.pop("Subject Key Identifier")
        self.assertEqual(found.pop("Authority Key Identifier"), identifier)
        self.assertEqual(found, {})
        self.assertIn("Version: 3 (0x2)", text)
        self.assertEqual(len(re.findall("ecdsa-with-SHA384", text)), 2)
        self.assertEqual(openssl("x509", "-in", certificate, "-noout", "-subject", "-issuer", "-nameopt", "RFC2253"),
                         "subject=%s\nissuer=%s\n" % (SUBJECT, SUBJECT))
        begin, end = [datetime.datetime.strptime(line.split("=")[1], "%Y-%m-%d %H:%M:%SZ") for line in openssl(
            "x509", "-in", certificate, "-noout", "-dates", "-dateopt", "iso_8601").splitlines()]
        self.assertEqual(end - begin, datetime.timedelta(days=30, seconds=-1))
        fingerprint = openssl("x509", "-in", certificate, "-noout", "-fingerprint", "-sha256").split("=")[1]
        self.assertIn("certificate " + fingerprint.replace(":", "").lower(), result.stdout)
        self.assertEqual(sorted(os.listdir(self.record)), ["certificate.pem", "record.json", "record.sig"])

    def test_serials_are_random_positive_and_below_160_bits(self):
        serials = set()
        for i in range(3):
            self.record = os.path.join(self.work, "record-%d" % i)
            self.new(label="ca-%d" % i)
            serials.add(int(openssl("x509", "-in", self.file("certificate.pem"), "-noout", "-serial").split("=")[1], 16))
        self.assertEqual(len(serials), 3)
        for serial in serials:
            self.assertTrue(2**64 < serial < 2**159, serial)

    def test_each_algorithm_and_a_request(self):
        for algorithm, kind in (("ES256", "NIST CURVE: P-256"), ("ES384", "NIST CURVE: P-384"), ("RS256", "(3072 bit)")):
            with self.subTest(algorithm):
                self.record = os.path.join(self.work, algorithm)
                self.new("--csr", "--algorithm", algorithm, "--path-length", "2", "--trust-domain", "demo.test", label=algorithm)
                result = run(["openssl", "req", "-in", self.file("request.pem"), "-noout", "-verify", "-text"])
                self.assertIn("verify OK", result.stderr)
                self.assertIn(kind, result.stdout)
                self.assertIn(HASHES[algorithm], result.stdout.lower())
                found = self.extensions(result.stdout)
                found.pop("Subject Key Identifier")
                self.assertEqual(found, {"Basic Constraints": (True, "CA:TRUE, pathlen:2"),
                                         "Key Usage": (True, "Certificate Sign, CRL Sign"),
                                         "Subject Alternative Name": (False, "URI:spiffe://demo.test")})
                self.assertEqual(sorted(os.listdir(self.record)), ["record.json", "record.sig", "request.pem"])
                self.ceremony("verify", self.record)

    def test_openssl_alone_verifies_the_record(self):
        for algorithm, hash_name in HASHES.items():
            with self.subTest(algorithm):
                self.record = os.path.join(self.work, algorithm)
                self.new("--algorithm", algorithm, label=algorithm)
                record, public = self.document(), self.public_key()
                self.assertEqual(openssl("x509", "-in", self.file("certificate.pem"), "-noout", "-pubkey"), read(public))
                test = record["test"]
                for prefix, data, signature in (
                        (b"record", read_bytes(self.file("record.json")), read_bytes(self.file("record.sig"))),
                        (b"test", unbase64(test["data"]), unbase64(test["signature"]))):
                    for name, content in (("signed", b"hsmint ceremony %s 1\n%s" % (prefix, data)), ("signature", signature)):
                        with open(os.path.join(self.work, name), "wb") as out:
                            out.write(content)
                    openssl("dgst", "-" + hash_name, "-verify", public, "-signature", os.path.join(self.work, "signature"),
                            os.path.join(self.work, "signed"))
                self.assertEqual(hashlib.sha256(unbase64(record["key"]["spki"])).hexdigest(), record["key"]["spki_sha256"])

    def pkcs11_tool(self, *arguments):
        module = re.search(r"module: (\S+)", read(self.config)).group(1)
        return run(["pkcs11-tool", "--module", module, *arguments],
                   env={**os.environ, "SOFTHSM2_CONF": os.path.join(self.directory, "softhsm2.conf")}).stdout

    def test_what_the_record_says(self):
        before = int(time.time())
        self.new("--algorithm", "ES256", answers=[ADA, CHARLES, "yes", "yes"])
        record = self.document()
        self.assertEqual((record["hsmint_ceremony"], record["kind"]), (1, "self-signed"))
        self.assertEqual([(c["name"], c["how"]) for c in record["custodians"]], [(ADA, "yes"), (CHARLES, "yes")])
        times = [record["begun"]] + [c[when] for when in ("agreed", "confirmed") for c in record["custodians"]]
        self.assertEqual(times + [record["ended"]], sorted(times + [record["ended"]]))
        begun = datetime.datetime.strptime(record["begun"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)
        self.assertTrue(before <= begun.timestamp() <= time.time())
        module = re.search(r"module: (\S+)", read(self.config)).group(1)
        self.assertEqual(record["module"]["path"], module)
        self.assertEqual(record["module"]["sha256"], run(["sha256sum", module]).stdout.split()[0])
        slots = self.pkcs11_tool("-L")
        told = dict(re.findall(r"(?m)^  (token \w+|hardware version|firmware version|serial num) +: (.*?) *$",
                               slots[slots.index("hsmint-dev"):slots.index("hsmint-dev") + 600]))
        self.assertEqual((record["token"]["name"], record["token"]["label"]), ("soft", "hsmint-dev"))
        self.assertEqual(record["token"]["serial"], told["serial num"])
        self.assertEqual(record["token"]["firmware"], told["firmware version"])
        self.assertEqual(record["token"]["model"], told["token model"])
        attributes = record["evidence"]["attributes"]
        self.assertEqual({name for name, value in attributes.items() if value is True},
                         {"CKA_TOKEN", "CKA_PRIVATE", "CKA_SENSITIVE", "CKA_LOCAL", "CKA_ALWAYS_SENSITIVE",
                          "CKA_NEVER_EXTRACTABLE", "CKA_SIGN"})
        self.assertEqual({name for name, value in attributes.items() if value is False},
                         {"CKA_EXTRACTABLE", "CKA_SIGN_RECOVER", "CKA_DECRYPT", "CKA_UNWRAP", "CKA_DERIVE",
                          "CKA_ALWAYS_AUTHENTICATE"})
        self.assertEqual(attributes["CKA_KEY_GEN_MECHANISM"], "0x1040")
        self.assertEqual((record["evidence"]["waived"], record["evidence"]["private_value"]), ([], "unreadable"))
        self.assertNotIn(self.pin.strip(), read(self.file("record.json")))

    def test_the_key_is_on_the_token_under_its_label_and_id(self):
        before = self.objects()
        self.new()
        after = self.objects()
        self.assertEqual(len(after), len(before) + 2)
        self.assertEqual({name: after.get(name) for name in before}, before)
        listed = self.pkcs11_tool("--token-label", "hsmint-dev", "--login", "--pin", self.pin.strip(), "-O", "--type", "privkey")
        self.assertRegex(listed, r"label: +ca\n +ID: +%s\n" % self.document()["key"]["id"])

    def test_names_that_need_care(self):
        subject = "CN=Agents\\, all\\+of “them”,OU=\\#1,O=Größe\\\\Menge,C=DE"
        self.new(subject=subject, custodians=["Zoë \"Z\" O'Hara"], answers=["Zoë \"Z\" O'Hara", "yes"])
        got = openssl("x509", "-in", self.file("certificate.pem"), "-noout", "-subject", "-nameopt",
                      "RFC2253,-esc_msb,utf8").strip()
        self.assertEqual(got, "subject=" + subject)
        self.assertEqual(self.document()["document"]["subject"], subject)
        self.ceremony("verify", self.record)

    def test_one_login_and_no_secret_in_sight(self):
        """libp11 does not log in by itself: the token sees one attempt, ours."""
        self.count_and_script()
        result = self.new()
        self.assertEqual(self.logins(), 1)
        self.assertNotIn(self.pin.strip(), result.stdout + result.stderr)

    def test_answers_from_a_file(self):
        path = os.path.join(self.work, "answers")
        write(path, "".join(line + "\n" for line in AGREED))
        self.new("--answers", path, answers=[])
        self.assertEqual([c["how"] for c in self.document()["custodians"]], ["yes", "yes"])

    def test_the_service_goes_on_meanwhile(self):
        service = self.serve()
        self.new()
        self.assertEqual(service.mint().status, 200)


class Terminal(CeremonyCase):
    """As people hold it."""

    def setUp(self):
        super().setUp()
        self.seen = ""

    def start(self, *arguments):
        pid, self.terminal = pty.fork()
        if pid == 0:
            os.execv(HSMINT, [HSMINT, "key", "ceremony", *arguments])
        self.addCleanup(os.close, self.terminal)
        self.seen = ""
        return pid

    def read_until(self, text):
        end = time.monotonic() + PATIENCE
        while text not in self.seen:
            self.assertTrue(select.select([self.terminal], [], [], max(0, end - time.monotonic()))[0], self.seen)
            self.seen += os.read(self.terminal, 4096).decode()
        before, _, self.seen = self.seen.partition(text)
        return before

    def answer(self, asked, text):
        before = self.read_until(asked)
        os.write(self.terminal, (text + "\n").encode())
        return before

    def end(self, pid):
        try:
            while True:
                self.seen += os.read(self.terminal, 4096).decode()
        except OSError:  # the other side has closed it
            pass
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def test_a_ceremony(self):
        before = self.objects()
        pid = self.start("new", *self.arguments())
        self.answer(ADA + ", type your name to agree: ", ADA)
        self.assertEqual(self.objects(), before)  # nobody has agreed for Charles yet
        self.answer(CHARLES + ", type your name to agree: ", "Charles")
        self.answer(CHARLES + ", type your name to agree: ", CHARLES)  # a slip is mended
        shown = self.answer("Ada Lovelace, type the fingerprint's last 8 characters to confirm: ", "yes")  # not at a terminal
        fingerprint = re.search(r"SHA-256 of its public key:\s+([0-9a-f]{64})\s", shown).group(1)
        self.answer("Ada Lovelace, type the fingerprint's last 8 characters to confirm: ", fingerprint[-8:])
        self.answer("Charles Babbage, type the fingerprint's last 8 characters to confirm: ", fingerprint[-8:].upper())
        self.assertEqual(self.end(pid), 0, self.seen)
        record = self.document()
        self.assertEqual([(c["name"], c["how"]) for c in record["custodians"]], [(ADA, "read-back"), (CHARLES, "read-back")])
        self.assertEqual(record["key"]["spki_sha256"], fingerprint)
        self.ceremony("verify", self.record)

    def test_no_ends_it_at_once(self):
        before = self.objects()
        pid = self.start("new", *self.arguments())
        self.answer(ADA + ", type your name to agree: ", "no")
        self.assertEqual(self.end(pid), 1)
        self.assertIn("custodian Ada Lovelace did not confirm", self.seen)
        self.assert_nothing_is_left(before)

    def test_three_slips_end_it_and_the_key_is_destroyed(self):
        before = self.objects()
        pid = self.start("new", *self.arguments(custodians=[ADA]))
        self.answer("to agree: ", ADA)
        for _ in range(3):
            self.answer("to confirm: ", "00000000")
        self.assertEqual(self.end(pid), 1)
        self.assertIn("the key 'ca' has been destroyed", self.seen)
        self.assert_nothing_is_left(before)

    def test_control_c_destroys_the_key(self):
        before = self.objects()
        pid = self.start("new", *self.arguments(custodians=[ADA]))
        self.answer("to agree: ", ADA)
        self.read_until("to confirm: ")
        self.assertEqual(len(self.objects()), len(before) + 2)
        os.write(self.terminal, b"\x03")
        self.assertEqual(self.end(pid), -signal.SIGINT)
        wait_for(lambda: self.objects() == before, "the key to be destroyed")
        self.assert_nothing_is_left(before)


class Refused(CeremonyCase):
    """Nothing is kept, and where nothing was made yet, nothing was written."""

    def refuse(self, *more, says, answers=AGREED, **named):
        before = self.objects()
        result = self.new(*more, answers=answers, status=1, **named)
        self.assertIn(says, result.stderr)
        self.assert_nothing_is_left(before)
        return result

    def test_before_anything_is_done(self):
        make_keys(self.directory, [dict(label="taken", id="77"), dict(label="half", id="78", only_public=True)])
        for label in ("taken", "half"):
            result = self.refuse(label=label, says="the token holds a key labelled '%s' already" % label)
            self.assertNotIn("Step 2", result.stderr)

    def test_an_ed25519_key_on_the_token(self):
        make_keys(self.directory, [dict(label="edwards", id="79", kind="Ed25519")])
        result = self.refuse(says="the token holds an Ed25519 key (labelled 'edwards'), and libp11 0.4.12 finds no keys on "
                                  "such a token")
        self.assertNotIn("Step 2", result.stderr)

    def test_a_token_on_which_hsmint_makes_no_keys(self):
        self.edit("    key_rights: manage ", "    key_rights: use ")
        self.count_and_script()
        self.refuse(says="token soft has key_rights: use, and a ceremony makes a key")
        self.assertEqual(self.calls(), [])

    def test_a_token_that_is_not_configured(self):
        before = self.objects()
        arguments = [word if word != "soft" else "other" for word in self.arguments()]
        self.assertIn("the configuration has no token 'other'", self.ceremony("new", *arguments, status=1).stderr)
        self.assert_nothing_is_left(before)

    def test_a_wrong_pin_is_tried_once(self):
        self.count_and_script()
        write(self.pin_file, "wrong-pin\n")
        self.refuse(says="C_Login: CKR_PIN_INCORRECT (0xa0)")
        self.refuse(says="the token has refused this PIN")
        self.assertEqual(self.logins(), 1)

    def test_another_token(self):
        self.edit("label: hsmint-dev", "label: other")
        self.refuse(says="no token is labelled 'other'")

    def test_a_custodian_who_does_not_agree(self):
        for answers in ([ADA], [ADA, "Charles"], [ADA, "no"], [CHARLES, ADA], []):
            with self.subTest(answers):
                result = self.refuse(answers=answers, says="did not confirm")
                self.assertNotIn("Step 3", result.stderr)

    def test_a_custodian_who_does_not_confirm(self):
        for last in ([], ["yes"], ["yes", "no"], ["yes", "00000000"], ["no"], ["YES", "yes"]):
            with self.subTest(last):
                result = self.refuse(answers=[ADA, CHARLES, *last], says="did not confirm")
                self.assertIn("the key 'ca' has been destroyed, and no record is kept", result.stderr)

    def test_a_key_that_could_leave_the_token_is_destroyed(self):
        self.count_and_script("C_GetAttributeValue:0x%x true\n" % CKA_EXTRACTABLE)
        result = self.refuse(says="key ca: CKA_EXTRACTABLE is true")
        self.assertIn("the key 'ca' has been destroyed", result.stderr)

    def test_a_token_that_signs_wrongly(self):
        self.count_and_script()
        for passed, more, says in ((0, [], "of the certificate is wrong"), (0, ["--csr"], "of the request is wrong"),
                                   (1, [], "the token's signature is wrong"), (2, [], "the token's signature is wrong")):
            with self.subTest(says):
                for count in os.listdir(self.directory):
                    if count.startswith("script."):
                        os.unlink(os.path.join(self.directory, count))
                self.script("C_Sign pass %d\nC_Sign flip\n" % passed if passed else "C_Sign flip\n")
                result = self.refuse(*more, says=says)
                self.assertIn("the key 'ca' has been destroyed", result.stderr)

    def start_until_confirmation(self):
        process = subprocess.Popen([HSMINT, "key", "ceremony", "new", *self.arguments()], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdin.write(("%s\n%s\n" % (ADA, CHARLES)).encode())
        process.stdin.flush()
        line = b""
        while b"Step 5" not in line:
            line = process.stderr.readline()
            self.assertTrue(line)
        return process

    @staticmethod
    def end(process, answers=b""):
        """What was said from then on, until hsmint-ceremony has ended, too."""
        _, said = process.communicate(answers, timeout=PATIENCE)
        return said.decode()

    def test_a_command_that_is_killed_leaves_no_key(self):
        before = self.objects()
        process = self.start_until_confirmation()
        self.assertEqual(len(self.objects()), len(before) + 2)
        process.kill()
        process.wait()
        self.assertIn("the ceremony was broken off: the key 'ca' has been destroyed", self.end(process))
        self.assert_nothing_is_left(before)

    def test_a_record_that_cannot_be_written(self):
        before = self.objects()
        process = self.start_until_confirmation()
        in_the_way = self.record + ".new/.record.json.new"
        os.makedirs(in_the_way)
        self.assertIn("the key 'ca' has been destroyed, and no record is kept", self.end(process, b"yes\nyes\n"))
        self.assertEqual(process.returncode, 1)
        self.assertEqual(os.listdir(self.record + ".new"), [".record.json.new"])
        os.rmdir(in_the_way)
        os.rmdir(self.record + ".new")
        self.assert_nothing_is_left(before)

    def test_a_record_that_is_there_is_not_written_over(self):
        os.mkdir(self.record)
        before = self.objects()
        result = self.new(status=1)
        self.assertIn("exists: a record is never written over", result.stderr)
        self.assertEqual(self.objects(), before)
        self.assertEqual(os.listdir(self.record), [])

    def test_subjects_that_are_none(self):
        for subject in ("", "Agents CA", "CN=", "CN=a,", "XX=a", "CN=a+O=b", "CN= a", "CN=a ", "C=Germany", "CN=a\\", "CN=a;O=b",
                        "CN=" + "a" * 65):
            with self.subTest(subject):
                self.refuse(subject=subject, says="subject")

    def test_wrong_usage(self):
        good = self.arguments()
        for arguments, says in (
                (["new"], "--config, --token, --label, --subject, --custodian and --out are needed"),
                (["new", *good, "surplus"], "'surplus' is not wanted"),
                (["new", *good, "--days", "0"], "--days does not take '0'"),
                (["new", *good, "--days", "36501"], "--days"), (["new", *good, "--path-length", "9"], "--path-length"),
                (["new", *good, "--algorithm", "Ed25519"], "--algorithm does not take 'Ed25519'"),
                (["new", *good, "--algorithm", "PS256"], "--algorithm"),
                (["new", *good, "--custodian", ADA], "--custodian does not take '%s'" % ADA),
                (["new", *good, "--custodian", "No"], "--custodian"), (["new", *good, "--custodian", "a\tb"], "--custodian"),
                (["new", *good, "--custodian", ""], "--custodian"),
                (["new", *good, "--trust-domain", "Demo.test"], "--trust-domain"), (["new", *good, "--label", ""], "--label"),
                (["new", *good, "--frobnicate"], "--frobnicate"), ([], "what to do? new, import, verify"),
                (["forge"], "what to do?"), (["verify"], "one DIR"), (["verify", "a", "b"], "one DIR"),
                (["import"], "--config, --record, --chain, --root and --custodian are needed")):
            with self.subTest(arguments):
                self.assertIn(says, self.ceremony(*arguments, status=2).stderr)
        for verb in ("new", "import", "verify"):
            self.assertIn("\nExample:\n", self.ceremony(verb, "--help").stdout)
        self.assertIn("\nExample:\n", self.ceremony("--help").stdout)


if __name__ == "__main__":
    unittest.main()
