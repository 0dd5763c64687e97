package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"
)

// TestReport: people get the text, a file the JSON, and standard output one of them.
func TestReport(t *testing.T) {
	file := filepath.Join(t.TempDir(), "out.json")
	const text, data = "text\n", "{\n  \"a\": 1\n}\n"
	for path, want := range map[string][2]string{"": {text, ""}, "-": {data, ""}, file: {text, data}} {
		var b bytes.Buffer
		var o output
		cmd := &cobra.Command{Use: "x", RunE: func(cmd *cobra.Command, _ []string) error {
			return report(&o, cmd, map[string]int{"a": 1}, func(w io.Writer, v map[string]int) error {
				_, err := io.WriteString(w, text)
				return err
			})
		}}
		o.flags(cmd)
		cmd.SetOut(&b)
		cmd.SetArgs([]string{"-q", "--json", path})
		if err := cmd.Execute(); err != nil || !o.quiet || !o.progress(cmd).quiet {
			t.Errorf("%q: %v, %+v", path, err, o)
		}
		written, err := os.ReadFile(path)
		if want[1] == "" && !errors.Is(err, fs.ErrNotExist) || b.String() != want[0] || string(written) != want[1] {
			t.Errorf("%q: printed %q, written %q, %v", path, b.String(), written, err)
		}
	}
	var b bytes.Buffer // what took long to measure is shown though it cannot be written
	cmd := &cobra.Command{}
	cmd.SetOut(&b)
	err := report(&output{json: filepath.Join(file, "none")}, cmd, 1, func(w io.Writer, _ int) error {
		_, err := io.WriteString(w, text)
		return err
	})
	if err == nil || b.String() != text {
		t.Errorf("a file that cannot be: %v, printed %q", err, b.String())
	}
}
