"""What the report page shows, as JSON-able values."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dovetail.ir.report import Report
from dovetail.ir.space import IntArray
from dovetail.studies.front import convergence, spread
from dovetail.studies.records import Records
from dovetail.studies.spec import StudySpec
from dovetail.studies.store import StudyStore

Explain = Callable[[IntArray], Report | None]
"""Simulates one design (knobs,) in detail; None if there is nothing to tell."""

DETAILED = 40
"""Front designs with a report per operator."""

FRONT_POINTS = 1500
CLOUD_POINTS = 2500
OPERATORS = 400
DIGITS = 6

UNITS = {
    "ns": "ns", "us": "µs", "ms": "ms", "s": "s", "pj": "pJ", "nj": "nJ", "uj": "µJ", "mj": "mJ",
    "j": "J", "mw": "mW", "w": "W", "mm2": "mm²", "um2": "µm²", "bytes": "B", "kib": "KiB",
    "mib": "MiB", "mhz": "MHz", "cycles": "cycles",
}  # fmt: skip
SHARES = {"error", "utilization"}
"""Metrics from 0 to 1 that are shown in percent."""

ACRONYMS = {"edp", "dram", "sram", "pe", "macs", "lut", "dsp", "bram"}


def payload(store: StudyStore, explain: Explain | None) -> dict[str, Any]:
    """Everything that the page of a study needs.

    Args:
        store: an open study.
        explain: reports on one design.
    """
    spec, records = store.spec, store.records()
    front = records.front()
    shown = front[spread(records.evaluation.objectives[front], FRONT_POINTS)]
    chosen = shown[spread(records.evaluation.objectives[shown], DETAILED)]
    trace = convergence(records, spec)
    return {
        "name": spec.name,
        "facts": _facts(store, records, len(front), trace.hypervolume),
        "metrics": _metrics(spec, records),
        "knobs": [{"label": _title(k.name), "values": list(k.values)} for k in spec.space.knobs],
        "front": _points(records, shown) | {"designs": records.designs[shown].tolist()},
        "cloud": _points(records, _cloud(records, front)),
        "details": _details(records, chosen, explain),
        "chosen": chosen.tolist(),
        "convergence": {
            "evaluations": trace.evaluations.tolist(),
            "seconds": _plain(trace.seconds),
            "hypervolume": _plain(trace.hypervolume),
            "best": {name: _plain(values) for name, values in trace.best.items()},
        },
        "spec": json.dumps(spec.to_dict(), indent=2),
    }


def label(name: str) -> tuple[str, str]:
    """Words and unit of a metric's name: `edp_mj_ms` -> (`EDP`, `mJ·ms`)."""
    words = name.split("_")
    units: list[str] = []
    while len(words) > 1 and words[-1] in UNITS:
        units.insert(0, UNITS[words.pop()])
    words = [word.upper() if word in ACRONYMS else word for word in words]
    text = " ".join(words)
    return text[:1].upper() + text[1:], "·".join(units)


def _title(name: str) -> str:
    words, unit = label(name)
    return f"{words} ({unit})" if unit else words


def _facts(
    store: StudyStore, records: Records, front: int, volumes: NDArray[np.float64]
) -> dict[str, Any]:
    spec = store.spec
    return {
        "agent": spec.agent,
        "seed": spec.seed,
        "budget": spec.budget,
        "evaluations": len(records),
        "feasible": int(records.evaluation.feasible.sum()),
        "front": front,
        "hypervolume": _round(volumes[-1]) if len(volumes) else 0.0,
        "seconds": _round(records.seconds[-1]) if len(records) else 0.0,
        "objectives": [label(objective.name)[0] for objective in spec.objectives],
        "space": spec.space.size if spec.space.size < 10**15 else float(spec.space.size),
        "created": store.created,
        "version": store.version,
    }


