# SPDX-License-Identifier: Apache-2.0
"""A profile with keys on two tokens: one of them away costs nobody a credential."""
import os
import re
import signal
import threading
import time
import unittest

from harness import AUDIENCE, SUBJECT, Case, decode, edit, leave_unsigned, read, run, start_serve, verify, wait_for
from test_status_lists import ENDED, values_of
from test_tasks import control
from token_admin import create_key

SECOND = "hsmint-second"
REQUEST = {"profile": "demo-access", "subject": SUBJECT, "audience": AUDIENCE}


class Two(Case):
    leaves_unsigned = True  # a checkpoint would wait for the token that is away

    def setUp(self):
        super().setUp()
        self.directory = self.made()
        config = os.path.join(self.directory, "hsmint.yaml")
        if self.leaves_unsigned:
            leave_unsigned(config)
        self.second(config)
        self.service = start_serve(config, self.directory)
        self.addCleanup(self.service.stop)

    def second(self, config):
        """Another token with a key of its own, which signs for demo-access too."""
        module = re.search(r"module: (\S+)", read(config)).group(1)
        pin = read(os.path.join(self.directory, "pin")).strip()
        run(["softhsm2-util", "--init-token", "--free", "--label", SECOND, "--so-pin", "12345678", "--pin", pin],
            env={**os.environ, "SOFTHSM2_CONF": self.directory + "/softhsm2.conf"})
        for name, identity in (("spare", "07"), ("spare-svid", "08")):
            create_key(self.directory, config, name, identity, label_of_token=SECOND)
        text = read(config)
        token = re.search(r"  - name: soft\n(?:    .*\n)+", text).group(0)
        edit(config, token, token + token.replace("name: soft", "name: second").replace("hsmint-dev", SECOND))
        edit(config, "\nprofiles:\n", "\n  - {name: spare, issuer: demo, token: second, label: spare, id: \"07\", "
             "use: access-token}\n"
             "  - {name: spare-svid, issuer: demo, token: second, label: spare-svid, id: \"08\", use: jwt-svid}\nprofiles:\n")
        for key, other in (("demo-access", "spare"), ("demo-svid", "spare-svid")):
            edit(config, "    key: %s\n" % key, "    key: %s\n    other_keys: [%s]\n" % (key, other))

    def token(self, name):
        return next(token for token in self.service.status()["tokens"] if token["name"] == name)

    def jwks(self):
        return self.service.ask("GET", "/demo/.well-known/jwks.json").body

    def kid(self, answer):
        return decode(answer.json["credential"])[0]["kid"]

    def hold(self, name, seconds):
        """Kill each of the token's processes when it is ready, for so long; before, SoftHSM may be rewriting its file."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            token = self.token(name)
            if token["state"] == "ready":
                try:
                    os.kill(token["pid"], signal.SIGKILL)
                except ProcessLookupError:
                    pass


class Failover(Two):
    def test_both_keys_are_published_and_the_first_signs_while_it_can(self):
        answers = [self.service.mint() for _ in range(5)]
        self.assertEqual(len({self.kid(answer) for answer in answers}), 1)
        kids = [key["kid"] for key in self.service.ask("GET", "/demo/.well-known/jwks.json").json["keys"]]
        self.assertEqual(len(kids), 4)
        self.assertIn(self.kid(answers[0]), kids)

    def test_what_was_with_a_token_that_dies_is_signed_by_the_other(self):
        first = self.kid(self.service.mint())
        os.kill(self.token("soft")["pid"], signal.SIGSTOP)
        waiting = []
        thread = threading.Thread(target=lambda: waiting.append(self.service.mint()))
        thread.start()
        wait_for(lambda: self.token("soft")["outstanding"], "the request to be with the token")
        os.kill(self.token("soft")["pid"], signal.SIGKILL)
        thread.join()
        self.assertEqual(waiting[0].status, 200, waiting[0].body)
        self.assertNotEqual(self.kid(waiting[0]), first)
        verify(waiting[0].json["credential"], self.jwks(), self.work)

    def test_what_nobody_waits_for_any_more_is_not_signed_elsewhere(self):
        pid = self.token("soft")["pid"]
        os.kill(pid, signal.SIGSTOP)
        for _ in range(3):
            answer = self.service.ask("POST", "/v1/mint/jwt", REQUEST, headers={"Deadline-Ms": "200"})
            self.refused(answer, 504, "deadline")
        signed = self.token("second")["signed"]
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: self.token("soft")["pid"] not in (0, pid), "another process")
        self.assertEqual((self.token("second")["outstanding"], self.token("second")["signed"]), (0, signed))
        self.assertEqual(self.service.status()["pending"], 0)

    def test_under_load_either_token_away_for_seconds_loses_nothing(self):
        for name in ("soft", "second"):
            stop, answers = threading.Event(), []

            def client():
                connection = self.service.unix()
                while not stop.is_set():
                    answers.append(self.service.mint(connection))
                connection.close()
            threads = [threading.Thread(target=client) for _ in range(4)]
            for thread in threads:
                thread.start()
            self.hold(name, 10)
            ready = self.service.status()["ready"]
            stop.set()
            for thread in threads:
                thread.join()
            self.assertEqual(self.service.mint(profile="demo-svid").status, 200)
            self.assertEqual([answer.body for answer in answers if answer.status != 200], [])
            self.assertGreater(len(answers), 100)
            self.assertTrue(ready, "nobody needs the token that is away")
            jwks = self.jwks()
            for answer in answers[::50]:
                verify(answer.json["credential"], jwks, self.work)
            self.service.command("reload", "--control", self.service.control)  # ends the pause that has grown to 10 s
            wait_for(lambda: self.token(name)["state"] == "ready", "the token to come back")

    def test_without_both_it_waits_for_one(self):
        os.kill(self.token("second")["pid"], signal.SIGKILL)
        os.kill(self.token("soft")["pid"], signal.SIGKILL)
        self.assertEqual(self.service.mint().status, 200)


class Places(Two):
    leaves_unsigned = False

    def test_what_has_a_place_in_a_list_ends_with_the_key_that_signed_it(self):
        """Whichever that is, when its token dies while it is there."""
        task = {"ref": "job", "purpose": "testing"}
        self.assertEqual(self.service.mint(profile="demo-task", task=task).status, 200)
        wait_for(lambda: self.service.ask("GET", "/demo/status/0").status == 200, "the list, which the token signs too")
        os.kill(self.token("soft")["pid"], signal.SIGSTOP)
        waiting = []
        thread = threading.Thread(target=lambda: waiting.append(self.service.mint(profile="demo-task", task=task)))
        thread.start()
        wait_for(lambda: self.token("soft")["outstanding"], "the request to be with the token")
        os.kill(self.token("soft")["pid"], signal.SIGKILL)
        thread.join()
        self.assertEqual(waiting[0].status, 200, waiting[0].body)
        header, payload = decode(waiting[0].json["credential"])
        self.assertEqual(control(self.service, "POST", "/v1/revocations", {"key": header["kid"]})[0], 200)

        def is_ended():
            answer = self.service.ask("GET", "/demo/status/0")
            return answer.status == 200 and \
                values_of(decode(answer.body.decode())[1])[payload["status"]["status_list"]["idx"]] == ENDED
        wait_for(is_ended, "the list to say so")


if __name__ == "__main__":
    unittest.main()
