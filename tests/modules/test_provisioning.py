# SPDX-License-Identifier: Apache-2.0
"""The scripts that provision tokens: what they leave, and what they leave alone. That what they make mints is for
test_modules.py."""
import os
import re
import stat
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from backends import SCRIPTS, BUILD, provision, read, run, wait_for  # noqa: E402

HSMINT = os.path.join(BUILD, "bin", "hsmint")
KINDS = [("softhsm",), ("remote",), ("tpm", "--swtpm")]


def listing(directory):
    """Every file below with its bytes."""
    found = {}
    for place, _, files in os.walk(directory):
        for name in files:
            with open(os.path.join(place, name), "rb") as file:
                found[os.path.join(place, name)] = file.read()
    return found


class Provisioning(unittest.TestCase):
    def setUp(self):
        self.work = self.enterContext(tempfile.TemporaryDirectory(prefix="hsmint-"))
        self.place = os.path.join(self.work, "token")

    def script(self, kind, *arguments, **more):
        return run(["sh", os.path.join(SCRIPTS, kind, "provision.sh"), *arguments], check=False, **more)

    def each(self, test):
        """The test with each kind of token, in a directory of its own."""
        for kind, *more in KINDS:
            with self.subTest(kind):
                self.place = os.path.join(self.work, kind)
                test(kind, more)

    def test_pins_are_random_and_for_the_owner_alone(self):
        pins = set()

        def check(kind, more):
            provision(kind, self.place, *more)
            for place, directories, files in os.walk(self.place):
                for name in directories + files:
                    mode = os.stat(os.path.join(place, name)).st_mode
                    self.assertEqual(stat.S_IMODE(mode) & 0o077, 0, name)
            self.assertEqual(stat.S_IMODE(os.stat(self.place).st_mode), 0o700)
            pins.update(read(os.path.join(self.place, name)) for name in ("pin", "so.pin"))
        self.each(check)
        self.assertEqual(len(pins), 2 * len(KINDS))
        for pin in pins:
            self.assertRegex(pin, r"\A[\w-]{24}\n\Z")

    def test_no_pin_is_seen_in_arguments_or_environment(self):
        """Every program that the scripts start, as strace saw it."""
        def check(kind, more):
            trace = os.path.join(self.work, kind + ".trace")
            run(["strace", "-f", "-v", "-s", "4096", "-e", "trace=execve", "-o", trace, "sh",
                 os.path.join(SCRIPTS, kind, "provision.sh"), "--dir", self.place, "--label", "soft", "--hsmint", HSMINT,
                 *more])
            seen = read(trace)
            self.assertIn('"token", "init"', seen)
            for name in ("pin", "so.pin"):
                self.assertNotIn(read(os.path.join(self.place, name)).strip(), seen)
        self.each(check)

    def test_what_is_there_is_left_alone(self):
        def check(kind, more):
            provision(kind, self.place, *more)
            before = listing(self.place)
            again = self.script(kind, "--dir", self.place, "--label", "soft", "--hsmint", HSMINT, *more)
            self.assertEqual((again.returncode, again.stdout), (1, ""))
            self.assertIn("is not empty", again.stderr)
            self.assertEqual(listing(self.place), before)
        self.each(check)

    def test_what_failed_leaves_nothing(self):
        def check(kind, more):
            failed = self.script(kind, "--dir", self.place, "--label", "soft", "--hsmint", "/bin/false", *more)
            self.assertEqual((failed.returncode, failed.stdout), (1, ""))
            self.assertEqual(os.listdir(self.place), [])
        self.each(check)

    def test_labels_and_directories_that_would_be_read_otherwise_are_refused(self):
        for label in ("a b", "a:b", "x" * 33, "\u00e9"):
            refused = self.script("softhsm", "--dir", self.place, "--label", label, "--hsmint", HSMINT)
            self.assertEqual((refused.returncode, os.path.exists(self.place)), (1, False), label)
            self.assertIn("--label", refused.stderr)
        for name in ('quo"te', "spa ce", "x" * 91):
            refused = self.script("softhsm", "--dir", os.path.join(self.work, name), "--label", "soft", "--hsmint", HSMINT)
            self.assertEqual(refused.returncode, 1, name)
            self.assertIn("--dir", refused.stderr)

    def simulate(self):
        """The simulated TPM that was provisioned, and the environment that reaches it."""
        simulator = subprocess.Popen(["sh", os.path.join(SCRIPTS, "tpm", "swtpm.sh"), "--dir", self.place],
                                     stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

        def end():
            simulator.terminate()
            self.assertEqual(simulator.wait(60), 0)
            simulator.stdout.close()
        self.addCleanup(end)
        self.assertEqual(simulator.stdout.readline(), b"ready\n")
        return {**os.environ, "TPM2TOOLS_TCTI": "tabrmd:bus_type=session",
                "DBUS_SESSION_BUS_ADDRESS": "unix:path=%s/bus" % self.place}

    def assert_lockout(self, environment, *expected):
        told = run(["tpm2_getcap", "properties-variable"], env=environment).stdout
        names = ("MAX_AUTH_FAIL", "LOCKOUT_INTERVAL", "LOCKOUT_RECOVERY")
        self.assertEqual([int(re.search(r"TPM2_PT_%s: (\w+)" % name, told).group(1), 0) for name in names],
                         list(expected))

    def test_the_lockout_is_set_in_the_tpm(self):
        provision("tpm", self.place, "--swtpm", "--max-tries", "321", "--recovery-time", "54",
                  "--lockout-recovery-time", "76")
        self.assert_lockout(self.simulate(), 321, 54, 76)

    def test_a_tpm_whose_lockout_has_a_password(self):
        provision("tpm", self.place, "--swtpm")
        environment = self.simulate()
        self.assert_lockout(environment, 1000, 1, 1)
        password = os.path.join(self.work, "password")
        with open(password, "w") as file:
            file.write("of the lockout")
        run(["tpm2_changeauth", "-c", "lockout", "file:" + password], env=environment)
        second = ["--dir", os.path.join(self.work, "second"), "--label", "soft", "--hsmint", HSMINT, "--tcti",
                  "tabrmd:bus_type=session", "--max-tries", "500"]
        refused = self.script("tpm", *second, env=environment)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("--lockout-auth FILE", refused.stderr)
        clear = ["tpm2_dictionarylockout", "--clear-lockout", "--auth", "file:" + password]
        wait_for(lambda: run(clear, check=False, env=environment).returncode == 0, "the lockout-recovery-time to pass")
        made = self.script("tpm", *second, "--lockout-auth", password, env=environment)
        self.assertEqual(made.returncode, 0, made.stderr)
        self.assert_lockout(environment, 500, 1, 1)


if __name__ == "__main__":
    unittest.main()
