package main

import (
	"fmt"
	"strconv"

	"github.com/lockify-dlm/lockify/internal/node"
)

// limit is a setting of what clients may take.
func limit(key string, def, least, most int, unit, help string, of func(*node.Limits) *int) setting {
	return setting{
		key: key, kind: kindInt, arg: "N", unit: unit, def: strconv.Itoa(def),
		want: fmt.Sprintf("a whole number from %d to %d", least, most), help: help,
		set: func(c *config, v string) error { return parseInt(v, least, most, of(&c.limits)) },
		get: func(c *config) string { return strconv.Itoa(*of(&c.limits)) },
	}
}
