# SPDX-License-Identifier: Apache-2.0
"""What bad input gets: a problem with its code and field, and no signature."""
import json
import unittest

from harness import AUDIENCE, SUBJECT, SharedCase

GOOD = {"profile": "demo-access", "subject": SUBJECT, "audience": AUDIENCE}


def body(**members):
    changed = dict(GOOD)
    changed.update(members)
    return json.dumps({name: value for name, value in changed.items() if value is not None})


# What is sent, and the status, code and field that come back.
FORM = [
    (b"", 400, "malformed_json", None),
    (b"{", 400, "malformed_json", None),
    (b"[]", 400, "malformed_json", None),
    (b'"text"', 400, "malformed_json", None),
    (b"null", 400, "malformed_json", None),
    (b"{}x", 400, "malformed_json", None),
    (b"{'profile': 1}", 400, "malformed_json", None),
    (b'{"profile": "demo-access",}', 400, "malformed_json", None),
    (b'{"profile": NaN}', 400, "malformed_json", None),
    (b'{"profile": "a\x00b"}', 400, "malformed_json", None),
    (b'{"profile": "a\\u0000b"}', 400, "malformed_json", None),
    (b'{"profile": "\\ud800"}', 400, "malformed_json", None),
    (b'{"profile": "\xff"}', 400, "invalid_utf8", None),
    (b'{"profile": "\xc0\xaf"}', 400, "invalid_utf8", None),
    (b'{"profile": "\xed\xa0\x80"}', 400, "invalid_utf8", None),
    (b'{"profile": "a", "profile": "b"}', 400, "duplicate_member", "profile"),
    (b'{"claims": {"a": 1, "a": 2}}', 400, "duplicate_member", "a"),
    (b'{"claims": ' + b"[" * 8 + b"]" * 8 + b"}", 400, "too_deep", None),
    (b"[" * 30000 + b"]" * 30000, 400, "too_deep", None),
    (b'{"audience": [' + b",".join([b"1"] * 3000) + b"]}", 400, "too_deep", None),
]

MEMBERS = [
    (body(surprise=1), 400, "unknown_member", "surprise"),
    (body(profile=None), 400, "missing_member", "profile"),
    (body(subject=None), 400, "missing_member", "subject"),
    (body(audience=None), 400, "missing_member", "audience"),
    (body(profile=1), 400, "wrong_type", "profile"),
    (body(profile=["demo-access"]), 400, "wrong_type", "profile"),
    (body(subject=True), 400, "wrong_type", "subject"),
    (body(audience=7), 400, "wrong_type", "audience"),
    (body(audience=[7]), 400, "wrong_type", "audience"),
    (body(audience={"a": "b"}), 400, "wrong_type", "audience"),
    (body(scope=["read"]), 400, "wrong_type", "scope"),
    (body(lifetime="60"), 400, "wrong_type", "lifetime"),
    (body(lifetime=60.5), 400, "wrong_type", "lifetime"),
    (body(lifetime=6e1), 400, "wrong_type", "lifetime"),
    (body(claims=[]), 400, "wrong_type", "claims"),
    (body(context="x"), 400, "wrong_type", "context"),
    (body(context={"a": 1}), 400, "wrong_type", "context"),
    (body(context={str(i): "x" for i in range(17)}), 400, "invalid_context", "context"),
    (body(context={"a": "x" * 1024}), 400, "invalid_context", "context"),
    (body(profile="nobody"), 400, "unknown_profile", "profile"),
    (body(profile=""), 400, "unknown_profile", "profile"),
    (body(audience=[]), 400, "invalid_audience", "audience"),
    (body(audience=""), 400, "invalid_audience", "audience"),
    (body(audience=["https://api.demo.test"] * 9), 400, "invalid_audience", "audience"),
    (body(audience="https://api.demo.test/" + "x" * 600), 400, "invalid_audience", "audience"),
    (body(audience="https://elsewhere.test"), 403, "audience_not_allowed", "audience"),
    (body(audience=[AUDIENCE, "https://elsewhere.test"]), 403, "audience_not_allowed", "audience"),
    (body(audience="https://api.demo.test/"), 403, "audience_not_allowed", "audience"),
    (body(audience="https://a/b.demo.test/mcp"), 403, "audience_not_allowed", "audience"),
    (body(scope=""), 400, "invalid_scope", "scope"),
    (body(scope=" read"), 400, "invalid_scope", "scope"),
    (body(scope="read  write"), 400, "invalid_scope", "scope"),
    (body(scope="read read"), 400, "invalid_scope", "scope"),
    (body(scope="x" * 65), 400, "invalid_scope", "scope"),
    (body(scope="read admin"), 403, "scope_not_allowed", "scope"),
    (body(scope="READ"), 403, "scope_not_allowed", "scope"),
    (body(lifetime=0), 403, "lifetime_not_allowed", "lifetime"),
    (body(lifetime=-1), 403, "lifetime_not_allowed", "lifetime"),
    (body(lifetime=901), 403, "lifetime_not_allowed", "lifetime"),
    (body(lifetime=2**62), 403, "lifetime_not_allowed", "lifetime"),
    (body(claims={"unlisted": 1}), 400, "claim_not_allowed", "claims.unlisted"),
    (body(claims={"sub": "spiffe://demo.test/agent/other"}), 400, "claim_not_allowed", "claims.sub"),
    (body(claims={"act": {"sub": "x"}}), 400, "claim_not_allowed", "claims.act"),
    (body(claims={"session": 5}), 400, "invalid_claim", "claims.session"),
    (body(claims={"session": "x" * 65}), 400, "invalid_claim", "claims.session"),
    (body(claims={"environment": "production"}), 400, "invalid_claim", "claims.environment"),
]

