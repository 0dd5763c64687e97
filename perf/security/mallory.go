package security

import (
	"context"
	"crypto/tls"
	"sync/atomic"
	"time"
)

// mallory is who attacks.
type mallory struct {
	order
	cert  *tls.Config
	node2 *tls.Config // of a node that is no member
}

func newMallory(o order) (m *mallory, err error) {
	m = &mallory{order: o}
	if m.cert, err = certificate(o.Dir, "mallory"); err == nil {
		m.node2, err = certificate(o.Dir, "node-2")
	}
	return m, err
}

// work attacks as a turn says, again and again, and gives what came of it.
func (m *mallory) work(ctx context.Context, t turn) outcome {
	var sum tally
	var out outcome
	for _, a := range attacks {
		if a.name != t.Attack {
			continue
		}
		for end := time.Now().Add(t.For); out.Rounds == 0 || time.Now().Before(end) && a.name != halfOpenName; out.Rounds++ {
			if err := a.run(ctx, m, &sum); err != nil {
				out.Failed = err.Error()
				break
			}
		}
	}
	out.Connections, out.Frames = sum.connections.Load(), sum.frames.Load()
	return out
}

// tally counts what an attack sends.
type tally struct{ connections, frames atomic.Int64 }

func (t *tally) of(w *raw) {
	if w != nil {
		t.connections.Add(1)
		t.frames.Add(int64(w.frames))
		w.c.Close()
	}
}
