// The wait-for graph: who waits (left) for a name, and who holds it (right), in layers.
// What is on a circle is drawn red.

import { draw, duration } from "./chart.js";

const WIDE = 190, TALL = 40, GAP = 14, BETWEEN = 110, MOST_NAMES = 8, MOST_EACH = 6;

// who names the owner of a lock. A lock without one stands for itself.
export function who(l) {
  if (l.owner) return `node ${l.node} ${l.session ? `session ${l.session} ` : ""}owner ${l.owner}`;
  return `node ${l.node} lock …${l.id.slice(-6)}`;
}

// key is who, without doubt.
const key = (l) => "who " + (l.owner ? who(l) : `${l.node} ${l.id}`);

// build makes nodes and edges of the hot names.
export function build(names) {
  const nodes = new Map(), edges = [];
  const node = (id, of) => nodes.get(id) ?? nodes.set(id, { id, out: [], ...of }).get(id);
  const edge = (from, to, of) => {
    const e = { from, to, ...of };
    from.out.push(e);
    edges.push(e);
  };
  for (const name of names.slice(0, MOST_NAMES)) {
    const res = node("name " + name.name.hex, { res: true, title: name.name.text, small: `${name.waits} wait${name.master ? `, at node ${name.master}` : ""}` });
    const party = (l) => node(key(l), { res: false, title: who(l), small: "" });
    for (const l of name.waiters.slice(0, MOST_EACH)) {
      edge(party(l), res, { waits: true, label: `wants ${l.wanted}, ${duration(l.age_s)}` });
    }
    if (name.waits > MOST_EACH) edge(node("more " + name.name.hex, { res: false, title: `${name.waits - MOST_EACH} more`, small: "" }), res, { waits: true, label: "" });
    for (const l of name.holders.slice(0, MOST_EACH)) edge(res, party(l), { waits: false, label: `${l.granted}` });
    if (name.holds > MOST_EACH) edge(res, node("held " + name.name.hex, { res: false, title: `${name.holds - MOST_EACH} more`, small: "" }), { waits: false, label: "" });
  }
  circles([...nodes.values()]);
  return { nodes: [...nodes.values()], edges };
}

// circles marks what lies on one: two nodes that reach each other are on one circle
// (Tarjan's strongly connected components).
function circles(nodes) {
  let next = 0;
  const stack = [];
  const visit = (v) => {
    v.index = v.low = next++;
    stack.push(v);
    v.on = true;
    for (const { to } of v.out) {
      if (to.index === undefined) {
        visit(to);
        v.low = Math.min(v.low, to.low);
      } else if (to.on) v.low = Math.min(v.low, to.index);
    }
    if (v.low === v.index) {
      let w;
      do {
        w = stack.pop();
        w.on = false;
        w.part = v.index;
      } while (w !== v);
    }
  };
  for (const v of nodes) if (v.index === undefined) visit(v);
  for (const v of nodes) for (const e of v.out) e.circle = e.to.part === v.part;
}

// turnBack marks the edges that close a circle when one follows them from those that nobody
// waits for; without them there is none.
function turnBack(nodes) {
  const reached = new Set(nodes.flatMap((v) => v.out.map((e) => e.to)));
  const state = new Map(); // 1: on the way, 2: done
  const visit = (v) => {
    state.set(v, 1);
    for (const e of v.out) {
      e.back = state.get(e.to) === 1;
      if (!state.has(e.to)) visit(e.to);
    }
    state.set(v, 2);
  };
  for (const v of [...nodes.filter((v) => !reached.has(v)), ...nodes.filter((v) => !v.res), ...nodes]) if (!state.has(v)) visit(v);
}

