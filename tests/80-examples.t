#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# 80-examples.t: the example servers in C, C++, Python, Go, Rust, Java and Node are built with Debian 12's
# compilers, and print their real clients in a guest; servers with the example configurations, and
# tracers, show them too; the examples for monitoring are what they claim to be.
#
# Usage: prove tests/80-examples.t
# Exit status: 0 if all tests passed, 1 otherwise.

cd "$(dirname "$0")/.." || exit 1
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
# shellcheck source=tests/tap.sh
. tests/tap.sh

TOOLS="g++ golang-go rustc default-jdk-headless libnode-dev prometheus systemd"

tools() {
	chroot_for bookworm || return 1
	[ -x "$root/usr/bin/javac" ] && [ -x "$root/usr/bin/go" ] && [ -x "$root/usr/bin/rustc" ] &&
		[ -x "$root/usr/bin/g++" ] && [ -x "$root/usr/bin/promtool" ] &&
		[ -f "$root/usr/include/node/node_api.h" ] &&
		[ -x "$root/usr/bin/systemd-analyze" ] && return
	# Java's package fails without the directory.
	mkdir -p "$root/usr/share/man/man1"
	# shellcheck disable=SC2086
	locked "$root.apt" retry quietly in_chroot "$root" apt-get -y install $TOOLS
}

built() {
	in_chroot "$root" -b "$tmp/mnt" sh -ec "cd /mnt/examples/$1; $2"
}

# Files that only other programs read.
data() {
	/usr/bin/python3 - "$@" <<-'END'
		import glob, json, re, sys, yaml
		d = json.load(open("examples/grafana/toa.json"))
		assert d["title"] and d["uid"] and d["schemaVersion"] >= 30
		ids = [p["id"] for p in d["panels"]]
		assert len(ids) == len(set(ids)) >= 6
		for p in d["panels"]:
		    g = p["gridPos"]
		    assert p["type"] in ("timeseries", "stat") and 0 <= g["x"] and g["x"] + g["w"] <= 24
		    assert p["targets"] and all(t["expr"].count("(") == t["expr"].count(")") for t in p["targets"])
		rules = yaml.safe_load(open("examples/prometheus/alerts.yaml"))["groups"][0]["rules"]
		assert all(r["alert"] and r["expr"] and r["annotations"]["summary"] for r in rules)
		known = set("toa_" + re.sub("^toa_", "", n) + "_total" for n in
		            re.findall(r'(?:\] = |seq, )"([a-z0-9_]+)",', open("toa_stats.c").read()))
		known |= set(re.findall(r"# HELP (toa_[a-z0-9_]+) ", open("tools/toactl.d/prometheus.sh").read()))
		text = open("examples/grafana/toa.json").read() + json.dumps(rules)
		used = set(re.findall(r"\btoa_[a-z0-9_]+\b", text))
		assert used <= known, used - known
		for name in ("kubernetes/daemonset.yaml", "kubernetes/module.yaml", "servers/envoy.yaml"):
		    assert all(yaml.safe_load_all(open("examples/" + name)))
		daemons = list(yaml.safe_load_all(open("examples/kubernetes/daemonset.yaml")))
		known = set(re.findall(r"[(_](?:cb|named)\(([a-z0-9_]+),", "".join(open(f).read() for f in glob.glob("toa_*.c"))))
		asked = re.findall(r"([a-z0-9_]+)=", daemons[0]["data"]["parameters"])
		asked += [p.split("=")[0] for p in yaml.safe_load(open("examples/kubernetes/module.yaml"))
		          ["spec"]["moduleLoader"]["container"]["modprobe"]["parameters"]]
		assert "segments" in asked and set(asked) <= known, set(asked) - known
		load = daemons[1]["spec"]["template"]["spec"]["initContainers"][0]
		open(sys.argv[1], "w").write("#!/bin/sh -e\n" + load["command"][2])
	END
}

# Grafana itself is no package of Debian's; what it publishes is the types of its dashboards. They become a JSON
# schema that allows nothing else.
GRAFANA=@grafana/schema@13.2.3
make_schema() {
	{ command -v npm && command -v node; } >/dev/null || need npm nodejs || return 1
	cp tests/examples/grafana/dashboard.ts tests/examples/grafana/tsconfig.json "$build_dir" &&
		echo '{ "private": true }' >"$build_dir/package.json" &&
		(cd "$build_dir" &&
			retry quietly npm install --ignore-scripts --no-audit --no-fund --save-exact \
				$GRAFANA typescript@5.9.3 ts-json-schema-generator@2.4.0 ajv@8.20.0 &&
			quietly node_modules/.bin/tsc -p . &&
			quietly node_modules/.bin/ts-json-schema-generator --path dashboard.ts \
				--tsconfig tsconfig.json --type Toa --expose none -o schema.json)
}

# not_valid CHANGE: the dashboard with this change does not pass
not_valid() {
	sed "$1" examples/grafana/toa.json >"$tmp/changed.json"
	! cmp -s examples/grafana/toa.json "$tmp/changed.json" &&
		! node tests/examples/grafana/check.js "$schema" "$tmp/changed.json"
}

