# SPDX-License-Identifier: Apache-2.0
"""What the tests of the token process share: a directory that `hsmint dev` made, its configuration rewritten, and a
PKCS#11 module in between that records calls and fails where a script says so (tests/fault/fault_module.c)."""
import os
import re
import signal
import subprocess
import sys
import threading

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TESTS, "e2e"))
os.environ.setdefault("LSAN_OPTIONS", "suppressions=%s/lsan.supp" % TESTS)

from harness import (BUILD, HSMINT, PATIENCE, SANITIZED, Case, children_of, edit, leave_unsigned,  # noqa: E402
                     process_exists, read, run, start_serve, unbase64, verify, wait_for)

FAULT = os.path.join(BUILD, "lib", "hsmint-fault.so")


def write(path, text, mode=0o600):
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)


class TokenCase(Case):
    def setUp(self):
        super().setUp()
        self.directory = self.made()
        self.config = os.path.join(self.directory, "hsmint.yaml")
        self.pin_file = os.path.join(self.directory, "pin")
        self.pin = read(self.pin_file)
        self.latch_file = os.path.join(self.directory, "state", "latch", "soft")
        self.faults = 0

    def edit(self, old, new):
        edit(self.config, old, new)

    def use_threads(self, number):
        self.edit("threads: 1 ", "threads: %d " % number)

    # ---- the module in between ----

    def count_and_script(self, script=""):
        """Put the fault module before SoftHSM. No checkpoint is signed, whose time nobody knows."""
        leave_unsigned(self.config)
        module = re.search(r"module: (\S+)", read(self.config)).group(1)
        self.edit("module: " + module, "module: " + FAULT)
        self.edit("    paths: ", "    paths:\n      - {path: ., write: true} # ")
        self.edit("    environment:\n", "    environment:\n"
                  "      - {name: HSMINT_TEST_MODULE, value: %s}\n"
                  "      - {name: HSMINT_TEST_CALLS, value: calls, path: true}\n"
                  "      - {name: HSMINT_TEST_SCRIPT, value: script, path: true}\n" % module)
        self.script(script)

    def script(self, text):
        """What the module does from now on."""
        path = os.path.join(self.directory, "script")
        write(path + ".new", text)
        os.rename(path + ".new", path)

    def obeyed(self, function, action):
        """How often a rule with a number of times was obeyed."""
        path = os.path.join(self.directory, "script.%s.%s" % (function, action))
        return os.path.getsize(path) if os.path.exists(path) else 0

    def calls(self, *functions):
        """The recorded calls of these functions, of all when none is named, by all processes so far: a dictionary each."""
        path = os.path.join(self.directory, "calls")
        found = []
        for line in read(path).splitlines() if os.path.exists(path) else ():
            function, *values = line.split()
            if not functions or function in functions:
                found.append(dict({name: int(value, 0) for name, value in (word.split("=") for word in values)},
                                  function=function))
        return found

    def logins(self):
        return len(self.calls("C_Login"))

    # ---- the service ----

    def serve(self, wait=True, **more):
        service = start_serve(self.config, self.directory, wait=False, **more)
        self.addCleanup(self.end, service)
        if wait:
            service.wait_ready()
        return service

    @staticmethod
    def mint_together(service, clients=8, each=4):
        """The answers to that many clients who ask at once, each on a connection of its own."""
        answers = []

        def client():
            connection = service.unix()
            answers.extend(service.mint(connection) for _ in range(each))
            connection.close()
        threads = [threading.Thread(target=client) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers

    def mint_together_with_fault(self, service, function, action):
        """The same, where one call of a token process meets this fault while others are under way."""
        self.faults += 1  # a rule's count is by its action
        self.script("%s wait-%d 6\n%s %s 1\nC_Sign wait-3\n" % (function, 3 + self.faults, function, action))
        answers = self.mint_together(service)
        self.assertEqual(self.obeyed(function, action), 1)
        return answers

    def assert_credentials(self, service, answers):
        """Each of the answers is a credential that verifies, and no two are the same."""
        jwks = service.ask("GET", "/demo/.well-known/jwks.json").body
        self.assertEqual([answer.body for answer in answers if answer.status != 200], [])
        for answer in answers:
            verify(answer.json["credential"], jwks, self.work)
        self.assertEqual(len({answer.json["credential"] for answer in answers}), len(answers))

    def end(self, service):
        if service.log_fd < 0:
            return
        try:
            service.stop()
        except subprocess.TimeoutExpired:
            self.kill(service)
            raise

    @staticmethod
    def kill(service):
        """The service killed, and its children with it."""
        everyone = [service.pid] + children_of(service.pid)
        service.process.send_signal(signal.SIGKILL)
        service.process.wait(PATIENCE)
        for pid in everyone:
            wait_for(lambda p=pid: not process_exists(p), "process %d to end" % pid)

    def wait_stopped(self, service):
        """Wait until the token needs a person; give what is told of it."""
        def stopped():
            status = service.status_if_any()
            return status and status["tokens"][0]["state"] == "stopped" and status["tokens"][0]
        return wait_for(stopped, "the token to stop")

    def serve_refused(self):
        """Serve with what must not be served; give what is said about it. Nothing was ever ready."""
        service = start_serve(self.config, self.directory, wait=False)
        try:
            self.assertEqual(service.process.wait(PATIENCE), 1, service.log())
            self.assertNotIn("event=token_ready", service.log())
            self.assertNotIn("event=ready", service.log())
            return service.log()
        finally:
            service.stop()
