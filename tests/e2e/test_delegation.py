# SPDX-License-Identifier: Apache-2.0
"""Token exchange: who acts on whose behalf, with less at each step, and what ends with what."""
import json
import os
import re
import time
import unittest
import zlib
from urllib.parse import urlencode, urlsplit

from harness import (AUDIENCE, HSMINT, Case, SharedCase, decode, edit, read, run, start_dev, start_serve, unbase64,
                     verify, wait_for)
from made_jwt import Signer, base64url, jwks, part

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
TYPE = "urn:ietf:params:oauth:token-type:"
OTHER = "https://tools.demo.test/mcp"
AGENTS = ("portal", "planner", "researcher", "tool")
PROFILE = """  - name: hops
    issuer: demo
    kind: at+jwt
    key: demo-access
    lifetime: {default: 300, maximum: 900}
    audiences: ["https://api.demo.test", "https://tools.demo.test/*"]
    subjects: ["spiffe://demo.test/agent/*"]
    scopes: [read, write, search, admin]
    callers: [portal, planner, researcher, tool, demo, job]
    grants: [client_credentials, token_exchange]
    status: credential
    exchange: {depth: 5, trust: [staff, guests], groups: ["staff:engineers"]}
trust:
  - {name: staff, issuer: demo, provider: "https://login.demo.test", audiences: [hsmint], keys: staff.jwks,
     groups: groups}
  - {name: guests, issuer: demo, provider: "https://guests.demo.test", keys: guests.jwks, groups: groups}
  - {name: ci, issuer: demo, provider: "https://ci.demo.test", keys: ci.jwks}
callers:
"""
STAFF = Signer("RS256", "staff-1", iss="https://login.demo.test", aud="hsmint", sub="alice",
               groups=["engineers"])
GUESTS = Signer("ES256", "guests-1", iss="https://guests.demo.test", sub="eve", groups=["engineers"])
CI = Signer("ES256", "ci-1", iss="https://ci.demo.test", sub="repo:demo/tool:ref:refs/heads/main")


def agent(name):
    return "spiffe://demo.test/agent/" + name


