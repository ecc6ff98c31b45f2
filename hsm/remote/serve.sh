#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Serve the token that hsm/remote/provision.sh made, in the foreground, until SIGTERM or Ctrl-C.
# Usage: sh hsm/remote/serve.sh --dir DIR
set -eu

[ $# = 2 ] && [ "$1" = --dir ] || { sed -n '4s/^# *//p' "$0" >&2; exit 2; }
dir=$(cd "$2" && pwd)
module=$(cat "$dir/served-module")

rm -f "$dir/p11-kit.sock"
export SOFTHSM2_CONF="$dir/softhsm2.conf"
exec p11-kit server -f --name "$dir/p11-kit.sock" --provider "$module" pkcs11:
