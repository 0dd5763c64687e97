package chaos

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// network is one bridge and a namespace for each node, numbered from 1. Nothing of
// it has a name in the machine's own namespace: it is gone when this process and the
// daemons are.
type network struct {
	prefix string
	hub    netns.NsHandle
	nodes  []netns.NsHandle // node n is [n-1]
	cuts   map[[2]int]int   // from, to: how many have cut it
}

// newNetwork needs root.
func newNetwork(nodes int) (*network, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("chaos makes network namespaces and packet filters, which needs root: run it as root")
	}
	w := &network{prefix: fmt.Sprintf("lk%d", os.Getpid()%1_000_000), hub: netns.None(), cuts: map[[2]int]int{}}
	if err := w.build(nodes); err != nil {
		w.close()
		return nil, fmt.Errorf("network of %d namespaces: %w", nodes, err)
	}
	return w, nil
}

func (w *network) build(nodes int) (err error) {
	if w.hub, err = newNamespace(); err != nil {
		return err
	}
	hub, err := netlink.NewHandleAt(w.hub)
	if err != nil {
		return err
	}
	defer hub.Close()
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: w.prefix}}
	if err := errors.Join(hub.LinkAdd(bridge), hub.LinkSetUp(bridge)); err != nil {
		return fmt.Errorf("bridge: %w", err)
	}
	for n := 1; n <= nodes; n++ {
		ns, err := newNamespace()
		if err != nil {
			return err
		}
		w.nodes = append(w.nodes, ns)
		if err := w.plug(hub, bridge, n); err != nil {
			return fmt.Errorf("node %d: %w", n, err)
		}
		if err := w.filter(n); err != nil {
			return fmt.Errorf("node %d: nftables: %w", n, err)
		}
	}
	return nil
}

// newNamespace makes one on a thread of its own, which ends with it.
func newNamespace() (netns.NsHandle, error) {
	type made struct {
		ns  netns.NsHandle
		err error
	}
	ch := make(chan made)
	go func() {
		runtime.LockOSThread() // and never unlocked: nobody else may get the thread
		ns, err := netns.New()
		ch <- made{ns, err}
	}()
	m := <-ch
	if m.err != nil {
		return netns.None(), fmt.Errorf("network namespace: %w", m.err)
	}
	return m.ns, nil
}

// plug connects a node's namespace to the bridge.
func (w *network) plug(hub *netlink.Handle, bridge netlink.Link, n int) error {
	node, err := netlink.NewHandleAt(w.nodes[n-1])
	if err != nil {
		return err
	}
	defer node.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = fmt.Sprintf("%sn%d", w.prefix, n)
	attrs.MasterIndex = bridge.Attrs().Index
	pair := &netlink.Veth{
		LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(w.nodes[n-1]),
	}
	if err := errors.Join(hub.LinkAdd(pair), hub.LinkSetUp(pair)); err != nil {
		return fmt.Errorf("veth: %w", err)
	}
	for _, name := range []string{"lo", "eth0"} {
		link, err := node.LinkByName(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if name == "eth0" {
			addr := &netlink.Addr{IPNet: &net.IPNet{IP: w.ip(n), Mask: net.CIDRMask(24, 32)}}
			if err := node.AddrAdd(link, addr); err != nil {
				return fmt.Errorf("address: %w", err)
			}
		}
		if err := node.LinkSetUp(link); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// ip gives a node's address in the network.
func (w *network) ip(n int) net.IP { return net.IPv4(10, 99, 0, byte(n)).To4() }

// start runs a command in a node's namespace. It is killed when this process ends.
// Whoever calls it calls Wait through the function that it gives.
func (w *network) start(n int, cmd *exec.Cmd) (wait func() error, err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started, ended := make(chan error), make(chan error, 1)
	go func() {
		// The kernel kills the child when the thread that made it ends, so that
		// it has to last as long.
		runtime.LockOSThread()
		if err := netns.Set(w.nodes[n-1]); err != nil {
			started <- err
			return
		}
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return func() error { return <-ended }, nil
}

// cut drops what comes from one node to the other, until heal has been called as often.
func (w *network) cut(from, to int) error {
	w.cuts[[2]int{from, to}]++
	return w.filter(to)
}

func (w *network) heal(from, to int) error {
	w.cuts[[2]int{from, to}]--
	return w.filter(to)
}

// filter has node n's namespace drop what comes to it over links that are cut.
func (w *network) filter(n int) error {
	c, err := nftables.New(nftables.WithNetNSFd(int(w.nodes[n-1])))
	if err != nil {
		return err
	}
	table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "chaos"})
	chain := c.AddChain(&nftables.Chain{
		Name: "input", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter,
	})
	c.FlushChain(chain)
	for from := 1; from <= len(w.nodes); from++ {
		if w.cuts[[2]int{from, n}] > 0 {
			c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
				&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: ipSource, Len: 4},
				&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: w.ip(from)},
				&expr.Verdict{Kind: expr.VerdictDrop},
			}})
		}
	}
	return c.Flush()
}

// ipSource is where the source address is in an IPv4 header.
const ipSource = 12

// close lets go of the namespaces. Those in which something runs go with that.
func (w *network) close() {
	for _, ns := range append(w.nodes, w.hub) {
		if ns.IsOpen() {
			_ = ns.Close() // there is nothing to be done about it
		}
	}
}
