package main

import (
	"context"
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
)

// lookEvery is how often it is looked whether the configuration file is another one. It is
// read when it has not changed since the last look: who writes it may not have come to the end.
const lookEvery = time.Second

// reloads reads the configuration anew for each SIGHUP, and its rules of access when the
// file has changed, until ctx ends.
func (d *daemon) reloads(ctx context.Context, hups <-chan os.Signal) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	read := stampOf(d.cfg.file)
	seen := read
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			now := stampOf(d.cfg.file)
			if now != read && now == seen {
				read = now
				d.reloadAccess()
			}
			seen = now
		case <-hups:
			read = stampOf(d.cfg.file)
			if !d.member.Load() { // nor is it ready behind that
				d.reload()
				continue
			}
			d.tell(sd.SdNotifyReloading, sd.SdNotifyMonotonicUsec())
			d.reload()
			d.tell(sd.SdNotifyReady)
		}
	}
}

// stamp is what differs when a file has been written anew.
type stamp struct {
	size int64
	at   time.Time
}

func stampOf(file string) (s stamp) {
	if i, err := os.Stat(file); err == nil { // else it is another stamp, and reading it says why
		s = stamp{i.Size(), i.ModTime()}
	}
	return s
}

// reloadAccess takes what rules say by now. If the file is wrong those before hold on.
func (d *daemon) reloadAccess() {
	cfg, err := d.again()
	if err != nil {
		d.log.Error("rules of access are not reloaded, those before hold on", "err", whatIsWrong(err))
		return
	}
	d.setAccess(cfg)
}

// whatIsWrong is a wrong configuration of a node that goes on with the one before.
func whatIsWrong(err error) string {
	var p problems
	if errors.As(err, &p) {
		return p.join("; ")
	}
	return err.Error()
}

func (d *daemon) setAccess(cfg *config) {
	if reflect.DeepEqual(d.cfg.access, cfg.access) {
		return
	}
	d.cfg.access = cfg.access
	d.policy.Store(cfg.policy())
	d.log.Info("rules of access are reloaded", "rules", len(cfg.access))
}

// reload takes what can change while the node runs, and says what can not. Certificates
// need none of it: they are read when they have changed.
func (d *daemon) reload() {
	cfg, err := d.again()
	if err != nil {
		d.log.Error("not reloaded: what was configured stays", "err", whatIsWrong(err))
		return
	}
	d.level.Set(cfg.logLevel)
	d.setAccess(cfg)
	wait, fixed := d.cfg.stays(cfg)
	if len(wait) > 0 {
		d.log.Warn("reloaded; what has changed of these waits for a restart", "settings", strings.Join(wait, ","))
	}
	if len(fixed) > 0 {
		d.log.Warn("reloaded; these are fixed since the cluster was made, and no restart changes them there", "settings", strings.Join(fixed, ","))
	}
	if len(wait)+len(fixed) == 0 {
		d.log.Info("reloaded")
	}
}

// stays names the settings in which c and o differ and that a restart alone changes, or nothing.
func (c *config) stays(o *config) (keys, fixed []string) {
	for i := range settings {
		switch s := &settings[i]; {
		case s.key == "log_level", s.get(c) == s.get(o):
		case s.key == "lease", s.key == "voters":
			fixed = append(fixed, s.key)
		default:
			keys = append(keys, s.key)
		}
	}
	if !reflect.DeepEqual(c.exports, o.exports) {
		keys = append(keys, "export")
	}
	if !slices.Equal(c.fenceDisks, o.fenceDisks) {
		keys = append(keys, "fence_disk")
	}
	return keys, fixed
}
