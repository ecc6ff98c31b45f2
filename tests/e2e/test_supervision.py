# SPDX-License-Identifier: Apache-2.0
"""Processes killed under load, and the ends that are wanted."""
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import unittest

from certificates import Authority
from harness import (AUDIENCE, HSMINT, PATIENCE, SUBJECT, Case, children_of, edit, leave_unsigned, process_exists, read,
                     start_serve, verify_all, wait_for)

CLIENTS = 16
KILLS = 20 if os.environ.get("HSMINT_LONG") else 5
BODY = json.dumps({"profile": "demo-access", "subject": SUBJECT, "audience": AUDIENCE})


class Clients:
    """Sixteen clients that mint without pause, half over mutual TLS, and note every answer."""

    def __init__(self, service):
        self.service = service
        self.stopping = False
        self.credentials, self.refusals, self.closed, self.surprises = [], [], 0, []
        self.threads = [threading.Thread(target=self.run, args=(i % 2 == 0,)) for i in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def run(self, over_tls):
        connection = None
        while not self.stopping:
            try:
                connection = connection or (self.service.tls() if over_tls else self.service.unix())
                connection.request("POST", "/v1/mint/jwt", BODY, {"Content-Type": "application/json"})
                response = connection.getresponse()
                self.note(response.status, response.headers, response.read())
            except (http.client.HTTPException, OSError) as error:
                self.closed += 1
                if isinstance(error, TimeoutError):
                    self.surprises.append(repr(error))
                connection.close()
                connection = None
        if connection:
            connection.close()

    def note(self, status, headers, body):
        if status == 200:
            self.credentials.append(json.loads(body)["credential"])
        elif status == 503 and json.loads(body)["code"] in ("token_unavailable", "overload") and headers["Retry-After"]:
            self.refusals.append(json.loads(body)["code"])
        else:
            self.surprises.append((status, body))

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join(PATIENCE)

    def wait_for_more(self):
        before = len(self.credentials)
        wait_for(lambda: len(self.credentials) > before + CLIENTS, "minting to go on")


class Kills(Case):
    def check(self, clients, service):
        clients.stop()
        self.assertEqual(clients.surprises, [])
        self.assertEqual(len(set(clients.credentials)), len(clients.credentials))
        jwks = service.ask("GET", "/demo/.well-known/jwks.json").json
        self.assertEqual(verify_all(clients.credentials, jwks), len(clients.credentials))

    def kill_again_and_again(self, pid_of):
        service = self.dev()
        clients = Clients(service)
        self.addCleanup(clients.stop)
        clients.wait_for_more()
        for _ in range(KILLS):
            pid = pid_of(service.wait_ready())
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: not process_exists(pid), "the killed process to be gone")
            clients.wait_for_more()
            wait_for(lambda: pid_of(service.status()) not in (0, pid), "a new process")
        self.check(clients, service)
        return clients

    def test_the_token_process(self):
        clients = self.kill_again_and_again(lambda status: status["tokens"][0]["pid"])
        self.assertEqual(clients.closed, 0, "a token's end closes no connection")

    def test_the_gate(self):
        clients = self.kill_again_and_again(lambda status: status["gate"]["pid"])
        self.assertGreater(clients.closed, 0)

    def test_mint_itself_takes_its_children_along(self):
        service = self.dev()
        children = children_of(service.pid)
        self.assertEqual(len(children), 2)
        clients = Clients(service)
        self.addCleanup(clients.stop)
        clients.wait_for_more()
        os.kill(service.pid, signal.SIGKILL)
        for child in children:
            wait_for(lambda c=child: not process_exists(c), "child %d to end" % child, 5)
        clients.stop()
        self.assertEqual(clients.surprises, [])

        again = self.dev()
        self.assertEqual(again.mint().status, 200, "what a killed service leaves does not hinder the next")


