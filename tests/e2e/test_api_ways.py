# SPDX-License-Identifier: Apache-2.0
"""Who may do what by which way in: every operation of the table in docs/governance.md, by callers with each of the roles,
by each way; and a gate that lies about who calls."""
import base64
import hashlib
import json
import os
import re
import shutil
import socket
import tempfile
import time
import unittest

import frames
import http_signature
import ledger_entries
from certificates import Authority
from harness import AUDIENCE, PATIENCE, SUBJECT, Case, edit, run, start_dev, start_serve
from http_signature import ask_over_tls
from test_wrong_children import WrongChild

ROLES = ("mint", "task", "audit", "register", "approve", "revoke", "operate")
STRANGER = "stranger"  # with a certificate that is trusted and a uid, and no caller
FIRST_UID = 60001
GOVERNANCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "governance.md")
REVIEW = int(time.time()) + 1000000


def uri_of(role):
    return "spiffe://demo.test/role/" + role


def uid_of(role):
    return FIRST_UID + (ROLES + (STRANGER,)).index(role)


# ---- the page ----

def paths_of(operation, cell):
    """`POST /v1/tasks/{id}/pause`, … stands for one path a word of the operation's name."""
    method, path = re.match(r"`(GET|POST) (/[^`]*)`", cell).groups()
    found = [path]
    for other in re.findall(r"`(/[^`]*)`", cell):
        found.append(other if other.startswith("/v1/") else os.path.dirname(path) + other)
    if "…" in cell:
        found += [os.path.dirname(path) + "/" + word for word in operation.split(", ")[1:]]
    return [(method, path) for path in found]


def roles_of(cell, other):
    if cell == "-":
        return ()
    if cell == "any caller":
        return ROLES
    if cell == "the same":
        return other
    return tuple(part.split()[0] for part in re.split("[,;] ", re.sub(r"\([^)]*\)", "", cell)))


def read_table():
    """{(method, path): (roles through gate, roles when proven)}"""
    with open(GOVERNANCE) as file:
        section = file.read().split("## Who may do what\n")[1].split("\n## ")[0]
    table = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 4 or "`" not in cells[1]:
            continue
        gate = roles_of(cells[2], ())
        for route in paths_of(cells[0], cells[1]):
            table[route] = gate, roles_of(cells[3], gate)
    return table


TABLE = read_table()


class ControlAnswer:
    """What the control socket says, as an HTTP answer has it."""

    def __init__(self, reply):
        self.json = reply["body"] if reply.get("ok") else reply
        self.status = reply["status"]
        self.body = json.dumps(self.json).encode()


def ask_control(path, uid, method, target, body=None):
    """The kernel tells mint the effective uid at connect."""
    command = {"command": "api", "method": method, "path": target, **({} if body is None else {"body": body})}
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.settimeout(PATIENCE)
    try:
        own = os.geteuid()
        if uid != own:
            os.seteuid(uid)
        try:
            sock.connect(path)
        finally:
            if uid != own:
                os.seteuid(own)
        try:
            sock.send(frames.frame(frames.CONTROL_REQUEST, json.dumps(command).encode(), 1))
        except BrokenPipeError:
            pass  # turned away already: the answer is there
        data, _ = frames.receive(sock)
        return ControlAnswer(json.loads(frames.split(data)[2]))
    finally:
        sock.close()


