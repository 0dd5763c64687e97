package rig

import (
	"context"
	"errors"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.uber.org/zap"

	"github.com/lockify-dlm/lockify/perf/load"
)

const etcdLease = 60 // seconds

// etcdLane locks through the client and the session of all lanes.
type etcdLane struct {
	session *concurrency.Session
	held    []*concurrency.Mutex
}

func openEtcd(_ context.Context, o *Order) (*system, error) {
	c, err := clientv3.New(clientv3.Config{Endpoints: o.Addrs, DialTimeout: 10 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		return nil, err
	}
	session, err := concurrency.NewSession(c, concurrency.WithTTL(etcdLease))
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &system{
		Service: lanes(o, func() load.Lane { return &etcdLane{session: session} }),
		close:   func() { session.Close(); c.Close() },
	}, nil
}

func (l *etcdLane) Acquire(ctx context.Context, names []string) error {
	l.held = l.held[:0]
	for _, name := range names {
		m := concurrency.NewMutex(l.session, name)
		if err := m.Lock(ctx); err != nil {
			return err
		}
		l.held = append(l.held, m)
	}
	return nil
}

func (l *etcdLane) Release(ctx context.Context) error {
	var err error
	for _, m := range l.held {
		err = errors.Join(err, m.Unlock(ctx))
	}
	return err
}
