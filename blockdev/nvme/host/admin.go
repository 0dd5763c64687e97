package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// call is an admin command of a program.
type call struct {
	cmd       nvme.Command
	data      []byte
	done      chan struct{} // nil: nobody waits
	end       ending
	err       error
	cid       uint16
	abandoned bool // nobody waits any more
}

// Who an admin command is of, as its ending says: calls have higher numbers.
const (
	userKeepAlive uint32 = iota
	userEvent
	userClear // Get Log Page to clear an event
	userANA   // Get Log Page for the states of namespaces
	userCalls
)

const (
	maxEvents = 4   // Asynchronous Event Requests at the controller
	maxCalls  = 256 // admin commands that wait
)

// Admin does an admin command: cmd's CID and SGL are set here, data is sent with it or
// filled by it, as the command says. It gives the command's Result. A status other
// than success is an error of type nvme.Status, nvme.ErrTruncated says that not all of
// data was filled. If ctx ends first, nobody knows whether it was done.
func (c *Controller) Admin(ctx context.Context, cmd *nvme.Command, data []byte) (uint64, error) {
	k := &call{cmd: *cmd, data: data, done: make(chan struct{})}
	if err := c.post(k, 0); err != nil {
		return 0, err
	}
	select {
	case <-k.done:
	case <-ctx.Done():
		c.mu.Lock()
		k.abandoned = true
		c.mu.Unlock()
		c.wake()
		<-k.done // the keeper has let go of data
	}
	switch {
	case k.err != nil:
		return 0, k.err
	case k.abandoned && !k.end.Status.OK():
		return 0, errors.Join(ctx.Err(), k.end.Status)
	}
	if err := k.end.Status.Err(); err != nil {
		return k.end.Result, err
	}
	return k.end.Result, filled(cmd, &k.end, data)
}

// post gives the keeper a command, for the controller's connection gen; 0: the present one.
func (c *Controller) post(k *call, gen uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.end != nil:
		return c.end
	case !c.up:
		return errNoConnection
	case gen != 0 && gen != c.gen:
		return errLost
	case len(c.calls) >= maxCalls:
		return errNoRoom
	}
	c.calls = append(c.calls, k)
	c.w.wake()
	return nil
}

var errNoConnection = errors.New("nvme: no connection to the controller now; it is being made again")

// abort asks the controller to take back a command of an I/O queue, of the connection gen: over a
// later one it would take back another command. Whether it does matters to nobody.
func (c *Controller) abort(gen uint64, qid, cid uint16) {
	k := &call{}
	k.cmd.SetAbort(qid, cid)
	_ = c.post(k, gen) // best effort, as the command itself is
}

// LogPage reads len(data) bytes of a log page from p.Offset on; p.Length is set here.
func (c *Controller) LogPage(ctx context.Context, p nvme.LogPage, data []byte) error {
	p.Length = uint64(len(data))
	var cmd nvme.Command
	cmd.SetLogPage(&p)
	if _, err := c.Admin(ctx, &cmd, data); err != nil {
		return fmt.Errorf("log page %#02x: %w", uint8(p.ID), err)
	}
	return nil
}

// failCalls ends the calls that have not been submitted.
func (c *Controller) failCalls(err error) {
	c.mu.Lock()
	calls := c.calls
	c.calls = nil
	c.mu.Unlock()
	for _, k := range calls {
		k.finish(ending{}, err)
	}
}

func (k *call) finish(end ending, err error) {
	k.end, k.err = end, err
	if k.done != nil {
		close(k.done)
	}
}

// keeper is what serve knows of one admin connection.
type keeper struct {
	*Controller
	l     *link
	alive keepAlive
	calls map[uint32]*call // at the controller, by user
	next  uint32
	clear [4096]byte // log pages that are read to clear events
	ana   []byte     // the ANA log, as it is read last
	anas  int        // so many readings of it are under way
}

// serve keeps the admin connection until it breaks, or the controller is closed.
func (c *Controller) serve(l *link) error {
	k := &keeper{Controller: c, l: l, calls: map[uint32]*call{}, next: userCalls}
	if c.info.Identify.KAS > 0 {
		k.alive.timeout = max(0, c.cfg.KeepAlive)
	}
	k.alive.sent = c.clock()
	for range min(int(c.info.Identify.AERL)+1, maxEvents) {
		k.awaitEvent()
	}
	err := k.loop()
	for _, call := range k.calls {
		call.finish(ending{}, err)
	}
	return err
}

func (k *keeper) loop() error {
	for {
		for k.l.receive() || k.l.HasEnds() { // there are ends also when the last of a command's data has left
			for _, end := range k.l.Ends() {
				k.ended(&end)
			}
		}
		if err := k.takeCalls(); err != nil {
			return err
		}
		send, dead, next := k.alive.tick(k.clock())
		if dead {
			return fmt.Errorf("nvme: the controller has not answered for %v", k.alive.timeout)
		}
		if send {
			var cmd nvme.Command
			cmd.SetKeepAlive()
			k.l.Submit(&cmd, nil, nil, false, userKeepAlive)
		}
		k.l.flush()
		if err := k.l.Err(); err != nil {
			return err
		}
		if k.l.HasEnds() {
			continue
		}
		if k.ctx.Err() != nil {
			k.shutdown()
			return k.ctx.Err()
		}
		k.w.await(k.l.fd, k.l.full, max(0, next-k.clock()))
	}
}

