"use strict";
// The charts: front, operators, roofline, convergence (Plotly) and parallel coordinates (SVG).

const COLOURS = {
  compute: "#3f7de0", tiling: "#e3a12f", fill: "#9a76d6", drain: "#45b0a1", memory: "#e0565b",
  mac: "#3f7de0", vector: "#45b0a1", input_sram: "#f0c15a", weight_sram: "#e08f35",
  output_sram: "#b7a13d", dram: "#e0565b", leakage: "#98a2b3", static: "#98a2b3",
};
// Dark to light, yet legible on both a white and a black page.
const RAMP = [[91, 76, 196], [47, 126, 193], [38, 166, 154], [124, 200, 92], [244, 209, 63]];
const RAMP_SCALE = RAMP.map((c, i) => [i / (RAMP.length - 1), `rgb(${c.join(",")})`]);
const PRESENT = "evaluation";

function colour(name) {
  if (COLOURS[name]) return COLOURS[name];
  let hash = 0;
  for (const c of name) hash = (hash * 31 + c.charCodeAt(0)) >>> 0;
  return CYCLE[hash % CYCLE.length];
}

function ramp(t) {
  const at = Math.min(Math.max(t, 0), 1) * (RAMP.length - 1);
  const i = Math.min(Math.floor(at), RAMP.length - 2);
  const mix = RAMP[i].map((a, c) => Math.round(a + (at - i) * (RAMP[i + 1][c] - a)));
  return `rgb(${mix.join(",")})`;
}

// A logarithmic axis where values span enough to be worth one, with sparse 1-2-5 ticks.
function scaleOf(values) {
  const known = values.filter((v) => v !== null);
  const low = Math.min(...known);
  const high = Math.max(...known);
  if (!known.length || !(low > 0) || high / low < 6) return { type: "linear" };
  return { type: "log", dtick: high / low > 300 ? 1 : "D2", minor: { dtick: "D1", showgrid: false } };
}

// 1, 2 and 5 of every decade that values span.
function decades(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const ticks = [];
  for (let decade = 10 ** Math.floor(Math.log10(low)); decade <= high; decade *= 10)
    for (const digit of [1, 2, 5]) if (digit * decade >= low && digit * decade <= high) ticks.push(digit * decade);
  return ticks.length > 8 ? ticks.filter((v) => Number.isInteger(Math.round(Math.log10(v) * 1e6) / 1e6)) : ticks;
}

function hoverText(points, i) {
  const lines = KEYS.map((key) => `${plain(METRICS[key].label)} ${plain(withUnit(key, points.metrics[key][i]))}`);
  return `<b>Design #${points.rows[i]}</b><br>${lines.join("<br>")}`;
}

function planeFront(xs, ys) {
  const order = xs.map((_, i) => i).sort((a, b) => xs[a] - xs[b] || ys[a] - ys[b]);
  let least = Infinity;
  return order.filter((i) => ys[i] < least && ((least = ys[i]), true));
}

// Confidence intervals of the points in `order`.
function bars(key, order) {
  if (!METRICS[key].interval) return undefined;
  const reach = (end, sign) => order.map((i) => {
    const [bound, middle] = [FRONT.metrics[`${key}_${end}`][i], FRONT.metrics[key][i]];
    return bound === null ? 0 : Math.max(0, sign * (scaled(key, bound) - scaled(key, middle)));
  });
  return { type: "data", symmetric: false, array: reach("high", 1), arrayminus: reach("low", -1), thickness: 1.2, width: 3, color: css("--mark") };
}

