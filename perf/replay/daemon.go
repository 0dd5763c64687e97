package replay

import (
	"context"
	"errors"
)

// daemonStats reads a lockifyd's counters from its admin address.
func daemonStats(ctx context.Context, admin string) (*nodeStats, error) {
	return nil, errors.New("not yet")
}
