# SPDX-License-Identifier: Apache-2.0
"""Those whose word is taken: keys at URLs, by a driver to which hours pass at once, and the service."""
import json
import os
import shutil
import subprocess
import tempfile
import time
import unittest

from certificates import Authority
from harness import BUILD, HSMINT, PATIENCE, edit, read, run, start_dev, wait_for
from trusted import Key, KeyServer, key_set

DRIVER = os.path.join(BUILD, "bin", "trust-driver")
KEY_SET_MAX = 256 * 1024
REFRESH, REFRESH_MIN, REFRESH_MAX, AGAIN, AWAY = 300, 60, 3600, 10, 6 * 3600  # seconds, as docs/operations.md says

CONFIG = """
listen: {socket: hsmint.sock, control: control.sock}
state: state
ledger: {origin: mint.test/ledger}
issuers: [{name: a, url: "https://mint.test/a", trust_domain: a.test}]
tokens: [{name: soft, module: module.so, label: hsmint, pin: pin}]
keys: [{name: key, issuer: a, token: soft, label: key, use: access-token}]
profiles:
  - {name: access, issuer: a, kind: at+jwt, key: key, lifetime: {default: 60, maximum: 60}, audiences: ["*"],
     subjects: ["spiffe://a.test/*"], callers: [broker]}
callers: [{name: broker, issuer: a, uid: 1000, roles: [mint]}]
trust:
"""


def write(path, data):
    with open(path, "wb") as out:
        out.write(data if isinstance(data, bytes) else data.encode())


