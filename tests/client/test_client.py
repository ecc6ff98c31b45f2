# SPDX-License-Identifier: Apache-2.0
"""libhsmint, loaded as other languages load it: against a service, and against servers that are none."""
import ctypes
import json
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from ctypes import byref, c_size_t, c_void_p

from certificates import Authority
from false_server import REPLY, FalseServer, answer
from harness import AUDIENCE, SUBJECT, Case, SharedCase, read, verify
from library import (ERROR_NUMBERS, ERROR_TEXTS, FUNCTIONS, RECEIPT, REPLY_TEXTS, REPLY_TIMES, Client, Failure, control_call, lib,
                     members_of, request_of, result_of, text_of)

HEADER = os.path.join(os.path.dirname(__file__), "..", "..", "include", "hsmint", "client.h")
CONTROL_REPLY = 97  # docs/frames.md
COMMAND_MAX = 1024 * 1024 + 4096
MEMBERS = {"profile": "demo-access", "subject": SUBJECT, "audience": [AUDIENCE]}


class Failing:
    """Asking for a failure by its code."""

    def fails(self, code, function, *arguments, **more):
        with self.assertRaises(Failure) as caught:
            function(*arguments, **more)
        failure = caught.exception
        self.assertEqual(failure.code, code, failure)
        self.assertTrue(failure.message.startswith(code + ": " + failure.title), failure)
        self.assertNotIn("\n", failure.message)
        return failure


class Header(unittest.TestCase):
    def test_every_function_of_the_header_is_tried_here_and_no_other_is_exported(self):
        declared = set(re.findall(r"HSMINT_API[^;]*?\bhsmint_(\w+)\(", read(HEADER)))
        self.assertEqual(declared, set(FUNCTIONS))
        symbols = subprocess.run(["nm", "-D", "--defined-only", lib._name], stdout=subprocess.PIPE, text=True, check=True)
        exported = {line.split()[2].split("@")[0] for line in symbols.stdout.splitlines() if " T " in line}
        self.assertEqual(exported, {"hsmint_" + name for name in FUNCTIONS})

    def test_the_version_is_the_projects(self):
        project = read(os.path.join(os.path.dirname(__file__), "..", "..", "CMakeLists.txt"))
        self.assertIn("VERSION %s " % lib.hsmint_version().decode(), project)

    def test_every_accessor_and_every_release_takes_null(self):
        self.assertEqual(members_of("reply", None, REPLY_TEXTS + REPLY_TIMES),
                         {**dict.fromkeys(REPLY_TEXTS, ""), **dict.fromkeys(REPLY_TIMES, 0)})
        self.assertEqual(members_of("reply", None, RECEIPT), {"ledger_origin": "", "ledger_index": -1})
        self.assertEqual(members_of("error", None, ERROR_TEXTS + ERROR_NUMBERS),
                         {**dict.fromkeys(ERROR_TEXTS, ""), **dict.fromkeys(ERROR_NUMBERS, 0)})
        for what in ("client", "request", "reply", "text", "error"):
            getattr(lib, "hsmint_%s_free" % what)(None)
        lib.hsmint_client_set_timeout(None, 1)


