package lockify

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
)

// TestPlaintextNetwork: without certificates and without being told to a node does not listen where
// other machines reach it.
func TestPlaintextNetwork(t *testing.T) {
	socket := "unix://" + filepath.Join(t.TempDir(), "s")
	for _, c := range []struct {
		listen, client string
		says           string // of the error; "": it starts
	}{
		{"127.0.0.1:0", "tcp://127.0.0.1:0", ""},
		{"", socket, ""},
		{"[::1]:0", "tcp://localhost:0", ""},
		{"0.0.0.0:0", socket, `Config.Listen is "0.0.0.0:0", must be an address of the loopback interface`},
		{":0", socket, "is taken for a node"},
		{"127.0.0.1:0", "tcp://0.0.0.0:0", `Config.Clients is "tcp://0.0.0.0:0", must be an address of the loopback interface`},
		{"127.0.0.1:0", "tcp://[::]:0", "is taken for a client"},
	} {
		for _, allow := range []bool{false, true} {
			cfg := Config{ID: 1, Listen: c.listen, Clients: []string{c.client}, AllowPlaintextNetwork: allow, Logger: slog.New(slog.DiscardHandler)}
			err := cfg.check()
			if c.says == "" || allow {
				expect(t, c.listen+" "+c.client, err, nil)
				continue
			}
			n, err := StartNode(testContext(t), cfg)
			if err == nil {
				n.Close(testContext(t))
			}
			expect(t, c.listen+" "+c.client, err, ErrInvalid)
			if err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %q does not say %q", err, c.says)
			}
		}
	}
	secured := Config{ID: 1, Listen: "0.0.0.0:0", Clients: []string{"tcp://0.0.0.0:0"}, TLS: TLSFiles{Cert: "cert"}}
	expect(t, "with TLS", secured.check(), nil)
	n, err := StartNode(testContext(t), Config{ID: 1, Clients: []string{"tcp://0.0.0.0:0"}, AllowPlaintextNetwork: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close(testContext(t))
	addr := n.ClientAddrs()[0].String()
	client, err := Dial(testContext(t), "tcp://127.0.0.1:"+addr[strings.LastIndexByte(addr, ':')+1:])
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	s, err := client.Open(testContext(t), "space")
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Lock(testContext(t), "name", EX)
	expect(t, "Lock", err, nil)
}
