package nvmetest

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// always are the fields that Check looks at itself.
var always = []string{
	"frame.number", "_ws.malformed", "_ws.expert.message", "nvme-tcp.type", "nvme-tcp.hdgst.status", "nvme-tcp.ddgst.status",
}

// Check has tshark read the capture, and gives what it says of the fields: for
// each, all values in the order of the capture. It fails the test, but goes on,
// if tshark sees something wrong. Without tshark it skips the test.
func (c *Capture) Check(t testing.TB, fields ...string) map[string][]string {
	t.Helper()
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Skipf("NOT CHECKED: there is no tshark (%v); install the package of that name", err)
	}
	path := filepath.Join(t.TempDir(), "nvme.pcap")
	if err := c.Write(path); err != nil {
		t.Fatal(err)
	}
	args := []string{
		"-n", "-r", path, "-d", fmt.Sprintf("tcp.port==%d,nvme-tcp", Port), "-o", "nvme-tcp.check_hdgst:TRUE",
		"-o", "nvme-tcp.check_ddgst:TRUE", "-T", "fields", "-E", "separator=/t", "-E", "aggregator=\x1f",
	}
	fields = append(append([]string(nil), always...), fields...)
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	cmd := exec.CommandContext(t.Context(), "tshark", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v: %.500s", err, stderr.String())
	}
	values := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		cells := strings.Split(strings.TrimRight(line, "\n"), "\t")
		for i, cell := range cells {
			if cell != "" {
				values[fields[i]] = append(values[fields[i]], strings.Split(cell, "\x1f")...)
			}
		}
		if cells[1] != "" {
			t.Errorf("tshark: packet %s is malformed: %.300s", cells[0], cells[2])
		}
	}
	c.judge(t, values)
	return values
}

// judge compares what tshark has seen with what was sent.
func (c *Capture) judge(t testing.TB, values map[string][]string) {
	t.Helper()
	want := 0
	seen := map[*Conn]bool{}
	for _, p := range c.packets {
		if !seen[p.conn] {
			seen[p.conn] = true
			want += p.conn.pdus()
		}
	}
	if got := len(values["nvme-tcp.type"]); got != want {
		t.Errorf("tshark sees %d PDUs, %d were sent", got, want)
	}
	for _, field := range []string{"nvme-tcp.hdgst.status", "nvme-tcp.ddgst.status"} {
		for i, status := range values[field] {
			if status != "1" {
				t.Errorf("tshark: %s is %s at place %d of %d, not 1 (good)", field, status, i, len(values[field]))
			}
		}
	}
}
