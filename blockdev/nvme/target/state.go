package target

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/lockify-dlm/lockify/internal/durable"
)

// stateDir keeps the reservations of a subsystem's namespaces: a file for each.
type stateDir struct{ dir string }

func (d *stateDir) file(nsid uint32) string {
	return filepath.Join(d.dir, fmt.Sprintf("reservations-%d.json", nsid))
}

// Load gives what was kept.
func (d *stateDir) Load(nsid uint32) ([]byte, error) {
	data, err := os.ReadFile(d.file(nsid))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// Save replaces what was kept: a new file takes the old one's name when it is on the
// disk.
func (d *stateDir) Save(nsid uint32, data []byte) (err error) {
	if err := durable.MakeDir(d.dir, 0o700); err != nil {
		return err
	}
	name := d.file(nsid)
	f, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	return durable.SyncDir(d.dir)
}
