# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0
#
# doctor-loading.sh: findings about the module: is it loaded, is it this one, and if not, why?

installed_for() {
	find "$ROOT/lib/modules/$1" -name 'toa.ko*' 2>/dev/null | sort
}

installed_elsewhere() {
	for dir in "$ROOT/lib/modules"/*; do
		[ "${dir##*/}" != "$1" ] && [ -n "$(installed_for "${dir##*/}")" ] && printf '%s ' "${dir##*/}"
	done
}

# newest_kernel: the release that the next boot takes, as a rule; headers alone are no kernel
newest_kernel() {
	for dir in "$ROOT/lib/modules"/*/kernel; do
		[ -d "$dir" ] || continue
		dir=${dir%/kernel}
		echo "${dir##*/}"
	done | sort -V 2>/dev/null | tail -n 1
}

has_headers() {
	[ -e "$ROOT/lib/modules/$1/build/Makefile" ]
}

# headers_for RELEASE: how they come, and on Debian those of each later kernel of the kind
headers_for() {
	headers_flavour=${1#*-}
	case $headers_flavour in
	[0-9]*-*) headers_flavour=${headers_flavour#*-} ;;
	esac
	case " $(sed -n 's/^ID\(_LIKE\)\{0,1\}=//p' "$ROOT/etc/os-release" 2>/dev/null | tr '\n"' '  ') " in
	*" debian "* | *" ubuntu "*) echo "apt-get install linux-headers-$headers_flavour" ;;
	*suse*) echo "zypper install kernel-${1##*-}-devel" ;;
	*" rhel "* | *" fedora "* | *" centos "*) echo "dnf install kernel-devel-$1" ;;
	*) echo "install the package with the headers of $1" ;;
	esac
}

# DKMS has the sources.
dkms_has() {
	for dir in "$ROOT"/usr/src/toa-*; do
		[ -e "$dir/dkms.conf" ] && return
	done
	return 1
}

# Will the module be there after the next boot?
check_newest() {
	newest=$(newest_kernel)
	[ -n "$newest" ] && [ -z "$(installed_for "$newest")" ] || return 0
	# Loaded by hand, to try it.
	dkms_has || [ -n "$(installed_elsewhere "$newest")" ] || return 0
	if has_headers "$newest"; then
		finding warning "newest kernel" "$newest has no module: after a boot into it, toa will not be there" \
			"dkms autoinstall -k $newest (or, in the sources: make KDIR=/lib/modules/$newest/build install)"
	else
		finding warning "newest kernel" "no headers for the newest kernel, $newest: it has no module, and after a boot into it toa will not be there" \
			"$(headers_for "$newest"), then: dkms autoinstall -k $newest"
	fi
}

# info FIELD FILE: busybox' modinfo wants no files
info() {
	modinfo -F "$1" "$2" 2>/dev/null && return
	case $2 in
	*.ko) tr '\0' '\n' <"$2" | LC_ALL=C sed -n "s/^$1=//p" | head -n 1 ;;
	esac
}

# Will the kernel refuse a module without a signature?
wants_signatures() {
	[ "$(file_text "$ROOT/sys/module/module/parameters/sig_enforce")" = Y ] && return
	case $(file_text "$ROOT/sys/kernel/security/lockdown") in
	*"[integrity]"* | *"[confidentiality]"*) return 0 ;;
	esac
	return 1
}

