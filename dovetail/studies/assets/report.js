"use strict";
// Reads the study, holds which design is selected, and fills everything that is not a chart.

const FRONT = DATA.front;
const METRICS = Object.fromEntries(DATA.metrics.map((m) => [m.key, m]));
const KEYS = DATA.metrics.map((m) => m.key);
const INDEX = new Map(FRONT.rows.map((row, i) => [row, i]));
const state = { row: null, sort: KEYS[0], descending: false, quantity: "cycles" };

function energy(pj) {
  const steps = [[1e12, "J"], [1e9, "mJ"], [1e6, "µJ"], [1e3, "nJ"]];
  for (const [step, unit] of steps) if (pj >= step) return `${fmt(pj / step, 3)} ${unit}`;
  return `${fmt(pj, 3)} pJ`;
}

const sum = (values) => values.reduce((a, b) => a + b, 0);
const words = (name) => name.replaceAll("_", " ");
const title = (key) => METRICS[key].unit ? `${METRICS[key].label} (${METRICS[key].unit})` : METRICS[key].label;
const scaled = (key, value) => value === null || value === undefined ? null : value * METRICS[key].factor;
const valueOf = (points, key) => points.metrics[key].map((v) => scaled(key, v));
const withUnit = (key, value) => METRICS[key].unit ? `${fmt(scaled(key, value))} ${METRICS[key].unit}` : fmt(scaled(key, value));
const knobValue = (k, design) => DATA.knobs[k].values[design[k]];

function interval(key, i) {
  const at = (end) => FRONT.metrics[`${key}_${end}`][i];
  return METRICS[key].interval && at("low") !== null && at("high") !== null ? [at("low"), at("high")] : null;
}

// Figures of a design, error told as accuracy with its interval.
function figures(i) {
  return KEYS.map((key) => {
    const value = FRONT.metrics[key][i];
    const range = interval(key, i);
    if (key === "error" && value !== null) {
      const note = range && `95 % CI ${fmt(100 - 100 * range[1])} – ${fmt(100 - 100 * range[0])} %`;
      return ["Accuracy", `${fmt(100 - 100 * value)} %`, note];
    }
    const note = range && `${fmt(scaled(key, range[0]))} – ${fmt(scaled(key, range[1]))}`;
    return [METRICS[key].label, withUnit(key, value), note];
  });
}

function fillHeader() {
  const f = DATA.facts;
  byId("title").textContent = DATA.name;
  const space = f.space < 1e6 ? fmt(f.space, 6) : Number(f.space).toExponential(1).replace("e+", "e");
  byId("subtitle").textContent = `Agent ${f.agent} · seed ${f.seed} · space of ${space} designs · ` +
    `minimising ${f.objectives.map((name) => name.replace(/^[A-Z](?![A-Z])/, (c) => c.toLowerCase())).join(", ")}`;
  const facts = byId("facts");
  const grouped = (n) => n.toLocaleString("en");
  tile(facts, grouped(f.evaluations), "evaluations", f.evaluations < f.budget ? `of ${grouped(f.budget)}` : "");
  tile(facts, f.evaluations ? `${fmt((100 * f.feasible) / f.evaluations, 3)} %` : "–", "feasible designs");
  tile(facts, grouped(f.front), "designs on the front");
  tile(facts, fmt(f.hypervolume), "hypervolume");
  tile(facts, duration(f.seconds), "search time");
  tile(facts, f.seconds ? si(f.evaluations / f.seconds) : "–", "designs per second");
  byId("spec").textContent = DATA.spec;
  byId("footer").textContent = `Dovetail ${f.version} · study begun ${f.created.replace("T", " ").replace("+00:00", " UTC")} · this file needs no network.`;
}

function varied() {
  return DATA.knobs.map((_, k) => k).filter((k) => new Set(FRONT.designs.map((d) => d[k])).size > 1);
}

