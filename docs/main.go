package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// pageTime bounds the commands of one page.
const pageTime = 3 * time.Minute

func main() {
	show := flag.Bool("show", false, "show the page, the commands and what they say")
	flag.Parse()
	if err := runPages(flag.Args(), *show); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func runPages(names []string, show bool) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	bin, err := os.MkdirTemp("", "lockify-docs-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(bin)
	if err := build(root, bin); err != nil {
		return err
	}
	var w io.Writer = io.Discard
	if show {
		w = os.Stdout
	}
	for _, name := range names {
		n, err := runPage(root, bin, name, w)
		if err != nil {
			return err
		}
		fmt.Printf("%s: %d commands, and all said what the page says\n", name, n)
	}
	return nil
}

// build builds what pages call.
func build(root, bin string) error {
	cmd := exec.Command("go", "build", "-o", bin, "./cmd/lockifyd", "./cmd/lockctl", "./cmd/lockbench")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// runPage runs the commands of a page of the repository at root, until one says something
// else than the page. It writes the page to w as it goes, and gives how many it has run.
func runPage(root, bin, name string, w io.Writer) (n int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), pageTime)
	defer cancel()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		return 0, err
	}
	p, err := parsePage(name, string(text))
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "lockify-docs-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	s, err := startSession(ctx, root, bin, dir)
	if err != nil {
		return 0, err
	}
	defer s.close()
	for i := range p.parts {
		part := &p.parts[i]
		switch {
		case part.prose != "":
			fmt.Fprint(w, part.prose)
		case part.cmd != "":
			fmt.Fprintf(w, "    $ %s\n", strings.ReplaceAll(part.cmd, "\n", "\n    > "))
			said, err := s.expect(ctx, part.cmd, part.want)
			for _, line := range said {
				fmt.Fprintf(w, "    %s\n", line)
			}
			if err != nil {
				return n, fmt.Errorf("%s:%d: $ %s\n%w\nsaid:\n%s\nwanted:\n%s", name, part.line, part.cmd, err,
					strings.Join(said, "\n"), strings.Join(part.want, "\n"))
			}
			n++
		}
	}
	return n, nil
}
