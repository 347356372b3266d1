"""A small design problem with a law, a constraint and known answers."""

from __future__ import annotations

import numpy as np

from dovetail.envs.objectives import (
    assess,
    broken,
    parse_constraints,
    parse_objectives,
    reference_point,
)
from dovetail.ir.space import Knob, Space


class ToyProblem:
    """Boxes of rows x cols: at most 64 cells by law (so rows = 128 never is), area <= 40."""

    name = "toy"
    space = Space(
        (
            Knob("rows", (1, 2, 4, 8, 128)),
            Knob("cols", (1, 2, 4, 16)),
            Knob("flow", ("ws", "os"), ordered=False),
        )
    )

    def __init__(self, constraints=("area_mm2<=40",)):
        self.objectives = parse_objectives(["latency_ms", "area_mm2"])
        self.constraints = parse_constraints(constraints)
        self.reference_point = reference_point(self.objectives)
        self.calls = 0

    def evaluate(self, designs):
        self.calls += 1
        self.space.check(designs)
        cells = self.space.numeric("rows", designs) * self.space.numeric("cols", designs)
        law = np.maximum(cells / 64 - 1, 0.0)
        latency = 100.0 / cells * (1 + 0.5 * designs[:, 2])
        metrics = {
            "latency_ms": np.where(law > 0, np.nan, latency),
            "area_mm2": np.where(law > 0, np.nan, cells),
        }
        return assess(metrics, law, self.objectives, self.constraints)

    def reasons(self, design):
        values = self.space.decode(design)
        cells = values["rows"] * values["cols"]
        if cells > 64:
            return [f"{cells} cells exceed 64: reduce rows or cols"]
        return broken(self.evaluate(np.asarray(design)[None]).metrics, self.constraints)

    def masks(self):
        return (
            np.array([True, True, True, True, False]),
            np.ones(4, dtype=bool),
            np.ones(2, dtype=bool),
        )

    def describe(self):
        return {"problem": "toy", "constraints": [str(c) for c in self.constraints]}


def from_spec(spec):
    return ToyProblem(**spec)
