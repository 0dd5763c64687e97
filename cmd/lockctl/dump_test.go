package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/internal/admin"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

func TestDump(t *testing.T) {
	nodes := scene(t)
	for _, tc := range []struct {
		golden string
		node   int
		args   []string
	}{
		{"dump.txt", 2, []string{"dump", "files"}},
		{"dump.json", 2, []string{"dump", "files", "--json"}},
		{"dump-local.txt", 2, []string{"dump", "files", "--local"}},
		{"dump-dlm.txt", 1, []string{"dump", "files", "--dlm"}},
		{"dump-bytes.txt", 3, []string{"dump", "bytes"}},
	} {
		t.Run(tc.golden, func(t *testing.T) {
			out, errs, status := nodes[tc.node-1].Ctl(t, tc.args...)
			if status != 0 || errs != "" {
				t.Fatalf("exit status %d, %s", status, errs)
			}
			golden(t, tc.golden, out)
		})
	}
	_, errs, status := nodes[0].Ctl(t, "dump", "other")
	if want := "lockctl: admin: the node answers with an error: lockspace other is not open on any node\n"; status != exitError || errs != want {
		t.Errorf("status %d, %q", status, errs)
	}
}

// All names of all nodes come once, on many pages; without a node it says so.
func TestDumpMany(t *testing.T) {
	nodes := daemontest.Cluster(t, 2, "--shards", "2")
	for i, d := range nodes {
		s := open(t, d, "many")
		for k := range 400 {
			lock(t, s, fmt.Sprintf("node %d name %d", i+1, k), lockify.EX, lockify.New())
		}
	}
	names := func(d *daemontest.Daemon) (all []string, trailer admin.DumpTrailer, status int) {
		out, _, status := d.Ctl(t, "dump", "many", "--json")
		for lines := bufio.NewScanner(strings.NewReader(out)); lines.Scan(); {
			var r admin.Resource
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				t.Fatal(err)
			}
			if r.Name == nil {
				if err := json.Unmarshal(lines.Bytes(), &trailer); err != nil {
					t.Fatal(err)
				}
				continue
			}
			all = append(all, string(r.Name))
		}
		slices.Sort(all)
		return all, trailer, status
	}
	all, trailer, status := names(nodes[0])
	if status != 0 || len(all) != 800 || len(slices.Compact(all)) != 800 || !trailer.End || trailer.Resources != 800 || !slices.Equal(trailer.Nodes, []uint16{1, 2}) {
		t.Errorf("status %d, %d names, %+v", status, len(all), trailer)
	}
	nodes[1].Signal(t, syscall.SIGSTOP)
	defer nodes[1].Signal(t, syscall.SIGCONT)
	all, trailer, status = names(nodes[0])
	if status != exitIncomplete || len(all) != 400 || len(trailer.Unreached) != 1 || trailer.Unreached[0].Node != 2 {
		t.Errorf("without node 2: status %d, %d names, %+v", status, len(all), trailer)
	}
}
