#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# 70-packages.t: make install, sign, deb and rpm in a Debian 12 chroot; DKMS builds the module there, for
# a kernel and for the next one; a guest loads it by modules-load.d; removal leaves nothing.
#
# Usage: prove tests/70-packages.t
# Exit status: 0 if all tests passed, 1 otherwise.

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
# shellcheck source=tests/tap.sh
. tests/tap.sh

PACKAGES="debhelper dh-dkms dkms rpm rpmlint openssl systemd"

# All but those of toa_debug.c and toa_fault.c, which only a build for tests has.
names() {
	for file in toa_*.c; do
		case $file in
		toa_debug.c | toa_fault.c) ;;
		*) sed -n 's/^module_param[a-z_]*(\([a-z0-9_]*\),.*/\1/p' "$file" ;;
		esac
	done
}

# Each parameter is explained to those who look there.
for name in $(names); do
	run "parameter $name: packaging/toa.conf" grep -qE "^#options toa $name=" packaging/toa.conf
	run "parameter $name: toa(4)" grep -qE "^\.It Cm $name( |$)" man/toa.4
	run "parameter $name: doc/parameters.md" grep -qF "| \`$name\` |" doc/parameters.md
done

# Each line that the module writes into the kernel log, but those of debug=1: with ... where it varies.
# shellcheck disable=SC2016
perl -0777 -ne 'while (/pr_(?:err|warn|info)(?:_ratelimited)?\(\s*"((?:[^"\\]|\\.)*)\\n"/g) {
	$line = $1;
	$line =~ s/%(?:\.\*)?[a-z]+/.../g;
	print "$line\n";
}' toa_*.c | sort -u >"$tmp/lines"
sed -n 's/^\.It "\(.*\)"$/\1/p' man/toa.4 >"$tmp/items"
while IFS= read -r line; do
	explained=
	while IFS= read -r item; do
		case $line in
		*"$item"*) explained=1 ;;
		esac
	done <"$tmp/items"
	run "log line, $line: toa(4)" test -n "$explained"
done <"$tmp/lines"
run "there are such lines" test "$(wc -l <"$tmp/lines")" -gt 20

version=$(sed -n 's/^#define TOA_VERSION "\(.*\)"/\1/p' toa_main.c)
run "dkms.conf has the module's version" grep -qxF "PACKAGE_VERSION=\"$version\"" dkms.conf
run "debian/changelog has the module's version" grep -q "^toa ($version) " packaging/debian/changelog
run "toa.spec has the module's version" grep -qE "^Version: +$version$" packaging/toa.spec

if ! kernel=$(scripts/kernel 6.1 2>"$tmp/log") || ! other=$(scripts/kernel 6.1-generic 2>>"$tmp/log"); then
	diag "$tmp/log"
	lacking "packages" "the kernels cannot be had"
	finish
	exit
fi
root=$(cat "$kernel/chroot")
# shellcheck disable=SC2086
locked "$root.apt" retry quietly in_chroot "$root" apt-get -y install $PACKAGES || {
	lacking "packages" "their tools cannot be had"
	finish
	exit
}

# What happens in the chroot is written elsewhere, and the cache stays as it is.
mkdir -p "$tmp/upper" "$tmp/work" "$tmp/root" "$tmp/mnt/out"
mkdir "$tmp/mnt/toa"
git -c safe.directory="*" ls-files -co --exclude-standard | grep -v '^tests/unit/corpus/' |
	xargs -d '\n' cp --parents -t "$tmp/mnt/toa" 2>/dev/null
release=$(cat "$kernel/release")
export TOA_LIB="$PWD/scripts/lib.sh"
# shellcheck disable=SC2016
unshare --mount --propagation private sh -c '
	. "$TOA_LIB"
	mount -t overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" overlay "$2/root" || exit 2
	in_chroot "$2/root" -b "$2/mnt" /mnt/toa/tests/packages/inside "$3" "$4"' \
	sh "$root" "$tmp" "$release" "$(cat "$other/release")" >"$tmp/tap" 2>"$tmp/err" </dev/null
status=$?
if [ $status -eq 2 ]; then
	diag "$tmp/err"
	lacking "packages" "no overlay"
	finish
	exit
fi
include "$tmp/tap"
run "the report is complete" test $? -eq 0

# The program that loads modules at boot, with its libraries, in a guest.
guest=$tmp/mnt/out
mkdir -p "$guest/systemd"
# shellcheck disable=SC2016
in_chroot "$root" sh -c 'ldd /lib/systemd/systemd-modules-load | sed -n "s,.* \(/[^ ]*\) .*,\1,p"' >"$tmp/libraries"
while IFS= read -r library; do
	cp -L "$root$library" "$guest/systemd/"
done <"$tmp/libraries"
cp -L "$root/lib64/ld-linux-x86-64.so.2" "$root/lib/systemd/systemd-modules-load" "$guest/systemd/"
cat >"$guest/boot" <<-'END'
	cp -R /toa/out/lib/. /lib/ && cp -R /toa/out/etc/. /etc/ && mkdir -p /usr/lib && cp -R /toa/out/usr/lib/. /usr/lib/ || exit 1
	depmod
	/toa/out/systemd/ld-linux-x86-64.so.2 --library-path /toa/out/systemd /toa/out/systemd/systemd-modules-load
	dmesg | grep "TOA: .*toa load success" || exit 1
	# The same with a file as doc/install.md makes it.
	rmmod toa && dmesg -c >/dev/null && rm /usr/lib/modules-load.d/toa.conf && mkdir -p /etc/modules-load.d || exit 1
	echo toa > /etc/modules-load.d/toa.conf
	/toa/out/systemd/ld-linux-x86-64.so.2 --library-path /toa/out/systemd /toa/out/systemd/systemd-modules-load
	dmesg | grep "TOA: .*toa load success"
END
run "a guest loads it at boot, through modules-load.d" scripts/vm --module none \
	--payload "$guest:out" --cmd "sh /toa/out/boot" 6.1
finish
