package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/lockify-dlm/lockify/internal/admin"
)

func topCommand(o *options) *cobra.Command {
	var once bool
	var every time.Duration
	cmd := &cobra.Command{
		Use: "top", Short: "Show what goes on in the cluster, again and again",
		Long: `top shows the nodes, the names that are asked for most, and the longest waits with who
is in the way, of the whole cluster: the node that is asked (--admin) asks the others. It
ends with Ctrl-C.

REQUESTS/S are requests for new locks in the last 5 to 10 seconds. They are estimated from
one of about 32 requests, so small figures are rough. Conversions are not counted. WAITING and
the waits are of clients, not of programs that embed their node.`,
		Example: `  lockctl top
  lockctl top --every 5s
  lockctl top --once --json`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if every < 200*time.Millisecond {
				return &exitStatus{exitUsage, fmt.Errorf("--every %v, want 200ms or more", every)}
			}
			if once || o.json {
				return o.topOnce(cmd.Context())
			}
			return o.topLive(cmd.Context(), every)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "show it once, as text (--json: as JSON)")
	cmd.Flags().DurationVar(&every, "every", 2*time.Second, "`TIME` between two looks")
	return cmd
}

func (o *options) topOnce(ctx context.Context) error {
	return o.ask(ctx, func(ctx context.Context, c *admin.Client) error {
		t, err := c.Top(ctx)
		if err != nil {
			return err
		}
		if o.json {
			err = o.printJSON(t)
		} else {
			err = printTop(o.stdout, t)
		}
		if err != nil {
			return err
		}
		return unreached(t.Unreached)
	})
}

// What a terminal is told (ECMA-48, and xterm's other screen).
const (
	otherScreen = "\x1b[?1049h\x1b[?25l"
	ownScreen   = "\x1b[?25h\x1b[?1049l"
	toTop       = "\x1b[H"
	lineEnd     = "\x1b[K\n"
	restEmpty   = "\x1b[J"
)

// topLive draws on the terminal's other screen until a signal comes.
func (o *options) topLive(ctx context.Context, every time.Duration) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	fmt.Fprint(o.stdout, otherScreen)
	defer fmt.Fprint(o.stdout, ownScreen)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		var frame bytes.Buffer
		err := o.askQuietly(ctx, func(ctx context.Context, c *admin.Client) error {
			t, err := c.Top(ctx)
			if err != nil {
				return err
			}
			return printTop(&frame, t)
		})
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			fmt.Fprintf(&frame, "\n%v\n", err)
		}
		if err := o.draw(frame.String()); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// draw puts a frame on the screen, as much of it as there is room for, in one write.
func (o *options) draw(frame string) error {
	columns, rows := screen(o.stdout)
	lines := strings.Split(strings.TrimRight(frame, "\n"), "\n")
	var b strings.Builder
	b.WriteString(toTop)
	for i, line := range lines[:min(len(lines), rows-1)] {
		if i > 0 {
			b.WriteString(lineEnd)
		}
		runes := []rune(line)
		b.WriteString(string(runes[:min(len(runes), columns)]))
	}
	b.WriteString(lineEnd + restEmpty)
	_, err := io.WriteString(o.stdout, b.String())
	return err
}

// screen gives the terminal's size; what is none has the size of the first ones.
func screen(w io.Writer) (columns, rows int) {
	if f, ok := w.(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 && size.Row > 1 {
			return int(size.Col), int(size.Row)
		}
	}
	return 80, 24
}

func printTop(w io.Writer, t *admin.Top) error {
	fmt.Fprintf(w, "cluster %s, asked by node %d\n", t.Cluster, t.Node)
	if t.NoMember != "" {
		fmt.Fprintf(w, "no member: %s\n", t.NoMember)
	}
	fmt.Fprintln(w)
	var rows [][]any
	for i := range t.Nodes {
		n := &t.Nodes[i]
		rows = append(rows, []any{n.Node, n.Sessions, n.Lockspaces, n.Names, n.Locks, n.Waiting, rate(n.PerS)})
	}
	for _, u := range t.Unreached {
		rows = append(rows, []any{u.Node, "no answer", "-", "-", "-", "-", "-"})
	}
	if err := table(w, []any{"NODE", "CLIENTS", "LOCKSPACES", "NAMES", "LOCKS", "WAITING", "REQUESTS/S"}, rows); err != nil {
		return err
	}
	if len(t.Waits) > 0 {
		fmt.Fprintln(w)
		rows = nil
		for i := range t.Waits {
			rows = append(rows, waitRow(&t.Waits[i]))
		}
		if err := table(w, []any{"WAITS SINCE", "LOCKSPACE", "NAME", "WANTS", "NODE", "WHO", "BLOCKED BY"}, rows); err != nil {
			return err
		}
	}
	if len(t.Hot) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	rows = nil
	for _, h := range t.Hot {
		rows = append(rows, []any{rate(h.PerS), h.Lockspace, h.Name})
	}
	return table(w, []any{"REQUESTS/S", "LOCKSPACE", "NAME"}, rows)
}

func waitRow(t *admin.TopWait) []any {
	by := "-"
	if b := t.Blocker; b != nil {
		by = fmt.Sprintf("%s of node %d", b.Mode, b.Node)
		if b.Session != 0 {
			by += fmt.Sprintf(", %s (session %d)", b.Client, b.Session)
		}
		if b.Others > 0 {
			by += fmt.Sprintf(", and %d more", b.Others)
		}
	}
	return []any{ago(&t.SinceS), t.Lockspace, t.Name, t.Wanted, t.Node, fmt.Sprintf("%s (session %d)", t.Client, t.Session), by}
}

// rate shows an estimate with as many digits as it deserves.
func rate(perS float64) string {
	if perS < 10 {
		return fmt.Sprintf("%.1f", perS)
	}
	return fmt.Sprintf("%.0f", perS)
}
