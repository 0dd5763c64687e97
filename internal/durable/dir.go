package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// MakeDir is os.MkdirAll of directories that are still there when the power has failed.
func MakeDir(path string, perm fs.FileMode) error {
	var parents []string // of those that are missing
	for at := filepath.Clean(path); ; at = filepath.Dir(at) {
		if _, err := os.Stat(at); !errors.Is(err, fs.ErrNotExist) {
			break // what else it is MkdirAll says
		}
		parents = append(parents, filepath.Dir(at))
	}
	if err := os.MkdirAll(path, perm); err != nil {
		return err
	}
	for _, at := range parents {
		if err := SyncDir(at); err != nil {
			return err
		}
	}
	return nil
}

// SyncDir lets what is in a directory be there also when the power has failed.
func SyncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(Sync(dir), dir.Close())
}

// Sync is how a directory is synced. Tests look at who is.
var Sync = (*os.File).Sync
