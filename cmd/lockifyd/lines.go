package main

import (
	"fmt"
	"strings"
)

// lineIndex says on which line of a TOML text each key stands, because the
// TOML library does not. Keys are written as the loader asks for them: "id",
// "peer[1].addr", and "peer[1]" for a table's own line. The text has been
// parsed already, so it is good TOML; a key of another form than bare or
// simply quoted is found without a line.
func lineIndex(text string) map[string]int {
	s := lineScanner{text: text, line: 1, lines: map[string]int{}, tables: map[string]int{}}
	for s.pos < len(s.text) {
		s.statement()
	}
	return s.lines
}

type lineScanner struct {
	text   string
	pos    int
	line   int
	prefix string         // of keys in the present table
	lines  map[string]int // by key
	tables map[string]int // how many [[name]] were seen
}

// statement reads one line, or all lines of a value that goes over several.
func (s *lineScanner) statement() {
	start, line := s.pos, s.line
	s.skipLine()
	stmt := strings.TrimSpace(s.text[start:s.pos])
	switch {
	case stmt == "" || stmt[0] == '#':
	case strings.HasPrefix(stmt, "[["):
		name, _, _ := strings.Cut(stmt[2:], "]")
		name = bareKey(name)
		table := fmt.Sprintf("%s[%d]", name, s.tables[name])
		s.tables[name]++
		s.note(table, line)
		s.note(name, line)
		s.prefix = table + "."
	case stmt[0] == '[':
		name, _, _ := strings.Cut(stmt[1:], "]")
		name = bareKey(name)
		s.note(name, line)
		s.prefix = name + "."
	default:
		key, _, _ := strings.Cut(stmt, "=")
		key = bareKey(key)
		s.note(s.prefix+key, line)
		if top, _, dotted := strings.Cut(key, "."); dotted {
			s.note(s.prefix+top, line)
		}
	}
}

// note keeps the first line of a key.
func (s *lineScanner) note(key string, line int) {
	if s.lines[key] == 0 {
		s.lines[key] = line
	}
}

func bareKey(k string) string { return strings.Trim(strings.TrimSpace(k), `"'`) }

// skipLine goes behind the next line end that is outside of strings and
// brackets.
func (s *lineScanner) skipLine() {
	depth := 0
	for s.pos < len(s.text) {
		c := s.text[s.pos]
		switch c {
		case '#':
			if n := strings.IndexByte(s.text[s.pos:], '\n'); n >= 0 {
				s.pos += n
			} else {
				s.pos = len(s.text)
			}
			continue
		case '"', '\'':
			s.skipString(c)
			continue
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		case '\n':
			s.line++
			if depth <= 0 {
				s.pos++
				return
			}
		}
		s.pos++
	}
}

func (s *lineScanner) skipString(quote byte) {
	end := string(quote)
	if three := strings.Repeat(end, 3); strings.HasPrefix(s.text[s.pos:], three) {
		end = three
	}
	s.pos += len(end)
	for s.pos < len(s.text) && !strings.HasPrefix(s.text[s.pos:], end) {
		if s.text[s.pos] == '\\' && quote == '"' {
			s.pos++
		}
		if s.pos < len(s.text) && s.text[s.pos] == '\n' {
			s.line++
		}
		s.pos++
	}
	s.pos = min(s.pos+len(end), len(s.text))
}
