package etcd

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/lockify-dlm/lockify/cluster"
)

// DefaultPrefix is where keys are if nothing else is said.
const DefaultPrefix = "/lockify"

// Config says where etcd is, and who the node is.
type Config struct {
	Endpoints []string // of etcd: http://host:port, or https://host:port
	Prefix    string   // of all keys; "": DefaultPrefix
	// CA, Cert and Key are files in PEM: who signs etcd's certificates ("": the
	// system's), and the certificate that the node shows, if etcd asks for one.
	CA, Cert, Key  string
	User, Password string // where etcd asks for them

	Cluster string        // name that all nodes share, 1 to 255 bytes, no slash
	Addr    string        // where the others reach this node: at most 100 bytes
	Terms   cluster.Terms // of a new cluster; zero: cluster.DefaultTerms
	// Features is what this version understands, as in the handshake of links.
	Features uint64
	Logger   *slog.Logger // nil: nothing is logged

	dial []grpc.DialOption // for tests
}

const maxName = 255

// Check says what is wrong with c. It does not look at the files.
func (c *Config) Check() error {
	switch {
	case len(c.Endpoints) == 0:
		return fmt.Errorf("%w: no address of etcd", cluster.ErrInvalid)
	case len(c.Cluster) == 0 || len(c.Cluster) > maxName || strings.Contains(c.Cluster, "/"):
		return fmt.Errorf("%w: cluster name %q, must be 1 to %d bytes without a slash", cluster.ErrInvalid, c.Cluster, maxName)
	case len(c.Addr) == 0 || len(c.Addr) > cluster.MaxAddr:
		return fmt.Errorf("%w: address of %d bytes for the other nodes, must be 1 to %d", cluster.ErrInvalid, len(c.Addr), cluster.MaxAddr)
	case (c.Cert == "") != (c.Key == ""):
		return fmt.Errorf("%w: a certificate for etcd needs its key, and a key its certificate", cluster.ErrInvalid)
	case c.User == "" && c.Password != "":
		return fmt.Errorf("%w: a password for etcd needs a user", cluster.ErrInvalid)
	}
	secure := strings.HasPrefix(c.Endpoints[0], "https://")
	for _, e := range c.Endpoints {
		rest, https := strings.CutPrefix(e, "https://")
		if !https {
			rest, _ = strings.CutPrefix(e, "http://")
		}
		if rest == e || rest == "" || https != secure {
			return fmt.Errorf("%w: etcd at %q, want http://host:port for all, or https://host:port for all", cluster.ErrInvalid, e)
		}
	}
	if !secure && (c.CA != "" || c.Cert != "") {
		return fmt.Errorf("%w: certificates for etcd, but its address is not https", cluster.ErrInvalid)
	}
	_, err := cluster.NewState(1, c.Terms)
	return err
}

// complete fills in what is not given.
func (c *Config) complete() {
	if c.Terms == (cluster.Terms{}) {
		c.Terms = cluster.DefaultTerms()
	}
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

// client gives the configuration of etcd's client. Its own log is off: what it would
// tell is in the errors.
func (c *Config) client() (clientv3.Config, error) {
	out := clientv3.Config{
		Endpoints: c.Endpoints, Username: c.User, Password: c.Password, Logger: zap.NewNop(),
		// A connection that has died without a word is noticed. Servers refuse
		// clients that ask more often than every 5 s, and gRPC to ask before 10.
		DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: 3 * time.Second,
		DialTimeout: 5 * time.Second,
		// gRPC would wait for up to 2 min until it connects again; a lease does not.
		DialOptions: append([]grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 3 * time.Second,
		})}, c.dial...),
	}
	if !strings.HasPrefix(c.Endpoints[0], "https://") {
		return out, nil
	}
	var err error
	if c.CA == "" && c.Cert == "" {
		out.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	} else if out.TLS, err = (transport.TLSInfo{CertFile: c.Cert, KeyFile: c.Key, TrustedCAFile: c.CA}).ClientConfig(); err != nil {
		return out, fmt.Errorf("%w: TLS files for etcd: %w", cluster.ErrInvalid, err)
	}
	return out, nil
}
