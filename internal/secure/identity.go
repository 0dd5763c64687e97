package secure

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// ErrIdentity: a certificate does not say whose it is, or is not of those who may.
var ErrIdentity = errors.New("certificate")

// Identity is whose a certificate is.
type Identity struct {
	Cluster string // name of the cluster
	Node    uint16 // 0: it is a client's
	Client  string // name of the client, "" for a node
}

const (
	scheme    = "lockify"
	maxClient = 64 // bytes of a client's name
)

// uri gives the form in certificates: lockify:/CLUSTER/node/3, lockify:/CLUSTER/client/NAME.
func (i Identity) uri() *url.URL {
	if i.Node != 0 {
		return uri(i.Cluster, "node", strconv.Itoa(int(i.Node)))
	}
	return uri(i.Cluster, "client", i.Client)
}

// uri gives lockify:/PART/PART..., each escaped.
func uri(parts ...string) *url.URL {
	u := &url.URL{Scheme: scheme, Path: "/" + strings.Join(parts, "/")}
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	u.RawPath = "/" + strings.Join(parts, "/")
	return u
}

func (i Identity) String() string {
	if i.Node != 0 {
		return fmt.Sprintf("node %d of cluster %q", i.Node, i.Cluster)
	}
	return fmt.Sprintf("client %q of cluster %q", i.Client, i.Cluster)
}

// check says what is wrong with an identity.
func (i Identity) check() error {
	switch {
	case i.Cluster == "":
		return fmt.Errorf("%w: without the name of a cluster", ErrIdentity)
	case (i.Node == 0) == (i.Client == ""):
		return fmt.Errorf("%w: want a node's id or a client's name", ErrIdentity)
	case len(i.Client) > maxClient:
		return fmt.Errorf("%w: a client's name of %d bytes, want at most %d", ErrIdentity, len(i.Client), maxClient)
	}
	return nil
}

// caURI stands in the certificate of a cluster's CA.
func caURI(cluster string) *url.URL {
	return uri(cluster, "ca")
}

func clusterOfCA(c *x509.Certificate) (string, error) {
	for _, u := range c.URIs {
		if rest, ok := strings.CutSuffix(u.EscapedPath(), "/ca"); ok && u.Scheme == scheme {
			return url.PathUnescape(strings.TrimPrefix(rest, "/"))
		}
	}
	return "", fmt.Errorf("%w of %q is of no cluster's CA: make one with lockctl tls init", ErrIdentity, c.Subject.CommonName)
}

// identityOf reads it from a certificate.
func identityOf(c *x509.Certificate) (Identity, error) {
	for _, u := range c.URIs {
		if u.Scheme != scheme {
			continue
		}
		part := strings.Split(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
		if len(part) != 3 {
			return Identity{}, fmt.Errorf("%w: %s: want three parts", ErrIdentity, u)
		}
		cluster, err1 := url.PathUnescape(part[0])
		name, err2 := url.PathUnescape(part[2])
		if err := errors.Join(err1, err2); err != nil {
			return Identity{}, fmt.Errorf("%w: %s: %w", ErrIdentity, u, err)
		}
		i := Identity{Cluster: cluster}
		switch part[1] {
		case "node":
			id, err := strconv.ParseUint(name, 10, 16)
			if err != nil {
				return Identity{}, fmt.Errorf("%w: %s: a node id is 1 to 65535", ErrIdentity, u)
			}
			i.Node = uint16(id)
		case "client":
			i.Client = name
		}
		return i, i.check()
	}
	return Identity{}, fmt.Errorf("%w of %q is of no node and no client: make one with lockctl tls", ErrIdentity, c.Subject.CommonName)
}
