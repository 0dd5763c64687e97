package sim

import "github.com/lockify-dlm/lockify/wire"

// answers is the rule of finding 6: the answers to claims never wait for the
// fence. It looks at the shard of the name that a step has touched.
type answers struct{ watcher }

func (c *answers) stepped(nm *name) {
	for _, n := range c.r.nodes {
		s := n.shardOf(nm)
		if n.down || !s.Holding() {
			continue
		}
		c.r.evals[inAnswers]++
		s.HeldBack(func(to uint16, m *wire.Msg) {
			switch m.Type {
			case wire.Adopt:
				if m.Since == 0 {
					return // it takes a value back
				}
			case wire.Confirm, wire.Reject, wire.Adopted, wire.Conflict, wire.Notify:
			default:
				return
			}
			c.r.fail(inAnswers, c.r.nameOf(string(m.Name)), "node %d holds %v to node %d back", n.id, m.Type, to)
		})
	}
}
