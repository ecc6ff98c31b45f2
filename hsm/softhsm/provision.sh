#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A SoftHSM token: keys in files, encrypted with the PIN.
# shellcheck source=hsm/provisioning.sh
. "$(dirname "$0")/../provisioning.sh"

usage() {
	echo "Usage: sh hsm/softhsm/provision.sh --dir DIR --label LABEL"
	echo
	echo "$common_options"
}

while [ $# -gt 0 ]; do
	common_option "$@"
	shift 2
done

make_directory
make_softhsm
finish
snippet "$softhsm" "SOFTHSM2_CONF=$dir/softhsm2.conf" <<END
    threads: 1
    self_check: sampled
    paths:
      - {path: $dir/softhsm2.conf}
      - {path: $dir/tokens, write: true}
END