class Chain(SharedCase):
    @classmethod
    def start_shared(cls, directory, *edits):
        """A service with agents that are clients, each with a key of its own."""
        start_dev(directory).stop()
        cls.signers = {name: Signer("ES256", name, iss=name, sub=name) for name in AGENTS}
        config = os.path.join(directory, "hsmint.yaml")
        for name, signer in {**cls.signers, "staff": STAFF, "guests": GUESTS, "ci": CI}.items():
            with open(os.path.join(directory, name + ".jwks"), "w") as file:
                file.write(jwks(signer))
        edit(config, "audiences: [\"https://api.demo.test\", \"spiffe",
             "audiences: [\"https://*\", \"https://*/demo\", \"spiffe")
        edit(config, "callers:\n  - name: demo\n", PROFILE + "  - name: demo\n")
        edit(config, "  - name: approver ", "".join(
            "  - {name: %s, issuer: demo, jwks: %s.jwks, agent: \"%s\", roles: [mint]}\n" % (name, name, agent(name))
            for name in AGENTS) +
            "  - {name: job, issuer: demo, trust: ci, subject: \"repo:demo/*:ref:refs/heads/main\", agent: \"%s\", "
            "roles: [mint]}\n  - name: approver " % agent("job"))
        for old, new in edits:
            edit(config, old, new)
        service = start_serve(config, directory)
        cls.issuer = service.ask("GET", "/demo/.well-known/openid-configuration").json["issuer"]
        for signer in (CI, GUESTS, *cls.signers.values()):
            signer.claims["aud"] = cls.issuer
        return service

    def post(self, client, parameters):
        form = {"client_assertion": self.signers[client].sign(),
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", **parameters}
        body = urlencode([(name, value) for name, values in form.items() if values is not None
                          for value in (values if isinstance(values, list) else [values])])
        return self.service.ask("POST", "/demo/oauth2/token", body, headers=FORM)

    def exchange(self, client, token, **more):
        return self.post(client, {"grant_type": EXCHANGE, "subject_token": token, "resource": AUDIENCE,
                                  "subject_token_type": TYPE + "access_token", **more})

    def first(self, client="planner", **more):
        answer = self.post(client, {"grant_type": "client_credentials", "resource": [AUDIENCE, OTHER],
                                    "scope": "read write search", **more})
        return self.granted(answer)

    def granted(self, answer):
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json["access_token"]

    def assert_error(self, answer, error, code):
        self.assertEqual((answer.status, answer.json["error"]), (400, error), answer.body)
        self.assertEqual(answer.json["error_description"].partition(":")[0], code)
        self.assertEqual(self.service.leaks(answer.body.decode()), [])

    def assert_token_refused(self, answer):
        self.assert_error(answer, "invalid_request", "token_refused")

    def hops(self):
        """Tokens of planner, researcher and tool."""
        tokens = [self.first()]
        for client, scope in (("researcher", "read search"), ("tool", "search")):
            tokens.append(self.granted(self.exchange(client, tokens[-1], resource=[AUDIENCE, OTHER], scope=scope)))
        return tokens

    @staticmethod
    def let_the_second_pass():
        now = int(time.time())
        wait_for(lambda: time.time() >= now + 1, "the next second")

    def introspect(self, token):
        return self.service.ask("POST", "/oauth2/introspect", urlencode({"token": token}), headers=FORM).json

    def active(self, token):
        return self.introspect(token)["active"]

    def listed(self, token):
        """What the status list says of it."""
        place = decode(token)[1]["status"]["status_list"]
        answer = self.service.ask("GET", urlsplit(place["uri"]).path)
        if answer.status != 200:
            return None
        bits = zlib.decompress(unbase64(decode(answer.body.decode())[1]["status_list"]["lst"]))
        return bits[place["idx"] // 4] >> place["idx"] % 4 * 2 & 3

    def revoke(self, token):
        path = os.path.join(self.work, "token")
        with open(path, "w") as file:
            file.write(token)
        self.service.command("revoke", "--token", path, "--control", self.service.control)

    def entries(self, *words):
        found = self.service.command("ledger", "find", os.path.join(self.service.directory, "ledger"), *words)
        return [json.loads(line)["entry"] for line in found.stdout.splitlines()]


class Hops(Chain):
    def test_each_hop_says_who_acts_and_for_whom(self):
        tokens = self.hops()
        jwks_now = self.service.ask("GET", "/demo/.well-known/jwks.json").body
        for token in tokens:
            verify(token, jwks_now, self.work)
        planner, researcher, tool = [decode(token)[1] for token in tokens]
        self.assertNotIn("act", planner)
        self.assertEqual((researcher["sub"], researcher["client_id"]), (agent("planner"), agent("researcher")))
        self.assertEqual(researcher["act"], {"sub": agent("researcher")})
        self.assertEqual((tool["sub"], tool["client_id"]), (agent("planner"), agent("tool")))
        self.assertEqual(tool["act"], {"sub": agent("tool"), "act": {"sub": agent("researcher")}})
        self.assertEqual(tool["scope"], "search")
        self.assertLessEqual(tool["exp"], researcher["exp"])
        self.assertLessEqual(researcher["exp"], planner["exp"])
        for token in tokens:
            self.assertEqual(self.introspect(token).get("act"), decode(token)[1].get("act"))
        task = self.service.ask("GET", "/v1/tasks/" + tool["task"]).json
        self.assertEqual((task["agent"], task["parent"]), (agent("tool"), researcher["task"]))

    def test_the_answer_says_what_was_issued(self):
        answer = self.exchange("researcher", self.first(), requested_token_type=TYPE + "access_token")
        self.assertEqual(answer.json["issued_token_type"], TYPE + "access_token")
        self.assertEqual(answer.json["token_type"], "Bearer")
        self.assertLessEqual(answer.json["expires_in"], 300)
        self.assertEqual(answer.json["task"], decode(answer.json["access_token"])[1]["task"])

    def test_one_token_exchanged_again_is_the_same_task(self):
        token = self.first()
        tasks = {self.exchange("researcher", token).json["task"] for _ in range(3)}
        self.assertEqual(len(tasks), 1)
        self.assertNotIn(self.exchange("tool", token).json["task"], tasks)
        self.assertNotIn(self.exchange("researcher", self.first()).json["task"], tasks)

    def test_it_lives_no_longer_than_the_token(self):
        token = self.first()
        exp = decode(token)[1]["exp"]
        wait_for(lambda: time.time() > exp - 298, "a second or two")
        self.assertLessEqual(decode(self.granted(self.exchange("researcher", token)))[1]["exp"], exp)

    def test_its_entry_tells_the_chain(self):
        planner, researcher, tool = self.hops()
        of = {entry["id"]: entry for entry in self.entries() if entry["type"] == "credential"}
        entry = of[decode(tool)[1]["jti"]]
        self.assertEqual(entry["from"], decode(researcher)[1]["jti"])
        self.assertEqual(entry["actors"], [agent("tool"), agent("researcher")])
        self.assertEqual((entry["subject"], entry["on_behalf_of"], entry["grant"]),
                         (agent("tool"), agent("planner"), "token_exchange"))
        self.assertEqual(of[entry["from"]]["from"], decode(planner)[1]["jti"])
        self.assertNotIn("from", of[decode(planner)[1]["jti"]])

    def test_the_chain_is_found_in_the_ledger(self):
        tokens = self.hops()
        ids = [decode(token)[1]["jti"] for token in tokens]
        entries = self.entries("--chain", ids[-1])
        credentials = [entry for entry in entries if entry["type"] == "credential"]
        self.assertEqual([entry["id"] for entry in credentials], ids)
        self.assertEqual([entry["subject"] for entry in credentials], [agent(name) for name in AGENTS[1:]])
        self.assertTrue(all(entry["owner"] for entry in credentials))
        self.assertEqual({entry["task"] for entry in entries if entry["type"] == "task"},
                         {decode(token)[1]["task"] for token in tokens[1:]})

    def test_an_actor_may_be_proven_by_a_token_of_its_own(self):
        svid = self.service.mint(profile="demo-svid", subject=agent("helper"), audience=self.issuer).json["credential"]
        answer = self.exchange("planner", self.first(), actor_token=svid, actor_token_type=TYPE + "jwt")
        self.assertEqual(decode(self.granted(answer))[1]["act"], {"sub": agent("helper")})


class People(Chain):
    def by(self, token, client="planner", **more):
        return self.exchange(client, token, subject_token_type=TYPE + "id_token", scope="read write", **more)

    def test_a_person_stays_visible_through_every_hop(self):
        tokens = [self.granted(self.by(STAFF.sign(), resource=[AUDIENCE, OTHER]))]
        for client in ("researcher", "tool"):
            tokens.append(self.granted(self.exchange(client, tokens[-1], scope="read")))
        for token in tokens:
            self.assertEqual(decode(token)[1]["sub"], "staff:alice")
        self.assertEqual(decode(tokens[0])[1]["act"], {"sub": agent("planner")})
        self.assertEqual(decode(tokens[2])[1]["act"], {"sub": agent("tool"), "act": {
            "sub": agent("researcher"), "act": {"sub": agent("planner")}}})
        self.revoke(tokens[0])
        for token in tokens:
            self.assertFalse(self.active(token))
            wait_for(lambda token=token: self.listed(token) == 1, "the list")

    def test_the_ledger_has_a_commitment_and_no_name(self):
        token = self.granted(self.by(STAFF.sign(sub="bob-who-is-not-named")))
        entry, = [entry for entry in self.entries() if entry.get("id") == decode(token)[1]["jti"]]
        self.assertEqual(len(entry["humans"]), 1)
        self.assertIn("tbs_hmac", entry)
        self.assertNotIn("on_behalf_of", entry)
        for root, _, files in os.walk(os.path.join(self.service.directory, "ledger")):
            for name in files:
                with open(os.path.join(root, name), "rb") as file:
                    self.assertNotIn(b"bob-who-is-not-named", file.read())

    def test_a_providers_token_is_revoked_by_the_name_that_the_ledger_has_of_it(self):
        for jti in ("one", None):
            signed_in, other = STAFF.sign(sub="dan", jti=jti), STAFF.sign(sub="dan")
            tokens = [self.granted(self.by(signed_in)), self.granted(self.by(signed_in, "researcher"))]
            tokens.append(self.granted(self.exchange("tool", tokens[1], scope="read")))
            entry, = [entry for entry in self.entries() if entry.get("id") == decode(tokens[0])[1]["jti"]]
            self.service.command("revoke", "--credential", entry["from"], "--control", self.service.control)
            for token in tokens:
                self.assertFalse(self.active(token))
                wait_for(lambda token=token: self.listed(token) == 1, "the list")
            for client in ("planner", "tool"):
                self.assert_token_refused(self.by(signed_in, client))
            self.assertTrue(self.active(self.granted(self.by(other))))

    def test_a_person_that_is_revoked_is_so_in_every_chain(self):
        first = self.granted(self.by(STAFF.sign(sub="carol")))
        second = self.granted(self.exchange("researcher", first, scope="read"))
        signed_in = STAFF.sign(sub="carol")
        self.service.command("revoke", "--subject", "staff:carol", "--control", self.service.control)
        self.let_the_second_pass()
        self.assert_token_refused(self.by(signed_in, "researcher"))  # nobody begins with what was signed before
        entry, = [entry for entry in self.entries() if entry["type"] == "revocation" and "human" in entry]
        named, = [entry for entry in self.entries() if entry.get("id") == decode(first)[1]["jti"]]
        self.assertEqual([entry["human"]], named["humans"])
        self.assertNotIn("carol", json.dumps(self.entries()))
        for token in (first, second):
            self.assertFalse(self.active(token))
            self.assert_token_refused(self.exchange("tool", token))
            wait_for(lambda token=token: self.listed(token) == 1, "the list")

    def test_who_is_in_none_of_the_groups_is_refused(self):
        for groups in (["sales"], [], None, ["staff:engineers"]):
            self.assert_error(self.by(STAFF.sign(groups=groups)), "invalid_request", "delegation_refused")
        theirs = GUESTS.sign()  # a group of the same name
        self.assert_error(self.by(theirs), "invalid_request", "delegation_refused")

    def test_what_is_no_token_of_a_provider_of_the_profile_is_refused(self):
        now = int(time.time())
        for token in (STAFF.sign(iss="https://other.test"), STAFF.sign(aud="other"), STAFF.sign(exp=now - 31),
                      STAFF.sign(iat=now + 60, exp=now + 90), STAFF.sign({"typ": "at+jwt"}),
                      STAFF.sign({"alg": "HS256"}), STAFF.sign(act={"sub": "x"}), STAFF.sign(cnf={"jkt": "x"}),
                      STAFF.sign(sub="x" * 254),
                      Signer("RS256", "staff-1", **STAFF.claims).sign(), self.first()):
            with self.subTest(decode(token)):
                self.assert_token_refused(self.by(token))
        self.assert_token_refused(self.exchange("planner", STAFF.sign()))  # as an access token
        self.assert_error(self.by(CI.sign()), "invalid_request", "delegation_refused")
        answer = self.exchange("planner", STAFF.sign(), subject_token_type=TYPE + "id_token", scope="read everything")
        self.assert_error(answer, "invalid_scope", "scope_not_allowed")

    def test_may_act_names_who_may(self):
        self.granted(self.by(STAFF.sign(may_act={"sub": agent("planner")})))
        for may_act in ({"sub": agent("tool")}, {}, "x", [agent("planner")], {"sub": agent("planner"), "iss": "x"}):
            self.assert_error(self.by(STAFF.sign(may_act=may_act)), "invalid_request", "delegation_refused")

    def test_two_people_are_two_chains(self):
        alice, bob = (self.granted(self.by(STAFF.sign(sub=name))) for name in ("alice", "bob"))
        self.revoke(alice)
        self.assertFalse(self.active(alice))
        self.assertTrue(self.active(bob))
        self.assertEqual(decode(self.granted(self.exchange("tool", bob, scope="read")))[1]["sub"], "staff:bob")


class Pipeline(Chain):
    """A person at a portal asks; a planner, a researcher and a tool do it: docs/delegation.md."""
    HOPS = (("portal", "read write search admin", [AUDIENCE, OTHER]),
            ("planner", "read write search", [AUDIENCE, OTHER]),
            ("researcher", "read search", [AUDIENCE, OTHER]), ("tool", "search", OTHER))

    def run_through(self):
        tokens, type = [STAFF.sign()], "id_token"
        for client, scope, resource in self.HOPS:
            tokens.append(self.granted(self.exchange(client, tokens[-1], subject_token_type=TYPE + type, scope=scope,
                                                     resource=resource)))
            type = "access_token"
        return tokens[1:]

    def test_the_person_and_everybody_between_stand_in_each_token(self):
        act = None
        for token, (client, scope, resource) in zip(self.run_through(), self.HOPS):
            claims = decode(token)[1]
            act = {"sub": agent(client), **({"act": act} if act else {})}
            self.assertEqual((claims["sub"], claims["client_id"], claims["scope"], claims["aud"], claims["act"]),
                             ("staff:alice", agent(client), scope, resource, act))

    def test_the_page_shows_these_tokens(self):
        page = read(os.path.join(os.path.dirname(__file__), "../../docs/delegation.md"))
        shown = [json.loads(text) for text in re.findall(r"(?s)```json\n(.*?)```", page)]
        made = [decode(token)[1] for token in self.run_through()]
        self.assertEqual(len(shown), len(made))
        for page_claims, claims in zip(shown, made):
            self.assertEqual(list(page_claims), list(claims))
            for name in ("sub", "aud", "client_id", "act", "scope"):
                self.assertEqual(page_claims[name], claims[name])

    def test_nothing_is_widened_at_any_hop(self):
        """Ten ways at each."""
        tokens = self.run_through()
        for place, ((name, scope, resource), token) in enumerate(zip(self.HOPS, tokens)):
            client = self.HOPS[min(place + 1, 3)][0]
            header, payload, signature = token.split(".")
            claims = decode(token)[1]
            wider = "admin" if place else "everything"
            audience = AUDIENCE if resource == OTHER else "https://tools.demo.test/other"

            def forged(**more):
                return {"subject_token": "%s.%s.%s" % (header, part(dict(claims, **more)), signature)}
            ways = (({"scope": scope + " " + wider}, "invalid_scope"), ({"scope": wider}, "invalid_scope"),
                    ({"scope": scope + "\u00a0" + wider}, "invalid_scope"), ({"scope": scope.upper()}, "invalid_scope"),
                    ({"resource": audience}, "invalid_target"), ({"resource": OTHER + "/"}, "invalid_target"),
                    (forged(scope=wider), "invalid_request"), (forged(exp=claims["exp"] + 600), "invalid_request"),
                    (forged(sub="staff:bob"), "invalid_request"),
                    (forged(act={"sub": agent(client)}), "invalid_request"))
            for more, error in ways:
                with self.subTest((name, more)):
                    form = {"scope": scope, "resource": OTHER, **more}
                    answer = self.exchange(client, form.pop("subject_token", token), **form)
                    self.assertEqual((answer.status, answer.json["error"]), (400, error), answer.body)

    def test_with_the_persons_session_ends_all_of_it(self):
        tokens, others = self.run_through(), self.run_through()
        self.revoke(tokens[0])
        for token in tokens:
            self.assertFalse(self.active(token))
            self.assert_token_refused(self.exchange("tool", token, resource=OTHER))
            wait_for(lambda token=token: self.listed(token) == 1, "the list")
        for token in others:
            self.assertTrue(self.active(token))

    def test_the_ledger_tells_all_of_it(self):
        tokens = self.run_through()
        entries = self.entries("--chain", decode(tokens[-1])[1]["jti"])
        credentials = [entry for entry in entries if entry["type"] == "credential"]
        self.assertEqual([entry["subject"] for entry in credentials], [agent(name) for name in AGENTS])
        self.assertEqual(len({tuple(entry["humans"]) for entry in credentials}), 1)
        for entry in credentials:
            self.assertTrue(entry["owner"])
            opened, = [other for other in entries if other["type"] == "task" and other["task"] == entry["task"]]
            self.assertEqual(opened["agent"], entry["subject"])


class Rotated(Chain):
    def test_a_key_that_is_revoked_ends_what_came_of_its_tokens_by_other_keys(self):
        def kid(token):
            return decode(token)[0]["kid"]
        above, other = self.first(), self.first("tool")
        config, control = os.path.join(self.service.directory, "hsmint.yaml"), self.service.control
        self.service.command("key", "create", "demo-access", "--config", config)
        self.service.command("key", "activate", "demo-access", "2", "--now", "--control", control)
        below = self.granted(self.exchange("researcher", above))
        last = self.granted(self.exchange("tool", below))
        unrelated = self.first()
        self.assertNotEqual(kid(below), kid(above))
        self.service.command("revoke", "--kid", kid(above), "--control", control)
        for token in (above, other, below, last):
            self.assertFalse(self.active(token))
        for token in (below, last):
            wait_for(lambda token=token: self.listed(token) == 1, "the list")
            self.assert_token_refused(self.exchange("planner", token))
        self.assertTrue(self.active(unrelated))


class Approved(Chain):
    @classmethod
    def start_shared(cls, directory):
        return super().start_shared(directory, ("    status: credential\n    exchange:",
                                                "    status: credential\n    approve: {scopes: [admin], by: 1, within: 15m}"
                                                "\n    exchange:"))

    def test_what_somebody_approves_is_the_chain(self):
        signed_in = STAFF.sign()

        def ask(client="planner", token=signed_in, **more):
            return self.exchange(client, token, subject_token_type=TYPE + "id_token", scope="admin", **more)
        answer = ask()
        self.assertEqual((answer.status, answer.json["error"]), (400, "authorization_pending"))
        approval = answer.json["approval"]["id"]
        shown = self.service.ask("GET", "/v1/approvals/" + approval).json["request"]
        self.assertEqual((shown["subject"], shown["actors"]), ("staff:alice", [agent("planner")]))
        self.assert_error(ask(approval=approval), "authorization_pending", "approval_pending")
        self.service.command("approve", "grant", approval, "--control", self.service.control)
        for other in (ask("tool", approval=approval), ask(token=STAFF.sign(sub="bob"), approval=approval),
                      ask(token=STAFF.sign(), approval=approval)):
            self.assertEqual((other.status, other.json["error"]), (400, "invalid_request"), other.body)
        claims = decode(self.granted(ask(approval=approval)))[1]
        self.assertEqual((claims["sub"], claims["scope"]), ("staff:alice", "admin"))
        entry, = [entry for entry in self.entries() if entry.get("id") == claims["jti"]]
        self.assertEqual(entry["approval"], approval)
        chain = self.entries("--chain", claims["jti"])
        self.assertEqual([entry["act"] for entry in chain if entry["type"] == "approval"], ["ask", "grant"])


class Impersonation(Chain):
    @classmethod
    def start_shared(cls, directory):
        return super().start_shared(directory, ("exchange: {depth: 5,", "exchange: {depth: 5, impersonation: true,"))

    def test_the_token_does_not_say_who_acts_and_the_ledger_does(self):
        token = self.granted(self.exchange("planner", STAFF.sign(), subject_token_type=TYPE + "id_token", scope="read"))
        claims = decode(token)[1]
        self.assertNotIn("act", claims)
        self.assertEqual((claims["sub"], claims["client_id"]), ("staff:alice", agent("planner")))
        entry, = [entry for entry in self.entries() if entry.get("id") == claims["jti"]]
        self.assertEqual((entry["subject"], entry["actors"]), (agent("planner"), [agent("planner")]))

    def test_a_token_in_which_somebody_acts_is_refused(self):
        plain = "urn:ietf:params:oauth:grant-type:token-exchange"
        body = urlencode({"grant_type": plain, "subject_token": self.service.mint(scope="read").json["credential"],
                          "subject_token_type": TYPE + "access_token", "resource": AUDIENCE, "scope": "read"})
        acted = self.granted(self.service.ask("POST", "/demo/oauth2/token", body, headers=FORM))
        self.assertIn("act", decode(acted)[1])
        self.assert_error(self.exchange("planner", acted, scope="read"), "invalid_request", "delegation_refused")


class Groups(Case):
    def test_groups_are_of_somebody_whom_the_profile_trusts(self):
        directory = self.made()
        config = os.path.join(directory, "hsmint.yaml")
        for name in ("staff", "plain", "other"):
            with open(os.path.join(directory, name + ".jwks"), "w") as file:
                file.write(jwks(Signer()))
        edit(config, "callers:\n  - name: demo\n", "trust:\n" + "".join(
            "  - {name: %s, issuer: demo, provider: \"https://%s.test\", keys: %s.jwks%s}\n" % (name, name, name, more)
            for name, more in (("staff", ", groups: g"), ("plain", ""), ("other", ", groups: g"))) +
            "callers:\n  - name: demo\n")
        grants = "    grants: [client_credentials, token_exchange]"
        edit(config, grants, grants + "\n    exchange: {trust: [staff, plain], groups: [HERE]}")
        before = read(config)
        for group, status in (("staff:engineers", 0), ("engineers", 1), ("staff:", 1), ("plain:x", 1), ("other:x", 1),
                              ("staf:x", 1), (":x", 1)):
            with open(config, "w") as file:
                file.write(before.replace("HERE", "\"%s\"" % group))
            checked = run([HSMINT, "check", "--config", config], check=False)
            self.assertEqual(checked.returncode, status, (group, checked.stderr))
            self.assertEqual("groups: " in checked.stderr, status == 1)


class Jobs(Chain):
    def ask(self, token, **more):
        body = urlencode({"grant_type": "client_credentials", "resource": AUDIENCE, "client_assertion": token,
                          "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", **more})
        return self.service.ask("POST", "/demo/oauth2/token", body, headers=FORM)

    def test_a_job_needs_no_secret(self):
        self.assertEqual(decode(self.granted(self.ask(CI.sign())))[1]["sub"], agent("job"))

    def test_its_token_is_good_once_and_for_whom_it_names(self):
        token = CI.sign()
        self.granted(self.ask(token))
        for other in (token, CI.sign(sub="repo:demo/tool:ref:refs/heads/other"), CI.sign(sub="repo:other/tool"),
                      CI.sign(jti=None), CI.sign(aud="https://other.test"), CI.sign(cnf={"jkt": "x"}),
                      CI.sign(act={"sub": "x"}),
                      STAFF.sign(sub=CI.claims["sub"], aud=self.issuer)):
            self.assert_error(self.ask(other), "invalid_client", "client_refused")


class Refusals(Chain):
    def test_nothing_is_widened_at_any_hop(self):
        """Ten ways at each hop."""
        planner, researcher, tool = self.hops()
        now = int(time.time())
        for name, token, scope in (("researcher", planner, "read search"), ("tool", researcher, "search"),
                                   ("planner", tool, "search")):
            header, payload, signature = token.split(".")
            claims = decode(token)[1]
            forged = dict(claims, scope="admin", act={"sub": agent("planner")})
            with self.subTest(name):
                for more, error, code in (
                        ({"scope": "admin"}, "invalid_scope", "scope_not_allowed"),
                        ({"scope": scope + " admin"}, "invalid_scope", "scope_not_allowed"),
                        ({"scope": scope + "\u00a0admin"}, "invalid_scope", None),
                        ({"scope": scope + "\tadmin"}, "invalid_scope", None),
                        ({"scope": scope.upper()}, "invalid_scope", "scope_not_allowed"),
                        ({"resource": "https://evil.test"}, "invalid_target", "audience_not_allowed"),
                        ({"resource": [AUDIENCE, "https://tools.demo.test/other"]}, "invalid_target",
                         "audience_not_allowed"),
                        ({"resource": AUDIENCE + "/"}, "invalid_target", "audience_not_allowed"),
                        ({"subject_token": "%s.%s.%s" % (header, part(forged), signature)}, "invalid_request",
                         "token_refused"),
                        ({"subject_token": "%s.%s.%s" % (header, part(dict(claims, exp=now + 9999)), signature)},
                         "invalid_request", "token_refused")):
                    answer = self.exchange(name, token, **more)
                    self.assertEqual((answer.status, answer.json["error"]), (400, error), (more, answer.body))
                    if code:
                        self.assertEqual(answer.json["error_description"].partition(":")[0], code)

    def test_what_is_no_access_token_of_this_issuer_in_force_is_refused(self):
        token = self.first()
        svid = self.service.mint(profile="demo-svid", subject=agent("planner"), audience=AUDIENCE).json["credential"]
        place = urlsplit(decode(token)[1]["status"]["status_list"]["uri"]).path
        wait_for(lambda: self.listed(token) == 0, "the list")
        status = self.service.ask("GET", place).body.decode()
        header, payload, signature = token.split(".")
        for other in ("x", "a.b.c", token + "x", token[:-4] + "AAAA", token + "." + signature, svid, status,
                      "%s.%s.%s" % (part({"alg": "none"}), payload, ""),
                      "%s.%s.%s" % (part({"alg": "none", "typ": "at+jwt"}), payload, signature),
                      self.signers["researcher"].sign(), "%s.%s.%s" % (header, payload, base64url(b"\0" * 64))):
            with self.subTest(other):
                self.assert_token_refused(self.exchange("researcher", other))
        for type, code in ((None, "missing_member"), (TYPE + "refresh_token", "invalid_member"),
                           (TYPE + "saml2", "invalid_member"), ("access_token", "invalid_member")):
            self.assert_error(self.exchange("researcher", token, subject_token_type=type), "invalid_request", code)
        self.assert_error(self.exchange("researcher", None), "invalid_request", "missing_member")
        for more in ({"requested_token_type": TYPE + "refresh_token"}, {"task": decode(token)[1]["jti"]}):
            self.assert_error(self.exchange("researcher", token, **more), "invalid_request", "invalid_member")

    def test_an_actor_is_who_it_proves_to_be(self):
        token = self.first()
        access = self.first("tool")
        svid = self.service.mint(profile="demo-svid", subject=agent("tool"), audience=AUDIENCE).json["credential"]
        for actor in ("x", access, svid, self.signers["tool"].sign()):
            self.assert_token_refused(
                self.exchange("researcher", token, actor_token=actor, actor_token_type=TYPE + "jwt"))
        self.assert_error(self.exchange("researcher", token, actor_token=svid), "invalid_request", "missing_member")
        self.assert_error(self.exchange("researcher", token, actor_token_type=TYPE + "jwt"), "invalid_request",
                          "missing_member")

    def test_a_chain_is_no_longer_than_the_profile_and_the_agent_let_it_be(self):
        token = self.first()
        for name in ("researcher", "tool", "researcher", "tool", "researcher"):
            token = self.granted(self.exchange(name, token))
        self.assert_error(self.exchange("tool", token), "invalid_request", "delegation_refused")

    def test_an_agents_own_limit_ends_a_chain_earlier(self):
        self.service.command("agent", "add", agent("short"), "--owner", "somebody", "--purpose", "testing",
                             "--review", "30d", "--depth", "1", "--control", self.service.control)
        svid = self.service.mint(profile="demo-svid", subject=agent("short"), audience=self.issuer).json["credential"]
        actor = {"actor_token": svid, "actor_token_type": TYPE + "jwt"}
        token = self.granted(self.exchange("planner", self.first(), **actor))
        self.granted(self.exchange("tool", token))
        self.assert_error(self.exchange("planner", token, **actor), "invalid_request", "delegation_refused")

    def test_chains_of_two_people_are_not_spliced(self):
        alice, bob = (self.granted(self.exchange("planner", STAFF.sign(sub=name), subject_token_type=TYPE + "id_token",
                                                 scope="read")) for name in ("alice", "bob"))
        for actor in (bob, STAFF.sign(sub="bob")):
            answer = self.exchange("tool", alice, actor_token=actor, actor_token_type=TYPE + "jwt", scope="read")
            self.assert_token_refused(answer)
        header, payload, signature = alice.split(".")
        for spliced in ("%s.%s.%s" % (header, bob.split(".")[1], signature),
                        "%s.%s.%s" % (header, payload, bob.split(".")[2])):
            self.assert_token_refused(self.exchange("tool", spliced, scope="read"))

    def test_refs_of_exchanges_are_nobodys_to_take(self):
        answer = self.service.ask("POST", "/v1/tasks", {"agent": agent("demo"), "purpose": "p", "ref": "exchange:x"})
        self.refused(answer, 400, "invalid_member", "ref")
        answer = self.service.mint(task={"ref": "exchange:x", "purpose": "p"})
        self.refused(answer, 400, "invalid_member", "task.ref")


class Ends(Chain):
    def assert_ended(self, tokens):
        for token in tokens:
            self.assertFalse(self.active(token))
            self.assert_token_refused(self.exchange("researcher", token))
            wait_for(lambda token=token: self.listed(token) == 1, "the list")

    def test_with_a_token_ends_all_that_came_of_it(self):
        tokens, others = self.hops(), self.hops()
        self.revoke(tokens[0])
        self.assert_ended(tokens)
        for token in others:
            self.assertTrue(self.active(token))
        self.revoke(others[1])
        self.assertTrue(self.active(others[0]))
        self.assert_ended(others[1:])

    def test_what_was_ended_stays_so_over_a_restart(self):
        tokens = self.hops()
        self.revoke(tokens[0])
        self.service.kill()
        type(self).service = start_serve(os.path.join(self.service.directory, "hsmint.yaml"), self.service.directory)
        self.assert_ended(tokens)

    def test_who_is_suspended_suspends_those_who_act_for_it(self):
        tokens = self.hops()
        for name, hurt in (("planner", tokens), ("researcher", tokens[1:])):
            found = self.service.ask("GET", "/v1/agents?spiffe_id=" + agent(name)).json["agents"]
            self.service.command("agent", "suspend", found[0]["id"], "--control", self.service.control)
            for token in tokens:
                self.assertEqual(self.active(token), token not in hurt)
                wait_for(lambda token=token: self.listed(token) == (2 if token in hurt else 0), "the list")
            self.assert_token_refused(self.exchange("tool", tokens[1]))
            self.service.command("agent", "resume", found[0]["id"], "--control", self.service.control)
            for token in tokens:
                self.assertTrue(self.active(token))
                wait_for(lambda token=token: self.listed(token) == 0, "the list")

    def test_a_subject_that_is_revoked_ends_what_is_on_its_behalf(self):
        tokens = self.hops()
        self.service.command("revoke", "--subject", agent("planner"), "--control", self.service.control)
        self.assert_ended(tokens)
        self.let_the_second_pass()
        self.assertTrue(self.active(self.first()))

    def test_an_agent_in_the_middle_that_is_revoked_ends_what_came_of_its_tokens(self):
        tokens = self.hops()
        self.service.command("revoke", "--subject", agent("researcher"), "--control", self.service.control)
        self.let_the_second_pass()
        self.assertTrue(self.active(tokens[0]))
        for token in tokens[1:]:
            self.assertFalse(self.active(token))
            self.assert_token_refused(self.exchange("tool", token))
            wait_for(lambda token=token: self.listed(token) == 1, "the list")
        self.assertTrue(self.active(self.granted(self.exchange("researcher", tokens[0]))))

    def test_who_asks_within_the_second_of_such_a_revocation_is_told_so(self):
        for _ in range(4):
            self.service.command("revoke", "--subject", agent("planner"), "--control", self.service.control)
            answer = self.post("planner", {"grant_type": "client_credentials", "resource": AUDIENCE})
            if answer.status == 200:  # it was the next one already
                self.assertTrue(self.active(answer.json["access_token"]))
            else:
                self.assert_error(answer, "invalid_request", "revoked_meanwhile")
        self.let_the_second_pass()

    def test_a_paused_task_pauses_those_below(self):
        task = self.service.ask("POST", "/v1/tasks", {"agent": agent("demo"), "purpose": "p"}).json["id"]
        body = urlencode({"grant_type": "client_credentials", "resource": AUDIENCE, "scope": "read", "task": task})
        first = self.granted(self.service.ask("POST", "/demo/oauth2/token", body, headers=FORM))
        below = self.granted(self.exchange("researcher", first, scope="read"))
        act = lambda word: self.service.ask("POST", "/v1/tasks/%s/%s" % (task, word), {})
        self.assertEqual(act("pause").status, 200)
        self.assertEqual((self.active(first), self.active(below)), (False, False))
        self.assertEqual(act("resume").status, 200)
        self.assertEqual((self.active(first), self.active(below)), (True, True))
        self.assertEqual(act("complete").status, 200)
        self.assertEqual((self.active(first), self.active(below)), (False, False))
        self.assert_token_refused(self.exchange("tool", below))


if __name__ == "__main__":
    unittest.main()
