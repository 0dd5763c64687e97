package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/lockify-dlm/lockify/cluster/etcd"
	"github.com/lockify-dlm/lockify/internal/access"
	"github.com/lockify-dlm/lockify/internal/address"
	"github.com/lockify-dlm/lockify/internal/bounds"
	"github.com/lockify-dlm/lockify/internal/nearest"
	"github.com/lockify-dlm/lockify/internal/node"
	"github.com/lockify-dlm/lockify/internal/secure"
	"github.com/lockify-dlm/lockify/internal/sharedisk"
	"github.com/lockify-dlm/lockify/internal/tracing"
	"github.com/lockify-dlm/lockify/perf"
)

// kind is the form of a setting in the file.
type kind uint8

const (
	kindString kind = iota
	kindInt
	kindNumber // with a fraction, perhaps
	kindBool
	kindList // array of strings; comma-separated as a flag
	kindPeers
)

// setting is one thing that can be configured, by file, environment or flag.
type setting struct {
	key  string // in the file
	name string // of the flag, if not key with dashes
	kind kind
	arg  string // placeholder in the help text
	def  string // as for set; empty: none
	want string // what is expected, for messages
	help string
	unit string                            // of a number; empty: none
	auto string                            // says what def is, where that depends on the machine
	set  func(c *config, v string) error   // nil error: v is good and is in c
	list func(c *config, v []string) error // instead of set for a list, which is not empty
	get  func(c *config) string            // as for set, to show it
}

func (s *setting) flag() string {
	if s.name != "" {
		return s.name
	}
	return strings.ReplaceAll(s.key, "_", "-")
}

// env is the variable of the environment that has a setting.
func (s *setting) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.flag(), "-", "_"))
}

// errWant stands for "not what is wanted": the setting's want says it all.
var errWant = errors.New("not what is wanted")

