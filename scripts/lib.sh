# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0
#
# lib.sh: what the scripts share. To be sourced; defines functions and variables, does nothing.
#
# Environment:
#   TOA_CACHE   where chroots, kernels, images and builds are kept (default /var/cache/toa)

TOA_CACHE=${TOA_CACHE:-/var/cache/toa}

# A first run fetches and unpacks for minutes while another script waits for the result.
TOA_LOCK_WAIT=3600

# kernels: those to test on, from KERNELS; by default the one most backends run, and the newest
kernels() {
	echo "${KERNELS:-6.1 7.3}"
}

# kernels_known: false, with a sentence, if KERNELS names one that scripts/kernels does not have. To be
# called from the top of the tree.
kernels_known() {
	for kernels_name in $(kernels); do
		scripts/kernel --list | grep -qxF -e "${kernels_name%%,*}" || {
			say "KERNELS: '${kernels_name%%,*}' is not known; known are $(scripts/kernel --list | tr '\n' ' ')"
			return 1
		}
	done
}

# say TEXT...: progress, for whoever watches
say() {
	echo "${0##*/}: $*" >&2
}

die() {
	say "$@"
	exit 1
}

# quietly COMMAND...: its output is shown only if it fails
quietly() {
	quietly_log=$(mktemp) || return 1
	if "$@" >"$quietly_log" 2>&1 </dev/null; then
		rm -f "$quietly_log"
		return 0
	fi
	tail -n 30 "$quietly_log" >&2
	rm -f "$quietly_log"
	return 1
}

# retry COMMAND...: mirrors and networks have bad moments
retry() {
	for retry_pause in 2 10 30; do
		"$@" && return
		say "'$1' failed; once more in $retry_pause s"
		sleep "$retry_pause"
	done
	"$@"
}

# locked FILE COMMAND...: one at a time
locked() {
	locked_file=$1
	shift
	mkdir -p "${locked_file%/*}" || return 1
	(
		flock -w "$TOA_LOCK_WAIT" 9 || die "$locked_file: waited too long for the lock"
		"$@"
	) 9>"$locked_file"
}

#
# Packages of this machine
#

missing() {
	for missing_package; do
		case $(dpkg-query -W -f '${Status}' "$missing_package" 2>/dev/null) in
		*" installed") ;;
		*) printf ' %s' "$missing_package" ;;
		esac
	done
}

install_packages() {
	DEBIAN_FRONTEND=noninteractive quietly apt-get -y -o DPkg::Lock::Timeout=600 \
		--no-install-recommends install "$@"
}

update_and_install() {
	DEBIAN_FRONTEND=noninteractive quietly apt-get -o DPkg::Lock::Timeout=600 update
	install_packages "$@"
}

# need PACKAGE...: installs what is missing; false if that cannot be done
need() {
	need_missing=$(missing "$@")
	[ -z "$need_missing" ] && return
	say "installing$need_missing"
	# The first try spares the update where the lists are fresh.
	# shellcheck disable=SC2086
	install_packages $need_missing 2>/dev/null || retry update_and_install $need_missing
}

#
# Mirrors: whatever this machine uses itself
#

# configured_mirror LABEL: the address apt has for Debian, or for Debian-Security
configured_mirror() {
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
		sed -n "s,^$1 \(https\?://.*[^/]\)/*\$,\1,p" | head -n 1
}

# mirrors: sets mirror and security_mirror
mirrors() {
	mirror=$(configured_mirror Debian)
	security_mirror=$(configured_mirror Debian-Security)
	if [ -z "$mirror$security_mirror" ]; then
		retry quietly apt-get update
		mirror=$(configured_mirror Debian)
		security_mirror=$(configured_mirror Debian-Security)
	fi
	# The usual layout, where only one of the two is configured.
	case $mirror in
	*/debian) : "${security_mirror:=$mirror-security}" ;;
	esac
	case $security_mirror in
	*/debian-security) : "${mirror:=${security_mirror%-security}}" ;;
	esac
	# Not Debian, or no network source: what mmdebstrap would take.
	[ -n "$mirror" ] ||
		mirror=$(sed -n "s/.*my \$mirror *= '\(.*\)';.*/\1/p" "$(command -v mmdebstrap)" | head -n 1)
	[ -n "$mirror" ] || die "no Debian mirror is known; configure one for apt"
	: "${security_mirror:=$mirror-security}"
}

