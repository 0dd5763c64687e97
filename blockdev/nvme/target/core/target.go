package core

import (
	"fmt"
	"maps"
	"slices"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/auth"
)

// Limits of what hosts may ask for, and of what they may cost.
const (
	MaxQueues     = 16   // I/O queues of a controller
	MaxEntries    = 1024 // entries of a queue
	MaxNamespaces = 1024 // of a subsystem
	MaxTransfer   = 256 << 10
	CapsuleData   = 16 << 10 // bytes of data in an I/O command's capsule
	// MaxBuffered is the bytes of data that a queue holds at a time for commands whose
	// data is not in the capsule; further commands wait.
	MaxBuffered = 16 << 20
	// MaxControllers is how many controllers a subsystem can have at a time.
	MaxControllers = 256

	transferPages = 6 // MDTS: MaxTransfer in pages of 4096 bytes, as a power of two
	maxAERs       = 8
)

// Times, in ms.
const (
	// ConnectTimeout is how long a connection may take from its start to its
	// queue.
	ConnectTimeout = 10_000
	// AuthTimeout is how long it may take until the host has authenticated itself, if it
	// has to.
	AuthTimeout = 30_000
	// discoveryIdle ends a discovery controller that was connected without a keep alive
	// timeout (base specification, "Discovery controller activity timeout").
	discoveryIdle = 120_000
	// keepAliveUnit is KAS: timeouts are rounded up to multiples of it.
	keepAliveUnit = 1000
)

// Target is what all connections share: subsystems with their controllers, and the
// discovery service.
type Target struct {
	subsystems map[string]*Subsystem
	discovery  *Subsystem
	ports      []*Port
	sessions   map[*Session]struct{}
	now        uint64 // ms
	generation uint64 // of the discovery log
}

// Port is an address at which hosts connect.
type Port struct {
	ID      uint16
	Address string // an IP address; empty: not told to hosts that discover
	Service string // the TCP port
	IPv6    bool

	ana map[uint32]*anaState // by group; a group that is not here is optimized
}

// SubsystemConfig describes a subsystem.
type SubsystemConfig struct {
	NQN    string
	Serial string // 20 bytes at most; empty: made of the NQN
	Model  string // 40 bytes at most; empty: lockify
	// Hosts are the NQNs of the hosts that may connect. AnyHost lets all in.
	Hosts   []string
	AnyHost bool
	// Secrets are by NQN those hosts that may connect as well, but have to authenticate
	// themselves on each queue. Not with AnyHost.
	Secrets map[string]Secrets
	// Auth is which hashes and groups are used then, preferred ones first.
	Auth auth.Choice
	// Ports are where hosts find the subsystem; nil: at all ports.
	Ports []*Port
	// FirstController and LastController bound the controller IDs, so that several
	// targets can be ways to one subsystem; 0: from 1 to 65519.
	FirstController, LastController uint16
	// Store keeps reservations through a loss of power; nil: they can't be kept.
	Store Store
}

// Secrets are those of a host's authentication.
type Secrets struct {
	Host       auth.Secret
	Controller auth.Secret // for a host that wants to know who the controller is; zero: it can't know
}

// Store keeps what has to outlive the target. It is called while all sessions wait.
type Store interface {
	// Save keeps data in place of what was kept for the namespace before; when it
	// returns, data is durable.
	Save(nsid uint32, data []byte) error
	// Load gives what was kept for the namespace; nil if nothing was.
	Load(nsid uint32) ([]byte, error)
}

// NamespaceConfig describes a namespace.
type NamespaceConfig struct {
	NSID     uint32 // 1 to MaxNamespaces
	Device   blockdev.Device
	UUID     [16]byte // zero: made of the subsystem's NQN and NSID
	ANAGroup uint32   // 1 to MaxNamespaces; 0: 1
}

// Subsystem is a set of namespaces, and the controllers through which hosts use
// them.
type Subsystem struct {
	cfg         SubsystemConfig
	t           *Target
	discovery   bool
	hosts       map[string]bool
	namespaces  []*Namespace // by NSID-1; nil: none
	controllers map[uint16]*Controller
	nextID      uint16
	stats       Stats // of sessions that have ended
}

// Namespace is a device that a subsystem exports.
type Namespace struct {
	ID     uint32
	Device blockdev.Device
	Index  int // among the namespaces of its subsystem: NSID-1

	info  blockdev.Info
	shift uint   // blocks of 1<<shift bytes
	size  uint64 // blocks
	uuid  [16]byte
	group uint32
	res   reservation
}

// New makes a target without subsystems. Only its discovery service is there.
func New() *Target {
	t := &Target{subsystems: map[string]*Subsystem{}, sessions: map[*Session]struct{}{}, generation: 1}
	t.discovery = &Subsystem{
		cfg: SubsystemConfig{
			NQN: nvme.DiscoveryNQN, AnyHost: true, FirstController: 1, LastController: maxControllerID,
		},
		t: t, discovery: true, controllers: map[uint16]*Controller{},
	}
	t.subsystems[nvme.DiscoveryNQN] = t.discovery
	return t
}

// maxControllerID is the last CNTLID that is not reserved.
const maxControllerID = 0xffef

// AddPort adds an address. ID must be unique, and is not 0.
func (t *Target) AddPort(p *Port) error {
	if p.ID == 0 || slices.ContainsFunc(t.ports, func(o *Port) bool { return o.ID == p.ID }) {
		return fmt.Errorf("nvme target: port ID %d: must be unique and not 0", p.ID)
	}
	p.ana = map[uint32]*anaState{}
	t.ports = append(t.ports, p)
	t.discoveryChanged()
	return nil
}

