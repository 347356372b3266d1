"""Area model against synthesis: gate equivalents of the RTL's parts by Yosys and by the model.

    python benchmarks/area.py                  compare the model with the committed measurements
    python benchmarks/area.py --fit            print the coefficients that fit them best
    python benchmarks/area.py --measure        run Yosys (0.23, minutes) and write them anew
    python benchmarks/area.py --measure pe     only those of one part

Measurements: tests/golden/yosys_area.csv, one row per part and parameters. Coefficients:
dovetail/arch/gates.py. Relative errors; their least mean square is what `--fit` seeks.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dovetail.arch import gates
from dovetail.rtl.synthesis import synthesize

GOLDEN = Path(__file__).resolve().parents[1] / "tests" / "golden" / "yosys_area.csv"
COLUMNS = ("part", "module", "parameters", "gate_equivalents", "flip_flops", "cells")
LIMIT_S = 1800.0

Parameters = dict[str, int]
Row = dict[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", nargs="*", metavar="PART", help="run Yosys")
    parser.add_argument("--fit", action="store_true", help="print the best coefficients")
    args = parser.parse_args()
    if args.measure is not None:
        measure(args.measure or list(SWEEPS))
    rows = read()
    if args.fit:
        print_fit(rows)
    compare(rows)


def pe_sweep() -> Iterator[tuple[str, Parameters]]:
    """Widths whose sums hold a product, in every kind of PE."""
    for stationary, overlap in ((0, 0), (1, 0), (1, 1)):
        kind = {"Stationary": stationary, "Overlap": overlap}
        for left, top, acc in itertools.product((2, 4, 8, 16), (2, 4, 8, 16), (16, 24, 32)):
            if acc >= left + top:
                yield "dovetail_pe", {**kind, "LeftBits": left, "TopBits": top, "AccBits": acc}


def lane_sweep() -> Iterator[tuple[str, Parameters]]:
    """One lane of the output stage."""
    for acc, bits in ((16, 8), (24, 8), (32, 4), (32, 8), (32, 16)):
        yield "dovetail_requantize", {"Cols": 1, "InputBits": bits, "AccBits": acc}


def vector_sweep() -> Iterator[tuple[str, Parameters]]:
    """One lane of the vector unit."""
    for bits, acc in ((4, 16), (4, 32), (8, 16), (8, 32), (16, 24), (16, 32)):
        yield "dovetail_vector_unit", {"Lanes": 1, "InputBits": bits, "AccBits": acc}


def accumulate_sweep() -> Iterator[tuple[str, Parameters]]:
    """The adders before the accumulators."""
    for cols, acc in ((1, 16), (1, 32), (2, 32), (4, 16), (4, 32)):
        yield "dovetail_accumulate", {"Rows": 4, "Cols": cols, "AccBits": acc}


def store_sweep() -> Iterator[tuple[str, Parameters]]:
    """The store engine with its output stage."""
    for cols, bus in ((1, 8), (2, 16)):
        yield "dovetail_store", {"Cols": cols, "InputBits": 8, "AccBits": 32, "BusBits": bus}


def whole_sweep() -> Iterator[tuple[str, Parameters]]:
    """Accelerators, module by module: not flattened."""
    depths = dict.fromkeys(("InputDepth", "WeightDepth", "AccDepth"), 256)
    widths = {"InputBits": 8, "WeightBits": 8, "AccBits": 32, "BusBits": 16}
    for stationary, overlap, size in ((1, 1, 2), (0, 1, 2), (1, 0, 4)):
        kind = {"Stationary": stationary, "Overlap": overlap, "Rows": size, "Cols": size}
        yield "dovetail_accelerator", {
            **kind, **widths, **depths, "ParamDepth": 64, "ProgramDepth": 64,
        }  # fmt: skip


def control_sweep() -> Iterator[tuple[str, Parameters]]:
    """What every accelerator has once (the sequencer three times)."""
    for bus, cols in ((8, 1), (32, 4), (64, 8), (128, 4)):
        yield "dovetail_fetch", {"BusBits": bus, "ParamWidth": 64 * cols}
    for bus, inputs, weights in ((8, 16, 16), (32, 64, 64), (64, 64, 64), (64, 128, 128)):
        yield "dovetail_load", {"BusBits": bus, "InputWidth": inputs, "WeightWidth": weights}
    yield "dovetail_sequencer", {"EntryBits": 256, "Depth": 64}
    for stationary, rows in ((0, 8), (1, 8)):
        yield "dovetail_window", {"Stationary": stationary, "Rows": rows}
    yield "dovetail_tokens", {}
    yield "dovetail_channel", {}


SWEEPS = {
    "pe": pe_sweep,
    "lane": lane_sweep,
    "vector": vector_sweep,
    "accumulate": accumulate_sweep,
    "control": control_sweep,
    "store": store_sweep,
    "whole": whole_sweep,
}


def measure(parts: list[str]) -> None:
    """Runs Yosys and replaces the rows of some parts."""
    rows = [row for row in read() if row["part"] not in parts]
    for part in parts:
        for module, parameters in SWEEPS[part]():
            done = synthesize(module, parameters, flatten=part != "whole", limit_s=LIMIT_S)
            figures = done.summary()
            row = {
                "part": part,
                "module": module,
                "parameters": " ".join(f"{k}={v}" for k, v in parameters.items()),
                "gate_equivalents": f"{done.gate_equivalents:.1f}",
                "flip_flops": str(figures["flip_flops"]),
                "cells": str(figures["cell_count"]),
            }
            print(*row.values(), f"{done.seconds:.1f} s", flush=True)
            rows.append(row)
    order = list(SWEEPS)
    rows.sort(key=lambda row: order.index(row["part"]))  # stable
    write(rows)


def write(rows: list[Row]) -> None:
    version = subprocess.run(["yosys", "-V"], capture_output=True, text=True, check=True).stdout
    with GOLDEN.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# python benchmarks/area.py --measure; {version.split('(')[0].strip()}\n")
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read() -> list[Row]:
    """The committed measurements."""
    if not GOLDEN.exists():
        return []
    with GOLDEN.open(encoding="utf-8") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def parameters_of(row: Row) -> Parameters:
    return {key: int(value) for key, value in (p.split("=") for p in row["parameters"].split())}


def model(row: Row) -> float:
    """Gate equivalents of a part by the model; 0 for `control`, which is summed up."""
    values = parameters_of(row)
    match row["part"]:
        case "pe":
            widths = (values["LeftBits"], values["TopBits"], values["AccBits"])
            return gates.pe_gates(*widths, *kind_of(values))
        case "lane":
            return gates.lane_gates(values["AccBits"])
        case "vector":
            return gates.vector_lane_gates(values["InputBits"], values["AccBits"])
        case "accumulate":
            per_sum, once = gates.ACCUMULATE
            return per_sum * values["AccBits"] * values["Cols"] + once
        case "store":
            per_column = gates.lane_gates(values["AccBits"]) + gates.STORE_COLUMN
            return per_column * values["Cols"] + gates.STORE
        case "whole":
            size, widths = (values["Rows"], values["Cols"]), (8, 8, 32)
            pes = size[0] * size[1] * gates.pe_gates(*widths, *kind_of(values))
            return pes + gates.periphery_gates(*size, *widths, *kind_of(values))
    return 0.0


def kind_of(values: Parameters) -> tuple[str, str]:
    flow = "ws" if values["Stationary"] else "os"
    return flow, "full" if values["Overlap"] else "none"


def errors(rows: list[Row]) -> dict[str, list[float]]:
    """Relative errors of the model by part."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if row["part"] != "control":
            error = model(row) / float(row["gate_equivalents"]) - 1
            found.setdefault(row["part"], []).append(error)
    return found


