#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# 10-build.t: the module builds for each kernel without a word from the compiler, modpost, W=1 or
# sparse.
#
# Usage: prove tests/10-build.t
# Environment: KERNELS="NAME..." (see scripts/kernels; default: 6.1 and the newest)
# Exit status: 0 if all tests passed or were skipped, 1 otherwise.

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
# shellcheck source=tests/tap.sh
. tests/tap.sh

# build NAME KERNEL MAKE-ARGUMENT...
build() {
	name=$1
	shift
	scripts/build-module "$@" >"$tmp/ko" 2>"$tmp/log" </dev/null
	case $? in
	0) ok "$name" ;;
	2)
		diag "$tmp/log"
		skip "$name" "the kernel or its tools cannot be had"
		;;
	*)
		not_ok "$name"
		diag "$tmp/log"
		return 1
		;;
	esac
}

# info FIELD VALUE: the field of the module built last begins with the value
info() {
	case $(modinfo -F "$1" "$(cat "$tmp/ko")") in
	"$2"*) ;;
	*) return 1 ;;
	esac
}

# described DEFAULT TEXT: the text tells the default, and how far numbers may go
described() {
	# Nothing is said in words.
	case $1,$2 in
	empty,*"default empty"[!a-z]* | empty,*"default none"[!a-z]*) ;;
	*,*"default $1"[!0-9a-z]*) ;;
	*) return 1 ;;
	esac
	case $2 in
	*"(uint)") echo "$2" | grep -qE '\([0-9]+ to [0-9]+, ' ;;
	esac
}

# The parameters of the module built last are those of README's table, and each is described.
parameters() {
	modinfo -p "$(cat "$tmp/ko")" | sort >"$tmp/parameters"
	# shellcheck disable=SC2016
	sed -n '/^### Parameters/,/^## /s/^| `\([a-z0-9_]*\)` | \([^ |]*\) |.*/\1 \2/p' README.md |
		sort >"$tmp/readme"
	[ -s "$tmp/readme" ] || return 1
	sed 's/ .*//' "$tmp/readme" >"$tmp/names"
	sed 's/:.*//' "$tmp/parameters" | diff "$tmp/names" - || return 1
	while read -r name default; do
		text=$(grep "^$name:" "$tmp/parameters")
		described "$default" "$text" || {
			echo "default $default: $text"
			return 1
		}
	done <"$tmp/readme"
}

# refused OPTION: the sources, told that the kernel lacks it, do not build, and say why
refused() {
	rm -rf "$tmp/src" && mkdir "$tmp/src" && cp toa*.[ch] Kbuild Makefile "$tmp/src/" &&
		sed -i "s/^#ifndef CONFIG_64BIT\$/#undef CONFIG_$1\n&/" "$tmp/src/toa_compat.h" || return 1
	! SRC=$tmp/src scripts/build-module "$2" >"$tmp/ko" 2>"$tmp/refused" || return 1
	grep -m 1 "#error \"TOA: " "$tmp/refused"
}

case " $(kernels) " in
*" 6.1 "*)
	for option in 64BIT KRETPROBES NETFILTER PROC_FS; do
		run "without CONFIG_$option: refused with a sentence" refused "$option" 6.1
	done
	;;
esac

for kernel in $(kernels); do
	# Another way to boot a kernel that has, or will have, its turn.
	case $kernel in
	*,*) continue ;;
	esac
	if ! dir=$(scripts/kernel "$kernel" 2>"$tmp/log"); then
		diag "$tmp/log"
		skip "$kernel: build" "the kernel cannot be had"
		continue
	fi
	build "$kernel: builds without a warning" "$kernel" || continue
	run "$kernel: modinfo: for this kernel" info vermagic "$(cat "$dir/release") "
	run "$kernel: modinfo: GPL" info license GPL
	run "$kernel: modinfo: depends on no other module" test -z "$(modinfo -F depends "$(cat "$tmp/ko")")"
	run "$kernel: modinfo: each parameter, with its default, as in README" parameters
	build "$kernel: W=1 is silent" "$kernel" W=1
	build "$kernel: sparse is silent" "$kernel" C=2 CF=-D__CHECK_ENDIAN__
	build "$kernel: DEBUG=1 builds without a warning" "$kernel" DEBUG=1
done

finish
