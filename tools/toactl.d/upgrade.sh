# shellcheck shell=sh disable=SC2034
# SPDX-License-Identifier: GPL-2.0
#
# upgrade.sh: toactl upgrade: puts another toa.ko in the place of the loaded one. Live connections keep their
# addresses: what the old module knows goes to the new one, by /proc/net/toa_handover. If the new one cannot be
# loaded, the old one comes back.

HANDOVER=$ROOT/proc/net/toa_handover
# Copies of loaded modules, and what was handed over if nobody took it. All of it is of use until the next boot.
KEPT=$ROOT/run/toa

# loaded_name: what tells the loaded module from others: its sources, and its version
loaded_name() {
	echo "$(file_text "$MODULE/srcversion")-$(file_text "$MODULE/version")"
}

# is_loaded_one FILE: is it the module that is loaded?
is_loaded_one() {
	[ -n "$1" ] && [ -r "$1" ] && [ "$(info srcversion "$1")-$(info version "$1")" = "$(loaded_name)" ]
}

# chosen: the file that modprobe takes
chosen() {
	modinfo -n toa 2>/dev/null
}

# way_back: a file of the module that is loaded
way_back() {
	for back in "$KEPT/$(loaded_name)".ko* "$(chosen)"; do
		is_loaded_one "$back" && echo "$back" && return
	done
	return 1
}

# remember NAME [NAME]: which one is before the next one, or before the second one
remember() {
	echo "$*" >"$KEPT/before"
}

# before_this: the copy of the module that was loaded before this one
before_this() {
	read -r before_name before_next 2>/dev/null <"$KEPT/before" || return 1
	[ -z "$before_next" ] || [ "$before_next" = "$(loaded_name)" ] || return 1
	for before in "$KEPT/$before_name".ko*; do
		[ -e "$before" ] && ! is_loaded_one "$before" && echo "$before" && return
	done
	return 1
}

# keep FILE: keeps a copy of the loaded module's file, for when somebody has replaced it
keep() {
	case $1 in
	"$KEPT"/*) return ;;
	esac
	keep_as=$KEPT/$(loaded_name).ko${1##*.ko}
	cp "$1" "$KEPT/new.$$" && mv "$KEPT/new.$$" "$keep_as" && return
	rm -f "$KEPT/new.$$"
	return 1
}

# keep_only NAME...: the copies of others go
keep_only() {
	for keep_file in "$KEPT"/*.ko*; do
		keep_name=${keep_file##*/}
		case " $* " in
		*" ${keep_name%.ko*} "*) ;;
		*) rm -f "$keep_file" ;;
		esac
	done
}

# refuse TEXT: nothing has been changed
refuse() {
	echo "toactl: upgrade: $*; nothing has been changed" >&2
	exit 1
}

# check_new FILE: may it be loaded here?
check_new() {
	case $1 in
	*.ko | *.ko.*) ;;
	*) refuse "$1 is no toa.ko" ;;
	esac
	[ -r "$1" ] || refuse "$1 cannot be read"
	[ "$(info name "$1")" = toa ] || [ "$(basename "${1%.ko*}")" = toa ] || refuse "$1 is no toa.ko"
	[ -n "$(info srcversion "$1")" ] || refuse "$1 is no kernel module, or modinfo is missing"
	new_magic=$(info vermagic "$1")
	[ "${new_magic%% *}" = "$(kernel_release)" ] ||
		refuse "$1 is for kernel ${new_magic%% *}, but this is $(kernel_release)"
	[ -z "$(loaded_magic)" ] || [ "$new_magic" = "$(loaded_magic)" ] ||
		refuse "$1 was built otherwise than the loaded module: '$new_magic', not '$(loaded_magic)'"
	! wants_signatures || [ -n "$(info signer "$1")" ] ||
		refuse "this kernel loads signed modules only, and $1 has no signature"
	info parm "$1" | grep -q '^table_max:' || refuse "$1 is another TOA module"
}

# loaded_magic: what the loaded module was built for, if a file of it is left
loaded_magic() {
	[ -z "$old_file" ] || info vermagic "$old_file"
}

# same_parameters FILE: what the loaded module has now, as parameters for that file. One that it does not know is
# left out, with a warning; but not if clients could then claim addresses.
same_parameters() {
	same_known=$(info parm "$1" | sed 's/:.*//')
	for same_file in "$PARAMETERS"/*; do
		same_name=${same_file##*/}
		same_value=
		IFS= read -r same_value 2>/dev/null <"$same_file" || [ -n "$same_value" ] || [ -r "$same_file" ] || continue
		case $same_value in
		*,...)
			echo "toactl: upgrade: $same_name is too long to be read back; nothing has been changed" >&2
			return 1
			;;
		esac
		if printf '%s\n' "$same_known" | grep -qxF "$same_name"; then
			printf '%s=%s\n' "$same_name" "$same_value"
			continue
		fi
		case $same_name=$same_value in
		trusted= | segments=syn,ack,data | pick=first | both=N) ;;
		trusted=* | segments=* | pick=* | both=*)
			echo "toactl: upgrade: $1 does not know $same_name=$same_value; nothing has been changed" >&2
			return 1
			;;
		*) echo "toactl: upgrade: $1 does not know $same_name=$same_value, which is left out" >&2 ;;
		esac
	done
}

# load FILE PARAMETERS: insmod, with the parameters of that text's lines
load() {
	(
		load_file=$1
		IFS=$NEWLINE
		set -f
		# shellcheck disable=SC2086
		set -- $2
		exec insmod "$load_file" "$@"
	)
}

# give_up TEXT: the same, of what was saved
give_up() {
	rm -f "$saved"
	refuse "$@"
}

# save: what the loaded module knows
save() {
	[ -n "$saved" ] || return 0
	cat "$HANDOVER" >"$saved" || give_up "$HANDOVER cannot be read, or $saved not be written"
	count=$(handed_over "$saved")
	[ -n "$count" ] || give_up "$HANDOVER ends too early"
}

# unload: saves, and unloads; who is inside for a moment leaves soon
unload() {
	unload_tries=20
	while since=$(centiseconds) && save && ! unload_error=$(rmmod toa 2>&1); do
		[ -e "$MODULE" ] || return 0
		unload_tries=$((unload_tries - 1))
		[ "$unload_tries" -gt 0 ] || return 1
		sleep 0.1 2>/dev/null || sleep 1
	done
}

# handed_over FILE: of how many connections it tells
handed_over() {
	sed -n 's/^end \([0-9]*\)$/\1/p' "$1"
}

# centiseconds: since boot
centiseconds() {
	sed 's/ .*//; s/\.//' "$ROOT/proc/uptime"
}

# hand_over: the module that is loaded now gets what the old one knew
hand_over() {
	[ -n "$saved" ] || return 0
	# Not by a redirection of this shell: an error of its end would go unseen.
	cat "$saved" >"$HANDOVER" && return
	echo "toactl: upgrade: addresses of $count connections are not handed over; they are in $saved, until the module knows others: cat $saved > $HANDOVER" >&2
	kernel_log | grep 'TOA: toa_handover' | tail -n 1 >&2
	saved=
	return 1
}

# go_back: the new one could not be loaded
go_back() {
	echo "toactl: upgrade: $new_file cannot be loaded:" >&2
	kernel_log | awk '/TOA: TOA unloaded/ { said = ""; next } /TOA: |[^a-z]toa: / { said = said $0 "\n" } END { printf "%s", said }' >&2
	if ! load "$old_file" "$old_parameters" && ! modprobe toa; then
		echo "toactl: upgrade: nor can $old_file: toa is not loaded" >&2
		exit 2
	fi
	hand_over || exit 2
	echo "toactl: upgrade: $old_file is loaded again, with the addresses of $count connections" >&2
	exit 1
}

# replace: from here to there, connections are not marked
replace() {
	if ! unload; then
		echo "${unload_error:-rmmod failed}" >&2
		(check_waiting | report) >&2
		give_up "the module is in use"
	fi
	load "$new_file" "$new_parameters" || go_back
	unmarked=$(($(centiseconds) - since))
}

