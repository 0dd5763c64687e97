package main

import (
	"fmt"
	"regexp"
	"strings"
)

// page is a page as the runner sees it.
type page struct {
	name  string
	parts []part
}

// part is prose, or a command, or a file that is shown.
type part struct {
	line  int
	prose string
	cmd   string   // of several lines perhaps
	want  []string // what it says
	file  string   // its name in the repository
	text  string   // and what is in it
	test  string   // that runs the commands of this block
	check []string // commands that are not run: that what they name is there
	piece string   // Go that is a piece of a program
}

var (
	fileNote = regexp.MustCompile(`^<!-- file: (\S+) -->$`)
	testNote = regexp.MustCompile(`^<!-- run by: (\S+) -->$`)
	skipNote = regexp.MustCompile(`^<!-- not run: \S.* -->$`)

	// command is what an indented block must not begin its lines with: nobody would run it.
	command = regexp.MustCompile(`^ {4}(\$ )?((bin/)?(lockctl|lockifyd|lockbench)|make|go|promtool|curl|cd|kill|ssh|dpkg) `)
)

// pieceNote is before a block of Go that is a piece of a program.
const pieceNote = "<!-- a piece of a program -->"

// pageParser goes through the lines of a page.
type pageParser struct {
	page  page
	lines []string
	at    int // of the next line
	note  string
}

// parsePage reads a page. Errors name the line.
func parsePage(name, text string) (*page, error) {
	p := &pageParser{page: page{name: name}, lines: strings.Split(text, "\n")}
	for p.at < len(p.lines) {
		line := p.lines[p.at]
		p.at++
		lang, fenced := strings.CutPrefix(line, "```")
		switch {
		case fenced:
			if err := p.block(lang); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", name, p.at, err)
			}
			p.note = ""
		case strings.HasPrefix(line, "<!--"):
			p.note = line
		case command.MatchString(line):
			return nil, fmt.Errorf("%s:%d: a command in an indented block; want a block of console, or of sh", name, p.at)
		default:
			p.prose(line)
			if line != "" {
				p.note = ""
			}
		}
	}
	return &p.page, nil
}

// prose adds a line to the prose before it.
func (p *pageParser) prose(line string) {
	if n := len(p.page.parts); n > 0 && p.page.parts[n-1].prose != "" {
		p.page.parts[n-1].prose += line + "\n"
		return
	}
	p.page.parts = append(p.page.parts, part{line: p.at, prose: line + "\n"})
}

// block reads a fenced block whose first line is behind us.
func (p *pageParser) block(lang string) error {
	first := p.at
	for p.at < len(p.lines) && p.lines[p.at] != "```" {
		p.at++
	}
	if p.at == len(p.lines) {
		return fmt.Errorf("the block has no end")
	}
	body := p.lines[first:p.at]
	p.at++
	switch lang {
	case "console":
		return p.console(body, first+1)
	case "go":
		if p.note == pieceNote {
			p.page.parts = append(p.page.parts, part{line: first + 1, piece: strings.Join(body, "\n")})
			return nil
		}
		m := fileNote.FindStringSubmatch(p.note)
		if m == nil {
			return fmt.Errorf("no <!-- file: NAME --> before a block of Go, nor %s", pieceNote)
		}
		p.page.parts = append(p.page.parts, part{line: first + 1, file: m[1], text: strings.Join(body, "\n") + "\n"})
	case "sh":
		if skipNote.MatchString(p.note) {
			p.page.parts = append(p.page.parts, part{line: first + 1, check: body})
			return nil
		}
		m := testNote.FindStringSubmatch(p.note)
		if m == nil {
			return fmt.Errorf("no <!-- run by: TEST --> before a block of sh, nor <!-- not run: WHY -->; one whose commands are run here is of console")
		}
		p.page.parts = append(p.page.parts, part{line: first + 1, test: m[1]})
	case "text", "toml", "yaml":
	default:
		return fmt.Errorf("a block of %q; want console, go, sh, text, toml or yaml", lang)
	}
	return nil
}

// console takes commands and what they say.
func (p *pageParser) console(body []string, line int) error {
	var c *part
	for i, text := range body {
		if cmd, ok := strings.CutPrefix(text, "$ "); ok {
			p.page.parts = append(p.page.parts, part{line: line + i, cmd: cmd})
			c = &p.page.parts[len(p.page.parts)-1]
			continue
		}
		if c == nil {
			return fmt.Errorf("a block of console begins with a command, behind $")
		}
		if more, ok := strings.CutPrefix(text, "> "); ok && len(c.want) == 0 {
			c.cmd += "\n" + more
			continue
		}
		c.want = append(c.want, text)
	}
	return nil
}

// matches says whether a command has said what is wanted.
func matches(want, got []string) bool {
	if len(want) == 0 {
		return len(got) == 0
	}
	if want[0] == "..." {
		for i := range len(got) + 1 {
			if matches(want[1:], got[i:]) {
				return true
			}
		}
		return false
	}
	return len(got) > 0 && matchLine(want[0], got[0]) && matches(want[1:], got[1:])
}

func matchLine(want, got string) bool {
	if want == got {
		return true
	}
	parts := strings.Split(strings.TrimRight(want, " "), "...")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile("^" + strings.Join(parts, ".*") + " *$").MatchString(got)
}
