#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A SoftHSM token behind p11-kit's server: hsmint speaks to another process, as to that of a network HSM.
# shellcheck source=hsm/provisioning.sh
. "$(dirname "$0")/../provisioning.sh"

usage() {
	echo "Usage: sh hsm/remote/provision.sh --dir DIR --label LABEL"
	echo
	echo "$common_options"
}

while [ $# -gt 0 ]; do
	common_option "$@"
	shift 2
done

need p11-kit
find_module p11-kit-modules /usr/lib/*/pkcs11/p11-kit-client.so
client=$module
make_directory
make_softhsm
echo "$softhsm" >"$dir/served-module"
finish
say "hsmint needs the server: sh hsm/remote/serve.sh --dir $dir"
snippet "$client" "P11_KIT_SERVER_ADDRESS=unix:path=$dir/p11-kit.sock" "HOME=$dir" <<END
    threads: 2
    self_check: sampled
    paths:
      - {path: $dir/p11-kit.sock}
END
