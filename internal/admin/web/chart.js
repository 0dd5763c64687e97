// Charts of a few lines over time, as SVG, and the elements that the page is made of.
// All text goes into text nodes: names are whatever programs say.

const SVG = "http://www.w3.org/2000/svg";

// make gives an element. attributes: see set; children: elements, or text.
export function make(tag, attributes = {}, ...children) {
  const e = document.createElement(tag);
  set(e, attributes);
  e.append(...children.map((c) => (c instanceof Node ? c : String(c))));
  return e;
}

export function draw(tag, attributes = {}, ...children) {
  const e = document.createElementNS(SVG, tag);
  set(e, attributes);
  e.append(...children.map((c) => (c instanceof Node ? c : String(c))));
  return e;
}

function set(e, attributes) {
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
}

// duration writes seconds.
export function duration(s) {
  if (s === 0) return "0";
  if (s < 1e-6) return Math.round(s * 1e9) + " ns";
  if (s < 1e-3) return tidy(s * 1e6) + " µs";
  if (s < 1) return tidy(s * 1e3) + " ms";
  if (s < 120) return tidy(s) + " s";
  if (s < 7200) return Math.round(s / 60) + " min";
  if (s < 172800) return Math.round(s / 3600) + " h";
  return Math.round(s / 86400) + " d";
}

function tidy(v) {
  return v >= 100 ? String(Math.round(v)) : String(Number(v.toPrecision(2)));
}

// count writes a number.
export function count(v) {
  if (v < 1000) return String(Math.round(v * 10) / 10);
  if (v < 1e6) return tidy(v / 1e3) + " k";
  return tidy(v / 1e6) + " M";
}

const W = 620, H = 210, LEFT = 62, RIGHT = 10, TOP = 8, BOTTOM = 22;

// chart draws lines into svg and their key into list. A line is {label, style, half, points},
// a point {t, v}: v null leaves a gap. now and span are seconds. log: decades on the y axis.
export function chart(svg, list, lines, { now, span, write, log }) {
  svg.setAttribute("viewBox", `0 0 ${W} ${H}`);
  svg.setAttribute("role", "img");
  const values = lines.flatMap((l) => l.points.map((p) => p.v)).filter((v) => v !== null && v > 0);
  const high = values.length ? Math.max(...values) : 1e-3;
  const low = values.length ? Math.min(...values) : 1e-6;
  const scale = log ? decades(low, high) : linear(values.length ? high : 1);
  const x = (t) => LEFT + (W - LEFT - RIGHT) * (1 - (now - t) / span);
  const y = (v) => H - BOTTOM - (H - TOP - BOTTOM) * scale.at(v);
  const parts = [];
  for (const tick of scale.ticks) {
    parts.push(draw("line", { class: "grid", x1: LEFT, x2: W - RIGHT, y1: y(tick), y2: y(tick) }));
    parts.push(draw("text", { x: LEFT - 6, y: y(tick) + 4, "text-anchor": "end" }, write(tick)));
  }
  for (const ago of [span, span / 2, 0]) {
    const anchor = ago === 0 ? "end" : ago === span ? "start" : "middle";
    parts.push(draw("text", { x: x(now - ago), y: H - 5, "text-anchor": anchor }, ago === 0 ? "now" : "−" + duration(ago)));
  }
  for (const l of lines) {
    parts.push(draw("path", { class: l.style + (l.half ? " half" : ""), d: path(l.points, x, y, log) }));
  }
  svg.replaceChildren(...parts);
  const last = (l) => (l.points.length ? l.points[l.points.length - 1].v : null);
  const shown = (l) => (last(l) === null ? "–" : write(last(l)));
  svg.setAttribute("aria-label", lines.length ? lines.map((l) => `${l.label}: ${shown(l)}`).join(", ") : "nothing yet");
  list.replaceChildren(...lines.map((l) => make("li", {},
    draw("svg", { viewBox: "0 0 26 8", "aria-hidden": "true" }, draw("path", { class: l.style + (l.half ? " half" : ""), d: "M0 4H26", "stroke-width": 2 })),
    `${l.label} ${shown(l)}`)));
  if (!lines.length) list.replaceChildren(make("li", {}, "nothing yet"));
}

function path(points, x, y, log) {
  let d = "", pen = "M";
  for (const p of points) {
    if (p.v === null || (log && p.v <= 0)) {
      pen = "M";
      continue;
    }
    d += `${pen}${x(p.t).toFixed(1)} ${y(p.v).toFixed(1)}`;
    if (pen === "M") d += "h.1"; // a point alone is seen, too
    pen = "L";
  }
  return d;
}

function decades(low, high) {
  const from = Math.floor(Math.log10(low)), to = Math.max(Math.ceil(Math.log10(high)), from + 1);
  const ticks = [];
  for (let e = from; e <= to; e++) ticks.push(10 ** e);
  return { ticks, at: (v) => (Math.log10(v) - from) / (to - from) };
}

function linear(high) {
  const step = 10 ** Math.floor(Math.log10(high));
  const top = Math.ceil(high / step) * step;
  return { ticks: [0, top / 2, top], at: (v) => v / top };
}