class Arguments(Case, Failing):
    """What is not usable is refused before anything is sent."""

    def unix_client(self):
        client = Client.unix(self.work + "/nobody")
        self.addCleanup(client.__exit__)
        return client

    def test_clients(self):
        files = [b"c", b"k", b"a"]
        for path in (None, b"", b"/" + b"x" * 108):
            self.fails("client_argument", result_of, lib.hsmint_client_unix, path)
        for url in (None, b"", b"http://localhost:1", b"https://", b"https:///", b"https://localhost:1/path",
                    b"https://localhost:1?q", b"https://user@localhost:1", b"localhost:1"):
            self.fails("client_argument", result_of, lib.hsmint_client_https, url, *files)
        for missing in range(3):
            given = [None if i == missing else files[i] for i in range(3)]
            self.fails("client_argument", result_of, lib.hsmint_client_https, b"https://localhost:1", *given)

    def test_kinds(self):
        request = request_of(MEMBERS)
        self.addCleanup(lib.hsmint_request_free, request)
        for kind in (None, b"", b"JWT", b"../x", b"jwt?x", b"j" * 64):
            self.fails("client_argument", result_of, lib.hsmint_mint, self.unix_client().pointer, kind, request)
        self.fails("client_argument", result_of, lib.hsmint_mint, None, b"jwt", request)
        self.fails("client_argument", result_of, lib.hsmint_mint, self.unix_client().pointer, b"jwt", None)

    def test_paths(self):
        client = self.unix_client().pointer
        for path in (None, b"", b"status", b"/" + b"x" * 4096, b"/a\r\nX-Forged: 1", b"/a b\n"):
            self.fails("client_argument", result_of, lambda *rest, p=path: lib.hsmint_get(client, p, None, *rest))
        self.fails("client_argument", result_of, lambda *rest: lib.hsmint_get(None, b"/healthz", None, *rest))

    def test_control_calls(self):
        path = (self.work + "/nobody").encode()
        for arguments in ((None, b"{}", 1), (b"", b"{}", 1), (b"x" * 108, b"{}", 1), (path, None, 1), (path, b"", 1), (path, b" " * (COMMAND_MAX + 1), 1),
                          (path, b"{}", 0), (path, b"{}", -1)):
            self.fails("client_argument", result_of, lib.hsmint_control_call, *arguments)

    def test_a_failure_without_a_place_for_the_error_is_silent(self):
        self.assertIsNone(lib.hsmint_client_unix(None, None))
        self.assertIsNone(lib.hsmint_mint(None, None, None, None))
        self.assertIsNone(lib.hsmint_get(None, None, None, None))
        self.assertIsNone(lib.hsmint_signed_call(None, None, None, None, None))
        self.assertIsNone(lib.hsmint_control_call(None, None, 0, None))
        self.assertIsNone(lib.hsmint_control_call_fd(None, None, 0, 0, None))
        self.assertIsNone(lib.hsmint_mint(self.unix_client().pointer, b"jwt", None, None))

    def test_a_member_that_cannot_be_taken_spoils_the_request(self):
        text, number, parse = lib.hsmint_request_text, lib.hsmint_request_number, lib.hsmint_request_json
        add, pair = lib.hsmint_request_add, lib.hsmint_request_pair
        spoilers = {
            "text set twice": [(text, b"m", b"a"), (text, b"m", b"b")],
            "number set twice": [(number, b"m", 1), (number, b"m", 1)],
            "JSON after a number": [(number, b"m", 1), (parse, b"m", b"{}")],
            "text after an appended one": [(add, b"m", b"a"), (text, b"m", b"b")],
            "appended to a text": [(text, b"m", b"a"), (add, b"m", b"b")],
            "pair in an array": [(add, b"m", b"a"), (pair, b"m", b"n", b"v")],
            "appended to an object": [(pair, b"m", b"n", b"v"), (add, b"m", b"a")],
            "pair set twice": [(pair, b"m", b"n", b"v"), (pair, b"m", b"n", b"w")],
            "text not UTF-8": [(text, b"m", b"\xff")],
            "appended not UTF-8": [(add, b"m", b"\xff")],
            "pair not UTF-8": [(pair, b"m", b"n", b"\xff")],
            "pair's name not UTF-8": [(pair, b"m", b"\xff", b"v")],
            "no text": [(text, b"m", None)],
            "no text to append": [(add, b"m", None)],
            "no name of a pair": [(pair, b"m", None, b"v")],
            "no value of a pair": [(pair, b"m", b"n", None)],
            "no JSON": [(parse, b"m", None)],
            "not JSON": [(parse, b"m", b"{")],
            "JSON with a member twice": [(parse, b"m", b'{"a":1,"a":2}')],
            "JSON and more": [(parse, b"m", b"{} {}")],
        }
        for name, calls in spoilers.items():
            with self.subTest(name):
                request = lib.hsmint_request_new()
                results = [call[0](request, *call[1:]) for call in calls]
                self.assertEqual(results, [0] * (len(calls) - 1) + [-1])
                self.assertEqual(text(request, b"good", b"text"), 0)
                failure = self.fails("client_argument", self.unix_client().mint_request, request)
                self.assertIn('"m"', failure.accepts)
                lib.hsmint_request_free(request)

    def test_a_member_without_a_usable_name(self):
        for member in (None, b"\xff"):
            for function, values in ((lib.hsmint_request_text, [b"t"]), (lib.hsmint_request_number, [1]),
                                     (lib.hsmint_request_json, [b"{}"]), (lib.hsmint_request_add, [b"t"]),
                                     (lib.hsmint_request_pair, [b"n", b"v"])):
                request = lib.hsmint_request_new()
                self.assertEqual(function(request, member, *values), -1)
                self.fails("client_argument", self.unix_client().mint_request, request)
                lib.hsmint_request_free(request)
                self.assertEqual(function(None, b"m", *values), -1)


