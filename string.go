package lockify

import (
	"fmt"
	"strings"
)

// What a program sees that logs or prints them. Without these, package fmt would go through the
// fields, which others change meanwhile: the race detector takes that for what it is.

// String gives the name and the mode: "volume-17" in EX.
func (l *Lock) String() string { return fmt.Sprintf("%q in %v", l.name, l.Mode()) }

// String gives the lockspace's name.
func (s *Lockspace) String() string { return fmt.Sprintf("lockspace %q", s.name) }

// String gives the session's number, and where its node is.
func (s *Session) String() string { return fmt.Sprintf("session %d at %s", s.ID(), s.Addr()) }

// String gives the addresses of Dial.
func (c *Client) String() string {
	var all []string
	for i := range c.addrs {
		all = append(all, c.addrs[i].text)
	}
	return "client of " + strings.Join(all, ",")
}

// String gives the node's number.
func (n *Node) String() string { return fmt.Sprintf("node %d", n.n.ID()) }

// String gives the name that was opened.
func (r *ByteRanges) String() string { return fmt.Sprintf("byte ranges of %q", r.Name()) }
