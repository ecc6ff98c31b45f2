# SPDX-License-Identifier: Apache-2.0
"""Every problem that HTTP can meet, provoked in a running service: by its natural cause, or where a sound service has none,
by the fault that `hsmint dev ctl` makes of it."""
import http.server
import itertools
import json
import os
import signal
import socket
import socketserver
import threading
import shutil
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor

import frames
from certificates import Authority
from dpop_proof import Prover
from harness import AUDIENCE, PATIENCE, SUBJECT, Answer, edit, read, small_disk, start_dev, start_serve, wait_for
from http_signature import Signer
from made_jwt import Signer as Made

MINT, BATCH, TASKS, AGENTS = "/v1/mint/jwt", "/v1/mint/batch", "/v1/tasks", "/v1/agents"
TOKEN = "/demo/oauth2/token"
EXCHANGE = ("grant_type=urn:ietf:params:oauth:grant-type:token-exchange&resource=" + AUDIENCE + "&subject_token=%s"
            "&subject_token_type=urn:ietf:params:oauth:token-type:access_token")
AWAY = Made("ES256", "one", iss="https://away.test", sub="x", aud="x").sign()
PROVEN = "grant_type=client_credentials&resource=" + AUDIENCE
REQUEST = {"profile": "demo-access", "subject": SUBJECT, "audience": AUDIENCE}
LARGE = {"profile": "large", "subject": SUBJECT + "x" * 1900, "claims": {"long": "x" * 4000},
         "audience": ["https://api.demo.test/%d%s" % (i, "x" * 480) for i in range(8)]}
LARGE_IN_BATCH = 90  # as many as 1 MiB holds
BODY_MAX, LARGE_BODIES_MAX = 60 * 1024, 64

# What the store holds of agents that nobody can register so: the SPIFFE ID's last part, owner, review and status of each.
KEPT = [("unowned", "", 1 << 40, "active"), ("due", "team-a", 1, "active"), ("suspended", "team-a", 1 << 40, "suspended"),
        ("retired", "team-a", 1 << 40, "retired"), ("limited", "team-a", 1 << 40, "active")]
AGENT = "spiffe://demo.test/agent/"

PROFILE = """  - name: %s
    issuer: demo
    kind: at+jwt
    key: demo-access
    lifetime: {default: 60, maximum: 900}
    audiences: ["https://api.demo.test", "https://api.demo.test/*"]
    subjects: ["spiffe://demo.test/agent/*"]
%s
callers:
"""


class DecisionPoint(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Says the same to everything."""
    daemon_threads = True

    def __init__(self, path, answer):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass
        super().__init__(path, Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Provoked:
    """One problem: how it was asked for, and what came."""

    def __init__(self, method, path, answer):
        self.method, self.path, self.answer = method, path, answer
        self.problem = answer.json
        if "error_description" in self.problem:  # in OAuth's words
            self.problem = {"code": self.problem["error_description"].partition(":")[0]}


class Provoker:
    """A service whose configuration has something for each code, and a way to each code: provoke(code)."""

    used = shared = None  # an approval that was used, and a credential with a place that others share
    exchanged = None  # a token in which as many act as may

    def __init__(self, directory):
        dev = os.path.join(directory, "dev")
        start_dev(dev).stop()
        config = os.path.join(dev, "hsmint.yaml")
        edit(config, "callers:\n", PROFILE % ("rated", "    callers: [demo]\n    rate: 0.001\n    burst: 1"))
        edit(config, "callers:\n", PROFILE % ("others", "    callers: [other]"))
        edit(config, "callers:\n", PROFILE % ("bound", "    callers: [demo]\n    grants: [client_credentials]\n"
                                              "    proof: [dpop]"))
        edit(config, "callers:\n", PROFILE % ("claiming", "    callers: [demo]\n    claims: [{name: team, required: true}, {name: long, size: 4096}]"))
        edit(config, "callers:\n", PROFILE % ("large", "    callers: [filler]\n    claims: [{name: long, size: 4096}]"))
        edit(config, "callers:\n", PROFILE.replace("/agent/*", "/nobody/*") % ("unregistered", "    callers: [demo]"))
        self.keep_agents(os.path.join(dev, "state", "store.db"))
        edit(config, "callers:\n", PROFILE % ("hasty", "    callers: [demo]\n    approve: {audiences: ['https://*'], by: 1, within: 1s}"))
        edit(config, "callers:\n", "trust:\n  - {name: away, issuer: demo, provider: 'https://away.test', "
             "keys_url: 'https://127.0.0.1:1/'}\ncallers:\n")
        with open(config, "a") as out:
            out.write("  - {name: other, issuer: demo, uri: 'spiffe://demo.test/other', roles: [task]}\n")
            out.write("  - {name: filler, issuer: demo, uri: 'spiffe://demo.test/filler', roles: [mint]}\n")
        self.other = Authority(directory, "ca", made_by_dev=dev).issue("other", ["URI:spiffe://demo.test/other"])
        self.filler = Authority(directory, "ca", made_by_dev=dev).issue("filler", ["URI:spiffe://demo.test/filler"])
        self.unknown = Authority(directory, "ca", made_by_dev=dev).issue("unknown", ["URI:spiffe://demo.test/unknown"])
        self.foreign = Authority(directory, "foreign-ca").issue("foreign", ["URI:spiffe://demo.test/client"])
        self.config, self.leaving, self.full = config, os.path.join(directory, "leaving"), os.path.join(directory, "full")
        self.key = itertools.count()
        self.service = start_dev(dev)

    @staticmethod
    def keep_agents(path):
        store = sqlite3.connect(path)
        with store:
            for number, (name, owner, review, status) in enumerate(KEPT):
                body = {"class": False, "contact": "", "created": 1, "id": "ABCDE"[number] + "A" * 21, "owner": owner,
                        "limits": {"scopes": ["write"]}, "purpose": "testing", "review": review, "status": status}
                store.execute("INSERT INTO record VALUES (1, ?, 1, ?)",
                              ("demo " + AGENT + name, json.dumps(body, separators=(",", ":"))))
        store.close()

    def stop(self):
        self.service.stop()

    def codes(self):
        return set(self.OAUTH) | {name[len("provoke_"):] for name in dir(self) if name.startswith("provoke_")} | set(self.MEMBERS) | set(
            self.FAULTS)

    def provoke(self, code):
        if code in self.MEMBERS:
            return self.mint(dict(REQUEST, **self.MEMBERS[code]))
        if code in self.FAULTS:
            return self.fault(code)
        if code in self.OAUTH:
            return self.token(self.OAUTH[code])
        return getattr(self, "provoke_" + code)()

    # ---- what is asked ----

    def ask(self, method, path, body=None, headers=None, certificate=None):
        connection = self.service.tls(certificate) if certificate is not None else self.service.unix()
        try:
            return Provoked(method, path, self.service.ask(method, path, body, connection, headers))
        finally:
            connection.close()

    def mint(self, body, **more):
        return self.ask("POST", MINT, body, **more)

    # ---- at a token endpoint, whose words are OAuth's ----

    OAUTH = {"client_refused": "grant_type=client_credentials&client_id=somebody",
             "grant_not_offered": "grant_type=password",
             "grant_not_allowed": "grant_type=client_credentials&resource=x:y",  # by a caller that no profile offers it
             "details_not_offered": "grant_type=client_credentials&resource=x:y&authorization_details=%5B%5D",
             "invalid_dpop_proof": PROVEN + "&with=nothing",
             "use_dpop_nonce": PROVEN,
             "token_refused": EXCHANGE % "x",
             "trust_unavailable": (EXCHANGE % AWAY).replace("access_token", "jwt"),
             "delegation_refused": EXCHANGE}

    def token(self, form):
        certificate = self.filler if form == self.OAUTH["grant_not_allowed"] else None
        if form == EXCHANGE:
            form = EXCHANGE % self.exchanged_often()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if form.startswith(PROVEN):
            headers["DPoP"] = Prover(self.service).proof() if form == PROVEN else "nothing"
        return self.ask("POST", TOKEN, form, headers, certificate)

    def exchanged_often(self):
        if not self.exchanged:
            self.exchanged = self.service.mint().json["credential"]
            for _ in range(4):
                self.exchanged = self.token(EXCHANGE % self.exchanged).answer.json["access_token"]
        return self.exchanged

    # ---- by the members of a request ----

    MEMBERS = {
        "unknown_member": {"surprise": 1}, "wrong_type": {"audience": 7}, "unknown_profile": {"profile": "nobody"},
        "invalid_subject": {"subject": "x"}, "subject_not_allowed": {"subject": "spiffe://other.test/agent/first"},
        "invalid_audience": {"audience": []}, "audience_not_allowed": {"audience": "https://elsewhere.test"},
        "invalid_scope": {"scope": ""}, "scope_not_allowed": {"scope": "admin"}, "lifetime_not_allowed": {"lifetime": 901},
        "claim_not_allowed": {"claims": {"other": 1}}, "invalid_claim": {"claims": {"session": 1}},
        "missing_claim": {"profile": "claiming"}, "claims_too_large": {"profile": "claiming", "claims": {"team": "t", "long": "x" * 4090}},
        "invalid_context": {"context": {"a": "x" * 1024}}, "caller_not_allowed": {"profile": "others"},
        "key_proof_required": {"profile": "bound"},
        "unknown_agent": {"profile": "unregistered", "subject": "spiffe://demo.test/nobody/one"},
        "agent_unowned": {"subject": AGENT + "unowned"}, "agent_review_due": {"subject": AGENT + "due"},
        "agent_suspended": {"subject": AGENT + "suspended"}, "agent_retired": {"subject": AGENT + "retired"},
        "agent_limit": {"subject": AGENT + "limited", "scope": "read"},
    }

    def provoke_missing_member(self):
        return self.mint({"subject": SUBJECT})

    # ---- by the request itself ----

    def provoke_bad_request(self):
        return self.ask("GET", "/healthz?x=1")

    def provoke_invalid_header(self):
        return self.mint(REQUEST, headers={"Deadline-Ms": "soon"})

    def provoke_not_found(self):
        return self.ask("GET", "/nobody/.well-known/jwks.json")

    def provoke_method_not_allowed(self):
        return self.ask("GET", MINT)

    def provoke_length_required(self):
        connection = self.service.unix()
        connection.putrequest("POST", MINT)
        connection.putheader("Content-Type", "application/json")
        connection.endheaders()
        answer = Answer(connection.getresponse(), self.service)
        connection.close()
        return Provoked("POST", MINT, answer)

    def provoke_body_too_large(self):
        return self.mint(b" " * 65000)

    def provoke_unsupported_media_type(self):
        return self.mint("{}", headers={"Content-Type": "text/plain"})

    def provoke_malformed_json(self):
        return self.mint("{")

    def provoke_malformed_form(self):
        return self.ask("POST", "/oauth2/introspect", "token", {"Content-Type": "application/x-www-form-urlencoded"})

    def provoke_invalid_utf8(self):
        return self.mint(b'{"profile":"\xff"}')

    def provoke_duplicate_member(self):
        return self.mint('{"profile":"a","profile":"b"}')

    def provoke_too_deep(self):
        return self.mint("[" * 9 + "]" * 9)

    def provoke_invalid_batch(self):
        return self.ask("POST", BATCH, {"requests": []})

    def provoke_invalid_kind(self):
        """The batch's own status is 200: what counts is the answer in it."""
        found = self.ask("POST", BATCH, {"requests": [dict(REQUEST, kind="ssh")]})
        found.problem = found.answer.json["replies"][0]
        return found

    # ---- by who calls ----

    def provoke_certificate_required(self):
        return self.mint(REQUEST, certificate=False)

    def provoke_certificate_refused(self):
        return self.mint(REQUEST, certificate=self.foreign)

    def provoke_unknown_caller(self):
        return self.mint(REQUEST, certificate=self.unknown)

    def provoke_unknown_issuer(self):
        return self.ask("GET", "/v1/agents?issuer=nowhere")

    def provoke_proof_required(self):
        return self.ask("POST", "/v1/revocations", {"subject": SUBJECT})

    def provoke_signature_refused(self):
        return self.ask("GET", "/v1/agents", headers={"Signature": "hsmint=:AA==:"})

    def provoke_role_missing(self):
        return self.ask("GET", "/metrics", certificate=self.other)

    # ---- by what is registered ----

    def sign(self, method, path, body=None):
        """With an HTTP signature, as who governs does."""
        signer = Signer(self.service, (self.service.ready["cert"], self.service.ready["key"]))
        return Provoked(method, path, signer.ask(method, path, body))

    def provoke_no_agent(self):
        return self.ask("GET", AGENTS + "/" + "x" * 22)

    def provoke_agent_exists(self):
        return self.sign("POST", AGENTS, {"spiffe_id": AGENT + "due", "owner": "team-b", "purpose": "testing", "review": 1 << 40})

    def provoke_agent_state(self):
        retired = self.ask("GET", AGENTS + "?spiffe_id=" + AGENT + "retired").problem["agents"][0]
        return self.sign("POST", "%s/%s/resume" % (AGENTS, retired["id"]), {})

    # ---- by what was before ----

    def provoke_idempotency_mismatch(self):
        self.mint(REQUEST, headers={"Idempotency-Key": "mismatch"})
        return self.mint(dict(REQUEST, lifetime=60), headers={"Idempotency-Key": "mismatch"})

    def provoke_replay_withdrawn(self):
        def again():
            found = self.mint(dict(REQUEST, lifetime=1), headers={"Idempotency-Key": "withdrawn"})
            return found if found.answer.status != 200 else None
        return again() or wait_for(again, "the credential to expire")

    def provoke_rate_limited(self):
        self.mint(dict(REQUEST, profile="rated"))
        return self.mint(dict(REQUEST, profile="rated"))

    def provoke_idempotency_full(self):
        """Fill the memory for the keys of a caller that asks for nothing else."""
        def fill():
            found = self.mint(LARGE, headers=self.new_key(), certificate=self.filler)
            if found.answer.status != 200:
                return found
            self.ask("POST", BATCH, {"requests": [dict(LARGE, kind="jwt")] * LARGE_IN_BATCH}, headers=self.new_key(),
                     certificate=self.filler)
            return None
        return wait_for(fill, "the memory to be full", 3 * PATIENCE)

    def new_key(self):
        return {"Idempotency-Key": "filler-%d" % next(self.key)}

    # ---- by what the service meets ----

    def provoke_overload(self):
        """One large body more than are held at once; those before it never come."""
        connections = [self.service.unix() for _ in range(LARGE_BODIES_MAX)]
        try:
            for connection in connections:
                self.send_headers(connection, BATCH, BODY_MAX + 1)

            def one_more():
                found = self.ask("POST", BATCH, b" " * (BODY_MAX + 1))
                return found if found.answer.status == 503 else None
            return wait_for(one_more, "all large bodies to be announced")
        finally:
            for connection in connections:
                connection.close()

    def provoke_shutting_down(self):
        """A request whose headers came before a service of its own was told to stop, and its body after."""
        service = start_dev(self.leaving)
        connection = service.unix()
        try:
            service.ask("GET", "/healthz", connection=connection)  # then the gate has taken the connection
            body = json.dumps(REQUEST).encode()
            self.send_headers(connection, MINT, len(body))
            service.process.send_signal(signal.SIGTERM)
            wait_for(lambda: "stopping" in service.log(), "the service to be stopping")
            connection.send(body)
            return Provoked("POST", MINT, Answer(connection.getresponse(), service))
        finally:
            connection.close()
            service.stop()

    @staticmethod
    def send_headers(connection, path, length):
        connection.putrequest("POST", path)
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(length))
        connection.endheaders()

    def ctl(self, *arguments):
        self.service.command("dev", "ctl", "--control", self.service.control, *arguments)

    FAULTS = ("internal",)

    def fault(self, code):
        self.ctl("refuse", code, "30s")
        found = self.mint(REQUEST)
        self.ctl("off")
        return found

    def provoke_token_unavailable(self):
        self.ctl("token-down", "10s")
        found = self.mint(REQUEST, headers={"Deadline-Ms": "300"})
        self.ctl("off")
        self.service.wait_ready()
        return found

    def provoke_deadline(self):
        self.ctl("slow", "400ms")

        def late():  # behind a checkpoint there is no time from the start, which is another problem
            found = self.mint(REQUEST, headers={"Deadline-Ms": "30"})
            return found if found.problem["code"] == "deadline" else None
        found = wait_for(late, "the token to be free")
        self.ctl("off")
        wait_for(lambda: not self.service.status()["pending"], "the token to be done")
        return found

    def provoke_checkpoint_pending(self):
        """What is recorded while the token that signs checkpoints is away."""
        self.ctl("token-down", "60s")

        def pending():
            checkpoint = self.service.ask("GET", "/ledger/1/checkpoint")
            size = int(checkpoint.body.split(b"\n")[1]) if checkpoint.status == 200 else 0
            found = self.ask("GET", "/v1/ledger/proof/%d" % size)
            return found if found.answer.status == 503 else None
        try:
            return wait_for(pending, "an entry behind the checkpoint")
        finally:
            self.ctl("off")
            self.service.wait_ready()

    def provoke_ledger_unavailable(self):
        """A service of its own, whose ledger fills its disk."""
        start_dev(self.full).stop()
        service = start_dev(self.full, before=small_disk(self.full + "/ledger", "512k"))

        def fill():
            answer = service.mint()
            if answer.status != 200:
                return Provoked("POST", MINT, answer)
            service.ask("POST", BATCH, {"requests": [dict(REQUEST, kind="jwt")] * 100})
            return None
        try:
            return wait_for(fill, "the disk to be full")
        finally:
            service.stop()

    def provoke_clock_stepped(self):
        """A service of its own, that was stepped when it ended."""
        directory = self.full + "-clock"
        start_dev(directory).stop()
        with open(os.path.join(directory, "state", "clock"), "w"):
            pass
        service = start_serve(os.path.join(directory, "hsmint.yaml"), directory, wait=False)

        def ask():
            try:
                return Provoked("POST", MINT, service.mint())
            except (FileNotFoundError, ConnectionError):  # there is no gate yet
                return None
        try:
            return wait_for(ask, "an answer")
        finally:
            service.stop()

    @staticmethod
    def once(code, ask):
        """Asked again until its time is over: the service's clock says when, and may be a little behind ours."""
        def found():
            answer = ask()
            return answer if answer.problem.get("code") == code else None
        return wait_for(found, code)

    # ---- by a task ----

    def open_task(self, **members):
        return self.ask("POST", TASKS, dict({"agent": SUBJECT, "purpose": "testing"}, **members))

    def act_on_task(self, task, act):
        return self.ask("POST", "%s/%s/%s" % (TASKS, task.problem["id"], act), {})

    def mint_under(self, task):
        return self.mint(dict(REQUEST, task=task.problem["id"]))

    def provoke_invalid_member(self):
        return self.open_task(ref="")

    def provoke_unknown_task(self):
        return self.ask("GET", TASKS + "/" + "x" * 22)

    def provoke_task_paused(self):
        task = self.open_task()
        self.act_on_task(task, "pause")
        return self.mint_under(task)

    def provoke_task_ended(self):
        task = self.open_task()
        self.act_on_task(task, "complete")
        return self.mint_under(task)

    def provoke_task_expired(self):
        task = self.open_task(lifetime=1)
        wait_for(lambda: self.ask("GET", "%s/%s" % (TASKS, task.problem["id"])).problem["state"] == "expired", "its end")
        return self.mint_under(task)

    def provoke_task_state(self):
        task = self.open_task()
        self.act_on_task(task, "complete")
        return self.act_on_task(task, "resume")

    def provoke_task_mismatch(self):
        self.open_task(ref="mismatch")
        return self.open_task(ref="mismatch", scopes=["read"])

    def provoke_task_too_deep(self):
        task = self.open_task()
        for _ in range(7):
            task = self.open_task(parent=task.problem["id"])
        return self.open_task(parent=task.problem["id"])

    # ---- by what governs ----

    def govern(self, method, path, body=None):
        """Over the control socket, proven; the answer's body."""
        return self.control({"command": "api", "method": method, "path": path, "body": body or {}}).get("body")

    def provoke_agent_limit(self):
        agent = "spiffe://demo.test/agent/limited"
        self.govern("POST", "/v1/agents", {"spiffe_id": agent, "owner": "o@demo.test", "purpose": "test",
                                           "review": int(time.time()) + 3600, "limits": {"scopes": ["read"]}})
        return self.mint(dict(REQUEST, subject=agent, scope="write"))

    def provoke_task_limit(self):
        task = self.open_task(scopes=["read"])
        return self.mint(dict(REQUEST, task=task.problem["id"], scope="write"))

    def provoke_revoked_meanwhile(self):
        """While the token signs for it, all that was issued to its subject is revoked."""
        agent = "spiffe://demo.test/agent/meanwhile"
        self.mint(dict(REQUEST, subject=agent))
        self.ctl("slow", "1500ms")
        with ThreadPoolExecutor(1) as pool:
            found = pool.submit(self.mint, dict(REQUEST, subject=agent))
            wait_for(lambda: self.service.status()["pending"], "the token to be at work")
            self.govern("POST", "/v1/revocations", {"subject": agent})
            self.ctl("off")
            return found.result()

    def provoke_revoke_task_instead(self):
        if not self.shared:
            task = self.open_task()
            self.shared = self.mint({"profile": "demo-task", "subject": SUBJECT, "audience": AUDIENCE,
                                     "task": task.problem["id"]}).problem["credential"]
        return self.ask("POST", "/oauth2/revoke", "token=" + self.shared,
                        headers={"Content-Type": "application/x-www-form-urlencoded"})

    def with_policy(self, answer):
        """Ask a service of its own, beside which a decision point says this to everything; None: it is not there."""
        directory = self.leaving + "-policy"
        if not os.path.exists(directory):
            start_dev(directory).stop()
            with open(os.path.join(directory, "hsmint.yaml"), "a") as out:
                out.write("policy: {engine: authzen, url: \"http://localhost\", socket: pdp.sock, deadline_ms: 4000}\n")
        service = start_dev(directory)
        point = DecisionPoint(os.path.join(directory, "pdp.sock"), answer) if answer else None
        try:
            return Provoked("POST", MINT, service.mint())
        finally:
            if point:
                point.shutdown()
                point.server_close()
                os.unlink(os.path.join(directory, "pdp.sock"))
            service.stop()

    def provoke_policy_denied(self):
        return self.with_policy(b'{"decision": false}')

    def provoke_policy_unavailable(self):
        return self.with_policy(None)

    def provoke_store_unavailable(self):
        """A service of its own, whose register of agents fills its disk."""
        directory = "%s-store-%d" % (self.full, next(self.key))
        start_dev(directory).stop()
        shutil.rmtree(directory + "/ledger")  # it knows that there was more in the store than on an empty disk
        service = start_dev(directory, before=small_disk(directory + "/state", "512k"))
        names = itertools.count()

        def fill():
            found = [service.mint(subject="spiffe://demo.test/agent/%04d%s" % (next(names), "x" * 1800)) for _ in range(8)]
            return next((Provoked("POST", MINT, answer) for answer in found if answer.status != 200), None)
        try:
            return wait_for(fill, "the disk to be full")
        finally:
            service.stop()

    # ---- by an approval ----

    APPROVED = dict(REQUEST, profile="demo-task", scope="admin", task={"ref": "approved", "purpose": "testing"})

    def ask_for_approval(self, body):
        found = self.mint(body)
        assert found.answer.status == 202, found.problem
        return found.problem["approval"]["id"]

    def approve(self, approval, act="grant", caller="approver"):
        tls = os.path.join(self.service.directory, "tls", caller)
        path = "/v1/approvals/%s/%s" % (approval, act)
        return Provoked("POST", path, Signer(self.service, (tls + ".crt", tls + ".key")).ask("POST", path, {}))

    def mint_approved(self, **members):
        return self.mint(dict(self.APPROVED, **members))

    def provoke_unknown_approval(self):
        return self.mint_approved(approval="x" * 22)

    def provoke_approval_mismatch(self):
        return self.mint_approved(approval=self.ask_for_approval(self.APPROVED), lifetime=60)

    def provoke_approval_pending(self):
        return self.mint_approved(approval=self.ask_for_approval(self.APPROVED))

    def provoke_approval_denied(self):
        approval = self.ask_for_approval(self.APPROVED)
        self.approve(approval, "deny")
        return self.mint_approved(approval=approval)

    def provoke_approval_used(self):
        if not self.used:
            self.used = self.ask_for_approval(self.APPROVED)
            self.approve(self.used)
            assert self.mint_approved(approval=self.used).answer.status == 200
        return self.mint_approved(approval=self.used)

    def provoke_approval_expired(self):
        hasty = dict(REQUEST, profile="hasty")
        found = self.mint(hasty).problem["approval"]
        return self.once("approval_expired", lambda: self.mint(dict(hasty, approval=found["id"])))

    def provoke_approver_not_allowed(self):
        return self.approve(self.ask_for_approval(self.APPROVED), caller="client")

    # ---- by an operator ----

    def control(self, command):
        """The reply's JSON, over the control socket."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.settimeout(20)
            sock.connect(self.service.control)
            frames.send(sock, frames.frame(frames.CONTROL_REQUEST, json.dumps(command).encode(), 1))
            return json.loads(frames.split(frames.receive(sock)[0])[2])

    COMMANDS = {
        "unknown_command": {"command": "dance"},
        "unknown_token": {"command": "token-unlatch", "token": "nobody"},
        "unknown_key": {"command": "key-activate", "key": "nobody"},
        "unknown_human": {"command": "ledger-forget", "human": "nobody@example.org"},
        "key_refused": {"command": "key-adopt", "key": "demo-access", "label": "not in the token"},
        "unlock_refused": {"command": "token-unlock", "token": "soft"},
        "key_state": {"command": "key-retire", "key": "demo-access", "version": 1},
    }
    CONTROL = (*COMMANDS, "reload_refused")

    def over_control(self, code):
        """What only operators meet."""
        if code in self.COMMANDS:
            return self.control(self.COMMANDS[code])
        whole = read(self.config)
        with open(self.config, "w") as out:
            out.write("surprise: 1\n")
        told = self.control({"command": "reload"})
        with open(self.config, "w") as out:
            out.write(whole)
        return told
