# SPDX-License-Identifier: Apache-2.0
"""What agents and tasks cost, many of them beside few; what a task that a mint opens costs; how soon an end is published."""
import base64
import json
import os
import subprocess
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import governed_store
import harness

FEW = 10
RATE = 300  # requests a second, at random moments
ENDING = 4  # clients that each complete one task after the other
KEPT_TO_END = 2000  # tasks that nobody else mints for
ENDED = 1  # what a list says of a place


def started_with(bench, name, agents, tasks):
    """A service with so many, and some of its tasks."""
    directory = os.path.join(bench.work, name)
    service = harness.start_dev(directory)
    kid = service.mint().json["kid"]
    service.stop()
    some = governed_store.fill(directory, kid, agents, tasks)
    return harness.start_dev(directory), some


def write_bodies(bench, name, requests):
    path = os.path.join(bench.work, name + ".bodies")
    with open(path, "w") as out:
        out.writelines(request + "\n" for request in requests)
    return path


def measure_cpu(bench, services, bodies):
    """CPU of a credential with many ÷ with few."""
    names = list(services)
    for number in range(max(4, bench.options.rounds)):
        cost = {}
        for name in names if number % 2 else names[::-1]:
            cost[name] = sum(bench.load(bench.ways[0], services[name], bodies=bodies[name])[1].values())
        bench.note(bench.of_tasks("cpu_factor"), cost["many"] / cost["few"])


# ---- a mint that opens its task ----

def p99_us(bench, service, bodies, *more):
    found = json.loads(subprocess.run(
        [*bench.load_command(bench.ways[0], service, 64, bodies)[:-1], "--rate", str(RATE), *more],
        stdout=subprocess.PIPE, check=True, text=True).stdout)
    bench.errors += found["errors"]
    return found["p99_us"]


def measure_first(bench, service, some, bodies):
    count = int(2 * RATE * (bench.options.seconds + bench.options.warm_up)) + 100
    for number in range(max(4, bench.options.rounds)):
        first = write_bodies(bench, "first", (
            governed_store.request(agent, {"ref": "first-%d-%d" % (number, i), "purpose": "answers a mail"})
            for i, (agent, _) in zip(range(count), some * (1 + count // len(some)))))
        plain_us, first_us = p99_us(bench, service, bodies), p99_us(bench, service, first, "--once")
        bench.note("plain_mint_p99_us", plain_us)
        bench.note("first_mint_p99_us", first_us)
        bench.note("first_mint_p99_factor", first_us / plain_us)


# ---- from an end to the list that says so ----

def says(service, connection, uri, index):
    """What the list says of a place; None: it is not there yet."""
    answer = service.ask("GET", "/" + uri.split("/", 3)[3], None, connection)
    if answer.status != 200:
        return None
    payload = json.loads(harness.unbase64(answer.body.split(b".")[1].decode()))
    text = payload["status_list"]["lst"]
    bits = zlib.decompress(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return bits[index // 4] >> index % 4 * 2 & 3


def end_tasks(service, tasks, until):
    """One after the other; how long each took."""
    took, connection = [], service.unix()
    while time.monotonic() < until:
        agent, task = tasks.pop()
        place = service.ask("POST", "/v1/mint/jwt", governed_store.request(agent, task), connection).json["status"]
        answer = service.ask("POST", "/v1/tasks/%s/complete" % task, {}, connection)
        began = time.monotonic()
        if answer.status != 200:
            raise RuntimeError("completing a task: %s" % answer.body)
        while says(service, connection, place["uri"], place["index"]) != ENDED:
            time.sleep(0.005)
        took.append(time.monotonic() - began)
    connection.close()
    return took


def measure_ends(bench, service, tasks, bodies):
    """While others mint."""
    seconds = max(6, 3 * bench.options.seconds)
    command = [*bench.load_command(bench.ways[0], service, 64, bodies)[:-1], "--rate", str(RATE)]
    command[command.index("--seconds") + 1] = str(seconds)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as generator:
        until = time.monotonic() + seconds
        with ThreadPoolExecutor(ENDING) as pool:
            took = sorted(sum(pool.map(lambda _: end_tasks(service, tasks, until), range(ENDING)), []))
        bench.errors += json.loads(generator.stdout.read())["errors"]
    bench.note("revoke_to_status_p50_s", took[len(took) // 2])
    bench.note("revoke_to_status_p99_s", took[int(len(took) * 0.99)])
    bench.note("revoke_to_status_ends", len(took))


def measure(bench):
    services, some, bodies = {}, {}, {}
    sizes = {"few": (FEW, FEW), "many": (min(bench.options.agents, bench.options.tasks), bench.options.tasks)}
    try:
        for name, (agents, tasks) in sizes.items():
            services[name], some[name] = started_with(bench, name, agents, tasks)
        to_end, some["many"] = some["many"][:KEPT_TO_END], some["many"][KEPT_TO_END:]
        for name in sizes:
            bodies[name] = write_bodies(bench, name, (governed_store.request(*one) for one in some[name]))
        measure_cpu(bench, services, bodies)
        measure_first(bench, services["many"], some["many"], bodies["many"])
        measure_ends(bench, services["many"], to_end, bodies["many"])
        bench.note_pss(bench.of_tasks("pss_mb"), services["many"])
    finally:
        for service in services.values():
            service.stop()
