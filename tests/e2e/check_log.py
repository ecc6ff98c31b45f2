# SPDX-License-Identifier: Apache-2.0
"""Find broken promises in the log of what clients sent and got. It reads nothing but the log, one JSON object a line:

{"life": N}            a service began to serve: what was sent after this line is answered by it or by none
{"caller", "key", "body", "life", "sent", "got", "deadline", "items"}
                       a request: caller, Idempotency-Key or null, the body's text, the life in which it was sent, when
                       it was sent and answered (seconds on one clock), its Deadline-Ms or null, and for each credential
                       asked for {"status", "id", "credential", "replayed"}; a status of 0: no answer came
As a program: check_log.py LOG ALLOWANCE_SECONDS prints what is broken and ends with 1 if anything is.
"""
import json
import sys


def entries(path):
    with open(path) as log:
        for line in log:
            entry = json.loads(line)
            if "body" in entry:
                yield entry


def two_credentials(entries_of):
    """A live key gives one credential, however often it is asked for."""
    given = {}
    for entry in entries_of:
        for place, item in enumerate(entry["items"]):
            if entry["key"] is None or item["status"] != 200:
                continue
            name = (entry["life"], entry["caller"], entry["key"], place)
            first = given.setdefault(name, (item, entry["body"]))
            if first[0]["credential"] != item["credential"]:
                yield "two credentials for key %s, item %d: %s and %s" % (entry["key"], place, first[0]["id"], item["id"])
            if first[1] != entry["body"]:
                yield "two bodies were served under key %s" % entry["key"]


def twice_fresh(entries_of):
    """Of the answers for one key at most one says that it is the first."""
    fresh = set()
    for entry in entries_of:
        for place, item in enumerate(entry["items"]):
            if item["status"] != 200 or item["replayed"]:
                continue
            if item["id"] in fresh:
                yield "credential %s was given as new twice" % item["id"]
            fresh.add(item["id"])


def shared(entries_of):
    """A credential belongs to one request: to one key, or to one answer."""
    owner = {}
    for number, entry in enumerate(entries_of):
        for place, item in enumerate(entry["items"]):
            if item["status"] != 200:
                continue
            name = (entry["caller"], entry["key"], place) if entry["key"] else (number, place)
            if owner.setdefault(item["id"], name) != name:
                yield "credential %s went to two requests" % item["id"]


def late(entries_of, allowance):
    for entry in entries_of:
        if entry["deadline"] is None or not any(item["status"] for item in entry["items"]):
            continue
        over = entry["got"] - entry["sent"] - entry["deadline"] / 1000
        if over > allowance:
            yield "an answer came %.0f ms after its deadline of %d ms" % (over * 1000, entry["deadline"])


def credential_in_504(entries_of):
    for entry in entries_of:
        for item in entry["items"]:
            if item["status"] != 200 and item["credential"] is not None:
                yield "a reply of status %d holds a credential" % item["status"]


def broken(path, allowance):
    found = list(entries(path))
    return [*two_credentials(found), *twice_fresh(found), *shared(found), *late(found, allowance),
            *credential_in_504(found)]


if __name__ == "__main__":
    faults = broken(sys.argv[1], float(sys.argv[2]))
    print("\n".join(faults))
    sys.exit(1 if faults else 0)
