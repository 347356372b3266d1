"use strict";
// What the scripts of all pages use: elements, numbers, and the look of charts.

const DATA = JSON.parse(document.getElementById("data").textContent);

const byId = (id) => document.getElementById(id);

function make(tag, text, className) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
}

// Numbers: four significant digits, thousands set apart.
function fmt(value, digits = 4) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e7 || size < 1e-3) return value.toExponential(2).replace("e+", "e");
  return Number(value.toPrecision(digits)).toLocaleString("en", { maximumFractionDigits: 8 });
}

// Counts with a prefix: 1.23 M.
function si(value, unit = "") {
  const steps = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
  for (const [step, prefix] of steps)
    if (Math.abs(value) >= step) return `${fmt(value / step, 3)} ${prefix}${unit}`;
  return unit ? `${fmt(value, 3)} ${unit}` : fmt(value, 3);
}

function duration(seconds) {
  if (seconds < 1) return `${fmt(seconds * 1e3, 3)} ms`;
  if (seconds < 120) return `${fmt(seconds, 3)} s`;
  if (seconds < 7200) return `${fmt(seconds / 60, 3)} min`;
  return `${fmt(seconds / 3600, 3)} h`;
}

function tile(parent, value, name, note) {
  const box = make("div", undefined, "tile");
  const number = make("b", value);
  if (note) number.append(" ", make("i", note));
  box.append(number, make("span", name));
  parent.append(box);
}

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const CYCLE = ["#3f7de0", "#e3a12f", "#45b0a1", "#e0565b", "#9a76d6", "#b7a13d", "#d977ad", "#6b7f99"];
const CONFIG = {
  displaylogo: false, responsive: true, showSendToCloud: false, plotlyServerURL: "",
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "toggleSpikelines"],
};

const plain = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;");

function axis(text, extra) {
  return {
    title: { text, font: { size: 13 }, standoff: 8 }, gridcolor: css("--grid"), linecolor: css("--line"),
    zerolinecolor: css("--line"), tickfont: { size: 12 }, automargin: true, ...extra,
  };
}

function layout(extra) {
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", color: css("--text"), size: 13 },
    margin: { l: 60, r: 12, t: 12, b: 44 }, hovermode: "closest",
    hoverlabel: { bgcolor: css("--card"), bordercolor: css("--line"), font: { color: css("--text") }, align: "left" },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { size: 12 }, traceorder: "normal", itemsizing: "constant" },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: css("--muted"), activecolor: css("--accent") },
    ...extra,
  };
}
