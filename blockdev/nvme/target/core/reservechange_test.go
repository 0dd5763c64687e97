package core_test

import (
	"errors"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target/core"
)

const (
	opRegister = nvme.OpReservationRegister
	opAcquire  = nvme.OpReservationAcquire
	opRelease  = nvme.OpReservationRelease

	good    = nvme.Status(nvme.StatusSuccess)
	refused = nvme.Status(nvme.StatusReservation)
	invalid = nvme.Status(nvme.StatusInvalidField)
)

type (
	params = nvme.Reservation
	keys   [2]uint64 // Current, Other
)

// TestReservationChanges: what each command makes of a reservation. Host 1 holds it with
// key 10, host 2 is registered with 20, host 3 is not.
func TestReservationChanges(t *testing.T) {
	const we, ea, wero, wear, eaar = nvme.WriteExclusive, nvme.ExclusiveAccess, nvme.WriteExclusiveRegistrants,
		nvme.WriteExclusiveAllRegistrants, nvme.ExclusiveAccessAllRegistrants
	for name, tc := range map[string]struct {
		kind  nvme.ReservationType
		by    int // host
		op    nvme.Opcode
		p     params
		k     keys
		st    nvme.Status
		state string
	}{
		"register with key 0":             {we, 3, opRegister, params{}, keys{}, invalid, "1 1:10* 2:20"},
		"register":                        {we, 3, opRegister, params{}, keys{0, 30}, good, "1 1:10* 2:20 3:30"},
		"register again, same key":        {we, 2, opRegister, params{}, keys{0, 20}, good, "1 1:10* 2:20"},
		"register again, other key":       {we, 2, opRegister, params{}, keys{0, 21}, refused, "1 1:10* 2:20"},
		"register what others have":       {we, 3, opRegister, params{}, keys{0, 20}, good, "1 1:10* 2:20 3:20"},
		"replace":                         {we, 1, opRegister, params{Action: nvme.ReplaceKey}, keys{10, 11}, good, "1 1:11* 2:20"},
		"replace, wrong key":              {we, 1, opRegister, params{Action: nvme.ReplaceKey}, keys{9, 11}, refused, "1 1:10* 2:20"},
		"replace, key ignored":            {we, 2, opRegister, params{Action: nvme.ReplaceKey, IgnoreKey: true}, keys{0, 21}, good, "1 1:10* 2:21"},
		"replace, unregistered":           {we, 3, opRegister, params{Action: nvme.ReplaceKey, IgnoreKey: true}, keys{0, 21}, refused, "1 1:10* 2:20"},
		"replace by 0":                    {we, 1, opRegister, params{Action: nvme.ReplaceKey}, keys{10, 0}, invalid, "1 1:10* 2:20"},
		"unregister":                      {we, 2, opRegister, params{Action: nvme.Unregister}, keys{20, 0}, good, "1 1:10*"},
		"unregister, wrong key":           {we, 2, opRegister, params{Action: nvme.Unregister}, keys{10, 0}, refused, "1 1:10* 2:20"},
		"the holder unregisters":          {we, 1, opRegister, params{Action: nvme.Unregister}, keys{10, 0}, good, "0 2:20"},
		"the holder of type 3 does":       {wero, 1, opRegister, params{Action: nvme.Unregister}, keys{10, 0}, good, "0 2:20"},
		"one of the holders does":         {wear, 1, opRegister, params{Action: nvme.Unregister}, keys{10, 0}, good, "5 2:20*"},
		"unknown action of register":      {we, 1, opRegister, params{Action: 5}, keys{10, 0}, invalid, "1 1:10* 2:20"},
		"persist without a store":         {we, 1, opRegister, params{Persist: nvme.PersistOn}, keys{0, 10}, invalid, "1 1:10* 2:20"},
		"acquire what is held":            {we, 2, opAcquire, params{Type: we}, keys{20, 0}, refused, "1 1:10* 2:20"},
		"acquire what one holds":          {we, 1, opAcquire, params{Type: we}, keys{10, 0}, good, "1 1:10* 2:20"},
		"acquire it with another type":    {we, 1, opAcquire, params{Type: ea}, keys{10, 0}, refused, "1 1:10* 2:20"},
		"a holder acquires":               {eaar, 2, opAcquire, params{Type: eaar}, keys{20, 0}, good, "6 1:10* 2:20*"},
		"acquire no type":                 {we, 1, opAcquire, params{}, keys{10, 0}, invalid, "1 1:10* 2:20"},
		"acquire type 7":                  {we, 1, opAcquire, params{Type: 7}, keys{10, 0}, invalid, "1 1:10* 2:20"},
		"acquire with IEKEY":              {we, 1, opAcquire, params{Type: we, IgnoreKey: true}, keys{10, 0}, invalid, "1 1:10* 2:20"},
		"acquire, unregistered":           {we, 3, opAcquire, params{Type: we}, keys{}, refused, "1 1:10* 2:20"},
		"preempt the holder":              {we, 2, opAcquire, params{Action: nvme.Preempt, Type: ea}, keys{20, 10}, good, "2 2:20*"},
		"preempt and abort the holder":    {we, 2, opAcquire, params{Action: nvme.PreemptAndAbort, Type: wear}, keys{20, 10}, good, "5 2:20*"},
		"preempt, wrong own key":          {we, 2, opAcquire, params{Action: nvme.Preempt, Type: ea}, keys{21, 10}, refused, "1 1:10* 2:20"},
		"preempt, unregistered":           {we, 3, opAcquire, params{Action: nvme.Preempt, Type: ea}, keys{0, 10}, refused, "1 1:10* 2:20"},
		"preempt nobody":                  {we, 2, opAcquire, params{Action: nvme.Preempt, Type: ea}, keys{20, 99}, refused, "1 1:10* 2:20"},
		"preempt key 0":                   {we, 2, opAcquire, params{Action: nvme.Preempt, Type: ea}, keys{20, 0}, invalid, "1 1:10* 2:20"},
		"the holder preempts another":     {we, 1, opAcquire, params{Action: nvme.Preempt, Type: we}, keys{10, 20}, good, "1 1:10*"},
		"the holder preempts itself":      {we, 1, opAcquire, params{Action: nvme.Preempt, Type: ea}, keys{10, 10}, good, "2 1:10* 2:20"},
		"one of the holders preempts one": {wear, 1, opAcquire, params{Action: nvme.Preempt, Type: wear}, keys{10, 20}, good, "5 1:10*"},
		"one of the holders preempts all": {wear, 2, opAcquire, params{Action: nvme.Preempt, Type: we}, keys{20, 0}, good, "1 2:20*"},
		"preempt without reservation":     {0, 2, opAcquire, params{Action: nvme.Preempt, Type: we}, keys{20, 10}, good, "0 2:20"},
		"release":                         {we, 1, opRelease, params{Type: we}, keys{10, 0}, good, "0 1:10 2:20"},
		"release another type":            {we, 1, opRelease, params{Type: ea}, keys{10, 0}, invalid, "1 1:10* 2:20"},
		"release what another holds":      {we, 2, opRelease, params{Type: we}, keys{20, 0}, good, "1 1:10* 2:20"},
		"release, wrong key":              {we, 1, opRelease, params{Type: we}, keys{20, 0}, refused, "1 1:10* 2:20"},
		"release nothing":                 {0, 1, opRelease, params{Type: we}, keys{10, 0}, good, "0 1:10 2:20"},
		"one of the holders releases":     {wear, 2, opRelease, params{Type: wear}, keys{20, 0}, good, "0 1:10 2:20"},
		"clear":                           {we, 2, opRelease, params{Action: nvme.Clear}, keys{20, 0}, good, "0"},
		"clear, unregistered":             {we, 3, opRelease, params{Action: nvme.Clear}, keys{}, refused, "1 1:10* 2:20"},
		"release with IEKEY":              {we, 1, opRelease, params{Type: we, IgnoreKey: true}, keys{10, 0}, invalid, "1 1:10* 2:20"},
	} {
		t.Run(name, func(t *testing.T) {
			a, b, c := three(t, tc.kind)
			before := a.report().Generation
			[]*host{a, b, c}[tc.by-1].change(tc.st, tc.op, tc.p, tc.k)
			a.inState(tc.state)
			// acquiring and releasing change no registration
			counts := tc.st.OK() && (tc.op == opRegister || tc.p.Action != 0)
			if after := a.report().Generation; (after != before) != counts {
				t.Fatalf("generation %d, it was %d", after, before)
			}
		})
	}
}

