# SPDX-License-Identifier: Apache-2.0
"""The entries of a ledger's directory, read as docs/ledger.md says it is laid out; their hashes are not looked at."""
import json
import os
import struct

SEGMENT_HEAD, HASH = 20, 32


def entries_of_bundle(data):
    while data:
        length, = struct.unpack(">H", data[:2])
        yield data[2:2 + length]
        data = data[2 + length:]


def bundles_of(shard):
    top = os.path.join(shard, "tile", "entries")
    paths = [os.path.relpath(os.path.join(folder, name), top) for folder, _, names in os.walk(top) for name in names]
    for path in sorted(path for path in paths if not path.endswith(".new")):
        with open(os.path.join(top, path), "rb") as file:
            yield path, file.read()


def segment_of(shard):
    """The frames of the segment: the first entry's index, and their entries. What is behind them is left out: zeros
    that are yet to be written over, or one that a crash has torn."""
    with open(os.path.join(shard, "segment"), "rb") as file:
        data = file.read()
    while len(data) >= SEGMENT_HEAD:
        magic, length, first, _ = struct.unpack(">4sIQI", data[:SEGMENT_HEAD])
        if magic != b"HSL1" or len(data) < SEGMENT_HEAD + length + HASH:
            return
        yield first, list(entries_of_bundle(data[SEGMENT_HEAD:SEGMENT_HEAD + length]))
        data = data[SEGMENT_HEAD + length + HASH:]


def entries(ledger, shard=1):
    """Every entry of a shard, in order, as a dictionary."""
    directory = os.path.join(ledger, str(shard))
    found = [entry for _, bundle in bundles_of(directory) for entry in entries_of_bundle(bundle)]
    for first, more in segment_of(directory):
        found[first:] = more
    return [json.loads(entry) for entry in found]


def of_type(ledger, *types, shard=1):
    return [entry for entry in entries(ledger, shard) if entry["type"] in types]


def counted(ledger, shard=1):
    """What the ledger's counts add up to: by key and by what was signed."""
    sums = {}
    for entry in of_type(ledger, "counts", shard=shard):
        for item in entry["signed"]:
            place = item["kid"], item["what"]
            sums[place] = sums.get(place, 0) + item["count"]
    return sums
