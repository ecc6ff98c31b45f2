#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Run the simulated TPM of a directory that hsm/tpm/provision.sh --swtpm made, in the foreground, until SIGTERM or Ctrl-C.
# Usage: sh hsm/tpm/swtpm.sh --dir DIR
# Prints "ready" when it answers. swtpm stands for the TPM, tpm2-abrmd for the kernel's resource manager.
set -eu

[ $# = 2 ] && [ "$1" = --dir ] || { sed -n '4s/^# *//p' "$0" >&2; exit 2; }
dir=$(cd "$2" && pwd)
bus=unix:path=$dir/bus

exec 9>"$dir/swtpm.lock"
flock -w 10 9 || { echo "the simulated TPM in $dir runs already" >&2; exit 1; }
rm -f "$dir/bus" "$dir/swtpm" "$dir/swtpm.ctrl" "$dir/swtpm.pid"

tools() {
	DBUS_SESSION_BUS_ADDRESS=$bus TPM2TOOLS_TCTI=tabrmd:bus_type=session TSS2_LOG=all+none "$@"
}

# A TPM that is told before its power goes does not count that as a failed authorisation.
end() {
	trap - EXIT INT TERM
	tools tpm2_shutdown -c >/dev/null 2>&1 || true
	# shellcheck disable=SC2086 # a list of words
	kill $started 2>/dev/null || true
	wait
}
started=""
trap end EXIT
trap 'exit 0' INT TERM

# Wait, for ten seconds at most, until a command succeeds.
until_done() {
	tries=0
	until "$@" >/dev/null 2>&1; do
		tries=$((tries + 1))
		[ "$tries" -le 200 ] || { echo "the simulated TPM in $dir does not start: $*" >&2; exit 1; }
		sleep 0.05
	done
}

swtpm socket --tpm2 --tpmstate "dir=$dir/state" --server "type=unixio,path=$dir/swtpm" \
	--ctrl "type=unixio,path=$dir/swtpm.ctrl" --flags not-need-init,startup-clear --pid "file=$dir/swtpm.pid" \
	>/dev/null 2>&1 & # it has a line for each command
started="$started $!"
dbus-daemon --session --nofork --address="$bus" >&2 &
started="$started $!"
until_done test -S "$dir/swtpm.ctrl"
until_done test -S "$dir/bus"
DBUS_SESSION_BUS_ADDRESS=$bus tpm2-abrmd --allow-root --session --flush-all --tcti="swtpm:path=$dir/swtpm" >&2 &
started="$started $!"
until_done tools tpm2_getrandom --hex 4
echo ready
wait
