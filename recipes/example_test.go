package recipes_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/fence"
	"github.com/lockify-dlm/lockify/recipes"
)

// open gives a lockspace of a node of its own; with Dial it would be one of lockifyd's.
func open(ctx context.Context) *lockify.Lockspace {
	node, err := lockify.StartNode(ctx, lockify.Config{ID: 1, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		log.Fatal(err)
	}
	space, err := node.Open(ctx, "examples")
	if err != nil {
		log.Fatal(err)
	}
	return space
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func ExampleMutex() {
	ctx := context.Background()
	space := open(ctx)

	mine, other := recipes.NewMutex(space, "report"), recipes.NewMutex(space, "report")
	check(mine.Lock(ctx))
	fmt.Println("somebody else:", errors.Is(other.TryLock(ctx), lockify.ErrWouldBlock))
	check(mine.Unlock(ctx))
	check(other.Lock(ctx))
	fmt.Println("now")
	check(other.Unlock(ctx))
	// Output:
	// somebody else: true
	// now
}

// Two programs keep what they have read of a shared disk, as long as the other one does not
// change it.
func ExampleCache() {
	ctx := context.Background()
	space, disk := open(ctx), "as it was made"

	program := func(who string) *recipes.Cache {
		var content string // of the one name here; nobody else uses it meanwhile
		return recipes.NewCache(space, recipes.CacheConfig{
			Fetch: func(context.Context, *lockify.Lock) error {
				content = disk
				fmt.Printf("%s reads %q\n", who, content)
				return nil
			},
			Flush: func(lock *lockify.Lock, to lockify.Mode) []byte {
				if lock.Valid() && lock.Mode() == lockify.EX {
					disk = "as left by " + who
					fmt.Println(who, "writes it back")
				}
				return nil
			},
		})
	}
	a, b := program("a"), program("b")
	for range 3 { // the first time it asks the cluster
		use, err := a.Lock(ctx, "inode-17")
		check(err)
		check(use.Unlock())
	}
	use, err := b.RLock(ctx, "inode-17")
	check(err)
	check(use.Unlock())
	// Output:
	// a reads "as it was made"
	// a writes it back
	// b reads "as left by a"
}

// A file system creates files: the lock of their directory stays with the program that does so,
// and their own are granted without a question. The cluster hears of the files meanwhile; who
// wants the directory next gets it when it knows them all.
func ExampleCache_Create() {
	ctx := context.Background()
	cache := recipes.NewCache(open(ctx), recipes.CacheConfig{})

	for i := range 1000 {
		dir, err := cache.Lock(ctx, "directory-1")
		check(err)
		file, err := cache.Create(ctx, fmt.Sprint("inode-", i))
		check(err)
		check(file.Unlock())
		check(dir.Unlock())
	}
	check(cache.Close(ctx)) // gives all of them up
	// Output:
}

// The writer of a catalog excludes its readers, who do not exclude each other.
func ExampleRWMutex() {
	ctx := context.Background()
	catalog := recipes.NewRWMutex(open(ctx), "catalog")

	check(catalog.RLock(ctx))
	check(catalog.RLock(ctx))
	fmt.Println("to write:", errors.Is(catalog.TryLock(ctx), lockify.ErrWouldBlock))
	check(catalog.RUnlock(ctx))
	check(catalog.RUnlock(ctx))
	check(catalog.Lock(ctx))
	check(catalog.Unlock(ctx))
	// Output: to write: true
}

// At most two backups run in the whole cluster.
func ExampleSemaphore() {
	ctx := context.Background()
	backups, err := recipes.NewSemaphore(open(ctx), "backups", 2)
	check(err)

	first, err := backups.Acquire(ctx)
	check(err)
	second, err := backups.Acquire(ctx)
	check(err)
	_, err = backups.TryAcquire(ctx)
	fmt.Println(errors.Is(err, lockify.ErrWouldBlock))
	check(first.Unlock(ctx))
	third, err := backups.Acquire(ctx)
	check(err)
	check(errors.Join(second.Unlock(ctx), third.Unlock(ctx)))
	// Output: true
}

// Workers wait until the schema is there.
func ExampleBarrier() {
	ctx := context.Background()
	space := open(ctx)

	schema := recipes.NewBarrier(space, "schema")
	check(schema.Raise(ctx))
	done := make(chan error)
	go func() { done <- recipes.NewBarrier(space, "schema").Wait(ctx) }()
	fmt.Println("making the schema")
	check(schema.Lower(ctx))
	check(<-done)
	fmt.Println("working")
	// Output:
	// making the schema
	// working
}

func ExampleElection() {
	ctx := context.Background()
	chief := recipes.NewElection(open(ctx), "chief")

	leadership, err := chief.Campaign(ctx, []byte("node 7"))
	check(err)
	who, ok, err := chief.Leader(ctx)
	check(err)
	fmt.Printf("%s %v\n", who[:6], ok)
	check(chief.Resign(ctx, leadership))
	_, ok, err = chief.Leader(ctx)
	check(err)
	fmt.Println(ok)
	// Output:
	// node 7 true
	// false
}

// What is done under the lock is given a context, and ends with the lock.
func ExampleHold() {
	ctx := context.Background()
	held, release, err := recipes.Hold(ctx, open(ctx), "import", lockify.EX)
	check(err)
	fmt.Println("importing:", held.Err())
	check(release())
	fmt.Println("over:", context.Cause(held))
	// Output:
	// importing: <nil>
	// over: context canceled
}

// A storage service lets nobody write who has been overtaken: it compares tokens.
func ExampleMutex_Token() {
	ctx := context.Background()
	mutex := recipes.NewMutex(open(ctx), "file")
	var storage fence.Gate // the service's

	check(mutex.Lock(ctx))
	old := mutex.Token()
	check(storage.Check("file", old))
	check(mutex.Unlock(ctx))
	check(mutex.Lock(ctx))
	check(storage.Check("file", mutex.Token()))
	fmt.Println(errors.Is(storage.Check("file", old), fence.ErrStale))
	check(mutex.Unlock(ctx))
	// Output: true
}
