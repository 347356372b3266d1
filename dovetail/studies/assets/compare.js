"use strict";
// The page of a comparison: quartile bands, the hyperparameter lottery, and tables.

const AXES = { evaluations: "evaluations", seconds: "processor seconds" };
const percent = (share) => share * 100;
const hue = (k) => CYCLE[k % CYCLE.length];
const faded = (colour) => `${colour}2e`;

function fillHeader() {
  const { limits, yardstick } = DATA;
  const runs = DATA.contenders.flatMap((one) => one.runs);
  const total = (key) => runs.reduce((sum, run) => sum + run[key], 0);
  byId("title").textContent = DATA.name;
  byId("subtitle").textContent = `${DATA.contenders.length} agents · up to ${DATA.draws} draws of ` +
    `their settings · ${DATA.seeds} seeds · minimising ${DATA.objectives.join(", ")}`;
  const facts = byId("facts");
  tile(facts, fmt(runs.length), "runs");
  tile(facts, si(total("evaluations")), "evaluations in all");
  tile(facts, duration(total("seconds")), "processor time in all");
  tile(facts, `${fmt(limits.evaluations, 7)}`, "evaluations compared");
  tile(facts, duration(limits.seconds), "processor time compared");
  const of = yardstick.enumerated ? `${si(yardstick.enumerated)} designs enumerated` : "no exact front known";
  tile(facts, fmt(yardstick.hypervolume, 5), `hypervolume of ${yardstick.share_of}`, of);
}

// Values of a band as shown: found, or missed with a floor that a logarithmic axis can show.
function shownOf(values, missed) {
  return values.map((v) => missed ? Math.max(percent(1 - v), 1e-3) : percent(v));
}

function bands(key, missed) {
  const x = DATA[key];
  return DATA.contenders.flatMap((one, k) => {
    const band = one[`by_${key}`];
    const low = shownOf(band.low, missed);
    const high = shownOf(band.high, missed);
    const shape = { x: [...x, ...[...x].reverse()], y: [...high, ...[...low].reverse()] };
    return [
      { ...shape, fill: "toself", fillcolor: faded(hue(k)), line: { width: 0 }, mode: "lines",
        hoverinfo: "skip", showlegend: false, legendgroup: one.label },
      { x, y: shownOf(band.median, missed), mode: "lines", name: plain(one.label), legendgroup: one.label,
        line: { color: hue(k), width: 2.2 }, hovertemplate: "%{y:.4g} % at %{x:.4g}" },
    ];
  });
}

function drawConvergence() {
  const missed = byId("shown").value === "missed";
  const text = missed ? "hypervolume missed, %" : `share of ${DATA.yardstick.share_of}, %`;
  for (const [key, name] of Object.entries(AXES)) {
    const y = axis(text, missed ? { type: "log" } : {});
    Plotly.react(`by-${key}`, bands(key, missed), layout({ xaxis: axis(name, { type: "log" }), yaxis: y }), CONFIG);
  }
}

function hoverOf(run) {
  const settings = Object.entries(run.settings).map(([name, value]) => `${name} = ${value}`);
  return plain([`draw ${run.draw}, seed ${run.seed}`, ...settings].join("\n")).replaceAll("\n", "<br>");
}

function drawLottery() {
  for (const [key, name] of Object.entries(AXES)) {
    const traces = DATA.contenders.map((one, k) => ({
      type: "box", name: plain(one.label), y: one.runs.map((run) => percent(run[`share_at_${key}`])),
      boxpoints: "all", jitter: 0.5, pointpos: 0, fillcolor: faded(hue(k)), line: { color: hue(k), width: 1.5 },
      marker: { size: 7, color: hue(k), opacity: 0.8,
        symbol: one.runs.map((run) => run.draw ? "circle" : "circle-open") },
      text: one.runs.map(hoverOf), hovertemplate: "%{y:.4g} %<br>%{text}<extra></extra>",
    }));
    const limit = key === "seconds" ? duration(DATA.limits.seconds) : `${fmt(DATA.limits.evaluations, 7)} evaluations`;
    const y = axis(`share after ${limit}, %`);
    Plotly.react(`lottery-${key}`, traces, layout({ showlegend: false, xaxis: axis(""), yaxis: y }), CONFIG);
  }
}

function fillTable(id, head, rows) {
  const table = byId(id);
  const top = make("tr");
  head.forEach((text, i) => top.append(make("th", text, i ? "" : "text")));
  const body = make("tbody");
  for (const row of rows) {
    const line = make("tr");
    row.forEach((text, i) => line.append(make("td", text, i ? "" : "text")));
    body.append(line);
  }
  const header = make("thead");
  header.append(top);
  table.append(header, body);
}

function cell(column, k) {
  const { label, quartiles } = column.standings[k];
  const [low, middle, high] = quartiles.map((v) => percent(v).toFixed(2));
  return `${middle} [${low}, ${high}]${column.stopped[label] ? " *" : ""}`;
}

function fillStandings() {
  for (const [key, unit] of [["evaluations", ""], ["seconds", " s"]]) {
    const columns = DATA[`at_${key}`];
    const last = columns[columns.length - 1];
    const order = DATA.contenders.map((_, k) => k).sort((a, b) => last.standings[a].rank - last.standings[b].rank);
    const head = ["agent", ...columns.map((c) => `${fmt(c.at, 7)}${unit}`), "rank", "wins, %"];
    fillTable(`table-${key}`, head, order.map((k) => [
      DATA.contenders[k].label, ...columns.map((column) => cell(column, k)),
      last.standings[k].rank, percent(last.standings[k].win_share).toFixed(1),
    ]));
  }
}

function fillElites() {
  const elites = DATA.elites;
  byId("elites-card").hidden = !elites;
  if (!elites) return;
  byId("elites-note").textContent = `evaluated again at fidelity ${elites.fidelity}`;
  const names = Object.keys(elites.metrics);
  fillTable("elites", ["found by", ...names.flatMap((n) => [n, elites.fidelity, "change, %"])],
    elites.found_by.map((run, i) => [run, ...names.flatMap((name) => {
      const { searched, resimulated } = elites.metrics[name];
      const change = resimulated[i] === null ? null : percent(resimulated[i] / searched[i] - 1);
      return [fmt(searched[i]), fmt(resimulated[i]), change === null ? "–" : change.toFixed(3)];
    })]));
}

function fillDraws() {
  const rows = [];
  for (const one of DATA.contenders) {
    for (const draw of new Set(one.runs.map((run) => run.draw))) {
      const runs = one.runs.filter((run) => run.draw === draw);
      const mean = (key) => percent(runs.reduce((sum, run) => sum + run[key], 0) / runs.length).toFixed(2);
      const settings = Object.entries(runs[0].settings).map(([name, value]) => `${name}=${value}`);
      rows.push([one.label, draw || "defaults", mean("share_at_evaluations"), mean("share_at_seconds"), settings.join("  ")]);
    }
  }
  const head = ["agent", "draw", "mean share at evaluations, %", "at seconds, %", "settings"];
  fillTable("draws", head, rows);
}

function drawAll() {
  drawConvergence();
  drawLottery();
}

fillHeader();
fillStandings();
fillElites();
fillDraws();
drawAll();
byId("spec").textContent = JSON.stringify(DATA.problem, null, 2);
byId("footer").textContent = `Dovetail ${DATA.version}`;
byId("shown").addEventListener("change", drawConvergence);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
