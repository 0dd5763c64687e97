package trace

import "container/heap"

// graph orders what happens in a replay: node 2*s is the issue of step s,
// node 2*s+1 its completion. An edge says "before". Each node has its place
// in the timeline; nearly all edges go from a lower to a higher place.
type graph struct {
	next  [][]int32
	place []int
}

func issueOf(step int) int { return 2 * step }
func doneOf(step int) int  { return 2*step + 1 }

func newGraph(steps int) *graph {
	return &graph{next: make([][]int32, 2*steps), place: make([]int, 2*steps)}
}

func (g *graph) edge(from, to int) { g.next[from] = append(g.next[from], int32(to)) }

// reaches says whether a way of edges leads from one node to another.
func (g *graph) reaches(from, to int) bool {
	visited := map[int]bool{from: true}
	stack := []int{from}
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if n == to {
			return true
		}
		for _, m := range g.next[n] {
			if !visited[int(m)] {
				visited[int(m)] = true
				stack = append(stack, int(m))
			}
		}
	}
	return false
}

// topological gives the nodes in an order that respects the edges, and
// otherwise by place. The graph must have no circle.
func (g *graph) topological() []int {
	before := make([]int, len(g.next))
	for _, ms := range g.next {
		for _, m := range ms {
			before[m]++
		}
	}
	ready := &byPlace{place: g.place}
	for n, b := range before {
		if b == 0 {
			ready.nodes = append(ready.nodes, n)
		}
	}
	heap.Init(ready)
	var out []int
	for ready.Len() > 0 {
		n := heap.Pop(ready).(int)
		out = append(out, n)
		for _, m := range g.next[n] {
			if before[m]--; before[m] == 0 {
				heap.Push(ready, int(m))
			}
		}
	}
	return out
}

// byPlace is a heap of graph nodes.
type byPlace struct {
	nodes []int
	place []int
}

func (h *byPlace) Len() int           { return len(h.nodes) }
func (h *byPlace) Less(i, j int) bool { return h.place[h.nodes[i]] < h.place[h.nodes[j]] }
func (h *byPlace) Swap(i, j int)      { h.nodes[i], h.nodes[j] = h.nodes[j], h.nodes[i] }
func (h *byPlace) Push(x any)         { h.nodes = append(h.nodes, x.(int)) }
func (h *byPlace) Pop() any {
	n := h.nodes[len(h.nodes)-1]
	h.nodes = h.nodes[:len(h.nodes)-1]
	return n
}
