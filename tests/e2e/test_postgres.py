# SPDX-License-Identifier: Apache-2.0
"""A store in PostgreSQL: what several mints know of each other, and what becomes of one whose database goes away."""
import json
import os
import re
import shutil
import signal
import socket
import threading
import time
import unittest
from urllib.parse import urlencode

from certificates import Authority
from harness import (AUDIENCE, HSMINT, PATIENCE, SANITIZED, SUBJECT, Case, edit, read, run, share_store,
                     start_plain_dev, start_serve, wait_for)
from made_jwt import Signer, jwks
from postgres import OWNER, Postgres

PROFILE = "demo-task"
API_CALLS = 1024 - 64  # that may be on their way through gate; the others are for the control socket
STALENESS = 2  # seconds; the default
AGENT = {"agent": SUBJECT, "purpose": "testing"}
ROUNDS = 15
PASSWORD = "correct horse battery staple"


def at_once(services, do):
    """What each node answers when all are asked at once."""
    answers = [None] * len(services)

    def run_one(number, service):
        answers[number] = do(service)
    threads = [threading.Thread(target=run_one, args=pair) for pair in enumerate(services)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


class StoreCase(Case):
    def setUp(self):
        super().setUp()
        self.postgres = Postgres()
        self.addCleanup(self.postgres.close)

    def node(self, url, name="node", more=""):
        directory = os.path.join(self.work, name)
        start_plain_dev(directory).stop()
        share_store(directory, url)
        edit(os.path.join(directory, "hsmint.yaml"), "store:", more + "store:")
        service = start_plain_dev(directory)
        self.addCleanup(service.stop)
        return service

    @staticmethod
    def open(service, status=201, **members):
        answer = service.ask("POST", "/v1/tasks", dict(AGENT, **members))
        if answer.status != status:
            raise AssertionError(answer.body)
        return answer.json

    @staticmethod
    def act(service, task, act):
        return service.ask("POST", "/v1/tasks/%s/%s" % (task["id"], act), {})

    @staticmethod
    def mint(service, task):
        return service.mint(profile=PROFILE, task=task)

    def mints(self, service, task):
        """Until it does."""
        wait_for(lambda: self.mint(service, task).status == 200, "a credential")

    @staticmethod
    def writes(service):
        wait_for(lambda: service.ask("POST", "/v1/tasks", AGENT).status == 201, "an act")

    def away(self, service, task):
        """Until it does not."""
        def refused():
            answer = self.mint(service, task)
            return answer.status != 200 and answer
        self.refused(wait_for(refused, "a refusal"), 503, "store_unavailable")

    def ends(self, service, said):
        self.assertNotEqual(service.process.wait(PATIENCE), 0)
        self.assertIn(said, service.log())


class Several(StoreCase):
    def setUp(self):
        super().setUp()
        self.url = self.postgres.url()
        self.first, self.second = self.node(self.url, "first"), self.node(self.url, "second")

    def test_what_ends_on_one_is_refused_on_the_other_within_max_staleness(self):
        for _ in range(ROUNDS):
            task = self.open(self.first)
            self.mints(self.second, task["id"])
            self.assertEqual(self.act(self.first, task, "complete").status, 200)
            known = time.monotonic()
            while True:
                sent = time.monotonic()
                answer = self.mint(self.second, task["id"])
                if answer.status != 200:
                    self.refused(answer, 409, "task_ended", "task")
                    break
                self.assertLess(sent, known + STALENESS, "minted too late")
            shown = self.second.ask("GET", "/v1/tasks/" + task["id"])
            self.assertEqual((shown.status, shown.json["state"]), (200, "completed"))

    def test_pause_and_resume_reach_the_other(self):
        task = self.open(self.first)
        self.mints(self.second, task["id"])
        self.act(self.first, task, "pause")
        wait_for(lambda: self.mint(self.second, task["id"]).status == 409, "the pause")
        self.act(self.second, task, "resume")
        self.mints(self.first, task["id"])

    def both(self, do):
        return at_once((self.first, self.second), do)

    def test_one_reference_is_one_task_wherever_it_comes(self):
        for number in range(ROUNDS):
            task = {"ref": "run-%d" % number, "purpose": "testing"}
            answers = self.both(lambda service, task=task: service.mint(profile=PROFILE, task=task))
            self.assertEqual([answer.status for answer in answers], [200, 200], [answer.body for answer in answers])
            ids = {self.open(service, 200, ref="run-%d" % number)["id"] for service in (self.first, self.second)}
            self.assertEqual(len(ids), 1)

    def test_of_two_that_contradict_one_comes_first(self):
        for number in range(ROUNDS):
            purposes = {self.first: "one", self.second: "two"}
            answers = self.both(lambda service, ref="ref-%d" % number: service.ask(
                "POST", "/v1/tasks", dict(AGENT, ref=ref, purpose=purposes[service])))
            self.assertEqual(sorted(answer.status for answer in answers), [201, 409], [answer.body for answer in answers])

    def test_a_suspended_agent_mints_nowhere(self):
        found = json.loads(self.first.command("agent", "list", "--control", self.first.control, "--json").stdout)
        self.first.command("agent", "suspend", found["agents"][0]["id"], "--control", self.first.control)
        wait_for(lambda: self.second.mint().status == 403, "a refusal")

    def test_one_that_comes_later_knows_all(self):
        task = self.open(self.first)
        ended = self.open(self.first)
        self.act(self.first, ended, "complete")
        third = self.node(self.url, "third")
        self.assertEqual(self.mint(third, task["id"]).status, 200)
        self.refused(self.mint(third, ended["id"]), 409, "task_ended", "task")


class AssertedTwice(StoreCase):
    ISSUER = "https://mint.demo.test/demo"  # of both: a client does not know which node answers

    def node(self, url, name="node", more=""):
        directory = os.path.join(self.work, name)
        start_plain_dev(directory).stop()
        share_store(directory, url)
        config = os.path.join(directory, "hsmint.yaml")
        with open(os.path.join(directory, "runner.jwks"), "w") as file:
            file.write(jwks(self.signer))
        edit(config, re.search(r"url: \"(https[^\"]+)", read(config)).group(1), self.ISSUER)
        edit(config, "    callers: [demo]\n    grants:", "    callers: [demo, runner]\n    grants:")
        edit(config, "  - name: approver ", "  - {name: runner, issuer: demo, jwks: runner.jwks, roles: [mint], "
             "agent: \"%s\"}\n  - name: approver " % SUBJECT)
        service = start_serve(config, directory)
        self.addCleanup(service.stop)
        return service

    def test_of_two_nodes_that_are_shown_one_assertion_one_takes_it(self):
        self.signer = Signer("ES256", "one", iss="runner", sub="runner", aud=self.ISSUER)
        url = self.postgres.url()
        nodes = [self.node(url, name) for name in ("first", "second")]
        nodes[0].command("agent", "add", SUBJECT, "--control", nodes[0].control, "--owner", "somebody", "--contact", "x",
                         "--purpose", "testing", "--review", "30d")
        wait_for(lambda: nodes[1].ask("GET", "/v1/agents?spiffe_id=" + SUBJECT).json["agents"], "the agent")
        for _ in range(ROUNDS):
            body = urlencode({"grant_type": "client_credentials", "resource": AUDIENCE,
                              "client_assertion": self.signer.sign(), "client_assertion_type":
                              "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"})
            answers = at_once(nodes, lambda node, body=body: node.ask(
                "POST", "/demo/oauth2/token", body, headers={"Content-Type": "application/x-www-form-urlencoded"}))
            self.assertEqual(sorted(answer.status for answer in answers), [200, 400],
                             [answer.body for answer in answers])
            refused, = [answer for answer in answers if answer.status == 400]
            self.assertEqual(refused.json["error"], "invalid_client")


class Fresh(StoreCase):
    def test_nodes_that_start_at_once_make_one_schema(self):
        url = self.postgres.url()
        directories = [os.path.join(self.work, "node%d" % number) for number in range(3)]
        for directory in directories:
            start_plain_dev(directory).stop()
            share_store(directory, url)
        services = [start_serve(os.path.join(directory, "hsmint.yaml"), directory, wait=False) for directory in directories]
        for service in services:
            self.addCleanup(service.stop)
        for service in services:
            service.wait_ready()
        self.assertEqual(self.postgres.sql("SELECT count(*), max(schema) FROM hsmint.meta", "hsmint1"), "1|1")

    def test_of_several_hosts_one_that_is_silent_is_given_up_for_the_next(self):
        silent = os.path.join(self.work, "silent")
        os.mkdir(silent)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.join(silent, ".s.PGSQL.5432"))
            listener.listen()
            service = self.node(self.postgres.url().replace("host=", "host=%s," % silent))
            self.open(service)

    def test_a_store_of_a_later_version_is_not_touched(self):
        service = self.node(self.postgres.url())
        service.stop()
        self.postgres.sql("UPDATE hsmint.meta SET schema = 99", "hsmint1")
        after = start_plain_dev(service.directory, check=False)
        self.assertIsNone(after)
        said = run([HSMINT, "serve", "--config", os.path.join(service.directory, "hsmint.yaml")], check=False)
        self.assertIn("later version of hsmint (schema 99)", said.stderr)

    def test_a_server_that_is_not_there_is_named_at_the_start(self):
        service = self.node(self.postgres.url())
        service.stop()
        self.postgres.stop()
        said = run([HSMINT, "serve", "--config", os.path.join(service.directory, "hsmint.yaml")], check=False)
        self.assertNotEqual(said.returncode, 0)
        self.assertIn("PostgreSQL", said.stderr)


