"""The Pareto front of a study as a table."""

from __future__ import annotations

import numpy as np
from rich.table import Table

from dovetail.envs.problem import DesignProblem
from dovetail.studies.front import spread
from dovetail.studies.runner import StudyResult

ROWS = 16


def front_table(problem: DesignProblem, result: StudyResult) -> Table:
    """Designs spread evenly over the front, by the first objective.

    Args:
        problem: evaluates the shown designs again for their metrics.
        result: of the study.
    """
    count = len(result.designs)
    table = Table(title=f"Pareto front: {min(ROWS, count)} of {count} designs")
    names = [objective.name for objective in problem.objectives]
    for name in names:
        table.add_column(name, justify="right")
    table.add_column("design", overflow="fold")
    if count == 0:
        return table
    shown = spread(result.objectives, ROWS)
    shown = shown[np.argsort(result.objectives[shown, 0], kind="stable")]
    evaluation = problem.evaluate(result.designs[shown])
    for row, design in enumerate(result.designs[shown]):
        metrics = {name: float(values[row]) for name, values in evaluation.metrics.items()}
        cells = [_metric(name, metrics) for name in names]
        table.add_row(*cells, _compact(problem.space.decode(design)))
    return table


def _metric(name: str, metrics: dict[str, float]) -> str:
    if name == "error" and "error_low" in metrics:
        low, high = metrics["error_low"], metrics["error_high"]
        return f"{metrics[name]:.3f} [{low:.3f}, {high:.3f}]".replace("[", "\\[")
    return f"{metrics[name]:.4g}"


def _compact(values: dict[str, int | float | str]) -> str:
    """Knob values in a line: network choices in order, then the accelerator's."""
    network = [f"{v}" for k, v in values.items() if k.startswith("network.")]
    rest = {
        k.removeprefix("accelerator."): v
        for k, v in values.items()
        if not k.startswith("network.")
    }
    machine = " ".join(f"{_short(k)}={v}" for k, v in rest.items())
    return f"{'-'.join(network)} | {machine}" if network else machine


def _short(knob: str) -> str:
    return knob.replace("_sram_kib", "KiB").replace("_mhz", "").replace("vector_", "")
