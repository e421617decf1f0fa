# SPDX-License-Identifier: GPL-2.0
#
# cost.gp: a picture of what the module adds, SVG, out of the CSV of scripts/bench.
#
# Variables: csv, svg (files), kernels (names)
set terminal svg size 900,430 font "sans-serif,13" background "#ffffff"
set output svg
set datafile separator comma
set style fill solid 0.85 noborder
set style data histogram
set style histogram clustered gap 1
set boxwidth 0.9
set grid ytics lc "#dddddd" dt 1
set border 3
set tics nomirror
set key top right Right samplen 1.5
set title "Instructions that toa adds (a connection, from SYN to close, is 55,000 without it)"
set bmargin 4
set xtics ("connection,\nno option" 0, "getpeername,\nno entry" 1, "connection,\noption 200" 2, \
	"connection,\noption 253" 3, "the same,\ndual-stack" 4, "getpeername,\nentry" 5, "getsockopt,\nentry" 6, \
	"close of a\nUDP socket" 7)
set yrange [0:900]

# Those with a goal. A name may have commas; the result is field 8 then, the goal 10.
format_rows = "< grep '^%s,[^,]*,,\"[^\"]*\",instructions' %s | grep -v ',,[^,]*$' | sed 's/\"[^\"]*\"/-/'"
rows(kernel) = sprintf(format_rows, kernel, csv)
colour(i) = word("#4a6fa5 #b9770e #2e8b57 #7a4fa5", i)

plot for [i = 1:words(kernels)] rows(word(kernels, i)) using 8 title word(kernels, i) lc rgb colour(i), \
	rows(word(kernels, 1)) using 0:10 with points pt 1 ps 1.2 lw 2 lc "#b03030" title "goal"
