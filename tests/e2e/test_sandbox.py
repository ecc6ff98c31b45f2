# SPDX-License-Identifier: Apache-2.0
"""The gate's cage: what is in force is told, and what cannot be had is told or refused."""
import ctypes
import errno
import os
import re
import socket
import unittest

from harness import SANITIZED, Case, children_of, edit, read, start_dev, start_serve

SECCOMP = ctypes.CDLL("libseccomp.so.2", use_errno=True)
SECCOMP.seccomp_init.restype = ctypes.c_void_p
ALLOW, ERRNO, EQUAL = 0x7FFF0000, 0x00050000, 4
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP = 38, 22
NOBODY = 54321  # a uid that no passwd entry names


class Compare(ctypes.Structure):
    """struct scmp_arg_cmp: the filter's rule holds where argument `arg` equals `a`."""
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def deny(error, *calls):
    """For preexec_fn: from here on these system calls fail with `error`; a call is a name, or a name, an argument's
    place and the value at which it fails."""
    def enter():
        context = ctypes.c_void_p(SECCOMP.seccomp_init(ALLOW))
        for call in calls:
            name, *argument = (call,) if isinstance(call, str) else call
            compare = (Compare * 1)(*[Compare(argument[0], EQUAL, argument[1], 0)] if argument else [])
            number = SECCOMP.seccomp_syscall_resolve_name(name.encode())
            if SECCOMP.seccomp_rule_add_array(context, ERRNO | error, number, len(argument) // 2, compare) != 0:
                raise OSError("the test's own filter cannot be made")
        ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if SECCOMP.seccomp_load(context) != 0:
            raise OSError("the test's own filter cannot be loaded")
    return enter


NO_LANDLOCK = deny(errno.ENOSYS, "landlock_create_ruleset")
NO_SECCOMP = deny(errno.EPERM, "seccomp", ("prctl", 0, PR_SET_SECCOMP))
NO_IPV6 = deny(errno.EAFNOSUPPORT, ("socket", 0, socket.AF_INET6))


def drop_capabilities():
    """As in a container that starts without any: bounding set and all."""
    libc = ctypes.CDLL(None)
    for capability in range(64):
        libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    libc.capset(header, (ctypes.c_uint32 * 6)())


def proc_status(pid):
    with open("/proc/%d/status" % pid) as status:
        return dict(re.findall(r"^(\w+):\s*(.*)$", status.read(), re.M))


class Sandbox(Case):
    def sandbox_of(self, service):
        told = service.ask("GET", "/readyz").json["sandbox"]["gate"]
        self.assertIn(told, service.log())
        return told

    def started(self, **more):
        service = start_dev(os.path.join(self.work, "dev"), **more)
        self.addCleanup(service.stop)
        self.assertEqual(service.mint().status, 200)
        return service

    def test_what_is_told_is_in_force(self):
        service = self.started()
        told = self.sandbox_of(service)
        self.assertIn("seccomp=", told)
        status = proc_status(service.status()["gate"]["pid"])
        self.assertEqual(status["Seccomp"], "2")
        self.assertEqual(status["NoNewPrivs"], "1")
        self.assertEqual(int(status["CapEff"], 16) | int(status["CapPrm"], 16) | int(status["CapInh"], 16), 0)

    @unittest.skipIf(SANITIZED, "a sanitizer's own needs widen what is allowed")
    def test_without_sanitizers_the_gate_has_everything(self):
        service = self.started()
        told = self.sandbox_of(service)
        self.assertIn("seccomp=on", told)
        self.assertIn("capabilities=none", told)
        self.assertIn("dumpable=no", told)
        # Not dumpable: its /proc files belong to root even when it does not run as root.
        limits = read("/proc/%d/limits" % service.status()["gate"]["pid"])
        self.assertRegex(limits, r"Max core file size\s+0\s+0")

    def require(self, directory=None, **more):
        """`sandbox: require` on a directory that is made already."""
        directory = directory or self.made("strict")
        config = os.path.join(directory, "hsmint.yaml")
        edit(config, "sandbox: best", "sandbox: require")
        service = start_serve(config, directory, wait=False, **more)
        self.addCleanup(service.stop)
        return service

    def assert_refuses(self, service, what):
        self.assertEqual(service.process.wait(30), 1)
        self.assertIn(what, service.log())

    def assert_serves_in_full(self, service):
        service.wait_ready()
        told = self.sandbox_of(service)
        if not SANITIZED:
            self.assertRegex(told, "^seccomp=on landlock=[1-9][0-9]* capabilities=none dumpable=no$")
        for connection in (service.unix(), service.tls()):
            self.assertEqual(service.mint(connection).status, 200)
            connection.close()

    def test_required_and_had(self):
        self.assert_serves_in_full(self.require())

    @unittest.skipIf(os.geteuid() != 0, "becoming another user needs root")
    def test_required_and_had_by_a_user_without_name_or_privilege(self):
        directory = self.made("strict")
        os.chmod(self.work, 0o755)
        for place, _, files in os.walk(directory):
            for path in [place] + [os.path.join(place, file) for file in files]:
                os.chown(path, NOBODY, NOBODY)
        service = self.require(directory, user=NOBODY, group=NOBODY, extra_groups=[])
        self.assert_serves_in_full(service)
        for pid in [service.pid] + children_of(service.pid):
            self.assertEqual(proc_status(pid)["Uid"].split(), [str(NOBODY)] * 4)

    def test_no_landlock(self):
        service = self.started(preexec_fn=NO_LANDLOCK)
        self.assertIn("landlock=off", self.sandbox_of(service))
        if not SANITIZED:  # a sanitizer's reports need files, so it does without Landlock and says so
            self.assert_refuses(self.require(preexec_fn=NO_LANDLOCK), "Landlock")

    def test_no_seccomp(self):
        service = self.started(preexec_fn=NO_SECCOMP)
        self.assertIn("seccomp=off", self.sandbox_of(service))
        self.assert_refuses(self.require(preexec_fn=NO_SECCOMP), "seccomp")

    def test_capabilities_dropped_before(self):
        self.started(preexec_fn=drop_capabilities)

    def test_no_ipv6(self):
        service = self.started(preexec_fn=NO_IPV6)
        connection = service.tls()
        self.assertEqual(service.mint(connection).status, 200)
        connection.close()


if __name__ == "__main__":
    unittest.main()
