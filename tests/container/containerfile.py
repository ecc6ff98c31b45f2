# SPDX-License-Identifier: Apache-2.0
"""Reading a Containerfile: its stages, each a list of instructions."""
import json
import re


def instructions(text):
    """Pairs of instruction and arguments; comments gone, continued lines joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    for line in filter(None, map(str.strip, joined.splitlines())):
        word, _, rest = line.partition(" ")
        yield word, rest.strip()


class Stage:
    def __init__(self):
        self.instructions = []

    def all(self, word):
        return [arguments for found, arguments in self.instructions if found == word]

    def last(self, word):
        return self.all(word)[-1]

    def command(self, word):
        """What ENTRYPOINT, CMD or HEALTHCHECK runs: words, as no shell is in between."""
        return json.loads(self.last(word)[self.last(word).index("["):])

    def environment(self):
        return dict(pair.split("=", 1) for arguments in self.all("ENV") for pair in arguments.split())


def stages(path):
    found = []
    with open(path) as file:
        for word, arguments in instructions(file.read()):
            if word == "FROM":
                found.append(Stage())
            found[-1].instructions.append((word, arguments))
    return found