function drawFront() {
  const [x, y, z, c] = ["x", "y", "z", "c"].map((a) => byId(`axis-${a}`).value);
  const solid = z !== "";
  const place = (points) => {
    const at = { x: valueOf(points, x), y: valueOf(points, y) };
    if (solid) at.z = valueOf(points, z);
    return at;
  };
  const type = solid ? "scatter3d" : "scatter";
  const shades = c === PRESENT ? FRONT.rows : valueOf(FRONT, c);
  const ticks = shades.every((v) => v > 0) && c !== PRESENT && scaleOf(shades).type === "log" ? decades(shades) : null;
  const front = place(FRONT);
  const cloud = {
    ...place(DATA.cloud), type, mode: "markers", name: "dominated", hoverinfo: "skip",
    marker: { size: solid ? 2 : 4, color: css("--cloud"), opacity: solid ? 0.35 : 0.4 },
  };
  const points = {
    ...front, type, mode: "markers", name: "front", showlegend: true,
    customdata: FRONT.rows, text: FRONT.rows.map((_, i) => hoverText(FRONT, i)), hovertemplate: "%{text}<extra></extra>",
    marker: {
      size: solid ? 5 : 10, color: ticks ? shades.map(Math.log10) : shades, colorscale: RAMP_SCALE, line: { width: solid ? 0 : 1, color: css("--card") },
      colorbar: { title: { text: c === PRESENT ? "Evaluation" : title(c), side: "right", font: { size: 12 } }, thickness: 12, outlinewidth: 0, tickfont: { size: 11 }, len: 0.9, ...(ticks ? { tickvals: ticks.map(Math.log10), ticktext: ticks.map((v) => fmt(v, 3)) } : {}) },
    },
  };
  const traces = [cloud, points];
  if (!solid) {
    const order = planeFront(front.x, front.y);
    traces.push({
      x: order.map((i) => front.x[i]), y: order.map((i) => front.y[i]), type, mode: "lines", name: "front in this plane",
      hoverinfo: "skip", line: { shape: "hv", width: 1.5, dash: "dash", color: css("--mark") },
      error_x: bars(x, order), error_y: bars(y, order),
    });
  }
  const chosen = INDEX.get(state.row);
  traces.push({
    x: [front.x[chosen]], y: [front.y[chosen]], z: solid ? [front.z[chosen]] : undefined, type, mode: "markers",
    name: "selected", hoverinfo: "skip",
    marker: { size: solid ? 8 : 15, symbol: "diamond", color: css("--mark"), line: { width: 2, color: css("--card") } },
  });
  const span = (points_, key) => scaleOf([...valueOf(points_, key), ...valueOf(DATA.cloud, key)]);
  const flat = { xaxis: axis(title(x), span(FRONT, x)), yaxis: axis(title(y), span(FRONT, y)) };
  const face = (key) => ({ ...axis(title(key), span(FRONT, key)), backgroundcolor: "rgba(0,0,0,0)", gridcolor: css("--cloud"), gridwidth: 0.5, title: { text: title(key), font: { size: 12 } } });
  const deep = () => ({ scene: { xaxis: face(x), yaxis: face(y), zaxis: face(z), camera: { eye: { x: 1.35, y: 1.35, z: 0.75 }, center: { x: 0, y: 0, z: -0.12 } } }, margin: { l: 0, r: 0, t: 24, b: 0 } });
  const node = byId("front");
  const mode = [x, y, z].join("/");
  Plotly.react(node, traces, layout({ ...(solid ? deep() : flat), uirevision: mode }), CONFIG).then(() => {
    node.removeAllListeners("plotly_click");
    node.on("plotly_click", (event) => {
      const row = event.points.map((p) => p.customdata).find((r) => r !== undefined);
      if (row !== undefined && row !== state.row) select(row);
    });
  });
}

function drawOperators(report) {
  const ops = report.operators;
  const places = ops.name.map((_, i) => i);
  const inCycles = state.quantity === "cycles";
  const parts = inCycles ? { compute: ops.compute_cycles, ...ops.stall_cycles } : ops.energy_pj;
  const told = ops.name.map((name, i) => `<b>${plain(name)}</b> (${plain(ops.kind[i])})`);
  const factor = inCycles ? 1 : 1e-6;
  const traces = Object.entries(parts).filter(([, values]) => values.some((v) => v > 0)).map(([name, values]) => ({
    type: "bar", name: words(name), x: places, y: values.map((v) => v * factor), text: told, textposition: "none",
    customdata: values.map((v) => (inCycles ? `${si(v)} cycles` : energy(v))), marker: { color: colour(name), line: { width: 0 } },
    hovertemplate: `%{text}<br>${plain(words(name))}: %{customdata}<extra></extra>`,
  }));
  traces.push({
    type: "bar", name: "utilization", showlegend: false, x: places, y: ops.utilization.map((v) => 100 * v), yaxis: "y2",
    text: told, textposition: "none", marker: { color: css("--accent"), opacity: 0.75, line: { width: 0 } },
    hovertemplate: "%{text}<br>utilization: %{y:.1f} %<extra></extra>",
  });
  const few = places.length <= 40;
  const short = (name) => (name.length > 16 ? `${name.slice(0, 7)}…${name.slice(-8)}` : name);
  Plotly.react("operators", traces, layout({
    barmode: "stack", bargap: few ? 0.25 : 0.12, margin: { l: 64, r: 16, t: 12, b: few ? 84 : 40 },
    xaxis: axis(few ? "" : "operator", few
      ? { tickvals: places, ticktext: ops.name.map((n) => plain(short(n))), tickangle: -45, anchor: "y2", range: [-0.6, places.length - 0.4], showgrid: false, zeroline: false }
      : { showgrid: false, zeroline: false, anchor: "y2", range: [-0.6, places.length - 0.4] }),
    yaxis: axis(inCycles ? "Cycles" : "Energy (µJ)", { domain: [0.34, 1], rangemode: "tozero" }),
    yaxis2: axis("Utilization (%)", { domain: [0, 0.26], range: [0, 100], nticks: 3 }),
  }), CONFIG);
  for (const button of byId("operator-tabs").children)
    button.classList.toggle("active", button.dataset.quantity === state.quantity);
}

function drawRoofline(report) {
  const ops = report.operators;
  const peak = report.peak_macs_per_cycle;
  const bandwidth = report.dram_bytes_per_cycle;
  const shown = ops.name.map((_, i) => i).filter((i) => ops.macs[i] > 0 && ops.dram_bytes[i] > 0 && ops.cycles[i] > 0);
  const total = sum(ops.cycles);
  const intensity = (i) => ops.macs[i] / ops.dram_bytes[i];
  const ridge = peak / bandwidth;
  const span = [ridge, ...shown.map(intensity)];
  const low = Math.min(...span) / 3;
  const high = Math.max(...span) * 3;
  const roof = {
    type: "scatter", mode: "lines", name: "roof", hoverinfo: "skip", x: [low, ridge, high], y: [low * bandwidth, peak, peak],
    line: { color: css("--text"), width: 2 },
  };
  const kinds = [...new Set(shown.map((i) => ops.kind[i]))];
  const traces = kinds.map((kind, k) => {
    const mine = shown.filter((i) => ops.kind[i] === kind);
    return {
      type: "scatter", mode: "markers", name: plain(kind), x: mine.map(intensity), y: mine.map((i) => ops.macs[i] / ops.cycles[i]),
      text: mine.map((i) => `<b>${plain(ops.name[i])}</b><br>${fmt(intensity(i), 3)} MAC/B · ${fmt(ops.macs[i] / ops.cycles[i], 3)} MAC/cycle<br>utilization ${(100 * ops.utilization[i]).toFixed(1)} % · ${((100 * ops.cycles[i]) / total).toFixed(1)} % of all cycles`),
      hovertemplate: "%{text}<extra></extra>",
      marker: { size: mine.map((i) => 6 + 26 * Math.sqrt(ops.cycles[i] / total)), color: CYCLE[k % CYCLE.length], opacity: 0.75, line: { width: 1, color: css("--card") } },
    };
  });
  const log = { type: "log", dtick: 1, minor: { dtick: "D1", showgrid: false }, tickformat: "~s" };
  Plotly.react("roofline", [roof, ...traces], layout({
    xaxis: axis("MACs per DRAM byte", log), yaxis: axis("MACs per cycle", log), legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, itemsizing: "constant", font: { size: 12 } },
    annotations: [{ x: Math.log10(high), y: Math.log10(peak), xanchor: "right", yanchor: "bottom", showarrow: false, text: `peak ${fmt(peak)} MAC/cycle`, font: { size: 12, color: css("--muted") } },
      { x: Math.log10(Math.sqrt(low * ridge)), y: Math.log10(Math.sqrt(low * ridge) * bandwidth), xanchor: "right", yanchor: "bottom", showarrow: false, text: `DRAM ${fmt(bandwidth, 3)} B/cycle`, font: { size: 12, color: css("--muted") } }],
  }), CONFIG);
}

