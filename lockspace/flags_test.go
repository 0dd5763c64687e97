package lockspace

import (
	"fmt"
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// This file is the request flags: which go together. What each does is in
// testdata/scenarios/flags.txt.

// kernelForbids is what set_lock_args refuses (Linux 6.6, fs/dlm/lock.c), line
// by line. CONVERT and CANCEL are operations here.
var kernelForbids = []struct {
	line  string
	op    Operation
	flags uint32 // all of these
	modes []Mode // nil: all
}{
	{"QUECVT && !CONVERT", OpLock, QueCvt, nil},
	{"CONVDEADLK && !CONVERT", OpLock, ConvDeadlk, nil},
	{"CONVDEADLK && NOQUEUE", OpConvert, ConvDeadlk | NoQueue, nil},
	{"EXPEDITE && CONVERT", OpConvert, Expedite, nil},
	{"EXPEDITE && QUECVT", OpLock, Expedite | QueCvt, nil},
	{"EXPEDITE && NOQUEUE", OpLock, Expedite | NoQueue, nil},
	{"EXPEDITE && mode != NL", OpLock, Expedite, []Mode{CR, CW, PR, PW, EX}},
}

// kernelUnlockFlags is set_unlock_args, without CANCEL.
const kernelUnlockFlags = ValBlk | IvValBlk | ForceUnlock

// lockifyForbids is what the kernel takes without a use for it.
var lockifyForbids = []struct {
	why   string
	op    Operation
	flags uint32
}{
	{"a new lock writes no value", OpLock, IvValBlk},
	{"for unlock", OpLock, ForceUnlock},
	{"for unlock", OpConvert, ForceUnlock},
	{"for unlock", OpLock, Retire},
	{"for unlock", OpConvert, Retire},
	{"for new locks", OpConvert, Orphan},
	{"for new locks", OpConvert, NewName},
	{"an orphan's name is not new", OpLock, Orphan | NewName},
}

func forbidden(op Operation, mode Mode, flags uint32) bool {
	for _, f := range kernelForbids {
		in := f.modes == nil
		for _, m := range f.modes {
			in = in || m == mode
		}
		if f.op == op && flags&f.flags == f.flags && in {
			return true
		}
	}
	for _, f := range lockifyForbids {
		if f.op == op && flags&f.flags == f.flags {
			return true
		}
	}
	return op == OpUnlock && flags&^kernelUnlockFlags != 0
}

// Every pair of flags, with each operation and mode, is refused or taken as
// the tables say, and each refusal has words.
func TestFlagCombinations(t *testing.T) {
	s := &Shard{}
	refused, taken := 0, 0
	for _, a := range kernelNames {
		for _, b := range kernelNames {
			for _, op := range []Operation{OpLock, OpConvert, OpUnlock} {
				for mode := NL; mode <= EX; mode++ {
					flags := a.flag | b.flag
					st := checkRequest(op, mode, flags)
					if op == OpUnlock {
						st = wire.OK
						if flags&^op.takes() != 0 {
							st = wire.BadFlags
						}
					}
					if bad := forbidden(op, mode, flags); bad != (st == wire.BadFlags) || !bad && st != wire.OK {
						t.Errorf("%v %v with %s and %s: %v, want refused %v", op, mode, a.name, b.name, st, bad)
					}
					if st == wire.OK {
						taken++
					} else if refused++; s.Explain(st, &Refused{Op: op, Mode: mode, Flags: flags}) == "" {
						t.Errorf("%v %v with %s and %s: refused without a word", op, mode, a.name, b.name)
					}
				}
			}
		}
	}
	t.Logf("%d combinations refused, %d taken", refused, taken)
	for _, unknown := range []uint32{0x2, 0x4, 0x200, 0x40000, 0x80000, 0x100000, 1 << 31} {
		for _, op := range []Operation{OpLock, OpConvert} {
			if st := checkRequest(op, NL, unknown); st != wire.BadFlags {
				t.Errorf("%v with flag %#x: %v", op, unknown, st)
			}
		}
	}
}

func TestExplain(t *testing.T) {
	s := &Shard{cfg: Config{ValueLen: 8}}
	for want, c := range map[string]struct {
		st Status
		q  Refused
	}{
		"name of 65 bytes, must be 1 to 64":                                  {wire.BadName, Refused{Op: OpLock, Name: make([]byte, 65)}},
		"mode 6, must be NL to EX (0 to 5)":                                  {wire.BadMode, Refused{Op: OpConvert, Mode: 6}},
		"value of 9 bytes, at most 8":                                        {wire.BadValue, Refused{Op: OpUnlock, Value: 9}},
		"unknown flags 0x80000000":                                           {wire.BadFlags, Refused{Op: OpLock, Flags: 1<<31 | NoQueue}},
		"unlock takes no NOQUEUE":                                            {wire.BadFlags, Refused{Op: OpUnlock, Flags: NoQueue | ValBlk}},
		"lock takes no QUECVT":                                               {wire.BadFlags, Refused{Op: OpLock, Flags: QueCvt}},
		"convert takes no EXPEDITE":                                          {wire.BadFlags, Refused{Op: OpConvert, Flags: Expedite}},
		"EXPEDITE is for NL":                                                 {wire.BadFlags, Refused{Op: OpLock, Mode: CR, Flags: Expedite}},
		"CONVDEADLK waits, NOQUEUE does not":                                 {wire.BadFlags, Refused{Op: OpConvert, Flags: ConvDeadlk | NoQueue}},
		"QUECVT to CR, which is not stronger than what is held":              {wire.BadFlags, Refused{Op: OpConvert, Mode: CR, Flags: QueCvt}},
		"RETIRE is for a lock in EX, and goes with VALBLK and IVVALBLK only": {wire.BadFlags, Refused{Op: OpUnlock, Flags: Retire}},
		`"a"; the lockspace's range keys: none`:                              {wire.BadKey, Refused{Name: []byte("a")}},
		"lock 0x1200":                                                        {wire.NoLock, Refused{Op: OpUnlock, Lock: 0x1200}},
		"lock 0x1201":                                                        {wire.NotOwner, Refused{Op: OpUnlock, Lock: 0x1201}},
		"":                                                                   {wire.Busy, Refused{}},
	} {
		if got := s.Explain(c.st, &c.q); got != want {
			t.Errorf("%v: %q, want %q", c.st, got, want)
		}
	}
}

// Without its second look, what HEADQUE has put first waits for nothing.
func TestSecondLook(t *testing.T) {
	for _, without := range []Rules{0, NoSecondLook} {
		c := newCluster(t, 2, 1, without)
		name := c.mastered("r", 1, 0)
		c.hold(2, name, PR, 0)
		c.node(1).lock(name, EX, 0)
		l := c.node(2).lock(name, PR, HeadQue)
		c.settle()
		if l.holds(PR) != (without == 0) {
			t.Errorf("without %#x: %v", without, l.mode)
		}
	}
}

// EXPEDITE is granted beside every mode and whatever waits.
func TestExpediteMatrix(t *testing.T) {
	for held := NL; held <= EX; held++ {
		for wanted := NL; wanted <= EX; wanted++ {
			onBoth(t, func(t *testing.T, s *stage) {
				s.do(fmt.Sprintf("A lock %v", held))
				s.do("B lock EX")
				s.do(fmt.Sprintf("C lock %v", wanted))
				if got := s.do("X lock NL expedite"); got != "X=NL" {
					t.Errorf("beside %v, %v waits: %q", held, wanted, got)
				}
			})
		}
	}
}

// The alternate mode is taken exactly where the mode asked for does not fit
// and it does.
func TestAlternateMatrix(t *testing.T) {
	for flag, alt := range map[string]Mode{"altpr": PR, "altcw": CW} {
		for held := NL; held <= EX; held++ {
			for asked := NL; asked <= EX; asked++ {
				onBoth(t, func(t *testing.T, s *stage) {
					s.do(fmt.Sprintf("A lock %v", held))
					want := "B:would block/--"
					switch {
					case kernelCompat[held+1][asked+1] == 1:
						want = fmt.Sprintf("B=%v", asked)
					case asked != alt && kernelCompat[held+1][alt+1] == 1:
						want = fmt.Sprintf("B=%v!alt", alt)
					}
					if got := s.do(fmt.Sprintf("B lock %v noqueue %s", asked, flag)); got != want {
						t.Errorf("%s, %v beside %v: %q, want %q", flag, asked, held, got, want)
					}
					// The same by a conversion.
					s.do("C lock NL expedite")
					want = "C" + want[1:]
					if l := s.lock["B"]; l.mode != NoMode {
						s.do("B unlock")
					}
					if want == "C:would block/--" {
						want = "C:would block/NL"
					}
					if got := s.do(fmt.Sprintf("C convert %v noqueue %s", asked, flag)); got != want {
						t.Errorf("%s, conversion to %v beside %v: %q, want %q", flag, asked, held, got, want)
					}
				})
			}
		}
	}
}

// A peer that sends EXPEDITE with another mode gets nothing by it, and one that
// sends a value that is too long writes none.
func TestWrongPeer(t *testing.T) {
	c := newCluster(t, 2, 1, 0)
	name := c.mastered("r", 1, 0)
	holder := c.hold(1, name, PW, 0)
	holder.convert(PW, ValBlk, value(1))
	sh, hash := c.node(1).shards[0], Hash([]byte(name))
	life := c.node(1).resource(name).life
	sh.Deliver(c.node(1).now(), Origin{Instance: instanceOf(2), Epoch: 1}, hash, &wire.Msg{
		Type: wire.Request, Name: []byte(name), Life: life, Lock: 1 << 8, Mode: uint8(EX), Flags: Expedite,
	})
	if r := c.node(1).resource(name); r.waiting.len() != 1 {
		t.Fatal("EX granted by EXPEDITE")
	}
	sh.Deliver(c.node(1).now(), Origin{Instance: instanceOf(2), Epoch: 1}, hash, &wire.Msg{
		Type: wire.Unlock, Name: []byte(name), Life: life, Lock: 1 << 8, Op: 1,
	})
	holder.unlock(0, nil)
	sh.Deliver(c.node(1).now(), Origin{Instance: instanceOf(2), Epoch: 1}, hash, &wire.Msg{
		Type: wire.Request, Name: []byte(name), Life: life, Lock: 2 << 8, Mode: uint8(EX),
	})
	sh.Deliver(c.node(1).now(), Origin{Instance: instanceOf(2), Epoch: 1}, hash, &wire.Msg{
		Type: wire.Unlock, Name: []byte(name), Life: life, Lock: 2 << 8, Op: 1, Flags: ValBlk, Bits: wire.BitValue, Value: make([]byte, testValueLen+1),
	})
	if l := c.hold(1, name, PR, ValBlk); l.last.Bits&wire.BitNotValid == 0 {
		t.Errorf("a value of %d bytes", len(l.last.Value))
	}
}
