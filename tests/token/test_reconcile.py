# SPDX-License-Identifier: Apache-2.0
"""What an HSM logs by itself against what the ledger says was signed: `hsmint ledger reconcile`. The HSM is SoftHSM behind
the fault module, which keeps such a log of all who use it."""
import os
import re
import shutil
import signal
import subprocess
import unittest

from token_case import FAULT, HSMINT, SANITIZED, TokenCase, process_exists, read, run, wait_for, write
from softhsm_keys import module_of
from ledger_entries import of_type

ACCOUNTED, MORE, USAGE, UNKNOWN = 0, 1, 2, 3


class Reconcile(TokenCase):
    def setUp(self):
        super().setUp()
        self.module = module_of(self.directory)
        key = re.search(r"(?m)^  - \{name: demo-checkpoint,.*\n", read(self.config)).group()
        self.count_and_script()
        self.edit("directory: ledger}", "directory: ledger, key: demo-checkpoint}")
        self.edit("\nprofiles:\n", "\n" + key + "profiles:\n")
        self.edit("    environment:\n",
                  "    environment:\n      - {name: HSMINT_TEST_HSM_LOG, value: hsm.csv, path: true}\n")
        self.ledger, self.log = (os.path.join(self.directory, name) for name in ("ledger", "hsm.csv"))
        shutil.rmtree(self.ledger)  # dev has begun it, when nothing was logged yet

    def reconcile(self, status, log=None):
        result = subprocess.run([HSMINT, "ledger", "reconcile", self.ledger, "--hsm-log", log or self.log],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(result.returncode, status, result.stdout)
        return result.stdout

    def sign_outside(self):
        """By somebody else who has the PIN."""
        data = os.path.join(self.work, "data")
        write(data, "x" * 32)
        environment = {**os.environ, "SOFTHSM2_CONF": self.directory + "/softhsm2.conf",
                       "HSMINT_TEST_MODULE": self.module, "HSMINT_TEST_HSM_LOG": self.log}
        subprocess.run(["pkcs11-tool", "--module", FAULT, "--token-label", "hsmint-dev", "--login", "--pin", self.pin,
                        "--sign", "-m", "ECDSA", "--id", "01", "--input-file", data, "--output-file",
                        os.path.join(self.work, "signature")], env=environment, check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)

    def kid(self, name="demo-access"):
        return [entry["kid"] for entry in of_type(self.ledger, "key") if entry["key"] == name and "kid" in entry][-1]

    def logged(self, label):
        return sum(line.split(",")[1] == label for line in read(self.log).splitlines())

    def run_a_while(self):
        service = self.serve()
        for _ in range(5):
            self.assertEqual(service.mint().status, 200)
        service.stop()

    def test_without_anybody_else_all_is_well(self):
        for _ in range(2):
            self.run_a_while()
        self.assertGreaterEqual(self.logged("demo-access"), 10)
        self.assertGreaterEqual(self.logged("demo-checkpoint"), 2)
        self.assertEqual(self.reconcile(ACCOUNTED), "ok: every signature in the HSM's log is accounted for\n")

    @unittest.skipIf(SANITIZED, "the sanitizer's runtime has to come before the module in a program without it")
    def test_a_signature_made_outside_is_found(self):
        self.run_a_while()
        before = self.logged("demo-access")
        self.sign_outside()
        self.assertEqual(self.logged("demo-access"), before + 1)
        said = self.reconcile(MORE)
        self.assertIn("MORE: key %s (demo-access): the HSM signed %d times, and only %d were counted" %
                      (self.kid(), before + 1, before), said)
        self.assertEqual(said.count("MORE"), 1, "the other keys are accounted for")

    def test_one_is_found_however_the_log_names_its_key(self):
        self.run_a_while()
        log = os.path.join(self.work, "log.csv")
        time = read(self.log).splitlines()[-1].split(",")[0]
        for label, names in (("demo-access", ("demo-access", self.kid(), "01")), ("demo-svid", ("demo-svid", "02"))):
            for name in names:
                for line, status in (("%s,%s,1\n" % (time, name), MORE), ("%s,%s,0\n" % (time, name), ACCOUNTED)):
                    with self.subTest(line):
                        write(log, "time,key,count\n" + read(self.log) + line)
                        self.assertIn(label if status == MORE else "ok", self.reconcile(status, log))

    def test_what_was_counted_and_is_not_in_the_log_is_a_warning(self):
        self.run_a_while()
        log = os.path.join(self.work, "log.csv")
        write(log, "".join(line + "\n" for line in read(self.log).splitlines()[1:]))
        said = self.reconcile(ACCOUNTED, log)
        self.assertEqual((said.count("warning: "), said.count("\n")), (1, 2), said)

    def test_a_process_that_died_leaves_it_unknown(self):
        service = self.serve()
        self.assertEqual(service.mint().status, 200)
        pid = service.status()["tokens"][0]["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not process_exists(pid), "the process to end")
        wait_for(lambda: service.mint().status == 200, "another process")
        service.stop()
        epoch = of_type(self.ledger, "token")[1]["epoch"]
        said = self.reconcile(UNKNOWN)
        self.assertIn("UNKNOWN: token soft: epoch %s ended uncounted" % epoch, said)
        self.assertIn("UNKNOWN: key %s (demo-access)" % self.kid(), said)

    def test_a_service_that_was_killed_leaves_it_unknown_too(self):
        service = self.serve()
        self.assertEqual(service.mint().status, 200)
        self.kill(service)
        self.run_a_while()
        self.assertIn("ended uncounted", self.reconcile(UNKNOWN))

    def test_a_service_that_runs_is_held_to_what_it_has_counted(self):
        service = self.serve()
        wait_for(lambda: of_type(self.ledger, "counts"), "the first counts", 60)
        counted = of_type(self.ledger, "counts")[0]["time"]
        wait_for(lambda: int(service.mint().json["issued_at"]) > counted + 1, "a credential after them")
        self.assertIn("since a process that runs on counted last", self.reconcile(ACCOUNTED))
        service.stop()
        self.assertEqual(self.reconcile(ACCOUNTED), "ok: every signature in the HSM's log is accounted for\n")

    def test_a_start_that_fails_leaves_nothing_unknown(self):
        write(self.pin_file, "wrong-one")
        service = self.serve(wait=False)
        self.wait_stopped(service)
        service.stop()
        write(self.log, "")
        self.assertEqual(self.reconcile(ACCOUNTED), "ok: every signature in the HSM's log is accounted for\n")

    def test_other_keys_and_other_times_are_left_out_and_nonsense_is_refused(self):
        self.run_a_while()
        log = os.path.join(self.work, "log.csv")
        write(log, "1000,demo-access,7\n" + read(self.log) + "4000000000,a key, of others,2\n")
        said = self.reconcile(ACCOUNTED, log)
        self.assertIn("note: a key, of others: not a key of hsmint; 2 signatures", said)
        self.assertIn("note: 7 signatures were made before the ledger begins", said)
        for line in ("x", "1,2", "time,demo-access,1", "1,demo-access,-1", "1,demo-access,", ",demo-access,1",
                     "1,%s,1" % ("x" * 65), "99999999999999999999,demo-access,1"):
            with self.subTest(line):
                write(log, "time,key,count\n\n%s\n" % line)
                self.assertIn("%s:3: expected time,key,count" % log, self.reconcile(MORE, log))
        self.assertIn("No such file", self.reconcile(MORE, log + ".not"))
        for arguments in ([], [self.ledger], ["--hsm-log", log], [self.ledger, self.ledger, "--hsm-log", log]):
            result = run([HSMINT, "ledger", "reconcile", *arguments], check=False)
            self.assertEqual(result.returncode, USAGE)


if __name__ == "__main__":
    unittest.main()
