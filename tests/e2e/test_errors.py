# SPDX-License-Identifier: Apache-2.0
"""docs/errors.md, row by row, against a running service."""
import os
import re
import shutil
import tempfile
import unittest

from harness import read
from provoke import Provoker

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
ROW = re.compile(r"^\| `(\w+)` \| (\d+) \| ([a-z-]+) \| (no|may) \| ", re.M)


class Rows(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = tempfile.mkdtemp(prefix="hsmint-")
        cls.provoker = Provoker(cls.work)
        cls.rows = ROW.findall(read(os.path.join(ROOT, "docs", "errors.md")))

    @classmethod
    def tearDownClass(cls):
        cls.provoker.stop()
        shutil.rmtree(cls.work, True)

    def signed(self):
        return self.provoker.service.status()["tokens"][0]["signed"]

    def signs_nothing(self, provoke, code):
        """False also when a checkpoint was signed meanwhile, which happens each second, and not each time."""
        before = self.signed()
        provoke(code)
        return self.signed() == before

    def check_members(self, problem, code, status, retry):
        self.assertEqual((problem["code"], problem["status"], problem["retry"]), (code, int(status), retry))
        self.assertEqual(problem["type"], "urn:hsmint:problem:" + code)
        self.assertEqual("retry_after" in problem, retry == "after")

    def check_http(self, code, status, retry):
        found = self.provoker.provoke(code)
        if code in Provoker.OAUTH:
            self.assertEqual((found.problem["code"], found.answer.status), (code, int(status)))
            self.assertEqual(found.answer.headers["Retry-After"] is not None, retry == "after")
            self.assertEqual(set(found.answer.json), {"error", "error_description"})
            return
        self.check_members(found.problem, code, status, retry)
        if found.problem is not found.answer.json and "replies" in found.answer.json:
            return
        self.assertEqual(found.answer.status, int(status))
        self.assertEqual(found.answer.headers["Retry-After"],
                         str(found.problem["retry_after"]) if retry == "after" else None)

    def test_each_row_is_what_the_service_says(self):
        self.assertGreater(len(self.rows), 45)
        for code, status, retry, _ in self.rows:
            with self.subTest(code):
                if code in Provoker.CONTROL:
                    self.check_members(self.provoker.over_control(code), code, status, retry)
                    continue
                self.check_http(code, status, retry)

    def test_what_leaves_no_record_signs_nothing(self):
        # Those before which something must have been minted are minted before the count.
        before_them = {"idempotency_mismatch", "replay_withdrawn", "rate_limited", "idempotency_full", "approval_used", "revoke_task_instead"}
        for code, _, _, record in self.rows:
            if record == "may":
                continue
            provoke = self.provoker.over_control if code in Provoker.CONTROL else self.provoker.provoke
            with self.subTest(code):
                if code in before_them:
                    provoke(code)
                self.assertTrue(any(self.signs_nothing(provoke, code) for _ in range(10)))

    def test_there_is_a_way_to_each(self):
        self.assertEqual({row[0] for row in self.rows} - self.provoker.codes() - set(Provoker.CONTROL), set())


if __name__ == "__main__":
    unittest.main()