// memoryStore is a Store whose content can be had.
type memoryStore struct {
	kept map[uint32][]byte
	err  error
}

func (m *memoryStore) Save(nsid uint32, data []byte) error {
	if m.err == nil {
		m.kept[nsid] = data
	}
	return m.err
}

func (m *memoryStore) Load(nsid uint32) ([]byte, error) { return m.kept[nsid], nil }

// powered makes a target that keeps reservations in store, as after a start.
func powered(t *testing.T, store core.Store) (*core.Target, *core.Port) {
	t.Helper()
	tg, p := core.New(), &core.Port{ID: 1, Address: "127.0.0.1", Service: "4420"}
	if err := tg.AddPort(p); err != nil {
		t.Fatal(err)
	}
	sub, err := tg.AddSubsystem(core.SubsystemConfig{NQN: subNQN, AnyHost: true, Store: store})
	if err != nil {
		t.Fatal(err)
	}
	addMemory(t, sub, 1)
	return tg, p
}

// TestPersist: what is kept through a loss of power, and what is not.
func TestPersist(t *testing.T) {
	store := &memoryStore{kept: map[uint32][]byte{}}
	tg, p := powered(t, store)
	_, a := pair(t, tg, p, nvme.ICReq{}, 1)
	a.register(10)
	a.change(good, opAcquire, params{Type: nvme.WriteExclusive}, keys{10, 0})

	tg, p = powered(t, store) // nothing was to be kept
	_, a = pair(t, tg, p, nvme.ICReq{}, 1)
	_, b := pair(t, tg, p, nvme.ICReq{}, 2)
	a.inState("0")
	a.change(good, opRegister, params{Persist: nvme.PersistOn}, keys{0, 10})
	b.register(20)
	a.change(good, opAcquire, params{Type: nvme.WriteExclusive}, keys{10, 0})

	tg, p = powered(t, store)
	_, a = pair(t, tg, p, nvme.ICReq{}, 1)
	_, b = pair(t, tg, p, nvme.ICReq{}, 2)
	a.inState("1 1:10* 2:20")
	zero := make([]byte, 512)
	b.want(nvme.StatusReservation, write(1, 0, zero, true), zero)
	a.want(nvme.StatusSuccess, write(1, 0, zero, true), zero)
	if !a.report().Persist {
		t.Fatal("what is kept is said not to be")
	}

	store.err = errors.New("the disk is full")
	a.change(nvme.StatusInternal, opRelease, params{Type: nvme.WriteExclusive}, keys{10, 0})
	a.inState("1 1:10* 2:20") // what could not be kept has not happened
	store.err = nil
	a.change(good, opRegister, params{Persist: nvme.PersistOff}, keys{0, 10})
	tg, p = powered(t, store)
	_, a = pair(t, tg, p, nvme.ICReq{}, 1)
	a.inState("0")
}

