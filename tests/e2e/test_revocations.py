# SPDX-License-Identifier: Apache-2.0
"""Ten thousand revocations at once: each is done and stays so, or is refused and told so, and others go on minting."""
import json
import os
import socket
import threading
import unittest
import urllib.parse

import frames
from harness import PATIENCE, SUBJECT, Case, start_dev
from test_tasks import control

PEERS, EACH = 20, 500  # no more operators than are let in at once
AT_ONCE = 8  # of a peer; who does not read its answers is not waited for
REFUSED = {"overload", "deadline"}  # "come again"


class Peer(threading.Thread):
    """Has several on their way at any time."""

    def __init__(self, path, number):
        super().__init__()
        self.path, self.subjects = path, ["spiffe://demo.test/gone/%d-%d" % (number, i) for i in range(EACH)]
        self.answers = {}

    def send(self, peer, number):
        request = {"command": "api", "method": "POST", "path": "/v1/revocations", "body": {"subject": self.subjects[number]}}
        frames.send(peer, frames.frame(frames.CONTROL_REQUEST, json.dumps(request).encode(), number + 1))

    def run(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
            peer.settimeout(3 * PATIENCE)
            peer.connect(self.path)
            for number in range(AT_ONCE):
                self.send(peer, number)
            for following in range(AT_ONCE, EACH + AT_ONCE):
                _, number, body = frames.split(frames.receive(peer)[0])
                self.answers[self.subjects[number - 1]] = json.loads(body)
                if following < EACH:
                    self.send(peer, following)


class Many(Case):
    def revoked(self):
        """All that are kept, page by page."""
        found, path = [], "/v1/revocations?limit=100"
        while path:
            status, page = control(self.service, "GET", path)
            self.assertEqual(status, 200, page)
            found += [one["subject"] for one in page["revocations"] if "subject" in one]
            path = page.get("next") and "/v1/revocations?limit=100&after=" + urllib.parse.quote(page["next"], safe="")
        return found

    def mint_meanwhile(self, until, seen):
        connection = self.service.unix()
        while not until.is_set():
            answer = self.service.mint(connection)
            seen.append(answer.json.get("code", answer.status))
        connection.close()

    def test_none_is_lost_and_others_go_on(self):
        self.service = self.dev()
        until, seen = threading.Event(), []
        meanwhile = threading.Thread(target=self.mint_meanwhile, args=(until, seen))
        meanwhile.start()
        peers = [Peer(self.service.control, number) for number in range(PEERS)]
        for peer in peers:
            peer.start()
        for peer in peers:
            peer.join()
        until.set()
        meanwhile.join()
        answers = {subject: answer for peer in peers for subject, answer in peer.answers.items()}
        self.assertEqual(len(answers), PEERS * EACH)
        done = {subject for subject, answer in answers.items() if answer.get("status") == 200}
        self.assertLessEqual({answer.get("code") for subject, answer in answers.items() if subject not in done}, REFUSED)
        self.assertGreater(len(done), PEERS * EACH // 2)
        self.assertGreater(seen.count(200), 10)
        self.assertLessEqual(set(seen), {200} | REFUSED)
        self.assertEqual(sorted(self.revoked()), sorted(done))
        self.service.kill_everything()
        self.service = start_dev(os.path.join(self.work, "dev"))
        self.addCleanup(self.service.stop)
        self.assertEqual(sorted(self.revoked()), sorted(done))
        self.assertEqual(self.service.mint(subject=SUBJECT).status, 200)


if __name__ == "__main__":
    unittest.main()
