package engine

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"
)

// testCertificate signs itself, and is its own CA.
var testCertificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
})

func testTLS(refused func(string, error)) Transport {
	cert := testCertificate()
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	c := &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}, RootCAs: roots, ClientCAs: roots, ServerName: "test",
		ClientAuth: tls.RequireAnyClientCert,
	}
	return NewTLS(c, c, refused)
}

// TestTLSRefuses: a connection without TLS, or without a certificate, is told of and gets
// nowhere, nor does one to a server that is not known.
func TestTLSRefuses(t *testing.T) {
	refused := make(chan error, 4)
	server := newRecorder(t)
	ln, err := testTLS(func(_ string, err error) { refused <- err }).Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ctx := testContext(t)

	plain, err := net.Dial("tcp", ln.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if _, err := plain.Write([]byte("what is this, it is no client hello")); err != nil {
		t.Fatal(err)
	}
	if err := <-refused; err == nil {
		t.Fatal("plain bytes are taken")
	}
	if _, err := io.ReadAll(plain); err != nil && errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}

	nobody := NewTLS(nil, &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}, nil)
	if c, err := nobody.Dial(ctx, "tcp", ln.Addr(), newRecorder(t)); err == nil {
		c.Close() // TLS 1.3: the client is done before the server has looked at its certificate
	}
	if err := <-refused; err == nil {
		t.Fatal("a client without a certificate is taken")
	}

	stranger := NewTLS(nil, &tls.Config{MinVersion: tls.VersionTLS13, ServerName: "test", RootCAs: x509.NewCertPool()}, nil)
	var unknown x509.UnknownAuthorityError
	if _, err := stranger.Dial(ctx, "tcp", ln.Addr(), newRecorder(t)); !errors.As(err, &unknown) {
		t.Fatal(err)
	}
	<-refused
}

// TestTLSClose: closing the listener ends connections that are still saying hello.
func TestTLSClose(t *testing.T) {
	ln, err := testTLS(nil).Listen("tcp", "127.0.0.1:0", newRecorder(t))
	if err != nil {
		t.Fatal(err)
	}
	silent, err := net.Dial("tcp", ln.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := silent.Read(make([]byte, 1)); err == nil {
		t.Fatal("still open")
	}
}

// onlyHandshake accepts a connection of TLS, and does not read what comes.
func onlyHandshake(ctx context.Context, ln net.Listener, c *tls.Config) {
	if nc, err := ln.Accept(); err == nil {
		defer nc.Close()
		_ = tls.Server(nc, c).HandshakeContext(ctx) // the other end sees what is wrong
		<-ctx.Done()
	}
}

// TestTLSUnixSocket: who comes by a Unix socket is on netpoll's loops, whatever handshakes
// compute.
func TestTLSUnixSocket(t *testing.T) {
	if raceEnabled {
		t.Skip("netpoll is not for the race detector")
	}
	opened := make(chan Conn, 1)
	server := newRecorder(t)
	server.onOpen = func(c Conn) { opened <- c }
	transport := testTLS(nil)
	ln, err := transport.Listen("unix", t.TempDir()+"/s", server)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := transport.Dial(testContext(t), "unix", ln.Addr(), newRecorder(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c := <-opened; TLS(c) != nil {
		t.Error("a Unix socket with TLS")
	} else if _, ok := c.(*netpollConn); !ok {
		t.Errorf("served by %T", c)
	}
}
