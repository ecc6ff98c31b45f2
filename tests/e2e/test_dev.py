# SPDX-License-Identifier: Apache-2.0
"""`hsmint dev`: what testers use in their own tests."""
import json
import os
import shutil
import socket
import stat
import subprocess
import tempfile
import threading
import unittest

from harness import AUDIENCE, HSMINT, PATIENCE, SUBJECT, Case, edit, leave_unsigned, read, run, start_dev, verify


class Dev(Case):
    def read(self, name):
        return read(os.path.join(self.work, "dev", name))

    def test_what_it_makes(self):
        service = self.dev()
        directory = os.path.join(self.work, "dev")
        for name in ("hsmint.yaml", "softhsm2.conf", "pin", "so.secret", "hsmint.sock", "control.sock", "state", "ledger",
                     *["tls/%s.%s" % (who, ending) for who in ("ca", "server", "client") for ending in ("crt", "key")]):
            self.assertTrue(os.path.exists(os.path.join(directory, name)), name)
        for name in ("pin", "so.secret", "tls/server.key", "tls/client.key", "tls/ca.key"):
            self.assertEqual(stat.S_IMODE(os.stat(os.path.join(directory, name)).st_mode), 0o600, name)
        self.assertEqual(stat.S_IMODE(os.stat(directory).st_mode), 0o700)
        self.assertNotEqual(self.read("pin"), self.read("so.secret"))
        self.assertEqual(set(service.ready), {"socket", "control", "url", "ca", "cert", "key", "jwks", "pid"})
        for name in ("socket", "control", "ca", "cert", "key"):
            self.assertTrue(os.path.isabs(service.ready[name]))
        self.assertEqual(service.pid, service.process.pid)

    def test_the_ready_line_is_enough_for_curl(self):
        ready = self.dev().ready
        result = run(["curl", "-sS", "--fail", "--cacert", ready["ca"], ready["jwks"]])
        self.assertEqual(len(json.loads(result.stdout)["keys"]), 3)
        result = run(["curl", "-sS", "--fail", "--cacert", ready["ca"], "--cert", ready["cert"], "--key", ready["key"],
                      ready["url"] + "/v1/mint/jwt", "--json",
                      json.dumps({"profile": "demo-access", "subject": SUBJECT, "audience": AUDIENCE})])
        self.assertIn("credential", json.loads(result.stdout))

    def test_a_second_run_reuses_what_the_first_made(self):
        first = self.dev()
        kid = first.mint().json["kid"]
        token = first.mint().json["credential"]
        port, pin = first.port, self.read("pin")
        first.stop()
        second = self.dev()
        self.assertEqual(second.mint().json["kid"], kid)
        self.assertEqual((second.port, self.read("pin")), (port, pin))
        verify(token, second.ask("GET", "/demo/.well-known/jwks.json").body, self.work)
        self.assertEqual(second.ask("GET", "/demo/spiffe/bundle.json").json["spiffe_sequence"], 1)

    def test_a_port_taken_meanwhile_is_replaced_everywhere(self):
        first = self.dev()
        port = first.port
        first.stop()
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", port))
            taken.listen()
            second = self.dev()
        self.assertNotEqual(second.port, port)
        discovery = second.ask("GET", "/demo/.well-known/openid-configuration").json
        self.assertEqual(discovery["issuer"], "https://localhost:%d/demo" % second.port)

    def test_a_port_that_is_asked_for_and_taken_fails(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            result = run([HSMINT, "dev", "--dir", self.work + "/dev", "--port", str(port)], check=False)
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn(str(port), result.stderr)

    def test_a_directory_in_use_is_refused(self):
        self.dev()
        result = run([HSMINT, "dev", "--dir", self.work + "/dev"], check=False)
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("in use", result.stderr)

    def test_a_directory_that_cannot_be_locked_says_why(self):
        os.makedirs(self.work + "/dev/lock", mode=0o700)
        os.chmod(self.work + "/dev", 0o700)
        result = run([HSMINT, "dev", "--dir", self.work + "/dev"], check=False)
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("/dev/lock: Is a directory", result.stderr)
        self.assertNotIn("in use", result.stderr)

    def test_a_descriptor_that_is_not_open_is_refused_before_anything_is_made(self):
        for descriptor in ("3", "7", "1023"):
            result = run([HSMINT, "dev", "--dir", self.work + "/dev", "--ready-fd", descriptor], check=False)
            self.assertEqual((result.returncode, result.stdout), (2, ""))
            self.assertIn("descriptor %s is not open" % descriptor, result.stderr)
            self.assertFalse(os.path.exists(self.work + "/dev"))

    def test_a_directory_that_others_can_write_is_refused(self):
        os.mkdir(self.work + "/open")
        os.chmod(self.work + "/open", 0o777)
        result = run([HSMINT, "dev", "--dir", self.work + "/open"], check=False)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(os.listdir(self.work + "/open"), [])

    def test_an_unfinished_first_run_is_made_anew(self):
        self.dev().stop()
        directory = os.path.join(self.work, "dev")
        os.remove(directory + "/hsmint.yaml")
        os.remove(directory + "/tls/server.key")
        self.assertEqual(self.dev().mint().status, 200)

    def test_a_directory_from_before_there_was_a_ledger_says_what_to_do(self):
        self.dev().stop()
        config = os.path.join(self.work, "dev", "hsmint.yaml")
        leave_unsigned(config)
        edit(config, "ledger: {origin: demo.test/ledger, directory: ledger}\n", "")
        result = run([HSMINT, "dev", "--dir", self.work + "/dev"], check=False)
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("remove the directory", result.stderr)
        shutil.rmtree(self.work + "/dev")
        self.assertEqual(self.dev().mint().status, 200)

    def test_a_path_too_long_for_a_socket_works(self):
        name = "/".join(["long" * 20] * 3)
        os.makedirs(os.path.join(self.work, os.path.dirname(name)))
        service = self.dev(name=name)
        self.assertLess(len(service.socket), 100)
        self.assertEqual(service.mint().status, 200)
        runtime = os.path.dirname(service.socket)
        self.assertEqual(stat.S_IMODE(os.stat(runtime).st_mode), 0o700)
        service.stop()
        self.assertFalse(os.path.exists(runtime))

    def long_name(self):
        name = "/".join(["long" * 20] * 3)
        os.makedirs(os.path.join(self.work, os.path.dirname(name)))
        return os.path.join(self.work, name)

    def test_a_long_path_uses_the_users_runtime_directory(self):
        directory, runtime = self.long_name(), self.work + "/runtime"
        os.mkdir(runtime, 0o700)
        service = start_dev(directory, env={**os.environ, "XDG_RUNTIME_DIR": runtime})
        self.addCleanup(service.stop)
        self.assertEqual(os.path.dirname(os.path.dirname(service.socket)), runtime)
        self.assertEqual(service.mint().status, 200)
        service.stop()
        self.assertEqual(os.listdir(runtime), [])

        without = {name: value for name, value in os.environ.items() if name != "XDG_RUNTIME_DIR"}
        again = start_dev(directory, env=without)  # as from cron, where there is none
        self.addCleanup(again.stop)
        self.assertEqual(again.socket, service.socket)
        self.assertEqual(again.mint().status, 200)

    def test_a_runtime_directory_that_is_no_use_is_left_alone(self):
        for runtime in ("relative", "/" + "x" * 90, ""):
            service = start_dev(self.long_name(), env={**os.environ, "XDG_RUNTIME_DIR": runtime})
            self.addCleanup(service.stop)
            self.assertTrue(service.socket.startswith("/tmp/hsmint-"))
            self.assertEqual(service.mint().status, 200)
            service.stop()
            shutil.rmtree(self.work + "/" + "long" * 20)

    def test_a_path_too_long_altogether_fails_first(self):
        parts = ["long" * 60] * 5
        deep = os.path.join(self.work, *parts)
        os.makedirs(os.path.dirname(deep))
        for directory in (deep, deep + "/x" * 4096, self.work + "/" + "x" * 300):
            result = run([HSMINT, "dev", "--dir", directory], check=False)
            self.assertEqual((result.returncode, result.stdout), (1, ""))
            self.assertIn("choose a shorter --dir", result.stderr)
        self.assertFalse(os.path.exists(deep))
        self.assertEqual(os.listdir(os.path.dirname(deep)), [])

    @unittest.skipIf(os.geteuid() != 0, "a network of its own needs root")
    def test_a_network_with_nothing_but_loopback_is_enough(self):
        reader, writer = os.pipe()
        script = 'ip link set lo up && exec "$@"'
        process = subprocess.Popen(["unshare", "-n", "sh", "-c", script, "sh", HSMINT, "dev", "--dir", self.work + "/dev",
                                    "--ready-fd", str(writer)], pass_fds=[writer], stderr=subprocess.DEVNULL)
        os.close(writer)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        with os.fdopen(reader) as line:
            ready = json.loads(line.readline())
        way = ["--url", ready["url"], "--cert", ready["cert"], "--key", ready["key"], "--ca", ready["ca"]]
        result = run(["nsenter", "-n", "-t", str(ready["pid"]), HSMINT, "mint", "jwt", *way, "--profile", "demo-access",
                      "--subject", SUBJECT, "--audience", AUDIENCE])
        self.assertEqual(result.stdout.count("."), 2)

    def test_twenty_started_at_once_all_mint(self):
        services, failures = [], []

        def start(i):
            try:
                services.append(start_dev(os.path.join(self.work, "dev%d" % i)))
            except AssertionError as error:
                failures.append(error)

        threads = [threading.Thread(target=start, args=(i,)) for i in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for service in services:
            self.addCleanup(service.stop)
        self.assertEqual(failures, [])
        self.assertEqual([service.mint().status for service in services], [200] * 20)

    def test_nothing_is_said_before_it_is_ready_and_the_answer_stands_alone(self):
        process = subprocess.Popen([HSMINT, "dev", "--dir", self.work + "/dev"], stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, text=True)
        ready = json.loads(process.stdout.readline())
        process.terminate()
        rest, _ = process.communicate(timeout=PATIENCE)
        self.assertEqual((rest, process.returncode), ("", 0))
        self.assertEqual(ready["pid"], process.pid)

    @unittest.skipIf(os.geteuid() != 0, "becoming another user needs root")
    def test_a_user_without_a_name_needs_no_home(self):
        directory = tempfile.mkdtemp(prefix="hsmint-")
        self.addCleanup(shutil.rmtree, directory, True)
        os.chown(directory, 54321, 54321)

        def become():
            os.setgroups([])
            os.setgid(54321)
            os.setuid(54321)

        service = start_dev(os.path.join(directory, "dev"), preexec_fn=become, env={"HOME": "/nonexistent", "PATH": os.environ["PATH"]})
        self.addCleanup(service.stop)
        connection = service.tls()
        self.assertEqual(service.mint(connection).status, 200)
        connection.close()


if __name__ == "__main__":
    unittest.main()
