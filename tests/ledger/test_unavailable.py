# SPDX-License-Identifier: Apache-2.0
"""A ledger that cannot be written: nothing is released, the state says why, and service resumes without a restart."""
import errno
import json
import os
import subprocess
import threading
import unittest

from service_case import BUILD, HSMINT, SANITIZED, Client, ServiceCase, edit, read_shard, run, wait_for

DISK = os.path.join(BUILD, "lib", "hsmint-disk.so")
CLIENTS = 8


class UnavailableCase(ServiceCase):
    def under_load(self, service, fail, mend):
        """Clients ask all the time, while the ledger fails and is mended; gives the credentials."""
        credentials, stop = [], threading.Event()
        clients = [Client(service.socket, credentials, stop) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        wait_for(lambda: len(credentials) > CLIENTS, "credentials")
        fail()
        ready = wait_for(lambda: (lambda a: a.status == 503 and a.json)(service.ask("GET", "/readyz")), "not ready")
        self.assertIn("the ledger cannot be written", ready["reason"])
        self.refused(service.mint(), 503, "ledger_unavailable")
        self.assertEqual(service.status()["ledger"]["state"], "unavailable")
        before = len(credentials)
        self.refused(service.mint(), 503, "ledger_unavailable")
        self.assertEqual(len(credentials), before, "a credential was released that is not recorded")
        mend()
        service.wait_ready()
        wait_for(lambda: len(credentials) > before + CLIENTS, "credentials again")
        stop.set()
        for client in clients:
            client.join()
        self.assertEqual({other for client in clients for other in client.others}, {(503, "ledger_unavailable")})
        return credentials

    def assert_all_is_well(self, service, credentials):
        """Every credential is recorded, every entry of this life that nobody got is voided, and the ledger verifies."""
        first = min(answer["ledger"]["index"] for answer in credentials)
        self.ask_for_vkey(service)
        service.stop()
        raw = read_shard(self.ledger)
        entries = [json.loads(entry) for entry in raw]
        got = {answer["ledger"]["index"] for answer in credentials}
        void = {entry["of"] for entry in entries if entry["type"] == "void"}
        struck = {index for index, entry in enumerate(entries) if entry["type"] == "credential" and index >= first}
        self.assertEqual(void & got, set())
        self.assertEqual(struck, got | {index for index in void if index >= first})
        self.assert_recorded(credentials, raw)
        run([HSMINT, "ledger", "verify", self.ledger, "--vkey", self.key])


class Faulty(UnavailableCase):
    @unittest.skipIf(SANITIZED, "a sanitizer has to be loaded before all else")
    def test_errors_of_the_disk(self):
        script = os.path.join(self.work, "disk")

        def fail_with(call, error):
            with open(script + ".new", "w") as file:
                file.write("%s %d\n" % (call, error))
            os.rename(script + ".new", script)
        # That no new file can be made is noticed by those of bundles: it goes on for some 16,000 entries.
        for call, error in (("fdatasync", errno.EIO), ("pwrite", errno.EIO), ("pwrite", errno.EROFS),
                            ("open", errno.EACCES)):
            with self.subTest(call=call, error=error):
                service = self.serve(env=dict(os.environ, LD_PRELOAD=DISK, HSMINT_TEST_DISK=script))
                credentials = self.under_load(service, lambda: fail_with(call, error), lambda: os.unlink(script))
                self.assert_all_is_well(service, credentials)


class Full(UnavailableCase):
    """A disk of its own, some MiB."""

    def setUp(self):
        super().setUp()
        self.disk = os.path.join(self.work, "disk")
        os.mkdir(self.disk)
        run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", self.disk])
        self.addCleanup(run, ["umount", "-l", self.disk])
        self.ledger = os.path.join(self.disk, "ledger")
        edit(self.config, "directory: ledger", "directory: " + self.ledger)

    def test_no_room(self):
        filler = os.path.join(self.disk, "filler")

        def fill():
            with open(filler, "wb", buffering=0) as file:
                try:
                    while file.write(bytes(4096)):
                        pass
                except OSError as error:
                    self.assertEqual(error.errno, errno.ENOSPC)
        service = self.serve()
        credentials = self.under_load(service, fill, lambda: os.unlink(filler))
        self.assert_all_is_well(service, credentials)

    def test_read_only_at_the_start(self):
        """It says what is wrong, and starts when it is mended; nothing was lost."""
        service = self.serve()
        credentials = [service.mint().json]
        service.stop()
        run(["mount", "-o", "remount,ro", self.disk])
        failed = subprocess.run([HSMINT, "serve", "--config", self.config], stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(failed.returncode, 1)
        self.assertIn("Read-only file system", failed.stderr.splitlines()[-1])
        run(["mount", "-o", "remount,rw", self.disk])
        service = self.serve()
        credentials.append(service.mint().json)
        self.ask_for_vkey(service)
        service.stop()
        self.assert_recorded(credentials, read_shard(self.ledger))


if __name__ == "__main__":
    unittest.main()
