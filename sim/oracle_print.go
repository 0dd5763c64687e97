package sim

import (
	"fmt"
	"strings"

	ls "github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// String gives the queues on one line: node:id mode, or mode>wanted.
func (o *Oracle) String() string {
	var b strings.Builder
	for i, q := range o.queues() {
		b.WriteString([]string{"granted [", " converting [", " waiting ["}[i])
		for k, l := range *q {
			lockString(&b, k, l.Owner, l.ID, l.Granted, l.Wanted)
		}
		b.WriteByte(']')
	}
	return b.String()
}

func queuesOf(st *ls.ResourceState) string {
	var b strings.Builder
	for i, q := range [][]ls.LockState{st.Granted, st.Convert, st.Waiting} {
		b.WriteString([]string{"granted [", " converting [", " waiting ["}[i])
		for k, l := range q {
			lockString(&b, k, l.Owner, l.ID, l.Granted, l.Wanted)
		}
		b.WriteByte(']')
	}
	return b.String()
}

func lockString(b *strings.Builder, k int, owner, id uint64, granted, wanted ls.Mode) {
	if k > 0 {
		b.WriteByte(' ')
	}
	fmt.Fprintf(b, "%d:%x %v", wire.NodeOf(owner), id, granted)
	if wanted != ls.NoMode {
		fmt.Fprintf(b, ">%v", wanted)
	}
}
