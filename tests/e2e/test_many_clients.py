# SPDX-License-Identifier: Apache-2.0
"""Sixteen tasks with sixteen clients each, who mint while their task is completed: what came of every credential."""
import base64
import os
import random
import threading
import time
import unittest
import zlib
from concurrent.futures import ThreadPoolExecutor

from harness import SANITIZED, SUBJECT, Case, decode, share_store, start_plain_dev, verify, wait_for
from postgres import Postgres

PROFILE = "demo-task"  # all credentials of a task share a place in a status list
TASKS = CLIENTS = 16
STALENESS = 2  # seconds; the default of max_staleness
ENDED = 1
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
LIFE = 3 if SANITIZED else 1  # seconds that a task is open, at least


class Client(threading.Thread):
    """Mints for its task until that has been over for a while."""

    def __init__(self, service, task, after):
        super().__init__()
        self.service, self.task, self.after = service, task, after
        self.minted, self.refusals, self.fault = [], [], None

    def is_over(self, sent):
        ended = self.task["ended"]
        return ended and sent > ended + self.after and len(self.refusals) >= 3

    def run(self):
        connection = self.service.unix()
        try:
            while True:
                sent = time.monotonic()
                answer = self.service.mint(connection, profile=PROFILE, task=self.task["id"])
                if answer.status == 200:
                    self.minted.append((sent, answer.json["credential"]))
                else:
                    self.refusals.append((sent, answer.json["code"]))
                if self.is_over(sent):
                    return
        except Exception as fault:  # pylint: disable=broad-except # told by the test
            self.fault = fault
        finally:
            connection.close()


class ManyClients(Case):
    def open(self, service):
        answer = service.ask("POST", "/v1/tasks", {"agent": SUBJECT, "purpose": "many at once"})
        self.assertEqual(answer.status, 201, answer.body)
        return {"id": answer.json["id"], "ended": None}

    def complete(self, service, task, chance):
        time.sleep(chance)
        answer = service.ask("POST", "/v1/tasks/%s/complete" % task["id"], {})
        task["ended"] = time.monotonic()
        self.assertEqual(answer.status, 200, answer.body)

    def at_work(self, nodes, after):
        """The clients, when all is over; the first node is where tasks are opened and completed."""
        seed = random.randrange(1 << 32)
        chances = random.Random(seed)
        tasks = [self.open(nodes[0]) for _ in range(TASKS)]
        for task in tasks:
            for node in nodes[1:]:
                wait_for(lambda n=node, t=task: n.ask("GET", "/v1/tasks/" + t["id"]).status == 200, "the task")
        clients = [Client(nodes[number % len(nodes)], task, after) for task in tasks for number in range(CLIENTS)]
        for client in clients:
            client.start()
        with ThreadPoolExecutor(TASKS) as pool:
            done = [pool.submit(self.complete, nodes[0], task, LIFE + chances.random() * LIFE) for task in tasks]
            for each in done:
                each.result()
        for client in clients:
            client.join()
        self.assertEqual([client.fault for client in clients if client.fault], [], "seed %d" % seed)
        return clients

    def read_lists(self, service, places):
        """What each list says, its signature verified by latchset's jose."""
        lists = {}
        jwks = service.ask("GET", "/demo/.well-known/jwks.json").body
        for uri in {place["uri"] for place in places}:
            answer = service.ask("GET", uri[uri.index("/demo/status/"):])
            payload = verify(answer.body.decode(), jwks, self.work)
            lists[uri] = zlib.decompress(base64.urlsafe_b64decode(payload["status_list"]["lst"] + "=="))
        return lists

    def all_ended(self, service, places):
        lists = self.read_lists(service, places)
        return all(lists[place["uri"]][place["idx"] // 4] >> place["idx"] % 4 * 2 & 3 == ENDED for place in places)

    def assert_ended(self, service, credentials):
        """Every one of them, by introspection and in its list."""
        connection = service.unix()
        for credential in credentials:
            shown = service.ask("POST", "/oauth2/introspect", "token=" + credential, connection, FORM)
            self.assertEqual((shown.status, shown.json), (200, {"active": False}))
        connection.close()
        places = {(place["uri"], place["idx"]): place for place in (
            decode(credential)[1]["status"]["status_list"] for credential in credentials)}
        wait_for(lambda: self.all_ended(service, places.values()), "each of the bits")

    def judge(self, clients, nodes):
        for client in clients:
            late = 0 if client.service is nodes[0] else STALENESS
            self.assertEqual([sent for sent, _ in client.minted if sent > client.task["ended"] + late], [])
            self.assertLessEqual({code for _, code in client.refusals}, {"task_ended", "overload"})
        for node in nodes:
            credentials = [credential for client in clients if client.service is node for _, credential in client.minted]
            self.assertGreater(len(credentials), TASKS * CLIENTS)
            self.assert_ended(node, credentials)

    def test_on_one_node(self):
        nodes = [self.dev()]
        self.judge(self.at_work(nodes, after=0.5), nodes)

    def test_on_two_nodes(self):
        postgres = Postgres()
        self.addCleanup(postgres.close)
        url, nodes = postgres.url(), []
        for name in ("first", "second"):
            directory = os.path.join(self.work, name)
            start_plain_dev(directory).stop()
            share_store(directory, url)
            nodes.append(start_plain_dev(directory))
            self.addCleanup(nodes[-1].stop)
        self.judge(self.at_work(nodes, after=STALENESS + 0.5), nodes)


if __name__ == "__main__":
    unittest.main()
