package access

import (
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"a", "a", true}, {"a", "ab", false}, {"ab", "a", false}, {"*", "", true}, {"*", "a/b", true},
		{"a*", "a", true}, {"a*", "b", false}, {"*a", "ba", true}, {"*a", "ab", false}, {"a*a", "a", false}, {"a*a", "aa", true},
		{"a*b*c", "a1b2c", true}, {"a*b*c", "acb", false}, {"a*bc*c", "abc", false}, {"a**", "abc", true}, {"", "", true}, {"", "a", false},
		{"tenant-?", "tenant-?", true}, {"tenant-?", "tenant-1", false},
	} {
		if got := match(c.pattern, c.name); got != c.want {
			t.Errorf("%q is %q: %v", c.name, c.pattern, got)
		}
	}
}

func TestRight(t *testing.T) {
	rules := []Rule{
		{Lockspaces: []string{"a*"}, Certificates: []string{"backup"}, May: Shared},
		{Lockspaces: []string{"ab"}, Certificates: []string{"b*"}, UIDs: []uint32{7}, GIDs: []uint32{50}, May: Exclusive},
		{Lockspaces: []string{"*"}, Certificates: []string{"backup"}, May: Read},
		{Lockspaces: []string{"open"}, Anyone: true, May: Read},
	}
	backup, bare := &Client{Certificate: "backup", Network: true}, &Client{Network: true, Host: "10.0.0.1"}
	for _, c := range []struct {
		what  string
		c     *Client
		rules []Rule
		space string
		want  Right
	}{
		{"the highest of three", backup, rules, "ab", Exclusive},
		{"of two", backup, rules, "ac", Shared},
		{"of one", backup, rules, "x", Read},
		{"a pattern of clients", &Client{Certificate: "bob"}, rules, "ab", Exclusive},
		{"not its lockspace", &Client{Certificate: "bob"}, rules, "ac", None},
		{"no certificate", bare, rules, "ab", None},
		{"anyone", bare, rules, "open", Read},
		{"uid", &Client{Local: true, UID: 7}, rules, "ab", Exclusive},
		{"uid 7 that nobody has vouched for", &Client{UID: 7}, rules, "ab", None},
		{"another uid", &Client{Local: true, UID: 8}, rules, "ab", None},
		{"second group", &Client{Local: true, UID: 8, Groups: []uint32{1, 50}}, rules, "ab", Exclusive},
		{"a certificate is no uid", &Client{Certificate: "7"}, rules, "ab", None},
		{"root", &Client{Local: true}, rules, "x", Administer},
		{"root is not who has no uid", &Client{}, rules, "x", None},
		{"the node's own user", &Client{Local: true, UID: 99}, rules, "x", Administer},
		{"a node", &Client{Node: 3, Network: true}, rules, "x", Administer},
		{"no rules, this machine", &Client{Local: true, UID: 8}, nil, "x", Administer},
		{"no rules, loopback", &Client{Host: "127.0.0.1"}, nil, "x", Administer},
		{"no rules, network, certificate", backup, nil, "x", None},
		{"no rules, network, nothing", bare, nil, "x", None},
	} {
		p := Policy{Rules: c.rules, Self: 99}
		if got := p.Right(c.c, c.space); got != c.want {
			t.Errorf("%s: %v may %v, want %v", c.what, c.c, got, c.want)
		}
	}
	p := Policy{Plaintext: true}
	if got := p.Right(bare, "x"); got != Exclusive {
		t.Errorf("a plaintext network: %v", got)
	}
	if got := p.Right(backup, "x"); got != None {
		t.Errorf("a certificate where plaintext is allowed: %v", got)
	}
}

func TestParseRight(t *testing.T) {
	for r := Read; r <= Administer; r++ {
		if got, err := ParseRight(r.String()); got != r || err != nil {
			t.Errorf("%v: %v, %v", r, got, err)
		}
	}
	for _, bad := range []string{"", "nothing", "Read", "write"} {
		if _, err := ParseRight(bad); err == nil || !strings.Contains(err.Error(), "read, shared, exclusive, administer") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