// TestNotices: who hears of what, by event and log page.
func TestNotices(t *testing.T) {
	const we, wero, wear = nvme.WriteExclusive, nvme.WriteExclusiveRegistrants, nvme.WriteExclusiveAllRegistrants
	for name, tc := range map[string]struct {
		kind nvme.ReservationType
		op   nvme.Opcode
		p    params
		k    keys
		want nvme.NoticeType // what host 2, registered, hears of what host 1 does
	}{
		"preempted":                 {we, opAcquire, params{Action: nvme.Preempt, Type: we}, keys{10, 20}, nvme.RegistrationPreempted},
		"preempted and aborted":     {wear, opAcquire, params{Action: nvme.PreemptAndAbort, Type: wear}, keys{10, 20}, nvme.RegistrationPreempted},
		"cleared":                   {we, opRelease, params{Action: nvme.Clear}, keys{10, 0}, nvme.ReservationPreempted},
		"released, one holder":      {we, opRelease, params{Type: we}, keys{10, 0}, nvme.NoNotice},
		"released, registrants":     {wero, opRelease, params{Type: wero}, keys{10, 0}, nvme.ReservationReleased},
		"released, all registrants": {wear, opRelease, params{Type: wear}, keys{10, 0}, nvme.ReservationReleased},
		"the holder unregisters":    {wero, opRegister, params{Action: nvme.Unregister}, keys{10, 0}, nvme.ReservationReleased},
		"acquired":                  {0, opAcquire, params{Type: wero}, keys{10, 0}, nvme.NoNotice},
	} {
		t.Run(name, func(t *testing.T) {
			tg, p, _ := newTarget(t)
			_, a := pair(t, tg, p, nvme.ICReq{}, 1)
			admin, b := pair(t, tg, p, nvme.ICReq{}, 2)
			a.register(10)
			b.register(20)
			if tc.kind != 0 {
				a.change(good, opAcquire, params{Type: tc.kind}, keys{10, 0})
			}
			var c nvme.Command
			c.SetAsyncEvent()
			asked := admin.submit(&c, nil)
			a.change(good, tc.op, tc.p, tc.k)
			admin.pump(0)
			end, told := admin.done[asked]
			if told != (tc.want != nvme.NoNotice) {
				t.Fatalf("an event: %v", told)
			}
			if told {
				ev := nvme.ParseAsyncEvent(end.Result)
				if ev.Type != nvme.EventCommand || ev.Log != nvme.LogReservation {
					t.Fatalf("event %+v", ev)
				}
			}
			c.SetLogPage(&nvme.LogPage{ID: nvme.LogReservation, NSID: nvme.NSIDAll, Length: nvme.ReservationNoticeSize})
			var n nvme.ReservationNotice
			admin.must(n.Decode(admin.want(good, &c, nil)))
			if n.Type != tc.want || told && (n.NSID != 1 || n.Count != 1 || n.More != 0) {
				t.Fatalf("notice %+v, not of type %d", n, tc.want)
			}
		})
	}
}

