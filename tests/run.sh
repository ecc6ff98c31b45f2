#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Everything a developer or CI runs: builds, tests, sanitizers, format, install, quickstart.
#   sh tests/run.sh [--quick | --long]
#   --quick  release build and its tests, format check: some seven minutes on two cores
#   --long   as always, with longer fuzzing and the fault tests twenty times over: about an hour more
set -u

repository=$(cd "$(dirname "$0")/.." && pwd)
usage() { sed -n '3,6s/^# *//p' "$0"; }
mode=whole
case "${1:-}" in
"") ;;
--quick) mode=quick ;;
--long) mode=long; export HSMINT_LONG=1 ;;
--help | -h) usage; exit 0 ;;
*) usage >&2; exit 2 ;;
esac
cd "$repository" || exit 1

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

say() { printf '%s\n' "$*"; }

# Run one step; its output is shown when it fails.
step() {
	name=$1
	shift
	began=$(date +%s)
	if "$@" >"$work/step.log" 2>&1; then
		passed=$((passed + 1))
		say "ok    $name ($(($(date +%s) - began)) s)"
	else
		failed=$((failed + 1))
		say "FAIL  $name ($(($(date +%s) - began)) s)"
		tail -n 200 "$work/step.log"
	fi
}

build() {
	cmake --preset "$1" -DBUILD_TESTING=ON && cmake --build --preset "$1"
}

# A sanitizer's report counts even when the process that made it was expected to die; but not that the search for leaks
# at a process's end found it killed meanwhile, which is all that such a report says.
suites() {
	reports=$work/reports-$1
	mkdir -p "$reports"
	ASAN_OPTIONS=log_path=$reports/asan:detect_leaks=1 \
		UBSAN_OPTIONS=log_path=$reports/ubsan:print_stacktrace=1 \
		TSAN_OPTIONS=log_path=$reports/tsan:halt_on_error=1:second_deadlock_stack=1:suppressions=$repository/tests/tsan.supp \
		LSAN_OPTIONS=suppressions=$repository/tests/lsan.supp:print_suppressions=0 \
		ctest --preset "$1" --no-tests=error >"$work/ctest.log" 2>&1
	status=$?
	cat "$work/ctest.log"
	for report in "$reports"/*; do
		[ -e "$report" ] && grep -qv 'Unable to get registers from thread' "$report" || continue
		status=1
		say "--- $report"
		cat "$report"
	done
	return $status
}

# Count each test of ctest, instead of the suite as one.
run_suites() {
	began=$(date +%s)
	suites "$1" >"$work/suites.log" 2>&1
	status=$?
	bad=$(sed -n 's/.*tests passed, \([0-9]*\) tests failed out of.*/\1/p' "$work/suites.log" | tail -1)
	all=$(sed -n 's/.*tests failed out of \([0-9]*\).*/\1/p' "$work/suites.log" | tail -1)
	[ "$status" = 0 ] || [ "${bad:-0}" != 0 ] || bad=1
	passed=$((passed + ${all:-0} - ${bad:-0}))
	failed=$((failed + ${bad:-1}))
	say "$([ "$status" = 0 ] && echo 'ok  ' || echo FAIL)  tests of $1: ${all:-0} ($(($(date +%s) - began)) s)"
	[ "$status" = 0 ] || tail -n 400 "$work/suites.log"
}

format() {
	git ls-files '*.c' '*.h' | xargs clang-format --dry-run --Werror
}

licence() {
	git ls-files | grep -v '\.json$' | while read -r file; do # JSON has no comments
		head -n 3 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' || echo "$file: no SPDX line"
	done >"$work/licence"
	cat "$work/licence"
	[ ! -s "$work/licence" ]
}

# gcc's options that clang does not know are in the compile commands, too.
tidy() {
	git ls-files 'src/*.c' 'hsm/*.c' | xargs -P "$(nproc)" -n 8 clang-tidy -p build/release --quiet \
		--extra-arg=-Wno-unknown-warning-option
}

shell_syntax() {
	git ls-files '*.sh' '.ci/run' | while read -r file; do sh -n "$file" || echo "$file" >>"$work/syntax"; done
	[ ! -e "$work/syntax" ]
}

# The program that README shows, built and run as it says there, must print a credential.
readme_program() {
	PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name hsmint.pc)")
	export PKG_CONFIG_PATH
	[ "$("$work/prefix/bin/hsmint" --version)" = "hsmint $(pkg-config --modversion hsmint)" ] || return 1
	sed -n '/^```c$/,/^```$/p' README.md | sed '1d;$d' >"$work/mint.c"
	# shellcheck disable=SC2046 # a list of words
	cc -Wall -Wextra -Werror -o "$work/mint" "$work/mint.c" $(pkg-config --cflags --libs hsmint) || return 1
	(cd "$work" && LD_LIBRARY_PATH=$(pkg-config --variable=libdir hsmint) ./mint) >"$work/credential"
	status=$?
	cat "$work/credential"
	[ "$status" = 0 ] && grep -qE '^eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$' "$work/credential"
}

# What is installed works from where it is installed.
installed() {
	cmake --install build/release --prefix "$work/prefix" || return 1
	mkfifo "$work/ready"
	"$work/prefix/bin/hsmint" dev --dir "$work/run" --ready-fd 3 3>"$work/ready" &
	service=$!
	read -r ready <"$work/ready"
	"$work/prefix/bin/hsmint" mint jwt --socket "$work/run/hsmint.sock" --profile demo-access \
		--subject spiffe://demo.test/agent/installed --audience https://api.demo.test &&
		readme_program
	status=$?
	kill "$service"
	wait "$service"
	return $status
}

quickstart() {
	(cd tests/quickstart && python3 -B -m unittest -v test_quickstart)
}

# Faults come at another moment each time.
faults() {
	ctest --preset release --no-tests=error -R '^(e2e-supervision|token-program-)' --repeat until-fail:20
}

sh hsm/packages.sh build run test || exit 1
step "format" format
step "licence" licence
step "shell syntax" shell_syntax
step "build release" build release
run_suites release
if [ "$mode" != quick ]; then
	step "clang-tidy" tidy
	step "install" installed
	step "quickstart" quickstart
	[ "$mode" != long ] || step "faults, twenty times over" faults
	for sanitizer in asan tsan; do
		step "build $sanitizer" build "$sanitizer"
		run_suites "$sanitizer"
	done
fi
say "$passed passed, $failed failed"
[ "$failed" = 0 ]