// layers puts each node to the right of those that wait for it.
function layers(nodes, edges) {
  turnBack(nodes);
  for (const v of nodes) v.layer = v.res ? 1 : 0;
  for (let round = 0; round < nodes.length; round++) {
    let moved = false;
    for (const e of edges) {
      if (!e.back && e.to.layer <= e.from.layer) {
        e.to.layer = e.from.layer + 1;
        moved = true;
      }
    }
    if (!moved) break;
  }
  const reached = new Set(edges.map((e) => e.to));
  for (const v of nodes) if (!reached.has(v) && v.out.length) v.layer = Math.min(...v.out.map((e) => e.to.layer)) - 1; // close to what it waits for
  const out = [];
  for (const v of nodes) (out[v.layer] ??= []).push(v);
  return out.filter(Boolean);
}

// graph draws and gives a sentence about what is seen.
export function graph(svg, names) {
  const { nodes, edges } = build(names);
  const columns = layers(nodes, edges);
  const rows = Math.max(1, ...columns.map((c) => c.length));
  const room = edges.some((e) => e.back) ? 40 : 0; // below, for the way back
  const height = rows * (TALL + GAP) + GAP, width = columns.length * (WIDE + BETWEEN) - BETWEEN + 20 + (columns.at(-1)?.some((v) => v.out.length) ? BETWEEN : 0);
  columns.forEach((column, x) => {
    const from = (height - column.length * (TALL + GAP) + GAP) / 2;
    column.forEach((v, y) => {
      v.x = 10 + x * (WIDE + BETWEEN);
      v.y = from + y * (TALL + GAP);
    });
  });
  const tip = (id, style) => draw("marker", { id, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, orient: "auto", markerUnits: "userSpaceOnUse" },
    draw("path", { d: "M0 0L8 4L0 8z", class: style }));
  svg.setAttribute("width", nodes.length ? width : 0);
  svg.setAttribute("height", nodes.length ? height + room : 0);
  svg.setAttribute("viewBox", `0 0 ${Math.max(width, 1)} ${height + room}`);
  let low = height;
  const lines = edges.map((e) => line(e, e.back ? Math.min((low += 10), height + room - 6) : 0));
  svg.replaceChildren(draw("defs", {}, tip("tip", "tip")), ...lines, ...nodes.map(box), ...edges.flatMap(label));
  const red = edges.filter((e) => e.circle).length;
  if (!nodes.length) return "Nobody waits.";
  return `From left to right: who waits, for which name, held by whom. Dashed: waits. ${red ? "Red: a circle, a deadlock unless it has just been ended." : "No circle is seen."}`;
}

const ends = (e) => [e.from.x + WIDE, e.from.y + TALL / 2, e.to.x, e.to.y + TALL / 2];

// line draws an edge; low is how far down it goes on its way back, 0: it does not go back.
function line(e, low) {
  const [x1, y1, x2, y2] = ends(e), bend = (x2 - x1) / 2;
  const d = low
    ? `M${x1} ${y1}C${x1 + 50} ${y1} ${x1 + 50} ${low} ${x1} ${low}L${x2} ${low}C${x2 - 14} ${low} ${x2 - 14} ${y2} ${x2} ${y2}`
    : `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
  return draw("path", { class: `edge${e.waits ? " waits" : ""}${e.circle ? " circle" : ""}`, "marker-end": "url(#tip)", d });
}

// label writes what an edge says beside its beginning: several that wait come together at
// the name.
function label(e) {
  const [x1, y1] = ends(e);
  return e.label ? [draw("text", { class: "small label", x: x1 + 6, y: y1 - 4 }, e.label)] : [];
}

function box(v) {
  const cut = (s, n) => (s.length > n ? s.slice(0, n - 1) + "…" : s);
  return draw("g", {}, draw("title", {}, v.title),
    draw("rect", { class: v.res ? "res" : "party", x: v.x, y: v.y, width: WIDE, height: TALL, rx: v.res ? 6 : 20 }),
    draw("text", { x: v.x + WIDE / 2, y: v.y + (v.small ? 17 : 24), "text-anchor": "middle" }, cut(v.title, 24)),
    draw("text", { class: "small", x: v.x + WIDE / 2, y: v.y + 32, "text-anchor": "middle" }, v.small));
}
