package sim

import (
	"math"
	"math/rand/v2"
)

// This file is what happens by itself: ticks, programs, faults.

func (r *run) startTimers() {
	for i := range r.nodes {
		r.timer0(timerTick, i, r.env.Int64N(r.p.Tick))
		if r.cfg.script == nil {
			r.timer0(timerProgram, i, r.prog.Int64N(r.p.Think))
		}
	}
	for i := range r.cfg.script {
		r.timers.push(event{at: r.cfg.script[i].at, seq: uint64(i), kind: timerScript, node: int32(i)})
	}
	r.seq += uint64(len(r.cfg.script))
	for kind, mean := range r.faultTimes() {
		if mean > 0 {
			r.timer0(timerFault, kind, r.expo(r.env, mean))
		}
	}
}

func (r *run) timer0(kind timerKind, node int, ns int64) {
	r.seq++
	r.timers.push(event{at: r.now + ns, seq: r.seq, kind: kind, node: int32(node)})
}

// expo gives an exponentially distributed time.
func (r *run) expo(rng *rand.Rand, mean int64) int64 {
	return int64(-math.Log(1-rng.Float64())*float64(mean)) + 1
}

// The kinds of faults, in the order of faultTimes.
const (
	faultCut = iota
	faultPause
	faultRest
	faultMember
)

// faultTimes gives the mean time between faults, by kind; 0: none.
func (r *run) faultTimes() []int64 { return []int64{r.p.Cuts, r.p.Pauses, r.p.Rests, r.p.Members} }

// timer says whether anything has happened.
func (r *run) timer(e *event) (happened bool) {
	i := int(e.node)
	switch e.kind {
	case timerTick:
		r.timer0(timerTick, i, r.p.Tick)
		if !r.nodes[i].takesPart() || !r.nodes[i].mayAct() {
			return false
		}
		r.mixIn(uint64(i))
		r.nodes[i].tick()
	case timerProgram:
		if r.ending {
			return false
		}
		if r.now >= r.pausedTo && r.nodes[i].takesPart() && !r.quiet() {
			happened = r.program(r.nodes[i])
		}
		r.timer0(timerProgram, i, r.expo(r.prog, r.p.Think))
		return happened
	case timerLink:
		if p := &r.pairs[i]; p.upAt <= r.now {
			r.mend(p)
		}
		return false
	case timerFence:
		return r.leaseEnds(r.nodes[i])
	case timerInstall:
		return r.installNext(r.nodes[i])
	case timerWork:
		return r.workOn(r.nodes[i])
	case timerSeat, timerParcel, timerBoot, timerWake, timerJoin, timerAgent:
		return r.council.timer(e.kind, i)
	case timerScript:
		a := r.cfg.script[i]
		return r.do(&a)
	case timerFault:
		if r.ending {
			return false
		}
		if !r.quiet() {
			r.fault(i)
		}
		r.timer0(timerFault, i, r.expo(r.env, r.faultTimes()[i]))
	}
	return true
}

func (r *run) fault(kind int) {
	r.mixIn(uint64(kind) << 8)
	r.faults++
	r.fate = rand.New(rand.NewPCG(r.cfg.Seed, uint64(r.faults)<<8))
	if r.cfg.spare[r.faults] {
		return
	}
	switch kind {
	case faultCut:
		r.stats.Cuts++
		from, to := 1+r.fate.IntN(len(r.nodes)), 1+r.fate.IntN(len(r.nodes))
		both, ns := r.fate.IntN(2) == 0, r.expo(r.fate, 5*ms)
		if from != to {
			r.tracef(nil, "link from node %d to node %d cut for %.3f ms, both ways: %v", from, to, float64(ns)/1e6, both)
			r.cut(from, to, ns, both)
		}
	case faultPause:
		r.stats.Pauses++
		r.pausedTo = r.now + r.p.IdleAfter + r.fate.Int64N(r.p.IdleAfter)
		r.tracef(nil, "programs pause")
	case faultRest:
		r.stats.Rests++
		r.rest()
	case faultMember:
		if r.council != nil {
			r.council.change(r.fate)
		} else {
			r.change()
		}
	}
}
