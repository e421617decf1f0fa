# SPDX-License-Identifier: GPL-2.0
#
# report.awk: makes a table, and lines for the CSV, out of what tests/bench/cost prints.
#
# Variables: kernel, params (the module's), budget (a file), csv (a file to append to)
# Exit status: 0 if nothing exceeds the budget by more than 5 %, 1 if something does, or nothing was
# measured.

BEGIN {
	FS = OFS = "\t"
	while ((getline line < budget) > 0) {
		if (line ~ /^#/ || split(line, field, "\t+") < 4 || (field[2] != "*" && field[2] != kernel))
			continue
		goal[field[1]] = field[3]
		held[field[1]] = field[4]
		why[field[1]] = field[5]
	}
	title = kernel (params == "" ? "" : ", " params)
}

# The verdict of a figure; budgets are for the module as it comes.
function judge(what, result) {
	if (!(what in goal))
		return "-"
	if (result <= goal[what])
		return "met"
	if (params != "")
		return "above"
	if (held[what] != "-" && result <= held[what] * 1.05) {
		notes[++note_count] = what ": " why[what]
		return "above (" note_count ")"
	}
	if (held[what] == "-" && result <= goal[what] * 1.05)
		return "above by less than 5 %"
	exceeded++
	return "EXCEEDS " (held[what] == "-" ? goal[what] : held[what])
}

function goal_of(what) {
	return what in goal ? goal[what] : "-"
}

# A line of the CSV
function store(entries, what, unit, without, with, result, spread, verdict) {
	printf "%s,%s,%s,\"%s\",%s,%s,%s,%s,%s,%s,%s\n", kernel, params, entries, what, unit, without, with,
		result, spread, what in goal ? goal[what] : "", verdict == "-" ? "" : verdict >> csv
}

# A line with a figure alone
function figure(what, unit, result, verdict) {
	verdict = judge(what, result)
	store("", what, unit, "", "", result, "", verdict)
	printf "%-44s %25s %24s  %s\n", what, result, goal_of(what), verdict
}

$1 == "cost" && $2 == "-" {
	row[++rows] = $3
	without[$3] = $4
	with[$3] = $5
	result[$3] = $6
	spread[$3] = $7
}

# What is the least depends on whether toa has to stand in for functions, or looks only.
$1 == "cost" && $2 == "hooks" {
	store("hooks that do nothing", $3, "instructions", $4, $5, $6, $7, "-")
	least[$3] = $6
}

$1 == "cost" && $2 == "wrappers" {
	store("wrappers that do nothing", $3, "instructions", $4, $5, $6, $7, "-")
	if ($3 ~ /^connection, option|^connection.*behind|, entry$/)
		least[$3] = $6
}

$1 == "cost" && $2 ~ /^[0-9]+$/ {
	if (!($3 in seen)) {
		seen[$3] = 1
		operation[++operations] = $3
	}
	added[$3, $2] = $6
	store($2, $3, "instructions", $4, $5, $6, $7, "-")
}

$1 == "memory" {
	bytes[++memories] = $3
	memory[memories] = $2
	if ($2 ~ /^idle/)
		idle += $3
	else
		entry += $3
}

function compare_rows(   i, name, verdict) {
	printf "%-44s %8s %8s %7s %7s %7s %8s\n", title ": instructions", "without", "with", "added", "spread",
		"floor", "goal"
	for (i = 1; i <= rows; i++) {
		name = row[i]
		verdict = judge(name, result[name])
		store("", name, "instructions", without[name], with[name], result[name], spread[name], verdict)
		printf "%-44s %8d %8d %7d %7d %7s %8s  %s\n", name, without[name], with[name], result[name],
			spread[name], name in least ? least[name] : "", goal_of(name), verdict
	}
}

function compare_entries(   i, name, ratio, most) {
	printf "%-44s %9s %9s %9s %9s %9s\n", title ": added, other entries in the table", "0", "1000", "100000",
		"1000000", "ratio"
	for (i = 1; i <= operations; i++) {
		name = operation[i]
		ratio = added[name, 1000] > 0 ? added[name, 1000000] / added[name, 1000] : 1
		if (ratio > most)
			most = ratio
		printf "%-44s %9d %9d %9d %9d %9.2f\n", name, added[name, 0], added[name, 1000],
			added[name, 100000], added[name, 1000000], ratio
	}
	figure("the most: 1000000 entries against 1000", "ratio", sprintf("%.2f", most))
}

END {
	if (!rows)
		exit 1
	compare_rows()
	if (operations)
		compare_entries()
	printf "%s\n", title ": bytes of memory"
	for (i = 1; i <= memories; i++)
		figure(memory[i], "bytes", bytes[i])
	if (entry)
		figure("entry, together", "bytes", entry)
	figure("idle, together", "bytes", idle)
	for (i = 1; i <= note_count; i++)
		printf "(%d) %s\n", i, notes[i]
	print ""
	exit exceeded > 0
}
