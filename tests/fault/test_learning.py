# SPDX-License-Identifier: Apache-2.0
"""A key that is new in a reload: what becomes of it, and of the others, when the token fails while it is looked for."""
import os
import sys
import unittest

from fault_case import FaultCase, read, wait_for, write

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from token_admin import create_key  # noqa: E402

KEY = '\n  - {name: third, issuer: demo, token: soft, label: third, id: "33", use: access-token}'


class Learning(FaultCase):
    threads = 2

    def made(self, name="dev"):
        directory = super().made(name)
        create_key(directory, os.path.join(directory, "hsmint.yaml"), "third", "33")
        return directory

    def begin(self):
        super().begin()
        self.without = read(self.config)

    def reload(self, text):
        write(self.config, text)
        self.service.command("reload", "--control", self.service.control)

    def learn(self, script):
        self.script(script)
        self.reload(self.without.replace("\nprofiles:\n", KEY + "\nprofiles:\n"))

    def published(self):
        return len(self.service.ask("GET", "/demo/.well-known/jwks.json").json["keys"])

    def wait_learned(self):
        wait_for(lambda: self.published() == 3, "the key to be published")
        self.service.wait_ready()
        self.assert_minted()

    def forget(self):
        self.reload(self.without)
        wait_for(lambda: self.published() == 2, "the key to be gone")

    def test_what_another_session_mends_costs_neither_the_key_nor_the_process(self):
        self.begin()
        for function, action in (("C_SignInit", "0xb3"), ("C_Sign", "0x31"), ("C_FindObjectsInit", "0xb0"),
                                 ("C_GetAttributeValue", "0x2")):
            with self.subTest(function + " " + action):
                self.learn("%s %s 1" % (function, action))
                self.wait_learned()
                self.assertEqual((self.obeyed(function, action), self.token()["restarts"]), (1, 0))
                self.forget()

    def test_what_ends_the_process_costs_the_others_nothing_and_the_next_reload_brings_it(self):
        self.begin()
        for restarts, (function, action) in enumerate((("C_FindObjectsInit", "0x30"), ("C_GetAttributeValue", "exit"),
                                                       ("C_Sign", "flip"), ("C_SignInit", "logout")), 1):
            with self.subTest(function + " " + action):
                self.learn("%s %s 1" % (function, action))
                self.wait_token(lambda token, n=restarts: token["restarts"] == n and token["state"] == "ready",
                                "another process")
                self.assert_minted()
                self.learn("")
                self.wait_learned()
                self.assertEqual((self.obeyed(function, action), self.token()["restarts"]), (1, restarts))
                self.forget()


if __name__ == "__main__":
    unittest.main()