class AgainstTheService(SharedCase, Failing):
    def unix(self):
        return Client.unix(self.service.socket)

    def https(self, **files):
        ready = {**self.service.ready, **files}
        return Client.https(ready["url"], ready["cert"], ready["key"], ready["ca"])

    def test_a_credential_over_both_ways(self):
        for client in (self.unix(), self.https()):
            with client:
                reply = client.mint(**MEMBERS, scope="read write", lifetime=60, context={"session": "1", "by": "test"})
                payload = verify(reply["credential"], client.get("/demo/.well-known/jwks.json"), self.work)
                self.assertEqual((payload["sub"], payload["scope"]), (SUBJECT, "read write"))
                self.assertEqual(reply["expires_at"] - reply["issued_at"], 60)
                whole = json.loads(reply.pop("json"))
                self.assertEqual(reply.pop("replayed"), 0)
                receipt = {name: reply.pop("ledger_" + name) for name in ("origin", "index")}
                self.assertEqual(receipt, whole["ledger"])
                self.assertEqual({name: whole[name] for name in reply}, reply)
                self.assertEqual((reply["kind"], reply["profile"]), ("at+jwt", "demo-access"))

    def test_a_request_may_be_used_again(self):
        request = request_of(MEMBERS)
        with self.unix() as client:
            self.assertNotEqual(client.mint_request(request)["id"], client.mint_request(request)["id"])
        lib.hsmint_request_free(request)

    def test_claims_as_json(self):
        request = request_of(MEMBERS)
        self.assertEqual(lib.hsmint_request_json(request, b"claims", b'{"environment":"staging"}'), 0)
        with self.unix() as client:
            self.assertIn("credential", client.mint_request(request))
        lib.hsmint_request_free(request)

    def test_a_refusal_tells_all_that_the_service_said(self):
        for client in (self.unix(), self.https()):
            with client:
                failure = self.fails("scope_not_allowed", client.mint, **MEMBERS, scope="admin")
                self.assertEqual((failure.status, failure.field, failure.retry, failure.retry_after),
                                 (403, "scope", "no", 0))
                self.assertEqual(failure.message, "scope_not_allowed: %s (scope: %s)" % (failure.title, failure.accepts))
                self.assertIn("credential", client.mint(**MEMBERS))

    def test_an_unknown_kind_and_an_unknown_document(self):
        with self.unix() as client:
            self.assertEqual(self.fails("not_found", client.mint, kind="paper", **MEMBERS).status, 404)
            self.assertEqual(self.fails("not_found", client.get, "/nothing").status, 404)

    def test_a_document_without_asking_for_its_length(self):
        with self.https() as client:
            text = result_of(lambda *rest: lib.hsmint_get(client.pointer, b"/demo/.well-known/jwks.json", None, *rest))
            self.assertEqual(len(json.loads(text_of(text))["keys"]), 3)

    def test_what_stands_in_the_error_before_a_success_stays(self):
        before = c_void_p(1)
        client = lib.hsmint_client_unix(self.service.socket.encode(), byref(before))
        text = lib.hsmint_get(client, b"/healthz", None, byref(before))
        self.assertTrue(client and text)
        self.assertEqual(before.value, 1)
        lib.hsmint_text_free(text)
        lib.hsmint_client_free(client)

    def test_clients_in_threads(self):
        ids, failures = [], []

        def work(make):
            try:
                with make() as client:
                    ids.extend(client.mint(**MEMBERS)["id"] for _ in range(20))
            except Failure as failure:
                failures.append(failure)

        threads = [threading.Thread(target=work, args=(make,)) for make in (self.unix, self.https) * 4]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual((failures, len(set(ids))), ([], 160))

    def test_the_users_environment_does_not_steer_it(self):
        for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            self.addCleanup(os.environ.pop, name, None)
            os.environ[name] = "http://127.0.0.1:1"
        for client in (self.unix(), self.https()):
            with client:
                self.assertIn("credential", client.mint(**MEMBERS))

    def test_a_foreign_ca_or_a_bad_file_is_no_connection(self):
        foreign = Authority(self.work, "foreign")
        nothing = self.work + "/nothing"
        with open(self.work + "/text", "w") as out:
            out.write("not PEM\n")
        for files in ({"ca": foreign.cert}, {"ca": nothing}, {"ca": self.work + "/text"}, {"cert": nothing},
                      {"cert": self.work + "/text"}, {"key": nothing}, {"key": self.work + "/text"},
                      {"key": foreign.key}):
            with self.subTest(files), self.https(**files) as client:
                failure = self.fails("client_tls", client.mint, **MEMBERS)
                self.assertEqual((failure.status, failure.retry), (0, "no"))

    def test_an_encrypted_key_is_refused_without_asking_for_its_password(self):
        key = self.work + "/encrypted.key"
        subprocess.run(["openssl", "pkey", "-in", self.service.ready["key"], "-aes256", "-passout", "pass:x", "-out", key],
                       check=True)
        with self.https(key=key) as client:
            self.fails("client_tls", client.mint, **MEMBERS)

    def test_a_certificate_of_a_foreign_ca_gets_no_credential(self):
        cert, key = Authority(self.work, "foreign").issue("client", ["URI:spiffe://demo.test/client"])
        with self.https(cert=cert, key=key) as client:
            self.fails("certificate_refused", client.mint, **MEMBERS)

    def test_the_control_socket(self):
        status = json.loads(control_call(self.service.control, '{"command":"status"}'))
        self.assertEqual((status["ok"], status["pid"]), (True, self.service.pid))
        failure = self.fails("unknown_token", control_call, self.service.control,
                             '{"command":"token-unlatch","token":"nobody"}')
        self.assertEqual(failure.retry, "no")
        self.fails("malformed_json", control_call, self.service.control, "not JSON")
        self.fails("client_unreachable", control_call, self.service.socket, "{}")

    def test_a_descriptor_goes_with_a_command(self):
        ours, theirs = os.pipe()
        command = (self.service.control.encode(), b'{"command":"status"}', theirs, 2000)
        status = json.loads(text_of(result_of(lib.hsmint_control_call_fd, *command)))
        self.assertEqual((status["ok"], os.write(theirs, b"x")), (True, 1), "it stays the caller's")
        os.close(theirs)
        os.close(ours)


