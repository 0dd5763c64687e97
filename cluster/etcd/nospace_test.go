package etcd

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/lockify-dlm/lockify/internal/etcdtest"
)

// listener is a log that says when it has heard a text.
type listener struct {
	text  string
	heard chan struct{} // a token
}

func (l listener) Write(p []byte) (int, error) {
	if strings.Contains(string(p), l.text) {
		select {
		case l.heard <- struct{}{}:
		default:
		}
	}
	return len(p), nil
}

// TestFullDatabase: etcd that has no room takes nothing until somebody makes some. Who is a
// member stays one, who wants something waits, and who leaves goes.
func TestFullDatabase(t *testing.T) {
	b := newBackend(t, etcdtest.Start(t))
	e, p := b.start(t, 1<<16|1)
	_, leaves := b.start(t, 1<<16|3)
	c := b.client(t)
	alarm := func(action pb.AlarmRequest_AlarmAction) {
		t.Helper()
		// 0: of all members; to set one, any number will do
		_, err := pb.NewMaintenanceClient(c.ActiveConnection()).Alarm(within(t), &pb.AlarmRequest{Action: action, Alarm: pb.AlarmType_NOSPACE, MemberID: 1})
		if err != nil {
			t.Fatal(err)
		}
	}
	alarm(pb.AlarmRequest_ACTIVATE)
	log := listener{"database space exceeded", make(chan struct{}, 1)}
	b.cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
	second := newEar()
	joins := b.Join(t, 1<<16|2, second)
	defer joins.Close()
	opened := make(chan error, 1)
	go func() { opened <- p.Open(within(t), "s", nil) }()
	select {
	case <-log.heard:
	case why := <-second.ended:
		t.Fatalf("who joins gives up: %v", why)
	}
	if err := leaves.Leave(t.Context(), true); !errors.Is(err, rpctypes.ErrNoSpace) {
		t.Errorf("leave: %v", err)
	}
	before := e.until()
	e.await(t, func() bool { return e.lease > before })
	alarm(pb.AlarmRequest_DEACTIVATE)
	if err := <-opened; err != nil {
		t.Errorf("open: %v", err)
	}
	second.await(t, func() bool { return second.lease != 0 })
	e.sees(t, "s 1: 1")
}
