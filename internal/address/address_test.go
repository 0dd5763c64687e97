package address

import (
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/cluster"
)

// TestCheckIPv6: what is an address of IPv6 but for its brackets is told so.
func TestCheckIPv6(t *testing.T) {
	for addr, want := range map[string]bool{"::1:7540": true, "tcp://2001:db8::1:7540": true, "::1": true, "127.0.0.1": false, "[::1]": false, "udp://127.0.0.1:7540": false} {
		if err := CheckListen(addr); err == nil || strings.Contains(err.Error(), "brackets") != want {
			t.Errorf("%q: %v", addr, err)
		}
	}
}

// TestCheck: what each kind of address may be.
func TestCheck(t *testing.T) {
	path := func(n int) string { return "unix:///" + strings.Repeat("x", n-1) }
	const listen, clients, dial = 1, 2, 4
	for addr, want := range map[string]int{
		"10.0.0.1:7540":                 listen | dial,
		"a.example:7540":                listen | dial,
		"[2001:db8::1]:7540":            listen | dial,
		"tcp://10.0.0.1:7540":           listen | dial | clients,
		"unix:///run/a":                 listen | dial | clients,
		":7540":                         listen,
		"0.0.0.0:7540":                  listen,
		"tcp://[::]:7540":               listen | clients,
		"127.0.0.1:0":                   listen,
		"127.0.0.1:000":                 listen,
		"127.0.0.1:65536":               0,
		"127.0.0.1:-1":                  0,
		"127.0.0.1:http":                0,
		"127.0.0.1":                     0,
		"":                              0,
		"udp://127.0.0.1:7540":          0,
		"unix://run/a":                  0,
		"unix:///run/a/":                0,
		"unix://":                       0,
		path(93):                        listen | dial | clients,
		path(94):                        listen | clients,
		path(107):                       listen | clients,
		path(108):                       0,
		strings.Repeat("h", 101) + ":1": listen,
	} {
		got := 0
		for kind, check := range map[int]func(string) error{listen: CheckListen, clients: CheckClients, dial: CheckDial} {
			if check(addr) == nil {
				got |= kind
			}
		}
		if got != want {
			t.Errorf("%q: %b, want %b", addr, got, want)
		}
	}
}

// TestLength: what may be told to other nodes has room in what they agree on.
func TestLength(t *testing.T) {
	if maxDial != cluster.MaxAddr {
		t.Errorf("at most %d bytes, but there is room for %d", maxDial, cluster.MaxAddr)
	}
}

// TestLocal: whom others on the network do not reach.
func TestLocal(t *testing.T) {
	for addr, want := range map[string]bool{
		"unix:///run/a": true, "127.0.0.1:1": true, "tcp://127.9.9.9:1": true, "[::1]:0": true, "localhost:1": true,
		":1": false, "0.0.0.0:1": false, "10.0.0.1:1": false, "a.example:1": false, "localhost": false, "": false,
	} {
		if got := Local(addr); got != want {
			t.Errorf("%q: %v", addr, got)
		}
	}
}
