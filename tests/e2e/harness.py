# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: a service of their own, HTTP over both ways in, and verification by other programs."""
import atexit
import base64
import http.client
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import tempfile
import time
import unittest

from postgres import Postgres

BUILD = os.environ["HSMINT_BUILD"]
HSMINT = os.path.join(BUILD, "bin", "hsmint")
SANITIZED = bool(os.environ.get("HSMINT_SANITIZE"))
PATIENCE = 60 if SANITIZED else 20  # seconds until a condition that must come true has failed

SUBJECT = "spiffe://demo.test/agent/first"
AUDIENCE = "https://api.demo.test"


def wait_for(condition, what, patience=PATIENCE):
    """Ask until the condition holds, and give its value; fail when it does not within the patience."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("waited in vain for " + what)
        time.sleep(0.01)


def process_exists(pid):
    try:
        with open("/proc/%d/stat" % pid) as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children_of(pid):
    found = []
    try:
        for task in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/children" % (pid, task)) as children:
                found += [int(child) for child in children.read().split()]
    except FileNotFoundError:
        pass
    return found


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=PATIENCE):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Answer:
    def __init__(self, response, service=None):
        self.service = service
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)


class Service:
    """One running hsmint and what it said when ready."""

    def __init__(self, process, ready, log, directory):
        self.process = process
        self.directory = directory
        self.log_fd = log
        self.ready = ready
        self.socket = ready["socket"]
        self.control = ready["control"]
        self.pid = ready["pid"]
        self.port = int(re.search(r":(\d+)$", ready["url"]).group(1)) if ready.get("url") else 0

    def log(self):
        """What the processes have logged so far."""
        return os.pread(self.log_fd, 1 << 24, 0).decode()

    def names(self):
        """What the configuration calls its profiles and callers."""
        sections = re.split(r"(?m)^(?=\w+:)", read(os.path.join(self.directory, "hsmint.yaml")))
        return [name for section in sections if section.startswith(("profiles:", "callers:"))
                for name in re.findall(r"(?m)^  - \{?name: ([\w-]+)", section)]

    def leaks(self, text):
        """What stands in an answer that a caller must not learn."""
        inside = [self.directory, os.path.realpath(self.directory), "/tmp", "CKR_", "errno", ".c:",
                  read(os.path.join(self.directory, "pin")).strip()]
        return ([word for word in inside if word in text] +
                [name for name in self.names() if re.search(r"(?<![\w./-])%s(?![\w./-])" % re.escape(name), text)])

    def unix(self):
        return UnixConnection(self.socket)

    def tls_context(self, cert=True):
        context = ssl.create_default_context(cafile=self.ready["ca"])
        if cert is True:
            cert = (self.ready["cert"], self.ready["key"])
        if cert:
            context.load_cert_chain(*cert)
        return context

    def tls(self, cert=True):
        return http.client.HTTPSConnection("localhost", self.port, timeout=PATIENCE, context=self.tls_context(cert))

    def ask(self, method, path, body=None, connection=None, headers=None):
        own = connection is None
        connection = connection or self.unix()
        try:
            headers = dict(headers or {})
            if isinstance(body, dict):
                body = json.dumps(body)
            if body is not None:
                headers.setdefault("Content-Type", "application/json")
            connection.request(method, path, body, headers)
            return Answer(connection.getresponse(), self)
        finally:
            if own:
                connection.close()

    def mint(self, connection=None, **members):
        body = {"profile": "demo-access", "subject": SUBJECT, "audience": AUDIENCE}
        body.update(members)
        return self.ask("POST", "/v1/mint/jwt", {k: v for k, v in body.items() if v is not None}, connection)

    def command(self, *arguments, check=True):
        return run([HSMINT, *arguments], check=check)

    def status(self):
        return json.loads(self.command("status", "--control", self.control, "--json").stdout)

    def status_if_any(self):
        result = self.command("status", "--control", self.control, "--json", check=False)
        return json.loads(result.stdout) if result.returncode == 0 else None

    def wait_ready(self):
        return wait_for(lambda: (lambda s: s and s["ready"] and s)(self.status_if_any()), "a ready service")

    def kill(self):
        """SIGKILL, and wait until its children have noticed: before, a gate still holds the sockets."""
        children = children_of(self.pid)
        self.process.kill()
        self.process.wait()
        for child in children:
            wait_for(lambda c=child: not process_exists(c), "child %d to end" % child)

    def kill_everything(self):
        """SIGKILL to each of its processes at once, in place of stop."""
        everyone = [self.pid] + children_of(self.pid)
        for pid in everyone:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        for pid in everyone:
            wait_for(lambda p=pid: not process_exists(p), "process %d to end" % pid)
        os.close(self.log_fd)
        self.log_fd = -1

    def stop(self):
        children = children_of(self.pid)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        if self.log_fd >= 0:
            os.close(self.log_fd)
            self.log_fd = -1
        for child in children:
            wait_for(lambda c=child: not process_exists(c), "child %d to end" % child)


def read(path):
    with open(path) as file:
        return file.read()


def edit(path, old, new):
    """Replace a text that stands in the file."""
    text = read(path)
    if old not in text:
        raise AssertionError("%s does not hold %r" % (path, old))
    with open(path, "w") as file:
        file.write(text.replace(old, new))


def leave_unsigned(config):
    """Nobody signs checkpoints or status lists: for tests that count signatures, or use a token that has no key for them."""
    edit(config, ", key: demo-checkpoint}", "}")
    for line in (r"  - \{name: demo-checkpoint,.*", r"  - \{name: demo-status,.*", r"    status: task.*"):
        edit(config, re.search(r"(?m)^%s\n" % line, read(config)).group(), "")


def run(arguments, check=True, **more):
    result = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120, **more)
    if check and result.returncode != 0:
        raise AssertionError("%s: exit %d: %s" % (arguments, result.returncode, result.stderr))
    return result


def small_disk(directory, size):
    """What stands before a command, for which `directory` is then a file system of its own, of this size, and empty."""
    own = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", "--mount", *own, "sh", "-c", 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@"', "sh",
            size, directory]


_servers = []


def share_store(directory, url):
    """The service of a directory that dev has made keeps its store in PostgreSQL from now on, and begins a new ledger: the
    old one remembers commits that this store does not have."""
    shutil.rmtree(os.path.join(directory, "ledger"))
    edit(os.path.join(directory, "hsmint.yaml"), "\nlisten:", '\nstore: "%s"\nlisten:' % url)


def change_row(directory, body, key):
    """As somebody would who is at the database itself: SQL for the row's body. The number of rows that it changed."""
    url = re.search(r'(?m)^store: "(.*)"', read(os.path.join(directory, "hsmint.yaml")))
    if url:
        return int(run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", url.group(1), "-c",
                        "WITH changed AS (UPDATE hsmint.record SET body = %s WHERE key = '%s' RETURNING 1) "
                        "SELECT count(*) FROM changed" % (body, key)]).stdout)
    store = sqlite3.connect(os.path.join(directory, "state", "store.db"))
    with store:
        changed = store.execute("UPDATE record SET body = %s WHERE key = '%s'" % (body, key)).rowcount
    store.close()
    return changed


