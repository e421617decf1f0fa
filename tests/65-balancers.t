#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# 65-balancers.t: the balancers by name: doc/balancers.md and packaging/toa.conf have the same rows, the example in
# README.md and README.ja.md is one of them, and the module takes each one's parameters.
#
# Usage: prove tests/65-balancers.t
# Environment: KERNELS="NAME..." (see scripts/kernels; the guest boots the first; default: 6.1)
# Exit status: 0 if all tests passed or were skipped, 1 otherwise.

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
# shellcheck source=tests/tap.sh
. tests/tap.sh

# table FILE: "BALANCER<tab>PARAMETERS" of each row of the table below the heading
table() {
	awk -F ' *[|] *' -v heading="$2" '
		/^#/ { inside = $0 == heading }
		inside && /^\|.*`opt_/ { gsub(/`/, ""); print $2 "\t" $3 }' "$1"
}

# The same of the comments at the end of toa.conf.
conf() {
	awk '
		/^# Balancers:/ { inside = 1 }
		inside && /^#options toa / { sub(/^#options toa /, ""); print name "\t" $0 }
		{ name = substr($0, 3) }' packaging/toa.conf
}

# example FILE: its line for toa.conf is a row, with `trusted` before it
example() {
	sed -n 's/^options toa trusted=[^ ]* //p' "$1" >"$tmp/example"
	[ "$(wc -l <"$tmp/example")" -eq 1 ] && grep -qxF -f "$tmp/example" "$tmp/rows"
}

table doc/balancers.md "## Parameters by balancer" >"$tmp/page"
conf >"$tmp/conf"
run "doc/balancers.md: balancers by name" test "$(wc -l <"$tmp/page")" -ge 15
run "packaging/toa.conf has the rows of doc/balancers.md" diff "$tmp/page" "$tmp/conf"
cut -f 2 "$tmp/page" >"$tmp/rows"
for file in README.md README.ja.md; do
	run "$file: its example is a row of doc/balancers.md" example "$file"
done

# The guest's part. What is written is what is read, but for truth.
cat >"$tmp/load" <<-'END'
	n=0
	while read -r row; do
	    n=$((n + 1)) wrong=
	    dmesg -c >/dev/null
	    # shellcheck disable=SC2086
	    insmod /toa/toa.ko $row || wrong="it does not load"
	    for word in $row; do
	        value=$(cat "/sys/module/toa/parameters/${word%%=*}") || wrong="no ${word%%=*}"
	        case ${word#*=}:$value in
	        1:Y | "$value:$value") ;;
	        *) wrong="$word is $value" ;;
	        esac
	    done
	    dmesg | grep -q "unknown parameter" && wrong="a parameter is not known"
	    if [ -z "$wrong" ]; then
	        echo "ok $n - the module takes $row"
	    else
	        echo "not ok $n - the module takes $row"
	        echo "# $wrong"
	    fi
	    rmmod toa
	done </toa/rows
	echo "1..$n"
END
kernel=$(kernels | sed 's/ .*//')
scripts/vm --root busybox --payload "$tmp/rows" --payload "$tmp/load" --cmd "sh /toa/load" "$kernel" \
	>"$tmp/tap" 2>"$tmp/err" </dev/null
case $? in
2) skip "$kernel: the module takes each row" "the guest's parts cannot be had" ;;
*)
	sed -i "s|^\(\(not \)\{0,1\}ok [0-9]* - \)|\1$kernel: |" "$tmp/tap"
	include "$tmp/tap"
	run "$kernel: the guest's report is complete" test $? -eq 0 -a "$(grep -c ok "$tmp/tap")" -eq "$(wc -l <"$tmp/rows")"
	silent "$kernel: the kernel does not complain" awk '/the kernel complained/ { on = 1 } on' "$tmp/err"
	;;
esac
finish
