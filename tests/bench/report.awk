# SPDX-License-Identifier: GPL-2.0
#
# report.awk: makes tables, and lines for the CSV, out of what tests/bench/cost and tests/bench/attribute
# print.
#
# Variables: kernel, params (the module's), budget (a file), csv (a file to append to)
# Exit status: 0 if nothing exceeds the budget by more than 5 % (2 % of what is counted one by one), 1 if something does, or nothing was
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

# The verdict of a figure; budgets are for the module as it comes. What repeats exactly may grow by @slack percent,
# also if it is below its goal.
function judge(what, result, slack) {
	slack = slack == "" ? 5 : slack
	if (!(what in goal))
		return "-"
	if (slack < 5 && params == "" && held[what] != "-" && result > held[what] * (1 + slack / 100)) {
		exceeded++
		return "EXCEEDS " held[what]
	}
	if (result <= goal[what])
		return "met"
	if (params != "")
		return "above"
	if (held[what] != "-" && result <= held[what] * (1 + slack / 100)) {
		notes[++note_count] = what ": " why[what]
		return "above (" note_count ")"
	}
	if (held[what] == "-" && result <= goal[what] * (1 + slack / 100))
		return "above by less than " slack " %"
	exceeded++
	return "EXCEEDS " (held[what] == "-" ? goal[what] : held[what])
}

function goal_of(what) {
	return what in goal ? goal[what] : "-"
}

# A goal may be for one operation, or for all.
function key(what, name) {
	return (what ": " name) in goal ? what ": " name : what
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

$1 == "cost" && $2 == "abandoned" {
	later = $3 ", after 100000 abandoned handshakes"
	later_without = $4
	later_with = $5
	later_added = $6
	later_spread = $7
}

$1 == "namespaces" {
	namespaces = $3 / $2
	namespaces_without = $2 / 1000000
	namespaces_with = $3 / 1000000
}

$1 == "exact" {
	exact[++exacts] = $2
	exact_line[$2] = sprintf("%8d %8d %7d %7d", $3, $4, $5, $6)
	exact_own[$2] = $6
	store("", $2 ": counted one by one", "exact instructions", $3, $4, $5, $7, "-")
}

$1 == "part" {
	if ($4 >= 10)
		parts[$2] = parts[$2] (parts[$2] == "" ? "" : ", ") $3 " " $4
	store("", $2 ": " $3, "exact instructions of a function", "", "", $4, "", "-")
}

$1 == "locked" {
	locked_host[$2] = $3
	locked_bucket[$2] = $4
	locked_cpu[$2] = $5
	written_host[$2] = $6
	elsewhere[$2] = $7
}

# Once for each, with how often.
$1 == "site" {
	text = sprintf("  %-7s %s: %s", $3, $4, $5)
	if (!(($2, text) in site))
		sites[$2, ++site_count[$2]] = text
	site[$2, text]++
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

# Judges a figure of an operation that was counted one by one; returns what is worth saying.
function judge_exact(what, name, result,   verdict) {
	verdict = judge(key(what, name), result)
	goal[name ": " what] = goal[key(what, name)]
	store("", name ": " what, "operations", "", "", result, "", verdict)
	return verdict == "met" ? "" : "  " what ": " verdict
}

function times(n) {
	return n > 1 ? " (" n " times)" : ""
}

function compare_exact(   i, j, name, said) {
	printf "%-58s %8s %8s %7s %7s %6s %6s %7s %4s %8s %10s\n", title ": counted one by one", "without", "with",
		"added", "own", "goal", "host", "bucket", "CPU", "written", "elsewhere"
	printf "%-98s %6d %7d %4s %8d\n", "goal", goal["locked, of the whole host"],
		goal["locked, of a bucket or set"], "-", goal["written, of the whole host"]
	for (i = 1; i <= exacts; i++) {
		name = exact[i]
		own = name ": the module's own"
		verdict = judge(own, exact_own[name], 2)
		store("", own, "exact instructions", "", "", exact_own[name], "", verdict)
		said = (verdict == "met" || verdict == "-" ? "" : "  own: " verdict) judge_exact("locked, of the whole host", name, locked_host[name]) \
			judge_exact("locked, of a bucket or set", name, locked_bucket[name]) \
			judge_exact("written, of the whole host", name, written_host[name])
		printf "%-58s %s %6s %6d %7d %4d %8d %10d%s\n", name, exact_line[name], goal_of(own), locked_host[name],
			locked_bucket[name], locked_cpu[name], written_host[name], elsewhere[name],
			said == "" ? "  met" : said
		if (parts[name] != "")
			printf "  of that, %s\n", parts[name]
		for (j = 1; j <= site_count[name]; j++)
			printf "%s%s\n", sites[name, j], times(site[name, sites[name, j]])
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
	if (later != "") {
		verdict = judge(later, later_added)
		store("abandoned", later, "instructions", later_without, later_with, later_added, later_spread, verdict)
		printf "%s: %d without, %d with, %d added (goal: %s)  %s\n", later, later_without, later_with,
			later_added, goal_of(later), verdict
	}
	if (namespaces) {
		what = "making and ending 30 network namespaces, 1000000 entries elsewhere"
		verdict = judge(what, namespaces)
		store("", what, "ratio", namespaces_without, namespaces_with, sprintf("%.2f", namespaces), "", verdict)
		printf "%s: %d ms without, %d ms with, ratio %.2f (goal: %s)  %s\n", what, namespaces_without,
			namespaces_with, namespaces, goal_of(what), verdict
	}
	if (exacts)
		compare_exact()
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
