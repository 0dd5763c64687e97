package member

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lockify-dlm/lockify/internal/durable"
	"github.com/lockify-dlm/lockify/internal/node"
	"github.com/lockify-dlm/lockify/wire"
)

// Data is the node's directory. It holds
//
//	lock        locked (flock) by the process that uses the directory; its process id
//	instance    the last instance that a start of this node has had
//	cluster.db  what the node, as a voter, must not forget (cluster/store)
//
// An instance is never used twice: the new one is on the disk before the node
// has sent anything under it.
type Data struct {
	path string
	lock *os.File
}

// Errors of OpenData and NextInstance.
var (
	ErrInUse   = errors.New("another lockifyd uses this data directory")
	ErrOther   = errors.New("this data directory belongs to another node")
	ErrDamaged = errors.New("this data directory is damaged")
)

// storeName is the file of the voter's store.
const storeName = "cluster.db"

// InCluster says that a node with this directory has been in a cluster with agreed
// membership.
func (d *Data) InCluster() bool { return InCluster(d.path) }

// InCluster is Data.InCluster for a directory that is not open.
func InCluster(path string) bool {
	_, err := os.Stat(filepath.Join(path, storeName))
	return err == nil
}

// OpenData locks the directory, making it if it is missing.
func OpenData(path string) (*Data, error) {
	if err := durable.MakeDir(path, 0o750); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(path, "lock"), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("data directory %s: lock: %w", path, err)
		}
		pid, _ := io.ReadAll(io.LimitReader(f, 32)) // only for the message
		return nil, fmt.Errorf("%w: %s, process %s", ErrInUse, path, strings.TrimSpace(string(pid)))
	}
	d := &Data{path: path, lock: f}
	pid := fmt.Appendf(nil, "%d\n", os.Getpid())
	if err := errors.Join(f.Truncate(0), writeAt(f, pid)); err != nil {
		d.Close()
		return nil, fmt.Errorf("data directory: %w", err)
	}
	return d, nil
}

func writeAt(f *os.File, b []byte) error {
	_, err := f.WriteAt(b, 0)
	return err
}

// Close lets others use the directory. The lock file stays: removing it would
// let two processes lock two files of the same name.
func (d *Data) Close() { d.lock.Close() }

// record is the content of the file instance.
type record struct {
	Node     uint16 `json:"node"`
	Instance string `json:"instance"` // hex with 0x
	Starts   uint64 `json:"starts"`   // so far, for people
}

// NextInstance gives an instance above all that this directory has given
// before, and above the clock's, and keeps it on the disk.
func (d *Data) NextInstance(id uint16) (uint64, error) {
	last, starts, err := d.lastInstance(id)
	if err != nil {
		return 0, err
	}
	// Above the id, an instance counts: ms of the clock and seven random bits.
	// So last+1 is later than the last start even if the clock has gone back.
	count := max(node.NewInstance(id)>>16, last>>16+1)
	if count >= 1<<48 {
		return 0, damaged(d.path, fmt.Errorf("instance %#x is the last that there can be", last))
	}
	next := count<<16 | uint64(id)
	text, err := json.Marshal(record{Node: id, Instance: fmt.Sprintf("%#x", next), Starts: starts + 1})
	if err != nil {
		return 0, err
	}
	if err := d.replace("instance", append(text, '\n')); err != nil {
		return 0, fmt.Errorf("data directory: %w", err)
	}
	return next, nil
}

// lastInstance reads the file; 0 if there has been no start. A file that can't
// be understood is an error: guessing could use an instance twice.
func (d *Data) lastInstance(id uint16) (last, starts uint64, err error) {
	name := filepath.Join(d.path, "instance")
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, fmt.Errorf("data directory: %w", err)
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return 0, 0, damaged(name, err)
	}
	if _, err := fmt.Sscanf(r.Instance, "0x%x", &last); err != nil || wire.NodeOf(last) != r.Node {
		return 0, 0, damaged(name, fmt.Errorf("instance %q of node %d", r.Instance, r.Node))
	}
	if r.Node != id {
		return 0, 0, fmt.Errorf("%w: %s is of node %d, this is node %d", ErrOther, name, r.Node, id)
	}
	return last, r.Starts, nil
}

func damaged(name string, why error) error {
	return fmt.Errorf("%w: %s: %w: move its files away and start again, with --join and the address of a live member if there are others", ErrDamaged, name, why)
}

// replace writes a file as a whole or not at all, also if the power fails.
func (d *Data) replace(name string, text []byte) error {
	f, err := os.CreateTemp(d.path, name+".new*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once it is renamed
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(d.path, name)); err != nil {
		return err
	}
	return durable.SyncDir(d.path)
}
