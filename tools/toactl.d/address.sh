# shellcheck shell=sh disable=SC2034
# SPDX-License-Identifier: GPL-2.0
#
# address.sh: what awk needs to know of addresses, and of JSON.

# groups(TEXT, G): an IPv4 or IPv6 address, however it is spelled, as the eight numbers of an IPv6 one, of an
# IPv4 one as an IPv4-mapped one; false if it is none. prefix(TEXT, G): the same with /BITS or without, how many
# bits; -1 if it is none. within(G, WANT, BITS): are the first bits the same?
ADDRESS_AWK='
	function hexadecimal(text,    i, n) {
		for (i = 1; i <= length(text); i++)
			n = n * 16 + index("0123456789abcdef", substr(text, i, 1)) - 1
		return n + 0
	}
	function groups(text, g,    at, byte, part, rest, n, m, i, short) {
		text = tolower(text)
		if (text ~ /\./) {
			at = match(text, /[^:]*$/)
			if (split(substr(text, at), byte, ".") != 4)
				return 0
			for (i = 1; i <= 4; i++)
				if (byte[i] !~ /^[0-9]+$/ || byte[i] ~ /^0./ || length(byte[i]) > 3 || byte[i] > 255)
					return 0
			text = (at > 1 ? substr(text, 1, at - 1) : "::ffff:") \
				sprintf("%x:%x", byte[1] * 256 + byte[2], byte[3] * 256 + byte[4])
		}
		short = index(text, "::")
		n = split(short ? substr(text, 1, short - 1) : text, part, ":")
		m = split(short ? substr(text, short + 2) : "", rest, ":")
		if (short ? n + m > 7 : n != 8)
			return 0
		for (i = 1; i <= m; i++)
			part[8 - m + i] = rest[i]
		for (i = 1; i <= 8; i++) {
			if (i > n && i <= 8 - m)
				part[i] = "0"
			if (part[i] !~ /^[0-9a-f]+$/ || length(part[i]) > 4)
				return 0
			g[i] = hexadecimal(part[i])
		}
		return 1
	}
	function prefix(text, g,    at, bits, most) {
		at = index(text, "/")
		most = text ~ /:/ ? 128 : 32
		bits = at ? substr(text, at + 1) : most
		if (bits !~ /^[0-9]+$/ || length(bits) > 3 || bits + 0 > most)
			return -1
		if (!groups(at ? substr(text, 1, at - 1) : text, g))
			return -1
		return bits + 128 - most
	}
	function within(g, want, bits,    i, n, size) {
		for (i = 1; i <= 8 && bits > 0; i++) {
			# Not every awk has powers.
			size = 1
			for (n = bits; n < 16; n++)
				size *= 2
			if (int(g[i] / size) != int(want[i] / size))
				return 0
			bits -= 16
		}
		return 1
	}
	# same(TEXT): the same text for all spellings
	function same(text,    g, i, out) {
		if (!groups(text, g))
			return text
		for (i = 1; i <= 8; i++)
			out = out sprintf("%04x", g[i])
		return out
	}
	# address() and port() of "10.0.0.1:80", "[2001:db8::1]:80" and, as old programs have it, "2001:db8::1:80"
	function address(text) {
		sub(/:[0-9]+$/, "", text)
		gsub(/[][]/, "", text)
		return text
	}
	function port_of(text) {
		sub(/.*:/, "", text)
		return text
	}'

JSON_AWK='
	function quoted(text,    i, c, out) {
		for (i = 1; i <= length(text); i++) {
			c = substr(text, i, 1)
			if (c == "\\" || c == "\"")
				c = "\\" c
			else if (c ~ /[\001-\037\177]/)
				c = "?"
			out = out c
		}
		return "\"" out "\""
	}'

# is_client TEXT: an address, or a prefix?
is_client() {
	awk -v text="$1" "$ADDRESS_AWK"'
		BEGIN { exit prefix(text, g) < 0 }'
}
