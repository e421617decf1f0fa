#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# 00-style.t: checkpatch --strict over the C code, shellcheck over the scripts, and what the tree
# promises about itself.
#
# Usage: prove tests/00-style.t
# Exit status: 0 if all tests passed, 1 otherwise.

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
# shellcheck source=tests/tap.sh
. tests/tap.sh

# Files that git has, or would take.
files() {
	git -c safe.directory="*" ls-files -co --exclude-standard -- "$@" | sort -u | while IFS= read -r file; do
		[ -f "$file" ] && echo "$file"
	done
}

shell_files() {
	files | while IFS= read -r file; do
		head -n 1 "$file" | tr -d '\0' | grep -qE '^(#!.*[ /](ba|da)?sh|# shellcheck shell=)' && echo "$file"
	done
}

# checkpatch NAME IGNORED FILE...
checkpatch() {
	name=$1
	ignored=$2
	shift 2
	CHECKPATCH_ARGS="--ignore $ignored" scripts/checkpatch "$@" >"$tmp/log" 2>&1
	case $? in
	0) ok "$name" ;;
	2)
		diag "$tmp/log"
		lacking "$name" "checkpatch.pl cannot be had"
		;;
	*)
		not_ok "$name"
		diag "$tmp/log"
		;;
	esac
}

only_compat_knows_versions() {
	! grep -nE 'LINUX_VERSION_CODE|KERNEL_VERSION|RHEL_|UTS_UBUNTU|SUSE_' toa*.c toa*.h Kbuild |
		grep -v '^toa_compat\.h:'
}

# includes HEADER NAME|NAME...: whoever uses one of the names includes the header, or its own one does.
# Newer kernels' headers bring along what older ones do not.
includes() {
	[ -n "$2" ] || return 1
	for file in $(files 'toa_*.c' 'toa_*.h' | grep -vx toa_compat.h); do
		grep -qsE "^#include [<\"]$1[>\"]\$" "$file" "${file%.c}.h" || grep -nwE "$2" "$file" /dev/null
	done | { ! grep .; }
}

names_of_compat() {
	sed -nE 's/^#[ 	]*define ([A-Za-z_0-9]+).*/\1/p; s/^static inline .*[ *]([a-z_0-9]+)\(.*/\1/p' toa_compat.h |
		grep -vx TOA_COMPAT_H | sort -u | paste -sd '|' -
}

every_script_says_what_it_is() {
	shell_files | while IFS= read -r file; do
		sed -n 2,6p "$file" | grep -q 'SPDX-License-Identifier: GPL-2.0' || echo "$file"
	done | { ! grep .; }
}

# A line ` * Longer than most: REASON` or `# Longer than most: REASON` in its header.
long_files_say_why() {
	{
		files '*.[ch]' '*.py' '*.awk' '*Makefile' Kbuild
		shell_files
	} | sort -u | while IFS= read -r file; do
		lines=$(wc -l <"$file")
		[ "$lines" -le 700 ] || sed -n 1,40p "$file" | grep -qE '^( \*|#) Longer than most: .' ||
			echo "$file: $lines lines, and no reason"
	done | { ! grep .; }
}

if ! need git || ! git -c safe.directory="*" rev-parse >"$tmp/log" 2>&1; then
	diag "$tmp/log"
	lacking "which files to look at" "git cannot tell: it is missing, or this is no clone"
	finish
	exit
fi

# shellcheck disable=SC2046
checkpatch "checkpatch: the module" FILE_PATH_CHANGES \
	$(files 'toa*.c' 'toa*.h' | grep -vxE 'toa\.h|toa_compat\.h|toa_trace\.h|toa_prototypes\.c')
# Applications include it, so its types are theirs.
checkpatch "checkpatch: toa.h" PREFER_KERNEL_TYPES toa.h
# Knowing versions, what later ones deprecate, and what old ones lack, is what it is for.
checkpatch "checkpatch: toa_compat.h" LINUX_VERSION_CODE,CAMELCASE,CONSTANT_COMPARISON,DEPRECATED_API,MACRO_ARG_REUSE,MEMORY_BARRIER \
	toa_compat.h
# A table: its lines are no calls.
checkpatch "checkpatch: toa_prototypes.c" CAMELCASE,MACRO_ARG_PRECEDENCE,PARENTHESIS_ALIGNMENT toa_prototypes.c
# Its macros look like this all over the kernel.
checkpatch "checkpatch: toa_trace.h" OPEN_ENDED_LINE,PARENTHESIS_ALIGNMENT toa_trace.h
# Programs have other types, no kernel helpers, macros that are tests, usage texts over many lines,
# names of functions that are words of messages, and system calls that a kernel may lack.
# shellcheck disable=SC2046
checkpatch "checkpatch: the tests" ENOSYS,PREFER_KERNEL_TYPES,AVOID_EXTERNS,ARRAY_SIZE,PREFER_FALLTHROUGH,NEW_TYPEDEFS,MACRO_WITH_FLOW_CONTROL,MACRO_ARG_REUSE,EMBEDDED_FUNCTION_NAME,NAKED_SSCANF,FUNCTION_ARGUMENTS,COMPLEX_MACRO,UNNECESSARY_PARENTHESES,PREFER_DEFINED_ATTRIBUTE_MACRO,SPLIT_STRING,CAMELCASE,REPEATED_WORD,STATIC_CONST_CHAR_ARRAY,QUOTED_WHITESPACE_BEFORE_NEWLINE \
	$(files 'tests/*.c' 'tests/*.h' | grep -v '^tests/guest/kmod/')
# Built for the oldest kernels too.
checkpatch "checkpatch: the tests' module" LINUX_VERSION_CODE,CONSTANT_COMPARISON tests/guest/kmod/toa_holder.c

if need shellcheck; then
	# shellcheck disable=SC2046
	silent "shellcheck: all scripts" shellcheck -x $(shell_files)
else
	lacking "shellcheck: all scripts" "no shellcheck"
fi
silent "only toa_compat.h knows versions and distributions" only_compat_knows_versions
silent "who uses toa_compat.h includes it" includes toa_compat.h "$(names_of_compat)"
silent "who uses the module itself includes linux/module.h" includes linux/module.h \
	'THIS_MODULE|try_module_get|module_put|KSYM_SYMBOL_LEN'
silent "every script has a licence" every_script_says_what_it_is
silent "a file of code over 700 lines says why" long_files_say_why

finish
