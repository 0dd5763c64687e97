package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/internal/node"
)

// agreed is a membership that notes what it is asked to change.
type agreed struct {
	cluster.Provider
	done *[]string
}

func (a agreed) Do(_ context.Context, c cluster.Command) error {
	*a.done = append(*a.done, c.Kind.String())
	return nil
}

func (agreed) State() *cluster.State             { return &cluster.State{Cluster: 7} }
func (agreed) Leave(context.Context, bool) error { return nil }
func (agreed) Close() error                      { return nil }

// startMember runs node 5 as a member, and its admin server. done has what was changed.
func startMember(t *testing.T) (s *Server, done *[]string) {
	t.Helper()
	done = new([]string)
	log := slog.New(slog.DiscardHandler)
	n, err := node.Start(t.Context(), node.Config{
		ID: 5, Shards: 1, Logger: log,
		Join: func(uint64, cluster.Handler) (cluster.Provider, error) { return agreed{done: done}, nil },
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err = Start(Config{Addr: "127.0.0.1:0", Node: func() *node.Node { return n }, Logger: log, Leave: func() { *done = append(*done, "leave") }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(s.Close(ctx), n.Close(ctx)); err != nil {
			t.Error(err)
		}
	})
	return s, done
}

// TestChange: a change is carried out as it is meant, or not at all.
func TestChange(t *testing.T) {
	s, done := startMember(t)
	for _, c := range []struct {
		body   string
		status int
		want   string // done, or in the error
	}{
		{`{"op":"remove","node":3}`, 200, cluster.Remove.String()},
		{`{"op":"promote","node":3}` + "\n", 200, cluster.Promote.String()},
		{`{"op":"leave"}`, 200, "leave"},
		{`{"op":"leave","node":5}`, 200, "leave"},
		{`{"op":"leave","node":3}`, 400, "this is node 5"},
		{`{"op":"leave","nodes":3}`, 400, `unknown field "nodes"`},
		{`{"op":"leave"}{"node":3}`, 400, "more follows"},
		{`{"op":"leave"} x`, 400, "more follows"},
		{`{"op":"leave"}` + strings.Repeat(" ", maxChange) + "x", 400, "more follows"},
		{`{"op":"remove"}`, 400, "want its id"},
		{`{"op":"promote","node":0}`, 400, "want its id"},
		{`{"op":"remove","node":65536}`, 400, "no change of membership"},
		{`{"op":"stay","node":3}`, 400, `op "stay"`},
		{`["leave"]`, 400, "no change of membership"},
		{``, 400, "no change of membership"},
	} {
		*done = nil
		resp, err := http.Post("http://"+s.Addr()+"/v1/members", "application/json", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			t.Fatal(err)
		}
		good := slices.Equal(*done, []string{c.want})
		if c.status != 200 {
			good = len(*done) == 0 && strings.Contains(strings.ReplaceAll(string(text), `\"`, `"`), c.want)
		}
		if resp.StatusCode != c.status || !good {
			t.Errorf("%.40s: %s %s, done %q; want %d, %q", c.body, resp.Status, text, *done, c.status, c.want)
		}
	}
}
