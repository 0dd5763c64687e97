package engine

import (
	"errors"
	"maps"
)

// ErrRemoved is what OnPeerDown says of a link that SetPeers has ended.
var ErrRemoved = errors.New("engine: peer removed")

// SetPeers makes links for exactly these peers, without Self. The link of a peer
// that stays, with the same address and for the same instance, goes on as it is
// (one that has met its peer goes on if that is the instance meant). The others
// end: what is queued for them is dropped, OnPeerDown is called if they were up,
// and no callback runs for them after SetPeers has returned. It waits for callbacks,
// so it must not be called from one. Calls must not overlap. An error, ErrConfig or
// that the links are closed, changes nothing.
func (ls *Links) SetPeers(peers []Peer) error {
	if err := ls.cfg.checkPeers(peers); err != nil {
		return err
	}
	if ls.draining.Load() {
		return ErrClosed
	}
	links, added, err := ls.linksFor(peers)
	if err != nil {
		return err
	}
	ls.moving.Store(true)
	ls.removeAllBut(links)
	ls.links.Store(&links)
	ls.dialAll(added)
	ls.changed.open()
	return nil
}

// linksFor makes the map for these peers, of links that are kept and new ones.
func (ls *Links) linksFor(peers []Peer) (links linkMap, added []*link, err error) {
	old := ls.all()
	links = make(linkMap, len(peers))
	if err := ls.needDelayer(peers); err != nil {
		return nil, nil, err
	}
	for _, p := range peers {
		if l := old[p.ID]; l != nil && l.keeps(p) {
			links[p.ID] = l
			continue
		}
		l := newLink(ls, p)
		links[p.ID] = l
		added = append(added, l)
	}
	return links, added, nil
}

// needDelayer makes a delayer if there is none and one of these peers has a delay.
func (ls *Links) needDelayer(peers []Peer) error {
	for _, p := range peers {
		if ls.cfg.Delay(p.ID) > 0 && ls.delayer.Load() == nil {
			d, err := newDelayer(ls.cfg.Transport)
			if err != nil {
				return err
			}
			ls.delayer.Store(d)
		}
	}
	return nil
}

// removeAllBut ends all links that are not kept, before a new one to the same peer
// can come up.
func (ls *Links) removeAllBut(kept linkMap) {
	old := ls.all()
	rest := maps.Clone(old)
	maps.DeleteFunc(rest, func(id uint16, l *link) bool { return kept[id] != l })
	ls.links.Store(&rest)
	for id, l := range old {
		if kept[id] != l {
			l.remove()
		}
	}
}

// keeps says whether the link serves p as well. From now on it knows which instance
// is meant.
func (l *link) keeps(p Peer) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	met := l.want
	if met == 0 {
		met = l.instance
	}
	if l.failed != nil || l.addr != p.Addr || p.Instance != 0 && met != 0 && p.Instance != met {
		return false
	}
	if p.Instance != 0 {
		l.want = p.Instance
	}
	return true
}

func (ls *Links) dialAll(links []*link) {
	for _, l := range links {
		if l.id > ls.cfg.Self {
			ls.spawn(l.dial)
		}
	}
}

// remove ends the link and waits for all that uses it.
func (l *link) remove() {
	l.end()
	l.mu.Lock()
	sessions := l.failWith(ErrRemoved)
	l.mu.Unlock()
	for _, s := range sessions {
		s.fail(ErrRemoved)
	}
	l.recv.Lock()
	if l.upOn != nil {
		l.downFailed(ErrRemoved)
	}
	l.failTold = true
	l.recv.Unlock()
	for _, s := range sessions {
		<-s.done
	}
	l.stop()
}
