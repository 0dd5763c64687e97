package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/auth"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target/core"
	"github.com/lockify-dlm/lockify/internal/address"
)

// export is an [[export]] table: an NVMe subsystem that hosts reach over TCP.
type export struct {
	nqn        string
	listen     []string // host:port
	namespaces []exportedNS
	hosts      []string
	anyHost    bool
	secrets    map[string]core.Secrets // by NQN, of hosts that may connect with them
	auth       auth.Choice             // for these
}

// exportedNS is one of its namespaces, numbered from 1 on.
type exportedNS struct {
	memory   int64  // bytes; 0: it is path
	path     string // of a file or block device
	readOnly bool
	direct   bool
}

const (
	wantNamespaces = "memory:SIZE such as memory:1GiB, or the path of a file or block device, with direct: or readonly: before it"
	exportBlock    = 4096 // bytes of a block in memory
)

// fileExports takes the [[export]] tables.
func (l *loader) fileExports(v any, at func(string) string) {
	l.cfg.exports = readTables(l, "export", exportFields, v, at, fileExport)
}

func fileExport(t map[string]any, before []export, bad badKey) (e export) {
	list := func(key, want string, take func(v string) error) {
		if t[key] == nil {
			return
		}
		values, ok := fileStrings(t[key])
		if !ok {
			bad(key, "got %s; want an array of %s", describe(t[key]), want)
			return
		}
		for _, v := range values {
			if err := take(v); err != nil {
				bad(key, "got %q, %v; want %s", v, err, want)
			}
		}
	}
	if v := t["nqn"]; v != nil {
		text, ok := fileValue(kindString, v)
		if !ok || nvme.CheckNQN(text) != nil || text == nvme.DiscoveryNQN {
			bad("nqn", "got %s; want a name such as nqn.2026-01.com.example:disk", describe(v))
		} else if slices.ContainsFunc(before, func(o export) bool { return o.nqn == text }) {
			bad("nqn", "%s is there twice; want another name for each export", text)
		}
		e.nqn = text
	}
	list("listen", "host:port", func(v string) error { e.listen = append(e.listen, v); return checkTCP(v) })
	list("namespaces", wantNamespaces, func(v string) error {
		n, err := parseNamespace(v)
		e.namespaces = append(e.namespaces, n)
		return err
	})
	e.fileAccess(t, bad, list)
	return e
}

// checkTCP says what is wrong with host:port.
func checkTCP(v string) error {
	host, _, err := address.SplitHostPort(v)
	if err == nil && host == "" {
		err = errors.New("the host is missing: 0.0.0.0 and :: stand for all addresses")
	}
	return err
}

// parseNamespace reads an entry of namespaces.
func parseNamespace(v string) (n exportedNS, err error) {
	if size, ok := strings.CutPrefix(v, "memory:"); ok {
		n.memory, err = parseSize(size)
		return n, err
	}
	for {
		if rest, ok := strings.CutPrefix(v, "direct:"); ok {
			v, n.direct = rest, true
		} else if rest, ok := strings.CutPrefix(v, "readonly:"); ok {
			v, n.readOnly = rest, true
		} else {
			break
		}
	}
	n.path = v
	if !strings.HasPrefix(v, "/") && !strings.HasPrefix(v, "./") {
		return n, errors.New("a path begins with / or ./")
	}
	return n, nil
}

// parseSize reads bytes, with or without a unit; it must be whole blocks.
func parseSize(v string) (int64, error) {
	shift := 0
	for unit, s := range map[string]int{"KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40} {
		if rest, ok := strings.CutSuffix(v, unit); ok {
			v, shift = rest, s
			break
		}
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n <= 0 || n > (1<<62)>>shift || (n<<shift)%exportBlock != 0 {
		return 0, fmt.Errorf("the size is no number of bytes that is a multiple of %d, nor one with KiB, MiB, GiB or TiB", exportBlock)
	}
	return n << shift, nil
}

// showExports lists the exports for --check-config.
func showExports(all []export) string {
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].nqn
	}
	return strings.Join(names, ",")
}
