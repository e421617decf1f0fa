# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: GPL-2.0
#
# doctor-capture.sh: toactl doctor --port looks at the packets that come to doctor_port, with tcpdump.
# Sets traffic, which says what they carry; empty if it cannot look.

# Segments that could carry an address: SYNs, and those with more options than timestamps. Besides, the
# answers to SYNs: they tell which segments belong to the handshake.
capture_filter() {
	filter_stamps4='tcp[12] & 0xf0 = 0x80 and tcp[20:4] = 0x0101080a'
	filter_stamps6='ip6[52] & 0xf0 = 0x80 and ip6[60:4] = 0x0101080a'
	echo "(tcp dst port $1 and ((ip and (tcp[13] & 2 != 0 or (tcp[12] & 0xf0 > 0x50 and not ($filter_stamps4))))" \
		"or (ip6 and (ip6[53] & 2 != 0 or (ip6[52] & 0xf0 > 0x50 and not ($filter_stamps6))))))" \
		"or (tcp src port $1 and ((ip and tcp[13] & 0x12 = 0x12) or (ip6 and ip6[53] & 0x12 = 0x12)))"
}

# Reads what tcpdump -x prints of the port. Of the connections whose SYN is seen, up to the first answer
# of the server, it says "connections N"; for each option that is none of the kernel's
# "option KIND LENGTH CONNECTIONS"; "bare CONNECTIONS" for those with none of these; for those that the
# module would take "counts KIND LENGTH CONNECTIONS", "segment syn|ack|data CONNECTIONS" where they
# stood, and "behind CONNECTIONS" where another one stood beside; "from ADDRESS" for up to five senders.
read_capture() {
	awk -v port="$1" -v pick="$(parameter pick)" -v port4="$(kinds_of 8)" -v port6="$(kinds_of 20)" \
		-v hostid="$(kinds_of 7)" -v bare="$(kinds_of 6)" '
		function digit(i) {
			return index("0123456789abcdef", substr(hex, i, 1)) - 1
		}
		function byte(i) {
			return 16 * digit(2 * i + 1) + digit(2 * i + 2)
		}
		function word(i) {
			return byte(i) * 256 + byte(i + 1)
		}
		function number(i) {
			return word(i) * 65536 + word(i + 2)
		}
		function address(i,    text, end) {
			if (version == 4)
				return byte(i) "." byte(i + 1) "." byte(i + 2) "." byte(i + 3)
			for (end = i + 16; i < end; i += 2)
				text = text (text == "" ? "" : ":") sprintf("%x", word(i))
			return text
		}
		# What only the kernel reads: its own kinds; 28 is the user timeout, 29 has been used for addresses.
		function kernels(at, kind, len, where) {
			if (kind < 28 || kind == 30 || kind == 34 || kind == 69 || kind == 172 || kind == 174)
				return 1
			if (kind == 28)
				return len == 4
			if (kind == 29)
				return len != 6 && len != 7 && len != 18 && len != 19
			if (kind == 254 && len >= 4 && word(at + 2) == 63881)
				return where == "syn"
			return kind == 254 && len >= 6 && number(at + 2) == 3805594585
		}
		function believed(kind, len,    list) {
			if (len == 8)
				list = port4
			else if (len == 20)
				list = port6
			else if (len == 7 || len == 19)
				list = hostid
			else if (len == 6 || len == 18)
				list = bare
			return index("," list ",", "," kind ",") > 0
		}
		# once: is this the first time?
		function once(what) {
			return !(what in was) && (was[what] = 1)
		}
		function options(at, end, where, sender,    kind, len, counts, says, said) {
			for (; at < end && 2 * end <= length(hex); at += len) {
				kind = byte(at)
				if (kind == 0)
					break
				len = kind == 1 ? 1 : byte(at + 1)
				if (len < 1 || (len < 2 && kind != 1))
					break
				if (kernels(at, kind, len, where))
					continue
				if (once(conn " " kind " " len))
					count["option " kind " " len]++
				carries[conn] = 1
				if (once("from " sender) && ++senders <= 5)
					from[senders] = sender
				if (!believed(kind, len))
					continue
				says = substr(hex, 2 * at + 5, 2 * len - 4)
				if (counts != "" && says != said && once(conn " behind"))
					count["behind"]++
				said = says
				if (counts == "" || pick == "last")
					counts = kind " " len
			}
			if (counts == "")
				return
			if (once(conn " counts " counts))
				count["counts " counts]++
			if (once(conn " " where))
				count["segment " where]++
		}
		function segment(    at, flags, sender, key, end, where, data) {
			if (length(hex) < 80)
				return
			version = int(byte(0) / 16)
			at = version == 4 ? byte(0) % 16 * 4 : 40
			data = version == 4 ? word(2) - at : word(4)
			end = at + int(byte(at + 12) / 16) * 4
			data -= end - at
			flags = byte(at + 13)
			sender = address(version == 4 ? 12 : 8)
			if (int(flags / 2) % 2 && int(flags / 16) % 2) {
				key = address(version == 4 ? 16 : 24) "/" word(at + 2)
				if (key in isn)
					answer[key] = (number(at + 4) + 1) % 4294967296
				return
			}
			if (word(at + 2) != port || int(flags / 4) % 2)
				return
			key = sender "/" word(at)
			if (int(flags / 2) % 2) {
				where = "syn"
				# The port may be used again.
				if (!(key in isn) || isn[key] != number(at + 4)) {
					isn[key] = number(at + 4)
					delete answer[key]
					connections++
					turn[key]++
				}
			} else if (!(key in isn)) {
				return
			} else {
				if (key in answer)
					where = answer[key] == number(at + 8)
				else
					where = (isn[key] + 1) % 4294967296 == number(at + 4)
				if (!where)
					return
				where = data > 0 ? "data" : "ack"
			}
			conn = key "#" turn[key]
			options(at + 20, end, where, sender)
		}
		/^[ \t]+0x/ {
			for (i = 2; i <= NF; i++)
				hex = hex $i
			next
		}
		{ segment(); hex = "" }
		END {
			segment()
			print "connections", connections + 0
			for (what in count)
				print what, count[what]
			for (conn in carries)
				marked++
			print "bare", connections - marked
			for (i = 1; i in from; i++)
				print "from", from[i]
		}'
}

# listening: does tcpdump say that it looks?
listening() {
	while IFS= read -r listening_line; do
		case $listening_line in
		*"listening on"*) return ;;
		esac
	done <"$scratch"
	return 1
}

# watch: waits for the time the doctor is given, and sets traffic if it can look at packets
watch() {
	traffic=''
	if [ -z "$doctor_port" ] || ! command -v tcpdump >/dev/null; then
		nap "$doctor_seconds"
		return
	fi
	: >"$scratch"
	tcpdump -i any -nn -x -l -s 160 -c 4000 "$(capture_filter "$doctor_port")" >"$capture" 2>"$scratch" &
	tcpdump=$!
	# The time begins when it looks.
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		if listening || ! kill -0 "$tcpdump" 2>/dev/null; then
			break
		fi
		# Not every sleep knows fractions.
		sleep 0.5 2>/dev/null || sleep 1
	done
	nap "$doctor_seconds"
	# It has ended before if it may not look, or if it has seen enough.
	if kill "$tcpdump" 2>/dev/null || [ -s "$capture" ]; then
		wait "$tcpdump" 2>/dev/null
		traffic=$(read_capture "$doctor_port" <"$capture")
	fi
	tcpdump=''
}
