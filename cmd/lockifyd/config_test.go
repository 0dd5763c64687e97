package main

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// configFile writes a file of these lines and gives its name.
func configFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "lockifyd.toml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// good is a configuration without fault, for mistakes to be added to.
const good = `# a node
id      = 1
listen  = "127.0.0.1:7001"
clients = ["unix:///tmp/x.sock",
           "tcp://127.0.0.1:7000"] # two

[[peer]]
id   = 2
addr = "127.0.0.1:7002"

[[peer]]
id    = 3
addr  = "127.0.0.1:7003"
delay = "50us"
`

// with changes a line of good.
func with(old, new string) string {
	if !strings.Contains(good, old) {
		panic("no " + old)
	}
	return strings.Replace(good, old, new, 1)
}

// Every wrong configuration is refused with status 78 and a message that says
// where, what is wrong, and what is expected. FILE stands for the file's name.
func TestWrongConfiguration(t *testing.T) {
	for _, tc := range []struct {
		name string
		file string // empty: none
		args []string
		want []string // lines of the message behind the first
	}{
		{"nothing at all", "", nil, []string{`command line: id: missing; want this node's number in the cluster, 1 to 65535 (--id, $LOCKIFYD_ID, or id in the file)`}},
		{"no id in the file", with("id      = 1\n", ""), nil, []string{`FILE: id: missing; want this node's number in the cluster, 1 to 65535 (--id, $LOCKIFYD_ID, or id in the file)`}},
		{"unknown key", with("# two", "\nshrads = 2"), nil, []string{`FILE:6: shrads: there is no such setting; did you mean shards?`}},
		{"key of the flags' form", with("# two", "\nidle-after = \"1s\""), nil, []string{`FILE:6: idle-after: there is no such setting; did you mean idle_after?`}},
		{"unknown key, none near", with("# two", "\nfrobnication = 2"), nil, []string{`FILE:6: frobnication: there is no such setting`}},
		{"unknown key of a peer", with("delay =", "dealy ="), nil, []string{`FILE:14: peer.dealy: there is no such setting; did you mean delay?`}},
		{"not TOML", with("id      = 1", "id      = "), nil, []string{`FILE:2: not TOML: expected value but found '\n' instead`}},
		{"id 0", with("id      = 1", "id = 0"), nil, []string{`FILE:2: id: got "0"; want a whole number from 1 to 65535, different on each node`}},
		{"id as a string", with("id      = 1", `id = "1"`), nil, []string{`FILE:2: id: got the string "1"; want a whole number from 1 to 65535, different on each node`}},
		{"own id among the peers", with("id   = 2", "id   = 1"), nil, []string{`FILE:7: peer: id 1 is this node's own; want the other nodes only`}},
		{"peer twice", with("id    = 3", "id    = 2"), nil, []string{`FILE:12: peer.id: peer 2 is there twice; want each of the other nodes once`}},
		{"peer without address", with("addr  = \"127.0.0.1:7003\"\n", ""), nil, []string{`FILE:11: peer.addr: missing; want id, addr in each [[peer]]`}},
		{"peer without port", with("127.0.0.1:7003", "127.0.0.1"), nil, []string{`FILE:13: peer.addr: got "127.0.0.1", this is neither host:port nor unix:///path; want host:port or unix:///path`}},
		{"peer at port 0", with("127.0.0.1:7003", "127.0.0.1:0"), nil, []string{`FILE:13: peer.addr: got "127.0.0.1:0", nobody can connect to port 0; want host:port or unix:///path`}},
		{"peer here", with("127.0.0.1:7002", "127.0.0.1:7001"), nil, []string{`FILE:7: peer: peer 2 is at 127.0.0.1:7001, where this node listens itself`}},
		{"peer on a socket", with("127.0.0.1:7002", "unix:///tmp/2"), nil, []string{`FILE:7: peer: peer 2 is at unix:///tmp/2, but listen is 127.0.0.1:7001; want both over TCP or both over Unix sockets`}},
		{"delay is no time", with("50us", "50"), nil, []string{`FILE:14: peer.delay: got the string "50"; want a time such as "50us", up to 1s`}},
		{"delay too long", with("50us", "2s"), nil, []string{`FILE:14: peer.delay: got the string "2s"; want a time such as "50us", up to 1s`}},
		{"peer is no table", "id = 1\npeer = 2\n", nil, []string{`FILE:2: peer: got 2; want tables that begin with [[peer]]`}},
		{"peers without listen", with("listen  = \"127.0.0.1:7001\"\n", ""), nil, []string{`FILE: listen: missing; want the address where the 2 peers connect, host:port`}},
		{"peers and join without listen", "id = 1\njoin = [\"127.0.0.1:7003\"]\n\n[[peer]]\nid = 2\naddr = \"127.0.0.1:7002\"\n", nil, []string{
			`FILE: listen: missing; want the address where the 1 peers connect, host:port`,
			`FILE:2: join: with peers the membership is fixed; want either peers, or join and new_cluster`,
		}},
		{"port of listen", with("127.0.0.1:7001", "127.0.0.1:70010"), nil, []string{`FILE:3: listen: got "127.0.0.1:70010", port "70010" is no number from 0 to 65535; want host:port, or unix:///path for nodes on one machine`}},
		{"client address", with("tcp://127", "127"), nil, []string{`FILE:4: clients: got "unix:///tmp/x.sock,127.0.0.1:7000", address "127.0.0.1:7000": this is neither unix:///path nor tcp://host:port; want addresses unix:///path or tcp://host:port, each once`}},
		{"client address twice", with("tcp://127.0.0.1:7000", "unix:///tmp/x.sock"), nil, []string{`FILE:4: clients: got "unix:///tmp/x.sock,unix:///tmp/x.sock", address "unix:///tmp/x.sock" is there twice; want addresses unix:///path or tcp://host:port, each once`}},
		{"clients is no list", "id = 1\nclients = \"unix:///x\"\n", nil, []string{`FILE:2: clients: got the string "unix:///x"; want addresses unix:///path or tcp://host:port, each once`}},
		{"relative socket", "", []string{"--id=1", "--clients=unix://x.sock"}, []string{`--clients: got "unix://x.sock", address "unix://x.sock": the path "x.sock" of a socket must begin with /; want addresses unix:///path or tcp://host:port, each once`}},
		{"directory for a socket", "", []string{"--id=1", "--clients=unix:///some/dir/"}, []string{`--clients: got "unix:///some/dir/", address "unix:///some/dir/": the path "/some/dir/" is that of a directory, want one of a socket in it; want addresses unix:///path or tcp://host:port, each once`}},
		{"longest socket", "", []string{"--id=1", "--clients=unix:///" + strings.Repeat("x", 107)}, []string{`--clients: got "unix:///` + strings.Repeat("x", 107) + `", address "unix:///` + strings.Repeat("x", 107) + `": the path of a socket has 108 bytes, at most 107; want addresses unix:///path or tcp://host:port, each once`}},
		{"duration", "id = 1\nidle_after = \"10\"\n", nil, []string{`FILE:2: idle_after: got "10"; want a time from 1ms to 24h`}},
		{"shards", "id = 1\nshards = 257\n", nil, []string{`FILE:2: shards: got "257"; want a whole number from 1 to 256`}},
		{"transport", "", []string{"--id=1", "--transport=netpol"}, []string{`--transport: got "netpol", unknown; did you mean netpoll?; want netpoll or plain`}},
		{"tracing endpoint", "id = 1\ntracing_endpoint = \"h:4318\"\n", nil, []string{`FILE:2: tracing_endpoint: got "h:4318"; want http://host:port or https://host:port, and perhaps a path`}},
		{"tracing ratio", "id = 1\ntracing_ratio = 1.5\ntracing_endpoint = \"http://h:4318\"\n", nil, []string{`FILE:2: tracing_ratio: got "1.5"; want a number from 0 to 1; above 0 it needs tracing_endpoint`}},
		{"tracing ratio as a string", "id = 1\ntracing_ratio = \"1\"\ntracing_endpoint = \"http://h:4318\"\n", nil, []string{`FILE:2: tracing_ratio: got the string "1"; want a number from 0 to 1; above 0 it needs tracing_endpoint`}},
		{"traces for nobody", "id = 1\ntracing_ratio = 0.5\n", nil, []string{`FILE:2: tracing_ratio: 0.5, but nobody takes what is traced; want tracing_endpoint as well`}},
		{"log level", "id = 1\nlog_level = \"loud\"\n", nil, []string{`FILE:2: log_level: got "loud"; want debug, info, warn or error`}},
		{"profile", "", []string{"--id=1", "--profile=gpu"}, []string{`--profile: got "gpu", unknown; did you mean cpu?; want one of cpu, mem, mutex, block, trace, goroutine`}},
		{"admin from the network", "id = 1\nadmin = \"0.0.0.0:7541\"\n", nil, []string{`FILE:2: admin: got "0.0.0.0:7541", which others on the network can reach, and there are no passwords; want host:port on the loopback interface, or off, or allow_admin_from_network (--allow-admin-from-network) as well`}},
		{"admin on all interfaces", "", []string{"--id=1", "--admin=:7541", "--allow-admin-from-network"}, []string{`--admin: got ":7541"; want host:port with a host such as 127.0.0.1, or off`}},
		{"one address for all", "id = 1\nclients = [\"tcp://127.0.0.1:7\", \"tcp://127.0.0.1:8\"]\nlisten = \"127.0.0.1:7\"\nadmin = \"127.0.0.1:8\"\n", nil, []string{
			`FILE:2: clients: 127.0.0.1:7 is for the other nodes (listen); want another address for clients`,
			`FILE:4: admin: 127.0.0.1:8 is for clients; want another address for lockctl and metrics`,
		}},
		{"admin where nodes are", "id = 1\nlisten = \"tcp://127.0.0.1:7\"\n", []string{"--admin=127.0.0.1:7"}, []string{`--admin: 127.0.0.1:7 is for the other nodes (listen); want another address for lockctl and metrics`}},
		{"voters with etcd", "id = 1\nlisten = \"127.0.0.1:7\"\netcd = [\"http://127.0.0.1:8\"]\nvoters = 5\n", nil, []string{
			`FILE:4: voters: with etcd nothing comes of it: etcd decides, and no node has a vote`,
		}},
		{"flag --peers", "", []string{"--id=1", "--listen=127.0.0.1:0", "--peers=2=127.0.0.1:7,2=127.0.0.1:8"}, []string{`--peers: got "2=127.0.0.1:7,2=127.0.0.1:8", peer 2 is there twice; want ID=ADDR,ID=ADDR,... of the other nodes`}},
		{"flag --peers without =", "", []string{"--id=1", "--listen=127.0.0.1:0", "--peers=127.0.0.1:7"}, []string{`--peers: got "127.0.0.1:7", "127.0.0.1:7" has no =; want ID=ADDR,ID=ADDR,... of the other nodes`}},
		{"unknown flag", "", []string{"--id=1", "--shard=2"}, []string{`command line: no flag --shard; did you mean --shards?`}},
		{"argument", "", []string{"--id=1", "start"}, []string{`command line: argument "start"; want flags only`}},
		{"a comma in a path is part of it", "id = 1\nclients = [\"unix:///tmp/a,b\", \"unix:///tmp/a,b\"]\n", nil, []string{`FILE:2: clients: got "unix:///tmp/a,b,unix:///tmp/a,b", address "unix:///tmp/a,b" is there twice; want addresses unix:///path or tcp://host:port, each once`}},
		{"unknown table", with("[[peer]]", "[[expert]]"), nil, []string{`FILE:7: expert: there is no such setting; did you mean export?`}},
		{"several at once, a flag among them", with("id      = 1", "id = 0\nport = 7"), []string{"--shards=none"}, []string{
			`FILE:2: id: got "0"; want a whole number from 1 to 65535, different on each node`,
			`FILE:3: port: there is no such setting; did you mean export?`,
			`--shards: got "none"; want a whole number from 1 to 256`,
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			args, file := tc.args, ""
			if tc.file != "" {
				file = configFile(t, tc.file)
				args = append([]string{"--config", file}, args...)
			}
			p := daemontest.Run(t, exec.Command(daemontest.Bin("lockifyd"), args...))
			if status := p.Wait(t); status != exitConfig {
				t.Errorf("exit status %d, want %d", status, exitConfig)
			}
			want := "lockifyd: wrong configuration, not started:\n  " + strings.ReplaceAll(strings.Join(tc.want, "\n  "), "FILE", file) + "\n"
			if got := p.Err.String(); got != want {
				t.Errorf("message:\n%s\nwant:\n%s", got, want)
			}
			if out := p.Out.String(); out != "" {
				t.Errorf("standard output %q", out)
			}
		})
	}
}