// settings are all there are, in the order in which people see them.
var settings = []setting{
	{
		key: "id", kind: kindInt, arg: "N", want: "a whole number from 1 to 65535, different on each node",
		help: "this node's number in the cluster, 1 to 65535; needed",
		set:  func(c *config, v string) error { return parseID(v, &c.id) },
		get:  func(c *config) string { return strconv.Itoa(int(c.id)) },
	}, {
		key: "cluster", arg: "NAME", def: bounds.Cluster, want: fmt.Sprintf("a name of 1 to %d bytes, the same on all nodes", bounds.MaxClusterName),
		help: "name of the cluster, the same on all nodes",
		set: func(c *config, v string) error {
			c.cluster = v
			return wantIf(len(v) >= 1 && len(v) <= bounds.MaxClusterName)
		},
		get: func(c *config) string { return c.cluster },
	}, {
		key: "listen", arg: "ADDR", want: "host:port, or unix:///path for nodes on one machine",
		help: "where other nodes connect: host:port or unix:///path; needed with peers",
		set:  func(c *config, v string) error { c.listen = v; return address.CheckListen(v) },
		get:  func(c *config) string { return c.listen },
	}, {
		key: "peer", name: "peers", kind: kindPeers, arg: "ID=ADDR,...", want: "ID=ADDR,ID=ADDR,... of the other nodes",
		help: "the other nodes, as 2=10.0.0.2:7540,3=10.0.0.3:7540; in the file [[peer]] tables with id, addr, delay",
		set:  func(c *config, v string) error { return parsePeers(v, &c.peers) },
		get:  func(c *config) string { return showPeers(c.peers) },
	},
	yesNo("new_cluster", "make a new cluster, with this node as its first; for the first start of the first node, which asks nobody, others join it; needs data", func(c *config) *bool { return &c.newCluster }),
	{
		key: "join", kind: kindList, arg: "ADDR,...", want: "addresses host:port or unix:///path of nodes of the cluster, each once",
		help: "join the cluster that these nodes are in, any of them; what listen is there",
		list: func(c *config, v []string) error { return parseAddrs(v, &c.join, address.CheckDial) },
		get:  func(c *config) string { return strings.Join(c.join, ",") },
	}, {
		key: "advertise", arg: "ADDR", want: "host:port, or unix:///path, that reaches this node",
		help: "where other nodes reach this one, if that is not what listen says",
		set:  func(c *config, v string) error { c.advertise = v; return address.CheckDial(v) },
		get:  func(c *config) string { return c.advertise },
	},
	span("lease", bounds.Lease, "how long a node may act without hearing of the cluster, and how long its locks outlive it; the same on all nodes, fixed when the cluster is made", func(c *config) *time.Duration { return &c.lease }),
	{
		key: "voters", kind: kindInt, arg: "N", def: strconv.Itoa(bounds.Voters), unit: "nodes", want: bounds.WantVoters,
		help: "how many nodes of a new cluster decide on membership: those with data that come first; more than half of them must live",
		set: func(c *config, v string) (err error) {
			c.voters, err = strconv.Atoi(v)
			return wantIf(err == nil && bounds.CanVote(c.voters))
		},
		get: func(c *config) string { return strconv.Itoa(c.voters) },
	},
	text("fence_command", "COMMAND", "", "a command for the shell", "ends a silent node, so that its lease need not be waited for: run by the shell with LOCKIFY_NODE and LOCKIFY_INSTANCE set; status 0: it surely does nothing more", func(c *config) *string { return &c.fenceCommand }),
	{
		key: "etcd", kind: kindList, arg: "URL,...", want: "http://host:port or https://host:port of etcd servers, each once",
		help: "keep the membership in the etcd cluster that these servers are of, instead of join",
		list: func(c *config, v []string) error { return parseAddrs(v, &c.etcd.Endpoints, checkEtcdURL) },
		get:  func(c *config) string { return strings.Join(c.etcd.Endpoints, ",") },
	},
	text("etcd_prefix", "KEY", etcd.DefaultPrefix, "the beginning of keys, the same on all nodes", "where the keys of lockify clusters are in etcd", func(c *config) *string { return &c.etcd.Prefix }),
	text("etcd_ca", "FILE", "", "a file in PEM", "who signs the certificates of etcd; without it, those that the system knows", func(c *config) *string { return &c.etcd.CA }),
	text("etcd_cert", "FILE", "", "a file in PEM", "certificate that this node shows etcd", func(c *config) *string { return &c.etcd.Cert }),
	text("etcd_key", "FILE", "", "a file in PEM", "key of that certificate", func(c *config) *string { return &c.etcd.Key }),
	text("etcd_user", "NAME", "", "a user of etcd", "user as which this node comes to etcd", func(c *config) *string { return &c.etcd.User }),
	text("etcd_password_file", "FILE", "", "a file with one line", "file with the password of that user", func(c *config) *string { return &c.etcdPassword }),
	{
		key: "clients", kind: kindList, arg: "ADDR,...", def: "unix:///run/lockify/lockify.sock",
		want: "addresses unix:///path or tcp://host:port, each once",
		help: "where clients connect: unix:///path, tcp://host:port",
		list: func(c *config, v []string) error { return parseAddrs(v, &c.clients, address.CheckClients) },
		get:  func(c *config) string { return strings.Join(c.clients, ",") },
	}, {
		key: "socket_mode", arg: "MODE", want: "an octal mode such as 0660",
		help: "mode of the files of those Unix sockets: who may write one may connect; without it, as the umask says",
		set: func(c *config, v string) error {
			n, err := strconv.ParseUint(v, 8, 32)
			c.socketMode = fs.FileMode(n)
			return wantIf(err == nil && n > 0 && n <= 0o777)
		},
		get: func(c *config) string {
			if c.socketMode == 0 {
				return ""
			}
			return fmt.Sprintf("%04o", c.socketMode)
		},
	},
	number("max_sessions", bounds.Sessions, "sessions", "sessions of all clients at the same time", func(c *config) *int { return &c.limits.Sessions }),
	number("max_client_sessions", bounds.ClientSessions, "sessions", "sessions of one client at the same time: of a certificate, a uid, or an address without either", func(c *config) *int { return &c.limits.Each }),
	number("max_client_lockspaces", bounds.ClientLockspaces, "lockspaces", "lockspaces that a session may have open", func(c *config) *int { return &c.limits.Spaces }),
	number("max_client_locks", bounds.ClientLocks, "locks", "locks of a session", func(c *config) *int { return &c.limits.Locks }),
	number("max_client_waiting", bounds.ClientWaiting, "requests", "requests of a session that have not been answered", func(c *config) *int { return &c.limits.Waiting }),
	number("max_client_queued", bounds.ClientQueued, "bytes", "what a client may leave unread; beyond it the session ends", func(c *config) *int { return &c.limits.Queued }),
	number("max_client_rate", bounds.ClientRate, "requests a second", "what a client may ask for in all its sessions together, with as much at once; ten times as many messages in one end it; 0: any", func(c *config) *int { return &c.limits.Rate }),
	text("admin", "ADDR", "127.0.0.1:7541", "host:port on the loopback interface, or off", "where lockctl and profilers connect: host:port, or off", func(c *config) *string { return &c.admin }),
	yesNo("allow_admin_from_network", "let the admin address be one that others on the network reach; it has no passwords", func(c *config) *bool { return &c.adminFromNetwork }),
	text("tls_cert", "FILE", "", "a file in PEM", "certificate of this node (lockctl tls node): TCP between nodes, and of clients, is by TLS, and the other end must show one of the same cluster, too", func(c *config) *string { return &c.tls.Cert }),
	text("tls_key", "FILE", "", "a file in PEM that not all users can read", "key of that certificate; it, the certificate and the CA's are read again when they change", func(c *config) *string { return &c.tls.Key }),
	text("tls_ca", "FILE", "", "a file in PEM", "who signs the certificates of the cluster (lockctl tls init)", func(c *config) *string { return &c.tls.CA }),
	yesNo("allow_plaintext_network", "without TLS, let listen and clients be addresses that others on the network reach: whoever reaches them is a node or a client", func(c *config) *bool { return &c.plaintext }),
	text("data", "DIR", "", "a directory, made if it is missing", "directory of this node: what it knows of the cluster, and that no start is mistaken for an earlier one; without it, the clock sees to that", func(c *config) *string { return &c.data }),
	span("idle_after", bounds.IdleAfter, "how long a name that nobody uses stays cached", func(c *config) *time.Duration { return &c.idleAfter }),
	span("close_after", bounds.CloseAfter, "how long a lockspace stays open on the node when no program has it open any more, unless there is no room for another one; with peers it stays for ever", func(c *config) *time.Duration { return &c.closeAfter }),
	span("long_wait", bounds.LongWait, "a client's request that waits for longer is logged, and an event of lockctl watch", func(c *config) *time.Duration { return &c.longWait }),
	{
		key: "tracing_endpoint", arg: "URL", want: "http://host:port or https://host:port, and perhaps a path",
		help: "collector that takes spans by OTLP over HTTP, at /v1/traces if the URL has no path; with it, this node goes on with the traces of clients and other nodes",
		set: func(c *config, v string) error {
			c.tracingEndpoint = v
			return wantIf(tracing.CheckEndpoint(v) == nil)
		},
		get: func(c *config) string { return c.tracingEndpoint },
	}, {
		key: "tracing_ratio", kind: kindNumber, arg: "R", def: "0", want: "a number from 0 to 1; above 0 it needs tracing_endpoint",
		help: "for how many of those requests of clients that are part of no trace this node begins one: 0.01 is one of a hundred",
		set:  func(c *config, v string) error { return parseRatio(v, &c.tracingRatio) },
		get:  func(c *config) string { return strconv.FormatFloat(c.tracingRatio, 'g', -1, 64) },
	},
	perCore("shards", bounds.Shards, runtime.GOMAXPROCS(0), "the processors that it may use", "shards", "shards of a lockspace on this node, best as many as cores", func(c *config) *int { return &c.shards }),
	{
		key: "transport", arg: "NAME", def: "netpoll", want: "netpoll or plain",
		help: "how sockets are read: netpoll (event loops) or plain (a goroutine each)",
		set:  func(c *config, v string) error { return oneOf(v, &c.transport, "netpoll", "plain") },
		get:  func(c *config) string { return c.transport },
	},
	perCore("pollers", bounds.Pollers, runtime.GOMAXPROCS(0)/2, "half of the processors that it may use", "event loops", "event loops of the netpoll transport", func(c *config) *int { return &c.pollers }),
	number("rings", bounds.Rings, "clients", "how many clients on Unix sockets may go through shared memory at once, 132 KiB each; 0: none, they use the socket", func(c *config) *int { return &c.rings }),
	yesNo("compress", "compress frames above 1 KiB between nodes that both can; saves network, costs processor", func(c *config) *bool { return &c.compress }),
	{
		key: "log_level", arg: "LEVEL", def: "info", want: "debug, info, warn or error",
		help: "least important messages to log: debug, info, warn or error",
		set: func(c *config, v string) error {
			if err := oneOf(v, new(string), "debug", "info", "warn", "error"); err != nil {
				return err
			}
			return c.logLevel.UnmarshalText([]byte(v))
		},
		get: func(c *config) string { return strings.ToLower(c.logLevel.String()) },
	}, {
		key: "log_format", arg: "FORMAT", def: "text", want: "text or json",
		help: "form of the log on the standard error: text or json",
		set:  func(c *config, v string) error { return oneOf(v, &c.logFormat, "text", "json") },
		get:  func(c *config) string { return c.logFormat },
	}, {
		key: "profile", arg: "KIND", want: "one of " + strings.Join(perf.ProfileKinds(), ", "),
		help: "take a profile until the end: " + strings.Join(perf.ProfileKinds(), ", "),
		set:  func(c *config, v string) error { return oneOf(v, &c.profile, perf.ProfileKinds()...) },
		get:  func(c *config) string { return c.profile },
	},
	text("profile_dir", "DIR", ".", "a directory, made if it is missing", "where the profile goes", func(c *config) *string { return &c.profileDir }),
}

