#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# 80-examples.t: the example servers in C, C++, Python, Go, Rust, Java and Node are built with Debian 12's
# compilers, and print their real clients in a guest.
#
# Usage: prove tests/80-examples.t
# Exit status: 0 if all tests passed or were skipped, 1 otherwise.

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
# shellcheck source=tests/tap.sh
. tests/tap.sh

COMPILERS="g++ golang-go rustc default-jdk-headless"

compilers() {
	chroot_for bookworm || return 1
	[ -x "$root/usr/bin/javac" ] && [ -x "$root/usr/bin/go" ] && [ -x "$root/usr/bin/rustc" ] &&
		[ -x "$root/usr/bin/g++" ] && return
	# Java's package fails without the directory.
	mkdir -p "$root/usr/share/man/man1"
	# shellcheck disable=SC2086
	locked "$root.apt" retry quietly in_chroot "$root" apt-get -y install $COMPILERS
}

built() {
	in_chroot "$root" -b "$tmp/mnt" sh -ec "cd /mnt/examples/$1; $2"
}

if ! compilers >"$tmp/log" 2>&1; then
	diag "$tmp/log"
	skip "examples" "their compilers cannot be had"
	finish
	exit
fi
mkdir "$tmp/mnt" && cp -R examples toa.h "$tmp/mnt"
silent "C: builds without a warning" built c "gcc -Wall -Wextra -Werror -O2 -I/mnt -o server server.c"
silent "C++: builds without a warning" built cpp "g++ -std=c++11 -Wall -Wextra -Werror -O2 -I/mnt -o server server.cpp"
silent "Go: vet is content" built go "HOME=/tmp CGO_ENABLED=0 go vet server.go"
silent "Go: builds" built go "HOME=/tmp CGO_ENABLED=0 go build server.go; gofmt -l server.go"
silent "Rust: builds without a warning" built rust "rustc -D warnings -A dead_code -O server.rs"
silent "Java: builds without a warning" built java "javac -Xlint:all -Werror Server.java"

mkdir "$tmp/lb" && cp tests/lb/*.[ch] tests/lb/Makefile tests/lb/topology.sh "$tmp/lb"
cp tests/examples/guest "$tmp/mnt/examples"
if need gcc libc6-dev make && quietly make -C "$tmp/lb" toa-lb &&
	module=$(scripts/build-module 6.1); then
	scripts/vm --root languages --module "$module" --payload "$tmp/lb:lb" --payload "$tmp/mnt/examples:examples" \
		--timeout 1200 --cmd /toa/examples/guest 6.1 >"$tmp/tap" 2>"$tmp/err" </dev/null
	if [ $? -eq 2 ]; then
		diag "$tmp/err"
		skip "the examples in a guest" "its parts cannot be had"
	else
		include "$tmp/tap"
		run "the guest's report is complete" test $? -eq 0
	fi
else
	skip "the examples in a guest" "its parts cannot be had"
fi
finish
