# SPDX-License-Identifier: GPL-2.0
# gnuplot: what the module adds, out of the CSV of scripts/bench, as SVG.
# Variables: csv, svg (files), kernels (names)
set terminal svg size 900,420 font "sans-serif,13" background "#ffffff"
set output svg
set datafile separator comma
set style fill solid 0.8 noborder
set style data histogram
set style histogram clustered gap 1
set boxwidth 0.9
set grid ytics lc "#dddddd"
set border 3
set tics nomirror
set key top left Left reverse samplen 1.5
set title "Instructions that toa adds"
set xtics ("no option" 0, "option 200" 1, "option 253" 2, "253, dual-stack" 3, "getpeername,\nno entry" 4, \
	"getpeername,\nentry" 5, "getsockopt,\nentry" 6, "UDP close" 7)
set label "a whole connection, about 55,000 instructions" at 1.5, graph 1.0 center offset 0, -4 tc "#555555"
set yrange [0:*]
pick(kernel) = sprintf("< grep '^%s,[^,]*,,\"\\(conn\\|getp\\|gets\\|close\\)' %s | sed 's/\"[^\"]*\"/-/'", kernel, csv)
colour(i) = word("#4a6fa5 #b9770e #2e8b57 #7a4fa5", i)
plot for [i = 1:words(kernels)] pick(word(kernels, i)) using 8 title word(kernels, i) lc rgb colour(i), \
	pick(word(kernels, 1)) using 0:10 with points pt 1 ps 1.5 lw 2 lc "#b03030" title "goal"
