#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# 70-packages.t: make dist; what it has made is built without git in a Debian 12 chroot: make install, sign, deb
# and rpm. DKMS builds the module there, for a kernel and for the next one; packages are upgraded and downgraded;
# a guest loads the module by modules-load.d; removal leaves nothing.
#
# Usage: prove tests/70-packages.t
# Exit status: 0 if all tests passed, 1 otherwise.

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
# shellcheck source=tests/tap.sh
. tests/tap.sh

PACKAGES="debhelper dh-dkms dkms rpm rpmlint lintian procps openssl systemd"

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

#
# Versions and the tarball
#

# in_clone COMMAND...: in one whose next release is 9.9.9
in_clone() {
	(cd "$tmp/one" && "$@")
}

commit() {
	in_clone git -c user.name=toa -c user.email=toa@example.org commit -q -a -m test
}

# is PATTERN: the version of the clone matches
is() {
	in_clone scripts/version >"$tmp/version"
	cat "$tmp/version"
	grep -qxE "$1" "$tmp/version"
}

# refused TEXT: there is no tarball, for this reason
refused() {
	! in_clone scripts/dist "$tmp/refused" >"$tmp/why" 2>&1 && grep -F "$1" "$tmp/why" && [ -z "$(ls "$tmp/refused")" ]
}

# told: who looks into the tarball for the version finds it
told() (
	tar -C "$tmp" -xf "$tmp/one/build/toa-9.9.9.tar.gz" && cd "$tmp/toa-9.9.9" && grep -x 9.9.9 VERSION &&
		grep -x "Version: *9\.9\.9" packaging/toa.spec && grep "^toa (9\.9\.9) " packaging/debian/changelog &&
		grep -x 'PACKAGE_VERSION="9\.9\.9"' dkms.conf && [ "$(grep -cx '\.Os toa 9\.9\.9' man/*.[48] | grep -c ':1$')" -eq 2 ] &&
		! grep -r '@[A-Z]*@' dkms.conf packaging man
)

versions() {
	git -c safe.directory="*" clone -q . "$tmp/one" || return
	# As they are here, committed or not.
	cp scripts/version scripts/dist "$tmp/one/scripts/"
	cp Makefile dkms.conf "$tmp/one/"
	cp -R packaging man "$tmp/one/"
	echo "9.9.9~git" >"$tmp/one/VERSION"
	in_clone git add -A
	run "version: what is not committed is said" is '9\.9\.9~git[0-9]{8}\.[0-9]{6}\.[0-9a-f]{7}\.dirty'
	commit
	run "version: between releases it has the commit's time and name" is '9\.9\.9~git[0-9]{8}\.[0-9]{6}\.[0-9a-f]{7}'
	between=$(cat "$tmp/version")
	mkdir "$tmp/bare" && cp -R "$tmp/one/." "$tmp/bare/tree" && rm -rf "$tmp/bare/tree/.git"
	run "version: without git, what the file has" test "$("$tmp/bare/tree/scripts/version")" = 9.9.9~git
	(cd "$tmp/bare" && git init -q . && git add . && git -c user.name=toa -c user.email=toa@example.org commit -q -m test)
	run "version: another repository around it does not count" test "$("$tmp/bare/tree/scripts/version")" = 9.9.9~git
	run "dist: refused if CHANGELOG.md says nothing of the version" refused "no section '## 9.9.9"

	sed -i '0,/^## /s//## 9.9.9, not released yet\n\n- The one change.\n\n&/' "$tmp/one/CHANGELOG.md"
	echo 9.9.9 >"$tmp/one/VERSION"
	commit
	in_clone git tag v9.9.9
	run "version: of a tag, no more than its name" is '9\.9\.9'
	run "dist: refused if a release has no date" refused "no section '## 9.9.9, DATE'"
	sed -i 's/^## 9.9.9, not released yet/## 9.9.9, 2026-12-24/' "$tmp/one/CHANGELOG.md"
	commit
	run "version: behind the tag, more" is '9\.9\.9\+git[0-9]{8}\.[0-9]{6}\.[0-9a-f]{7}'
	run "version: dpkg sorts them, and the commits of a day" eval "
		dpkg --compare-versions '9.9.9~git20251231.235959.fffffff' lt '$between' &&
		dpkg --compare-versions '$between' lt 9.9.9 && dpkg --compare-versions 9.9.9 lt '$(cat "$tmp/version")' &&
		dpkg --compare-versions 9.9.9~git20261201.090000.fffffff lt 9.9.9~git20261201.100000.0000000"

	in_clone git tag -f v9.9.9 >/dev/null
	# Somebody else's clone, some time later.
	(umask 077 && git clone -q "$tmp/one" "$tmp/two" && touch "$tmp/two"/*.c)
	run "make dist" make -s -C "$tmp/one" dist
	run "make dist, in another clone" make -s -C "$tmp/two" dist
	run "dist: the same commit gives the same bytes" cmp "$tmp/one/build/toa-9.9.9.tar.gz" "$tmp/two/build/toa-9.9.9.tar.gz"
	run "dist: with what CHANGELOG.md says of it" test "$(cat "$tmp/one/build/toa-9.9.9.md")" = "- The one change."
	run "dist: everything in it has the version" told
}
versions

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
run "the tarball" scripts/dist "$tmp/dist"
tar -C "$tmp/mnt/toa" --strip-components=1 -xf "$tmp"/dist/toa-*.tar.gz
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

# The DKMS of another release.
if dir=$(scripts/kernel 7.3 2>"$tmp/log") && new=$(cat "$dir/chroot") &&
	locked "$new.apt" retry quietly in_chroot "$new" apt-get -y install dkms 2>"$tmp/log"; then
	mkdir "$tmp/upper13" "$tmp/work13"
	# shellcheck disable=SC2016
	unshare --mount --propagation private sh -c '
		. "$TOA_LIB"
		mount -t overlay -o "lowerdir=$1,upperdir=$2/upper13,workdir=$2/work13" overlay "$2/root" || exit 2
		in_chroot "$2/root" -b "$2/mnt" /mnt/toa/tests/packages/inside "$3" --bare' \
		sh "$new" "$tmp" "$(cat "$dir/release")" >"$tmp/tap" 2>"$tmp/err" </dev/null
	include "$tmp/tap"
	run "the report of Debian 13 is complete" test $? -eq 0
else
	diag "$tmp/log"
	lacking "packages, Debian 13" "its kernel or DKMS cannot be had"
fi

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
for script in packaging/debian/toa-dkms.prerm packaging/toa.spec; do
	run "$script keeps the loaded module: the way back of toactl upgrade" grep -q "toactl upgrade --prepare" "$script"
done
for script in packaging/debian/toa-dkms.postinst packaging/toa.spec; do
	run "$script upgrades the loaded module, unless it shall not" grep -q "/etc/toa-no-auto-upgrade" "$script"
done
run "a guest loads it at boot, through modules-load.d" scripts/vm --module none \
	--payload "$guest:out" --cmd "sh /toa/out/boot" 6.1
finish
