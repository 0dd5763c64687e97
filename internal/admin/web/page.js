// The page asks the node's documents every two seconds and shows what they say. All that
// they say is shown as text.

import { chart, count, duration, make } from "./chart.js";
import { graph, who } from "./graph.js";

const EVERY = 2000; // ms
const SPAN = 240; // s that charts show
const WINDOW = 10; // s over which rates and quantiles are taken
const WAYS = { "at-once": "at once", claimed: "under a claim", asked: "another node asked", waited: "waited" };

const $ = (id) => document.getElementById(id);
const asked = new URLSearchParams(location.search).get("lockspace"); // hex, of a link
let chosen = asked; // lockspace, by hex
let samples = []; // {t, instance, spaces: Map of hex: times}
let paused = false;

async function get(path) {
  const r = await fetch(path, { cache: "no-store" });
  const body = await r.json();
  if (!r.ok) throw new Error(body.error ?? `${path}: status ${r.status}`);
  return body;
}

// bytes writes a name for an address.
const bytes = (name) => name.hex.replace(/../g, "%$&");

const cell = (what, style) => make("td", style ? { class: style } : {}, what);

function rows(body, list, none, columns) {
  $(body).replaceChildren(...(list.length ? list : [make("tr", {}, make("td", { colspan: columns, class: "quiet" }, none))]));
}

function tile(value, label, bad) {
  return make("li", {}, make("b", bad ? { class: "bad" } : {}, value), make("span", {}, label));
}

function showStatus(status, members, spaces, times) {
  const pending = times.lockspaces.reduce((n, s) => n + s.pending, 0);
  const conflicts = times.lockspaces.reduce((n, s) => n + s.conflicts, 0);
  const present = members.members.filter((m) => m.state === "member");
  const down = status.links.filter((l) => l.state !== "up").length;
  $("where").textContent = `${status.cluster ? status.cluster + ", " : ""}node ${status.node}`;
  document.title = `lockify ${status.cluster} node ${status.node}`;
  $("tiles").replaceChildren(
    tile(present.length, present.length === 1 ? "member" : "members"),
    tile(down, "links down", down > 0),
    tile(count(status.sessions), "clients"),
    tile(spaces.length, "lockspaces"),
    tile(count(status.totals.locks), "locks"),
    tile(count(pending), "operations under way"),
    tile(count(conflicts), "wrong claims", conflicts > 0),
    tile(duration(status.uptime_s), "up"),
  );
  $("waits").hidden = !members.waits;
  $("waits").textContent = members.waits ? `This node takes no part: ${members.waits}` : "";
  const links = new Map(status.links.map((l) => [l.peer, l]));
  rows("members", members.members.map((m) => {
    const l = links.get(m.node);
    return make("tr", {},
      cell(m.node === status.node ? `${m.node} (this one)` : m.node),
      cell(m.state + (m.fence ? `: ${m.fence}` : ""), m.state === "member" ? "good" : "bad"),
      cell(m.link, m.link === "up" || m.link === "self" ? "good" : "bad"),
      cell(l && l.rtt_us ? duration(l.rtt_us / 1e6) : "–", "n"), cell(l ? `${count(l.queued_bytes)}B` : "–", "n"),
      cell((m.vote ? "yes" : "–") + (m.node === members.leader ? ", leader" : "")), cell(m.lockspaces, "n"), cell(m.addr || "–", "name"));
  }), "No member is known.", 8);
}

function showSpaces(spaces, times) {
  const of = new Map(times.lockspaces.map((s) => [s.name.hex, s]));
  rows("spaces", spaces.map((s) => {
    const button = make("button", { type: "button", class: "name", "aria-pressed": String(s.name.hex === chosen) }, s.name.text);
    button.addEventListener("click", () => {
      chosen = s.name.hex;
      round();
    });
    const t = of.get(s.name.hex), r = rates(s.name.hex).at(-1);
    const sum = r ? Object.values(r.ways).reduce((n, w) => n + w.rate, 0) : null;
    return make("tr", {}, cell(button), cell(s.epoch, "n"), cell(count(s.totals.resources), "n"), cell(count(s.totals.locks), "n"),
      cell(t ? count(t.pending) : "–", "n"), cell(sum === null ? "–" : count(sum), "n"), cell(count(s.totals.claims.open), "n"),
      cell(count(s.totals.held.now), "n"), cell(t ? count(t.conflicts) : "–", t && t.conflicts ? "n bad" : "n"),
      cell(s.recovering_shards ? `${s.recovering_shards} of ${s.shards} shards wait` : "done", s.recovering_shards ? "bad" : "good"));
  }), "No lockspace is open.", 10);
}

// quantile gives seconds, null if nothing was counted.
function quantile(counts, bounds, q) {
  const total = counts.reduce((a, b) => a + b, 0);
  if (!total) return null;
  let left = q * total;
  for (let i = 0; i < counts.length; i++) {
    if (left <= counts[i] && counts[i]) {
      const high = i < bounds.length ? bounds[i] : bounds.at(-1) * 2, low = high / 2;
      return (low * (high / low) ** (left / counts[i])) / 1e9;
    }
    left -= counts[i];
  }
  return bounds.at(-1) / 1e9;
}