// What is wrong in the environment is told with the variable's name, unknown ones too.
func TestWrongEnvironment(t *testing.T) {
	_, err := load("", []string{"LOCKIFYD_ID=0", "LOCKIFYD_SHARD=2", "LOCKIFYD_ADMIN=0.0.0.0:1", "LOCKIFY_ADDR=x"}, given{})
	want := `wrong configuration, not started:
  $LOCKIFYD_ID: got "0"; want a whole number from 1 to 65535, different on each node
  $LOCKIFYD_SHARD: there is no such setting; did you mean LOCKIFYD_SHARDS?`
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant: %s", err, want)
	}
	_, err = load("", []string{"LOCKIFYD_ID=1", "LOCKIFYD_ADMIN=0.0.0.0:1"}, given{})
	if err == nil || !strings.Contains(err.Error(), `$LOCKIFYD_ADMIN: got "0.0.0.0:1", which others on the network can reach`) {
		t.Error(err)
	}
}

// A path may have a comma in it, in the file.
func TestCommaInPath(t *testing.T) {
	cfg, err := load(configFile(t, `id = 1
clients = ["unix:///tmp/a,b.sock", "unix:///tmp/c.sock"]
[[export]]
nqn = "nqn.2026-01.com.example:disk"
listen = ["127.0.0.1:4420"]
namespaces = ["/srv/a,b.img"]
any_host = true
`), nil, given{})
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.clients) != 2 || cfg.clients[0] != "unix:///tmp/a,b.sock" || cfg.exports[0].namespaces[0].path != "/srv/a,b.img" {
		t.Errorf("clients %q, exports %+v", cfg.clients, cfg.exports)
	}
}

