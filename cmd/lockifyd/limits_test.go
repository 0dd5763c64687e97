package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// TestLimits: who is over a limit is told which; others go on.
func TestLimits(t *testing.T) {
	const few = 8
	d := daemontest.Start(t, "--id", "1", "--clients", "unix://"+t.TempDir()+"/s", "--admin", "127.0.0.1:0",
		"--max-sessions", "4", "--max-client-sessions", "3", "--max-client-lockspaces", "2", "--max-client-locks", fmt.Sprint(2*few), "--max-client-waiting", fmt.Sprint(few))
	open := func(c *lockify.Client, name string) *lockify.Lockspace {
		s, err := c.Open(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	dial := func() (*lockify.Client, error) {
		return lockify.Dial(t.Context(), d.Client, lockify.OneSession())
	}
	over := func(err error, setting string) {
		t.Helper()
		if !errors.Is(err, lockify.ErrLimit) || !strings.Contains(err.Error(), setting+" of node 1") {
			t.Errorf("%v, want it to name %s", err, setting)
		}
	}
	var all []*lockify.Client
	for range 3 {
		c, err := dial()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		all = append(all, c)
	}
	_, err := dial()
	over(err, "max_client_sessions")
	greedy, other := open(all[0], "a"), open(all[1], "a")
	open(all[0], "b")
	open(all[0], "b")
	_, err = all[0].Open(t.Context(), "c")
	over(err, "max_client_lockspaces")

	held, err := other.Lock(t.Context(), "held", lockify.EX)
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan error, few+1)
	for range few {
		greedy.LockAsync("held", lockify.EX, func(l *lockify.Lock, err error) {
			if err == nil {
				err = l.Unlock(t.Context())
			}
			results <- err
		})
	}
	_, err = greedy.Lock(t.Context(), "one too many", lockify.EX)
	over(err, "max_client_waiting")
	free, err := other.Lock(t.Context(), "free", lockify.EX)
	if err != nil {
		t.Errorf("another client: %v", err)
	}
	if err := errors.Join(held.Unlock(t.Context()), free.Unlock(t.Context())); err != nil {
		t.Error(err)
	}
	for range few {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	// What is answered counts no more, whatever it was.
	bytes, err := greedy.OpenByteRanges(t.Context(), "bytes")
	if err != nil {
		t.Fatal(err)
	}
	me := greedy.NewOwner()
	for i := range 3 * few {
		l, err := greedy.Lock(t.Context(), "again", lockify.PR)
		if err == nil {
			err = errors.Join(l.Convert(t.Context(), lockify.EX), l.Unlock(t.Context()))
		}
		err = errors.Join(err, bytes.Lock(t.Context(), me, lockify.WriteRange, int64(i), 1), bytes.Unlock(t.Context(), me, int64(i), 1))
		if err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
	}
	for i := range 2*few - 1 { // and the handle of bytes
		if _, err := greedy.Lock(t.Context(), fmt.Sprint(i), lockify.NL); err != nil {
			t.Fatal(err)
		}
	}
	_, err = greedy.Lock(t.Context(), "more", lockify.NL)
	over(err, "max_client_locks")
}

// TestRate: what comes too fast is refused, and giving up never is.
func TestRate(t *testing.T) {
	d := daemontest.Start(t, "--id", "1", "--clients", "unix://"+t.TempDir()+"/s", "--admin", "127.0.0.1:0", "--max-client-rate", "20")
	c, err := lockify.Dial(t.Context(), d.Client, lockify.OneSession())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := c.Open(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		l, lockErr := s.Lock(t.Context(), "x", lockify.EX)
		if err = lockErr; err != nil {
			break
		}
		if err := l.Unlock(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if !errors.Is(err, lockify.ErrLimit) || !strings.Contains(err.Error(), "at most 20 requests a second (max_client_rate of node 1)") {
		t.Errorf("beyond the rate: %v", err)
	}
	lost := make(chan error, 500) // who waits for each answer is not listened to, and never so fast
	for range cap(lost) {
		go func() {
			var err error
			for !errors.Is(err, lockify.ErrLost) {
				_, err = s.Lock(t.Context(), "x", lockify.NL)
			}
			lost <- err
		}()
	}
	for range cap(lost) {
		err = <-lost
	}
	if !strings.Contains(err.Error(), "more than 200 messages a second") {
		t.Errorf("a flood: %v", err)
	}
	d.Err.Await(t, 0, "client gone", "the client sends too much")
}

// TestHalfOpen: connections that say nothing keep nobody out.
func TestHalfOpen(t *testing.T) {
	d := daemontest.Start(t, "--id", "1", "--clients", "unix://"+t.TempDir()+"/s,tcp://127.0.0.1:0", "--admin", "127.0.0.1:0", "--max-sessions", "10")
	_, addr, _ := strings.Cut(d.Ready["clients"], ",tcp://")
	for range 1100 { // more than there is room for
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	c, err := lockify.Dial(t.Context(), "tcp://"+addr, lockify.OneSession())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Open(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	d.Err.Await(t, 0, "connection closed", "has not said who it is")
}

// TestSessionLines: sessions that come and go without end do not fill the log, which says how
// many it has left out.
func TestSessionLines(t *testing.T) {
	d := daemontest.Start(t, "--id", "1", "--clients", "unix://"+t.TempDir()+"/s", "--admin", "127.0.0.1:0")
	late := regexp.MustCompile(`"?client (connected|gone)"? .*suppressed=\d`)
	sessions := 0
	for kinds := 0; sessions < 200 || kinds < 2; sessions++ {
		c, err := lockify.Dial(t.Context(), d.Client, lockify.OneSession())
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		all := map[string]bool{}
		for _, m := range late.FindAllStringSubmatch(d.Err.String(), -1) {
			all[m[1]] = true
		}
		kinds = len(all)
	}
	for _, message := range []string{"client connected", "client gone"} {
		var lines, suppressed, first, last int
		for _, line := range strings.Split(d.Err.String(), "\n") {
			if !strings.Contains(line, message) {
				continue
			}
			lines++
			suppressed += numberIn(t, line, "suppressed")
			last = numberIn(t, line, "session")
			first = cmp.Or(first, last)
		}
		if lines >= sessions || suppressed == 0 {
			t.Errorf("%q: %d lines of %d sessions, %d left out", message, lines, sessions, suppressed)
		}
		if message == "client connected" && lines+suppressed != last-first+1 { // the ends come in any order
			t.Errorf("%d lines and %d left out, of sessions %d to %d", lines, suppressed, first, last)
		}
	}
}

// numberIn gives the number with this key in a line of the log, 0: it is not there.
func numberIn(t *testing.T, line, key string) int {
	t.Helper()
	_, text, ok := strings.Cut(line, " "+key+"=")
	if !ok {
		return 0
	}
	text, _, _ = strings.Cut(text, " ")
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return n
}
