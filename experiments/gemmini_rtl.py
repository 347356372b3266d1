"""Cycles that the Gemmini model predicts, against cycles measured on Gemmini's RTL.

    python experiments/gemmini_rtl.py [TABLE TABLE] [--figure FILE] [--rows N]

The tables are two CSV files of layers that DOSA's authors ran on FireSim, a 16 x 16 Gemmini in
RTL, each with its mapping, `target.gemmini_cycle` (measured) and `target.cycle` (predicted by
DOSA's analytical model, which agrees with Timeloop). They are public:
https://github.com/ucb-bar/dosa, data/firesim_test_data/analytical.csv and dnn.csv (BSD-2-Clause).

How it is judged. Both files hold the same layers under different mappings and buffers. The layer
shapes are dealt into folds; for each fold the parameters are fitted on one file without the
fold's shapes, and predict the other file's rows of these shapes. So no row is predicted by
parameters that saw its file or its shape. Then the other way round. Beside it, on the very same
rows, stand the model fitted on other shapes of the same file, and DOSA's prediction.

How the structure was chosen. By what Gemmini's sources and the software that ran the layers say
(loop unroller, DMA, what a tile loads), then by residuals and shape-wise cross-validation on
`dnn.csv`, and on 83 rows of DOSA's training file: square layers whose mapping fills the 16 x 16
array. Of `analytical.csv` the first listing was read, and the total error looked at eight times on
the way; none of its residuals were until the model was fixed. So `dnn -> analytical` is the
prediction; `analytical -> dnn` holds out parameters, but `dnn.csv` shaped the model.

A last table says how well the measured runs repeat: some layers ran in both files under the same
tiling, and a model that sees layer and tiling only can hardly be closer than these.

Exits with 1 if the model is not better than DOSA's prediction in error and in rank correlation,
both ways.
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.optimize import least_squares
from scipy.stats import spearmanr

from dovetail.errors import DovetailError, MappingError
from dovetail.ir.files import replaced_file
from dovetail.sim.gemmini import (
    PARAMETERS,
    Layer,
    Parameters,
    TiledMapping,
    Work,
    cycles,
)

SOURCE = "https://github.com/ucb-bar/dosa, data/firesim_test_data/analytical.csv and dnn.csv"
COLUMNS = ("mapping.mapping", "target.cycle", "target.gemmini_cycle")
RANKS = ("C", "K", "P", "Q", "R", "S")
ROBUST = 0.05
"""Relative error from which on a row pulls linearly, not quadratically."""
PRIOR = 0.05
"""Pull of each parameter's logarithm towards its default: a factor of e weighs as one row's 5 %."""


@dataclass(frozen=True)
class Measured:
    """Rows of a table."""

    name: str
    cases: list[tuple[Layer, TiledMapping]]
    cycles: np.ndarray
    analytical: np.ndarray
    repeated: dict[tuple[object, ...], float]
    """Cycles of runs that the other file may hold too, by layer and tiling."""

    @property
    def shapes(self) -> list[Layer]:
        """Layer of every row."""
        return [layer for layer, _ in self.cases]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        epilog=f"The tables are public: {SOURCE} (BSD-2-Clause).",
    )
    parser.add_argument("tables", nargs="*", type=Path, help="two CSV files of FireSim runs")
    parser.add_argument("--figure", type=Path, help="writes an SVG, predicted against measured")
    parser.add_argument("--rows", type=int, default=8, help="worst rows to list (default 8)")
    parser.add_argument("--folds", type=int, default=6, help="groups of layer shapes (default 6)")
    args = parser.parse_args()
    try:
        return compare(args)
    except (DovetailError, OSError) as error:
        print(f"gemmini_rtl: {error}", file=sys.stderr)
        return 2


def compare(args: argparse.Namespace) -> int:
    if len(args.tables) != 2:
        raise MappingError(f"{len(args.tables)} tables given, needs two: download {SOURCE}")
    one, other = (read(path) for path in args.tables)
    folds = deal({*one.shapes, *other.shapes}, args.folds)
    console = Console(width=118)
    better, points = True, []
    for fitted, held_out in ((one, other), (other, one)):
        predicted = predict(fitted, held_out, folds)
        console.print(parameter_table(fitted))
        predictions = {
            f"Dovetail, fitted on {fitted.name}": predicted,
            "Dovetail, fitted on the same file": predict(held_out, held_out, folds),
            "DOSA's analytical model": held_out.analytical,
        }
        console.print(score_table(held_out, predictions))
        if args.rows:
            console.print(worst_table(held_out, predicted, args.rows))
        ours, theirs = scores(predicted, held_out), scores(held_out.analytical, held_out)
        better &= ours[0] < theirs[0] and ours[2] > theirs[2]
        points.append((f"{fitted.name} -> {held_out.name}", held_out, predicted))
    console.print(repeat_table(one, other))
    if args.figure:
        draw(args.figure, points)
        console.print(f"figure: {args.figure}")
    claim = "error and rank correlation are better than the analytical prediction's, both ways"
    console.print(f"{'holds ' if better else 'FAILS '} {claim}")
    return 0 if better else 1


def read(path: Path) -> Measured:
    """Reads a table; raises MappingError if it is none."""
    if not path.is_file():
        raise MappingError(f"no file {path}: download {SOURCE}")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    needed = (*COLUMNS, *(f"prob.{rank}" for rank in (*RANKS, "Wstride")))
    missing = [name for name in needed if not rows or name not in rows[0]]
    if missing:
        raise MappingError(f"{path} has no column {missing[0]}: give a table of {SOURCE}")
    try:
        return Measured(
            path.stem,
            [(layer_of(row), TiledMapping.parse(row["mapping.mapping"])) for row in rows],
            np.array([float(row["target.gemmini_cycle"]) for row in rows]),
            np.array([float(row["target.cycle"]) for row in rows]),
            repeated_runs(rows),
        )
    except ValueError as error:
        raise MappingError(f"{path}: {error}; give a table of {SOURCE}") from None


def layer_of(row: dict[str, str]) -> Layer:
    return Layer(*(int(row[f"prob.{rank}"]) for rank in RANKS), stride=int(row["prob.Wstride"]))


def repeated_runs(rows: list[dict[str, str]]) -> dict[tuple[object, ...], float]:
    """Runs by layer and tiling: Gemmini's own tiler (in both files) and the mapping's."""
    found: dict[tuple[object, ...], float] = {}
    for row in rows:
        layer = layer_of(row)
        if row.get("target.gemmini_auto_cycle") and row.get("dse.auto_tiling"):
            found["own tiler", layer, row["dse.auto_tiling"]] = float(
                row["target.gemmini_auto_cycle"]
            )
        found["mapping", layer, row["mapping.mapping"]] = float(row["target.gemmini_cycle"])
    return found


def deal(shapes: set[Layer], folds: int) -> dict[Layer, int]:
    """Deals layer shapes into folds, the same way every time."""
    ordered = sorted(shapes, key=lambda s: (s.C, s.K, s.P, s.Q, s.R, s.S, s.stride))
    order = np.random.default_rng(0).permutation(len(ordered))
    return {ordered[j]: i % folds for i, j in enumerate(order)}


def fit(work: Work, measured: np.ndarray, rows: np.ndarray | None = None) -> Parameters:
    """Parameters with the least robust logarithmic error over the chosen rows.

    Args:
        work: of all rows.
        measured: cycles, (layers,).
        rows: mask of the rows to fit, (layers,); all by default.
    """
    rows = np.ones(len(measured), dtype=bool) if rows is None else rows
    default = np.log(Parameters().to_array())
    bounds = np.log([[p.low for p in PARAMETERS], [p.high for p in PARAMETERS]])

    def residuals(logs: np.ndarray) -> np.ndarray:
        predicted = cycles(work, Parameters.from_array(np.exp(logs)))
        error = np.log(predicted / measured)[rows] / ROBUST
        soft = np.sign(error) * ROBUST * np.sqrt(2.0 * (np.sqrt(1.0 + error**2) - 1.0))
        return np.concatenate([soft, PRIOR * (logs - default)])

    generator = np.random.default_rng(0)
    starts = [default, default + generator.normal(scale=0.2, size=len(default))]
    inside = [np.clip(start, bounds[0] + 0.01, bounds[1] - 0.01) for start in starts]
    found = [least_squares(residuals, start, bounds=tuple(bounds)) for start in inside]
    return Parameters.from_array(np.exp(min(found, key=lambda one: one.cost).x))


def predict(fitted: Measured, held_out: Measured, folds: dict[Layer, int]) -> np.ndarray:
    """Cycles of every held-out row, by parameters that saw neither its file nor its shape."""
    work, target = Work.of(fitted.cases), Work.of(held_out.cases)
    own = np.array([folds[shape] for shape in fitted.shapes])
    others = np.array([folds[shape] for shape in held_out.shapes])
    predicted = np.zeros(len(held_out.cases))
    for fold in sorted(set(others)):
        parameters = fit(work, fitted.cycles, own != fold)
        predicted[others == fold] = cycles(target, parameters)[others == fold]
    return predicted


def scores(predicted: np.ndarray, table: Measured) -> tuple[float, float, float]:
    """Mean and median absolute error in percent, Spearman's rank correlation."""
    error = 100.0 * np.abs(predicted / table.cycles - 1.0)
    return error.mean(), np.median(error), float(spearmanr(predicted, table.cycles)[0])


