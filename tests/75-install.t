#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# 75-install.t: README's row for Debian works as printed, in a bare chroot of each release; and make says
# what to do where the headers, or the kernel's compiler, are missing.
#
# Usage: prove tests/75-install.t
# Environment: RELEASES="NAME..." (default: bullseye bookworm trixie)
# Exit status: 0 if all tests passed, 1 otherwise.

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
# shellcheck source=tests/tap.sh
. tests/tap.sh

bare_make() {
	need mmdebstrap debian-archive-keyring || return 1
	mirrors
	say "making a bare chroot of $1"
	chroot_sources "$1" >"$tmp/sources"
	chroot_apt_options >"$tmp/options"
	quietly mmdebstrap --mode=root --variant=apt --architectures=amd64 --aptopt="$tmp/options" \
		"$1" "$build_dir" "$tmp/sources" || return 1
	cp -L /etc/resolv.conf "$build_dir/etc/resolv.conf"
}

# says TEXT: a build that fails has this in one line
says() {
	! make -C /mnt/toa >"$tmp/said" 2>&1 && grep -F -e "$1" "$tmp/said"
}

# What happens inside, with this tree at /mnt/toa. In a chroot uname names this machine's kernel: there is
# another one that names the newest kernel of the release, as on a machine that was updated.
inside() {
	quietly retry apt-get update || return 1
	apt-cache show --no-all-versions linux-headers-amd64 >"$tmp/packages"
	release=$(sed -n 's/^Depends:.*linux-headers-\([0-9][^ ,]*-amd64\).*/\1/p' "$tmp/packages" | sort -V | tail -n 1)
	run "a kernel of the release: $release" test -n "$release"
	printf '#!/bin/sh\n[ "$*" = -r ] && exec echo %s\nexec /bin/uname "$@"\n' "$release" >/usr/local/bin/uname
	chmod +x /usr/local/bin/uname
	run "there is no compiler yet" sh -c '! command -v gcc && ! command -v make'
	run "README's command" sh -c "yes | $1"
	run "make" make -C /mnt/toa
	run "toa.ko is for this kernel" grep -q "vermagic=$release " /mnt/toa/toa.ko
	make -C /mnt/toa clean >/dev/null 2>&1

	compiler=$(readlink -f "$(command -v gcc)")
	mv "$compiler" "$compiler.away"
	package=$(dpkg -S "$compiler" | sed 's/:.*//; s/-x86-64-linux-gnu$//')
	run "without the compiler, $package, make says so" says "install $package, "
	mv "$compiler.away" "$compiler"

	rm "/lib/modules/$release/build"
	run "without headers make says so" says "apt-get install linux-headers-$release"
	sed -n 's/^TOA: .*: \(apt-get .*\)$/\1 --reinstall/p' "$tmp/said" >"$tmp/command"
	run "what it says helps: $(cat "$tmp/command")" sh -c "yes | $(cat "$tmp/command")"
	run "make, again" make -C /mnt/toa
}

if [ "${1:-}" = --inside ]; then
	inside "$2"
	finish
	exit
fi

# shellcheck disable=SC2016
command=$(sed -n 's/^| Debian | `\(.*\)` |$/\1/p' README.md)
run "README.md has a row for Debian" test -n "$command"
for release in ${RELEASES:-bullseye bookworm trixie}; do
	if ! cached "$TOA_CACHE/bare/$release" "$CHROOT_RECIPE" usr/bin/apt-get bare_make "$release" 2>"$tmp/log"; then
		diag "$tmp/log"
		lacking "$release" "a bare chroot cannot be had"
		continue
	fi
	work=$tmp/$release
	mkdir -p "$work/upper" "$work/work" "$work/root" "$work/mnt/toa"
	git -c safe.directory="*" ls-files -co --exclude-standard | grep -v '^tests/unit/corpus/' |
		xargs -d '\n' cp --parents -t "$work/mnt/toa" 2>/dev/null
	# shellcheck disable=SC2016
	unshare --mount --propagation private sh -c '
		. scripts/lib.sh
		mount -t overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" overlay "$2/root" &&
			in_chroot "$2/root" -b "$2/mnt" sh /mnt/toa/tests/75-install.t --inside "$3"' \
		sh "$TOA_CACHE/bare/$release" "$work" "$command" >"$tmp/tap" 2>"$tmp/err" </dev/null
	sed -i "s/^\(\(not \)\{0,1\}ok [0-9]* - \)/\1$release: /" "$tmp/tap"
	include "$tmp/tap"
	run "$release: the report is complete" test $? -eq 0 || diag "$tmp/err"
	rm -rf "$work"
done
finish