#
# The cache
#

# cached DIR STAMP FILE COMMAND...: makes DIR, unless it is there, was made by the same recipe (STAMP),
# and has FILE. COMMAND fills $build_dir, which becomes DIR if all went well.
cached() {
	cached_is_good "$1" "$2" "$3" || locked "$1.lock" cached_make "$@"
}

cached_is_good() {
	[ -s "$1/$3" ] && [ "$(cat "$1/.stamp" 2>/dev/null)" = "$2" ]
}

cached_make() {
	# Another script may have made it while this one waited for the lock.
	cached_is_good "$1" "$2" "$3" && return
	make_dir=$1
	make_stamp=$2
	make_file=$3
	build_dir=$1.new
	shift 3
	rm -rf "$build_dir" && mkdir -p "$build_dir" || return 1
	if "$@" && [ -s "$make_dir.new/$make_file" ]; then
		echo "$make_stamp" >"$make_dir.new/.stamp" &&
			rm -rf "$make_dir" && mv "$make_dir.new" "$make_dir"
	else
		rm -rf "$make_dir.new"
		say "$make_dir could not be made"
		return 1
	fi
}

#
# Build chroots: one per Debian release
#

CHROOT_RECIPE=1

# in_chroot ROOT [-b DIR] COMMAND...: DIR of this machine appears as /mnt. What is mounted lives in a
# mount namespace of its own and goes with the command, however it ends.
in_chroot() {
	chroot_root=$1
	shift
	chroot_bind=
	if [ "$1" = -b ]; then
		chroot_bind=$2
		shift 2
	fi
	# shellcheck disable=SC2016
	unshare --mount --propagation private sh -c '
		root=$1 bind=$2
		shift 2
		mount -t proc proc "$root/proc" || exit 1
		[ -z "$bind" ] || mount --bind "$bind" "$root/mnt" || exit 1
		exec chroot "$root" env -i HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive \
			PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
			${http_proxy:+"http_proxy=$http_proxy"} ${https_proxy:+"https_proxy=$https_proxy"} \
			"$@"' sh "$chroot_root" "$chroot_bind" "$@"
}

# chroot_for RELEASE: sets root to the build chroot of that release, made if need be
chroot_for() {
	root=$TOA_CACHE/chroot/$1
	if [ -e "$root/.stamp" ] && ! chroot "$root" make --version >/dev/null 2>&1; then
		say "$root is broken"
		rm -f "$root/.stamp"
	fi
	cached "$root" "$CHROOT_RECIPE" usr/bin/make chroot_make "$1"
}

chroot_make() {
	need mmdebstrap debian-archive-keyring || return 1
	mirrors
	say "making a chroot of $1 to build in"
	make_work=$(mktemp -d) || return 1
	chroot_sources "$1" >"$make_work/sources"
	chroot_apt_options >"$make_work/options"
	retry chroot_bootstrap "$1" "$build_dir" "$make_work"
	make_status=$?
	rm -rf "$make_work"
	return $make_status
}

chroot_sources() {
	echo "deb $mirror $1 main"
	echo "deb $security_mirror $1-security main"
	case $1 in
	trixie) echo "deb $mirror $1-backports main" ;;
	esac
}

# The index of an old release has passed its date, and nothing newer will replace it. Proxies are those
# of this machine.
chroot_apt_options() {
	echo 'Acquire::Check-Valid-Until "false";'
	echo 'Acquire::Retries "3";'
	echo 'Acquire::Languages "none";'
	echo 'APT::Install-Recommends "false";'
	apt-config dump | grep -E '^Acquire::https?::Proxy(::[^ ]*)? '
}

# arm64's packages are unpacked, never run.
chroot_bootstrap() {
	rm -rf "$2"
	quietly mmdebstrap --mode=root --variant=apt --architectures=amd64,arm64 \
		--include=make,gcc,libc6-dev --aptopt="$3/options" \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		"$1" "$2" "$3/sources" || return 1
	# mmdebstrap takes it out again, and kernels are installed later.
	cp -L /etc/resolv.conf "$2/etc/resolv.conf"
}
