# SPDX-License-Identifier: Apache-2.0
"""docs/openapi.yaml is valid, names every code under its status, and describes what the service really answers."""
import http.client
import json
import os
import re
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
from harness import AUDIENCE, SUBJECT, Answer, Case, SharedCase, start_serve, wait_for  # noqa: E402
from http_signature import Signer  # noqa: E402
from provoke import Provoker  # noqa: E402

# What only operators meet, over the control socket.
CONTROL_ONLY = {"unknown_command", "unknown_token", "reload_refused", "unknown_key", "unknown_human", "key_refused", "key_state", "unlock_refused"}
DOCUMENTS = ["/demo/.well-known/jwks.json", "/demo/.well-known/openid-configuration",
             "/.well-known/oauth-authorization-server/demo", "/demo/spiffe/bundle.json", "/demo/status/0"]
LIST = DOCUMENTS[-1]
REQUEST = {"profile": "demo-access", "subject": SUBJECT, "audience": AUDIENCE}


def judge(replies):
    question = {"document": os.path.join(ROOT, "docs", "openapi.yaml"), "replies": replies}
    result = subprocess.run(["node", os.path.join(HERE, "openapi.mjs")], input=json.dumps(question),
                            capture_output=True, text=True, timeout=60)
    if result.returncode != 0:
        raise AssertionError(result.stderr)
    return json.loads(result.stdout)


def kinds():
    """Code and status of each problem there is."""
    with open(os.path.join(ROOT, "src", "common", "problem.c")) as source:
        return {code: int(status) for code, status in re.findall(r'^\t\{"(\w+)", (\d+), ', source.read(), re.M)}


def reply(method, path, answer, request=None):
    text = answer.headers["Content-Type"] != "application/octet-stream"
    told = {"method": method, "path": path, "status": answer.status, "body": answer.body.decode("utf-8" if text else "latin-1"),
            "headers": {name.lower(): value for name, value in answer.headers.items()}}
    if request is not None:
        told["request"] = request
    return told


