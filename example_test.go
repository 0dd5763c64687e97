package lockify_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/lockify-dlm/lockify"
)

// quiet is a logger for examples.
var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// A node in the program itself needs no socket and no configuration but its
// number.
func Example() {
	ctx := context.Background()
	node, err := lockify.StartNode(ctx, lockify.Config{ID: 1, Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close(ctx)

	space, err := node.Open(ctx, "inventory")
	if err != nil {
		log.Fatal(err)
	}
	lock, err := space.Lock(ctx, "item/17", lockify.EX)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(lock.Name(), lock.Mode())
	if err := lock.Unlock(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: item/17 EX
}

// openExample gives a lockspace of a node of its own.
func openExample(ctx context.Context) (*lockify.Lockspace, func()) {
	node, err := lockify.StartNode(ctx, lockify.Config{ID: 1, Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	space, err := node.Open(ctx, "example")
	if err != nil {
		log.Fatal(err)
	}
	return space, func() { node.Close(ctx) }
}

// TryLock does not wait for other holders.
func ExampleLockspace_TryLock() {
	ctx := context.Background()
	space, end := openExample(ctx)
	defer end()

	if _, err := space.TryLock(ctx, "job", lockify.EX); err != nil {
		log.Fatal(err)
	}
	_, err := space.TryLock(ctx, "job", lockify.EX)
	fmt.Println(errors.Is(err, lockify.ErrWouldBlock))
	// Output: true
}

// A holder that keeps its lock cached gives way when somebody wants it.
func ExampleLock_Convert() {
	ctx := context.Background()
	space, end := openExample(ctx)
	defer end()

	giveWay := lockify.OnBlocking(func(l *lockify.Lock, wanted lockify.Mode) {
		fmt.Println("somebody wants", wanted)
		if err := l.Convert(ctx, lockify.NL); err != nil {
			log.Fatal(err)
		}
	})
	writer, err := space.Lock(ctx, "inode/5", lockify.EX, giveWay)
	if err != nil {
		log.Fatal(err)
	}
	reader, err := space.Lock(ctx, "inode/5", lockify.PR) // waits for the above
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("reader has", reader.Mode())
	if err := reader.Unlock(ctx); err != nil {
		log.Fatal(err)
	}
	if err := writer.Convert(ctx, lockify.EX); err != nil { // back again
		log.Fatal(err)
	}
	fmt.Println("writer has", writer.Mode())
	// Output:
	// somebody wants PR
	// reader has PR
	// writer has EX
}

// The lock value block carries a few bytes from one holder to the next.
func ExampleWithValue() {
	ctx := context.Background()
	space, end := openExample(ctx)
	defer end()

	keep, err := space.Lock(ctx, "size", lockify.NL) // so that the value is kept
	if err != nil {
		log.Fatal(err)
	}
	writer, err := space.Lock(ctx, "size", lockify.EX)
	if err != nil {
		log.Fatal(err)
	}
	if err := writer.Unlock(ctx, lockify.WithValue([]byte("4096"))); err != nil {
		log.Fatal(err)
	}
	if err := keep.Convert(ctx, lockify.PR, lockify.ReadValue()); err != nil {
		log.Fatal(err)
	}
	value, ok := keep.Value()
	fmt.Printf("%s %d %v\n", value[:4], len(value), ok)
	// Output: 4096 32 true
}

// A creator does not wait for the cluster. It does before it tells others of
// the name without the help of a lock.
func ExampleNew() {
	ctx := context.Background()
	space, end := openExample(ctx)
	defer end()

	lock, err := space.Lock(ctx, "file/1", lockify.EX, lockify.New())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("messages waited for:", lock.Messages())

	select {
	case <-lock.Confirmed(): // this lock
	case <-lock.Lost():
		log.Fatal("the name was in use")
	}
	if err := space.Barrier(ctx); err != nil { // all that this node has created
		log.Fatal(err)
	}
	fmt.Println("everybody may know")
	// Output:
	// messages waited for: 0
	// everybody may know
}

// Many requests can be under way. The callbacks may come while LockAsync still
// runs, so what they use together needs protection.
func ExampleLockspace_LockAsync() {
	ctx := context.Background()
	space, end := openExample(ctx)
	defer end()

	var all sync.WaitGroup
	locks := make([]*lockify.Lock, 100)
	for i := range locks {
		all.Add(1)
		space.LockAsync(fmt.Sprintf("block/%d", i), lockify.PR, func(l *lockify.Lock, err error) {
			defer all.Done()
			if err != nil {
				log.Print(err)
				return
			}
			locks[i] = l
		})
	}
	all.Wait()

	granted := 0
	for _, l := range locks {
		if l != nil && l.Mode() == lockify.PR {
			granted++
		}
	}
	fmt.Println(granted, "locks")
	// Output: 100 locks
}

// Two transfers that lock the same accounts in opposite orders wait for each
// other. The younger one is told, gives up what it has, and tries again.
func ExampleOwner() {
	ctx := context.Background()
	space, end := openExample(ctx)
	defer end()

	one, two := lockify.Owner(space.NewOwner()), lockify.Owner(space.NewOwner())
	a, err := space.Lock(ctx, "account/a", lockify.EX, one)
	if err != nil {
		log.Fatal(err)
	}
	b, err := space.Lock(ctx, "account/b", lockify.EX, two)
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan error, 1)
	space.LockAsync("account/b", lockify.EX, func(_ *lockify.Lock, err error) { done <- err }, one)

	_, err = space.Lock(ctx, "account/a", lockify.EX, two)
	var deadlock *lockify.DeadlockError
	if errors.As(err, &deadlock) {
		for _, edge := range deadlock.Cycle {
			fmt.Println(edge.String())
		}
	}
	if err := b.Unlock(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println("the other one:", <-done, a.Mode())
	// Output:
	// owner 2 on node 1 wants "account/a" in EX, which owner 1 on node 1 holds in EX
	// owner 1 on node 1 wants "account/b" in EX, which owner 2 on node 1 holds in EX
	// the other one: <nil> EX
}

// Two programs, each with its own connection, lock two names in opposite orders.
// The error says who waits for whom; the program whose owner is younger gives up what
// it has, and may then try again.
func ExampleDeadlockError() {
	ctx := context.Background()
	dial, end := serveExample(ctx)
	defer end()

	var held sync.WaitGroup
	held.Add(2)
	transfer := func(space *lockify.Lockspace, owner lockify.OwnerID, from, to string) error {
		first, err := space.Lock(ctx, from, lockify.EX, lockify.Owner(owner))
		if err != nil {
			return err
		}
		defer first.Unlock(ctx)
		held.Done()
		held.Wait() // now each has what the other one wants
		second, err := space.Lock(ctx, to, lockify.PR, lockify.Owner(owner))
		if err != nil {
			return err
		}
		return second.Unlock(ctx)
	}

	one, two := dial(), dial()
	done := make(chan error, 1)
	go func() { done <- transfer(one, 1, "account/a", "account/b") }()
	err := transfer(two, 2, "account/b", "account/a")

	var deadlock *lockify.DeadlockError
	if errors.As(err, &deadlock) {
		for _, e := range deadlock.Cycle {
			fmt.Printf("owner %d on node %d wants %s in %v, held in %v by owner %d on node %d\n",
				e.Waiter.Owner, e.Waiter.Node, e.Name, e.Waiter.Mode, e.Holder.Mode, e.Holder.Owner, e.Holder.Node)
		}
	}
	fmt.Println("the other program:", <-done)
	// Output:
	// owner 2 on node 1 wants account/a in PR, held in EX by owner 1 on node 1
	// owner 1 on node 1 wants account/b in PR, held in EX by owner 2 on node 1
	// the other program: <nil>
}

// serveExample starts a node that clients reach through a socket; each dial is
// another client.
func serveExample(ctx context.Context) (dial func() *lockify.Lockspace, end func()) {
	dir, err := os.MkdirTemp("", "lockify")
	if err != nil {
		log.Fatal(err)
	}
	addr := "unix://" + filepath.Join(dir, "node.sock")
	node, err := lockify.StartNode(ctx, lockify.Config{ID: 1, Clients: []string{addr}, Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	dial = func() *lockify.Lockspace {
		client, err := lockify.Dial(ctx, addr)
		if err != nil {
			log.Fatal(err)
		}
		space, err := client.Open(ctx, "example")
		if err != nil {
			log.Fatal(err)
		}
		return space
	}
	return dial, func() {
		node.Close(ctx)
		os.RemoveAll(dir)
	}
}

// Two owners lock parts of one file. Each has one lock on each byte, and gives up
// what it likes of it.
func ExampleLockspace_OpenByteRanges() {
	ctx := context.Background()
	space, end := openExample(ctx)
	defer end()

	disk, err := space.OpenByteRanges(ctx, "disk")
	if err != nil {
		log.Fatal(err)
	}
	one, two := space.NewOwner(), space.NewOwner()
	if err := disk.Lock(ctx, one, lockify.WriteRange, 0, 4096); err != nil {
		log.Fatal(err)
	}
	if err := disk.Unlock(ctx, one, 1024, 512); err != nil { // a hole in it
		log.Fatal(err)
	}
	fmt.Println("the hole:", disk.TryLock(ctx, two, lockify.ReadRange, 1024, 512))

	err = disk.TryLock(ctx, two, lockify.ReadRange, 1024, 1024)
	fmt.Println("beyond it:", errors.Is(err, lockify.ErrWouldBlock))

	l, found, err := disk.Test(ctx, two, lockify.ReadRange, 0, 0) // to the end
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("in the way: %v, owner %d: %v, %d bytes from %d\n", found, l.Owner, l.Type, l.Length, l.Start)

	if err := disk.Close(ctx); err != nil { // all ranges of all owners
		log.Fatal(err)
	}
	// Output:
	// the hole: <nil>
	// beyond it: true
	// in the way: true, owner 1: write, 1024 bytes from 0
}

// A program usually finds its node on a Unix socket, where lockifyd serves it.
func ExampleDial() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "lockify")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	addr := "unix://" + filepath.Join(dir, "node.sock")
	node, err := lockify.StartNode(ctx, lockify.Config{ID: 1, Clients: []string{addr}, Logger: quiet})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close(ctx)

	client, err := lockify.Dial(ctx, addr)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	space, err := client.Open(ctx, "inventory")
	if err != nil {
		log.Fatal(err)
	}
	lock, err := space.Lock(ctx, "item/17", lockify.EX)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(lock.Mode(), lock.Token() > 0)
	if err := lock.Unlock(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: EX true
}

// A daemon that keeps one lock for as long as it can: when its node ends, the lock is
// lost; it takes it again in the next session.
func ExampleOnSession() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "lockify")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	addr := "unix://" + filepath.Join(dir, "node.sock")
	start := func() *lockify.Node {
		node, err := lockify.StartNode(ctx, lockify.Config{ID: 1, Clients: []string{addr}, Logger: quiet})
		if err != nil {
			log.Fatal(err)
		}
		return node
	}
	node := start()

	sessions := make(chan *lockify.Session, 1)
	client, err := lockify.Dial(ctx, addr, lockify.OnSession(func(s *lockify.Session) { sessions <- s }))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	space, err := client.Open(ctx, "service")
	if err != nil {
		log.Fatal(err)
	}
	leader, err := space.Lock(ctx, "leader", lockify.EX)
	if err != nil {
		log.Fatal(err)
	}

	node.Close(ctx) // as if it had died
	<-leader.Lost()
	fmt.Println("no leader any more")
	node = start()
	defer node.Close(ctx)
	<-sessions
	if leader, err = space.Lock(ctx, "leader", lockify.EX); err != nil {
		log.Fatal(err)
	}
	fmt.Println("leader again, in", leader.Mode())
	// Output:
	// no leader any more
	// leader again, in EX
}
