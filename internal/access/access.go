package access

import (
	"fmt"
	"slices"
	"strings"
)

// Right is what a client may do in a lockspace. Each has those below it.
type Right uint8

const (
	None       Right = iota // not even open it
	Read                    // open it; locks in NL, which read values; ask who holds bytes
	Shared                  // locks in CR and PR, and bytes to read
	Exclusive               // locks in all modes, values, bytes to write, New, ranges of names
	Administer              // Retire, and purging what others have left
)

var rightNames = [...]string{"nothing", "read", "shared", "exclusive", "administer"}

func (r Right) String() string { return rightNames[r] }

// ParseRight takes the name of a right, but for nothing.
func ParseRight(name string) (Right, error) {
	if i := slices.Index(rightNames[1:], name); i >= 0 {
		return Right(i + 1), nil
	}
	return None, fmt.Errorf("access: no right %q; want one of %s", name, strings.Join(rightNames[1:], ", "))
}

// Client is what is known of the other end of a connection, none of it by its own word.
type Client struct {
	Certificate string   // name of the client in it, "": it has shown none
	Node        uint16   // or it was the certificate of this node, 0: it was not
	Local       bool     // it came by a Unix socket, and the kernel has said the next two
	UID         uint32   // of its process when it connected
	Groups      []uint32 // all that it was in
	Network     bool     // it came by an address that other machines reach
	Host        string   // that it came from, if by TCP
}

func (c *Client) String() string {
	switch {
	case c.Node != 0:
		return fmt.Sprintf("node %d", c.Node)
	case c.Certificate != "":
		return fmt.Sprintf("client %q", c.Certificate)
	case c.Local:
		return fmt.Sprintf("uid %d", c.UID)
	}
	return fmt.Sprintf("a client without certificate from %s", c.Host)
}

// Rule gives a right to whom any of its lists names.
type Rule struct {
	Lockspaces   []string // names, in which * stands for any bytes
	Certificates []string // names of clients, likewise
	UIDs         []uint32 // on Unix sockets
	GIDs         []uint32 // likewise; of any group of the process
	Anyone       bool     // each client, also one of whom nothing is known
	May          Right
}

// Policy is all the rules of a node.
type Policy struct {
	Rules []Rule
	Self  uint32 // uid of the node's own process
	// Plaintext says that the network may reach this node without TLS: then, and without
	// rules, whoever does so may lock.
	Plaintext bool
}

// Right gives the highest right of a client in a lockspace.
func (p *Policy) Right(c *Client, lockspace string) Right {
	switch {
	case c.Node != 0, c.Local && (c.UID == 0 || c.UID == p.Self):
		return Administer
	case len(p.Rules) > 0:
	case !c.Network:
		return Administer
	case p.Plaintext && c.Certificate == "":
		return Exclusive
	}
	may := None
	for i := range p.Rules {
		r := &p.Rules[i]
		if r.May > may && r.names(c) && anyMatch(r.Lockspaces, lockspace) {
			may = r.May
		}
	}
	return may
}

// Opens says whether there is a lockspace in which somebody who came over the network
// may do anything.
func (p *Policy) Opens() bool {
	return p.Plaintext || slices.ContainsFunc(p.Rules, func(r Rule) bool { return r.Anyone || len(r.Certificates) > 0 })
}

// names says whether the rule is for a client.
func (r *Rule) names(c *Client) bool {
	if r.Anyone || c.Certificate != "" && anyMatch(r.Certificates, c.Certificate) {
		return true
	}
	if !c.Local {
		return false
	}
	return slices.Contains(r.UIDs, c.UID) || slices.ContainsFunc(c.Groups, func(g uint32) bool { return slices.Contains(r.GIDs, g) })
}

func anyMatch(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, name) })
}

// match says whether name is what pattern says: * stands for any bytes, also none.
func match(pattern, name string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	name, ok := strings.CutPrefix(name, first)
	if !ok || !star {
		return ok && name == ""
	}
	parts := strings.Split(rest, "*")
	last := len(parts) - 1
	for _, part := range parts[:last] {
		_, after, found := strings.Cut(name, part)
		if !found {
			return false
		}
		name = after
	}
	return strings.HasSuffix(name, parts[last])
}

// Denied says who lacks which right where, and who can help.
func Denied(c *Client, has, needs Right, lockspace string, node uint16) string {
	rights := "the right " + has.String()
	if has == None {
		rights = "no right"
	}
	return fmt.Sprintf("%v has %s in lockspace %q, this needs %v: ask the administrator of node %d for an [[access]] rule", c, rights, lockspace, needs, node)
}
