# SPDX-License-Identifier: Apache-2.0
"""PKCS#11 modules: each is provisioned by its script in hsm/ beside a directory that `hsmint dev` made, whose
configuration then names that token; how it goes away and comes back."""
import os
import re
import shutil
import signal
import subprocess
import sys

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCRIPTS = os.path.join(os.path.dirname(TESTS), "hsm")
sys.path[:0] = [os.path.join(TESTS, "e2e"), os.path.join(TESTS, "token")]
from harness import BUILD, leave_unsigned, process_exists, read, run, wait_for  # noqa: E402
from token_admin import create_key  # noqa: E402

NUMBERS = {"ES256": 0, "ES384": 1, "RS256": 2, "PS256": 3, "Ed25519": 4}


def provision(kind, directory, *arguments):
    """Run the script of hsm/`kind`; what it prints."""
    return run(["sh", os.path.join(SCRIPTS, kind, "provision.sh"), "--dir", directory, "--label", "soft", "--hsmint",
                os.path.join(BUILD, "bin", "hsmint"), *arguments])


class Backend:
    """What the tests need of a module. `lacks` is all that it cannot do: of an algorithm, why (as docs/hsm.md says it) and
    what hsmint then says."""
    lacks = {}
    label = "soft"

    def __init__(self, directory):
        self.directory = directory
        self.config = os.path.join(directory, "hsmint.yaml")
        self.place = os.path.join(directory, "token")
        self.started = []
        snippet = provision(*self.script[:1], self.place, *self.script[1:]).stdout
        self.pin = read(self.place + "/pin").strip()
        self.module = re.search(r"module: (\S+)", snippet).group(1)
        self.environment = dict(re.findall(r'{name: (\w+), value: "(.*)"}', snippet))
        self.direct = self.module, self.environment  # one that exports every function, for ctypes
        state = os.path.join(directory, "state")  # what is known of the keys in the other token goes, the agents stay
        os.rename(os.path.join(state, "store.db"), os.path.join(directory, "store.db"))
        shutil.rmtree(state)
        os.mkdir(state, 0o700)
        os.rename(os.path.join(directory, "store.db"), os.path.join(state, "store.db"))
        leave_unsigned(self.config)
        self.write_config(re.sub(r"(?s)tokens:\n.*(?=keys:\n)", lambda _: snippet, self.read_config()))

    def use(self):
        """Make the keys that the configuration names."""
        for key in ("demo-access", "demo-svid"):
            run([os.path.join(BUILD, "bin", "hsmint"), "key", "create", key, "--config", self.config])

    def create(self, name, identity, algorithm="ES256"):
        """A key made by hsmint-token."""
        create_key(self.directory, self.config, name, identity, NUMBERS[algorithm], module=self.module,
                   environment=self.environment, label_of_token=self.label, pin=self.place + "/pin")

    def start(self):
        pass

    def kill(self):
        """The power is cut."""
        for process in self.started:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)
            process.stdout.close()
        self.started = []

    def launch(self, script):
        """Run a script of hsm/ in a process group of its own."""
        process = subprocess.Popen(["sh", os.path.join(SCRIPTS, script), "--dir", self.place], stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, start_new_session=True)
        self.started.append(process)
        return process

    def read_config(self):
        return read(self.config)

    def write_config(self, text):
        with open(self.config, "w") as out:
            out.write(text)

    def tool(self, *arguments, check=True):
        """pkcs11-tool, logged in."""
        return run(["pkcs11-tool", "--module", self.module, "--token-label", self.label, "--login", "--pin", self.pin,
                    *arguments], check=check, env={**os.environ, **self.environment})


class SoftHSM(Backend):
    package, script = "softhsm2", ["softhsm"]

    def kill(self):
        self.away = self.place + "/tokens.away"
        if os.path.exists(self.place + "/tokens"):
            os.rename(self.place + "/tokens", self.away)

    def start(self):
        if os.path.exists(self.place + "/tokens.away"):
            os.rename(self.place + "/tokens.away", self.place + "/tokens")


class P11Kit(Backend):
    """SoftHSM behind p11-kit's server: a module that speaks to another process, as those of network HSMs do."""
    package, script = "p11-kit", ["remote"]
    lacks = {"Ed25519": ("p11-kit does not carry `CKM_EDDSA`", "C_GenerateKeyPair: CKR_MECHANISM_INVALID")}

    def __init__(self, directory):
        super().__init__(directory)
        self.direct = read(self.place + "/served-module").strip(), {"SOFTHSM2_CONF": self.place + "/softhsm2.conf"}

    def start(self):
        self.server = self.launch("remote/serve.sh")
        wait_for(lambda: os.path.exists(self.place + "/p11-kit.sock"), "p11-kit's socket")

    def remotes(self):
        """A process for each client that is connected."""
        return [int(pid) for pid in run(["pgrep", "-P", str(self.server.pid)], check=False).stdout.split()]

    def signers(self):
        return [self.server.pid, *self.remotes()]

    def kill(self):
        remotes = self.remotes() if self.started else []
        super().kill()
        for pid in remotes:
            wait_for(lambda: not process_exists(pid), "p11-kit's process to end")
        if os.path.exists(self.place + "/p11-kit.sock"):
            os.unlink(self.place + "/p11-kit.sock")


class TPM(Backend):
    """swtpm with tpm2-pkcs11 on it, and the resource manager tpm2-abrmd in between, as the kernel has one for a real TPM."""
    package, script = "libtpm2-pkcs11-1", ["tpm", "--swtpm"]
    lacks = {"Ed25519": ("a TPM has none", "C_GenerateKeyPair: CKR_MECHANISM_INVALID"),
             "PS256": ("the module would have the TPM decrypt, and keys here are for signing alone",
                       "Esys_RSA_Decrypt: tpm:handle(1):inconsistent attributes")}

    parent = "0x81000001"  # where tpm2-pkcs11 finds the key that holds all others, or makes it

    def tpm2(self, command, *arguments):
        return run(["tpm2_" + command, *arguments],
                   env={**os.environ, **self.environment, "TPM2TOOLS_TCTI": "tabrmd:bus_type=session"})

    def start(self):
        self.assert_ready(self.launch("tpm/swtpm.sh").stdout.readline())

    @staticmethod
    def assert_ready(line):
        if line != b"ready\n":
            raise AssertionError("the simulated TPM did not start")

    def signers(self):
        return [int(read(self.place + "/swtpm.pid"))]
