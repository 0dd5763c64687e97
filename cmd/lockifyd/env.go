package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lockify-dlm/lockify/internal/nearest"
)

// envPrefix begins the variables of the environment that have settings. It is not that of
// lockctl, LOCKIFY_: a shell may have an address and a certificate for lockctl's use, and
// Kubernetes sets variables for a service by the name of lockify.
const envPrefix = "LOCKIFYD_"

// envConfig names the file, as --config does.
const envConfig = envPrefix + "CONFIG"

// fileOfEnv gives the name of the file, empty without one.
func fileOfEnv(environ []string) (name string) {
	for _, e := range environ {
		if v, ok := strings.CutPrefix(e, envConfig+"="); ok {
			name = v
		}
	}
	return name
}

// readEnv takes settings from the environment, in their flags' form. Variables that begin
// as ours do and are none are errors, as unknown keys of the file are.
func (l *loader) readEnv(environ []string) {
	byName := map[string]*setting{}
	names := []string{envConfig}
	for i := range settings {
		s := &settings[i]
		byName[s.env()] = s
		names = append(names, s.env())
	}
	for _, e := range slices.Sorted(slices.Values(environ)) {
		name, v, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, envPrefix) || name == envConfig {
			continue
		}
		s := byName[name]
		if s == nil {
			l.bad = append(l.bad, problem{where: "$" + name, what: fmt.Sprintf("there is no such setting%s", nearest.Suggest(name, names, ""))})
			continue
		}
		l.set(s, "$"+name, v)
	}
}
