# SPDX-License-Identifier: Apache-2.0
"""docs/controls.md names a test for each thing that it says is enforced; they are there."""
import os
import re
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NO_PART = "No part in it"  # and then there is nothing to show


def read(path):
    with open(os.path.join(ROOT, path)) as file:
        return file.read()


def has_test(path, name):
    text = read(path)
    if path.endswith(".c"):
        return re.search(r"(?m)^(Parameterized)?Test\(\w+, %s[,)]" % name, text)
    return re.search(r"(?m)^    def %s\(self" % name, text)


class Controls(unittest.TestCase):
    def rows(self):
        for line in read("docs/controls.md").splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if line.startswith("| ") and len(cells) == 3 and cells[2] != "shown by":
                yield cells

    def test_each_row_has_a_test_and_each_test_is_there(self):
        found = 0
        for risk, enforced, shown in self.rows():
            named = re.findall(r"`(tests/[\w/]+\.\w+)::(\w+)`", shown)
            self.assertTrue(named or enforced == NO_PART, (risk, enforced))
            self.assertEqual(len(named), shown.count("::"), shown)
            for path, name in named:
                found += 1
                self.assertTrue(os.path.exists(os.path.join(ROOT, path)) and has_test(path, name), (path, name))
        self.assertGreater(found, 40)

    def test_each_framework_is_whole(self):
        text = read("docs/controls.md")
        for name in ["| ASI%02d " % number for number in range(1, 11)] + ["| %d " % layer for layer in range(1, 8)] + [
                "1.2–1.4", "1.5", "1.6", "1.7", "2.1, 2.3", "3.2", "4.3", "6.1, 6.2"]:
            self.assertIn(name, text)


if __name__ == "__main__":
    unittest.main()
