#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Install the Debian packages that hsmint needs and this machine lacks.
# Usage: sh hsm/packages.sh build|run|test...
set -eu

build="gcc libc6-dev cmake ninja-build pkg-config libmicrohttpd-dev libgnutls28-dev libuv1-dev libjansson-dev
	libcyaml-dev libyaml-dev libseccomp-dev libssl-dev libp11-kit-dev libp11-dev libcurl4-openssl-dev
	libtss2-dev libsqlite3-dev libpq-dev zlib1g-dev"
run="softhsm2 jose openssl curl ca-certificates"
test="libcriterion-dev clang-format clang-tidy python3 python3-authlib python3-cryptography git opensc util-linux iproute2 tini
	procps p11-kit p11-kit-modules swtpm tpm2-tools libtpm2-pkcs11-1 libtss2-tcti-swtpm0 tpm2-abrmd libtss2-tcti-tabrmd0
	dbus-daemon libtpm2-pkcs11-tools strace postgresql"

wanted=""
for list in "$@"; do
	case "$list" in
	build) wanted="$wanted $build" ;;
	run) wanted="$wanted $run" ;;
	test)
		wanted="$wanted $test"
		command -v node >/dev/null 2>&1 || wanted="$wanted nodejs"
		command -v npm >/dev/null 2>&1 || wanted="$wanted npm"
		;;
	*)
		echo "packages.sh: build, run or test, not '$list'" >&2
		exit 2
		;;
	esac
done

missing=""
for package in $wanted; do
	state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
	[ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=""
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null 2>&1 || {
		echo "packages.sh: as root, please: apt-get install --no-install-recommends$missing" >&2
		exit 1
	}
	as_root=sudo
fi
echo "Installing Debian packages:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -q >&2
# shellcheck disable=SC2086 # a list of words
$as_root apt-get install -y -q --no-install-recommends $missing >&2
