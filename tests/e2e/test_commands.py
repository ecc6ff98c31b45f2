# SPDX-License-Identifier: Apache-2.0
"""The commands: what stands on standard output and what on standard error, and the exit status."""
import json
import os
import re
import subprocess
import unittest
from base64 import b64encode
from hashlib import sha256

from harness import AUDIENCE, HSMINT, PATIENCE, SUBJECT, SharedCase, edit, leave_unsigned, read, run, unbase64, verify

COMMANDS = ("serve", "check", "dev", "mint", "status", "reload", "key", "ledger", "agent", "task", "approve", "revoke", "policy",
            "token", "clock")
MINT = ["mint", "jwt", "--profile", "demo-access", "--subject", SUBJECT, "--audience", AUDIENCE]
JWT = r"[\w-]+\.[\w-]+\.[\w-]+\n"
NOTHING = r""
HINT = r"hsmint: .*\nTry 'hsmint %s --help'\.\n"
REFUSED = r"hsmint: %s: [^\n]+\n"


class Commands(SharedCase):
    def outcome(self, arguments, status, out, err, **environment):
        """Run hsmint; compare the exit status, and both outputs from beginning to end with patterns."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith("HSMINT_S") and key != "HSMINT_CONTROL"}
        result = run([HSMINT, *arguments], check=False, env={**clean, **environment})
        with self.subTest(arguments):
            self.assertEqual(result.returncode, status, result.stderr)
            self.assertRegex(result.stdout, r"(?s)\A(?:%s)\Z" % out)
            self.assertRegex(result.stderr, r"(?s)\A(?:%s)\Z" % err)
        return result

    def usage(self, *arguments, says, command=None, **environment):
        """Wrong usage: exit 2, nothing on standard output, the fault and where to find help on standard error."""
        result = self.outcome(arguments, 2, NOTHING, r".*" + HINT % (command or arguments[0]), **environment)
        self.assertIn(says, result.stderr)

    def test_help_is_an_answer(self):
        for option in ("--help", "-h"):
            self.outcome([option], 0, "Usage: hsmint COMMAND.*", NOTHING)
        for command in COMMANDS:
            result = self.outcome([command, "--help"], 0, "Usage: hsmint %s .*" % command, NOTHING)
            self.assertIn("\nExample:\n", result.stdout)

    def test_help_names_every_command(self):
        listed = re.findall(r"^  (\w+) ", self.outcome(["--help"], 0, ".*", NOTHING).stdout, re.M)
        self.assertEqual(listed[:len(COMMANDS)], list(COMMANDS))

    def test_the_version(self):
        self.outcome(["--version"], 0, r"hsmint \d+\.\d+\.\d+\n", NOTHING)

    def test_no_command_or_an_unknown_one(self):
        self.outcome([], 2, NOTHING, "Usage: hsmint COMMAND.*")
        self.outcome(["forge"], 2, NOTHING, "hsmint: there is no command 'forge'\nTry 'hsmint --help'.\n")
        self.outcome(["--verbose"], 2, NOTHING, "hsmint: there is no command '--verbose'\n.*")

    def test_unknown_options_and_words_too_many(self):
        for command in COMMANDS:
            self.usage(command, "--frobnicate", says="--frobnicate")
        for command in ("serve", "check", "dev", "status", "reload"):
            self.usage(command, "surplus", says="'surplus' is not wanted")

    def test_an_option_without_its_value(self):
        for command, option in (("serve", "--config"), ("check", "--config"), ("dev", "--dir"), ("mint", "--profile"),
                                ("status", "--control"), ("reload", "--control"), ("token", "--token")):
            self.usage(command, option, says=option)

    def test_what_is_missing_is_named(self):
        self.usage("serve", says="--config")
        self.usage("check", says="--config")
        self.usage("dev", says="--dir")
        self.usage("dev", "--dir", "", says="--dir")
        self.usage("status", says="--control PATH or HSMINT_CONTROL")
        self.usage("status", says="--control PATH or HSMINT_CONTROL", HSMINT_CONTROL="")
        self.usage("reload", says="--control PATH or HSMINT_CONTROL")
        self.usage("token", says="unlatch")
        self.usage("token", "unlatch", says="--token NAME")
        self.usage("token", "unlatch", "--token", "soft", says="--control PATH or HSMINT_CONTROL")
        self.usage("token", "init", says="--module", command="token init")
        self.usage("token", "init", "--label", "x" * 33, says="too long", command="token init")
        self.usage("token", "init", "--environment", "=value", says="=value", command="token init")
        self.usage("token", "init", "surplus", says="'surplus' is not wanted", command="token init")
        self.usage("clock", says="accept")
        self.usage("clock", "wind", says="accept")
        self.usage("clock", "accept", "accept", says="accept")
        self.usage("clock", "accept", says="--control PATH or HSMINT_CONTROL")
        self.usage("token", "smash", "--token", "soft", says="unlatch")

    def test_values_out_of_bounds(self):
        for port in ("-1", "65536", "x", "", "1x", " 1"):
            self.usage("dev", "--dir", self.work, "--port", port, says="--port")
        for descriptor in ("0", "-1", "x", "1024"):
            self.usage("dev", "--dir", self.work, "--ready-fd", descriptor, says="--ready-fd")

    def test_mint_prints_the_credential_alone(self):
        result = self.outcome([*MINT, "--socket", self.service.socket], 0, JWT, NOTHING)
        jwks = self.service.ask("GET", "/demo/.well-known/jwks.json").body
        self.assertEqual(verify(result.stdout.strip(), jwks, self.work)["sub"], SUBJECT)

    def test_mint_prints_the_whole_reply(self):
        result = self.outcome([*MINT, "--socket", self.service.socket, "--json"], 0, r"\{.*\}\n", NOTHING)
        self.assertEqual(json.loads(result.stdout)["profile"], "demo-access")

    def test_mint_with_every_member(self):
        result = self.outcome([*MINT, "--socket", self.service.socket, "--audience", "https://a.demo.test/mcp", "--scope",
                               "read write", "--lifetime", "60", "--claims", '{"environment":"test"}', "--context",
                               "session=4=2", "--context", "by=test", "--timeout", "5"], 0, JWT, NOTHING)
        payload = verify(result.stdout.strip(), self.service.ask("GET", "/demo/.well-known/jwks.json").body, self.work)
        self.assertEqual((payload["aud"], payload["scope"], payload["environment"], payload["exp"] - payload["iat"]),
                         ([AUDIENCE, "https://a.demo.test/mcp"], "read write", "test", 65))

    def test_mint_over_tls(self):
        ready = self.service.ready
        way = ["--url", ready["url"], "--cert", ready["cert"], "--key", ready["key"], "--ca", ready["ca"]]
        self.outcome([*MINT, *way], 0, JWT, NOTHING)
        self.outcome([*MINT, *way], 0, JWT, NOTHING, HSMINT_SOCKET="/nowhere")
        self.outcome([*MINT, *way[:-1], self.work + "/nothing"], 1, NOTHING, REFUSED % "client_tls")
        self.usage(*MINT, *way[:-2], says="--url needs")
        self.usage(*MINT, *way[2:], says="belong to --url")
        self.usage(*MINT, *way, "--socket", self.service.socket, says="either --socket or --url")

    def test_mint_refused(self):
        socket = ["--socket", self.service.socket]
        self.outcome([*MINT, *socket, "--scope", "admin"], 1, NOTHING, REFUSED % "scope_not_allowed" )
        self.outcome([*MINT, *socket, "--lifetime", "86400"], 1, NOTHING, REFUSED % r"lifetime\w+")
        self.outcome([*MINT, *socket, "--claims", "[]"], 1, NOTHING, REFUSED % r"\w+")
        self.outcome([*MINT, "--socket", "/nowhere"], 1, NOTHING, REFUSED % "client_unreachable")
        self.outcome([*MINT, "--socket", "/" * 200], 1, NOTHING, REFUSED % "client_argument")

    def test_mint_used_wrongly(self):
        socket = ["--socket", self.service.socket]
        self.usage(*MINT, says="--socket PATH, HSMINT_SOCKET, or --url URL")
        self.usage("mint", *socket, says="jwt")
        self.usage("mint", "paper", *socket, says="no kind 'paper'")
        self.usage("mint", "jwt", "jwt", *socket, says="one kind")
        self.usage("mint", "jwt", *socket, says="--profile, --subject and --audience")
        for option, values in {"--lifetime": ("0", "-1", "1.5", "x", "", "99999999999"), "--timeout": ("0", "3601", "x"),
                               "--claims": ("{", ""), "--context": ("x", "=x", "a" * 300 + "=x")}.items():
            for value in values:
                self.usage(*MINT, *socket, option, value, says=option)
        for option, value in (("--profile", "p"), ("--subject", "s"), ("--lifetime", "1"), ("--claims", "{}"),
                              ("--scope", "s"), ("--context", "a=b")):
            self.usage(*MINT, *socket, option, value, option, value, says=option)

    def test_the_environment_names_the_sockets(self):
        self.outcome(MINT, 0, JWT, NOTHING, HSMINT_SOCKET=self.service.socket)
        self.outcome([*MINT, "--socket", self.service.socket], 0, JWT, NOTHING, HSMINT_SOCKET="/nowhere")
        self.outcome(MINT, 1, NOTHING, REFUSED % "client_unreachable", HSMINT_SOCKET="/nowhere")
        self.outcome(["status"], 0, "hsmint .*", NOTHING, HSMINT_CONTROL=self.service.control)
        self.outcome(["status"], 1, NOTHING, REFUSED % "client_unreachable", HSMINT_CONTROL="/nowhere")
        self.outcome(["reload"], 0, NOTHING, NOTHING, HSMINT_CONTROL=self.service.control)
        self.outcome(["token", "unlatch", "--token", "soft"], 0, NOTHING, NOTHING, HSMINT_CONTROL=self.service.control)

    def test_status(self):
        control = ["--control", self.service.control]
        self.outcome(["status", *control], 0,
                     r"hsmint \d+\.\d+\.\d+  pid %d  up \d+h\d\dm\d\ds  ready\n"
                     r"minted \d+  refused \d+  failed \d+  pending 0\n"
                     r"gate \w+  pid \d+  restarts 0  [^\n]+\n"
                     r"ledger demo.test/ledger/1  ready  entries \d+  under a checkpoint \d+  anchor none[^\n]+\n"
                     r"token soft  \w+  pid \d+  restarts 0  threads 1  \d+/s\n"
                     r"  queued 0  outstanding \d  signed \d+  failed 0[^\n]*\n"
                     r"issuer demo  https://localhost:%d/demo  trust domain demo.test\n"
                     r"(  key demo-\w+  active  [\w-]+  on soft  kid [\w-]{43}\n){3}" % (self.service.pid, self.service.port), NOTHING)
        result = self.outcome(["status", *control, "--json"], 0, r"\{[^\n]*\}\n", NOTHING)
        self.assertEqual(json.loads(result.stdout)["pid"], self.service.pid)

    def test_reload(self):
        control = ["--control", self.service.control]
        self.outcome(["reload", *control], 0, NOTHING, NOTHING)
        self.outcome(["reload", *control, "--json"], 0, r'\{"ok":true\}\n', NOTHING)
        config = os.path.join(os.path.dirname(self.service.ready["ca"]), "..", "hsmint.yaml")
        edit(config, "    login: file\n", "    login: fiel\n")
        try:
            result = self.outcome(["reload", *control], 1, NOTHING, REFUSED % "reload_refused")
            self.assertIn("hsmint.yaml", result.stderr)
        finally:
            edit(config, "    login: fiel\n", "    login: file\n")
        self.outcome(["reload", *control], 0, NOTHING, NOTHING)

    def test_clock_accept(self):
        control = ["--control", self.service.control]
        self.outcome(["clock", "accept", *control], 0, NOTHING, NOTHING)
        self.outcome(["clock", "accept", *control, "--json"], 0, r'\{"ok":true\}\n', NOTHING)

    def test_token_unlatch(self):
        control = ["--control", self.service.control]
        self.outcome(["token", "unlatch", "--token", "soft", *control, "--json"], 0, r'\{"ok":true\}\n', NOTHING)
        self.outcome(["token", "unlatch", "--token", "nobody", *control], 1, NOTHING, REFUSED % "unknown_token")
        self.outcome(["token", "unlatch", "--token", "no\nbody", *control], 1, NOTHING, REFUSED % "unknown_token")
        self.outcome(["token", "unlatch", "--token", b"\xff", *control], 2, NOTHING, r".*UTF-8.*")

    def test_token_unlock(self):
        control = ["--control", self.service.control]
        self.outcome(["token", "unlock", "--token", "soft", *control], 1, NOTHING, REFUSED % "unlock_refused")
        self.outcome(["token", "unlock", "--token", "nobody", *control], 1, NOTHING, REFUSED % "unknown_token")
        self.outcome(["token", "unlock", *control], 2, NOTHING, r".*--token NAME.*")
        self.outcome(["token", "open", "--token", "soft", *control], 2, NOTHING, r".*unlatch, unlock.*")

    def test_ledger_vkey(self):
        """C2SP signed-note, as docs/ledger.md has it: worked out here from the public key that the evidence shows."""
        control = ["--control", self.service.control]
        [key] = [key for key in self.service.ask("GET", "/v1/keys").json["keys"] if key["use"] == "checkpoint"]
        spki = unbase64(key["spki"])
        vkey = "demo.test/ledger+%s+%s" % (sha256(spki).hexdigest()[:8], b64encode(b"\2" + spki).decode())
        self.outcome(["ledger", "vkey", *control], 0, re.escape(vkey) + "\n", NOTHING)
        result = self.outcome(["ledger", "vkey", *control, "--json"], 0, r"\[.*\]\n", NOTHING)
        self.assertEqual(json.loads(result.stdout), [{"version": 1, "state": "active", "vkey": vkey}])
        self.usage("ledger", "vkey", says="--control PATH or HSMINT_CONTROL", command="ledger vkey")
        self.usage("ledger", "vkey", "surplus", says="'surplus' is not wanted", command="ledger vkey")
        self.usage("ledger", says="vkey")
        self.usage("ledger", "burn", says="burn")
        self.outcome(["ledger", "vkey", "--help"], 0, "Usage: hsmint ledger vkey .*", NOTHING)

    def test_check(self):
        good = os.path.join(os.path.dirname(os.path.dirname(self.service.ready["ca"])), "hsmint.yaml")
        self.outcome(["check", "--config", good], 0, r"ok\n", r"hsmint: warning: ledger has no anchor[^\n]+\n")
        bare = os.path.join(self.work, "bare.yaml")
        for file in ("tls", "softhsm2.conf"):
            os.symlink(os.path.join(os.path.dirname(good), file), os.path.join(self.work, file))
        with open(bare, "w") as out:
            out.write(read(good).replace("key: demo-checkpoint}", "key: demo-checkpoint, anchor: {file: x}}"))
        self.outcome(["check", "--config", bare], 0, r"ok\n", NOTHING)
        with open(bare, "w") as out:
            out.write(read(good))
        leave_unsigned(bare)
        self.outcome(["check", "--config", bare], 0, r"ok\n", r"hsmint: warning: ledger has no key[^\n]+\n")
        bad = os.path.join(self.work, "bad.yaml")
        with open(bad, "w") as out:
            out.write(read(good) + "surprise: yes\n")
        line = read(bad).count("\n")
        result = self.outcome(["check", "--config", bad], 1, NOTHING, r"hsmint: [^\n]+\n")
        self.assertIn("bad.yaml:%d" % line, result.stderr)
        self.assertIn("surprise", result.stderr)
        self.outcome(["check", "--config", self.work + "/nothing"], 1, NOTHING, r"hsmint: [^\n]*/nothing[^\n]*\n")

    def test_an_answer_that_cannot_be_written_is_a_failure(self):
        control = ["--control", self.service.control]
        for arguments in (["--help"], ["--version"], *[[command, "--help"] for command in COMMANDS],
                          [*MINT, "--socket", self.service.socket], [*MINT, "--socket", self.service.socket, "--json"],
                          ["status", *control], ["status", *control, "--json"], ["reload", *control, "--json"]):
            with self.subTest(arguments), open("/dev/full", "w") as full:
                result = subprocess.run([HSMINT, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
                self.assertEqual(result.returncode, 1)
                self.assertRegex(result.stderr, r"\Ahsmint: standard output: [^\n]+\n\Z")


if __name__ == "__main__":
    unittest.main()
