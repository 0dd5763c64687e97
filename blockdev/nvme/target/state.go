package target

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
	if err := d.make(); err != nil {
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
	return syncDir(d.dir)
}

// make makes the directory, and those above it, if they are missing, for good.
func (d *stateDir) make() error {
	var parents []string // of those that are missing
	for at := filepath.Clean(d.dir); ; at = filepath.Dir(at) {
		if _, err := os.Stat(at); !errors.Is(err, fs.ErrNotExist) {
			break // what else it is MkdirAll says
		}
		parents = append(parents, filepath.Dir(at))
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	for _, at := range parents {
		if err := syncDir(at); err != nil {
			return err
		}
	}
	return nil
}

// syncDir lets what is in a directory be there also when the power has failed.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
