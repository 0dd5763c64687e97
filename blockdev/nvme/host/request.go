package host

import (
	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// req is a request of a ring, while the backend has it.
type req struct {
	q       *blockdev.Request // nil: none
	cids    [2]uint16         // of its commands; noPart: it has ended
	sent    uint8             // how many commands there are: two of a CompareWrite
	parts   uint8             // of them, not ended
	retries uint8
	status  blockdev.Status
	at      int64 // bytes of the pieces before; of what is done piece by piece
	piece   int64 // bytes
	ranges  [nvme.RangeSize]byte
}

const (
	noPart     = 0xffff
	maxRetries = 3 // of a request whose data came damaged
)

// replayable says whether a request may be done twice without anybody noticing. A
// Flush may not: if the controller has been restarted, writes that it would have made
// durable are gone, and it would succeed all the same.
func replayable(op blockdev.Op) bool {
	return op == blockdev.Read || op == blockdev.Compare || op == blockdev.Verify
}

// end ends a request.
func (q *queue) end(tag uint16, status blockdev.Status, n int64) {
	r := &q.reqs[tag]
	r.q, r.parts, r.sent, r.retries, r.at, r.status = nil, 0, 0, 0, 0, blockdev.OK
	q.done = append(q.done, blockdev.Done{Tag: tag, Status: status, N: n})
}

var opcodes = [...]nvme.Opcode{
	blockdev.Read: nvme.OpRead, blockdev.Write: nvme.OpWrite, blockdev.Compare: nvme.OpCompare,
	blockdev.CompareWrite: nvme.OpCompare, blockdev.WriteZeroes: nvme.OpWriteZeroes, blockdev.Verify: nvme.OpVerify,
}

// needs is what the device must have for a request.
var needs = [...]blockdev.Features{
	blockdev.WriteZeroes: blockdev.HasWriteZeroes, blockdev.Deallocate: blockdev.HasDeallocate,
	blockdev.Compare: blockdev.HasCompare, blockdev.CompareWrite: blockdev.HasCompareWrite, blockdev.Verify: blockdev.HasVerify,
}

// issue submits the command of a request, or of its next piece.
func (q *queue) issue(tag uint16) {
	r := &q.reqs[tag]
	br := r.q
	if need := needs[br.Op]; q.d.info.Features&need != need {
		q.end(tag, blockdev.StatusInvalidOp, 0)
		return
	}
	bs := int64(q.d.info.BlockSize)
	r.status, r.piece = blockdev.OK, br.Length
	var cmd nvme.Command
	switch br.Op {
	case blockdev.Flush:
		cmd.SetFlush(q.d.ns.ID)
		q.command(tag, &cmd, nil, nil)
		return
	case blockdev.Deallocate:
		r.piece = min(br.Length-r.at, q.l.limits.trim)
		b := nvme.Range{Blocks: uint32(r.piece / bs), LBA: uint64((br.Offset + r.at) / bs)}
		b.Append(r.ranges[:0])
		cmd.SetDSM(nvme.DSM{NSID: q.d.ns.ID, Ranges: 1, Deallocate: true}, true)
		q.command(tag, &cmd, r.ranges[:], nil)
		return
	case blockdev.WriteZeroes:
		r.piece = min(br.Length-r.at, q.l.limits.zeroes)
	case blockdev.Verify:
		r.piece = min(br.Length-r.at, q.l.limits.verify)
	}
	io := nvme.IO{
		NSID: q.d.ns.ID, LBA: uint64((br.Offset + r.at) / bs), Blocks: uint32(r.piece / bs),
		FUA: br.Flags&blockdev.FUA != 0 && br.Op.Writes(),
	}
	cmd.SetIO(opcodes[br.Op], &io)
	if br.Op != blockdev.CompareWrite {
		q.command(tag, &cmd, br.Buf, br.Bufs)
		return
	}
	cmd.Flags |= nvme.FuseFirst
	q.command(tag, &cmd, br.Buf, nil)
	cmd.SetIO(nvme.OpWrite, &io)
	cmd.Flags |= nvme.FuseSecond
	q.command(tag, &cmd, br.With, nil)
}

// command submits one command of a request. There is room for two of each.
func (q *queue) command(tag uint16, cmd *nvme.Command, one []byte, bufs [][]byte) {
	r := &q.reqs[tag]
	inline := r.piece <= int64(q.l.limits.capsule) || r.q.Op == blockdev.Deallocate && q.l.limits.capsule >= nvme.RangeSize
	cid, ok := q.l.Submit(cmd, one, bufs, inline && cmd.Direction() == nvme.ToController, uint32(tag))
	if !ok {
		q.l.Fail(errNoRoom)
		cid = noPart
	}
	r.cids[r.sent] = cid
	r.sent++
	r.parts++
}

// becauseOfOther says that one of two fused commands has not failed itself.
func becauseOfOther(st blockdev.Status) bool {
	return st == blockdev.Status(nvme.StatusFusedFailed) || st == blockdev.Status(nvme.StatusFusedMissing)
}

// carries says whose commands have as much data as the request has bytes.
var carries = [...]bool{
	blockdev.Read: true, blockdev.Write: true, blockdev.Compare: true, blockdev.CompareWrite: true,
	blockdev.Verify: false, // the last one
}

// unclear says that a request ended with an error on its way: it may have been done. If a controller
// does not reach the namespace, by asymmetric namespace access, it has not been done.
func unclear(st blockdev.Status) bool {
	switch nvme.Status(st) {
	case nvme.StatusANALoss, nvme.StatusANAInaccessible, nvme.StatusANATransition, nvme.StatusHostPath:
		return false
	}
	return nvme.Status(st).Type() == nvme.StatusPathInternal.Type()
}

// outcome is the status that a program gets.
func outcome(st blockdev.Status) blockdev.Status {
	if unclear(st) {
		return blockdev.StatusLost // as when the connection breaks
	}
	return st
}

// part takes the end of a command; true if another one was submitted.
func (q *queue) part(e *ending) bool {
	tag := uint16(e.User)
	r := &q.reqs[tag]
	for i := range r.cids[:r.sent] {
		if r.cids[i] == e.CID {
			r.cids[i] = noPart
		}
	}
	st := blockdev.Status(e.Status.Code())
	if st == elsewhere {
		st = blockdev.StatusInternal // it is a host's own word, and nothing that a controller can know
	}
	if st == blockdev.OK && carries[r.q.Op] && int64(e.Got) != r.q.Length {
		st = blockdev.StatusInternal // a success without all data
	}
	// of two fused commands, the one that has not failed because of the other tells why
	if r.status == blockdev.OK || becauseOfOther(r.status) && st != blockdev.OK {
		r.status = st
	}
	if r.parts--; r.parts > 0 {
		return false
	}
	r.sent = 0
	switch {
	case r.status == blockdev.Status(nvme.StatusTransientTransport) && replayable(r.q.Op) && r.retries < maxRetries:
		r.retries++
		q.issue(tag)
		return true
	case r.status != blockdev.OK && q.multi:
		q.end(tag, r.status, r.at)
	case r.status != blockdev.OK:
		q.end(tag, outcome(r.status), r.at)
	case r.at+r.piece < r.q.Length:
		r.at += r.piece
		q.issue(tag)
		return true
	default:
		q.end(tag, blockdev.OK, r.q.Length)
	}
	return false
}
