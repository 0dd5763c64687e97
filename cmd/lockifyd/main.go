package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lockify-dlm/lockify/internal/nearest"
)

// Exit statuses; 128 + signal beside them.
const (
	exitFailed = 1  // could not start, or did not end in order
	exitConfig = 78 // wrong configuration; sysexits.h and systemd call it so. Not 2, which is how Go ends a program that panics
)

// version is what make package calls this build.
var version = "devel"

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is main without the process around it.
func run(args []string, stdout, stderr io.Writer) int {
	cmd := command(stdout, stderr)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(context.Background())
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "lockifyd: %v\n", err)
	var p problems
	if errors.As(err, &p) {
		return exitConfig
	}
	return exitFailed
}

const long = `lockifyd is a node of a lockify cluster. It serves lock requests of clients on
this machine, and grants them together with the other nodes.

Settings come from one TOML file (--config), from the environment, which wins over the
file, and from flags, which win over both. A setting --NAME-PART of the flags is
LOCKIFYD_NAME_PART in the environment, and name_part in the file; lists are TOML arrays
there, and each peer is a table:

  id      = 1
  cluster = "storage"
  listen  = "10.0.0.1:7540"
  clients = ["unix:///run/lockify/lockify.sock"]
  data    = "/var/lib/lockify"

  [[peer]]
  id   = 2
  addr = "10.0.0.2:7540"

  [[peer]]
  id    = 3
  addr  = "10.0.0.3:7540"
  delay = "50us"              # artificial, one way; for experiments

When the addresses are open, one line that begins with "ready" goes to the
standard output; the log goes to the standard error. SIGTERM and SIGINT end the
node in order within 5 s; a second signal, 200 ms later or more, ends it at once. SIGHUP reads the
configuration again: of what has changed, log_level and the access rules are taken, and
the log says what waits for a restart. The rules are also taken when the file changes. systemd is told (Type=notify), and its watchdog fed.

With peers, membership is fixed: all nodes list each other, and a node that has ended
comes back only when the whole cluster restarts. With new_cluster on the first start
of the first node, and join on the others, nodes come and go as they agree:

  id      = 2
  listen  = "10.0.0.2:7540"
  join    = ["10.0.0.1:7540"]
  data    = "/var/lib/lockify"

Where there is an etcd cluster, it can keep the membership instead. All nodes are alike:

  id      = 2
  listen  = "10.0.0.2:7540"
  etcd    = ["http://10.0.1.1:2379", "http://10.0.1.2:2379"]

What others on the network reach wants certificates, by which nodes and clients know
each other ("lockctl tls" makes them), or allow_plaintext_network = true:

  tls_cert = "/etc/lockify/node-2.crt"
  tls_key  = "/etc/lockify/node-2.key"
  tls_ca   = "/etc/lockify/ca.crt"

"ready" then means that the node is a member. A node that loses its membership
(it was cut off for longer than the lease, or stopped) tells its clients that their
locks are lost, and joins anew.

A node can export files, block devices and memory to NVMe/TCP hosts. Namespaces are
numbered from 1 on; with data, reservations outlive the daemon:

  [[export]]
  nqn        = "nqn.2026-01.com.example:disk"
  listen     = ["10.0.0.1:4420"]
  namespaces = ["/dev/sdb", "/srv/disk.img", "memory:1GiB"]
  hosts      = ["nqn.2026-01.com.example:host-a"]    # or any_host = true

With a file of secrets in place of hosts, those authenticate themselves (DH-HMAC-CHAP);
"lockctl disk key" makes secrets. A line has a host's NQN, its secret, and perhaps this
end's own secret for that host. Others must not be able to read the file:

  dhchap_secrets = "/etc/lockify/disk.secrets"
  dhchap_hashes  = ["sha256", "sha512"]        # preferred ones first; default: all
  dhchap_groups  = ["ffdhe3072", "ffdhe2048"]  # also null, which is the last by default

Disks that the nodes share can fence: a node that the cluster goes on without is kept
from them before anybody gets its locks. Each node says the same of each disk:

  [[fence_disk]]
  addr = "10.0.0.1:4420"                     # of an NVMe/TCP target with reservations
  nqn  = "nqn.2026-01.com.example:disk"
  nsid = 1                                   # if there are several
  host_nqn = "nqn.2026-01.com.example:host-a"    # if the target asks for it

Exit status: 0 clean shutdown, 1 the node could not start, or did not end in order,
78 wrong configuration, 128 + signal if a second signal came.`

