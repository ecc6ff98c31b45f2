#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# From a fresh Debian 12 to a first credential: build hsmint, run it on a SoftHSM token, mint, and verify what was
# minted with a program that is not ours.
set -eu

usage() {
	cat <<'END'
Usage: sh hsm/quickstart.sh [--once] [--dir DIR] [--port N]

  --once      stop after the first credential was checked; the exit status says whether it was good
  --dir DIR   where the service keeps its token, keys and configuration (default: run)
  --port N    the TLS port on 127.0.0.1 (default: any free one)

Missing Debian packages are installed, with sudo when not root. Nothing else lasting is written outside this
repository and DIR.
END
}

say() { printf '%s\n' "$*" >&2; }

once=no
port=0
repository=$(cd "$(dirname "$0")/.." && pwd)
dir=$repository/run
while [ $# -gt 0 ]; do
	case "$1" in
	--once) once=yes ;;
	--dir) dir=${2:?--dir needs a directory}; shift ;;
	--port) port=${2:?--port needs a number}; shift ;;
	--help | -h) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
	esac
	shift
done

work=$(mktemp -d)
service=""
end() {
	status=$?
	trap - EXIT INT TERM
	if [ -n "$service" ]; then
		kill "$service" 2>/dev/null || true
		wait "$service" 2>/dev/null || true
	fi
	rm -rf "$work"
	exit "$status"
}
trap end EXIT
trap 'exit 0' INT TERM

say "1/4 Packages"
sh "$repository/hsm/packages.sh" build run

say "2/4 Building (build/release)"
testing=OFF
[ -e "$repository/build/release/CMakeCache.txt" ] && testing=$(sed -n 's/^BUILD_TESTING:BOOL=//p' "$repository/build/release/CMakeCache.txt")
(cd "$repository" && cmake --preset release -DBUILD_TESTING="${testing:-OFF}" && cmake --build --preset release) \
	>"$work/build.log" 2>&1 || {
	cat "$work/build.log" >&2
	exit 1
}
bin=$repository/build/release/bin

say "3/4 Starting hsmint dev in $dir"
mkfifo "$work/ready"
"$bin/hsmint" dev --dir "$dir" --port "$port" --ready-fd 3 3>"$work/ready" 2>"$work/service.log" &
service=$!
read -r ready <"$work/ready" || {
	cat "$work/service.log" >&2
	say "hsmint dev did not start"
	exit 1
}
member() { printf '%s' "$ready" | sed -n "s/.*\"$1\":\"\\([^\"]*\\)\".*/\\1/p"; }
socket=$(member socket)
url=$(member url)
ca=$(member ca)
cert=$(member cert)
key=$(member key)
jwks=$(member jwks)

say "4/4 Minting the first credential and verifying it with jose"
subject=spiffe://demo.test/agent/first
audience=https://api.demo.test
token=$("$bin/hsmint" mint jwt --socket "$socket" --profile demo-access --subject "$subject" --audience "$audience" \
	--scope "read write")
printf '%s' "$token" >"$work/token"
curl -sS --fail --cacert "$ca" "$jwks" >"$work/jwks.json"
header=$(printf '%s' "${token%%.*}" | jose b64 dec -i-)
kid=$(printf '%s' "$header" | sed -n 's/.*"kid":"\([^"]*\)".*/\1/p')

# The key in the set whose thumbprint is the credential's kid must verify it.
jose jwk thp -i "$work/jwks.json" -a S256 -f "$kid" -o "$work/key.jwk" || {
	say "No key in the JWKS has the thumbprint $kid"
	exit 1
}
payload=$(jose jws ver -i "$work/token" -k "$work/key.jwk" -O-) || {
	say "jose does not verify the credential"
	exit 1
}

cat <<END
A credential for $subject, signed in the token, verified by jose from $jwks:

$token

header   $header
payload  $payload

END
[ "$once" = no ] || exit 0
cat <<END
Try next, in another terminal:

  $bin/hsmint mint jwt --socket $socket --profile demo-svid --subject $subject --audience $audience --json

  curl --unix-socket $socket http://localhost/v1/mint/jwt -H 'Content-Type: application/json' -d '{"profile":"demo-access","subject":"$subject","audience":"$audience","scope":"read"}'

  curl --cacert $ca --cert $cert --key $key $url/v1/mint/jwt -H 'Content-Type: application/json' -d '{"profile":"demo-access","subject":"$subject","audience":"$audience","lifetime":60}'

END
say "Serving until Ctrl-C."
status=0
wait "$service" || status=$?
service=""
tail -n 20 "$work/service.log" >&2
say "hsmint dev ended (status $status); what it said last stands above"
exit 1
