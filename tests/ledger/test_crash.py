# SPDX-License-Identifier: Apache-2.0
"""hsmint killed at any moment: whatever a client received is in the ledger, and no checkpoint is ever contradicted."""
import os
import random
import time
import unittest

from service_case import HSMINT, SANITIZED, Client, ServiceCase, Tree, leaf_hash, read_checkpoint, read_shard, run

CLIENTS = 16
KILLS = 2000 if os.environ.get("HSMINT_LONG") else 10 if SANITIZED else 50


class Crash(ServiceCase):
    def life(self, moments, credentials):
        """One life of the service under load, ended at a random moment."""
        service = self.serve()
        self.ask_for_vkey(service)
        clients = [Client(service.socket, credentials) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        longest = 1.6 if moments.random() < 0.2 else 0.3  # some lives are long enough for a checkpoint
        time.sleep(moments.uniform(0, longest))  # the moment is the subject, nothing is waited for
        service.kill_everything()
        for client in clients:
            client.join()
        self.assertEqual([other for client in clients for other in client.others], [])

    def test_every_credential_that_was_received_is_recorded(self):
        seed = random.randrange(1 << 32)
        moments, credentials, checkpoints = random.Random(seed), [], {}
        for _ in range(KILLS):
            self.life(moments, credentials)
            origin, size, root = read_checkpoint(self.ledger)
            self.assertEqual(origin, "demo.test/ledger/1")
            self.assertEqual(checkpoints.setdefault(size, root), root, "seed %d" % seed)
            self.assertEqual(size, max(checkpoints), "seed %d" % seed)
        service = self.serve()
        service.stop()  # with a last checkpoint
        entries = read_shard(self.ledger)
        self.assertGreater(len(credentials), KILLS)
        self.assert_recorded(credentials, entries)
        self.assertEqual(len({answer["ledger"]["index"] for answer in credentials}), len(credentials))
        tree = Tree()
        for entry in entries:
            tree.add(leaf_hash(entry))
            if tree.size in checkpoints:
                self.assertEqual(tree.root(), checkpoints.pop(tree.size), "seed %d" % seed)
        self.assertEqual(checkpoints, {}, "checkpoints of more entries than there are")
        run([HSMINT, "ledger", "verify", self.ledger, "--vkey", self.key])


if __name__ == "__main__":
    unittest.main()
