package secure

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Files says where certificates are: PEM.
type Files struct {
	Cert string // this end's, with those between it and the CA, if there are any
	Key  string // of it; only its owner may be able to read it
	CA   string // that signs those of the others
}

// Given says that there are any; some, but not all, is an error of Open.
func (f Files) Given() bool { return f != Files{} }

// Keeper has them in memory. When a file has changed it reads all again, with the next
// connection; if that fails it goes on with what it has, and tries again.
type Keeper struct {
	files Files
	log   *slog.Logger

	mu    sync.Mutex
	have  loaded
	seen  [3]time.Time // when the files were changed, as far as they are read
	asked time.Time    // when that was looked at
	said  string       // the error that was logged last, "": the files are as they were read
}

type loaded struct {
	cert  *tls.Certificate
	roots *x509.CertPool
	self  Identity
}

// askEvery is how often the files are looked at, at most.
const askEvery = time.Second

// Open reads the files. Errors say which of them is wrong, and how.
func Open(f Files, log *slog.Logger) (*Keeper, error) {
	k := &Keeper{files: f, log: log}
	if f.Cert == "" || f.Key == "" || f.CA == "" {
		return nil, errors.New("TLS wants three files: a certificate, its key, and the CA's certificate")
	}
	var err error
	if k.seen, err = k.changed(); err != nil {
		return nil, err
	}
	k.have, err = load(f)
	return k, err
}

// OpenNode is Open for a node, whose certificate it must be.
func OpenNode(f Files, node Identity, log *slog.Logger) (*Keeper, error) {
	k, err := Open(f, log)
	if err == nil && k.have.self != node {
		return nil, fmt.Errorf("%s: the certificate is of %v, this is %v", f.Cert, k.have.self, node)
	}
	return k, err
}

func (k *Keeper) changed() (at [3]time.Time, err error) {
	for i, name := range []string{k.files.Cert, k.files.Key, k.files.CA} {
		fi, err := os.Stat(name)
		if err != nil {
			return at, err
		}
		at[i] = fi.ModTime()
	}
	return at, nil
}

// Ends says when the certificate ends that is in use.
func (k *Keeper) Ends() time.Time { return k.now().cert.Leaf.NotAfter }

// now gives what the files have.
func (k *Keeper) now() loaded {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.asked) < askEvery {
		return k.have
	}
	k.asked = time.Now()
	at, err := k.changed()
	if err == nil && at != k.seen {
		var l loaded
		if l, err = load(k.files); err == nil && l.self != k.have.self {
			err = fmt.Errorf("%w of %v is in the place of that of %v", ErrIdentity, l.self, k.have.self)
		}
		if err == nil {
			k.log.Info("certificates are read again", "until", l.cert.Leaf.NotAfter)
			k.have, k.seen = l, at
		}
	}
	k.say(err)
	return k.have
}

// say logs an error when it comes, and not each time that nothing has become of it.
func (k *Keeper) say(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != k.said {
		k.log.Error("certificates have changed and can't be read; those of before stay", "err", err)
	}
	k.said = text
}

func load(f Files) (l loaded, err error) {
	if fi, err := os.Stat(f.Key); err != nil {
		return l, err
	} else if fi.Mode().Perm()&0o007 != 0 {
		return l, fmt.Errorf("%s: all users can use this key: chmod o= it", f.Key)
	}
	c, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return l, fmt.Errorf("%s, %s: %w", f.Cert, f.Key, err)
	}
	if l.self, err = identityOf(c.Leaf); err != nil {
		return l, fmt.Errorf("%s: %w", f.Cert, err)
	}
	ca, err := os.ReadFile(f.CA)
	if err != nil {
		return l, err
	}
	l.roots = x509.NewCertPool()
	if !l.roots.AppendCertsFromPEM(ca) {
		return l, fmt.Errorf("%s: no certificate in PEM", f.CA)
	}
	l.cert = &c
	chain := make([]*x509.Certificate, len(c.Certificate))
	for i, der := range c.Certificate {
		if chain[i], err = x509.ParseCertificate(der); err != nil {
			return l, fmt.Errorf("%s: certificate %d: %w", f.Cert, i+1, err)
		}
	}
	if err := l.verify(chain, x509.ExtKeyUsageClientAuth); err != nil {
		return l, fmt.Errorf("%s: not by the CA of %s: %w", f.Cert, f.CA, err)
	}
	return l, nil
}

// verify says whether a chain leads to the CA, and is of this cluster.
func (l *loaded) verify(chain []*x509.Certificate, usage x509.ExtKeyUsage) error {
	if len(chain) == 0 {
		return fmt.Errorf("%w: none is shown", ErrIdentity)
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: l.roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{usage}})
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired { // without the time of now, so that it stays one error
		return fmt.Errorf("%w of %q is valid from %v to %v, not now", ErrIdentity, invalid.Cert.Subject.CommonName, invalid.Cert.NotBefore, invalid.Cert.NotAfter)
	}
	if err != nil {
		return err
	}
	i, err := identityOf(chain[0])
	if err == nil && i.Cluster != l.self.Cluster {
		err = fmt.Errorf("%w of %v, here is %v", ErrIdentity, i, l.self)
	}
	return err
}

// Server gives how connections are accepted.
func (k *Keeper) Server() *tls.Config {
	c := k.config(x509.ExtKeyUsageClientAuth)
	c.ClientAuth = tls.RequireAnyClientCert // VerifyConnection verifies it
	return c
}

// Client gives how connections to nodes are made.
func (k *Keeper) Client() *tls.Config {
	c := k.config(x509.ExtKeyUsageServerAuth) // clients have no certificate with that
	c.InsecureSkipVerify = true               // of host names; VerifyConnection verifies the rest
	return c
}

func (k *Keeper) config(usage x509.ExtKeyUsage) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true, // a session would outlive the certificate it began with
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return k.now().cert, nil },
		GetClientCertificate:   func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return k.now().cert, nil },
		VerifyConnection: func(s tls.ConnectionState) error {
			l := k.now()
			return l.verify(s.PeerCertificates, usage)
		},
	}
}

// Peer gives whose the other end of a connection is; ok is false if it was not asked.
func Peer(s *tls.ConnectionState) (i Identity, ok bool) {
	if s == nil || len(s.PeerCertificates) == 0 {
		return i, false
	}
	i, err := identityOf(s.PeerCertificates[0])
	return i, err == nil
}