function drawConvergence() {
  const trace = DATA.convergence;
  const of = byId("convergence-of").value;
  const values = of === "hypervolume" ? trace.hypervolume : trace.best[of].map((v) => scaled(of, v));
  const name = of === "hypervolume" ? "Hypervolume" : `Best ${title(of)}`;
  const scale = of === "hypervolume" ? {} : scaleOf(values);
  const draw = (id, xs, label) => Plotly.react(id, [{
    type: "scatter", mode: "lines", x: xs, y: values, line: { shape: "hv", width: 2.5, color: css("--accent") },
    fill: of === "hypervolume" ? "tozeroy" : "none", fillcolor: css("--accent-soft"), hovertemplate: `%{x:,.4~g} → %{y:.5~g}<extra></extra>`,
  }], layout({ xaxis: axis(label, { rangemode: "tozero" }), yaxis: axis(name, { ...scale, ...(of === "hypervolume" ? { rangemode: "tozero" } : {}) }), showlegend: false }), CONFIG);
  draw("by-evaluations", trace.evaluations, "Evaluations");
  draw("by-seconds", trace.seconds, "Seconds of search");
}

function svg(tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// Axes of the parallel coordinates: knobs that vary on the front, then the objectives.
function parallelAxes() {
  const knobs = varied().map((k) => {
    const values = DATA.knobs[k].values;
    const every = Math.ceil(values.length / 13);
    return {
      name: DATA.knobs[k].label,
      at: (i) => (values.length > 1 ? FRONT.designs[i][k] / (values.length - 1) : 0.5),
      ticks: values.map((v, n) => [n / Math.max(values.length - 1, 1), String(v)]).filter((_, n) => n % every === 0),
    };
  });
  const targets = DATA.metrics.filter((m) => m.objective).map((m) => {
    const values = valueOf(FRONT, m.key);
    const log = scaleOf(values).type === "log";
    const to = (v) => (log ? Math.log(v) : v);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const from = (t) => (log ? Math.exp(to(low) + t * (to(high) - to(low))) : low + t * (high - low));
    return {
      name: title(m.key), strong: true, values,
      at: (i) => (high > low ? (to(values[i]) - to(low)) / (to(high) - to(low)) : 0.5),
      ticks: [0, 0.25, 0.5, 0.75, 1].map((t) => [t, fmt(from(t), 3)]),
    };
  });
  return [...knobs, ...targets];
}

function drawParallel() {
  const root = byId("parallel");
  // A single design leaves no knob that varies, and nothing to compare.
  root.closest("section").hidden = FRONT.rows.length < 2;
  const axes = parallelAxes();
  const gap = Math.max(86, (root.parentElement.clientWidth - 110) / Math.max(axes.length - 1, 1));
  const [left, top, height] = [44, 58, 260];
  const width = left + gap * (axes.length - 1) + 66;
  root.setAttribute("width", width);
  root.setAttribute("height", top + height + 16);
  root.replaceChildren();
  const y = (t) => top + height * (1 - t);
  const shade = axes.find((a) => a.strong);
  const some = FRONT.rows.map((_, i) => i).filter((i) => FRONT.rows.length <= 300 || DATA.chosen.includes(FRONT.rows[i]));
  const last = INDEX.get(state.row);
  for (const i of [...some.filter((j) => j !== last), last]) {
    const line = svg("polyline", {
      class: i === last ? "line selected" : "line", stroke: ramp(shade ? shade.at(i) : 0.5),
      points: axes.map((a, n) => `${left + n * gap},${y(a.at(i))}`).join(" "),
    });
    line.append(svg("title", {}, `Design #${FRONT.rows[i]}`));
    line.addEventListener("click", () => select(FRONT.rows[i]));
    root.append(line);
  }
  axes.forEach((a, n) => {
    const x = left + n * gap;
    root.append(svg("line", { class: "axis", x1: x, x2: x, y1: top, y2: top + height }));
    const name = svg("text", { class: "name", x, y: n % 2 && gap < 130 ? 16 : 36, "text-anchor": "middle" }, a.name);
    root.append(name);
    for (const [t, text] of a.ticks) root.append(svg("text", { class: "halo", x: x + 5, y: y(t) + 4 }, text));
  });
  const fixed = DATA.knobs.map((_, k) => k).filter((k) => !varied().includes(k));
  byId("parallel-note").textContent = shade ? `coloured by ${shade.name}; click a line to select its design` : "";
  byId("constants").textContent = fixed.length && FRONT.rows.length > 1
    ? `The same on the whole front: ${fixed.map((k) => `${DATA.knobs[k].label} = ${knobValue(k, FRONT.designs[0])}`).join(", ")}.` : "";
}

function options(id, entries, chosen) {
  const list = byId(id);
  for (const [value, text] of entries) {
    const option = make("option", text);
    option.value = value;
    option.selected = value === chosen;
    list.append(option);
  }
}

function fillControls() {
  const metrics = KEYS.map((key) => [key, METRICS[key].label]);
  const targets = DATA.metrics.filter((m) => m.objective).map((m) => m.key);
  const extra = targets.length > 2 ? targets[2] : PRESENT;
  options("axis-x", metrics, targets[0]);
  options("axis-y", metrics, targets[1] ?? targets[0]);
  options("axis-z", [["", "none"], ...metrics], "");
  options("axis-c", [...metrics, [PRESENT, "Evaluation"]], extra);
  for (const a of ["x", "y", "z", "c"]) byId(`axis-${a}`).onchange = drawFront;
  byId("previous").onclick = () => step(-1);
  byId("next").onclick = () => step(1);
  for (const button of byId("operator-tabs").children)
    button.onclick = () => {
      state.quantity = button.dataset.quantity;
      drawOperators(DATA.details[state.row]);
    };
}

function start() {
  fillHeader();
  const trace = DATA.convergence;
  options("convergence-of", [["hypervolume", "Hypervolume"], ...Object.keys(trace.best).map((key) => [key, `Best ${METRICS[key].label}`])], "hypervolume");
  byId("convergence-of").onchange = drawConvergence;
  byId("convergence-card").hidden = !trace.evaluations.length;
  const empty = !FRONT.rows.length;
  byId("empty").hidden = !empty;
  for (const part of document.querySelectorAll(".with-front")) part.hidden = empty;
  if (!empty) {
    fillControls();
    fillTable();
    select(first());
  }
  if (trace.evaluations.length) drawConvergence();
  let width = innerWidth;
  addEventListener("resize", () => {
    if (!empty && innerWidth !== width) drawParallel();
    width = innerWidth;
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    if (!empty) select(state.row);
    if (trace.evaluations.length) drawConvergence();
  });
}

start();
