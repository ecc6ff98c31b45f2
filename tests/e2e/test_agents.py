# SPDX-License-Identifier: Apache-2.0
"""Agents: what is registered, what minting then allows, and what is recorded of it. Who may govern them by which way is in
test_api_ways.py."""
import json
import os
import tempfile
import time
import unittest

import frames
from harness import Case, SharedCase, change_row, edit, start_dev, wait_for
from ledger_entries import entries
from test_control import Operator

WIDE = """  - name: wide
    issuer: demo
    kind: at+jwt
    key: demo-access
    lifetime: {default: 60, maximum: 900}
    audiences: ["https://api.demo.test"]
    subjects: ["spiffe://demo.test/*/*"]
    callers: [demo]
callers:
"""


def later(seconds=1000000):
    return int(time.time()) + seconds


def agent(name, **members):
    return dict({"spiffe_id": "spiffe://demo.test/" + name, "owner": "team-a", "purpose": "answers mail",
                 "review": later()}, **members)


class Agents(Case):
    """Of a service with a profile that serves agents of no class, too."""

    @staticmethod
    def start(directory):
        start_dev(directory).stop()
        edit(os.path.join(directory, "hsmint.yaml"), "callers:\n  - name", WIDE + "  - name")
        return start_dev(directory)

    def control(self, method, path, body=None, service=None):
        """Over the control socket: the status, and the answer or problem."""
        operator = Operator(service or self.service)
        request = {"command": "api", "method": method, "path": path}
        if body is not None:
            request["body"] = body
        data = json.dumps(request).encode()
        if len(data) > frames.INLINE_MAX:
            frames.send_in_memfd(operator.socket, frames.CONTROL_REQUEST, data, 1)
            reply = operator.answer()[1]
        else:
            reply = operator.ask(data)[1]
        operator.close()
        return reply["status"], reply["body"] if reply.get("ok") else reply

    def do(self, status, method, path, body=None):
        got, answer = self.control(method, path, body)
        self.assertEqual(got, status, answer)
        return answer

    def refuse(self, code, method, path, body=None, field=None):
        _, answer = self.control(method, path, body)
        self.assertEqual((answer.get("code"), answer.get("field")), (code, field), answer)

    def add(self, name, **members):
        return self.do(201, "POST", "/v1/agents", agent(name, **members))

    def act(self, one, verb, **body):
        return self.do(200, "POST", "/v1/agents/%s/%s" % (one["id"], verb), body)

    def find(self, spiffe_id):
        found = self.do(200, "GET", "/v1/agents?spiffe_id=" + spiffe_id)["agents"]
        self.assertLessEqual(len(found), 1)
        return found[0] if found else None

    def mint(self, name):
        return self.service.mint(profile="wide", subject="spiffe://demo.test/" + name)

    def minted(self, name):
        answer = self.mint(name)
        self.assertEqual(answer.status, 200, answer.body)

    def not_minted(self, name, code):
        self.refused(self.mint(name), 403, code)


class SharedAgents(SharedCase, Agents):
    @classmethod
    def setUpClass(cls):
        cls.shared = tempfile.mkdtemp(prefix="hsmint-")
        cls.service = cls.start(os.path.join(cls.shared, "dev"))


