package host

import "sync"

// armer calls a function when a descriptor can be read or written: a goroutine that
// lives from the first time that this is asked for to the ring's end.
type armer struct {
	mu   sync.Mutex
	cond sync.Cond
	w    waker
	made bool
	busy bool // the goroutine watches fd
	over bool
	fd   int
	out  bool
}

// start has notify called once when fd can be read, or written if out says so, or at
// wake. What was asked for before still goes; if that was less, notify is called now.
func (a *armer) start(notify func(), fd int, out bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.busy && (a.fd != fd || out && !a.out) {
		a.w.wake()
	}
	if a.busy || a.over {
		return
	}
	if !a.made {
		w, err := newWaker()
		if err != nil {
			go notify() // it can't be waited for; so the ring is looked at all the time
			return
		}
		a.w, a.made, a.cond.L = w, true, &a.mu
		go a.run(notify)
	}
	a.busy, a.fd, a.out = true, fd, out
	a.cond.Broadcast()
}

func (a *armer) run(notify func()) {
	a.mu.Lock()
	for {
		for !a.busy && !a.over {
			a.cond.Wait()
		}
		if !a.busy {
			a.w.close()
			a.made = false
			a.cond.Broadcast()
			a.mu.Unlock()
			return
		}
		fd, out := a.fd, a.out
		a.mu.Unlock()
		a.w.await(fd, out, -1)
		a.mu.Lock()
		a.busy = false
		a.cond.Broadcast()
		a.mu.Unlock()
		notify()
		a.mu.Lock()
	}
}

// wake ends what is being watched; notify is called.
func (a *armer) wake() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.busy {
		a.w.wake()
	}
}

// stop returns when no descriptor is watched any more.
func (a *armer) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.busy {
		a.w.wake()
		a.cond.Wait()
	}
}

// end ends the goroutine.
func (a *armer) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	for a.made {
		if a.busy {
			a.w.wake()
		}
		a.cond.Broadcast()
		a.cond.Wait()
	}
}