# SPIFFE-ID, sections 2.1 to 2.4.
SUBJECTS = [
    "", "demo.test/agent/first", "http://demo.test/agent/first", "SPIFFE://demo.test/agent/first",
    "spiffe:/demo.test/agent/first", "spiffe://", "spiffe:///agent/first", "spiffe://demo.test", "spiffe://demo.test/",
    "spiffe://demo.test/agent/", "spiffe://demo.test//agent", "spiffe://demo.test/agent//first",
    "spiffe://demo.test/agent/./first", "spiffe://demo.test/agent/../first", "spiffe://demo.test/agent/..",
    "spiffe://Demo.test/agent/first", "spiffe://demo.test:8443/agent/first", "spiffe://user@demo.test/agent/first",
    "spiffe://demo.test/agent/first?x=1", "spiffe://demo.test/agent/first#x", "spiffe://demo.test/agent/%66irst",
    "spiffe://demo.test/agent/f rst", "spiffe://demo.test/agent/fürst", "spiffe://demo.test/agent/first\n",
    "spiffe://" + "d" * 256 + "/agent", "spiffe://demo.test/agent/" + "x" * 2048,
]

FOREIGN_SUBJECTS = [
    "spiffe://other.test/agent/first", "spiffe://demo.test.evil/agent/first", "spiffe://demo.test/robot/first",
    "spiffe://demo.test/agent/first/second", "spiffe://demo.test/Agent/first",
]


class Refusals(SharedCase):
    unsigned = True

    def setUp(self):
        super().setUp()
        self.connection = self.service.unix()
        self.addCleanup(self.connection.close)
        self.assertEqual(self.service.mint().status, 200)
        self.before = self.signed()

    def signed(self):
        return self.service.status()["tokens"][0]["signed"]

    def each(self, table):
        for sent, status, code, field in table:
            with self.subTest(sent=sent[:80]):
                answer = self.service.ask("POST", "/v1/mint/jwt", sent, self.connection)
                self.refused(answer, status, code, field)
                self.assertEqual(answer.json["retry"], "no")
                self.assertEqual(answer.headers["Cache-Control"], "no-store")
        self.assertEqual(self.signed(), self.before, "something was signed")
        self.assertEqual(self.service.mint().status, 200)

    def test_what_is_not_json_of_the_right_form(self):
        self.each(FORM)

    def test_members_that_are_wrong(self):
        self.each(MEMBERS)

    def test_subjects_that_are_no_spiffe_ids(self):
        self.each([(body(subject=subject), 400, "invalid_subject", "subject") for subject in SUBJECTS])

    def test_subjects_of_somebody_else(self):
        self.each([(body(subject=subject), 403, "subject_not_allowed", "subject") for subject in FOREIGN_SUBJECTS])

    def test_a_refusal_says_what_would_be_accepted(self):
        answer = self.service.ask("POST", "/v1/mint/jwt", body(lifetime=901))
        self.assertEqual(set(answer.json), {"type", "title", "status", "code", "field", "accepts", "retry"})
        self.assertEqual(answer.json["accepts"], "1 to 900 seconds")

    def test_a_leak_would_be_seen(self):
        """Each refusal of these tests is searched for what callers must not learn: the search finds it."""
        self.assertEqual(self.service.names(), ["demo-access", "demo-svid", "demo-task", "demo", "approver"])
        for word in (self.service.directory, "CKR_PIN_INCORRECT", "demo-svid", "sign.c:12"):
            self.assertNotEqual(self.service.leaks('{"accepts":"%s"}' % word), [])
        self.assertEqual(self.service.leaks('{"accepts":"spiffe://demo.test/agent/demo-other"}'), [])

    def test_a_body_at_the_limit_is_read_and_one_beyond_is_not(self):
        most = 60 * 1024
        padding = most - len(body()) - len('"context":{"a":""},')
        whole = body(context={"a": "x" * padding}).replace(", ", ",").replace(": ", ":")
        self.refused(self.service.ask("POST", "/v1/mint/jwt", whole + " " * (most - len(whole))), 400, "invalid_context")
        self.refused(self.service.ask("POST", "/v1/mint/jwt", whole + " " * (most + 1 - len(whole))), 413, "body_too_large")


if __name__ == "__main__":
    unittest.main()
