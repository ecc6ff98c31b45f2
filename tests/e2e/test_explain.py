# SPDX-License-Identifier: Apache-2.0
"""What `policy explain` says of a request is what minting then does with it: on random requests of every kind."""
import collections
import itertools
import json
import os
import random
import threading
import time
import unittest

from certificates import Authority
from harness import AUDIENCE, SANITIZED, Case, edit, start_dev, wait_for
from http_signature import Signer
from test_tasks import control

REQUESTS = 2000 if SANITIZED else 10000
WORKERS = 4
AGENTS = "spiffe://demo.test/agent/"
PROFILES = """  - {name: counted, issuer: demo, kind: at+jwt, key: demo-access, lifetime: {default: 60, maximum: 120},
     audiences: ["https://*.demo.test/mcp"], subjects: ["spiffe://demo.test/agent/*", "spiffe://demo.test/nobody/*"],
     scopes: [read, write], callers: [demo, other], require: [task], max_per_task: 2,
     claims: [{name: team, required: true}]}
  - {name: tenants, issuer: demo, kind: at+jwt, key: demo-access, lifetime: {default: 60, maximum: 120},
     audiences: ["https://api.demo.test"], subjects: ["spiffe://demo.test/agent/*"], callers: [broker],
     approve: {audiences: ["https://api.demo.test"], by: 1, within: 10m}}
"""
CALLERS = """  - {name: other, issuer: demo, uri: 'spiffe://demo.test/other', roles: [mint, task]}
  - {name: watcher, issuer: demo, uri: 'spiffe://demo.test/watcher', roles: [audit]}
  - {name: broker, issuer: demo, uri: 'spiffe://demo.test/broker', roles: [mint, task], fair_by: tenant, tenant: tenant}
"""


