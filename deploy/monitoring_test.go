package deploy

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// listed are the metrics of docs/metrics.md: the labels of each, those of the samples of
// histograms included.
func listed(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, f := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([a-z]+) \\| ([a-z_, ]*) \\|").FindAllStringSubmatch(string(text), -1) {
		labels := append(strings.Split(strings.TrimSpace(f[3]), ", "), "instance", "job")
		if f[2] != "histogram" {
			all[f[1]] = labels
			continue
		}
		all[f[1]+"_bucket"], all[f[1]+"_count"], all[f[1]+"_sum"] = append(labels, "le"), labels, labels
	}
	if len(all) < 40 {
		t.Fatalf("docs/metrics.md lists %d metrics", len(all))
	}
	return all
}

// known fails for what text names and docs/metrics.md does not.
func known(t *testing.T, metrics map[string][]string, text string) {
	t.Helper()
	for _, f := range regexp.MustCompile(`\b(lockify_[a-z_]+)(?:\{([^}]*)\})?`).FindAllStringSubmatch(text, -1) {
		labels, ok := metrics[f[1]]
		if !ok {
			t.Errorf("no metric %s", f[1])
			continue
		}
		for _, l := range regexp.MustCompile(`([a-z_]+)(?:=~|!~|!=|=)"`).FindAllStringSubmatch(f[2], -1) {
			if !slices.Contains(labels, l[1]) {
				t.Errorf("%s has no label %s", f[1], l[1])
			}
		}
	}
}

// promtool runs Prometheus' own tool on files in dir.
func promtool(t *testing.T, dir string, args ...string) {
	t.Helper()
	tool, err := exec.LookPath("promtool")
	if err != nil && os.Getenv("CI") != "" {
		t.Fatal("no promtool: .ci/run installs it")
	} else if err != nil {
		t.Skip("needs promtool (Debian: prometheus)")
	}
	cmd := exec.CommandContext(t.Context(), tool, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// The alert rules name metrics that there are, Prometheus takes them, and they say what
// they should in the cases of lockify.test.yml.
func TestAlertRules(t *testing.T) {
	text, err := os.ReadFile("prometheus/lockify.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	known(t, listed(t), string(text))
	commands, err := os.ReadFile("../docs/reference/lockctl.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range regexp.MustCompile(`lockctl (?:node )?[a-z]+`).FindAllString(string(text), -1) {
		if !strings.Contains(string(commands), "\n## "+f+"\n") {
			t.Errorf("a rule says %s, which there is not", f)
		}
	}
	promtool(t, "prometheus", "check", "config", "prometheus.yml") // with the rules
	promtool(t, "prometheus", "test", "rules", "lockify.test.yml")
}

// dashboard is what the test reads of Grafana's format.
type dashboard struct {
	UID, Title    string
	SchemaVersion int
	Templating    struct {
		List []struct{ Name, Type, Definition string }
	}
	Panels []struct {
		ID      int
		Type    string
		Title   string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ RefID, Expr string }
	}
}

// The dashboard names metrics that there are, Prometheus understands each of its queries,
// and no panel covers another.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile("grafana/lockify.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	if d.UID == "" || d.Title == "" || d.SchemaVersion == 0 || len(d.Templating.List) != 3 {
		t.Errorf("%+v", d.Templating)
	}
	metrics := listed(t)
	for _, v := range d.Templating.List {
		known(t, metrics, v.Definition)
	}
	type rule struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	var rules []rule
	place := map[[2]int]string{}
	ids := map[int]bool{}
	grafana := strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*", "$lockspace", ".*")
	for _, p := range d.Panels {
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := place[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("panel %q lies over %q, or beside the page", p.Title, other)
				}
				place[[2]int{x, y}] = p.Title
			}
		}
		if ids[p.ID] || p.Title == "" || p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %d %q: twice, or without a title or query", p.ID, p.Title)
		}
		ids[p.ID] = true
		for _, q := range p.Targets {
			known(t, metrics, q.Expr)
			rules = append(rules, rule{fmt.Sprintf("panel:%d:%s", p.ID, q.RefID), grafana.Replace(q.Expr)})
		}
	}
	file, err := json.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}}) // JSON is YAML
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "queries.yml"), file, 0o644); err != nil {
		t.Fatal(err)
	}
	promtool(t, dir, "check", "rules", "queries.yml")
}