def _choose_store(directory):
    """The suites that run on both stores: a new directory's service has a database of its own in PostgreSQL."""
    if os.environ.get("HSMINT_TEST_STORE") != "postgres" or os.path.exists(os.path.join(directory, "hsmint.yaml")):
        return
    if not _servers:
        _servers.append(Postgres("-c", "fsync=off"))
        atexit.register(_servers[0].close)
    start_plain_dev(directory).stop()
    share_store(directory, _servers[0].url())


def start_dev(directory, *arguments, **more):
    """`hsmint dev`, ready; None when it ended instead and check is false."""
    _choose_store(directory)
    return start_plain_dev(directory, *arguments, **more)


def start_plain_dev(directory, *arguments, check=True, before=(), **more):
    reader, writer = os.pipe()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([*before, HSMINT, "dev", "--dir", directory, "--ready-fd", str(writer), *arguments],
                                   pass_fds=[writer], stderr=log, **more)
        os.close(writer)
        with os.fdopen(reader) as ready:
            line = ready.readline()
        if line:
            return Service(process, json.loads(line), os.dup(log.fileno()), directory)
        process.wait(PATIENCE)
        log.seek(0)
        if check:
            raise AssertionError("hsmint dev ended with %d: %s" % (process.returncode, log.read().decode()))
        return None


