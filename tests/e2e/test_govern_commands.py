# SPDX-License-Identifier: Apache-2.0
"""The commands that govern, each over the control socket and over HTTPS with a signature: what they do, what they print, and
what a caller without the role gets."""
import datetime
import json
import os
import re
import unittest

import ledger_entries
from certificates import Authority
from harness import AUDIENCE, HSMINT, SUBJECT, run
from test_api_ways import ROLES, STRANGER, TABLE, Governed, uid_of

WAYS = ("control", "https")
ID = r"[A-Za-z0-9_][A-Za-z0-9_-]{21}"  # never - first: it would be an option
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
REQUEST = {"profile": "demo-access", "subject": SUBJECT, "audience": AUDIENCE}


class Commands(Governed):
    """`who` is a role, or "demo", who has every role and is who runs the tests."""

    def way(self, way, who="demo", **changed):
        if way == "control":
            return ["--control", self.service.control]
        ready = self.service.ready
        cert, key = (ready["cert"], ready["key"]) if who == "demo" else self.certs[who]
        options = {"url": ready["url"], "cert": cert, "key": key, "ca": ready["ca"], **changed}
        return [word for name, value in options.items() if value for word in ("--" + name, value)]

    def hsmint(self, way, *words, who="demo", status=0, **more):
        environment = {name: value for name, value in os.environ.items() if name != "HSMINT_CONTROL"}
        user = {"user": uid_of(who)} if way == "control" and who != "demo" else {}
        arguments = self.way(way, who) if isinstance(way, str) else way
        result = run([HSMINT, *words, *arguments], check=False, env={**environment, **more.pop("env", {})}, **user, **more)
        self.assertEqual(result.returncode, status, (words, result.stdout, result.stderr))
        return result

    def says(self, way, pattern, *words, **more):
        """It prints this, and nothing else."""
        result = self.hsmint(way, *words, **more)
        self.assertRegex(result.stdout, r"\A(?:%s)\Z" % pattern)
        self.assertEqual(result.stderr, "")
        return result.stdout

    def shows(self, way, *words, **more):
        """The service's reply, with --json."""
        return json.loads(self.hsmint(way, *words, "--json", **more).stdout)

    def refuses(self, code, way, *words, status=1, **more):
        result = self.hsmint(way, *words, status=status, **more)
        self.assertEqual(result.stdout, "")
        self.assertRegex(result.stderr, r"\Ahsmint: %s: [^\n]+\n\Z" % code)

    def usage(self, says, *words, **more):
        result = self.hsmint([], *words, status=2, **more)
        self.assertEqual(result.stdout, "")
        self.assertIn(says, result.stderr)


