package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockify-dlm/lockify/internal/admin"
)

func debugCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use: "debug", Short: "Collect what helps to find out what is wrong",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return &exitStatus{exitUsage, fmt.Errorf("what? there is bundle; see %s --help", cmd.CommandPath())}
		},
	}
	cmd.AddCommand(o.asks(bundleCommand(o)))
	return cmd
}

// bundling is what lockctl debug bundle is asked for.
type bundling struct {
	seconds int
	logs    []string
	unit    string
}

func bundleCommand(o *options) *cobra.Command {
	var b bundling
	cmd := &cobra.Command{
		Use: "bundle FILE.tar.gz", Short: "Put all that a node says about itself into one file",
		Long: `bundle asks a node for all that helps others to find out what is wrong with it, and writes
it to FILE: settings, versions, status, members, lockspaces, counters, metrics, recent
events, profiles of memory, goroutines and the processor, and its log if that can be read
from here: from the journal, or from the files named by --log. manifest.json says what is
there, and what is not, and why.

There are no keys, passwords or values of locks in it: settings that may have secrets are
hidden by the node, and what looks like one is taken out of the log. Names of lockspaces,
clients, locks that wait for long, and addresses are in it.`,
		Example: `  lockctl debug bundle node-1.tar.gz
  lockctl debug bundle node-1.tar.gz --log /var/log/lockify.log --seconds 30`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if b.seconds < 0 || b.seconds > 600 {
				return &exitStatus{exitUsage, fmt.Errorf("--seconds %d, want 0 to 600", b.seconds)}
			}
			return o.bundle(cmd.Context(), args[0], &b)
		},
	}
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return &exitStatus{exitUsage, fmt.Errorf("want the name of one file; see lockctl debug bundle --help")}
		}
		return nil
	}
	f := cmd.Flags()
	f.IntVar(&b.seconds, "seconds", 5, "profile the processor for `N` seconds, 0: not at all")
	f.StringSliceVar(&b.logs, "log", nil, "take the end of these `FILES` instead of the journal")
	f.StringVar(&b.unit, "unit", "lockifyd", "the daemon's systemd `UNIT`, for the journal")
	return cmd
}

// bundleFile is a file of a bundle, as the manifest describes it.
type bundleFile struct {
	Name   string `json:"name"`
	What   string `json:"what"`
	Bytes  int    `json:"bytes"`
	SHA256 string `json:"sha256,omitempty"`
	Error  string `json:"error,omitempty"` // why it is not there, or not whole
}

// manifest is manifest.json, the last file of a bundle.
type manifest struct {
	Made    time.Time    `json:"made"`
	Lockctl string       `json:"lockctl"` // its version
	Admin   string       `json:"admin"`   // the address that was asked
	Files   []bundleFile `json:"files"`
}

// part is a file of a bundle, and where it comes from.
type part struct {
	name, what string
	text       bool // secrets are looked for
	get        func(ctx context.Context) ([]byte, error)
}

const (
	maxBundled = 64 << 20 // bytes of one file
	maxLog     = 8 << 20  // bytes of the end of a log
)

func (o *options) bundle(ctx context.Context, file string, b *bundling) error {
	c, err := o.reach(ctx) // else there is nothing to bundle
	if err != nil {
		return err
	}
	out, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return &exitStatus{exitUsage, fmt.Errorf("%s is there already", file)}
	}
	if err != nil {
		return err
	}
	m := manifest{Made: time.Now().UTC().Truncate(time.Second), Lockctl: version, Admin: o.admin, Files: []bundleFile{}}
	packed := gzip.NewWriter(out)
	err = fill(ctx, tar.NewWriter(packed), append(nodeParts(c, o.adminTime, b.seconds), logParts(b)...), &m)
	if err = errors.Join(err, packed.Close(), out.Close()); err != nil {
		return errors.Join(err, os.Remove(file))
	}
	if o.json {
		return o.printJSON(m)
	}
	var rows [][]any
	for _, f := range m.Files {
		said := f.What
		if f.Error != "" {
			said = "not all: " + f.Error
		}
		rows = append(rows, []any{f.Name, f.Bytes, said})
	}
	return table(o.stdout, []any{"FILE", "BYTES", "WHAT"}, rows)
}

