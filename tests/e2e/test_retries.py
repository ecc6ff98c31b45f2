# SPDX-License-Identifier: Apache-2.0
"""Clients that repeat, hang up, run out of time and share keys, against a service whose processes are killed; what they
logged is judged by check_log.py, which reads nothing else."""
import collections
import http.client
import json
import os
import random
import secrets
import signal
import threading
import time
import unittest

import check_log
from harness import AUDIENCE, PATIENCE, SANITIZED, SUBJECT, Case, process_exists, start_dev, wait_for

SECONDS = 120 if os.environ.get("HSMINT_LONG") else 12
CLIENTS = 8
# How late an answer may be read here, where clients, service and tests share two processors; the bench measures it.
ALLOWANCE = 5.0 if SANITIZED else 1.0


class Log:
    def __init__(self, path):
        self.file, self.lock, self.life = open(path, "w"), threading.Lock(), 0

    def add(self, entry):
        with self.lock:
            self.file.write(json.dumps(entry) + "\n")
            self.file.flush()

    def new_life(self):
        self.life += 1
        self.add({"life": self.life})


def item_of(reply, status=200):
    return {"status": reply.get("status", status), "id": reply.get("id"), "credential": reply.get("credential"),
            "replayed": reply.get("replayed", False)}


class Client(threading.Thread):
    """One caller's program: what it asks, and how it treats the connection, is chance."""

    def __init__(self, world, seed, over_tls):
        super().__init__(daemon=True)
        self.world, self.random, self.over_tls = world, random.Random(seed), over_tls
        self.connection, self.life = None, 0
        self.start()

    def run(self):
        while not self.world.stopping:
            try:
                self.step()
            except (http.client.HTTPException, OSError):
                self.hang_up()
                self.world.lost += 1
        self.hang_up()

    def hang_up(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def body(self):
        tenant = self.random.choice(["X", "Y"])

        def one():
            return {"profile": "demo-access", "subject": SUBJECT, "audience": AUDIENCE, "context": {"tenant": tenant},
                    "lifetime": self.random.randint(60, 300)}
        if self.random.random() < 0.7:
            return "/v1/mint/jwt", json.dumps(one()), 1
        count = self.random.randint(1, 6)
        return "/v1/mint/batch", json.dumps({"requests": [dict(one(), kind="jwt") for _ in range(count)]}), count

    def choose(self):
        """A key (None: none), path, body and number of credentials; often those of a request that was made before."""
        chance = self.random.random()
        recent = self.world.recent[self.over_tls]
        if chance < 0.5 and recent:
            return self.random.choice(recent)
        request = (secrets.token_hex(8) if chance < 0.9 else None, *self.body())
        if request[0]:
            recent.append(request)
        return request

    def connect(self):
        """A connection belongs to one life of the service: none is made while it changes."""
        with self.world.changing:
            self.life = self.world.log.life
            connection = self.world.service.tls() if self.over_tls else self.world.service.unix()
            connection.connect()
            connection.auto_open = 0 # what ends is made anew here, not by the library
            self.connection = connection

    def step(self):
        key, path, body, count = self.choose()
        if key and self.random.random() < 0.05:
            path, body, count = self.body() # the same key for something else
        deadline = self.random.choice([None, None, 1, 5, 30, 100, 300, 2000])
        headers = {"Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        if deadline:
            headers["Deadline-Ms"] = str(deadline)
        if not self.connection:
            self.connect()
        entry = {"caller": self.over_tls, "key": key, "body": path + body, "life": self.life, "deadline": deadline,
                 "sent": time.monotonic()}
        try:
            self.connection.request("POST", path, body, headers)
            if self.random.random() < 0.1:
                self.hang_up()
                raise OSError("hung up on purpose")
            response = self.connection.getresponse()
            text = response.read()
        except (http.client.HTTPException, OSError):
            self.world.log.add(dict(entry, got=time.monotonic(), items=[{"status": 0, "id": None, "credential": None,
                                                                         "replayed": False}] * count))
            raise
        entry["got"] = time.monotonic()
        answer = json.loads(text)
        items = [item_of(reply) for reply in answer["replies"]] if "replies" in answer else (
            [item_of(answer, response.status)] * (count if response.status != 200 else 1))
        self.world.note(items, answer)
        self.world.log.add(dict(entry, items=items))


class World:
    def __init__(self, service, log_path):
        self.service, self.log = service, Log(log_path)
        self.recent = {True: collections.deque(maxlen=12), False: collections.deque(maxlen=12)}
        self.seen, self.surprises = collections.Counter(), []
        self.stopping, self.lost = False, 0
        self.changing = threading.Lock() # held while one life of the service ends and the next begins
        self.log.new_life()

    def note(self, items, answer):
        for item, reply in zip(items, answer.get("replies", [answer] * len(items))):
            code = reply.get("code", "replayed" if item["replayed"] else "minted")
            self.seen[code] += 1
            if code not in ("minted", "replayed", "deadline", "overload", "token_unavailable", "idempotency_mismatch",
                            "shutting_down"):
                self.surprises.append(reply)


class Retries(Case):
    def faults(self, service, seconds):
        """Kill the token's process and the gate, and make the token slow, at random."""
        chance = random.Random(self.seed)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            status = service.wait_ready()
            which = chance.choice(["token", "gate", "slow", "quick", "nothing"])
            if which in ("token", "gate"):
                pid = status["gate"]["pid"] if which == "gate" else status["tokens"][0]["pid"]
                os.kill(pid, signal.SIGKILL)
                wait_for(lambda p=pid: not process_exists(p), "the killed process to be gone")
            elif which in ("slow", "quick"):
                service.command("dev", "ctl", "--control", service.control, "slow", "20ms" if which == "slow" else "0ms")
            before = sum(self.world.seen.values())
            wait_for(lambda: sum(self.world.seen.values()) > before + 4 * CLIENTS, "clients to go on")

    def kill_mint(self, directory):
        with self.world.changing:
            self.world.service.kill()
            self.world.service = start_dev(directory)
            self.addCleanup(self.world.service.stop)
            self.world.log.new_life()
        return self.world.service

    def test_chance_finds_no_broken_promise(self):
        self.seed = int(os.environ.get("HSMINT_SEED", secrets.randbelow(1 << 32)))
        print("HSMINT_SEED=%d" % self.seed, flush=True)
        directory, log = os.path.join(self.work, "dev"), os.path.join(self.work, "log")
        service = start_dev(directory)
        self.addCleanup(service.stop)
        self.world = World(service, log)
        clients = [Client(self.world, self.seed + i, i % 2 == 0) for i in range(CLIENTS)]
        self.faults(service, SECONDS / 2)
        service = self.kill_mint(directory)
        self.faults(service, SECONDS / 2)
        self.world.stopping = True
        for client in clients:
            client.join(PATIENCE)
        self.assertEqual(self.world.surprises, [])
        for code in ("minted", "replayed", "deadline", "idempotency_mismatch"):
            self.assertGreater(self.world.seen[code], 0, self.world.seen)
        self.assertGreater(self.world.lost, 0)
        self.assertEqual(check_log.broken(log, ALLOWANCE), [])


def entry(**members):
    plain = {"caller": "c", "key": "k", "body": "b", "life": 1, "sent": 0.0, "got": 0.01, "deadline": None, "items": []}
    return dict(plain, **members)


def good(name="one", **members):
    return dict({"status": 200, "id": name, "credential": "jwt " + name, "replayed": False}, **members)


class Checker(Case):
    def judge(self, *logged):
        path = os.path.join(self.work, "log")
        with open(path, "w") as log:
            log.writelines(json.dumps(one) + "\n" for one in logged)
        return check_log.broken(path, 0.1)

    def test_it_finds_nothing_where_all_is_well(self):
        self.assertEqual(self.judge({"life": 1}, entry(items=[good()]), entry(items=[good(replayed=True)]),
                                    entry(life=2, items=[good("two")]), entry(key=None, items=[good("three")]),
                                    entry(key="d", deadline=5, items=[dict(good(), status=504, id=None, credential=None)])), [])

    def test_it_finds_each_broken_promise(self):
        for logged in ([entry(items=[good()]), entry(items=[good("two", replayed=True)])],
                       [entry(items=[good()]), entry(body="other", items=[good(replayed=True)])],
                       [entry(items=[good()]), entry(items=[good()])],
                       [entry(items=[good()]), entry(key="other", items=[good(replayed=True)])],
                       [entry(key=None, items=[good()]), entry(key=None, items=[good(replayed=True)])],
                       [entry(deadline=5, got=0.2, items=[good()])],
                       [entry(items=[good(status=504)])]):
            self.assertEqual(len(self.judge(*logged)), 1, logged)


if __name__ == "__main__":
    unittest.main()
