package admin

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/lockify-dlm/lockify/internal/node"
	"github.com/lockify-dlm/lockify/lockspace"
)

var rewrite = flag.Bool("rewrite", false, "write docs/metrics.md")

// TestMetrics: they are by Prometheus' rules, and say what the node does.
func TestMetrics(t *testing.T) {
	n, s, _ := start(t)
	s.cluster = "c\xff"
	sp, err := n.Open(t.Context(), "space one\xff", node.Props{ValueLen: 8})
	if err != nil {
		t.Fatal(err)
	}
	o := owner{make(chan uint64, 8)}
	for _, name := range []string{"a", "b", "c"} {
		ask(sp, o, name, lockspace.EX, 0)
		<-o.granted
	}
	ask(sp, o, "a", lockspace.PR, 0)
	ask(sp, o, "b", lockspace.PR, lockspace.NoQueue) // refused
	problems, err := testutil.CollectAndLint(collector{s})
	if err != nil || len(problems) != 0 {
		t.Fatal(err, problems)
	}
	answer, err := http.Get("http://" + s.Addr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`lockify_node_info{cluster="\\"c\\\\xff\\"",instance="0x[0-9a-f]+",node="5"} 1`,
		`lockify_locks{lockspace="\\"space one\\\\xff\\""} 4`,
		`lockify_operations_pending{lockspace=".*"} 1`, `lockify_operations_refused_total{lockspace=".*",status="would block"} 1`,
		`lockify_lock_seconds_bucket{lockspace=".*",way="at-once",le="\+Inf"} 3`, `lockify_lock_seconds_count{lockspace=".*",way="at-once"} 3`,
		`lockify_lock_seconds_sum{lockspace=".*",way="at-once"} [0-9].*`, `lockify_lock_seconds_bucket{lockspace=".*",way="at-once",le="1.28e-07"} .*`,
		`lockify_recovery_seconds_bucket{lockspace=".*",le="\+Inf"} 0`, `lockify_conflicts_total{lockspace=".*"} 0`, `lockify_long_waits{lockspace=".*"} 0`, `lockify_shard_operations_total{lockspace=".*",shard="1"} [0-9]+`,
		`lockify_member 1`, `lockify_sessions 0`, `go_goroutines [0-9]+`, `process_open_fds [0-9]+`,
	} {
		if !regexp.MustCompile("(?m)^" + want + "$").Match(text) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

var described = regexp.MustCompile(`^Desc\{fqName: "([^"]*)", help: "(.*)", unit: .*variableLabels: \{(.*)\}\}$|^Desc\{fqName: "([^"]*)", help: "(.*)", constLabels: .*variableLabels: \{(.*)\}\}$`)

// TestMetricsDocumented: docs/metrics.md lists what there is. -rewrite writes it.
func TestMetricsDocumented(t *testing.T) {
	kinds := map[string]string{}
	note := func(m metric) {
		kinds[m.desc.String()] = map[prometheus.ValueType]string{
			prometheus.GaugeValue: "gauge", prometheus.CounterValue: "counter", 0: "histogram",
		}[m.kind]
	}
	for i := range shardMetrics {
		note(shardMetrics[i].metric)
	}
	for _, m := range otherMetrics {
		note(m)
	}
	var rows []string
	for desc, kind := range kinds {
		f := described.FindStringSubmatch(desc)
		if f == nil {
			t.Fatal(desc)
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s |\n", f[1]+f[4], kind, strings.ReplaceAll(f[3]+f[6], ",", ", "), f[2]+f[5]))
	}
	slices.Sort(rows)
	const path = "../../docs/metrics.md"
	want := metricsHead + strings.Join(rows, "")
	if *rewrite {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Fatalf("%s is not what the code says (%v): go test ./internal/admin -rewrite", path, err)
	}
}

const metricsHead = `# Metrics

` + "`lockifyd --admin`" + ` answers ` + "`/metrics`" + ` in Prometheus' format: what is below, and the usual
metrics of a Go program and its process. Seconds and bytes are without prefixes. A name
of a lockspace that is not plain text is quoted as in Go. Counters begin at 0 with each
start of the node. A histogram in which nothing has been counted is absent, but for recoveries,
as are statuses and messages that have not occurred. Buckets reach from 128 ns to 17 s, each
twice as long as the one before.

A dashboard and alert rules for these metrics: [monitoring.md](monitoring.md).

This list is written by a test of package internal/admin.

| metric | kind | labels | what |
|---|---|---|---|
`
