# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL server of a test's own, in a directory of its own, by a user who is not root."""
import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

OWNER = "hsmint"  # owns the databases, and may do nothing else in the server


def _program(name):
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/" + name)) or [shutil.which(name)]
    return found[-1]


class Postgres:
    def __init__(self, *options):
        self.directory = tempfile.mkdtemp(prefix="hsmint-pg-")
        self.options = options
        self.databases = 0
        self.process = None
        self.port = 5432  # of its socket's name
        self.as_user = ["setpriv", "--pdeathsig", "INT"]
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.directory, user.pw_uid, user.pw_gid)
            self.as_user += ["--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups"]
        self.data = os.path.join(self.directory, "data")
        self.run(_program("initdb"), "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        os.chmod(self.directory, 0o711)  # its socket is for others too
        self.start()
        self.sql("CREATE ROLE %s LOGIN" % OWNER)

    def run(self, *arguments):
        result = subprocess.run([*self.as_user, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                timeout=60, cwd="/")
        if result.returncode != 0:
            raise AssertionError("%s: %s" % (arguments[0], result.stdout))
        return result.stdout

    def start(self, wait=True):
        """Serve, after a stop or a kill too."""
        with open(os.path.join(self.directory, "log"), "ab") as log:
            self.process = subprocess.Popen(
                [*self.as_user, _program("postgres"), "-D", self.data, "-k", self.directory, "-c", "listen_addresses=",
                 "-c", "max_connections=40", "-c", "shared_buffers=16MB", *self.options],
                stdout=log, stderr=log, cwd="/")
        if wait:
            self.wait()

    def wait(self):
        end = time.monotonic() + 60
        while subprocess.run([_program("pg_isready"), "-q", "-h", self.directory, "-p", str(self.port), "-U", "postgres", "-d", "postgres"],
                             check=False).returncode != 0:
            if time.monotonic() > end or self.process.poll() is not None:
                with open(os.path.join(self.directory, "log")) as log:
                    raise AssertionError("PostgreSQL does not start: " + log.read()[-2000:])
            time.sleep(0.05)

    def sql(self, statement, database="postgres", user="postgres"):
        """What it answers, rows on lines and columns between |."""
        return self.run(_program("psql"), "-h", self.directory, "-p", str(self.port), "-U", user, "-d", database, "-v", "ON_ERROR_STOP=1", "-XAtq",
                        "-c", statement).strip()

    def url(self):
        """A new database, for one or several mints."""
        self.databases += 1
        name = "hsmint%d" % self.databases
        self.sql("CREATE DATABASE %s OWNER %s" % (name, OWNER))
        return "postgresql://%s@/%s?host=%s" % (OWNER, name, self.directory)

    def signal_all(self, number):
        """Each of its processes is the leader of a group."""
        with open("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)) as children:
            pids = [int(pid) for pid in children.read().split()]
        for pid in [self.process.pid, *pids]:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def kill(self):
        """SIGKILL to each of its processes."""
        self.signal_all(signal.SIGKILL)
        self.process.wait()

    def pause(self):
        """It no longer answers, and keeps its connections."""
        self.signal_all(signal.SIGSTOP)

    def resume(self):
        self.signal_all(signal.SIGCONT)

    def let_in(self, line):
        """A line of pg_hba.conf before all others."""
        path = os.path.join(self.data, "pg_hba.conf")
        with open(path) as file:
            rest = file.read()
        with open(path, "w") as file:
            file.write(line + "\n" + rest)

    def stop(self):
        if self.process.poll() is None:
            self.resume()
            self.process.send_signal(signal.SIGINT)
            self.process.wait(60)

    def close(self):
        self.stop()
        shutil.rmtree(self.directory, True)
