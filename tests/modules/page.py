# SPDX-License-Identifier: Apache-2.0
"""The compatibility table of docs/hsm.md: what stands in it must be what was measured."""
import os
import re

from harness import read, run

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "hsm.md")
ALGORITHMS = ["ES256", "ES384", "RS256", "PS256", "Ed25519"]
ROWS = [*ALGORITHMS, "evidence", "an imported key", "an extractable key", "an attribute rewritten", "ten power cuts",
        "standing still", "the ledger's anchor"]


def table():
    """The rows of the page's first table: their cells, by what stands in the first."""
    lines = re.search(r"(?m)(^\|.*\n)+", read(PAGE)).group(0).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {first: rest for first, *rest in [cells[0], *cells[2:]]}


def column_of(package):
    """Which column has the installed version of the package in its heading."""
    version = run(["dpkg-query", "-W", "-f", "${Version}", package]).stdout
    upstream = re.match(r"(?:\d+:)?([\d.]+)", version).group(1)
    found = [number for number, heading in enumerate(table()[""]) if heading.startswith(package_name(package) + " " + upstream)]
    if len(found) != 1:
        raise AssertionError("docs/hsm.md has no column for %s %s" % (package_name(package), upstream))
    return found[0]


def package_name(package):
    return {"softhsm2": "SoftHSM", "libtpm2-pkcs11-1": "tpm2-pkcs11"}.get(package, package)