// TestLogBeyondItsEnd: what is told once is told to those who read it, not to those who ask for what
// is behind it.
func TestLogBeyondItsEnd(t *testing.T) {
	tg, p, sub := newTarget(t)
	_, a := pair(t, tg, p, nvme.ICReq{}, 1)
	admin, b := pair(t, tg, p, nvme.ICReq{}, 2)
	a.register(10)
	b.register(20)
	a.change(good, opRelease, params{Action: nvme.Clear}, keys{10, 0})
	addMemory(t, sub, 9)
	log := func(st nvme.Status, id nvme.LogID, off uint64) []byte {
		var c nvme.Command
		c.SetLogPage(&nvme.LogPage{ID: id, NSID: nvme.NSIDAll, Offset: off, Length: 64})
		return admin.want(st, &c, nil)
	}
	for id, size := range map[nvme.LogID]uint64{nvme.LogReservation: nvme.ReservationNoticeSize, nvme.LogChangedNS: 4096} {
		log(nvme.StatusInvalidField, id, size+4)
		log(good, id, size)
	}
	var n nvme.ReservationNotice
	admin.must(n.Decode(log(good, nvme.LogReservation, 0)))
	if n.Type != nvme.ReservationPreempted {
		t.Errorf("notice %+v", n)
	}
	if page := log(good, nvme.LogChangedNS, 0); page[0] != 9 {
		t.Errorf("namespaces % x", page)
	}
	if page := log(good, nvme.LogChangedNS, 0); page[0] != 0 {
		t.Errorf("namespaces % x a second time", page)
	}
}

// TestAbortIO: a command that a device has is not aborted, and the host is told so.
func TestAbortIO(t *testing.T) {
	tg, p, _ := newTarget(t)
	admin, io := pair(t, tg, p, nvme.ICReq{}, 1)
	data := pattern(512, 1)
	io.hold = true
	under := io.submit(write(1, 0, data, true), data)
	var c nvme.Command
	c.SetAbort(1, under)
	if r, _ := admin.do(&c, nil); !r.Status.OK() || r.Result&1 != 1 {
		t.Fatalf("Abort: %v, result %d", r.Status, r.Result)
	}
	c.SetAbort(7, under)
	admin.want(nvme.StatusInvalidField, &c, nil)
	io.letGo()
	if st := io.done[under].Status; !st.OK() {
		t.Fatalf("the write: %v", st)
	}
	io.expect(1, 0, data)
}
