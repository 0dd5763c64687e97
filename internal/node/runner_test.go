package node

import (
	"log/slog"
	"runtime"
	"sync"
	"testing"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/engine"
)

// testRunner gives a runner of a node that is alone.
func testRunner(t *testing.T) *runner {
	t.Helper()
	members, err := cluster.Static(1)
	if err != nil {
		t.Fatal(err)
	}
	n, err := Start(t.Context(), Config{ID: 1, Transport: engine.NewMem(), Logger: slog.New(slog.DiscardHandler)}, members)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close(t.Context()) })
	s, err := n.Open(t.Context(), "test", Props{ValueLen: 32})
	if err != nil {
		t.Fatal(err)
	}
	return s.runners[0]
}

// Whoever does the work, it is done once, one at a time, in each caller's
// order, and all of it is done when the last caller has left.
func TestRunnerOrder(t *testing.T) {
	r := testRunner(t)
	const callers, each = 4, 5000
	var inside, total int // plain: the shard is what protects them
	var next [callers]int
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				work := func(*runner) {
					inside++
					if inside != 1 {
						t.Error("two at a time")
					}
					if next[c] != i {
						t.Errorf("caller %d: %d came when %d was due", c, i, next[c])
					}
					next[c]++
					total++
					inside--
				}
				switch i % 3 {
				case 0:
					r.do(work)
				case 1:
					r.wait(work)
				default: // as submit does
					if r.spinEnter() {
						r.drain()
						work(r)
						r.leave(nil)
					} else {
						r.do(work)
					}
				}
			}
		})
	}
	// One works through much, as the reader of a long frame, and lets others in.
	stop := make(chan struct{})
	reader := make(chan struct{})
	go func() {
		defer close(reader)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if !r.enter() {
				runtime.Gosched()
				continue
			}
			r.drain()
			ours := true
			for i := 0; i < 50 && ours; i++ {
				inside++
				inside--
				if r.askers.Load() > 0 {
					ours = r.yield()
				}
			}
			if ours {
				r.leave(nil)
			}
		}
	}()
	wg.Wait()
	close(stop)
	<-reader
	r.wait(func(*runner) {
		if total != callers*each {
			t.Errorf("%d pieces of work done, want %d", total, callers*each)
		}
	})
}

// An operation that is left in an inbox has the value that it came with: none, an empty
// one, or one of some bytes.
func TestTaskKeepsValue(t *testing.T) {
	for _, value := range [][]byte{nil, {}, {1, 2}} {
		for _, name := range []string{"", "name"} {
			var k task
			k.keep(&Op{name: []byte(name), value: value})
			if (k.op.value == nil) != (value == nil) || string(k.op.value) != string(value) || string(k.op.name) != name {
				t.Errorf("%q with %#v became %q with %#v", name, value, k.op.name, k.op.value)
			}
		}
	}
}