def compare(rows: list[Row]) -> None:
    """Prints measurement, model and error of every row, and of every part."""
    print(f"{'part':11}{'measured':>10}{'model':>10}{'error':>8}  parameters")
    for row in rows:
        value = float(row["gate_equivalents"])
        told = f"{model(row):10.0f}{model(row) / value - 1:8.1%}" if model(row) else " " * 18
        print(f"{row['part']:11}{value:10.0f}{told}  {row['module']} {row['parameters']}")
    for part, found in errors(rows).items():
        size = np.abs(found)
        print(f"{part}: {len(found)} rows, mean |error| {size.mean():.1%}, max {size.max():.1%}")
    print(f"control: {control(rows):.0f} measured, {gates.CONTROL:.0f} in the model")


def control(rows: list[Row]) -> float:
    """Gates that an accelerator has once: mean of each module's rows, three sequencers."""
    by_module: dict[str, list[float]] = {}
    for row in rows:
        if row["part"] == "control":
            by_module.setdefault(row["module"], []).append(float(row["gate_equivalents"]))
    counts = {module: 3 if module == "dovetail_sequencer" else 1 for module in by_module}
    total = sum(counts[module] * float(np.mean(v)) for module, v in by_module.items())
    return total + gates.ACCUMULATE[1] + gates.STORE


def print_fit(rows: list[Row]) -> None:
    """Prints coefficients of least mean square relative error, in the order of `gates`."""
    for part, kind, features in (
        ("pe", (0, 0), pe_features),
        ("pe", (1, 0), pe_features),
        ("pe", (1, 1), pe_features),
        ("lane", None, lambda v: (v["AccBits"], 1)),
        ("vector", None, lambda v: (v["InputBits"] * v["AccBits"], v["AccBits"], 1)),
        ("accumulate", None, lambda v: (v["AccBits"] * v["Cols"], 1)),
    ):
        chosen = [row for row in rows if row["part"] == part and kind in (None, kind_bits(row))]
        x = np.array([features(parameters_of(row)) for row in chosen], dtype=float)
        y = np.array([float(row["gate_equivalents"]) for row in chosen])
        found = np.linalg.lstsq(x / y[:, None], np.ones(len(y)), rcond=None)[0]
        print(part, kind or "", np.round(found, 2).tolist())


def pe_features(values: Parameters) -> tuple[int, ...]:
    left, top = values["LeftBits"], values["TopBits"]
    return left * top, left, top, values["AccBits"], 1


def kind_bits(row: Row) -> tuple[int, int]:
    values = parameters_of(row)
    return values.get("Stationary", 0), values.get("Overlap", 0)


if __name__ == "__main__":
    main()
