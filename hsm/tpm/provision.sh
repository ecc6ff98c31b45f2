#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A token of tpm2-pkcs11 in a TPM, whose lockout is set so that power cuts do not lock it.
# shellcheck source=hsm/provisioning.sh
. "$(dirname "$0")/../provisioning.sh"

tcti=device:/dev/tpmrm0
swtpm=no
max_tries=1000
recovery_time=1
lockout_recovery_time=1
lockout_auth=""

usage() {
	cat <<END
Usage: sh hsm/tpm/provision.sh --dir DIR --label LABEL [--tcti TCTI | --swtpm] [--lockout-auth FILE]
           [--max-tries N] [--recovery-time SECONDS] [--lockout-recovery-time SECONDS]

$common_options

  --tcti TCTI              how to reach the TPM, through a resource manager (default $tcti)
  --swtpm                  no TPM but a simulated one in DIR, for trying it out
  --lockout-auth FILE      the password of the TPM's lockout hierarchy, if it has one
  --max-tries N            failed authorisations until the TPM locks (default $max_tries)
  --recovery-time S        seconds after which one of them is forgotten (default $recovery_time)
  --lockout-recovery-time S
                           seconds that the lockout hierarchy stays locked after a wrong password (default $lockout_recovery_time)
END
}

while [ $# -gt 0 ]; do
	case "$1" in
	--swtpm) swtpm=yes; shift; continue ;;
	--tcti) tcti=${2:?--tcti needs a TCTI} ;;
	--lockout-auth) lockout_auth=${2:?--lockout-auth needs a file} ;;
	--max-tries) max_tries=${2:?--max-tries needs a number} ;;
	--recovery-time) recovery_time=${2:?--recovery-time needs seconds} ;;
	--lockout-recovery-time) lockout_recovery_time=${2:?--lockout-recovery-time needs seconds} ;;
	*) common_option "$@" ;;
	esac
	shift 2
done

# A TPM counts power cuts as failed authorisations. The parameters are the whole TPM's.
set_lockout() {
	TPM2TOOLS_TCTI=$tcti tpm2_dictionarylockout --setup-parameters --max-tries="$max_tries" \
		--recovery-time="$recovery_time" --lockout-recovery-time="$lockout_recovery_time" \
		${lockout_auth:+--auth="file:$lockout_auth"} >&2 ||
		die "the TPM at $tcti does not take the lockout's parameters. May $(id -un) use it (group tss)? Has its lockout \
hierarchy a password (--lockout-auth FILE)?"
}

simulator=""
stop_daemons() {
	[ -n "$simulator" ] || return 0
	kill "$simulator" 2>/dev/null || true
	wait "$simulator" || true
}

start_swtpm() {
	mkdir "$dir/state"
	mkfifo "$dir/ready"
	sh "$(dirname "$0")/swtpm.sh" --dir "$dir" >"$dir/ready" &
	simulator=$!
	read -r _ <"$dir/ready" || die "the simulated TPM did not start"
	rm "$dir/ready"
	export DBUS_SESSION_BUS_ADDRESS="unix:path=$dir/bus"
	tcti=tabrmd:bus_type=session
}

need tpm2_dictionarylockout
find_module libtpm2-pkcs11-1 /usr/lib/*/libtpm2_pkcs11.so.1
tpm2_pkcs11=$module
make_directory
[ "$swtpm" = no ] || start_swtpm
set_lockout
mkdir "$dir/store"
set -- "TPM2_PKCS11_STORE=$dir/store" "TPM2_PKCS11_TCTI=$tcti" "HOME=$dir" TSS2_LOG=all+none
[ "$swtpm" = no ] || set -- "$@" "DBUS_SESSION_BUS_ADDRESS=$DBUS_SESSION_BUS_ADDRESS"
variables="$*" # without spaces in any
for variable in $variables; do
	set -- "$@" --environment "$variable"
	shift
done
initialise "$tpm2_pkcs11" "$@"
finish
[ "$swtpm" = no ] || say "hsmint needs the simulated TPM: sh hsm/tpm/swtpm.sh --dir $dir"
# tpm2-pkcs11 finds the key that holds all others at 0x81000001, or makes it there.
paths="      - {path: $dir/store, write: true}"
case "$tcti" in
device:*) paths=$(printf '%s\n      - {path: %s, write: true}' "$paths" "${tcti#device:}") ;;
esac
# shellcheck disable=SC2086 # a list of words
snippet "$tpm2_pkcs11" $variables <<END
    threads: 1
    tpm_parent: 0x81000001
    paths:
$paths
END
