# SPDX-License-Identifier: Apache-2.0
"""Tasks over HTTP: opened, minted under, paused, resumed and ended, also by many at once."""
import json
import os
import socket
import threading
import time
import unittest

import frames
from certificates import Authority
from harness import AUDIENCE, PATIENCE, SUBJECT, Case, SharedCase, decode, start_dev, start_serve, wait_for

PROFILE = "demo-task"  # requires a task
CLIENTS = 8


def task_body(**members):
    return {name: value for name, value in dict({"agent": SUBJECT, "purpose": "testing"}, **members).items() if value is not None}


def control(service, method, path, body=None):
    """The same over the control socket, where the kernel proves who asks: (status, body)."""
    request = {"command": "api", "method": method, "path": path}
    if body is not None:
        request["body"] = body
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
        peer.settimeout(PATIENCE)
        peer.connect(service.control)
        frames.send(peer, frames.frame(frames.CONTROL_REQUEST, json.dumps(request).encode(), 1))
        reply = json.loads(frames.split(frames.receive(peer)[0])[2])
    if not reply.get("ok"):
        raise AssertionError(reply)
    return reply["status"], reply["body"]


class Tasks(SharedCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        directory = os.path.join(cls.shared, "dev")
        cls.service.stop()
        with open(os.path.join(directory, "hsmint.yaml"), "a") as out:
            out.write("  - {name: other, issuer: demo, uri: 'spiffe://demo.test/other', roles: [mint, task]}\n")
        cls.other = Authority(cls.shared, "ca", made_by_dev=directory).issue("other", ["URI:spiffe://demo.test/other"])
        cls.service = start_dev(directory)

    def open(self, status=201, connection=None, **members):
        answer = self.service.ask("POST", "/v1/tasks", task_body(**members), connection)
        self.assertEqual(answer.status, status, answer.body)
        return answer.json

    def act(self, task, act, **more):
        return self.service.ask("POST", "/v1/tasks/%s/%s" % (task["id"], act), {}, **more)

    def do(self, task, act, state):
        answer = self.act(task, act)
        self.assertEqual((answer.status, answer.json.get("state")), (200, state), answer.body)

    def mint(self, task, **members):
        return self.service.mint(profile=PROFILE, task=task, **members)

    def minted(self, task, **members):
        answer = self.mint(task, **members)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json

    def as_other(self):
        connection = self.service.tls(self.other)
        self.addCleanup(connection.close)
        return connection

    def test_a_credential_lives_no_longer_than_its_task_and_names_it(self):
        task = self.open(lifetime=100, on_behalf_of="mara", audiences=[AUDIENCE], scopes=["read"])
        reply = self.minted(task["id"], scope="read")
        _, payload = decode(reply["credential"])
        self.assertEqual(payload["task"], task["id"])
        self.assertLessEqual(payload["exp"], task["expires"])
        self.refused(self.mint(task["id"], scope="write"), 403, "task_limit", "scope")
        self.refused(self.mint(None), 400, "missing_member", "task")
        self.refused(self.mint("x" * 22), 404, "unknown_task", "task")
        self.refused(self.mint(task["id"], subject="spiffe://demo.test/agent/second"), 404, "unknown_task", "task")

    def test_pause_resume_and_complete_are_kept_apart(self):
        task = self.open()
        child = self.open(parent=task["id"])
        for one in (task, child):
            self.minted(one["id"])
        self.do(task, "pause", "paused")
        for one in (task, child):
            self.refused(self.mint(one["id"]), 409, "task_paused", "task")
        self.refused(self.service.ask("POST", "/v1/tasks", task_body(parent=task["id"])), 409, "task_paused", "parent")
        self.do(task, "pause", "paused")
        self.do(task, "resume", "open")
        for one in (task, child):
            self.minted(one["id"])
        self.do(task, "complete", "completed")
        self.do(task, "complete", "completed")
        for one in (task, child):
            self.refused(self.mint(one["id"]), 409, "task_ended", "task")
            shown = self.service.ask("GET", "/v1/tasks/" + one["id"])
            self.assertEqual((shown.status, shown.json["state"]), (200, "completed"))
        for act in ("pause", "resume", "cancel"):
            self.refused(self.act(task, act), 409, "task_state")

    def test_one_that_expired_is_over(self):
        task = self.open(lifetime=1)
        wait_for(lambda: time.time() >= task["expires"], "its end")
        self.refused(self.mint(task["id"]), 409, "task_expired", "task")
        self.refused(self.act(task, "complete"), 409, "task_state")

    def test_who_did_not_open_its_task_learns_nothing_of_a_credential_and_does_not_end_it(self):
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        task = self.open()
        credential = "token=" + self.minted(task["id"])["credential"]
        other = self.as_other()
        answer = self.service.ask("POST", "/oauth2/introspect", credential, other, form)
        self.assertEqual((answer.status, answer.json), (200, {"active": False}))
        self.refused(self.service.ask("POST", "/oauth2/revoke", credential, other, form), 404, "unknown_task", "token")
        for active in (True, False):
            shown = self.service.ask("POST", "/oauth2/introspect", credential, headers=form)
            self.assertEqual((shown.status, shown.json["active"]), (200, active))
            self.do(task, "complete", "completed")

    def test_what_was_paused_by_somebody_proven_is_not_resumed_through_gate(self):
        task = self.open()
        status, shown = control(self.service, "POST", "/v1/tasks/%s/pause" % task["id"], {"reason": "odd requests"})
        self.assertEqual((status, shown["state"], shown["held"]), (200, "paused", True))
        self.refused(self.act(task, "resume"), 409, "task_state")
        self.refused(self.mint(task["id"]), 409, "task_paused", "task")
        status, shown = control(self.service, "POST", "/v1/tasks/%s/resume" % task["id"])
        self.assertEqual((status, shown["state"]), (200, "open"))
        self.minted(task["id"])

    def test_a_task_of_another_caller_is_as_if_it_was_not_there(self):
        task = self.open(ref="shared")
        other = self.as_other()
        for act in ("pause", "resume", "complete", "cancel"):
            self.refused(self.act(task, act, connection=other), 404, "unknown_task")
        self.refused(self.service.ask("GET", "/v1/tasks/" + task["id"], connection=other), 404, "unknown_task")
        self.refused(self.service.ask("POST", "/v1/tasks", task_body(parent=task["id"]), other), 404, "unknown_task", "parent")
        theirs = self.open(connection=other, ref="shared", purpose="another")
        self.assertNotEqual(theirs["id"], task["id"])
        listed = self.service.ask("GET", "/v1/tasks?limit=1000", connection=other).json["tasks"]
        self.assertEqual({one["caller"] for one in listed}, {"other"})

    def test_a_mint_opens_the_task_that_it_carries(self):
        carried = {"ref": "run-1", "purpose": "testing", "scopes": ["read"]}
        first = self.minted(carried, scope="read")
        again = self.minted(dict(reversed(carried.items())), scope="read")
        self.assertEqual(first["task"], again["task"])
        self.assertEqual(self.open(status=200, **carried)["id"], first["task"])
        self.refused(self.mint(dict(carried, purpose="another")), 409, "task_mismatch", "task.ref")
        self.refused(self.mint({"ref": "run-2"}), 400, "missing_member", "task.purpose")
        self.do({"id": first["task"]}, "cancel", "cancelled")
        self.refused(self.mint(carried, scope="read"), 409, "task_ended", "task")

    def test_many_that_carry_the_same_new_task_open_one(self):
        found, threads = [], []
        for _ in range(CLIENTS):
            threads.append(threading.Thread(target=lambda: found.append(self.mint({"ref": "at once", "purpose": "testing"}))))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([answer.status for answer in found], [200] * CLIENTS, [answer.body for answer in found])
        self.assertEqual(len({answer.json["task"] for answer in found}), 1)

    def test_of_a_completion_and_a_cancellation_at_once_one_wins(self):
        for _ in range(10):
            task, found = self.open(), []
            threads = [threading.Thread(target=lambda a=act: found.append((a, self.act(task, a))))
                       for act in ("complete", "cancel", "complete", "cancel")]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            won = {answer.json["state"] for _, answer in found if answer.status == 200}
            self.assertEqual(len(won), 1, found)
            ended = self.service.ask("GET", "/v1/tasks/" + task["id"]).json["state"]
            self.assertEqual(won, {ended})
            for act, answer in found:
                self.assertEqual(answer.status, 200 if ended == {"complete": "completed", "cancel": "cancelled"}[act] else 409)

    def test_nothing_is_struck_that_was_asked_for_after_the_answer(self):
        task = self.open()
        child = self.open(parent=task["id"])
        over, late, struck, refused = threading.Event(), [], [], []

        def client(one):
            connection = self.service.unix()
            for _ in range(2000):
                after = over.is_set()
                answer = self.service.mint(connection, profile=PROFILE, task=one["id"])
                (struck if answer.status == 200 else refused).append(answer)
                if after:
                    late.append(answer)
                if len(late) >= 100:
                    break
            connection.close()

        threads = [threading.Thread(target=client, args=((task, child)[i % 2],)) for i in range(CLIENTS)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(struck) >= 20 * CLIENTS or not any(thread.is_alive() for thread in threads), "some of both", 120)
        self.do(task, "complete", "completed")
        over.set()
        for thread in threads:
            thread.join()
        self.assertGreater(len(late), 0)
        self.assertEqual({answer.json.get("code") for answer in late}, {"task_ended"})
        self.assertEqual({answer.json["code"] for answer in refused}, {"task_ended"})


class Restart(Case):
    def test_tasks_are_there_after_kill_9(self):
        service = self.dev()
        states = {}
        for act, state in ((None, "open"), ("pause", "paused"), ("complete", "completed"), ("cancel", "cancelled")):
            task = service.ask("POST", "/v1/tasks", task_body(ref=state)).json
            if act:
                self.assertEqual(service.ask("POST", "/v1/tasks/%s/%s" % (task["id"], act), {}).status, 200)
            states[task["id"]] = state
        directory = service.directory
        service.kill_everything()
        service = start_serve(os.path.join(directory, "hsmint.yaml"), directory)
        self.addCleanup(service.stop)
        for task, state in states.items():
            self.assertEqual(service.ask("GET", "/v1/tasks/" + task).json["state"], state)
            self.assertEqual(service.ask("POST", "/v1/tasks", task_body(ref=state)).json["id"], task)


if __name__ == "__main__":
    unittest.main()