// fill writes the files and, behind them, the manifest.
func fill(ctx context.Context, w *tar.Writer, parts []part, m *manifest) error {
	for _, p := range parts {
		text, err := p.get(ctx)
		if p.text {
			text = scrub(text)
		}
		f := bundleFile{Name: p.name, What: p.what, Bytes: len(text)}
		if err != nil {
			f.Error = string(scrub([]byte(err.Error())))
		}
		if len(text) > 0 {
			f.SHA256 = fmt.Sprintf("%x", sha256.Sum256(text))
			if err := pack(w, p.name, text, m.Made); err != nil {
				return err
			}
		}
		m.Files = append(m.Files, f)
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(pack(w, "manifest.json", append(text, '\n'), m.Made), w.Close())
}

func pack(w *tar.Writer, name string, text []byte, at time.Time) error {
	if err := w.WriteHeader(&tar.Header{Name: "lockify/" + name, Mode: 0o600, Size: int64(len(text)), ModTime: at}); err != nil {
		return err
	}
	_, err := w.Write(text)
	return err
}

// nodeParts are what the node itself says, each within patience.
func nodeParts(c *admin.Client, patience time.Duration, seconds int) []part {
	ask := func(name, what, path string, text bool) part {
		return part{name, what, text, func(ctx context.Context) ([]byte, error) {
			ctx, cancel := context.WithTimeout(ctx, patience+time.Duration(seconds)*time.Second)
			defer cancel()
			body, err := c.Raw(ctx, path)
			if err != nil {
				return nil, err
			}
			defer body.Close()
			return io.ReadAll(io.LimitReader(body, maxBundled))
		}}
	}
	parts := []part{
		ask("config.json", "settings and versions", "/v1/config", true),
		ask("status.json", "the node, its links and totals", "/v1/status", true),
		ask("members.json", "who is in the cluster", "/v1/members", true),
		ask("lockspaces.json", "its lockspaces", "/v1/lockspaces", true),
		ask("counters.json", "messages by type", "/v1/counters", true),
		ask("metrics.txt", "metrics of Prometheus", "/metrics", true),
		ask("events.json", "the last events, one in each line", "/v1/events?recent=100000", true),
		ask("goroutines.txt", "what runs", "/debug/pprof/goroutine?debug=1", true),
		ask("goroutine.pprof", "the same as a profile", "/debug/pprof/goroutine", false),
		ask("heap.pprof", "profile of memory", "/debug/pprof/heap", false),
	}
	if seconds > 0 {
		parts = append(parts, ask("cpu.pprof", "profile of the processor", fmt.Sprintf("/debug/pprof/profile?seconds=%d", seconds), false))
	}
	return parts
}

// logParts are the log, if it can be had.
func logParts(b *bundling) (parts []part) {
	for i, name := range b.logs {
		parts = append(parts, part{fmt.Sprintf("log-%d.txt", i+1), "end of " + name, true, func(context.Context) ([]byte, error) { return tail(name) }})
	}
	if b.logs == nil {
		parts = append(parts, part{"log.txt", "journal of unit " + b.unit, true, func(ctx context.Context) ([]byte, error) {
			ctx, cancel := context.WithTimeout(ctx, adminTime)
			defer cancel()
			var errs bytes.Buffer
			cmd := exec.CommandContext(ctx, "journalctl", "--unit", b.unit, "--lines", "20000", "--no-pager", "--output", "short-iso-precise")
			cmd.Stderr = &errs
			text, err := cmd.Output()
			if err != nil {
				err = fmt.Errorf("%w %s", err, bytes.TrimSpace(errs.Bytes()))
			}
			return text, err
		}})
	}
	return parts
}

// tail reads the end of a file.
func tail(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(max(0, info.Size()-maxLog), io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, maxLog))
}

// secrets are what may be in a text by mistake, with what it is turned into.
var secrets = []struct {
	re *regexp.Regexp
	by string
}{
	{regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\z)`), "(hidden key)"},
	{regexp.MustCompile(`DHHC-1:[0-9a-zA-Z]{2}:[A-Za-z0-9+/=]+:?`), "(hidden secret)"},
	{regexp.MustCompile(`(://[^/\s:@"]*):[^/\s@"]+@`), "$1:(hidden)@"},
	{regexp.MustCompile(`(?i)((?:password|passwd|secret|token|api_?key)\w*"?\s*[=:]\s*)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;"']+)`), "$1(hidden)"},
	{regexp.MustCompile(`(?i)(--?(?:password|passwd|secret|token)\s+)\S+`), "$1(hidden)"},
	{regexp.MustCompile(`(?i)(authorization:\s*(?:basic|bearer)\s+)\S+`), "$1(hidden)"},
}

// scrub takes out of a text what looks like a secret.
func scrub(text []byte) []byte {
	for _, s := range secrets {
		text = s.re.ReplaceAll(text, []byte(s.by))
	}
	return text
}
