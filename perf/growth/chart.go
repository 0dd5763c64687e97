package growth

import (
	"errors"
	"fmt"
	"image/color"
	"os"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Chart is what a study has found: panels, one below the other, that share what grows.
type Chart struct {
	Title  string    `json:"title"`
	Unit   string    `json:"unit"` // of X
	Log    bool      `json:"log"`  // X on a logarithmic scale; its values are positive
	X      []float64 `json:"x"`
	Panels []Panel   `json:"panels"`
}

// Panel is a part of a chart.
type Panel struct {
	Unit  string `json:"unit"`
	Log   bool   `json:"log"` // on a logarithmic scale; all values are positive
	Lines []Line `json:"lines"`
}

// Line is a figure as it grows: one value for each of the chart's X.
type Line struct {
	Label string    `json:"label"`
	Y     []float64 `json:"y"`
}

func (c *Chart) validate() error {
	if len(c.X) == 0 || len(c.Panels) == 0 {
		return errors.New("growth: a chart of nothing")
	}
	for _, x := range c.X {
		if c.Log && x <= 0 {
			return fmt.Errorf("growth: %s: %g has no place on a logarithmic scale", c.Title, x)
		}
	}
	for _, p := range c.Panels {
		for _, l := range p.Lines {
			if len(l.Y) != len(c.X) {
				return fmt.Errorf("growth: %s: %s: %d values for %d", c.Title, l.Label, len(l.Y), len(c.X))
			}
			for _, y := range l.Y {
				if p.Log && y <= 0 {
					return fmt.Errorf("growth: %s: %s: %g has no place on a logarithmic scale", c.Title, l.Label, y)
				}
			}
		}
	}
	return nil
}

// Sizes of a drawing.
const (
	chartWidth  = 18 * vg.Centimeter
	panelHeight = 6 * vg.Centimeter
)

// colors are those of lines, told apart also by who sees few.
var colors = []color.Color{
	color.RGBA{0x00, 0x72, 0xb2, 0xff}, color.RGBA{0xd5, 0x5e, 0x00, 0xff},
	color.RGBA{0x00, 0x9e, 0x73, 0xff}, color.RGBA{0xcc, 0x79, 0xa7, 0xff},
}

// WriteSVG draws the chart into a file.
func (c *Chart) WriteSVG(path string) (err error) {
	if err := c.validate(); err != nil {
		return err
	}
	rows := make([][]*plot.Plot, len(c.Panels))
	for i := range c.Panels {
		p, err := c.draw(i)
		if err != nil {
			return fmt.Errorf("growth: %s: %w", c.Title, err)
		}
		rows[i] = []*plot.Plot{p}
	}
	height := panelHeight * vg.Length(len(rows))
	canvas := vgsvg.New(chartWidth, height)
	white := draw.New(canvas)
	white.SetColor(color.White)
	white.Fill(white.Rectangle.Path())
	tiles := draw.Tiles{Rows: len(rows), Cols: 1, PadX: vg.Millimeter, PadY: 2 * vg.Millimeter, PadTop: 2 * vg.Millimeter, PadRight: 8 * vg.Millimeter}
	for i, row := range plot.Align(rows, tiles, white) {
		rows[i][0].Draw(row[0])
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = canvas.WriteTo(f)
	return err
}

// draw makes one of the panels.
func (c *Chart) draw(i int) (*plot.Plot, error) {
	panel := &c.Panels[i]
	p := plot.New()
	plain(p)
	if i == 0 {
		p.Title.Text = c.Title
	}
	if i == len(c.Panels)-1 {
		p.X.Label.Text = c.Unit
	}
	p.Y.Label.Text = panel.Unit
	p.Y.Min, p.Legend.Top = 0, true
	p.Add(plotter.NewGrid())
	for k, line := range panel.Lines {
		points := make(plotter.XYs, len(c.X))
		for j := range points {
			points[j].X, points[j].Y = c.X[j], line.Y[j]
		}
		l, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return nil, err
		}
		l.Color, dots.Color, dots.Shape = colors[k%len(colors)], colors[k%len(colors)], draw.CircleGlyph{}
		l.Width = vg.Points(1.5)
		p.Add(l, dots)
		p.Legend.Add(line.Label, l, dots)
	}
	if c.Log {
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	}
	if panel.Log {
		logarithmic(&p.Y, panel.Lines)
	} else {
		p.Y.Max *= 1.1
		p.Y.Tick.Marker = plot.TickerFunc(plainTicks)
	}
	return p, nil
}

// plain has a drawing use one font without serifs. A viewer may replace it by a wider one:
// so there is room.
func plain(p *plot.Plot) {
	small := font.Font{Typeface: "Liberation", Variant: "Sans", Size: 9}
	for _, f := range []*font.Font{
		&p.X.Label.TextStyle.Font, &p.Y.Label.TextStyle.Font, &p.X.Tick.Label.Font, &p.Y.Tick.Label.Font, &p.Legend.TextStyle.Font,
	} {
		*f = small
	}
	p.Title.TextStyle.Font = small
	p.Title.TextStyle.Font.Size = 10
	p.Legend.Padding = 2 * vg.Millimeter
}

// plainTicks writes numbers as they are.
func plainTicks(low, high float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(low, high)
	for i := range ticks {
		if ticks[i].Label != "" {
			ticks[i].Label = strconv.FormatFloat(ticks[i].Value, 'f', -1, 64)
		}
	}
	return ticks
}

// logarithmic has an axis go from a power of ten to another one.
func logarithmic(a *plot.Axis, lines []Line) {
	low, high := lines[0].Y[0], lines[0].Y[0]
	for _, l := range lines {
		for _, y := range l.Y {
			low, high = min(low, y), max(high, y)
		}
	}
	a.Min, a.Max = decade(low, -1), decade(high, 1)
	a.Scale, a.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
}

// decade gives the power of ten at or beyond v, downwards or upwards.
func decade(v float64, step int) float64 {
	d := 1.0
	for d > v {
		d /= 10
	}
	for d*10 <= v {
		d *= 10
	}
	if step > 0 && d < v {
		d *= 10
	}
	return d
}
