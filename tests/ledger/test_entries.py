# SPDX-License-Identifier: Apache-2.0
"""What the ledger is told: every credential with all that is known of it, every act that governs, and no human's name."""
import base64
import hashlib
import hmac
import json
import os
import unittest

from service_case import AUDIENCE, SUBJECT, ServiceCase, edit, read_shard, unbase64

ALICE, BOB = "alice@example.org", "bob@example.org"


def text(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Entries(ServiceCase):
    def entries(self, service):
        """After a stop: all of them are there."""
        service.stop()
        raw = read_shard(self.ledger)
        entries = [json.loads(entry) for entry in raw]
        for entry, line in zip(entries, raw):
            self.assertEqual(canonical(entry), line)
        self.assertEqual({entry["v"] for entry in entries}, {1})
        return entries

    @staticmethod
    def of_type(entries, kind):
        return [entry for entry in entries if entry["type"] == kind]

    def test_a_credential_with_all_that_is_known_of_it(self):
        service = self.serve()
        body = {"profile": "demo-access", "subject": SUBJECT, "audience": [AUDIENCE, "https://x.demo.test/mcp"],
                "scope": "read", "claims": {"session": "s1", "environment": "test"},
                "context": {"ticket": "T-1", "\u00e4": "\u20ac\n\"", "Z": "1", "\U0001f600": "2", "\uffee": "3"}}
        answer = service.ask("POST", "/v1/mint/jwt", body, headers={"Idempotency-Key": "once-1"}).json
        agents = json.loads(service.command("agent", "show", SUBJECT, "--control", service.control, "--json").stdout)
        entry = self.entries(service)[answer["ledger"]["index"]]
        signed = answer["credential"].rsplit(".", 1)[0].encode()
        self.assertLessEqual(abs(entry.pop("time") - answer["issued_at"]), 1)
        self.assertEqual(entry, {
            "agent": agents["id"], "owner": "you@demo.test", "audience": body["audience"], "caller": "demo", "claims": ["environment", "session"],
            "context": body["context"], "expires": answer["expires_at"], "id": answer["id"],
            "idempotency_key": "once-1", "issued": answer["issued_at"], "issuer": "demo", "kid": answer["kid"],
            "kind": "at+jwt", "profile": "demo-access", "scope": "read", "subject": SUBJECT,
            "tbs": text(hashlib.sha256(signed).digest()), "type": "credential", "v": 1})
        # U+1F600 is written with surrogates, which come before U+FFEE (RFC 8785, section 3.2.3).
        raw = read_shard(self.ledger)[answer["ledger"]["index"]].decode()
        self.assertLess(raw.index("\U0001f600"), raw.index("\uffee"))
        self.assertNotIn(answer["credential"].rsplit(".", 1)[1], raw)

    def test_a_repetition_is_no_second_credential(self):
        service = self.serve()
        answers = [service.ask("POST", "/v1/mint/jwt", {"profile": "demo-access", "subject": SUBJECT, "audience": AUDIENCE},
                               headers={"Idempotency-Key": "twice"}).json for _ in range(2)]
        self.assertEqual(answers[0]["ledger"], answers[1]["ledger"])
        self.assertEqual(len(self.of_type(self.entries(service), "credential")), 1)

    def test_humans_are_commitments_and_can_be_forgotten(self):
        edit(self.config, "    claims:\n      - {name: session,", "    humans: [user, session]\n    claims:\n      - {name: session,")
        service = self.serve()
        members = {"context": {"user": ALICE, "ticket": "T-1"}, "claims": {"session": BOB}}
        first, second = (service.mint(**members).json for _ in range(2))
        only = service.mint(context={"user": ALICE}).json
        salts = {}
        for name in (ALICE, BOB):
            path = os.path.join(self.directory, "state", "salts", text(hashlib.sha256(name.encode()).digest()))
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
            with open(path, "rb") as file:
                salts[name] = file.read()
        service.command("ledger", "forget", ALICE, "--control", service.control)
        unknown = service.command("ledger", "forget", ALICE, "--control", service.control, check=False)
        self.assertEqual(unknown.returncode, 1)
        self.assertIn("unknown_human", unknown.stderr)
        again = service.mint(context={"user": ALICE}).json
        entries = self.entries(service)

        def commitment(name):
            return text(hmac.digest(salts[name], name.encode(), "sha256"))
        for answer in (first, second):
            entry = entries[answer["ledger"]["index"]]
            signed = answer["credential"].rsplit(".", 1)[0].encode()
            self.assertEqual(entry["humans"], [commitment(ALICE), commitment(BOB)])
            self.assertEqual(entry["context"], {"ticket": "T-1"})
            self.assertNotIn("tbs", entry)
            self.assertEqual(unbase64(entry["tbs_hmac"]), hmac.digest(salts[ALICE] + salts[BOB], signed, "sha256"))
        entry = entries[only["ledger"]["index"]]
        self.assertEqual((entry["humans"], "context" in entry, "tbs" in entry), ([commitment(ALICE)], False, True))
        self.assertEqual([entry["human"] for entry in self.of_type(entries, "forgotten")], [commitment(ALICE)])
        self.assertNotEqual(entries[again["ledger"]["index"]]["humans"], [commitment(ALICE)])
        everything = b"".join(read_shard(self.ledger))
        for name in (ALICE, BOB):
            self.assertNotIn(name.encode(), everything)
            self.assertNotIn(name, service_files(self.ledger))

    def test_refusals_are_told_together(self):
        service = self.serve()
        connection = service.unix()
        for _ in range(5):
            self.refused(service.mint(connection, audience="https://elsewhere.test"), 403, "audience_not_allowed")
        self.refused(service.mint(connection, profile="nobody"), 400, "unknown_profile")
        connection.close()
        refused = self.of_type(self.entries(service), "refused")
        self.assertEqual({(entry["caller"], entry["issuer"]) for entry in refused}, {("demo", "demo")})
        counts = {}
        for entry in refused:
            counts[entry["code"]] = counts.get(entry["code"], 0) + entry["count"]
        self.assertEqual(counts, {"audience_not_allowed": 5, "unknown_profile": 1})
        self.assertLess(len(refused), 5)

    def test_acts_that_govern(self):
        service = self.serve()
        with open(self.config, "rb") as file:
            configuration = text(hashlib.sha256(file.read()).digest())
        edit(self.config, "scopes: [read, write]", "scopes: [read]")
        with open(self.config, "rb") as file:
            changed = text(hashlib.sha256(file.read()).digest())
        service.command("reload", "--control", service.control)
        service.command("key", "create", "demo-svid", "--config", self.config, "--control", service.control)
        service.command("key", "rotate", "demo-svid", "--now", "--control", service.control)
        refused = service.command("key", "retire", "demo-access", "1", "--control", service.control, check=False)
        self.assertEqual(refused.returncode, 1)
        shown = json.loads(service.command("key", "evidence", "--control", service.control).stdout)
        entries = self.entries(service)
        life = entries[max(i for i, entry in enumerate(entries) if entry["type"] == "start"):]
        self.assertEqual([entry["configuration"] for entry in self.of_type(life, "start")], [configuration])
        self.assertEqual([entry["sha256"] for entry in self.of_type(life, "configuration")], [changed])
        self.assertEqual([entry["configuration"] for entry in self.of_type(life, "stop")], [changed])
        commands = [(entry["command"], entry["caller"], entry["uid"], entry.get("key"), entry["result"])
                    for entry in self.of_type(life, "command")]
        uid = os.getuid()
        self.assertEqual(commands[0], ("reload", "demo", uid, None, "ok"))
        self.assertIn(("key-activate", "demo", uid, "demo-svid", "ok"), commands)
        self.assertIn(("key-retire", "demo", uid, "demo-access", "key_state"), commands)
        events = [(entry["key"], entry["number"], entry["event"]) for entry in self.of_type(life, "key")]
        self.assertIn(("demo-svid", 2, "active"), events)
        self.assertIn(("demo-svid", 1, "retiring"), events)
        evidence = {key["kid"]: key["evidence"] for key in shown if key["known"]}
        for entry in self.of_type(life, "key"):
            if "evidence" in entry:
                self.assertEqual(entry["evidence"], evidence[entry["kid"]])
        tokens = [entry["event"] for entry in self.of_type(life, "token")]
        self.assertEqual((tokens[0], tokens[1], tokens[-1]), ("started", "ready", "ended"))


def canonical(value):
    """RFC 8785, of what has no numbers but integers."""
    def ordered(part):
        if not isinstance(part, dict):
            return part
        return {name: ordered(part[name]) for name in sorted(part, key=lambda name: name.encode("utf-16-be"))}
    return json.dumps(ordered(value), separators=(",", ":"), ensure_ascii=False).encode()


def service_files(directory):
    """All that is in a ledger's files, as far as it is text."""
    found = ""
    for base, _, names in os.walk(directory):
        for name in names:
            with open(os.path.join(base, name), "rb") as file:
                found += file.read().decode(errors="replace")
    return found


if __name__ == "__main__":
    unittest.main()
