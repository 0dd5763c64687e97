package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/lockify-dlm/lockify/internal/address"
	"github.com/lockify-dlm/lockify/internal/admin"
)

// problem is one thing that is wrong with the configuration.
type problem struct {
	where string // file:line, flag, or variable
	key   string // empty: what says it
	what  string
}

func (p problem) String() string {
	if p.key == "" || strings.HasPrefix(p.where, "--") || strings.HasPrefix(p.where, "$") { // these are names of the setting
		return p.where + ": " + p.what
	}
	return p.where + ": " + p.key + ": " + p.what
}

// problems is the error of a wrong configuration.
type problems []problem

func (p problems) Error() string { return "wrong configuration, not started:\n  " + p.join("\n  ") }

func (p problems) join(sep string) string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].String()
	}
	return strings.Join(lines, sep)
}

// loader collects settings and what is wrong with them.
type loader struct {
	cfg  config
	file string // name of the file; empty: none
	bad  problems
}

// load puts the configuration together: defaults, file, environment (as os.Environ gives
// it), flags, in this order. Errors: problems, all that there are.
func load(file string, environ []string, flags given) (*config, error) {
	l := &loader{cfg: config{file: file, where: map[string]string{}}, file: file}
	for i := range settings {
		if s := &settings[i]; s.def != "" {
			if err := s.take(&l.cfg, s.def); err != nil {
				return nil, fmt.Errorf("default of %s: %w", s.key, err)
			}
		}
	}
	if file != "" {
		text, err := readConfig(file)
		if err != nil {
			return nil, problems{{where: "--config", what: err.Error()}}
		}
		l.readFile(text)
	}
	l.readEnv(environ)
	for i := range settings {
		s := &settings[i]
		if v, ok := flags[s]; ok {
			l.set(s, "--"+s.flag(), v)
		}
	}
	if len(l.bad) == 0 {
		l.checkTogether()
	}
	if len(l.bad) > 0 {
		return nil, l.bad
	}
	return &l.cfg, nil
}

// maxConfig bounds the file in bytes; a wrong name should not fill the memory.
const maxConfig = 1 << 20

func readConfig(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return "", err
	}
	if len(text) > maxConfig {
		return "", fmt.Errorf("%s: larger than %d bytes, this is no configuration", name, maxConfig)
	}
	return string(text), nil
}

// take takes a setting from text: with commas between them, if it is a list.
func (s *setting) take(c *config, v string) error {
	if s.kind == kindList {
		return s.list(c, strings.Split(v, ","))
	}
	return s.set(c, v)
}

// set takes a setting from one place.
func (l *loader) set(s *setting, where, v string) {
	l.cfg.where[s.key] = where
	if err := s.take(&l.cfg, v); err != nil {
		l.wrong(s, where, fmt.Sprintf("%q", v), err)
	}
}

// setList is set for a list of the file, whose strings may have commas in them.
func (l *loader) setList(s *setting, where string, v []string) {
	l.cfg.where[s.key] = where
	if err := s.list(&l.cfg, v); err != nil {
		l.wrong(s, where, fmt.Sprintf("%q", strings.Join(v, ",")), err)
	}
}

func (l *loader) wrong(s *setting, where, got string, err error) {
	what := "got " + got
	if !errors.Is(err, errWant) {
		what += ", " + err.Error()
	} else if err.Error() != errWant.Error() {
		what += ", " + strings.TrimSuffix(err.Error(), ": "+errWant.Error())
	}
	l.bad = append(l.bad, problem{where, s.key, what + "; want " + s.want})
}

// whereOf says where a setting came from; if from nowhere, where it could.
func (l *loader) whereOf(key string) string {
	if w := l.cfg.where[key]; w != "" {
		return w
	}
	if l.file != "" {
		return l.file
	}
	return "command line"
}

