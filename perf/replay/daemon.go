package replay

import (
	"context"
	"fmt"

	"github.com/lockify-dlm/lockify/internal/admin"
	"github.com/lockify-dlm/lockify/wire"
)

// typesByName turns the admin address's message names back into types.
var typesByName = func() map[string]wire.Type {
	m := map[string]wire.Type{}
	for t := range 256 {
		if wire.Type(t).Valid() {
			m[wire.Type(t).String()] = wire.Type(t)
		}
	}
	return m
}()

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
	for name, n := range counters.Sent {
		out.Sent[typesByName[name]] = n
	}
	for name, n := range counters.Received {
		out.Received[typesByName[name]] = n
	}
	for _, l := range status.Links {
		out.Frames += l.FramesOut
		out.Bytes += l.BytesOut
	}
	t := &counters.Totals
	out.Claims = Claims{
		Made: t.Claims.Made, Confirmed: t.Claims.Confirmed, Adopted: t.Claims.Adopted, Lost: t.Claims.Lost,
		Refused: t.Claims.Refused, Open: uint64(t.Claims.Open), Resent: t.NotifyResent,
	}
	out.Held = Held{Messages: t.Held.Total, Nanos: uint64(t.Held.US * 1e3)}
	return out, nil
}
