# SPDX-License-Identifier: Apache-2.0
"""`hsmint dev ctl`: what each fault looks like from the outside, how it ends, and who may not provoke one."""
import http.client
import json
import os
import re
import time
import unittest

from harness import AUDIENCE, HSMINT, SUBJECT, Case, SharedCase, process_exists, read, run, start_serve, wait_for
from test_control import Operator

ERRORS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "errors.md")
NOT_OF_MINTING = {"unknown_command", "unknown_token", "reload_refused", "unknown_key", "unknown_human", "key_refused", "key_state",
                  "unlock_refused"}  # they answer operators
PATIENCE_S = 4.99  # mint's 5 s run from the millisecond in which its loop woke up
REQUEST = json.dumps({"profile": "demo-access", "subject": SUBJECT, "audience": AUDIENCE})


def documented():
    """Code, status and retry of each code of the service."""
    section = read(ERRORS).split("## Codes of the service")[1].split("\n## ")[0]
    rows = re.findall(r"(?m)^\| `(\w+)` \| (\d+) \| ([\w-]+) \|", section)
    return [(code, int(status), retry) for code, status, retry in rows]


class Faults(SharedCase):
    unsigned = True

    def setUp(self):
        super().setUp()
        self.addCleanup(self.end_all)

    def end_all(self):
        self.ctl("off")
        self.service.wait_ready()
        wait_for(lambda: self.service.mint().status == 200, "minting to go on")

    def ctl(self, *words, check=True):
        return self.service.command("dev", "ctl", "--control", self.service.control, *words, check=check)

    def timed_mint(self):
        began = time.monotonic()
        answer = self.service.mint()
        return answer, time.monotonic() - began

    def begin(self, **headers):
        """A mint request on its way."""
        connection = self.service.unix()
        self.addCleanup(connection.close)
        connection.request("POST", "/v1/mint/jwt", REQUEST, {
            "Content-Type": "application/json", **{name.replace("_", "-"): str(value) for name, value in headers.items()}})
        return connection

    # ---- slow ----

    def test_slow_is_a_least_time_until_it_is_ended(self):
        self.ctl("slow", "300ms")
        for _ in range(2):
            answer, took = self.timed_mint()
            self.assertEqual(answer.status, 200)
            self.assertGreaterEqual(took, 0.3)
        for end in (("slow", "0ms"), ("off",)):
            self.ctl("slow", "20s")
            self.ctl(*end)
            self.assertEqual(self.service.mint().status, 200)

    def test_slow_outlives_the_tokens_process(self):
        self.ctl("slow", "300ms")
        self.ctl("token-down", "0ms")
        answer, took = self.timed_mint()
        self.assertEqual(answer.status, 200)
        self.assertGreaterEqual(took, 0.3)

    def test_slower_than_a_request_may_take_is_504(self):
        pid = self.service.status()["tokens"][0]["pid"]
        self.ctl("slow", "12s")
        answer, took = self.timed_mint()
        self.refused(answer, 504, "deadline")
        self.assertGreaterEqual(took, PATIENCE_S)
        self.ctl("off")
        wait_for(lambda: self.service.mint().status == 200, "the slow signature to end")
        self.assertEqual(self.service.status()["tokens"][0]["pid"], pid, "its process was not taken for one that hangs")

    def batch(self, size, milliseconds):
        """The statuses of a batch, 200 or of a refusal: 128 take 0.64 s at 5 ms each."""
        answer = self.service.ask("POST", "/v1/mint/batch", {"requests": [dict(json.loads(REQUEST), kind="jwt")] * size},
                                  headers={"Deadline-Ms": str(milliseconds)})
        self.assertEqual(answer.status, 200, answer.body)
        return [reply.get("code", 200) for reply in answer.json["replies"]]

    def test_a_token_that_was_idle_is_not_taken_for_a_slow_one(self):
        """Its rate is what it signs while somebody waits, not what it happened to sign in a second."""
        self.ctl("slow", "5ms")
        for _ in range(4):
            self.assertEqual(self.batch(10, 5000), [200] * 10)
            time.sleep(1.1)  # idle
        self.assertEqual(self.batch(128, 5000), [200] * 128)  # at ten a second most would be refused

    def test_who_could_not_be_served_in_its_time_is_told_at_once(self):
        """One thread that takes a second each: a fourth that has two seconds would wait for three."""
        self.ctl("slow", "1s")
        waiting = [self.begin(Deadline_Ms=10000) for _ in range(3)]
        wait_for(lambda: self.service.status()["pending"] == 3, "three to be with mint")
        began = time.monotonic()
        answer = self.service.ask("POST", "/v1/mint/jwt", REQUEST, headers={
            "Content-Type": "application/json", "Deadline-Ms": "2000"})
        self.assertLess(time.monotonic() - began, 1)
        self.refused(answer, 503, "overload")
        self.assertIn(int(answer.headers["Retry-After"]), (2, 3))
        self.assertEqual([connection.getresponse().status for connection in waiting], [200] * 3, "nobody else was refused")

    # ---- down ----

    def test_a_token_that_comes_back_in_time_serves_those_who_wait(self):
        pid = self.service.status()["tokens"][0]["pid"]
        began = time.monotonic()
        self.ctl("token-down", "1500ms")
        self.assertEqual(self.service.mint().status, 200)
        self.assertGreaterEqual(time.monotonic() - began, 1.5)
        self.assertFalse(process_exists(pid))
        self.assertNotIn(self.service.status()["tokens"][0]["pid"], (0, pid))

    def test_a_token_that_stays_down_is_unavailable(self):
        self.ctl("token-down", "3600s")
        wait_for(lambda: self.service.status()["tokens"][0]["state"] == "backoff", "the token to be down")
        self.assertFalse(self.service.status()["ready"])
        answer, took = self.timed_mint()
        self.refused(answer, 503, "token_unavailable")
        self.assertGreaterEqual(took, PATIENCE_S)
        self.assertGreaterEqual(int(answer.headers["Retry-After"]), 1)
        self.ctl("off")
        self.assertEqual(self.service.mint().status, 200)

    def test_the_time_of_a_token_that_is_down_is_changed(self):
        self.ctl("token-down", "3600s")
        wait_for(lambda: self.service.status()["tokens"][0]["state"] == "backoff", "the token to be down")
        self.ctl("token-down", "10ms")
        self.assertEqual(self.service.mint().status, 200)

    def test_a_token_that_was_brought_down_again_and_again_starts_without_backoff(self):
        for _ in range(8):
            pid = self.service.wait_ready()["tokens"][0]["pid"]
            self.ctl("token-down", "0ms")
            wait_for(lambda: not process_exists(pid), "the process to end")
        self.assertEqual(self.service.mint().status, 200)

    def test_the_gate_goes_with_its_connections_and_comes_back(self):
        for duration in ((), ("500ms",)):
            before = self.service.status()["gate"]
            self.ctl("slow", "4s")
            idle, waiting = self.service.tls(), self.begin()
            self.addCleanup(idle.close)
            self.assertEqual(self.service.ask("GET", "/healthz", connection=idle).status, 200)
            wait_for(lambda: self.service.status()["pending"], "the request to be with mint")
            self.ctl("gate-down", *duration)
            with self.assertRaises((http.client.HTTPException, OSError)):
                waiting.getresponse()
            self.assertEqual(idle.sock.recv(1), b"")
            self.assertEqual(self.service.ask("GET", "/healthz").status, 200)
            after = self.service.status()["gate"]
            self.assertEqual(after["restarts"], before["restarts"] + 1)
            self.assertNotEqual(after["pid"], before["pid"])
            self.ctl("off")

    def test_a_gate_that_stays_down(self):
        self.ctl("gate-down", "3600s")
        wait_for(lambda: self.service.status()["gate"]["pid"] == 0, "the gate to be down")
        self.assertFalse(self.service.status()["ready"])
        waiting = self.begin()
        self.ctl("off")
        self.assertEqual(waiting.getresponse().status, 200)

    # ---- refuse ----

    def test_refuse_gives_exactly_each_code_that_is_documented(self):
        codes = [row for row in documented() if row[0] not in NOT_OF_MINTING]
        self.assertGreater(len(codes), 30)
        for code, status, retry in codes:
            with self.subTest(code):
                self.ctl("refuse", code, "3600s")
                answer = self.service.mint()
                self.refused(answer, status, code)
                self.assertEqual(answer.json["retry"], retry)
                self.assertEqual(answer.headers["Retry-After"], "120" if retry == "after" else None)
        self.ctl("off")
        self.assertEqual(self.service.mint().status, 200)

    def test_refuse_and_overload_end_by_themselves_and_retry_after_says_when(self):
        for words, code in (("refuse rate_limited 1500ms", "rate_limited"), ("overload", "overload")):
            self.ctl(*words.split())
            answer = self.service.mint()
            self.refused(answer, 429 if code == "rate_limited" else 503, code)
            self.assertIn(answer.headers["Retry-After"], ("1", "2"))
            time.sleep(int(answer.headers["Retry-After"]))
            self.assertEqual(self.service.mint().status, 200)

    def test_refuse_leaves_everything_else_alone(self):
        self.ctl("refuse", "internal", "3600s")
        self.assertEqual(self.service.ask("GET", "/readyz").status, 200)
        self.assertEqual(self.service.ask("GET", "/metrics").status, 200)
        self.assertEqual(self.service.mint().status, 500)

    # ---- the command ----

    def test_a_fault_of_its_kind_takes_the_place_of_the_one_before(self):
        self.ctl("refuse", "rate_limited", "3600s")
        self.ctl("refuse", "overload", "3600s")
        self.assertEqual(self.service.mint().json["code"], "overload")
        self.ctl("refuse", "overload", "0ms")
        self.assertEqual(self.service.mint().status, 200)

    def test_it_finds_the_service(self):
        words = [HSMINT, "dev", "ctl"]
        for arguments, environment in ((["--dir", self.service.directory], {}), (["--control", self.service.control], {}),
                                       ([], {"HSMINT_CONTROL": self.service.control})):
            result = run([*words, *arguments, "refuse", "overload", "3600s"], env={**os.environ, **environment})
            self.assertEqual((result.stdout, result.stderr), ("", ""))
            self.assertEqual(self.service.mint().status, 503)
            self.ctl("off")
            self.assertEqual(self.service.mint().status, 200)
        self.assertEqual(run([*words, "--dir", self.work, "off"], check=False).returncode, 1)
        self.assertEqual(run([*words, "--control", self.work + "/none", "off"], check=False).returncode, 1)

    def test_it_finds_the_sockets_of_a_directory_with_a_long_path(self):
        directory = os.path.join(self.work, "long" * 30)
        service = self.dev(name=directory)
        self.assertNotIn(directory, service.control)
        service.command("dev", "ctl", "--dir", directory, "refuse", "overload", "3600s")
        self.assertEqual(service.mint().status, 503)

    def test_what_is_wrong_usage(self):
        for words in ([], ["nothing"], ["slow"], ["slow", "300"], ["slow", "ms"], ["slow", "-1s"], ["slow", "1m"],
                      ["slow", "1s", "2s"], ["slow", "1.5s"], ["slow", "9999999999s"], ["token-down"], ["gate-down", "x"],
                      ["refuse"], ["refuse", "overload"], ["refuse", "3s"], ["refuse", "nix", "3s"],
                      ["refuse", "client_lost", "3s"], ["refuse", "overload", "3s", "4s"], ["overload", "soon"],
                      ["off", "1s"], ["clock"], ["clock", "1h"], ["clock", "+1"], ["clock", "+1y"], ["clock", "-h"],
                      ["clock", "2026-01-01"], ["clock", "2026-01-01T00:00:00"], ["clock", "2026-01-01T00:00:00Zx"],
                      ["clock", "+1h", "+1h"], ["--dir", self.service.directory, "off"], ["--what"]):
            with self.subTest(words):
                result = self.ctl(*words, check=False)
                self.assertEqual((result.returncode, result.stdout), (2, ""))
                self.assertIn("Try 'hsmint dev ctl --help'.", result.stderr)
        bare = {name: value for name, value in os.environ.items() if name != "HSMINT_CONTROL"}
        self.assertEqual(run([HSMINT, "dev", "ctl", "off"], check=False, env=bare).returncode, 2)
        self.assertEqual(self.service.mint().status, 200)

    def test_help_lists_every_fault(self):
        text = self.ctl("--help").stdout
        for word in ("slow", "token-down", "gate-down", "refuse", "overload", "off", "clock"):
            self.assertRegex(text, r"(?m)^  %s " % word)
            self.assertRegex(text, r"(?m)^  hsmint dev ctl --dir run %s\b" % word)

    def test_what_the_service_does_not_take(self):
        operator = Operator(self.service)
        self.addCleanup(operator.close)
        for members, code, field in (({}, "unknown_command", "fault"), ({"fault": "nothing"}, "unknown_command", "fault"),
                                     ({"fault": 1}, "unknown_command", "fault"),
                                     ({"fault": "slow"}, "missing_member", "ms"),
                                     ({"fault": "slow", "ms": "1"}, "wrong_type", "ms"),
                                     ({"fault": "slow", "ms": 1.5}, "wrong_type", "ms"),
                                     ({"fault": "slow", "ms": -1}, "wrong_type", "ms"),
                                     ({"fault": "slow", "ms": 60001}, "wrong_type", "ms"),
                                     ({"fault": "token-down", "ms": 3600001}, "wrong_type", "ms"),
                                     ({"fault": "gate-down"}, "missing_member", "ms"),
                                     ({"fault": "refuse", "ms": 1}, "missing_member", "code"),
                                     ({"fault": "refuse", "ms": 1, "code": 1}, "missing_member", "code"),
                                     ({"fault": "refuse", "ms": 1, "code": "client_lost"}, "wrong_type", "code"),
                                     ({"fault": "refuse", "code": "overload"}, "missing_member", "ms")):
            with self.subTest(members):
                _, reply = operator.ask(dict(members, command="fault"))
                self.assertEqual((reply["code"], reply["field"]), (code, field))
        self.assertEqual(self.service.mint().status, 200)
        self.assertEqual(self.ctl("slow", "61s", check=False).returncode, 1)