class Threads(Case):
    def test_several_threads_of_a_token_sign_at_once(self):
        directory = self.made()
        config = os.path.join(directory, "hsmint.yaml")
        edit(config, "threads: 1 ", "threads: 4 ")
        service = start_serve(config, directory)
        self.addCleanup(service.stop)
        self.assertEqual(service.status()["tokens"][0]["threads"], 4)
        clients = Clients(service)
        self.addCleanup(clients.stop)
        for _ in range(20):
            clients.wait_for_more()
        clients.stop()
        self.assertEqual((clients.surprises, clients.refusals, clients.closed), ([], [], 0))
        self.assertEqual(len(set(clients.credentials)), len(clients.credentials))
        jwks = service.ask("GET", "/demo/.well-known/jwks.json").json
        self.assertEqual(verify_all(clients.credentials, jwks), len(clients.credentials))


class Ends(Case):
    def test_a_term_signal_lets_what_is_in_flight_finish_and_leaves_nothing(self):
        service = self.dev()
        clients = Clients(service)
        clients.wait_for_more()
        children = children_of(service.pid)
        service.process.send_signal(signal.SIGTERM)
        self.assertEqual(service.process.wait(PATIENCE), 0)
        clients.stop()
        self.assertEqual([surprise for surprise in clients.surprises if b"shutting_down" not in surprise[1]], [])
        for child in children:
            self.assertFalse(process_exists(child))
        self.assertFalse(os.path.exists(service.socket))
        self.assertFalse(os.path.exists(service.control))

    def test_a_signal_to_the_whole_group_is_for_mint_alone(self):
        service = self.dev()
        for child in children_of(service.pid):
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                os.kill(child, number)
        self.assertEqual(service.mint().status, 200)
        status = service.status()
        self.assertEqual((status["gate"]["restarts"], status["tokens"][0]["restarts"]), (0, 0))

    def test_dev_ends_with_its_parent(self):
        script = ("import subprocess, sys, time\n"
                  "process = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)\n"
                  "print(process.stdout.readline().decode(), flush=True)\n"
                  "time.sleep(600)\n")
        parent = subprocess.Popen([sys.executable, "-c", script, HSMINT, "dev", "--dir", self.work + "/dev"],
                                  stdout=subprocess.PIPE, text=True)
        self.addCleanup(parent.stdout.close)
        pid = json.loads(parent.stdout.readline())["pid"]
        everyone = [pid] + children_of(pid)
        parent.kill()
        parent.wait()
        for process in everyone:
            wait_for(lambda p=process: not process_exists(p), "process %d to end" % process)


class Reload(Case):
    def serve(self, anchor=""):
        directory = self.made()
        self.config = os.path.join(directory, "hsmint.yaml")
        if anchor:
            edit(self.config, "ledger: {", "ledger: {anchor: {file: %s}, " % anchor)
            open(os.path.join(directory, anchor), "w").close()  # new, for a ledger that is not
        service = start_serve(self.config, directory)
        self.addCleanup(service.stop)
        return service

    def test_a_connection_outlives_a_reload_and_meets_the_new_profile(self):
        service = self.serve()
        for connection in (service.unix(), service.tls()):
            self.assertEqual(service.mint(connection, lifetime=900).status, 200)
            edit(self.config, "maximum: 900}", "maximum: 600}")
            service.command("reload", "--control", service.control)
            self.refused(service.mint(connection, lifetime=900), 403, "lifetime_not_allowed")
            self.assertEqual(service.mint(connection, lifetime=600).status, 200)
            connection.close()
            edit(self.config, "maximum: 600}", "maximum: 900}")
            service.process.send_signal(signal.SIGHUP)
            wait_for(lambda: service.mint(lifetime=900).status == 200, "the reload")
        status = service.status()
        self.assertEqual((status["gate"]["restarts"], status["tokens"][0]["restarts"]), (0, 0))

    def test_a_broken_configuration_changes_nothing_and_says_where(self):
        service = self.serve()
        text = read(self.config)
        edit(self.config, "kind: at+jwt", "kind: paper")
        line = 1 + text[:text.index("kind: at+jwt")].count("\n")
        result = service.command("reload", "--control", service.control, check=False)
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("reload_refused", result.stderr)
        self.assertIn("hsmint.yaml:%d" % line, result.stderr)
        self.assertEqual(service.mint().status, 200)

    def test_what_needs_a_restart_is_refused(self):
        service = self.serve(anchor="anchor")
        for old, new in (("state: state", "state: elsewhere"), ("demo.test/ledger", "demo.test/other"),
                         ("directory: ledger", "directory: elsewhere"), ("ledger: {", "ledger: {shard: 1d, "),
                         ("{file: anchor}", "{file: other}"), ("{file: anchor}", "{token: soft}"),
                         ("anchor: {file: anchor}, ", "")):
            text = read(self.config)
            with self.subTest(new or "no anchor"):
                edit(self.config, old, new)
                self.restart_is_wanted(service)
            with open(self.config, "w") as out:
                out.write(text)
        edit(self.config, "anchor: {file: anchor}, ", "")
        leave_unsigned(self.config)
        self.restart_is_wanted(service)

    def restart_is_wanted(self, service):
        result = service.command("reload", "--control", service.control, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("restart", result.stderr)
        self.assertEqual(service.mint().status, 200)

    def test_new_certificates_serve_new_connections_and_judge_old_ones(self):
        service = self.serve()
        directory = os.path.dirname(self.config)
        old = service.tls()
        self.assertEqual(service.mint(old).status, 200)
        ca = Authority(self.work, "next")
        cert, key = ca.issue("next-server", ["DNS:localhost"], usage="serverAuth")
        for source, target in ((cert, "server.crt"), (key, "server.key"), (ca.cert, "ca.crt")):
            with open(os.path.join(directory, "tls", target), "w") as out:
                out.write(read(source))
        service.command("reload", "--control", service.control)
        service.ready.update(zip(("cert", "key"), ca.issue("next-client", ["URI:spiffe://demo.test/client"])))
        new = wait_for(lambda: self.connected(service), "the new certificate")
        self.assertEqual(service.mint(new).status, 200)
        self.refused(service.mint(old), 403, "certificate_refused")
        old.close()
        new.close()

    @staticmethod
    def connected(service):
        connection = service.tls()
        try:
            connection.connect()
            return connection
        except OSError:
            return None

    def test_a_bad_certificate_file_keeps_the_one_before(self):
        service = self.serve()
        with open(os.path.join(os.path.dirname(self.config), "tls", "server.crt"), "w") as out:
            out.write("nonsense")
        result = service.command("reload", "--control", service.control, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("server.crt", result.stderr)
        connection = service.tls()
        self.assertEqual(service.mint(connection).status, 200)
        connection.close()


class BadConfiguration(Case):
    def test_a_fault_is_named_by_file_and_line_and_nothing_starts(self):
        directory = self.made()
        config = os.path.join(directory, "hsmint.yaml")
        good = read(config)
        for old, new in (("kind: at+jwt", "kinds: at+jwt"), ("lifetime: {default: 300", "lifetime: {default: 3000"),
                         ("sandbox: best", "sandbox: maybe"), ("roles: [mint,", "roles: [mint, king,"),
                         ("scopes: [read, write]", "scopes: [read, write]\n    scopes: [all]")):
            with self.subTest(new):
                with open(config, "w") as out:
                    out.write(good.replace(old, new, 1))
                for command in ("check", "serve"):
                    result = subprocess.run([HSMINT, command, "--config", config], capture_output=True, text=True,
                                            timeout=PATIENCE)
                    self.assertEqual(result.returncode, 1, result.stderr)
                    self.assertRegex(result.stderr, r"hsmint\.yaml:\d+: ")
                self.assertFalse(os.path.exists(os.path.join(directory, "hsmint.sock")))


if __name__ == "__main__":
    unittest.main()
