package main

import (
	"strings"
	"testing"
)

const goodFenceDisk = good + `
[[fence_disk]]
addr = "127.0.0.1:4420"
nqn  = "nqn.2026-01.example.lockify:disk"
nsid = 1
`

func TestWrongFenceDisk(t *testing.T) {
	twice := `nsid = 1

[[fence_disk]]
addr = "127.0.0.2:4420"
nqn  = "nqn.2026-01.example.lockify:disk"
nsid = 1`
	for _, tc := range []struct{ old, new, want string }{
		{`[[fence_disk]]`, `[fence_disk]`, `fence_disk: got a table; want tables that begin with [[fence_disk]]`},
		{`127.0.0.1:4420`, `127.0.0.1`, `fence_disk.addr: got the string "127.0.0.1"; want host:port of an NVMe/TCP target`},
		{`addr = "127.0.0.1:4420"`, ``, `fence_disk.addr: missing; want addr, nqn in each [[fence_disk]]`},
		{`nqn.2026-01.example.lockify:disk`, `disk`, `fence_disk.nqn: got the string "disk"; want a name such as nqn.2026-01.com.example:disk`},
		{`nsid = 1`, `nsid = 0`, `fence_disk.nsid: got 0; want the number of a namespace, from 1 on`},
		{`nsid = 1`, `ns = 1`, `fence_disk.ns: there is no such setting`},
		{`nsid = 1`, `host_nqn = "me"`, `fence_disk.host_nqn: got the string "me"`},
		{`nsid = 1`, twice, `fence_disk.nqn: nqn.2026-01.example.lockify:disk is there twice; want each disk once`},
		{``, ``, `fence_disk: with peers the membership is fixed, and nobody is fenced; want either peers, or join and new_cluster`},
	} {
		file := configFile(t, strings.Replace(goodFenceDisk, tc.old, tc.new, 1))
		var out strings.Builder
		if status := run([]string{"--config", file, "--check-config"}, &out, &out); status != exitConfig || !strings.Contains(out.String(), tc.want) {
			t.Errorf("%q: status %d\n%s\nwant %s", tc.new, status, out.String(), tc.want)
		}
	}
}
