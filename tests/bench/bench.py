# SPDX-License-Identifier: Apache-2.0
"""The bench: what a credential costs, always beside what the bare signature costs on the same token in the same run."""
import argparse
import heapq
import json
import os
import random
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import unittest.mock
from urllib.parse import urlencode

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))

DESCRIPTION = """\
Starts `hsmint dev` in a temporary directory and measures it.

Each round runs, one after the other, JWTs over the Unix socket, JWTs over TCP with mutual TLS 1.3, batches over the
socket, access tokens by client credentials and by the exchange of another (whose ES256 signature is verified each time)
over mutual TLS, and JWTs over the socket from a second service whose token verifies every signature (self_check:
always; otherwise: sampled). Before and after each of them the ceiling is measured: a program that does nothing but C_SignInit
and C_Sign with the key the first service signs with, in as many threads as its token process has, while the services
are up and idle. Other numbers of threads would give another figure: they contend for the module's locks.

  CPU per credential   user and system time of all hsmint processes (mint, gate, token), from the scheduler's account
                       in /proc/PID/task/*/schedstat (nanoseconds), divided by the credentials released. It is read
                       when the service is still, before the first request and after the last reply. The load
                       generator is a process of its own and does not count; its share is shown.
  raw                  the same of the ceiling program, divided by its signatures.
  ratio                CPU per credential divided by the mean raw figure of the two ceilings around it. Median, least
                       and greatest of the rounds.
  rate, p50, p99       as the load generator saw them, from the same cores as the service. Medians of the rounds; max
                       is of all rounds.
  PSS                  of all processes of one service, in MB of 2^20 bytes: idle before the first request; load, the
                       most seen while and right after the load ran, connections open. Needs root (hsmint's processes
                       are not dumpable): else left out, null in the JSON.
  late by              how long after their Deadline-Ms answers came to clients whose time passed while the token
                       worked.
  a tenant beside …    one client certificate speaks for two tenants of a token that signs four at a time in 20 ms: one
                       asks for far more than that, the other for a tenth of it, first alone, then beside the first.
  a token of K × L ms  one whose module signs K at a time and takes L for each, made of SoftHSM and a module in between.
                       Use: credentials a second, of K ÷ L. p99 at 80 %: of requests that come at random moments, beside
                       what they would take before K servers that need exactly L and nothing else (simulated).
  other objects        the same service twice, once with 1,000 data objects and 500 key pairs beside its two keys: CPU of a
                       credential with them ÷ without, by turns; and how much longer until `hsmint dev` is ready.
  entries on stable storage  the same service twice, once with a fdatasync that does nothing, by turns: CPU of a
                       credential with it ÷ without. With four times the connections, so that the cores have no time to
                       spare; and with as many as elsewhere, where a service that waits pays for being woken.
  ledger verify        entries in a second of CPU time (user and system) of `hsmint ledger verify`, on a ledger made for it.
  1,000,000 tasks      the same service twice, once with so many open tasks of 100,000 agents, once with ten of ten, by turns:
                       CPU of a credential with them ÷ without, each request for another of the tasks; and PSS of all
                       processes with them. Each has a ref and a place in a status list.
  a mint that opens its task  p99 of mints that carry a new task ÷ p99 of mints for tasks that are open, at 300 requests
                       a second each.
  from the reply to the status list  of a task that is completed while others mint: p99 until the published list says so.
  agents imported      as many as above from a file, with `hsmint agent import` over the control socket into a service that has
                       none: from start to end of the command; and CPU of all hsmint processes ÷ agents.
  dev cold, dev warm   from starting `hsmint dev` to its ready line: in a new directory, in one that was made before.

Everything comes from one machine at one time: compare ratios, not microseconds. A busy machine shows as a wide range.
Aims are printed beside the figures and are not enforced. Ends with 1 if any reply was not 200 with a credential.
"""

START_ENTRIES = 10 * 1000 * 1000
AIMS = {"ledger_start_10m_s": 1,
        "jwt_socket_ratio": 1.7, "jwt_mtls_ratio": 1.9, "batch_ratio": 1.2,
        "client_credentials_ratio": 2.0, "exchange_ratio": 2.8, "dev_cold_s": 2.0, "dev_warm_s": 0.5,
        "pss_idle_mb": 25, "deadline_late_p99_ms": 20, "fair_p99_ratio": 2,
        "others_ratio": 1.05, "million_tasks_cpu_factor": 1.1, "million_tasks_pss_mb": 400, "revoke_to_status_p99_s": 1,
        "agents_100k_import_s": 2,
        "ledger_cpu_factor": 1.05, "ledger_verify_per_s": 500000, "others_start_s": 0.5}
