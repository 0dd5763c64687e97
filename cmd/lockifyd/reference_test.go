package main

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

var rewrite = flag.Bool("rewrite", false, "write the pages of docs/reference anew")

const configHead = `# Configuration of lockifyd

<!-- Made by go test ./cmd/lockifyd -rewrite; change cmd/lockifyd/settings.go and tables.go instead. -->

A setting comes from the first of these that has it:

1. a flag, ` + "`--NAME-PART`" + `
2. the environment, ` + "`LOCKIFYD_NAME_PART`" + `, in the form of the flag
3. the file in TOML that ` + "`--config`, or `LOCKIFYD_CONFIG`" + `, names: ` + "`name_part`" + `
4. the default

All are strict: a key, a variable beginning with ` + "`LOCKIFYD_`" + `, or a flag that is not on this
page is an error, as is a value of another type or out of its range. All errors are told at
once, each with its place, and nothing is started: exit status 78. What settings mean for each
other is looked at when each of them is right by itself, and the files that they name after that.
` + "`lockifyd --check-config`" + ` looks for them without starting anything, reads the files that
settings name, and prints each setting with the place it came from: status 0 if all is well.

Times are numbers with a unit, such as ` + "`500ms`, `10s`, `1m30s`, `24h`" + `. Lists are arrays
of strings in the file, and have commas between their parts elsewhere: a path with a comma can
only be in the file.

## Settings

`

// configReference is docs/reference/config.md.
func configReference() string {
	var b strings.Builder
	b.WriteString(configHead)
	for i := range settings {
		s := &settings[i]
		fmt.Fprintf(&b, "### `%s`\n\n%s.\n\n", s.key, sentence(s.help))
		def := "none"
		switch {
		case s.auto != "":
			def = s.auto
		case s.def != "":
			def = "`" + s.def + "`"
		}
		b.WriteString("| type | range | default | flag | environment |\n|---|---|---|---|---|\n")
		flag := "--" + s.flag()
		if s.kind != kindBool {
			flag += " " + s.arg
		}
		fmt.Fprintf(&b, "| %s | %s | %s | `%s` | `%s` |\n\n", s.form(), s.want, def, flag, s.env())
	}
	b.WriteString("## Tables\n\nThey are in the file only, but for `peer`, and can be there several times.\n\n")
	for i := range tables {
		t := &tables[i]
		fmt.Fprintf(&b, "### `[[%s]]`\n\n%s\n\n| key | type | range | default | meaning |\n|---|---|---|---|---|\n", t.key, sentence(t.help))
		for _, f := range t.fields {
			def := f.def
			if f.need {
				def = "must be there"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", f.key, f.form, f.want, def, f.help)
		}
		b.WriteString("\n")
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// form is the type of a setting, with the unit.
func (s *setting) form() string {
	switch s.kind {
	case kindNumber:
		return "number"
	case kindInt:
		if s.unit != "" {
			return formInt + ", of " + s.unit
		}
		return formInt
	case kindBool:
		return formBool
	case kindList:
		return formList
	case kindPeers:
		return "`[[peer]]` tables, see below"
	}
	if s.arg == "TIME" {
		return "time"
	}
	return formString
}

func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// golden compares a page of docs/reference with what the code makes of it.
func golden(t *testing.T, page, want string) {
	t.Helper()
	name := filepath.Join("..", "..", "docs", "reference", page)
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
		t.Errorf("docs/reference/%s is not what the code says: go test ./cmd/lockifyd -rewrite writes it anew", page)
	}
}

func TestConfigReference(t *testing.T) { golden(t, "config.md", configReference()) }

// docs/reference/lockifyd.md is the help text.
func TestCommandReference(t *testing.T) {
	var b strings.Builder
	if err := doc.GenMarkdown(documented(), &b); err != nil {
		t.Fatal(err)
	}
	golden(t, "lockifyd.md", b.String())
}

func documented() *cobra.Command {
	cmd := command(io.Discard, io.Discard)
	cmd.DisableAutoGenTag = true
	cmd.InitDefaultHelpFlag()
	return cmd
}

var manDir = flag.String("man", "", "write the manual page into this directory")

// The manual page names the daemon, its flags and its files.
func TestManPage(t *testing.T) {
	dir := cmp.Or(*manDir, t.TempDir())
	if err := doc.GenManTree(documented(), &doc.GenManHeader{Section: "8", Source: "lockify"}, dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "lockifyd.8"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{".SH NAME", "lockifyd - A node of a lockify cluster", `\fB--check-config\fP`, "Exit status:"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in the manual page", want)
		}
	}
}

// What the page says of a table is what the file takes: each field that is described is
// known, each needed one is missed, and others are refused.
func TestTablesAsDescribed(t *testing.T) {
	for i := range tables {
		tb := &tables[i]
		text := "id = 1\n[[" + tb.key + "]]\nnonsense = 1\n"
		_, err := load(configFile(t, text), nil, given{})
		if err == nil {
			t.Fatalf("%s: nonsense is taken", tb.key)
		}
		for _, key := range tb.fields.needed() {
			if !strings.Contains(err.Error(), tb.key+"."+key+": missing") {
				t.Errorf("%s.%s is not missed: %v", tb.key, key, err)
			}
		}
		for _, f := range tb.fields { // a date is of no field's type
			text := "id = 1\n[[" + tb.key + "]]\n" + f.key + " = 1979-05-27\n"
			_, err := load(configFile(t, text), nil, given{})
			if err == nil || !strings.Contains(err.Error(), tb.key+"."+f.key+": got ") {
				t.Errorf("%s.%s takes a date: %v", tb.key, f.key, err)
			}
		}
	}
}
