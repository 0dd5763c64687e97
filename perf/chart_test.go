package perf

import (
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares text with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%swant\n%s", name, got, want)
	}
}

func TestBars(t *testing.T) {
	latency := []Bar{
		{"lookup, 2 nodes", 108.7}, {"lookup, 5 nodes", 172.31}, {"notify, 2 nodes", 0.92},
		{"notify, 5 nodes", 1.004}, {"größte", 1234.5},
	}
	odd := []Bar{{"zero", 0}, {"negative", -3}, {"not a number", math.NaN()}, {"endless", math.Inf(1)}, {"one", 1}, {"tiny", 1e-9}, {"ten", 10}}
	for _, c := range []struct {
		file, title string
		bars        []Bar
		o           BarOptions
	}{
		{"linear.txt", "p50 of a new lock", latency, BarOptions{Unit: "us"}},
		{"log.txt", "p50 of a new lock", latency, BarOptions{Unit: "us", Log: true, Width: 30}},
		{"odd.txt", "", odd, BarOptions{Width: 10}},
		{"oddlog.txt", "", odd, BarOptions{Width: 10, Log: true}},
		{"zeros.txt", "nothing", []Bar{{"a", 0}, {"bb", 0}}, BarOptions{Log: true}},
		{"none.txt", "no bars", nil, BarOptions{Width: 1000}},
	} {
		var b strings.Builder
		if err := Bars(&b, c.title, c.bars, c.o); err != nil {
			t.Fatal(err)
		}
		golden(t, c.file, b.String())
	}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	header := []string{"phase", "creates/s", "p50 µs", ""}
	rows := [][]string{{"create", "12345", "0.9", "x"}, {"shared_create", "7"}, {}, {"unlink", "1", "2", "3", "beyond"}}
	if err := Table(&b, header, rows); err != nil {
		t.Fatal(err)
	}
	golden(t, "table.txt", b.String())
}

func TestFormatValue(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 1234567: "1234567", 100: "100", 99.95: "100.0", 12.345: "12.3", 1.2345: "1.23",
		0.0123456: "0.0123", 1e-9: "0.000000", -1.5: "-1.50",
	} {
		if got := FormatValue(v, ""); got != want {
			t.Errorf("%v: %q, want %q", v, got, want)
		}
	}
	if got := FormatValue(2, "us"); got != "2.00 us" {
		t.Errorf("with unit: %q", got)
	}
}

type brokenWriter struct{}

var errBroken = errors.New("broken")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestWriteErrorsComeBack(t *testing.T) {
	if err := Bars(brokenWriter{}, "t", nil, BarOptions{}); !errors.Is(err, errBroken) {
		t.Errorf("bars: %v", err)
	}
	if err := Table(brokenWriter{}, []string{"a"}, nil); !errors.Is(err, errBroken) {
		t.Errorf("table: %v", err)
	}
}
