# shellcheck shell=bash
# What the scripts beside this file share; to be sourced. Sets ROOT, the checkout.
#
# A need is PACKAGE=PROBE. It is met if Debian's PACKAGE is installed, or if PROBE finds the same
# thing from elsewhere: cmd:NAME in PATH, pc:NAME for pkg-config, header:NAME for the compiler,
# or python:MODULE for some python3.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
STATE=$ROOT/.tallyd

# shellcheck disable=SC2034  # the lists are read by whoever sources this
{
	NEEDS_BUILD=(
		gcc=cmd:cc make=cmd:make pkg-config=cmd:pkg-config libc6-dev=header:stdlib.h
		libuv1-dev=pc:libuv libmicrohttpd-dev=pc:libmicrohttpd libhiredis-dev=pc:hiredis
		libsqlite3-dev=pc:sqlite3 libcjson-dev=pc:libcjson libinih-dev=pc:inih
		libsodium-dev=pc:libsodium uthash-dev=header:uthash.h libxxhash-dev=header:xxhash.h
		libcurl4-openssl-dev=pc:libcurl
	)
	# redis-tools and not redis-server: it holds the same server, see find_redis_server().
	NEEDS_RUN=(redis-tools=cmd:redis-cli curl=cmd:curl sqlite3=cmd:sqlite3)
	NEEDS_UNIT=(libcmocka-dev=pc:cmocka)
	# python3-pytest-xdist brings pytest, which runs several tests at a time with it.
	NEEDS_INTEGRATION=(
		python3=cmd:python3 python3-pytest-xdist=python:xdist "${NEEDS_RUN[@]}"
	)
	NEEDS_LINT=(
		clang-format=cmd:clang-format clang-tidy=cmd:clang-tidy cppcheck=cmd:cppcheck
		python3=cmd:python3 shellcheck=cmd:shellcheck
	)
	NEEDS_VALGRIND=(valgrind=cmd:valgrind)
	NEEDS_COVERAGE=(gcovr=cmd:gcovr)
}

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

have() {
	command -v "$1" >/dev/null 2>&1
}

cpus() {
	nproc 2>/dev/null || echo 2
}

# find_python MODULE: prints the first python3 that can import it.
find_python() {
	local python
	for python in python3 /usr/bin/python3; do
		if have "$python" && "$python" -c "import $1" >/dev/null 2>&1; then
			printf '%s\n' "$python"
			return 0
		fi
	done
	return 1
}

probe() {
	case $1 in
	cmd:*) have "${1#cmd:}" ;;
	pc:*) have pkg-config && pkg-config --exists "${1#pc:}" ;;
	header:*) have cc && cc -E -include "${1#header:}" -x c /dev/null >/dev/null 2>&1 ;;
	python:*) find_python "${1#python:}" >/dev/null ;;
	esac
}

# missing_packages NEED...: prints the packages of those that are not met.
missing_packages() {
	local installed=' ' name status need
	if have dpkg-query; then
		while read -r status name; do
			[ "$status" = ii ] && installed+="$name "
		done < <(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "${@%%=*}" 2>/dev/null)
	fi
	for need; do
		name=${need%%=*}
		case $installed in *" $name "*) continue ;; esac
		probe "${need#*=}" || printf '%s\n' "$name"
	done
}

# apt_install PACKAGE...: says so, then does it. Its output goes to a file, its errors are shown.
apt_install() {
	local log=$STATE/apt.log as_root=()
	if [ "$(id -u)" -ne 0 ]; then
		have sudo || die "these packages are missing and sudo is not there to install them; run as root: apt-get install $*"
		as_root=(sudo)
	fi
	as_root+=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120)

	echo "Installing with apt-get, which can take some minutes: $*"
	mkdir -p "$STATE"
	# An update that fails for one source is no reason to stop: the install decides.
	"${as_root[@]}" update >"$log" 2>&1 </dev/null || true
	if ! "${as_root[@]}" install -y --no-install-recommends "$@" >>"$log" 2>&1 </dev/null; then
		grep -E '^(E|W|Err|sudo):?' "$log" | sort -u | tail -n 5 >&2 || true
		die "apt-get could not install what is missing, most likely for want of network or permission; all it said is in $log"
	fi
}

# ensure_packages NEED...: installs what is missing. Silent, and without network, if nothing is.
ensure_packages() {
	local missing
	mapfile -t missing < <(missing_packages "$@" | sort -u)
	[ "${#missing[@]}" -gt 0 ] || return 0
	have apt-get ||
		die "this system has no apt-get; install what these Debian packages hold, and run this again: ${missing[*]}"
	apt_install "${missing[@]}"
}

# Prints a redis-server that works. Debian's package redis-server would start a service on port
# 6379 that stays; its program, though, is a link to one of redis-tools and goes by its name.
find_redis_server() {
	local server=$STATE/bin/redis-server
	if have redis-server; then
		command -v redis-server
		return 0
	fi
	have redis-check-rdb || return 1
	mkdir -p "$STATE/bin"
	ln -sfn "$(command -v redis-check-rdb)" "$server"
	case $("$server" --version 2>/dev/null) in
	Redis\ server*) printf '%s\n' "$server" ;;
	*) return 1 ;;
	esac
}

# Sets REDIS_SERVER; needs NEEDS_RUN to be met.
# shellcheck disable=SC2034  # read by whoever sources this
ensure_redis_server() {
	if ! REDIS_SERVER=$(find_redis_server); then
		have apt-get ||
			die "redis-server is not in PATH; install Redis and run this again"
		echo "Debian starts the package redis-server as a service on port 6379; to end that: systemctl disable --now redis-server"
		apt_install redis-server
		REDIS_SERVER=$(find_redis_server) || die "redis-server is still not in PATH after installing it"
	fi
}
