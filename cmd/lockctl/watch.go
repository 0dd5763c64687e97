package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/lockify-dlm/lockify/internal/admin"
)

// watching is what lockctl watch is asked for.
type watching struct {
	filter admin.EventFilter
	recent int
	count  int
	once   bool
}

func watchCommand(o *options) *cobra.Command {
	var w watching
	cmd := &cobra.Command{
		Use: "watch", Short: "Show what happens on the node, as it happens",
		Long: `watch shows the events of one node as they happen: sessions, lockspaces, members and
views, recoveries, fencing, wrong claims, deadlocks, lost locks, long waits. They are what
the daemon logs, without its limits of level and rate. It ends when the daemon does.

The daemon keeps the last 4096 events. A watcher that cannot follow is told how many it
has missed.

Kinds: session-begin, session-end, lockspace-open, lockspace-close, joined, fenced, members,
view, recovery-begin, recovery-end, link-up, link-down, claim-conflict, deadlock, locks-lost,
wait-long, wait-end, and log for all else that is logged.`,
		Example: `  lockctl watch
  lockctl watch --kind deadlock,wait-long,locks-lost --lockspace storage
  lockctl watch --recent 100 --once --json`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if w.recent < 0 || w.count < 0 {
				return &exitStatus{exitUsage, errors.New("--recent and --count: want a number that is not negative")}
			}
			if w.once && w.recent == 0 {
				return &exitStatus{exitUsage, errors.New("--once shows what --recent says, and nothing without it: want --recent N as well")}
			}
			if err := w.filter.Check(); err != nil {
				return &exitStatus{exitUsage, fmt.Errorf("--kind: %w", err)}
			}
			return o.watch(cmd.Context(), &w)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&w.filter.Kinds, "kind", nil, "only events of these `KINDS`, with commas between them")
	f.StringVar(&w.filter.Lockspace, "lockspace", "", "only events of lockspace `NAME`")
	f.IntVar(&w.recent, "recent", 0, "begin with those among the last `N` events")
	f.IntVar(&w.count, "count", 0, "end after `N` events")
	f.BoolVar(&w.once, "once", false, "only what --recent says, do not wait for more")
	return cmd
}

// errEnough ends a watch.
var errEnough = errors.New("enough")

// watch may take for ever: no time bounds it, but that the node answers.
func (o *options) watch(ctx context.Context, w *watching) error {
	c, err := o.reach(ctx)
	if err != nil {
		return err
	}
	seen := 0
	err = c.Events(ctx, w.filter, w.recent, !w.once, func(l *admin.EventLine) error {
		if err := o.printEvent(l); err != nil {
			return err
		}
		if l.Missed == 0 {
			seen++
		}
		if seen == w.count && w.count > 0 {
			return errEnough
		}
		return nil
	})
	switch {
	case errors.Is(err, errEnough):
		return nil
	case errors.Is(err, admin.ErrCutOff):
		return errors.New("the daemon has ended")
	}
	return o.explainAdmin(err)
}

func (o *options) printEvent(l *admin.EventLine) error {
	switch {
	case o.json && l.Missed > 0:
		_, err := fmt.Fprintf(o.stdout, "{\"missed\":%d}\n", l.Missed)
		return err
	case o.json:
		return json.NewEncoder(o.stdout).Encode(&l.Event)
	case l.Missed > 0:
		_, err := fmt.Fprintf(o.stdout, "(%s missed)\n", count(int(l.Missed), "event"))
		return err
	}
	return printEventText(o.stdout, l)
}

func printEventText(w io.Writer, l *admin.EventLine) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %-5s %-15s %s", l.Time.UTC().Format("2006-01-02T15:04:05.000Z"), l.Level, l.Kind, l.Message)
	if l.Lockspace != "" {
		fmt.Fprintf(&b, " lockspace=%s", quoteIfOdd(l.Lockspace))
	}
	for _, key := range slices.SortedFunc(maps.Keys(l.Attrs), cmp.Compare[string]) {
		fmt.Fprintf(&b, " %s=%s", key, quoteIfOdd(fmt.Sprint(l.Attrs[key])))
	}
	_, err := fmt.Fprintln(w, b.String())
	return err
}

// quoteIfOdd quotes what is not one word of text: others say what stands there.
func quoteIfOdd(s string) string {
	odd := func(r rune) bool { return !unicode.IsPrint(r) || strings.ContainsRune(" \"=", r) }
	if s == "" || !utf8.ValidString(s) || strings.ContainsFunc(s, odd) {
		return strconv.Quote(s)
	}
	return s
}
