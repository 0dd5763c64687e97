package store

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/internal/durable"
)

// Errors of Open.
var (
	ErrLocked  = errors.New("store: in use by another process")
	ErrDamaged = errors.New("store: damaged")
	ErrForeign = errors.New("store: belongs to another")
)

// format is the number of the way in which the file is written.
const format = 1

var (
	bucketMeta     = []byte("meta")
	bucketState    = []byte("state")
	bucketSnapshot = []byte("snapshot")
	bucketLog      = []byte("log")

	keyFormat  = []byte("format")
	keyNumber  = []byte("number")
	keyNode    = []byte("node")
	keyCluster = []byte("cluster")
	keyMembers = []byte("members")
	keyOnly    = []byte("only")
)

// Store is a cluster.Storage in a file.
type Store struct {
	*cluster.Memory // what is in the file, to be read
	db              *bbolt.DB
	path            string
	number          uint64 // random, the low 16 bits 0
	node            uint16 // 0: not known yet
	cluster         uint64 // 0: none yet
	members         []string
}

// Options say what the store must be.
type Options struct {
	Node    uint16        // id of the node; 0: as stored, or chosen later by the cluster
	Cluster uint64        // number of the cluster; 0: as stored
	Wait    time.Duration // for another process to end that has the file; 0: 1 s
}

// Open opens the store in a file, which it creates if there is none.
func Open(path string, o Options) (_ *Store, err error) {
	// A file that is shorter than it says is a fault in mapped memory, and bbolt
	// panics when pages are not what they should be.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = damaged(path, p)
		}
	}()
	if o.Wait == 0 {
		o.Wait = time.Second
	}
	if err := durable.MakeDir(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: o.Wait})
	if err != nil {
		return nil, openError(path, err)
	}
	s := &Store{Memory: cluster.NewMemory(), db: db, path: path}
	opened := false
	defer func() {
		if !opened {
			_ = db.Close() // the error that matters is the first
		}
	}()
	if err := s.begin(o); err != nil {
		return nil, err
	}
	// The file may be new, or its maker has crashed. Without it, a node that makes a cluster
	// would make another one.
	if err := durable.SyncDir(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("store: directory of %s: %w", path, err)
	}
	opened = true
	return s, nil
}

// openError tells a file that is damaged from a system that does not give it.
func openError(path string, err error) error {
	var system syscall.Errno
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return fmt.Errorf("%w: %s: stop the other lockifyd, or give this one another data directory", ErrLocked, path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("store: %s: %w: let the user that lockifyd runs as read and write it", path, err)
	case errors.As(err, &system):
		return fmt.Errorf("store: %s: %w: keep the file, see to that, and start again", path, err)
	}
	return damaged(path, err)
}

// damaged says what to do with a file that cannot be read.
func damaged(path string, what any) error {
	return fmt.Errorf("%w: %s: %v: move the file away and start again with --join and the address of a live member; "+
		"only if this was the only voter is the cluster's memory lost, and then all nodes must be stopped before a new one is founded",
		ErrDamaged, path, what)
}

// begin reads the file.
func (s *Store) begin(o Options) error {
	if err := s.identity(); err != nil {
		return err
	}
	if o.Node != 0 && s.node != 0 && o.Node != s.node {
		return fmt.Errorf("%w node: %s is of node %d, this is node %d: give it a data directory of its own", ErrForeign, s.path, s.node, o.Node)
	}
	if o.Cluster != 0 && s.cluster != 0 && o.Cluster != s.cluster {
		return fmt.Errorf("%w cluster: %s is of cluster %x, wanted is %x: move it away to join another cluster", ErrForeign, s.path, s.cluster, o.Cluster)
	}
	if err := s.load(); err != nil {
		return damaged(s.path, err)
	}
	if o.Node == 0 || s.node != 0 {
		return nil
	}
	return s.Belongs(o.Node, 0)
}

// identity reads or makes the numbers of the store.
func (s *Store) identity() error {
	fresh := false
	err := s.db.View(func(tx *bbolt.Tx) error {
		meta := tx.Bucket(bucketMeta)
		if fresh = meta == nil; fresh {
			return nil
		}
		if f := meta.Get(keyFormat); len(f) != 8 || number(f) != format {
			return fmt.Errorf("store: %s is of a newer version of lockifyd (format %x): start that one", s.path, f)
		}
		s.number, s.node, s.cluster = number(meta.Get(keyNumber)), uint16(number(meta.Get(keyNode))), number(meta.Get(keyCluster))
		if s.number == 0 {
			return damaged(s.path, "it has no number")
		}
		if v := meta.Get(keyMembers); v != nil {
			if err := json.Unmarshal(v, &s.members); err != nil {
				return damaged(s.path, err)
			}
		}
		return nil
	})
	if err != nil || !fresh {
		return err
	}
	var b [8]byte
	for s.number == 0 {
		_, _ = rand.Read(b[:]) // never fails
		s.number = number(b[:]) &^ 0xffff
	}
	return s.update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketMeta, bucketState, bucketSnapshot, bucketLog} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		meta := tx.Bucket(bucketMeta)
		return errors.Join(meta.Put(keyFormat, bytes8(format)), meta.Put(keyNumber, bytes8(s.number)))
	})
}

// Number gives the number of the store, for ServerConfig.Store and
// MemberConfig.Store: the low 16 bits are the node's id, 0 as long as that is
// not known.
func (s *Store) Number() uint64 { return s.number | uint64(s.node) }

// Node gives the node id and the cluster that the store belongs to, 0: not
// known yet.
func (s *Store) Node() (id uint16, cluster uint64) { return s.node, s.cluster }

// Belongs stores the node id and the cluster's number, 0: as it is. Neither
// changes once it is known.
func (s *Store) Belongs(id uint16, cluster uint64) error {
	if s.node != 0 && id != 0 && id != s.node || s.cluster != 0 && cluster != 0 && cluster != s.cluster {
		return fmt.Errorf("%w: %s is of node %d, cluster %x, not %d, %x", ErrForeign, s.path, s.node, s.cluster, id, cluster)
	}
	if id == 0 {
		id = s.node
	}
	if cluster == 0 {
		cluster = s.cluster
	}
	err := s.update(func(tx *bbolt.Tx) error {
		meta := tx.Bucket(bucketMeta)
		return errors.Join(meta.Put(keyNode, bytes8(uint64(id))), meta.Put(keyCluster, bytes8(cluster)))
	})
	if err == nil {
		s.node, s.cluster = id, cluster
	}
	return err
}

// Members gives where other members were when SetMembers was last told.
func (s *Store) Members() []string { return s.members }

// SetMembers stores where other members are: who starts again may ask them.
func (s *Store) SetMembers(addrs []string) error {
	text, err := json.Marshal(addrs)
	if err != nil {
		return err
	}
	if err := s.update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyMembers, text) }); err != nil {
		return err
	}
	s.members = addrs
	return nil
}

// Empty says that nothing has been saved: the node was no voter yet.
func (s *Store) Empty() bool {
	last, err := s.LastIndex()
	return err == nil && last == 0
}

// Close lets other processes open the file.
func (s *Store) Close() error { return s.db.Close() }

// update makes a change durable.
func (s *Store) update(do func(tx *bbolt.Tx) error) error {
	if err := s.db.Update(do); err != nil {
		return fmt.Errorf("store: %s: %w: is the disk full or failing?", s.path, err)
	}
	return nil
}

func number(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

func bytes8(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }
