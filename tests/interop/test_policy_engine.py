# SPDX-License-Identifier: Apache-2.0
"""A decision point of the site's own is asked after hsmint's rules said yes: Cedar behind AuthZEN decides here, and
servers that answer wrongly, late or not at all."""
import http.server
import json
import os
import socketserver
import subprocess
import sys
import threading
import time
import unittest
from urllib.parse import urlencode

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))
import harness
from ledger_entries import entries

POLICIES = """
permit(principal, action == Action::"mint", resource)
when { resource.scope == ["read"] && context.lifetime <= 300 && principal.owner like "*@demo.test" };
forbid(principal == Agent::"spiffe://demo.test/agent/barred", action, resource);
"""


class Canned(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A server that gives one answer to everything, as wrong as the test wants it."""
    daemon_threads = True

    def __init__(self, path, answer):
        canned = self
        self.answer, self.asked, self.hold = answer, [], threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                canned.asked.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
                status, body = canned.answer
                if status == 0:
                    canned.hold.wait(harness.PATIENCE)
                    return
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

            def address_string(self):
                return "socket"
        super().__init__(path, Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class PolicyEngine(harness.Case):
    def serve(self, policy):
        directory = self.made()
        config = os.path.join(directory, "hsmint.yaml")
        with open(config, "a") as file:
            file.write("policy: " + policy + "\n")
        service = harness.start_serve(config, directory)
        self.addCleanup(service.stop)
        return service

    def cedar(self):
        policies = os.path.join(self.work, "policies.cedar")
        with open(policies, "w") as file:
            file.write(POLICIES)
        process = subprocess.Popen(["node", os.path.join(HERE, "authzen.mjs"), os.path.join(self.work, "pdp.sock"), policies],
                                   stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), "ready\n")
        return process

    def canned(self, answer):
        server = Canned(os.path.join(self.work, "pdp.sock"), answer)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.addCleanup(server.hold.set)
        return server

    def authzen(self):
        return self.serve("{engine: authzen, url: \"http://localhost\", socket: %s/pdp.sock, deadline_ms: 1000}" % self.work)

    def test_cedar_decides(self):
        self.cedar()
        service = self.authzen()
        self.assertEqual(service.mint(scope="read").status, 200)
        self.refused(service.mint(scope="read write"), 403, "policy_denied")
        self.refused(service.mint(scope="read", lifetime=301), 403, "policy_denied")
        self.refused(service.mint(scope="read", subject="spiffe://demo.test/agent/barred"), 403, "policy_denied")
        # what our own rules refuse, nobody else is asked about
        self.refused(service.mint(scope="admin-of-nothing"), 403, "scope_not_allowed")

    def test_the_decision_is_recorded_with_the_credential(self):
        self.cedar()
        service = self.authzen()
        credential = service.mint(scope="read").json
        service.stop()
        entry = [entry for entry in entries(os.path.join(self.work, "dev", "ledger"))
                 if entry["type"] == "credential" and entry["id"] == credential["id"]]
        self.assertEqual([e["decision"] for e in entry], ["cedar-policy0"])

    def test_what_is_no_clear_yes_is_a_no(self):
        server = self.canned((200, b"{}"))
        service = self.authzen()
        for body in (b"{}", b'{"decision": false}', b'{"decision": "true"}', b'{"decision": 1}', b'{"decision": null}',
                     b'{"decision": [true]}', b'{"Decision": true}'):
            with self.subTest(body):
                server.answer = (200, body)
                self.refused(service.mint(), 403, "policy_denied")
        server.answer = (200, b'{"decision": true}')
        self.assertEqual(service.mint().status, 200)

    def test_what_is_no_answer_is_unavailable_and_the_next_is_asked_again(self):
        server = self.canned((500, b"{}"))
        service = self.authzen()
        for answer in ((500, b"{}"), (200, b"not json"), (200, b'{"decision": true, "decision": true}'),
                       (302, b'{"decision": true}')):
            with self.subTest(answer):
                server.answer = answer
                self.refused(service.mint(), 503, "policy_unavailable")
        server.answer = (200, b'{"decision": true}')
        self.assertEqual(service.mint().status, 200)

    def test_it_is_left_alone_when_it_keeps_failing_and_comes_back(self):
        server = self.canned((500, b"{}"))
        service = self.authzen()
        for _ in range(8):
            self.refused(service.mint(), 503, "policy_unavailable")
        self.assertLess(len(server.asked), 8)
        server.answer = (200, b'{"decision": true}')
        harness.wait_for(lambda: service.mint().status == 200, "the decision point to be asked again")

    def test_one_that_hangs_costs_its_deadline_and_no_more(self):
        self.canned((0, b""))
        service = self.authzen()
        began = time.monotonic()
        self.refused(service.mint(), 503, "policy_unavailable")
        self.assertLess(time.monotonic() - began, 4)

    def test_it_is_told_of_the_task_that_a_request_opens(self):
        server = self.canned((200, b'{"decision": false}'))
        service = self.authzen()
        task = {"ref": "job 1", "purpose": "pays salaries", "on_behalf_of": "alice@demo.test", "lifetime": 60}

        def told():
            return server.asked[-1][1]["context"]["task"]
        self.refused(service.mint(profile="demo-task", task=task), 403, "policy_denied")
        self.assertEqual({name: value for name, value in told().items() if name != "expires"},
                         {"purpose": "pays salaries", "on_behalf_of": "alice@demo.test"})
        self.assertLess(abs(told()["expires"] - time.time() - 60), 10)
        server.answer = (200, b'{"decision": true}')
        minted = service.mint(profile="demo-task", task=task)
        self.assertEqual(minted.status, 200, minted.body)
        self.assertNotIn("id", told())  # the same decision, asked once
        self.assertEqual(service.mint(profile="demo-task", task=task).status, 200)
        self.assertEqual((told()["id"], told()["purpose"]), (minted.json["task"], "pays salaries"))
        self.assertEqual(service.mint().status, 200)
        self.assertIsNone(told())

    def test_it_is_told_who_acts_for_whom(self):
        server = self.canned((200, b'{"decision": true}'))
        service = self.authzen()
        first = service.mint(scope="read")
        self.assertEqual({"grant", "on_behalf_of", "actors"} & set(server.asked[-1][1]["context"]), set())
        token, agent = first.json["credential"], "spiffe://demo.test/agent/demo"
        for actors in ([agent], [agent, agent]):
            form = {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token": token,
                    "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
                    "resource": harness.AUDIENCE, "scope": "read"}
            answer = service.ask("POST", "/demo/oauth2/token", urlencode(form),
                                 headers={"Content-Type": "application/x-www-form-urlencoded"})
            self.assertEqual(answer.status, 200, answer.body)
            told = server.asked[-1][1]["context"]
            self.assertEqual((told["grant"], told["on_behalf_of"], told["actors"]),
                             ("token_exchange", harness.SUBJECT, actors))
            self.assertNotIn("eyJ", json.dumps(server.asked[-1]))
            token = answer.json["access_token"]

    def test_opa_is_asked_as_it_wants_and_undefined_is_a_no(self):
        server = self.canned((200, b'{"result": true, "decision_id": "d1"}'))
        service = self.serve("{engine: opa, url: \"http://localhost\", socket: %s/pdp.sock, path: /v1/data/hsmint/allow}"
                             % self.work)
        self.assertEqual(service.mint(scope="read").status, 200)
        path, body = server.asked[0]
        self.assertEqual(path, "/v1/data/hsmint/allow")
        self.assertEqual(body["input"]["subject"]["id"], harness.SUBJECT)
        self.assertEqual(body["input"]["resource"]["properties"]["audience"], [harness.AUDIENCE])
        self.assertNotIn("eyJ", json.dumps(body))
        for answer in (b'{"decision_id": "d2"}', b'{"result": false}', b'{"result": {"allow": "yes"}}'):
            server.answer = (200, answer)
            self.refused(service.mint(scope="read"), 403, "policy_denied")
        server.answer = (200, b'{"result": {"allow": true}}')
        self.assertEqual(service.mint(scope="read").status, 200)


if __name__ == "__main__":
    unittest.main()
