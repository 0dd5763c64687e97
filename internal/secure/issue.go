package secure

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"time"
)

// Pair is a certificate and its key as the files have them (PEM).
type Pair struct{ Cert, Key []byte }

// clockSkew is by how much other machines' clocks may be behind.
const clockSkew = 5 * time.Minute

// NewCA makes what signs the certificates of a cluster, for so long.
func NewCA(cluster string, now time.Time, valid time.Duration) (Pair, error) {
	if cluster == "" {
		return Pair{}, fmt.Errorf("%w: a CA is of a cluster: want its name", ErrIdentity)
	}
	t := &x509.Certificate{
		Subject: pkix.Name{CommonName: "lockify CA of " + cluster}, URIs: []*url.URL{caURI(cluster)},
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		NotBefore: now.Add(-clockSkew), NotAfter: now.Add(valid),
	}
	return sign(t, nil, nil)
}

// Issue makes the certificate of a node or a client of the cluster that the CA is of,
// whatever i says of that. It ends no later than the CA's (Pair.End); one that has ended makes none.
func Issue(ca Pair, i Identity, now time.Time, valid time.Duration) (Pair, error) {
	parent, key, err := ca.parse()
	if err != nil {
		return Pair{}, fmt.Errorf("the CA: %w", err)
	}
	if i.Cluster, err = clusterOfCA(parent); err != nil {
		return Pair{}, err
	}
	if err := i.check(); err != nil {
		return Pair{}, err
	}
	if !now.Before(parent.NotAfter) {
		return Pair{}, fmt.Errorf("the CA: it has ended at %s: make another one", parent.NotAfter.UTC().Format(time.RFC3339))
	}
	end := now.Add(valid)
	if end.After(parent.NotAfter) {
		end = parent.NotAfter
	}
	t := &x509.Certificate{
		Subject: pkix.Name{CommonName: i.String()}, URIs: []*url.URL{i.uri()},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		NotBefore:   now.Add(-clockSkew), NotAfter: end,
	}
	if i.Node != 0 {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	return sign(t, parent, key)
}

// sign makes a key, and signs its certificate: with itself if there is no parent.
func sign(t, parent *x509.Certificate, by *ecdsa.PrivateKey) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	if parent == nil {
		parent, by = t, key
	}
	if t.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return Pair{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, &key.PublicKey, by)
	if err != nil {
		return Pair{}, err
	}
	k, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, err
	}
	return Pair{
		Cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k}),
	}, nil
}

// End says when the certificate ends.
func (p Pair) End() (time.Time, error) {
	cert, _, err := p.parse()
	if err != nil {
		return time.Time{}, err
	}
	return cert.NotAfter, nil
}

func (p Pair) parse() (*x509.Certificate, *ecdsa.PrivateKey, error) {
	c, _ := pem.Decode(p.Cert)
	k, _ := pem.Decode(p.Key)
	if c == nil || k == nil {
		return nil, nil, errors.New("want a certificate and a key in PEM")
	}
	cert, err := x509.ParseCertificate(c.Bytes)
	if err != nil {
		return nil, nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(k.Bytes)
	if err != nil {
		return nil, nil, err
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, nil, fmt.Errorf("a key of type %T, want ECDSA", key)
	}
	return cert, ec, nil
}
