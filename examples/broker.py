#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How a credential broker asks hsmint, in Python's standard library alone.

  broker.py (--socket PATH | --url URL --cert FILE --key FILE --ca FILE)
            [--profile NAME] [--subject SPIFFE-ID] [--audience URL] [--scope SCOPE] [--task ID] [--approval ID]
            [--within MS] [--count N]

Prints each credential on a line of its own. What matters for a broker is in `Mint.ask`: one Idempotency-Key for all
attempts at one credential, a Deadline-Ms that shrinks with what is left of the caller's time, Retry-After obeyed, and a
connection that is kept; and in `Mint.mint`: what others have to approve first is waited for.
"""
import argparse
import http.client
import json
import secrets
import socket
import ssl
import sys
import time
import urllib.parse


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def describe(problem):
    """What is wrong, in which member, and what would be accepted."""
    text = "%s: %s" % (problem["code"], problem["title"])
    text += " (%s)" % problem["field"] if "field" in problem else ""
    return text + (": " + problem["accepts"] if "accepts" in problem else "")


def describe_approval(answer):
    """Which approval is wanted, and until when; the same request with it is then answered with the credential."""
    approval = answer["approval"]
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(approval["expires_at"]))
    return "approval %s is wanted, until %s" % (approval["id"], until)


class Refused(Exception):
    """A problem that asking again does not mend. `problem` has code, field and accepts for whoever asked."""

    def __init__(self, problem):
        super().__init__(describe(problem))
        self.problem = problem


class Mint:
    def __init__(self, connect):
        self.connect, self.connection = connect, None

    def mint(self, request, within_ms):
        """The reply with a credential. What others have to approve first is asked for again when they have decided."""
        end = time.monotonic() + within_ms / 1000
        answer = self.ask("/v1/mint/jwt", request, within_ms)
        while "approval" in answer:
            print("broker: " + describe_approval(answer), file=sys.stderr)
            left = int(end - time.monotonic()) - 1  # a second to ask again
            if left < 1:
                raise TimeoutError("not approved within %d ms" % within_ms)
            self.wait_for(answer["approval"]["id"], left)
            try:
                answer = self.ask("/v1/mint/jwt", {**request, "approval": answer["approval"]["id"]}, 1000 * (end - time.monotonic()))
            except Refused as refused:
                if refused.problem["code"] != "approval_pending":
                    raise
        return answer

    def wait_for(self, approval, seconds):
        """Answered as soon as it no longer waits for anybody."""
        path = "/v1/approvals/%s?wait=%d" % (approval, min(seconds, 30))
        status, _, answer = self.send("GET", path, None, {}, seconds)
        if status != 200:
            raise Refused(answer)

    def ask(self, path, body, within_ms):
        """The answer's JSON, within so many milliseconds. Refused: it will not be given. TimeoutError: not in time."""
        key, end, pause, last = secrets.token_hex(16), time.monotonic() + within_ms / 1000, 0.02, "no answer"
        while (left := end - time.monotonic()) > 0.001:
            try:
                status, headers, answer = self.post(path, body, key, left)
            except (OSError, http.client.HTTPException) as error:
                # Whether the service acted is not known; with the same key that does not matter.
                self.close()
                last, wait = repr(error), pause
            else:
                if status in (200, 202):
                    return answer
                if answer["retry"] == "no":
                    raise Refused(answer)
                last, wait = answer["code"], int(headers["Retry-After"] or 0) or pause
            pause = min(2 * pause, 1)
            if time.monotonic() + wait >= end:
                break
            print("broker: %s; again in %.2f s" % (last, wait), file=sys.stderr)
            time.sleep(wait)
        raise TimeoutError("not within %d ms: %s" % (within_ms, last))

    def post(self, path, body, key, left):
        return self.send("POST", path, json.dumps(body), {
            "Content-Type": "application/json", "Idempotency-Key": key, "Deadline-Ms": str(max(1, int(left * 1000)))}, left)

    def send(self, method, path, body, headers, left):
        self.connection = self.connection or self.connect()
        self.connection.timeout = left + 0.5  # the service answers by then, or it is gone
        if self.connection.sock:
            self.connection.sock.settimeout(self.connection.timeout)
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        return response.status, response.headers, json.loads(response.read())

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None


def connector(options):
    """What makes a connection, as the options say."""
    if options.socket:
        return lambda: UnixConnection(options.socket)
    context = ssl.create_default_context(cafile=options.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(options.cert, options.key)
    url = urllib.parse.urlsplit(options.url)
    return lambda: http.client.HTTPSConnection(url.hostname, url.port, context=context)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("socket", "url", "cert", "key", "ca"):
        parser.add_argument("--" + name)
    parser.add_argument("--profile", default="demo-access")
    parser.add_argument("--subject", default="spiffe://demo.test/agent/first")
    parser.add_argument("--audience", default="https://api.demo.test")
    for name in ("scope", "task", "approval"):
        parser.add_argument("--" + name)
    parser.add_argument("--within", type=int, default=10000)
    parser.add_argument("--count", type=int, default=1)
    options = parser.parse_args()
    if not options.socket and not (options.url and options.cert and options.key and options.ca):
        parser.error("--socket, or --url with --cert, --key and --ca")
    request = {"profile": options.profile, "subject": options.subject, "audience": options.audience}
    request.update({name: value for name, value in vars(options).items() if name in ("scope", "task", "approval") and value})
    mint = Mint(connector(options))
    try:
        if options.count == 1:
            print(mint.mint(request, options.within)["credential"], flush=True)
            return 0
        batch = {"requests": [dict(request, kind="jwt")] * options.count}
        refused = 0
        for reply in mint.ask("/v1/mint/batch", batch, options.within)["replies"]:
            refused += "credential" not in reply
            if "credential" in reply:
                print(reply["credential"])
            else:
                print("broker: " + (describe_approval(reply) if "approval" in reply else describe(reply)), file=sys.stderr)
        return 1 if refused else 0
    except (Refused, TimeoutError) as error:
        print("broker: %s" % error, file=sys.stderr)
        return 1
    finally:
        mint.close()


if __name__ == "__main__":
    sys.exit(main())