def _metrics(spec: StudySpec, records: Records) -> list[dict[str, Any]]:
    names = list(records.evaluation.metrics)
    targets = [objective.name for objective in spec.objectives if objective.name in names]
    bounds = {f"{name}_{end}" for name in names for end in ("low", "high")}
    described = []
    for name in targets + [n for n in names if n not in targets and n not in bounds]:
        words, unit = label(name)
        share = name in SHARES
        described.append({
            "key": name,
            "label": words,
            "unit": "%" if share else unit,
            "factor": 100 if share else 1,
            "objective": name in targets,
            "interval": f"{name}_low" in names and f"{name}_high" in names,
        })  # fmt: skip
    return described


def _points(records: Records, rows: IntArray) -> dict[str, Any]:
    metrics = records.evaluation.metrics
    return {
        "rows": rows.tolist(),
        "metrics": {name: _plain(values[rows]) for name, values in metrics.items()},
    }


def _cloud(records: Records, front: IntArray) -> IntArray:
    """Feasible designs that are dominated, thinned evenly."""
    rest = np.setdiff1d(np.flatnonzero(records.evaluation.feasible), front)
    picks = np.linspace(0, len(rest) - 1, min(CLOUD_POINTS, len(rest))).round().astype(np.int64)
    return rest[picks]


def _details(records: Records, rows: IntArray, explain: Explain | None) -> dict[str, Any]:
    details = {}
    for row in rows.tolist() if explain else ():
        assert explain is not None
        report = explain(records.designs[row])
        if report is not None:
            details[str(row)] = compact(report.to_dict())
    return details


def compact(report: dict[str, Any]) -> dict[str, Any]:
    """A report's JSON form with operators as columns, without those that cost nothing.

    Beyond `OPERATORS`, the operators of fewest cycles are summed up as one.
    """
    operators = [op for op in report["operators"] if op["cycles"] or sum(op["energy_pj"].values())]
    operators = _merged(operators, report["peak_macs_per_cycle"])
    table: dict[str, Any] = {
        key: [op[key] for op in operators] for key in ("name", "kind", "engine")
    }
    for key in ("macs", "cycles", "compute_cycles", "utilization"):
        table[key] = [_round(op[key]) for op in operators]
    for key in ("stall_cycles", "energy_pj"):
        table[key] = _columns([op[key] for op in operators])
    table["dram_bytes"] = [sum(op["dram_bytes"].values()) for op in operators]
    keys = ("network", "accelerator", "fidelity", "clock_mhz", "area_mm2", "total")
    bounds = ("peak_macs_per_cycle", "dram_bytes_per_cycle")
    return {key: report[key] for key in keys + bounds} | {"operators": table}


def _merged(operators: list[dict[str, Any]], peak: float) -> list[dict[str, Any]]:
    if len(operators) <= OPERATORS:
        return operators
    order = sorted(range(len(operators)), key=lambda i: -operators[i]["cycles"])
    kept, rest = sorted(order[: OPERATORS - 1]), [operators[i] for i in order[OPERATORS - 1 :]]
    merged: dict[str, Any] = {"name": f"{len(rest)} others", "kind": "several", "engine": ""}
    for key in ("macs", "cycles", "compute_cycles"):
        merged[key] = sum(op[key] for op in rest)
    for key in ("stall_cycles", "energy_pj", "dram_bytes"):
        columns = _columns([op[key] for op in rest])
        merged[key] = {name: sum(values) for name, values in columns.items()}
    merged["utilization"] = merged["macs"] / max(merged["cycles"] * peak, 1)
    return [*(operators[i] for i in kept), merged]


def _columns(entries: Sequence[dict[str, float]]) -> dict[str, list[float]]:
    names = list(dict.fromkeys(name for entry in entries for name in entry))
    return {name: [_round(entry.get(name, 0)) for entry in entries] for name in names}


def _plain(values: Iterable[float]) -> list[float | None]:
    return [_round(v) if np.isfinite(v) else None for v in values]


def _round(value: float) -> float:
    return value if isinstance(value, int) else float(f"{float(value):.{DIGITS}g}")
