# SPDX-License-Identifier: Apache-2.0
"""What a module may use of the file system: the fault module stands for a vendor's that reads and writes where it likes."""
import os
import re
import unittest

from token_case import TokenCase, read, wait_for


class Confine(TokenCase):
    def confine(self, *paths):
        """These paths alone."""
        self.edit(re.search(r"    paths:.*\n(?:      - .*\n)+", read(self.config)).group(0),
                  "    paths:\n" + "".join("      - {path: %s, write: %s}\n" % path for path in paths))

    def setUp(self):
        super().setUp()
        self.elsewhere = os.path.join(self.work, "elsewhere")
        os.mkdir(self.elsewhere)
        self.count_and_script()
        self.edit("value: calls, path: true", "value: %s/calls" % self.elsewhere)

    def ends(self, words):
        service = self.serve(wait=False)
        wait_for(lambda: words in service.log(), words)
        self.assertFalse(service.status()["ready"])
        return service

    def test_what_is_not_listed_is_not_written(self):
        self.confine(("softhsm2.conf", "false"), ("tokens", "true"), ("script", "false"))
        self.ends("calls cannot be recorded")
        self.assertEqual(os.listdir(self.elsewhere), [])

    def test_what_is_listed_for_reading_is_not_written(self):
        self.confine(("softhsm2.conf", "false"), ("tokens", "true"), (self.elsewhere, "false"))
        self.ends("calls cannot be recorded")
        self.assertEqual(os.listdir(self.elsewhere), [])

    def test_what_mint_keeps_is_not_written(self):
        """The record of keys, which mint believes, and its locks."""
        state = os.path.join(self.directory, "state")
        self.edit("value: %s/calls" % self.elsewhere, "value: %s/calls" % state)
        self.confine(("softhsm2.conf", "false"), ("tokens", "true"))
        self.ends("calls cannot be recorded")
        self.assertNotIn("calls", os.listdir(state))

    def test_what_is_listed_is(self):
        self.confine(("softhsm2.conf", "false"), ("tokens", "true"), (self.elsewhere, "true"))
        service = self.serve()
        self.assertEqual(service.mint().status, 200)
        self.assertIn("C_Login", read(self.elsewhere + "/calls"))

    def test_what_is_not_listed_is_not_read(self):
        """SoftHSM does not begin without its tokens."""
        self.confine(("softhsm2.conf", "false"), (self.elsewhere, "true"))
        self.ends("C_Initialize: CKR_GENERAL_ERROR")

    def test_a_path_that_is_not_there_is_named(self):
        self.confine(("softhsm2.conf", "false"), ("tokens", "true"), (self.elsewhere, "true"), ("nowhere", "false"))
        service = self.ends("paths: %s/nowhere: No such file or directory" % self.directory)
        os.mkdir(os.path.join(self.directory, "nowhere"))
        service.wait_ready()

    def test_without_paths_it_is_not_confined(self):
        self.edit(re.search(r"    paths:.*\n(?:      - .*\n)+", read(self.config)).group(0), "")
        self.assertEqual(self.serve().mint().status, 200)
        self.assertIn("C_Login", read(self.elsewhere + "/calls"))


if __name__ == "__main__":
    unittest.main()
