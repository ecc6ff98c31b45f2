# SPDX-License-Identifier: Apache-2.0
"""Status lists as who relies on a credential reads them: signed, recorded, published, and soon after what they tell of."""
import base64
import hashlib
import json
import os
import re
import signal
import threading
import time
import unittest
import urllib.parse
import zlib

import ledger_entries
from harness import AUDIENCE, SUBJECT, Case, decode, edit, process_exists, read, run, start_serve, verify, wait_for
from harness import HSMINT
from test_tasks import control

VALID, ENDED, SUSPENDED = 0, 1, 2
PROFILE = "demo-task"  # its tasks have places
KEY = "demo-status"
PLACES = 32768
SOON = 1  # seconds from the answer to a list that says so
SOON_BUSY = 10  # on a machine that does much else


def hash_of(token):
    """What an entry says of what was signed."""
    return base64.urlsafe_b64encode(hashlib.sha256(token.rsplit(".", 1)[0].encode()).digest()).rstrip(b"=").decode()


def values_of(payload):
    """draft-ietf-oauth-status-list, section 4.1: from the least significant bits on."""
    text = payload["status_list"]["lst"]
    data = zlib.decompress(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return [byte >> shift & 3 for byte in data for shift in (0, 2, 4, 6)]


class StatusCase(Case):
    def setUp(self):
        super().setUp()
        self.service = self.dev()
        self.directory = self.service.directory

    def jwks(self):
        return self.service.ask("GET", "/demo/.well-known/jwks.json").body

    def get(self, number=0, **more):
        return self.service.ask("GET", "/demo/status/%d" % number, **more)

    def there(self, number=0):
        def found():
            answer = self.get(number)
            return answer.status == 200 and answer
        return wait_for(found, "list %d" % number)

    def open(self, **members):
        answer = self.service.ask("POST", "/v1/tasks", dict({"agent": SUBJECT, "purpose": "testing"}, **members))
        self.assertEqual(answer.status, 201, answer.body)
        return answer.json["id"]

    def minted(self, task):
        answer = self.service.mint(profile=PROFILE, task=task, audience=AUDIENCE)
        self.assertEqual(answer.status, 200, answer.body)
        return decode(answer.json["credential"])[1]

    def act(self, task, act):
        answer = self.service.ask("POST", "/v1/tasks/%s/%s" % (task, act), {})
        self.assertEqual(answer.status, 200, answer.body)

    def place(self, payload):
        """The list that a credential names and the place in it."""
        place = payload["status"]["status_list"]
        self.assertEqual(set(place), {"idx", "uri"})
        found = re.fullmatch(re.escape(payload["iss"]) + r"/status/(\d+)", place["uri"])
        self.assertTrue(found, place)
        return int(found.group(1)), place["idx"]

    def value(self, payload):
        number, index = self.place(payload)
        return values_of(decode(self.there(number).body.decode())[1])[index]

    def wait_value(self, payload, value, within=SOON_BUSY):
        began = time.monotonic()
        wait_for(lambda: self.value(payload) == value, "the list to say %d" % value, within)
        return time.monotonic() - began


class Published(StatusCase):
    def test_a_list_verifies_by_the_published_keys_and_says_what_holds(self):
        task = self.open()
        credential = self.minted(task)
        number, index = self.place(credential)
        answer = self.there(number)
        token = answer.body.decode()
        self.assertEqual(answer.headers["Content-Type"], "application/statuslist+jwt")
        self.assertEqual(answer.headers["Cache-Control"], "public, max-age=5")
        header, payload = decode(token)
        self.assertEqual(header["typ"], "statuslist+jwt")
        self.assertEqual(verify(token, self.jwks(), self.work), payload)
        self.assertEqual(payload["iss"], credential["iss"])
        self.assertEqual(payload["sub"], credential["status"]["status_list"]["uri"])
        self.assertEqual((payload["exp"] - payload["iat"], payload["ttl"], payload["status_list"]["bits"]), (300, 5, 2))
        values = values_of(payload)
        self.assertEqual((len(values), values[index]), (PLACES, VALID))
        for act, value in (("pause", SUSPENDED), ("resume", VALID), ("complete", ENDED)):
            with self.subTest(act):
                self.act(task, act)
                self.wait_value(credential, value)
        self.assertEqual([value for value in values_of(decode(self.get(number).body.decode())[1]) if value], [ENDED])

    def test_the_key_of_lists_signs_no_credentials_and_is_in_no_bundle(self):
        credential = self.minted(self.open())
        header = decode(self.there(self.place(credential)[0]).body.decode())[0]
        keys = {key["kid"] for key in json.loads(self.jwks())["keys"]}
        bundle = self.service.ask("GET", "/demo/spiffe/bundle.json")
        self.assertEqual(bundle.status, 200)
        self.assertIn(header["kid"], keys)
        self.assertNotIn(header["kid"], {key["kid"] for key in bundle.json["keys"]})
        self.assertNotEqual(decode(self.service.mint().json["credential"])[0]["kid"], header["kid"])

    def test_who_has_it_is_told_when_it_is_still_the_same(self):
        task = self.open()
        credential = self.minted(task)
        number = self.place(credential)[0]

        def asked_again():
            return self.get(number, headers={"If-None-Match": self.there(number).headers["ETag"]})
        again = wait_for(lambda: (lambda answer: answer.status == 304 and answer)(asked_again()), "a list that stays")
        self.assertEqual(again.body, b"")
        self.act(task, "complete")
        etag = self.there(number).headers["ETag"]
        self.wait_value(credential, ENDED)
        answer = self.get(number, headers={"If-None-Match": etag})
        self.assertEqual((answer.status, answer.headers["ETag"] != etag), (200, True))

    def test_a_list_that_there_is_not_is_not_found(self):
        self.there(self.place(self.minted(self.open()))[0])
        for number in (1, 63, 64, 99999):
            self.assertEqual(self.get(number).status, 404)

    def test_an_end_is_published_within_a_second_while_others_mint(self):
        over = threading.Event()

        def client():
            connection = self.service.unix()
            while not over.is_set():
                self.service.mint(connection)
            connection.close()
        clients = [threading.Thread(target=client) for _ in range(2)]
        took = []
        for thread in clients:
            thread.start()
        try:
            for _ in range(10):
                task = self.open()
                credential = self.minted(task)
                self.value(credential)
                self.act(task, "complete")
                took.append(self.wait_value(credential, ENDED))
        finally:
            over.set()
            for thread in clients:
                thread.join()
        self.assertLess(sorted(took)[len(took) // 2], SOON, took)

    def test_what_changes_all_the_time_is_signed_a_few_times_a_second(self):
        task = self.open()
        credential = self.minted(task)
        self.value(credential)
        ledger = os.path.join(self.directory, "ledger")
        before, began = len(ledger_entries.of_type(ledger, "status_list")), time.monotonic()
        for _ in range(60):
            self.act(task, "pause")
            self.act(task, "resume")
        self.act(task, "complete")
        self.wait_value(credential, ENDED)
        took = time.monotonic() - began
        signed = len(ledger_entries.of_type(ledger, "status_list")) - before
        self.assertGreaterEqual(signed, 1)
        self.assertLessEqual(signed, took / 0.25 + 2)


class Recorded(StatusCase):
    def test_each_list_that_was_published_is_in_the_ledger_and_counted(self):
        ledger = os.path.join(self.directory, "ledger")
        task = self.open()
        credential = self.minted(task)
        seen = {self.there().body.decode()}
        for act, value in (("pause", SUSPENDED), ("resume", VALID), ("complete", ENDED)):
            self.act(task, act)
            self.wait_value(credential, value)
            seen.add(self.get().body.decode())
            entries = ledger_entries.of_type(ledger, "status_list")
            self.assertLessEqual({hash_of(token) for token in seen}, {entry["tbs"] for entry in entries})
        kid = decode(next(iter(seen)))[0]["kid"]
        for entry in entries:
            self.assertEqual(set(entry), {"issuer", "kid", "list", "tbs", "time", "type", "v"})
            self.assertEqual((entry["issuer"], entry["kid"], entry["list"], entry["v"]), ("demo", kid, 0, 1))
        vkey = run([HSMINT, "ledger", "vkey", "--control", self.service.control]).stdout.strip()
        self.service.stop()
        entries = ledger_entries.of_type(ledger, "status_list")
        counted = ledger_entries.counted(ledger)
        self.assertEqual(counted[kid, "status_list"], len(entries))
        self.assertNotIn((kid, "credential"), counted)
        found = json.loads(run([HSMINT, "ledger", "verify", ledger, "--vkey", vkey, "--json"]).stdout)
        self.assertEqual((found["faults"], found["shards"][0]["signatures"]["status_list"]), ([], len(entries)))


class Kept(StatusCase):
    def again(self):
        self.service.stop()
        self.service = start_serve(os.path.join(self.directory, "hsmint.yaml"), self.directory)
        self.addCleanup(self.service.stop)

    def test_lists_come_back_with_the_service_signed_anew(self):
        task = self.open()
        ended, other = self.minted(task), self.minted(self.open())
        self.act(task, "complete")
        self.wait_value(ended, ENDED)
        before = self.get().body
        self.again()
        answer = self.there()
        self.assertNotEqual(answer.body, before)
        self.assertEqual(verify(answer.body.decode(), self.jwks(), self.work)["ttl"], 5)
        self.assertEqual((self.value(ended), self.value(other)), (ENDED, VALID))

    def revoke(self, **members):
        status, answer = control(self.service, "POST", "/v1/revocations", members)
        self.assertEqual(status, 200, answer)

    def test_what_was_revoked_by_its_id_is_revoked_in_its_list_when_that_is_told(self):
        edit(os.path.join(self.directory, "hsmint.yaml"), "status: task", "status: credential")
        self.service.command("reload", "--control", self.service.control)
        answer = self.service.mint(profile=PROFILE, task=self.open(), audience=AUDIENCE)
        self.assertEqual(answer.status, 200, answer.body)
        token, payload = answer.json["credential"], decode(answer.json["credential"])[1]
        self.revoke(credential=payload["jti"])
        self.assertEqual(self.value(payload), VALID)  # nobody said where it is
        self.revoke(token=token)
        self.wait_value(payload, ENDED)
        self.revoke(credential=payload["jti"], force=True)
        self.again()
        self.wait_value(payload, ENDED)

    def introspected(self, token):
        answer = self.service.ask("POST", "/oauth2/introspect", urllib.parse.urlencode({"token": token}).encode(),
                                  headers={"Content-Type": "application/x-www-form-urlencoded"})
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json["active"]

    def test_what_is_struck_after_a_revocation_of_its_subject_or_key_is_in_force(self):
        kid = decode(self.service.mint(profile=PROFILE, task=self.open(), audience=AUDIENCE).json["credential"])[0]["kid"]
        for members in ({"subject": SUBJECT}, {"key": kid}):
            with self.subTest(members):
                task = self.open()
                before = self.service.mint(profile=PROFILE, task=task, audience=AUDIENCE).json["credential"]
                self.revoke(**members)

                def struck():
                    answer = self.service.mint(profile=PROFILE, task=task, audience=AUDIENCE)
                    return answer.status == 200 and answer.json["credential"]  # not in the same second
                after = wait_for(struck, "a credential")
                self.assertEqual((self.introspected(before), self.introspected(after)), (False, True))
                self.wait_value(decode(before)[1], ENDED)
                self.wait_value(decode(after)[1], VALID)

    def test_a_list_is_signed_when_its_token_is_back(self):
        task = self.open()
        credential = self.minted(task)
        self.value(credential)
        pid = self.service.status()["tokens"][0]["pid"]
        os.kill(pid, signal.SIGSTOP)  # it takes requests, and answers none
        try:
            self.act(task, "complete")
            self.assertEqual(self.value(credential), VALID)
        finally:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not process_exists(pid), "the process to end")
        self.wait_value(credential, ENDED, 30)

    def test_after_a_reload_lists_are_signed_by_the_keys_that_there_are(self):
        credential = self.minted(self.open())
        before = self.there().body
        config = os.path.join(self.directory, "hsmint.yaml")
        line = re.search(r"(?m)^  - \{name: %s,.*\n" % KEY, read(config)).group()
        edit(config, "lifetime: {default: 300, maximum: 900}\n    audiences: [\"https://api.demo.test\"]",
             "lifetime: {default: 300, maximum: 901}\n    audiences: [\"https://api.demo.test\"]")
        self.assertIn(line, read(config))
        self.service.command("reload", "--control", self.service.control)
        wait_for(lambda: self.get().body != before, "another signature")
        self.assertEqual(self.value(credential), VALID)


if __name__ == "__main__":
    unittest.main()
