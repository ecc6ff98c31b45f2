# SPDX-License-Identifier: Apache-2.0
"""One Idempotency-Key, one credential: repeated, waited for, refused when it may not go out any more."""
import json
import os
import threading
import unittest

from harness import AUDIENCE, SUBJECT, Case, SharedCase, decode, edit, wait_for

REQUEST = {"profile": "demo-access", "subject": SUBJECT, "audience": AUDIENCE}


def mint(service, key, connection=None, path="/v1/mint/jwt", body=None, **headers):
    if key:
        headers["Idempotency-Key"] = key
    return service.ask("POST", path, body or REQUEST, connection, {name.replace("_", "-"): v for name, v in headers.items()})


def batch(service, key, *items):
    return mint(service, key, path="/v1/mint/batch", body={"requests": [dict(REQUEST, kind="jwt", **i) for i in items]})


class Keys(SharedCase):
    unsigned = True

    def test_a_repetition_gives_the_same_bytes_and_says_so(self):
        first = mint(self.service, "same")
        self.assertEqual(first.status, 200)
        self.assertNotIn("replayed", first.json)
        before = self.service.status()["tokens"][0]["signed"]
        for _ in range(3):
            again = mint(self.service, "same")
            self.assertEqual(again.status, 200)
            self.assertEqual(again.body, first.body[:-1] + b',"replayed":true}')
        self.assertEqual(self.service.status()["tokens"][0]["signed"], before)

    def test_without_a_key_each_is_another(self):
        self.assertNotEqual(mint(self.service, None).json["id"], mint(self.service, None).json["id"])

    def test_another_body_or_path_is_refused_even_one_that_is_not_valid(self):
        mint(self.service, "body")
        for body in (dict(REQUEST, lifetime=60), {"profile": "nobody"}, json.dumps(REQUEST) + " "):
            self.refused(mint(self.service, "body", body=body), 422, "idempotency_mismatch")
        self.refused(batch(self.service, "body", {}), 422, "idempotency_mismatch")

    def test_refusals_are_not_kept(self):
        wrong = dict(REQUEST, scope="admin")
        self.refused(mint(self.service, "refused", body=wrong), 403, "scope_not_allowed")
        self.assertEqual(mint(self.service, "refused").status, 200)

    def test_a_key_is_its_callers(self):
        over_tls = self.service.tls()
        first, other = mint(self.service, "mine"), mint(self.service, "mine", over_tls)
        over_tls.close()
        self.assertEqual((first.status, other.status), (200, 200))
        self.assertNotEqual(first.json["id"], other.json["id"])

    def test_a_batch_is_kept_item_by_item(self):
        first = batch(self.service, "batch", {}, {"scope": "admin"}, {"profile": "demo-svid"})
        again = batch(self.service, "batch", {}, {"scope": "admin"}, {"profile": "demo-svid"})
        self.assertEqual([reply.get("code") for reply in first.json["replies"]], [None, "scope_not_allowed", None])
        for one, other in zip(first.json["replies"], again.json["replies"]):
            self.assertEqual(other, dict(one, replayed=True) if "credential" in one else one)
        self.refused(batch(self.service, "batch", {}, {}, {}), 422, "idempotency_mismatch")
        self.refused(batch(self.service, "batch", {}), 422, "idempotency_mismatch")

    def test_one_that_has_expired_is_not_given_again(self):
        short = dict(REQUEST, lifetime=1)
        self.assertEqual(mint(self.service, "short", body=short).status, 200)
        gone = wait_for(lambda: (lambda a: a if a.status != 200 else None)(mint(self.service, "short", body=short)),
                        "it to expire")
        self.refused(gone, 409, "replay_withdrawn")


