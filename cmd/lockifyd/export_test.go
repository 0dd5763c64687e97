package main

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

const goodExport = good + `
[[export]]
nqn        = "nqn.2026-01.example.lockify:disk"
listen     = ["127.0.0.1:4420"]
namespaces = ["memory:1MiB", "readonly:/tmp/x"]
hosts      = ["nqn.2026-01.example.host:a"]
`

func TestWrongExport(t *testing.T) {
	for _, tc := range []struct{ old, new, want string }{
		{`nqn.2026-01.example.lockify:disk`, `disk`, `FILE:17: export.nqn: got the string "disk"; want a name such as nqn.2026-01.com.example:disk`},
		{`listen     = ["127.0.0.1:4420"]`, ``, `FILE:16: export.listen: missing; want nqn, listen, namespaces in each [[export]]`},
		{`["127.0.0.1:4420"]`, `[":4420"]`, `FILE:18: export.listen: got ":4420", the host is missing: 0.0.0.0 and :: stand for all addresses; want host:port`},
		{`memory:1MiB`, `memory:1MB`, `FILE:19: export.namespaces: got "memory:1MB", the size is no number of bytes that is a multiple of 4096, nor one with KiB, MiB, GiB or TiB; want ` + wantNamespaces},
		{`readonly:/tmp/x`, `tmp/x`, `FILE:19: export.namespaces: got "tmp/x", a path begins with / or ./; want ` + wantNamespaces},
		{`hosts `, `hostnames `, `FILE:20: export.hostnames: there is no such setting`},
		{"hosts      = [\"nqn.2026-01.example.host:a\"]\n", "", `FILE:16: export.hosts: want one of hosts, an array of the NQNs that may connect; dhchap_secrets, a file with NQNs and secrets; and any_host = true`},
		{`[[export]]`, `[[exprot]]`, `FILE:16: exprot: there is no such setting; did you mean export?`},
	} {
		file := configFile(t, strings.Replace(goodExport, tc.old, tc.new, 1))
		var out strings.Builder
		status := run([]string{"--config", file, "--check-config"}, &out, &out)
		want := strings.ReplaceAll(tc.want, "FILE", file)
		if status != exitConfig || !strings.Contains(out.String(), want+"\n") && !strings.HasSuffix(strings.TrimSpace(out.String()), want) {
			t.Errorf("%q: status %d\n%s\nwant %s", tc.new, status, out.String(), want)
		}
	}
}

func TestParseSize(t *testing.T) {
	for v, want := range map[string]int64{"4096": 4096, "1MiB": 1 << 20, "3GiB": 3 << 30, "0": 0, "-4096": 0, "5": 0, "9999999TiB": 0} {
		if n, err := parseSize(v); n != want || (err == nil) != (want > 0) {
			t.Errorf("%s: %d, %v", v, n, err)
		}
	}
}

// TestExport: the daemon opens the address of an export and speaks NVMe/TCP there.
func TestExport(t *testing.T) {
	addr := daemontest.FreeAddrs(t, 1)[0]
	file := configFile(t, `id = 1
clients = ["unix://`+t.TempDir()+`/s"]
admin = "off"
[[export]]
nqn        = "nqn.2026-01.example.lockify:disk"
listen     = ["`+addr+`"]
namespaces = ["memory:1MiB"]
any_host   = true
`)
	daemontest.Start(t, "--config", file)
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(daemontest.Patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Write((&nvme.ICReq{DataDigest: true}).Append(nil)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, nvme.ICSize)
	if _, err := io.ReadFull(nc, b); err != nil {
		t.Fatal(err)
	}
	var r nvme.ICResp
	if err := r.Decode(b); err != nil || !r.DataDigest {
		t.Fatalf("%+v, %v", r, err)
	}
}
