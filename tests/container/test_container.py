# SPDX-License-Identifier: Apache-2.0
"""conf/Containerfile: what it says, and its command line run as it says: its user, a read-only root, process 1."""
import json
import os
import re
import signal
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
from containerfile import stages  # noqa: E402
from harness import AUDIENCE, BUILD, PATIENCE, SUBJECT, Case, children_of, decode, process_exists, run, wait_for  # noqa: E402

BUILD_STAGE, IMAGE = stages(os.path.join(ROOT, "conf", "Containerfile"))
UID, GID = IMAGE.last("USER").split(":")
UNPRIVILEGED = ["setpriv", "--reuid", UID, "--regid", GID, "--clear-groups", "--no-new-privs", "--bounding-set=-all",
                "--inh-caps=-all"]

# Process 1 of a root that holds what the image does: the system's programs, ours below /usr/local, /proc, /dev; only
# /data can be written.
MAKE_ROOT = r"""
set -eu
root=$1 installed=$2 data=$3
shift 3
mount --make-rprivate /
mount -t tmpfs root "$root"
mkdir "$root/usr" "$root/etc" "$root/proc" "$root/dev" "$root/data" "$root/tmp"
for link in bin sbin lib lib64; do ln -s "usr/$link" "$root/$link"; done
mount --bind /usr "$root/usr"
mount --bind "$installed" "$root/usr/local"
mount --bind /etc "$root/etc"
for device in null zero random urandom; do
	: >"$root/dev/$device"
	mount --bind "/dev/$device" "$root/dev/$device"
done
mount --bind "$data" "$root/data"
for part in usr usr/local etc; do mount -o remount,bind,ro "$root/$part"; done
mount -o remount,ro "$root"
mount -t proc proc "$root/proc"
exec chroot "$root" "$@"
"""


class Said(unittest.TestCase):
    def test_it_is_built_and_run_on_debian_12(self):
        for stage in (BUILD_STAGE, IMAGE):
            self.assertRegex(stage.last("FROM"), r"^debian:12-slim\b")

    def test_what_it_copies_is_there(self):
        for arguments in BUILD_STAGE.all("COPY") + [a for a in IMAGE.all("COPY") if not a.startswith("--from=")]:
            self.assertTrue(os.path.exists(os.path.join(ROOT, arguments.split()[0])), arguments)

    def test_nobody_is_root(self):
        self.assertGreater(int(UID), 0)
        self.assertGreater(int(GID), 0)
        made = " ".join(IMAGE.all("RUN"))
        self.assertIn("useradd --uid %s --gid %s " % (UID, GID), made)
        self.assertLess([word for word, _ in IMAGE.instructions].index("RUN"),
                        [word for word, _ in IMAGE.instructions].index("USER"))

    def test_it_is_labelled(self):
        for label in ("title", "description", "licenses"):
            self.assertIn("org.opencontainers.image.%s=" % label, IMAGE.last("LABEL"))

    def test_its_packages_hold_every_library(self):
        packages = set(re.search(r"--no-install-recommends ([^&]*)", IMAGE.last("RUN")).group(1).split())
        missing = {}
        for name in ("bin/hsmint", "bin/hsmint-gate", "bin/hsmint-token", "bin/hsmint-ceremony", "lib/libhsmint.so"):
            dynamic = run(["readelf", "-d", os.path.join(BUILD, name)]).stdout
            for library in set(re.findall(r"NEEDED.*\[(.*)\]", dynamic)) - {"libhsmint.so.0"}:
                owners = {line.split(":")[0] for line in run(["dpkg-query", "-S", "*/" + library]).stdout.splitlines()}
                if not owners & (packages | {"libc6"}):
                    missing[library] = owners
        self.assertEqual(missing, {})
        self.assertLessEqual({"softhsm2", IMAGE.command("ENTRYPOINT")[0]}, packages)


class Running(Case):
    """The image's own command line, health check and signal, without a container's engine."""

    def setUp(self):
        super().setUp()
        if os.geteuid() != 0:
            self.skipTest("only root can make a root directory for another process")
        self.paths = [os.path.join(self.work, name) for name in ("root", "installed", "data")]
        os.chmod(self.work, 0o755)
        run([os.environ["CMAKE"], "--install", BUILD, "--prefix", self.paths[1]])
        os.mkdir(self.paths[0])
        os.mkdir(self.paths[2], 0o700)
        os.chown(self.paths[2], int(UID), int(GID))
        self.environment = dict(IMAGE.environment(), PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")

    def start(self):
        command = IMAGE.command("ENTRYPOINT") + IMAGE.command("CMD")
        command[command.index("8443")] = "0"  # others may use it on this machine
        process = subprocess.Popen(["unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "sh", "-c",
                                    MAKE_ROOT, "sh", *self.paths, *UNPRIVILEGED, *command], env=self.environment,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.end, process)
        line = process.stdout.readline()
        if not line:
            self.fail("it ended: " + process.communicate(timeout=PATIENCE)[1])
        [self.first] = children_of(process.pid)
        return process, json.loads(line)

    def end(self, process):
        process.kill()
        process.communicate()

    def inside(self, *command, check=True):
        """Run in the container, as its user."""
        return run(["nsenter", "--target", str(self.first), "--mount", "--pid", "--root", "--wd=/", *UNPRIVILEGED,
                    *command], check=check, env=self.environment)

    def test_it_serves_from_a_read_only_root_and_ends_when_asked(self):
        process, ready = self.start()
        self.assertEqual(ready["socket"], IMAGE.environment()["HSMINT_SOCKET"])
        self.assertEqual(ready["control"], IMAGE.environment()["HSMINT_CONTROL"])
        self.assertEqual(self.inside("readlink", "/proc/1/exe").stdout.strip(), "/usr/bin/tini")
        self.assertEqual(self.inside("id", "-u").stdout.strip(), UID)
        self.assertIn("Read-only file system", self.inside("touch", "/tmp/x", check=False).stderr)
        self.assertIn("Read-only file system", self.inside("touch", "/usr/local/x", check=False).stderr)

        self.inside(*IMAGE.command("HEALTHCHECK"))
        token = self.inside("hsmint", "mint", "jwt", "--profile", "demo-access", "--subject", SUBJECT, "--audience",
                            AUDIENCE).stdout.strip()
        self.assertEqual(decode(token)[1]["sub"], SUBJECT)

        inside = children_of(self.first)
        self.assertTrue(inside)
        os.kill(self.first, getattr(signal, IMAGE.last("STOPSIGNAL")))
        self.assertEqual(process.wait(PATIENCE), 0)
        for child in inside:
            wait_for(lambda c=child: not process_exists(c), "process %d to end" % child)

    def test_it_ends_with_the_service_and_the_health_check_sees_that_none_is_there(self):
        process, _ = self.start()
        health = self.inside("env", "HSMINT_CONTROL=/data/nowhere.sock", *IMAGE.command("HEALTHCHECK"), check=False)
        self.assertEqual(health.returncode, 1, health.stderr)
        [service] = children_of(self.first)
        os.kill(service, signal.SIGKILL)
        self.assertEqual(process.wait(PATIENCE), 128 + signal.SIGKILL)


if __name__ == "__main__":
    unittest.main()