class Driver:
    def __init__(self, config):
        self.process = subprocess.Popen([DRIVER, config], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.started = self.process.stdout.readline().split(" ", 1)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().rstrip("\n")

    def time_passes(self, seconds):
        if self.ask("pass %d" % seconds).split()[0] != "ok":
            raise AssertionError("the driver is gone")

    def verify(self, token):
        return self.ask("verify " + token).split(" ", 1)

    def facts(self):
        """How many keys there are, their age, and the last fault."""
        keys, age, fault = self.ask("facts").split(" ", 2)
        return int(keys), int(age), fault

    def end(self):
        """What it logged."""
        _, log = self.process.communicate(timeout=PATIENCE)
        if self.process.returncode:
            raise AssertionError("the driver ended with %d: %s" % (self.process.returncode, log))
        return log


class KeysAtUrls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.certificates = tempfile.mkdtemp(prefix="hsmint-")
        cls.authority = Authority(cls.certificates, "ca")
        cls.server_files = cls.authority.issue("server", ["DNS:localhost"], usage="serverAuth")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.certificates)

    def setUp(self):
        self.work = tempfile.mkdtemp(prefix="hsmint-")
        self.config = os.path.join(self.work, "hsmint.yaml")
        self.server = KeyServer(*self.server_files)
        self.old, self.new = Key("old"), Key("new")
        self.server.body = key_set(self.old)
        self.driver = None

    def tearDown(self):
        self.server.close()
        if self.driver:
            self.driver.process.kill()
            self.driver.process.communicate()
        shutil.rmtree(self.work)

    def start(self, path="/keys?v=1", ca=None, url=None, first=True):
        entry = '  - {name: idp, issuer: a, provider: "https://idp.test", keys_url: "%s%s", ca: "%s"}\n'
        write(self.config, CONFIG + entry % (url or self.server.url, path, ca or self.authority.cert))
        self.driver = Driver(self.config)
        self.assertEqual(self.driver.started[0], "ok", self.driver.started)
        if first:
            self.driver.time_passes(0)
        return self.driver

    def token(self, key, **claims):
        return key.sign(iss="https://idp.test", sub="ada", aud="https://mint.test/a", **claims)

    def asked(self):
        return len(self.server.paths)

    def expect(self, key, word, part=""):
        said = self.driver.verify(self.token(key))
        self.assertEqual(said[0], word, said)
        self.assertIn(part, said[1])

    # ---- fetching ----

    def test_keys_are_fetched_from_the_url_as_it_is_and_verify(self):
        driver = self.start()
        self.assertEqual(self.server.paths, ["/keys?v=1"])
        self.expect(self.old, "ok", "idp ada")
        self.assertEqual(driver.facts(), (1, 0, ""))
        self.assertIn("event=trust_keys issuer=a name=idp keys=1", driver.end())

    def test_before_they_have_come_a_token_may_be_good_later(self):
        self.server.hangs.set()
        self.start(first=False)
        self.expect(self.old, "unavailable", "no keys yet")

    def test_they_are_asked_for_again_when_their_time_is_over(self):
        for header, seconds in ((None, REFRESH), ("max-age=600", 600), ("public, MAX-AGE=600", 600),
                                ("max-age=1", REFRESH_MIN), ("no-store", REFRESH_MIN), ("max-age=86400", REFRESH_MAX),
                                ("max-age=-1", REFRESH), ("s-maxage=600", REFRESH),
                                ("max-age=99999999999999999999999", REFRESH_MAX)):
            with self.subTest(header):
                self.server.paths.clear()
                self.server.headers = {"Cache-Control": header} if header else {}
                driver = self.start()
                driver.time_passes(seconds - 1)
                self.assertEqual(self.asked(), 1)
                driver.time_passes(1)
                self.assertEqual(self.asked(), 2)
                driver.end()

    # ---- rotation ----

    def test_a_key_that_is_not_known_is_asked_for_and_then_known(self):
        driver = self.start()
        driver.time_passes(AGAIN)
        self.server.body = key_set(self.old, self.new)
        self.expect(self.new, "unavailable", "asked for")
        driver.time_passes(0)
        self.expect(self.new, "ok")
        self.expect(self.old, "ok")

    def test_a_key_that_was_withdrawn_verifies_nothing_after_the_next_answer(self):
        driver = self.start()
        self.server.body = key_set(self.new)
        driver.time_passes(REFRESH)
        self.expect(self.new, "ok")
        self.expect(self.old, "refused")
        self.assertEqual(driver.end().count("event=trust_keys "), 2)

    def test_nobody_can_have_them_asked_for_at_will(self):
        driver = self.start()
        forged = [Key("forged-%d" % i) for i in range(20)]
        for key in forged:
            self.expect(key, "refused")
        self.assertEqual(self.asked(), 1)
        driver.time_passes(AGAIN)
        for key in forged:
            self.driver.verify(self.token(key))
        driver.time_passes(0)
        for key in forged:
            self.expect(key, "refused")
        driver.time_passes(AGAIN - 1)
        for key in forged:
            self.expect(key, "refused")
        driver.time_passes(0)
        self.assertEqual(self.asked(), 2)

    def test_a_provider_without_keys_withdraws_them_all(self):
        driver = self.start()
        self.server.body = key_set()
        driver.time_passes(REFRESH)
        self.expect(self.old, "refused")
        self.assertEqual(driver.facts()[0], 0)

    # ---- a provider that fails ----

    def failing(self, part):
        """What was fetched before holds, and the provider is asked again soon."""
        driver = self.driver
        driver.time_passes(REFRESH)
        self.expect(self.old, "ok")
        keys, age, fault = driver.facts()
        self.assertEqual((keys, age), (1, REFRESH))
        self.assertIn(part, fault)
        asked = self.asked()
        driver.time_passes(AGAIN - 1)
        self.assertEqual(self.asked(), asked)
        self.server.status, self.server.headers, self.server.body = 200, {}, key_set(self.old)
        driver.time_passes(1)
        self.assertEqual(self.asked(), asked + 1)
        self.assertEqual(driver.facts(), (1, 0, ""))
        log = driver.end()
        self.assertEqual(log.count("event=trust_keys_failed"), 1)
        self.assertEqual(log.count("event=trust_keys "), 2)

    def test_an_answer_that_is_no_key_set_changes_nothing(self):
        for body, part in ((b"<html>", "JSON"), (b'{"keys": {}}', "array"), (b"", "JSON"),
                           (json.dumps({"keys": [dict(self.new.jwk(), d="AAAA")]}).encode(), "private"),
                           (b" " * KEY_SET_MAX + b"{}", "more than %d bytes" % KEY_SET_MAX)):
            with self.subTest(part):
                self.server.body = key_set(self.old)
                self.start()
                self.server.body = body
                self.failing(part)

    def test_a_key_set_of_the_largest_size_is_taken(self):
        body = key_set(self.old)
        self.server.body = body + b" " * (KEY_SET_MAX - len(body))
        self.start()
        self.expect(self.old, "ok")

    def test_an_error_changes_nothing(self):
        self.start()
        self.server.status = 500
        self.failing("status 500")

    def test_a_redirection_is_not_followed(self):
        driver = self.start()
        other = KeyServer(*self.server_files)
        self.addCleanup(other.close)
        other.body = key_set(self.new)
        self.server.status, self.server.headers = 302, {"Location": other.url + "/keys"}
        driver.time_passes(REFRESH)
        self.expect(self.new, "unavailable")
        self.assertEqual(other.paths, [])
        self.assertIn("status 302", driver.facts()[2])
        self.assertEqual(set(self.server.paths), {"/keys?v=1"})

    def test_who_cannot_show_a_certificate_of_the_ca_is_not_believed(self):
        stranger = Authority(self.work, "stranger")
        driver = self.start(ca=stranger.cert)
        self.expect(self.old, "unavailable", "certificate")
        self.assertEqual((self.asked(), driver.facts()[1]), (0, -1))

    def test_a_certificate_for_another_name_is_not_believed(self):
        self.start(url=self.server.url.replace("localhost", "127.0.0.1"))
        self.expect(self.old, "unavailable", "127.0.0.1")
        self.assertEqual(self.asked(), 0)

    def test_what_a_server_says_of_itself_is_told_in_plain_characters(self):
        files = self.authority.issue("n\u00e4me", [], usage="serverAuth")
        self.server.close()
        self.server = KeyServer(*files)
        fault = self.start().facts()[2]
        self.assertIn("me'", fault)
        self.assertTrue(fault.isascii())

    def test_while_it_is_away_its_keys_are_good_for_some_hours_and_then_refusals_say_why(self):
        driver = self.start()
        self.server.status = 503
        driver.time_passes(AWAY)
        self.expect(self.old, "ok")
        self.expect(self.new, "unavailable", "status 503")
        driver.time_passes(1)
        said = driver.verify(self.token(self.old))
        self.assertRegex(" ".join(said), r"^unavailable %d .*status 503" % (AGAIN - 1))
        self.assertEqual(driver.facts()[:2], (0, -1))
        for _ in range(3):
            driver.time_passes(AGAIN)
        self.server.status = 200
        driver.time_passes(AGAIN)
        self.expect(self.old, "ok")
        log = driver.end()
        self.assertEqual((log.count("event=trust_keys_failed"), log.count("event=trust_keys_dropped")), (1, 1))

    def test_one_that_hangs_is_given_up_after_ten_seconds(self):
        self.server.hangs.set()
        begin = time.monotonic()
        driver = self.start()
        self.assertGreater(time.monotonic() - begin, 9)
        self.assertLess(time.monotonic() - begin, 15 + PATIENCE / 2)
        self.assertIn("imed out", driver.facts()[2])

    def test_one_that_hangs_keeps_nobody_from_ending(self):
        self.server.hangs.set()
        driver = self.start(first=False)
        self.assertTrue(self.server.hanging.wait(PATIENCE))
        begin = time.monotonic()
        driver.end()
        self.assertLess(time.monotonic() - begin, 8)

    def start_several(self, urls):
        entry = '  - {name: n%d, issuer: a, provider: "https://%d.test", keys_url: "%s", ca: "%s"}\n'
        write(self.config, CONFIG + "".join(entry % (i, i, url, self.authority.cert) for i, url in enumerate(urls)))
        self.driver = Driver(self.config)
        return self.driver

    def test_two_are_asked_at_once_and_no_more(self):
        self.server.hangs.set()
        driver = self.start_several([self.server.url] * 4)
        driver.ask("begin 0")
        wait_for(lambda: self.asked() >= 2, "two requests")
        driver.end()  # which takes until all that were begun have been given up
        self.assertEqual(self.asked(), 2)

    def test_those_that_hang_keep_the_others_waiting_no_longer_than_that(self):
        good = KeyServer(*self.server_files)
        self.addCleanup(good.close)
        good.body = key_set(self.new)
        self.server.hangs.set()
        self.start_several([self.server.url] * 3 + [good.url]).time_passes(0)
        self.assertEqual(self.driver.verify(self.new.sign(iss="https://3.test", sub="x", aud="https://mint.test/a")),
                         ["ok", "n3 x"])

    def test_those_that_hang_each_time_keep_nobody_from_its_turn(self):
        good = KeyServer(*self.server_files)
        self.addCleanup(good.close)
        self.server.hangs.set()
        driver = self.start_several([self.server.url] * 4 + [good.url])

        def goes_on(condition):
            wait_for(lambda: driver.ask("begin 0") and condition(), "others to be asked")

        goes_on(lambda: self.asked() == 2)
        self.server.hang_up.release(2)
        goes_on(lambda: self.asked() == 4)
        before = []  # how often the others had been asked when it was
        good.when_asked = lambda: before.append(self.asked())
        driver.ask("begin %d" % AGAIN)  # the first two are due again, and the last one still waits
        self.server.hang_up.release(2)
        goes_on(lambda: good.paths)
        self.assertLessEqual(before[0], 5)

    # ---- reload ----

    def test_a_reload_keeps_what_was_fetched_and_asks_anew(self):
        driver = self.start()
        driver.time_passes(100)
        self.server.status = 500
        self.assertEqual(driver.ask("reload"), "ok ")
        driver.time_passes(0)
        self.assertEqual(self.asked(), 2)
        self.expect(self.old, "ok")
        self.assertEqual(driver.facts()[1], 100)

    def test_a_reload_to_another_ca_or_url_forgets_what_was_fetched(self):
        for old, new in ((self.authority.cert, self.server_files[0]), ("v=1", "v=2")):
            with self.subTest(old):
                self.server.status = 200
                driver = self.start()
                self.server.status = 500
                edit(self.config, old, new)
                self.assertEqual(driver.ask("reload"), "ok ")
                driver.time_passes(0)
                self.expect(self.old, "unavailable")
                driver.end()

    def test_a_reload_while_one_hangs_is_no_matter(self):
        self.server.hangs.set()
        driver = self.start(first=False)
        self.assertTrue(self.server.hanging.wait(PATIENCE))
        self.server.hangs.clear()
        self.assertEqual(driver.ask("reload"), "ok ")
        driver.time_passes(0)
        self.expect(self.old, "ok")

    # ---- bundles ----

    def test_the_bundle_of_a_trust_domain_is_fetched_the_same_way(self):
        self.server.body = key_set(self.old, use="jwt-svid")
        entry = '  - {name: other, issuer: a, trust_domain: other.test, keys_url: "%s", ca: "%s"}\n'
        write(self.config, CONFIG + entry % (self.server.url, self.authority.cert))
        self.driver = Driver(self.config)
        self.driver.time_passes(0)
        token = self.old.sign(sub="spiffe://other.test/agent", aud="https://mint.test/a")
        self.assertEqual(self.driver.verify(token), ["ok", "other spiffe://other.test/agent"])
        self.server.body = key_set(self.old)
        self.driver.time_passes(REFRESH)
        self.assertEqual(self.driver.verify(token)[0], "refused")