class AgainstFalseServers(Case, Failing):
    """One socket, one script for each connection that is made to it."""

    def server(self, *scripts, kind=socket.SOCK_STREAM):
        self.path = os.path.join(self.work, "socket")
        server = FalseServer.unix(self.path, *scripts, kind=kind)
        self.addCleanup(server.close)
        return server

    def client(self, timeout_ms=5000):
        client = Client.unix(self.path, timeout_ms)
        self.addCleanup(client.__exit__)
        return client

    def after(self, code, *steps, timeout_ms=5000, status=0):
        """The failure that one answer makes."""
        os.path.exists(os.path.join(self.work, "socket")) and os.remove(self.path)
        self.server(["request", *steps])
        failure = self.fails(code, self.client(timeout_ms).mint, **MEMBERS)
        self.assertEqual(failure.status, status)
        return failure

    def test_nobody_there(self):
        self.path = self.work + "/nobody"
        failure = self.fails("client_unreachable", self.client().mint, **MEMBERS)
        self.assertEqual((failure.retry, failure.status), ("after", 0))
        self.assertIn("%s: No such file" % self.path, failure.accepts)
        open(self.path, "w").close()
        self.assertIn("refused", self.fails("client_unreachable", self.client().mint, **MEMBERS).accepts)
        self.fails("client_unreachable", control_call, self.path, "{}")

    def test_nobody_at_the_port(self):
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            pem = self.work + "/ca.crt"
            cert, key = (ca := Authority(self.work, "ca")).cert, ca.key
            with Client.https("https://localhost:%d" % bound.getsockname()[1], cert, key, pem) as client:
                self.fails("client_unreachable", client.mint, **MEMBERS)

    def test_a_mute_server(self):
        self.assertEqual(self.after("client_timeout", "mute", timeout_ms=200).retry, "same-key")

    def test_a_server_that_stops_in_the_middle(self):
        self.after("client_timeout", answer()[:-5], "mute", timeout_ms=200)

    def test_a_server_that_cuts_off(self):
        whole = answer()
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nabc"
        for sent in (b"", b"HTT", whole[:20], whole[:-1], chunked):
            with self.subTest(sent):
                self.assertEqual(self.after("client_lost", *([sent] if sent else [])).retry, "same-key")

    def test_an_answer_too_long(self):
        long = b"x" * (2 << 20)
        for sent in (answer(body=long), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n200000\r\n" + long + b"\r\n0\r\n\r\n",
                     b"HTTP/1.1 200 OK\r\n\r\n" + long, answer(b"500 Oops", long)):
            self.assertIn("1048576", self.after("client_reply", sent).accepts)

    def test_what_a_server_in_front_says(self):
        page = b"<html><h1>Bad Gateway</h1></html>"
        failure = self.after("client_reply", answer(b"502 Bad Gateway", page), status=502)
        self.assertEqual((failure.accepts, failure.retry), ("HTTP status 502", "no"))
        failure = self.after("client_reply", answer(b"503 No", page, b"Retry-After: 7\r\n"), status=503)
        self.assertEqual((failure.retry, failure.retry_after), ("after", 7))
        self.after("client_reply", answer(b"302 Found", b"", b"Location: http://localhost/elsewhere\r\n"), status=302)
        self.after("client_reply", answer(b"204 No Content", b""), status=204)

    def test_a_problem_as_the_service_makes_it(self):
        problem = b'{"code":"overload","title":"Too \x7fmuch\\n","status":503,"retry":"after","field":"\\u001b[2J"}'
        failure = self.after("overload", answer(b"503 No", problem, b"Retry-After: 2\r\n"), status=503)
        self.assertEqual((failure.title, failure.field, failure.retry_after), ("Too ?much?", "?[2J", 2))

    def test_what_is_no_problem(self):
        for body in (b"", b"[]", b"null", b'{"code":"x"}', b'{"code":1,"title":"t"}', b'{"code":"","title":"t"}',
                     b'{"code":"x","title":"t","status":"400"}', b'{"code":"x","code":"y","title":"t"}', b"\xff" * 9):
            with self.subTest(body):
                self.after("client_reply", answer(b"400 Bad Request", body), status=400)

    def test_a_long_text_is_cut_between_characters(self):
        long = "\u20ac" * 1000
        problem = json.dumps({"code": "c" * 200, "title": long, "accepts": long, "field": long}, ensure_ascii=False).encode()
        self.path = self.work + "/socket"
        self.server(["request", answer(b"400 Bad Request", problem)])
        with self.assertRaises(Failure) as caught:
            self.client().mint(**MEMBERS)  # reading them would fail, were they not UTF-8
        self.assertEqual(set(caught.exception.title), {"\u20ac"})

    def test_an_answer_that_is_no_reply(self):
        members = json.loads(REPLY)
        bodies = [b"", b"null", b"[]", b"{", b"\x00", b"\xff", REPLY + b"x", REPLY[:-1] + b',"kid":"again"}']
        bodies += [json.dumps({key: value for key, value in members.items() if key != name}).encode() for name in members]
        bodies += [json.dumps({**members, name: None}).encode() for name in members]
        bodies += [json.dumps({**members, "ledger": value}).encode()
                   for value in (None, "o", {}, {"origin": "o"}, {"index": 1}, {"origin": 1, "index": 1}, {"origin": "o", "index": "1"})]
        bodies += [json.dumps({**members, "expires_at": "2"}).encode(), REPLY.replace(b'"a.b.c"', b'"a\\u0000c"')]
        for body in bodies:
            with self.subTest(body):
                self.after("client_reply", answer(body=body))

    def test_what_others_have_to_approve_first(self):
        asked = b'{"approval":{"id":"Kc","hash":"nj0","expires_at":1760000000}}'
        failure = self.after("client_approval", answer(b"202 Accepted", asked), status=202)
        self.assertEqual((failure.approval, failure.approval_hash, failure.approval_expires_at), ("Kc", "nj0", 1760000000))
        self.assertEqual((failure.field, failure.accepts, failure.retry), ("approval", "Kc", "no"))
        self.assertEqual(self.after("client_reply", answer()[:-1] + b"]").approval, "")

    def test_a_success_that_is_neither_reply_nor_approval(self):
        for status, body in ((b"202 Accepted", REPLY), (b"202 Accepted", b'{"approval":{"id":"Kc","hash":"x"}}'),
                             (b"202 Accepted", b'{"approval":{"id":1,"hash":"x","expires_at":1}}'), (b"202 Accepted", b"{"),
                             (b"201 Created", REPLY), (b"204 No Content", b"")):
            with self.subTest(status, body=body):
                self.after("client_reply", answer(status, body), status=int(status[:3]))
        os.remove(self.path)
        self.server(["request", answer(b"201 Created", b"document")])
        self.fails("client_reply", self.client().get, "/healthz")

    def test_members_that_come_later_are_let_pass(self):
        self.server(["request", answer(body=REPLY[:-1] + b',"later":{"origin":"o","index":1}}')])
        self.assertIn("later", self.client().mint(**MEMBERS)["json"])

    def test_the_receipt_says_where_the_credential_is_recorded(self):
        self.server(["request", answer(body=REPLY[:-1] + b',"ledger":{"index":9007199254740991,"later":1,"origin":"o/1"}}')],
                    ["request", answer()])
        client = self.client()
        reply = client.mint(**MEMBERS)
        self.assertEqual((reply["ledger_origin"], reply["ledger_index"]), ("o/1", 9007199254740991))
        reply = client.mint(**MEMBERS)
        self.assertEqual((reply["ledger_origin"], reply["ledger_index"]), ("", -1))

    def test_what_is_not_http(self):
        for sent in (b"garbage\r\n\r\n", b"HTTP/9.9 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
                     b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00",
                     b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"):
            with self.subTest(sent[:60]):
                self.after("client_reply", sent)

    def test_a_stream_that_breaks_counts_as_a_connection_that_does(self):
        for sent in (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                     b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200000 + b"\r\n"):
            with self.subTest(sent[:60]):
                self.after("client_lost", sent)

    def test_an_interim_answer_is_not_the_answer(self):
        interim = b"HTTP/1.1 103 Early Hints\r\n\r\n"
        self.server(["request", interim + answer()], ["request", interim], ["request", interim + answer()[:20]])
        self.assertEqual(self.client().mint(**MEMBERS)["credential"], "a.b.c")
        self.fails("client_lost", self.client().mint, **MEMBERS)
        self.fails("client_lost", self.client().mint, **MEMBERS)

    def test_a_name_that_is_not_utf_8_is_shown_as_text(self):
        path = self.work.encode() + b"/\x1b[2J\xc2\x85\xff"
        failure = self.fails("client_unreachable", result_of, lib.hsmint_control_call, path, b"{}", 100)
        self.assertIn("/?[2J???: No such file", failure.accepts)
        request = lib.hsmint_request_new()
        lib.hsmint_request_text(request, b"n\xff\xe2\x82\xac\xed\xa0\x80\xe2\x82", b"text")
        self.path = self.work + "/nobody"
        self.assertIn('"n?\u20ac?????"', self.fails("client_argument", self.client().mint_request, request).accepts)
        lib.hsmint_request_free(request)

    def test_a_connection_is_kept(self):
        server = self.server(["request", answer()] * 3 + ["request", answer(body=b"document")])
        client = self.client()
        for _ in range(3):
            self.assertEqual(client.mint(**MEMBERS)["credential"], "a.b.c")
        self.assertEqual(client.get("/healthz"), b"document")
        self.assertEqual(server.connections, 1)
        self.assertEqual([request.split(b" ")[0] for request in server.requests], [b"POST"] * 3 + [b"GET"])

    def test_a_connection_is_kept_over_a_refusal(self):
        server = self.server(["request", answer(b"403 Forbidden", b'{"code":"c","title":"t"}'), "request", answer()])
        client = self.client()
        self.fails("c", client.mint, **MEMBERS)
        client.mint(**MEMBERS)
        self.assertEqual(server.connections, 1)

    def test_a_kept_connection_that_ended_is_replaced(self):
        server = self.server(["request", answer()], ["request", answer()])
        client = self.client()
        client.mint(**MEMBERS)
        client.mint(**MEMBERS)
        self.assertEqual((server.connections, len(server.requests)), (2, 2))

    def test_a_kept_connection_that_ends_under_a_request_has_it_sent_once_more(self):
        server = self.server(["request", answer(), "request"], ["request", answer()])
        client = self.client()
        client.mint(**MEMBERS)
        client.mint(**MEMBERS)
        self.assertEqual(server.connections, 2)
        self.assertEqual(*self.keys(server)[1:])

    def keys(self, server):
        return [re.search(rb"\r\nIdempotency-Key: (\S+)\r\n", request).group(1) for request in server.requests]

    def test_lost_connections_are_tried_again_with_the_same_key(self):
        server = self.server(["request", answer(), "request"], ["request"], ["request", answer()[:60]], ["request", answer()])
        client = self.client()
        client.mint(**MEMBERS)
        self.assertEqual(client.mint(**MEMBERS)["credential"], "a.b.c")
        self.assertEqual(server.connections, 4)
        keys = self.keys(server)
        self.assertEqual(len(set(keys)), 2, "each call has a key of its own")
        self.assertEqual(len(set(keys[1:])), 1)

    def test_retry_after_is_obeyed_within_the_time(self):
        problem = b'{"code":"overload","title":"t","status":503,"retry":"after"}'
        busy = answer(b"503 No", problem, b"Retry-After: 1\r\n")
        server = self.server(["request", busy, "request", answer()])
        began = time.monotonic()
        self.client().mint(**MEMBERS)
        self.assertGreaterEqual(time.monotonic() - began, 1)
        self.assertEqual(len(set(self.keys(server))), 1)

    def test_retry_after_beyond_the_time_is_told_at_once(self):
        problem = b'{"code":"overload","title":"t","status":503,"retry":"after"}'
        began = time.monotonic()
        self.after("overload", answer(b"503 No", problem, b"Retry-After: 9\r\n"), status=503)
        self.assertLess(time.monotonic() - began, 4)

    def test_same_key_is_tried_again_until_the_time_is_over(self):
        problem = b'{"code":"deadline","title":"t","status":504,"retry":"same-key"}'
        late = answer(b"504 Late", problem)
        server = self.server(["request", late] * 3 + ["request", answer()])
        self.client().mint(**MEMBERS)
        self.assertEqual((len(server.requests), len(set(self.keys(server)))), (4, 1))
        deadlines = [int(re.search(rb"\r\nDeadline-Ms: (\d+)\r\n", request).group(1)) for request in server.requests]
        self.assertTrue(all(0 < later < earlier <= 5000 for earlier, later in zip(deadlines, deadlines[1:])), deadlines)

    def test_what_was_heard_before_the_time_ran_out_is_told(self):
        problem = b'{"code":"deadline","title":"t","status":504,"retry":"same-key"}'
        self.after("deadline", answer(b"504 Late", problem), "request", "mute", timeout_ms=400, status=504)

    def test_a_service_that_restarts_is_waited_for(self):
        server = self.server(["request", answer()])
        client = self.client()
        client.mint(**MEMBERS)
        server.close()
        os.remove(self.path)
        again = threading.Timer(0.3, lambda: self.server(["request", answer()]))
        again.start()
        self.assertEqual(client.mint(**MEMBERS)["credential"], "a.b.c")
        again.join()

    def test_a_key_of_ones_own(self):
        server = self.server(["request", answer(body=REPLY[:-1] + b',"replayed":true}')])
        request = request_of(MEMBERS)
        self.assertEqual(lib.hsmint_request_set_key(request, b"mine"), 0)
        self.assertEqual(self.client().mint_request(request)["replayed"], 1)
        self.assertEqual(self.keys(server), [b"mine"])
        self.assertEqual(lib.hsmint_request_set_key(request, b"another"), -1, "once")
        self.assertIn("Idempotency-Key", self.fails("client_argument", self.client().mint_request, request).accepts)
        lib.hsmint_request_free(request)
        for wrong in (b"", b"a b", b"k" * 129, "k\u00e4".encode(), None):
            request = request_of(MEMBERS)
            self.assertEqual(lib.hsmint_request_set_key(request, wrong), -1, wrong)
            lib.hsmint_request_free(request)
        self.assertEqual(lib.hsmint_request_set_key(None, b"k"), -1)

    def test_what_never_answered_is_not_waited_for(self):
        server = self.server(["request"], ["request", answer()])
        self.fails("client_lost", self.client().mint, **MEMBERS)
        self.assertEqual(server.connections, 1)

    def test_the_request_that_is_sent(self):
        server = self.server(["request", answer()])
        self.client().mint(**MEMBERS, lifetime=60, context={"a": "1", "b": "2"})
        head, body = server.requests[0].split(b"\r\n\r\n", 1)
        self.assertTrue(head.startswith(b"POST /v1/mint/jwt HTTP/1.1\r\nHost: localhost\r\n"), head)
        self.assertIn(b"Content-Type: application/json", head)
        self.assertNotIn(b"Expect", head)
        self.assertEqual(json.loads(body), {**MEMBERS, "lifetime": 60, "context": {"a": "1", "b": "2"}})

    def test_a_document_of_sixteen_mebibytes_and_one_byte_more(self):
        most = 16 << 20
        self.server(["request", answer(body=b"x" * most)], ["request", answer(body=b"x" * (most + 1))])
        self.assertEqual(len(self.client().get("/long")), most)
        self.fails("client_reply", self.client().get, "/long")

    def test_an_empty_document(self):
        self.server(["request", answer(body=b"")])
        self.assertEqual(self.client().get("/empty"), b"")

    def test_a_document_with_a_nul_in_it(self):
        self.server(["request", answer(body=b"a\0b")])
        self.assertEqual(self.client().get("/binary"), b"a\0b")

    def test_memory_that_runs_out(self):
        self.server(["request", answer(body=b"x" * (15 << 20))])
        script = ("import resource, sys; from library import Client, Failure\n"
                  "client = Client.unix(sys.argv[1])\n"
                  "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
                  "resource.setrlimit(resource.RLIMIT_AS, (used + (8 << 20), -1))\n"
                  "try:\n    client.get('/long')\nexcept Failure as failure:\n    print(failure.code)\n")
        result = subprocess.run([sys.executable, "-B", "-c", script, self.path], stdout=subprocess.PIPE, text=True,
                                cwd=os.path.dirname(os.path.abspath(__file__)), check=True)
        self.assertEqual(result.stdout, "client_memory\n")


class FalseTls(Case, Failing):
    @classmethod
    def setUpClass(cls):
        cls.shared = tempfile.mkdtemp(prefix="hsmint-")
        cls.ca = Authority(cls.shared, "ca")
        cls.server_pair = cls.ca.issue("server", ["DNS:localhost"], usage="serverAuth")
        cls.client_pair = cls.ca.issue("client", ["URI:spiffe://demo.test/client"])

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.shared, True)

    def client(self, *scripts, context=None, timeout_ms=5000):
        wrap = (lambda connection: context.wrap_socket(connection, server_side=True)) if context else None
        self.server = FalseServer.tcp(*scripts, wrap=wrap)
        self.addCleanup(self.server.close)
        client = Client.https("https://localhost:%d" % self.server.port, *self.client_pair, self.ca.cert, timeout_ms)
        self.addCleanup(client.__exit__)
        return client

    def context(self, pair=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*(pair or self.server_pair))
        return context

    def test_a_good_server(self):
        client = self.client(["request", answer()] * 2, context=self.context())
        client.mint(**MEMBERS)
        client.mint(**MEMBERS)
        self.assertEqual(self.server.connections, 1)

    def test_only_tls_1_3(self):
        context = self.context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.fails("client_tls", self.client(["request", answer()], context=context).mint, **MEMBERS)
        self.assertEqual(self.server.requests, [])

    def test_another_servers_certificate(self):
        pair = self.ca.issue("elsewhere", ["DNS:elsewhere.test"], usage="serverAuth")
        self.fails("client_tls", self.client(["request", answer()], context=self.context(pair)).mint, **MEMBERS)
        self.assertEqual(self.server.requests, [])

    def test_a_client_certificate_that_the_server_does_not_take(self):
        context = self.context()
        context.verify_mode = ssl.CERT_REQUIRED  # with no CA that it would accept
        # With TLS 1.3 the server judges it when the client's side of the handshake is done.
        self.fails("client_lost", self.client(["request", answer()], context=context).mint, **MEMBERS)
        self.assertEqual(self.server.requests, [])

    def test_a_server_that_does_not_speak_tls(self):
        self.fails("client_tls", self.client([b"HTTP/1.1 400 Bad Request\r\n\r\n"]).mint, **MEMBERS)

    def test_a_server_that_is_mute(self):
        self.fails("client_timeout", self.client(["mute"], timeout_ms=200).mint, **MEMBERS)

    def test_a_server_that_cuts_off(self):
        client = self.client(["request", answer()[:-1]], context=self.context())
        self.fails("client_lost", client.mint, **MEMBERS)

    def test_a_server_that_ends_during_the_handshake(self):
        self.fails("client_tls", self.client([]).mint, **MEMBERS)


