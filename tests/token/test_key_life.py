# SPDX-License-Identifier: Apache-2.0
"""The life of keys (docs/keys.md): made or adopted, rotated, retired, destroyed; and the record of it."""
import json
import os
import re
import signal
import threading
import unittest

from token_case import HSMINT, TokenCase, read, run, start_serve, verify, wait_for, write
import token_admin
import frames
from harness import AUDIENCE, SUBJECT, decode, verify_all
from test_control import Operator

CKR_FUNCTION_REJECTED = "0x200"


class KeyLife(TokenCase):
    def setUp(self):
        super().setUp()
        self.module = re.search(r"module: (\S+)", read(self.config)).group(1)
        self.record = os.path.join(self.directory, "state", "keys")

    def make(self, label, identity, **more):
        """A key pair made while nothing runs, as the site's own tools would."""
        token_admin.create_key(self.directory, self.config, label, identity, **more)

    def softhsm(self, *arguments):
        """What pkcs11-tool says, logged in."""
        return run(["pkcs11-tool", "--module", self.module, "--token-label", "hsmint-dev", "--login", "--pin",
                    self.pin.strip(), *arguments],
                   env={**os.environ, "SOFTHSM2_CONF": self.directory + "/softhsm2.conf"}).stdout

    def key(self, service, *arguments, check=True):
        return service.command("key", *arguments, "--control", service.control, check=check)

    def ask(self, service, *arguments):
        return json.loads(self.key(service, *arguments, "--json").stdout)

    def refuse(self, service, words, *arguments):
        result = self.key(service, *arguments, check=False)
        self.assertEqual((result.returncode, result.stdout), (1, ""), result)
        self.assertIn(words, result.stderr)

    def versions(self, service, name="demo-access"):
        return {key["version"]: key for key in self.ask(service, "list")["keys"] if key["name"] == name}

    def states(self, service):
        return {number: version["state"] for number, version in self.versions(service).items()}

    def published(self, service):
        return {key["kid"] for key in service.ask("GET", "/demo/.well-known/jwks.json").json["keys"]}

    def signer(self, service):
        answer = service.mint()
        self.assertEqual(answer.status, 200, answer.body)
        verify(answer.json["credential"], service.ask("GET", "/demo/.well-known/jwks.json").body, self.work)
        return decode(answer.json["credential"])[0]["kid"]