class Gone(StoreCase):
    def setUp(self):
        super().setUp()
        self.service = self.node(self.postgres.url())

    def load(self, until, seen):
        """Open, mint, complete, mint: until told to end. Notes each credential that came after its task's end."""
        connection = self.service.unix()
        while not until.is_set():
            try:
                opened = self.service.ask("POST", "/v1/tasks", AGENT, connection)
                if opened.status != 201:
                    time.sleep(0.01)
                    continue
                seen["opened"].append(opened.json["id"])
                if self.service.mint(connection, profile=PROFILE, task=opened.json["id"]).status == 200:
                    seen["minted"].append(opened.json["id"])
                done = self.service.ask("POST", "/v1/tasks/%s/complete" % opened.json["id"], {}, connection)
                if done.status != 200:
                    seen["unknown"].append(opened.json["id"])
                    continue
                seen["completed"].append(opened.json["id"])
                late = self.service.mint(connection, profile=PROFILE, task=opened.json["id"])
                if late.status == 200:
                    seen["late"].append(opened.json["id"])
            except OSError:
                connection.close()
                connection = self.service.unix()
        connection.close()

    def test_kill_9_under_load_is_survived_and_nothing_that_ended_comes_back(self):
        until = threading.Event()
        seen = {"opened": [], "completed": [], "unknown": [], "late": [], "minted": []}
        threads = [threading.Thread(target=self.load, args=(until, seen)) for _ in range(8)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(3):
                before = len(seen["completed"])
                wait_for(lambda count=before: len(seen["completed"]) >= count + 20, "load")
                self.postgres.kill()
                wait_for(lambda: self.service.mint().status == 503, "a refusal")
                self.postgres.start()
                wait_for(lambda: self.service.mint().status == 200, "its coming back alone")
        finally:
            until.set()
            for thread in threads:
                thread.join()
        self.assertEqual(seen["late"], [])
        self.assertGreater(len(seen["minted"]), 60)
        for task in seen["completed"]:
            self.refused(self.mint(self.service, task), 409, "task_ended", "task")
        for task in seen["unknown"]:  # it ended or it did not, and everybody says the same
            state = self.service.ask("GET", "/v1/tasks/" + task).json["state"]
            self.assertEqual(self.mint(self.service, task).status, 200 if state == "open" else 409)
            row = self.postgres.sql("SELECT body FROM hsmint.record WHERE kind = 2 AND key = '%s'" % task, "hsmint1")
            self.assertEqual(json.loads(row)["state"], state)

    def test_until_the_view_is_too_old_what_it_allows_goes_on(self):
        task = self.open(self.service)
        self.mints(self.service, task["id"])
        began = time.monotonic()
        self.postgres.kill()
        self.assertEqual(self.mint(self.service, task["id"]).status, 200)
        self.refused(self.service.ask("POST", "/v1/tasks", AGENT), 503, "store_unavailable")
        self.away(self.service, task["id"])
        self.assertGreater(time.monotonic() - began, STALENESS - 0.5)  # as old as a poll's time apart at most
        status = self.service.status()
        self.assertEqual((status["ready"], "store" in status["reason"]), (False, True), status)
        self.postgres.start()
        self.mints(self.service, task["id"])
        self.writes(self.service)  # which is tried each second

    def test_a_server_that_hangs_is_one_that_is_away(self):
        task, paused = self.open(self.service), self.open(self.service)
        self.mints(self.service, task["id"])  # what it needs of the store is there
        self.act(self.service, paused, "pause")
        self.postgres.pause()
        self.away(self.service, task["id"])
        self.assertEqual(self.service.ask("GET", "/demo/.well-known/jwks.json").status, 200)  # others go on
        answer = self.service.ask("POST", "/oauth2/introspect", "token=x",
                                  headers={"Content-Type": "application/x-www-form-urlencoded"})
        self.refused(answer, 503, "store_unavailable")
        # what would change nothing, too: by now the other may have resumed it
        self.refused(self.act(self.service, paused, "pause"), 503, "store_unavailable")
        self.postgres.resume()
        self.mints(self.service, task["id"])

    @staticmethod
    def is_connected(connection):
        try:
            connection.connect()
        except BlockingIOError:  # the listener's line is full
            return False
        return True

    @unittest.skipIf(SANITIZED, "a thousand acts within the seconds for which a commit is waited for")
    def test_acts_that_wait_leave_places_for_operators(self):
        """A gate that was taken over may keep as many on their way as it can."""
        service = self.node(self.postgres.url(), "patient", "max_staleness: 10s\n")
        held = threading.Thread(target=self.postgres.sql, args=(
            "BEGIN; LOCK TABLE hsmint.meta; SELECT pg_sleep(4); COMMIT", "hsmint2"))
        held.start()
        self.addCleanup(held.join)
        wait_for(lambda: self.postgres.sql("SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted "
                                           "AND relation = 'hsmint.meta'::regclass", "hsmint2") == "1", "the lock")
        waiting = [service.unix() for _ in range(API_CALLS)]
        for connection in waiting:
            self.addCleanup(connection.close)
            wait_for(lambda c=connection: self.is_connected(c), "a place in the line of connections")
            connection.request("POST", "/v1/tasks", json.dumps(AGENT), {"Content-Type": "application/json"})
        wait_for(lambda: service.ask("GET", "/v1/tasks").status == 503, "all places to be taken")
        self.refused(service.ask("GET", "/v1/tasks"), 503, "overload")
        listed = service.command("task", "list", "--control", service.control, check=False)
        self.assertEqual(listed.returncode, 0, listed.stderr)

    def test_what_fails_for_another_transaction_is_tried_again_and_not_for_ever(self):
        self.postgres.sql(
            "CREATE SEQUENCE public.tries; GRANT USAGE ON public.tries TO PUBLIC;"
            "CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " IF nextval('public.tries') <= 3 THEN RAISE EXCEPTION 'in the way' USING ERRCODE = '40001'; END IF;"
            " RETURN NEW; END $$; GRANT EXECUTE ON FUNCTION public.fail TO PUBLIC;"
            "CREATE TRIGGER fails BEFORE UPDATE ON hsmint.meta FOR EACH ROW EXECUTE FUNCTION public.fail()", "hsmint1")
        self.open(self.service)
        self.assertGreaterEqual(int(self.postgres.sql("SELECT last_value FROM public.tries", "hsmint1")), 5)
        self.postgres.sql("ALTER SEQUENCE public.tries MINVALUE -1000000 RESTART -1000000", "hsmint1")
        self.refused(self.service.ask("POST", "/v1/tasks", AGENT), 503, "store_unavailable")
        self.assertLess(int(self.postgres.sql("SELECT last_value FROM public.tries", "hsmint1")), -1000000 + 100)
        self.postgres.sql("DROP TRIGGER fails ON hsmint.meta", "hsmint1")
        self.writes(self.service)

    def test_one_whose_store_cannot_be_written_comes_to_its_end(self):
        self.postgres.sql("CREATE RULE nothing AS ON UPDATE TO hsmint.meta DO INSTEAD NOTHING", "hsmint1")
        self.refused(self.service.ask("POST", "/v1/tasks", AGENT), 503, "store_unavailable")
        os.kill(self.service.status()["tokens"][0]["pid"], signal.SIGSTOP)  # its last checkpoint is waited for
        self.service.process.terminate()
        self.service.process.wait(PATIENCE)

    def test_a_store_that_is_set_back_ends_the_service(self):
        self.open(self.service)
        self.postgres.sql("UPDATE hsmint.meta SET sequence = 1", "hsmint1")
        self.ends(self.service, "set back")

    def test_who_was_away_while_deletions_were_forgotten_loads_anew(self):
        self.open(self.service)
        self.postgres.sql("UPDATE hsmint.meta SET sequence = sequence + 5, purged = sequence + 5", "hsmint1")
        self.ends(self.service, "deleted meanwhile")
        after = start_plain_dev(self.service.directory)
        self.addCleanup(after.stop)
        self.open(after)


class Proven(StoreCase):
    """Over TCP: TLS, with a server that shows who it is, and a password that stands nowhere else than in its file."""

    def setUp(self):
        super().setUp()
        url = self.postgres.url()
        self.directory = os.path.join(self.work, "dev")
        start_plain_dev(self.directory).stop()
        share_store(self.directory, url)
        certificate, key = Authority(self.work, "database").issue("server", ["DNS:localhost"], usage="serverAuth")
        self.ca = os.path.join(self.work, "database.crt")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.postgres.stop()
        for source, name in ((certificate, "server.crt"), (key, "server.key")):
            target = os.path.join(self.postgres.data, name)
            shutil.copy(source, target)
            os.chmod(target, 0o600)
            owner = os.stat(self.postgres.data)
            os.chown(target, owner.st_uid, owner.st_gid)
        self.postgres.options += ("-c", "ssl=on", "-c", "listen_addresses=127.0.0.1", "-p", str(self.port))
        self.postgres.port = self.port
        self.postgres.let_in("hostssl all %s 127.0.0.1/32 scram-sha-256" % OWNER)
        self.postgres.start()
        self.postgres.sql("ALTER ROLE %s PASSWORD '%s'" % (OWNER, PASSWORD))
        self.passfile = os.path.join(self.work, "passfile")
        with open(os.open(self.passfile, os.O_WRONLY | os.O_CREAT, 0o600), "w") as out:
            out.write("localhost:%d:*:%s:%s\n" % (self.port, OWNER, PASSWORD))

    def use(self, more, host="localhost"):
        config = os.path.join(self.directory, "hsmint.yaml")
        old = re.search(r'(?m)^store: ".*"$', read(config)).group()
        edit(config, old, 'store: "postgresql://%s@%s:%d/hsmint1?passfile=%s%s"' % (OWNER, host, self.port, self.passfile, more))

    def test_a_server_with_the_right_certificate_is_used_and_the_password_is_nowhere(self):
        self.use("&sslrootcert=" + self.ca)
        service = start_plain_dev(self.directory)
        self.addCleanup(service.stop)
        self.assertEqual(service.mint().status, 200)
        self.assertEqual(self.postgres.sql("SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE "
                                           "usename = '%s'" % OWNER), "t")
        for text in (service.log(), json.dumps(service.status()), read("/proc/%d/cmdline" % service.pid),
                     read("/proc/%d/environ" % service.pid)):
            self.assertNotIn(PASSWORD, text)

    def test_a_server_that_is_another_is_not(self):
        other = os.path.join(self.work, "other.crt")
        Authority(self.work, "other")
        for more, host in (("", "localhost"), ("&sslrootcert=" + other, "localhost"),
                           ("&sslrootcert=" + self.ca, "127.0.0.1")):
            with self.subTest(more=more, host=host):
                self.use(more, host)
                said = run([HSMINT, "serve", "--config", os.path.join(self.directory, "hsmint.yaml")], check=False)
                self.assertNotEqual(said.returncode, 0)
                self.assertIn("PostgreSQL", said.stderr)
                self.assertIn("certificate", said.stderr)


if __name__ == "__main__":
    unittest.main()
