package secure

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const year = 365 * 24 * time.Hour

func newCA(t *testing.T, cluster string) Pair {
	t.Helper()
	ca, err := NewCA(cluster, time.Now(), year)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func issue(t *testing.T, ca Pair, i Identity) Pair {
	t.Helper()
	p, err := Issue(ca, i, time.Now(), year)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// put writes files for a Keeper, who trusts ca.
func put(t *testing.T, dir string, p, ca Pair) Files {
	t.Helper()
	f := Files{filepath.Join(dir, "cert"), filepath.Join(dir, "key"), filepath.Join(dir, "ca")}
	for name, text := range map[string][]byte{f.Cert: p.Cert, f.Key: p.Key, f.CA: ca.Cert} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func open(t *testing.T, p, ca Pair) *Keeper {
	t.Helper()
	k, err := Open(put(t, t.TempDir(), p, ca), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestIdentity(t *testing.T) {
	for _, cluster := range []string{"lockify", "a b/c?#%", "ü\x00", strings.Repeat("x", 256)} {
		ca := newCA(t, cluster)
		for _, i := range []Identity{{Node: 1}, {Node: 65535}, {Client: "backup"}, {Client: "a/b c%"}} {
			cert, _, err := issue(t, ca, i).parse()
			if err != nil {
				t.Fatal(err)
			}
			i.Cluster = cluster
			if got, err := identityOf(cert); err != nil || got != i {
				t.Errorf("%v, want %v: %v", got, i, err)
			}
		}
	}
	ca := newCA(t, "c")
	for _, i := range []Identity{{}, {Node: 1, Client: "x"}, {Client: strings.Repeat("x", 65)}} {
		if _, err := Issue(ca, i, time.Now(), year); !errors.Is(err, ErrIdentity) {
			t.Errorf("%v: %v", i, err)
		}
	}
	if _, err := NewCA("", time.Now(), year); !errors.Is(err, ErrIdentity) {
		t.Error(err)
	}
	if _, err := Issue(issue(t, ca, Identity{Node: 1}), Identity{Node: 2}, time.Now(), year); !errors.Is(err, ErrIdentity) {
		t.Errorf("a node is a CA: %v", err)
	}
	if _, err := Issue(ca, Identity{Node: 2}, time.Now().Add(2*year), year); err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("a CA that has ended: %v", err)
	}
}

// handshake says how a client and a server see each other.
func handshake(t *testing.T, server, client *tls.Config) (who Identity, atServer, atClient error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	ln, err := net.Listen("tcp", "127.0.0.1:0") // net.Pipe would let both wait for each other's alert
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	b, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	a, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	s, c := tls.Server(a, server), tls.Client(b, client)
	done := make(chan error, 1)
	go func() {
		err := s.HandshakeContext(ctx)
		if err == nil { // in TLS 1.3 the client is done before; a byte tells
			_, err = s.Write([]byte{1})
		}
		done <- err
		if err != nil {
			a.Close()
		}
	}()
	if atClient = c.HandshakeContext(ctx); atClient == nil {
		_, atClient = c.Read(make([]byte, 1))
	} else {
		b.Close()
	}
	atServer = <-done
	state := s.ConnectionState()
	who, _ = Peer(&state)
	return who, atServer, atClient
}

func TestHandshake(t *testing.T) {
	ca, other, sister := newCA(t, "c"), newCA(t, "c"), newCA(t, "d")
	node, client := issue(t, ca, Identity{Node: 7}), issue(t, ca, Identity{Client: "x"})
	old, err := Issue(ca, Identity{Client: "x"}, time.Now().Add(-2*year), year)
	if err != nil {
		t.Fatal(err)
	}
	server := open(t, node, ca)
	if who, e1, e2 := handshake(t, server.Server(), open(t, client, ca).Client()); e1 != nil || e2 != nil || who.Client != "x" {
		t.Fatal(e1, e2, who)
	}
	if who, e1, e2 := handshake(t, server.Server(), open(t, issue(t, ca, Identity{Node: 8}), ca).Client()); e1 != nil || e2 != nil || who.Node != 8 {
		t.Fatal(e1, e2, who)
	}
	pair := func(p Pair) *tls.Config {
		c, err := tls.X509KeyPair(p.Cert, p.Key)
		if err != nil {
			t.Fatal(err)
		}
		return &tls.Config{Certificates: []tls.Certificate{c}, InsecureSkipVerify: true}
	}
	for what, c := range map[string]*tls.Config{
		"no certificate":               {InsecureSkipVerify: true},
		"one of another CA":            pair(issue(t, other, Identity{Client: "x"})),
		"one of another cluster":       pair(issue(t, sister, Identity{Client: "x"})),
		"one that has ended":           pair(old),
		"a CA's":                       pair(ca),
		"one that signed itself":       pair(newCA(t, "c")),
		"TLS 1.2":                      {Certificates: pair(client).Certificates, InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12},
		"one by a node in place of CA": pair(signedBy(t, node)),
	} {
		if _, e1, _ := handshake(t, server.Server(), c); e1 == nil {
			t.Errorf("%s: taken", what)
		}
	}
	if _, _, e2 := handshake(t, pair(client), open(t, node, ca).Client()); e2 == nil {
		t.Error("a client is taken for a node")
	}
	if _, _, e2 := handshake(t, pair(issue(t, other, Identity{Node: 7})), open(t, client, ca).Client()); e2 == nil {
		t.Error("a node of another CA is taken")
	}
}

// signedBy is a certificate that a node has made.
func signedBy(t *testing.T, by Pair) Pair {
	t.Helper()
	parent, key, err := by.parse()
	if err != nil {
		t.Fatal(err)
	}
	i := Identity{Cluster: "c", Client: "x"}
	p, err := sign(&x509.Certificate{
		URIs: append(parent.URIs[:0:0], i.uri()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, parent, key)
	if err != nil {
		t.Fatal(err)
	}
	p.Cert = append(p.Cert, by.Cert...)
	return p
}

func TestOpenErrors(t *testing.T) {
	ca, other := newCA(t, "c"), newCA(t, "c")
	node := issue(t, ca, Identity{Node: 7})
	for what, c := range map[string]struct {
		change func(f Files)
		want   string
	}{
		"no key":        {func(f Files) { os.Remove(f.Key) }, "no such file"},
		"open key":      {func(f Files) { os.Chmod(f.Key, 0o644) }, "all users can use this key"},
		"other's key":   {func(f Files) { os.WriteFile(f.Key, ca.Key, 0o600) }, "private key does not match"},
		"no PEM":        {func(f Files) { os.WriteFile(f.CA, []byte("x"), 0o600) }, "no certificate in PEM"},
		"other CA":      {func(f Files) { os.WriteFile(f.CA, other.Cert, 0o600) }, "not by the CA of"},
		"CA for a node": {func(f Files) { os.WriteFile(f.Cert, ca.Cert, 0o600); os.WriteFile(f.Key, ca.Key, 0o600) }, "want three parts"},
	} {
		f := put(t, t.TempDir(), node, ca)
		c.change(f)
		if _, err := Open(f, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
	}
	if _, err := Open(Files{Cert: "x"}, nil); err == nil || !strings.Contains(err.Error(), "three files") {
		t.Error(err)
	}
}

// TestReload: files that change are read again; what is no good, or another's, is not taken.
func TestReload(t *testing.T) {
	ca := newCA(t, "c")
	dir := t.TempDir()
	f := put(t, dir, issue(t, ca, Identity{Node: 7}), ca)
	var log bytes.Buffer
	k, err := Open(f, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	serial := func() string {
		k.asked = time.Time{}
		return k.now().cert.Leaf.SerialNumber.String()
	}
	first := serial()
	later := time.Now()
	change := func(p Pair) {
		put(t, dir, p, ca)
		later = later.Add(time.Minute)
		if err := os.Chtimes(f.Cert, later, later); err != nil {
			t.Fatal(err)
		}
	}
	change(issue(t, ca, Identity{Node: 8}))
	if serial() != first || !strings.Contains(log.String(), "in the place of") {
		t.Fatal(log.String())
	}
	change(Pair{[]byte("x"), []byte("y")})
	if serial() != first {
		t.Fatal("nothing is taken")
	}
	change(issue(t, ca, Identity{Node: 7}))
	if serial() == first || !strings.Contains(log.String(), "certificates are read again") {
		t.Fatal(log.String())
	}
}

// TestReloadLater: what could not be read, or was not valid yet, is tried again though no
// file has changed since, and is said once.
func TestReloadLater(t *testing.T) {
	ca := newCA(t, "c")
	for what, c := range map[string]struct {
		until  time.Duration // it is valid from then on
		mode   os.FileMode   // of the key
		mended func(k *Keeper)
		want   string // in the log; "": nothing
	}{
		"key for all":   {0, 0o644, func(k *Keeper) { os.Chmod(k.files.Key, 0o600) }, "all users can use this key"},
		"not yet valid": {24 * time.Hour, 0o600, nil, "is valid from "},
		"good at once":  {0, 0o600, nil, ""},
	} {
		t.Run(what, func(t *testing.T) {
			var log bytes.Buffer
			dir := t.TempDir()
			k, err := Open(put(t, dir, issue(t, ca, Identity{Node: 7}), ca), slog.New(slog.NewTextHandler(&log, nil)))
			if err != nil {
				t.Fatal(err)
			}
			next, err := Issue(ca, Identity{Node: 7}, time.Now().Add(c.until), year)
			if err != nil {
				t.Fatal(err)
			}
			f := put(t, dir, next, ca)
			later := time.Now().Add(time.Minute)
			if err := errors.Join(os.Chtimes(f.Cert, later, later), os.Chmod(f.Key, c.mode)); err != nil {
				t.Fatal(err)
			}
			taken := func() bool {
				k.asked = time.Time{}
				return bytes.Equal(k.now().cert.Certificate[0], block(t, next.Cert))
			}
			for range 3 {
				if got := taken(); got != (c.want == "") {
					t.Fatalf("taken: %v, log: %s", got, log.String())
				}
			}
			if n := strings.Count(log.String(), "level=ERROR"); c.want != "" && n != 1 || !strings.Contains(log.String(), c.want) || strings.Contains(log.String(), "current time") {
				t.Errorf("%d errors logged: %s", n, log.String())
			}
			if c.mended != nil {
				if c.mended(k); !taken() {
					t.Errorf("not tried again: %s", log.String())
				}
			}
		})
	}
}

func block(t *testing.T, text []byte) []byte {
	t.Helper()
	b, _ := pem.Decode(text)
	if b == nil {
		t.Fatal("no PEM")
	}
	return b.Bytes
}

// TestIntermediate: a certificate may come with those between it and the CA.
func TestIntermediate(t *testing.T) {
	signed := func(c *x509.Certificate, by *Pair) Pair {
		var parent *x509.Certificate
		var key *ecdsa.PrivateKey
		if by != nil {
			var err error
			if parent, key, err = by.parse(); err != nil {
				t.Fatal(err)
			}
		}
		c.NotBefore, c.NotAfter, c.BasicConstraintsValid = time.Now().Add(-time.Hour), time.Now().Add(time.Hour), true
		p, err := sign(c, parent, key)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	signer := func(name string, by *Pair) Pair {
		return signed(&x509.Certificate{Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageCertSign, IsCA: true}, by)
	}
	root := signer("root", nil)
	between := signer("between", &root)
	leaf := func(i Identity) Pair {
		i.Cluster = "c"
		return signed(&x509.Certificate{
			Subject: pkix.Name{CommonName: i.String()}, URIs: []*url.URL{i.uri()},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		}, &between)
	}
	one, two := leaf(Identity{Node: 1}), leaf(Identity{Client: "x"})
	if _, err := Open(put(t, t.TempDir(), one, root), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "not by the CA of") {
		t.Errorf("without those between: %v", err)
	}
	one.Cert, two.Cert = append(one.Cert, between.Cert...), append(two.Cert, between.Cert...)
	if who, e1, e2 := handshake(t, open(t, one, root).Server(), open(t, two, root).Client()); e1 != nil || e2 != nil || who.Client != "x" {
		t.Error(e1, e2, who)
	}
}
