package etcd

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/engine"
)

// store is the cluster's keys in etcd.
type store struct {
	*clientv3.Client
	root  string        // of all keys, with a slash behind
	terms cluster.Terms // of a new cluster
}

func (s *store) stateKey() string         { return s.root + "state" }
func (s *store) nodeKey(id uint16) string { return s.root + "nodes/" + strconv.Itoa(int(id)) }

func nodeValue(instance uint64) string { return strconv.FormatUint(instance, 16) }

// node reads a key and its value, if it is a node's.
func (s *store) node(key, value []byte) (id uint16, instance uint64, ok bool) {
	name, ok := strings.CutPrefix(string(key), s.root+"nodes/")
	if !ok {
		return 0, 0, false
	}
	n, err := strconv.ParseUint(name, 10, 16)
	instance, _ = strconv.ParseUint(string(value), 16, 64) // 0, of nobody: as if the key were missing
	return uint16(n), instance, err == nil
}

// all is what the store holds at one revision.
type all struct {
	revision int64
	state    *cluster.State // nil: there is no cluster yet
	keys     map[uint16]uint64
}

func (s *store) load(ctx context.Context) (*all, error) {
	got, err := s.Get(ctx, s.root, clientv3.WithPrefix())
	if err != nil {
		return nil, err
	}
	a := &all{revision: got.Header.Revision, keys: map[uint16]uint64{}}
	for _, kv := range got.Kvs {
		if id, instance, ok := s.node(kv.Key, kv.Value); ok {
			a.keys[id] = instance
		} else if string(kv.Key) == s.stateKey() {
			if a.state, err = s.decode(kv); err != nil {
				return nil, err
			}
		}
	}
	return a, nil
}

// errForeign: what is stored cannot be read. Trying again does not help.
var errForeign = errors.New("etcd: not what this version of lockify can read")

func (s *store) decode(kv *mvccpb.KeyValue) (*cluster.State, error) {
	state, err := cluster.DecodeState(kv.Value)
	if err != nil {
		return nil, fmt.Errorf("%w: key %s: %w", errForeign, kv.Key, err)
	}
	return state, nil
}

// holds says whether the key of an instance's node is there and its own, at some time
// after it was asked.
func (s *store) holds(ctx context.Context, instance uint64) (bool, error) {
	got, err := s.Get(ctx, s.nodeKey(cluster.NodeOf(instance))) // linearizable
	if err != nil {
		return false, err
	}
	return len(got.Kvs) == 1 && string(got.Kvs[0].Value) == nodeValue(instance), nil
}

// outcome is what a command has come to.
type outcome struct {
	state   *cluster.State // with it
	id      uint16         // for Join
	changed bool           // by this call; else it came before, or there was nothing to do
	sent    int64          // reading of the clock before it was written
}

// also gives what is written together with a command; id is that of apply.
type also func(c *cluster.Command, id uint16) []clientv3.Op

// change carries out a command, and tries until it can or ctx ends. Its number, Req,
// keeps it from being carried out twice.
func (s *store) change(ctx context.Context, c cluster.Command, more also) (outcome, error) {
	if _, err := cluster.DecodeCommand(c.Append(nil)); err != nil {
		return outcome{}, err
	}
	for trouble := error(nil); ; {
		out, done, err := s.tryChange(ctx, &c, more)
		switch {
		case done:
			return out, err
		case ctx.Err() != nil:
			return outcome{}, late(ctx, trouble)
		case err != nil:
			trouble = err
			pause(ctx)
		}
	}
}

// tryChange does it once. done: there is no use in trying again.
func (s *store) tryChange(ctx context.Context, c *cluster.Command, more also) (out outcome, done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	got, err := s.Get(ctx, s.stateKey())
	if err != nil {
		return out, lasting(err), err
	}
	revision := int64(0) // of a key that is not there
	if len(got.Kvs) == 0 {
		if c.Kind != cluster.Join {
			return out, true, fmt.Errorf("%w: etcd has nothing at %s any more", cluster.ErrMember, s.stateKey())
		}
		out.state, err = cluster.NewState(random(), s.terms)
	} else {
		revision = got.Kvs[0].ModRevision
		out.state, err = s.decode(got.Kvs[0])
	}
	if err != nil {
		return out, true, err
	}
	status, id, changed := out.state.Apply(c)
	if out.id = id; status != cluster.StatusOK || !changed {
		return out, true, status.Err()
	}
	ops := append(more(c, id), clientv3.OpPut(s.stateKey(), string(out.state.Append(nil))))
	out.sent = engine.BootTime()
	written, err := s.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(s.stateKey()), "=", revision)).Then(ops...).Commit()
	if err != nil {
		// Who leaves waits for nobody to make room: the end of its lease comes sooner.
		return out, lasting(err) || c.Kind == cluster.Leave && errors.Is(err, rpctypes.ErrNoSpace), err
	}
	out.changed = written.Succeeded
	return out, written.Succeeded, nil
}

// patience is how long etcd may take for one command, and pause lets some time pass
// before it is asked again.
const patience = 5 * time.Second

func pause(ctx context.Context) {
	select {
	case <-time.After(50 * time.Millisecond):
	case <-ctx.Done():
	}
}

// lasting says of an error of etcd that it stays if the same is asked again. That a database is
// full (NOSPACE) does not: somebody makes room, and memberships only need to read meanwhile.
func lasting(err error) bool {
	var e rpctypes.EtcdError
	if errors.Is(err, errForeign) {
		return true
	}
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() {
	case codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated, codes.NotFound, codes.Unimplemented:
		return !errors.Is(e, rpctypes.ErrInvalidAuthToken) && !errors.Is(e, rpctypes.ErrAuthOldRevision)
	case codes.FailedPrecondition: // of those with users and roles
		return true
	}
	return false
}

// late is why something has not come to an end before ctx did.
func late(ctx context.Context, trouble error) error {
	if trouble == nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w; etcd: %w", context.Cause(ctx), trouble)
}

// random gives a number that is not 0.
func random() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:]) | 1
}