class Governed(Case):
    """A service with a caller for each role, each known by certificate and by uid."""

    @classmethod
    def setUpClass(cls):
        cls.shared = tempfile.mkdtemp(prefix="hsmint-")
        cls.addClassCleanup(shutil.rmtree, cls.shared, True)
        cls.public = tempfile.mkdtemp(prefix="hsmint-")
        cls.addClassCleanup(shutil.rmtree, cls.public, True)
        os.chmod(cls.public, 0o755)
        directory = os.path.join(cls.shared, "dev")
        start_dev(directory).stop()
        config = os.path.join(directory, "hsmint.yaml")
        edit(config, "control: control.sock", "control: %s/control.sock" % cls.public)
        with open(config) as file:
            text = file.read()
        with open(config, "w") as file:
            file.write(text.replace("    callers: [demo]\n", "    callers: [demo, mint]\n"))
            file.writelines("  - {name: %s, issuer: demo, uri: '%s', uid: %d, roles: [%s]}\n" % (
                role, uri_of(role), uid_of(role), role) for role in ROLES)
        cls.service = start_serve(config, directory, wait=False)
        cls.service.control = cls.public + "/control.sock"
        cls.addClassCleanup(cls.service.stop)
        cls.service.wait_ready()
        authority = Authority(cls.shared, "ca", made_by_dev=directory)
        cls.certs = {role: authority.issue(role, ["URI:" + uri_of(role)]) for role in ROLES + (STRANGER,)}
        cls.signers = {role: http_signature.Signer(cls.service, cls.certs[role]) for role in cls.certs}
        cls.number = 0

    # ---- the ways in ----

    def through_gate(self, role, method, target, body=None, form=False):
        content, headers = self.content(method, body, form)
        return ask_over_tls(self.service, self.certs[role], method, target, content, headers)

    @staticmethod
    def content(method, body, form):
        kind = "application/x-www-form-urlencoded" if form else "application/json"
        if method == "GET":
            return None, {}
        return ("", {"Content-Length": "0"}) if body is None else (body if form else json.dumps(body), {"Content-Type": kind})

    def signed(self, role, method, target, body=None, form=False):
        nonce = self.signers["audit"].nonce()  # whoever asked for it
        return self.signers[role].ask(method, target, body, form, nonce=nonce)

    def control(self, role, method, target, body=None, form=False):
        if form:
            body = dict(pair.split("=", 1) for pair in body.split("&"))
        uid = os.geteuid() if role == "demo" else uid_of(role)
        return ask_control(self.service.control, uid, method, target, body)

    def govern(self, method, target, body=None, role="demo"):
        """By the caller who has every role, over the control socket; what it answers."""
        answer = self.control(role, method, target, body)
        self.assertIn(answer.status, (200, 201, 202), answer.body)
        return answer.json

    # ---- what is there to be done something to ----

    def fresh(self, what):
        type(self).number += 1
        return "%s-%d" % (what, self.number)

    def new_agent(self):
        return {"spiffe_id": "spiffe://demo.test/own/" + self.fresh("agent"), "owner": "owner@demo.test", "purpose": "a test",
                "review": REVIEW}

    def agent(self, *acts):
        made = self.govern("POST", "/v1/agents", self.new_agent())
        for act in acts:
            self.govern("POST", "/v1/agents/%s/%s" % (made["id"], act), {})
        return made["id"]

    def task(self, caller, *acts):
        """Of a caller with the role task; acts are done through gate, so that none is held."""
        body = {"agent": SUBJECT, "purpose": "a test"}
        if caller == "task":
            made = self.through_gate("task", "POST", "/v1/tasks", body)
        else:
            made = self.service.ask("POST", "/v1/tasks", body)
        self.assertEqual(made.status, 201, made.body)
        for act in acts:
            path = "/v1/tasks/%s/%s" % (made.json["id"], act)
            done = self.through_gate("task", "POST", path) if caller == "task" else self.service.ask("POST", path, {})
            self.assertEqual(done.status, 200, done.body)
        return made.json["id"]

    def mint(self, caller, **members):
        body = {"profile": "demo-access", "subject": SUBJECT, "audience": AUDIENCE, **members}
        if caller == "mint":
            return self.through_gate("mint", "POST", "/v1/mint/jwt", body)
        return self.service.ask("POST", "/v1/mint/jwt", body)

    def approval(self, caller):
        answer = self.mint(caller, profile="demo-task", scope="admin",
                           task={"ref": self.fresh("ref"), "purpose": "a test"})
        self.assertEqual(answer.status, 202, answer.body)
        return answer.json["approval"]["id"]

    def credential(self, caller):
        answer = self.mint(caller)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json

    def request_for(self, method, path, role):
        """One that can be done: target, body and whether that is a form. Of what may be its own, it is this role's."""
        owner = role if role in ("mint", "task") else "demo"
        made = {
            ("POST", "/v1/agents"): lambda: (path, self.new_agent()),
            ("POST", "/v1/agents/import"): lambda: (path, {"agents": [self.new_agent(), self.new_agent()]}),
            ("GET", "/v1/agents"): lambda: (path + "?limit=3", None),
            ("GET", "/v1/agents/{id}"): lambda: (self.agent(), None),
            ("POST", "/v1/agents/{id}/suspend"): lambda: (self.agent(), {"reason": "a test"}),
            ("POST", "/v1/agents/{id}/resume"): lambda: (self.agent("suspend"), None),
            ("POST", "/v1/agents/{id}/retire"): lambda: (self.agent(), None),
            ("POST", "/v1/agents/{id}/transfer"): lambda: (self.agent(), {"owner": "other@demo.test"}),
            ("POST", "/v1/tasks"): lambda: (path, {"agent": SUBJECT, "purpose": "a test", "ref": self.fresh("ref")}),
            ("GET", "/v1/tasks"): lambda: (path + "?limit=3", None),
            ("GET", "/v1/tasks/{id}"): lambda: (self.task(owner), None),
            ("POST", "/v1/tasks/{id}/pause"): lambda: (self.task(owner), None),
            ("POST", "/v1/tasks/{id}/complete"): lambda: (self.task(owner), {"reason": "done"}),
            ("POST", "/v1/tasks/{id}/cancel"): lambda: (self.task(owner, "pause"), None),
            ("POST", "/v1/tasks/{id}/resume"): lambda: (self.task(owner, "pause"), None),
            ("GET", "/v1/approvals"): lambda: (path + "?limit=3", None),
            ("GET", "/v1/approvals/{id}"): lambda: (self.approval(owner), None),
            ("POST", "/v1/approvals/{id}/grant"): lambda: (self.approval(owner), None),
            ("POST", "/v1/approvals/{id}/deny"): lambda: (self.approval(owner), {"reason": "no"}),
            ("POST", "/v1/revocations"): lambda: (path, {"subject": "spiffe://demo.test/agent/" + self.fresh("gone")}),
            ("GET", "/v1/revocations"): lambda: (path + "?limit=3", None),
            ("POST", "/v1/policy/explain"): lambda: (path, {"caller": "mint", "request": {
                "profile": "demo-access", "subject": SUBJECT, "audience": AUDIENCE}}),
            ("POST", "/v1/nonces"): lambda: (path, None),
            ("POST", "/oauth2/introspect"): lambda: (path, "token=" + self.credential(owner)["credential"]),
            ("POST", "/oauth2/revoke"): lambda: (path, "token=" + self.credential(owner)["credential"]),
        }[method, path]()
        target = path.replace("{id}", made[0]) if "{id}" in path else made[0]
        return target, made[1], path.startswith("/oauth2/")


WAYS = ("through_gate", "signed", "control")


class Matrix(Governed):
    """What may be done succeeds; what may not changes nothing."""

    @staticmethod
    def expected(method, path, role, way):
        """The code of the refusal; None: it is done."""
        gate, proven = TABLE[method, path]
        if role == STRANGER:
            return "unknown_caller"
        if role in (gate if way == "through_gate" else proven):
            return None
        if way == "through_gate" and role in proven:
            return "proof_required"
        return "not_found" if way != "through_gate" and not proven else "role_missing"

    def test_the_page_has_a_row_for_each_operation_and_no_other(self):
        self.assertEqual(len(TABLE), 25)
        for method, path in TABLE:
            self.request_for(method, path, "demo")

    def sequence(self):
        """Of the store: it rises with each act."""
        ledger = os.path.join(self.service.directory, "ledger")
        acts = [entry for entry in ledger_entries.entries(ledger) if "sequence" in entry and "actor" in entry]
        return max((entry["sequence"] for entry in acts), default=0)

    def check_row(self, method, path, ways):
        target, body, form = self.request_for(method, path, "demo")
        self.agent()  # when that is recorded, all before it is
        before = self.sequence()
        for way in ways:
            for role in ROLES + (STRANGER,):
                code = self.expected(method, path, role, way)
                if not code:
                    continue
                with self.subTest(method + " " + path, role=role, way=way):
                    answer = getattr(self, way)(role, method, target, body, form)
                    self.assertEqual((answer.status, answer.json.get("code")), (404 if code == "not_found" else 403, code))
        self.assertEqual(self.sequence(), before, "what was refused is not done")
        for way in ways:
            for role in ROLES:
                if self.expected(method, path, role, way):
                    continue
                with self.subTest(method + " " + path, role=role, way=way):
                    answer = getattr(self, way)(role, method, *self.request_for(method, path, role))
                    self.assertIn(answer.status, (200, 201), answer.body)

    @unittest.skipIf(os.geteuid() != 0, "becoming other users needs root")
    def test_every_operation_by_every_role_and_way(self):
        for method, path in TABLE:
            self.check_row(method, path, WAYS)

    @unittest.skipIf(os.geteuid() == 0, "done with the control socket")
    def test_every_operation_by_every_role_and_way_but_the_control_socket(self):
        for method, path in TABLE:
            self.check_row(method, path, WAYS[:2])


class Own(Governed):
    """What a role may do to its own is not done to that of others."""

    def test_the_role_task_sees_and_changes_its_own_tasks_alone(self):
        others = self.task("demo")
        for way in WAYS[:2]:
            ask = getattr(self, way)
            self.assertEqual(ask("task", "GET", "/v1/tasks/" + others).status, 404)
            self.assertNotIn(others, ask("task", "GET", "/v1/tasks?limit=1000").body.decode())
            for act in ("pause", "resume", "complete", "cancel"):
                self.assertEqual(ask("task", "POST", "/v1/tasks/%s/%s" % (others, act)).status, 404, act)
        self.assertEqual(self.govern("GET", "/v1/tasks/" + others)["state"], "open")

    def test_a_task_that_somebody_proven_paused_is_not_resumed_through_gate(self):
        held = self.task("task")
        self.assertEqual(self.signed("operate", "POST", "/v1/tasks/%s/pause" % held).json["held"], True)
        answer = self.through_gate("task", "POST", "/v1/tasks/%s/resume" % held)
        self.assertEqual((answer.status, answer.json["code"]), (409, "task_state"))
        self.assertEqual(self.signed("task", "POST", "/v1/tasks/%s/resume" % held).json["state"], "open")

    def test_the_role_mint_sees_its_own_approvals_alone(self):
        own, others = self.approval("mint"), self.approval("demo")
        for way in WAYS[:2]:
            ask = getattr(self, way)
            self.assertEqual(ask("mint", "GET", "/v1/approvals/" + own).json["id"], own)
            self.assertEqual(ask("mint", "GET", "/v1/approvals/" + others).status, 404)
            listed = ask("mint", "GET", "/v1/approvals?limit=1000").body.decode()
            self.assertIn(own, listed)
            self.assertNotIn(others, listed)

    def test_an_entry_says_who_did_it_and_how_that_was_proven(self):
        done = {}
        for way in WAYS if os.geteuid() == 0 else WAYS[:2]:
            done[self.task("task")] = way
        for task, way in done.items():
            self.assertEqual(getattr(self, way)("task", "POST", "/v1/tasks/%s/cancel" % task).status, 200)
        entries = ledger_entries.entries(os.path.join(self.service.directory, "ledger"))
        for entry in entries:
            if entry.get("type") == "task" and entry["task"] in done and entry["state"] == "cancelled":
                way = done.pop(entry["task"])
                self.assertEqual((entry["actor"], entry["issuer"], entry["way"]),
                                 ("task", "demo", "gate" if way == "through_gate" else way))
                self.assertEqual(entry.get("uid"), uid_of("task") if way == "control" else None)
                self.assertGreater(entry["sequence"], 0)
        self.assertEqual(done, {})


class Signatures(Governed):
    """RFC 9421 as a client sends it."""

    def refused(self, answer, field):
        self.assertEqual((answer.status, answer.json["code"], answer.json["field"]), (403, "signature_refused", field), answer.body)

    def test_keys_of_other_kinds(self):
        authority = Authority(self.shared, "ca", made_by_dev=self.service.directory)
        for kind, options in (("ed25519", ["-newkey", "ed25519"]), ("rsa", ["-newkey", "rsa:2048"]),
                              ("p384", ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"])):
            with self.subTest(kind):
                path = os.path.join(self.work, kind)
                with open(path + ".ext", "w") as out:
                    out.write("extendedKeyUsage=clientAuth\nsubjectAltName=URI:%s\n" % uri_of("audit"))
                run(["openssl", "req", "-new", *options, "-nodes", "-keyout", path + ".key", "-out", path + ".csr", "-subj",
                     "/CN=" + kind])
                run(["openssl", "x509", "-req", "-in", path + ".csr", "-CA", authority.cert, "-CAkey", authority.key,
                     "-CAcreateserial", "-out", path + ".crt", "-days", "30", "-extfile", path + ".ext"])
                signer = http_signature.Signer(self.service, (path + ".crt", path + ".key"))
                self.assertEqual(signer.ask("GET", "/v1/agents?limit=2").status, 200)

    def test_a_request_that_is_sent_twice_is_done_once(self):
        signer = self.signers["register"]
        body = json.dumps(self.new_agent()).encode()
        headers = http_signature.headers(signer.key, "POST", "/v1/agents", body, signer.nonce())
        first = ask_over_tls(self.service, signer.cert, "POST", "/v1/agents", body, headers)
        self.assertEqual(first.status, 201, first.body)
        self.refused(ask_over_tls(self.service, signer.cert, "POST", "/v1/agents", body, headers), "nonce")

    def test_what_was_not_signed_is_refused(self):
        signer = self.signers["register"]
        body = json.dumps(self.new_agent()).encode()
        headers = http_signature.headers(signer.key, "POST", "/v1/agents", body, signer.nonce())

        def ask(cert=None, content=body, **changed):
            return ask_over_tls(self.service, cert or signer.cert, "POST", "/v1/agents", content,
                                {name: value for name, value in {**headers, **changed}.items() if value})
        self.refused(ask(content=body[:-1] + b" }"), "Content-Digest")
        self.refused(ask(self.certs["revoke"]), "Signature")
        self.refused(ask(**{"Signature": None}), "Signature")
        self.refused(ask(**{"Signature-Input": None}), "Signature-Input")
        self.refused(ask(**{"Signature-Input": headers["Signature-Input"] + ";keyid=\"x\""}), "Signature-Input")
        other = hashlib.sha256(b"{}").digest()
        self.refused(ask(content=b"{}", **{"Content-Digest": "sha-256=:%s:" % base64.b64encode(other).decode()}), "Signature")
        self.assertEqual(ask().status, 201, "none of them used its nonce up")

    def test_times_and_nonces(self):
        signer = self.signers["audit"]
        now = int(time.time())
        self.refused(signer.ask("GET", "/v1/tasks", created=now - 100), "created")
        self.refused(signer.ask("GET", "/v1/tasks", created=now + 100), "created")
        self.refused(signer.ask("GET", "/v1/tasks", nonce="A" * 22), "nonce")
        self.refused(signer.ask("GET", "/v1/tasks", alg="ecdsa-p384-sha384"), "alg")

    def test_over_the_unix_socket_there_is_no_certificate(self):
        signer = self.signers["audit"]
        headers = http_signature.headers(signer.key, "GET", "/v1/tasks", b"", signer.nonce())
        self.refused(self.service.ask("GET", "/v1/tasks", headers=headers), "certificate")


class LyingGate(WrongChild):
    """A gate that was taken over names whom it likes, and shows certificates and signatures that it saw or made."""

    def serve(self):
        def add_callers(config):
            with open(config, "a") as out:
                out.writelines("  - {name: %s, issuer: demo, uri: '%s', uid: %d, roles: [%s]}\n" % (
                    role, uri_of(role), uid_of(role), role) for role in ROLES)
        self.serve_with("hsmint-gate", add_callers)
        authority = Authority(self.work, "ca", made_by_dev=self.service.directory)
        self.cert = authority.issue("register", ["URI:" + uri_of("register")])

    def govern(self, method, target, body=None):
        answer = ask_control(self.service.control, os.geteuid(), method, target, body)
        self.assertIn(answer.status, (200, 201), answer.body)
        return answer.json

    def acts(self):
        """Every one that needs a proof, on things that are there."""
        agent = self.govern("POST", "/v1/agents", {"spiffe_id": "spiffe://demo.test/own/target", "owner": "o@demo.test",
                                                   "purpose": "a test", "review": REVIEW})["id"]
        asked = self.service.mint(profile="demo-task", scope="admin", task={"ref": "target", "purpose": "a test"})
        self.assertEqual(asked.status, 202, asked.body)
        task = self.govern("POST", "/v1/tasks", {"agent": SUBJECT, "purpose": "a test"})["id"]
        bodies = {"/v1/agents": {"spiffe_id": "spiffe://demo.test/own/x", "owner": "o", "purpose": "p", "review": REVIEW},
                  "/v1/agents/import": {"agents": [{"spiffe_id": "spiffe://demo.test/own/y", "owner": "o", "purpose": "p",
                                                    "review": REVIEW}]},
                  "/v1/agents/{id}/transfer": {"owner": "evil@demo.test"}, "/v1/revocations": {"subject": SUBJECT}}
        ids = {"agents": agent, "approvals": asked.json["approval"]["id"], "tasks": task}
        for (method, path), (gate, proven) in TABLE.items():
            roles = [role for role in proven if role not in gate]
            if method == "POST" and roles and path != "/v1/policy/explain":
                target = path.replace("{id}", ids.get(path.split("/")[2], ""))
                yield path, target, json.dumps(bodies.get(path, {})), roles

    def everything(self):
        return {path: self.govern("GET", path + "?limit=1000") for path in
                ("/v1/agents", "/v1/tasks", "/v1/approvals", "/v1/revocations")}

    def ask_codes(self, calls):
        answers = self.ask([(frames.CALL, caller, call) for caller, call in calls])
        return [json.loads(body).get("code", status) for status, body in answers]

    def test_whoever_it_names_it_cannot_act_for_them(self):
        self.serve()
        calls = []
        for path, target, body, roles in self.acts():
            for role in roles:
                if path.startswith("/v1/tasks"):  # who has the role task may end its own through gate
                    self.assertNotEqual(role, "task")
                for caller in (frames.unix_caller(uid_of(role)), frames.certificate_caller(uri_of(role))):
                    calls.append((caller, {"method": "POST", "target": target, "body": body}))
        before = self.everything()
        self.assertGreater(len(calls), 20)
        self.assertEqual(set(self.ask_codes(calls)), {"proof_required"})
        self.assertEqual(self.everything(), before)
        self.assertNotIn("child_malformed", self.service.log())

    def der(self, cert):
        return run(["sh", "-c", 'openssl x509 -in "$1" -outform DER | od -An -tx1 | tr -d " \\n"', "sh", cert]).stdout

    def sign(self, key, target, body, nonce):
        made = http_signature.headers(key, "POST", target, body.encode(), nonce)
        return {"digest": made["Content-Digest"], "signature_input": made["Signature-Input"], "signature": made["Signature"]}

    def test_certificates_and_signatures_that_it_makes_or_saw_gain_nothing(self):
        self.serve()
        target = "/v1/agents"
        bodies = [json.dumps({"spiffe_id": "spiffe://demo.test/own/%d" % n, "owner": "o", "purpose": "p", "review": REVIEW})
                  for n in range(2)]
        own = Authority(self.work, "own")
        invented = own.issue("invented", ["URI:" + uri_of("register")])
        signer = http_signature.Signer(self.service, self.cert)
        seen = self.sign(signer.key, target, bodies[0], signer.nonce())
        sent = {"Content-Digest": seen["digest"], "Signature-Input": seen["signature_input"], "Signature": seen["signature"]}
        first = ask_over_tls(self.service, self.cert, "POST", target, bodies[0], sent)
        self.assertEqual(first.status, 201, first.body)
        kept_back = self.sign(signer.key, target, bodies[1], signer.nonce())  # seen, and not passed on
        victim, other = self.der(self.cert[0]), http_signature.read_key(invented[1])
        nonces = [signer.nonce() for _ in range(3)]
        chain = self.der(invented[0]) + self.der(own.cert)
        cases = [
            ("the request once more", bodies[0], victim, seen),
            ("another body", bodies[1], victim, seen),
            ("another body, with its digest", bodies[1], victim, {**seen, "digest": kept_back["digest"]}),
            ("a signature by its own key", bodies[1], victim, self.sign(other, target, bodies[1], nonces[0])),
            ("its own certificate", bodies[1], chain, self.sign(other, target, bodies[1], nonces[1])),
            ("its own before the victim's", bodies[1], self.der(invented[0]) + victim,
             self.sign(other, target, bodies[1], nonces[2])),
            ("no certificate", bodies[1], "", kept_back),
            ("another path", bodies[1], victim, kept_back),
        ]
        before = self.everything()
        caller = frames.certificate_caller(uri_of("register"))
        calls = [(caller, {"method": "POST", "target": "/v1/revocations" if what == "another path" else target, "body": body,
                           "certificates": certificates, **signed}) for what, body, certificates, signed in cases]
        for (what, *_), code in zip(cases, self.ask_codes(calls)):
            self.assertEqual(code, "signature_refused", what)
        self.assertEqual(self.everything(), before)
        # What the client did sign counts, whomever the gate names: it can do no more than pass that on, late.
        stranger = frames.unix_caller(4713)
        self.assertEqual(self.ask_codes([(stranger, {"method": "POST", "target": target, "body": bodies[1],
                                                     "certificates": victim, **kept_back})]), [201])


if __name__ == "__main__":
    unittest.main()
