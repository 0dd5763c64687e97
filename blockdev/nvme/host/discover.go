package host

import (
	"context"
	"errors"
	"fmt"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// Bounds of a discovery log page.
const (
	maxRecords     = 4096
	maxReadings    = 8 // of a page that changes while it is read
	recordsAtATime = 32
)

// Discover asks a discovery controller which subsystems there are, and how to reach
// them. cfg.SubNQN may be empty.
func Discover(ctx context.Context, cfg Config) (entries []nvme.DiscoveryEntry, err error) {
	if cfg.SubNQN == "" {
		cfg.SubNQN = nvme.DiscoveryNQN
	}
	cfg.KeepAlive, cfg.Retry = -1, -1
	c, err := Dial(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if !c.cfg.discovery() {
		return nil, fmt.Errorf("nvme: %s is not the name of a discovery subsystem", cfg.SubNQN)
	}
	for range maxReadings {
		before, err := c.discoveryHeader(ctx)
		if err != nil {
			return nil, err
		}
		if entries, err = c.discoveryEntries(ctx, before.Records); err != nil {
			return nil, err
		}
		after, err := c.discoveryHeader(ctx)
		if err != nil || after.Generation == before.Generation {
			return entries, err
		}
	}
	return nil, fmt.Errorf("nvme: the discovery log of %s changes all the time", c.cfg.Addr)
}

func (c *Controller) discoveryHeader(ctx context.Context) (h nvme.DiscoveryHeader, err error) {
	page := make([]byte, nvme.DiscoveryHeaderSize)
	if err = c.LogPage(ctx, nvme.LogPage{ID: nvme.LogDiscovery}, page); err != nil {
		return h, err
	}
	if err = h.Decode(page); err == nil && h.Records > maxRecords {
		err = fmt.Errorf("%w: a discovery log of %d entries, at most %d", nvme.ErrTooLarge, h.Records, maxRecords)
	}
	return h, err
}

func (c *Controller) discoveryEntries(ctx context.Context, records uint64) ([]nvme.DiscoveryEntry, error) {
	entries := make([]nvme.DiscoveryEntry, records)
	page := make([]byte, recordsAtATime*nvme.DiscoveryEntrySize)
	for i := range entries {
		at := i % recordsAtATime * nvme.DiscoveryEntrySize
		if at == 0 {
			page = page[:min(recordsAtATime, len(entries)-i)*nvme.DiscoveryEntrySize]
			offset := uint64(nvme.DiscoveryHeaderSize + i*nvme.DiscoveryEntrySize)
			if err := c.LogPage(ctx, nvme.LogPage{ID: nvme.LogDiscovery, Offset: offset}, page); err != nil {
				return nil, err
			}
		}
		if err := entries[i].Decode(page[at:]); err != nil {
			return nil, err
		}
	}
	return entries, nil
}