// AddSubsystem adds a subsystem without namespaces.
func (t *Target) AddSubsystem(cfg SubsystemConfig) (*Subsystem, error) {
	if err := nvme.CheckNQN(cfg.NQN); err != nil {
		return nil, err
	}
	if cfg.NQN == nvme.DiscoveryNQN || t.subsystems[cfg.NQN] != nil {
		return nil, fmt.Errorf("nvme target: there is a subsystem %s already", cfg.NQN)
	}
	if cfg.FirstController == 0 && cfg.LastController == 0 {
		cfg.FirstController, cfg.LastController = 1, maxControllerID
	}
	if cfg.FirstController == 0 || cfg.FirstController > cfg.LastController || cfg.LastController > maxControllerID {
		return nil, fmt.Errorf("nvme target: %s: controller IDs %d to %d: must be within 1 to %d",
			cfg.NQN, cfg.FirstController, cfg.LastController, maxControllerID)
	}
	if err := cfg.checkSecrets(); err != nil {
		return nil, fmt.Errorf("nvme target: %s: %w", cfg.NQN, err)
	}
	s := &Subsystem{cfg: cfg, t: t, hosts: map[string]bool{}, controllers: map[uint16]*Controller{}}
	for _, h := range slices.AppendSeq(slices.Clone(cfg.Hosts), maps.Keys(cfg.Secrets)) {
		if err := nvme.CheckNQN(h); err != nil {
			return nil, fmt.Errorf("nvme target: %s: host: %w", cfg.NQN, err)
		}
		s.hosts[h] = true
	}
	if s.cfg.Model == "" {
		s.cfg.Model = "lockify"
	}
	if s.cfg.Serial == "" {
		s.cfg.Serial = serialOf(cfg.NQN)
	}
	t.subsystems[cfg.NQN] = s
	t.discoveryChanged()
	return s, nil
}

// AddNamespace adds a namespace. If reservations are kept for it, they are in force
// from now on.
func (s *Subsystem) AddNamespace(cfg NamespaceConfig) (*Namespace, error) {
	info := cfg.Device.Info()
	if cfg.ANAGroup == 0 {
		cfg.ANAGroup = 1
	}
	switch {
	case cfg.NSID == 0 || cfg.NSID > MaxNamespaces:
		return nil, fmt.Errorf("nvme target: %s: namespace %d: must be 1 to %d", s.cfg.NQN, cfg.NSID, MaxNamespaces)
	case s.namespace(cfg.NSID) != nil:
		return nil, fmt.Errorf("nvme target: %s: there is a namespace %d already", s.cfg.NQN, cfg.NSID)
	case cfg.ANAGroup > MaxNamespaces:
		return nil, fmt.Errorf("nvme target: %s: ANA group %d: must be 1 to %d", s.cfg.NQN, cfg.ANAGroup, MaxNamespaces)
	}
	if err := info.Validate(); err != nil {
		return nil, err
	}
	if cfg.UUID == [16]byte{} {
		cfg.UUID = uuidOf(s.cfg.NQN, cfg.NSID)
	}
	n := &Namespace{
		ID: cfg.NSID, Device: cfg.Device, Index: int(cfg.NSID) - 1, info: info, shift: log2(info.BlockSize),
		uuid: cfg.UUID, group: cfg.ANAGroup,
	}
	n.size = uint64(info.Size) >> n.shift
	if s.cfg.Store != nil {
		n.res.store = func(data []byte) error { return s.cfg.Store.Save(n.ID, data) }
		data, err := s.cfg.Store.Load(n.ID)
		if err == nil && data != nil {
			err = n.res.load(data)
		}
		if err != nil {
			return nil, fmt.Errorf("nvme target: %s: reservations of namespace %d: %w", s.cfg.NQN, n.ID, err)
		}
	}
	for len(s.namespaces) <= n.Index {
		s.namespaces = append(s.namespaces, nil)
	}
	s.namespaces[n.Index] = n
	s.namespaceChanged(n.ID)
	return n, nil
}

// namespace gives a namespace, nil if there is none.
func (s *Subsystem) namespace(nsid uint32) *Namespace {
	if nsid == 0 || uint64(nsid) > uint64(len(s.namespaces)) {
		return nil
	}
	return s.namespaces[nsid-1]
}

// allows says whether a host may connect.
func (s *Subsystem) allows(hostNQN string) bool { return s.cfg.AnyHost || s.hosts[hostNQN] }

// at says whether the subsystem is to be found at a port.
func (s *Subsystem) at(p *Port) bool { return s.cfg.Ports == nil || slices.Contains(s.cfg.Ports, p) }

// Tick tells the time, in ms from any start, at least once a second. It ends what has
// taken too long.
func (t *Target) Tick(now uint64) {
	t.now = now
	for s := range t.sessions {
		if s.queue == nil && now-s.born >= ConnectTimeout {
			s.kill(fmt.Errorf("no Connect within %d s", ConnectTimeout/1000))
		}
		if s.queue != nil && !s.authenticated && now-s.born >= AuthTimeout {
			s.kill(fmt.Errorf("the host has not authenticated itself within %d s", AuthTimeout/1000))
		}
		if c := s.controller; c != nil && s.queue.id == 0 {
			c.tick(now)
		}
	}
}

// Sessions is how many sessions there are.
func (t *Target) Sessions() int { return len(t.sessions) }

func log2(n int) (shift uint) {
	for n > 1 {
		n >>= 1
		shift++
	}
	return shift
}

// names gives the NQNs of all subsystems, in order.
func (t *Target) names() []string { return slices.Sorted(maps.Keys(t.subsystems)) }
