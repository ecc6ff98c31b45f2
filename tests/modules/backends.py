# SPDX-License-Identifier: Apache-2.0
"""PKCS#11 modules that are not SoftHSM loaded directly: how each is set up beside a directory that `hsmint dev` made, and
how it goes away and comes back."""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [os.path.join(TESTS, "e2e"), os.path.join(TESTS, "token")]
from harness import edit, process_exists, read, run, wait_for  # noqa: E402
from token_admin import create_key  # noqa: E402

SOFTHSM_LINE = "      - {name: SOFTHSM2_CONF, value: softhsm2.conf, path: true}\n"
NUMBERS = {"ES256": 0, "ES384": 1, "RS256": 2, "PS256": 3, "Ed25519": 4}


class Backend:
    """What the tests need of a module. `lacks` says why an algorithm is not offered."""
    lacks = {}
    label = "hsmint-dev"

    def __init__(self, directory):
        self.directory = directory
        self.config = os.path.join(directory, "hsmint.yaml")
        self.softhsm = re.search(r"module: (\S+)", read(self.config)).group(1)
        self.pin = read(os.path.join(directory, "pin")).strip()
        self.module, self.environment = self.softhsm, {"SOFTHSM2_CONF": directory + "/softhsm2.conf"}
        self.direct = self.module, self.environment  # one that exports every function, for ctypes
        self.started = []

    def use(self):
        """Name module, label and environment in the configuration."""
        edit(self.config, "module: " + self.softhsm, "module: " + self.module)
        edit(self.config, "    paths: ", "    paths:\n      - {path: ., write: true} # ")
        edit(self.config, "label: hsmint-dev", "label: " + self.label)
        edit(self.config, SOFTHSM_LINE, "".join(
            '      - {name: %s, value: "%s"}\n' % pair for pair in self.environment.items()))

    def create(self, name, identity, algorithm="ES256"):
        """A key made by hsmint-token."""
        token = dict(module=self.module, environment=self.environment)
        create_key(self.directory, self.config, name, identity, NUMBERS[algorithm], **token, label_of_token=self.label)

    def start(self):
        pass

    def kill(self):
        """The power is cut."""
        for process in self.started:
            process.kill()
            process.wait(20)
        self.started = []

    def launch(self, *command, **more):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   env={**os.environ, **self.environment, **more})
        self.started.append(process)
        return process

    def kill_all(self):
        for process in self.started:
            process.kill()
            process.wait(20)

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
    def use(self):
        pass

    def kill(self):
        self.away = self.directory + "/tokens.away"
        os.rename(self.directory + "/tokens", self.away)

    def start(self):
        if os.path.exists(self.directory + "/tokens.away"):
            os.rename(self.directory + "/tokens.away", self.directory + "/tokens")


class P11Kit(Backend):
    """SoftHSM behind p11-kit's server: a module that speaks to another process, as those of network HSMs do."""
    lacks = {"Ed25519": "p11-kit 0.24 does not carry CKM_EDDSA"}

    def __init__(self, directory):
        super().__init__(directory)
        self.module = "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so"
        self.name = directory + "/p11-kit.sock"
        self.server_environment = dict(self.environment)
        self.environment = {"P11_KIT_SERVER_ADDRESS": "unix:path=" + self.name, "HOME": directory}

    def start(self):
        if os.path.exists(self.name):
            os.unlink(self.name)
        self.server = self.launch("p11-kit", "server", "-f", "--name", self.name, "--provider", self.softhsm, "pkcs11:",
                                  **self.server_environment)
        wait_for(lambda: os.path.exists(self.name), "p11-kit's socket")

    def remotes(self):
        """A process for each client that is connected."""
        return [int(pid) for pid in run(["pgrep", "-P", str(self.server.pid)], check=False).stdout.split()]

    def signers(self):
        return [self.server.pid, *self.remotes()]

    def kill(self):
        remotes = self.remotes()
        super().kill()
        for pid in remotes:
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: not process_exists(pid), "p11-kit's process to end")


