package security

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/klauspost/compress/s2"

	"github.com/lockify-dlm/lockify/wire"
)

// attack is one way to do harm. run does it once; an error says what should not have been
// possible, or have happened.
type attack struct {
	name string
	run  func(ctx context.Context, r *mallory, t *tally) error
	// What is no attack shows what the machine does to victims when others use it: by
	// whom, 0: mallory.
	control bool
	by      int
}

// Who does an attack, or what looks like one.
const (
	byMallory   = iota // takes only what others leave of the processors
	byNeighbour        // takes what everybody does
)

var attacks = []attack{
	{name: "(nothing)", run: nothing, control: true},
	{name: "(processors used, idle class)", run: spin, control: true},
	{name: "(one processor used, as others)", run: spin, control: true, by: byNeighbour},
	{name: "forged frames", run: forged},
	{name: "truncated frames", run: truncated},
	{name: "replayed frames", run: replayed},
	{name: "lock of another lockspace", run: reaching},
	{name: "stolen session id", run: stolen},
	{name: "node by a client's certificate", run: posing},
	{name: "decompression bomb", run: bomb},
	{name: "slow reader", run: slow},
	{name: "flood over the rate limit", run: flood},
	{name: halfOpenName, run: halfOpen},
}

const (
	halfOpenName = "half-open connections"
	roundTime    = 10 * time.Millisecond // of what is no attack
)

func nothing(ctx context.Context, _ *mallory, _ *tally) error {
	select {
	case <-ctx.Done():
	case <-time.After(roundTime):
	}
	return ctx.Err()
}

// spin uses all processors, or one if it is the neighbour who does it.
func spin(ctx context.Context, m *mallory, _ *tally) error {
	end := time.Now().Add(roundTime)
	var all sync.WaitGroup
	threads := runtime.GOMAXPROCS(0)
	if m.Role == roleNeighbour {
		threads = 1
	}
	for range threads {
		all.Go(func() {
			for time.Now().Before(end) {
			}
		})
	}
	all.Wait()
	return ctx.Err()
}

// session makes one of mallory's, with his own lockspace open.
func (r *mallory) session() (*raw, uint32, error) {
	w, err := dial(r.Addr, r.cert)
	if err != nil {
		return nil, 0, err
	}
	if err = w.hello(); err != nil {
		return w, 0, err
	}
	number, st, err := w.open("mallory")
	if err == nil && st != wire.OK {
		err = fmt.Errorf("mallory's own lockspace: %v", st)
	}
	return w, number, err
}

// unwanted says how the daemon has answered.
func unwanted(what string, st wire.Status, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return fmt.Errorf("%s: the answer is %v", what, st)
}

