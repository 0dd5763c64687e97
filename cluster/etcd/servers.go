package etcd

import (
	"context"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// etcd's client asks one server after the other, and does not notice for 13 s that one hangs: its
// system still acknowledges what is sent to it. A renewal that meets that server is lost, and so is
// often the next one. So what keeps a membership goes to all servers at once, by a client for each.

// dialEach makes those clients, if there are several servers. Where etcd asks for a password that
// takes an answer of each.
func (m *membership) dialEach() {
	if len(m.client.Endpoints) < 2 {
		return
	}
	for _, e := range m.client.Endpoints {
		cfg := m.client
		cfg.Endpoints, cfg.Context = []string{e}, m.ctx
		m.wg.Go(func() { m.dialOne(cfg) })
	}
}

func (m *membership) dialOne(cfg clientv3.Config) {
	for m.ctx.Err() == nil {
		c, err := clientv3.New(cfg)
		if err != nil {
			pause(m.ctx)
			continue
		}
		m.mu.Lock()
		m.servers = append(m.servers, m.storeOf(c))
		m.mu.Unlock()
		<-m.ctx.Done()
		_ = c.Close() // its context has ended
	}
}

// everyServer gives the clients to ask. One of them is for whichever server it finds.
func (m *membership) everyServer() []*store {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append(slices.Clone(m.servers), m.store)
}

// first asks all at once, and gives the first answer; the last error if there is none.
func first[T any](ctx context.Context, all []*store, ask func(context.Context, *store) (T, error)) (T, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		v   T
		err error
	}
	answers := make(chan answer, len(all))
	for _, s := range all {
		go func() {
			v, err := ask(ctx, s)
			answers <- answer{v, err}
		}()
	}
	var last answer
	for range all {
		if last = <-answers; last.err == nil {
			break
		}
	}
	return last.v, last.err
}