class What(Commands):
    """What they do and print."""

    def test_an_agents_life(self):
        for way in WAYS:
            with self.subTest(way):
                spiffe_id = "spiffe://demo.test/own/" + self.fresh("life")
                one = self.says(way, ID + "\n", "agent", "add", spiffe_id, "--owner", "o@demo.test", "--contact", "c@demo.test",
                                "--purpose", "pays l\u00f6we's bills", "--review", "90d", "--audiences", AUDIENCE, "--audiences",
                                "https://b.demo.test", "--scopes", "read", "--kinds", "at+jwt", "--lifetime", "5m", "--depth", "2").strip()
                agent = self.govern("GET", "/v1/agents/" + one)
                self.assertEqual({name: agent[name] for name in ("spiffe_id", "class", "owner", "contact", "purpose", "status", "limits")},
                                 {"spiffe_id": spiffe_id, "class": False, "owner": "o@demo.test", "contact": "c@demo.test",
                                  "purpose": "pays l\u00f6we's bills", "status": "active",
                                  "limits": {"audiences": [AUDIENCE, "https://b.demo.test"], "scopes": ["read"], "kinds": ["at+jwt"],
                                             "lifetime": 300, "depth": 2}})
                self.assertAlmostEqual(agent["review"] - agent["created"], 90 * 86400, delta=60)
                line = "%s  %s  %%s  owner %%s  review %s\n" % (one, re.escape(spiffe_id), TIME)
                self.says(way, line % ("active", "o@demo.test"), "agent", "show", one)
                self.says(way, line % ("active", "o@demo.test"), "agent", "show", spiffe_id)
                self.assertEqual(self.shows(way, "agent", "show", one), agent)
                self.says(way, line % ("suspended", "o@demo.test"), "agent", "suspend", one, "--reason", "seen odd")
                self.says(way, line % ("active", "o@demo.test"), "agent", "resume", spiffe_id)
                self.says(way, line % ("active", "n@demo.test"), "agent", "transfer", one, "--owner", "n@demo.test", "--review", "1d")
                self.says(way, line % ("retired", "n@demo.test"), "agent", "retire", spiffe_id, "--reason", "done")
                self.refuses("agent_state", way, "agent", "resume", one)
                self.refuses("no_agent", way, "agent", "show", "nobody")
                self.assertIn("no agent of this SPIFFE ID", self.hsmint(way, "agent", "suspend", spiffe_id + "x", status=1).stderr)

    def test_a_class_and_a_list_in_pages(self):
        for way in WAYS:
            with self.subTest(way):
                pattern = "spiffe://demo.test/%s/*" % self.fresh("class")
                one = self.says(way, ID + "\n", "agent", "add", pattern, "--class", "--owner", "o", "--purpose", "p", "--review", "9d").strip()
                self.assertTrue(self.govern("GET", "/v1/agents/" + one)["class"])
                listed, after = [], []
                while True:
                    page = self.hsmint(way, "agent", "list", "--limit", "2", *after)
                    listed += page.stdout.splitlines()
                    if not page.stderr:
                        break
                    after = ["--after", re.fullmatch("hsmint: there are more: --after '(.*)'\n", page.stderr).group(1)]
                everyone = self.govern("GET", "/v1/agents?limit=1000")["agents"]
                self.assertEqual([line.split()[:2] for line in listed], [[agent["id"], agent["spiffe_id"]] for agent in everyone])

    def test_a_tasks_life(self):
        for way in WAYS:
            with self.subTest(way):
                ref = self.fresh("ref")
                words = ["task", "open", "--agent", SUBJECT, "--purpose", "bills of May", "--on-behalf-of", "m@demo.test", "--audiences",
                         AUDIENCE, "--scopes", "read", "--scopes", "write", "--lifetime", "30m", "--ref", ref]
                one = self.says(way, ID + "\n", *words).strip()
                self.says(way, one + "\n", *words)
                task = self.govern("GET", "/v1/tasks/" + one)
                self.assertEqual({name: task[name] for name in ("agent", "purpose", "on_behalf_of", "ref", "audiences", "scopes", "state")},
                                 {"agent": SUBJECT, "purpose": "bills of May", "on_behalf_of": "m@demo.test", "ref": ref,
                                  "audiences": [AUDIENCE], "scopes": ["read", "write"], "state": "open"})
                self.assertEqual(task["expires"] - task["opened"], 1800)
                child = self.says(way, ID + "\n", "task", "open", "--agent", SUBJECT, "--purpose", "one", "--parent", one).strip()
                line = "%s  %%s  %s  bills of May  until %s\n" % (one, re.escape(SUBJECT), TIME)
                self.says(way, line % "open", "task", "show", one)
                self.says(way, line % "paused", "task", "pause", one, "--reason", "wait")
                self.assertEqual(self.shows(way, "task", "show", child)["state"], "paused")
                self.says(way, line % "open", "task", "resume", one)
                self.says(way, line % "completed", "task", "complete", one)
                self.refuses("task_state", way, "task", "cancel", one)
                self.assertEqual(self.shows(way, "task", "show", child)["state"], "completed")
                other = self.task("demo")
                self.says(way, "%s  cancelled  [^\n]+\n" % other, "task", "cancel", other)
                self.assertLessEqual({one, child, other}, {line.split()[0] for line in self.hsmint(way, "task", "list").stdout.splitlines()})

    def test_approvals(self):
        for way in WAYS:
            with self.subTest(way):
                granted, denied = self.approval("mint"), self.approval("mint")
                line = "%s  %s  %d of 1  mint asks for %s: demo-task, scope admin  until %s\n"
                subject = re.escape(SUBJECT)
                self.says(way, line % (granted, "pending", 0, subject, TIME), "approve", "show", granted)
                self.says(way, line % (granted, "granted", 1, subject, TIME), "approve", "grant", granted, "--reason", "known")
                self.says(way, line % (denied, "denied", 0, subject, TIME), "approve", "deny", denied)
                self.assertEqual(self.govern("GET", "/v1/approvals/" + granted)["approvers"], ["demo"])
                shown = self.shows(way, "approve", "show", denied)
                self.assertEqual((shown["denied_by"], shown["request"]["scope"]), ("demo", "admin"))
                self.assertLessEqual({granted, denied}, {line.split()[0] for line in self.hsmint(way, "approve", "list").stdout.splitlines()})
                self.refuses("approval_denied", way, "approve", "grant", denied)
                self.refuses("approver_not_allowed", way, "approve", "grant", self.approval("demo"))

    def test_a_mint_that_has_to_be_approved_first(self):
        for way in WAYS:
            with self.subTest(way):
                mint = ["mint", "jwt", "--profile", "demo-task", "--subject", SUBJECT, "--audience", AUDIENCE, "--scope", "admin",
                        "--task", self.task("demo")]
                where = ["--socket", self.service.socket] if way == "control" else self.way(way)
                said = self.hsmint(where, *mint, status=1)
                self.assertEqual(said.stdout, "")
                one, until, again = re.fullmatch(
                    r"hsmint: client_approval: [^\n]* \(approval: (%s)\)\nhsmint: until (%s): [^\n]* --approval (%s)\n" % (ID, TIME, ID),
                    said.stderr).groups()
                self.assertEqual(again, one)
                kept = self.govern("GET", "/v1/approvals/" + one)
                self.assertEqual(datetime.datetime.fromisoformat(until).timestamp(), kept["expires"])
                other = json.loads(self.hsmint(where, *mint, "--json", status=1).stdout)["approval"]
                kept = self.govern("GET", "/v1/approvals/" + other["id"])
                self.assertEqual(other, {"id": kept["id"], "hash": kept["hash"], "expires_at": kept["expires"]})
                self.refuses("approval_pending", where, *mint, "--approval", one)
                self.hsmint(self.way("https", "approve"), "approve", "grant", one)
                self.says(where, r"[\w-]+\.[\w-]+\.[\w-]+\n", *mint, "--approval", one)
                self.refuses("approval_used", where, *mint, "--approval", one)

    def test_revocations(self):
        for way in WAYS:
            with self.subTest(way):
                subject = "spiffe://demo.test/agent/" + self.fresh("gone")
                one, two = self.credential("demo"), self.credential("demo")
                self.says(way, "credential %s  at %s\n" % (one["id"], TIME), "revoke", "--credential", one["id"], "--reason", "lost")
                self.says(way, "credential %s  at %s\n" % (two["id"], TIME), "revoke", "--token", "-", input=two["credential"] + "\n")
                self.says(way, "subject %s  at %s\n" % (re.escape(subject), TIME), "revoke", "--subject", subject)
                self.says(way, "key kid-of-%s  at %s\n" % (way, TIME), "revoke", "--kid", "kid-of-" + way)
                listed = self.hsmint(way, "revoke", "list", "--limit", "1000").stdout.splitlines()
                self.assertLessEqual({("credential", one["id"]), ("credential", two["id"]), ("subject", subject), ("key", "kid-of-" + way)},
                                     {tuple(line.split()[:2]) for line in listed})
                self.refuses("missing_member", way, "revoke", "--reason", "none said")
                absent = self.hsmint(way, "revoke", "--token", self.work + "/none", status=2)
                self.assertIn("none: No such file or directory", absent.stderr)

    def test_one_credential_of_a_task_ends_alone_only_by_force(self):
        for way in WAYS:
            with self.subTest(way):
                answer = self.mint("demo", profile="demo-task", task=self.task("demo"))
                self.assertEqual(answer.status, 200, answer.body)
                path = os.path.join(self.work, "credential")
                with open(path, "w") as out:
                    out.write(answer.json["credential"])
                words = ["revoke", "--token", path]
                self.refuses("revoke_task_instead", way, *words)
                self.says(way, "credential [^\n]+\n", *words, "--force")

    def test_a_decision(self):
        self.credential("demo")  # so that the agent is there
        for way in WAYS:
            with self.subTest(way):
                good = self.says(way, "(yes  [^\n]+\n)+", "policy", "explain", "-", "--caller", "mint", input=json.dumps(REQUEST))
                self.assertIn("yes  agent limits\n", good)
                bad = os.path.join(self.work, "request.json")
                with open(bad, "w") as out:
                    json.dump({**REQUEST, "scope": "admin"}, out)
                said = self.hsmint(way, "policy", "explain", bad, status=1)
                self.assertRegex(said.stdout, r"(?m)^no   scope: scope_not_allowed \([^\n]+\)$")
                shown = self.shows(way, "policy", "explain", bad, status=1)
                self.assertEqual((shown["allowed"], shown["steps"][-1]["code"]), (False, "scope_not_allowed"))
                self.assertTrue(self.shows(way, "policy", "explain", "-", input=json.dumps(REQUEST))["allowed"])
                for content in ("{", "[", '{"profile":"a","profile":"b"}', ""):
                    self.assertIn("line", self.hsmint(way, "policy", "explain", "-", input=content, status=2).stderr)

    def test_what_is_done_over_https_is_recorded_as_signed(self):
        done = {self.hsmint(way, "task", "open", "--agent", SUBJECT, "--purpose", "p").stdout.strip(): way for way in WAYS}
        entries = ledger_entries.entries(os.path.join(self.service.directory, "ledger"))
        ways = {done[entry["task"]]: (entry["actor"], entry["way"]) for entry in entries if entry.get("task") in done}
        self.assertEqual(ways, {"control": ("demo", "control"), "https": ("demo", "signed")})

    def test_an_id_is_a_part_of_a_path_whatever_is_in_it(self):
        for way in WAYS:
            for word in ("..", "../agents", "x/y", "x?limit=1", "x#y", "%2e%2e", "l\u00f6we", "a b", "\n"):
                with self.subTest(way, word=word):
                    self.refuses("(no_agent|not_found)", way, "agent", "suspend", word)


