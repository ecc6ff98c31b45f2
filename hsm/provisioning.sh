# SPDX-License-Identifier: Apache-2.0
# What hsm/softhsm, hsm/tpm and hsm/remote have in common; each provision.sh sources it. Secrets are made in files and
# read from files: none is ever an argument or in the environment.
# shellcheck shell=sh disable=SC2034 # variables of the scripts that source it
set -eu
umask 077

repository=$(cd "$(dirname "$0")/../.." && pwd)
hsmint=$(command -v hsmint || echo "$repository/build/release/bin/hsmint")
dir=""
label=""
provisioned=yes # until there is something to take away

say() { printf '%s\n' "$*" >&2; }
die() {
	say "$0: $*"
	exit 1
}

# An option that all scripts have, with its value.
common_option() {
	case "$1" in
	--help | -h) usage; exit 0 ;;
	--dir) dir=${2:?--dir needs a directory} ;;
	--label) label=${2:?--label needs a name} ;;
	--hsmint) hsmint=${2:?--hsmint needs a program} ;;
	*) usage >&2; exit 2 ;;
	esac
}

common_options='  --dir DIR        where the token lives; made with mode 0700. Run this as the user that hsmint runs as
  --label LABEL    the name of the token: 1 to 32 letters, digits, "-" and "_"
  --hsmint FILE    the program hsmint (default: the one in PATH, else build/release/bin/hsmint)

The tokens: section for hsmint.yaml goes to standard output. DIR/pin and DIR/so.pin get random PINs.'

# The first file that one of the patterns names.
find_module() {
	package=$1
	shift
	for module in "$@"; do # patterns, which the shell has expanded
		[ -r "$module" ] && return
	done
	die "not installed: apt-get install $package"
}

need() {
	for program in "$@"; do
		command -v "$program" >/dev/null || die "$program is not installed: sh hsm/packages.sh test"
	done
}

# No characters that YAML, a URL of p11-kit or a D-Bus address would read otherwise; short enough for a socket in it.
check_path() {
	case "$1" in
	*[!A-Za-z0-9/._-]*) die "choose another --dir: letters, digits, '.', '_' and '-' alone: $1" ;;
	esac
	[ "${#1}" -le 90 ] || die "choose a shorter --dir, at most 90 characters: $1"
}

stop_daemons() { :; } # hsm/tpm has some

end() {
	status=$?
	trap - EXIT INT TERM
	stop_daemons
	[ "$provisioned" = yes ] || rm -rf "${dir:?}"/* # it was empty before
	exit "$status"
}

make_pin() {
	head -c 18 /dev/urandom | base64 | tr '+/' 'Aa' >"$1" # no sign that a tool's arguments could begin with
}

# DIR, empty before, with a PIN for the user and one for the security officer.
make_directory() {
	[ -n "$dir" ] && [ -n "$label" ] || { usage >&2; exit 2; }
	case "$label" in
	*[!A-Za-z0-9_-]*) die "--label takes letters, digits, '-' and '_'" ;;
	esac
	[ "${#label}" -le 32 ] || die "--label takes at most 32 characters"
	[ -x "$hsmint" ] || die "$hsmint is not there: build it, or say --hsmint FILE"
	[ -d "$dir" ] || mkdir "$dir"
	dir=$(cd "$dir" && pwd)
	check_path "$dir"
	[ -z "$(ls -A "$dir")" ] || die "$dir is not empty: nothing was changed. A token in it stays as it is"
	chmod 700 "$dir"
	provisioned=no
	trap end EXIT
	trap 'exit 1' INT TERM
	make_pin "$dir/pin"
	make_pin "$dir/so.pin"
}

# A SoftHSM token in DIR.
make_softhsm() {
	find_module softhsm2 /usr/lib/softhsm/libsofthsm2.so /usr/lib64/softhsm/libsofthsm2.so
	softhsm=$module
	mkdir "$dir/tokens"
	printf '%s\n' "directories.tokendir = $dir/tokens" "objectstore.backend = file" "log.level = ERROR" >"$dir/softhsm2.conf"
	initialise "$softhsm" --environment "SOFTHSM2_CONF=$dir/softhsm2.conf"
}

# initialise MODULE [--environment NAME=VALUE]...
initialise() {
	module=$1
	shift
	"$hsmint" token init --module "$module" --label "$label" --pin "$dir/pin" --so-pin "$dir/so.pin" "$@"
}

# snippet MODULE NAME=VALUE..., and further lines on standard input
snippet() {
	cat <<END
tokens:
  - name: $label
    module: $1
    label: $label
    login: file
    pin: $dir/pin
    key_rights: manage
END
	cat
	echo "    environment:"
	shift
	for variable in "$@"; do
		printf '      - {name: %s, value: "%s"}\n' "${variable%%=*}" "${variable#*=}"
	done
}

finish() {
	provisioned=yes
	say "The token '$label' is in $dir. Take $dir/so.pin away and keep it elsewhere: the service does not need it."
}
