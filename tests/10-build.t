#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# 10-build.t: the module builds for each kernel without a word from the compiler, modpost, W=1 or
# sparse; with 6.1 also: the oldest and the newest compilers that are packages take it, it has nothing that
# older ones lack, and it refuses kernels that it cannot work on.
#
# Usage: prove tests/10-build.t
# Environment: KERNELS="NAME..." (see scripts/kernels; default: 6.1 and the newest)
# Exit status: 0 if all tests passed, 1 otherwise.

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
		lacking "$name" "the kernel or its tools cannot be had"
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

# apart: what all processors write on the path of a connection shares no cache line with anything else, and
# what they only read stands together
apart() {
	objdump -t "$(cat "$tmp/ko")" | perl -ane '
		BEGIN {
			%alone = map { $_ => 1 } qw(locks pool toa_entry_count toa_handshake_kept);
			%read = map { $_ => 1 } qw(cache hash_key many many_work set_count set_slots sets
				toa_debug toa_hash_factor toa_hash_seed toa_option_rules toa_segments
				toa_syn_slots toa_table toa_table_max toa_trust);
			%missing = (%alone, %read);
		}
		my ($section, $size, $name) = @F[-3 .. -1];
		next unless $section =~ /^\.(data|bss|data\.\.read_mostly)$/ && hex $size;
		delete $missing{$name};
		print "$name is in $section\n" if $read{$name} && $section !~ /read_mostly/;
		for my $line (int(hex($F[0]) / 64) .. int((hex($F[0]) + hex($size) - 1) / 64)) {
			my $other = $on{$section, $line};
			print "$name and $other share a line\n"
				if $other && ($alone{$name} || $alone{$other});
			$on{$section, $line} = $name;
		}
		END { print "there is no $_\n" for keys %missing }' >"$tmp/apart"
	cat "$tmp/apart"
	[ ! -s "$tmp/apart" ]
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

# The parameters of the module built last are those of doc/parameters.md, and each is described.
parameters() {
	modinfo -p "$(cat "$tmp/ko")" | sort >"$tmp/parameters"
	# shellcheck disable=SC2016
	sed -n '/^## All parameters/,/^## `/s/^| `\([a-z0-9_]*\)` | \([^ |]*\) |.*/\1 \2/p' doc/parameters.md |
		sort >"$tmp/page"
	[ -s "$tmp/page" ] || return 1
	sed 's/ .*//' "$tmp/page" >"$tmp/names"
	sed 's/:.*//' "$tmp/parameters" | diff "$tmp/names" - || return 1
	while read -r name default; do
		text=$(grep "^$name:" "$tmp/parameters")
		described "$default" "$text" || {
			echo "default $default: $text"
			return 1
		}
	done <"$tmp/page"
}

#
# Kernels that the module must not be built for
#

# sources: a copy of the module's, in $tmp/src
sources() {
	rm -rf "$tmp/src" && mkdir "$tmp/src" && cp toa*.[ch] Kbuild Makefile "$tmp/src/"
}

# refused OPTION: the sources, told that the kernel lacks it, do not build, and say why
refused() {
	sources && sed -i "s/^#ifndef CONFIG_64BIT\$/#undef CONFIG_$1\n&/" "$tmp/src/toa_compat.h" || return 1
	! SRC=$tmp/src scripts/build-module "$2" >"$tmp/ko" 2>"$tmp/refused" || return 1
	grep -m 1 "#error \"TOA: " "$tmp/refused"
}

# changed KERNEL HEADER NAME...: HEADER, in $tmp/headers, has functions or operations of these names
# without their first argument, or with another one before it if there is one only
changed() {
	changed_in=$(sed -n 's,^include \(.*\)/Makefile$,\1,p' "$root$headers/Makefile")/include
	mkdir -p "$tmp/headers/${1%/*}" && cp "$root$changed_in/$1" "$tmp/headers/$1" || return 1
	changed_header=$tmp/headers/$1
	shift
	for changed_name; do
		cp "$changed_header" "$tmp/before"
		perl -0pi -e "s/\\b$changed_name(\\)?)\\s*\\(\\s*(?:const )?struct \\w+ \\*\\w+,\\s*/$changed_name\$1(/
			or s/\\b$changed_name(\\)?)\\s*\\(\\s*(?=struct sock \\*sk\\);)/$changed_name\$1(int added, /" \
			"$changed_header" && ! cmp -s "$tmp/before" "$changed_header" || return 1
	done
}

# with_changed KERNEL: builds with what is in $tmp/headers in the place of the kernel's own
with_changed() {
	# shellcheck disable=SC2016
	unshare --mount --propagation private sh -c '
		cd "$2" && find . -type f >"$3/list" && cd "$OLDPWD" || exit 2
		while IFS= read -r header; do
			mount --bind "$2/$header" "$1/$header" || exit 2
		done <"$3/list"
		exec scripts/build-module "$4" "TOA_TEST=$(cat "$2"/*/* | sha256sum)"' \
		sh "$root$changed_in" "$tmp/headers" "$tmp" "$1" >"$tmp/ko" 2>"$tmp/refused" </dev/null
}

# prototypes KERNEL: functions, and operations, that have other arguments stop the build with a sentence
prototypes() {
	root=$(cat "$dir/chroot") headers=$(cat "$dir/headers")
	rm -rf "$tmp/headers"
	run "$1: headers with other functions" eval '
		changed net/inet_common.h inet_sock_destruct inet_getname && changed net/ipv6.h inet6_getname &&
		changed net/tcp.h tcp_disconnect tcp_v4_syn_recv_sock tcp_check_req tcp_conn_request tcp_v4_conn_request \
			tcp_rcv_established'
	with_changed "$1"
	for function in inet_sock_destruct tcp_disconnect inet_getname inet6_getname tcp_v4_syn_recv_sock \
		tcp_check_req tcp_conn_request tcp_v4_conn_request tcp_rcv_established; do
		run "$1: $function() with other arguments: refused with a sentence" \
			grep -m 1 "error: .*TOA: the arguments of $function() are not known" "$tmp/refused"
	done
	rm -rf "$tmp/headers"
	run "$1: headers with other operations" eval '
		changed net/sock.h disconnect && changed linux/net.h getname &&
		changed net/inet_connection_sock.h syn_recv_sock conn_request'
	with_changed "$1"
	for function in mptcp_disconnect inet_getname inet6_getname tcp_v6_syn_recv_sock tcp_v6_conn_request; do
		run "$1: an operation such as $function() with other arguments: refused with a sentence" \
			grep -m 1 "error: .*TOA: the arguments of $function() are not known" "$tmp/refused"
	done
	sed -n '/^const char \*const toa_target_symbol/,/^}/s/.*"\(.*\)".*/\1/p' toa_target.c >"$tmp/hooked"
	run "there are hooked functions" test "$(wc -l <"$tmp/hooked")" -gt 10
	while IFS= read -r function; do
		run "toa_prototypes.c knows $function()" grep -qE "(KNOWN\\(| )${function}[,(]" toa_prototypes.c
	done <"$tmp/hooked"
}

#
# Compilers
#

# newest KERNEL NAME: the newest compiler of that name which is a package of the kernel's release
newest() {
	in_chroot "$(cat "$(scripts/kernel "$1")/chroot")" apt-cache pkgnames "$2-" | grep -xE "$2-[0-9]+" |
		sort -V | tail -n 1
}

compilers() {
	build "5.10: the oldest compiler that is a package, gcc-9: builds without a warning" 5.10 CC=gcc-9
	for compiler in gcc clang; do
		compiler_name=$(newest 7.3 "$compiler" 2>"$tmp/log")
		if [ -n "$compiler_name" ]; then
			build "7.3: the newest $compiler that is a package, $compiler_name: builds without a warning" \
				7.3 "CC=$compiler_name"
		else
			diag "$tmp/log"
			lacking "7.3: the newest $compiler that is a package" "none can be had"
		fi
	done
}

# What gcc 9 takes without a word. Read without comments and strings.
# shellcheck disable=SC2016
DIALECT='
	s,/\*.*?\*/|//[^\n]*,,gs;
	s/"(\\.|[^"\\\n])*"/""/g;
	$text = $_;
	$found = /\b(__auto_type|__has_\w+|__builtin_\w+_overflow|__VA_OPT__|fallthrough)\b/;
	# Members of unions and structs without a name can be set by name from gcc 4.6 on.
	while (/\b(?:union|struct)\s*\{([^{}]*)\}\s*;/g) {
		$members = $1;
		$found ||= $text =~ /[{,]\s*\.$_\s*=/ for $members =~ /(\w+)\s*[,;[]/g;
	}'

# dialect: what tests/dialect.list has is noticed, in files of its own, and the module has nothing of the
# kind. One build shows both.
dialect() {
	sources || return
	objects=
	while IFS="$(printf '\t')" read -r name code; do
		case $name in
		'' | '#'*) continue ;;
		esac
		printf '#include "toa_compat.h"\n%b\n' "$code" >"$tmp/src/plant-$name.c"
		objects="$objects plant-$name.o"
	done <tests/dialect.list
	sed -i "s/^toa-y := /&$objects /" "$tmp/src/Kbuild"
	SRC=$tmp/src scripts/build-module 5.10 CC=gcc-9 -k \
		KCFLAGS="-Wc99-c11-compat -Wc11-c2x-compat" >"$tmp/ko" 2>"$tmp/dialect" </dev/null
	if [ $? -ne 1 ]; then
		diag "$tmp/dialect"
		lacking "the dialect of old compilers" "gcc-9 cannot be had"
		return
	fi
	{
		# All that came after C99, but for what gcc 4.6 has; all errors.
		sed -nE '
			/Wc99-c11-compat|Wc11-c2x-compat/{/_Static_assert|unnamed structs/d;}
			s,^ *(/mnt/)?((toa|plant)[a-z0-9_-]*\.[ch]):[0-9:]+ (error:.*|warning:.*(Wc99-c11-compat|Wc11-c2x-compat|Wdeclaration-after-statement).*),\2: \4,p
			s,^.*\*\*\* \[[^]]* (/mnt/)?([a-z0-9_-]*)\.o\] Error.*,\2.c: does not compile,p' "$tmp/dialect"
		(cd "$tmp/src" && perl -0777 -ne "$DIALECT"' print "$ARGV: $&\n" if $found' toa*.[ch] plant-*.c)
	} | sort -u >"$tmp/noticed"
	for object in $objects; do
		run "in the dialect of old compilers, ${object%.o} is noticed" grep "^${object%.o}\.c: " "$tmp/noticed"
	done
	grep -v "^plant-" "$tmp/noticed" >"$tmp/in-module"
	silent "the module keeps to the dialect of old compilers" cat "$tmp/in-module"
	for file in toa_*.c; do
		case $file in
		toa_debug.c | toa_fault.c | toa_probe.c) continue ;;
		esac
		run "the dialect of $file was looked at" grep -q "CC \[M\] .*[ /]${file%.c}\.o" "$tmp/dialect"
	done
}