class Roles(Commands):
    """What may be done is done; what may not is refused, and why is said."""

    def command_for(self, route, who):
        """The words for this route; what may be somebody's own is this role's."""
        method, path = route
        owner = who if who in ("mint", "task") else "demo"
        return {
            ("POST", "/v1/agents"): lambda: ["agent", "add", "spiffe://demo.test/own/" + self.fresh("new"), "--owner", "o", "--purpose", "p",
                                             "--review", "9d"],
            ("GET", "/v1/agents"): lambda: ["agent", "list"],
            ("GET", "/v1/agents/{id}"): lambda: ["agent", "show", self.agent()],
            ("POST", "/v1/agents/{id}/suspend"): lambda: ["agent", "suspend", self.agent()],
            ("POST", "/v1/agents/{id}/resume"): lambda: ["agent", "resume", self.agent("suspend")],
            ("POST", "/v1/agents/{id}/retire"): lambda: ["agent", "retire", self.agent()],
            ("POST", "/v1/agents/{id}/transfer"): lambda: ["agent", "transfer", self.agent(), "--owner", "other"],
            ("POST", "/v1/tasks"): lambda: ["task", "open", "--agent", SUBJECT, "--purpose", "p"],
            ("GET", "/v1/tasks"): lambda: ["task", "list"],
            ("GET", "/v1/tasks/{id}"): lambda: ["task", "show", self.task(owner)],
            ("POST", "/v1/tasks/{id}/pause"): lambda: ["task", "pause", self.task(owner)],
            ("POST", "/v1/tasks/{id}/resume"): lambda: ["task", "resume", self.task(owner, "pause")],
            ("POST", "/v1/tasks/{id}/complete"): lambda: ["task", "complete", self.task(owner)],
            ("POST", "/v1/tasks/{id}/cancel"): lambda: ["task", "cancel", self.task(owner)],
            ("GET", "/v1/approvals"): lambda: ["approve", "list"],
            ("GET", "/v1/approvals/{id}"): lambda: ["approve", "show", self.approval(owner)],
            ("POST", "/v1/approvals/{id}/grant"): lambda: ["approve", "grant", self.approval(owner)],
            ("POST", "/v1/approvals/{id}/deny"): lambda: ["approve", "deny", self.approval(owner)],
            ("POST", "/v1/revocations"): lambda: ["revoke", "--subject", "spiffe://demo.test/agent/" + self.fresh("gone")],
            ("GET", "/v1/revocations"): lambda: ["revoke", "list"],
            ("POST", "/v1/policy/explain"): lambda: ["policy", "explain", self.request_file(), "--caller", "mint"],
        }[method, path]()

    def request_file(self):
        path = os.path.join(self.public, "request.json")
        with open(path, "w") as out:
            json.dump(REQUEST, out)
        return path

    ROUTES = [route for route in TABLE if not route[1].startswith("/oauth2/") and route[1] not in ("/v1/nonces", "/v1/agents/import")]

    def check(self, way):
        for route in self.ROUTES:
            words = self.command_for(route, "demo")
            for who in ROLES + (STRANGER,):
                with self.subTest(way, route=route, who=who):
                    if who in TABLE[route][1]:
                        self.hsmint(way, *self.command_for(route, who), who=who)
                    else:
                        self.refuses("unknown_caller" if who == STRANGER else "role_missing", way, *words, who=who)

    def test_over_https(self):
        self.check("https")

    @unittest.skipUnless(os.geteuid() == 0, "becoming other users needs root")
    def test_over_the_control_socket(self):
        self.check("control")