class World:
    """What one worker asks about: nobody else changes it between a question and the request."""

    def __init__(self, test, number, seed):
        self.test, self.service, self.number = test, test.service, number
        self.chances = random.Random(seed * WORKERS + number)
        self.connections = {"demo": self.service.unix()}
        for name in ("other", "watcher", "broker"):
            self.connections[name] = self.service.tls(test.certs[name])
        self.fresh = itertools.count()
        self.subjects = [AGENTS + "%d-%d" % (number, i) for i in range(6)] + [
            AGENTS + "%d-%s" % (number, name) for name in ("limited", "suspended", "retired", "stale")] + [
            "spiffe://demo.test/nobody/%d" % number, "spiffe://demo.test/elsewhere", "spiffe://other.test/agent/1", "agent"]
        self.make_agents()
        self.tasks = [task for caller in ("demo", "other") for subject in self.subjects[:2] + [AGENTS + "%d-limited" % number]
                      for task in self.make_tasks(caller, subject)] + ["A" * 22]
        self.refs = [(caller, {"ref": "known-%d-%d" % (number, i), "purpose": "known", "audiences": [AUDIENCE]})
                     for i, caller in enumerate(("demo", "other"))]
        for caller, ref in self.refs:
            self.ask(caller, "POST", "/v1/tasks", dict(ref, agent=self.subjects[0]))
        self.approvals = []

    def ask(self, caller, method, path, body):
        return self.service.ask(method, path, body, self.connections[caller])

    def make_agents(self):
        limits = {"limited": {"scopes": ["read"], "audiences": [AUDIENCE], "lifetime": 100}}
        for name in ("limited", "suspended", "retired", "stale"):
            status, agent = control(self.service, "POST", "/v1/agents", {
                "spiffe_id": AGENTS + "%d-%s" % (self.number, name), "owner": "team", "purpose": "testing",
                "review": int(time.time()) + (2 if name == "stale" else 10000), **({"limits": limits[name]} if name in limits else {})})
            self.test.assertEqual(status, 201, agent)
            act = {"suspended": "suspend", "retired": "retire"}.get(name)
            if act:
                control(self.service, "POST", "/v1/agents/%s/%s" % (agent["id"], act), {})

    def make_tasks(self, caller, subject):
        for act, more in ((None, {}), ("pause", {}), ("complete", {}), (None, {"lifetime": 1}), (None, {"lifetime": 100}),
                          (None, {"scopes": ["read"], "audiences": [AUDIENCE]})):
            answer = self.ask(caller, "POST", "/v1/tasks", dict(more, agent=subject, purpose="testing"))
            if answer.status != 201:  # what the agent itself may not have
                continue
            yield answer.json["id"]
            if act:
                self.ask(caller, "POST", "/v1/tasks/%s/%s" % (answer.json["id"], act), {})

    def task(self):
        chance = self.chances.random()
        if chance < 0.2:
            return None
        if chance < 0.7:
            return self.chances.choice(self.tasks)
        if chance < 0.8:
            return dict(self.chances.choice(self.refs)[1])
        if chance < 0.85:
            return dict(self.chances.choice(self.refs)[1], purpose="another")
        task = {"ref": "new-%d-%d" % (self.number, next(self.fresh)), "purpose": "new"}
        return dict(task, **self.chances.choice([{}, {}, {"scopes": ["read"]}, {"audiences": ["https://no.test"]}, {"lifetime": 50}]))

    def often(self, good, others):
        """One of what the profile allows, and now and then something else."""
        return self.chances.choice(good if self.chances.random() < 0.93 else others)

    def request(self):
        """By whom, and what; members that are None are left out."""
        pick = self.chances.choice
        if self.approvals and self.chances.random() < 0.05:
            return pick(self.approvals)
        profile = pick(["demo-access", "demo-svid", "demo-task", "demo-task", "counted", "tenants", "missing"])
        audiences = ["https://mail.demo.test/mcp"] if profile == "counted" else [AUDIENCE]
        scopes = {"demo-svid": [None], "tenants": [None], "demo-task": [None, "read", "read write", "admin"]}.get(
            profile, [None, "read", "read write"])
        request = {
            "profile": profile, "subject": pick(self.subjects[:10] if self.chances.random() < 0.95 else self.subjects),
            "task": self.task(),
            "audience": self.often(audiences, ["https://evil.test", "spiffe://demo.test/x", [AUDIENCE, "https://a.demo.test/mcp"], None]),
            "scope": self.often(scopes, ["delete", "read  write", "admin"]),
            "lifetime": self.often([None, None, 60, 100], [121, 900, 901, 1]),
            "claims": self.often([{"team": "a"} if profile == "counted" else None], [{"session": "s"}, {"environment": "moon"}, None]),
            "context": self.often([{"tenant": "t"}], [None, {"tenant": ""}]),
        }
        if self.chances.random() < 0.1:
            request["subject"] = AGENTS + "%d-new-%d" % (self.number, next(self.fresh))
        if profile == "counted" and self.chances.random() < 0.2:
            request["subject"] = self.subjects[10]
        callers = {"tenants": ["broker"], "demo-access": ["demo"], "demo-svid": ["demo"]}.get(profile, ["demo", "other"])
        return self.often(callers, ["broker", "watcher", "other", "demo"]), {k: v for k, v in request.items() if v is not None}

    def approve(self, caller, request, approval):
        """Some are granted, some denied, some left; the request comes again with it, now and then as another."""
        act = self.chances.choice(["grant", "grant", "deny", None])
        if act:
            connection = self.service.tls(self.test.certs["approver"])
            signer = self.test.signers["approver"]
            answer = signer.ask("POST", "/v1/approvals/%s/%s" % (approval, act), {}, False, nonce=signer.nonce())
            self.test.assertEqual(answer.status, 200, answer.body)
            connection.close()
        self.approvals.append((caller, dict(request, approval=approval)))
        self.approvals.append((caller, dict(request, approval=approval, lifetime=59)))

    def compare(self):
        caller, request = self.request()
        said = self.ask("demo", "POST", "/v1/policy/explain", {"caller": caller, "request": request})
        done = self.ask(caller, "POST", "/v1/mint/jwt", request)
        return caller, request, said, done