need_known_kernels
case " $(kernels) " in
*" 6.1 "*)
	for option in 64BIT KRETPROBES NETFILTER PROC_FS; do
		run "without CONFIG_$option: refused with a sentence" refused "$option" 6.1
	done
	if dir=$(scripts/kernel 6.1 2>"$tmp/log"); then
		prototypes 6.1
	else
		diag "$tmp/log"
		lacking "prototypes" "the kernel cannot be had"
	fi
	compilers
	dialect
	;;
esac

for kernel in $(kernels); do
	# Another way to boot a kernel that has, or will have, its turn.
	case $kernel in
	*,*) continue ;;
	esac
	if ! dir=$(scripts/kernel "$kernel" 2>"$tmp/log"); then
		diag "$tmp/log"
		lacking "$kernel: build" "the kernel cannot be had"
		continue
	fi
	build "$kernel: builds without a warning" "$kernel" || continue
	run "$kernel: what connections write has cache lines of its own" apart
	run "$kernel: modinfo: for this kernel" info vermagic "$(cat "$dir/release") "
	run "$kernel: modinfo: GPL" info license GPL
	run "$kernel: modinfo: depends on no other module" test -z "$(modinfo -F depends "$(cat "$tmp/ko")")"
	run "$kernel: modinfo: each parameter, with its default, as in doc/parameters.md" parameters
	build "$kernel: W=1 is silent" "$kernel" W=1
	build "$kernel: sparse is silent" "$kernel" C=2 CF=-D__CHECK_ENDIAN__
	build "$kernel: DEBUG=1 builds without a warning" "$kernel" DEBUG=1
done

finish
