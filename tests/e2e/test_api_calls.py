# SPDX-License-Identifier: Apache-2.0
"""Calls to the API on their way: acts at once on one thing, calls that wait, those who ask and go, what cannot be
recorded, words that are none, and callers of several issuers."""
import errno
import json
import os
import re
import signal
import socket
import threading
import time
import unittest

import frames
import ledger_entries
from harness import BUILD, HSMINT, PATIENCE, SANITIZED, SUBJECT, Case, UnixConnection, edit, read, run, start_serve, wait_for
from test_api_ways import REVIEW, Governed, ask_control
from token_admin import create_key

DISK = os.path.join(BUILD, "lib", "hsmint-disk.so")
APPROVALS_WAITING = 256  # of one caller
WAITING_MAX = 512  # more that want to wait are answered at once


def at_once(count, do):
    """Each in a thread of its own; what they gave."""
    given, ready = [], threading.Barrier(count)

    def run(number):
        ready.wait()
        given.append(do(number))
    threads = [threading.Thread(target=run, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return given


class Asked(Case):
    def test_who_asks_again_is_told_of_the_approval_that_waits_and_not_too_many_wait(self):
        service = self.dev()
        approver = (os.path.join(service.directory, "tls", "approver.crt"), os.path.join(service.directory, "tls", "approver.key"))

        def ask(ref):
            return service.mint(profile="demo-task", scope="admin", task={"ref": ref, "purpose": "a test"})
        first = ask("first")
        self.assertEqual(first.status, 202, first.body)
        self.assertEqual(ask("first").json, first.json)
        others = [ask("other-%d" % number) for number in range(APPROVALS_WAITING - 1)]
        self.assertEqual({answer.status for answer in others}, {202})
        ids = {answer.json["approval"]["id"] for answer in [first, *others]}
        self.assertEqual(len(ids), APPROVALS_WAITING)
        self.refused(ask("one more"), 503, "overload")
        self.assertEqual(ask("first").json, first.json)
        run([HSMINT, "approve", "deny", first.json["approval"]["id"], "--url", service.ready["url"], "--ca", service.ready["ca"],
             "--cert", approver[0], "--key", approver[1]])
        again = ask("first")
        self.assertEqual(again.status, 202, again.body)
        self.assertNotIn(again.json["approval"]["id"], ids)


class Acts(Governed):
    def entries(self):
        return ledger_entries.entries(os.path.join(self.service.directory, "ledger"))

    def test_acts_at_once_on_one_thing_are_done_one_after_the_other_or_refused(self):
        agent = self.agent()
        path = "/v1/agents/%s/transfer" % agent
        answers = at_once(24, lambda n: self.control("demo", "POST", path, {"owner": "owner-%d@demo.test" % n}))
        codes = {(answer.status, answer.json.get("code")) for answer in answers}
        self.assertLessEqual(codes, {(200, None), (503, "overload")})
        owners = [answer.json["owner"] for answer in answers if answer.status == 200]
        self.assertTrue(owners)
        acts = [entry for entry in self.entries() if entry.get("type") == "agent" and entry.get("id") == agent]
        self.assertEqual(acts[0]["act"], "add")
        self.assertCountEqual([entry["owner"] for entry in acts[1:]], owners, "each is recorded once, and no other")
        sequences = [entry["sequence"] for entry in acts]
        self.assertEqual(sequences, sorted(set(sequences)))
        self.assertEqual(self.govern("GET", "/v1/agents/" + agent)["owner"], acts[-1]["owner"])

    def test_what_ends_at_once_ends_once(self):
        task = self.task("demo")
        answers = at_once(16, lambda n: self.control("demo", "POST", "/v1/tasks/%s/%s" % (task, ("complete", "cancel")[n % 2])))
        done = {answer.json["state"] for answer in answers if answer.status == 200}
        self.assertEqual(len(done), 1)
        self.assertLessEqual({answer.json.get("code") for answer in answers}, {None, "task_state", "overload"})
        self.assertEqual(self.govern("GET", "/v1/tasks/" + task)["state"], done.pop())
        ended = [e for e in self.entries() if e.get("type") == "task" and e["task"] == task and e.get("state") != "open"]
        self.assertEqual(len([e for e in ended if e["state"] in ("completed", "cancelled")]), 1)

    def test_refusals_are_told_in_the_ledger(self):
        self.assertEqual(self.through_gate("audit", "POST", "/v1/revocations", {"subject": SUBJECT}).status, 403)
        self.assertEqual(self.through_gate("revoke", "POST", "/v1/revocations", {"subject": SUBJECT}).status, 403)

        def told():
            return {(entry["caller"], entry["code"]) for entry in self.entries() if entry["type"] == "refused"}
        wait_for(lambda: {("audit", "role_missing"), ("revoke", "proof_required")} <= told(), "the refusals' entries")

    def test_words_that_are_none(self):
        for method, target, body, code in (
                ("GET", "/v1/nothing", None, "not_found"), ("GET", "v1/agents", None, "not_found"), ("GET", "", None, "not_found"),
                ("DELETE", "/v1/agents", None, "method_not_allowed"), ("GET", "/v1/tasks/x/pause", None, "method_not_allowed"),
                ("GET", "/v1/agents/import", None, "method_not_allowed"),
                ("GET", "/v1/agents?limit", None, "bad_request"), ("GET", "/v1/agents?limit=%", None, "bad_request"),
                ("GET", "/v1/agents?limit=1&limit=1", None, "duplicate_member"),
                ("GET", "/v1/agents?limits=1", None, "unknown_member"), ("GET", "/v1/agents?wait=1", None, "unknown_member"),
                ("POST", "/v1/agents?issuer=demo&x=y", {}, "unknown_member"),
                ("GET", "/v1/agents?issuer=nowhere", None, "unknown_issuer"),
                ("GET", "/v1/agents?issuer=" + "x" * 65, None, "unknown_issuer"),
                ("POST", "/v1/agents", {"issuer": 1}, "wrong_type"), ("POST", "/v1/agents", {"issuer": "nowhere"}, "unknown_issuer"),
                ("GET", "/v1/approvals?wait=31", None, "invalid_member"), ("GET", "/v1/approvals?wait=-1", None, "invalid_member"),
                ("GET", "/v1/agents?spiffe_id=%ff", None, "invalid_utf8")):
            with self.subTest(method + " " + target, body=body):
                answer = self.control("demo", method, target, body)
                self.assertEqual(answer.json.get("code"), code, answer.body)
        for command in ({"path": "/v1/agents"}, {"method": "GET"}, {"method": 1, "path": "/v1/agents"}):
            self.assertEqual(self.raw(command)["code"], "missing_member")
        self.assertEqual(self.raw({"method": "POST", "path": "/v1/agents", "body": []})["code"], "wrong_type")

    def raw(self, command):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(self.service.control)
            sock.send(frames.frame(frames.CONTROL_REQUEST, json.dumps({"command": "api", **command}).encode(), 1))
            return json.loads(frames.split(frames.receive(sock)[0])[2])

    def test_forms(self):
        for body, code in (("token=a&token=b", "duplicate_member"), ("token_type_hint=x", "missing_member"), ("token", "malformed_form")):
            answer = self.through_gate("audit", "POST", "/oauth2/introspect", body, form=True)
            self.assertEqual(answer.json.get("code"), code, answer.body)
        answer = self.through_gate("audit", "POST", "/oauth2/introspect", "token=%C3%28", form=True)
        self.assertEqual(answer.json.get("code"), "invalid_utf8")
        answer = self.through_gate("audit", "POST", "/oauth2/introspect", "token=x&issuer=demo&token_type_hint=access_token", form=True)
        self.assertEqual((answer.status, answer.json), (200, {"active": False}))


class Waiting(Governed):
    def begin(self, target):
        """An answer that is waited for in a thread: a function that gives it and after how long it came."""
        result = []

        def ask():
            began = time.monotonic()
            connection = UnixConnection(self.service.socket, 60)
            result.append(self.service.ask("GET", target, connection=connection))
            result.append(time.monotonic() - began)
            connection.close()
        thread = threading.Thread(target=ask)
        thread.start()

        def end():
            thread.join(60)
            return result
        return end

    def test_one_that_waits_is_answered_when_something_changes(self):
        approval = self.approval("mint")
        end = self.begin("/v1/approvals/%s?wait=30" % approval)
        time.sleep(1.5)  # longer than what is looked at each second
        self.govern("POST", "/v1/approvals/%s/grant" % approval, {})
        answer, took = end()
        self.assertEqual((answer.status, answer.json["state"]), (200, "granted"))
        self.assertGreater(took, 1)
        self.assertLess(took, 10)

    def test_or_when_its_time_is_over(self):
        approval = self.approval("mint")
        answer, took = self.begin("/v1/approvals/%s?wait=2" % approval)()
        self.assertEqual((answer.status, answer.json["state"]), (200, "pending"))
        self.assertGreater(took, 1.9)
        self.assertLess(took, 2 + PATIENCE)

    def test_what_is_not_waited_for_is_answered_at_once(self):
        answer, took = self.begin("/v1/approvals/" + self.approval("mint"))()
        self.assertEqual((answer.status, answer.json["state"]), (200, "pending"))

    def test_those_who_go_are_forgotten(self):
        approval = self.approval("mint")
        before = self.service.status()["gate"]["pid"]
        for _ in range(20):  # operators
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            sock.connect(self.service.control)
            sock.send(frames.frame(frames.CONTROL_REQUEST, json.dumps({
                "command": "api", "method": "GET", "path": "/v1/approvals/%s?wait=30" % approval}).encode(), 1))
            sock.close()
        connections = [self.service.unix() for _ in range(20)]
        for connection in connections:
            connection.request("GET", "/v1/approvals/%s?wait=30" % approval)
        os.kill(before, signal.SIGKILL)
        wait_for(lambda: self.service.status()["gate"]["pid"] not in (0, before), "another gate")
        self.service.wait_ready()
        for connection in connections:
            connection.close()
        self.govern("POST", "/v1/approvals/%s/grant" % approval, {})
        self.assertEqual(self.service.ask("GET", "/v1/approvals/" + approval).json["state"], "granted")

    def test_more_than_may_wait_are_answered_at_once(self):
        approval = self.approval("mint")
        sent = [self.service.unix() for _ in range(WAITING_MAX + 50)]
        began = time.monotonic()
        for connection in sent:
            connection.timeout = 60
            connection.request("GET", "/v1/approvals/%s?wait=30" % approval)
        answers = [json.loads(connection.getresponse().read()) for connection in sent[WAITING_MAX:]]
        self.assertLess(time.monotonic() - began, 25)
        self.assertEqual({answer["state"] for answer in answers}, {"pending"})
        self.govern("POST", "/v1/approvals/%s/grant" % approval, {})
        answers = [json.loads(connection.getresponse().read()) for connection in sent[:WAITING_MAX]]
        self.assertEqual({answer["state"] for answer in answers}, {"granted"})
        for connection in sent:
            connection.close()


class Unrecorded(Case):
    @unittest.skipIf(SANITIZED, "a sanitizer has to be loaded before all else")
    def test_acts_are_refused_while_they_cannot_be_recorded_and_reads_are_not(self):
        script, directory = os.path.join(self.work, "disk"), self.made()
        service = start_serve(os.path.join(directory, "hsmint.yaml"), directory,
                              env=dict(os.environ, LD_PRELOAD=DISK, HSMINT_TEST_DISK=script))
        self.addCleanup(service.stop)
        with open(script + ".new", "w") as file:
            file.write("fdatasync %d\n" % errno.EIO)
        os.rename(script + ".new", script)
        body = {"agent": SUBJECT, "purpose": "a test"}
        wait_for(lambda: service.ask("POST", "/v1/tasks", body).json.get("code") in ("ledger_unavailable", "store_unavailable"),
                 "a refusal")
        answer = service.ask("POST", "/v1/tasks", body)
        self.refused(answer, 503, answer.json["code"])
        self.assertEqual(service.ask("GET", "/v1/tasks").status, 200)
        os.unlink(script)
        service.wait_ready()
        wait_for(lambda: service.ask("POST", "/v1/tasks", body).status == 201, "acts again")


class Issuers(Case):
    """The same peer is a caller of two."""

    def setUp(self):
        super().setUp()
        directory = self.made()
        config = os.path.join(directory, "hsmint.yaml")
        port = int(re.search(r"port: (\d+)", read(config)).group(1))
        create_key(directory, config, "other-access", "04")
        edit(config, "tokens:\n", '  - {name: other, url: "https://localhost:%d/other", trust_domain: other.test}\ntokens:\n' % port)
        edit(config, "profiles:\n", "  - {name: other-access, issuer: other, token: soft, label: other-access, id: \"04\", "
             "use: access-token}\nprofiles:\n")
        with open(config, "a") as out:
            out.write("  - {name: here-too, issuer: other, uid: %d, roles: [register, audit, task]}\n" % os.geteuid())
        self.service = start_serve(config, directory)
        self.addCleanup(self.service.stop)

    def ask(self, method, target, body=None):
        return ask_control(self.service.control, os.geteuid(), method, target, body)

    def test_one_says_which_and_nothing_crosses(self):
        answer = self.ask("GET", "/v1/agents")
        self.assertEqual((answer.status, answer.json["code"], answer.json["field"]), (400, "missing_member", "issuer"))
        agent = {"spiffe_id": "spiffe://other.test/agent/x", "owner": "o@other.test", "purpose": "p", "review": REVIEW}
        self.assertEqual(self.ask("POST", "/v1/agents", agent).json["code"], "missing_member")
        made = self.ask("POST", "/v1/agents", {**agent, "issuer": "other"})
        self.assertEqual((made.status, made.json["issuer"]), (201, "other"))
        path = "/v1/agents/%s" % made.json["id"]
        self.assertEqual(self.ask("GET", path + "?issuer=other").json["spiffe_id"], agent["spiffe_id"])
        self.assertEqual(self.ask("GET", path + "?issuer=demo").status, 404)
        self.assertEqual(self.ask("POST", path + "/suspend", {"issuer": "demo"}).status, 404)
        self.assertEqual(self.ask("GET", "/v1/agents?issuer=nowhere").json["code"], "unknown_issuer")
        listed = self.ask("GET", "/v1/agents?issuer=demo").json["agents"]
        self.assertNotIn(agent["spiffe_id"], [one["spiffe_id"] for one in listed])
        # roles are those at that issuer
        self.assertEqual(self.ask("POST", path + "/suspend", {"issuer": "other"}).json["status"], "suspended")
        answer = self.ask("POST", "/v1/revocations", {"issuer": "other", "subject": agent["spiffe_id"]})
        self.assertEqual((answer.status, answer.json["code"]), (403, "role_missing"))


if __name__ == "__main__":
    unittest.main()