class InTheService(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = tempfile.mkdtemp(prefix="hsmint-")
        cls.config = os.path.join(cls.work, "run", "hsmint.yaml")
        cls.service = start_dev(os.path.join(cls.work, "run"))
        cls.before = read(cls.config)
        authority = Authority(cls.work, "ca")
        cls.ca = authority.cert
        cls.server = KeyServer(*authority.issue("server", ["DNS:localhost"], usage="serverAuth"))
        cls.server.body = key_set(Key("k"))

    @classmethod
    def tearDownClass(cls):
        cls.service.stop()
        cls.server.close()
        shutil.rmtree(cls.work)

    def trust(self, entry):
        write(self.config, self.before +
              "\ntrust:\n  - {name: idp, issuer: demo, provider: \"https://idp.test\", %s}\n" % entry)

    def check(self):
        return run([HSMINT, "check", "--config", self.config], check=False)

    def reload(self):
        return self.service.command("reload", "--control", self.service.control, check=False)

    def told(self):
        return self.service.status()["trust"][0]

    def test_a_fault_in_trust_is_told_by_check_and_by_reload_with_file_and_line(self):
        self.trust("keys: idp.json, keys_url: https://idp.test")
        for told in (self.check(), self.reload()):
            self.assertNotEqual(told.returncode, 0)
            self.assertRegex(told.stderr, r"hsmint\.yaml:\d+: trust: one of keys and keys_url")

    def test_a_file_of_keys_that_is_none_is_told_by_check_and_by_reload_and_refuses_the_start(self):
        self.trust("keys: idp.json")
        path = os.path.join(self.work, "run", "idp.json")
        for content in (None, "{", '{"keys":[{"kty":"oct","kid":"k","k":"AAAA"}]}'):
            if content:
                write(path, content)
            start = run([HSMINT, "serve", "--config", self.config], check=False)
            for told in (self.check(), self.reload(), start):
                self.assertNotEqual(told.returncode, 0)
                self.assertIn("idp.json: ", told.stderr)
        write(path, key_set(Key("k")))
        self.assertEqual(self.check().stdout, "ok\n")
        self.assertEqual(self.reload().returncode, 0)
        self.assertEqual(self.service.status()["trust"], [])

    def test_status_and_metrics_say_how_old_the_keys_of_a_url_are(self):
        self.trust('keys_url: "%s/keys", ca: "%s"' % (self.server.url, self.ca))
        self.assertEqual(self.check().stdout, "ok\n")
        self.assertEqual(self.reload().returncode, 0)
        wait_for(lambda: self.told()["keys"], "keys")
        found = self.told()
        self.assertEqual((found["issuer"], found["name"], found["last_error"]), ("demo", "idp", ""))
        self.assertLess(found["age_s"], PATIENCE)
        self.assertIn("trusts idp", self.service.command("status", "--control", self.service.control).stdout)
        metrics = self.service.ask("GET", "/metrics").body.decode()
        self.assertRegex(metrics, r'hsmint_trust_keys_age_seconds\{issuer="demo",name="idp"\} \d+')

    def test_a_reload_loses_no_keys_and_a_provider_that_is_back_is_noticed(self):
        self.trust('keys_url: "%s/back", ca: "%s"' % (self.server.url, self.ca))
        self.assertEqual(self.reload().returncode, 0)
        wait_for(lambda: self.told()["keys"], "keys")
        self.server.status = 500
        self.assertEqual(self.reload().returncode, 0)
        wait_for(lambda: "status 500" in self.told()["last_error"], "a failure")
        self.assertEqual(self.told()["keys"], 1)
        self.server.status = 200
        wait_for(lambda: not self.told()["last_error"], "the next attempt", PATIENCE + AGAIN)

    def test_a_provider_that_hangs_keeps_the_service_neither_from_minting_nor_from_ending(self):
        directory = os.path.join(self.work, "hang")
        start_dev(directory).stop()
        config = os.path.join(directory, "hsmint.yaml")
        hanging = KeyServer(os.path.join(self.work, "server.crt"), os.path.join(self.work, "server.key"))
        self.addCleanup(hanging.close)
        hanging.hangs.set()
        write(config, read(config) + "".join(
            '%s  - {name: n%d, issuer: demo, provider: "https://%d.test", keys_url: "%s", ca: "%s"}\n' %
            ("" if i else "\ntrust:\n", i, i, hanging.url, self.ca) for i in range(4)))
        service = start_dev(directory)
        self.assertTrue(hanging.hanging.wait(PATIENCE))
        self.assertEqual(service.mint().status, 200)
        begin = time.monotonic()
        service.stop()
        self.assertLess(time.monotonic() - begin, 8)


if __name__ == "__main__":
    unittest.main()
