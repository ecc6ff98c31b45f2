# SPDX-License-Identifier: Apache-2.0
"""How long the register takes to come in: agents of a file, with `hsmint agent import` over the control socket."""
import json
import os
import time

import harness

REVIEW_SECONDS = 90 * 24 * 60 * 60


def write_agents(path, count):
    review = int(time.time()) + REVIEW_SECONDS
    with open(path, "w") as out:
        for number in range(count):
            out.write(json.dumps({
                "spiffe_id": "spiffe://demo.test/fleet/%06d" % number, "owner": "owner-%d@example.org" % (number % 100),
                "contact": "oncall@example.org", "purpose": "answers the mail of region %d" % number, "review": review}) + "\n")


def measure(bench):
    path, count = os.path.join(bench.work, "agents.jsonl"), bench.options.agents
    write_agents(path, count)
    for number in range(bench.options.starts):
        service = harness.start_dev(os.path.join(bench.work, "import-%d" % number))
        try:
            before, began = bench.spent_us(service), time.monotonic()
            said = harness.run([bench.program("hsmint"), "agent", "import", path, "--control", service.control]).stdout
            took = time.monotonic() - began
            if said != "%d added, 0 unchanged\n" % count:
                raise RuntimeError("importing agents: " + said)
            bench.note(bench.of_agents("import_s"), took)
            bench.note("agent_import_cpu_us", (bench.spent_us(service) - before) / count)
        finally:
            service.stop()