class Made(KeyLife):
    def create(self, service, *arguments, **more):
        return service.command("key", "create", "demo-access", "--config", self.config, *arguments, **more)

    def test_from_creation_to_destruction(self):
        service = self.serve()
        first = self.signer(service)
        made = json.loads(self.create(service, "--json").stdout)
        self.assertEqual((made["version"], made["state"]), (2, "created"))
        self.assertNotIn(made["kid"], self.published(service))
        self.assertIn('hsmint_key_reserve{issuer="demo",key="demo-access"} 1\n', service.ask("GET", "/metrics").body.decode())

        ahead = self.ask(service, "rotate", "demo-access")
        self.assertEqual((ahead["kid"], ahead["state"]), (made["kid"], "published"))
        self.assertEqual(ahead["activates_at"] - ahead["published_at"], 3600)
        self.assertLessEqual({first, made["kid"]}, self.published(service))
        self.assertEqual(self.signer(service), first)

        now = self.ask(service, "activate", "demo-access", "2", "--now")
        self.assertEqual(now["state"], "active")
        self.assertEqual(self.signer(service), made["kid"])
        old = self.versions(service)[1]
        self.assertEqual((old["state"], old["kid"]), ("retiring", first))
        self.assertEqual(old["retires_at"] - old["retiring_at"], 900 + 60)  # the profile's longest lifetime
        self.assertIn(first, self.published(service))

        self.refuse(service, "only a retired one", "destroy", "demo-access", "1", "--config", self.config,
                    "--label", "demo-access")
        self.assertEqual(self.ask(service, "retire", "demo-access", "1")["state"], "retired")
        self.assertNotIn(first, self.published(service))
        self.assertFalse(self.versions(service)[1]["known"])  # its token need not hold it any more
        self.refuse(service, "is not its label", "destroy", "demo-access", "1", "--config", self.config, "--label", "x")
        self.key(service, "destroy", "demo-access", "1", "--config", self.config, "--label", "demo-access")
        self.assertEqual(self.states(service), {2: "active"})
        listed = self.softhsm("--list-objects")
        labels = [line.split("label:")[1].strip() for line in listed.splitlines() if "label:" in line]
        self.assertEqual((labels.count("demo-access"), labels.count(made["label"])), (0, 2), listed)

    def test_the_first_key_is_made_where_no_service_runs(self):
        self.edit("label: demo-access, id: \"01\"", "label: another, id: \"\"")
        self.edit(", id: \"\"", "")
        result = run([HSMINT, "key", "create", "demo-access", "--config", self.config])
        self.assertIn("made as 'another'", result.stdout)
        self.signer(self.serve())

    def test_one_is_shown_alone(self):
        service = self.serve()
        self.assertEqual({key["name"] for key in self.ask(service, "list")["keys"]},
                         {"demo-access", "demo-svid", "demo-checkpoint", "demo-status"})
        for verb in ("show", "evidence"):
            self.assertEqual({key["name"] for key in self.ask(service, verb, "demo-svid")["keys"]}, {"demo-svid"})

    def test_who_is_no_operator_makes_it_and_another_adopts_it(self):
        """The PIN is for the service's user, whom the control socket need not know."""
        self.edit("uid: %d" % os.geteuid(), "uid: 4242")
        service = start_serve(self.config, self.directory, wait=False)
        self.addCleanup(self.end, service)
        wait_for(lambda: "event=ready" in service.log(), "a ready service")
        result = self.create(service)
        self.assertRegex(result.stdout, r"^pkcs11:object=demo-access\.\d{8}T\d{6}Z;id=(%[0-9a-f]{2}){16}\n$")
        self.assertIn("an operator takes it into use", result.stderr)
        if os.geteuid() == 0:
            for directory in (self.work, self.directory):
                os.chmod(directory, 0o711)
            adopted = run([HSMINT, "key", "adopt", "demo-access", result.stdout.strip(), "--control", service.control],
                          user=4242, group=4242, extra_groups=[])
            self.assertIn("version 2  created", adopted.stdout)

    def test_who_cannot_use_the_state_directory_is_told(self):
        if os.geteuid() != 0:
            self.skipTest("needs another user")
        os.chmod(self.work, 0o755)
        for path in (self.directory, self.config):
            os.chmod(path, 0o755)
        result = run([HSMINT, "key", "create", "demo-access", "--config", self.config, "--control", self.work + "/none"],
                     check=False, user=65534, group=65534, extra_groups=[])
        self.assertEqual(result.returncode, 1)
        self.assertIn("token-start.lock: Permission denied", result.stderr)

    def test_people_cannot_be_asked_for_their_parts(self):
        self.edit(re.search(r"    login: file\n    pin: .*\n", read(self.config)).group(0), "    login: protected-path\n")
        result = run([HSMINT, "key", "create", "demo-access", "--config", self.config], check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn("people log token soft in", result.stderr)

    def test_only_with_the_right_to_manage(self):
        self.edit("key_rights: manage", "key_rights: use")
        self.count_and_script()
        service = self.serve()
        logins = self.logins()
        for arguments in (("create", "demo-access"), ("destroy", "demo-access", "1", "--label", "demo-access")):
            self.refuse(service, "key_rights: use", *arguments, "--config", self.config)
        self.assertEqual((self.logins(), self.calls("C_GenerateKeyPair", "C_DestroyObject")), (logins, []))

    def test_another_key_is_not_destroyed_under_its_label(self):
        """What has the label now is not what the record knows."""
        service = self.serve()
        self.create(service)
        self.ask(service, "activate", "demo-access", "2", "--now")
        self.ask(service, "retire", "demo-access", "1")
        ours = self.versions(service)[1]["kid"]
        with open(self.record) as file:
            record = json.load(file)
        service.stop()
        for version in record["keys"][0]["versions"]:
            if version["kid"] == ours:
                version["kid"] = "A" * 43
        write(self.record, json.dumps(record))
        service = self.serve()
        self.refuse(service, "has kid " + ours, "destroy", "demo-access", "1", "--config", self.config,
                    "--label", "demo-access")
        self.assertEqual(self.states(service)[1], "retired")


class Adopted(KeyLife):
    def test_rotation_without_any_right_over_keys(self):
        """The token refuses every creation and destruction, and nobody asks for one; traffic goes on meanwhile."""
        self.edit("key_rights: manage", "key_rights: use")
        self.make("site-key", "0a")
        self.count_and_script("".join("%s %s\n" % (function, CKR_FUNCTION_REJECTED) for function in (
            "C_GenerateKeyPair", "C_CreateObject", "C_DestroyObject", "C_CopyObject", "C_SetAttributeValue")))
        service = self.serve()
        first = self.signer(service)
        pid = service.status()["tokens"][0]["pid"]
        answers, stop = [], threading.Event()

        def client():
            connection = service.unix()
            while not stop.is_set():
                answers.append(service.mint(connection))
            connection.close()
        threads = [threading.Thread(target=client) for _ in range(4)]
        for thread in threads:
            thread.start()
        adopted = self.ask(service, "adopt", "demo-access", "pkcs11:token=hsmint-dev;object=site-key;id=%0a")
        self.ask(service, "rotate", "demo-access")
        self.ask(service, "activate", "demo-access", str(adopted["version"]), "--now")
        wait_for(lambda: any(decode(answer.json["credential"])[0]["kid"] == adopted["kid"] for answer in answers[-4:]
                             if answer.status == 200), "the adopted key to sign")
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual({answer.status for answer in answers}, {200})
        jwks = service.ask("GET", "/demo/.well-known/jwks.json").json
        self.assertEqual(verify_all([answer.json["credential"] for answer in answers], jwks), len(answers))
        self.ask(service, "retire", "demo-access", "1")
        self.assertEqual(self.published(service) & {first, adopted["kid"]}, {adopted["kid"]})
        self.assertEqual(service.status()["tokens"][0]["pid"], pid)  # its process was never started anew
        self.assertEqual(self.calls("C_GenerateKeyPair", "C_CreateObject", "C_DestroyObject", "C_CopyObject",
                                    "C_SetAttributeValue"), [])

    def test_it_signs_after_restarts_of_every_process(self):
        self.make("site-key", "0a")
        service = self.serve()
        adopted = self.ask(service, "adopt", "demo-access", "pkcs11:id=%0a")
        os.kill(service.status()["tokens"][0]["pid"], signal.SIGKILL)
        wait_for(lambda: service.mint().status == 200, "the token to be back")
        self.assertTrue(self.versions(service)[2]["known"])
        self.ask(service, "activate", "demo-access", "2", "--now")
        service.kill()
        service = self.serve()
        self.assertEqual(self.signer(service), adopted["kid"])
        self.assertEqual(self.states(service), {1: "retiring", 2: "active"})

    def test_what_is_no_key_to_adopt(self):
        self.make("site-key", "0a")
        self.make("edwards", "0b", algorithm=4)
        self.extractable("loose", "0c")
        self.count_and_script()
        service = self.serve()
        before = read(self.record)
        for uri, words in (
                ("pkcs11:object=nobody", "no private key is labelled 'nobody'"),
                ("pkcs11:object=edwards", "CKA_KEY_TYPE"),
                ("pkcs11:object=loose", "CKA_EXTRACTABLE"),
                ("pkcs11:object=demo-svid", "another configured key's"),
                ("pkcs11:object=demo-access", "version 1, active"),
                ("pkcs11:object=site-key;token=elsewhere", "labelled 'hsmint-dev'"),
                ("pkcs11:object=site-key;serial=1", "serial"),
                ("pkcs11:token=hsmint-dev", "a label, an id, or both"),
                ("pkcs11:object=" + "x" * 65, "at most 64")):
            with self.subTest(uri):
                self.refuse(service, words, "adopt", "demo-access", uri)
        self.refuse(service, "a string", "adopt", "demo-access", "pkcs11:object=%ff;id=%0a")
        for uri in ("site-key", "pkcs11:object=site-key;colour=red", "pkcs11:object=site-key;model=other",
                    "pkcs11:object=site-key?pin-value=1234"):
            self.assertEqual(self.key(service, "adopt", "demo-access", uri, check=False).returncode, 2, uri)
        self.assertEqual(read(self.record), before)
        self.assertTrue(service.status()["ready"])
        self.signer(service)

    def extractable(self, label, identity):
        self.softhsm("--keypairgen", "--key-type", "EC:prime256v1", "--label", label, "--id", identity, "--usage-sign",
                     "--sensitive", "--extractable")

    def test_a_key_that_does_the_same_under_another_name(self):
        """What is retired for one would go on signing for the other."""
        self.make("site-key", "0a")
        svid = "  - {name: demo-svid,"
        self.edit(svid, "  - {name: other, issuer: demo, token: soft, label: site-key, use: access-token}\n" + svid)
        service = self.serve()
        self.refuse(service, "another configured key's", "adopt", "demo-access", "pkcs11:id=%0a")
        self.assertEqual(self.states(service), {1: "active"})

    def test_a_key_that_ends_the_process_is_not_tried_again(self):
        """It must not keep the others from signing: the next process is not asked to learn it."""
        self.make("site-key", "0a")
        self.count_and_script()
        service = self.serve()
        self.script("C_FindObjects exit 1\n")
        self.refuse(service, "the token's process ended", "adopt", "demo-access", "pkcs11:object=site-key")
        self.assertEqual(self.obeyed("C_FindObjects", "exit"), 1)
        wait_for(lambda: service.mint().status == 200, "the token to be back")
        self.assertEqual(self.states(service), {1: "active"})
        self.assertEqual(service.status()["tokens"][0]["restarts"], 1)
        self.assertEqual(self.ask(service, "adopt", "demo-access", "pkcs11:object=site-key")["version"], 2)

    def test_a_key_that_ends_the_process_while_another_is_not_there(self):
        """What was refused before is asked for again at each change, but not of a process that has ended."""
        self.make("site-key", "0a")
        self.count_and_script()
        service = self.serve()
        self.edit("label: demo-svid, id: \"02\"", "label: nobody, id: \"0d\"")
        service.command("reload", "--control", service.control)
        wait_for(lambda: service.log().count("token_key_refused") == 2, "the key to be refused by a new process, too")
        self.script("C_Sign exit 1\n")  # the probe: only with the key that is there
        self.refuse(service, "the token's process ended", "adopt", "demo-access", "pkcs11:object=site-key")
        self.assertEqual(self.obeyed("C_Sign", "exit"), 1)
        wait_for(lambda: service.mint().status == 200, "the token to be back")

    def test_places_of_keys_that_were_looked_at_do_not_run_out(self):
        """A token's process has as many places as keys can be in use, and keeps what it has learned."""
        service = self.serve()
        pid = service.status()["tokens"][0]["pid"]
        refused = []
        while len(refused) < 70:
            refused.append(self.key(service, "adopt", "demo-access", "pkcs11:object=demo-svid", check=False).stderr)
        self.assertIn("another configured key's", refused[0])
        self.assertNotIn("another key is being looked at", "".join(refused))
        wait_for(lambda: service.mint().status == 200, "the token to be back")
        self.assertNotEqual(service.status()["tokens"][0]["pid"], pid)
        self.assertTrue(service.status()["ready"])
        self.assertIn("another configured key's",
                      self.key(service, "adopt", "demo-access", "pkcs11:object=demo-svid", check=False).stderr)

    def test_one_that_hangs_the_module_is_given_up(self):
        self.make("site-key", "0a")
        self.edit("    threads: 1 ", "    stuck_after: 2\n    threads: 1 ")
        self.count_and_script()
        service = self.serve()
        self.script("C_FindObjects hang 1\n")
        self.refuse(service, "the token's process ended", "adopt", "demo-access", "pkcs11:object=site-key")
        wait_for(lambda: service.mint().status == 200, "the token to be back")


class Asking(KeyLife):
    def put(self, operator, **command):
        operator.send(frames.frame(frames.CONTROL_REQUEST, json.dumps(command).encode(), 1))

    def replies_that_fit(self, service):
        """How many replies wait for an operator who reads none, until its connection is closed."""
        operator, count = Operator(service), 0
        try:
            while True:
                self.put(operator, command="keys")
                wait_for(lambda: service.status(), "the service to have looked")
                count += 1
        except (BrokenPipeError, ConnectionResetError):
            operator.close()
            return count - 1

    def test_an_operator_who_does_not_read_is_answered_late(self):
        """The answer comes while another command of the same connection is at work, and finds no room."""
        self.make("site-key", "0a")
        self.count_and_script()
        service = self.serve()
        fit = self.replies_that_fit(service)
        operator = Operator(service)
        for _ in range(fit - 1):
            self.put(operator, command="keys")
            service.status()
        self.script("C_FindObjects hang 1\n")
        service.process.send_signal(signal.SIGSTOP)
        try:
            self.put(operator, command="key-adopt", key="demo-access", label="site-key")
            for _ in range(3):
                self.put(operator, command="keys")
            self.put(operator, command="reload")
        finally:
            service.process.send_signal(signal.SIGCONT)
        wait_for(lambda: "name=reload" in service.log(), "the reload")
        operator.close()
        self.assertIsNone(service.process.poll())
        self.assertIs(self.ask(service, "list")["ok"], True)
        self.assertNotIn("site-key", read(self.record))
        os.kill(service.status()["tokens"][0]["pid"], signal.SIGKILL)
        wait_for(lambda: service.mint().status == 200, "the token to be back")

    def test_a_reload_ends_an_adoption_that_is_under_way(self):
        self.make("site-key", "0a")
        self.count_and_script()
        service = self.serve()
        operator = Operator(service)
        self.script("C_FindObjects hang 1\n")
        self.put(operator, command="key-adopt", key="demo-access", label="site-key")
        wait_for(lambda: self.obeyed("C_FindObjects", "hang"), "the token to look at the key")
        service.command("reload", "--control", service.control)
        _, reply = operator.answer()
        self.assertEqual((reply["code"], reply["status"]), ("key_state", 409), reply)
        os.kill(service.status()["tokens"][0]["pid"], signal.SIGKILL)
        wait_for(lambda: service.mint().status == 200, "the token to be back")
        self.assertEqual(self.states(service), {1: "active"})
        operator.close()
        self.assertEqual(self.ask(service, "adopt", "demo-access", "pkcs11:object=site-key")["version"], 2)

    def test_an_operator_who_goes_away_leaves_the_key_adopted(self):
        self.make("site-key", "0a")
        self.count_and_script("C_FindObjects wait-300\n")
        service = self.serve()
        operator = Operator(service)
        self.put(operator, command="key-adopt", key="demo-access", label="site-key")
        operator.close()
        wait_for(lambda: self.states(service) == {1: "active", 2: "created"}, "the key to be adopted")
        self.signer(service)

    def test_who_comes_after_an_operator_does_not_get_its_answer(self):
        self.make("site-key", "0a")
        self.count_and_script()
        service = self.serve()
        gone = Operator(service)
        self.script("C_FindObjects wait-1000 1\n")
        self.put(gone, command="key-adopt", key="demo-access", label="site-key")
        wait_for(lambda: self.obeyed("C_FindObjects", "wait-1000"), "the token to look at the key")
        gone.close()
        operators = [Operator(service) for _ in range(3)]
        wait_for(lambda: self.states(service) == {1: "active", 2: "created"}, "the key to be adopted")
        for operator in operators:
            self.assertEqual(operator.ask({"command": "status"}, 7)[0], 7)
            operator.close()

    def test_two_adoptions_do_not_meet(self):
        self.make("site-key", "0a")
        self.make("spare", "0b")
        self.count_and_script()
        service = self.serve()
        first, second = Operator(service), Operator(service)
        self.script("C_FindObjects wait-500 2\n")
        self.put(first, command="key-adopt", key="demo-access", label="site-key")
        wait_for(lambda: self.obeyed("C_FindObjects", "wait-500"), "the token to look at the key")
        self.assertEqual(second.ask({"command": "key-adopt", "key": "demo-access", "label": "spare"})[1]["code"], "key_state")
        self.assertEqual(first.answer()[1]["label"], "site-key")
        self.assertEqual(second.ask({"command": "key-adopt", "key": "demo-access", "label": "spare"})[1]["version"], 3)
        first.close()
        second.close()

    def test_the_service_ends_while_a_key_is_looked_at(self):
        self.make("site-key", "0a")
        self.count_and_script()
        service = self.serve()
        operator = Operator(service)
        self.script("C_FindObjects hang 1\n")
        self.put(operator, command="key-adopt", key="demo-access", label="site-key")
        wait_for(lambda: self.obeyed("C_FindObjects", "hang"), "the token to look at the key")
        service.process.terminate()
        self.assertEqual(service.process.wait(60), 0)
        operator.close()


class States(KeyLife):
    def test_what_is_not_in_a_state_for_it(self):
        self.make("site-key", "0a")
        self.make("spare", "0b")
        service = self.serve()
        for words, *arguments in (
                ("there is none", "rotate", "demo-access"),
                ("version 1 is active", "activate", "demo-access", "1"),
                ("version 1 is active", "retire", "demo-access", "1"),
                ("unknown_key", "rotate", "nobody"),
                ("unknown_key", "retire", "demo-access", "2")):
            with self.subTest(arguments):
                self.refuse(service, words, *arguments)
        self.ask(service, "adopt", "demo-access", "pkcs11:object=site-key")
        self.ask(service, "adopt", "demo-access", "pkcs11:object=spare")
        self.refuse(service, "this is version 2", "adopt", "demo-access", "pkcs11:object=site-key")
        self.ask(service, "activate", "demo-access", "3")
        self.refuse(service, "version 3 is published already", "rotate", "demo-access")
        self.refuse(service, "version 3 signs next", "activate", "demo-access", "2")
        self.ask(service, "retire", "demo-access", "2")
        self.refuse(service, "version 2 is retired", "activate", "demo-access", "2", "--now")
        operator = Operator(service)
        for number, code in ((1, "key_state"), (3, "key_state"), (4, "unknown_key")):
            _, reply = operator.ask({"command": "key-forget", "key": "demo-access", "version": number})
            self.assertEqual(reply["code"], code, number)
        operator.close()
        self.refuse(service, "version 2, retired", "adopt", "demo-access", "pkcs11:id=%0a")
        self.assertEqual(self.states(service), {1: "active", 2: "retired", 3: "published"})

    def test_no_change_without_a_record(self):
        self.make("site-key", "0a")
        service = self.serve()
        self.ask(service, "adopt", "demo-access", "pkcs11:object=site-key")
        before, kids, signer = read(self.record), self.published(service), self.signer(service)
        os.rename(os.path.dirname(self.record), self.directory + "/away")
        try:
            for arguments in (("rotate", "demo-access"), ("activate", "demo-access", "2", "--now"),
                              ("retire", "demo-access", "2")):
                self.assertEqual(self.key(service, *arguments, check=False).returncode, 1, arguments)
            self.assertEqual((self.published(service), self.signer(service)), (kids, signer))
        finally:
            os.rename(self.directory + "/away", os.path.dirname(self.record))
        self.assertEqual(read(self.record), before)
        self.assertEqual(self.states(service), {1: "active", 2: "created"})
        self.ask(service, "rotate", "demo-access")

    def test_what_was_asked_for_before_is_answered_again_until_its_key_is_retired(self):
        self.make("site-key", "0a")
        service = self.serve()
        self.ask(service, "adopt", "demo-access", "pkcs11:object=site-key")
        body = {"profile": "demo-access", "subject": SUBJECT, "audience": AUDIENCE}

        def mint():
            return service.ask("POST", "/v1/mint/jwt", body, headers={"Idempotency-Key": "once"})
        before = mint()
        self.ask(service, "activate", "demo-access", "2", "--now")
        self.assertEqual(mint().json["credential"], before.json["credential"])
        self.ask(service, "retire", "demo-access", "1")
        self.refused(mint(), 409, "replay_withdrawn")

    def test_a_longer_lifetime_that_was_allowed_once_counts_until_its_end(self):
        """The old key stays published for the longest that a credential of it may live, not for what may be asked now."""
        self.make("site-key", "0a")
        service = self.serve()
        for longest in (1800, 600):
            write(self.config, re.sub(r"maximum: \d+", "maximum: %d" % longest, read(self.config)))
            service.command("reload", "--control", service.control)
        service.stop()
        service = self.serve()
        self.ask(service, "adopt", "demo-access", "pkcs11:object=site-key")
        self.ask(service, "activate", "demo-access", "2", "--now")
        old = self.versions(service)[1]
        self.assertEqual(old["retires_at"] - old["retiring_at"], 1800 + 60)

    def test_another_key_under_a_known_label_is_refused_after_a_restart(self):
        service = self.serve()
        first = self.signer(service)
        service.stop()
        for half in ("privkey", "pubkey"):
            self.softhsm("--delete-object", "--type", half, "--label", "demo-access")
        self.make("demo-access", "01")
        service = self.serve(wait=False)
        self.assertEqual(service.process.wait(60), 1)
        self.assertIn("is another one than before", service.log())
        self.assertIn("was " + first, service.log())

    def test_a_version_in_reserve_that_is_gone_does_not_keep_the_service_from_starting(self):
        for label, identity in (("site-key", "0a"), ("spare", "0b")):
            self.make(label, identity)
        service = self.serve()
        for label in ("site-key", "spare"):
            self.ask(service, "adopt", "demo-access", "pkcs11:object=" + label)
        first = self.signer(service)
        service.stop()
        for half in ("privkey", "pubkey"):
            self.softhsm("--delete-object", "--type", half, "--label", "site-key")
        service = self.serve()
        wait_for(lambda: "no private key is labelled 'site-key'" in service.log(), "it to be missed")
        wait_for(lambda: self.versions(service)[3]["known"], "the other to be learned")
        self.assertEqual(self.signer(service), first)
        self.assertFalse(self.versions(service)[2]["known"])
        self.assertEqual(self.ask(service, "rotate", "demo-access")["version"], 3)
        self.assertEqual(self.ask(service, "retire", "demo-access", "2")["state"], "retired")

    def test_a_version_that_is_published_and_gone_is_told_of_and_can_be_retired(self):
        """Without it the key set would be half of one."""
        self.make("site-key", "0a")
        service = self.serve()
        self.ask(service, "adopt", "demo-access", "pkcs11:object=site-key")
        self.ask(service, "activate", "demo-access", "2", "--now")
        signer = self.signer(service)
        service.stop()
        for half in ("privkey", "pubkey"):
            self.softhsm("--delete-object", "--type", half, "--label", "demo-access")
        service = self.serve(wait=False)
        wait_for(lambda: "no private key is labelled 'demo-access'" in service.log(), "it to be missed")
        status = wait_for(lambda: self.ask(service, "list") and service.status(), "the service to answer")
        self.assertEqual((status["ready"], status["reason"]), (False, "key demo-access is not used"))
        self.ask(service, "retire", "demo-access", "1")
        service.wait_ready()
        self.assertEqual(self.signer(service), signer)

    def test_a_damaged_record_ends_the_start(self):
        self.serve().stop()
        whole = read(self.record)
        for damaged in (whole[:len(whole) // 2], "", whole.replace('"active"', '"created"'), whole.replace('"format": 1', '"format": 2'),
                        whole.replace('"label": "demo-access"', '"label": ""').replace('"id": "01"', '"id": ""')):
            self.assertNotEqual(damaged, whole)
            write(self.record, damaged)
            service = self.serve(wait=False)
            self.assertEqual(service.process.wait(60), 1)
            self.assertIn("the record of keys is damaged", service.log())
            self.assertEqual(read(self.record), damaged)

    def test_a_reload_learns_a_key_and_the_process_goes_on(self):
        self.make("site-key", "0a")
        service = self.serve()
        pid = service.status()["tokens"][0]["pid"]
        first = self.signer(service)
        self.edit("label: demo-access, id: \"01\"", "label: site-key, id: \"0a\"")
        service.command("reload", "--control", service.control)
        service.wait_ready()
        self.assertNotEqual(self.signer(service), first)
        self.assertNotIn(first, self.published(service))
        self.assertEqual(service.status()["tokens"][0]["pid"], pid)

    def test_a_reload_to_a_key_that_is_not_there_leaves_the_others_signing(self):
        service = self.serve()
        self.edit("label: demo-access, id: \"01\"", "label: nobody, id: \"0a\"")
        service.command("reload", "--control", service.control)
        wait_for(lambda: "token_key_refused" in service.log(), "the key to be refused")
        self.refused(service.mint(), 503, "token_unavailable")
        self.assertEqual(service.mint(profile="demo-svid").status, 200)
        self.assertIn("key demo-access is not used", service.status()["reason"])
        self.edit("label: nobody, id: \"0a\"", "label: demo-access, id: \"01\"")
        service.command("reload", "--control", service.control)
        service.wait_ready()
        self.signer(service)


if __name__ == "__main__":
    unittest.main()
