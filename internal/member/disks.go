package member

import (
	"context"
	"fmt"

	"github.com/lockify-dlm/lockify/internal/node"
)

// Register registers a start of the node at the shared disks, if there are any, before it
// joins: it tries until that has succeeded or ctx ends.
func (p *Part) Register(ctx context.Context, instance uint64) error {
	if p.disks == nil {
		return nil
	}
	gone := make(chan error, 1)
	p.gone = gone
	return p.disks.Register(ctx, instance, func(err error) { gone <- err })
}

// Began is for the node whose start has been registered: it is fenced when its registration
// is found gone.
func (p *Part) Began(n *node.Node) {
	if p.disks == nil {
		return
	}
	go func(gone <-chan error) {
		select {
		case err := <-gone:
			n.Fence(fmt.Errorf("%w: %w", node.ErrFenced, err))
		case <-n.Over():
		}
	}(p.gone)
}

// Unregister takes the registrations back before the node is closed: it writes no more.
// If that fails the node does not leave in order, so that the others bar it.
func (p *Part) Unregister(ctx context.Context, n *node.Node) {
	if p.disks == nil {
		return
	}
	if err := p.disks.Unregister(ctx); err != nil {
		n.Fence(fmt.Errorf("%w: it is still registered at the shared disks, the others will end that: %w", node.ErrFenced, err))
	}
}
