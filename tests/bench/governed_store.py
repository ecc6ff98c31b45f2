# SPDX-License-Identifier: Apache-2.0
"""A store of many agents and tasks, written as docs/governance.md says that rows are: to ask for them all one by one takes
long. A task has a ref, and its place in a status list, as one under which a credential was struck."""
import base64
import json
import os
import random
import sqlite3
import time

AGENT, TASK, REF, BLOCK = 1, 2, 3, 6  # kinds of rows
PLACES = 32768  # of a status list
SAMPLE = 20000  # requests are for so many of the tasks, at most
AGENT_ID = "spiffe://demo.test/agent/crowd-%06d"
AUDIENCE = "https://api.demo.test"
ROW = "INSERT INTO record (kind, key, version, body) VALUES (?, ?, ?, ?)"


def text(body):
    return json.dumps(body, separators=(",", ":"), sort_keys=True)


class Ids:
    """As hsmint makes them, though the same ones in every run."""

    def __init__(self):
        self.random = random.Random(1)

    def next(self):
        while True:
            made = base64.urlsafe_b64encode(self.random.randbytes(16))[:22].decode()
            if made[0] != "-":
                return made


class Store:
    """The store of a service that is not running, whose tasks get credentials from the key `kid`."""

    def __init__(self, directory, kid):
        self.database = sqlite3.connect(os.path.join(directory, "state", "store.db"), isolation_level=None)
        self.sequence, = self.database.execute("SELECT sequence FROM meta").fetchone()
        self.ids, self.kid, self.now = Ids(), kid, int(time.time())
        # Places that the service gave out itself are in the first list.
        self.place = PLACES

    def version(self):
        self.sequence += 1
        return self.sequence

    def agents(self, count):
        for number in range(count):
            body = {"class": False, "contact": "oncall@demo.test", "created": self.now, "id": self.ids.next(),
                    "owner": "team-%d@demo.test" % (number % 100), "purpose": "answers mail", "review": self.now + 1000000,
                    "status": "active"}
            yield AGENT, "demo " + AGENT_ID % number, self.version(), text(body)

    def task(self, number, agent):
        """Its rows are one commit. By hand, since json takes a minute for all."""
        task, ref, version = self.ids.next(), "run-%d" % number, self.version()
        yield (TASK, task, version,
               '{"agent":"%s","caller":"demo","expires":%d,"issuer":"demo","on_behalf_of":"mara@demo.test","opened":%d,'
               '"purpose":"answers a mail","ref":"%s","state":"open"}' % (agent, self.now + 86400, self.now, ref))
        yield REF, "demo demo " + ref, version, '{"digest":"%s","task":"%s"}' % ("A" * 43, task)
        list_number, index = divmod(self.place, PLACES)
        self.place += 1
        yield (BLOCK, "demo %d %d" % (list_number, index), version,
               '{"agent":"%s","count":1,"kid":"%s","leased":%d,"shared":true,"task":"%s"}' % (
                   agent, self.kid, self.now, task))

    def tasks(self, count, agents, tell):
        for number in range(count):
            agent = AGENT_ID % (number % agents)
            rows = list(self.task(number, agent))
            yield from rows
            tell(agent, rows[0][1])

    def fill(self, agents, tasks, tell):
        """`tell` is called with the agent and id of each task."""
        self.database.execute("PRAGMA synchronous = OFF")
        self.database.execute("PRAGMA cache_size = -1000000")  # keys are random: every page is met again and again
        self.database.execute("BEGIN")
        self.database.executemany(ROW, self.agents(agents))
        self.database.executemany(ROW, self.tasks(tasks, agents, tell))
        self.database.execute("UPDATE meta SET sequence = ?", [self.sequence])
        self.database.execute("COMMIT")
        self.database.close()


def request(agent, task):
    """A mint for a task, by its id or as what opens it."""
    return json.dumps({"profile": "demo-task", "subject": agent, "audience": AUDIENCE, "scope": "read write", "task": task})


def fill(directory, kid, agents, tasks):
    """Gives some of the tasks, as (agent, id), from all over."""
    told = []
    Store(directory, kid).fill(agents, tasks, lambda agent, task: told.append((agent, task)))
    return random.Random(2).sample(told, min(SAMPLE, tasks))