class Governed(SharedAgents):
    def test_an_agent_is_registered_and_mints(self):
        self.not_minted("a/one", "unknown_agent")
        added = self.add("a/one", contact="oncall", limits={"scopes": ["read"]})
        self.minted("a/one")
        shown = self.service.ask("GET", "/v1/agents/" + added["id"])
        self.assertEqual((shown.status, shown.json), (200, added))
        self.assertEqual(self.find("spiffe://demo.test/a/one"), added)
        self.assertEqual({name: added[name] for name in ("issuer", "class", "owner", "contact", "status", "limits")},
                         {"issuer": "demo", "class": False, "owner": "team-a", "contact": "oncall", "status": "active",
                          "limits": {"scopes": ["read"]}})

    def test_the_same_again_changes_nothing(self):
        body = agent("a/again")
        added = self.do(201, "POST", "/v1/agents", body)
        self.assertEqual(self.do(200, "POST", "/v1/agents", body), added)
        self.refuse("agent_exists", "POST", "/v1/agents", dict(body, owner="team-b"), "spiffe_id")
        self.assertEqual(self.find(body["spiffe_id"]), added)

    def test_suspended_and_retired_agents_mint_nothing(self):
        one = self.add("a/suspended")
        self.act(one, "suspend", reason="odd calls")
        self.not_minted("a/suspended", "agent_suspended")
        self.refuse("agent_state", "POST", "/v1/agents/%s/suspend" % one["id"], {})
        self.assertEqual(self.act(one, "resume")["status"], "active")
        self.minted("a/suspended")
        self.act(one, "retire")
        self.not_minted("a/suspended", "agent_retired")
        for verb in ("suspend", "resume", "retire"):
            self.refuse("agent_state", "POST", "/v1/agents/%s/%s" % (one["id"], verb), {})
        self.refuse("agent_state", "POST", "/v1/agents/%s/transfer" % one["id"], {"owner": "team-b"})

    def test_an_agent_that_is_due_for_review_mints_again_once_it_is_reviewed(self):
        one = self.add("a/due", review=later(2))
        wait_for(lambda: self.mint("a/due").status == 403, "the review date")
        self.not_minted("a/due", "agent_review_due")
        after = self.act(one, "transfer", owner="team-b", review=later())
        self.assertEqual((after["owner"], after["purpose"]), ("team-b", "answers mail"))
        self.minted("a/due")

    def test_a_class_stands_for_its_instances(self):
        self.not_minted("ci/1", "unknown_agent")
        ci = self.add("ci/*", **{"class": True})
        for name in ("ci/1", "ci/2"):
            self.minted(name)
        first = self.find("spiffe://demo.test/ci/1")
        self.assertEqual((first["of"], first["owner"], first["class"]), ("spiffe://demo.test/ci/*", "", False))
        self.act(first, "suspend")
        self.not_minted("ci/1", "agent_suspended")
        self.minted("ci/2")
        self.refuse("agent_state", "POST", "/v1/agents/%s/transfer" % first["id"], {"owner": "team-b"})
        self.act(ci, "suspend")
        for name in ("ci/2", "ci/3"):
            self.not_minted(name, "agent_suspended")
        self.assertIsNone(self.find("spiffe://demo.test/ci/3"), "nothing came into being")
        self.act(ci, "resume")
        self.minted("ci/3")
        self.not_minted("ci/1", "agent_suspended")
        self.act(ci, "retire")
        for name in ("ci/1", "ci/2", "ci/4"):
            self.not_minted(name, "agent_retired")

    def test_the_longest_pattern_counts(self):
        self.add("deep/*", **{"class": True})
        self.act(self.add("deep/x-*", **{"class": True}), "suspend")
        self.minted("deep/one")
        self.not_minted("deep/x-one", "agent_suspended")

    def test_a_thousand_are_imported_or_none(self):
        body = {"agents": [agent("bulk/%d" % i) for i in range(1000)]}
        wrong = {"agents": body["agents"][:17] + [agent("bulk/x", owner="")] + body["agents"][17:999]}
        self.refuse("invalid_member", "POST", "/v1/agents/import", wrong, "agents[17].owner")
        self.assertIsNone(self.find("spiffe://demo.test/bulk/0"))
        self.assertEqual(self.do(200, "POST", "/v1/agents/import", body), {"added": 1000, "unchanged": 0})
        self.assertEqual(self.do(200, "POST", "/v1/agents/import", body), {"added": 0, "unchanged": 1000})
        self.minted("bulk/999")
        seen, after = set(), ""
        while after is not None:
            page = self.service.ask("GET", "/v1/agents?limit=300&after=" + after).json
            self.assertFalse(seen & {one["spiffe_id"] for one in page["agents"]})
            seen |= {one["spiffe_id"] for one in page["agents"]}
            after = page.get("next")
        self.assertLessEqual({one["spiffe_id"] for one in body["agents"]}, seen)

    def test_unknown_ids_and_bodies(self):
        for verb in ("suspend", "resume", "retire"):
            self.refuse("no_agent", "POST", "/v1/agents/AAAAAAAAAAAAAAAAAAAAAA/" + verb, {}, "id")
        self.refuse("no_agent", "GET", "/v1/agents/AAAAAAAAAAAAAAAAAAAAAA", None, "id")
        self.refuse("missing_member", "POST", "/v1/agents", {}, "spiffe_id")
        self.refuse("invalid_member", "POST", "/v1/agents", agent("x/y", review=1), "review")
        self.refuse("unknown_member", "POST", "/v1/agents", agent("x/y", status="active"), "status")
        self.refuse("invalid_member", "GET", "/v1/agents?limit=1001", None, "limit")
        self.refused(self.service.ask("GET", "/v1/agents?owner=x"), 400, "unknown_member", "owner")

    def test_acts_are_recorded(self):
        one = self.add("a/recorded")
        self.act(one, "suspend", reason="odd calls")
        self.act(one, "transfer", owner="team-b")
        self.do(200, "POST", "/v1/agents/import", {"agents": [agent("a/recorded-2")]})
        found = [entry for entry in entries(os.path.join(self.service.directory, "ledger")) if entry["type"] == "agent"]
        of_it = [entry for entry in found if entry.get("id") == one["id"]]
        self.assertEqual([(entry["act"], entry["status"], entry["owner"], entry.get("reason")) for entry in of_it],
                         [("add", "active", "team-a", None), ("suspend", "suspended", "team-a", "odd calls"),
                          ("transfer", "suspended", "team-b", None)])
        for entry in of_it:
            self.assertEqual((entry["actor"], entry["issuer"], entry["way"], entry["uid"], entry["agent"]),
                             ("demo", "demo", "control", os.getuid(), "spiffe://demo.test/a/recorded"))
        imported = [entry for entry in found if entry["act"] == "import"][-1]
        self.assertEqual(imported["ids"], [self.find("spiffe://demo.test/a/recorded-2")["id"]])


class Restarted(Agents):
    def test_what_is_registered_outlives_the_service(self):
        directory = os.path.join(self.work, "dev")
        self.service = self.start(directory)
        try:
            kept, gone = self.add("a/kept"), self.add("a/suspended")
            self.act(gone, "suspend")
            self.minted("a/kept")
            self.service.kill_everything()
            self.service = start_dev(directory)
            self.minted("a/kept")
            self.not_minted("a/suspended", "agent_suspended")
            self.assertEqual(self.find(kept["spiffe_id"]), kept)
        finally:
            self.service.stop()

    def test_an_agent_whose_owner_is_gone_mints_nothing(self):
        directory = os.path.join(self.work, "dev")
        self.service = self.start(directory)
        one = self.add("a/unowned")
        self.service.stop()
        self.assertEqual(1, change_row(directory, "replace(body, '\"owner\":\"team-a\"', '\"owner\":\"\"')",
                                       "demo spiffe://demo.test/a/unowned"))
        self.service = start_dev(directory)
        try:
            self.not_minted("a/unowned", "agent_unowned")
            self.act(one, "transfer", owner="team-b")
            self.minted("a/unowned")
        finally:
            self.service.stop()


if __name__ == "__main__":
    unittest.main()
