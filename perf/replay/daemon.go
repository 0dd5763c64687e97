package replay

import (
	"context"
	"fmt"

	"github.com/lockify-dlm/lockify/internal/admin"
	"github.com/lockify-dlm/lockify/perf"
)

// daemonStats reads a lockifyd's counters from its admin address.
func daemonStats(ctx context.Context, c *admin.Client) (*nodeStats, error) {
	counters, err := c.Counters(ctx)
	if err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	status, err := c.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	out := &nodeStats{}
	if out.Messages, err = perf.MessagesByName(counters.Received, counters.Sent); err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	for _, l := range status.Links {
		out.Frames += l.FramesOut
		out.Bytes += l.BytesOut
	}
	t := &counters.Totals
	out.Claims = Claims{
		Made: t.Claims.Made, Confirmed: t.Claims.Confirmed, Adopted: t.Claims.Adopted, Lost: t.Claims.Lost,
		Refused: t.Claims.Refused, Open: uint64(t.Claims.Open), Resent: t.NotifyResent, Nanos: uint64(t.Claims.OpenUS * 1e3),
	}
	out.Held = Held{Messages: t.Held.Total, Nanos: uint64(t.Held.US * 1e3)}
	return out, nil
}
