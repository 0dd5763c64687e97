package core

import (
	"encoding/json"
	"fmt"
	"maps"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// hostID tells hosts apart: all controllers of a host share its registration.
type hostID = [16]byte

// reservation is who may use a namespace (base specification, "Reservations").
type reservation struct {
	rules
	store func(data []byte) error // nil: nothing is kept
}

// rules are the part that persists. They are changed as a whole: a command makes a copy,
// changes it, and it takes effect once it is kept.
type rules struct {
	keys       map[hostID]uint64 // the registrants
	kind       nvme.ReservationType
	holder     hostID // of types that have one holder
	generation uint32
	persist    bool // PTPL
}

// allRegistrants says whether each registrant is a holder.
func allRegistrants(t nvme.ReservationType) bool {
	return t == nvme.WriteExclusiveAllRegistrants || t == nvme.ExclusiveAccessAllRegistrants
}

// holds says whether a host holds the reservation.
func (r *rules) holds(h hostID) bool {
	if allRegistrants(r.kind) {
		_, ok := r.keys[h]
		return ok
	}
	return r.kind != nvme.NoReservation && r.holder == h
}

// permits says whether a host may do a command.
func (r *rules) permits(h hostID, op nvme.Opcode) bool {
	if r.kind == nvme.NoReservation {
		return true
	}
	writes := false
	switch op {
	case nvme.OpRead, nvme.OpCompare, nvme.OpVerify:
	case nvme.OpWrite, nvme.OpWriteZeroes, nvme.OpDatasetManagement, nvme.OpFlush:
		writes = true
	default:
		return true // reservation commands judge for themselves
	}
	switch r.kind {
	case nvme.WriteExclusive, nvme.WriteExclusiveRegistrants, nvme.WriteExclusiveAllRegistrants:
		if !writes {
			return true
		}
	}
	if r.kind == nvme.WriteExclusive || r.kind == nvme.ExclusiveAccess {
		return r.holder == h
	}
	_, ok := r.keys[h]
	return ok
}

func (r *rules) clone() rules {
	c := *r
	if c.keys = maps.Clone(r.keys); c.keys == nil {
		c.keys = map[hostID]uint64{}
	}
	return c
}

const conflict = nvme.StatusReservation | nvme.DNR

// register does a Reservation Register.
func (r *rules) register(h hostID, p *nvme.Reservation, k *nvme.ReservationKeys, canPersist bool) nvme.Status {
	key, registered := r.keys[h]
	switch p.Persist {
	case nvme.PersistNoChange:
	case nvme.PersistOff, nvme.PersistOn:
		if p.Persist == nvme.PersistOn && !canPersist {
			return nvme.StatusInvalidField | nvme.DNR
		}
		r.persist = p.Persist == nvme.PersistOn
	default:
		return nvme.StatusInvalidField | nvme.DNR
	}
	switch p.Action {
	case nvme.Register:
		if k.Other == 0 {
			return nvme.StatusInvalidField | nvme.DNR
		}
		if registered && key != k.Other {
			return conflict
		}
		r.keys[h] = k.Other
	case nvme.Unregister:
		if !registered || !p.IgnoreKey && key != k.Current {
			return conflict
		}
		r.remove(h)
	case nvme.ReplaceKey:
		if k.Other == 0 {
			return nvme.StatusInvalidField | nvme.DNR
		}
		if !registered || !p.IgnoreKey && key != k.Current {
			return conflict
		}
		r.keys[h] = k.Other
	default:
		return nvme.StatusInvalidField | nvme.DNR
	}
	r.generation++
	return nvme.StatusSuccess
}

// remove ends a registration, and the reservation with its last holder.
func (r *rules) remove(h hostID) {
	held := r.holds(h)
	delete(r.keys, h)
	if held && (!allRegistrants(r.kind) || len(r.keys) == 0) {
		r.kind, r.holder = nvme.NoReservation, hostID{}
	}
}

// acquire does a Reservation Acquire.
func (r *rules) acquire(h hostID, p *nvme.Reservation, k *nvme.ReservationKeys) nvme.Status {
	key, registered := r.keys[h]
	switch {
	case p.IgnoreKey || !p.Type.Valid():
		return nvme.StatusInvalidField | nvme.DNR
	case !registered || key != k.Current:
		return conflict
	}
	switch p.Action {
	case nvme.Acquire:
		if r.kind == nvme.NoReservation {
			r.kind, r.holder = p.Type, h
		}
		if !r.holds(h) || r.kind != p.Type {
			return conflict
		}
		return nvme.StatusSuccess
	case nvme.Preempt, nvme.PreemptAndAbort:
		return r.preempt(h, p.Type, k.Other)
	}
	return nvme.StatusInvalidField | nvme.DNR
}

// preempt ends the registrations with a key, of other hosts, and with the holder's the
// reservation, in whose place a new one comes.
func (r *rules) preempt(h hostID, t nvme.ReservationType, key uint64) nvme.Status {
	all := allRegistrants(r.kind)
	if key == 0 && !all {
		return nvme.StatusInvalidField | nvme.DNR
	}
	take := all && key == 0 || !all && r.kind != nvme.NoReservation && r.keys[r.holder] == key
	found := take
	for o, k := range r.keys {
		if (k == key || all && key == 0) && o != h {
			delete(r.keys, o)
			found = true
		}
	}
	if !found {
		return conflict
	}
	if take {
		r.kind, r.holder = t, h
	}
	r.generation++
	return nvme.StatusSuccess
}

// release does a Reservation Release.
func (r *rules) release(h hostID, p *nvme.Reservation, k *nvme.ReservationKeys) nvme.Status {
	key, registered := r.keys[h]
	switch {
	case p.IgnoreKey:
		return nvme.StatusInvalidField | nvme.DNR
	case !registered || key != k.Current:
		return conflict
	case p.Action == nvme.Clear:
		clear(r.keys)
		r.kind, r.holder = nvme.NoReservation, hostID{}
		r.generation++
	case p.Action != nvme.Release:
		return nvme.StatusInvalidField | nvme.DNR
	case !r.holds(h):
	case r.kind != p.Type:
		return nvme.StatusInvalidField | nvme.DNR
	default:
		r.kind, r.holder = nvme.NoReservation, hostID{}
	}
	return nvme.StatusSuccess
}

// kept is how rules are stored.
type kept struct {
	Version     int              `json:"version"`
	Generation  uint32           `json:"generation"`
	Type        uint8            `json:"type"`
	Holder      []byte           `json:"holder,omitempty"`
	Registrants []keptRegistrant `json:"registrants"`
}

type keptRegistrant struct {
	Host []byte `json:"host"`
	Key  uint64 `json:"key"`
}

// encode gives what is kept: nothing but that if the rules do not persist.
func (r *rules) encode() ([]byte, error) {
	k := kept{Version: 1}
	if r.persist {
		k.Generation, k.Type, k.Holder = r.generation, uint8(r.kind), r.holder[:]
		for h, key := range r.keys {
			k.Registrants = append(k.Registrants, keptRegistrant{h[:], key})
		}
	}
	return json.Marshal(k)
}

// load takes what was kept.
func (r *rules) load(data []byte) error {
	var k kept
	if err := json.Unmarshal(data, &k); err != nil {
		return err
	}
	v := rules{keys: map[hostID]uint64{}, kind: nvme.ReservationType(k.Type), generation: k.Generation}
	if k.Version != 1 || v.kind != nvme.NoReservation && !v.kind.Valid() {
		return fmt.Errorf("version %d, reservation type %d: not known here", k.Version, k.Type)
	}
	for _, g := range k.Registrants {
		if len(g.Host) != len(hostID{}) {
			return fmt.Errorf("a host ID of %d bytes", len(g.Host))
		}
		v.keys[hostID(g.Host)] = g.Key
	}
	if len(k.Holder) == len(hostID{}) {
		v.holder = hostID(k.Holder)
	}
	v.persist = len(v.keys) > 0
	*r = v
	return nil
}

// adopt puts new rules in place of the old ones, once they are kept.
func (r *reservation) adopt(v *rules) error {
	if r.store != nil && (v.persist || r.persist) {
		data, err := v.encode()
		if err == nil {
			err = r.store(data)
		}
		if err != nil {
			return err
		}
	}
	r.rules = *v
	return nil
}
