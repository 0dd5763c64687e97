package rig

import (
	"context"
	"errors"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/lockify-dlm/lockify/perf/load"
)

const zkSession = 30 * time.Second

// zkLane locks through the connection of all lanes.
type zkLane struct {
	conn *zk.Conn
	held []*zk.Lock
}

func openZooKeeper(ctx context.Context, o *Order) (*system, error) {
	conn, events, err := zk.Connect(o.Addrs, zkSession, zk.WithLogInfo(false), zk.WithLogger(noLog{}))
	if err != nil {
		return nil, err
	}
	timeout := time.After(zkSession)
	for {
		select {
		case e := <-events:
			if e.State != zk.StateHasSession {
				continue
			}
			return &system{Service: lanes(o, func() load.Lane { return &zkLane{conn: conn} }), close: conn.Close}, nil
		case <-ctx.Done():
			err = ctx.Err()
		case <-timeout:
			err = errors.New("no session within 30 s")
		}
		conn.Close()
		return nil, err
	}
}

type noLog struct{}

func (noLog) Printf(string, ...any) {}

func (l *zkLane) Acquire(_ context.Context, names []string) error {
	l.held = l.held[:0]
	for _, name := range names {
		lock := zk.NewLock(l.conn, "/"+name, zk.WorldACL(zk.PermAll))
		if err := lock.Lock(); err != nil {
			return err
		}
		l.held = append(l.held, lock)
	}
	return nil
}

func (l *zkLane) Release(context.Context) error {
	var err error
	for _, lock := range l.held {
		err = errors.Join(err, lock.Unlock())
	}
	return err
}