def repeat_table(one: Measured, other: Measured) -> Table:
    table = Table("the same layer and tiling", title="how well the RTL's runs repeat")
    for column in ("layers", "mean difference %", "least ratio", "most", "Spearman"):
        table.add_column(column, justify="right")
    for kind in ("own tiler", "mapping"):
        both = [key for key in one.repeated if key[0] == kind and key in other.repeated]
        if len(both) < 2:
            continue
        first = np.array([one.repeated[key] for key in both])
        ratio = np.array([other.repeated[key] for key in both]) / first
        table.add_row(
            "tiled by Gemmini's own tiler" if kind == "own tiler" else "tiled by DOSA's mapping",
            str(len(both)),
            f"{100 * np.abs(ratio - 1).mean():.1f}",
            f"{ratio.min():.2f}",
            f"{ratio.max():.2f}",
            f"{spearmanr(first, first * ratio)[0]:.4f}",
        )
    return table


def parameter_table(fitted: Measured) -> Table:
    found = fit(Work.of(fitted.cases), fitted.cycles)
    table = Table(title=f"parameters fitted on all of {fitted.name}, {len(fitted.cases)} rows")
    for column in ("parameter", "fitted", "sane range", "unit", "cause"):
        table.add_column(column, justify="right" if column in ("fitted", "sane range") else "left")
    for parameter in PARAMETERS:
        value = getattr(found, parameter.name)
        span = f"{parameter.low:g} to {parameter.high:g}"
        table.add_row(parameter.name, f"{value:.3g}", span, parameter.unit, parameter.meaning)
    return table


