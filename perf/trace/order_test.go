package trace

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func mustRead(t *testing.T, rows ...string) *Trace {
	t.Helper()
	tr, err := Read("x", bytes.NewReader(zipped(rows...)))
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestOrderRespectsMessagesAndNodes(t *testing.T) {
	for _, name := range Names() {
		tr := mustLoad(t, name)
		tl, err := newTimeline(tr)
		if err != nil {
			t.Fatal(err)
		}
		last := map[int]int{}
		received := 0
		for at, i := range tl.order {
			node := tr.Events[i].Node
			if i < last[node] {
				t.Fatalf("%s: line %d before line %d", name, tr.Events[last[node]].Line, tr.Events[i].Line)
			}
			last[node] = i
			if s := tl.sent[i]; s >= 0 {
				received++
				if tl.at[s] > at || tr.Events[s].Msg != tr.Events[i].Msg || tr.Events[s].Node == node {
					t.Fatalf("%s: line %d sent, line %d received", name, tr.Events[s].Line, tr.Events[i].Line)
				}
			}
		}
		if want := map[string]int{"gfs2-2node": 4373, "ocfs2-2node": 4721}[name]; received != want {
			t.Errorf("%s: %d messages received, want %d", name, received, want)
		}
	}
}

func TestClocks(t *testing.T) {
	// Node 2 runs 1000 us ahead; the quickest messages take 10 and 30 us.
	tr := mustRead(t,
		"100,1,send,9,1,PR,LOOKUP:to1,41", "1110,2,recv,9,1,PR,LOOKUP:to1,",
		"1200,2,send,9,1,NL,LOOKUP_REPLY:to2,41", "230,1,recv,9,1,NL,LOOKUP_REPLY:to2,",
		"300,1,send,9,2,PR,LOOKUP:to1,42", "1390,2,recv,9,2,PR,LOOKUP:to1,")
	tl, err := newTimeline(tr)
	if err != nil {
		t.Fatal(err)
	}
	// Seen: 1010 one way, 970 the other; the middle is 990.
	if tl.shift[1] != -990 {
		t.Errorf("shift %d us, want -990", tl.shift[1])
	}
	for name, want := range map[string]int64{"gfs2-1node": 0, "gfs2-2node": -1857116, "ocfs2-2node": -825677} {
		if got := mustPlan(t, mustLoad(t, name), Options{}).ClockAheadUS; got != want {
			t.Errorf("%s: second node ahead by %d us, want %d", name, got, want)
		}
	}
}

func TestOrderErrors(t *testing.T) {
	for _, c := range []struct {
		what string
		rows []string
		want string
	}{
		{"never sent", []string{"1,1,phase,,,,PHASE_END:a,", "1,2,recv,9,1,PR,LOOKUP:to1,"}, "never sent"},
		{"other lock", []string{"1,1,send,9,1,PR,LOOKUP:to1,41", "1,2,recv,9,2,PR,LOOKUP:to1,"}, "x:3: LOOKUP of lock 2 received"},
		{"other type", []string{"1,1,send,9,1,PR,LOOKUP:to1,41", "1,2,recv,9,1,PR,REMOVE:to1,"}, "x:3: REMOVE"},
		{"three nodes", []string{"1,1,send,9,1,PR,LOOKUP:to1,41", "1,2,phase,,,,PHASE_END:a,", "1,3,phase,,,,PHASE_END:a,"}, "3 nodes"},
		{"drift", []string{
			"100,1,send,9,1,PR,LOOKUP:to1,41", "100,2,recv,9,1,PR,LOOKUP:to1,",
			"200,2,send,9,1,PR,LOOKUP:to2,41", "199,1,recv,9,1,PR,LOOKUP:to2,",
		}, "drift"},
		{"circle", []string{
			"100,1,recv,9,1,PR,LOOKUP:to2,", "100,1,send,9,1,PR,LOOKUP:to1,41",
			"100,2,recv,9,1,PR,LOOKUP:to1,", "100,2,send,9,1,PR,LOOKUP:to2,41",
		}, "circle"},
	} {
		_, err := NewPlan(mustRead(t, c.rows...), Options{})
		if !errors.Is(err, ErrOrder) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
	}
}

func TestHistoryErrors(t *testing.T) {
	const lock, ok = "1,1,lock,9,1,PR,,41", "2,1,ast,9,1,,:0,41"
	for _, c := range []struct {
		what string
		rows []string
		want string
	}{
		{"twice", []string{lock, ok, lock}, "x:4: lock of lock 1: the lock exists already"},
		{"never locked", []string{"1,1,convert,9,1,EX,CONVERT,41"}, "no such lock"},
		{"other name", []string{lock, ok, "3,1,unlock,9,1,,,42"}, "the lock's name is 41"},
		{"busy", []string{lock, "3,1,unlock,9,1,,,41"}, "line 2 has not completed"},
		{"no operation", []string{lock, ok, ok}, "no operation to complete"},
		{"open", []string{lock}, "never completes"},
		{"ended", []string{lock, "2,1,ast,9,1,,:-11,41", "3,1,unlock,9,1,,,41"}, "no such lock"},
		{"wrong status", []string{"1,1,lock,9,1,PR,NOQUEUE,41", "2,1,ast,9,1,,:-11,41"}, "recorded status EAGAIN, the grant rules give OK"},
		{"wrong grant", []string{lock, ok, "2,1,lock,9,2,EX,,41", "3,1,ast,9,2,,:0,41"}, "x:4: recorded status OK"},
		{"bast from nowhere", []string{lock, ok, "3,1,bast,9,1,EX,,41"}, "has no cause"},
		{"flags", []string{"1,1,lock,9,1,PR,ALTPR,41", ok}, "flags ALTPR are not supported"},
		{"nested", []string{"1,1,phase,,,,PHASE_BEGIN:a:1,", "2,1,phase,,,,PHASE_BEGIN:b:1,"}, "x:3: phase b begins inside a"},
		{"not begun", []string{"1,1,phase,,,,PHASE_END:a,"}, "ends inside"},
		{"no phase", []string{"1,1,phase,,,,OP:a:1,"}, "outside phases"},
		{"message", []string{"1,1,send,9,1,PR,LOOKUP:to1,41", "1,2,recv,9,1,PR,LOOKUP:to1,"}, "does not exist on node 1"},
	} {
		tr := mustRead(t, sortRows(c.rows)...)
		_, err := NewPlan(tr, Options{})
		if !errors.Is(err, ErrHistory) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
	}
}

// sortRows gives rows of a test growing times, so that cases can be written
// with repeated rows.
func sortRows(rows []string) []string {
	out := make([]string, len(rows))
	for i, r := range rows {
		_, rest, _ := strings.Cut(r, ",")
		out[i] = string(rune('1'+i)) + "," + rest
	}
	return out
}