const examples = `  # a single node, for a first look
  lockifyd --id 1 --clients unix:///tmp/lockify.sock

  # two nodes on one machine
  lockifyd --id 1 --listen 127.0.0.1:7001 --peers 2=127.0.0.1:7002 \
    --clients unix:///tmp/n1.sock --admin 127.0.0.1:7101
  lockifyd --id 2 --listen 127.0.0.1:7002 --peers 1=127.0.0.1:7001 \
    --clients unix:///tmp/n2.sock --admin 127.0.0.1:7102

  # a cluster that agrees on who is in it: the first node, and another one
  lockifyd --id 1 --new-cluster --data /var/lib/lockify --listen 10.0.0.1:7540
  lockifyd --id 2 --join 10.0.0.1:7540 --data /var/lib/lockify --listen 10.0.0.2:7540

  # look at a configuration without starting anything
  lockifyd --config /etc/lockify/lockifyd.toml --check-config`

func command(stdout, stderr io.Writer) *cobra.Command {
	var file string
	var check bool
	cmd := &cobra.Command{
		Use: "lockifyd [--config FILE] [flags]", Short: "A node of a lockify cluster",
		Long: long, Example: examples, Version: version,
		SilenceErrors: true, SilenceUsage: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return problems{{where: "command line", what: fmt.Sprintf("argument %q; want flags only", args[0])}}
			}
			return nil
		},
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&file, "config", "", "read settings from this TOML `FILE`; $LOCKIFYD_CONFIG")
	given := addFlags(flags)
	flags.BoolVar(&check, "check-config", false, "check the settings and the files that they name, say what they are and where from, and exit")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return flagProblem(flags, err) })
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		environ := os.Environ()
		if file == "" {
			file = fileOfEnv(environ)
		}
		cfg, err := load(file, environ, given)
		if err != nil {
			return err
		}
		if check {
			if err := cfg.checkFiles(); err != nil {
				return err
			}
			return cfg.print(stdout)
		}
		again := func() (*config, error) { return load(file, environ, given) }
		return serve(cmd.Context(), cfg, again, stdout, stderr)
	}
	return cmd
}

// given holds the flags that are on the command line, by setting.
type given map[*setting]string

// flagValue collects a flag as it was given; load checks it.
type flagValue struct {
	s     *setting
	given given
}

func (f flagValue) Set(v string) error { f.given[f.s] = v; return nil }
func (f flagValue) String() string     { return "" }

// Type is what stands behind the flag in the help text.
func (f flagValue) Type() string {
	if f.s.kind == kindBool {
		return "bool"
	}
	return f.s.arg
}

func addFlags(flags *pflag.FlagSet) given {
	g := given{}
	for i := range settings {
		s := &settings[i]
		help := s.help
		if s.def != "" && s.kind != kindBool {
			help += " (default " + cmp.Or(s.auto, s.def) + ")"
		}
		f := flags.VarPF(flagValue{s, g}, s.flag(), "", help)
		if s.kind == kindBool {
			f.NoOptDefVal = "true"
		}
	}
	return g
}

// flagProblem says what is wrong with a flag that pflag does not take.
func flagProblem(flags *pflag.FlagSet, err error) error {
	p := problem{where: "command line", what: err.Error()}
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		var names []string
		flags.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		name := strings.TrimLeft(unknown.GetSpecifiedName(), "-")
		p.what = fmt.Sprintf("no flag --%s%s", name, nearest.Suggest(name, names, "--"))
	}
	return problems{p}
}