schema=$TOA_CACHE/grafana-schema/schema.json
if cached "${schema%/*}" "$GRAFANA $(cksum <tests/examples/grafana/dashboard.ts)" schema.json make_schema \
	2>"$tmp/log"; then
	silent "the dashboard is valid in the types that $GRAFANA publishes" \
		node tests/examples/grafana/check.js "$schema" examples/grafana/toa.json
	run "a panel with an unknown option is not" not_valid 's/"graphMode"/"graphMood"/'
	run "nor is one of an unknown kind of tooltip" not_valid 's/"mode": "multi"/"mode": "many"/'
else
	diag "$tmp/log"
	lacking "the dashboard in Grafana's types" "npm or its packages cannot be had"
fi

each_alert() {
	sed -n 's/.*- alert: //p' examples/prometheus/alerts.yaml >"$tmp/alerts"
	[ -s "$tmp/alerts" ] || return 1
	while IFS= read -r alert; do
		grep -qF "alertname=\"$alert\", instance" tests/examples/alerts-test.yaml || {
			echo "$alert has none"
			return 1
		}
	done <"$tmp/alerts"
}

if need python3 python3-yaml; then
	run "the dashboard, the alert rules and the YAML files are well-formed; their counters and parameters exist" \
		data "$tmp/load.sh"
	silent "the DaemonSet's script: shellcheck" shellcheck -e SC2086 "$tmp/load.sh"
	if need ansible-core; then
		run "the playbook: ansible-playbook --syntax-check" ansible-playbook --syntax-check -i localhost, \
			-e trusted=192.0.2.1 -e packages=build examples/ansible/toa.yaml
	else
		lacking "the playbook: ansible-playbook --syntax-check" "no ansible-core"
	fi
else
	lacking "the dashboard, the alert rules and the YAML files" "no Python with yaml"
fi
if ! tools >"$tmp/log" 2>&1; then
	diag "$tmp/log"
	lacking "examples" "their compilers and tools cannot be had"
	finish
	exit
fi
mkdir "$tmp/mnt" && cp -R examples toa.h "$tmp/mnt"
run "promtool takes the alert rules" built prometheus "promtool check rules alerts.yaml"
cp tests/examples/alerts-test.yaml "$tmp/mnt/examples/prometheus"
run "each alert fires where it must, and nowhere else" built prometheus "promtool test rules alerts-test.yaml"
run "each alert has a test" each_alert
run "systemd takes the timer" built prometheus \
	"sed -i 's,^ExecStart=.*,ExecStart=/bin/true,' toa-textfile.service; systemd-analyze verify ./toa-textfile.timer"
silent "C: builds without a warning" built c "gcc -Wall -Wextra -Werror -O2 -I/mnt -o server server.c"
silent "C++: builds without a warning" built cpp "g++ -std=c++11 -Wall -Wextra -Werror -O2 -I/mnt -o server server.cpp"
silent "Go: vet is content" built go "HOME=/tmp CGO_ENABLED=0 go vet server.go"
silent "Go: builds" built go "HOME=/tmp CGO_ENABLED=0 go build server.go; gofmt -l server.go"
silent "Rust: builds without a warning" built rust "rustc -D warnings -A dead_code -O server.rs"
silent "Java: builds without a warning" built java "javac -Xlint:all -Werror Server.java"
JDK=/usr/lib/jvm/default-java/include
silent "Java: its library builds without a warning" built java \
	"gcc -Wall -Wextra -Werror -O2 -shared -fPIC -I/mnt -I$JDK -I$JDK/linux -o libtoa.so toa.c"
silent "Node: its addon builds without a warning" built node \
	"gcc -Wall -Wextra -Werror -O2 -shared -fPIC -I/mnt -I/usr/include/node -o toa.node toa.c"

for dir in c cpp go java node python rust; do
	run "$dir: asks with TOA_SO_GET_PEER" grep -rqE 'TOA_SO_GET_PEER|toaSoGetPeer = 4097' "examples/$dir"
done
run "none asks with TOA_SO_GET_LOOKUP" sh -c "! grep -rnE 'GET_LOOKUP|GetLookup|IPPROTO_IP, 4096' examples"

mkdir "$tmp/lb" && cp tests/lb/*.[ch] tests/lb/Makefile tests/lb/topology.sh "$tmp/lb"
cp tests/examples/guest "$tmp/mnt/examples"
grep -E '^(perf|bpftrace|trace-cmd) ' doc/monitoring.md >"$tmp/mnt/examples/tracers"
if need gcc libc6-dev make && scripts/kernel 6.1 >/dev/null; then
	run "the test balancer builds" make -C "$tmp/lb" toa-lb
	scripts/vm --root languages --payload "$tmp/lb:lb" --payload "$tmp/mnt/examples:examples" \
		--timeout 1200 --cmd /toa/examples/guest 6.1 >"$tmp/tap" 2>"$tmp/err" </dev/null
	if [ $? -eq 2 ]; then
		diag "$tmp/err"
		lacking "the examples in a guest" "its parts cannot be had"
	else
		include "$tmp/tap"
		run "the guest's report is complete" test $? -eq 0
	fi
else
	lacking "the examples in a guest" "its parts cannot be had"
fi
finish
