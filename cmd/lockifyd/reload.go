package main

import (
	"context"
	"os"
	"reflect"
	"slices"
	"strings"

	sd "github.com/coreos/go-systemd/v22/daemon"
)

// reloads reads the configuration anew for each SIGHUP, until ctx ends.
func (d *daemon) reloads(ctx context.Context, hups <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hups:
			d.tell(sd.SdNotifyReloading, sd.SdNotifyMonotonicUsec())
			d.reload()
			d.tell(sd.SdNotifyReady)
		}
	}
}

// reload takes what can change while the node runs, and says what can not. Certificates
// need none of it: they are read when they have changed.
func (d *daemon) reload() {
	cfg, err := d.again()
	if err != nil {
		d.log.Error("not reloaded: what was configured stays", "err", err)
		return
	}
	d.level.Set(cfg.logLevel)
	if keys := d.cfg.restarts(cfg); len(keys) > 0 {
		d.log.Warn("reloaded; what has changed of these waits for a restart", "settings", strings.Join(keys, ","))
		return
	}
	d.log.Info("reloaded")
}

// restarts names the settings in which c and o differ and that a restart alone changes.
func (c *config) restarts(o *config) (keys []string) {
	for i := range settings {
		if s := &settings[i]; s.key != "log_level" && s.get(c) != s.get(o) {
			keys = append(keys, s.key)
		}
	}
	if !reflect.DeepEqual(c.exports, o.exports) {
		keys = append(keys, "export")
	}
	if !reflect.DeepEqual(c.access, o.access) {
		keys = append(keys, "access")
	}
	if !reflect.DeepEqual(c.access, o.access) {
		keys = append(keys, "access")
	}
	if !slices.Equal(c.fenceDisks, o.fenceDisks) {
		keys = append(keys, "fence_disk")
	}
	return keys
}
