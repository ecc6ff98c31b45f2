# SPDX-License-Identifier: Apache-2.0
"""quickstart as a newcomer uses it. It builds build/release, so build that before."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCRIPT = os.path.join(REPOSITORY, "hsm", "quickstart.sh")
PATIENCE = 300  # seconds: should something be left to build


def free_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Quickstart(unittest.TestCase):
    def setUp(self):
        """A home and a directory for temporary files of its own: nothing may be in either afterwards."""
        self.work = tempfile.mkdtemp(prefix="hsmint-")
        self.addCleanup(shutil.rmtree, self.work, True)
        self.dir = os.path.join(self.work, "dir")
        for name in ("home", "tmp"):
            os.mkdir(os.path.join(self.work, name))
        self.environment = {**os.environ, "HOME": self.work + "/home", "TMPDIR": self.work + "/tmp"}

    def nothing_is_left(self):
        self.assertEqual(os.listdir(self.work + "/home"), [])
        self.assertEqual(os.listdir(self.work + "/tmp"), [])
        self.assertEqual(sorted(os.listdir(self.work)), ["dir", "home", "tmp"])

    def once(self, *arguments):
        result = subprocess.run(["sh", SCRIPT, "--once", "--dir", self.dir, *arguments], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, env=self.environment, timeout=PATIENCE)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def start(self, *arguments):
        """quickstart in the foreground, with all that it prints up to its last command; and the service's pid."""
        process = subprocess.Popen(["sh", SCRIPT, "--dir", self.dir, *arguments], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, env=self.environment)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        printed = ""
        while "curl --cacert" not in printed:
            line = process.stdout.readline()
            self.assertTrue(line, "ended early")
            printed += line
        pids = self.pids()
        self.assertTrue(pids)
        return process, printed, pids

    def pids(self):
        """The processes that work in the directory: the service, which names it, and its children."""
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % name) as file:
                    words = file.read().split("\0")
                if words[1:2] == ["dev"] and self.dir in words:
                    with open("/proc/%s/task/%s/children" % (name, name)) as file:
                        found = [int(name), *map(int, file.read().split())]
            except (FileNotFoundError, ProcessLookupError):
                continue
        return found

    def gone(self, pids):
        end = time.monotonic() + 20
        while any(alive(pid) for pid in pids):
            self.assertLess(time.monotonic(), end, "a process is left")
            time.sleep(0.02)

    def test_once_and_again(self):
        kids = []
        for _ in range(2):
            printed = self.once()
            header = json.loads(re.search(r"^header +(\{.*\})$", printed, re.M).group(1))
            payload = json.loads(re.search(r"^payload +(\{.*\})$", printed, re.M).group(1))
            self.assertEqual((header["alg"], payload["sub"]), ("ES256", "spiffe://demo.test/agent/first"))
            kids.append(header["kid"])
            self.assertEqual(self.pids(), [])
            self.nothing_is_left()
        self.assertEqual(kids[0], kids[1])

    def test_the_printed_commands_each_give_a_credential_until_it_is_interrupted(self):
        port = free_port()
        process, printed, pids = self.start("--port", str(port))
        commands = re.findall(r"^  (\S.*)$", printed, re.M)
        self.assertEqual([command.split()[0].rsplit("/", 1)[-1] for command in commands], ["hsmint", "curl", "curl"])
        self.assertIn("https://localhost:%d/" % port, commands[2])
        for command in commands:
            result = subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
            self.assertEqual(result.returncode, 0, command + result.stderr)
            self.assertEqual(json.loads(result.stdout)["credential"].count("."), 2, command)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0)
        self.gone(pids)
        self.nothing_is_left()

    def test_a_service_that_dies_is_told_with_the_end_of_its_log(self):
        process, _, pids = self.start()
        os.kill(pids[0], signal.SIGKILL)
        _, talk = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 1)
        self.assertIn("hsmint dev ended (status 137)", talk)
        self.assertRegex(talk, r"(?s)Serving until Ctrl-C\.\n.+\nhsmint dev ended")
        self.gone(pids)
        self.nothing_is_left()

    def test_help(self):
        for script in (SCRIPT, os.path.join(REPOSITORY, "tests", "run.sh")):
            result = subprocess.run(["sh", script, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertIn("--", result.stdout)
            result = subprocess.run(["sh", script, "--frobnicate"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
            self.assertEqual((result.returncode, result.stdout), (2, ""))
            self.assertIn("--", result.stderr)


if __name__ == "__main__":
    unittest.main()