class FalseControl(Case, Failing):
    def reply(self, *steps, timeout_ms=5000, command="{}"):
        path = os.path.join(self.work, "control")
        os.path.exists(path) and os.remove(path)
        self.server = FalseServer.unix(path, list(steps), kind=socket.SOCK_SEQPACKET)
        self.addCleanup(self.server.close)
        return control_call(path, command, timeout_ms)

    @staticmethod
    def frame(payload, kind=CONTROL_REPLY, version=1, flags=0, length=None):
        return struct.pack("=BBHIQ", version, kind, flags, len(payload) if length is None else length, 1) + payload

    def test_an_exchange(self):
        self.assertEqual(self.reply("frame", self.frame(b'{"ok":true,"x":1}'), command='{"command":"status"}'),
                         b'{"ok":true,"x":1}')
        self.assertEqual(self.server.requests[0][16:], b'{"command":"status"}')

    def test_a_problem(self):
        problem = b'{"code":"unknown_token","title":"No such token","status":404,"retry":"no","field":"token","accepts":"a"}'
        failure = self.fails("unknown_token", self.reply, "frame", self.frame(problem))
        self.assertEqual((failure.status, failure.field, failure.accepts), (404, "token", "a"))

    def test_a_mute_service(self):
        self.fails("client_timeout", self.reply, "frame", "mute", timeout_ms=100)

    def test_a_service_that_closes(self):
        self.fails("client_lost", self.reply, "frame")

    def test_frames_that_are_none(self):
        for sent in (b"x", b"x" * 15, b"x" * 200, self.frame(b"{}", version=2), self.frame(b"{}", flags=2),
                     self.frame(b"{}", length=3), self.frame(b"", length=0), self.frame(b"", flags=1, length=1 << 20)):
            with self.subTest(sent):
                self.fails("client_reply", self.reply, "frame", sent)

    def test_frames_that_say_nothing_usable(self):
        for sent in (self.frame(b'{"ok":true}', kind=1), self.frame(b"garbage"), self.frame(b'{"ok":false}'),
                     self.frame(b'{"ok":1}'), self.frame(b"[]"), self.frame(b'{"ok":true,"ok":true}')):
            with self.subTest(sent):
                self.fails("client_reply", self.reply, "frame", sent)

    def test_a_command_too_long(self):
        self.fails("client_argument", self.reply, "frame", command='"%s"' % ("x" * (32 << 20)))


if __name__ == "__main__":
    unittest.main()
