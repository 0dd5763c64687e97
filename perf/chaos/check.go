package chaos

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/lockify-dlm/lockify"
)

// verdict is what the check of one name has found.
type verdict struct {
	name   string
	result porcupine.CheckResult
	info   porcupine.LinearizationInfo
	model  porcupine.Model
	ops    []op
}

// check looks at each name by itself, a few at a time, each no longer than limit.
// lost are the times at which values can have become not valid.
func check(ops map[string][]op, lost []span, limit time.Duration) []verdict {
	names := make([]string, 0, len(ops))
	for name := range ops {
		names = append(names, name)
	}
	slices.Sort(names)
	out := make([]verdict, len(names))
	var wg sync.WaitGroup
	next := make(chan int)
	for range checkers {
		wg.Go(func() {
			for i := range next {
				out[i] = checkName(names[i], ops[names[i]], lost, limit)
			}
		})
	}
	for i := range names {
		next <- i
	}
	close(next)
	wg.Wait()
	return out
}

const checkers = 2

func checkName(name string, ops []op, lost []span, limit time.Duration) verdict {
	v := verdict{name: name, ops: ops, model: model(lost)}
	all := make([]porcupine.Operation, len(ops))
	for i := range ops {
		o := &ops[i]
		all[i] = porcupine.Operation{ClientId: o.Lane, Input: o, Call: o.Call, Return: o.Return}
	}
	v.result, v.info = porcupine.CheckOperationsVerbose(v.model, all, limit)
	return v
}

// draw writes what porcupine shows of a name to dir, and gives the file.
func (v *verdict) draw(dir string, number int) (string, error) {
	file := filepath.Join(dir, fmt.Sprintf("violation-%d.html", number))
	f, err := os.Create(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if err := porcupine.Visualize(v.model, v.info, f); err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	return file, f.Close()
}

// explain tells of two locks that were held for sure at the same time and exclude
// each other, if there are such.
func (v *verdict) explain() string {
	type hold struct {
		span
		by *op
		m  lockify.Mode
	}
	byLock := map[uint32][]*op{}
	for i := range v.ops {
		byLock[v.ops[i].Lock] = append(byLock[v.ops[i].Lock], &v.ops[i])
	}
	var holds []hold
	for _, ops := range byLock {
		slices.SortFunc(ops, func(a, b *op) int { return int(a.Call - b.Call) })
		for i, o := range ops {
			if o.Kind != acquire && o.Kind != convert {
				continue
			}
			to := int64(1<<63 - 1)
			if i+1 < len(ops) {
				to = ops[i+1].Call
			}
			holds = append(holds, hold{span{o.Return, to}, o, o.Mode})
		}
	}
	slices.SortFunc(holds, func(a, b hold) int { return int(a.from - b.from) })
	for i, a := range holds {
		for _, b := range holds[i+1:] {
			if b.from < a.to && b.by.Lock != a.by.Lock && together[a.m]>>b.m&1 == 0 {
				return fmt.Sprintf("%s of node %d from %v, and %s of node %d from %v, together until %v",
					a.by, a.by.Node, time.Duration(a.from), b.by, b.by.Node, time.Duration(b.from), time.Duration(min(a.to, b.to)))
			}
		}
	}
	return "no two locks that surely exclude each other: it is about a value, a token, or an order"
}