SLOW = [(8, 5), (1, 6), (30, 2)]  # tokens that sign so many at a time, in so many milliseconds
AIMS.update({"slow_%dx%dms_p99_factor" % token: 1.5 for token in SLOW})
LEAST = {"slow_%dx%dms_use" % token: 0.98 for token in SLOW}
LEAST["ledger_verify_per_s"] = 500000
OTHER_DATA, OTHER_PAIRS = 1000, 500  # objects that are not hsmint's
MILLION, MANY_AGENTS = 1000 * 1000, 100 * 1000
BATCH = 64  # requests in a batch
HURRY_MS, HURRIED_BY_MS = 30, 200  # a Deadline-Ms, and how long the token takes

PROCESSES = {"gate": "hsmint-gate", "mint": "hsmint", "token": "hsmint-token"}


def say(text):
    print(text, file=sys.stderr, flush=True)


def read(path):
    with open(path) as file:
        return file.read()


class Way:
    """One way to ask: its name in the JSON, its title, over TLS or the socket, of which service, how many at once."""

    def __init__(self, name, title, tls, self_check, items=1, grant=None):
        self.name, self.title, self.tls, self.self_check, self.items = name, title, tls, self_check, items
        self.grant = grant  # of a token endpoint; None: a mint request


WAYS = [Way("jwt_socket", "JWT, socket", False, "sampled"),
        Way("jwt_mtls", "JWT, mutual TLS", True, "sampled"),
        Way("batch", "JWT, batches of %d, socket" % BATCH, False, "sampled", BATCH),
        Way("client_credentials", "client credentials, mutual TLS", True, "sampled", grant="client_credentials"),
        Way("exchange", "token exchange, mutual TLS", True, "sampled",
            grant="urn:ietf:params:oauth:grant-type:token-exchange"),
        Way("jwt_checked", "JWT, socket, self_check: always", False, "always")]


# ---- the service ----

def processes_of(service):
    """The pids of each process's name: those of mint and of its children."""
    found = {name: [] for name in PROCESSES}
    for pid in [service.pid, *harness.children_of(service.pid)]:
        program = read("/proc/%d/comm" % pid).strip()
        for name, of in PROCESSES.items():
            if program == of:
                found[name].append(pid)
    if not all(found.values()):
        raise RuntimeError("not all of hsmint's processes are there: %s" % found)
    return found


def cpu_us(pid):
    """User and system time of all threads. The scheduler's account is exact; stat counts in hundredths of a second."""
    total = 0
    for task in os.listdir("/proc/%d/task" % pid):
        total += int(read("/proc/%d/task/%s/schedstat" % (pid, task)).split()[0])
    return total / 1000


def pss_mb(processes):
    """PSS of each process's name, None where the kernel does not let us look."""
    sizes = {}
    for name, pids in processes.items():
        try:
            rollups = [read("/proc/%d/smaps_rollup" % pid) for pid in pids]
        except PermissionError:
            return None
        sizes[name] = sum(int(re.search(r"\bPss:\s+(\d+) kB", text).group(1)) for text in rollups) / 1024
    return sizes


def start(directory):
    """A service, and the seconds until it was ready."""
    began = time.monotonic()
    service = harness.start_dev(directory)
    return service, time.monotonic() - began


def set_self_check(directory, value):
    path = os.path.join(directory, "hsmint.yaml")
    text, replaced = re.subn(r"self_check: \w+", "self_check: " + value, read(path))
    if replaced != 1:
        raise RuntimeError("%s: no self_check to set" % path)
    with open(path, "w") as config:
        config.write(text)


def check_credential(service, work):
    """That what is measured are credentials: one is verified by a program that is not ours."""
    answer = service.mint(scope="read write")
    if answer.status != 200:
        raise RuntimeError("minting: status %d: %s" % (answer.status, answer.body))
    harness.verify(answer.json["credential"], service.ask("GET", "/demo/.well-known/jwks.json").body, work)


