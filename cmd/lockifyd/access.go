package main

import (
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"

	"github.com/lockify-dlm/lockify/internal/access"
)

// This file is for rules that say what clients may do.

// wantRight are the rights of a rule.
const wantRight = "read, shared, exclusive or administer"

// policy gives the rules to the node, as they are at first.
func (c *config) policy() *access.Policy {
	return &access.Policy{Rules: c.access, Self: uint32(os.Geteuid()), Plaintext: c.plaintext}
}

// fileAccess takes the [[access]] tables.
func (l *loader) fileAccess(v any, at func(string) string) {
	l.cfg.access = readTables(l, "access", accessFields, v, at, fileRule)
}

func fileRule(t map[string]any, _ []access.Rule, bad badKey) (r access.Rule) {
	texts := func(key, want string) []string {
		all, ok := fileStrings(t[key])
		if t[key] != nil && (!ok || slices.Contains(all, "")) {
			bad(key, "got %s; want an array of %s, in which * stands for anything", describe(t[key]), want)
		}
		return all
	}
	r.Lockspaces = texts("lockspaces", "names of lockspaces")
	r.Certificates = texts("certificates", "names of clients, as lockctl tls client makes them")
	r.UIDs = fileIDs(t["uids"], userID, func(got string) { bad("uids", "got %s; want an array of numbers and names of users", got) })
	r.GIDs = fileIDs(t["gids"], groupID, func(got string) { bad("gids", "got %s; want an array of numbers and names of groups", got) })
	if v := t["anyone"]; v != nil {
		text, ok := fileValue(kindBool, v)
		if !ok {
			bad("anyone", "got %s; want true or false", describe(v))
		}
		r.Anyone = text == "true"
	}
	if !r.Anyone && t["certificates"] == nil && t["uids"] == nil && t["gids"] == nil {
		bad("certificates", "the rule is for nobody; want certificates, uids, gids, or anyone = true")
	}
	if v := t["may"]; v != nil {
		text, ok := fileValue(kindString, v)
		right, err := access.ParseRight(text)
		if !ok || err != nil {
			bad("may", "got %s; want %s", describe(v), wantRight)
		}
		r.May = right
	}
	return r
}

// fileIDs takes an array of numbers and names, which this machine has to know.
func fileIDs(v any, idOf func(name string) (string, error), bad func(got string)) (ids []uint32) {
	list, ok := v.([]any)
	if v != nil && !ok {
		bad(describe(v))
	}
	for _, e := range list {
		text := fmt.Sprint(e)
		if name, isText := e.(string); isText {
			if id, err := idOf(name); err == nil {
				text = id
			}
		}
		id, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			bad(fmt.Sprintf("%q, which this machine does not know", text))
			continue
		}
		ids = append(ids, uint32(id))
	}
	return ids
}

func userID(name string) (string, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return "", err
	}
	return u.Uid, nil
}

func groupID(name string) (string, error) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return "", err
	}
	return g.Gid, nil
}