class Document(unittest.TestCase):
    def test_it_is_valid_and_so_are_its_examples(self):
        self.assertEqual(judge([])["errors"], [])

    def test_it_names_each_code_under_its_status(self):
        expected = {code: status for code, status in kinds().items() if code not in CONTROL_ONLY}
        self.assertGreater(len(expected), 30)
        named = {code: statuses for code, statuses in judge([])["codes"].items() if code in kinds()}
        self.assertEqual(set(named), set(expected))
        for code, status in expected.items():
            # One that only a request of a batch can get stands in the batch's answer, whose own status is 200.
            allowed = {"200"} if code == "invalid_kind" else {str(status), "%dXX" % (status // 100)}
            self.assertLessEqual(set(named[code]), allowed, code)


class Replies(SharedCase):
    def setUp(self):
        super().setUp()
        self.replies = []

    def ask(self, method, path, body=None, request=None, service=None, **more):
        answer = (service or self.service).ask(method, path, body, **more)
        self.replies.append(reply(method, path, answer, request))
        return answer

    def mint(self, status, **members):
        body = {name: value for name, value in dict(REQUEST, **members).items() if value is not None}
        answer = self.ask("POST", "/v1/mint/jwt", body, body if status == 200 else None)
        self.assertEqual(answer.status, status, answer.body)

    def mint_all(self):
        self.mint(200)
        self.mint(200, scope="read write", lifetime=60, claims={"session": "s", "environment": "test"},
                  context={"trace": "x"}, audience=[AUDIENCE, "https://b.demo.test/mcp"])
        self.mint(200, profile="demo-svid")
        for members in ({"surprise": 1}, {"profile": None}, {"subject": "x"}, {"audience": []}, {"scope": ""},
                        {"claims": {"other": 1}}, {"claims": {"session": 1}}, {"profile": "nobody"}):
            self.mint(400, **members)
        for members in ({"scope": "admin"}, {"lifetime": 901}, {"audience": "https://elsewhere.test"},
                        {"subject": "spiffe://other.test/agent/first"}):
            self.mint(403, **members)

    def mint_batch(self):
        items = [dict(REQUEST, kind="jwt"), dict(REQUEST, kind="jwt", profile="demo-svid")]
        for _ in range(2):
            answer = self.ask("POST", "/v1/mint/batch", {"requests": items}, {"requests": items},
                              headers={"Idempotency-Key": "openapi"})
            self.assertEqual(answer.status, 200, answer.body)
        answer = self.ask("POST", "/v1/mint/batch", {"requests": [dict(REQUEST, kind="ssh"), dict(REQUEST, kind="jwt")]})
        self.assertEqual([one.get("code") for one in answer.json["replies"]], ["invalid_kind", None])

    def refuse_all(self):
        mint = "/v1/mint/jwt"
        self.ask("POST", mint, "{")
        self.ask("POST", mint, b" " * 65000)
        self.ask("POST", mint, "{}", headers={"Content-Type": "text/plain"})
        self.ask("GET", mint)
        connection = self.service.unix()
        connection.putrequest("POST", mint)
        connection.putheader("Content-Type", "application/json")
        connection.endheaders()
        self.replies.append(reply("POST", mint, Answer(connection.getresponse())))
        connection.close()
        nobody = self.service.tls(None)
        for method, path in (("POST", mint), ("GET", "/metrics"), ("GET", "/v1/keys")):
            self.ask(method, path, dict(REQUEST) if method == "POST" else None, connection=nobody)
        nobody.close()

    def read_all(self):
        task = self.service.ask("POST", "/v1/tasks", {"agent": REQUEST["subject"], "purpose": "a place in a list"}).json["id"]
        self.assertEqual(self.service.mint(profile="demo-task", task=task).status, 200)
        wait_for(lambda: self.service.ask("GET", LIST).status == 200, "the list")
        for path in ["/healthz", "/readyz", "/metrics", "/v1/keys"] + DOCUMENTS:
            answer = self.ask("GET", path)
            self.assertEqual(answer.status, 200)
            self.assertEqual(self.ask("DELETE", path).status, 405)
            self.assertEqual(self.ask("GET", path + "?x=1").status, 400)
            if path in DOCUMENTS:
                self.assertEqual(self.ask("GET", path, headers={"If-None-Match": answer.headers["ETag"]}).status, 304)
        self.assertEqual(self.ask("GET", "/nobody/.well-known/jwks.json").status, 404)

    def read_ledger(self):
        """Of what was recorded before, in a shard that is still small."""
        wait_for(lambda: self.service.ask("GET", "/v1/ledger/proof/3").status == 200, "a checkpoint")
        again = ["/ledger/checkpoint", "/ledger/1/checkpoint", "/ledger/tile/0/000.p/3", "/ledger/tile/entries/000.p/3"]
        once = ["/ledger/1/tile/0/000.p/3", "/ledger/1/tile/entries/000.p/3", "/v1/ledger/proof/3", "/v1/ledger/proof/1/3"]
        nobody = self.service.tls(None)
        for path in again + once:
            answer = self.ask("GET", path)
            self.assertEqual(answer.status, 200, path)
            self.assertEqual(self.ask("DELETE", path).status, 405)
            self.assertEqual(self.ask("GET", path + "?x=1").status, 400)
            if path in again:
                self.assertEqual(self.ask("GET", path, headers={"If-None-Match": answer.headers["ETag"]}).status, 304)
            if "entries" in path or "proof" in path:
                self.assertEqual(self.ask("GET", path, connection=nobody).status, 401)
        for path in ("/ledger/2/checkpoint", "/ledger/1/tile/0/x999/999", "/ledger/tile/entries/x999/999", "/v1/ledger/proof/999999"):
            self.assertEqual(self.ask("GET", path).status, 404)
        nobody.close()

    def told(self, method, path, answer, status, body=None):
        self.assertEqual(answer.status, status, answer.body)
        self.replies.append(reply(method, path, answer, body))
        return answer.json

    def govern_agents(self, ask):
        """Each act once, and again where that is answered otherwise; `ask` proves who asks."""
        agent = {"spiffe_id": "spiffe://demo.test/own/openapi", "owner": "owner@demo.test", "contact": "oncall@demo.test",
                 "purpose": "a test", "review": int(time.time()) + 1000000, "limits": {"scopes": ["read"], "lifetime": 60}}
        made = self.told("POST", "/v1/agents", ask("POST", "/v1/agents", agent), 201, agent)
        self.told("POST", "/v1/agents", ask("POST", "/v1/agents", agent), 200, agent)
        self.told("POST", "/v1/agents", ask("POST", "/v1/agents", dict(agent, purpose="another")), 409)
        self.told("POST", "/v1/agents/import", ask("POST", "/v1/agents/import", {"agents": [agent]}), 200, {"agents": [agent]})
        self.told("GET", "/v1/agents", ask("GET", "/v1/agents?limit=1"), 200)
        path = "/v1/agents/" + made["id"]
        self.told("GET", path, ask("GET", path), 200)
        for act, body in (("transfer", {"owner": "other@demo.test"}), ("suspend", {"reason": "a test"}), ("resume", {}),
                          ("retire", {})):
            self.told("POST", path + "/" + act, ask("POST", path + "/" + act, body), 200, body)
            self.told("POST", path + "/" + act, self.service.ask("POST", path + "/" + act, body), 403)
        self.told("POST", path + "/suspend", ask("POST", path + "/suspend", {}), 409)
        self.told("GET", "/v1/agents/nobody", ask("GET", "/v1/agents/nobody"), 404)

    def govern_tasks(self):
        ask = self.service.ask
        task = {"agent": SUBJECT, "purpose": "a test", "on_behalf_of": "somebody", "ref": "openapi", "audiences": [AUDIENCE],
                "scopes": ["read"], "lifetime": 600}
        made = self.told("POST", "/v1/tasks", ask("POST", "/v1/tasks", task), 201, task)
        self.told("POST", "/v1/tasks", ask("POST", "/v1/tasks", task), 200, task)
        self.told("POST", "/v1/tasks", ask("POST", "/v1/tasks", dict(task, purpose="another")), 409)
        child = {"agent": SUBJECT, "purpose": "a part of it", "parent": made["id"], "scopes": ["read"]}
        other = self.told("POST", "/v1/tasks", ask("POST", "/v1/tasks", child), 201, child)["id"]
        self.told("GET", "/v1/tasks", ask("GET", "/v1/tasks?limit=1"), 200)
        path = "/v1/tasks/" + made["id"]
        self.told("GET", path, ask("GET", path), 200)
        self.told("POST", "/v1/tasks/%s/cancel" % other, ask("POST", "/v1/tasks/%s/cancel" % other, {}), 200, {})
        for act in ("pause", "resume", "complete"):
            self.told("POST", path + "/" + act, ask("POST", path + "/" + act, {"reason": "a test"}), 200, {"reason": "a test"})
            self.told("POST", path + "/" + act, ask("POST", path + "/" + act, {"reasons": 1}), 400)
        self.told("POST", path + "/cancel", ask("POST", path + "/cancel", {}), 409)
        self.told("GET", "/v1/tasks/nobody", ask("GET", "/v1/tasks/nobody"), 404)

    def govern_approvals(self):
        tls = os.path.join(self.service.directory, "tls", "approver")
        approver = Signer(self.service, (tls + ".crt", tls + ".key")).ask
        asked = dict(REQUEST, profile="demo-task", scope="admin", task={"ref": "approved", "purpose": "a test"})
        approvals = [self.told("POST", "/v1/mint/jwt", self.service.ask("POST", "/v1/mint/jwt", asked), 202, asked)["approval"]["id"]
                     for asked in (asked, dict(asked, lifetime=60))]
        for path in ("/v1/approvals?limit=1", "/v1/approvals?wait=30"):
            self.told("GET", "/v1/approvals", self.service.ask("GET", path) if "limit" in path else approver("GET", path), 200)
        for approval, act in zip(approvals, ("grant", "deny")):
            path = "/v1/approvals/%s" % approval
            self.told("POST", path + "/" + act, self.service.ask("POST", path + "/" + act, {}), 403)
            self.told("POST", path + "/" + act, approver("POST", path + "/" + act, {"reason": "a test"}), 200, {"reason": "a test"})
            self.told("GET", path, self.service.ask("GET", path + "?wait=30"), 200)
        asked["approval"] = approvals[0]
        self.told("POST", "/v1/mint/jwt", self.service.ask("POST", "/v1/mint/jwt", asked), 200, asked)
        path = "/v1/approvals/%s/deny" % approvals[0]
        self.told("POST", path, approver("POST", path, {}), 409)
        self.told("GET", "/v1/approvals/nobody", self.service.ask("GET", "/v1/approvals/nobody"), 404)

    def govern_revocations(self, ask):
        gone = {"subject": "spiffe://demo.test/agent/gone", "reason": "a test"}
        self.told("POST", "/v1/revocations", ask("POST", "/v1/revocations", gone), 200, gone)
        self.told("POST", "/v1/revocations", ask("POST", "/v1/revocations", {}), 400)
        self.told("POST", "/v1/revocations", self.service.ask("POST", "/v1/revocations", gone), 403)
        self.told("GET", "/v1/revocations", self.service.ask("GET", "/v1/revocations?limit=1"), 200)
        for asked, allowed in ((dict(REQUEST), True), (dict(REQUEST, scope="nothing"), False)):
            body = {"request": asked}
            answer = self.told("POST", "/v1/policy/explain", ask("POST", "/v1/policy/explain", body), 200, body)
            self.assertEqual(answer["allowed"], allowed)

    def govern_all(self):
        self.govern_tasks()
        self.govern_approvals()
        self.told("POST", "/v1/nonces", self.service.ask("POST", "/v1/nonces", "", headers={"Content-Length": "0"}), 200)
        self.govern_agents(Signer(self.service, (self.service.ready["cert"], self.service.ready["key"])).ask)
        self.govern_revocations(Signer(self.service, (self.service.ready["cert"], self.service.ready["key"])).ask)
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        token = "token=" + self.service.mint().json["credential"]
        for active in (True, False):
            answer = self.told("POST", "/oauth2/introspect", self.service.ask("POST", "/oauth2/introspect", token, headers=form), 200)
            self.assertEqual(answer["active"], active)
            self.told("POST", "/oauth2/revoke", self.service.ask("POST", "/oauth2/revoke", token, headers=form), 200)
            for path in ("/demo/oauth2/introspect", "/demo/oauth2/revoke"):
                self.told("POST", path, self.service.ask("POST", path, token, headers=form), 200)
        for method in ("GET", "POST"):
            path = "/demo/oauth2/authorize"
            self.told(method, path, self.service.ask(method, path, "" if method == "POST" else None), 400)
        for body, status in (("grant_type=client_credentials&resource=" + AUDIENCE, 200), ("grant_type=x", 400), ("x", 400)):
            path = "/demo/oauth2/token"
            self.told("POST", path, self.service.ask("POST", path, body, headers=form), status)
        for path in ("/oauth2/introspect", "/oauth2/revoke", "/demo/oauth2/introspect", "/demo/oauth2/revoke"):
            self.told("POST", path, self.service.ask("POST", path, "token", headers=form), 400)
            self.told("POST", path, self.service.ask("POST", path, {}), 415)

    def test_it_describes_what_the_service_answers(self):
        self.mint_all()
        self.mint_batch()
        self.refuse_all()
        self.read_all()
        self.read_ledger()
        self.govern_all()
        verdict = judge(self.replies)
        self.assertEqual(verdict["faults"], [])
        self.assertEqual(set(verdict["operations"]) - set(verdict["covered"]), set(), "paths that nobody asked for")
        mint = {line.rsplit(" ", 1)[1] for line in verdict["covered"] if "/v1/mint/jwt" in line}
        self.assertEqual(mint, {"200", "202", "400", "401", "403", "405", "411", "413", "415"})

    def test_a_reply_that_is_not_as_described_would_be_seen(self):
        answer = self.service.mint()
        good = reply("POST", "/v1/mint/jwt", answer)
        for changed in (dict(good, status=418), dict(good, path="/v1/mint"), dict(good, body='{"kind":"jwt-svid"}'),
                        dict(good, headers={"content-type": "application/json"}), dict(good, request={"profile": "x"}),
                        dict(good, headers=dict(good["headers"], **{"content-type": "text/html"}))):
            self.assertNotEqual(judge([changed])["faults"], [], changed)
        self.assertEqual(judge([good])["faults"], [])

    def test_a_code_that_is_not_named_where_it_came_would_be_seen(self):
        alone = reply("POST", "/v1/mint/jwt", self.service.mint(scope="admin"))
        items = {"requests": [dict(REQUEST, kind="jwt", scope="admin")]}
        batch = reply("POST", "/v1/mint/batch", self.service.ask("POST", "/v1/mint/batch", items))
        self.assertEqual(judge([alone, batch])["faults"], [])
        for good in (alone, batch):
            for code in ("reload_refused", "not_found"):
                changed = dict(good, body=good["body"].replace("scope_not_allowed", code))
                self.assertEqual(len(judge([changed])["faults"]), 1, changed)


class Codes(Case):
    def test_it_describes_every_problem_as_the_service_answers_it(self):
        provoker = Provoker(self.work)
        self.addCleanup(provoker.stop)
        replies, seen = [], set()
        for code in sorted(set(kinds()) - CONTROL_ONLY):
            found = provoker.provoke(code)
            self.assertEqual(found.problem["code"], code)
            seen.add(found.problem["code"])
            replies.append(reply(found.method, found.path, found.answer))
        self.assertEqual(judge(replies)["faults"], [])
        self.assertEqual(seen, set(kinds()) - CONTROL_ONLY)


class NotReady(Case):
    def test_it_describes_a_service_without_its_token(self):
        directory = self.made()
        with open(os.path.join(directory, "pin"), "w") as out:
            out.write("not the PIN")
        service = start_serve(os.path.join(directory, "hsmint.yaml"), directory, wait=False)
        self.addCleanup(service.stop)

        def stopped():
            try:
                answer = service.ask("GET", "/readyz")
            except (OSError, http.client.HTTPException):
                return None
            return answer if answer.status == 503 and answer.json["tokens"].get("soft") == "stopped" else None
        ready = wait_for(stopped, "the token to be stopped")
        mint = service.mint()
        self.refused(mint, 503, "token_unavailable")
        verdict = judge([reply("GET", "/readyz", ready), reply("POST", "/v1/mint/jwt", mint)])
        self.assertEqual(verdict["faults"], [])
        self.assertEqual(set(verdict["covered"]), {"get /readyz 503", "post /v1/mint/jwt 503"})


if __name__ == "__main__":
    unittest.main()
