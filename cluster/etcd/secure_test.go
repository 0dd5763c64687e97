package etcd

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/lockify-dlm/lockify/internal/etcdtest"
)

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.key, a.cert = a.sign("ca", nil, nil)
	return a
}

// sign makes the files name.pem and name.key; without a parent a certificate of its own.
func (a *authority) sign(name string, parent *x509.Certificate, by *ecdsa.PrivateKey) (*ecdsa.PrivateKey, *x509.Certificate) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: parent == nil,
	}
	if parent == nil {
		parent, by = cert, key
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, &key.PublicKey, by)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(name+".pem", "CERTIFICATE", der)
	a.write(name+".key", "PRIVATE KEY", private)
	if cert, err = x509.ParseCertificate(der); err != nil {
		a.t.Fatal(err)
	}
	return key, cert
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) write(name, kind string, der []byte) {
	a.t.Helper()
	if err := os.WriteFile(a.file(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// TestSecure: an etcd that asks for a certificate, a user and a password gets them, and
// a node without the rights says so.
func TestSecure(t *testing.T) {
	a := newAuthority(t)
	a.sign("server", a.cert, a.key)
	a.sign("node", a.cert, a.key)
	server := etcdtest.Start(t, "--cert-file", a.file("server.pem"), "--key-file", a.file("server.key"),
		"--trusted-ca-file", a.file("ca.pem"), "--client-cert-auth")
	cfg := Config{
		Endpoints: []string{"https://" + server.Addr}, Cluster: "secure", Addr: "127.0.0.1:1",
		CA: a.file("ca.pem"), Cert: a.file("node.pem"), Key: a.file("node.key"),
	}
	protect(t, cfg)

	good := cfg
	good.User, good.Password = "lockify", "secret"
	e := newEar()
	p, err := Join(good, 1<<16|1, e)
	if err != nil {
		t.Fatal(err)
	}
	open(t, p, "s")
	e.sees(t, "s 1: 1")
	if err := p.Leave(within(t), false); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what   string
		change func(*Config)
		want   string
	}{
		{"a wrong password", func(c *Config) { c.Password = "wrong" }, "authentication failed"},
		{"the user of the certificate", func(c *Config) { c.User, c.Password = "", "" }, "permission denied"},
		{"keys of others", func(c *Config) { c.Prefix = "/others" }, "permission denied"},
	} {
		bad := good
		c.change(&bad)
		e := newEar()
		p, err := Join(bad, 2<<16|1, e)
		if err != nil {
			t.Fatal(err)
		}
		select {
		case why := <-e.ended:
			if !strings.Contains(why.Error(), c.want) {
				t.Errorf("%s: %v", c.what, why)
			}
		case <-within(t).Done():
			t.Errorf("%s: not told", c.what)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

// protect gives etcd users, and one of them the right to the keys of lockify.
func protect(t *testing.T, cfg Config) {
	t.Helper()
	c, err := cfg.client()
	if err != nil {
		t.Fatal(err)
	}
	admin, err := clientv3.New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	ctx := within(t)
	from := DefaultPrefix + "/"
	for _, do := range []func() error{
		func() error { _, err := admin.UserAdd(ctx, "root", "rootsecret"); return err },
		func() error { _, err := admin.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := admin.RoleAdd(ctx, "locks"); return err },
		func() error {
			_, err := admin.RoleGrantPermission(ctx, "locks", from, clientv3.GetPrefixRangeEnd(from), clientv3.PermissionType(clientv3.PermReadWrite))
			return err
		},
		func() error { _, err := admin.UserAdd(ctx, "lockify", "secret"); return err },
		func() error { _, err := admin.UserGrantRole(ctx, "lockify", "locks"); return err },
		func() error { _, err := admin.AuthEnable(ctx); return err },
	} {
		if err := do(); err != nil && !strings.Contains(err.Error(), "already exists") {
			t.Fatal(err)
		}
	}
}