function fillTable() {
  const table = byId("designs");
  const rows = [...DATA.chosen];
  const factor = state.descending ? -1 : 1;
  const keyOf = (row) => state.sort === "#" ? row : FRONT.metrics[state.sort][INDEX.get(row)];
  rows.sort((a, b) => factor * (keyOf(a) - keyOf(b)));
  state.order = rows;
  const head = make("tr");
  for (const key of ["#", ...KEYS]) {
    const mark = key === state.sort ? (state.descending ? " ↓" : " ↑") : "";
    const cell = make("th", (key === "#" ? "design" : title(key)) + mark, "sortable");
    cell.onclick = () => {
      state.descending = key === state.sort && !state.descending;
      state.sort = key;
      fillTable();
    };
    head.append(cell);
  }
  const knobs = varied().slice(0, 12);
  for (const k of knobs) head.append(make("th", DATA.knobs[k].label));
  const body = make("tbody");
  for (const row of rows) {
    const i = INDEX.get(row);
    const line = make("tr");
    line.dataset.row = row;
    line.append(make("td", `#${row}`));
    for (const key of KEYS) line.append(make("td", fmt(scaled(key, FRONT.metrics[key][i]))));
    for (const k of knobs) line.append(make("td", String(knobValue(k, FRONT.designs[i]))));
    line.onclick = () => select(row);
    body.append(line);
  }
  const top = make("thead");
  top.append(head);
  table.replaceChildren(top, body);
  const all = DATA.facts.front;
  byId("table-note").textContent = all > rows.length
    ? `${rows.length} of ${all}, spread evenly over the front` : `all ${all}`;
  markRow();
}

function markRow() {
  for (const line of byId("designs").querySelectorAll("tbody tr"))
    line.classList.toggle("selected", Number(line.dataset.row) === state.row);
}

function fillDesign() {
  const i = INDEX.get(state.row);
  byId("design-title").textContent = `Design #${state.row}`;
  const list = byId("design-metrics");
  list.replaceChildren();
  for (const [name, value, note] of figures(i)) {
    const line = make("div");
    const told = make("dd", value);
    if (note) told.append(make("small", note));
    line.append(make("dt", name), told);
    list.append(line);
  }
  const knobs = byId("design-knobs");
  knobs.replaceChildren();
  DATA.knobs.forEach((knob, k) => {
    const line = make("div");
    line.append(make("dt", knob.label), make("dd", String(knobValue(k, FRONT.designs[i]))));
    knobs.append(line);
  });
}

function shares(parent, entries, tell) {
  const total = sum(entries.map(([, value]) => value)) || 1;
  parent.replaceChildren();
  for (const [name, value] of entries) {
    const line = make("div", undefined, "bar");
    const track = make("div");
    const fill = make("i");
    fill.style.width = `${(100 * value) / total}%`;
    fill.style.background = colour(name);
    track.append(fill);
    const part = (100 * value) / total;
    line.append(make("span", words(name)), track, make("span", `${tell(value)} · ${part < 0.1 && part > 0 ? "<0.1" : part.toFixed(1)} %`));
    parent.append(line);
  }
}

const columnTotals = (columns) => Object.entries(columns).map(([name, values]) => [name, sum(values)]);

