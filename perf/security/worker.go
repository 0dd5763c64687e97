package security

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/lockify-dlm/lockify/perf"
	"github.com/lockify-dlm/lockify/perf/proc"
	"github.com/lockify-dlm/lockify/perf/steady"
)

// Roles of processes.
const (
	roleVictims   = ""
	roleNeighbour = "neighbour"
	roleMallory   = "mallory"
)

// order is what a process is told when it starts.
type order struct {
	Role        string
	Unix        string // the daemon's addresses, see rig
	Addr, Nodes string
	Dir         string // of certificates
	Session     uint64 // of the witness
	Lock        uint64 // that it holds
	Number      uint32 // of its lockspace
	Connections int    // half-open ones of a round
}

// turn is what a process is told to do next: to attack for a while, or to measure until the
// next turn.
type turn struct {
	Attack string
	For    time.Duration
}

// outcome is what came of a turn.
type outcome struct {
	Failed              string
	Rounds              int
	Connections, Frames int64
	Latencies           *perf.Histogram
	Steady              *perf.Histogram // without the times in which the machine was slow (package steady)
	Time, Slow          time.Duration   // how long it was measured, and how long the machine was slow
}

// Work is the body of a process that Run starts: arg is its order, each line of in a turn. It
// ends when in does.
func Work(ctx context.Context, arg string, in io.Reader, out io.Writer) error {
	var o order
	if err := json.Unmarshal([]byte(arg), &o); err != nil {
		return fmt.Errorf("security: order %q: %w", arg, err)
	}
	lines, say := bufio.NewScanner(in), json.NewEncoder(out)
	if o.Role == roleVictims {
		return workVictims(ctx, o, lines, say)
	}
	if o.Role == roleMallory {
		if err := perf.TakeWhatIsLeft(); err != nil {
			return err
		}
	}
	m, err := newMallory(o)
	for err == nil && lines.Scan() {
		var t turn
		if err = json.Unmarshal(lines.Bytes(), &t); err == nil {
			err = say.Encode(m.work(ctx, t))
		}
	}
	return errors.Join(err, lines.Err())
}

// workVictims measures from one line to the next.
func workVictims(ctx context.Context, o order, lines *bufio.Scanner, say *json.Encoder) error {
	c, err := newCrowd(ctx, o)
	defer c.close()
	machine := steady.Start()
	defer machine.Stop()
	for err == nil && lines.Scan() {
		done := make(chan struct{})
		found := make(chan outcome, 1)
		go func() { found <- c.measure(ctx, machine, done) }()
		lines.Scan() // the end of the input ends it, too
		close(done)
		err = say.Encode(<-found)
	}
	return errors.Join(err, lines.Err())
}

// worker is such a process, as Run sees it.
type worker struct {
	*proc.Process
	said chan outcome
}

func startWorker(name string, args []string, o order) (*worker, error) {
	arg, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	w := &worker{said: make(chan outcome, 1)} // nobody may want what was said when an attack was cut off
	w.Process, err = proc.Start(name, func(r io.Reader) {
		for d := json.NewDecoder(r); ; {
			var out outcome
			if d.Decode(&out) != nil {
				return
			}
			w.said <- out
		}
	}, args[0], append(args[1:len(args):len(args)], string(arg))...)
	return w, err
}

func (w *worker) tell(t turn) error { return json.NewEncoder(w.Stdin).Encode(t) }

// await gives the outcome of a turn.
func (w *worker) await(ctx context.Context) (outcome, error) {
	select {
	case out := <-w.said:
		if out.Failed != "" {
			return out, errors.New(out.Failed)
		}
		return out, nil
	case <-w.Ended:
		return outcome{}, w.Failure()
	case <-ctx.Done():
		return outcome{}, ctx.Err()
	}
}