class Way(Commands):
    """How they reach the service, and when they do not."""

    def test_another_key_than_the_certificates(self):
        cert, key = self.certs["register"][0], self.certs["revoke"][1]
        self.refuses("client_tls", self.way("https", "register", key=key), "agent", "list")
        self.refuses("client_tls", self.way("https", "revoke", cert=cert), "agent", "list")

    def test_a_certificate_that_the_service_does_not_trust(self):
        pair = Authority(self.work, "foreign").issue("forged", ["URI:spiffe://demo.test/role/register"])
        self.refuses("certificate_refused", self.way("https", cert=pair[0], key=pair[1]), "agent", "list")

    def test_a_service_that_the_caller_does_not_trust(self):
        foreign = Authority(self.work, "foreign").cert
        self.refuses("client_tls", self.way("https", ca=foreign), "agent", "list")

    def test_nobody_there(self):
        self.refuses("client_unreachable", self.way("https", url="https://localhost:1"), "agent", "list")
        self.refuses("client_unreachable", ["--control", self.work + "/nobody"], "agent", "list")

    def test_one_way_is_said(self):
        https = self.way("https")
        for words in (["agent", "list"], ["task", "list"], ["approve", "list"], ["revoke", "list"], ["policy", "explain", "-"]):
            more = {"input": "{}"}
            self.usage("--control PATH or HSMINT_CONTROL, or --url URL", *words, **more)
            self.usage("--control PATH or HSMINT_CONTROL, or --url URL", *words, env={"HSMINT_CONTROL": ""}, **more)
            self.usage("either --control or --url", *words, *https, "--control", self.service.control, **more)
            self.usage("--cert, --key and --ca belong to --url", *words, *self.way("https", url=None), **more)
            self.usage("--cert, --key and --ca belong to --url", *words, "--ca", "x", env={"HSMINT_CONTROL": self.service.control}, **more)
            for missing in ("cert", "key", "ca"):
                self.usage("--url needs --cert, --key and --ca", *words, *self.way("https", **{missing: None}), **more)

    def test_the_environment_names_the_control_socket_unless_a_url_is_said(self):
        self.hsmint([], "agent", "list", env={"HSMINT_CONTROL": self.service.control})
        self.hsmint("https", "agent", "list", env={"HSMINT_CONTROL": self.work + "/nobody"})

    def test_what_is_not_a_command(self):
        self.usage("there is no 'hire'", "agent", "hire", "x")
        self.usage("needs to know which", "agent", "suspend", *self.way("control"))
        self.usage("'y' is not wanted", "agent", "suspend", "x", "y", *self.way("control"))
        self.usage("--owner is given once", "agent", "add", "spiffe://demo.test/own/x", "--owner", "a", "--owner", "b", *self.way("control"))
        self.usage("--review takes a period", "agent", "add", "spiffe://demo.test/own/x", "--review", "soon", *self.way("control"))
        self.usage("--depth takes a whole number", "agent", "add", "spiffe://demo.test/own/x", "--depth", "-1", *self.way("control"))
        self.usage("UTF-8", "task", "open", "--agent", SUBJECT, "--purpose", b"\xff", *self.way("control"))


if __name__ == "__main__":
    unittest.main()
