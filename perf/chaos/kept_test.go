package chaos

import (
	"context"
	"io"
	"log/slog"
	"testing"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/recipes"
)

// TestKeptCheck: two who have a name at a time are found, if they exclude each other, and a reader
// of something old.
func TestKeptCheck(t *testing.T) {
	ctx := t.Context()
	node, err := lockify.StartNode(ctx, lockify.Config{ID: 1, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	space, err := node.Open(ctx, "chaos")
	if err != nil {
		t.Fatal(err)
	}
	cache := recipes.NewCache(space, recipes.CacheConfig{})
	// Names that do not exclude each other stand for a cache that does not exclude.
	use := func(name string, mode lockify.Mode) *keptUse {
		u, err := cache.Lock(context.WithoutCancel(ctx), name)
		if err != nil {
			t.Fatal(err)
		}
		return &keptUse{Use: u, mode: mode}
	}
	writer, other, reader, lost := use("a", lockify.EX), use("b", lockify.EX), use("c", lockify.PR), use("d", lockify.EX)
	k := &keeper{keeping: &keeping{disk: map[string]int{"name": 7}, users: map[string][]*keptUse{}}, content: map[string]content{}}
	found := func(what string, want int) {
		t.Helper()
		if len(k.bad) != want {
			t.Errorf("%s: %d found, want %d: %q", what, len(k.bad), want, k.bad)
		}
		k.bad = nil
	}
	k.enter("name", writer)
	found("one", 0)
	k.enter("name", other)
	found("two writers", 1)
	k.leave("name", other)
	k.enter("name", reader)
	found("a reader beside a writer", 1)
	k.leave("name", writer)
	k.enter("name", reader)
	found("two readers", 0)

	k.set("name", content{n: 7})
	k.compare("name", reader)
	found("what is on the disk", 0)
	k.set("name", content{8, true})
	k.compare("name", reader)
	found("what is not written yet", 0)
	k.set("name", content{n: 6})
	k.compare("name", reader)
	found("something old", 1)

	if err := node.Close(ctx); err != nil {
		t.Fatal(err)
	}
	k.enter("name", lost)
	k.compare("name", lost)
	found("what is lost", 0)
}