class NotForTests(Case):
    def test_a_service_that_serves_takes_no_fault(self):
        directory = self.made()
        service = start_serve(os.path.join(directory, "hsmint.yaml"), directory)
        self.addCleanup(service.stop)
        for words in (("slow", "1s"), ("token-down", "1s"), ("gate-down",), ("refuse", "internal", "60s"), ("overload",),
                      ("off",)):
            result = service.command("dev", "ctl", "--dir", directory, *words, check=False)
            self.assertEqual((result.returncode, result.stdout), (1, ""))
            self.assertIn("hsmint: this needs a service that `hsmint dev` runs\n", result.stderr)
            self.assertIn("unknown_command", result.stderr)
        self.assertEqual(service.mint().status, 200)
        status = service.status()
        self.assertEqual((status["gate"]["restarts"], status["tokens"][0]["restarts"]), (0, 0))

    def test_a_clock_that_cannot_be_set(self):
        service = self.dev()
        for when in ("+1h", "-90s", "+2d", "-5m", "2026-01-01T00:00:00Z"):
            result = service.command("dev", "ctl", "--control", service.control, "clock", when, check=False)
            if result.returncode == 0:
                self.skipTest("this build has a clock that can be set")
            self.assertIn("hsmint: this needs a service built with -DHSMINT_TEST_CLOCK=ON\n", result.stderr)


if __name__ == "__main__":
    unittest.main()
