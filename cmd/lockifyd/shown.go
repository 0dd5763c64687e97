package main

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"runtime"
	"strings"

	"github.com/lockify-dlm/lockify/internal/admin"
)

// hidden are the settings whose values may have secrets in them: the admin address shows
// only that they are set. Keys and passwords themselves are in files, whose names may be
// seen.
var hidden = map[string]bool{"fence_command": true}

// shown gives the settings in force for the admin address.
func (c *config) shown() admin.Settings {
	out := admin.Settings{Version: version, Go: runtime.Version(), Settings: []admin.Setting{}}
	add := func(key, value string) {
		if hidden[key] && value != "" {
			value = "(hidden)"
		}
		out.Settings = append(out.Settings, admin.Setting{Key: key, Value: value, From: c.from(key)})
	}
	for i := range settings {
		s := &settings[i]
		value := s.get(c)
		if s.kind == kindList {
			value = withoutPasswords(value)
		}
		add(s.key, value)
	}
	add("export", showExports(c.exports))
	add("fence_disk", showFenceDisks(c.fenceDisks))
	return out
}

// withoutPasswords takes them out of URLs with commas between them.
func withoutPasswords(list string) string {
	parts := strings.Split(list, ",")
	for i, p := range parts {
		if u, err := url.Parse(p); err == nil && u.User != nil {
			parts[i] = u.Redacted()
		}
	}
	return strings.Join(parts, ",")
}

// from says where a setting comes from.
func (c *config) from(key string) string { return cmp.Or(c.where[key], "default") }

// print shows the settings in force and where they come from.
func (c *config) print(w io.Writer) (err error) {
	line := func(key, value string) {
		_, failed := fmt.Fprintf(w, "%-24s %-40s # %s\n", key, value, c.from(key))
		err = cmp.Or(err, failed)
	}
	for i := range settings {
		line(settings[i].key, settings[i].get(c))
	}
	if len(c.exports) > 0 {
		line("export", showExports(c.exports))
	}
	if len(c.fenceDisks) > 0 {
		line("fence_disk", showFenceDisks(c.fenceDisks))
	}
	if len(c.access) > 0 {
		line("access", fmt.Sprintf("%d rules", len(c.access)))
	}
	_, failed := fmt.Fprintln(w, "the configuration is good")
	return cmp.Or(err, failed)
}