def outcome(said, done):
    """What both say alike, as a word to be counted; None: they contradict each other."""
    if said.status != 200:
        same = (said.status, said.json["code"], said.json.get("field")) == (done.status, done.json["code"], done.json.get("field"))
        return "form " + done.json["code"] if same else None
    if said.json["allowed"]:
        wants_approval = "approval" in said.json["needs"]
        if done.status == (202 if wants_approval else 200):
            return "202" if wants_approval else "+".join(["200"] + said.json["needs"])
        return None
    last = said.json["steps"][-1]
    same = (last["code"], last.get("field")) == (done.json.get("code"), done.json.get("field")) and 400 <= done.status < 500
    return last["code"] if same else None


WANTED = ("200", "200+agent", "200+task", "200+agent+task", "202", "unknown_profile", "agent_suspended", "agent_retired",
          "agent_review_due", "unknown_agent", "agent_limit", "unknown_task", "task_paused", "task_ended", "task_expired", "task_limit",
          "task_mismatch", "approval_used", "role_missing", "form missing_member")


class Explain(Case):
    def setUp(self):
        super().setUp()
        directory = self.made()
        config = os.path.join(directory, "hsmint.yaml")
        edit(config, "callers:\n  - name: demo\n", PROFILES + "callers:\n  - name: demo\n")
        edit(config, "    scopes: [read, write, admin]\n    callers: [demo]\n", "    scopes: [read, write, admin]\n    callers: [demo, other]\n")
        with open(config, "a") as out:
            out.write(CALLERS)
        authority = Authority(self.work, "ca", made_by_dev=directory)
        self.certs = {name: authority.issue(name, ["URI:spiffe://demo.test/" + name]) for name in ("other", "watcher", "broker")}
        self.certs["approver"] = (directory + "/tls/approver.crt", directory + "/tls/approver.key")
        self.service = start_dev(directory)
        self.addCleanup(self.service.stop)

    def work_through(self, world, count, found):
        try:
            for _ in range(count):
                caller, request, said, done = world.compare()
                word = outcome(said, done)
                found["counts"][word] += 1
                if word is None:
                    found["wrong"].append((caller, request, said.status, said.json, done.status, done.body))
                if done.status == 202 and len(world.approvals) < 200:
                    world.approve(caller, request, done.json["approval"]["id"])
        except Exception as fault:  # pylint: disable=broad-except # told by the test
            found["faults"].append(repr(fault))
        for connection in world.connections.values():
            connection.close()

    def test_what_it_says_is_what_is_done(self):
        seed = int(os.environ.get("HSMINT_SEED") or random.randrange(1 << 32))
        self.signers = {"approver": Signer(self.service, self.certs["approver"])}
        worlds = [World(self, number, seed) for number in range(WORKERS)]
        time_of_review = time.time() + 3
        wait_for(lambda: time.time() > time_of_review, "what was made to be over")
        found = [{"counts": collections.Counter(), "wrong": [], "faults": []} for _ in worlds]
        threads = [threading.Thread(target=self.work_through, args=(world, REQUESTS // WORKERS, one))
                   for world, one in zip(worlds, found)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([one["faults"] for one in found if one["faults"]], [], "seed %d" % seed)
        wrong = [each for one in found for each in one["wrong"]]
        self.assertEqual(wrong[:3], [], "seed %d: %d contradict" % (seed, len(wrong)))
        counts = sum((one["counts"] for one in found), collections.Counter())
        self.assertEqual(sum(counts.values()), REQUESTS)
        few = {word: counts[word] for word in WANTED if counts[word] < REQUESTS // 1000}
        self.assertEqual(few, {}, "seed %d: seldom seen: %s" % (seed, json.dumps(counts)))


if __name__ == "__main__":
    unittest.main()