// --check-config looks into the files that settings name.
func TestCheckConfigFiles(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := daemontest.Run(t, exec.Command(daemontest.Bin("lockifyd"), "--check-config", "--id=1", "--data", file,
		"--tls-cert", file, "--tls-key", file, "--tls-ca", filepath.Join(dir, "none")))
	if status := p.Wait(t); status != exitConfig {
		t.Errorf("exit status %d, want %d", status, exitConfig)
	}
	p.Err.Await(t, 0, "--tls-cert: stat "+dir+"/none: no such file")
	p.Err.Await(t, 0, "--data: "+file+" is no directory")
}

// --check-config tries whether a data directory can be made, and leaves nothing behind.
func TestCheckConfigData(t *testing.T) {
	dir := t.TempDir()
	for data, want := range map[string]string{
		dir: "", dir + "/a/b/c": "", "/proc/nope": "--data: /proc/nope cannot be made: no directory can, in /proc: ", "/proc/nope/b": "in /proc: ",
		"/proc/version/b": "--data: stat /proc/version/b: not a directory",
	} {
		var out, errs strings.Builder
		status := run([]string{"--id", "1", "--data", data, "--check-config"}, &out, &errs)
		if (status == 0) != (want == "") || !strings.Contains(errs.String(), want) {
			t.Errorf("%s: status %d, %s, want %q", data, status, errs.String(), want)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// The directory of a socket is made, but not those that it would be in.
func TestSocketDirectory(t *testing.T) {
	dir := t.TempDir()
	p := daemontest.Run(t, exec.Command(daemontest.Bin("lockifyd"), "--id=1", "--admin=off", "--clients=unix://"+dir+"/a/b/n.sock"))
	if status := p.Wait(t); status != exitFailed {
		t.Errorf("exit status %d, want %d", status, exitFailed)
	}
	p.Err.Await(t, 0, "there is no directory "+dir+"/a/b, nor "+dir+"/a to make it in")
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
	d := daemontest.Start(t, "--id=1", "--admin=off", "--clients=unix://"+dir+"/a/n.sock")
	stopDaemon(t, d, syscall.SIGTERM)
}

// --check-config refuses what is in the way of a socket; a socket may be there.
func TestCheckConfigSockets(t *testing.T) {
	dir := t.TempDir()
	file, socket := filepath.Join(dir, "file"), filepath.Join(dir, "socket")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, c := range []struct {
		listen, client string
		want           string // "": it is good
	}{
		{socket, filepath.Join(dir, "new"), ""},
		{filepath.Join(dir, "new"), socket, ""},
		{socket, dir, ": clients: " + dir + " is a directory; want the path of a socket, such as " + dir + "/lockify.sock"},
		{dir, socket, ": listen: " + dir + " is a directory"},
		{socket, file, ": clients: " + file + " is there and is no socket"},
		{socket, filepath.Join(dir, "a/x"), ""},
		{socket, filepath.Join(dir, "a/b/x"), ": clients: socket " + dir + "/a/b/x: there is no directory " + dir + "/a/b, nor " + dir + "/a to make it in"},
		{socket, filepath.Join(file, "x"), ": clients: lstat " + file + "/x: not a directory"},
	} {
		name := configFile(t, fmt.Sprintf("id = 1\nlisten = \"unix://%s\"\nclients = [\"unix://%s\"]\n", c.listen, c.client))
		var out, errs strings.Builder
		status, want := run([]string{"--config", name, "--check-config"}, &out, &errs), 0
		if c.want != "" {
			want = exitConfig
		}
		if status != want || !strings.Contains(errs.String(), c.want) {
			t.Errorf("status %d, %s, want %q", status, errs.String(), c.want)
		}
	}
}

func TestMissingConfigFile(t *testing.T) {
	p := daemontest.Run(t, exec.Command(daemontest.Bin("lockifyd"), "--config", "/nonexistent/x.toml"))
	if status := p.Wait(t); status != exitConfig {
		t.Errorf("exit status %d, want %d", status, exitConfig)
	}
	p.Err.Await(t, 0, "--config: open /nonexistent/x.toml: no such file")
}

// A flag wins over the environment, that over the file, the file over the default;
// --check-config tells.
func TestCheckConfig(t *testing.T) {
	file := configFile(t, good)
	cmd := exec.Command(daemontest.Bin("lockifyd"), "--check-config", "--peers=9=[::1]:7009", "--idle-after=1m")
	cmd.Env = append(os.Environ(), "LOCKIFYD_CONFIG="+file, "LOCKIFYD_IDLE_AFTER=2m", "LOCKIFYD_LISTEN=[::1]:7010")
	p := daemontest.Run(t, cmd)
	if status := p.Wait(t); status != 0 {
		t.Fatalf("exit status %d", status)
	}
	for _, want := range [][]string{
		{"id ", " 1 ", "# " + file + ":2"},
		{"clients", "unix:///tmp/x.sock,tcp://127.0.0.1:7000", "# " + file + ":4"},
		{"peer ", "9=[::1]:7009", "# --peers"},
		{"listen", "[::1]:7010", "# $LOCKIFYD_LISTEN"},
		{"idle_after", "1m0s", "# --idle-after"},
		{"transport", "netpoll", "# default"},
		{"the configuration is good"},
	} {
		p.Out.Await(t, 0, want...)
	}
}

// The peers of the file reach the node, delays included.
func TestPeersOfFile(t *testing.T) {
	cfg, err := load(configFile(t, good), nil, given{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := showPeers(cfg.peers), "2=127.0.0.1:7002,3=127.0.0.1:7003 (delay 50µs)"; got != want {
		t.Errorf("peers %s, want %s", got, want)
	}
}

func TestLineIndex(t *testing.T) {
	text := `a = 1 # b = 2
"c" = """
d = 4
[[peer]]
"""
e = [ "[", ']', # [
  "\"]",
]
f = '''
'''
[[peer]]
id = 1
[[ peer ]]
id = { x = 1 }

addr = "x" # "
[table]
g.h = 1
`
	got := lineIndex(text)
	for key, line := range map[string]int{
		"a": 1, "b": 0, "c": 2, "d": 0, "e": 6, "f": 9, "peer": 11, "peer[0]": 11, "peer[0].id": 12,
		"peer[1]": 13, "peer[1].id": 14, "peer[1].addr": 16, "peer[2]": 0, "table": 17, "table.g": 18, "table.g.h": 18,
	} {
		if got[key] != line {
			t.Errorf("%s is on line %d, want %d", key, got[key], line)
		}
	}
}

// Every flag is in the help text with what it takes, and every setting that
// has one with its default.
func TestHelp(t *testing.T) {
	var out strings.Builder
	if status := run([]string{"--help"}, &out, &out); status != 0 {
		t.Fatalf("exit status %d", status)
	}
	for i := range settings {
		s := &settings[i]
		want := "--" + s.flag()
		if s.kind != kindBool {
			want += " " + s.arg + " "
		}
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in the help text", want)
		}
		if s.def != "" && s.kind != kindBool && !strings.Contains(out.String(), fmt.Sprintf("(default %s)", cmp.Or(s.auto, s.def))) {
			t.Errorf("no default of %s in the help text", s.key)
		}
	}
}
