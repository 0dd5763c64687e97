package trace

import "slices"

// This file is a reference model of one resource of the kernel's DLM, written
// after fs/dlm/lock.c of Linux 6.1; comments give the kernel's names. It knows
// the flags in modelFlags, and no value blocks.

const modelFlags = NoQueue | Convert | ValBlk | QueCvt | NoDlckWt | NoQueueBast | NoOrder | Local

// kLock is one lock (lkb).
type kLock struct {
	id       int // the caller's number for it
	op       int // the caller's number for the operation in progress
	gr, rq   int // granted and requested mode; iv: none
	flags    Flags
	highbast int
}

const iv = -1

// kResource is one resource (rsb). Completions and blocking asts go to cast
// and bast, in the kernel's order.
type kResource struct {
	grant, convert, wait []*kLock
	cast                 func(l *kLock, status Status)
	bast                 func(l *kLock, mode Mode)
}

// compat is __dlm_compat_matrix without its first row and column.
var compat = [6][6]bool{
	NL: {true, true, true, true, true, true},
	CR: {true, true, true, true, true, false},
	CW: {true, true, true, false, false, false},
	PR: {true, true, false, true, false, false},
	PW: {true, true, false, false, false, false},
	EX: {true, false, false, false, false, false},
}

func modesCompat(gr, rq int) bool { return gr == iv || rq == iv || compat[gr][rq] }

// request is do_request with do_request_effects.
func (r *kResource) request(l *kLock, mode Mode, flags Flags) {
	l.gr, l.rq, l.flags = iv, int(mode), flags
	switch {
	case r.canBeGranted(l, true):
		r.grantLock(l)
		r.cast(l, OK)
	case flags&NoQueue == 0:
		r.wait = append(r.wait, l)
		r.sendBlockingAsts(l, r.grant)
	default:
		r.cast(l, ErrAgain)
		if flags&NoQueueBast != 0 {
			r.sendBlockingAsts(l, r.grant)
			r.sendBlockingAsts(l, r.convert)
		}
	}
}

// convertLock is do_convert with do_convert_effects.
func (r *kResource) convertLock(l *kLock, mode Mode, flags Flags) {
	l.rq, l.flags = int(mode), flags
	if r.canBeGranted(l, true) {
		r.grantLock(l)
		r.cast(l, OK)
		r.grantPendingLocks()
		return
	}
	if flags&NoQueue == 0 && r.conversionDeadlock(l) && flags&NoDlckWt == 0 {
		l.rq = iv
		r.cast(l, ErrDeadlk)
		return
	}
	if flags&NoQueue == 0 {
		r.remove(l)
		r.convert = append(r.convert, l)
		r.sendBlockingAsts(l, r.grant)
		return
	}
	r.cast(l, ErrAgain)
	if flags&NoQueueBast != 0 {
		r.sendBlockingAsts(l, r.grant)
		r.sendBlockingAsts(l, r.convert)
	}
	l.rq = iv
}

// unlock is do_unlock with do_unlock_effects.
func (r *kResource) unlock(l *kLock) {
	r.remove(l)
	r.cast(l, Unlocked)
	r.grantPendingLocks()
}

// do starts an operation of any kind.
func (r *kResource) do(l *kLock, kind StepKind, mode Mode, flags Flags) {
	switch kind {
	case StepLock:
		r.request(l, mode, flags)
	case StepConvert:
		r.convertLock(l, mode, flags)
	case StepUnlock:
		r.unlock(l)
	}
}

func (r *kResource) remove(l *kLock) {
	for _, q := range []*[]*kLock{&r.grant, &r.convert, &r.wait} {
		if i := slices.Index(*q, l); i >= 0 {
			*q = slices.Delete(*q, i, i+1)
		}
	}
}

// grantLock is _grant_lock.
func (r *kResource) grantLock(l *kLock) {
	if l.gr != l.rq || !slices.Contains(r.grant, l) {
		r.remove(l)
		l.gr = l.rq
		r.grant = append(r.grant, l)
	}
	l.rq, l.highbast = iv, 0
}

func queueConflict(q []*kLock, l *kLock) bool {
	return slices.ContainsFunc(q, func(o *kLock) bool { return o != l && !modesCompat(o.gr, l.rq) })
}

// canBeGranted is _can_be_granted.
func (r *kResource) canBeGranted(l *kLock, now bool) bool {
	conv := l.gr != iv
	switch {
	case queueConflict(r.grant, l), queueConflict(r.convert, l):
		return false
	case now && conv && l.flags&QueCvt == 0:
		return true
	case now && conv:
		return len(r.convert) == 0
	case l.flags&NoOrder != 0:
		return true
	case conv:
		return r.convert[0] == l
	case now:
		return len(r.convert) == 0 && len(r.wait) == 0
	}
	return len(r.convert) == 0 && r.wait[0] == l
}

// conversionDeadlock is conversion_deadlock_detect.
func (r *kResource) conversionDeadlock(l *kLock) bool {
	ahead := false
	for _, o := range r.convert {
		if o == l {
			ahead = true
			continue
		}
		if !modesCompat(l.gr, o.rq) && (!ahead || !modesCompat(o.gr, l.rq)) {
			return true
		}
	}
	return false
}

// sendBlockingAsts is send_bast_queue.
func (r *kResource) sendBlockingAsts(l *kLock, q []*kLock) {
	for _, gr := range q {
		if gr != l && gr.highbast < l.rq && !modesCompat(gr.gr, l.rq) {
			r.bast(gr, Mode(l.rq))
			gr.highbast = l.rq
		}
	}
}

// grantPendingLocks is grant_pending_locks with grant_pending_convert and
// grant_pending_wait.
func (r *kResource) grantPendingLocks() {
	high, cw := iv, false
	for restart := true; restart; {
		restart = false
		for _, l := range slices.Clone(r.convert) {
			switch {
			case r.canBeGranted(l, false):
				r.grantLock(l)
				r.cast(l, OK)
				restart = true
			case r.conversionDeadlock(l):
				if l.flags&NoDlckWt != 0 && l.highbast < l.rq {
					r.bast(l, Mode(l.rq))
					l.highbast = l.rq
				}
			default:
				high, cw = max(high, l.rq), cw || l.rq == int(CW)
			}
		}
	}
	for _, l := range slices.Clone(r.wait) {
		if r.canBeGranted(l, false) {
			r.grantLock(l)
			r.cast(l, OK)
			continue
		}
		high, cw = max(high, l.rq), cw || l.rq == int(CW)
	}
	if high == iv {
		return
	}
	for _, l := range slices.Clone(r.grant) {
		if !requiresBast(l, high, cw) {
			continue
		}
		mode := high
		if cw && high == int(PR) && l.gr == int(PR) {
			mode = int(CW)
		}
		r.bast(l, Mode(mode))
		l.highbast = high
	}
}

// requiresBast is lock_requires_bast.
func requiresBast(l *kLock, high int, cw bool) bool {
	if l.gr == int(PR) && cw {
		return l.highbast < int(EX)
	}
	return l.highbast < high && !modesCompat(l.gr, high)
}