# ---- measuring ----

def line_of(generator):
    line = generator.stdout.readline()
    if not line:
        raise RuntimeError("bench-load ended early")
    return line


def ideal_p99_us(servers, each_us, rate, count):
    """The same Poisson arrivals before servers that take exactly so long, and nothing else."""
    draw, now, free, took = random.Random(1), 0.0, [0.0] * servers, []
    for _ in range(max(count, 100000)):
        now += draw.expovariate(rate / 1e6)
        end = max(now, heapq.heappop(free)) + each_us
        heapq.heappush(free, end)
        took.append(end - now)
    took.sort()
    return took[int(len(took) * 0.99)]


class Bench:
    ways = WAYS

    def __init__(self, options, work):
        self.options, self.work = options, work
        self.services = {}   # by self_check
        self.figures = {}    # name → values, one of each round
        self.pss_idle, self.pss_load = None, None
        self.errors = 0

    def note(self, name, value):
        self.figures.setdefault(name, []).append(value)

    def note_pss(self, name, service):
        sizes = pss_mb(processes_of(service))
        self.figures[name] = [sum(sizes.values())] if sizes else None

    def of_tasks(self, figure):
        return ("million_tasks_" if self.options.tasks == MILLION else "many_tasks_") + figure

    def of_agents(self, figure):
        return ("agents_100k_" if self.options.agents == MANY_AGENTS else "agents_") + figure

    @staticmethod
    def spent_us(service):
        """CPU of all its processes so far."""
        return sum(cpu_us(pid) for pids in processes_of(service).values() for pid in pids)

    def program(self, name):
        return os.path.join(self.options.build, "bin", name)

    def start_services(self):
        """Start each service in a new directory, again in the same, and leave it running."""
        for self_check in ("sampled", "always"):
            for again in range(self.options.starts):
                directory = os.path.join(self.work, "%s-%d" % (self_check, again))
                service, seconds = start(directory)
                self.note("dev_cold_s", seconds)
                service.stop()
                set_self_check(directory, self_check)
                service, seconds = start(directory)
                self.note("dev_warm_s", seconds)
                if again + 1 < self.options.starts:
                    service.stop()
            self.services[self_check] = service
            service.directory = directory
        time.sleep(1)
        self.pss_idle = pss_mb(processes_of(self.services["sampled"]))
        for service in self.services.values():
            check_credential(service, self.work)

    def stop_services(self):
        for service in self.services.values():
            service.stop()

    def raw(self, directory, module, threads, **environment):
        """What a program gets out of the module that does nothing but sign."""
        result = subprocess.run(
            [self.program("bench-ceiling"), "--module", module, "--token", "hsmint-dev", "--key", "demo-access",
             "--pin-file", os.path.join(directory, "pin"), "--threads", str(threads),
             "--seconds", str(self.options.seconds / 3)], stdout=subprocess.PIPE, check=True, text=True,
            env={**os.environ, "SOFTHSM2_CONF": os.path.join(directory, "softhsm2.conf"), **environment})
        return json.loads(result.stdout)

    def ceiling(self):
        """CPU of a raw signature. Only while the service is idle: SoftHSM loses tokens when several start at once."""
        directory = self.services["sampled"].directory
        text = read(os.path.join(directory, "hsmint.yaml"))
        found = self.raw(directory, re.search(r"module: (\S+)", text).group(1), re.search(r"threads: (\d+)", text).group(1))
        self.note("raw_sign_us", found["cpu_us"])
        self.note("raw_sign_per_s", found["per_s"])
        self.figures["raw_threads"] = [found["threads"]]
        return found["cpu_us"]

    @staticmethod
    def form(service, grant):
        """A token request, and for an exchange a token that lives until the load is over."""
        form = {"grant_type": grant, "resource": harness.AUDIENCE, "scope": "read write"}
        if grant != "client_credentials":
            form["subject_token_type"] = "urn:ietf:params:oauth:token-type:access_token"
            form["subject_token"] = service.mint(scope="read write", lifetime=900).json["credential"]
        return urlencode(form)

    def load_command(self, way, service, connections, bodies=None):
        """`bodies`: a file of them, one a line, instead of the one of all other loads."""
        one = {"profile": "demo-access", "subject": harness.SUBJECT, "audience": harness.AUDIENCE, "scope": "read write"}
        path, body = "/v1/mint/jwt", json.dumps(one)
        if way.items > 1:
            path, body = "/v1/mint/batch", json.dumps({"requests": [dict(one, kind="jwt")] * way.items})
            connections = max(1, connections // 4)
        if way.grant:
            path, body = "/demo/oauth2/token", self.form(service, way.grant)
        where = ["--socket", service.socket]
        if way.tls:
            where = ["--connect", "localhost:%d" % service.port, "--cert", service.ready["cert"],
                     "--key", service.ready["key"], "--ca", service.ready["ca"]]
        return [self.program("bench-load"), *where, "--path", path, *(["--bodies", bodies] if bodies else ["--body", body]),
                "--credentials", str(way.items), "--connections", str(connections),
                "--seconds", str(self.options.seconds), "--warm-up", str(self.options.warm_up), "--pause"]

    def keep_pss(self, processes):
        sizes = pss_mb(processes)
        if sizes and (not self.pss_load or sum(sizes.values()) > sum(self.pss_load.values())):
            self.pss_load = sizes

    def load(self, way, service=None, connections=None, bodies=None):
        """CPU of one credential, in all and of each process; what the load generator says is noted."""
        service = service or self.services[way.self_check]
        connections = connections or self.options.connections
        processes = processes_of(service)

        def spent():
            return {name: sum(map(cpu_us, pids)) for name, pids in processes.items()}

        with subprocess.Popen(self.load_command(way, service, connections, bodies), stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as generator:
            time.sleep(self.options.warm_up / 2)
            self.keep_pss(processes)
            line_of(generator)
            before = spent()
            generator.stdin.write("\n")
            generator.stdin.flush()
            found = json.loads(line_of(generator))
            after = spent()
            self.keep_pss(processes)
            generator.stdin.close()
        if processes_of(service) != processes:
            raise RuntimeError("a process of hsmint was started anew during the measurement")
        if not found["requests"]:
            raise RuntimeError("no reply came over %s" % way.name)
        self.errors += found["errors"] + (generator.returncode != 0)
        found.update(requests=found["requests"] * way.items, per_s=found["per_s"] * way.items,
                     cpu_us=found["cpu_us"] / way.items)
        return found, {name: (after[name] - before[name]) / found["requests"] for name in processes}

    def note_load(self, way, found, cpu, raw):
        for name, value in cpu.items():
            self.note("%s_%s_us" % (way.name, name), value)
        self.note(way.name + "_cpu_us", sum(cpu.values()))
        self.note(way.name + "_ratio", sum(cpu.values()) / raw)
        self.note(way.name + "_client_us", found["cpu_us"])
        for member in ("requests", "errors", "per_s", "p50_us", "p99_us", "max_us"):
            self.note("%s_%s" % (way.name, member), found[member])

    def rounds(self):
        before = self.ceiling()
        for number in range(1, self.options.rounds + 1):
            ratios = []
            for way in WAYS:
                found, cpu = self.load(way)
                after = self.ceiling()
                self.note_load(way, found, cpu, (before + after) / 2)
                before = after
                ratios.append("%s %.2f" % (way.name, self.figures[way.name + "_ratio"][-1]))
            say("round %d of %d: raw %.1f µs; ratios: %s" % (number, self.options.rounds, before, ", ".join(ratios)))

    def hurry(self):
        """How late answers come to clients whose Deadline-Ms passes while the token works."""
        service = self.services["sampled"]
        service.command("dev", "ctl", "--control", service.control, "slow", "%dms" % HURRIED_BY_MS)
        late, lock, end = [], threading.Lock(), time.monotonic() + self.options.seconds

        def ask():
            connection = service.unix()
            while time.monotonic() < end:
                began = time.monotonic()
                answer = service.ask("POST", "/v1/mint/jwt", {
                    "profile": "demo-access", "subject": harness.SUBJECT, "audience": harness.AUDIENCE},
                    connection, {"Deadline-Ms": str(HURRY_MS)})
                took = time.monotonic() - began
                with lock:
                    self.errors += answer.status not in (503, 504)
                    if answer.status == 504: # others were told at once that they would wait too long
                        late.append(took * 1000 - HURRY_MS)
            connection.close()

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        service.command("dev", "ctl", "--control", service.control, "slow", "0ms")
        late.sort()
        self.note("deadline_late_p50_ms", late[len(late) // 2])
        self.note("deadline_late_p99_ms", late[int(len(late) * 0.99)])
        self.note("deadline_answers", len(late))

    def slow(self, parallel, ms):
        """A token that signs `parallel` at a time in `ms` each: how much of that it gets to do, and how long those wait who
        come when they come, beside a queue before as many servers that has no other cost."""
        capacity = parallel / ms * 1000
        directory = os.path.join(self.work, "slow-%d-%d" % (parallel, ms))
        start(directory)[0].stop()
        config = os.path.join(directory, "hsmint.yaml")
        module, slow = re.search(r"module: (\S+)", read(config)).group(1), self.options.build + "/lib/hsmint-fault.so"
        raw = self.raw(directory, slow, parallel, HSMINT_TEST_MODULE=module, HSMINT_TEST_TAKES=str(ms * 1000))
        harness.edit(config, "module: " + module, "module: " + slow)
        harness.edit(config, "threads: 1 ", "threads: %d " % parallel)
        harness.edit(config, "    environment:\n", "    environment:\n"
                     "      - {name: HSMINT_TEST_MODULE, value: %s}\n"
                     "      - {name: HSMINT_TEST_TAKES, value: \"%d\"}\n" % (module, ms * 1000))
        service = harness.start_serve(config, directory)
        try:
            command = [*self.load_command(WAYS[0], service, self.options.connections)[:-1]]
            command[command.index("--connections") + 1] = str(4 * parallel + 8)
            full = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout)
            rate = round(0.8 * capacity)
            command += ["--rate", str(rate)]
            command[command.index("--connections") + 1] = "500"
            queue = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout)
        finally:
            service.stop()
        name = "slow_%dx%dms" % (parallel, ms)
        self.errors += full["errors"] + queue["errors"]
        self.note(name + "_use", full["per_s"] / capacity)
        self.note(name + "_raw_use", raw["per_s"] / capacity)
        self.note(name + "_p99_us", queue["p99_us"])
        self.note(name + "_p99_factor", queue["p99_us"] / ideal_p99_us(parallel, ms * 1000, rate, queue["requests"]))

    def others(self):
        """What objects beside hsmint's own cost: at the start, and for each signature."""
        places = [os.path.join(self.work, name) for name in ("alone", "others")]
        for place in places:
            start(place)[0].stop()
        subprocess.run([sys.executable, "-B", os.path.join(HERE, "crowd.py"), places[1], str(OTHER_DATA), str(OTHER_PAIRS)],
                       check=True)
        starts, services = [[], []], []
        try:
            for _ in range(self.options.starts + 2):
                for service in services:
                    service.stop()
                services = []
                for place, seconds in zip(places, starts):
                    service, took = start(place)
                    services.append(service)
                    seconds.append(took)
            for number in range(max(2, self.options.rounds // 2)):
                cost = {}
                for service in services if number % 2 else services[::-1]:
                    cost[service] = sum(self.load(WAYS[0], service)[1].values())
                self.note("others_ratio", cost[services[1]] / cost[services[0]])
        finally:
            for service in services:
                service.stop()
        self.note("others_start_s", statistics.median(starts[1]) - statistics.median(starts[0]))

    def synced(self):
        """What it costs that each entry is on stable storage before its credential is released: against a service whose
        fdatasync does nothing. With so many connections that the cores have no time to spare; and with fewer, where both
        services wait, for other things and so at other prices."""
        services = []
        try:
            for name, preload in (("synced", ""), ("unsynced", os.path.join(self.options.build, "lib", "bench-nosync.so"))):
                directory = os.path.join(self.work, name)
                with unittest.mock.patch.dict(os.environ, LD_PRELOAD=preload):
                    services.append(start(directory)[0])
            for number in range(max(4, self.options.rounds)):
                for name, connections in (("ledger_cpu_factor", 4 * self.options.connections),
                                          ("ledger_cpu_waiting_factor", self.options.connections)):
                    cost = {}
                    for service in services if number % 2 else services[::-1]:
                        cost[service] = sum(self.load(WAYS[0], service, connections)[1].values())
                    self.note(name, cost[services[0]] / cost[services[1]])
        finally:
            for service in services:
                service.stop()

    def ledger(self):
        """How fast a ledger is verified."""
        directory, entries = os.path.join(self.work, "ledger"), self.options.entries
        key = subprocess.run([self.program("bench-ledger"), "--directory", directory, "--entries", str(entries)],
                             stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
        for _ in range(self.options.starts + 2):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([self.program("hsmint"), "ledger", "verify", directory, "--vkey", key],
                           stdout=subprocess.DEVNULL, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            self.note("ledger_verify_per_s", entries / spent)
        shutil.rmtree(directory)

    def begin(self):
        """How long a start takes on a ledger of many entries."""
        place, ledger = os.path.join(self.work, "long"), os.path.join(self.work, "long-ledger")
        start(place)[0].stop()
        config = os.path.join(place, "hsmint.yaml")
        harness.leave_unsigned(config)  # its checkpoint is of another key
        harness.edit(config, "origin: demo.test/ledger, directory: ledger", "origin: bench.test/ledger, directory: " + ledger)
        subprocess.run([self.program("bench-ledger"), "--directory", ledger, "--entries", str(self.options.start_entries)],
                       stdout=subprocess.DEVNULL, check=True)
        for _ in range(self.options.starts + 2):
            service, seconds = start(place)
            service.stop()
            self.note("ledger_start_10m_s" if self.options.start_entries == START_ENTRIES else "ledger_start_s", seconds)
        shutil.rmtree(ledger)

    def share(self):
        """How a tenant that asks little fares beside one that asks for more than ten times the capacity."""
        directory = os.path.join(self.work, "fair")
        harness.start_dev(directory).stop()
        service = fairness.start(directory)
        try:
            alone, beside, flood = fairness.measure(service, 4 * self.options.seconds)
        finally:
            service.stop()
        self.note("fair_p99_alone_ms", alone.p99_ms())
        self.note("fair_p99_beside_ms", beside.p99_ms())
        self.note("fair_p99_ratio", beside.p99_ms() / alone.p99_ms())
        self.note("fair_served", beside.served / beside.asked)
        self.note("fair_flood_asked_capacities", flood.asked / flood.seconds / fairness.CAPACITY)
        self.note("fair_flood_served_capacities", flood.served / flood.seconds / fairness.CAPACITY)

    def flat(self):
        """One object of plain members: medians, with _min and _max where the spread matters."""
        out = {"rounds": self.options.rounds, "seconds": self.options.seconds, "connections": self.options.connections,
               "start_entries": self.options.start_entries, "tasks": self.options.tasks, "agents": self.options.agents,
               "cores": os.cpu_count(), "errors": self.errors}
        for name, values in self.figures.items():
            if values is None:  # the kernel did not let us look
                out[name] = None
            elif name.endswith(("_requests", "_errors")):
                out[name] = sum(values)
            elif name.endswith("_max_us"):
                out[name] = max(values)
            else:
                out[name] = round(statistics.median(values), 3)
            if values and name.endswith(("_ratio", "_factor", "_cpu_us", "raw_sign_us", "_s")) and not name.endswith("_per_s"):
                out[name + "_min"], out[name + "_max"] = round(min(values), 3), round(max(values), 3)
        for when, sizes in (("idle", self.pss_idle), ("load", self.pss_load)):
            out["pss_%s_mb" % when] = round(sum(sizes.values()), 1) if sizes else None
            for name in PROCESSES:
                out["pss_%s_%s_mb" % (when, name)] = round(sizes[name], 1) if sizes else None
        return out


# ---- the table ----

def aim(flat, name):
    if name in LEAST:
        return "≥ %g  %s" % (LEAST[name], "met" if flat[name] >= LEAST[name] else "missed")
    if name not in AIMS:
        return ""
    met = "" if flat[name] is None else "met" if flat[name] <= AIMS[name] else "missed"
    return "≤ %g  %s" % (AIMS[name], met)


def row(flat, title, name, form, unit=""):
    value = "-" if flat[name] is None else form % flat[name] + unit
    spread = ""
    if name + "_min" in flat:
        spread = form % flat[name + "_min"] + "–" + form % flat[name + "_max"]
    print("%-44s %12s  %-15s %s" % (title, value, spread, aim(flat, name)))


def table(flat):
    print("%d rounds of %g s, %d connections, %d cores\n" % (flat["rounds"], flat["seconds"], flat["connections"],
                                                            flat["cores"]))
    print("%-44s %12s  %-15s %s" % ("", "median", "range", "aim"))
    row(flat, "raw C_Sign, %d threads: CPU" % flat["raw_threads"], "raw_sign_us", "%.1f", " µs")
    row(flat, "  signatures/s", "raw_sign_per_s", "%.0f")
    for way in WAYS:
        row(flat, "%s ÷ raw" % way.title, way.name + "_ratio", "%.2f")
        row(flat, "  CPU", way.name + "_cpu_us", "%.1f", " µs")
        row(flat, "  credentials/s", way.name + "_per_s", "%.0f")
        row(flat, "  p50", way.name + "_p50_us", "%.0f", " µs")
        row(flat, "  p99", way.name + "_p99_us", "%.0f", " µs")
        row(flat, "  max", way.name + "_max_us", "%.0f", " µs")
    row(flat, "answers past Deadline-Ms %d: late by, p50" % HURRY_MS, "deadline_late_p50_ms", "%.1f", " ms")
    row(flat, "  p99", "deadline_late_p99_ms", "%.1f", " ms")
    row(flat, "a tenant beside one asking %.0f × capacity:" % flat["fair_flood_asked_capacities"], "fair_served", "%.3f",
        " served")
    row(flat, "  p99 ÷ p99 alone", "fair_p99_ratio", "%.2f")
    row(flat, "  p99 alone", "fair_p99_alone_ms", "%.1f", " ms")
    row(flat, "  the other gets, of the capacity", "fair_flood_served_capacities", "%.2f")
    for parallel, ms in SLOW:
        name = "slow_%dx%dms" % (parallel, ms)
        row(flat, "a token of %d × %d ms: use" % (parallel, ms), name + "_use", "%.3f")
        row(flat, "  use by a program that only signs", name + "_raw_use", "%.3f")
        row(flat, "  p99 at 80 % of it", name + "_p99_us", "%.0f", " µs")
        row(flat, "  p99 ÷ ideal queue's", name + "_p99_factor", "%.2f")
    row(flat, "%d objects, %d key pairs more: CPU ÷ without" % (OTHER_DATA, OTHER_PAIRS), "others_ratio", "%.2f")
    row(flat, "  the start takes longer by", "others_start_s", "%.2f", " s")
    row(flat, "entries on stable storage: CPU ÷ without fdatasync", "ledger_cpu_factor", "%.2f")
    row(flat, "  with %d connections, where both wait" % flat["connections"], "ledger_cpu_waiting_factor", "%.2f")
    row(flat, "ledger verify: entries/s", "ledger_verify_per_s", "%.0f")
    for name in ("ledger_start_10m_s", "ledger_start_s"):
        if name in flat:
            row(flat, "hsmint dev, warm, on a ledger of %d entries" % flat["start_entries"], name, "%.2f", " s")
    for kind in ("million_tasks_", "many_tasks_"):
        if kind + "cpu_factor" in flat:
            title = "%d open tasks, %d agents" % (flat["tasks"], flat["agents"])
            row(flat, title + ": CPU ÷ ten", kind + "cpu_factor", "%.2f")
            row(flat, "  PSS", kind + "pss_mb", "%.0f", " MB")
    row(flat, "a mint that opens its task: p99 ÷ plain", "first_mint_p99_factor", "%.2f")
    row(flat, "  p99", "first_mint_p99_us", "%.0f", " µs")
    row(flat, "from a task's end to the list: p99", "revoke_to_status_p99_s", "%.2f", " s")
    row(flat, "  p50", "revoke_to_status_p50_s", "%.2f", " s")
    for kind in ("agents_100k_", "agents_"):
        if kind + "import_s" in flat:
            row(flat, "%d agents imported" % flat["agents"], kind + "import_s", "%.2f", " s")
    row(flat, "  CPU of each", "agent_import_cpu_us", "%.1f", " µs")
    row(flat, "PSS, idle", "pss_idle_mb", "%.1f", " MB")
    row(flat, "PSS, under load", "pss_load_mb", "%.1f", " MB")
    row(flat, "hsmint dev, cold", "dev_cold_s", "%.2f", " s")
    row(flat, "hsmint dev, warm", "dev_warm_s", "%.2f", " s")

    def cell(name):
        return "-" if flat[name] is None else "%.1f" % flat[name]

    print("\n%-44s %8s %8s %8s %11s" % ("", "gate", "mint", "token", "(generator)"))
    for way in WAYS:
        cells = [cell("%s_%s_us" % (way.name, name)) for name in (*PROCESSES, "client")]
        print("%-44s %8s %8s %8s %11s" % (way.title + ": CPU, µs", *cells))
    for when in ("idle", "load"):
        print("%-44s %8s %8s %8s" % ("PSS, %s, MB" % when, *[cell("pss_%s_%s_mb" % (when, n)) for n in PROCESSES]))
    print("\nreplies that failed: %d" % flat["errors"])


# ---- the command line ----

def positive(text):
    value = float(text)
    if not 0 < value < 3600:
        raise argparse.ArgumentTypeError("more than 0, less than 3600")
    return value


def count(text):
    value = int(text)
    if not 0 < value <= 1000:
        raise argparse.ArgumentTypeError("1 to 1000")
    return value


def parse():
    parser = argparse.ArgumentParser(prog="run.sh", description=DESCRIPTION, allow_abbrev=False,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="write the figures there too, as one flat object")
    parser.add_argument("--quick", action="store_true", help="every ratio in at most three minutes")
    parser.add_argument("--rounds", type=count, help="rounds (default 9, quick 4)")
    parser.add_argument("--seconds", type=positive, help="length of one load (default 5, quick 3); a ceiling: a third")
    parser.add_argument("--warm-up", type=positive, help="warm-up before each load (default 1, quick 0.5)")
    parser.add_argument("--starts", type=count, help="cold and warm starts of each service (default 3, quick 1)")
    parser.add_argument("--connections", type=count, default=16, help="keep-alive connections (default 16)")
    parser.add_argument("--entries", type=int, default=200000, help="of the ledger that is verified (default 200000)")
    parser.add_argument("--start-entries", type=int,
                        help="of the ledger that a start is measured with, some 7 GB for the 10,000,000 that are the "
                             "default; 0: none (quick)")
    parser.add_argument("--tasks", type=int, default=MILLION, help="open ones, beside ten (default 1000000)")
    parser.add_argument("--agents", type=int, default=MANY_AGENTS, help="with these (default 100000)")
    parser.add_argument("--build", metavar="DIR", default=os.path.join(REPOSITORY, "build", "release"),
                        help="measure this build as it is; without, build/release is built first")
    options = parser.parse_args()
    for name, whole, quick in (("rounds", 9, 4), ("seconds", 5, 3), ("warm_up", 1, 0.5), ("starts", 3, 1),
                               ("start_entries", START_ENTRIES, 0)):
        if getattr(options, name) is None:
            setattr(options, name, quick if options.quick else whole)
    options.build = os.path.abspath(options.build)
    return options


def measure(options):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what follows is cleaned up
    work = tempfile.mkdtemp(prefix="hsmint-bench-")
    bench = Bench(options, work)
    try:
        say("starting hsmint dev, cold and warm")
        bench.start_services()
        bench.rounds()
        bench.hurry()
        bench.share()
        bench.others()
        bench.synced()
        bench.ledger()
        governed.measure(bench)
        imported.measure(bench)
        if options.start_entries:
            bench.begin()
        for parallel, ms in SLOW:
            bench.slow(parallel, ms)
        return bench.flat()
    finally:
        bench.stop_services()
        shutil.rmtree(work, True)


def main():
    flat = measure(OPTIONS)
    table(flat)
    if OPTIONS.json:
        with open(OPTIONS.json, "w") as out:
            json.dump(flat, out, indent=2)
            out.write("\n")
    return 1 if flat["errors"] else 0


if __name__ == "__main__":
    OPTIONS = parse()
    os.environ["HSMINT_BUILD"] = OPTIONS.build
    sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))
    import fairness
    import governed
    import harness  # what the end-to-end tests share; it wants to know the build
    import imported
    try:
        sys.exit(main())
    except (AssertionError, RuntimeError, OSError, subprocess.CalledProcessError) as failure:
        say("bench: %s" % failure)
        sys.exit(1)