// rates gives, for each sample but the first, what has been since the one WINDOW before.
function rates(hex) {
  const out = [];
  let first = 0;
  for (let i = 1; i < samples.length; i++) {
    while (first < i - 1 && samples[i].t - samples[first].t > WINDOW) first++;
    const now = samples[i], then = samples[first], a = now.spaces.get(hex);
    const b = now.instance === then.instance ? then.spaces.get(hex) : null; // a new start counts from 0
    if (!a || !b) continue;
    const ways = {};
    for (const way of Object.keys(WAYS)) {
      const old = b.grants[way].counts, counts = a.grants[way].counts.map((n, k) => n - (old[k] ?? 0));
      const n = counts.reduce((x, y) => x + y, 0);
      ways[way] = { rate: n / (now.t - then.t), half: quantile(counts, now.bounds, 0.5), p99: quantile(counts, now.bounds, 0.99) };
    }
    out.push({ t: now.t, ways });
  }
  return out;
}

function showTimes(now) {
  const r = chosen ? rates(chosen) : [];
  const seen = Object.keys(WAYS).map((way, i) => ({ way, style: `s${i + 1}` })).filter(({ way }) => r.some((p) => p.ways[way].rate > 0));
  const line = (value, suffix, half) => seen.map(({ way, style }) => ({
    label: WAYS[way] + suffix, style, half, points: r.map((p) => ({ t: p.t, v: p.ways[way][value] })),
  }));
  chart($("latency"), $("latency-key"), [...line("p99", " p99", false), ...line("half", " median", true)], { now, span: SPAN, write: duration, log: true });
  chart($("rate"), $("rate-key"), line("rate", "", false), { now, span: SPAN, write: count, log: false });
}

function showHot(hot, missing) {
  $("hot-note").textContent = (hot.all > hot.names.length
    ? `The first ${hot.names.length} of ${hot.all} names that somebody waits for, on all nodes`
    : "Names that somebody waits for, on all nodes") + (missing.length ? `; ${missing.map((u) => `node ${u.node}`).join(", ")} did not say` : "");
  const some = (list, all, text) => list.slice(0, 3).map(text).join("; ") + (all > 3 ? `; ${all - 3} more` : "");
  rows("hot", hot.names.map((n) => make("tr", {}, cell(n.name.text, "name"), cell(n.master || "–", "n"), cell(n.waits, "n"), cell(duration(n.wait_s), "n"),
    cell(some(n.holders, n.holds, (l) => `${who(l)} ${l.granted} for ${duration(l.age_s)}`)),
    cell(n.waiters.length ? `${who(n.waiters[0])} wants ${n.waiters[0].wanted}` : "–"))), "Nobody waits.", 6);
  $("graph-note").textContent = graph($("graph"), hot.names);
}

async function round() {
  try {
    const [status, members, spaces, times] = await Promise.all(["/v1/status", "/v1/members", "/v1/lockspaces", "/v1/times"].map(get));
    const t = performance.now() / 1000;
    if (!samples.length || t - samples.at(-1).t >= EVERY / 2000) {
      samples.push({ t, instance: status.instance, bounds: times.bounds_ns, spaces: new Map(times.lockspaces.map((s) => [s.name.hex, s])) });
    }
    samples = samples.filter((s) => t - s.t <= SPAN);
    if (!spaces.some((s) => s.name.hex === chosen)) chosen = null;
    const space = spaces.find((s) => s.name.hex === chosen) ?? spaces.toSorted((a, b) => b.totals.locks - a.totals.locks)[0];
    chosen = space ? space.name.hex : null;
    for (const e of document.querySelectorAll(".of")) e.textContent = space ? `in ${space.name.text}` : "";
    showStatus(status, members, spaces, times);
    showSpaces(spaces, times);
    showTimes(t);
    const top = space ? await get(`/v1/top?lockspace=${bytes(space.name)}`) : { waited: { all: 0, names: [] }, unreached: [] };
    showHot(top.waited, top.unreached);
    say(`as of ${new Date().toLocaleTimeString()}`, false);
  } catch (err) {
    say(`The node does not answer, what is below is old: ${err.message}`, true);
  }
}

// say changes the state only if it is another one in kind: who hears the page is not told
// the time again and again.
function say(text, bad) {
  const e = $("state");
  e.setAttribute("aria-live", bad === e.classList.contains("bad") ? "off" : "polite");
  e.classList.toggle("bad", bad);
  e.textContent = text;
}

$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", String(paused));
  $("pause").textContent = paused ? "Go on" : "Pause";
});

async function go() {
  if (!paused && !document.hidden) await round();
  setTimeout(go, EVERY);
}
go();