// takeCalls submits what there is room for, and looks what others have to say.
func (k *keeper) takeCalls() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cause != nil {
		return k.cause
	}
	k.Controller.calls = slices.DeleteFunc(k.Controller.calls, func(call *call) bool {
		if call.abandoned {
			call.finish(ending{}, context.Canceled)
			return true
		}
		return k.takeCall(call)
	})
	for user, call := range k.calls {
		if !call.abandoned {
			continue
		}
		if !k.l.Forget(call.cid) {
			return errors.New("nvme: the controller does not answer admin commands")
		}
		delete(k.calls, user)
		call.finish(ending{}, context.Canceled)
	}
	return nil
}

// takeCall submits a call, or says that there is no room for it now. An Abort beyond those that
// the controller does at a time (ACL) is not done at all: it is best effort, and later its
// command's number may be another command's.
func (k *keeper) takeCall(call *call) bool {
	abort := call.cmd.Opcode == nvme.OpAbort
	if abort && k.aborts() > int(k.info.Identify.ACL) {
		call.finish(ending{}, errNoRoom)
		return true
	}
	if len(k.calls) >= adminCommands-maxEvents-2 {
		return false
	}
	cid, ok := k.l.Submit(&call.cmd, call.data, nil, call.cmd.Direction() == nvme.ToController && len(call.data) <= nvme.AdminCapsuleData, k.next)
	if !ok {
		call.finish(ending{}, errNoRoom)
		return true
	}
	call.cid = cid
	k.calls[k.next] = call
	k.next = max(k.next+1, userCalls)
	return true
}

// aborts counts those at the controller.
func (k *keeper) aborts() (n int) {
	for _, call := range k.calls {
		if call.cmd.Opcode == nvme.OpAbort {
			n++
		}
	}
	return n
}

func (k *keeper) ended(end *ending) {
	switch end.User {
	case userKeepAlive:
		k.alive.answered()
	case userEvent:
		k.event(end)
	case userClear:
		k.awaitEvent()
	case userANA:
		if k.anas--; k.anas == 0 { // else what is in ana has yet to come
			if states, err := parseANA(k.ana[:end.Got]); err == nil && end.Status.OK() {
				k.setANA(states)
			}
		}
		k.awaitEvent()
	default:
		call := k.calls[end.User]
		delete(k.calls, end.User)
		call.finish(*end, nil)
	}
}

func (k *keeper) awaitEvent() {
	var cmd nvme.Command
	cmd.SetAsyncEvent()
	k.l.Submit(&cmd, nil, nil, false, userEvent)
}

// event takes an event, and reads the log page that it points to, since the controller
// tells nothing more of that sort before.
func (k *keeper) event(end *ending) {
	if !end.Status.OK() {
		return // over its limit, or it has none: there is one request less
	}
	e := nvme.ParseAsyncEvent(end.Result)
	length := 4096
	switch e.Log {
	case nvme.LogSMART:
		length = 512
	case nvme.LogError, nvme.LogReservation:
		length = 64
	case nvme.LogDiscovery:
		length = 1024
	}
	var cmd nvme.Command
	cmd.SetLogPage(&nvme.LogPage{ID: e.Log, NSID: nvme.NSIDAll, Length: uint64(length)})
	switch e.Log {
	case nvme.LogSupported:
		k.awaitEvent() // there is nothing to be read
	case nvme.LogANA:
		k.ana = make([]byte, anaSize(&k.info.Identify)) // an event may come while the last page is being read
		cmd.SetLogPage(&nvme.LogPage{ID: e.Log, NSID: nvme.NSIDAll, Length: uint64(len(k.ana))})
		if _, ok := k.l.Submit(&cmd, k.ana, nil, false, userANA); ok {
			k.anas++
		}
	default:
		k.l.Submit(&cmd, k.clear[:length], nil, false, userClear)
	}
	k.notify(Event{Kind: Told, Async: e})
}

// shutdownTime is how long a controller that is closed may take to note it.
const shutdownTime = time.Second

// shutdown tells the controller that the host leaves.
func (k *keeper) shutdown() {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	cc := nvme.Config{
		Enable: true, SQESize: nvme.DefaultSQESize, CQESize: nvme.DefaultCQESize,
		Page: k.info.Capabilities.MinPage, Shutdown: nvme.ShutdownNormal,
	}
	var cmd nvme.Command
	cmd.SetPropertySet(nvme.Property{Offset: nvme.PropCC, Value: uint64(cc.Value())})
	_, _ = k.l.call(ctx, k.w, &cmd, nil, 0) // it hears of it by the end of the connection, too
}