def score_table(held_out: Measured, predictions: dict[str, np.ndarray]) -> Table:
    table = Table("prediction", title=f"{held_out.name}: every row predicted without its shape")
    for column in ("rows", "mean error %", "median error %", "Spearman", "model / RTL, geo. mean"):
        table.add_column(column, justify="right")
    for name, values in predictions.items():
        mean, median, rank = scores(values, held_out)
        ratio = np.exp(np.log(values / held_out.cycles).mean())
        row = (len(values), f"{mean:.1f}", f"{median:.1f}", f"{rank:.4f}", f"{ratio:.2f}")
        table.add_row(name, *map(str, row))
    return table


def worst_table(held_out: Measured, predicted: np.ndarray, rows: int) -> Table:
    table = Table("layer C K P Q R S /stride", title=f"largest errors on {held_out.name}")
    for column in ("RTL cycles", "Dovetail", "ratio", "analytical", "ratio"):
        table.add_column(column, justify="right")
    order = np.argsort(-np.abs(np.log(predicted / held_out.cycles)))[:rows]
    for i in order:
        s, measured = held_out.shapes[i], held_out.cycles[i]
        table.add_row(
            f"{s.C} {s.K} {s.P} {s.Q} {s.R} {s.S} /{s.stride}",
            f"{measured:,.0f}",
            f"{predicted[i]:,.0f}",
            f"{predicted[i] / measured:.2f}",
            f"{held_out.analytical[i]:,.0f}",
            f"{held_out.analytical[i] / measured:.2f}",
        )
    return table


def draw(path: Path, points: list[tuple[str, Measured, np.ndarray]]) -> None:
    """One panel a direction: predicted against measured cycles, both predictions."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "gemmini"})
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(points), figsize=(10, 4.8), layout="constrained")
    for axis, (title, table, predicted) in zip(axes, points, strict=True):
        axis.loglog(table.cycles, table.analytical, "x", ms=4, color="#999999", label="analytical")
        axis.loglog(table.cycles, predicted, "o", ms=3.5, color="#1f77b4", label="Dovetail")
        ends = [table.cycles.min() / 2, table.cycles.max() * 2]
        axis.plot(ends, ends, color="black", linewidth=0.8)
        axis.set(xlabel="cycles measured on the RTL", ylabel="cycles predicted", title=title)
        axis.legend()
        axis.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced_file(path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