// checkTogether checks what settings mean for each other.
func (l *loader) checkTogether() {
	c := &l.cfg
	add := func(key, format string, args ...any) {
		l.bad = append(l.bad, problem{l.whereOf(key), key, fmt.Sprintf(format, args...)})
	}
	if c.id == 0 {
		add("id", "missing; want this node's number in the cluster, 1 to 65535 (--id, $LOCKIFYD_ID, or id in the file)")
	}
	if len(c.peers) > 0 && c.listen == "" {
		add("listen", "missing; want the address where the %d peers connect, host:port", len(c.peers))
	}
	if c.tracingRatio > 0 && c.tracingEndpoint == "" {
		add("tracing_ratio", "%g, but nobody takes what is traced; want tracing_endpoint as well", c.tracingRatio)
	}
	for _, p := range c.peers {
		if p.ID == c.id {
			add("peer", "id %d is this node's own; want the other nodes only", p.ID)
		}
		if c.listen != "" && address.Network(p.Addr) != address.Network(c.listen) {
			add("peer", "peer %d is at %s, but listen is %s; want both over TCP or both over Unix sockets", p.ID, p.Addr, c.listen)
		}
		if p.Addr == c.listen {
			add("peer", "peer %d is at %s, where this node listens itself", p.ID, p.Addr)
		}
	}
	l.checkMembership(add)
	l.checkTLS(add)
	l.checkApart(add)
	if c.admin != "off" {
		switch err := admin.CheckAddr(c.admin, c.adminFromNetwork); {
		case errors.Is(err, admin.ErrNetwork):
			add("admin", "got %q, which others on the network can reach, and there are no passwords; want host:port on the loopback interface, or off, or allow_admin_from_network (--allow-admin-from-network) as well", c.admin)
		case err != nil:
			add("admin", "got %q; want host:port with a host such as 127.0.0.1, or off", c.admin)
		}
	}
}

// checkApart checks that each address is for one thing. Of port 0 each gets one of its own.
func (l *loader) checkApart(add func(key, format string, args ...any)) {
	c := &l.cfg
	listen := strings.TrimPrefix(c.listen, "tcp://")
	for _, addr := range c.clients {
		switch at := strings.TrimPrefix(addr, "tcp://"); {
		case strings.HasSuffix(at, ":0"):
		case at == listen:
			add("clients", "%s is for the other nodes (listen); want another address for clients", at)
		case at == c.admin:
			add("admin", "%s is for clients; want another address for lockctl and metrics", at)
		}
	}
	if c.admin == listen && !strings.HasSuffix(c.admin, ":0") {
		add("admin", "%s is for the other nodes (listen); want another address for lockctl and metrics", c.admin)
	}
}

// checkMembership checks what is for a membership that changes.
func (l *loader) checkMembership(add func(key, format string, args ...any)) {
	c := &l.cfg
	if c.advertise == "" {
		c.advertise = c.listen
	}
	alone := !c.newCluster && len(c.join) == 0 && len(c.etcd.Endpoints) == 0
	for _, key := range []string{"new_cluster", "join", "advertise", "lease", "voters", "fence_command"} {
		switch {
		case c.where[key] == "", key == "new_cluster" && !c.newCluster:
		case len(c.peers) > 0:
			add(key, "with peers the membership is fixed; want either peers, or join and new_cluster")
		case alone && c.data == "":
			add(key, "this node is in no cluster, so that nothing comes of it; want join, new_cluster, etcd or data as well")
		}
	}
	l.checkEtcd(add)
	l.checkFenceDisks(add)
	if alone {
		return
	}
	if c.listen == "" {
		if len(c.peers) == 0 { // else it has been said
			add("listen", "missing; want the address where the other nodes connect, host:port")
		}
	} else if err := address.CheckDial(c.advertise); err != nil {
		add("advertise", "other nodes cannot reach this one at %q: %v; want an address that they can (--advertise), or listen with one", c.advertise, err)
	}
	if c.newCluster && c.data == "" {
		add("data", "missing; want a directory: a new cluster needs it on its first node")
	}
	for _, addr := range c.join {
		if c.listen != "" && address.Network(addr) != address.Network(c.listen) {
			add("join", "%s, but listen is %s; want both over TCP or both over Unix sockets", addr, c.listen)
		}
	}
}
