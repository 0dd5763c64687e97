package rig

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/gomodule/redigo/redis"

	"github.com/lockify-dlm/lockify/perf/load"
)

// redisLease is how long a lock outlives its holder, in milliseconds.
const redisLease = "30000"

// redisUnlock deletes a key if it is still ours.
var redisUnlock = redis.NewScript(1, `if redis.call("get",KEYS[1])==ARGV[1] then return redis.call("del",KEYS[1]) else return 0 end`)

// redisLane has a connection of its own. A batch is one write, and its answers are read
// together.
type redisLane struct {
	conn  redis.Conn
	names []string
	token string
	count uint64
}

func openRedis(_ context.Context, o *Order) (_ *system, err error) {
	var conns []redis.Conn
	s := &system{close: func() {
		for _, c := range conns {
			c.Close()
		}
	}}
	network, addr, _ := strings.Cut(o.Addrs[0], "://")
	for range o.Depth {
		c, err := redis.Dial(network, addr)
		if err == nil {
			conns = append(conns, c)
			err = redisUnlock.Load(c)
		}
		if err != nil {
			s.close()
			return nil, err
		}
	}
	n := 0
	s.Service = lanes(o, func() load.Lane {
		n++
		return &redisLane{conn: conns[n-1], token: strconv.Itoa(n)}
	})
	return s, nil
}

func (l *redisLane) Acquire(_ context.Context, names []string) error {
	l.names = names
	l.count++
	l.token = strconv.FormatUint(l.count, 10)
	for _, name := range names {
		if err := l.conn.Send("SET", name, l.token, "NX", "PX", redisLease); err != nil {
			return err
		}
	}
	return l.answers("OK")
}

func (l *redisLane) Release(context.Context) error {
	for _, name := range l.names {
		if err := redisUnlock.SendHash(l.conn, name, l.token); err != nil {
			return err
		}
	}
	return l.answers(int64(1))
}

// answers reads one answer for each name.
func (l *redisLane) answers(want any) error {
	if err := l.conn.Flush(); err != nil {
		return err
	}
	var err error
	for _, name := range l.names {
		got, e := l.conn.Receive()
		if e == nil && got != want {
			e = fmt.Errorf("%q: the answer is %v, want %v", name, got, want)
		}
		err = errors.Join(err, e)
	}
	return err
}
