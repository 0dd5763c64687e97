package rig

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/lockify-dlm/lockify/perf/proc"
)

// find gives the path of a program: as told, or from PATH.
func find(told, name string) (string, error) {
	if told == "" {
		told = name
	}
	path, err := exec.LookPath(told)
	if err != nil {
		return "", fmt.Errorf("rig: %s: %w: `make peers` installs it", name, ErrMissing)
	}
	return path, nil
}

// StartLockifyd starts nodes of lockify, which serve clients on Unix sockets. addrs are where
// nodes listen, by id; the one whose id is without is somebody else's.
func (x Programs) StartLockifyd(ctx context.Context, pin Pin, addrs []string, without int) (*Server, error) {
	path, err := proc.DaemonPath(x.Lockifyd)
	if err != nil {
		return nil, err
	}
	s, err := newServer()
	if err != nil {
		return nil, err
	}
	for i, listen := range addrs {
		if i+1 == without {
			continue
		}
		var peers []string
		for j, a := range addrs {
			if i != j {
				peers = append(peers, fmt.Sprintf("%d=%s", j+1, a))
			}
		}
		socket := "unix://" + s.path(fmt.Sprintf("n%d.sock", i+1))
		args := []string{path, "--id", fmt.Sprint(i + 1), "--cluster", clusterName, "--clients", socket, "--admin", "off", "--log-level", "error",
			// All clients of a measurement are one, by their uid.
			"--max-sessions", "20000", "--max-client-sessions", "20000"}
		if len(peers) > 0 {
			args = append(args, "--listen", listen, "--peers", strings.Join(peers, ","))
		}
		if x.Profile != "" {
			args = append(args, "--profile", x.Profile, "--profile-dir", filepath.Join(x.ProfileDir, fmt.Sprintf("lockifyd-%d", i+1)))
		}
		if err := s.add(pin, fmt.Sprintf("lockifyd %d", i+1), args...); err != nil {
			return s.started(err)
		}
		s.Addrs = append(s.Addrs, socket)
	}
	return s.started(s.await(ctx, s.Addrs...))
}

// StartRedis starts a Redis that keeps nothing on disk, on a Unix socket.
func (x Programs) StartRedis(ctx context.Context, pin Pin) (*Server, error) {
	path, err := find(x.Redis, "redis-server")
	if err != nil {
		return nil, err
	}
	s, err := newServer()
	if err != nil {
		return nil, err
	}
	s.Addrs = []string{"unix://" + s.path("redis.sock")}
	err = s.add(pin, "redis-server", path, "--port", "0", "--unixsocket", s.path("redis.sock"), "--dir", s.dir, "--save", "", "--appendonly", "no")
	if err == nil {
		err = s.await(ctx, s.Addrs...)
	}
	return s.started(err)
}

// StartEtcd starts a cluster of n etcd servers, which write to disk.
func (x Programs) StartEtcd(ctx context.Context, pin Pin, n int) (*Server, error) {
	path, err := find(x.Etcd, "etcd")
	if err != nil {
		return nil, err
	}
	addrs, err := proc.FreeAddrs(2 * n)
	if err != nil {
		return nil, err
	}
	s, err := newServer()
	if err != nil {
		return nil, err
	}
	var members []string
	for i := range n {
		members = append(members, fmt.Sprintf("n%d=http://%s", i, addrs[n+i]))
	}
	for i := range n {
		client, peer := "http://"+addrs[i], "http://"+addrs[n+i]
		err := s.add(pin, fmt.Sprintf("etcd %d", i+1), path, "--name", fmt.Sprintf("n%d", i), "--data-dir", s.path(fmt.Sprint(i)), "--log-level", "error",
			"--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer,
			"--initial-advertise-peer-urls", peer, "--initial-cluster", strings.Join(members, ","))
		if err != nil {
			return s.started(err)
		}
	}
	s.Addrs = addrs[:n]
	return s.started(s.await(ctx, s.Addrs...))
}

// StartNATS starts a NATS server with streams in files, synchronised before each answer
// if sync says so.
func (x Programs) StartNATS(ctx context.Context, pin Pin, sync bool) (*Server, error) {
	path, err := find(x.NATS, "nats-server")
	if err != nil {
		return nil, err
	}
	addrs, err := proc.FreeAddrs(1)
	if err != nil {
		return nil, err
	}
	s, err := newServer()
	if err != nil {
		return nil, err
	}
	s.Addrs = addrs
	interval := "2m"
	if sync {
		interval = "always"
	}
	config := fmt.Sprintf("listen: %q\njetstream { store_dir: %q, sync_interval: %s }\n", addrs[0], s.path("data"), interval)
	err = os.WriteFile(s.path("nats.conf"), []byte(config), 0o600)
	if err == nil {
		err = s.add(pin, "nats-server", path, "-c", s.path("nats.conf"))
	}
	if err == nil {
		err = s.await(ctx, addrs...)
	}
	return s.started(err)
}

// StartZooKeeper starts one ZooKeeper, which writes to disk.
func (x Programs) StartZooKeeper(ctx context.Context, pin Pin) (*Server, error) {
	java, err := find("", "java")
	if err != nil {
		return nil, err
	}
	dir := x.ZooKeeper
	if dir == "" {
		dir = "/usr/share/java"
	}
	if _, err := os.Stat(filepath.Join(dir, "zookeeper.jar")); err != nil {
		return nil, fmt.Errorf("rig: zookeeper: %w: `make peers` installs it", ErrMissing)
	}
	addrs, err := proc.FreeAddrs(1)
	if err != nil {
		return nil, err
	}
	s, err := newServer()
	if err != nil {
		return nil, err
	}
	s.Addrs = addrs
	host, port, _ := strings.Cut(addrs[0], ":")
	config := fmt.Sprintf("tickTime=2000\ndataDir=%s\nclientPort=%s\nclientPortAddress=%s\nadmin.enableServer=false\nmaxClientCnxns=0\n", s.path("data"), port, host)
	err = os.WriteFile(s.path("zoo.cfg"), []byte(config), 0o600)
	if err == nil {
		err = s.add(pin, "zookeeper", java, "-cp", dir+"/*", "org.apache.zookeeper.server.quorum.QuorumPeerMain", s.path("zoo.cfg"))
	}
	if err == nil {
		err = s.await(ctx, addrs...)
	}
	return s.started(err)
}
