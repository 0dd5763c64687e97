package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// pages are those whose commands are run: all that people learn from.
func pages(t *testing.T) (names []string) {
	t.Helper()
	names = []string{"../README.md", "monitoring.md", "operating.md", "performance.md", "security.md"}
	for _, dir := range []string{"guide", "concepts"} {
		found, err := filepath.Glob(filepath.Join(dir, "*.md"))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found...)
	}
	if len(names) < 10 {
		t.Fatalf("pages %q", names)
	}
	return names
}

var buildOnce sync.Once

// built gives this repository, and where the programs are.
func built(t *testing.T) (root, bin string) {
	t.Helper()
	root, err := filepath.Abs("..")
	if err == nil {
		buildOnce.Do(func() {
			if binDir, err = os.MkdirTemp("", "lockify-docs-"); err == nil {
				err = build(root, binDir)
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return root, binDir
}

var binDir string

func TestMain(m *testing.M) {
	status := m.Run()
	os.RemoveAll(binDir)
	os.Exit(status)
}

// Every command of the pages says what the page says.
func TestPages(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for leases to end")
	}
	root, bin := built(t)
	for _, name := range pages(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath("curl"); err != nil && os.Getenv("CI") == "" {
				t.Skip("needs curl")
			}
			if os.Getuid() != 0 {
				t.Skip("needs root, for a network namespace: pages have fixed ports")
			}
			if _, err := runPage(root, bin, filepath.Join("docs", name), io.Discard); err != nil {
				t.Error(err)
			}
		})
	}
}

// What pages show of files is in the files, and the tests that they name are there.
func TestShown(t *testing.T) {
	for _, name := range pages(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		p, err := parsePage(name, string(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range p.parts {
			if part.file != "" {
				got, err := os.ReadFile(filepath.Join("..", part.file))
				if err != nil || !strings.Contains(string(got), part.text) {
					t.Errorf("%s:%d: this is not in %s (%v)", name, part.line, part.file, err)
				}
			}
			if part.test != "" {
				if out, err := exec.Command("grep", "-rl", "--include=*_test.go", "func "+part.test+"(", "..").Output(); err != nil || len(out) == 0 {
					t.Errorf("%s:%d: there is no test %s", name, part.line, part.test)
				}
			}
		}
	}
}

// The runner itself: statuses, lines of a command, patterns, and commands that fail to say
// what they should.
func TestRunner(t *testing.T) {
	root := t.TempDir()
	try := func(text string) (int, error) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, "p.md"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return runPage(root, root, "p.md", io.Discard)
	}
	const good = "# Page\n```console\n$ printf 'a b\\nc\\nd\\n'\na ...\n...\nd\n$ false\n$ echo $?\n1\n$ cat <<END\n> x\n> END\nx\n$ x=5\n$ read y; echo $x\n5\n```\n"
	if n, err := try(good); err != nil || n != 6 {
		t.Errorf("%d commands, %v", n, err)
	}
	for _, bad := range []string{
		"```console\n$ echo a\nb\n```\n",
		"```console\n$ echo a\n```\n",
		"```console\n$ true\na\n```\n",
		"```console\n$ exit 3\n```\n",
		"```console\n$ echo a; echo b\na\n...c\n```\n",
		"```console\nno command\n```\n",
		"```console\n$ no end\n",
		"```sh\nmake\n```\n",
		"```go\npackage x\n```\n",
	} {
		if _, err := try(bad); err == nil || !strings.Contains(err.Error(), "p.md:") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
