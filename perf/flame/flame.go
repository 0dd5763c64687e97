package flame

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"path"
	"slices"

	svg "github.com/ajstarks/svgo"
	"github.com/google/pprof/profile"
)

// Sizes of a drawing in pixels.
const (
	width     = 1200
	rowHeight = 16
	margin    = 30
	narrowest = 1 // box
	charWidth = 6 // of a letter, about
	minChars  = 3 // less of a name says nothing
	maxDepth  = 120
)

// call is a function as called by a chain of others.
type call struct {
	name  string
	value int64
	below map[string]*call // those that it calls
}

func (c *call) child(name string) *call {
	x := c.below[name]
	if x == nil {
		x = &call{name: name, below: map[string]*call{}}
		c.below[name] = x
	}
	return x
}

// Write draws a profile in the format of pprof, by its last kind of value: of a CPU
// profile that is the time.
func Write(w io.Writer, profiled io.Reader, title string) error {
	p, err := profile.Parse(profiled)
	if err != nil {
		return fmt.Errorf("flame: %w", err)
	}
	root := tree(p)
	if root.value <= 0 {
		return fmt.Errorf("flame: %s: the profile has no samples", title)
	}
	deepest := min(root.depth(root.value), maxDepth)
	height := deepest*rowHeight + 2*margin
	canvas := svg.New(w)
	canvas.Start(width, height, `font-family="sans-serif" font-size="11"`)
	canvas.Rect(0, 0, width, height, "fill:#ffffff")
	canvas.Text(width/2, margin-10, title, "text-anchor:middle;font-size:14px")
	d := drawing{canvas: canvas, total: root.value, bottom: height - margin}
	d.box(root, 0, 0)
	canvas.End()
	return nil
}

// tree adds up the samples.
func tree(p *profile.Profile) *call {
	root := &call{name: "all", below: map[string]*call{}}
	for _, s := range p.Sample {
		v := s.Value[len(s.Value)-1]
		root.value += v
		at := root
		for _, place := range slices.Backward(s.Location) {
			for _, line := range slices.Backward(place.Line) {
				name := "?"
				if line.Function != nil {
					name = line.Function.Name
				}
				at = at.child(name)
				at.value += v
			}
		}
	}
	return root
}

// depth gives the rows that boxes wide enough need, of all that is total.
func (c *call) depth(total int64) int {
	deepest := 0
	for _, x := range c.below {
		if x.value*width >= narrowest*total {
			deepest = max(deepest, x.depth(total))
		}
	}
	return deepest + 1
}

// drawing is a picture being drawn, from the bottom up.
type drawing struct {
	canvas *svg.SVG
	total  int64
	bottom int
}

func (d *drawing) x(v int64) int { return int(v * width / d.total) }

// box draws a call that begins at from, in a row, and what it calls.
func (d *drawing) box(c *call, from int64, row int) {
	left, wide := d.x(from), d.x(from+c.value)-d.x(from)
	if wide < narrowest || row >= maxDepth {
		return
	}
	y := d.bottom - (row+1)*rowHeight
	d.canvas.Group()
	d.canvas.Title(fmt.Sprintf("%s: %.1f %%", c.name, float64(c.value)*100/float64(d.total)))
	d.canvas.Rect(left, y, wide, rowHeight-1, "fill:"+colorOf(c.name))
	if letters := wide/charWidth - 1; letters >= minChars {
		name := []rune(path.Base(c.name))
		d.canvas.Text(left+2, y+rowHeight-5, string(name[:min(len(name), letters)]))
	}
	d.canvas.Gend()
	below := slices.SortedFunc(maps.Values(c.below), func(a, b *call) int {
		return cmp.Or(cmp.Compare(b.value, a.value), cmp.Compare(a.name, b.name))
	})
	for _, x := range below {
		d.box(x, from, row+1)
		from += x.value
	}
}

// colorOf gives a function a warm color, always the same, and one of the runtime a cold
// one: what is between a program and its work shows.
func colorOf(name string) string {
	h := fnv.New32a()
	h.Write([]byte(name))
	v := int(h.Sum32() % 60)
	base := path.Base(name)
	if len(base) > 8 && base[:8] == "runtime." || len(base) > 8 && base[:8] == "syscall." {
		return fmt.Sprintf("rgb(%d,%d,230)", 140+v, 170+v)
	}
	return fmt.Sprintf("rgb(240,%d,%d)", 130+v, 60+v)
}
