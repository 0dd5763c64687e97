package host

import (
	"errors"
	"fmt"
	"time"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// Info is what a host knows of a controller that is up.
type Info struct {
	CNTLID       uint16
	Capabilities nvme.Capabilities
	Version      nvme.Version
	Identify     nvme.IdentifyController
	NVM          nvme.IdentifyNVMController // zero if the controller does not give it
	Queues       int                        // I/O queues that it lets this host have
	Namespaces   []Namespace                // that are active, in order of their IDs
	ANA          map[uint32]nvme.ANAState   // by namespace; nil: the controller does not tell, all are well
}

// Namespace is one of a controller's namespaces.
type Namespace struct {
	ID        uint32
	BlockSize int   // bytes
	Size      int64 // bytes
	Identify  nvme.IdentifyNamespace
	Names     nvme.Descriptors // zero if the controller does not give them
}

// maxNamespaces bounds what a controller may make this host ask for.
const maxNamespaces = 4096

// step is what is under way in a bringup.
type step uint8

const (
	stepConnect step = iota
	stepAuth
	stepCapabilities
	stepVersion
	stepEnable
	stepReady
	stepIdentify
	stepNVM
	stepQueues
	stepEvents
	stepList
	stepNamespace
	stepNames
	stepANA
	stepDone
)

var stepTitles = [...]string{
	"Connect", "Authentication", "Property Get CAP", "Property Get VS", "Property Set CC", "Property Get CSTS", "Identify Controller",
	"Identify NVM Controller", "Set Features Number of Queues", "Set Features Asynchronous Events",
	"Identify Active Namespaces", "Identify Namespace", "Identify Descriptors", "Get Log Page ANA", "",
}

// bringup makes a controller of a fresh admin connection: it says which command comes
// next, and is told how that ended, until it is done. It is pure: the caller has the
// connection and the clock.
type bringup struct {
	cfg  *Config
	step step
	next int           // of Info.Namespaces: to be identified
	wait time.Duration // has been waited for CSTS.RDY, all in all
	data [nvme.IdentifySize]byte
	page []byte // of ANA
	auth *login // nil: the controller does not ask for it
	Info Info
}

// readyPoll is how often CSTS is looked at.
const readyPoll = 20 * time.Millisecond

// newBringup begins; cfg has been completed.
func newBringup(cfg *Config) *bringup { return &bringup{cfg: cfg} }

// Done says whether the controller is up, and Info complete.
func (b *bringup) Done() bool { return b.step == stepDone }

// Next makes cmd the next command and gives its data, to be sent or to be filled, and
// how long to wait before it is submitted.
func (b *bringup) Next(cmd *nvme.Command) (data []byte, wait time.Duration) {
	*cmd = nvme.Command{}
	switch b.step {
	case stepConnect:
		cmd.SetConnect(&nvme.Connect{SQSize: adminEntries - 1, KATO: uint32(max(0, b.cfg.KeepAlive).Milliseconds())})
		return b.cfg.connectData(nvme.CNTLIDDynamic), 0
	case stepAuth:
		*cmd = b.auth.cmd
		return b.auth.data, 0
	case stepCapabilities:
		cmd.SetPropertyGet(nvme.Property{Offset: nvme.PropCAP, Wide: true})
	case stepVersion:
		cmd.SetPropertyGet(nvme.Property{Offset: nvme.PropVS})
	case stepEnable:
		cc := nvme.Config{Enable: true, SQESize: nvme.DefaultSQESize, CQESize: nvme.DefaultCQESize, Page: b.Info.Capabilities.MinPage}
		cmd.SetPropertySet(nvme.Property{Offset: nvme.PropCC, Value: uint64(cc.Value())})
	case stepReady:
		cmd.SetPropertyGet(nvme.Property{Offset: nvme.PropCSTS})
		if b.wait > 0 {
			return nil, readyPoll
		}
	case stepQueues:
		n := nvme.QueueCount{Submission: uint32(b.cfg.Queues), Completion: uint32(b.cfg.Queues)}
		cmd.SetSetFeatures(nvme.Feature{ID: nvme.FeatureQueues, Value: n.Value()}, 0)
	case stepEvents:
		cmd.SetSetFeatures(nvme.Feature{ID: nvme.FeatureAsyncEvents, Value: uint32(b.events())}, 0)
	case stepANA:
		b.page = make([]byte, anaSize(&b.Info.Identify))
		cmd.SetLogPage(&nvme.LogPage{ID: nvme.LogANA, NSID: nvme.NSIDAll, Length: uint64(len(b.page))})
		return b.page, 0
	default:
		cmd.SetIdentify(b.identify())
		return b.data[:], 0
	}
	return nil, 0
}

// identify says what is asked for next.
func (b *bringup) identify() nvme.Identify {
	switch b.step {
	case stepIdentify:
		return nvme.Identify{CNS: nvme.CNSController}
	case stepNVM:
		return nvme.Identify{CNS: nvme.CNSSetController, CSI: nvme.CSINVM}
	case stepList:
		last := uint32(0)
		if n := len(b.Info.Namespaces); n > 0 {
			last = b.Info.Namespaces[n-1].ID
		}
		return nvme.Identify{CNS: nvme.CNSActiveList, NSID: last}
	case stepNamespace:
		return nvme.Identify{CNS: nvme.CNSNamespace, NSID: b.Info.Namespaces[b.next].ID}
	}
	return nvme.Identify{CNS: nvme.CNSDescriptors, NSID: b.Info.Namespaces[b.next].ID}
}

// events are those of the controller's that this host wants to hear of.
func (b *bringup) events() nvme.EventMask {
	return b.Info.Identify.OAES&(nvme.EventsNamespace|nvme.EventsANA|nvme.EventsDiscovery) | nvme.EventsSMART
}

// Ended takes the end of the command that Next gave.
func (b *bringup) Ended(e *ending) error {
	if err := e.Status.Err(); err != nil && !b.optional() {
		return b.bad(err)
	}
	if b.identifies() && e.Status.OK() && e.Got != len(b.data) {
		return b.bad(fmt.Errorf("%w: %d of %d bytes came", nvme.ErrTruncated, e.Got, len(b.data)))
	}
	var err error
	switch b.step {
	case stepConnect:
		err = b.connected(nvme.ParseConnectResult(e.Result))
	case stepAuth:
		var more bool
		if more, err = b.auth.ended(e); !more && err == nil {
			b.step, b.auth = stepCapabilities, nil
		}
	case stepCapabilities:
		b.Info.Capabilities = nvme.ParseCapabilities(e.Result)
		b.step = stepVersion
	case stepVersion:
		b.Info.Version = nvme.Version(e.Result)
		b.step = stepEnable
	case stepEnable:
		b.step = stepReady
	case stepReady:
		err = b.ready(nvme.ControllerStatus(e.Result))
	case stepIdentify:
		err = b.identified()
	case stepNVM:
		if e.Status.OK() {
			err = b.Info.NVM.Decode(b.data[:])
		}
		b.step = stepQueues
	case stepQueues:
		err = b.queues(uint32(e.Result))
	case stepEvents:
		b.listNext()
	case stepList:
		err = b.listed()
	case stepNamespace:
		err = b.namespace()
	case stepNames:
		if e.Status.OK() {
			err = b.Info.Namespaces[b.next].Names.Decode(b.data[:])
		}
		b.next++
		b.namespaceNext()
	case stepANA:
		b.Info.ANA, err = parseANA(b.page[:e.Got])
		b.step = stepDone
	}
	if err != nil {
		return b.bad(err)
	}
	return nil
}

// identifies says whether the command is an Identify.
func (b *bringup) identifies() bool {
	return b.step >= stepIdentify && b.step != stepQueues && b.step != stepEvents && b.step != stepANA
}

// optional says whether the command may fail, or its failure is judged elsewhere.
func (b *bringup) optional() bool {
	return b.step == stepAuth || b.step == stepNVM || b.step == stepNames || b.step == stepEvents
}

func (b *bringup) bad(err error) error { return fmt.Errorf("nvme: %s: %w", stepTitles[b.step], err) }

func (b *bringup) connected(r nvme.ConnectResult) error {
	a, err := b.cfg.login(r)
	if err != nil {
		return err
	}
	b.Info.CNTLID, b.auth = r.CNTLID, a
	if b.step = stepCapabilities; a != nil {
		b.step = stepAuth
	}
	return nil
}

// ready judges CSTS. CAP.TO bounds how long the controller may take.
func (b *bringup) ready(csts nvme.ControllerStatus) error {
	limit := time.Duration(max(1, b.Info.Capabilities.Timeout)) * 500 * time.Millisecond
	switch {
	case csts&nvme.StatusFatal != 0:
		return errors.New("the controller has a fatal error (CSTS.CFS)")
	case csts&nvme.StatusReady != 0:
		b.step = stepIdentify
	case b.wait >= limit:
		return fmt.Errorf("the controller is not ready after %v (CAP.TO)", limit)
	default:
		b.wait += readyPoll
	}
	return nil
}

// identified judges Identify Controller by what this host relies on.
func (b *bringup) identified() error {
	id := &b.Info.Identify
	if err := id.Decode(b.data[:]); err != nil {
		return err
	}
	if id.CNTLID != b.Info.CNTLID {
		return fmt.Errorf("%w: CNTLID %d, Connect has given %d", nvme.ErrField, id.CNTLID, b.Info.CNTLID)
	}
	if b.cfg.discovery() {
		b.step = stepEvents
		return nil
	}
	switch {
	case id.Type == nvme.TypeDiscovery:
		return fmt.Errorf("%w: %s is a discovery subsystem: it has no namespaces", nvme.ErrField, b.cfg.SubNQN)
	case id.IOCCSZ < nvme.CommandSize/16:
		return fmt.Errorf("%w: IOCCSZ %d, must be 4 at least", nvme.ErrField, id.IOCCSZ)
	case id.IORCSZ < nvme.CompletionSize/16:
		return fmt.Errorf("%w: IORCSZ %d, must be 1 at least", nvme.ErrField, id.IORCSZ)
	case id.ICDOFF != 0:
		return fmt.Errorf("%w: ICDOFF %d, must be 0 over TCP", nvme.ErrField, id.ICDOFF)
	case id.SGLS&3 == 0:
		return fmt.Errorf("%w: SGLS %#x: no SGLs, over fabrics there is nothing else", nvme.ErrField, id.SGLS)
	}
	b.step = stepNVM
	return nil
}

func (b *bringup) queues(result uint32) error {
	q, st := nvme.ParseQueueCount(result)
	if !st.OK() {
		return fmt.Errorf("%w: result %#x", nvme.ErrField, result)
	}
	b.Info.Queues = min(int(q.Submission), int(q.Completion), b.cfg.Queues)
	b.step = stepEvents
	return nil
}

func (b *bringup) listNext() {
	switch {
	case b.cfg.discovery():
		b.step = stepDone
	case b.cfg.NSID != 0:
		b.Info.Namespaces = []Namespace{{ID: b.cfg.NSID}}
		b.step = stepNamespace
	default:
		b.step = stepList
	}
}

func (b *bringup) listed() error {
	var list nvme.NSIDList
	if err := list.Decode(b.data[:]); err != nil {
		return err
	}
	known := len(b.Info.Namespaces)
	if known+list.Len() > maxNamespaces {
		return fmt.Errorf("%w: more than %d namespaces: say which one you want", nvme.ErrTooLarge, maxNamespaces)
	}
	for i := range list.Len() {
		id := list.At(i)
		if known > 0 && id <= b.Info.Namespaces[known-1].ID {
			return fmt.Errorf("%w: namespace %d is listed twice", nvme.ErrField, id)
		}
		b.Info.Namespaces = append(b.Info.Namespaces, Namespace{ID: id})
	}
	if list.Len() < nvme.MaxNSIDs {
		b.namespaceNext()
	}
	return nil
}

func (b *bringup) namespaceNext() {
	switch {
	case b.next < len(b.Info.Namespaces):
		b.step = stepNamespace
	case b.Info.Identify.CMIC&nvme.MultiANA != 0:
		b.step = stepANA
	default:
		b.step = stepDone
	}
}

func (b *bringup) namespace() error {
	n := &b.Info.Namespaces[b.next]
	if err := n.Identify.Decode(b.data[:]); err != nil {
		return err
	}
	if !n.Identify.Active() {
		if b.cfg.NSID != 0 {
			return fmt.Errorf("there is no namespace %d: %w", n.ID, nvme.StatusInvalidNamespace)
		}
		b.Info.Namespaces = append(b.Info.Namespaces[:b.next], b.Info.Namespaces[b.next+1:]...)
		b.namespaceNext()
		return nil
	}
	f, err := n.Identify.Format()
	if err != nil {
		return fmt.Errorf("namespace %d: %w", n.ID, err)
	}
	n.BlockSize, n.Size = 1<<f.Shift, int64(n.Identify.NSZE)<<f.Shift
	b.step = stepNames
	return nil
}
