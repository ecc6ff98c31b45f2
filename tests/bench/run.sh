#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The bench: builds the release and runs bench.py, which says what it measures: sh tests/bench/run.sh --help
set -eu

repository=$(cd "$(dirname "$0")/../.." && pwd)
build=yes
for argument in "$@"; do
	case "$argument" in
	--build | --build=* | --help | -h) build=no ;;
	esac
done

if [ "$build" = yes ]; then
	sh "$repository/hsm/packages.sh" build run test
	log=$(mktemp)
	trap 'rm -f "$log"' EXIT
	echo "Building (build/release)" >&2
	(cd "$repository" && cmake --preset release -DBUILD_TESTING=ON && cmake --build --preset release \
		--target hsmint hsmint-gate hsmint-token bench-ceiling bench-load bench-ledger bench-nosync hsmint-fault) >"$log" 2>&1 || {
		cat "$log" >&2
		exit 1
	}
	trap - EXIT
	rm -f "$log"
fi
exec /usr/bin/python3 -B "$repository/tests/bench/bench.py" "$@"