// config is the configuration in force. where says for each setting that was
// given from which place it came.
type config struct {
	id               uint16
	cluster          string
	listen           string
	peers            []node.Peer
	newCluster       bool
	join             []string
	advertise        string
	lease            time.Duration
	etcd             etcd.Config // as far as it is configured
	etcdPassword     string      // name of a file
	voters           int
	fenceCommand     string
	clients          []string
	socketMode       fs.FileMode // 0: not given
	limits           node.Limits
	admin            string
	adminFromNetwork bool
	tls              secure.Files
	plaintext        bool
	data             string
	idleAfter        time.Duration
	longWait         time.Duration
	closeAfter       time.Duration
	shards           int
	transport        string
	pollers          int
	rings            int
	compress         bool
	tracingEndpoint  string
	tracingRatio     float64
	logLevel         slog.Level
	logFormat        string
	profile          string
	profileDir       string
	exports          []export         // by file only
	fenceDisks       []sharedisk.Disk // by file only
	access           []access.Rule    // by file only; reloads alone reads and writes it when the node runs

	file  string            // "": none
	where map[string]string // by key
}

func wantIf(ok bool) error {
	if !ok {
		return errWant
	}
	return nil
}

func parseID(v string, to *uint16) error {
	n, err := strconv.ParseUint(v, 10, 16)
	*to = uint16(n)
	return wantIf(err == nil && n > 0)
}

func parseRatio(v string, to *float64) error {
	n, err := strconv.ParseFloat(v, 64)
	*to = n
	return wantIf(err == nil && n >= 0 && n <= 1) // not a number is neither
}

func oneOf(v string, to *string, all ...string) error {
	for _, s := range all {
		if v == s {
			*to = v
			return nil
		}
	}
	if near := nearest.Suggest(v, all, ""); near != "" {
		return fmt.Errorf("unknown%s", near)
	}
	return errWant
}