check_file() {
	release=$(kernel_release)
	file=$(installed_for "$release" | head -n 1)
	if [ -z "$file" ]; then
		elsewhere=$(installed_elsewhere "$release")
		if [ -n "$elsewhere" ]; then
			finding problem installed "for the wrong kernel: for ${elsewhere% }, but this is $release" \
				"install linux-headers of $release, then: dkms autoinstall (or, in the sources: make && make install)"
		elif dkms_has && ! has_headers "$release"; then
			finding problem installed "no headers for this kernel, $release: DKMS has built no module for it" \
				"$(headers_for "$release"), then: dkms autoinstall"
		else
			finding problem installed "the module is not installed" \
				"install the package toa-dkms (or, in the sources: make && make install)"
		fi
		return
	fi
	magic=$(info vermagic "$file")
	magic=${magic%% *}
	if [ -n "$magic" ] && [ "$magic" != "$release" ]; then
		finding problem installed "${file#"$ROOT"} is for the wrong kernel: for $magic, but this is $release" \
			"in the sources: make clean && make && make install (or: dkms build --force)"
		return
	fi
	case ${file#"$ROOT"} in
	*/kernel/*)
		finding warning installed "${file#"$ROOT"} came with the kernel: it is another TOA module" \
			"install this one: the package toa-dkms, or make && make install; modprobe then prefers it"
		;;
	*) finding ok installed "${file#"$ROOT"}" ;;
	esac
	if wants_signatures; then
		if [ -z "$(info signer "$file")" ]; then
			finding problem signature "this kernel loads signed modules only (Secure Boot, lockdown), and the module has no signature" \
				"make sign KEY=... CERT=..., and enrol the certificate: mokutil --import (doc/install.md)"
		else
			finding note signature "by $(info signer "$file"); this kernel loads signed modules only" \
				"if it says 'Key was rejected by service': mokutil --import the certificate, and reboot"
		fi
	fi
}

check_not_loaded() {
	others=$(other_modules)
	if [ -e "$STATS" ] || [ -n "$others" ]; then
		finding problem module "another TOA module is loaded${others:+: $others}" \
			"rmmod ${others:-it}; modprobe toa; keep it away at boot: echo blacklist ${others:-NAME} > /etc/modprobe.d/no-other-toa.conf"
		return
	fi
	finding problem module "toa is not loaded" "modprobe toa; at every boot: echo toa > /etc/modules-load.d/toa.conf"
	check_file
	[ "$(newest_kernel)" = "$(kernel_release)" ] || check_newest
	last=$(kernel_log | grep -E 'TOA: |[^a-z]toa: ' | tail -n 1)
	case $last in
	'' | *unloaded*) ;;
	*) finding note log "the kernel's last word: $last" ;;
	esac
}

# Whoever waits inside keeps the module in use: for memory of its own that does not come, or for a lock.
check_waiting() {
	waiting_refs=$(file_text "$MODULE/refcnt")
	[ "${waiting_refs:-0}" -gt 0 ] || return 0
	find "$ROOT"/proc/[0-9]* -maxdepth 3 -path '*/task/*/stack' -exec grep -ls '\[toa\]' {} + 2>/dev/null |
		while IFS= read -r waiting_stack; do
			waiting_task=${waiting_stack%/stack}
			waiting_process=${waiting_task%/task/*}
			if grep -q 'wrap_getname' "$waiting_stack"; then
				waiting_for="for the lock of a socket"
				waiting_do="see who else has that socket (ss -tnp) and hangs in send, recv or setsockopt: end that one"
			else
				waiting_for="for memory of its own"
				waiting_do="end it; if kill -9 does not, end the server of the file system that its memory is of (FUSE), too"
			fi
			finding warning "process ${waiting_process##*/}" "$(file_text "$waiting_task/comm") waits inside toa, $waiting_for: rmmod says that the module is in use" \
				"$waiting_do"
		done
}

# What is loaded is older than what is installed, until it is loaded anew.
check_versions() {
	version_loaded=$(file_text "$MODULE/version")
	version_own=$(own_version)
	version_file=$(installed_for "$(kernel_release)" | tail -n 1)
	version_installed=${version_file:+$(info version "$version_file")}
	if [ -n "$version_installed" ] && [ "$version_installed" != "$version_loaded" ]; then
		version_do="toactl upgrade"
	elif [ "$version_own" != "$version_loaded" ]; then
		version_do="install toa-dkms and toa-utils of one version"
	else
		return
	fi
	finding warning version "loaded, installed and tool version differ: $version_loaded, ${version_installed:-none}, $version_own" \
		"$version_do"
}

check_loaded() {
	if ! is_ours; then
		finding problem module "a module named toa is loaded, but it is another TOA module" \
			"rmmod toa; then install this one and modprobe toa; which file is taken: modinfo -n toa"
		return 1
	fi
	finding ok module "loaded, version $(file_text "$MODULE/version"), for $(kernel_release)"
	others=$(other_modules)
	if [ -n "$others" ]; then
		finding problem module "another TOA module is loaded too: $others" \
			"rmmod $others; keep it away at boot: echo blacklist $others > /etc/modprobe.d/no-other-toa.conf"
	fi
	check_waiting
	check_versions
	check_newest
	if [ ! -r "$STATS" ]; then
		finding warning counters "/proc/net/toa_stats is not here: this is not the initial network namespace" \
			"run toactl on the host"
		return 1
	fi
}