function fillDetail() {
  const report = DATA.details[state.row];
  const some = Object.keys(DATA.details).length > 0;
  byId("detail").hidden = !some;
  if (!some) return;
  for (const part of [...byId("detail").children].slice(1)) part.hidden = !report;
  byId("detail-title").textContent = `Inside design #${state.row}`;
  byId("detail-note").textContent = report
    ? `${report.network} · ${report.fidelity} fidelity · ${fmt(report.clock_mhz)} MHz`
    : "Only the designs in the table above were simulated in detail: choose one there.";
  if (!report) return;
  const ops = report.operators;
  const tiles = byId("detail-tiles");
  tiles.replaceChildren();
  const cycles = sum(ops.cycles);
  tile(tiles, si(cycles), "cycles");
  tile(tiles, `${fmt(cycles / report.clock_mhz / 1e3)} ms`, "latency");
  tile(tiles, energy(sum(columnTotals(ops.energy_pj).map(([, v]) => v))), "energy");
  tile(tiles, `${fmt((100 * sum(ops.macs)) / (cycles * report.peak_macs_per_cycle), 3)} %`, "utilization");
  tile(tiles, si(sum(ops.macs)), "MACs");
  tile(tiles, si(sum(ops.dram_bytes), "B"), "DRAM traffic");
  tile(tiles, `${fmt(report.area_mm2)} mm²`, "area");
  shares(byId("cycles-share"), [["compute", sum(ops.compute_cycles)], ...columnTotals(ops.stall_cycles)], (v) => si(v));
  shares(byId("energy-share"), columnTotals(ops.energy_pj), energy);
  fillSlowest(report);
  drawOperators(report);
  drawRoofline(report);
}

function fillSlowest(report) {
  const ops = report.operators;
  const total = sum(ops.cycles);
  const order = ops.cycles.map((_, i) => i).sort((a, b) => ops.cycles[b] - ops.cycles[a]).slice(0, 10);
  const head = make("tr");
  for (const [name, kind] of [["operator", "text"], ["kind", "text"], ["engine", "text"], ["cycles"], ["of all"], ["utilization"], ["MACs"], ["DRAM bytes"], ["largest part", "text"]])
    head.append(make("th", name, kind));
  const body = make("tbody");
  for (const i of order) {
    const parts = [["compute", ops.compute_cycles[i]], ...Object.entries(ops.stall_cycles).map(([n, v]) => [n, v[i]])];
    const [cause, most] = parts.reduce((a, b) => (b[1] > a[1] ? b : a));
    const line = make("tr");
    for (const text of [ops.name[i], ops.kind[i], ops.engine[i]]) line.append(make("td", text, "text"));
    for (const text of [si(ops.cycles[i]), `${((100 * ops.cycles[i]) / total).toFixed(1)} %`, `${(100 * ops.utilization[i]).toFixed(1)} %`, si(ops.macs[i]), si(ops.dram_bytes[i])])
      line.append(make("td", text));
    line.append(make("td", `${words(cause)} ${((100 * most) / Math.max(ops.cycles[i], 1)).toFixed(0)} %`, "text"));
    body.append(line);
  }
  const top = make("thead");
  top.append(head);
  byId("slowest").replaceChildren(top, body);
}

function select(row) {
  state.row = row;
  try { history.replaceState(null, "", `#design-${row}`); } catch { /* some viewers forbid it */ }
  fillDesign();
  markRow();
  fillDetail();
  drawFront();
  drawParallel();
  const line = byId("designs").querySelector("tr.selected");
  const box = byId("designs").parentElement;
  if (line) box.scrollTop = line.offsetTop - box.clientHeight / 2;
}

function step(by) {
  const at = state.order.indexOf(state.row);
  const next = at < 0 ? 0 : (at + by + state.order.length) % state.order.length;
  select(state.order[next]);
}

// The design to begin with: the one named in the address, else the best compromise.
function first() {
  const named = Number((location.hash.match(/^#design-(\d+)$/) || [])[1]);
  if (INDEX.has(named)) return named;
  const keys = DATA.metrics.filter((m) => m.objective).map((m) => m.key);
  const ranks = keys.map((key) => {
    const values = DATA.chosen.map((row) => FRONT.metrics[key][INDEX.get(row)]);
    const order = values.map((_, i) => i).sort((a, b) => values[a] - values[b]);
    const rank = [];
    order.forEach((i, place) => { rank[i] = place; });
    return rank;
  });
  const worst = DATA.chosen.map((_, i) => Math.max(...ranks.map((rank) => rank[i])));
  return DATA.chosen[worst.indexOf(Math.min(...worst))];
}
