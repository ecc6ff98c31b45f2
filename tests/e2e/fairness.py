# SPDX-License-Identifier: Apache-2.0
"""One caller speaks for two tenants: X asks for far more than the token can sign, Y for a tenth of it."""
import http.client
import json
import os
import threading
import time

from harness import AUDIENCE, SUBJECT, edit, start_dev

THREADS, SLOW_MS = 4, 20
CAPACITY = THREADS * 1000 / SLOW_MS  # signatures a second


def item(tenant):
    return {"profile": "demo-access", "subject": SUBJECT, "audience": AUDIENCE, "context": {"tenant": tenant}}


def start(directory):
    """A service that dev runs on a directory it made before, whose token signs THREADS at a time, each in SLOW_MS."""
    config = os.path.join(directory, "hsmint.yaml")
    edit(config, "threads: 1 ", "threads: %d " % THREADS)
    edit(config, "    roles: [mint, ", "    fair_by: tenant\n    tenant: tenant\n    roles: [mint, ")
    service = start_dev(directory)
    service.command("dev", "ctl", "--control", service.control, "slow", "%dms" % SLOW_MS)
    return service


class Flood:
    """Tenant X: batches as large as they may be, one after the other on each of many connections."""

    def __init__(self, service, connections=48):
        self.service, self.stopping = service, False
        self.asked = self.served = self.refused = 0
        self.lock, self.retry_after, self.codes = threading.Lock(), set(), set()
        self.body = json.dumps({"requests": [dict(item("X"), kind="jwt")] * 256})
        self.began = time.monotonic()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(connections)]
        for thread in self.threads:
            thread.start()

    def run(self):
        connection = self.service.tls()
        while not self.stopping:
            connection.request("POST", "/v1/mint/batch", self.body, {"Content-Type": "application/json"})
            replies = json.loads(connection.getresponse().read())["replies"]
            served = sum("credential" in reply for reply in replies)
            with self.lock:
                self.asked += len(replies)
                self.served += served
                self.refused += len(replies) - served
                for reply in replies:
                    if "credential" not in reply:
                        self.codes.add(reply["code"])
                        if reply["retry"] == "after":
                            self.retry_after.add(reply.get("retry_after"))
        connection.close()

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join(30)
        self.seconds = time.monotonic() - self.began


class Trickle:
    """Tenant Y: single requests at a tenth of the capacity, sent when their time comes, whether or not the one before
    was answered."""

    def __init__(self, service, seconds):
        self.service, self.served, self.refusals, self.times = service, 0, [], []
        self.lock = threading.Lock()
        gap, began = 10 / CAPACITY, time.monotonic()
        threads = []
        for number in range(int(seconds / gap)):
            time.sleep(max(0, began + number * gap - time.monotonic()))
            threads.append(threading.Thread(target=self.ask, daemon=True))
            threads[-1].start()
        for thread in threads:
            thread.join(30)
        self.asked = len(threads)
        self.times.sort()

    def ask(self):
        connection = self.service.tls()
        connection.connect()
        began = time.monotonic()
        try:
            connection.request("POST", "/v1/mint/jwt", json.dumps(item("Y")), {"Content-Type": "application/json"})
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            body, response = repr(error).encode(), None
        took = time.monotonic() - began
        connection.close()
        with self.lock:
            if response and response.status == 200:
                self.served += 1
                self.times.append(took)
            else:
                self.refusals.append(body)

    def p99_ms(self):
        return self.times[int(len(self.times) * 0.99)] * 1000 if self.times else None


def measure(service, seconds):
    """How Y fares alone, and beside X."""
    alone = Trickle(service, seconds)
    flood = Flood(service)
    time.sleep(1)  # until X is at its share of what may wait
    beside = Trickle(service, seconds)
    flood.stop()
    return alone, beside, flood