class Changes(Case):
    def reload(self, service, old, new):
        edit(os.path.join(service.directory, "hsmint.yaml"), old, new)
        service.command("reload", "--control", service.control)

    def test_what_the_configuration_no_longer_allows_is_not_given_again(self):
        service = self.dev()
        first = mint(service, "key")
        self.assertEqual(first.status, 200)
        self.reload(service, "lifetime: {default: 300, maximum: 900}\n    audiences: [\"https://api.demo.test\", \"https",
                    "lifetime: {default: 30, maximum: 60}\n    audiences: [\"https://api.demo.test\", \"https")
        self.refused(mint(service, "key"), 409, "replay_withdrawn")
        self.reload(service, "lifetime: {default: 30, maximum: 60}", "lifetime: {default: 300, maximum: 900}")
        self.assertEqual(mint(service, "key").json["id"], first.json["id"])
        self.reload(service, "  - name: demo\n    issuer: demo\n    uri: \"spiffe://demo.test/client\"\n    uid: 0",
                    "  - name: demo\n    issuer: demo\n    uri: \"spiffe://demo.test/client\"\n    uid: 0\n    rate: 1000")
        self.assertEqual(mint(service, "key").json["id"], first.json["id"])
        self.reload(service, "\"https://api.demo.test\", \"https://*.demo.test/mcp\"", "\"https://*.demo.test/mcp\"")
        self.refused(mint(service, "key"), 403, "audience_not_allowed")

    def test_what_the_configuration_would_make_otherwise_is_not_given_again(self):
        service = self.dev()
        self.reload(service, "      - {name: session, type: string, size: 64}\n",
                    "      - {name: session, type: string, size: 64}\n      - {name: stage, type: string, constant: one}\n")
        first = mint(service, "key")
        self.assertEqual(decode(first.json["credential"])[1]["stage"], "one")
        self.reload(service, "constant: one", "constant: two")
        self.refused(mint(service, "key"), 409, "replay_withdrawn")
        self.reload(service, "constant: two", "constant: one")
        self.assertEqual(mint(service, "key").json["id"], first.json["id"])
        issuer = decode(first.json["credential"])[1]["iss"]
        self.reload(service, 'url: "%s"' % issuer, 'url: "%s/moved"' % issuer)
        wait_for(lambda: service.status()["ready"], "the token with the issuer's new URL")
        self.refused(mint(service, "key"), 409, "replay_withdrawn")
        self.assertEqual(decode(mint(service, "fresh").json["credential"])[1]["iss"], issuer + "/moved")


class InFlight(Case):
    def test_a_repetition_waits_for_the_first_and_gets_the_same(self):
        service = self.dev()
        service.command("dev", "ctl", "--control", service.control, "slow", "700ms")
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(mint(service, "wait"))) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([answer.status for answer in answers], [200] * 5)
        self.assertEqual(len({answer.json["id"] for answer in answers}), 1)
        self.assertEqual(sum("replayed" not in answer.json for answer in answers), 1)

    def test_who_waits_longer_than_the_first_still_gets_it(self):
        service = self.dev()
        service.command("dev", "ctl", "--control", service.control, "slow", "700ms")
        first = threading.Thread(target=lambda: hasty.append(mint(service, "k", Deadline_Ms="300")))
        hasty, patient = [], []
        first.start()
        wait_for(lambda: service.status()["pending"], "the first to be with mint")
        patient.append(mint(service, "k"))
        first.join()
        self.refused(hasty[0], 504, "deadline")
        self.assertEqual(patient[0].status, 200)
        self.assertEqual(mint(service, "k").json["id"], patient[0].json["id"])

    def test_one_that_came_too_late_is_not_kept(self):
        service = self.dev()
        service.command("dev", "ctl", "--control", service.control, "slow", "300ms")
        self.refused(mint(service, "late", Deadline_Ms="50"), 504, "deadline")
        wait_for(lambda: not service.status()["pending"], "the token to be done with it")
        self.assertEqual(service.status()["minted"], 0)
        fresh = mint(service, "late")
        self.assertEqual(fresh.status, 200)
        self.assertNotIn("replayed", fresh.json)

    def test_a_new_gate_knows_what_the_one_before_gave(self):
        service = self.dev()
        first = mint(service, "gate")
        service.command("dev", "ctl", "--control", service.control, "gate-down")
        service.wait_ready()
        self.assertEqual(mint(service, "gate").body, first.body[:-1] + b',"replayed":true}')


if __name__ == "__main__":
    unittest.main()
