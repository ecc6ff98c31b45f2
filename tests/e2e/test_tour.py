# SPDX-License-Identifier: Apache-2.0
"""The tour of agents and tasks, exactly as README has it; what it says of the end is checked by programs that are not ours:
latchset's jose for the signature, zlib for the list."""
import base64
import json
import os
import re
import subprocess
import unittest
import zlib

from harness import BUILD, PATIENCE, Case, decode, read, verify, wait_for

README = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "README.md")


def tour():
    """The commands, one a line; what stands behind # is for people."""
    block = next(block for block in re.findall(r"(?s)```sh\n(.*?)```", read(README)) if "task complete" in block)
    return [re.sub(r"\s+# .*", "", line) for line in block.strip().splitlines()]


class Tour(Case):
    def setUp(self):
        super().setUp()
        self.service = self.dev(name="run")
        os.makedirs(os.path.join(self.work, "build", "release"))
        os.symlink(os.path.join(BUILD, "bin"), os.path.join(self.work, "build", "release", "bin"))

    def go(self, lines):
        """In one shell, as a person would; the output of each line."""
        script = "".join("%s\necho '<<end>>'\n" % line for line in lines)
        done = subprocess.run(["bash", "-c", script], cwd=self.work, capture_output=True, text=True, timeout=6 * PATIENCE)
        return done.stdout.split("<<end>>\n")[:-1], done.stderr

    def value(self, place):
        """What the published list says of a place, after its signature was verified."""
        uri, index = place["uri"], place["idx"]
        answer = self.service.ask("GET", re.sub(r"https://[^/]+", "", uri))
        if answer.status != 200:
            return None  # it is signed within a second of its first place
        token = answer.body.decode()
        jwks = self.service.ask("GET", "/demo/.well-known/jwks.json").body
        payload = verify(token, jwks, self.work)
        header, _ = decode(token)
        self.assertEqual((header["typ"], payload["sub"], payload["status_list"]["bits"]), ("statuslist+jwt", uri, 2))
        bits = zlib.decompress(base64.urlsafe_b64decode(payload["status_list"]["lst"] + "=="))
        return bits[index // 4] >> index % 4 * 2 & 3

    def test_as_readme_says(self):
        lines = tour()
        said, talk = self.go(lines)
        self.assertEqual(len(said), len(lines), talk)
        states = [json.loads(text)["active"] for line, text in zip(lines, said) if "introspect" in line]
        self.assertEqual(states, [True, False])
        self.assertIn("task_ended", talk)
        self.assertEqual(said[-1], "", "nothing is minted at the end")
        _, payload = decode(read(os.path.join(self.work, "credential")).strip())
        place = payload["status"]["status_list"]
        wait_for(lambda: self.value(place) == 1, "the list to say that it has ended")

    def test_before_its_end_the_list_says_valid_and_paused_is_suspended(self):
        lines = tour()
        complete = next(i for i, line in enumerate(lines) if "task complete" in line)
        pause = [line.replace("task complete", "task pause") for line in lines[complete:complete + 1]]
        said, talk = self.go(lines[:complete - 1])
        self.assertEqual(len(said), complete - 1, talk)
        _, payload = decode(read(os.path.join(self.work, "credential")).strip())
        place = payload["status"]["status_list"]
        wait_for(lambda: self.value(place) == 0, "a list")
        self.go(["task=" + payload["task"], "export HSMINT_CONTROL=run/control.sock", *pause])
        wait_for(lambda: self.value(place) == 2, "the list to say that it is suspended")


if __name__ == "__main__":
    unittest.main()
