package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lockify-dlm/lockify/internal/nearest"
)

// This file describes and reads the tables of the configuration file. What is not described here
// is refused there, and docs/reference/config.md is made of it.

// table is a kind of table that can be in the file, any number of times.
type table struct {
	key    string
	help   string
	fields fields
	read   func(l *loader, v any, at func(key string) string)
}

// field is a setting of a table.
type field struct {
	key  string
	form string // in TOML
	need bool   // it cannot be left out
	def  string // empty: none
	want string // its range
	help string
}

type fields []field

func (f fields) keys() (keys []string) {
	for i := range f {
		keys = append(keys, f[i].key)
	}
	return keys
}

func (f fields) needed() (keys []string) {
	for i := range f {
		if f[i].need {
			keys = append(keys, f[i].key)
		}
	}
	return keys
}

// What fields are in TOML.
const (
	formString = "string"
	formInt    = "whole number"
	formBool   = "true or false"
	formList   = "array of strings"
	formIDs    = "array of numbers and names"
)

// tables are all there are.
var tables = []table{
	{"peer", "another node of a cluster whose membership is fixed. The flag and the variable have none of delay.", peerFields, (*loader).filePeers},
	{"export", "an NVMe subsystem that hosts reach over TCP. It wants exactly one of hosts, dhchap_secrets, and any_host.", exportFields, (*loader).fileExports},
	{"fence_disk", "a disk that the nodes share, which keeps a node out that the cluster goes on without. Each node has the same ones.", fenceDiskFields, (*loader).fileFenceDisks},
	{"access", "what clients may do; docs/security.md says who may do what without any. It is for all whom any of certificates, uids, gids, anyone names.", accessFields, (*loader).fileAccess},
}

func tableFor(key string) *table {
	for i := range tables {
		if tables[i].key == key {
			return &tables[i]
		}
	}
	return nil
}

// badKey notes what is wrong with a key of a table.
type badKey func(key, format string, args ...any)

// readTables gives the tables of a kind. read takes one, with those before it; what it finds wrong
// with a key goes to bad.
func readTables[T any](l *loader, kind string, f fields, v any, at func(string) string, read func(t map[string]any, before []T, bad badKey) T) (all []T) {
	l.cfg.where[kind] = at(kind + "[0]")
	tables, ok := v.([]map[string]any)
	if !ok {
		l.bad = append(l.bad, problem{at(kind), kind, fmt.Sprintf("got %s; want tables that begin with [[%s]]", describe(v), kind)})
		return nil
	}
	for i, t := range tables {
		bad := func(key, format string, args ...any) {
			l.bad = append(l.bad, problem{at(fmt.Sprintf("%s[%d].%s", kind, i, key)), kind + "." + key, fmt.Sprintf(format, args...)})
		}
		for _, key := range slices.Sorted(maps.Keys(t)) {
			if !slices.Contains(f.keys(), key) {
				bad(key, "there is no such setting%s", nearest.Suggest(key, f.keys(), ""))
			}
		}
		for _, key := range f.needed() {
			if t[key] == nil {
				bad(key, "missing; want %s in each [[%s]]", strings.Join(f.needed(), ", "), kind)
			}
		}
		all = append(all, read(t, all, bad))
	}
	return all
}

var peerFields = fields{
	{"id", formInt, true, "", "1 to 65535", "its number"},
	{"addr", formString, true, "", "host:port or unix:///path", "where it listens"},
	{"delay", formString, false, "0s", "0s to 1s", "artificial delay of what goes there, for experiments"},
}

var exportFields = fields{
	{"nqn", formString, true, "", "a name such as nqn.2026-01.com.example:disk", "name of the subsystem"},
	{"listen", formList, true, "", "host:port; 0.0.0.0 and :: stand for all addresses", "where hosts connect"},
	{"namespaces", formList, true, "", wantNamespaces, "its namespaces, numbered from 1 on"},
	{"hosts", formList, false, "", "NQNs", "the hosts that may connect; they do not prove who they are"},
	{"any_host", formBool, false, "false", "", "every host may connect"},
	{"dhchap_secrets", formString, false, "", "a file that not all users can read", "hosts that may connect, and the secrets by which they prove who they are, a line each: NQN, secret, and perhaps the secret of this end"},
	{"dhchap_hashes", formList, false, "all", "sha256, sha384, sha512", "hashes for that, preferred ones first"},
	{"dhchap_groups", formList, false, "all, null last", "ffdhe2048, ffdhe3072, ffdhe4096, ffdhe6144, ffdhe8192, null", "groups for that, preferred ones first"},
}

var fenceDiskFields = fields{
	{"addr", formString, true, "", "host:port", "an NVMe/TCP target with reservations"},
	{"nqn", formString, true, "", "a name such as nqn.2026-01.com.example:disk", "the subsystem there"},
	{"nsid", formInt, false, "the only one", "from 1 on", "the namespace"},
	{"host_nqn", formString, false, "made of this node's host ID", "an NQN", "the name under which this node connects"},
}

var accessFields = fields{
	{"lockspaces", formList, true, "", "names, in which `*` stands for any bytes", "where it holds"},
	{"certificates", formList, false, "", "names, in which `*` stands for any bytes", "clients with certificates of these names"},
	{"uids", formIDs, false, "", "users that this machine knows", "clients on Unix sockets whose process is of one of these users"},
	{"gids", formIDs, false, "", "groups that this machine knows", "likewise, in one of these groups"},
	{"anyone", formBool, false, "false", "", "all clients, also those of whom nothing is known"},
	{"may", formString, true, "", wantRight, "the right that it gives; each has those before it"},
}
