package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// checker checks commands that are not run: that the subcommands, flags, targets and
// variables which they name are there.
type checker struct {
	root, bin string
	makefile  string
	known     map[string]error // by command
}

func newChecker(root, bin string) (*checker, error) {
	text, err := os.ReadFile(filepath.Join(root, "Makefile"))
	return &checker{root: root, bin: bin, makefile: string(text), known: map[string]error{}}, err
}

// inlineCode is a command within a line of prose; it may go on in the next line.
var inlineCode = regexp.MustCompile("`((?:bin/)?(?:lockctl|lockifyd|lockbench|make)[ \n][^`]+)`")

// page checks what is not run of a page. Errors name the line.
func (c *checker) page(p *page) (errs []error) {
	add := func(line int, cmd string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %s: %w", p.name, line, cmd, err))
		}
	}
	for i := range p.parts {
		part := &p.parts[i]
		for _, cmd := range joinLines(part.check) {
			add(part.line, cmd, c.command(cmd))
		}
		for _, m := range inlineCode.FindAllStringSubmatch(part.prose, -1) {
			cmd := strings.Join(strings.Fields(m[1]), " ")
			add(part.line, cmd, c.command(cmd))
		}
	}
	return errs
}

// joinLines gives commands without comments, those of several lines as one.
func joinLines(body []string) (cmds []string) {
	more := ""
	for _, line := range body {
		line, _, _ = strings.Cut(line, " #")
		line = more + strings.TrimSpace(line)
		more = ""
		switch head, goesOn := strings.CutSuffix(line, `\`); {
		case goesOn:
			more = head
		case line != "" && line[0] != '#':
			cmds = append(cmds, line)
		}
	}
	return cmds
}

// command checks one. What is not ours is not known here.
func (c *checker) command(cmd string) error {
	err, known := c.known[cmd]
	if !known {
		words, bad := split(cmd)
		switch program := strings.TrimPrefix(words[0], "bin/"); {
		case bad != nil:
			err = bad
		case program == "make":
			err = c.target(words[1:])
		case program == "lockctl" || program == "lockifyd" || program == "lockbench":
			err = c.program(program, words[1:])
		}
		c.known[cmd] = err
	}
	return err
}

// split gives the words of a simple command, up to a pipe, a redirection, or "--".
func split(cmd string) (words []string, err error) {
	const word = `^(?:"[^"]*"|'[^']*'|[^\s"'])+`
	for rest := cmd; rest != ""; rest = strings.TrimLeft(rest, " ") {
		w := regexp.MustCompile(word).FindString(rest)
		if w == "" {
			return []string{cmd}, fmt.Errorf("a quote has no end")
		}
		if w == "--" || strings.ContainsAny(w[:1], "|>&;") || strings.HasPrefix(w, "2>") {
			break
		}
		rest = rest[len(w):]
		words = append(words, strings.NewReplacer(`"`, "", "'", "").Replace(w))
	}
	return words, nil
}

// target asks make what it would do.
func (c *checker) target(words []string) error {
	for _, w := range words {
		if name, _, ok := strings.Cut(w, "="); ok && !strings.Contains(c.makefile, "$("+name+")") {
			return fmt.Errorf("the Makefile has no variable %s", name)
		}
	}
	cmd := exec.Command("make", append([]string{"-n"}, words...)...)
	cmd.Dir = c.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// placeholder is what a program says of a value that stands for one, such as FILE.
var placeholder = regexp.MustCompile(`invalid argument "([A-Z][A-Z-]*)" for "(--[a-z-]+)" flag`)

// program asks one of ours for the help of that command: it fails if a flag is not there.
func (c *checker) program(name string, words []string) error {
	out, err := exec.Command(filepath.Join(c.bin, name), append(words, "--help")...).CombinedOutput()
	if m := placeholder.FindSubmatch(out); err != nil && m != nil {
		if i := slices.Index(words, string(m[1])); i > 0 && words[i-1] == string(m[2]) {
			return c.program(name, slices.Delete(slices.Clone(words), i-1, i+1))
		}
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	// Without the subcommand, the help is that of what is above it.
	if len(words) > 0 && words[0][0] != '-' && !strings.Contains(string(out), "\n  "+name+" "+words[0]) {
		return fmt.Errorf("there is no %s %s", name, words[0])
	}
	return nil
}