def two_ports():
    """A free port that has a free one behind it: clients of swtpm expect its control channel there."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as first:
            port = first.getsockname()[1]
            try:
                socket.create_server(("127.0.0.1", port + 1)).close()
            except (OSError, OverflowError):
                continue
        return port, port + 1


class TPM(Backend):
    """swtpm with tpm2-pkcs11 on it, and the resource manager tpm2-abrmd in between, as the kernel has one for a real TPM."""
    lacks = {"Ed25519": "a TPM has no EdDSA", "PS256": "the TPM's PSS salt is not as long as the hash"}
    label = "ttok"
    parent = "0x81000001"  # where tpm2-pkcs11 finds the key that holds all others, or makes it

    def __init__(self, directory):
        super().__init__(directory)
        self.module = "/usr/lib/x86_64-linux-gnu/libtpm2_pkcs11.so.1"
        self.ports = two_ports()
        self.bus = "unix:path=%s/bus" % directory
        self.environment = {"TPM2_PKCS11_TCTI": "tabrmd:bus_type=session", "TPM2_PKCS11_STORE": directory + "/tpm-store",
                            "DBUS_SESSION_BUS_ADDRESS": self.bus, "HOME": directory, "TSS2_LOG": "all+none"}
        self.direct = self.module, self.environment
        for name in ("tpm-state", "tpm-store"):
            shutil.rmtree(os.path.join(directory, name), True)
            os.mkdir(os.path.join(directory, name))

    def start(self):
        self.tpm = self.launch(
            "swtpm", "socket", "--tpm2", "--tpmstate", "dir=%s/tpm-state" % self.directory, "--server",
            "type=tcp,port=%d,bindaddr=127.0.0.1" % self.ports[0], "--ctrl",
            "type=tcp,port=%d,bindaddr=127.0.0.1" % self.ports[1], "--flags", "not-need-init,startup-clear")
        wait_for(self.listens, "swtpm to listen")
        if os.path.exists(self.directory + "/bus"):
            os.unlink(self.directory + "/bus")
        self.launch("dbus-daemon", "--session", "--nofork", "--address=" + self.bus)
        wait_for(lambda: os.path.exists(self.directory + "/bus"), "the bus")
        self.launch("tpm2-abrmd", "--allow-root", "--session", "--flush-all",
                    "--tcti=swtpm:host=127.0.0.1,port=%d" % self.ports[0])
        wait_for(lambda: self.tpm2("getrandom", "--hex", "4", check=False).returncode == 0, "the TPM to answer")

    def listens(self):
        listening = run(["ss", "-Hltn", "sport", "=", ":%d" % self.ports[0]]).stdout
        return listening.strip()

    def tpm2(self, command, *arguments, check=True):
        return run(["tpm2_" + command, *arguments], check=check,
                   env={**os.environ, **self.environment, "TPM2TOOLS_TCTI": "tabrmd:bus_type=session"})

    def use(self):
        super().use()
        edit(self.config, "    login: file\n", "    login: file\n    tpm_parent: %s\n" % self.parent)
        # Every unclean stop counts as a failed authorisation: without this three power cuts lock the TPM.
        self.tpm2("dictionarylockout", "--setup-parameters", "--max-tries=1000", "--recovery-time=1",
                  "--lockout-recovery-time=1")
        bare = ["pkcs11-tool", "--module", self.module]
        environment = {**os.environ, **self.environment}
        run([*bare, "--init-token", "--slot-index", "0", "--label", self.label, "--so-pin", "sopin12"], env=environment)
        run([*bare, "--token-label", self.label, "--login", "--login-type", "so", "--so-pin", "sopin12", "--init-pin",
             "--new-pin", self.pin], env=environment)
        os.unlink(self.directory + "/state/keys")  # these are other keys than `hsmint dev` made
        self.create("demo-access", "01")
        self.create("demo-svid", "02")

    def signers(self):
        return [self.tpm.pid]
