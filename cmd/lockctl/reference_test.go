package main

import (
	"cmp"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

const referenceHead = `# lockctl

<!-- Made by go test ./cmd/lockctl -run Reference -rewrite; change the commands' own texts instead. -->

The options of [lockctl](#lockctl) hold for all commands, and those of a command for what is
below it.

`

// inherited is what cobra repeats on the page of each command.
var inherited = regexp.MustCompile("(?s)### Options inherited from parent commands\n\n```\n.*?\n```\n\n")

// documented gives the commands without what this environment changes.
func documented(t *testing.T) *cobra.Command {
	for _, name := range []string{"LOCKIFY_ADMIN", "LOCKIFY_ADDR", "LOCKIFY_TLS_CERT", "LOCKIFY_TLS_KEY", "LOCKIFY_TLS_CA"} {
		t.Setenv(name, "")
	}
	cmd := root(io.Discard, io.Discard)
	cmd.DisableAutoGenTag = true
	cmd.InitDefaultCompletionCmd()
	return cmd
}

// docs/reference/lockctl.md is the help of all commands, on one page.
func TestReference(t *testing.T) {
	var b strings.Builder
	b.WriteString(referenceHead)
	var page func(*cobra.Command)
	page = func(c *cobra.Command) {
		c.InitDefaultHelpFlag()
		link := func(name string) string {
			return "#" + strings.ReplaceAll(strings.TrimSuffix(name, ".md"), "_", "-")
		}
		if err := doc.GenMarkdownCustom(c, &b, link); err != nil {
			t.Fatal(err)
		}
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				page(sub)
			}
		}
	}
	page(documented(t))
	name, want := filepath.Join("..", "..", "docs", "reference", "lockctl.md"), strings.TrimRight(inherited.ReplaceAllString(b.String(), ""), "\n")+"\n"
	if *rewrite {
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/reference/lockctl.md is not what the commands say: go test ./cmd/lockctl -run Reference -rewrite writes it anew")
	}
}

var manDir = flag.String("man", "", "write the manual pages into this directory")

// There is a manual page for each command.
func TestManPages(t *testing.T) {
	dir := cmp.Or(*manDir, t.TempDir())
	if err := doc.GenManTree(documented(t), &doc.GenManHeader{Section: "1", Source: "lockify"}, dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "lockctl-lock.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{".SH NAME", "lockctl-lock - ", `\fB--no-wait\fP`, "lockctl(1)"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in the manual page", want)
		}
	}
}

// Each shell gets a script that names the program.
func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		var out, errs strings.Builder
		if status := run([]string{"completion", shell}, &out, &errs); status != 0 || !strings.Contains(out.String(), "__complete") {
			t.Errorf("%s: status %d, %s", shell, status, errs.String())
		}
	}
	var out, errs strings.Builder
	if status := run([]string{"__complete", "lock", "--no"}, &out, &errs); status != 0 || !strings.Contains(out.String(), "--no-wait") {
		t.Errorf("status %d, %s", status, out.String())
	}
}
