package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/lockify-dlm/lockify/internal/address"
	"github.com/lockify-dlm/lockify/internal/bounds"
	"github.com/lockify-dlm/lockify/internal/nearest"
	"github.com/lockify-dlm/lockify/internal/node"
)

// readFile takes settings from a TOML file. Those that flags replace later are
// checked all the same.
func (l *loader) readFile(text string) {
	var all map[string]any
	if _, err := toml.Decode(text, &all); err != nil {
		var p toml.ParseError
		if errors.As(err, &p) {
			l.bad = append(l.bad, problem{where: fmt.Sprintf("%s:%d", l.file, p.Position.Line), what: "not TOML: " + p.Message})
		} else {
			l.bad = append(l.bad, problem{where: l.file, what: "not TOML: " + err.Error()})
		}
		return
	}
	lines := lineIndex(text)
	at := func(path string) string { return l.place(lines, path) }
	for _, key := range keysByLine(all, lines) {
		if t := tableFor(key); t != nil {
			t.read(l, all[key], at)
			continue
		}
		s := settingFor(key)
		if s == nil {
			l.bad = append(l.bad, problem{at(key), key, "there is no such setting" + nearest.Suggest(key, fileKeys(), "")})
			continue
		}
		if s.kind == kindList {
			l.fileList(s, at(key), all[key])
			continue
		}
		v, ok := fileValue(s.kind, all[key])
		if !ok {
			l.wrong(s, at(key), describe(all[key]), errWant)
			continue
		}
		l.set(s, at(key), v)
	}
}

// fileList takes a setting that is an array of strings.
func (l *loader) fileList(s *setting, where string, v any) {
	list, ok := fileStrings(v)
	if !ok {
		l.wrong(s, where, describe(v), errWant)
		return
	}
	l.setList(s, where, list)
}

// place gives file:line of a key, or of what it stands in.
func (l *loader) place(lines map[string]int, path string) string {
	for path != "" {
		if n := lines[path]; n > 0 {
			return fmt.Sprintf("%s:%d", l.file, n)
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return l.file
}

func keysByLine(table map[string]any, lines map[string]int) []string {
	keys := make([]string, 0, len(table))
	for k := range table {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		if lines[a] != lines[b] {
			return lines[a] - lines[b]
		}
		return strings.Compare(a, b)
	})
	return keys
}

func settingFor(key string) *setting {
	for i := range settings {
		if settings[i].key == key {
			return &settings[i]
		}
	}
	return nil
}

// fileKeys are those that may stand in the file, outside of tables.
func fileKeys() (keys []string) {
	for i := range settings {
		keys = append(keys, settings[i].key)
	}
	for i := range tables {
		if !slices.Contains(keys, tables[i].key) {
			keys = append(keys, tables[i].key)
		}
	}
	return keys
}

// fileValue gives a value of the file in the form of a flag; ok is false if it
// has another type than the setting.
func fileValue(k kind, v any) (text string, ok bool) {
	switch v := v.(type) {
	case string:
		return v, k == kindString
	case int64:
		return strconv.FormatInt(v, 10), k == kindInt || k == kindNumber
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), k == kindNumber
	case bool:
		return strconv.FormatBool(v), k == kindBool
	}
	return "", false
}

// fileStrings gives an array of the file; ok is false if it is none of strings, or empty.
func fileStrings(v any) (list []string, ok bool) {
	array, _ := v.([]any)
	for _, v := range array {
		s, ok := v.(string)
		if !ok {
			return nil, false
		}
		list = append(list, s)
	}
	return list, len(list) > 0
}

// describe shows a value of the file in a message.
func describe(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("the string %q", v)
	case int64, float64, bool:
		return fmt.Sprint(v)
	case []any:
		return fmt.Sprintf("an array of %d", len(v))
	case map[string]any, []map[string]any:
		return "a table"
	}
	return fmt.Sprintf("a value of type %T", v)
}

// filePeers takes the [[peer]] tables.
func (l *loader) filePeers(v any, at func(string) string) {
	l.cfg.peers = readTables(l, "peer", peerFields, v, at, filePeer)
}

func filePeer(t map[string]any, before []node.Peer, bad badKey) (p node.Peer) {
	if v := t["id"]; v != nil {
		text, ok := fileValue(kindInt, v)
		if !ok || parseID(text, &p.ID) != nil {
			bad("id", "got %s; want a whole number from 1 to 65535", describe(v))
		} else if slices.ContainsFunc(before, func(q node.Peer) bool { return q.ID == p.ID }) {
			bad("id", "peer %d is there twice; want each of the other nodes once", p.ID)
		}
	}
	if v := t["addr"]; v != nil {
		text, ok := fileValue(kindString, v)
		if !ok {
			bad("addr", "got %s; want host:port or unix:///path", describe(v))
		} else if err := address.CheckDial(text); err != nil {
			bad("addr", "got %q, %v; want host:port or unix:///path", text, err)
		}
		p.Addr = text
	}
	if v := t["delay"]; v != nil {
		text, ok := fileValue(kindString, v)
		if !ok || parseTime(text, bounds.Delay, &p.Delay) != nil {
			bad("delay", "got %s; want a time such as \"50us\", up to 1s", describe(v))
		}
	}
	return p
}