do_upgrade() {
	upgrade_force='' upgrade_prepare='' upgrade_back='' new_file=''
	for upgrade_word; do
		case $upgrade_word in
		--force) upgrade_force=1 ;;
		--prepare) upgrade_prepare=1 ;;
		--back) upgrade_back=1 ;;
		-*) bad_usage "upgrade: $upgrade_word is not known" ;;
		*)
			[ -z "$new_file" ] || bad_usage "upgrade: one file at a time"
			new_file=$upgrade_word
			;;
		esac
	done
	[ -e "$MODULE" ] || refuse "toa is not loaded: modprobe toa"
	is_ours || refuse "a module named toa is loaded, but it is another TOA module"
	[ "$(id -u)" -eq 0 ] || refuse "only root can do that"
	[ -z "$upgrade_back" ] || [ -z "$new_file$upgrade_prepare" ] || bad_usage "upgrade: --back takes no file"
	mkdir -p "$KEPT" || refuse "$KEPT cannot be made"
	if [ -n "$upgrade_prepare" ]; then
		[ -z "$new_file$upgrade_force" ] || bad_usage "upgrade: --prepare stands alone"
		old_file=$(way_back) || refuse "no file of the loaded module is left to keep"
		{ keep "$old_file" && remember "$(loaded_name)"; } || refuse "$KEPT cannot be written"
		exit
	fi

	# Of two at once, one.
	exec 9>"$KEPT/lock"
	! command -v flock >/dev/null 2>&1 || flock -n 9 || refuse "another upgrade is under way"
	if [ -n "$upgrade_back" ]; then
		new_file=$(before_this) || refuse "no module was loaded before this one since the last boot"
	fi
	[ -n "$new_file" ] || new_file=$(chosen)
	[ -n "$new_file" ] || refuse "no toa.ko is installed for $(kernel_release): name a file"
	old_file=$(way_back)
	check_new "$new_file"
	old_version=$(file_text "$MODULE/version")
	if is_loaded_one "$new_file" && [ -z "$upgrade_force" ]; then
		echo "toa $old_version of $new_file is loaded already: nothing to do; --force loads it again"
		exit
	fi
	new_parameters=$(same_parameters "$new_file") || exit 1
	if [ -n "$old_file" ]; then
		old_parameters=$(same_parameters "$old_file") || exit 1
		keep "$old_file" || refuse "$KEPT cannot be written"
		old_file=$(way_back)
	elif [ -z "$upgrade_force" ]; then
		refuse "no file of the loaded module is left, so there is no way back; --force goes without"
	fi
	saved=$KEPT/handover count=0
	# What nobody took, after an upgrade that failed.
	[ ! -e "$saved" ] || mv "$saved" "$saved.old"
	if [ ! -e "$HANDOVER" ]; then
		saved=
		[ -n "$upgrade_force" ] ||
			refuse "$HANDOVER is not there (hooks by kprobes, or an old version), so live connections would lose their addresses; --force goes without"
	fi
	old_name=$(loaded_name)
	umask 077
	# Sockets get their cookies: the next time it is quicker.
	[ -z "$saved" ] || cat "$HANDOVER" >/dev/null || refuse "$HANDOVER cannot be read"
	trap '' HUP INT QUIT PIPE TERM TSTP
	replace
	hand_over
	handed=$?
	keep "$new_file" || echo "toactl: upgrade: $KEPT cannot be written: keep $new_file, for the way back" >&2
	keep_only "$old_name" "$(loaded_name)"
	remember "$old_name" "$(loaded_name)"
	echo "toa $old_version is replaced by $(file_text "$MODULE/version"), from $new_file"
	if [ -n "$saved" ]; then
		cat "$HANDOVER" >"$saved"
		echo "connections  $count with an address before, $(handed_over "$saved") now"
		rm -f "$saved"
	fi
	echo "unmarked     those that began within $((unmarked * 10)) ms"
	[ "$handed" -eq 0 ] || exit 2
}
