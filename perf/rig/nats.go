package rig

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/lockify-dlm/lockify/perf/load"
)

// natsLane creates a key, which fails if it is there, and deletes it at the revision
// that it made.
type natsLane struct {
	kv        jetstream.KeyValue
	names     []string
	revisions []uint64
}

func openNATS(ctx context.Context, o *Order) (*system, error) {
	c, err := nats.Connect("nats://" + o.Addrs[0])
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(c)
	var kv jetstream.KeyValue
	if err == nil {
		// A bucket of its own for each run: deleted keys leave markers.
		kv, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket: "b" + strconv.FormatInt(time.Now().UnixNano(), 36), Storage: jetstream.FileStorage,
		})
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return &system{
		Service: lanes(o, func() load.Lane { return &natsLane{kv: kv} }),
		close: func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			js.DeleteKeyValue(ctx, kv.Bucket())
			c.Close()
		},
	}, nil
}

func (l *natsLane) Acquire(ctx context.Context, names []string) error {
	l.names, l.revisions = names, l.revisions[:0]
	for _, name := range names {
		revision, err := l.kv.Create(ctx, name, []byte("1"))
		if err != nil {
			return err
		}
		l.revisions = append(l.revisions, revision)
	}
	return nil
}

func (l *natsLane) Release(ctx context.Context) error {
	var err error
	for i, name := range l.names {
		err = errors.Join(err, l.kv.Delete(ctx, name, jetstream.LastRevision(l.revisions[i])))
	}
	return err
}
