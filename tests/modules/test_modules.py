# SPDX-License-Identifier: Apache-2.0
"""The same tests with each PKCS#11 module: HSMINT_MODULE names the backend, a class of backends.py."""
import json
import os
import re
import signal
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "e2e"), os.path.join(HERE, "..", "token")]
import backends  # noqa: E402
import page  # noqa: E402
from harness import decode  # noqa: E402
from test_frames import READY, Peer  # noqa: E402
from test_anchor_object import ANCHOR, GET as ANCHOR_GET, PUT as ANCHOR_PUT  # noqa: E402
from token_admin import CONFIG, frame, string, token_config  # noqa: E402
from token_case import PATIENCE, TokenCase, run, verify, wait_for  # noqa: E402

BACKEND = getattr(backends, os.environ["HSMINT_MODULE"])
PATIENCE_S = 5  # mint's, for each request
KEY = '  - {name: %s, issuer: demo, token: soft, label: %s, id: "%s", use: access-token, algorithm: %s}\n'


class Module(TokenCase):
    def setUp(self):
        super().setUp()
        self.backend = BACKEND(self.directory)
        self.addCleanup(self.backend.kill)
        self.backend.start()
        self.backend.use()

    def jwks(self, service):
        return service.ask("GET", "/demo/.well-known/jwks.json").body

    def use_key(self, label, identity, algorithm="ES256"):
        self.edit('label: demo-access, id: "01", use: access-token, algorithm: ES256',
                  'label: %s, id: "%s", use: access-token, algorithm: %s' % (label, identity, algorithm))

    def page_says(self, row, what):
        """docs/hsm.md tells what was measured."""
        self.assertIn(row, page.ROWS)
        self.assertEqual(page.table()[row][page.column_of(self.backend.package)], what, "docs/hsm.md, row " + row)

    def test_the_page_tells_of_nothing_else(self):
        self.assertEqual(list(page.table()), ["", *page.ROWS])

    def use_threads(self, number):
        self.backend.write_config(re.sub(r"threads: \d+", "threads: %d" % number, self.backend.read_config()))

    # ---- what it does ----

    def test_it_mints_what_others_verify_from_several_threads(self):
        self.use_threads(4)
        service = self.serve()
        self.assert_credentials(service, self.mint_together(service))
        svid = service.mint(profile="demo-svid")
        verify(svid.json["credential"], self.jwks(service), self.work)

    def test_the_evidence_is_whole(self):
        service = self.serve()
        for key in service.ask("GET", "/v1/keys").json["keys"]:
            attributes = key["attributes"]
            self.assertTrue(all(attributes[name] for name in (
                "CKA_TOKEN", "CKA_PRIVATE", "CKA_SENSITIVE", "CKA_LOCAL", "CKA_ALWAYS_SENSITIVE",
                "CKA_NEVER_EXTRACTABLE", "CKA_SIGN")), attributes)
            self.assertEqual([attributes[name] for name in (
                "CKA_EXTRACTABLE", "CKA_DECRYPT", "CKA_UNWRAP", "CKA_DERIVE", "CKA_SIGN_RECOVER")], [False] * 5)
            self.assertEqual((key["waived"], key["module"]["path"]), ([], self.backend.module))
            self.assertEqual(key["token"]["label"], self.backend.label)
        self.page_says("evidence", "every attribute told" + (", and the TPM asked" if "tpm" in key else ""))

    def sign_with(self, algorithm, identity):
        """What comes of a key of this algorithm: "yes" and how, or what is said about it."""
        try:
            self.backend.create("other-" + algorithm, identity, algorithm)
        except AssertionError as failure:
            return str(failure)
        self.use_key("other-" + algorithm, identity, algorithm)
        service = self.serve(wait=False)
        wait_for(lambda: self.is_ready(service) or "event=token_ended" in service.log(), "a signature, or none")
        if not self.is_ready(service):
            log = service.log()
            self.end(service)
            return log
        answer = service.mint()
        self.assertEqual(answer.status, 200, answer.body)
        if algorithm != "Ed25519":  # the judge knows no EdDSA; node's jose does, in interop
            verify(answer.json["credential"], self.jwks(service), self.work)
        key = [key for key in service.ask("GET", "/v1/keys").json["keys"] if key["algorithm"] == algorithm]
        self.end(service)
        return "yes" + (", hashed in the token" if key[0]["signs_with"]["hash"] == "token" else "")

    @staticmethod
    def is_ready(service):
        status = service.status_if_any()
        return status and status["ready"]

    def test_every_algorithm_is_signed_with_or_lacks_for_a_reason(self):
        good = self.backend.read_config()
        for number, algorithm in enumerate(page.ALGORITHMS):
            with self.subTest(algorithm):
                self.backend.write_config(good)
                found = self.sign_with(algorithm, "4%d" % number)
                if algorithm in self.backend.lacks:
                    reason, said = self.backend.lacks[algorithm]
                    self.assertIn(said, found)
                    found = "no: " + reason
                self.page_says(algorithm, found)

    def test_the_ledgers_newest_checkpoint_is_kept(self):
        origin = "demo.test/ledger"
        configuration = token_config(self.directory, self.backend.module, [], label_of_token=self.backend.label,
                                     environment=self.backend.environment, pin=self.backend.place + "/pin", origin=origin)
        for size in (1, 2, None):  # each by a process of its own
            note = b"%s/1\n%d\n%s=\n" % (origin.encode(), size or 2, b"A" * 43)
            peer = Peer()
            self.addCleanup(peer.close)
            peer.send(frame(CONFIG, configuration))
            while peer.receive()[0] != READY:
                pass
            kind, _, payload = peer.ask(frame(ANCHOR_PUT, string(note)) if size else frame(ANCHOR_GET, string("")))
            self.assertEqual((kind, payload[4:]), (ANCHOR, note))
            peer.socket.close()
            self.assertEqual(peer.process.wait(PATIENCE), 0)
        self.page_says("the ledger's anchor", "kept")

    def test_a_key_that_is_made_while_it_runs_is_taken_into_use(self):
        """A module may see only what was there when it started."""
        service = self.serve()
        made = json.loads(service.command("key", "create", "demo-access", "--config", self.config, "--json").stdout)
        self.assertEqual((made["version"], made["state"]), (2, "created"))
        service.command("key", "activate", "demo-access", "2", "--now", "--control", service.control)
        answer = service.mint()
        self.assertEqual(decode(answer.json["credential"])[0]["kid"], made["kid"])
        verify(answer.json["credential"], self.jwks(service), self.work)
        self.assertLessEqual(service.status()["tokens"][0]["restarts"], 1)

    # ---- what it must not do ----

    @staticmethod
    def ckr(tool):
        return re.search(r"rv = (CKR_\w+)", tool.stderr).group(1)

    def refused_attribute(self):
        """The attribute for which the service does not start."""
        log = self.serve_refused()
        found = re.search("key demo-access: (CKA_[A-Z_]+) is ", log)
        self.assertTrue(found, log)
        return found.group(1)

    def test_an_imported_key_is_refused(self):
        pem = os.path.join(self.work, "imported")
        run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", pem + ".pem"])
        run(["openssl", "ec", "-in", pem + ".pem", "-outform", "DER", "-out", pem + ".der"])
        run(["openssl", "pkey", "-in", pem + ".pem", "-pubout", "-outform", "DER", "-out", pem + ".pub"])
        imported = self.backend.tool("--write-object", pem + ".der", "--type", "privkey", "--label", "imported", "--id",
                                     "50", "--usage-sign", check=False)
        if imported.returncode:
            self.page_says("an imported key", "the module takes none: `%s`" % self.ckr(imported))
            return
        self.backend.tool("--write-object", pem + ".pub", "--type", "pubkey", "--label", "imported", "--id", "50",
                          check=False)
        self.use_key("imported", "50")
        self.page_says("an imported key", "refused: `%s`" % self.refused_attribute())

    def test_an_extractable_key_is_refused(self):
        made = self.backend.tool("--keypairgen", "--key-type", "EC:prime256v1", "--label", "loose", "--id", "51",
                                 "--usage-sign", "--extractable", check=False)
        if made.returncode:
            self.page_says("an extractable key", "the module makes none: `%s`" % self.ckr(made))
            return
        self.use_key("loose", "51")
        self.page_says("an extractable key", "refused: `%s`" % self.refused_attribute())

    def test_a_key_whose_attributes_were_rewritten_is_refused(self):
        """tpm2-pkcs11 lets them be: CKA_EXTRACTABLE, in its database, where the TPM knows better."""
        module, environment = self.backend.direct
        written = run([sys.executable, "-B", os.path.join(HERE, "rewrite.py"), module, self.backend.label,
                       self.backend.pin, "demo-access"], env={**os.environ, **environment})
        if written.stdout.strip() == "0x1b":  # what hsmint makes is not CKA_MODIFIABLE
            self.page_says("an attribute rewritten", "the module refuses: `CKR_ACTION_PROHIBITED`")
            return
        self.assertEqual(written.stdout.strip(), "0x0")
        self.page_says("an attribute rewritten", "the module does; the key is refused: `%s`" % self.refused_attribute())

    # ---- when it goes away ----

    def restarts(self, service):
        return service.status()["tokens"][0]["restarts"]

    def mint_again(self, service):
        wait_for(lambda: service.mint().status == 200, "minting to go on")

    def ask_until(self, service, stop, statuses):
        connection = service.unix()
        while not stop.is_set():
            statuses.append(service.mint(connection).status)
            if statuses[-1] != 200:
                stop.wait(0.05)  # refused at once
        connection.close()

    def test_it_comes_back_after_power_cuts(self):
        """While others ask all the time: a TPM counts those that find it in use."""
        service = self.serve()
        stop, statuses = threading.Event(), []
        others = [threading.Thread(target=self.ask_until, args=(service, stop, statuses)) for _ in range(2)]
        for other in others:
            other.start()
        try:
            for _ in range(10):
                served = statuses.count(200)
                wait_for(lambda n=served: statuses.count(200) > n, "the others to be served")
                connection = service.unix()
                self.assertEqual(service.mint(connection).status, 200)
                self.backend.kill()
                self.assertIn(service.mint(connection).status, (200, 503, 504), "it may have been signed before")
                self.backend.start()
                self.mint_again(service)
                connection.close()
        finally:
            stop.set()
            for other in others:
                other.join()
        self.assertLessEqual(set(statuses), {200, 503, 504})
        self.assertEqual(service.status()["tokens"][0]["state"], "ready")
        answer = service.mint()
        verify(answer.json["credential"], self.jwks(service), self.work)
        self.page_says("ten power cuts", "signs again each time, without a person")

    def test_one_that_stands_still_is_replaced_and_requests_end_in_their_time(self):
        if not hasattr(self.backend, "signers"):
            self.page_says("standing still", "signs in hsmint's own process")
            return
        self.edit("    login: file\n", "    login: file\n    stuck_after: 2\n")
        service = self.serve()
        pid = service.status()["tokens"][0]["pid"]
        self.assertEqual(service.mint().status, 200)
        stopped = self.backend.signers()
        for one in stopped:
            os.kill(one, signal.SIGSTOP)
        began = time.monotonic()
        answer = service.mint()
        self.assertIn((answer.status, answer.json["code"]), ((504, "deadline"), (503, "token_unavailable")))
        self.assertLess(time.monotonic() - began, PATIENCE_S + 2)
        wait_for(lambda: service.status()["tokens"][0]["pid"] != pid, "another process")
        for one in stopped:
            os.kill(one, signal.SIGCONT)
        self.mint_again(service)
        self.page_says("standing still", "requests end in their time, the process is replaced")


if __name__ == "__main__":
    unittest.main()