// refused sends bytes, and wants the connection closed for them.
func (r *mallory) refused(t *tally, cfg *tls.Config, addr string, greet bool, what string, b []byte) error {
	w, err := dial(addr, cfg)
	if err != nil {
		return err
	}
	defer t.of(w)
	if greet {
		if err := w.hello(); err != nil {
			return err
		}
	}
	_ = w.write(b) // it may be closed in the midst of it
	if err := w.ended(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// forged: what is no frame of a client ends the connection.
func forged(_ context.Context, r *mallory, t *tally) error {
	good := seal(wire.Header{Lockspace: r.Number}, wire.Msg{Type: wire.LockReq, Name: []byte("x"), Mode: 5, Req: 1})
	flip := func(at int) []byte {
		b := bytes.Clone(good)
		b[at] ^= 1 << rand.N(8)
		return b
	}
	noise := make([]byte, 4096)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	long := bytes.Clone(good)
	wire.PutHeader(long, &wire.Header{Version: 1, Kind: wire.KindClient, Length: 1 << 31, Count: 1})
	count := bytes.Clone(good)
	wire.SealFrame(count, &wire.Header{Version: 1, Kind: wire.KindClient, Count: 1000})
	var err error
	for what, b := range map[string][]byte{
		"noise": noise, "magic": flip(0), "checksum": flip(21), "payload": flip(len(good) - 1), "length": long, "count": count,
		"a node's frame":  seal(wire.Header{Kind: wire.KindNode, Seq: 1, Lockspace: r.Number}, wire.Msg{Type: wire.Unlock, Name: []byte("precious"), Lock: r.Lock}),
		"a link's":        seal(wire.Header{Kind: wire.KindLink}, wire.Msg{Type: wire.LinkClose}),
		"mail":            seal(wire.Header{Kind: wire.KindMail}),
		"a node's answer": seal(wire.Header{Lockspace: r.Number}, wire.Msg{Type: wire.Ast, Lock: r.Lock, Mode: wire.NoMode, Status: wire.Unlocked}),
	} {
		for _, greet := range []bool{false, true} {
			if what == "a node's answer" && greet {
				continue // of a lockspace that is not open; the next one has it
			}
			err = errors.Join(err, r.refused(t, r.cert, r.Addr, greet, what, b))
		}
	}
	return err
}

// truncated: a frame that ends in the midst of it is none.
func truncated(_ context.Context, r *mallory, t *tally) error {
	w, number, err := r.session()
	t.of(w)
	if err != nil {
		return err
	}
	frame := seal(wire.Header{Lockspace: number}, wire.Msg{Type: wire.LockReq, Name: []byte("cut"), Mode: 5, Req: 1})
	for _, n := range []int{1, wire.HeaderSize - 1, wire.HeaderSize, len(frame) - 1} {
		w, _, err := r.session()
		if err != nil {
			t.of(w)
			return err
		}
		err = w.write(frame[:n])
		t.of(w)
		if err != nil {
			return err
		}
	}
	// A message that says that it is longer than its frame ends the connection.
	short := bytes.Clone(frame[:len(frame)-2])
	wire.SealFrame(short, &wire.Header{Version: wire.VersionMax, Kind: wire.KindClient, Count: 1, Lockspace: number})
	return r.refused(t, r.cert, r.Addr, true, "a message longer than its frame", short)
}

// replayed: what the witness has said before is not his when somebody else says it.
func replayed(_ context.Context, r *mallory, t *tally) error {
	w, err := dial(r.Addr, r.cert)
	if err != nil {
		return err
	}
	defer t.of(w)
	if err := w.hello(); err != nil {
		return err
	}
	for _, m := range []wire.Msg{
		{Type: wire.LockReq, Name: []byte("precious"), Mode: 3, Req: 2},
		{Type: wire.ConvertReq, Lock: r.Lock, Mode: 5, Req: 3},
		{Type: wire.UnlockReq, Lock: r.Lock, Req: 4},
	} {
		if err := w.send(wire.Header{Lockspace: r.Number, Instance: r.Session}, m); err != nil {
			return err
		}
		if a, err := w.await(wire.Ast); err != nil || a.Status != wire.NoSpace {
			return unwanted(m.Type.String()+" replayed", a.Status, err)
		}
	}
	// Nor can a session begin twice.
	if err := w.send(wire.Header{}, wire.Msg{Type: wire.Hello, Num: wire.VersionRange(1, 1)}); err != nil {
		return err
	}
	return w.ended()
}

// reaching: a lock's id is of no use to others, in whatever lockspace they say it is.
func reaching(_ context.Context, r *mallory, t *tally) error {
	w, own, err := r.session()
	defer t.of(w)
	if err != nil {
		return err
	}
	if _, st, err := w.open("victim"); err != nil || st != wire.NotAllowed {
		return unwanted("opening the lockspace of others", st, err)
	}
	for number, want := range map[uint32][]wire.Status{r.Number: {wire.NoSpace}, own: {wire.NoLock, wire.NotOwner}} {
		for _, m := range []wire.Msg{
			{Type: wire.ConvertReq, Lock: r.Lock, Mode: 0, Req: 3},
			{Type: wire.UnlockReq, Lock: r.Lock, Flags: 0x20000, Req: 4},
		} {
			if err := w.send(wire.Header{Lockspace: number}, m, wire.Msg{Type: wire.CancelReq, Lock: r.Lock, Req: 3}); err != nil {
				return err
			}
			a, err := w.await(wire.Ast)
			if err != nil || a.Status != want[0] && a.Status != want[len(want)-1] {
				return unwanted(m.Type.String()+" of another's lock", a.Status, err)
			}
		}
	}
	return nil
}

// stolen: who says the number of another session is not that session.
func stolen(_ context.Context, r *mallory, t *tally) error {
	w, err := dial(r.Addr, r.cert)
	if err != nil {
		return err
	}
	defer t.of(w)
	hello := wire.Msg{Type: wire.Hello, Num: wire.VersionRange(wire.VersionMin, wire.VersionMax), Features: wire.FeatureAccess, Text: []byte("the witness")}
	if err := w.send(wire.Header{Instance: r.Session}, hello); err != nil {
		return err
	}
	m, err := w.await(wire.Welcome)
	if err != nil || m.Instance == r.Session {
		return unwanted(fmt.Sprintf("welcomed as session %d", m.Instance), m.Status, err)
	}
	if err := w.send(wire.Header{Instance: r.Session, Lockspace: r.Number}, wire.Msg{Type: wire.UnlockReq, Lock: r.Lock, Req: 1}); err != nil {
		return err
	}
	if a, err := w.await(wire.Ast); err != nil || a.Status != wire.NoSpace {
		return unwanted("unlocking in another session's name", a.Status, err)
	}
	return nil
}

// posing: nodes are not who says so, but whose certificate does.
func posing(_ context.Context, r *mallory, t *tally) error {
	hello := func(id uint64) []byte {
		return seal(wire.Header{Kind: wire.KindLink, Instance: 1<<16 | id}, wire.Msg{
			Type: wire.LinkHello, Instance: 1<<16 | id, Num: wire.VersionRange(1, 1), Features: wire.Features, Text: []byte("security"),
		})
	}
	mail := seal(wire.Header{Kind: wire.KindMail})
	link := func(cfg *tls.Config, what string, b []byte) error {
		w, err := dial(r.Nodes, cfg)
		if err != nil {
			return err
		}
		defer t.of(w)
		if err = w.write(b); err == nil {
			_, err = w.await(wire.LinkRefuse)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", what, err)
		}
		return err
	}
	return errors.Join(
		link(r.cert, "a client's certificate as node 1", hello(1)),
		link(r.node2, "node 2 as node 3", hello(3)),
		r.refused(t, r.cert, r.Nodes, false, "mail of a client", mail),
	)
}

// huge is made once: an attacker has it ready, and to make it keeps the kernel busy.
var huge = sync.OnceValue(func() []byte {
	b := s2.Encode(nil, make([]byte, 1<<28))
	return b[:min(len(b), wire.MaxPayload)]
})

// bomb: what gets much larger when decompressed is not decompressed.
func bomb(_ context.Context, r *mallory, t *tally) error {
	lying := []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0} // a length of 4 GiB
	var err error
	for _, block := range [][]byte{huge(), lying} {
		frame := append(wire.ReserveHeader(nil), block...)
		wire.SealFrame(frame, &wire.Header{Version: 1, Kind: wire.KindClient, Flags: wire.FlagCompressed, Count: 1})
		for _, greet := range []bool{false, true} {
			err = errors.Join(err, r.refused(t, r.cert, r.Addr, greet, fmt.Sprintf("%d bytes that get more", len(block)), frame))
		}
	}
	return err
}

// slow: who asks and does not read the answers is disconnected before they fill the memory.
func slow(ctx context.Context, r *mallory, t *tally) error {
	w, _, err := r.session()
	defer t.of(w)
	if err != nil {
		return err
	}
	if t, ok := w.c.(*tls.Conn).NetConn().(*net.TCPConn); ok {
		_ = t.SetReadBuffer(4 << 10) // less for the kernel to keep
	}
	many := make([]wire.Msg, 200)
	for i := range many {
		many[i] = wire.Msg{Type: wire.OpenSpace, Req: uint64(i), Text: []byte("victim")} // the answer is a long one
	}
	frame := seal(wire.Header{}, many...)
	pause := time.NewTicker(time.Second * time.Duration(len(many)) / maxRate)
	defer pause.Stop()
	for end := time.Now().Add(6 * patience); time.Now().Before(end); {
		if err := w.write(frame); err != nil {
			return nil // it is
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fmt.Errorf("%d frames without reading: %w", w.frames, errOpen)
}

// flood: who sends far more than the limit of the rate is told so, and not listened to for a
// while. With what cannot be refused he is disconnected, if he is fast enough for that.
func flood(_ context.Context, r *mallory, t *tally) error {
	refused := false
	err := r.flood(t, wire.Msg{Type: wire.LockReq, Name: []byte("flood"), Mode: 0, Flags: 1}, func(a wire.Msg) bool {
		refused = refused || a.Status == wire.Limit && bytes.Contains(a.Text, []byte("max_client_rate"))
		return refused
	})
	// Who is slow to read is disconnected before the refusals come.
	if !refused && !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("nothing is refused: %w", err)
	}
	err = r.flood(t, wire.Msg{Type: wire.UnlockReq, Lock: 1}, func(wire.Msg) bool { return true })
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return nil
}

// floodTime is how long somebody sends, at least.
const floodTime = 100 * time.Millisecond

// flood sends a message again and again, until an answer is what is looked for.
func (r *mallory) flood(t *tally, m wire.Msg, found func(answer wire.Msg) bool) error {
	w, number, err := r.session()
	defer t.of(w)
	if err != nil {
		return err
	}
	many := make([]wire.Msg, 1000)
	for i := range many {
		many[i] = m
		many[i].Req = uint64(i)
	}
	frame := seal(wire.Header{Lockspace: number}, many...)
	var sent sync.WaitGroup
	sent.Go(func() {
		for w.write(frame) == nil {
		}
	})
	enough := time.Now().Add(floodTime)
	for err == nil {
		var a wire.Msg
		if a, err = w.await(wire.Ast); err == nil && found(a) && time.Now().After(enough) {
			break
		}
	}
	w.c.Close()
	sent.Wait()
	return err
}

// halfOpen: connections that say nothing, before TLS, behind it, and for nodes. The oldest
// go at this end, too, when it has no more descriptors for them.
func halfOpen(ctx context.Context, r *mallory, t *tally) error {
	open := make([]net.Conn, 0, r.Connections)
	defer func() {
		for _, c := range open {
			c.Close()
		}
	}()
	for i := range r.Connections {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if i >= maxOpen {
			open[i-maxOpen].Close()
		}
		c, err := r.silent(i)
		if err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
		t.connections.Add(1)
		open = append(open, c)
	}
	return nil
}

// maxOpen is how many connections this end has open at once.
const maxOpen = 10000

func (r *mallory) silent(i int) (net.Conn, error) {
	switch {
	case i%100 == 0: // behind the handshake, which costs this end most
		w, err := dial(r.Addr, r.cert)
		if err != nil {
			return nil, err
		}
		return w.c, nil
	case i%2 == 0:
		return net.DialTimeout("tcp", r.Nodes, patience)
	}
	return net.DialTimeout("tcp", r.Addr, patience)
}