def start_unsigned(directory):
    """`hsmint dev`, whose token signs nothing by itself."""
    start_dev(directory).stop()
    leave_unsigned(os.path.join(directory, "hsmint.yaml"))
    return start_dev(directory)


def start_serve(config, directory, wait=True, program=HSMINT, **more):
    """`hsmint serve` with a configuration in a directory that `dev` made."""
    port = re.search(r"port: (\d+)", read(config))
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([program, "serve", "--config", config], stderr=log, **more)
        fd = os.dup(log.fileno())
    service = Service(process, {"socket": os.path.join(directory, "hsmint.sock"),
                                "control": os.path.join(directory, "control.sock"), "pid": process.pid,
                                "url": "https://localhost:" + port.group(1) if port else "",
                                "ca": directory + "/tls/ca.crt", "cert": directory + "/tls/client.crt",
                                "key": directory + "/tls/client.key"}, fd, directory)
    if wait:
        try:
            service.wait_ready()
        except AssertionError:
            service.kill()  # nobody has it to stop it, and it would hold the tests' output open
            raise
    return service


def unbase64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def decode(token):
    header, payload, _ = token.split(".")
    return json.loads(unbase64(header)), json.loads(unbase64(payload))


def verify(token, jwks, directory):
    """Have latchset jose verify the token by the key of the set whose thumbprint is its kid; give its payload."""
    def path(name):
        return os.path.join(directory, name)
    header, _ = decode(token)
    with open(path("jwks.json"), "wb") as out:
        out.write(jwks)
    with open(path("token"), "w") as out:
        out.write(token)
    run(["jose", "jwk", "thp", "-i", path("jwks.json"), "-f", header["kid"], "-o", path("key.jwk")])
    return json.loads(run(["jose", "jws", "ver", "-i", path("token"), "-k", path("key.jwk"), "-O-"]).stdout)


def verify_all(tokens, jwks):
    """Have node verify every token; the number that was good. Fails when one was not."""
    result = subprocess.run(["node", os.path.join(os.path.dirname(os.path.abspath(__file__)), "verify_all.mjs")],
                            input=json.dumps({"tokens": tokens, "jwks": jwks}), capture_output=True, text=True, timeout=300)
    if result.returncode != 0:
        raise AssertionError("verify_all.mjs: " + result.stderr)
    answer = json.loads(result.stdout)
    if answer["bad"]:
        raise AssertionError("%d of %d do not verify: %s" % (len(answer["bad"]), len(tokens), answer["bad"][:3]))
    return answer["good"]


class Case(unittest.TestCase):
    """A test with a directory of its own."""

    def setUp(self):
        self.work = tempfile.mkdtemp(prefix="hsmint-")
        self.addCleanup(shutil.rmtree, self.work, True)

    def dev(self, *arguments, name="dev"):
        service = start_dev(os.path.join(self.work, name), *arguments)
        self.addCleanup(service.stop)
        return service

    def made(self, name="dev"):
        """A directory that dev has made, with nothing running in it."""
        directory = os.path.join(self.work, name)
        start_dev(directory).stop()
        return directory

    def refused(self, answer, status, code, field=None):
        self.assertEqual((answer.status, answer.json.get("code")), (status, code), answer.body)
        self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
        self.assertEqual(answer.json["status"], status)
        self.assertEqual(answer.service.leaks(str(answer.headers) + answer.body.decode()), [])
        if field is not None:
            self.assertEqual(answer.json.get("field"), field, answer.body)


class SharedCase(Case):
    """Tests that only ask, against one service for all of them."""

    unsigned = False  # True: signatures are counted, or how long they take

    @classmethod
    def setUpClass(cls):
        cls.shared = tempfile.mkdtemp(prefix="hsmint-")
        cls.service = cls.start_shared(os.path.join(cls.shared, "dev"))

    @classmethod
    def start_shared(cls, directory):
        return (start_unsigned if cls.unsigned else start_dev)(directory)

    @classmethod
    def tearDownClass(cls):
        cls.service.stop()
        shutil.rmtree(cls.shared, True)
